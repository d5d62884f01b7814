//! One limit of one configuration, over a table that outlives it.

use std::sync::Arc;

use super::fields;
use super::gcra::Pace;
use super::table::Table;
use crate::config::plan::RateLimit;

/// A rate limit of a configuration over the table of its keys.
///
/// Several over one table may be in use while a reload goes on. The one made last takes over from its first request
/// on, for the requests of those before it as well; see `shard.rs`. What was spent is kept, in requests.
pub struct Limiter {
    plan: Arc<RateLimit>,
    pub(super) table: Arc<Table>,
    pub(super) pace: Pace,
    pub(super) generation: u64,
    /// Its item of RateLimit-Policy.
    policy: Box<[u8]>,
}

impl Limiter {
    /// The limit over that table. The table notices nothing before the first request is judged.
    ///
    /// # Panics
    /// With a name that has to be escaped in a field; a configuration with such a name is refused before.
    pub fn new(plan: Arc<RateLimit>, table: Arc<Table>) -> Self {
        let pace = Pace::of(&plan);
        let mut policy = Vec::new();
        fields::write_item(&plan, pace.burst(), &mut policy);
        Self {
            generation: table.next_generation(),
            policy: policy.into_boxed_slice(),
            plan,
            table,
            pace,
        }
    }

    /// What the operator has written.
    pub fn plan(&self) -> &RateLimit {
        &self.plan
    }

    /// Its item of RateLimit-Policy.
    pub(super) fn policy(&self) -> &[u8] {
        &self.policy
    }
}
