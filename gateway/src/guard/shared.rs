//! Rate limits that several gateways count together: what is asked of whoever counts, and what the answer means.
//!
//! Whoever counts is behind [`Shared`]; the script it runs in Redis is [`SCRIPT`]. A **single** Redis node is meant:
//! all limits of a request are decided in one call, so that none is charged when one refuses, and the keys of one call
//! would lie on several nodes of a cluster. A cluster says so (`MOVED`, `CROSSSLOT`), and counts as out of order.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::config::plan::{LimitKey, OnRedisError, RateLimit};
use crate::guard::rate::gcra::Pace;

/// GCRA for several keys at once, with Redis's clock: clocks of gateways do not matter. Redis 5 or later.
pub const SCRIPT: &str = include_str!("shared/gcra.lua");

/// What names of keys begin with.
pub const KEY_PREFIX: &str = "sluice:rl:";

/// Whoever counts for several gateways.
pub trait Shared: Send + Sync {
    /// Asks whether all limits admit one more request; if so, all are charged, otherwise none.
    ///
    /// Never blocks. What is returned ends within the deadline of whoever counts, whatever happens to it.
    fn admit(&self, ask: Ask) -> Pending;
}

/// What one request is counted by; at least one limit, none twice.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The limits; answers name them by their index here.
    pub limits: Vec<Asked>,
}

/// One limit of an [`Ask`].
#[derive(Clone, Debug)]
pub struct Asked {
    /// How much is admitted.
    pub limit: Arc<RateLimit>,
    /// Of what.
    pub key: SharedKey,
}

/// What is counted apart, under the same name on every gateway.
///
/// SHA-256, cut to 128 bits. A key often is text that a client writes, and the hash cannot have a secret of the process:
/// with one that is only fast, a client could look for a text that counts as somebody else's and use up their limit.
/// It takes some 200 ns, where the question itself takes a network's round trip. Nor do values (tokens, cookies) stand in
/// Redis for everybody to read; addresses are too few to be hidden by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedKey(pub u128);

/// The part of a request that a limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The client's address, whatever the limit would rather count by. IPv6 counts by /64.
    Address(IpAddr),
    /// Nothing: all requests together.
    Everything,
    /// A field's, cookie's or claim's value, or a route's name.
    Value(&'a [u8]),
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All limits admit and are charged. How they stand now, in the order of the question.
    Admitted(Vec<Left>),
    /// At least one refuses, none is charged.
    Refused {
        /// The index of the one that refuses longest.
        limit: usize,
        /// Until then all would admit, if nobody else asked.
        retry_after: Duration,
        /// How they stand, in the order of the question.
        left: Vec<Left>,
    },
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests that would be admitted at once.
    pub remaining: u32,
    /// Until it is one more; nothing where all of the burst is there.
    pub reset: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedFault {
    /// Redis has refused to run the script.
    Failed,
    /// Redis has answered something that the script never says.
    Garbled,
    /// No answer within the deadline. It may have been counted.
    Late,
    /// Nobody was asked: there is no connection, or answers were late several times in a row.
    Unavailable,
}

impl fmt::Display for SharedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "redis has refused to count",
            Self::Garbled => "redis has answered something else than was asked",
            Self::Late => "redis has not answered in time",
            Self::Unavailable => "redis is not there",
        })
    }
}

impl std::error::Error for SharedFault {}

/// An answer that is on its way. Dropping it loses nothing but the answer.
pub struct Pending(Way);

enum Way {
    /// `None` = it was handed out.
    Known(Option<Result<Answer, SharedFault>>),
    Open(Pin<Box<dyn Future<Output = Result<Answer, SharedFault>> + Send>>),
}

impl Pending {
    /// An answer that is known already.
    pub fn known(answer: Result<Answer, SharedFault>) -> Self {
        Self(Way::Known(Some(answer)))
    }

    /// The answer that `future` will find.
    pub fn of(future: impl Future<Output = Result<Answer, SharedFault>> + Send + 'static) -> Self {
        Self(Way::Open(Box::pin(future)))
    }
}

impl Future for Pending {
    type Output = Result<Answer, SharedFault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Way::Known(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Way::Open(future) => future.as_mut().poll(cx),
        }
    }
}

impl SharedKey {
    /// The key of `part` in a limit.
    ///
    /// Limits with another name or of another kind never share a count; neither do an address and a value that reads
    /// like one.
    pub fn of(limit: &RateLimit, part: Part<'_>) -> Self {
        let (kind, name): (u8, &str) = match &limit.key {
            LimitKey::ClientIp => (0, ""),
            LimitKey::Cookie(name) => (1, name),
            LimitKey::Global => (2, ""),
            LimitKey::Header(name) => (3, name),
            LimitKey::JwtClaim(name) => (4, name),
            LimitKey::Route => (5, ""),
        };
        let mut text = Vec::with_capacity(128);
        text.push(kind);
        push_sized(&mut text, limit.name.as_bytes());
        push_sized(&mut text, name.as_bytes());
        push_part(&mut text, part);
        let hash = digest(&SHA256, &text);
        let (half, _) = hash
            .as_ref()
            .split_first_chunk()
            .expect("SHA-256 has more than 16 bytes");
        Self(u128::from_be_bytes(*half))
    }
}

