//! The programs themselves, as an operator starts them: `sluice` and `workouts`, each a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::admin::Admin;
use crate::client::Request;
use crate::gateway::write_config;
use crate::patience::{wait_for, wait_until};

/// A running program. Dropping it kills it; if the play has failed, what it has said is printed.
pub struct Process {
    name: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program and writes down every line that it says.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let said = Arc::default();
        let out = child.stdout.take().expect("it was piped");
        let err = child.stderr.take().expect("it was piped");
        let readers = vec![write_down(out, &said), write_down(err, &said)];
        Self {
            name,
            child,
            said,
            readers,
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every line it has said so far, on stdout and stderr.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().clone()
    }

    /// What follows `prefix` in the first line that begins with it; waits for one.
    #[track_caller]
    pub fn wait_said(&mut self, prefix: &str) -> String {
        let what = format!("{} says {prefix:?}", self.name);
        wait_for(&what, || {
            let ended = self.child.try_wait().expect("it is our child");
            if ended.is_some() {
                // Its end is known before its last words are read.
                self.join_readers();
            }
            let said = self.said();
            let found = said.iter().find_map(|line| line.strip_prefix(prefix));
            if let (None, Some(status)) = (found, ended) {
                panic!(
                    "{} has ended ({status}) after saying:\n{}",
                    self.name,
                    said.join("\n")
                );
            }
            found.map(str::to_owned)
        })
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        // It fails only if the process has ended already.
        let _ended = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// Asks it to end, as `kill` does.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is our child, and it runs");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child, and it runs");
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for its end, and until all it has said was read.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait_for(&format!("{} has ended", self.name), || {
            self.child.try_wait().expect("it is our child")
        });
        self.join_readers();
        status
    }

    /// Waits for its end, while another process may go on to say something in its place.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        wait_for(&format!("{} has ended", self.name), || {
            self.child.try_wait().expect("it is our child")
        })
    }

    /// Waits until all it has said was read; it has ended.
    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
    }

    /// A line of `/proc/PID/status` in KiB: `VmRSS`, the memory it has now, or `VmHWM`, the most it ever had.
    #[track_caller]
    pub fn memory_kib(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        let value = value.unwrap_or_else(|| panic!("{path} has no {line}"));
        let digits = value.trim().trim_end_matches(" kB");
        digits
            .parse()
            .unwrap_or_else(|error| panic!("{error} in {line}:{value}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        for reader in self.readers.drain(..) {
            let _panic = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- {} has said\n{}\n---", self.name, self.said().join("\n"));
        }
    }
}

/// The gateway as a process, on ports of its own and in a folder of its own.
pub struct Sluice {
    /// The process.
    pub process: Process,
    folder: tempfile::TempDir,
    addresses: Vec<SocketAddr>,
    admin: Option<Admin>,
}

impl Sluice {
    /// Starts it and waits until it is ready. Sections that are not in the text are added as for
    /// [`Gateway`](crate::Gateway).
    #[track_caller]
    pub fn start(toml: &str) -> Self {
        Self::start_with(toml, |_| {})
    }

    /// The same, with changes to the command. The program is a link in its folder, which can be replaced.
    #[track_caller]
    pub fn start_with(toml: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        write_config(folder.path(), toml);
        let program = folder.path().join("sluice");
        std::os::unix::fs::symlink(binary("sluice"), &program).expect("the folder is empty");
        let mut command = Command::new(program);
        command
            .args(["run", "-c", "sluice.toml"])
            .current_dir(folder.path());
        change(&mut command);
        let mut process = Process::start(command);
        process.wait_said("ready: ");
        let url = |line: &str, prefix: &str| line.strip_prefix(prefix)?.parse().ok();
        let said = process.said();
        let addresses = said
            .iter()
            .filter_map(|line| {
                url(line, "listening on http://").or_else(|| url(line, "listening on https://"))
            })
            .collect();
        let admin = said.iter().find_map(|line| url(line, "admin on http://"));
        Self {
            process,
            folder,
            addresses,
            admin: admin.map(Admin),
        }
    }

    /// Its folder: configuration, access log, Unix sockets.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of its first TCP listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The addresses of its TCP listeners, in file order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its admin address, if that is a TCP one.
    #[track_caller]
    pub fn admin(&self) -> Admin {
        self.admin.expect("the play has an admin address of TCP")
    }

    /// Replaces the configuration by renaming, as editors and orchestrators do, and says nothing.
    pub fn replace_config(&self, toml: &str) {
        write_config(self.folder(), toml);
    }

