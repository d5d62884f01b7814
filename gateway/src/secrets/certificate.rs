//! Certificates and their keys: who we are, and whom we believe (RFC 5280). Read strictly, compared by content.

mod fields;
mod staple;
mod subject;
#[cfg(test)]
mod tests;
mod time;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::digest;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};

use super::Fault;
use super::pem::{Block, blocks, fault};
use fields::Fields;

pub use fields::Leaf;
pub use staple::Staple;
pub use subject::subject;

/// Bytes of a file with certificates. The stores of systems have about 250 KiB.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Certificates of one chain. The longest that are in use have four.
const CHAIN_MAX: usize = 16;

/// Authorities of one file. The stores of systems have less than two hundred.
const AUTHORITIES_MAX: usize = 1_000;

/// A certificate and those that lead from it to an authority. The first one is for the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    /// Of the first one that did not sign the one before it, its place from 1.
    stray: Option<usize>,
}

/// A private key as it was read.
pub struct PrivateKey {
    der: PrivateKeyDer<'static>,
    /// Where it begins in its file, from 1.
    line: usize,
}

/// Who we are: a chain and its key, which fit. Equal if both are.
#[derive(Clone)]
pub struct Identity {
    chain: Chain,
    /// What is compared; never shown.
    key: Arc<PrivateKeyDer<'static>>,
    signing: Arc<dyn SigningKey>,
}

/// Whom we believe. Equal if the same certificates come in the same order.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Chain {
    /// The certificates of a PEM file, the first one for the key. Keys beside them are passed over.
    ///
    /// # Errors
    /// There is none, one cannot be read, or the first is for a key that cannot be used: RSA below 2048 bits among them.
    pub fn parse(file: &[u8]) -> Result<Self, Fault> {
        let text = text(file)?;
        let blocks = blocks(text)?;
        let listed = certificates(&blocks)?;
        let [(line, first), others @ ..] = &listed[..] else {
            return Err(without_certificates(&blocks));
        };
        if listed.len() > CHAIN_MAX {
            let message =
                format!("a chain has at most {CHAIN_MAX} certificates; this is a list of authorities");
            return Err(fault(*line, &message));
        }
        let told = |message: String| fault(*line, &message);
        let fields = Fields::read(first).ok_or_else(|| damaged(*line))?;
        fields.key.check().map_err(told)?;
        ParsedCertificate::try_from(first)
            .map_err(|e| told(format!("this certificate cannot be used: {e}")))?;
        let mut stray = None;
        let mut below = fields.clone();
        for (at, (line, der)) in others.iter().enumerate() {
            let next = Fields::read(der).ok_or_else(|| damaged(*line))?;
            if next.subject != below.issuer {
                stray.get_or_insert(at + 2);
            }
            below = next;
        }
        let leaf = fields.leaf();
        let certificates = listed.into_iter().map(|(_, der)| der).collect();
        Ok(Self {
            certificates,
            leaf,
            stray,
        })
    }

    /// What the first certificate says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The place, from 1, of the first certificate that did not sign the one before it: clients will not find the way.
    pub fn stray(&self) -> Option<usize> {
        self.stray
    }
}

impl PrivateKey {
    /// The one private key of a PEM file: PKCS #8, PKCS #1 or SEC 1. Certificates beside it are passed over.
    ///
    /// # Errors
    /// There is not exactly one, or it is encrypted.
    pub fn parse(file: &[u8]) -> Result<Self, Fault> {
        let text = text(file)?;
        let blocks = blocks(text)?;
        let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        let Some(block) = keys.next() else {
            let message = "there is no key here: a line \"-----BEGIN PRIVATE KEY-----\" is missing";
            return Err(fault(blocks.first().map_or(1, |b| b.line), message));
        };
        if let Some(second) = keys.next() {
            return Err(fault(
                second.line,
                "this is a second key, and which one counts is not clear: keep one",
            ));
        }
        let line = block.line;
        if block.label.starts_with("ENCRYPTED") || block.has_headers() {
            let message = "the key is encrypted, and there is nobody to ask for the password: write it in plain with \
                           `openssl pkey -in FILE -out NEW`, readable by the gateway alone";
            return Err(fault(line, message));
        }
        let der = block.der("key")?;
        let der = match block.label {
            "PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
            "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
            "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
            label => {
                let message =
                    format!("{label:?} is not supported: convert it with `openssl pkey -in FILE -out NEW`");
                return Err(fault(line, &message));
            }
        };
        Ok(Self { der, line })
    }
}

