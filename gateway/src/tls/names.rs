//! Which certificate for which name (RFC 6066 §3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::slot::Slot;
use crate::config::plan::Domain;

/// What is shown for a name.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// It came with the configuration.
    Known(Arc<CertifiedKey>),
    /// It comes, and changes, by itself.
    Ordered(Arc<Slot>),
}

impl Entry {
    /// None where an order has not brought anything yet.
    pub(super) fn certified(&self) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Known(certified) => Some(Arc::clone(certified)),
            Self::Ordered(slot) => slot.certified(),
        }
    }
}

/// The certificates of a listener by the names they are for.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<Box<str>, Entry>,
    /// By what stands behind the first label.
    below: HashMap<Box<str>, Entry>,
    default: Entry,
}

impl ByName {
    /// `default` is for every name that none is for, and for clients that send none.
    pub(super) fn new(default: Entry) -> Self {
        Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            default,
        }
    }

    pub(super) fn insert(&mut self, domain: &Domain, entry: &Entry) {
        let (names, name) = match domain {
            Domain::Exact(name) => (&mut self.exact, name),
            Domain::Below(name) => (&mut self.below, name),
        };
        names.insert(name.as_str().into(), entry.clone());
    }

    /// The one for a name in any case, with a trailing dot or without.
    pub(super) fn find(&self, name: Option<&str>) -> &Entry {
        name.and_then(|name| self.listed(name)).unwrap_or(&self.default)
    }

    fn listed(&self, name: &str) -> Option<&Entry> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = match name.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        self.exact.get(&*name).or_else(|| {
            let (label, above) = name.split_once('.')?;
            if label.is_empty() {
                None
            } else {
                self.below.get(above)
            }
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Where there is none, rustls ends the handshake by an alert.
        self.find(hello.server_name()).certified()
    }
}
