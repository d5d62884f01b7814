//! `sluice simulate cache`: what a cache of another size would have done with the requests of a log.

mod trial;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use gateway::config;
use gateway::config::plan::KeyRule;
use gateway::kit::units::parse_bytes;
use gateway::reload::environment;
use serde_json::json;

use crate::cli::log::feed::{Feed, Piece};
use crate::cli::log::field::Field;
use crate::cli::log::line::Line;
use crate::cli::log::{read_query, source};
use crate::cli::status::rough_bytes;
use crate::cli::table::{Side, Table};
use crate::cli::{Fault, args, terminal};
use trial::{Outcome, Trial};

/// Smaller is no cache: a part of it could hold no answer of a usual size.
const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Sizes at once: each has its own index in memory.
const SIZES_MAX: usize = 16;

/// What no log can tell.
const UNKNOWN: &str = "\
What the log cannot tell: how long an answer was fresh (here it always is, so these ratios are the best case), by which
headers answers vary, what cookies were sent, and the size of heads. Sizes are as sent, compressed ones too. Each cache
begins empty, and nothing is purged.
";

/// Replays a log, and tells how each size did.
pub fn cache(config: Option<PathBuf>, words: &args::SimulateCache) -> Result<ExitCode, Fault> {
    let sizes = sizes(&words.memory)?;
    let max_object = words.max_object.as_deref().map(size).transpose()?;
    let query = words.query.as_deref().map(read_query).transpose()?;
    let rules = config.map(rules).transpose()?.unwrap_or_default();
    let mut trial = Trial::new(&sizes, max_object, rules);
    let mut fields = Trial::fields();
    if let Some(query) = &query {
        let asked = Field::ALL.iter().filter(|field| query.fields().has(**field));
        fields = asked.fold(fields, |fields, field| fields.with(*field));
    }
    let (mut lines, mut unread) = (0_u64, 0_u64);
    let mut take = |piece: Piece<'_>| {
        lines += 1;
        let line = match piece {
            Piece::Line(text) => Line::read(text, fields),
            Piece::Overlong => None,
        };
        match line {
            None => unread += 1,
            Some(line) if query.as_ref().is_none_or(|query| query.matches(&line)) => trial.take(&line),
            Some(_) => {}
        }
        Ok(())
    };
    let mut file = source::open(&words.log)?;
    let broken = |error| source::unreadable(&words.log.display().to_string(), &error);
    let mut feed = Feed::default();
    while feed.pump(&mut *file, &mut take).map_err(broken)? > 0 {}
    feed.finish(&mut take).map_err(broken)?;
    if trial.counts.requests == 0 {
        return Err(nothing(lines, unread));
    }
    terminal::say(&match words.json {
        true => told_as_json(&trial, unread),
        false => told(&trial, unread),
    })
}

fn nothing(lines: u64, unread: u64) -> Fault {
    if unread == lines && lines > 0 {
        return Fault::failed(
            format!("none of {lines} lines is of an access log in JSON"),
            "the format to write one is [access_log] format = \"json\"",
        );
    }
    Fault::failed(
        format!("none of {lines} lines is a request that a cache could have answered"),
        "it takes GET and HEAD, a status that may be kept, and no bypass",
    )
}

fn sizes(words: &[String]) -> Result<Vec<u64>, Fault> {
    if words.len() > SIZES_MAX {
        let message = format!("{} sizes are too many at once", words.len());
        return Err(Fault::usage(message, format!("name up to {SIZES_MAX}")));
    }
    words.iter().map(|word| size(word)).collect()
}

fn size(word: &str) -> Result<u64, Fault> {
    let help = "write \"256MiB\" or \"1GiB\"";
    let bytes =
        parse_bytes(word).map_err(|_| Fault::usage(format!("\"{word}\" is no size with a unit"), help))?;
    if bytes < MEMORY_BYTES_MIN {
        return Err(Fault::usage(format!("\"{word}\" is less than 1MiB"), help));
    }
    Ok(bytes)
}

/// The key rules of a configuration, by route.
fn rules(path: PathBuf) -> Result<HashMap<String, KeyRule>, Fault> {
    let loaded = config::load(&path, &environment).map_err(Fault::Config)?;
    let rules = loaded.plan.routes.iter();
    let rules = rules.filter_map(|route| Some((route.name.clone(), route.cache.as_ref()?.key.clone())));
    Ok(rules.collect())
}

fn told(trial: &Trial, unread: u64) -> String {
    let counts = trial.counts;
    let mut out = format!(
        "{} requests for {} different answers, {} in all; {} requests that no cache answers were left out\n",
        counts.requests,
        counts.keys,
        rough_bytes(counts.key_bytes),
        counts.not_cacheable
    );
    if counts.without_size > 0 {
        let n = counts.without_size;
        out.push_str(&format!(
            "{n} requests count as misses, as no line before them tells the size of their answer\n"
        ));
    }
    if unread > 0 {
        out.push_str(&format!(
            "{unread} lines are not of an access log in JSON, and passed over\n"
        ));
    }
    let mut table = Table::new([
        ("MEMORY", Side::Right),
        ("HIT RATIO", Side::Right),
        ("OF BYTES", Side::Right),
        ("FROM ORIGIN", Side::Right),
        ("ANSWERS", Side::Right),
        ("IN USE", Side::Right),
        ("EVICTED", Side::Right),
    ]);
    for outcome in trial.outcomes() {
        table.row([
            rough_bytes(outcome.memory_bytes),
            percent(outcome.hits, counts.requests),
            percent(outcome.hit_bytes, counts.bytes),
            rough_bytes(counts.bytes - outcome.hit_bytes),
            outcome.objects.to_string(),
            rough_bytes(outcome.used_bytes),
            outcome.evictions.to_string(),
        ]);
    }
    table.row([
        "everything".to_owned(),
        percent(counts.hits_at_best, counts.requests),
        percent(counts.hit_bytes_at_best, counts.bytes),
        rough_bytes(counts.bytes - counts.hit_bytes_at_best),
        counts.keys.to_string(),
        rough_bytes(counts.key_bytes),
        "0".to_owned(),
    ]);
    out.push('\n');
    out.push_str(&table.text(false));
    out.push('\n');
    out.push_str(UNKNOWN);
    out
}

fn told_as_json(trial: &Trial, unread: u64) -> String {
    let counts = trial.counts;
    let ratio = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let shown = |outcome: &Outcome| {
        json!({
            "memory_bytes": outcome.memory_bytes,
            "hits": outcome.hits,
            "hit_ratio": ratio(outcome.hits, counts.requests),
            "hit_bytes": outcome.hit_bytes,
            "byte_hit_ratio": ratio(outcome.hit_bytes, counts.bytes),
            "objects": outcome.objects,
            "used_bytes": outcome.used_bytes,
            "evictions": outcome.evictions,
        })
    };
    let sizes: Vec<_> = trial.outcomes().iter().map(shown).collect();
    format!(
        "{:#}\n",
        json!({ "log": counts, "unread": unread, "sizes": sizes })
    )
}

/// Cut, not rounded: "100.0 %" means that there was no miss.
fn percent(part: u64, all: u64) -> String {
    let permille = u128::from(part) * 1_000 / u128::from(all.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests;