impl Identity {
    /// A chain and its key.
    ///
    /// # Errors
    /// The key cannot be used, or is for another certificate. The line is one of the key's file.
    pub fn new(chain: Chain, key: PrivateKey) -> Result<Self, Fault> {
        let line = key.line;
        let provider = provider();
        let signing = provider.key_provider.load_private_key(key.der.clone_key()).map_err(|_| {
            let message = "the key cannot be used: it is damaged, or neither RSA of 2048 to 4096 bits, P-256, P-384 nor \
                           Ed25519";
            fault(line, message)
        })?;
        match place_of_key(&chain, &*signing) {
            Some(0) => {}
            Some(at) => {
                let message = format!(
                    "this key is for certificate {} of the chain, and must be for the first: our own comes first, then \
                     the one that has signed it",
                    at + 1
                );
                return Err(fault(line, &message));
            }
            None => {
                let message = "this key is for another certificate: both files must be from the same order";
                return Err(fault(line, message));
            }
        }
        Ok(Self {
            chain,
            key: Arc::new(key.der),
            signing,
        })
    }

    /// The certificates, and what the first one says.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What a server or client of TLS needs, with a staple or without.
    pub fn certified(&self, staple: Option<&Staple>) -> CertifiedKey {
        let mut certified = CertifiedKey::new(self.chain.certificates.clone(), Arc::clone(&self.signing));
        certified.ocsp = staple.map(|staple| staple.der().to_vec());
        certified
    }
}

impl Authorities {
    /// The certificates of a PEM file. What else stands in it is passed over.
    ///
    /// # Errors
    /// There is none, there are too many, or one of them cannot be an authority.
    pub fn parse(file: &[u8]) -> Result<Self, Fault> {
        let text = text(file)?;
        let blocks = blocks(text)?;
        let listed = certificates(&blocks)?;
        if listed.is_empty() {
            return Err(without_certificates(&blocks));
        }
        if let Some((line, _)) = listed.get(AUTHORITIES_MAX) {
            return Err(fault(
                *line,
                &format!("there are more than {AUTHORITIES_MAX} certificates"),
            ));
        }
        let mut store = RootCertStore::empty();
        for (line, der) in &listed {
            store
                .add(der.clone())
                .map_err(|e| fault(*line, &format!("this certificate cannot be an authority: {e}")))?;
        }
        Ok(Self(listed.into_iter().map(|(_, der)| der).collect()))
    }

    /// As a verifier takes them.
    pub fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        // Each of them could be added when the file was read.
        store.add_parsable_certificates(self.0.iter().cloned());
        store
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The same for equal lists only.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for certificate in &self.0 {
            context.update(&(certificate.len() as u64).to_le_bytes());
            context.update(certificate);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("leaf", &self.chain.leaf)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// The cryptography of all TLS here. Given and not taken from the process, where whoever comes first may set another one.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// When a certificate in DER ends to hold, since the Unix epoch; None if it is none.
pub fn not_after(certificate: &[u8]) -> Option<Duration> {
    Some(Fields::read(certificate)?.leaf().not_after)
}

/// Which certificate of a chain a key is for, from 0.
fn place_of_key(chain: &Chain, key: &dyn SigningKey) -> Option<usize> {
    let of_key = key.public_key()?;
    chain.certificates.iter().position(|certificate| {
        ParsedCertificate::try_from(certificate)
            .is_ok_and(|parsed| parsed.subject_public_key_info() == of_key)
    })
}

fn text(file: &[u8]) -> Result<&str, Fault> {
    if file.len() > FILE_BYTES_MAX {
        return Err(fault(
            1,
            &format!("a file of certificates has at most {FILE_BYTES_MAX} bytes"),
        ));
    }
    str::from_utf8(file).map_err(|_| {
        fault(
            1,
            "this is no text: convert it to PEM, with `openssl x509 -inform DER` for a certificate",
        )
    })
}

/// All certificates of a file, each with the line it begins in.
fn certificates(blocks: &[Block<'_>]) -> Result<Vec<(usize, CertificateDer<'static>)>, Fault> {
    let mut found = Vec::new();
    for block in blocks {
        match block.label {
            // RFC 7468 §5.3 has parsers accept the two others for the one that is written.
            "CERTIFICATE" | "X509 CERTIFICATE" | "X.509 CERTIFICATE" => {
                found.push((block.line, block.der("certificate")?.into()));
            }
            "TRUSTED CERTIFICATE" => {
                let message =
                    "a TRUSTED CERTIFICATE is a form of OpenSSL alone: convert it with `openssl x509`";
                return Err(fault(block.line, message));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn without_certificates(blocks: &[Block<'_>]) -> Fault {
    let message = match blocks.first() {
        Some(block) => format!("there is no certificate here, but a {}", block.label),
        None => "there is no certificate here: a line \"-----BEGIN CERTIFICATE-----\" is missing".to_owned(),
    };
    fault(blocks.first().map_or(1, |b| b.line), &message)
}

fn damaged(line: usize) -> Fault {
    fault(
        line,
        "the certificate is damaged: what is inside is not the DER of one",
    )
}
