//! Commands that talk to a person: on a terminal of the test's own.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, where a surprise may panic"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use gateway::secrets::Users;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::actors::{self, PATIENCE};

/// A command on a terminal.
pub struct Session {
    child: Child,
    /// The person's side.
    keys: File,
    /// The command's side, kept open so that it can be looked at after the end.
    terminal: OwnedFd,
    before: Termios,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Session {
    pub fn new(words: &[&str], columns: u16, rows: u16) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let path = ptsname(&keys, Vec::new()).unwrap();
        let path = path.to_str().unwrap();
        let terminal: OwnedFd = File::options().read(true).write(true).open(path).unwrap().into();
        tcsetwinsize(&keys, size(columns, rows)).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let mut call = actors::command(words);
        call.0.stdin(end()).stdout(end()).stderr(end());
        call.0.env("TERM", "xterm").env_remove("NO_COLOR");
        let child = call.0.spawn().unwrap();
        let keys = File::from(keys);
        let mut reader = keys.try_clone().unwrap();
        let (tell, shown) = channel();
        thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(n) = reader.read(&mut block) {
                if n == 0 || tell.send(block[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys,
            terminal,
            before,
            shown,
            text: String::new(),
        }
    }

    /// Waits until it has shown that, and forgets what came before.
    pub fn shows(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.text.find(words) {
                let rest = self.text.split_off(at + words.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let Ok(more) = self.shown.recv_timeout(PATIENCE) else {
                panic!("it does not show {words:?}, but {:?}", self.text)
            };
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// As a window manager does it.
    pub fn becomes(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.keys, size(columns, rows)).unwrap();
        self.signal(Signal::WINCH);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its code, when the terminal is as it was before.
    pub fn code(&mut self) -> i32 {
        let code = self.child.wait().unwrap().code().expect("no signal has ended it");
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(
            format!("{after:?}"),
            format!("{:?}", self.before),
            "the terminal is not as it was"
        );
        code
    }
}

fn size(ws_col: u16, ws_row: u16) -> Winsize {
    Winsize {
        ws_col,
        ws_row,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let mut session = Session::new(&["hash-password", "--user", "ann"], 80, 24);
    session.shows("Password: ");
    session.types("correct horse\n");
    let seen = session.shows("Once more: ");
    session.types("correct horse\n");
    let line = session.shows("\r\nann:") + &session.shows("\n");
    assert!(!(seen + &line).contains("horse"), "{line}");
    let line = line.trim().rsplit("\r\n").next().unwrap();
    let users = Users::parse(line).unwrap_or_else(|fault| panic!("{line}: {}", fault.message));
    assert!(line.starts_with("ann:$2y$10$"), "{line}");
    assert!(users.check("ann", "correct horse") && !users.check("ann", "correct"));
    assert_eq!(session.code(), 0);
}

#[test]
fn two_passwords_that_differ_make_no_hash() {
    let mut session = Session::new(&["hash-password"], 80, 24);
    session.shows("Password: ");
    session.types("one\n");
    session.shows("Once more: ");
    session.types("two\n");
    session.shows("the two are not the same");
    assert_eq!(session.code(), 2);
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    for keys in ["\x03", "abc\x03"] {
        let mut session = Session::new(&["hash-password"], 80, 24);
        session.shows("Password: ");
        session.types(keys);
        session.shows("interrupted");
        assert_eq!(session.code(), 1);
    }
}

#[test]
fn a_password_may_be_piped_in() {
    let piped = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut call = actors::command(&["hash-password", "-u", "bob"]);
        call.0.stdin(File::open(file.path()).unwrap());
        call.done()
    };
    let done = piped("secret\n");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(Users::parse(&done.out).unwrap().check("bob", "secret"));
    for (text, words) in [
        ("", "the password is empty"),
        ("\n", "the password is empty"),
        (
            &"x".repeat(73),
            "has 73 bytes\nhelp: bcrypt looks at the first 72 only",
        ),
        ("a\nb\n", "more than one line"),
    ] {
        let done = piped(text);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{text}");
        assert!(done.err.contains(words), "{}", done.err);
    }
    let done = actors::command(&["hash-password", "--user", "a:b"]).done();
    assert_eq!(done.code, 2);
    assert!(done.err.contains("\"a:b\" is no user's name"), "{}", done.err);
}

#[test]
fn shells_and_readers_of_manuals_are_served() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = actors::command(&["completions", shell]).done();
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert!(done.out.contains("reverse-proxy"), "{shell}");
    }
    let done = actors::command(&["man"]).done();
    assert!(
        done.out.contains("\n.SH NAME\nsluice \\- An edge gateway"),
        "{}",
        done.out
    );
    let folder = tempfile::tempdir().unwrap();
    let done = actors::command(&["man", &folder.path().display().to_string()]).done();
    assert!(done.out.contains(" pages are in "), "{done:?}");
    assert!(folder.path().join("sluice-log.1").is_file());
    assert_eq!(actors::command(&["man", "/nowhere"]).done().code, 1);
    let help = actors::command(&["--help"]).done();
    assert!(!help.out.contains("\n  man "), "{}", help.out);
}
