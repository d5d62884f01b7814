//! Passwords: argon2id hashes, never more at a time than the machine can bear.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// What one hash costs whoever makes it: us once per login, a thief once per guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory that is filled, in KiB.
    pub memory_kib: u32,
    /// How often it is filled.
    pub passes: u32,
}

impl Cost {
    /// What OWASP's password storage cheat sheet asks for at least with one lane.
    pub const STANDARD: Cost = Cost {
        memory_kib: 19 * 1024,
        passes: 2,
    };
}

/// Hashes and checks passwords.
pub struct Vault {
    hasher: Argon2<'static>,
    /// The hash of a password that nobody knows: whoever logs in under an unknown name is checked against it.
    decoy: String,
    /// Hashes that run. Each takes a core and `memory_kib`.
    running: Arc<Semaphore>,
    /// Hashes that run or wait.
    waiting: Arc<Semaphore>,
}

/// Why there is no hash.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// Too many others wait for theirs.
    Busy,
    /// This program or the machine is at fault; the text is for us.
    Broken(String),
}

/// Logins that may wait, at some fifty milliseconds each: more would wait longer than anybody stays.
const WAITING_MAX: usize = 64;
/// As RFC 9106, section 3.1, recommends.
const SALT_BYTES: usize = 16;

impl Vault {
    /// A vault whose new hashes cost that much; existing ones are checked at the cost they were made with. Blocks.
    pub fn new(cost: Cost) -> Result<Vault, Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(broken)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let unknown: [u8; 32] = random()?;
        Ok(Vault {
            decoy: hash(&hasher, &unknown)?,
            hasher,
            running: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get))),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        })
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        let hasher = self.hasher.clone();
        self.run(move || hash(&hasher, password.as_bytes())).await
    }

    /// As [`Vault::hash`], on this thread: for a start, when there is nobody to keep waiting.
    pub fn hash_now(&self, password: &str) -> Result<String, Error> {
        hash(&self.hasher, password.as_bytes())
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no, after the same work.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let hasher = self.hasher.clone();
        let matches = self
            .run(move || {
                let hash = PasswordHash::new(&hash).map_err(broken)?;
                Ok(hasher.verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(known && matches)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| Error::Busy)?;
        let core = Arc::clone(&self.running).acquire_owned().await.map_err(broken)?;
        let counted = move || {
            // Given back when the work ends, not when the client leaves: a hash cannot be stopped half-way.
            let _held = (place, core);
            work()
        };
        spawn_blocking(counted).await.map_err(broken)?
    }
}

fn hash(hasher: &Argon2<'_>, password: &[u8]) -> Result<String, Error> {
    let salt: [u8; SALT_BYTES] = random()?;
    let hash = hasher.hash_password_with_salt(password, &salt).map_err(broken)?;
    Ok(hash.to_string())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

fn broken(error: impl ToString) -> Error {
    Error::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::new(Cost {
            memory_kib: 8,
            passes: 1,
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let vault = vault();
        let hash = vault.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert_ne!(
            vault.hash_now("correct horse").unwrap(),
            hash,
            "each has its own salt"
        );
        assert_eq!(
            vault.verify("correct horse".to_owned(), Some(hash.clone())).await,
            Ok(true)
        );
        assert_eq!(
            vault.verify("Correct horse".to_owned(), Some(hash)).await,
            Ok(false)
        );
        assert_eq!(vault.verify("correct horse".to_owned(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_fits() {
        let old = Vault::new(Cost {
            memory_kib: 16,
            passes: 2,
        })
        .unwrap()
        .hash_now("correct horse")
        .unwrap();
        assert_eq!(
            vault().verify("correct horse".to_owned(), Some(old)).await,
            Ok(true)
        );
    }

    #[tokio::test]
    async fn beyond_the_limit_nobody_waits() {
        let vault = vault();
        let places = Arc::clone(&vault.waiting)
            .try_acquire_many_owned(WAITING_MAX as u32)
            .unwrap();
        assert_eq!(vault.hash("correct horse".to_owned()).await, Err(Error::Busy));
        drop(places);
        assert!(vault.hash("correct horse".to_owned()).await.is_ok());
    }
}
