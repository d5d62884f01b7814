//! The old process's side: starts the new one, and gives it what there is.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::link::{Deadline, Link, LinkFault};
use super::message::{FORMAT, Offer, Reply, Word};

/// How long a process that has closed the link may take to end by itself, so that its exit code can be told.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// From the word to go to the word that it accepts, which is a handful of system calls.
const GO_PATIENCE: Duration = Duration::from_secs(10);

/// How this process was started, and so how the next one is.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    mark: Option<Mark>,
}

/// Which file a program is.
type Mark = (u64, u64, u64, i64, i64);

impl Launch {
    /// By its words, the program's name first. To be asked at the start, while the name means what it meant then.
    pub fn of(mut words: impl Iterator<Item = OsString>) -> Self {
        let name = words.next().map(PathBuf::from).unwrap_or_default();
        let program = located(&name).or_else(|| env::current_exe().ok()).unwrap_or(name);
        Self {
            mark: mark(&program),
            program,
            arguments: words.collect(),
        }
    }

    /// The file that an upgrade starts.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it is another file than at the start. One that cannot be looked at is taken for the same.
    pub fn has_changed(&self) -> bool {
        mark(&self.program).is_some_and(|now| self.mark != Some(now))
    }

    fn command(&self, link: OwnedFd) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env(super::VARIABLE, FORMAT.to_string())
            .stdin(link);
        command
    }
}

/// A name with a slash is a path; any other one is looked for where the shell did.
fn located(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 || name.is_absolute() {
        // Whoever changes the folder later does not change what is meant.
        return std::path::absolute(name).ok();
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| !name.as_os_str().is_empty() && file.is_file())
        .and_then(|file| std::path::absolute(file).ok())
}

