//! What a fill promises, case by case; `schedules` tries them in any order.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::cache::object::{Facets, Freshness, Key, Meta};
use crate::cache::sync::Arc;
use crate::wire::{Fields, Version};

mod schedules;

const MEMORY_BYTES_MAX: usize = 16 * 1024;

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// A file in memory that is full at some point.
struct Tape {
    bytes: Mutex<Vec<u8>>,
    capacity: usize,
}

impl Tape {
    fn of(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::default(),
            capacity,
        })
    }
}

impl Spill for Tape {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut tape = self.bytes.lock();
        let room = self.capacity.saturating_sub(tape.len()).min(bytes.len());
        // As a full disk does: a part of it is written.
        tape.extend_from_slice(&bytes[..room]);
        match room == bytes.len() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }

    fn read_at(&self, offset: u64, out: &mut [u8], may_wait: bool) -> io::Result<Option<usize>> {
        if !may_wait {
            return Ok(None);
        }
        let tape = self.bytes.lock();
        let from = usize::try_from(offset).unwrap().min(tape.len());
        let count = out.len().min(tape.len() - from);
        out[..count].copy_from_slice(&tape[from..from + count]);
        Ok(Some(count))
    }
}

/// The byte at an offset of every body here: neighbours differ, and so do blocks.
fn byte_at(offset: u64) -> u8 {
    let mixed = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

fn body(offset: u64, length: usize) -> Bytes {
    (offset..offset + length as u64).map(byte_at).collect()
}

fn meta() -> Arc<Meta> {
    Arc::new(Meta {
        key_text: Box::default(),
        variance: Box::default(),
        vary: Box::default(),
        status: 200,
        reason: Box::default(),
        version: Version::Http11,
        fields: Fields::default(),
        freshness: Freshness::default(),
        facets: Facets::default(),
        serial: 0,
    })
}

fn plan(length: Option<u64>, spill: Option<Arc<Tape>>) -> FillPlan {
    FillPlan {
        key: Key {
            primary: 1,
            variance: 0,
        },
        meta: meta(),
        length,
        memory_bytes_max: MEMORY_BYTES_MAX,
        object_bytes_max: u64::MAX,
        spill: spill.map(|tape| tape as Arc<dyn Spill>),
        budget: None,
    }
}

fn poll(follower: &mut Follower) -> Poll<Step> {
    follower.poll_next(&mut Context::from_waker(Waker::noop()))
}

fn has_room(writer: &mut FillWriter) -> bool {
    writer
        .poll_room(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

/// All that can be read now, and how it ended: None if there may be more.
fn read(follower: &mut Follower) -> (Vec<u8>, Option<Step>) {
    let mut got = Vec::new();
    loop {
        match poll(follower) {
            Poll::Ready(Step::Bytes(bytes)) => got.extend_from_slice(&bytes),
            Poll::Ready(Step::InFile {
                reader,
                offset,
                length,
            }) => {
                let mut out = vec![0; usize::try_from(length).unwrap()];
                let count = reader.read_at(offset, &mut out, true).unwrap().unwrap();
                got.extend_from_slice(&out[..count]);
                follower.advance(count as u64);
            }
            Poll::Ready(end @ (Step::End | Step::Broken)) => return (got, Some(end)),
            Poll::Pending => return (got, None),
        }
    }
}

/// Pushes `length` bytes in chunks and runs the jobs at once.
fn push(writer: &mut FillWriter, length: usize, chunk: usize) {
    let mut left = length;
    while left > 0 {
        let count = left.min(chunk);
        let offset = writer.fill().received();
        if let Pushed::Spill(job) = writer.push(body(offset, count)).unwrap() {
            _ = job.run();
        }
        left -= count;
    }
}

#[test]
fn a_late_follower_reads_from_the_beginning_to_the_end() {
    let (fill, mut writer) = Fill::begin(plan(Some(300), None));
    push(&mut writer, 200, 100);
    let mut early = fill.follow().unwrap();
    assert_eq!(read(&mut early).0, body(0, 200));
    push(&mut writer, 100, 100);
    let Ok(Finished::InMemory(whole)) = writer.finish() else {
        panic!("300 bytes fit into memory");
    };
    assert_eq!(whole, body(0, 300));
    let mut late = fill.follow().unwrap();
    assert!(matches!(read(&mut late), (got, Some(Step::End)) if got == body(0, 300)));
    assert!(matches!(read(&mut early), (got, Some(Step::End)) if got == body(200, 100)));
    assert_eq!(fill.followers(), 2);
    drop(early);
    assert_eq!(fill.followers(), 1);
}

#[test]
fn a_dropped_writer_is_an_error_and_never_an_end() {
    let (fill, mut writer) = Fill::begin(plan(None, None));
    let mut follower = fill.follow().unwrap();
    push(&mut writer, 10, 10);
    let bell = Arc::new(Bell::default());
    assert_eq!(read(&mut follower).0, body(0, 10));
    let waker = Waker::from(Arc::clone(&bell));
    assert!(follower.poll_next(&mut Context::from_waker(&waker)).is_pending());
    drop(writer);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(poll(&mut follower), Poll::Ready(Step::Broken)));
    assert!(matches!(poll(&mut follower), Poll::Ready(Step::Broken)));
    assert_eq!(fill.state(), FillState::Broken);
    assert!(fill.follow().is_none(), "who comes now would get a torn body");
}

#[test]
fn a_body_of_another_length_than_announced_is_broken() {
    for (length, sent) in [(10, 9), (10, 11), (0, 1), (1, 0)] {
        let (fill, mut writer) = Fill::begin(plan(Some(length), None));
        let mut follower = fill.follow().unwrap();
        let error = match writer.push(body(0, sent)) {
            Ok(_) => writer.finish().unwrap_err(),
            Err(error) => error,
        };
        let expected = match sent as u64 > length {
            true => FillError::Overlong { length },
            false => FillError::Short {
                length,
                received: sent as u64,
            },
        };
        assert_eq!(error, expected);
        let (got, end) = read(&mut follower);
        assert!(
            matches!(end, Some(Step::Broken)),
            "{length} announced, {sent} sent"
        );
        assert!(got.len() as u64 <= length);
    }
}

#[test]
fn an_empty_body_has_an_end() {
    let (fill, writer) = Fill::begin(plan(Some(0), None));
    let mut follower = fill.follow().unwrap();
    assert!(poll(&mut follower).is_pending());
    assert!(matches!(writer.finish(), Ok(Finished::InMemory(whole)) if whole.is_empty()));
    assert!(matches!(poll(&mut follower), Poll::Ready(Step::End)));
}

#[test]
fn single_bytes_do_not_cost_a_segment_each() {
    let mut window = window::Window::default();
    for offset in 0..20_000 {
        window.append(body(offset, 1));
        let full = window.length() / SMALL_CHUNK_BYTES;
        assert!(
            window.segments() <= full + 13,
            "{} for {offset}",
            window.segments()
        );
    }
    assert_eq!(window::one_piece(&window.pieces_from(0)), body(0, 20_000));
}

#[test]
fn a_large_chunk_is_kept_and_read_without_a_copy() {
    let chunk = body(0, STEP_BYTES_MAX + 1);
    let (fill, mut writer) = Fill::begin(FillPlan {
        memory_bytes_max: usize::MAX,
        ..plan(None, None)
    });
    let mut follower = fill.follow().unwrap();
    writer.push(chunk.clone()).unwrap();
    let Poll::Ready(Step::Bytes(first)) = poll(&mut follower) else {
        panic!("there are bytes");
    };
    assert_eq!((first.as_ptr(), first.len()), (chunk.as_ptr(), STEP_BYTES_MAX));
    let Ok(Finished::InMemory(whole)) = writer.finish() else {
        panic!("it fits");
    };
    assert_eq!(whole.as_ptr(), chunk.as_ptr());
}

#[test]
fn a_large_body_goes_to_the_file_and_followers_go_from_memory_to_file_and_back() {
    let tape = Tape::of(usize::MAX);
    let (fill, mut writer) = Fill::begin(plan(None, Some(Arc::clone(&tape))));
    let mut steady = fill.follow().unwrap();
    let mut got = Vec::new();
    for _ in 0..40 {
        push(&mut writer, 1000, 1000);
        got.extend(read(&mut steady).0);
    }
    assert!(fill.memory_bytes() <= MEMORY_BYTES_MAX);
    let mut late = fill.follow().unwrap();
    assert_eq!(read(&mut late).0, body(0, 40_000));
    let Ok(Finished::Spilled(job)) = writer.finish() else {
        panic!("it went to the file");
    };
    assert_eq!(job.run().unwrap(), SpillProgress::Whole);
    assert_eq!(*tape.bytes.lock(), body(0, 40_000));
    assert_eq!(got, body(0, 40_000));
    assert!(matches!(read(&mut steady), (_, Some(Step::End))));
    assert!(matches!(read(&mut late), (_, Some(Step::End))));
    assert_eq!(fill.memory_bytes(), 0);
}

#[test]
fn jobs_may_run_in_any_order() {
    let tape = Tape::of(usize::MAX);
    let (_fill, mut writer) = Fill::begin(plan(None, Some(Arc::clone(&tape))));
    let Pushed::Spill(first) = writer.push(body(0, MEMORY_BYTES_MAX + 1)).unwrap() else {
        panic!("it is too large");
    };
    let Ok(Finished::Spilled(last)) = writer.finish() else {
        panic!("it is on its way to the file");
    };
    assert_eq!(last.run().unwrap(), SpillProgress::Whole);
    assert_eq!(first.run().unwrap(), SpillProgress::Whole);
    assert_eq!(*tape.bytes.lock(), body(0, MEMORY_BYTES_MAX + 1));
}

#[test]
fn the_writer_waits_while_a_job_is_out_and_memory_is_full() {
    let (fill, mut writer) = Fill::begin(plan(None, Some(Tape::of(usize::MAX))));
    let Pushed::Spill(job) = writer.push(body(0, MEMORY_BYTES_MAX + 1)).unwrap() else {
        panic!("it is too large");
    };
    assert!(has_room(&mut writer));
    let offset = fill.received();
    assert!(matches!(
        writer.push(body(offset, MEMORY_BYTES_MAX)),
        Ok(Pushed::Kept)
    ));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(writer.poll_room(&mut Context::from_waker(&waker)).is_pending());
    assert!(matches!(
        writer.push(body(0, 1)),
        Err(FillError::NoRoom(bytes)) if bytes == body(0, 1)
    ));
    assert_eq!(job.run().unwrap(), SpillProgress::Partial);
    assert_eq!(bell.rings(), 1);
    assert!(has_room(&mut writer));
}

#[test]
fn a_full_disk_costs_no_follower_a_byte() {
    let (fill, mut writer) = Fill::begin(plan(None, Some(Tape::of(20_000))));
    let mut slow = fill.follow().unwrap();
    let mut quick = fill.follow().unwrap();
    push(&mut writer, 18_000, 1000);
    assert!(fill.memory_bytes() < 18_000, "the first job was done");
    let mut got = (Vec::new(), read(&mut quick).0);
    for _ in 0..40 {
        push(&mut writer, 1000, 1000);
        got.0.extend(read(&mut slow).0);
        got.1.extend(read(&mut quick).0);
    }
    assert!(fill.is_passing());
    assert!(fill.follow().is_none());
    assert!(matches!(writer.finish(), Ok(Finished::NotStorable)));
    assert!(matches!(read(&mut slow), (_, Some(Step::End))));
    assert!(matches!(read(&mut quick), (_, Some(Step::End))));
    assert_eq!(got.0, body(0, 58_000));
    assert_eq!(got.1, body(0, 58_000));
}

#[test]
fn a_job_that_never_ran_is_a_failed_one() {
    let (fill, mut writer) = Fill::begin(plan(None, Some(Tape::of(usize::MAX))));
    let mut follower = fill.follow().unwrap();
    let Pushed::Spill(job) = writer.push(body(0, MEMORY_BYTES_MAX + 1)).unwrap() else {
        panic!("it is too large");
    };
    assert!(has_room(&mut writer));
    drop(job);
    assert!(fill.is_passing());
    let next = fill.received();
    let pushed = writer.push(body(next, MEMORY_BYTES_MAX));
    assert!(
        matches!(pushed, Ok(Pushed::Kept)),
        "the room it was told of was taken back"
    );
    assert!(!has_room(&mut writer));
    assert_eq!(read(&mut follower).0, body(0, 2 * MEMORY_BYTES_MAX + 1));
    assert!(has_room(&mut writer));
}

#[test]
fn without_a_spill_the_slowest_follower_holds_the_window() {
    let (fill, mut writer) = Fill::begin(plan(None, None));
    let mut quick = fill.follow().unwrap();
    let slow = fill.follow().unwrap();
    push(&mut writer, MEMORY_BYTES_MAX + 1, 1000);
    assert!(fill.follow().is_none());
    assert_eq!(read(&mut quick).0.len(), MEMORY_BYTES_MAX + 1);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(writer.poll_room(&mut Context::from_waker(&waker)).is_pending());
    drop(slow);
    assert_eq!(bell.rings(), 1);
    assert!(has_room(&mut writer));
    assert_eq!(fill.memory_bytes(), 0);
    let next = fill.received();
    assert!(matches!(writer.push(body(next, 7)), Ok(Pushed::Kept)));
    assert_eq!(read(&mut quick).0, body(next, 7));
    assert!(!quick.skip_to(0), "the beginning is gone");
    drop(quick);
    assert!(matches!(writer.push(body(next + 7, 7)), Ok(Pushed::Unheard)));
    assert_eq!(fill.memory_bytes(), 0);
    assert!(matches!(writer.finish(), Ok(Finished::NotStorable)));
}

#[test]
fn a_body_larger_than_any_object_is_passed_through_though_there_is_a_file() {
    let (fill, mut writer) = Fill::begin(FillPlan {
        object_bytes_max: 50_000,
        ..plan(None, Some(Tape::of(usize::MAX)))
    });
    let mut follower = fill.follow().unwrap();
    push(&mut writer, 50_000, 1000);
    assert!(!fill.is_passing());
    push(&mut writer, 1, 1);
    assert!(fill.is_passing());
    assert_eq!(read(&mut follower).0, body(0, 50_001));
    assert!(matches!(writer.finish(), Ok(Finished::NotStorable)));
    assert!(matches!(read(&mut follower), (_, Some(Step::End))));
}

#[test]
fn who_waits_for_a_later_byte_sleeps_until_it_comes() {
    let (fill, mut writer) = Fill::begin(plan(None, None));
    let mut follower = fill.follow().unwrap();
    assert!(follower.skip_to(100));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    assert!(follower.poll_next(&mut context).is_pending());
    push(&mut writer, 100, 10);
    assert_eq!(bell.rings(), 0);
    push(&mut writer, 1, 1);
    assert_eq!(bell.rings(), 1);
    assert_eq!(read(&mut follower).0, body(100, 1));
}

#[test]
fn a_follower_far_beyond_any_end_is_told_of_it() {
    let (fill, writer) = Fill::begin(plan(None, None));
    let mut follower = fill.follow().unwrap();
    assert!(follower.skip_to(u64::MAX));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(follower.poll_next(&mut Context::from_waker(&waker)).is_pending());
    drop(writer);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(poll(&mut follower), Poll::Ready(Step::Broken)));
}

#[test]
fn fills_together_hold_no_more_than_their_budget_however_slow_their_followers_are() {
    let budget = Arc::new(Budget::new(MEMORY_BYTES_MAX));
    let begin = || {
        Fill::begin(FillPlan {
            memory_bytes_max: 8 * MEMORY_BYTES_MAX,
            budget: Some(Arc::clone(&budget)),
            ..plan(None, None)
        })
    };
    let (first, mut writer) = begin();
    let stays = first.follow().unwrap();
    push(&mut writer, MEMORY_BYTES_MAX, 1000);
    assert!(!first.is_passing() && budget.held() == MEMORY_BYTES_MAX);

    let (second, mut other) = begin();
    let mut follower = second.follow().unwrap();
    other.push(body(0, CROWDED_BYTES_MAX)).unwrap();
    assert!(second.is_passing(), "there is no room left for it");
    let Err(FillError::NoRoom(_)) = other.push(body(0, 1)) else {
        panic!("its follower has read nothing yet");
    };
    let Poll::Ready(Step::Bytes(read)) = poll(&mut follower) else {
        panic!("there are bytes");
    };
    assert_eq!(read.len(), CROWDED_BYTES_MAX);
    other.push(body(CROWDED_BYTES_MAX as u64, 1)).unwrap();

    drop((second, other, follower));
    assert_eq!(budget.held(), MEMORY_BYTES_MAX);
    drop((first, writer));
    assert_eq!(budget.held(), MEMORY_BYTES_MAX, "who follows keeps it");
    drop(stays);
    assert_eq!(budget.held(), 0);
}

#[test]
fn a_crowded_fill_goes_to_its_file_at_once() {
    let tape = Tape::of(usize::MAX);
    let (fill, mut writer) = Fill::begin(FillPlan {
        budget: Some(Arc::new(Budget::new(10))),
        ..plan(None, Some(tape.clone()))
    });
    assert!(matches!(writer.push(body(0, 10)).unwrap(), Pushed::Kept));
    let Pushed::Spill(job) = writer.push(body(10, 10)).unwrap() else {
        panic!("beyond the budget");
    };
    assert_eq!(job.run().unwrap(), SpillProgress::Partial);
    assert_eq!((fill.memory_bytes(), tape.bytes.lock().len()), (0, 20));
    assert_eq!(fill.budget.as_ref().unwrap().held(), 0);
    assert!(!fill.is_passing());
}
