//! Keys of tokens that have to be fetched: each `jwks_url` is asked now and then, and when a token names an unknown key.

mod course;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::course::{Course, Pace};
use crate::kit::clock::{Clock, Mono};
use crate::outbound::{Ask, Client, OutboundFault, Trust};
use crate::secrets::Fault;
use crate::wire::Fields;

/// Until a whole answer has come. Nobody waits for it, so it need not be short.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a list of keys. Those of large issuers have a few kilobytes.
pub const LIST_BYTES_MAX: usize = 1024 * 1024;

/// Who is told the keys of one issuer: a cell that outlives reloads.
pub trait Cell: Send + Sync + 'static {
    /// One key.
    type Key: Send;

    /// These are the keys now. Never an empty list.
    fn replace(&self, keys: Vec<Self::Key>, now: Mono);

    /// They could not be fetched; those that are known stay.
    fn note_failure(&self, now: Mono);

    /// Ends when a key was asked for that is not known. What was asked for while nobody listened counts.
    fn wanted(&self) -> impl Future<Output = ()> + Send;
}

/// How a list of keys is read.
pub type Reader<K> = fn(&str) -> Result<Vec<K>, Fault>;

/// One issuer whose keys shall be fetched.
#[derive(Debug)]
pub struct Wanted<C> {
    /// An http or https URL.
    pub url: String,
    /// Between two fetches.
    pub refresh: Duration,
    /// Who is told.
    pub cell: Arc<C>,
}

impl<C> Clone for Wanted<C> {
    fn clone(&self) -> Self {
        Self {
            url: self.url.clone(),
            refresh: self.refresh,
            cell: Arc::clone(&self.cell),
        }
    }
}

/// Fetches what a configuration wants, a task for each issuer; dropping it ends them all.
pub struct Keyring<C: Cell> {
    runtime: Handle,
    clock: Clock,
    client: Client,
    read: Reader<C::Key>,
    running: Mutex<Vec<Running<C>>>,
}

impl<C: Cell> fmt::Debug for Keyring<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("running", &self.running.lock().len())
            .finish_non_exhaustive()
    }
}

/// A task; dropping it ends it, between two awaits.
struct Running<C> {
    task: AbortHandle,
    wanted: Wanted<C>,
}

impl<C> Drop for Running<C> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why there are no new keys.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Miss {
    /// No answer came.
    NoAnswer(OutboundFault),
    /// Another status than 200, and where a redirect leads.
    Status(u16, Option<String>),
    /// What came is no text.
    NoText,
    /// What came is no list of keys.
    NoList(Fault),
    /// There is not one key in it that could be used. It is taken for a mishap, not for a wish.
    Empty,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(fault) => write!(f, "{fault}"),
            Self::Status(status, Some(to)) => {
                write!(
                    f,
                    "it answers {status} and points to {to:?}: write the address it leads to into `jwks_url`"
                )
            }
            Self::Status(status, None) => write!(f, "it answers {status} instead of 200"),
            Self::NoText => write!(f, "what it answers is not UTF-8"),
            Self::NoList(fault) => write!(f, "line {} of what it answers: {}", fault.line, fault.message),
            Self::Empty => write!(f, "there is no key in its list that could be used"),
        }
    }
}

impl<C: Cell> Keyring<C> {
    /// Fetches nothing yet; its tasks will run on `runtime`, which must drive I/O and time.
    pub fn new(runtime: Handle, clock: Clock, trust: &Trust, read: Reader<C::Key>) -> Self {
        Self {
            runtime,
            clock,
            client: Client::new(trust),
            read,
            running: Mutex::default(),
        }
    }

    /// Starts what is wanted and not running, ends what is running and not wanted, leaves the rest alone.
    ///
    /// Of two that ask the same for the same cell the one stays that asks more often.
    pub fn reconcile(&self, mut wanted: Vec<Wanted<C>>) {
        wanted.sort_by_key(|wanted| wanted.refresh);
        let mut running = self.running.lock();
        let mut next: Vec<Running<C>> = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            if next.iter().any(|other| other.wanted.feeds_as(&wanted)) {
                continue;
            }
            let is_it = |r: &Running<C>| r.wanted.feeds_as(&wanted) && r.wanted.refresh == wanted.refresh;
            let kept = running.iter().position(is_it).map(|at| running.swap_remove(at));
            next.push(kept.unwrap_or_else(|| self.start(wanted)));
        }
        *running = next;
    }

    fn start(&self, wanted: Wanted<C>) -> Running<C> {
        let asker = Asker {
            wanted: wanted.clone(),
            clock: self.clock.clone(),
            client: self.client.clone(),
            read: self.read,
        };
        let pace = Pace::of(wanted.refresh);
        let task = self.runtime.spawn(asker.run(pace, fastrand::Rng::new()));
        Running {
            task: task.abort_handle(),
            wanted,
        }
    }
}

impl<C> Wanted<C> {
    /// A cell that was forgotten and made anew is another one, though it has the same URL.
    fn feeds_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell) && self.url == other.url
    }
}

/// What a task asks with.
struct Asker<C: Cell> {
    wanted: Wanted<C>,
    clock: Clock,
    client: Client,
    read: Reader<C::Key>,
}

impl<C: Cell> Asker<C> {
    /// Asks for ever, the first time at once.
    async fn run(self, pace: Pace, mut draws: fastrand::Rng) {
        let mut course = Course::new(pace);
        loop {
            let fetched = self.fetch().await;
            self.tell(&mut course, fetched);
            let wait = course.wait(draws.f64());
            tokio::time::sleep(wait.at_least).await;
            // Asked for sooner or not: what comes first.
            _ = tokio::time::timeout(wait.then_unless_wanted, self.wanted.cell.wanted()).await;
        }
    }

    async fn fetch(&self) -> Result<Vec<C::Key>, Miss> {
        let mut headers = Fields::default();
        headers.push(b"Accept", b"application/jwk-set+json, application/json");
        let ask = Ask {
            url: &self.wanted.url,
            headers: &headers,
            timeout: FETCH_TIMEOUT,
            body_max: LIST_BYTES_MAX,
        };
        let answer = self.client.get(ask).await.map_err(Miss::NoAnswer)?;
        if answer.status != 200 {
            let to = answer.headers.first_of("location");
            let to = to.map(|to| String::from_utf8_lossy(to).into_owned());
            return Err(Miss::Status(answer.status, to));
        }
        let text = std::str::from_utf8(&answer.body).map_err(|_| Miss::NoText)?;
        let keys = (self.read)(text).map_err(Miss::NoList)?;
        if keys.is_empty() {
            Err(Miss::Empty)
        } else {
            Ok(keys)
        }
    }

    /// One line in the log for each change, none for each fetch.
    fn tell(&self, course: &mut Course, fetched: Result<Vec<C::Key>, Miss>) {
        let (url, now) = (&self.wanted.url, self.clock.mono());
        match fetched {
            Ok(keys) => {
                let count = keys.len();
                self.wanted.cell.replace(keys, now);
                if course.succeeded(count) {
                    log::info!("{count} keys of tokens came from {url}");
                }
            }
            Err(miss) => {
                self.wanted.cell.note_failure(now);
                if course.failed() {
                    let known = course.known();
                    log::warn!(
                        "no keys of tokens come from {url}, and the {known} known ones stay in use: {miss}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