/// With its length before it: no two sequences of texts become the same bytes.
fn push_sized(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    to.extend_from_slice(bytes);
}

fn push_part(to: &mut Vec<u8>, part: Part<'_>) {
    match part {
        Part::Address(address) => match address.to_canonical() {
            IpAddr::V4(address) => {
                to.push(4);
                to.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                to.push(6);
                // Whoever has one address of a /64 has all of them.
                to.extend_from_slice(&address.octets()[..8]);
            }
        },
        Part::Everything => to.push(0),
        Part::Value(value) => {
            to.push(1);
            to.extend_from_slice(value);
        }
    }
}

impl Asked {
    /// Its name in Redis: `sluice:rl:LIMIT:HEX`.
    pub fn key_name(&self) -> String {
        format!("{KEY_PREFIX}{}:{:032x}", self.limit.name, self.key.0)
    }

    /// Between two requests at the limit's rate, in whole ns: what a request costs, here as where one gateway counts alone.
    pub fn interval_ns(&self) -> u64 {
        Pace::of(&self.limit).interval_ns()
    }

    /// Requests admitted at once after a pause.
    pub fn burst(&self) -> u64 {
        Pace::of(&self.limit).burst().into()
    }

    fn left(&self, ahead_ns: u64) -> Left {
        let pace = Pace::of(&self.limit);
        let free_ns = pace.debt_ns_max().saturating_sub(ahead_ns);
        let (remaining, spare_ns) = (free_ns / pace.interval_ns(), free_ns % pace.interval_ns());
        // More may be owed than can be spent: where another gateway still has a larger burst.
        let over_ns = ahead_ns.saturating_sub(pace.debt_ns_max());
        let reset_ns = match ahead_ns {
            0 => 0,
            _ => pace.interval_ns() - spare_ns + over_ns,
        };
        Left {
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(reset_ns),
        }
    }
}

impl Ask {
    /// The script's KEYS.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.limits.iter().map(Asked::key_name)
    }

    /// The script's ARGV.
    pub fn arguments(&self) -> impl Iterator<Item = u64> {
        self.limits
            .iter()
            .flat_map(|asked| [asked.interval_ns(), asked.burst()])
    }

    /// What the script's numbers mean; [`SharedFault::Garbled`] if it cannot have said them to this question.
    pub fn read(&self, numbers: &[i64]) -> Result<Answer, SharedFault> {
        let known = |n: &i64| u64::try_from(*n).map_err(|_| SharedFault::Garbled);
        let numbers = numbers.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let [refusing, wait_ns, aheads @ ..] = numbers.as_slice() else {
            return Err(SharedFault::Garbled);
        };
        if aheads.len() != self.limits.len() {
            return Err(SharedFault::Garbled);
        }
        let pairs = self.limits.iter().zip(aheads);
        let left: Vec<_> = pairs.map(|(asked, ahead)| asked.left(*ahead)).collect();
        let refusing = usize::try_from(*refusing).map_err(|_| SharedFault::Garbled)?;
        match refusing.checked_sub(1) {
            None if *wait_ns == 0 => Ok(Answer::Admitted(left)),
            Some(limit) if limit < left.len() && *wait_ns > 0 => Ok(Answer::Refused {
                limit,
                retry_after: Duration::from_nanos(*wait_ns),
                left,
            }),
            None | Some(_) => Err(SharedFault::Garbled),
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It was counted for all gateways: this holds, whatever this gateway alone has counted.
    Counted(Answer),
    /// Nobody is admitted now, by the limit with this index.
    Closed {
        /// Index into the question.
        limit: usize,
    },
    /// This gateway's own count holds, for those limits that are [`OnRedisError::Local`]. The others admit.
    Local,
    /// Everybody is admitted.
    Open,
}

/// What holds, by the limits' own words for the case that there is no answer; `policies` in the order of the question.
///
/// Limits that are [`OnRedisError::Local`] are to be charged in this gateway's own table with every request, answered or
/// not: were they charged only while Redis is away, everybody would begin anew with a full burst. (A request that is
/// refused in the end gets back what it was charged there.)
pub fn rule(policies: impl IntoIterator<Item = OnRedisError>, answer: Result<Answer, SharedFault>) -> Ruling {
    let fault_ruling = || {
        let mut ruling = Ruling::Open;
        for (limit, policy) in policies.into_iter().enumerate() {
            match policy {
                OnRedisError::Closed => return Ruling::Closed { limit },
                OnRedisError::Local => ruling = Ruling::Local,
                OnRedisError::Open => {}
            }
        }
        ruling
    };
    answer.map_or_else(|_| fault_ruling(), Ruling::Counted)
}

#[cfg(test)]
mod tests;
