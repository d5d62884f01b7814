//! `sluice status`: what the gateway answers to GET /status, as a table for people.

mod applied;
mod certificates;

use std::collections::BTreeMap;

use gateway::config::Problems;
use serde::Deserialize;

use self::applied::LastApply;
use self::certificates::Certificate;
use crate::cli::table::{Side, Table};
use crate::cli::terminal::printable;

/// What is shown of it. Fields that another version lacks are left at nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    version: String,
    draining: bool,
    /// The configuration in use.
    pub config: Config,
    /// Of the binary.
    pub upgrade: Upgrade,
    listeners: Vec<Listener>,
    certificates: BTreeMap<String, Certificate>,
    upstreams: BTreeMap<String, Upstream>,
    caches: BTreeMap<String, Cache>,
}

/// The configuration in use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    path: String,
    loaded_at: String,
    /// How the last reload went.
    pub last_reload: LastReload,
    /// None as long as nothing was applied.
    last_apply: Option<LastApply>,
}

/// Of the binary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Upgrade {
    under_way: bool,
    /// Whether its file is another one than the process was started from.
    pub binary_changed: bool,
    last: Option<LastUpgrade>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LastUpgrade {
    at: String,
    ok: bool,
    problem: Option<String>,
}

impl Upgrade {
    fn lines(&self) -> String {
        let mut out = String::new();
        if self.under_way {
            out.push_str("an upgrade is under way\n");
        } else if self.binary_changed {
            out.push_str("the binary is another one than this process was started from: sluice upgrade\n");
        }
        let problem = self.last.as_ref().filter(|last| !last.ok);
        if let Some(LastUpgrade { at, problem, .. }) = problem {
            let problem = problem.as_deref().unwrap_or_default();
            out.push_str(&format!("the upgrade at {at} came to nothing:\n{problem}\n"));
        }
        printable(&out)
    }
}

