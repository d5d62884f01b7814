//! `sluice status`: what the gateway answers to GET /status, as a table for people.

use std::collections::BTreeMap;

use gateway::config::Problems;
use serde::Deserialize;

use crate::cli::terminal::printable;

/// What is shown of it. Fields that another version lacks are left at nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    version: String,
    draining: bool,
    /// The configuration in use.
    pub config: Config,
    listeners: Vec<Listener>,
    upstreams: BTreeMap<String, Upstream>,
}

/// The configuration in use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    path: String,
    loaded_at: String,
    /// How the last reload went.
    pub last_reload: LastReload,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    address: String,
    state: String,
    weight: u64,
    backup: bool,
    in_flight: u64,
    requests: u64,
    failures: u64,
    latency_ms: Option<f64>,
}

impl Status {
    /// The text for people.
    pub fn render(&self, colour: bool) -> String {
        let Config {
            path,
            loaded_at,
            last_reload,
        } = &self.config;
        let draining = if self.draining { ", draining" } else { "" };
        let mut out = format!(
            "sluice {}{draining}\nserves by {path}, in use since {loaded_at}\n",
            self.version
        );
        out = printable(&out);
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
        if !self.upstreams.is_empty() {
            out.push('\n');
            out.push_str(&servers(&self.upstreams).text(colour));
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
        ("WEIGHT", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("REQUESTS", Side::Right),
        ("FAILURES", Side::Right),
        ("LATENCY", Side::Right),
    ]);
    for (name, upstream) in upstreams {
        for server in &upstream.servers {
            let backup = if server.backup { " (backup)" } else { "" };
            table.row([
                name.clone(),
                format!("{}{backup}", server.address),
                server.state.clone(),
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

/// To which side a column's cells are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Columns as wide as their widest cell.
struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(heads: [(&str, Side); N]) -> Self {
        Self {
            sides: heads.iter().map(|(_, side)| *side).collect(),
            rows: vec![heads.iter().map(|(head, _)| (*head).to_owned()).collect()],
        }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    fn text(&self, colour: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, side), width) in row.iter().zip(&self.sides).zip(&widths) {
                let fill = " ".repeat(width - cell.chars().count());
                let cell = painted(cell, colour);
                match side {
                    Side::Left => line.push_str(&format!("{cell}{fill}  ")),
                    Side::Right => line.push_str(&format!("{fill}{cell}  ")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// The words for a server's state in the colours of a traffic light.
fn painted(cell: &str, colour: bool) -> String {
    let style = match cell {
        "up" => "32",
        "drain" | "off" => "33",
        "down" | "ejected" => "1;31",
        _ => return cell.to_owned(),
    };
    if colour {
        format!("\x1b[{style}m{cell}\x1b[0m")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "version": "0.1.0", "draining": false, "unknown": 1,
        "config": { "path": "a.toml", "hash": "x", "loaded_at": "T1", "last_reload": { "at": "T2", "ok": true, "problems": [] } },
        "listeners": [ { "name": "public", "address": "127.0.0.1:8080", "connections": 3, "idle": 12 } ],
        "upstreams": { "app": { "servers": [
            { "address": "10.0.0.1:8000", "state": "up", "weight": 3, "backup": false, "in_flight": 2, "requests": 1024, "failures": 0, "latency_ms": 1.25 },
            { "address": "b:80", "state": "down", "weight": 1, "backup": true, "in_flight": 0, "requests": 0, "failures": 7, "latency_ms": null } ] } } }"#;

    #[test]
    fn the_table_is_aligned() {
        let status: Status = serde_json::from_str(JSON).unwrap();
        let expected = "\
sluice 0.1.0
serves by a.toml, in use since T1

LISTENER                 CONNECTIONS  IDLE
127.0.0.1:8080 (public)            3    12

UPSTREAM  SERVER         STATE  WEIGHT  IN FLIGHT  REQUESTS  FAILURES  LATENCY
app       10.0.0.1:8000  up          3          2      1024         0   1.2 ms
app       b:80 (backup)  down        1          0         0         7        -
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
