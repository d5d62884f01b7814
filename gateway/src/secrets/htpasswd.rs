//! htpasswd files: users and what their passwords are hashed to.

mod apr1;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::Fault;
use super::compare::is_same;
use super::lines;

/// Bytes of a file: 10,000 users with long names fit.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Users of a file. Whoever has more has a directory, and asks it by `forward`.
pub const USERS_MAX: usize = 10_000;

/// Bytes of a user's name, as Apache's tools limit it.
pub const NAME_BYTES_MAX: usize = 255;

/// Highest cost of a bcrypt hash. Each step doubles the work, and at 14 one login takes about a second of a core.
pub const BCRYPT_COST_MAX: u32 = 14;

/// Lowest cost that bcrypt knows.
pub const BCRYPT_COST_MIN: u32 = 4;

/// The users of a file.
///
/// A name is in it once. Equal files are equal, whatever the order of their lines.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users {
    hashes: BTreeMap<String, Hash>,
    /// What a stranger's password is held against: a hash of the kind most users have.
    decoy: Option<Hash>,
    fingerprint: [u8; 32],
}

/// What a password must hash to.
#[derive(Clone, PartialEq, Eq)]
enum Hash {
    /// As written; its form was checked.
    Bcrypt { cost: u32, written: String },
    /// Salt and digest as written.
    Apr1 { salt: String, digest: String },
    /// SHA-1, without salt.
    Sha1([u8; 20]),
}

/// How a password is hashed; in the order of what it costs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sha1,
    Apr1,
    Bcrypt(u32),
}

