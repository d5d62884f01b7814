//! The fields of a certificate (RFC 5280 §4.1) that we look at ourselves.

use std::net::IpAddr;
use std::time::Duration;

use super::time;
use crate::secrets::der::{BIT_STRING, BOOLEAN, EXPLICIT_0, INTEGER, OBJECT, OCTET_STRING, Reader, SEQUENCE};

/// Bits of an RSA modulus that are still believed: CA/Browser Forum baseline requirements §6.1.5.
const RSA_BITS_MIN: usize = 2048;

/// More, ring does not sign with.
const RSA_BITS_MAX: usize = 4096;

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.35
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
/// `[0] IMPLICIT OCTET STRING`, the keyIdentifier of an authorityKeyIdentifier.
const KEY_IDENTIFIER: u8 = 0x80;
/// `[3] EXPLICIT`, where the extensions are.
const EXTENSIONS: u8 = 0xa3;
/// `[2] IMPLICIT IA5String`, a DNS name in a subjectAltName.
const DNS_NAME: u8 = 0x82;
/// `[7] IMPLICIT OCTET STRING`, an address in a subjectAltName.
const IP_ADDRESS: u8 = 0x87;

/// What a certificate says of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// DNS names it is for, in lower case: "example.com", "*.example.com".
    pub names: Vec<String>,
    /// Addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// From here on, since the Unix epoch.
    pub not_before: Duration,
    /// Until here, since the Unix epoch.
    pub not_after: Duration,
    /// The number its authority has given it.
    pub(super) serial: Vec<u8>,
    /// What its authority calls the key it has signed with.
    pub(super) authority_key: Option<Vec<u8>>,
}

impl Leaf {
    /// The content of the serial number's DER, a leading zero with it.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// `keyIdentifier` of the extension authorityKeyIdentifier (RFC 5280 §4.2.1.1), if it has one.
    pub fn authority_key(&self) -> Option<&[u8]> {
        self.authority_key.as_deref()
    }

    /// Whether the certificate is for this domain, "example.com" or "*.example.com", in lower case.
    pub fn covers(&self, domain: &str) -> bool {
        // RFC 6125 §6.4.3: the wildcard stands for one label, the leftmost.
        let wildcard = domain.split_once('.').map(|(_, above)| above);
        let covers = |name: &String| {
            name == domain
                || name
                    .strip_prefix("*.")
                    .is_some_and(|above| wildcard == Some(above))
        };
        self.names.iter().any(covers)
    }
}

/// The fields as they stand.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    serial: &'a [u8],
    /// The DER of a name.
    pub issuer: &'a [u8],
    /// The DER of a name.
    pub subject: &'a [u8],
    not_before: Duration,
    not_after: Duration,
    pub key: KeyKind,
    said: Said<'a>,
}

/// What the extensions say.
#[derive(Clone, Default)]
struct Said<'a> {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    authority_key: Option<&'a [u8]>,
}

/// What a public key is of, as far as it matters here.
#[derive(Clone, Copy)]
pub(super) enum KeyKind {
    Rsa {
        bits: usize,
    },
    /// Whether it can be used is for whoever uses it to say.
    Other,
}

impl KeyKind {
    pub(super) fn check(self) -> Result<(), String> {
        match self {
            Self::Rsa { bits } if bits < RSA_BITS_MIN => Err(format!(
                "the RSA key has {bits} bits, which can be broken: order a certificate for one of {RSA_BITS_MIN} or more"
            )),
            Self::Rsa { bits } if bits > RSA_BITS_MAX => Err(format!(
                "the RSA key has {bits} bits, and at most {RSA_BITS_MAX} are supported"
            )),
            Self::Rsa { .. } | Self::Other => Ok(()),
        }
    }
}

impl<'a> Fields<'a> {
    /// None if this is no certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut whole = Reader::new(der);
        let mut certificate = Reader::new(whole.content(SEQUENCE)?);
        let mut signed = Reader::new(certificate.content(SEQUENCE)?);
        signed.optional(EXPLICIT_0);
        let serial = signed.content(INTEGER)?;
        // The algorithm of the signature, which stands behind it once more.
        signed.content(SEQUENCE)?;
        let (_, _, issuer) = signed.element()?;
        let mut validity = Reader::new(signed.content(SEQUENCE)?);
        let (not_before, not_after) = (time::read(&mut validity)?, time::read(&mut validity)?);
        let (_, _, subject) = signed.element()?;
        let key = key_kind(signed.content(SEQUENCE)?)?;
        let mut said = Said::default();
        while !signed.is_empty() {
            let (tag, content, _) = signed.element()?;
            if tag == EXTENSIONS {
                extensions(content, &mut said)?;
            }
        }
        whole.is_empty().then_some(Self {
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            said,
        })
    }

    pub(super) fn leaf(self) -> Leaf {
        Leaf {
            names: self.said.names,
            addresses: self.said.addresses,
            not_before: self.not_before,
            not_after: self.not_after,
            serial: self.serial.to_vec(),
            authority_key: self.said.authority_key.map(<[u8]>::to_vec),
        }
    }
}

/// Of the content of a SubjectPublicKeyInfo.
fn key_kind(info: &[u8]) -> Option<KeyKind> {
    let mut info = Reader::new(info);
    let algorithm = Reader::new(info.content(SEQUENCE)?).content(OBJECT)?;
    if algorithm != RSA {
        return Some(KeyKind::Other);
    }
    let key = info.content(BIT_STRING)?.strip_prefix(&[0])?;
    let modulus = Reader::new(Reader::new(key).content(SEQUENCE)?).natural()?;
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    Some(KeyKind::Rsa { bits })
}

fn extensions<'a>(extensions: &'a [u8], said: &mut Said<'a>) -> Option<()> {
    let mut extensions = Reader::new(Reader::new(extensions).content(SEQUENCE)?);
    while !extensions.is_empty() {
        let mut extension = Reader::new(extensions.content(SEQUENCE)?);
        match extension.content(OBJECT)? {
            SUBJECT_ALT_NAME => {
                extension.optional(BOOLEAN);
                alternative_names(extension.content(OCTET_STRING)?, said)?;
            }
            // Whoever needs it does without one that cannot be read.
            AUTHORITY_KEY => said.authority_key = key_identifier(&mut extension),
            _ => {}
        }
    }
    Some(())
}

fn key_identifier<'a>(extension: &mut Reader<'a>) -> Option<&'a [u8]> {
    extension.optional(BOOLEAN);
    let fields = Reader::new(extension.content(OCTET_STRING)?).content(SEQUENCE)?;
    Reader::new(fields).optional(KEY_IDENTIFIER)
}

fn alternative_names(list: &[u8], said: &mut Said<'_>) -> Option<()> {
    let mut list = Reader::new(Reader::new(list).content(SEQUENCE)?);
    while !list.is_empty() {
        let (tag, content, _) = list.element()?;
        match (tag, content.len()) {
            (DNS_NAME, _) => said
                .names
                .push(str::from_utf8(content).ok()?.to_ascii_lowercase()),
            (IP_ADDRESS, 4) => said.addresses.push(<[u8; 4]>::try_from(content).ok()?.into()),
            (IP_ADDRESS, 16) => said.addresses.push(<[u8; 16]>::try_from(content).ok()?.into()),
            _ => {}
        }
    }
    Some(())
}
