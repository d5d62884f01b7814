//! Who a client is by its certificate.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::kit::http_date;
use crate::secrets::certificate;

/// A client whose certificate was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Its subject (RFC 4514), "CN=anna,O=Example": in ASCII without controls, so that a field can hold it. Empty where
    /// the certificate has none.
    pub subject: Box<str>,
    /// Its certificate holds until then, since the Unix epoch.
    pub not_after: Duration,
}

/// Why a client whose certificate was verified is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitorFault {
    /// Its certificate held until then, since the Unix epoch.
    Expired(Duration),
    /// Its subject is too long, or cannot be read.
    Unreadable,
}

impl fmt::Display for VisitorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => {
                let date = http_date::format(at.as_secs());
                write!(f, "the client's certificate has expired on {date}")
            }
            Self::Unreadable => {
                f.write_str("the subject of the client's certificate is too long or cannot be read")
            }
        }
    }
}

impl std::error::Error for VisitorFault {}

impl Visitor {
    pub(super) fn of(shown: &CertificateDer<'_>, now: Duration) -> Result<Self, VisitorFault> {
        let not_after = certificate::not_after(shown).ok_or(VisitorFault::Unreadable)?;
        if now > not_after {
            return Err(VisitorFault::Expired(not_after));
        }
        let subject = certificate::subject(shown).ok_or(VisitorFault::Unreadable)?;
        Ok(Self {
            subject: subject.into(),
            not_after,
        })
    }
}
