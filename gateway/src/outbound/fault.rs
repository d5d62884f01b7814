//! Why there is no answer.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

/// Why a question has no answer. The text says what happened; whoever asked says of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundFault {
    /// The URL cannot be asked.
    Url(&'static str),
    /// A field of this name cannot be sent.
    Field(String),
    /// No connection came about: the name is unknown, nobody listens, nothing answers.
    Connect(String),
    /// No trust came about: the certificate, or what both sides speak.
    Tls(String),
    /// The deadline was over before the answer was.
    Deadline(Duration),
    /// More bytes of body than were asked for.
    BodyTooLarge(usize),
    /// The connection ended before the answer did, or what came is not HTTP, or its head is larger than
    /// [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX) bytes or [`FIELDS_MAX`](super::FIELDS_MAX) fields.
    Broken(String),
}

impl Error for OutboundFault {}

impl fmt::Display for OutboundFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL cannot be asked: {why}"),
            Self::Field(name) => write!(f, "the field {name:?} cannot be sent"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Tls(why) => write!(f, "no TLS connection: {why}"),
            Self::Deadline(after) => write!(f, "no whole answer within {} ms", after.as_millis()),
            Self::BodyTooLarge(max) => write!(f, "the body of the answer is larger than {max} bytes"),
            Self::Broken(why) => write!(f, "the answer is broken: {why}"),
        }
    }
}

/// Whether the connection was lost before anything of an answer came.
pub(super) fn is_lost(error: &legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    chain(error).any(|cause| {
        let is_ended = |e: &hyper::Error| e.is_incomplete_message() || e.is_closed() || e.is_canceled();
        let is_reset = |e: &io::Error| {
            matches!(
                e.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            )
        };
        cause.downcast_ref().is_some_and(is_ended) || cause.downcast_ref().is_some_and(is_reset)
    })
}

pub(super) fn of_request(error: &legacy::Error, knows_authorities: bool) -> OutboundFault {
    if let Some(tls) = chain(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return OutboundFault::Tls(tls_words(tls, knows_authorities));
    }
    if error.is_connect() {
        return OutboundFault::Connect(last(error));
    }
    OutboundFault::Broken(last(error))
}

pub(super) fn of_body(error: &hyper::Error) -> OutboundFault {
    OutboundFault::Broken(last(error))
}

pub(super) fn tls_words(error: &rustls::Error, knows_authorities: bool) -> String {
    use rustls::CertificateError::UnknownIssuer;
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) if !knows_authorities => {
            "this system has no certificates of authorities: install them (ca-certificates), or name a file of them".to_owned()
        }
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "nobody this system trusts has issued the certificate".to_owned()
        }
        other => other.to_string(),
    }
}

/// An error and what has caused it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// `io::Error` leaves what it was made of out of `source`, so that is looked for by hand.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// What is at the bottom of it; the layers above it repeat that something failed.
fn last(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
