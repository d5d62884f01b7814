use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Barrier;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::config::plan::LogFormat;
use crate::kit::clock::{Mono, Now};
use crate::kit::template::Template;
use crate::observe::journal::HAND_OVER_BYTES;
use crate::observe::{Format, Line};
use crate::wire::fields::Fields;

/// Far longer than any test takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

fn tally() -> Tally {
    let counter = |name| IntCounter::new(name, "a test's").unwrap();
    Tally {
        dropped: counter("dropped"),
        errors: counter("errors"),
    }
}

fn start(target: Target) -> (LogWriter, Tally) {
    let tally = tally();
    let writer = LogWriter::start_with(target, tally.clone(), Duration::from_millis(1)).unwrap();
    (writer, tally)
}

/// Writes `text` as one line.
fn note(journal: &mut Journal, text: &str) {
    let format = Format::new(&LogFormat::Template(Template::parse("${path}").unwrap()));
    let line = Line {
        start: Now {
            mono: Mono(0),
            wall: Duration::ZERO,
        },
        duration: Duration::ZERO,
        client_ip: None,
        method: b"GET",
        host: b"",
        path: text.as_bytes(),
        query: None,
        scheme: "http",
        port: 80,
        protocol: "HTTP/1.1",
        status: 200,
        bytes_sent: 0,
        bytes_received: 0,
        user: None,
        route: None,
        upstream: None,
        server: None,
        tries: 0,
        upstream_time: None,
        cache: None,
        refusal: None,
        request_id: b"",
        request: &Fields::default(),
        response: &(),
        slow: None,
    };
    journal.write(&format, &line);
}

fn file_target(path: &Path) -> Target {
    Target::open(&LogTarget::File(path.to_owned())).unwrap()
}

/// A target the test holds in its hand: it takes what it is allowed to, and keeps it.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, parking_lot::Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: bool,
    /// Bytes it still takes before it fails; None = any number.
    room: Option<usize>,
    written: Vec<u8>,
}

impl Gate {
    fn with_room(room: usize) -> Self {
        let gate = Self::default();
        gate.set(|state| (state.open, state.room) = (true, Some(room)));
        gate
    }

    fn set(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    fn await_that(&self, fact: impl Fn(&GateState) -> bool) {
        self.0.1.wait_while(&mut self.0.0.lock(), |state| !fact(state));
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().written.clone()).unwrap()
    }
}

impl Write for Gate {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        state.waiting = true;
        self.0.1.notify_all();
        self.0.1.wait_while(&mut state, |state| !state.open);
        let taken = state.room.unwrap_or(usize::MAX).min(text.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - taken);
        state.written.extend_from_slice(&text[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_reach_the_file_behind_what_is_already_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "old\n").unwrap();
    let (writer, tally) = start(file_target(&path));
    let mut journal = writer.journal();
    note(&mut journal, "/one");
    journal.flush();
    note(&mut journal, "/two");
    drop(journal);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\n/one\n/two\n");
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn reopening_under_load_loses_tears_and_reorders_nothing() {
    const WORKERS: usize = 4;
    const LINES: usize = 20_000;
    const ROTATIONS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (writer, tally) = start(file_target(&path));
    let step = Barrier::new(WORKERS + 1);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (mut journal, step) = (writer.journal(), &step);
            scope.spawn(move || {
                for n in 0..LINES {
                    // In step with the rotations, so that every file gets some; between two of them, at will.
                    if n % (LINES / ROTATIONS) == 0 {
                        step.wait();
                    }
                    note(&mut journal, &format!("/{worker}/{n}/end"));
                    if n % 7 == 0 {
                        journal.flush();
                    }
                }
            });
        }
        for rotation in 0..ROTATIONS {
            step.wait();
            fs::rename(&path, folder.path().join(format!("access.log.{rotation}"))).unwrap();
            writer.reopen().unwrap();
        }
    });
    assert!(writer.flush_and_stop(PATIENCE));
    let rotated = (0..ROTATIONS).map(|n| folder.path().join(format!("access.log.{n}")));
    let all: String = rotated
        .chain([path])
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    let mut next = [0; WORKERS];
    for line in all.lines() {
        let parts: Vec<&str> = line.split('/').collect();
        let ["", worker, n, "end"] = parts[..] else {
            panic!("torn: {line}");
        };
        let worker: usize = worker.parse().unwrap();
        assert_eq!(n.parse(), Ok(next[worker]), "of worker {worker}");
        next[worker] += 1;
    }
    assert_eq!(next, [LINES; WORKERS]);
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn a_line_handed_over_after_reopen_is_in_the_new_file_and_one_before_in_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
    let (writer, _) = start(file_target(&path));
    let mut journal = writer.journal();
    note(&mut journal, "/before");
    journal.flush();
    fs::rename(&path, &rotated).unwrap();
    writer.reopen().unwrap();
    note(&mut journal, "/after");
    journal.flush();
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(fs::read_to_string(rotated).unwrap(), "/before\n");
    assert_eq!(fs::read_to_string(path).unwrap(), "/after\n");
}

#[test]
fn a_stuck_writer_costs_lines_which_are_counted_and_never_a_worker() {
    let gate = Gate::default();
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    let text = format!("/{}", "x".repeat(1022));
    let offered = 2 * QUEUE_BYTES_MAX / 1024;
    for _ in 0..offered {
        note(&mut journal, &text);
    }
    let dropped = tally.dropped.get();
    assert!(dropped > 0);
    gate.set(|state| state.open = true);
    drop(journal);
    assert!(writer.flush_and_stop(PATIENCE));
    // The journal's own lines were handed over or counted when it was dropped.
    let dropped = tally.dropped.get();
    let written = gate.text().lines().count() as u64;
    assert_eq!(written + dropped, offered as u64);
    assert!(written * 1024 <= (QUEUE_BYTES_MAX + 2 * HAND_OVER_BYTES) as u64);
    assert!(
        written * 1024 >= QUEUE_BYTES_MAX as u64 / 2,
        "the room there is, is used"
    );
}

