//! Public keys in DER.

use super::{Material, Reason};
use crate::secrets::der::{BIT_STRING, EXPLICIT_0, INTEGER, NULL, OBJECT, Reader, SEQUENCE};

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.10
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.2.840.10045.2.1
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The key of a SubjectPublicKeyInfo (RFC 5280 §4.1).
pub(super) fn public_key(der: &[u8]) -> Result<Material, Reason> {
    let (algorithm, parameters, key) = parts_of_public_key(der).ok_or_else(damaged)?;
    let parameters = Parameters::of(parameters).ok_or_else(damaged)?;
    match (algorithm, parameters) {
        (RSA, Parameters::Null) => rsa_public_key(key),
        (RSA_PSS, _) => {
            Err("an RSA key for RSASSA-PSS alone is not supported: use a plain RSA key".to_owned())
        }
        (EC, Parameters::Object(P256)) => Material::p256(key),
        (EC, Parameters::Object(P384)) => Material::p384(key),
        (EC, _) => Err("of elliptic curves only P-256 and P-384 are supported".to_owned()),
        // RFC 8410 §3: "the parameters MUST be absent".
        (ED25519, Parameters::Absent) => Material::ed25519(key),
        _ => Err("the kind of this key is not supported: use RSA, P-256, P-384 or Ed25519".to_owned()),
    }
}

/// The key of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa_public_key(der: &[u8]) -> Result<Material, Reason> {
    let (n, e) = parts_of_rsa(der).ok_or_else(damaged)?;
    Material::rsa(n, e)
}

/// The key of an X.509 certificate (RFC 5280 §4.1).
pub(super) fn certificate(der: &[u8]) -> Result<Material, Reason> {
    public_key(key_of_certificate(der).ok_or_else(damaged)?)
}

/// What may stand beside the name of an algorithm.
enum Parameters<'a> {
    Absent,
    Null,
    Object(&'a [u8]),
    Other,
}

impl<'a> Parameters<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(der);
        if reader.is_empty() {
            return Some(Self::Absent);
        }
        let (tag, content, _) = reader.element()?;
        let kind = match (tag, content) {
            (NULL, []) => Self::Null,
            (OBJECT, object) => Self::Object(object),
            _ => Self::Other,
        };
        reader.is_empty().then_some(kind)
    }
}

/// Algorithm, what stands beside it, and the bits of the key.
fn parts_of_public_key(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut whole = Reader::new(der);
    let mut info = Reader::new(whole.content(SEQUENCE)?);
    let mut algorithm = Reader::new(info.content(SEQUENCE)?);
    let name = algorithm.content(OBJECT)?;
    // The first byte of a bit string counts the bits that are missing at its end.
    let key = info.content(BIT_STRING)?.strip_prefix(&[0])?;
    (whole.is_empty() && info.is_empty()).then_some((name, algorithm.rest(), key))
}

fn parts_of_rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut whole = Reader::new(der);
    let mut key = Reader::new(whole.content(SEQUENCE)?);
    let n = key.natural()?;
    let e = key.natural()?;
    (whole.is_empty() && key.is_empty()).then_some((n, e))
}

fn key_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut whole = Reader::new(der);
    let mut certificate = Reader::new(whole.content(SEQUENCE)?);
    let mut signed = Reader::new(certificate.content(SEQUENCE)?);
    if signed.next_is(EXPLICIT_0) {
        signed.element()?;
    }
    signed.content(INTEGER)?;
    // Algorithm of the signature, issuer, validity, subject.
    for _ in 0..4 {
        signed.content(SEQUENCE)?;
    }
    let (_, _, key) = signed.element()?;
    whole.is_empty().then_some(key)
}

fn damaged() -> Reason {
    "the key is damaged: what is inside is not the DER of a public key".to_owned()
}
