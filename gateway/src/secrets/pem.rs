//! The blocks of PEM files (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Fault;

/// One block of a file.
pub struct Block<'a> {
    /// Where it begins, from 1.
    pub line: usize,
    /// Of what: "PUBLIC KEY".
    pub label: &'a str,
    base64: String,
}

impl Block<'_> {
    /// What is inside; `what` is that, for the problem if it cannot be read.
    pub fn der(&self, what: &str) -> Result<Vec<u8>, Fault> {
        // RFC 7468 §2 allows no headers in there; those of an encrypted key are told apart by whoever reads keys.
        STANDARD.decode(&self.base64).map_err(|_| {
            fault(
                self.line,
                &format!("the {what} is damaged: what is inside is not Base64"),
            )
        })
    }

    /// Whether it has headers of RFC 1421, as an encrypted key in its old form has.
    pub fn has_headers(&self) -> bool {
        self.base64.contains(':')
    }
}

/// All blocks. Text around them is explanation (RFC 7468 §2).
pub fn blocks(text: &str) -> Result<Vec<Block<'_>>, Fault> {
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

pub fn fault(line: usize, message: &str) -> Fault {
    Fault {
        line,
        message: message.to_owned(),
    }
}
