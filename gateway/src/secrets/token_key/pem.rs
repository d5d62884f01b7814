//! PEM files (RFC 7468) with one public key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{FILE_BYTES_MAX, Fault, Material, der};

/// One block of a file.
struct Block<'a> {
    /// Where it begins, from 1.
    line: usize,
    label: &'a str,
    base64: String,
}

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
    let der = STANDARD
        .decode(&block.base64)
        .map_err(|_| fault(block.line, "the key is damaged: what is inside is not Base64"))?;
    read(&der).map_err(|message| fault(block.line, &message))
}

/// All blocks. Text around them is explanation (RFC 7468 §2).
fn blocks(text: &str) -> Result<Vec<Block<'_>>, Fault> {
    let mut found = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (line, text) in text
        .lines()
        .enumerate()
        .map(|(at, text)| (at + 1, text.trim_end()))
    {
        if let Some(label) = between(text, "-----BEGIN ") {
            if let Some(block) = open {
                return Err(unended(&block));
            }
            open = Some(Block {
                line,
                label,
                base64: String::new(),
            });
        } else if let Some(label) = between(text, "-----END ") {
            match open.take() {
                Some(block) if block.label == label => found.push(block),
                _ => return Err(fault(line, "this end has no beginning")),
            }
        } else if let Some(block) = &mut open {
            block.base64.push_str(text.trim_start());
        }
    }
    match open {
        Some(block) => Err(unended(&block)),
        None => Ok(found),
    }
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn unended(block: &Block<'_>) -> Fault {
    fault(
        block.line,
        &format!(
            "the line \"-----END {}-----\" is missing: the file is cut short",
            block.label
        ),
    )
}

fn fault(line: usize, message: &str) -> Fault {
    Fault {
        line,
        message: message.to_owned(),
    }
}
