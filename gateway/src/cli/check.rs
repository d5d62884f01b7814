//! `sluice check`: everything that is wrong with a configuration, at once.

use std::path::Path;
use std::process::ExitCode;

use gateway::admin::Token;
use gateway::config::plan::LogTarget;
use gateway::config::{self, Plan, Problem};
use gateway::reload::environment;

use crate::cli::args::Check;
use crate::cli::{Fault, summary, terminal};

/// Checks a file. What is wrong goes to stderr, what was asked for to stdout.
pub fn check(path: &Path, what: &Check) -> Result<ExitCode, Fault> {
    let outcome = config::load(path, &environment).map(|mut loaded| {
        loaded.warnings.0.extend(of_this_machine(path, &loaded.plan));
        loaded
    });
    if what.json {
        let problems = match &outcome {
            Ok(loaded) => &loaded.warnings,
            Err(problems) => problems,
        };
        let report = serde_json::json!({ "ok": outcome.is_ok(), "problems": problems });
        let told = terminal::say(&format!("{report:#}\n"))?;
        return Ok(if outcome.is_ok() { told } else { ExitCode::from(2) });
    }
    let loaded = outcome.map_err(Fault::Config)?;
    terminal::tell(&loaded.warnings.render(terminal::stderr_has_colour()));
    let verdict = format!("{}: ok ({})\n", path.display(), summary(&loaded.plan));
    if what.effective {
        // On stdout it would end up in the file that the configuration is written to.
        terminal::tell(&verdict);
        return terminal::say(&config::effective(&loaded.plan));
    }
    terminal::say(&verdict)
}

/// What would keep the gateway from starting on this machine. Another machine may be meant, so these are warnings.
fn of_this_machine(path: &Path, plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut warn = |key: &str, message: String, help: &str| {
        let message = format!("a start on this machine would fail: {message}");
        problems.extend(config::warning(path, &environment, key, &message, help));
    };
    if let Err(fault) = Token::of(plan.admin.as_ref()) {
        let help = "write one there that the gateway's user may read: openssl rand -hex 32";
        warn("admin.token_file", fault.to_string(), help);
    }
    if let LogTarget::File(file) = &plan.access_log.target
        && let Some(folder) = file.parent()
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        let message = format!("access_log.path: there is no folder {}", folder.display());
        let help = "make it, for the user that the gateway runs as";
        warn("access_log.path", message, help);
    }
    problems
}
