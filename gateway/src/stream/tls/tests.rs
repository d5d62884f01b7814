//! Both sides of a session, each against rustls as it is meant to be used, over real sockets.

mod carrying;
mod ends;
mod handshakes;
mod peer;
mod sealing;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::*;
use crate::stream::Shelf;
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

#[test]
fn two_sessions_of_ours_understand_each_other_over_a_socket_of_the_file_system() {
    let certificate = Certificate::new();
    let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
    let bytes = bytes_of(1, 1 << 20);
    block_on(async {
        let (here, there) = tokio::net::UnixStream::pair().unwrap();
        let shelf = Rc::new(Shelf::default());
        let name = ServerName::try_from(peer::NAME).unwrap();
        let (accepted, connected) = tokio::join!(
            accept(Stream::Unix(here), &shelf, |_| Some(server), LIMIT),
            connect(Stream::Unix(there), &shelf, client, name, LIMIT),
        );
        let ((here, _), (there, _)) = (accepted.unwrap(), connected.unwrap());
        let say = async {
            here.write_all(&mut [IoSlice::new(&bytes)], LIMIT).await.unwrap();
            here.end(LIMIT).await;
        };
        let hear = async {
            let (mut heard, mut space) = (Vec::new(), [0; 5_000]);
            loop {
                match there.read(&mut space).await.unwrap() {
                    0 => return heard,
                    n => heard.extend_from_slice(&space[..n]),
                }
            }
        };
        let ((), heard) = tokio::join!(say, hear);
        assert!(heard == bytes);
    });
}
