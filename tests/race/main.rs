//! Every order of threads, not the few that happen: the shared parts of the cache and of the guard under a scheduler that chooses.
//!
//! The gateway's own files are compiled here once more, against locks and counters that hand every step to shuttle. It
//! tries random orders, and orders with few but ill-placed interruptions; when all threads wait, a wake-up was lost, and it
//! says so. A failure names its schedule, which replays it.

#![allow(
    dead_code,
    clippy::needless_pass_by_ref_mut,
    reason = "what is a public interface in the gateway is private here: some of it nobody calls, and all of it is judged"
)]

use gateway::cache::{disk, object};
use gateway::{config, kit};

mod adaptive;
mod book;
mod concurrency;
mod fill;
mod fills;
mod flight;
mod flights;
mod gates;
mod purges;
mod sync;
mod throttles;

/// Orders tried of each model, by each of the two ways to choose them.
const ORDERS: usize = 1500;

/// Interruptions at ill-chosen places that the second way tries to find.
const INTERRUPTIONS: usize = 3;

/// Tries one model.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let model = std::sync::Arc::new(model);
    let again = std::sync::Arc::clone(&model);
    shuttle::check_random(move || model(), ORDERS);
    shuttle::check_pct(move || again(), ORDERS, INTERRUPTIONS);
}

/// The head of an answer, of which nothing matters here but its tags.
fn meta(tags: &[u64]) -> sync::Arc<object::Meta> {
    sync::Arc::new(object::Meta {
        key_text: Box::default(),
        variance: Box::default(),
        vary: Box::default(),
        status: 200,
        reason: Box::default(),
        version: gateway::wire::Version::Http11,
        fields: gateway::wire::Fields::default(),
        freshness: object::Freshness::default(),
        facets: object::Facets(tags.into()),
        serial: 0,
    })
}
