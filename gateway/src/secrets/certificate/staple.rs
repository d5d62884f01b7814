//! What an authority has said of a certificate lately (OCSP, RFC 6960), to be handed to clients with it.

use std::time::Duration;

use super::{Chain, time};
use crate::secrets::Fault;
use crate::secrets::der::{
    ENUMERATED, EXPLICIT_0, GENERALIZED_TIME, INTEGER, OBJECT, OCTET_STRING, Reader, SEQUENCE,
};

/// Bytes of an answer. Those with the responder's certificate have 2 KiB.
const BYTES_MAX: usize = 32 * 1024;

/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// `[0] IMPLICIT NULL` as a status
const GOOD: u8 = 0x80;

/// An answer of an authority, for one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    der: Vec<u8>,
    is_good: bool,
    /// Clients take it until then, since the Unix epoch.
    next_update: Option<Duration>,
}

impl Staple {
    /// The answer of a file in DER, as `openssl ocsp -respout` writes it. Its signature is for clients to check.
    ///
    /// # Errors
    /// It is none, or one about another certificate than the first of the chain.
    pub fn parse(file: &[u8], chain: &Chain) -> Result<Self, Fault> {
        let told = |message: &str| Fault {
            line: 1,
            message: message.to_owned(),
        };
        if file.len() > BYTES_MAX {
            return Err(told(&format!("an OCSP response has at most {BYTES_MAX} bytes")));
        }
        if file.starts_with(b"-----BEGIN") {
            return Err(told(
                "this is PEM, and an OCSP response is written in DER: `openssl ocsp … -respout FILE`",
            ));
        }
        let answers = answers(file).ok_or_else(|| {
            told("this is not an OCSP response that says anything: fetch it anew with `openssl ocsp … -respout FILE`")
        })?;
        let about = answers
            .into_iter()
            .find(|answer| answer.serial == chain.leaf.serial);
        let Some(answer) = about else {
            return Err(told(
                "this OCSP response is about another certificate: fetch one for this",
            ));
        };
        Ok(Self {
            der: file.to_vec(),
            is_good: answer.is_good,
            next_update: answer.next_update,
        })
    }

    /// As it goes to clients.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the authority says that the certificate is good.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// Clients take it until then, since the Unix epoch; None where it does not say.
    pub fn next_update(&self) -> Option<Duration> {
        self.next_update
    }
}

struct Answer<'a> {
    serial: &'a [u8],
    is_good: bool,
    next_update: Option<Duration>,
}

/// What a response says of each certificate (RFC 6960 §4.2.1).
fn answers(file: &[u8]) -> Option<Vec<Answer<'_>>> {
    let mut whole = Reader::new(file);
    let mut response = Reader::new(whole.content(SEQUENCE)?);
    let is_successful = response.content(ENUMERATED)? == [0] && whole.is_empty();
    let mut bytes = Reader::new(Reader::new(response.content(EXPLICIT_0)?).content(SEQUENCE)?);
    if !is_successful || bytes.content(OBJECT)? != BASIC {
        return None;
    }
    let mut basic = Reader::new(Reader::new(bytes.content(OCTET_STRING)?).content(SEQUENCE)?);
    let mut data = Reader::new(basic.content(SEQUENCE)?);
    data.optional(EXPLICIT_0);
    // Who answers, and when.
    data.element()?;
    data.content(GENERALIZED_TIME)?;
    let mut listed = Reader::new(data.content(SEQUENCE)?);
    let mut found = Vec::new();
    while !listed.is_empty() {
        found.push(answer(listed.content(SEQUENCE)?)?);
    }
    Some(found)
}

fn answer(single: &[u8]) -> Option<Answer<'_>> {
    let mut single = Reader::new(single);
    let mut id = Reader::new(single.content(SEQUENCE)?);
    // The algorithm, and the hashes of who has signed it.
    id.content(SEQUENCE)?;
    id.content(OCTET_STRING)?;
    id.content(OCTET_STRING)?;
    let serial = id.content(INTEGER)?;
    let (status, _, _) = single.element()?;
    single.content(GENERALIZED_TIME)?;
    let next_update = match single.optional(EXPLICIT_0) {
        Some(next) => Some(time::generalized(Reader::new(next).content(GENERALIZED_TIME)?)?),
        None => None,
    };
    Some(Answer {
        serial,
        is_good: status == GOOD,
        next_update,
    })
}