impl Users {
    /// Reads a file: lines `name:hash`, empty lines, and comments that begin with `#`.
    ///
    /// A hash is bcrypt's (`$2y$`, `$2b$`, `$2a$`; cost 4 to 14), Apache's MD5 (`$apr1$`) or `{SHA}`. What stands behind
    /// a second colon is a comment. Refused: any other hash, a name twice, more than [`FILE_BYTES_MAX`] or [`USERS_MAX`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut hashes = BTreeMap::new();
        for (number, line) in lines::numbered(text, FILE_BYTES_MAX)? {
            let fault = |message| Fault {
                line: number,
                message,
            };
            let (name, hash) = parse_line(line).map_err(fault)?;
            if hashes.len() == USERS_MAX {
                return Err(fault(format!(
                    "more than {USERS_MAX} users; ask a directory by `forward`"
                )));
            }
            match hashes.entry(name.to_owned()) {
                Entry::Vacant(free) => _ = free.insert(hash),
                Entry::Occupied(_) => {
                    return Err(fault(format!(
                        "{name:?} stands here a second time: delete one of the lines"
                    )));
                }
            }
        }
        Ok(Self {
            decoy: decoy(&hashes),
            fingerprint: fingerprint(&hashes),
            hashes,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// A digest of all names and hashes: whatever was learnt from users with another one holds no more.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether the user is known by that password. Slow on purpose: up to a second of a core.
    ///
    /// A name that is not in the file costs as much as one with the hash that most users have, so that names cannot
    /// be found out by the clock. In a file of mixed hashes those of another kind can be told apart.
    pub fn check(&self, name: &str, password: &str) -> bool {
        match (self.hashes.get(name), &self.decoy) {
            (Some(hash), _) => hash.fits(password),
            (None, Some(decoy)) => {
                // The work counts, not its result: it may even fit, being somebody's.
                std::hint::black_box(decoy.fits(password));
                false
            }
            (None, None) => false,
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Hash {
    fn fits(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt { written, .. } => bcrypt::verify(password, written).unwrap_or(false),
            Self::Apr1 { salt, digest } => is_same(
                &apr1::hash(password.as_bytes(), salt.as_bytes()),
                digest.as_bytes(),
            ),
            Self::Sha1(digest) => {
                let made = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
                is_same(made.as_ref(), digest)
            }
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Bcrypt { cost, .. } => Kind::Bcrypt(*cost),
            Self::Apr1 { .. } => Kind::Apr1,
            Self::Sha1(_) => Kind::Sha1,
        }
    }

    /// One text for each hash, for the fingerprint.
    fn written(&self) -> String {
        match self {
            Self::Bcrypt { written, .. } => written.clone(),
            Self::Apr1 { salt, digest } => format!("$apr1${salt}${digest}"),
            Self::Sha1(digest) => format!("{{SHA}}{}", STANDARD.encode(digest)),
        }
    }
}

fn parse_line(line: &str) -> Result<(&str, Hash), String> {
    const FORM: &str = "a line is `name:hash`, as `htpasswd -B` writes it";
    let (name, rest) = line.split_once(':').ok_or(FORM)?;
    if name.is_empty() {
        return Err("there is no name before the colon; a line is `name:hash`".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("the name is longer than {NAME_BYTES_MAX} bytes"));
    }
    // An origin that is told the name in a field reads it without them, and takes it for another user.
    if name.trim() != name {
        return Err("there is white space around the name: take it out".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Err("there is a control character in the name".to_owned());
    }
    let hash = rest.split(':').next().unwrap_or(rest);
    parse_hash(hash).map(|hash| (name, hash))
}

fn parse_hash(text: &str) -> Result<Hash, String> {
    if let Some(inside) = text.strip_prefix("$apr1$") {
        return parse_apr1(inside);
    }
    if let Some(inside) = text.strip_prefix("{SHA}") {
        return parse_sha1(inside);
    }
    if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return parse_bcrypt(text);
    }
    let what = match text {
        "" => "there is no hash",
        _ if text.starts_with("$2x$") => "`$2x$` marks hashes of a bcrypt that had an error",
        _ if text.starts_with("$5$") => "SHA-256 crypt (`$5$`) is not known here",
        _ if text.starts_with("$6$") => "SHA-512 crypt (`$6$`) is not known here",
        _ if text.starts_with('$') || text.starts_with('{') => "this kind of hash is not known here",
        _ if is_des(text) => "this is a DES hash, which can be broken in hours, or a password in plain text",
        _ => "this is no hash: a password in plain text is not taken",
    };
    Err(format!("{what}; write the line with `htpasswd -B FILE NAME`"))
}

/// 13 letters of crypt's alphabet.
fn is_des(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(is_crypt_letter)
}

fn is_crypt_letter(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'.' || b == b'/'
}

fn parse_bcrypt(text: &str) -> Result<Hash, String> {
    const CUT: &str = "this bcrypt hash is damaged: it must have 60 letters; write the line anew with `htpasswd -B FILE NAME`";
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| CUT)?;
    let cost = parts.get_cost();
    // The crate reads the cost as any number is read, with a sign too.
    if !text.as_bytes()[4..6].iter().all(u8::is_ascii_digit) {
        return Err(CUT.to_owned());
    }
    if cost > BCRYPT_COST_MAX {
        return Err(format!(
            "a bcrypt cost of {cost} is more than {BCRYPT_COST_MAX}: one login would take seconds of a core; \
             write the line with `htpasswd -B -C 12 FILE NAME`"
        ));
    }
    if cost < BCRYPT_COST_MIN {
        return Err(format!(
            "bcrypt has no cost below {BCRYPT_COST_MIN}, and this says {cost}"
        ));
    }
    Ok(Hash::Bcrypt {
        cost,
        written: text.to_owned(),
    })
}

fn parse_apr1(inside: &str) -> Result<Hash, String> {
    let (salt, digest) = inside.split_once('$').unwrap_or((inside, ""));
    let is_salt =
        !salt.is_empty() && salt.len() <= apr1::SALT_BYTES_MAX && salt.bytes().all(|b| b.is_ascii_graphic());
    if !is_salt || digest.len() != apr1::DIGEST_BYTES || !digest.bytes().all(is_crypt_letter) {
        return Err(
            "this `$apr1$` hash is damaged; write the line anew with `htpasswd -B FILE NAME`".to_owned(),
        );
    }
    Ok(Hash::Apr1 {
        salt: salt.to_owned(),
        digest: digest.to_owned(),
    })
}

fn parse_sha1(inside: &str) -> Result<Hash, String> {
    let bytes = STANDARD.decode(inside).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map(Hash::Sha1)
        .ok_or_else(|| {
            "this `{SHA}` hash is damaged; write the line anew with `htpasswd -B FILE NAME`".to_owned()
        })
}

/// A hash of the commonest kind; of two equally common ones, of that which costs more.
fn decoy(hashes: &BTreeMap<String, Hash>) -> Option<Hash> {
    let mut counts: BTreeMap<Kind, (usize, &Hash)> = BTreeMap::new();
    for hash in hashes.values() {
        counts.entry(hash.kind()).or_insert((0, hash)).0 += 1;
    }
    let commonest = counts
        .into_iter()
        .max_by_key(|(kind, (count, _))| (*count, *kind));
    commonest.map(|(_, (_, hash))| hash.clone())
}

fn fingerprint(hashes: &BTreeMap<String, Hash>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, hash) in hashes {
        // Neither holds a colon or a line's end, so that no other users give the same text.
        context.update(format!("{name}:{}\n", hash.written()).as_bytes());
    }
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
