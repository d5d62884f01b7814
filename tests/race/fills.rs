//! A writer, its jobs and its followers.

use std::io;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;

use super::check;
use super::fill::{
    Fill, FillPlan, FillState, FillWriter, Finished, Follower, Pushed, Spill, SpillProgress, Step,
};
use super::object::Key;
use super::sync::{Arc, AtomicUsize, Mutex, Ordering};

const KEY: Key = Key {
    primary: 1,
    variance: 0,
};

/// A file that is full once, at some point; later there is space again.
struct Tape {
    bytes: Mutex<Vec<u8>>,
    full_at: AtomicUsize,
}

impl Spill for Tape {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        // One byte per lock: two who append at once would be seen.
        for byte in bytes {
            let mut tape = self.bytes.lock();
            if tape.len() == self.full_at.load(Ordering::SeqCst) {
                self.full_at.store(usize::MAX, Ordering::SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            tape.push(*byte);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8], _: bool) -> io::Result<Option<usize>> {
        let tape = self.bytes.lock();
        let from = usize::try_from(offset).expect("a short tape");
        let count = out.len().min(tape.len() - from);
        out[..count].copy_from_slice(&tape[from..from + count]);
        Ok(Some(count))
    }
}

fn tape(full_at: usize) -> Arc<Tape> {
    Arc::new(Tape {
        bytes: Mutex::default(),
        full_at: AtomicUsize::new(full_at),
    })
}

fn begin(memory_bytes_max: usize, spill: Option<Arc<Tape>>) -> (Arc<Fill>, FillWriter) {
    Fill::begin(FillPlan {
        key: KEY,
        meta: super::meta(&[]),
        length: None,
        memory_bytes_max,
        object_bytes_max: u64::MAX,
        spill: spill.map(|tape| tape as Arc<dyn Spill>),
        budget: None,
    })
}

/// The body is 0, 1, 2, …; two bytes a push.
fn push(writer: &mut FillWriter, from: u8) -> Pushed {
    block_on(writer.room());
    writer
        .push(Bytes::copy_from_slice(&[from, from + 1]))
        .expect("there is room")
}

/// Reads to the end; whether it was one, or a break.
fn read(mut follower: Follower) -> (Vec<u8>, bool) {
    let mut got = Vec::new();
    loop {
        match block_on(follower.next()) {
            Step::Bytes(bytes) => got.extend_from_slice(&bytes),
            Step::InFile { reader, offset, .. } => {
                let mut byte = [0];
                let count = reader.read_at(offset, &mut byte, true).expect("a tape");
                assert_eq!(count, Some(1));
                got.extend_from_slice(&byte);
                follower.advance(1);
            }
            Step::End => return (got, true),
            Step::Broken => return (got, false),
        }
    }
}

fn reader(follower: Follower) -> thread::JoinHandle<(Vec<u8>, bool)> {
    thread::spawn(move || read(follower))
}

#[test]
fn followers_that_come_at_any_time_read_all_of_it() {
    check(|| {
        let (fill, mut writer) = begin(64, None);
        let early = reader(fill.follow().expect("it is whole"));
        let late = thread::spawn(move || read(fill.follow().expect("it is whole")));
        push(&mut writer, 0);
        push(&mut writer, 2);
        let Ok(Finished::InMemory(whole)) = writer.finish() else {
            panic!("four bytes fit");
        };
        for thread in [early, late] {
            assert_eq!(thread.join().expect("it reads"), (whole.to_vec(), true));
        }
    });
}

#[test]
fn a_writer_that_goes_breaks_it_for_everybody() {
    check(|| {
        let (fill, mut writer) = begin(64, None);
        let first = reader(fill.follow().expect("it is whole"));
        let second = reader(fill.follow().expect("it is whole"));
        let newcomer = {
            let fill = Arc::clone(&fill);
            thread::spawn(move || fill.follow().map(read))
        };
        push(&mut writer, 0);
        drop(writer);
        for thread in [first, second] {
            assert_eq!(thread.join().expect("it reads"), (vec![0, 1], false));
        }
        if let Some((_, ended)) = newcomer.join().expect("it reads") {
            assert!(!ended);
        }
        assert_eq!(fill.state(), FillState::Broken);
        assert_eq!(fill.followers(), 0);
    });
}

#[test]
fn jobs_write_in_order_while_followers_go_from_memory_to_file() {
    check(|| {
        let tape = tape(usize::MAX);
        let (fill, mut writer) = begin(3, Some(Arc::clone(&tape)));
        let first = reader(fill.follow().expect("it is whole"));
        let second = reader(fill.follow().expect("it is whole"));
        let mut jobs = Vec::new();
        for from in [0, 2, 4, 6] {
            if let Pushed::Spill(job) = push(&mut writer, from) {
                jobs.push(thread::spawn(move || job.run().expect("there is space")));
            }
        }
        let Ok(Finished::Spilled(last)) = writer.finish() else {
            panic!("eight bytes do not fit");
        };
        assert_eq!(last.run().expect("there is space"), SpillProgress::Whole);
        let whole: Vec<u8> = (0..8).collect();
        assert_eq!(*tape.bytes.lock(), whole);
        for thread in [first, second] {
            assert_eq!(thread.join().expect("it reads"), (whole.clone(), true));
        }
        for job in jobs {
            job.join().expect("it writes");
        }
        assert_eq!(*tape.bytes.lock(), whole);
    });
}

#[test]
fn a_full_disk_ends_nobodys_body() {
    check(|| {
        let tape = tape(5);
        let (fill, mut writer) = begin(3, Some(Arc::clone(&tape)));
        let first = reader(fill.follow().expect("it is whole"));
        let second = reader(fill.follow().expect("it is whole"));
        let mut jobs = Vec::new();
        for from in [0, 2, 4, 6] {
            if let Pushed::Spill(job) = push(&mut writer, from) {
                jobs.push(thread::spawn(move || job.run()));
            }
        }
        match writer.finish().expect("its length was not announced") {
            Finished::NotStorable => {}
            // Half a piece is in the file, whoever wrote it: this is no object.
            Finished::Spilled(last) => assert!(!matches!(last.run(), Ok(SpillProgress::Whole))),
            Finished::InMemory(_) => panic!("eight bytes do not fit"),
        }
        for thread in [first, second] {
            assert_eq!(thread.join().expect("it reads"), ((0..8).collect(), true));
        }
        for job in jobs {
            _ = job.join().expect("it ends");
        }
        assert!(fill.is_passing() && fill.follow().is_none());
    });
}

#[test]
fn a_job_that_is_dropped_holds_nobody_up() {
    check(|| {
        let (fill, mut writer) = begin(3, Some(tape(usize::MAX)));
        let only = reader(fill.follow().expect("it is whole"));
        let mut droppers = Vec::new();
        for from in [0, 2, 4, 6] {
            if let Pushed::Spill(job) = push(&mut writer, from) {
                droppers.push(thread::spawn(move || drop(job)));
            }
        }
        assert!(writer.finish().is_ok());
        assert_eq!(only.join().expect("it reads"), ((0..8).collect(), true));
        for dropper in droppers {
            dropper.join().expect("it drops");
        }
    });
}

#[test]
fn a_passing_writer_waits_for_the_slowest_and_not_for_who_has_gone() {
    check(|| {
        let (fill, mut writer) = begin(3, None);
        let steady = reader(fill.follow().expect("it is whole"));
        let mut leaver = fill.follow().expect("it is whole");
        let leaver = thread::spawn(move || {
            let Step::Bytes(bytes) = block_on(leaver.next()) else {
                panic!("there are bytes");
            };
            assert_eq!(bytes[0], 0);
        });
        for from in [0, 2, 4, 6, 8] {
            push(&mut writer, from);
            assert!(fill.memory_bytes() <= 5);
        }
        assert!(matches!(writer.finish(), Ok(Finished::NotStorable)));
        assert_eq!(steady.join().expect("it reads"), ((0..10).collect(), true));
        leaver.join().expect("it leaves");
    });
}

#[test]
fn a_skipping_follower_is_woken_when_its_byte_comes() {
    check(|| {
        let (fill, mut writer) = begin(64, None);
        let mut follower = fill.follow().expect("it is whole");
        let skipping = thread::spawn(move || {
            assert!(follower.skip_to(3));
            read(follower)
        });
        let whole = reader(fill.follow().expect("it is whole"));
        push(&mut writer, 0);
        push(&mut writer, 2);
        push(&mut writer, 4);
        assert!(writer.finish().is_ok());
        assert_eq!(skipping.join().expect("it reads"), (vec![3, 4, 5], true));
        assert_eq!(whole.join().expect("it reads").0.len(), 6);
    });
}