/// How the last reload went.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LastReload {
    at: String,
    ok: bool,
    /// Errors if it failed, warnings if not.
    pub problems: Problems,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listener {
    name: Option<String>,
    address: String,
    connections: u64,
    idle: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Upstream {
    servers: Vec<Server>,
    /// None where nobody is asked for servers.
    discovery: Option<Discovery>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Discovery {
    source: String,
    state: String,
    fault: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    address: String,
    state: String,
    /// Empty from a gateway that has none.
    breaker: String,
    weight: u64,
    backup: bool,
    in_flight: u64,
    requests: u64,
    failures: u64,
    latency_ms: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cache {
    objects: u64,
    hits: u64,
    misses: u64,
    /// Answers given beyond their time.
    stale: u64,
    memory_bytes: u64,
    memory_limit_bytes: u64,
    disk_bytes: u64,
    disk_limit_bytes: u64,
    /// Why the disk is out of use.
    disk_fault: Option<String>,
}

impl Status {
    /// The text for people.
    pub fn render(&self, colour: bool) -> String {
        let Config {
            path,
            loaded_at,
            last_reload,
            last_apply,
        } = &self.config;
        let draining = if self.draining { ", draining" } else { "" };
        let mut out = format!(
            "sluice {}{draining}\nserves by {path}, in use since {loaded_at}\n",
            self.version
        );
        out = printable(&out) + &self.upgrade.lines();
        out.push_str(&last_apply.as_ref().map(LastApply::line).unwrap_or_default());
        if !last_reload.ok {
            let at = printable(&last_reload.at);
            out.push_str(&format!("the reload at {at} was refused:\n"));
        }
        if !last_reload.problems.0.is_empty() {
            out.push('\n');
            out.push_str(&last_reload.problems.render(colour));
        }
        out.push('\n');
        out.push_str(&listeners(&self.listeners).text(colour));
        if !self.certificates.is_empty() {
            out.push('\n');
            out.push_str(&certificates::table(&self.certificates).text(colour));
            out.push_str(&faults(certificates::faults(&self.certificates), colour));
        }
        if !self.upstreams.is_empty() {
            out.push('\n');
            out.push_str(&servers(&self.upstreams).text(colour));
            out.push_str(&faults(discovery_faults(&self.upstreams), colour));
        }
        if !self.caches.is_empty() {
            out.push('\n');
            out.push_str(&caches(&self.caches).text(colour));
            out.push_str(&faults(disk_faults(&self.caches), colour));
        }
        out
    }
}

fn listeners(listeners: &[Listener]) -> Table {
    let mut table = Table::new([
        ("LISTENER", Side::Left),
        ("CONNECTIONS", Side::Right),
        ("IDLE", Side::Right),
    ]);
    for listener in listeners {
        let name = listener
            .name
            .as_ref()
            .map_or(String::new(), |n| format!(" ({n})"));
        table.row([
            format!("{}{name}", listener.address),
            listener.connections.to_string(),
            listener.idle.to_string(),
        ]);
    }
    table
}

fn servers(upstreams: &BTreeMap<String, Upstream>) -> Table {
    let mut table = Table::new([
        ("UPSTREAM", Side::Left),
        ("SERVER", Side::Left),
        ("STATE", Side::Left),
        ("BREAKER", Side::Left),
        ("WEIGHT", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("REQUESTS", Side::Right),
        ("FAILURES", Side::Right),
        ("LATENCY", Side::Right),
    ]);
    for (name, upstream) in upstreams {
        if upstream.servers.is_empty() {
            // Else an upstream that refuses every request would be the one that nobody sees.
            let state = upstream.discovery.as_ref().map_or("-", |d| &d.state);
            let mut row = [""; 9].map(|_| "-".to_owned());
            (row[0], row[1], row[2]) = (name.clone(), "none".to_owned(), state.to_owned());
            table.row(row);
        }
        for server in &upstream.servers {
            let backup = if server.backup { " (backup)" } else { "" };
            table.row([
                name.clone(),
                format!("{}{backup}", server.address),
                server.state.clone(),
                match server.breaker.as_str() {
                    "" => "-".to_owned(),
                    "half_open" => "half-open".to_owned(),
                    word => word.to_owned(),
                },
                server.weight.to_string(),
                server.in_flight.to_string(),
                server.requests.to_string(),
                server.failures.to_string(),
                server
                    .latency_ms
                    .map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
            ]);
        }
    }
    table
}

fn caches(caches: &BTreeMap<String, Cache>) -> Table {
    let mut table = Table::new([
        ("CACHE", Side::Left),
        ("OBJECTS", Side::Right),
        ("HIT RATIO", Side::Right),
        ("HITS", Side::Right),
        ("MISSES", Side::Right),
        ("STALE", Side::Right),
        ("MEMORY", Side::Right),
        ("DISK", Side::Right),
    ]);
    for (name, cache) in caches {
        table.row([
            name.clone(),
            cache.objects.to_string(),
            ratio(cache.hits, cache.misses),
            cache.hits.to_string(),
            cache.misses.to_string(),
            cache.stale.to_string(),
            used(cache.memory_bytes, cache.memory_limit_bytes),
            used(cache.disk_bytes, cache.disk_limit_bytes),
        ]);
    }
    table
}

/// Of a hundred requests, how many were answered from the cache; "-" before the first.
fn ratio(hits: u64, misses: u64) -> String {
    let all = u128::from(hits) + u128::from(misses);
    match all {
        0 => "-".to_owned(),
        // Cut, not rounded: "100.0 %" means that there was no miss.
        all => {
            let permille = u128::from(hits) * 1_000 / all;
            format!("{}.{} %", permille / 10, permille % 10)
        }
    }
}

/// "12.5 of 64 MiB" would leave the reader to guess: each has its unit. "-" where there is nothing to use.
fn used(bytes: u64, limit_bytes: u64) -> String {
    match (bytes, limit_bytes) {
        (0, 0) => "-".to_owned(),
        (bytes, 0) => rough_bytes(bytes),
        (bytes, limit) => format!("{} of {}", rough_bytes(bytes), rough_bytes(limit)),
    }
}

/// In the largest unit that leaves a whole part, with one digit behind the point unless that is a zero.
pub fn rough_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        digit => format!("{}.{digit} {unit}", tenths / 10),
    }
}

/// Caches whose disk is out of use.
fn disk_faults(caches: &BTreeMap<String, Cache>) -> impl Iterator<Item = (&String, String)> {
    caches.iter().filter_map(|(name, cache)| {
        let fault = cache.disk_fault.as_ref()?;
        Some((name, format!("the disk is out of use: {fault}")))
    })
}

/// Upstreams whose source does not say which servers there are.
fn discovery_faults(upstreams: &BTreeMap<String, Upstream>) -> impl Iterator<Item = (&String, String)> {
    upstreams.iter().filter_map(|(name, upstream)| {
        let Discovery { source, fault, .. } = upstream.discovery.as_ref()?;
        Some((
            name,
            format!(
                "{source} does not say which servers there are: {}",
                fault.as_ref()?
            ),
        ))
    })
}

/// A line each: of what, and what is wrong.
fn faults<'a>(faults: impl Iterator<Item = (&'a String, String)>, colour: bool) -> String {
    let [red, plain] = if colour {
        ["\x1b[1;31m", "\x1b[0m"]
    } else {
        [""; 2]
    };
    let line = |(name, fault): (&String, String)| {
        let (name, fault) = (printable(name), printable(&fault.replace('\n', " ")));
        format!("{red}{name}: {fault}{plain}\n")
    };
    faults.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "version": "0.1.0", "draining": false, "unknown": 1,
        "config": { "path": "a.toml", "hash": "x", "loaded_at": "T1", "last_reload": { "at": "T2", "ok": true, "problems": [] } },
        "listeners": [ { "name": "public", "address": "127.0.0.1:8080", "connections": 3, "idle": 12 } ],
        "upstreams": { "app": { "servers": [
            { "address": "10.0.0.1:8000", "state": "up", "breaker": "half_open", "weight": 3, "backup": false, "in_flight": 2, "requests": 1024, "failures": 0, "latency_ms": 1.25 },
            { "address": "b:80", "state": "down", "weight": 1, "backup": true, "in_flight": 0, "requests": 0, "failures": 7, "latency_ms": null } ] } } }"#;

    #[test]
    fn the_table_is_aligned() {
        let status: Status = serde_json::from_str(JSON).unwrap();
        let expected = "\
sluice 0.1.0
serves by a.toml, in use since T1

LISTENER                 CONNECTIONS  IDLE
127.0.0.1:8080 (public)            3    12

UPSTREAM  SERVER         STATE  BREAKER    WEIGHT  IN FLIGHT  REQUESTS  FAILURES  LATENCY
app       10.0.0.1:8000  up     half-open       3          2      1024         0   1.2 ms
app       b:80 (backup)  down   -               1          0         0         7        -
";
        assert_eq!(status.render(false), expected);
    }

    #[test]
    fn colour_does_not_move_a_column() {
        let status: Status = serde_json::from_str(JSON).unwrap();
        let coloured = status.render(true);
        assert!(coloured.contains("\x1b[32mup\x1b[0m"));
        let escapes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        assert_eq!(escapes.replace_all(&coloured, ""), status.render(false));
    }

    #[test]
    fn an_upstream_without_a_server_has_a_row_and_a_source_that_fails_a_line() {
        let status: Status = serde_json::from_str(
            r#"{ "upstreams": {
                "app": { "servers": [], "discovery": { "source": "dns app.internal:80", "state": "waiting", "fault": "no\nanswer" } },
                "new": { "servers": [] } } }"#,
        )
        .unwrap();
        let text = status.render(false);
        let expected = "\
UPSTREAM  SERVER  STATE    BREAKER  WEIGHT  IN FLIGHT  REQUESTS  FAILURES  LATENCY
app       none    waiting  -             -          -         -         -        -
new       none    -        -             -          -         -         -        -
app: dns app.internal:80 does not say which servers there are: no answer
";
        assert!(text.ends_with(expected), "{text}");
    }

    fn with_caches(caches: &str) -> String {
        let status: Status = serde_json::from_str(&format!(r#"{{ "caches": {caches} }}"#)).unwrap();
        let text = status.render(false);
        text.split_once("CACHE").unwrap().1.to_owned()
    }

    #[test]
    fn caches_are_shown_with_what_they_use_of_what_they_may() {
        let text = with_caches(
            r#"{ "edge": { "memory_bytes": 13107200, "memory_limit_bytes": 67108864, "disk_bytes": 0, "disk_limit_bytes": 0,
                    "objects": 1200, "hits": 1999, "misses": 1, "stale": 3, "disk_fault": null },
                 "media": { "memory_bytes": 1023, "memory_limit_bytes": 1048576, "disk_bytes": 10200547328,
                    "disk_limit_bytes": 10737418240, "objects": 7, "hits": 0, "misses": 9,
                    "disk_fault": "/var/cache: No space\nleft" },
                 "new": {} }"#,
        );
        let expected = "  OBJECTS  HIT RATIO  HITS  MISSES  STALE              MEMORY               DISK
edge      1200     99.9 %  1999       1      3  12.5 MiB of 64 MiB                  -
media        7      0.0 %     0       9      0     1023 B of 1 MiB  9.5 GiB of 10 GiB
new          0          -     0       0      0                   -                  -
media: the disk is out of use: /var/cache: No space left
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_an_older_gateway_does_not_tell_of_its_caches_is_left_open() {
        let text = with_caches(
            r#"{ "edge": { "memory_bytes": 2048, "disk_bytes": 5, "objects": 1, "hits": 1, "misses": 2 } }"#,
        );
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row.join(" "), "edge 1 33.3 % 1 2 0 2 KiB 5 B");
    }

    #[test]
    fn a_cache_cannot_command_the_terminal() {
        let text = with_caches(r#"{ "\u001b[2J": { "disk_fault": "a\u001b]0;x\u0007" } }"#);
        assert!(!text.contains(['\x1b', '\x07']));
    }

    #[test]
    fn no_count_is_too_large_to_be_shown() {
        assert_eq!(ratio(u64::MAX, u64::MAX), "50.0 %");
        assert_eq!(ratio(u64::MAX, 0), "100.0 %");
        assert_eq!(rough_bytes(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn a_refused_reload_is_told_with_its_problems() {
        let mut status: Status = serde_json::from_str(JSON).unwrap();
        status.config.last_reload = serde_json::from_str(
            r#"{ "at": "T2", "ok": false, "problems": [
                { "severity": "error", "file": "a.toml", "line": 3, "column": 1, "path": "", "message": "no", "help": null } ] }"#,
        )
        .unwrap();
        let text = status.render(false);
        assert!(
            text.contains("the reload at T2 was refused:\n\na.toml:3:1: error: no\n"),
            "{text}"
        );
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let text = r#"{ "upstreams": { "\u001b[2J": { "servers": [ { "address": "a\u0007" } ] } } }"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert!(!status.render(false).contains(['\x1b', '\x07']));
    }
}
