//! `[access_log]`

use std::path::PathBuf;
use std::time::Duration;

use super::edits;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{AccessLog, LogFormat, LogTarget};
use crate::config::raw;
use crate::config::raw::leaf::{self, At};
use crate::wire::syntax;

/// People notice from about here on.
const SLOW_THRESHOLD: Duration = Duration::from_secs(1);

/// `[access_log]`
pub fn access_log(raw: Option<&At<raw::AccessLog>>, findings: &mut Findings<'_>) -> AccessLog {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    AccessLog {
        target: raw
            .path
            .as_ref()
            .map_or(LogTarget::Stdout, |p| target(p, findings)),
        format: raw
            .format
            .as_ref()
            .and_then(|f| format(f, findings))
            .unwrap_or(LogFormat::Json),
        // Zero: every request is slow, which logs the timings of each.
        slow_threshold: values::duration(
            &raw.slow_threshold,
            "access_log.slow_threshold",
            Zero::Allowed,
            SLOW_THRESHOLD,
            findings,
        ),
    }
}

fn target(raw: &At<String>, findings: &mut Findings<'_>) -> LogTarget {
    const WORDS: [&str; 3] = ["stdout", "stderr", "off"];
    let path = "access_log.path";
    match raw.value.as_str() {
        "stdout" => LogTarget::Stdout,
        "stderr" => LogTarget::Stderr,
        "off" => LogTarget::Off,
        "" => {
            let problem = findings.error(&raw.span, path, "`path` is empty");
            problem.help("write \"off\" for no access log");
            LogTarget::Off
        }
        file => {
            let bare = !file.contains(['/', '.']);
            if let Some(word) = hints::closest(file, WORDS).filter(|_| bare) {
                let message = format!("\"{file}\" is taken for the name of a file");
                let problem = findings.warning(&raw.span, path, message);
                problem.help(format!("did you mean \"{word}\"? Otherwise write \"./{file}\""));
            }
            LogTarget::File(PathBuf::from(file))
        }
    }
}

fn format(raw: &At<leaf::Template>, findings: &mut Findings<'_>) -> Option<LogFormat> {
    let text = raw.value.0.as_str();
    let path = "access_log.format";
    match text {
        "json" => return Some(LogFormat::Json),
        "combined" => return Some(LogFormat::Combined),
        _ => {}
    }
    if !text.contains("${") {
        let message = format!("\"{text}\" is no format");
        let help = "write \"json\", \"combined\" or a line with variables: \"${client_ip} ${status}\"";
        let help = hints::closest(text, ["json", "combined"]).map_or(help.to_owned(), hints::did_you_mean);
        findings.error(&raw.span, path, message).help(help);
        return None;
    }
    if !syntax::is_value(text.as_bytes()) {
        let problem = findings.error(
            &raw.span,
            path,
            "a line of the log cannot hold control characters",
        );
        problem.help("the line end is added by itself");
        return None;
    }
    edits::template(text, &raw.span, path, findings).map(LogFormat::Template)
}
