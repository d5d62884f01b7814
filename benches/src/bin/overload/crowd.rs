//! Clients that come when they come: an open load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use gateway::kit::clock::{Clock, Mono};

use super::origin::wait_till;

/// Before the first one comes: until all threads are there.
const HEAD_START: Duration = Duration::from_millis(500);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n";

/// So many come in a second, at random, and give up after so long.
pub struct Crowd {
    pub address: SocketAddr,
    pub per_s: f64,
    pub patience: Duration,
    pub warm_up: Duration,
    pub lasts: Duration,
}

/// What has become of those who came after the warm-up.
#[derive(Default)]
pub struct Outcome {
    pub offered: u64,
    /// Answered with 200 in time.
    pub good: u64,
    /// Answered with 503.
    pub shed: u64,
    /// Not answered in time, or otherwise.
    pub failed: u64,
    /// What the origin did in that time.
    pub served_by_origin: u64,
    /// Of those that were good, from when they came; sorted.
    latencies: Vec<Duration>,
}

/// What one was answered.
enum Answer {
    Good,
    Shed,
    Other,
}

impl Crowd {
    /// Lets them come. `served` says what the origin has done so far.
    pub fn run(&self, served: &(dyn Fn() -> u64 + Sync)) -> Outcome {
        let clock = Clock::system();
        let begins = clock.mono().plus(HEAD_START);
        let arrivals = self.arrivals(begins);
        let counts_from = begins.plus(self.warm_up);
        let next = AtomicUsize::new(0);
        // Each thread is one client at a time: as many as can be waiting at once, and a few more.
        let threads = (self.per_s * self.patience.as_secs_f64() * 1.2) as usize + 16;
        scope(|s| {
            let during = s.spawn(|| {
                wait_till(counts_from, &clock);
                let before = served();
                wait_till(counts_from.plus(self.lasts), &clock);
                served() - before
            });
            let client = || self.serve_arrivals(&arrivals, &next, counts_from, &clock);
            let clients: Vec<_> = (0..threads).map(|_| s.spawn(client)).collect();
            let mut outcome = Outcome::default();
            for client in clients {
                outcome.add(client.join().expect("a client counts what goes wrong"));
            }
            outcome.served_by_origin = during.join().expect("a watcher does not fail");
            outcome.latencies.sort_unstable();
            outcome
        })
    }

    /// When each comes: a Poisson process, the same in each run.
    fn arrivals(&self, begins: Mono) -> Vec<Mono> {
        let mut state = 0x1357_9bdf_u64;
        let mut at = Duration::ZERO;
        let mut arrivals = Vec::new();
        while at < self.warm_up + self.lasts {
            arrivals.push(begins.plus(at));
            // Knuth's MMIX constants: enough disorder for a crowd, and no dependency.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let uniform = ((state >> 33) as f64 + 1.0) / (1u64 << 31) as f64;
            at += Duration::from_secs_f64(-uniform.ln() / self.per_s);
        }
        arrivals
    }

    fn serve_arrivals(
        &self,
        arrivals: &[Mono],
        next: &AtomicUsize,
        counts_from: Mono,
        clock: &Clock,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut connection = None;
        while let Some(came) = arrivals.get(next.fetch_add(1, Ordering::Relaxed)) {
            wait_till(*came, clock);
            let answer = self.ask(&mut connection, *came, clock);
            let took = clock.mono().since(*came);
            if *came < counts_from {
                continue;
            }
            outcome.offered += 1;
            match answer {
                Some(Answer::Good) if took <= self.patience => {
                    outcome.good += 1;
                    outcome.latencies.push(took);
                }
                Some(Answer::Shed) => outcome.shed += 1,
                Some(Answer::Good | Answer::Other) | None => outcome.failed += 1,
            }
        }
        outcome
    }

    /// None if it was not answered before patience ended; its connection is closed then.
    fn ask(&self, connection: &mut Option<TcpStream>, came: Mono, clock: &Clock) -> Option<Answer> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).ok()?;
                stream.set_nodelay(true).ok()?;
                stream
            }
        };
        stream.write_all(REQUEST).ok()?;
        let mut answer = Vec::with_capacity(1024);
        let mut room = [0; 1024];
        while !is_whole(&answer) {
            let left = self.patience.saturating_sub(clock.mono().since(came));
            if left.is_zero() {
                return None;
            }
            stream.set_read_timeout(Some(left)).ok()?;
            match stream.read(&mut room) {
                Ok(read @ 1..) => answer.extend_from_slice(&room[..read]),
                Ok(0) | Err(_) => return None,
            }
        }
        *connection = Some(stream);
        Some(match answer.get(9..12) {
            Some(b"200") => Answer::Good,
            Some(b"503") => Answer::Shed,
            Some(_) | None => Answer::Other,
        })
    }
}

/// Whether a head and as much body as it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    answer.len() >= end + 4 + length.unwrap_or(0usize)
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.good += other.good;
        self.shed += other.shed;
        self.failed += other.failed;
        self.latencies.extend(other.latencies);
    }

    /// That share of the good ones took no longer.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share) as usize;
        self.latencies
            .get(at)
            .map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    }
}
