//! Certificates that are ordered: what is shown, what is stored, how it stands. Found again by what is ordered where.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Cells;
use crate::acme::storage::Mark;
use crate::acme::{Challenges, Standing, Storage, StorageFault, Validity};
use crate::config::plan::{Acme, Certificate};
use crate::secrets::Identity;
use crate::tls::Slot;

/// One certificate that is ordered.
pub struct Ordered {
    /// Its name in the configuration.
    pub name: String,
    /// The names it is to be for, as they are written in it.
    pub domains: Vec<String>,
    /// Where it is kept.
    pub storage: Storage,
    /// Where listeners take it from.
    pub slot: Arc<Slot>,
    /// How it stands.
    pub standing: Standing,
    /// The stored version that was read last.
    known: Mutex<Option<Mark>>,
}

impl Ordered {
    fn open(certificate: &Certificate, acme: &Acme) -> Self {
        let ordered = Self {
            name: certificate.name.clone(),
            domains: certificate.domains.iter().map(ToString::to_string).collect(),
            storage: Storage::new(&acme.storage, &acme.directory),
            slot: Arc::default(),
            standing: Standing::default(),
            known: Mutex::default(),
        };
        // A fault is told by whoever orders: it looks again before it does.
        let _ = ordered.refresh();
        ordered
    }

    /// Takes over what is stored, if that is another version than the last one: it was kept here before a restart, or by
    /// another process. True if there is another one now.
    ///
    /// # Errors
    /// What is stored cannot be used. What is shown stays.
    pub fn refresh(&self) -> Result<bool, StorageFault> {
        let mut known = self.known.lock();
        let mark = self.storage.mark(&self.name);
        if mark.is_none() || mark == *known {
            return Ok(false);
        }
        let Some(identity) = self.storage.certificate(&self.name)? else {
            return Ok(false);
        };
        *known = mark;
        Ok(self.adopt(Arc::new(identity)))
    }

    /// Shows this one if that is better than what is shown; whether it is.
    fn adopt(&self, identity: Arc<Identity>) -> bool {
        let leaf = identity.chain().leaf();
        // One that was ordered under this name for other sites would mislead their clients.
        let is_for_us = self.domains.iter().any(|domain| leaf.covers(domain));
        // One out of a backup does not replace a newer one that could not be stored.
        let shown = self.slot.identity();
        let is_older = shown.is_some_and(|shown| leaf.not_before < shown.chain().leaf().not_before);
        let is_better = is_for_us && !is_older;
        if is_better {
            self.slot.install(identity);
        }
        is_better
    }

    /// What is shown was stored just now, and need not be read again.
    pub fn is_stored(&self) {
        *self.known.lock() = self.storage.mark(&self.name);
    }

    /// Since when and until when a certificate for all of the names is held; None without one.
    pub fn held(&self) -> Option<Validity> {
        let identity = self.slot.identity()?;
        let leaf = identity.chain().leaf();
        let covers_all = self.domains.iter().all(|domain| leaf.covers(domain));
        covers_all.then_some(Validity {
            not_before: leaf.not_before,
            not_after: leaf.not_after,
        })
    }
}

/// What a certificate must share with another one to be the same order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    domains: Vec<String>,
    directory: String,
    storage: PathBuf,
}

/// All cells of orders.
#[derive(Default)]
pub struct OrderCells {
    ordered: Cells<Key, Ordered>,
    /// What authorities may ask us for.
    pub challenges: Arc<Challenges>,
}

impl OrderCells {
    /// The cell of a certificate; None for one that is not ordered. Reads what is stored of a new one.
    pub fn claim(&self, certificate: &Certificate) -> Option<Arc<Ordered>> {
        let acme = certificate.acme()?;
        let key = Key {
            name: certificate.name.clone(),
            domains: certificate.domains.iter().map(ToString::to_string).collect(),
            directory: acme.directory.clone(),
            storage: acme.storage.clone(),
        };
        // With other domains it is another order, and what was shown before it goes on: it may not be stored yet.
        let is_before =
            |before: &Key| before.name == key.name && before.directory == key.directory && before != &key;
        let alive = self.ordered.alive().into_iter();
        let shown: Vec<_> = alive
            .filter(|(before, _)| is_before(before))
            .filter_map(|(_, ordered)| ordered.slot.identity())
            .collect();
        Some(self.ordered.claim(&key, || {
            let ordered = Ordered::open(certificate, acme);
            shown.into_iter().for_each(|identity| _ = ordered.adopt(identity));
            ordered
        }))
    }
}
