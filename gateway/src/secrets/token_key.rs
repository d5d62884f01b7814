//! Keys that tokens are signed with (RFC 7517, RFC 7518): read strictly, compared, and never shown.

mod algorithm;
mod der;
pub mod json;
mod jwks;
mod pem;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::fmt;

use ring::digest;
use ring::hmac;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};

use super::Fault;

pub use algorithm::TokenAlgorithm;

/// Bytes of a file with one key or secret. The largest RSA key that is supported is written in less than 2 KiB;
/// a certificate may come with a page of explanation.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Bits of an RSA modulus: RFC 7518 §3.3 asks for "a key of size 2048 bits or larger".
const RSA_BITS_MIN: usize = 2048;

/// More is not verified by ring, and would take a worker's time.
const RSA_BITS_MAX: usize = 8192;

/// Bytes of an RSA exponent: ring takes 33 bits.
const RSA_EXPONENT_BYTES_MAX: usize = 5;

/// One key of an issuer: what signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// `kid`; None fits every token.
    pub id: Option<String>,
    /// `alg`: the only algorithm this key is for.
    bound: Option<TokenAlgorithm>,
    material: Material,
}

/// The key itself. Only [`Material::rsa`] and its like make one, so that it has the right size.
#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// At least as long as SHA-256's output.
    Secret(Vec<u8>),
    /// Both without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point: 4, x, y.
    P256(Vec<u8>),
    /// An uncompressed point: 4, x, y.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// What is wrong with one key. Becomes a [`Fault`] where its line is known.
type Reason = String;

impl TokenKey {
    /// The secret of a file, for HMAC. One line end behind it is not part of it.
    ///
    /// # Errors
    /// It is shorter than 32 bytes, too long to be one, or a PEM file.
    pub fn of_secret(file: &[u8]) -> Result<Self, Fault> {
        let line = 1;
        if file.len() > FILE_BYTES_MAX {
            let message = format!("a secret has at most {FILE_BYTES_MAX} bytes");
            return Err(Fault { line, message });
        }
        let secret = file.strip_suffix(b"\n").unwrap_or(file);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        if secret.starts_with(b"-----BEGIN ") {
            // A public key taken for a secret would let everybody sign who has read it.
            let message = "this is a PEM file, not a secret: name it in public_key_file";
            return Err(Fault {
                line,
                message: message.to_owned(),
            });
        }
        let material = Material::secret(secret).map_err(|message| Fault { line, message })?;
        Ok(Self::nameless(material))
    }

    /// The one public key of a PEM file: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`.
    ///
    /// A certificate is read for its key alone: neither its dates nor who has signed it are looked at.
    ///
    /// # Errors
    /// There is not exactly one, it is a private key, or it is of a kind or size that no token may be signed with.
    pub fn of_pem(file: &[u8]) -> Result<Self, Fault> {
        pem::read(file).map(Self::nameless)
    }

    /// The usable keys of a JWK set, in its order: RSA, P-256, P-384, Ed25519 and secrets.
    ///
    /// Keys that are for something else, or of a kind that is not known, are passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// It is no JWK set, it is larger than 1 MiB, has more than 256 keys, or none of them can be used.
    pub fn jwks(text: &str) -> Result<Vec<Self>, Fault> {
        jwks::read(text)
    }

