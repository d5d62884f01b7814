//! Clients that take their time: each sends the head of a request a byte a second, and never its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ::gateway::kit::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::patience::{patience, wait_until};

/// What is sent, and then the last byte again and again.
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: a";
/// Between two bytes. It is what these clients are, and orders nothing.
const PACE: Duration = Duration::from_secs(1);

/// Slow clients, all at once.
pub struct SlowHeads {
    begun: Arc<AtomicUsize>,
    clients: usize,
    thread: JoinHandle<Vec<Cut>>,
}

/// How one of them was cut off.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// From its first byte on.
    pub after: Duration,
    /// How many bytes it had sent.
    pub sent: usize,
    /// What it was told, if anything.
    pub status: Option<u16>,
}

impl SlowHeads {
    /// Starts so many.
    pub fn start(to: SocketAddr, clients: usize) -> Self {
        let begun = Arc::<AtomicUsize>::default();
        let theirs = Arc::clone(&begun);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the system has an event queue");
            LocalSet::new().block_on(&runtime, run_all(to, clients, theirs))
        };
        Self {
            begun,
            clients,
            thread: std::thread::spawn(work),
        }
    }

    /// Waits until every one of them has sent its first byte.
    #[track_caller]
    pub fn wait_begun(&self) {
        wait_until("all slow clients have sent a byte", || {
            self.begun.load(Ordering::Acquire) == self.clients
        });
    }

    /// Waits until all were cut off. Fails if one was not, for as long as patience lasts.
    pub fn wait(self) -> Vec<Cut> {
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

async fn run_all(to: SocketAddr, clients: usize, begun: Arc<AtomicUsize>) -> Vec<Cut> {
    let client = |_| tokio::task::spawn_local(one(to, Arc::clone(&begun)));
    let tasks: Vec<_> = (0..clients).map(client).collect();
    let mut cuts = Vec::with_capacity(clients);
    for task in tasks {
        cuts.push(task.await.expect("a slow client does not panic"));
    }
    cuts
}

async fn one(to: SocketAddr, begun: Arc<AtomicUsize>) -> Cut {
    let clock = Clock::system();
    let mut stream = TcpStream::connect(to)
        .await
        .expect("the gateway takes connections");
    let began = clock.now().mono;
    let mut sent = 0;
    let mut answer = Vec::new();
    let trickle = async {
        loop {
            let byte = HEAD[sent.min(HEAD.len() - 1)];
            // It fails when the gateway has closed, which reading says too.
            let _closed = stream.write_all(&[byte]).await;
            sent += 1;
            if sent == 1 {
                begun.fetch_add(1, Ordering::AcqRel);
            }
            tokio::select! {
                read = stream.read_buf(&mut answer) => break read,
                () = sleep(PACE) => {}
            }
        }
    };
    let end = timeout(patience(), trickle).await;
    assert!(
        end.is_ok(),
        "a client was slow for {:?} and not cut off",
        patience()
    );
    let after = clock.now().mono.since(began);
    // What is left of the answer; only its first line matters.
    let _rest = timeout(patience(), stream.read_to_end(&mut answer)).await;
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Cut { after, sent, status }
}

/// Between two drops. It is what somebody is who drips, and orders nothing.
const DROP_PACE: Duration = Duration::from_millis(5);

/// Sends the same piece again and again until nobody takes it any more, and counts how often.
pub fn drip(to: &mut impl std::io::Write, piece: &[u8], drops: &AtomicUsize) {
    while to.write_all(piece).is_ok() {
        drops.fetch_add(1, Ordering::AcqRel);
        std::thread::park_timeout(DROP_PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_cut_says_when_and_by_what() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = SlowHeads::start(listener.local_addr().unwrap(), 2);
        slow.wait_begun();
        for answer in ["HTTP/1.1 408 Request Timeout\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().unwrap();
            // A close with unread bytes would be a reset, which may overtake the answer.
            std::io::Read::read_exact(&mut stream, &mut [0]).unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        }
        let mut statuses: Vec<_> = slow.wait().iter().map(|cut| cut.status).collect();
        statuses.sort();
        assert_eq!(statuses, [None, Some(408)]);
    }
}