#[test]
fn many_small_flushes_to_a_stuck_writer_share_buffers() {
    let gate = Gate::default();
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    for _ in 0..10_000 {
        note(&mut journal, "/small");
        journal.flush();
    }
    // Each in a buffer of its own, they would need 400 MB and most would have been refused.
    assert_eq!(tally.dropped.get(), 0);
    gate.set(|state| state.open = true);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(gate.text(), "/small\n".repeat(10_000));
}

#[test]
fn a_stop_does_not_wait_for_a_stuck_target_longer_than_told() {
    let gate = Gate::default();
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    note(&mut journal, "/held");
    journal.flush();
    gate.await_that(|state| state.waiting);
    note(&mut journal, "/queued");
    drop(journal);
    assert!(!writer.flush_and_stop(Duration::ZERO));
    assert_eq!(tally.dropped.get(), 1);
    gate.set(|state| state.open = true); // lets the thread go
}

#[test]
fn a_full_disk_is_retried_until_there_is_room_and_nothing_is_torn() {
    let gate = Gate::with_room(9);
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    for n in 0..3 {
        note(&mut journal, &format!("/line/{n}"));
    }
    journal.flush();
    gate.await_that(|state| state.room == Some(0));
    gate.set(|state| state.room = None);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(gate.text(), "/line/0\n/line/1\n/line/2\n");
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn a_new_target_frees_lines_from_a_failing_one_and_repeats_the_torn_line_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rescue.log");
    let gate = Gate::with_room(9);
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    note(&mut journal, "/line/0");
    note(&mut journal, "/line/1");
    journal.flush();
    gate.await_that(|state| state.room == Some(0));
    note(&mut journal, "/line/2");
    journal.flush();
    writer.retarget(file_target(&path));
    note(&mut journal, "/line/3");
    drop(journal);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(gate.text(), "/line/0\n/");
    assert_eq!(fs::read_to_string(path).unwrap(), "/line/1\n/line/2\n/line/3\n");
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn a_target_that_never_works_loses_its_lines_counted_at_the_end() {
    let gate = Gate::with_room(0);
    let (writer, tally) = start(Target::of(gate.clone()));
    let mut journal = writer.journal();
    note(&mut journal, "/a");
    note(&mut journal, "/b");
    journal.flush();
    gate.await_that(|state| state.waiting);
    drop(journal);
    let queue = writer.queue.clone();
    assert!(!writer.flush_and_stop(Duration::ZERO));
    assert!(queue.await_end(PATIENCE), "the thread ends by itself");
    assert_eq!(tally.dropped.get(), 2);
    assert!(tally.errors.get() > 0);
}

#[test]
fn what_the_kernel_refuses_is_kept_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room.log");
    let (writer, tally) = start(file_target(Path::new("/dev/full")));
    let mut journal = writer.journal();
    note(&mut journal, "/kept");
    drop(journal);
    while tally.errors.get() == 0 {
        std::thread::yield_now();
    }
    writer.retarget(file_target(&path));
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(fs::read_to_string(path).unwrap(), "/kept\n");
}

#[test]
fn a_fifo_without_reader_delays_neither_the_start_nor_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (writer, _) = start(file_target(&path));
    let mut reader = fs::OpenOptions::new().read(true).open(&path).unwrap();
    let mut journal = writer.journal();
    note(&mut journal, "/piped");
    drop(journal);
    let mut text = [0; 7];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"/piped\n");
    assert!(writer.flush_and_stop(PATIENCE));
}

#[test]
fn an_access_log_that_is_off_takes_nothing_until_it_is_turned_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("on.log");
    let (writer, tally) = start(Target::open(&LogTarget::Off).unwrap());
    let mut journal = writer.journal();
    assert!(journal.is_off());
    note(&mut journal, "/unseen");
    writer.reopen().unwrap();
    writer.retarget(file_target(&path));
    note(&mut journal, "/seen");
    journal.flush();
    writer.retarget(Target::open(&LogTarget::Off).unwrap());
    note(&mut journal, "/unseen");
    drop(journal);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(fs::read_to_string(path).unwrap(), "/seen\n");
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn lines_after_the_stop_count_as_dropped() {
    let (writer, tally) = start(Target::of(Gate::with_room(100)));
    let mut journal = writer.journal();
    assert!(writer.flush_and_stop(PATIENCE));
    note(&mut journal, "/late");
    drop(journal);
    assert_eq!(tally.dropped.get(), 1);
}

#[test]
fn a_path_that_cannot_be_opened_is_named_with_a_remedy_and_leaves_the_old_file_in_use() {
    let folder = tempfile::tempdir().unwrap();
    for (path, remedy) in [
        (folder.path().join("no/such.log"), "create its folder"),
        (folder.path().to_owned(), "name a file in that folder"),
    ] {
        let fault = Target::open(&LogTarget::File(path.clone())).err().unwrap();
        let text = fault.to_string();
        assert!(
            text.contains(path.to_str().unwrap()) && text.ends_with(remedy),
            "{text}"
        );
    }
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let (writer, _) = start(file_target(&inside.join("a.log")));
    let moved = folder.path().join("moved");
    fs::rename(&inside, &moved).unwrap();
    assert!(matches!(writer.reopen(), Err(LogFault::Open { .. })));
    let mut journal = writer.journal();
    note(&mut journal, "/still");
    drop(journal);
    assert!(writer.flush_and_stop(PATIENCE));
    assert_eq!(fs::read_to_string(moved.join("a.log")).unwrap(), "/still\n");
}
