//! An origin that does so many requests at once, each for the same time, in the order in which they come.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{park_timeout, spawn};
use std::time::Duration;

use gateway::kit::clock::{Clock, Mono};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";

/// Its threads end with the process; one that nobody connects to does nothing.
pub struct Origin {
    address: SocketAddr,
    served: Arc<AtomicU64>,
}

impl Origin {
    /// One with so many places.
    pub fn start(slots: u32, service: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (give, take) = channel();
        let (take, served) = (Arc::new(Mutex::new(take)), Arc::new(AtomicU64::new(0)));
        for _ in 0..slots {
            let (take, served) = (Arc::clone(&take), Arc::clone(&served));
            spawn(move || work(&take, &served, service));
        }
        spawn(move || {
            for client in listener.incoming().flatten() {
                let give = give.clone();
                spawn(move || hear(&Arc::new(client), &give));
            }
        });
        Ok(Self { address, served })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests done, whether anybody was there to hear of it or not.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

/// Queues a client's requests. One that has left is not noticed, as most servers do not.
fn hear(client: &Arc<TcpStream>, give: &Sender<Arc<TcpStream>>) {
    let mut head = Vec::new();
    let mut room = [0; 4096];
    while let Ok(read @ 1..) = (&**client).read(&mut room) {
        head.extend_from_slice(&room[..read]);
        // No bodies, and one request at a time: so asks a gateway that is asked by these clients.
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if give.send(Arc::clone(client)).is_err() {
                return;
            }
        }
    }
}

/// One place. A wait that was too long is made up for by the next: so many places do as much as is promised.
fn work(take: &Mutex<Receiver<Arc<TcpStream>>>, served: &AtomicU64, service: Duration) {
    let clock = Clock::system();
    let mut ends = clock.mono();
    loop {
        let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(client) = next else { return };
        let now = clock.mono();
        let began = if now.since(ends) > service / 4 { now } else { ends };
        ends = began.plus(service);
        wait_till(ends, &clock);
        served.fetch_add(1, Ordering::Relaxed);
        // Whoever has gone is not answered.
        let _gone = (&*client).write_all(ANSWER);
    }
}

/// Returns at that time, or at once if it is past.
pub fn wait_till(due: Mono, clock: &Clock) {
    loop {
        let left = due.since(clock.mono());
        if left.is_zero() {
            return;
        }
        park_timeout(left);
    }
}
