//! `sluice hash-password`: a line for the users_file of `basic`.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use gateway::secrets::Users;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::cli::{Fault, args, terminal};

/// Each step doubles the work of whoever guesses, and of every login: at 10 it is some 50 ms of a core.
const COST: u32 = 10;
/// bcrypt looks at no more.
const PASSWORD_BYTES_MAX: usize = 72;
/// More than a terminal hands over in one line, and than any password has.
const INPUT_BYTES_MAX: usize = 4096;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 0x03;

/// Asks for a password twice, or takes a line that is piped in, and prints its hash.
pub fn hash_password(words: &args::HashPassword) -> Result<ExitCode, Fault> {
    let name = words.user.as_deref();
    if let Some(name) = name {
        check_name(name)?;
    }
    let password = if io::stdin().is_terminal() {
        let first = typed("Password: ")?;
        check(&first)?;
        if typed("Once more: ")? != first {
            return Err(Fault::usage("the two are not the same", "try again"));
        }
        first
    } else {
        piped(&mut io::stdin().lock())?
    };
    let password = check(&password)?;
    let hash = bcrypt::hash_with_result(password, COST)
        .map_err(|error| Fault::failed(format!("the password cannot be hashed: {error}"), ""))?;
    let hash = hash.format_for_version(bcrypt::Version::TwoY);
    terminal::say(&match name {
        Some(name) => format!("{name}:{hash}\n"),
        None => format!("{hash}\n"),
    })
}

/// Whether a gateway would take a line of that name: by the same reader, with a hash that is one.
fn check_name(name: &str) -> Result<(), Fault> {
    // 22 letters of salt and 31 of a hash.
    let line = format!("{name}:$2y$04${}\n", ".".repeat(22 + 31));
    let help = "a name has no colon, no line break and no white space around it";
    let refused = |why: String| Fault::usage(format!("{name:?} is no user's name: {why}"), help);
    if name.contains([':', '\n', '\r']) || name.starts_with('#') {
        return Err(refused("it would not be read back".to_owned()));
    }
    match Users::parse(&line) {
        Ok(users) if users.count() == 1 => Ok(()),
        Ok(_) => Err(refused("it would not be read back".to_owned())),
        Err(fault) => Err(refused(fault.message)),
    }
}

/// What bcrypt would not hash as it is.
fn check(password: &[u8]) -> Result<&str, Fault> {
    let refused = |why: &str, help: &str| Err(Fault::usage(format!("the password {why}"), help));
    if password.is_empty() {
        return refused("is empty", "anybody would know it");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let why = format!("has {} bytes", password.len());
        return refused(
            &why,
            "bcrypt looks at the first 72 only: all that begin like this one would do",
        );
    }
    let Ok(text) = std::str::from_utf8(password) else {
        return refused("is not UTF-8", "a browser would send other bytes");
    };
    if text.chars().any(char::is_control) {
        return refused("holds a control character", "no browser could send it");
    }
    Ok(text)
}

/// One line, with or without its end.
fn piped(from: &mut dyn Read) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    from.take(INPUT_BYTES_MAX as u64)
        .read_to_end(&mut text)
        .map_err(|error| Fault::failed(format!("stdin cannot be read: {error}"), ""))?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\n') {
        return Err(Fault::usage(
            "more than one line is piped in",
            "pipe in the password and nothing else: printf %s \"$PASSWORD\" | sluice hash-password",
        ));
    }
    Ok(line.to_vec())
}

/// One line of the terminal, which does not show it.
fn typed(prompt: &str) -> Result<Vec<u8>, Fault> {
    let failed = |error: io::Error| Fault::failed(format!("the terminal cannot be read: {error}"), "");
    // In this order: who sees the question may answer at once.
    let silence = Silence::begin().map_err(failed)?;
    terminal::tell(prompt);
    let line = line(&mut io::stdin().lock()).map_err(failed);
    drop(silence);
    terminal::tell("\n");
    match line?.as_slice() {
        [.., INTERRUPT] => Err(Fault::failed("interrupted", "")),
        line => Ok(line.to_vec()),
    }
}

/// Up to the end of a line, or to an interrupt.
fn line(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < INPUT_BYTES_MAX && from.read(&mut byte)? == 1 {
        match byte[0] {
            b'\n' => break,
            INTERRUPT => {
                line.push(INTERRUPT);
                break;
            }
            other => line.push(other),
        }
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // Ctrl-C would end the process and leave the terminal silent. As an end of line it is seen here.
        silent.local_modes.remove(LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_bcrypt_would_cut_is_refused() {
        let long = "x".repeat(PASSWORD_BYTES_MAX);
        assert_eq!(check(long.as_bytes()).unwrap(), long);
        let umlauts = "ä".repeat(PASSWORD_BYTES_MAX / 2) + "x";
        for password in [
            b"".as_slice(),
            format!("{long}x").as_bytes(),
            umlauts.as_bytes(),
            b"a\xff",
            b"a\0b",
        ] {
            assert_eq!(
                check(password).unwrap_err().code(),
                2,
                "{}",
                password.escape_ascii()
            );
        }
    }

    #[test]
    fn a_name_is_one_that_a_gateway_reads() {
        for name in ["ann", "ann@example.com", "ä b"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            " ann",
            "ann ",
            "a:b",
            "#ann",
            "a\nb",
            "a\tb",
            &"x".repeat(10_000),
        ] {
            assert_eq!(check_name(name).unwrap_err().code(), 2, "{name:?}");
        }
    }

    #[test]
    fn what_is_piped_in_is_one_line() {
        for text in ["secret", "secret\n", "secret\r\n"] {
            assert_eq!(piped(&mut text.as_bytes()).unwrap(), b"secret");
        }
        for text in ["secret\nmore", "secret\n\n"] {
            assert_eq!(piped(&mut text.as_bytes()).unwrap_err().code(), 2);
        }
    }
}
