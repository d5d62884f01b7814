//! Both sides of a session, each against rustls as it is meant to be used, over real sockets.

mod carrying;
mod ends;
mod handshakes;
mod peer;
mod sealing;

use std::time::Duration;

use super::*;
use peer::{Certificate, Peer};

/// Long enough for any machine: a test that takes it has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(LIMIT, work).await.expect("it hangs")
    })
}

/// Bytes that look like nothing in particular, and the same each time.
pub(super) fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

pub(super) fn is_bare(stream: &Stream) -> bool {
    let Stream::Tls(tls) = stream else {
        panic!("not TLS");
    };
    tls.inner.borrow().session.is_bare()
}
