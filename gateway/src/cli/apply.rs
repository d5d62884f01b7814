//! `sluice apply`: a configuration is put in use, watched, and taken back by the gateway if it does harm.
//!
//! The watch is the gateway's: this command only tells what comes of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use gateway::config::Problems;
use gateway::kit::units::{format_duration, parse_duration};
use gateway::reload::{Condition, GUARD_MAX, GUARD_MIN};
use serde::Deserialize;

use crate::cli::client::Answer;
use crate::cli::desk::Desk;
use crate::cli::orders::{print, read, told, with_excerpts};
use crate::cli::{Fault, args, terminal};

/// Between two looks at what becomes of it; the gateway looks every second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What `POST /apply` answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Applied {
    id: u64,
    text: String,
    warnings: Problems,
    problems: Problems,
}

/// What of `GET /status` tells what has become of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    last_apply: Option<serde_json::Value>,
}

/// Puts it in use and follows it to its end. 0: in use, 1: it has gone, 2: it was not taken.
pub fn apply(config: Option<PathBuf>, words: &args::Apply) -> Result<ExitCode, Fault> {
    let order = order(words)?;
    let desk = Desk::find(config, &words.desk).map_err(Fault::into_usage)?;
    let answer = desk
        .ask("POST", "/apply", &order.to_string())
        .map_err(Fault::into_usage)?;
    match answer.status {
        200 | 202 => {}
        422 if words.desk.json => {
            print(&answer)?;
            return Ok(ExitCode::from(2));
        }
        422 => {
            terminal::complain("not applied, the configuration before it stays in use", "");
            let refused: Applied = read(&desk, &answer)?;
            return Err(Fault::Config(with_excerpts(refused.problems, &words.file)));
        }
        _ => return Err(desk.unexpected(&answer).into_usage()),
    }
    let applied: Applied = read(&desk, &answer)?;
    let warnings = with_excerpts(applied.warnings.clone(), &words.file);
    terminal::tell(&warnings.render(terminal::stderr_has_colour()));
    if answer.status == 200 {
        return match words.desk.json {
            true => print(&answer),
            false => terminal::say(&told("applied", &applied.text)),
        };
    }
    if !words.desk.json {
        terminal::say(&told("in use, and watched", &applied.text))?;
    }
    follow(&desk, applied.id, words.desk.json)
}

fn order(words: &args::Apply) -> Result<serde_json::Value, Fault> {
    let file = std::path::absolute(&words.file);
    let file = file.map_err(|e| Fault::usage(format!("{}: {e}", words.file.display()), ""))?;
    let mut order = serde_json::json!({ "path": file });
    if let Some(text) = &words.guard {
        let range = GUARD_MIN..=GUARD_MAX;
        let window = parse_duration(text).ok().filter(|window| range.contains(window));
        let window = window.ok_or_else(|| {
            let help = format!(
                "write a time from {} to {}, such as 60s",
                format_duration(GUARD_MIN),
                format_duration(GUARD_MAX)
            );
            Fault::usage(format!("\"{text}\" is no time to watch for"), help)
        })?;
        order["guard_ms"] = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).into();
    }
    if let Some(text) = &words.rollback_if {
        let conditions = Condition::parse_all(text).map_err(|what| Fault::usage(what, ""))?;
        order["rollback_if"] = conditions.iter().map(ToString::to_string).collect();
    }
    Ok(order)
}

/// Waits for the end of the watch. The gateway does not need to be asked for it.
fn follow(desk: &Desk, id: u64, json: bool) -> Result<ExitCode, Fault> {
    // Nobody says anything here: it is the waiting that is wanted.
    let (_quiet, pause) = mpsc::channel::<()>();
    loop {
        let asked = desk.ask("GET", "/status", "");
        let answer = asked.map_err(|fault| {
            let help =
                "a gateway that starts anew uses the configuration from before, which is still in its file";
            Fault::failed(format!("the gateway went away while it watched: {fault}"), help)
        })?;
        let last = last_apply(desk, &answer)?;
        let is_it = last["id"] == id;
        if is_it && last["outcome"] == "watching" {
            let _ = pause.recv_timeout(BETWEEN_LOOKS);
            continue;
        }
        if !is_it {
            let help = "the configuration's file tells what is in use; see sluice status";
            return Err(Fault::failed(
                "the gateway has started anew or applied another one since",
                help,
            ));
        }
        let kept = last["outcome"] == "kept";
        if json {
            terminal::say(&format!("{last:#}\n"))?;
            return Ok(if kept {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        return ended(&last, kept);
    }
}

fn ended(last: &serde_json::Value, kept: bool) -> Result<ExitCode, Fault> {
    if kept {
        let requests = last["requests"].as_u64().unwrap_or_default();
        return terminal::say(&match requests {
            0 => "kept, though no request has come to judge it by\n".to_owned(),
            n => format!("kept: {n} requests gave no reason to go back\n"),
        });
    }
    let reason = last["reason"].as_str().unwrap_or("it does not say why");
    Err(match last["outcome"].as_str() {
        Some("rolled_back") => {
            let help = "the configuration before it is in use; this one is kept beside it, as .rejected";
            Fault::failed(format!("rolled back: {reason}"), help)
        }
        _ => Fault::failed(format!("not watched to the end: {reason}"), "see sluice status"),
    })
}

fn last_apply(desk: &Desk, answer: &Answer) -> Result<serde_json::Value, Fault> {
    if answer.status != 200 {
        return Err(desk.unexpected(answer));
    }
    let status: Status = read(desk, answer)?;
    Ok(status.config.last_apply.unwrap_or_default())
}
