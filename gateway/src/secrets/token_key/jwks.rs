//! JWK sets (RFC 7517 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{self, Json, Members};
use super::{Fault, Material, Reason, TokenAlgorithm, TokenKey};

/// Bytes of a set: more than any issuer writes, and less than hurts.
const SET_BYTES_MAX: usize = 1024 * 1024;

/// Keys of a set, usable or not.
const KEYS_MAX: usize = 256;

pub(super) fn read(text: &str) -> Result<Vec<TokenKey>, Fault> {
    let fault = |message: String| Fault { line: 1, message };
    if text.len() > SET_BYTES_MAX {
        return Err(fault(format!("a JWK set has at most {SET_BYTES_MAX} bytes")));
    }
    let set = json::object(text.as_bytes())?;
    let Some(Json::List(keys)) = set.get("keys") else {
        return Err(fault(
            "a JWK set is an object with a list \"keys\", and there is none".to_owned(),
        ));
    };
    if keys.len() > KEYS_MAX {
        return Err(fault(format!(
            "a JWK set has at most {KEYS_MAX} keys, and here are {}",
            keys.len()
        )));
    }
    let mut usable = Vec::new();
    let mut reason = None;
    for (at, value) in keys.iter().enumerate() {
        match key(value) {
            Ok(key) => usable.push(key),
            Err(why) => _ = reason.get_or_insert_with(|| format!("; of key {}: {why}", at + 1)),
        }
    }
    if usable.is_empty() {
        let reason = reason.unwrap_or_default();
        return Err(fault(format!(
            "none of the {} keys can check a signature{reason}",
            keys.len()
        )));
    }
    Ok(usable)
}

fn key(value: &Json) -> Result<TokenKey, Reason> {
    let Json::Object(members) = value else {
        return Err("it is not an object".to_owned());
    };
    is_for_signatures(members)?;
    let bound = match text(members, "alg")? {
        Some(name) => Some(TokenAlgorithm::of_jose_name(name).ok_or_else(|| unsupported("alg", name))?),
        None => None,
    };
    let id = text(members, "kid")?.map(str::to_owned);
    let material = material(members)?;
    if bound.is_some_and(|algorithm| !material.fits(algorithm)) {
        return Err("its kind or size does not fit its \"alg\"".to_owned());
    }
    Ok(TokenKey { id, bound, material })
}

/// RFC 7517 §4.2 and §4.3.
fn is_for_signatures(members: &Members) -> Result<(), Reason> {
    if let Some(purpose) = text(members, "use")?
        && purpose != "sig"
    {
        return Err("its \"use\" is not \"sig\"".to_owned());
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Json::List(operations)) if operations.iter().any(|o| o.as_text() == Some("verify")) => Ok(()),
        Some(_) => Err("\"verify\" is not among its \"key_ops\"".to_owned()),
    }
}

fn material(members: &Members) -> Result<Material, Reason> {
    let kind = text(members, "kty")?.ok_or("it has no \"kty\"")?;
    if kind != "oct" && members.contains_key("d") {
        // Whoever has read this set can sign as the issuer.
        return Err("it is a private key: leave out all but its public members".to_owned());
    }
    match kind {
        "RSA" => Material::rsa(&bytes(members, "n")?, &bytes(members, "e")?),
        "EC" => match text(members, "crv")? {
            Some("P-256") => Material::p256(&point(members, 32)?),
            Some("P-384") => Material::p384(&point(members, 48)?),
            curve => Err(unsupported("crv", curve.unwrap_or_default())),
        },
        "OKP" => match text(members, "crv")? {
            Some("Ed25519") => Material::ed25519(&bytes(members, "x")?),
            curve => Err(unsupported("crv", curve.unwrap_or_default())),
        },
        "oct" => Material::secret(&bytes(members, "k")?),
        other => Err(unsupported("kty", other)),
    }
}

/// RFC 7518 §6.2.1.2: a coordinate has as many bytes as the field, with zeros in front.
fn point(members: &Members, coordinate: usize) -> Result<Vec<u8>, Reason> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        let bytes = bytes(members, name)?;
        if bytes.len() != coordinate {
            return Err(format!(
                "{name:?} has {} bytes, and {coordinate} are needed",
                bytes.len()
            ));
        }
        point.extend_from_slice(&bytes);
    }
    Ok(point)
}

/// A string, if the member is there.
fn text<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, Reason> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_text()
            .map(Some)
            .ok_or_else(|| format!("its {name:?} is not a string")),
    }
}

/// The bytes of a string in base64url without padding.
fn bytes(members: &Members, name: &str) -> Result<Vec<u8>, Reason> {
    let text = text(members, name)?.ok_or_else(|| format!("it has no {name:?}"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| format!("its {name:?} is not base64url without padding"))
}

/// Names are quoted with their controls escaped, and cut: they may be anybody's.
fn unsupported(name: &str, value: &str) -> Reason {
    let shown: String = value.chars().take(40).collect();
    format!("its {name:?} {shown:?} is not supported")
}
