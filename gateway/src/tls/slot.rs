//! Where an ordered certificate is put when it has come, under the listeners that show it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::sign::CertifiedKey;

use crate::secrets::Identity;

/// One certificate that may not be there yet. Shared by all listeners that show it; it outlives reloads.
///
/// While it is empty, handshakes for its names are refused by an alert. A makeshift certificate of our own would teach
/// people to click through a warning, and whoever verifies nothing would talk to anybody.
#[derive(Default)]
pub struct Slot {
    held: ArcSwapOption<Held>,
}

struct Held {
    identity: Arc<Identity>,
    certified: Arc<CertifiedKey>,
}

impl Slot {
    /// Shows this one from the next handshake on. Connections that stand do not notice.
    pub fn install(&self, identity: Arc<Identity>) {
        let certified = Arc::new(identity.certified(None));
        self.held.store(Some(Arc::new(Held { identity, certified })));
    }

    /// What is shown now; None while nothing has come.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        let held = self.held.load();
        held.as_ref().map(|held| Arc::clone(&held.identity))
    }

    pub(super) fn certified(&self) -> Option<Arc<CertifiedKey>> {
        let held = self.held.load();
        held.as_ref().map(|held| Arc::clone(&held.certified))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("is_empty", &self.held.load().is_none())
            .finish_non_exhaustive()
    }
}
