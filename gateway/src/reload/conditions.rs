//! When a configuration that was put in use is taken back: what is asked of the counters, and the verdict.
//!
//! Everything here is a function of counters and of the time that has passed; who counts and who goes back is elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::kit::units::{format_duration, parse_duration};
use crate::observe::names::DURATION_BUCKETS;
use crate::observe::{NO_ROUTE, RouteTotals, quantile_s};

/// Fewer requests say nothing of a share or a quantile: 1 of 3 is no third.
pub const REQUESTS_MIN: u64 = 20;
/// Fewer answers of a kind are no multiple of anything: where there were none, the first one would be.
pub const ANSWERS_MIN: u64 = 5;
/// A share below this is no trouble, however much smaller it was before.
pub const SHARE_MIN: f64 = 0.01;
/// A latency below this is no trouble either, in seconds: few notice it, and a busy machine makes it by itself.
pub const LATENCY_MIN_S: f64 = 0.025;
/// What is watched for when nobody says.
pub const DEFAULT: &str = "5xx>2x,p95>3x";
/// More conditions than anybody can think of.
pub const CONDITIONS_MAX: usize = 32;

/// The last bound of the histogram of durations, in seconds: what took longer is not told apart.
const LATENCY_KNOWN_S: f64 = DURATION_BUCKETS[DURATION_BUCKETS.len() - 1];

/// Counters by route.
pub type Routes = BTreeMap<String, RouteTotals>;

/// One of those that make a configuration go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    measure: Measure,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// The share of answers whose status begins with this digit.
    Status(u8),
    /// The time within which so many percent of the requests had ended.
    Latency(u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Of what it was before.
    Times(f64),
    /// 0 to 1.
    Share(f64),
    Time(Duration),
}

/// What becomes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is too early to tell.
    Wait,
    /// It has stood its time.
    Keep,
    /// A condition holds, in words.
    GoBack(String),
}

impl Condition {
    /// Reads conditions separated by commas, such as `5xx>2x, p95>500ms`.
    ///
    /// # Errors
    /// What is wrong with them, for whoever has written them.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let all: Vec<Self> = text.split(',').map(Self::parse).collect::<Result<_, _>>()?;
        match all.len() <= CONDITIONS_MAX {
            true => Ok(all),
            false => Err(format!("more than {CONDITIONS_MAX} conditions")),
        }
    }

    /// Reads one condition.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || {
            format!(
                "\"{text}\" is no condition: write 5xx>2x, 5xx>5%, p95>3x or p99>500ms (also 4xx and p50)"
            )
        };
        let (measure, limit) = text.split_once('>').ok_or_else(wrong)?;
        let measure = match measure.trim() {
            "4xx" => Measure::Status(4),
            "5xx" => Measure::Status(5),
            "p50" => Measure::Latency(50),
            "p95" => Measure::Latency(95),
            "p99" => Measure::Latency(99),
            _ => return Err(wrong()),
        };
        let limit = Limit::parse(limit.trim()).ok_or_else(wrong)?;
        match (measure, limit) {
            (_, Limit::Times(factor)) if factor < 1.0 => Err(format!(
                "\"{text}\": less than before is no trouble; the factor is at least 1"
            )),
            (Measure::Status(_), Limit::Share(share)) if share >= 1.0 => {
                Err(format!("\"{text}\": there is no more than 100 %"))
            }
            (Measure::Latency(_), Limit::Time(time)) if time.as_secs_f64() >= LATENCY_KNOWN_S => Err(
                format!("\"{text}\": what takes {LATENCY_KNOWN_S} s or longer is not told apart; name less"),
            ),
            (_, Limit::Times(_))
            | (Measure::Status(_), Limit::Share(_))
            | (Measure::Latency(_), Limit::Time(_)) => Ok(Self { measure, limit }),
            (Measure::Status(_), Limit::Time(_)) | (Measure::Latency(_), Limit::Share(_)) => Err(wrong()),
        }
    }

    /// What holds of it, in words; None if it does not hold.
    fn holds(&self, subject: &Subject<'_>) -> Option<String> {
        match self.measure {
            Measure::Status(class) => self.share_holds(subject, class),
            Measure::Latency(percent) => self.latency_holds(subject, percent),
        }
    }

    fn share_holds(&self, subject: &Subject<'_>, class: u8) -> Option<String> {
        let now = share(subject.now, class).filter(|_| subject.now.requests() >= REQUESTS_MIN)?;
        // A route without a past of its own is held to what the others were: an error is an error.
        let pasts = [subject.past, subject.whole_past];
        let past = pasts.into_iter().find(|past| past.requests() >= REQUESTS_MIN);
        let before = past.and_then(|past| share(past, class)).unwrap_or(0.0);
        let holds = match self.limit {
            Limit::Times(factor) => {
                let answers = subject.now.statuses[usize::from(class)];
                answers >= ANSWERS_MIN && now >= SHARE_MIN && now > before * factor
            }
            Limit::Share(limit) => now > limit,
            Limit::Time(_) => false,
        };
        holds.then(|| {
            let requests = subject.now.requests();
            format!(
                "{}: {class}xx is {:.1} % of {requests} requests, {:.1} % before ({self})",
                subject.name,
                now * 100.0,
                before * 100.0
            )
        })
    }

    fn latency_holds(&self, subject: &Subject<'_>, percent: u8) -> Option<String> {
        let quantile = |of: &RouteTotals| {
            let measured: u64 = of.durations.iter().sum();
            let quantile = quantile_s(&of.durations, f64::from(percent) / 100.0);
            quantile.filter(|_| measured >= REQUESTS_MIN)
        };
        let now = quantile(subject.now)?;
        // Only a past of its own: a new route may well be slower than the others, and is meant to be.
        let before = quantile(subject.past);
        let holds = match self.limit {
            Limit::Times(factor) => {
                now >= LATENCY_MIN_S && before.is_some_and(|before| now > before * factor)
            }
            Limit::Time(limit) => now > limit.as_secs_f64(),
            Limit::Share(_) => false,
        };
        holds.then(|| {
            let ms = |s: f64| format!("{:.1} ms", s * 1_000.0);
            let before = before.map_or("not known".to_owned(), ms);
            format!(
                "{}: p{percent} is {}, {before} before ({self})",
                subject.name,
                ms(now)
            )
        })
    }
}

