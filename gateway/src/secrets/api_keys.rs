//! API keys: whose they are, by the digest of each.

use std::fmt;

use ring::digest;

use super::Fault;
use super::compare::is_same;
use super::lines;

/// Bytes of a file: as many keys as may be in it fit.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Keys of a file.
pub const KEYS_MAX: usize = 100_000;

/// Bytes of a key, at least. What is shorter can be found by trying.
pub const KEY_BYTES_MIN: usize = 16;

/// Bytes of a key, at most: it has to fit in a field of a request.
pub const KEY_BYTES_MAX: usize = 1024;

/// Bytes of an owner's name, which goes to origins in a field.
pub const NAME_BYTES_MAX: usize = 255;

type Digest = [u8; 32];

/// The keys of a file.
///
/// Keys themselves are not kept. An owner may have several of them, as while one replaces another.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeys {
    /// SHA-256 of a key and the name of its owner, sorted.
    keys: Vec<(Digest, String)>,
}

impl ApiKeys {
    /// Reads a file: lines `name:KEY` or `name:sha256:HEX`, empty lines, and comments that begin with `#`.
    ///
    /// Refused: a key of less than [`KEY_BYTES_MIN`] or more than [`KEY_BYTES_MAX`] bytes or with anything but visible
    /// ASCII in it, the same key twice, more than [`FILE_BYTES_MAX`] or [`KEYS_MAX`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut found = Vec::new();
        for (number, line) in lines::numbered(text, FILE_BYTES_MAX)? {
            let fault = |message| Fault {
                line: number,
                message,
            };
            let (name, digest) = parse_line(line).map_err(fault)?;
            if found.len() == KEYS_MAX {
                return Err(fault(format!("more than {KEYS_MAX} keys")));
            }
            found.push((digest, number, name.to_owned()));
        }
        found.sort_unstable();
        check_twice(&found)?;
        let keys = found.into_iter().map(|(digest, _, name)| (digest, name));
        Ok(Self { keys: keys.collect() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whose key it is.
    ///
    /// How long it takes tells nothing of use. The search compares digests, and its time depends on how far that of the
    /// presented bytes agrees with one in the list. Whoever presents bytes knows their digest but cannot choose it:
    /// to make one that agrees in another bit takes twice the tries, and to agree in all of them is to have
    /// the key. That it is the same digest is then found out in constant time.
    pub fn owner(&self, presented: &[u8]) -> Option<&str> {
        let digest = sha256(presented);
        let at = self.keys.partition_point(|(known, _)| *known < digest);
        let (known, name) = self.keys.get(at)?;
        is_same(known, &digest).then_some(name)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Sorted by digest and line, so that of two equal keys the later line comes second.
fn check_twice(found: &[(Digest, usize, String)]) -> Result<(), Fault> {
    let pairs = found.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    match pairs.min_by_key(|pair| pair[1].1) {
        None => Ok(()),
        Some(pair) => Err(Fault {
            line: pair[1].1,
            message: format!(
                "this key stands in line {} already: a key has one owner",
                pair[0].1
            ),
        }),
    }
}

fn parse_line(line: &str) -> Result<(&str, Digest), String> {
    const FORM: &str = "a line is `name:KEY` or `name:sha256:HEX`";
    let (name, key) = line.split_once(':').ok_or(FORM)?;
    let (name, key) = (name.trim(), key.trim());
    if name.is_empty() {
        return Err(format!("there is no name before the colon; {FORM}"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("the name is longer than {NAME_BYTES_MAX} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("there is a control character in the name".to_owned());
    }
    let digest = match key.strip_prefix("sha256:") {
        Some(hex) => parse_hex(hex).ok_or("behind `sha256:` stand 64 hexadecimal digits")?,
        None => check_key(key).map(|()| sha256(key.as_bytes()))?,
    };
    Ok((name, digest))
}

fn check_key(key: &str) -> Result<(), String> {
    if key.len() < KEY_BYTES_MIN {
        return Err(format!(
            "a key has at least {KEY_BYTES_MIN} bytes, or it could be found by trying; make one with `openssl rand -hex 24`"
        ));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(format!("a key has at most {KEY_BYTES_MAX} bytes"));
    }
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "a key is made of visible ASCII without spaces, as it has to stand in a field".to_owned(),
        );
    }
    Ok(())
}

fn parse_hex(text: &str) -> Option<Digest> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0))
        .collect();
    (text.len() == 64).then_some(bytes)?.try_into().ok()
}

fn sha256(bytes: &[u8]) -> Digest {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
