//! Who has shown the right password a moment ago, so that it need not be hashed for each request.

use std::fmt;
use std::time::Duration;

use quick_cache::sync::Cache;
use ring::hmac;

use crate::kit::clock::Mono;
use crate::secrets::Users;

/// Logins remembered at once. What does not fit is hashed again.
pub const SUCCESSES_MAX: usize = 10_000;

/// How long a login is remembered. It begins with the check, not with the last use: a password that was changed where the
/// gateway does not see it is out of use after that.
pub const SUCCESS_LIFETIME: Duration = Duration::from_secs(60);

/// One name with one password for one `[auth.NAME]`, as nobody can read it.
///
/// It is made with the users' fingerprint, so that no login outlives the file that allowed it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Login([u8; 32]);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// The logins of the last minute. One for the process; failures are not in it.
///
/// Passwords are not kept: a login is an HMAC with a key that only this process has.
pub struct Successes {
    key: hmac::Key,
    since: Cache<Login, Mono>,
}

impl fmt::Debug for Successes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successes")
            .field("count", &self.since.len())
            .finish_non_exhaustive()
    }
}

impl Successes {
    /// Remembers nobody yet. The secret must be random, and of this process only.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            since: Cache::new(SUCCESSES_MAX),
        }
    }

    /// What a login is found again by. Costs two hashes of SHA-256; `auth` is the NAME of `[auth.NAME]`.
    pub fn login(&self, auth: &str, users: &Users, name: &str, password: &str) -> Login {
        Login(mac(
            &self.key,
            &[
                auth.as_bytes(),
                users.fingerprint(),
                name.as_bytes(),
                password.as_bytes(),
            ],
        ))
    }

    /// Whether this login was right less than [`SUCCESS_LIFETIME`] ago.
    pub fn holds(&self, login: &Login, now: Mono) -> bool {
        let is_fresh = |since: &Mono| now.since(*since) < SUCCESS_LIFETIME;
        match self.since.get(login) {
            None => false,
            Some(since) if is_fresh(&since) => true,
            Some(_) => {
                // Unless somebody has just noted it anew.
                self.since.remove_if(login, |since| !is_fresh(since));
                false
            }
        }
    }

    /// The same, and nothing is forgotten.
    pub fn peek(&self, login: &Login, now: Mono) -> bool {
        let since = self.since.peek(login);
        since.is_some_and(|since| now.since(since) < SUCCESS_LIFETIME)
    }

    /// Remembers that this login was found right at that moment.
    pub fn note(&self, login: Login, now: Mono) {
        self.since.insert(login, now);
    }

    /// How many are remembered, those among them that are too old.
    pub fn count(&self) -> usize {
        self.since.len()
    }
}

/// An HMAC over parts, each with its length before it, so that no two lists of parts are one text.
pub(super) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let tag = context.sign();
    tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}
