//! PEM files (RFC 7468) with one public key.

use super::{FILE_BYTES_MAX, Fault, Material, der};
use crate::secrets::pem::{Block, blocks, fault};

/// The key of a file that has one.
pub(super) fn read(file: &[u8]) -> Result<Material, Fault> {
    if file.len() > FILE_BYTES_MAX {
        return Err(fault(
            1,
            &format!("a file with a key has at most {FILE_BYTES_MAX} bytes"),
        ));
    }
    let text = str::from_utf8(file).map_err(|_| {
        fault(
            1,
            "this is no text: write the key as PEM, with `openssl pkey -pubin -inform DER`",
        )
    })?;
    let blocks = blocks(text)?;
    if let Some(block) = blocks.iter().find(|b| b.label.ends_with("PRIVATE KEY")) {
        return Err(fault(
            block.line,
            "this is a private key, and only the issuer of tokens should have it: write its public half to a file with `openssl pkey -pubout`, and name that",
        ));
    }
    match &blocks[..] {
        [] => Err(fault(
            1,
            "there is no key here: a line \"-----BEGIN PUBLIC KEY-----\" is missing",
        )),
        [block] => key(block),
        [_, second, ..] => Err(fault(
            second.line,
            "this is a second one, and which key counts is not clear: keep one, or write them as a JWK set and name it in jwks_file",
        )),
    }
}

fn key(block: &Block<'_>) -> Result<Material, Fault> {
    let read = match block.label {
        "PUBLIC KEY" => der::public_key,
        "RSA PUBLIC KEY" => der::rsa_public_key,
        "CERTIFICATE" => der::certificate,
        label => {
            let message =
                format!("{label:?} is not supported: use PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE");
            return Err(fault(block.line, &message));
        }
    };
    read(&block.der("key")?).map_err(|message| fault(block.line, &message))
}
