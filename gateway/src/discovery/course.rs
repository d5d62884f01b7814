//! What becomes of a source's answers: which servers there are, when it is asked again, what is told.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::plan::{Address, DISCOVERED_MAX, UpstreamServer, WEIGHT_TOTAL_MAX};
use crate::kit::clock::Mono;

/// Shortest time between two questions, whatever the time to live says, unless the interval is shorter.
const GAP_MIN: Duration = Duration::from_secs(1);
/// Between two answers of a source that tells of changes as they come: one that answers at once, always, is not asked
/// in a circle.
const TOLD_GAP_MIN: Duration = Duration::from_millis(250);
/// After the first failure; it doubles with each that follows.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after failures, however long the interval is.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// The longest pause while there has been no answer at all: until then the upstream may have no server.
const BACKOFF_UNANSWERED_MAX: Duration = Duration::from_secs(5);
/// Doublings after which no pause is shorter than its maximum.
const DOUBLINGS_MAX: u32 = 16;
/// Of a pause after a failure, by chance: gateways that failed together shall not ask together for ever.
const JITTER: f64 = 0.25;
/// Addresses named in one line of the log.
const NAMED_MAX: usize = 8;

/// How fast a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    least: Duration,
    most: Duration,
    backoff_first: Duration,
    backoff_max: Duration,
    /// Whether the source holds its answers back until something has changed.
    is_told: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The source has spoken, and says that there is no server.
    Empty(String),
    /// No answer, or none that can be used: why.
    Failed(String),
    /// These are the servers.
    Servers {
        /// None of them twice, or the first counts.
        servers: Vec<UpstreamServer>,
        /// When to ask again, as the source would have it.
        again_after: Duration,
        /// What part of the source has not answered; what was known of that is among the servers.
        missing: Option<String>,
    },
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// It has answered after it had not, for so long.
    Back(Duration),
    /// Other servers than before.
    Changed {
        /// How many there are.
        count: usize,
        /// Who came.
        added: Vec<Address>,
        /// Who went.
        removed: Vec<Address>,
    },
    /// It gave more than are used.
    Cut(usize),
    /// It says there is none.
    Emptied {
        /// Servers that stay in use.
        kept: usize,
        /// Its words.
        why: String,
    },
    /// It cannot be asked.
    Failing {
        /// Servers that stay in use.
        kept: usize,
        /// Why.
        why: String,
    },
    /// A part of it cannot be asked.
    Partly(String),
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whether [`Course::servers`] are others than before.
    pub changed: bool,
    /// Until the next question.
    pub wait: Duration,
    /// In this order.
    pub say: Vec<Say>,
}

/// How it has gone so far with one source.
#[derive(Clone, Debug, Default)]
pub struct Course {
    servers: Vec<UpstreamServer>,
    has_answered: bool,
    /// Whether there has been no whole answer since these were inherited.
    is_inherited: bool,
    /// Without an answer that was whole, in a row.
    failures: u32,
    trouble: Option<Trouble>,
    was_cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Mono,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Failing,
    Partly,
}

impl Pace {
    /// Of a source that is asked at intervals.
    pub fn of(interval: Duration) -> Self {
        Self {
            least: GAP_MIN.min(interval),
            most: interval,
            backoff_first: BACKOFF_FIRST.min(interval),
            backoff_max: BACKOFF_MAX.min(interval),
            is_told: false,
        }
    }

    /// Of a source that answers when something has changed. `fallback` is for when it does not say how to wait for that.
    pub fn told(fallback: Duration) -> Self {
        Self {
            least: TOLD_GAP_MIN,
            most: fallback,
            backoff_first: BACKOFF_FIRST,
            backoff_max: BACKOFF_MAX,
            is_told: true,
        }
    }
}

impl Course {
    /// The servers of the last answer that had any.
    pub fn servers(&self) -> &[UpstreamServer] {
        &self.servers
    }

    /// Whether there was one.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Goes on from what was answered elsewhere, as if it had been answered here.
    pub fn inherit(&mut self, servers: Vec<UpstreamServer>) {
        // Whoever was answered has told of it.
        let _ = self.replace(servers);
        self.is_inherited = true;
    }

    /// Takes an answer. `draw` is from 0 to 1.
    pub fn take(&mut self, answer: Answer, pace: Pace, now: Mono, draw: f64) -> Step {
        match answer {
            Answer::Empty(why) => self.keep(Kind::Empty, why, pace, now, draw),
            // A list without a server is one that says there is none, however it came about.
            Answer::Servers { servers, .. } if servers.is_empty() => {
                self.keep(Kind::Empty, "its list is empty".to_owned(), pace, now, draw)
            }
            Answer::Failed(why) => self.keep(Kind::Failing, why, pace, now, draw),
            Answer::Servers {
                mut servers,
                again_after,
                missing,
            } => {
                match &missing {
                    // Which of them belong to the part that is missing, only the one who was answered elsewhere knew.
                    Some(_) if self.is_inherited => servers.extend_from_slice(&self.servers),
                    Some(_) => {}
                    None => self.is_inherited = false,
                }
                let mut step = self.replace(servers);
                step.wait = again_after.clamp(pace.least, pace.most);
                match missing {
                    Some(why) => {
                        step.say.extend(self.note_trouble(Kind::Partly, why, now));
                        step.wait = self.backoff(pace, draw).min(step.wait.max(pace.backoff_first));
                    }
                    None => {
                        let back = self.trouble.take().map(|t| Say::Back(now.since(t.since)));
                        step.say.extend(back);
                        self.failures = 0;
                    }
                }
                step
            }
        }
    }