fn mark(program: &Path) -> Option<Mark> {
    let m = fs::metadata(program).ok()?;
    Some((m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
}

/// A process that has taken over.
#[derive(Debug)]
pub struct Successor {
    /// Its id.
    pub pid: u32,
    /// Its program's version.
    pub version: String,
    /// Which of the offered sockets it goes on with.
    pub taken: Vec<usize>,
}

impl Successor {
    /// Asks it to stop, because the process that has just handed over to it was asked to.
    pub fn stop(&self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // Nobody has waited for it, so the number is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// Why no process has taken over.
#[derive(Debug)]
pub enum GiveFault {
    /// The program cannot be started.
    Start(PathBuf, io::Error),
    /// The new process has said why it cannot begin.
    Declined(String),
    /// It has ended without a word.
    Ended(Option<ExitStatus>),
    /// It is not ready in time.
    Late,
    /// The link to it.
    Link(LinkFault),
    /// Somebody wants this process to stop.
    Stopped,
}

impl fmt::Display for GiveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(program, error) => write!(f, "{} cannot be started: {error}", program.display()),
            Self::Declined(why) => write!(f, "the new process cannot take over: {why}"),
            Self::Ended(Some(status)) => write!(
                f,
                "the new process has ended ({status}) before it could serve: its last words are on stderr"
            ),
            Self::Ended(None) => f.write_str("the new process has closed the link, and was ended"),
            Self::Late => f.write_str(
                "the new process could not serve within server.upgrade_timeout, and was ended: is it the right binary?",
            ),
            Self::Link(fault) => write!(f, "the new process was ended: {fault}"),
            Self::Stopped => f.write_str("the gateway was told to stop"),
        }
    }
}

impl std::error::Error for GiveFault {}

/// What an upgrade asks and tells whoever began it.
pub trait Course {
    /// The link stands; who hangs it up ends the upgrade. False: it is not wanted any more.
    fn begun(&self, link: &Arc<Link>) -> bool;
    /// Whether it is still wanted. Not asked after the word to go.
    fn is_wanted(&self) -> bool;
}

/// Starts the program and gives it the sockets. When this returns well, it accepts. Waits for as long as the deadline lasts.
///
/// # Errors
/// The new process has ended or is about to, and has served nobody; or, after it was told to begin, ends like one that
/// was told to stop.
pub fn hand_over(
    launch: &Launch,
    offer: &Offer,
    sockets: Vec<OwnedFd>,
    deadline: &Deadline,
    course: &impl Course,
) -> Result<Successor, GiveFault> {
    let no_start = |error| GiveFault::Start(launch.program.clone(), error);
    let (link, end) = Link::pair().map_err(no_start)?;
    // The command holds the other end, and must be gone when the process is asked: its end is to be heard.
    let mut child = launch.command(end).spawn().map_err(no_start)?;
    let link = Arc::new(link);
    let prepared = match course.begun(&link) {
        true => prepare(&link, offer, sockets, deadline),
        false => Err(GiveFault::Stopped),
    };
    let (version, taken) = match prepared {
        Ok(prepared) if course.is_wanted() => prepared,
        Ok(_) => return Err(end_now(&mut child, GiveFault::Stopped)),
        Err(fault) => return Err(end_now(&mut child, fault)),
    };
    let last = deadline.again(GO_PATIENCE);
    let begun = link.tell(&Word::Go, &last).and_then(|()| link.hear(&last));
    let pid = child.id();
    match begun {
        Ok(Reply::Ready) => Ok(Successor { pid, version, taken }),
        Ok(other) => {
            let what = LinkFault::Nonsense(format!("{other:?}"));
            Err(let_end(child, GiveFault::Link(what)))
        }
        Err(LinkFault::Ended) => Err(let_end(child, GiveFault::Ended(None))),
        Err(LinkFault::Late) => Err(let_end(child, GiveFault::Late)),
        Err(fault) => Err(let_end(child, GiveFault::Link(fault))),
    }
}

fn prepare(
    link: &Link,
    offer: &Offer,
    sockets: Vec<OwnedFd>,
    deadline: &Deadline,
) -> Result<(String, Vec<usize>), GiveFault> {
    let n = sockets.len();
    let given = link
        .tell(offer, deadline)
        .and_then(|()| link.give(&sockets, deadline));
    // Where it is not wanted, a socket has to close with the last handle, and these are more.
    drop(sockets);
    // If it has declined, the link may have broken while it was still spoken to.
    match (link.hear(deadline), given) {
        (Ok(Reply::Prepared { version, taken }), Ok(())) if taken.iter().all(|at| *at < n) => {
            Ok((version, taken))
        }
        (Ok(Reply::Declined(why)), _) => Err(GiveFault::Declined(why)),
        (Ok(other), _) => Err(GiveFault::Link(LinkFault::Nonsense(format!("{other:?}")))),
        (Err(LinkFault::Ended), _) => Err(GiveFault::Ended(None)),
        (Err(LinkFault::Late), _) => Err(GiveFault::Late),
        (Err(fault), _) => Err(GiveFault::Link(fault)),
    }
}

/// Ends a process that has served nobody. One that has ended the conversation may end by itself first.
fn end_now(child: &mut Child, fault: GiveFault) -> GiveFault {
    let is_ending = matches!(fault, GiveFault::Ended(_) | GiveFault::Declined(_));
    let has_ended = is_ending && ends_within(child, END_PATIENCE);
    if !has_ended {
        // It fails only for one that has ended.
        let _ = child.kill();
    }
    let status = child.wait().ok();
    match fault {
        GiveFault::Ended(_) => GiveFault::Ended(status.filter(|_| has_ended)),
        fault => fault,
    }
}

/// Lets a process end that may be serving somebody already.
fn let_end(mut child: Child, fault: GiveFault) -> GiveFault {
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    // Somebody has to wait for it, or it stays as a zombie.
    let reaper = std::thread::Builder::new().name("upgrade-end".to_owned());
    let _ = reaper.spawn(move || child.wait());
    fault
}

fn ends_within(child: &Child, time: Duration) -> bool {
    let Ok(process) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else {
        return false;
    };
    let Ok(time) = Timespec::try_from(time) else {
        return false;
    };
    let mut ends = [PollFd::new(&process, PollFlags::IN)];
    matches!(poll(&mut ends, Some(&time)), Ok(1))
}

#[cfg(test)]
mod tests;
