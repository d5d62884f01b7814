//! `sluice diff`: what a reload would change, and which logged requests would be served differently.

mod profile;
mod replay;
mod report;

use std::path::Path;
use std::process::ExitCode;

use gateway::config::{self, Changes, Plan, Problems};
use gateway::reload::environment;

use crate::cli::log::feed::{Feed, Piece};
use crate::cli::log::line::Line;
use crate::cli::log::source;
use crate::cli::{Fault, args, terminal};
use replay::Replay;
use report::Report;

/// Compares, and replays if it was asked to. 0: no difference, 1: some, 2: it could not be found out.
pub fn diff(words: &args::Diff) -> Result<ExitCode, Fault> {
    compare(words).map_err(Fault::into_usage)
}

fn compare(words: &args::Diff) -> Result<ExitCode, Fault> {
    let [old, new] = both(&words.old, &words.new)?;
    let changes = Changes::between(&old, &new);
    let mut replay = Replay::new(&old, &new);
    let mut report = Report {
        changes: &changes,
        replayed: None,
    };
    if let Some(log) = &words.replay {
        let unread = run(&mut replay, log)?;
        report.replayed = Some(report::Replayed::of(&replay, log, unread, replay::unlogged(&old)));
    }
    let text = match words.json {
        true => format!("{:#}\n", report.json()),
        false => report.text(terminal::stdout_has_colour()),
    };
    let said = terminal::say(&text)?;
    Ok(if report.is_empty() {
        said
    } else {
        ExitCode::FAILURE
    })
}

/// Both plans; the problems of both, if there are any.
fn both(old: &Path, new: &Path) -> Result<[Plan; 2], Fault> {
    match [old, new].map(|path| config::load(path, &environment)) {
        [Ok(old), Ok(new)] => Ok([old.plan, new.plan]),
        others => {
            let problems = others.into_iter().filter_map(Result::err);
            Err(Fault::Config(Problems(problems.flat_map(|p| p.0).collect())))
        }
    }
}

/// Lines that were not read.
fn run(replay: &mut Replay<'_>, log: &Path) -> Result<u64, Fault> {
    let mut file = source::open(log)?;
    let (mut unread, mut feed) = (0_u64, Feed::default());
    let mut take = |piece: Piece<'_>| {
        let line = match piece {
            Piece::Line(text) => Line::read(text, Replay::fields()),
            Piece::Overlong => None,
        };
        match line {
            Some(line) => replay.take(&line),
            None => unread += 1,
        }
        Ok(())
    };
    let broken = |error| source::unreadable(&log.display().to_string(), &error);
    while feed.pump(&mut *file, &mut take).map_err(broken)? > 0 {}
    feed.finish(&mut take).map_err(broken)?;
    if unread > 0 && replay.requests + replay.unjudged == 0 {
        return Err(Fault::usage(
            format!(
                "none of the {unread} lines of {} is of an access log in JSON",
                log.display()
            ),
            "the format to write one is [access_log] format = \"json\"",
        ));
    }
    Ok(unread)
}

#[cfg(test)]
mod tests;