    /// Whether this key may check signatures of that algorithm.
    pub fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        self.bound.is_none_or(|bound| bound == algorithm) && self.material.fits(algorithm)
    }

    /// Whether this is the signature of the message by this key and that algorithm. Never, if they do not fit.
    pub fn verifies(&self, algorithm: TokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let by = |algorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .is_ok()
        };
        match &self.material {
            Material::Secret(secret) => digest_of(algorithm)
                .is_some_and(|of| hmac::verify(&hmac::Key::new(of, secret), message, signature).is_ok()),
            Material::Rsa { n, e } => rsa_of(algorithm).is_some_and(|of| {
                RsaPublicKeyComponents { n, e }
                    .verify(of, message, signature)
                    .is_ok()
            }),
            // RFC 7518 §3.4: a signature is R and S in as many bytes as the curve's order has; not the ASN.1 form.
            Material::P256(point) => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => by(&signature::ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(point) => by(&signature::ED25519, point),
        }
    }

    /// A digest of everything in the keys, in their order: the same for equal lists only.
    pub fn digest(keys: &[Self]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for key in keys {
            key.feed(&mut |bytes| {
                context.update(&(bytes.len() as u64).to_le_bytes());
                context.update(bytes);
            });
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    fn nameless(material: Material) -> Self {
        Self {
            id: None,
            bound: None,
            material,
        }
    }

    /// Gives away its parts, the same number of them for every key of a kind.
    fn feed(&self, sink: &mut dyn FnMut(&[u8])) {
        sink(&[u8::from(self.id.is_some())]);
        sink(self.id.as_deref().unwrap_or_default().as_bytes());
        sink(self.bound.map_or("", TokenAlgorithm::jose_name).as_bytes());
        sink(self.material.kind().as_bytes());
        match &self.material {
            Material::Rsa { n, e } => {
                sink(n);
                sink(e);
            }
            Material::Secret(bytes)
            | Material::P256(bytes)
            | Material::P384(bytes)
            | Material::Ed25519(bytes) => {
                sink(bytes);
            }
        }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("id", &self.id)
            .field("bound", &self.bound)
            .field("kind", &self.material.kind())
            .finish_non_exhaustive()
    }
}

impl Material {
    fn secret(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.len() < digest::SHA256_OUTPUT_LEN {
            // RFC 7518 §3.2: "A key of the same size as the hash output … or larger MUST be used".
            return Err(format!(
                "the secret has {} bytes, and HS256 needs 32 (RFC 7518 §3.2): make one with `openssl rand -base64 48`",
                bytes.len()
            ));
        }
        Ok(Self::Secret(bytes.to_vec()))
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Reason> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let bits = n
            .first()
            .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if bits < RSA_BITS_MIN {
            return Err(format!(
                "the RSA key has {bits} bits, and at least {RSA_BITS_MIN} are needed (RFC 7518 §3.3): make a longer one"
            ));
        }
        if bits > RSA_BITS_MAX {
            return Err(format!(
                "the RSA key has {bits} bits, and at most {RSA_BITS_MAX} are supported"
            ));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        // With an exponent of 1 a signature is the padded digest itself: everybody could write it.
        let is_exponent =
            is_odd(e) && e != [1] && e.len() <= RSA_EXPONENT_BYTES_MAX && (e.len() < 5 || e[0] == 1);
        if !is_odd(n) || !is_exponent {
            return Err("these are not the numbers of an RSA key".to_owned());
        }
        Ok(Self::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    /// From an uncompressed point (SEC 1 §2.3.3). Whether it is on the curve is for ring to see, with each signature.
    fn p256(point: &[u8]) -> Result<Self, Reason> {
        is_point(point, 32)
            .then(|| Self::P256(point.to_vec()))
            .ok_or_else(|| not_a_point("P-256"))
    }

    /// As [`Material::p256`].
    fn p384(point: &[u8]) -> Result<Self, Reason> {
        is_point(point, 48)
            .then(|| Self::P384(point.to_vec()))
            .ok_or_else(|| not_a_point("P-384"))
    }

    fn ed25519(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.len() != signature::ED25519_PUBLIC_KEY_LEN {
            return Err(format!("an Ed25519 key has 32 bytes, not {}", bytes.len()));
        }
        Ok(Self::Ed25519(bytes.to_vec()))
    }

    fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        match algorithm {
            TokenAlgorithm::Hs256 => self.is_secret_of(digest::SHA256_OUTPUT_LEN),
            TokenAlgorithm::Hs384 => self.is_secret_of(digest::SHA384_OUTPUT_LEN),
            TokenAlgorithm::Hs512 => self.is_secret_of(digest::SHA512_OUTPUT_LEN),
            TokenAlgorithm::Ps256 | TokenAlgorithm::Rs256 | TokenAlgorithm::Rs384 | TokenAlgorithm::Rs512 => {
                matches!(self, Self::Rsa { .. })
            }
            TokenAlgorithm::Es256 => matches!(self, Self::P256(_)),
            TokenAlgorithm::Es384 => matches!(self, Self::P384(_)),
            TokenAlgorithm::EdDsa => matches!(self, Self::Ed25519(_)),
        }
    }

    /// RFC 7518 §3.2 asks for a secret as long as the digest, of each of the three.
    fn is_secret_of(&self, bytes: usize) -> bool {
        matches!(self, Self::Secret(secret) if secret.len() >= bytes)
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Rsa { .. } => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
        }
    }
}

fn digest_of(algorithm: TokenAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        TokenAlgorithm::Hs256 => Some(hmac::HMAC_SHA256),
        TokenAlgorithm::Hs384 => Some(hmac::HMAC_SHA384),
        TokenAlgorithm::Hs512 => Some(hmac::HMAC_SHA512),
        TokenAlgorithm::EdDsa
        | TokenAlgorithm::Es256
        | TokenAlgorithm::Es384
        | TokenAlgorithm::Ps256
        | TokenAlgorithm::Rs256
        | TokenAlgorithm::Rs384
        | TokenAlgorithm::Rs512 => None,
    }
}

fn rsa_of(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        TokenAlgorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        TokenAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        TokenAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        TokenAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        TokenAlgorithm::EdDsa
        | TokenAlgorithm::Es256
        | TokenAlgorithm::Es384
        | TokenAlgorithm::Hs256
        | TokenAlgorithm::Hs384
        | TokenAlgorithm::Hs512 => None,
    }
}

fn is_point(bytes: &[u8], coordinate: usize) -> bool {
    bytes.len() == 1 + 2 * coordinate && bytes[0] == 4
}

fn not_a_point(curve: &str) -> Reason {
    format!("this is not an uncompressed point of {curve}")
}

/// A number in big-endian bytes, as ring wants it: some issuers write a zero in front.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
