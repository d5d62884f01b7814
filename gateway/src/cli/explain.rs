//! `sluice explain`: what the running gateway would do with a request, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::desk::Desk;
use crate::cli::{Fault, args, terminal};

/// Asks the gateway, and tells the walk in a line for each thing found; the verdict comes last.
pub fn explain(config: Option<PathBuf>, words: &args::Explain) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config, &words.desk)?;
    let question = json!({
        "method": words.method,
        "url": words.url,
        "headers": words.headers,
        "from": words.from,
        "listener": words.listener,
    });
    let answer = desk.ask("POST", "/explain", &question.to_string())?;
    let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, told) {
        (200, Some(_)) if words.desk.json => terminal::say(&String::from_utf8_lossy(&answer.body)),
        (200, Some(told)) => terminal::say(&text(&told, terminal::stdout_has_colour())),
        (400, Some(told)) if told["detail"].is_string() => Err(Fault::usage(
            format!("nothing to explain: {}", word(&told["detail"])),
            "see `sluice explain --help`",
        )),
        _ => Err(desk.unexpected(&answer)),
    }
}

/// The rooms in a column, each named once.
fn text(told: &Value, colour: bool) -> String {
    let none = Vec::new();
    let steps = told["steps"].as_array().unwrap_or(&none);
    let rooms = steps.iter().map(|step| word(&step["room"]));
    let width = rooms.map(str::len).chain(["verdict".len()]).max().unwrap_or(0);
    let mut out = String::new();
    let mut last = "";
    for step in steps {
        let room = word(&step["room"]);
        let shown = if room == last { "" } else { room };
        out.push_str(&format!(
            "{shown:width$}  {}\n",
            terminal::printable(word(&step["text"])).replace('\n', " ")
        ));
        last = room;
    }
    let verdict = terminal::printable(&verdict(told));
    let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    out.push_str(&format!("{:width$}  {bold}{verdict}{plain}\n", "verdict"));
    out
}

/// One line: `proxy: route api, 10.0.0.1:8000 of app, cache miss`.
fn verdict(told: &Value) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            facts.push(format!("{name}{value}"));
        }
    };
    fact("", &told["reason"]);
    fact("to ", &told["location"]);
    fact("route ", &told["route"]);
    fact("upstream ", &told["upstream"]);
    fact("server ", &told["server"]);
    fact("cache ", &told["cache"]["state"]);
    let status = told["status"]
        .as_u64()
        .map_or_else(String::new, |status| format!(" {status}"));
    let unsure = match told["assumed"].as_array().map_or(0, Vec::len) {
        0 => "",
        _ => " (if what is taken for granted above holds)",
    };
    let colon = if facts.is_empty() { "" } else { ": " };
    format!(
        "{}{status}{colon}{}{unsure}",
        word(&told["verdict"]),
        facts.join(", ")
    )
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_is_named_once_and_the_verdict_is_the_last_line() {
        let told = json!({
            "verdict": "proxy", "route": "api", "status": null, "reason": null, "location": null,
            "upstream": "app", "server": "10.0.0.1:8000", "assumed": [],
            "cache": { "state": "miss" },
            "steps": [
                { "room": "listen", "text": "by public" },
                { "room": "route", "text": "old does not match" },
                { "room": "route", "text": "api\u{1b}[2J matches" },
            ],
        });
        let expected = "\
listen   by public
route    old does not match
         api\u{fffd}[2J matches
verdict  proxy: route api, upstream app, server 10.0.0.1:8000, cache miss
";
        assert_eq!(text(&told, false), expected);
    }

    #[test]
    fn what_was_taken_for_granted_shows_in_the_verdict() {
        let told =
            json!({ "verdict": "refuse", "status": 401, "reason": "credentials_missing", "assumed": ["x"] });
        let expected =
            "verdict  refuse 401: credentials_missing (if what is taken for granted above holds)\n";
        assert_eq!(text(&told, false), expected);
    }
}
