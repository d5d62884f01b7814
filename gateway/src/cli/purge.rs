//! `sluice purge`: answers that the gateway shall not give any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::client::Answer;
use crate::cli::desk::Desk;
use crate::cli::{Fault, args, count, terminal};

/// What `POST /purge` is asked.
#[derive(Serialize)]
struct Wanted<'a> {
    urls: &'a [String],
    tags: &'a [String],
    prefixes: &'a [String],
    hosts: &'a [String],
    all: bool,
    soft: bool,
}

/// What `POST /purge` answers.
#[derive(Deserialize)]
struct Purged {
    /// Of all caches together.
    objects: usize,
    /// By cache.
    #[serde(default)]
    caches: BTreeMap<String, usize>,
    /// What could not be done: texts, or tables with a message.
    #[serde(default)]
    problems: Vec<Value>,
}

/// Asks the gateway, and tells how many answers it has reached.
pub fn purge(config: Option<PathBuf>, words: &args::Purge) -> Result<ExitCode, Fault> {
    let desk = Desk::find(config, &words.desk)?;
    let wanted = Wanted {
        urls: &words.urls,
        tags: &words.tags,
        prefixes: &words.prefixes,
        hosts: &words.hosts,
        all: words.all,
        soft: words.soft,
    };
    let body = serde_json::to_string(&wanted).expect("texts and flags are plain JSON");
    let answer = desk.ask("POST", "/purge", &body)?;
    match answer.status {
        200 => {}
        400 => return Err(refused(&desk, &answer)),
        _ => return Err(desk.unexpected(&answer)),
    }
    let purged: Purged = serde_json::from_slice(&answer.body).map_err(|_| desk.unexpected(&answer))?;
    for problem in &purged.problems {
        terminal::complain(&told(problem), "");
    }
    let text = match words.desk.json {
        true => String::from_utf8_lossy(&answer.body).into_owned(),
        false => purged.text(words.soft),
    };
    let said = terminal::say(&text)?;
    // Whoever purges relies on nothing of it being given any more.
    Ok(match purged.problems.as_slice() {
        [] => said,
        [_, ..] => ExitCode::FAILURE,
    })
}

/// The words name something that cannot be: the gateway says which and why.
fn refused(desk: &Desk, answer: &Answer) -> Fault {
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match json.as_ref().and_then(|v| v["detail"].as_str()) {
        Some(detail) => Fault::usage(
            format!("nothing was purged: {detail}"),
            "see `sluice purge --help`",
        ),
        None => desk.unexpected(answer),
    }
}

fn told(problem: &Value) -> String {
    let message = problem.as_str().or_else(|| problem["message"].as_str());
    message.map_or_else(|| problem.to_string(), str::to_owned)
}

impl Purged {
    /// One line, and one more for each of several caches.
    fn text(&self, soft: bool) -> String {
        let done = if soft { "marked stale" } else { "purged" };
        let mut out = format!("{} {done}\n", count(self.objects, "object"));
        if self.caches.len() > 1 {
            for (name, objects) in &self.caches {
                out.push_str(&format!("  {}: {objects}\n", terminal::printable(name)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, soft: bool) -> String {
        serde_json::from_str::<Purged>(json).unwrap().text(soft)
    }

    #[test]
    fn the_count_comes_first_and_caches_only_where_there_are_several() {
        let one = r#"{ "objects": 12, "caches": { "edge": 12 }, "soft": false, "problems": [] }"#;
        assert_eq!(text(one, false), "12 objects purged\n");
        assert_eq!(text(one, true), "12 objects marked stale\n");
        assert_eq!(text(r#"{ "objects": 1 }"#, false), "1 object purged\n");
        let two = r#"{ "objects": 3, "caches": { "edge": 3, "a\u001b[2J": 0 }, "more": 1 }"#;
        let expected = "3 objects purged\n  a\u{fffd}[2J: 0\n  edge: 3\n";
        assert_eq!(text(two, false), expected);
    }

    #[test]
    fn an_answer_that_does_not_say_how_many_is_not_taken_for_none() {
        assert!(serde_json::from_str::<Purged>(r#"{ "caches": {} }"#).is_err());
    }

    #[test]
    fn a_problem_is_told_in_whatever_form_it_comes() {
        assert_eq!(told(&Value::from("a")), "a");
        assert_eq!(told(&serde_json::json!({ "message": "b" })), "b");
        assert_eq!(told(&serde_json::json!({ "c": 1 })), "{\"c\":1}");
    }
}
