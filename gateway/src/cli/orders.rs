//! What a running gateway is told over its admin address.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gateway::config::{self, Problem, Problems};
use gateway::reload::environment;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::cli::client::Answer;
use crate::cli::desk::Desk;
use crate::cli::status::Status;
use crate::cli::{Fault, args, configuration, terminal};

/// What `POST /reload` answers.
#[derive(Deserialize)]
struct Reloaded {
    /// One line per change.
    #[serde(default)]
    text: String,
    #[serde(default)]
    warnings: Problems,
    #[serde(default)]
    problems: Problems,
}

/// `sluice reload`
pub fn reload(config: Option<PathBuf>, words: &args::Desk) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config.clone(), words)?;
    let answer = desk.ask("POST", "/reload", "")?;
    let refused = answer.status == 422;
    if answer.status != 200 && !refused {
        return Err(desk.unexpected(&answer));
    }
    if words.json {
        let told = print(&answer)?;
        return Ok(if refused { ExitCode::from(2) } else { told });
    }
    let reloaded: Reloaded = read(&desk, &answer)?;
    if refused {
        terminal::complain("not reloaded, the configuration before it stays in use", "");
        return Err(Fault::Config(with_own_excerpts(reloaded.problems, config)));
    }
    let warnings = with_own_excerpts(reloaded.warnings, config);
    terminal::tell(&warnings.render(terminal::stderr_has_colour()));
    terminal::say(&told("reloaded", &reloaded.text))
}

/// What was done and what changed by it: one line per change, below each other where they are more than one.
pub fn told(what: &str, changes: &str) -> String {
    let lines: Vec<String> = changes.lines().map(terminal::printable).collect();
    match lines.as_slice() {
        [] => format!("{what}\n"),
        [only] => format!("{what}: {only}\n"),
        more => format!("{what}:\n  {}\n", more.join("\n  ")),
    }
}

/// Problems of the configuration, with its lines where it is to be found.
fn with_own_excerpts(problems: Problems, config: Option<PathBuf>) -> Problems {
    match configuration(config) {
        Ok(path) => with_excerpts(problems, &path),
        Err(_) => problems,
    }
}

/// The gateway shows no lines of a file, which may hold secrets. Who may read the file sees them.
pub fn with_excerpts(mut problems: Problems, file: &Path) -> Problems {
    let known = match config::load(file, &environment) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    let place = |p: &Problem| (p.line, p.column, p.message.clone());
    for problem in &mut problems.0 {
        if let Some(same) = known.0.iter().find(|other| place(other) == place(problem)) {
            problem.excerpt.clone_from(&same.excerpt);
        }
    }
    problems
}

/// `sluice reopen`
pub fn reopen(config: Option<PathBuf>, words: &args::Desk) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config, words)?;
    let answer = desk.ask("POST", "/reopen", "")?;
    done(&desk, &answer, words.json, "the access log is open again\n")
}

/// What `POST /upgrade` answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Upgraded {
    pid: u32,
    version: String,
    problem: String,
}

/// `sluice upgrade`
pub fn upgrade(config: Option<PathBuf>, words: &args::Upgrade) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config.clone(), &words.desk)?;
    if words.if_changed {
        let answer = desk.ask("GET", "/status", "")?;
        if answer.status != 200 {
            return Err(desk.unexpected(&answer));
        }
        let status: Status = read(&desk, &answer)?;
        if !status.upgrade.binary_changed {
            return reload(config, &words.desk);
        }
    }
    let answer = desk.ask_patiently("POST", "/upgrade", "")?;
    match answer.status {
        200 if words.desk.json => print(&answer),
        200 => {
            let Upgraded { pid, version, .. } = read(&desk, &answer)?;
            let version = terminal::printable(&version);
            terminal::say(&format!(
                "upgraded: process {pid} (sluice {version}) serves now\n"
            ))
        }
        // It says whose fault it is.
        409 | 422 | 500 | 501 if words.desk.json => print(&answer).map(|_| ExitCode::FAILURE),
        409 | 422 | 500 | 501 => {
            let Upgraded { problem, .. } = read(&desk, &answer)?;
            let problem = terminal::printable(&problem);
            let help = "the process from before serves on; mend that and try again";
            Err(Fault::failed(format!("not upgraded: {problem}"), help))
        }
        _ => Err(desk.unexpected(&answer)),
    }
}

/// `sluice stop`
pub fn stop(config: Option<PathBuf>, words: &args::Desk) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config, words)?;
    let answer = desk.ask("POST", "/stop", "")?;
    let text = "stopping: no more connections are taken, running requests may end\n";
    done(&desk, &answer, words.json, text)
}

/// `sluice status`
pub fn status(config: Option<PathBuf>, words: &args::Desk) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config.clone(), words)?;
    let answer = desk.ask("GET", "/status", "")?;
    if answer.status != 200 {
        return Err(desk.unexpected(&answer));
    }
    if words.json {
        return print(&answer);
    }
    let mut status: Status = read(&desk, &answer)?;
    let reload = &mut status.config.last_reload;
    reload.problems = with_own_excerpts(std::mem::take(&mut reload.problems), config);
    terminal::say(&status.render(terminal::stdout_has_colour()))
}

/// `sluice server`
pub fn server(config: Option<PathBuf>, words: &args::Server) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config, &words.desk)?;
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (upstream, address) = (&words.upstream, &words.address);
    let path = format!("/upstreams/{}/servers/{}", encoded(upstream), encoded(address));
    let mut wanted = serde_json::Map::new();
    if let Some(state) = words.state {
        wanted.insert("state".to_owned(), state.name().into());
    }
    if let Some(weight) = words.weight {
        wanted.insert("weight".to_owned(), weight.into());
    }
    let answer = desk.ask("POST", &path, &serde_json::Value::Object(wanted).to_string())?;
    let state = words.state.map(|state| format!(" is ordered {}", state.name()));
    let weight = words.weight.map(|weight| format!(" has weight {weight}"));
    let what: Vec<String> = [state, weight].into_iter().flatten().collect();
    let text = format!("{upstream}: {address}{}\n", what.join(" and"));
    done(&desk, &answer, words.desk.json, &text)
}

fn done(desk: &Desk, answer: &Answer, json: bool, text: &str) -> Result<ExitCode, Fault> {
    match answer.status {
        200..=299 if json => print(answer),
        200..=299 => terminal::say(text),
        _ => Err(desk.unexpected(answer)),
    }
}

/// What an answer says.
pub fn read<'a, T: Deserialize<'a>>(desk: &Desk, answer: &'a Answer) -> Result<T, Fault> {
    serde_json::from_slice(&answer.body).map_err(|_| desk.unexpected(answer))
}

/// The answer as it is.
pub fn print(answer: &Answer) -> Result<ExitCode, Fault> {
    terminal::say(&String::from_utf8_lossy(&answer.body))
}
