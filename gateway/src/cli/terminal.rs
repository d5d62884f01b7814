//! What people and scripts read: answers on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::cli::Fault;

/// Writes an answer to stdout. A reader that has seen enough, as `head` has, is no error.
pub fn say(text: &str) -> Result<ExitCode, Fault> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Fault::failed(
            format!("the answer cannot be written: {error}"),
            "make room where stdout goes",
        )),
    }
}

/// Writes to stderr; if that is gone there is nobody left to tell.
pub fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// An error and, if there is any, the help.
pub fn complain(message: &str, help: &str) {
    let [red, cyan, plain] = if stderr_has_colour() {
        ["\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"]
    } else {
        [""; 3]
    };
    let mut text = format!("sluice: {red}error:{plain} {}\n", printable(message));
    if !help.is_empty() {
        text.push_str(&format!("{cyan}help:{plain} {}\n", printable(help)));
    }
    tell(&text);
}

/// A terminal must not obey what came from a file or over a wire.
pub fn printable(text: &str) -> String {
    let safe = |c: char| {
        let obeyed = c.is_control() && c != '\n' && c != '\t';
        if obeyed { char::REPLACEMENT_CHARACTER } else { c }
    };
    text.chars().map(safe).collect()
}

/// Whether what goes to stderr may be coloured.
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && wants_colour(&|name| std::env::var(name).ok())
}

/// Whether what goes to stdout may be coloured.
pub fn stdout_has_colour() -> bool {
    io::stdout().is_terminal() && wants_colour(&|name| std::env::var(name).ok())
}

/// Whether a person sits at both ends, and the terminal can do more than print line after line.
pub fn is_full_screen() -> bool {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// Characters of a line of stdout, if it is a terminal that tells.
pub fn stdout_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// <https://no-color.org>: any value but an empty one says no.
fn wants_colour(env: &dyn Fn(&str) -> Option<String>) -> bool {
    env("NO_COLOR").is_none_or(|value| value.is_empty()) && env("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_given_up_when_asked_to() {
        let with = |name: &'static str, value: &'static str| {
            wants_colour(&move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(with("TERM", "xterm") && with("NO_COLOR", ""));
        assert!(!with("NO_COLOR", "1") && !with("TERM", "dumb"));
    }

    #[test]
    fn a_terminal_is_told_nothing_to_obey() {
        assert_eq!(
            printable("a\x1b[2J\r\u{9b}b\n\tc"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b\n\tc"
        );
    }
}