impl Limit {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            text.parse::<f64>().ok().filter(|n| is_plain && n.is_finite())
        };
        if let Some(factor) = text.strip_suffix('x') {
            return number(factor).map(Self::Times);
        }
        if let Some(percent) = text.strip_suffix('%') {
            return number(percent.trim_end()).map(|percent| Self::Share(percent / 100.0));
        }
        parse_duration(text).ok().map(Self::Time)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.measure {
            Measure::Status(class) => write!(f, "{class}xx>")?,
            Measure::Latency(percent) => write!(f, "p{percent}>")?,
        }
        match self.limit {
            Limit::Times(factor) => write!(f, "{factor}x"),
            Limit::Share(share) => write!(f, "{}%", share * 100.0),
            Limit::Time(time) => f.write_str(&format_duration(time)),
        }
    }
}

/// A route or all of them together.
struct Subject<'a> {
    name: String,
    now: &'a RouteTotals,
    past: &'a RouteTotals,
    whole_past: &'a RouteTotals,
}

/// What becomes of a configuration that has been in use for `elapsed` of `window`: `before` is what was counted in some
/// time before it, `after` since.
///
/// Each route is compared with its own past, and all together with theirs. A condition counts at any time, and a last
/// time at the end.
pub fn judge(
    before: &Routes,
    after: &Routes,
    conditions: &[Condition],
    elapsed: Duration,
    window: Duration,
) -> Verdict {
    let nothing = RouteTotals::default();
    let whole_past: RouteTotals = before.values().sum();
    let whole: RouteTotals = after.values().sum();
    let routes = after.iter().map(|(name, now)| Subject {
        name: called(name),
        now,
        past: before.get(name).unwrap_or(&nothing),
        whole_past: &whole_past,
    });
    let all = Subject {
        name: "all routes".to_owned(),
        now: &whole,
        past: &whole_past,
        whole_past: &whole_past,
    };
    // The routes first: they say more.
    let mut subjects = routes.chain([all]);
    let reason = subjects.find_map(|subject| conditions.iter().find_map(|c| c.holds(&subject)));
    match reason {
        Some(reason) => Verdict::GoBack(reason),
        None if elapsed >= window => Verdict::Keep,
        None => Verdict::Wait,
    }
}

/// What was counted between two moments, by route.
pub fn grown(then: &Routes, now: &Routes) -> Routes {
    let grown = now.iter().map(|(name, now)| {
        let grown = then.get(name).map_or(*now, |then| now.since(then));
        (name.clone(), grown)
    });
    grown.collect()
}

fn called(route: &str) -> String {
    match route {
        NO_ROUTE => "requests without a route".to_owned(),
        name => format!("route \"{name}\""),
    }
}

/// None of no request.
fn share(of: &RouteTotals, class: u8) -> Option<f64> {
    let requests = of.requests();
    (requests > 0).then(|| of.statuses[usize::from(class)] as f64 / requests as f64)
}

#[cfg(test)]
mod tests;
