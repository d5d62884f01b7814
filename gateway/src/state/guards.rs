//! What the guards remember from one reload to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Cells;
use crate::config::plan::{ConcurrencyLimit, LimitKey, RateLimit};
use crate::guard::adaptive::Throttle;
use crate::guard::basic::{Checks, Successes};
use crate::guard::concurrency::Gate;
use crate::guard::rate::Table;
use crate::guard::token::{Issuer, Verified};
use crate::outbound::Trust;

/// Tokens whose signature need not be checked again. With claims of usual length they hold some 64 MiB at the most.
const VERIFIED_MAX: usize = 32_768;

/// All cells of the guards.
pub struct Guards {
    rates: Cells<(String, LimitKey), Rate>,
    gates: Cells<(String, LimitKey), Gate>,
    throttles: Cells<String, Throttle>,
    issuers: Cells<String, Issuer>,
    /// Tokens that were good.
    pub verified: Arc<Verified>,
    /// Logins that were good.
    pub successes: Arc<Successes>,
    /// Where passwords are hashed.
    pub checks: Arc<Checks>,
    /// What keys are hashed with, so that nobody can aim at another's count.
    pub seed: u64,
    trust: OnceLock<Trust>,
}

/// The cell of a rate limit.
pub struct Rate {
    /// What each key owes.
    pub table: Arc<Table>,
    refused: AtomicU64,
}

impl Rate {
    /// A request was refused.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            rates: Cells::default(),
            gates: Cells::default(),
            throttles: Cells::default(),
            issuers: Cells::default(),
            verified: Arc::new(Verified::new(VERIFIED_MAX)),
            successes: Arc::new(Successes::new(&secret())),
            checks: Arc::new(Checks::new(&secret())),
            seed: u64::from_le_bytes(*secret().first_chunk().expect("a secret has 32 bytes")),
            trust: OnceLock::new(),
        }
    }
}

impl Guards {
    /// What was counted by that limit. Its size stays as it is until it is resized.
    pub fn rate(&self, limit: &RateLimit) -> Arc<Rate> {
        let key = (limit.name.clone(), limit.key.clone());
        self.rates.claim(&key, || Rate {
            table: Arc::new(Table::new(limit.max_keys)),
            refused: AtomicU64::new(0),
        })
    }

    /// Who is inside by that limit.
    pub fn gate(&self, limit: &ConcurrencyLimit) -> Arc<Gate> {
        let key = (limit.name.clone(), limit.key.clone());
        self.gates.claim(&key, Gate::new)
    }

    /// What an upstream can do at once.
    pub fn throttle(&self, upstream: &str) -> Arc<Throttle> {
        self.throttles.claim(&upstream.to_owned(), Throttle::new)
    }

    /// The keys that are fetched from there.
    pub fn issuer(&self, url: &str) -> Arc<Issuer> {
        self.issuers.claim(&url.to_owned(), Issuer::default)
    }

    /// Whose certificates are believed; read from the system when it is first asked for.
    pub fn trust(&self) -> &Trust {
        self.trust.get_or_init(|| {
            Trust::load(None).expect("without a file of its own there is nothing that could be wrong with it")
        })
    }
}

/// Bits that nobody can guess. A system that has none to give cannot keep secrets, so there is no going on.
fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .expect("every system this runs on has a source of random bits");
    bytes
}
