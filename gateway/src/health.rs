//! (in work)
use crate::{kit::clock::Clock, snapshot::Snapshot, state::State};
/// x
pub struct Prober;
impl Prober {
    /// x
    pub fn new(_: tokio::runtime::Handle, _: Clock) -> Self {
        Self
    }
    /// x
    pub fn reconcile(&self, _: &Snapshot, _: &State) {}
}
