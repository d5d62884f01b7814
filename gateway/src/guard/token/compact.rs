//! The compact form of a signed token (RFC 7515 §3.1): three parts in base64url, and what the first one says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::TokenFault;
use crate::secrets::TokenAlgorithm;
use crate::secrets::token_key::json::{self, Json, Members};

/// Bytes of a token. A head with a larger one would be refused elsewhere; what is looked at before the signature is
/// checked has this bound.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A token in its parts. Nothing of it is believed yet.
pub(super) struct Compact<'a> {
    pub algorithm: TokenAlgorithm,
    pub key_id: Option<String>,
    /// Header, dot, payload: what is signed.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
    payload: &'a [u8],
}

impl<'a> Compact<'a> {
    pub(super) fn read(text: &'a [u8]) -> Result<Self, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let [header, payload, signature] = parts(text)?;
        let header = json::object(&decode(header)?).map_err(|_| TokenFault::Malformed)?;
        check_extensions(&header)?;
        let algorithm = string(&header, "alg")?.ok_or(TokenFault::Malformed)?;
        Ok(Self {
            algorithm: TokenAlgorithm::of_jose_name(algorithm).ok_or(TokenFault::Algorithm)?,
            key_id: string(&header, "kid")?.map(str::to_owned),
            signed: &text[..text.len() - signature.len() - 1],
            signature: decode(signature)?,
            payload,
        })
    }

    /// The claims as written.
    pub(super) fn payload(&self) -> Result<Vec<u8>, TokenFault> {
        decode(self.payload)
    }
}

/// Header, payload and signature.
fn parts(text: &[u8]) -> Result<[&[u8]; 3], TokenFault> {
    let mut parts = text.split(|byte| *byte == b'.');
    match ([parts.next(), parts.next(), parts.next()], parts.count()) {
        ([Some(header), Some(payload), Some(signature)], 0) => Ok([header, payload, signature]),
        // RFC 7516 §9: five parts are a JWE.
        (_, 2) => Err(TokenFault::Encrypted),
        _ => Err(TokenFault::Malformed),
    }
}

/// `jku`, `jwk`, `x5u`, `x5c` and all else is ignored: keys come from the operator, never from a token.
fn check_extensions(header: &Members) -> Result<(), TokenFault> {
    // RFC 7515 §4.1.11: whoever does not understand all of its extensions must refuse. None is understood here.
    if header.contains_key("crit") {
        return Err(TokenFault::Critical);
    }
    match header.get("b64") {
        None | Some(Json::Bool(true)) => Ok(()),
        // RFC 7797 §6: a payload that is not encoded is never to be read as if it were, even where `crit` is forgotten.
        Some(_) => Err(TokenFault::Critical),
    }
}

fn string<'m>(header: &'m Members, name: &str) -> Result<Option<&'m str>, TokenFault> {
    match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_text().map(Some).ok_or(TokenFault::Malformed),
    }
}

/// RFC 7515 §2: no padding, no line breaks, no other characters; and no bits behind the last byte, so that each token
/// has one spelling.
fn decode(part: &[u8]) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)
}