    /// Puts a shell script where the program was.
    pub fn replace_program(&self, script: &str) {
        let fresh = self.folder().join("sluice.new");
        fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).expect("the folder can be written");
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        self.put_program(&fresh);
    }

    /// Puts the real program back where it was: the file of this build, or another one with the same contents.
    pub fn restore_program(&self, is_another: bool) {
        let fresh = self.folder().join("sluice.new");
        match is_another {
            true => _ = fs::copy(binary("sluice"), &fresh).expect("there is room"),
            false => std::os::unix::fs::symlink(binary("sluice"), &fresh).expect("the name is free"),
        }
        self.put_program(&fresh);
    }

    fn put_program(&self, fresh: &Path) {
        fs::rename(fresh, self.folder().join("sluice")).expect("within a folder, renaming works");
    }

    /// Orders an upgrade and waits until another process serves. Its id.
    #[track_caller]
    pub fn upgrade(&self) -> u32 {
        let response = self.admin().ask(&Request::new("POST", "/upgrade"));
        response.expect(200);
        let done: serde_json::Value = serde_json::from_str(&response.text()).expect("it is JSON");
        done["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .expect("it names the process")
    }

    /// The processes that have taken over so far, in order; they may have ended since.
    pub fn heirs(&self) -> Vec<u32> {
        let said = self.process.said();
        let pid = |line: &String| {
            let (process, rest) = line.split_once(": process ")?.1.split_once(' ')?;
            rest.ends_with("has taken over").then(|| process.parse().ok())?
        };
        said.iter().filter_map(pid).collect()
    }

    /// Whether a process of this gateway runs, whichever in the line it is.
    pub fn runs(&self, pid: u32) -> bool {
        // One that nobody has waited for has no folder any more; and a number may be used again.
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == self.folder())
    }

    /// Waits until a process has ended.
    #[track_caller]
    pub fn wait_ended(&self, pid: u32) {
        wait_until(&format!("process {pid} has ended"), || !self.runs(pid));
    }
}

/// Processes that have taken over are nobody's children, and hold what the first one's words are read from: all that live in
/// the folder end, also those that have not been heard of yet.
impl Drop for Sluice {
    fn drop(&mut self) {
        self.process.kill();
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        let living = || {
            let all = fs::read_dir("/proc").into_iter().flatten().flatten();
            all.filter_map(number)
                .filter(|pid| self.runs(*pid))
                .collect::<Vec<_>>()
        };
        // Again, as one may be starting another one at that moment.
        for _ in 0..3 {
            for pid in living() {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    let _ended = kill_process(pid, Signal::KILL);
                }
            }
        }
    }
}

/// The workout service as a process.
pub struct Workouts {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Workouts {
    /// Starts one on the database in `folder`, which is made and filled if it is not there.
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        let key = folder.join("token.key");
        if !key.exists() {
            fs::write(&key, "a key for tokens that nobody checks\n").expect("the folder can be written");
        }
        let mut command = Command::new(binary("workouts"));
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--secret-file",
                "token.key",
                "--database",
                "workouts.db",
                "--seed",
            ])
            .current_dir(folder);
        let mut process = Process::start(command);
        let said = process.wait_said("listening on http://");
        let address = said.parse().unwrap_or_else(|error| panic!("{error} in {said:?}"));
        Self { process, address }
    }
}

/// Lets this process, and what it starts from now on, hold as many descriptors as the system allows; how many that is.
///
/// Fails if that is less than `needed`.
#[track_caller]
pub fn raise_descriptor_limit(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may be raised to the hard one");
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        allowed >= needed,
        "this takes {needed} open files, and the system allows {allowed} (ulimit -Hn)"
    );
    allowed
}

/// A program of this workspace, built as this test was.
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a file");
    // target/PROFILE/deps/test-…
    let folder = this.parent().and_then(Path::parent);
    let binary = folder.expect("tests lie two folders deep").join(name);
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    assert!(
        binary.is_file(),
        "{} is missing: cargo build{profile} -p gateway -p backend",
        binary.display()
    );
    binary
}

fn write_down(stream: impl Read + Send + 'static, said: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            said.lock().push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

/// Waits until nothing listens at an address any more.
#[track_caller]
pub fn wait_refused(address: SocketAddr) {
    wait_until(&format!("{address} refuses connections"), || {
        std::net::TcpStream::connect(address).is_err()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command)
    }

    #[test]
    fn what_a_process_says_is_written_down_until_its_end() {
        let mut process = shell("echo ready: now; echo aside >&2; read never; exit 3");
        assert_eq!(process.wait_said("ready: "), "now");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(process.said().len(), 2);
    }

    #[test]
    fn a_process_that_ends_without_the_word_fails_the_play() {
        let mut process = shell("echo something else");
        let waiting = std::panic::AssertUnwindSafe(|| process.wait_said("ready: "));
        let panic = std::panic::catch_unwind(waiting).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("something else"), "{message}");
    }

    #[test]
    fn a_process_has_memory_and_ends_when_it_is_told() {
        let mut process = shell("echo up; while :; do sleep 1; done");
        process.wait_said("up");
        assert!(process.memory_kib("VmHWM") >= process.memory_kib("VmRSS"));
        process.terminate();
        assert!(!process.wait().success());
        assert!(!process.is_running());
    }
}
