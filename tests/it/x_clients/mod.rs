//! Programs that others have written, in front of the gateway as they are, and behind it where they serve too.
//!
//! The plays of our own clients share what we believe of a protocol with the gateway; these do not.

/// curl: each version of HTTP, and what a transfer of files needs.
mod curl;
/// gRPC's own library at both ends.
mod grpc;
/// h2load: many streams of many connections.
mod h2load;
/// openssl s_client: what a handshake agrees on.
mod openssl;
/// A WebSocket library at both ends.
mod websocket;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use harness::patience::patience;
use harness::tls::{Authority, Leaf};
use rustix::process::{Pid, Signal, kill_process};

/// A program's whole run is many facts, each of which one patience is for.
const FACTS_OF_A_RUN: u32 = 9;

/// What a program has said, and how it ended.
struct Ran {
    status: ExitStatus,
    out: Vec<u8>,
    err: String,
    what: String,
}

impl Ran {
    /// Fails unless it ended well.
    #[track_caller]
    fn well(self) -> Self {
        assert!(self.status.success(), "{}", self.story());
        self
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// For messages.
    fn story(&self) -> String {
        format!(
            "{}\n{}\n--- said\n{}\n{}",
            self.what,
            self.status,
            self.text(),
            self.err
        )
    }
}

/// A program of the machine. Fails with what to install if there is none.
#[track_caller]
fn tool(program: &str, package: &str) -> Command {
    let is_there = Command::new(program)
        .arg(if program == "openssl" {
            "version"
        } else {
            "--version"
        })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        is_there.is_ok(),
        "this play needs {program}, and the machine has none: run deploy/tools.sh {program}={package}"
    );
    Command::new(program)
}

/// The Python that tests/clients/setup.sh has made, with a script of tests/clients.
#[track_caller]
fn python(script: &str) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = tests.join("../target/clients/bin/python");
    assert!(
        python.exists() && tests.join("../target/clients/made-of").exists(),
        "this play needs libraries of Python, and they are not here: run tests/clients/setup.sh"
    );
    let mut command = Command::new(python);
    command.arg("-u").arg(tests.join("clients").join(script));
    command
}

/// Runs a program to its end, with this as its input.
#[track_caller]
fn run(mut command: Command, input: &str) -> Ran {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    ended(child, input, format!("{command:?}"))
}

/// Waits for a program's end after telling it this.
#[track_caller]
fn ended(mut child: Child, input: &str, what: String) -> Ran {
    let pid = Pid::from_child(&child);
    let mut stdin = child.stdin.take().expect("it was piped");
    // One that has ended already does not listen; its status says more than this would.
    let _ended = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (tell, told) = mpsc::channel();
    let waiting = std::thread::spawn(move || tell.send(child.wait_with_output()));
    let Ok(output) = told.recv_timeout(patience() * FACTS_OF_A_RUN) else {
        let _ended = kill_process(pid, Signal::KILL);
        panic!("this did not end: {what}");
    };
    waiting
        .join()
        .expect("it waits without a panic")
        .expect("it is heard");
    let output = output.expect("its words can be read");
    Ran {
        status: output.status,
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        what,
    }
}

/// `[certificates.a]` for a leaf, shown for `a.test`.
fn certificate(leaf: &Leaf) -> String {
    let (cert, key) = leaf.files();
    format!("[certificates.a]\ndomains = [\"a.test\"]\ncert_file = {cert:?}\nkey_file = {key:?}\n")
}

/// A listener; with `lines` of its own.
fn listener(lines: &str) -> String {
    format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{lines}\n")
}

/// A listener of TLS that shows the certificate `a`; with `lines` of its own.
fn tls_listener(lines: &str) -> String {
    listener(&format!("certificates = [\"a\"]\n{lines}"))
}

/// An authority and a leaf of it for `a.test` and 127.0.0.1.
fn authority_and_leaf() -> (Authority, Leaf) {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test", "127.0.0.1"]);
    (authority, leaf)
}

/// Bytes in which no two places look alike, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next)
        .take(length.div_ceil(8))
        .flatten()
        .collect();
    bytes.truncate(length);
    bytes
}

/// Writes a file into a folder.
fn file_of(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the folder can be written");
    path
}
