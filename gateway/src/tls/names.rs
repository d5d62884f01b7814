//! Which certificate for which name (RFC 6066 §3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::plan::Domain;

/// The certificates of a listener by the names they are for.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By what stands behind the first label.
    below: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    /// `default` is for every name that none is for, and for clients that send none.
    pub(super) fn new(default: Arc<CertifiedKey>) -> Self {
        Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            default,
        }
    }

    pub(super) fn insert(&mut self, domain: &Domain, certificate: &Arc<CertifiedKey>) {
        let (names, name) = match domain {
            Domain::Exact(name) => (&mut self.exact, name),
            Domain::Below(name) => (&mut self.below, name),
        };
        names.insert(name.as_str().into(), Arc::clone(certificate));
    }

    /// The one for a name in any case, with a trailing dot or without.
    pub(super) fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        name.and_then(|name| self.listed(name)).unwrap_or(&self.default)
    }

    fn listed(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
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
        Some(Arc::clone(self.find(hello.server_name())))
    }
}