    fn keep(&mut self, kind: Kind, why: String, pace: Pace, now: Mono, draw: f64) -> Step {
        // It has answered, and holds the next answer back until there is an instance: whoever pauses misses that.
        if kind == Kind::Empty && pace.is_told {
            self.failures = 0;
        }
        Step {
            changed: false,
            say: self.note_trouble(kind, why, now).into_iter().collect(),
            wait: self.backoff(pace, draw),
        }
    }

    fn replace(&mut self, given: Vec<UpstreamServer>) -> Step {
        let mut seen = BTreeSet::new();
        let mut servers: Vec<_> = given
            .into_iter()
            .filter(|server| seen.insert(server.address.clone()))
            .collect();
        let count = servers.len();
        let is_cut = count > DISCOVERED_MAX;
        servers.truncate(DISCOVERED_MAX);
        scale(&mut servers);
        let mut say = Vec::new();
        if is_cut && !self.was_cut {
            say.push(Say::Cut(count));
        }
        self.was_cut = is_cut;
        let changed = servers != self.servers;
        if changed {
            say.push(Say::Changed {
                count: servers.len(),
                added: only_in(&servers, &self.servers),
                removed: only_in(&self.servers, &servers),
            });
            self.servers = servers;
        }
        self.has_answered = true;
        Step {
            changed,
            wait: Duration::ZERO,
            say,
        }
    }

    /// Told once for each kind of trouble, not once for each question.
    fn note_trouble(&mut self, kind: Kind, why: String, now: Mono) -> Option<Say> {
        self.failures = self.failures.saturating_add(1);
        let is_news = self.trouble.is_none_or(|before| before.kind != kind);
        let since = self.trouble.map_or(now, |before| before.since);
        self.trouble = Some(Trouble { since, kind });
        let kept = self.servers.len();
        is_news.then_some(match kind {
            Kind::Empty => Say::Emptied { kept, why },
            Kind::Failing => Say::Failing { kept, why },
            Kind::Partly => Say::Partly(why),
        })
    }

    fn backoff(&self, pace: Pace, draw: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let most = match self.has_answered {
            true => pace.backoff_max,
            false => pace.backoff_max.min(BACKOFF_UNANSWERED_MAX),
        };
        let pause = pace.backoff_first.saturating_mul(1 << doublings).min(most);
        pause.mul_f64(1.0 - JITTER * draw.clamp(0.0, 1.0))
    }
}

/// Takes weights down that add up to more than is taken; their ratio stays, as far as whole numbers have it.
fn scale(servers: &mut [UpstreamServer]) {
    let total: u64 = servers.iter().map(|s| u64::from(s.weight.get())).sum();
    let by = u32::try_from(total.div_ceil(WEIGHT_TOTAL_MAX)).unwrap_or(u32::MAX);
    if by > 1 {
        for server in servers {
            server.weight = NonZeroU32::new(server.weight.get() / by).unwrap_or(NonZeroU32::MIN);
        }
    }
}

fn only_in(these: &[UpstreamServer], those: &[UpstreamServer]) -> Vec<Address> {
    let those: BTreeSet<&Address> = those.iter().map(|s| &s.address).collect();
    let these = these.iter().map(|s| &s.address);
    these
        .filter(|address| !those.contains(address))
        .cloned()
        .collect()
}

impl Say {
    /// Whether it is bad news.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Back(_) | Self::Changed { .. } => false,
            Self::Cut(_) | Self::Emptied { .. } | Self::Failing { .. } | Self::Partly(_) => true,
        }
    }
}

/// The end of a line that begins with the source.
impl fmt::Display for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(away) => write!(f, "answers again, after {away:.1?}"),
            Self::Changed {
                count,
                added,
                removed,
            } => {
                write!(f, "has {count} servers now")?;
                named(f, "new", added)?;
                named(f, "gone", removed)
            }
            Self::Cut(given) => write!(
                f,
                "gives {given} servers, and only {DISCOVERED_MAX} are used; the others get no requests"
            ),
            Self::Emptied { kept: 0, why } => write!(f, "has no server: {why}"),
            Self::Emptied { kept, why } => write!(
                f,
                "has no server any more, and the last {kept} stay in use until it has one: {why}"
            ),
            Self::Failing { kept: 0, why } => write!(f, "has not answered yet: {why}"),
            Self::Failing { kept, why } => {
                write!(
                    f,
                    "does not answer, and the last {kept} servers stay in use: {why}"
                )
            }
            Self::Partly(why) => write!(
                f,
                "answers in part, and what was known of the rest stays in use: {why}"
            ),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, word: &str, addresses: &[Address]) -> fmt::Result {
    if addresses.is_empty() {
        return Ok(());
    }
    let shown = addresses.iter().take(NAMED_MAX).map(Address::to_string);
    write!(f, "; {word}: {}", shown.collect::<Vec<_>>().join(", "))?;
    match addresses.len().saturating_sub(NAMED_MAX) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests;
