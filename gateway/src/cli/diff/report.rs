//! What `sluice diff` has found, for people and for scripts.

use std::path::Path;

use gateway::config::Changes;
use serde_json::{Value, json};

use super::profile::{Difference, Kind};
use super::replay::{Group, Replay, sums};
use crate::cli::terminal::printable;

/// All of it.
pub struct Report<'c> {
    /// What a reload would change.
    pub changes: &'c Changes,
    /// What comes of the log, if one was replayed.
    pub replayed: Option<Replayed>,
}

/// What comes of a log.
pub struct Replayed {
    log: String,
    requests: u64,
    unjudged: u64,
    unread: u64,
    elsewhere: u64,
    unlogged: Vec<String>,
    groups: Vec<Group>,
}

impl Replayed {
    /// Of a log of which so many lines were not read, and without the routes that are not logged.
    pub fn of(replay: &Replay<'_>, log: &Path, unread: u64, unlogged: Vec<&str>) -> Self {
        Self {
            log: log.display().to_string(),
            requests: replay.requests,
            unjudged: replay.unjudged,
            unread,
            elsewhere: replay.elsewhere,
            unlogged: unlogged.into_iter().map(str::to_owned).collect(),
            groups: replay.groups(),
        }
    }

    /// Requests that would be served differently: another route that does the same is none.
    fn moved(&self) -> u64 {
        let different = self.groups.iter().filter(|g| !g.differences.is_empty());
        different.map(|g| g.requests).sum()
    }

    fn text(&self, colour: bool) -> String {
        let (log, all, moved) = (&self.log, self.requests, self.moved());
        let mut out = format!(
            "{moved} of {all} requests of {log} ({}) would be served differently\n",
            percent(moved, all)
        );
        for (kind, requests) in sums(&self.groups) {
            let of = percent(requests, all);
            out.push_str(&format!("  {:12} {requests} ({of})\n", words(kind)));
        }
        for group in &self.groups {
            out.push_str(&told(group, all, colour));
        }
        out.push_str(
            "\nThe log has no headers and no listener: each request is given those its route asks for.\n",
        );
        if self.elsewhere > 0 {
            out.push_str(&format!(
                "{} requests took another route than OLD gives them; they are judged by OLD. Was it in use then?\n",
                self.elsewhere
            ));
        }
        if self.unjudged + self.unread > 0 {
            out.push_str(&format!(
                "Passed over: {} requests that could not be routed, {} lines that are not of an access log in JSON.\n",
                self.unjudged, self.unread
            ));
        }
        if !self.unlogged.is_empty() {
            let names = self.unlogged.join(", ");
            out.push_str(&format!("Not in the log, as access_log = false: {names}.\n"));
        }
        out
    }

    fn json(&self) -> Value {
        let groups = self.groups.iter().map(|group| {
            json!({
                "old": group.old, "new": group.new, "kind": group.kind(), "differences": group.differences,
                "requests": group.requests, "examples": group.examples,
            })
        });
        let sums: serde_json::Map<String, Value> = sums(&self.groups)
            .into_iter()
            .map(|(kind, requests)| (words(kind).to_owned(), requests.into()))
            .collect();
        json!({
            "log": self.log, "requests": self.requests, "different": self.moved(), "kinds": sums,
            "unjudged": self.unjudged, "unread": self.unread, "other_route_than_old": self.elsewhere,
            "unlogged_routes": self.unlogged, "groups": groups.collect::<Vec<_>>(),
        })
    }
}

impl Report<'_> {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.replayed.as_ref().is_none_or(|r| r.groups.is_empty())
    }

    /// For people.
    pub fn text(&self, colour: bool) -> String {
        let mut out = printable(&self.changes.to_string());
        if let Some(replayed) = &self.replayed {
            out.push('\n');
            out.push_str(&replayed.text(colour));
        }
        out
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let text = self.changes.to_string();
        json!({
            "different": !self.is_empty(),
            "changes": self.changes,
            "text": text,
            "replay": self.replayed.as_ref().map(Replayed::json),
        })
    }
}

fn told(group: &Group, all: u64, colour: bool) -> String {
    let name = match group.old == group.new {
        true => format!("route {}", group.old),
        false => format!("{} → {}", group.old, group.new),
    };
    let mut out = format!(
        "\n{}: {} requests ({})\n",
        printable(&name),
        group.requests,
        percent(group.requests, all)
    );
    if group.differences.is_empty() {
        out.push_str("  the same under another name\n");
    }
    for difference in &group.differences {
        out.push_str(&format!("  {}\n", line(difference, colour)));
    }
    for example in &group.examples {
        out.push_str(&format!("    {}\n", printable(example)));
    }
    out
}

/// What is lost is marked with a minus, what is gained with a plus.
fn line(difference: &Difference, colour: bool) -> String {
    let [red, plain] = match difference.kind {
        Kind::Access | Kind::Served if colour => ["\x1b[1;31m", "\x1b[0m"],
        _ => [""; 2],
    };
    let Difference { key, old, new, .. } = difference;
    let text = match (old, new) {
        (Some(old), Some(new)) => format!("~ {key}: {old} → {new}"),
        (Some(old), None) if difference.kind == Kind::Served => format!("+ {key}: {old} → served"),
        (None, Some(new)) if difference.kind == Kind::Served => format!("- {key}: served → {new}"),
        (Some(old), None) => format!("- {key}: {old} → none"),
        (None, Some(new)) => format!("+ {key}: none → {new}"),
        (None, None) => key.clone(),
    };
    format!("{red}{}{plain}", printable(&text))
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Access => "access",
        Kind::Served => "served",
        Kind::Cache => "cache",
        Kind::Limits => "limits",
        Kind::Destination => "destination",
        Kind::Other => "other",
    }
}

/// Cut to a tenth, but never to nothing.
fn percent(part: u64, all: u64) -> String {
    match u128::from(part) * 1_000 / u128::from(all.max(1)) {
        0 if part > 0 => "< 0.1 %".to_owned(),
        permille => format!("{}.{} %", permille / 10, permille % 10),
    }
}
