//! Keys for tests, and what signs with them. They were made for this and are used nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding};

use super::{TokenAlgorithm, TokenKey};

/// Long enough for HS512.
pub const SECRET: &[u8] = b"a secret of sixty-four bytes, which is what HS512 asks for, no less";

pub const RSA: &[u8] = include_bytes!("samples/rsa.public.pem");
pub const RSA_PKCS1: &[u8] = include_bytes!("samples/rsa.pkcs1.pem");
pub const RSA_1024: &[u8] = include_bytes!("samples/rsa_1024.public.pem");
pub const RSA_PRIVATE: &[u8] = include_bytes!("samples/rsa.private.pem");
pub const RSA_OTHER_PRIVATE: &[u8] = include_bytes!("samples/rsa_other.private.pem");
pub const P256: &[u8] = include_bytes!("samples/p256.public.pem");
pub const P256_CERTIFICATE: &[u8] = include_bytes!("samples/p256.certificate.pem");
const P256_PRIVATE: &[u8] = include_bytes!("samples/p256.private.pem");
pub const P384: &[u8] = include_bytes!("samples/p384.public.pem");
const P384_PRIVATE: &[u8] = include_bytes!("samples/p384.private.pem");
pub const P521: &[u8] = include_bytes!("samples/p521.public.pem");
pub const ED25519: &[u8] = include_bytes!("samples/ed25519.public.pem");
const ED25519_PRIVATE: &[u8] = include_bytes!("samples/ed25519.private.pem");

/// What is inside of a PEM file with one block.
pub fn der(pem: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(pem).unwrap();
    let inside: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(inside).unwrap()
}

/// The key that checks what [`sign`] makes.
pub fn public(algorithm: TokenAlgorithm) -> TokenKey {
    let pem = match algorithm {
        TokenAlgorithm::Hs256 | TokenAlgorithm::Hs384 | TokenAlgorithm::Hs512 => {
            return TokenKey::of_secret(SECRET).unwrap();
        }
        TokenAlgorithm::Ps256 | TokenAlgorithm::Rs256 | TokenAlgorithm::Rs384 | TokenAlgorithm::Rs512 => RSA,
        TokenAlgorithm::Es256 => P256,
        TokenAlgorithm::Es384 => P384,
        TokenAlgorithm::EdDsa => ED25519,
    };
    TokenKey::of_pem(pem).unwrap()
}

/// A signature by the sample key of that algorithm.
pub fn sign(algorithm: TokenAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        TokenAlgorithm::Hs256 => keyed(hmac::HMAC_SHA256, SECRET, message),
        TokenAlgorithm::Hs384 => keyed(hmac::HMAC_SHA384, SECRET, message),
        TokenAlgorithm::Hs512 => keyed(hmac::HMAC_SHA512, SECRET, message),
        TokenAlgorithm::Ps256 => rsa(RSA_PRIVATE, &signature::RSA_PSS_SHA256, message),
        TokenAlgorithm::Rs256 => rsa(RSA_PRIVATE, &signature::RSA_PKCS1_SHA256, message),
        TokenAlgorithm::Rs384 => rsa(RSA_PRIVATE, &signature::RSA_PKCS1_SHA384, message),
        TokenAlgorithm::Rs512 => rsa(RSA_PRIVATE, &signature::RSA_PKCS1_SHA512, message),
        TokenAlgorithm::Es256 => ecdsa(P256_PRIVATE, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, message),
        TokenAlgorithm::Es384 => ecdsa(P384_PRIVATE, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, message),
        TokenAlgorithm::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(ED25519_PRIVATE)).unwrap();
            pair.sign(message).as_ref().to_vec()
        }
    }
}

/// An HMAC with any key.
pub fn keyed(algorithm: hmac::Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret), message)
        .as_ref()
        .to_vec()
}

/// An RSA signature with any key.
pub fn rsa(private: &[u8], padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = rsa::KeyPair::from_pkcs8(&der(private)).unwrap();
    let mut out = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut out)
        .unwrap();
    out
}

/// An ECDSA signature in the ASN.1 form, which no token may have.
pub fn ecdsa_asn1(message: &[u8]) -> Vec<u8> {
    ecdsa(P256_PRIVATE, &signature::ECDSA_P256_SHA256_ASN1_SIGNING, message)
}

fn ecdsa(private: &[u8], algorithm: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der(private), &random).unwrap();
    pair.sign(&random, message).unwrap().as_ref().to_vec()
}
