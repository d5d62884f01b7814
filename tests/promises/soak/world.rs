//! What all who take part know of each other: which versions may be seen, and what was done to whom when.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gateway::kit::clock::{Clock, Mono};
use harness::wait_until;
use parking_lot::{Mutex, RwLock};

use super::goods::{Kind, THINGS, Thing};

/// Faults that are described; the first one ends the soak.
const FAULTS_MAX: usize = 20;
/// Of windows that are over: far more than can overlap with a request that is under way.
const WINDOWS_KEPT: usize = 64;

/// Where the gateway is.
#[derive(Debug)]
pub struct Place {
    /// Which life of it this is, from 0.
    pub life: u64,
    /// Clear text.
    pub plain: SocketAddr,
    /// TLS.
    pub tls: SocketAddr,
    /// Commands.
    pub admin: SocketAddr,
    /// Its configuration's folder.
    pub folder: PathBuf,
}

/// Times at which something was not well.
#[derive(Default)]
pub struct Windows(Mutex<Vec<(Mono, Option<Mono>)>>);

/// Why a request was not served whole and right away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The gateway was killed meanwhile.
    GatewayKilled,
    /// An origin broke off a body.
    OriginTore,
    /// An origin broke off, and a POST is not sent twice.
    OriginFailedPost,
    /// More came than a limit admits.
    Limited,
    /// The route was not there in this configuration.
    OutOfSeason,
    /// The client did not wait for the end.
    GaveUp,
    /// An HTTP/2 connection took no more streams; asked again on another one.
    Moved,
}

/// Everything that is known to all.
pub struct World {
    /// When it is.
    pub clock: Clock,
    /// Where the gateway is.
    pub place: RwLock<Arc<Place>>,
    /// When the gateway was being killed and started.
    pub gateway_out: Windows,
    /// When an origin was not well.
    pub origin_out: Windows,
    /// When a new binary took over.
    pub upgrades: Windows,
    /// What was counted, by what it is.
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The same by cause.
    pub causes: Mutex<BTreeMap<Cause, u64>>,
    /// The newest configuration that may be in use.
    pub generation: AtomicU64,
    /// The oldest one.
    pub generation_floor: AtomicU64,
    published: Vec<AtomicU64>,
    floors: Vec<AtomicU64>,
    over: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Windows {
    /// Something begins.
    pub fn open(&self, now: Mono) {
        let mut all = self.0.lock();
        let surplus = all.len().saturating_sub(WINDOWS_KEPT);
        all.drain(..surplus);
        all.push((now, None));
    }

    /// It is over.
    pub fn close(&self, now: Mono) {
        if let Some((_, end)) = self.0.lock().last_mut() {
            *end = Some(now);
        }
    }

    /// Whether some of it was between these moments.
    pub fn overlap(&self, from: Mono, until: Mono) -> bool {
        let overlaps =
            |(start, end): &(Mono, Option<Mono>)| *start <= until && end.is_none_or(|end| end >= from);
        self.0.lock().iter().any(overlaps)
    }

    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.0.lock().last().is_some_and(|(_, end)| end.is_none())
    }
}

impl World {
    /// One without a gateway so far.
    pub fn new() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let place = Place {
            life: 0,
            plain: nowhere,
            tls: nowhere,
            admin: nowhere,
            folder: PathBuf::new(),
        };
        let ones = || (0..Kind::ALL.len() * THINGS).map(|_| AtomicU64::new(1)).collect();
        Self {
            clock: Clock::system(),
            place: RwLock::new(Arc::new(place)),
            gateway_out: Windows::default(),
            origin_out: Windows::default(),
            upgrades: Windows::default(),
            counts: Mutex::default(),
            causes: Mutex::default(),
            generation: AtomicU64::new(0),
            generation_floor: AtomicU64::new(0),
            published: ones(),
            floors: ones(),
            over: AtomicBool::new(false),
            faults: Mutex::default(),
        }
    }

    /// This moment.
    pub fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Where the gateway is now.
    pub fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place.read())
    }

    /// The version that origins answer with.
    pub fn published(&self, thing: Thing) -> u64 {
        self.published[thing.place()].load(Ordering::SeqCst)
    }

    /// Origins answer with the next version from now on. Only one thread may do so.
    pub fn publish(&self, thing: Thing) -> u64 {
        self.published[thing.place()].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The oldest version that a request which begins now may be answered with.
    pub fn floor(&self, thing: Thing) -> u64 {
        self.floors[thing.place()].load(Ordering::SeqCst)
    }

    /// What is older than this version was purged.
    pub fn purged(&self, thing: Thing, version: u64) {
        self.floors[thing.place()].fetch_max(version, Ordering::SeqCst);
    }

    /// Counts.
    pub fn count(&self, what: &'static str, n: u64) {
        *self.counts.lock().entry(what).or_default() += n;
    }

    /// How many were counted.
    pub fn counted(&self, what: &'static str) -> u64 {
        self.counts.lock().get(what).copied().unwrap_or(0)
    }

    /// Counts what was not served, and why.
    pub fn explained(&self, cause: Cause) {
        *self.causes.lock().entry(cause).or_default() += 1;
    }

    /// Something is wrong: the soak ends.
    pub fn fault(&self, how: String) {
        let at = self.now().0 / 1_000_000;
        let mut faults = self.faults.lock();
        if faults.len() < FAULTS_MAX {
            faults.push(format!("at {at} ms: {how}"));
        }
        drop(faults);
        self.finish();
    }

    /// What was wrong.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().clone()
    }

    /// Everybody ends what they do.
    pub fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether everybody is to end.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits for a moment, or for the end.
    pub fn wait(&self, until: Mono) {
        wait_until("the next thing is due", || self.now() >= until || self.is_over());
    }

    /// Waits while the gateway is being killed and started, or for the end.
    pub fn wait_gateway(&self) {
        wait_until("the gateway is there", || {
            !self.gateway_out.is_open() || self.is_over()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_overlaps_with_what_was_under_way_within_it() {
        let windows = Windows::default();
        windows.open(Mono(10));
        assert!(windows.overlap(Mono(5), Mono(10)) && windows.overlap(Mono(50), Mono(60)));
        windows.close(Mono(20));
        assert!(windows.overlap(Mono(20), Mono(30)) && !windows.overlap(Mono(21), Mono(30)));
        assert!(!windows.overlap(Mono(0), Mono(9)) && !windows.is_open());
    }
}
