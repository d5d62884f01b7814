use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::stream::{IoFault, Stream};

const LONG: Duration = Duration::from_secs(60);

fn streams() -> (Stream, Stream) {
    let (a, b) = pair();
    (Stream::Memory(a), Stream::Memory(b))
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn bytes_go_both_ways_and_a_slow_reader_holds_up_its_writer() {
    let (a, b) = streams();
    let large: Vec<u8> = (0..PIPE_BYTES * 5)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let write = async {
        a.write_all(&mut [IoSlice::new(&large)], LONG).await.unwrap();
        a.finish_sending();
    };
    let read = async {
        let mut all = Vec::new();
        let mut space = [0; 1000];
        loop {
            match b.read(&mut space).await.unwrap() {
                0 => return all,
                n => all.extend_from_slice(&space[..n]),
            }
        }
    };
    let ((), all) = tokio::join!(write, read);
    assert_eq!(all, large);
    b.write_all(&mut [IoSlice::new(b"back")], LONG).await.unwrap();
    let mut space = [0; 10];
    assert_eq!(a.read(&mut space).await.unwrap(), 4);
    assert_eq!(&space[..4], b"back");
}

#[tokio::test]
async fn a_writer_that_is_not_read_runs_out_of_time() {
    let (a, b) = streams();
    let much = vec![0; PIPE_BYTES + 1];
    let written = a.write_all(&mut [IoSlice::new(&much)], Duration::ZERO).await;
    assert!(matches!(written, Err(IoFault::TimedOut)));
    assert_eq!(
        kind(a.try_write(&[IoSlice::new(b"x")])),
        io::ErrorKind::WouldBlock
    );
    drop(b);
}

#[tokio::test]
async fn an_end_that_is_dropped_has_finished() {
    let (a, b) = streams();
    a.try_write(&[IoSlice::new(b"last"), IoSlice::new(b" words")])
        .unwrap();
    assert!(!b.is_quiet());
    drop(a);
    let mut space = [0; 20];
    assert_eq!(b.read(&mut space).await.unwrap(), 10);
    assert_eq!(b.read(&mut space).await.unwrap(), 0);
    assert_eq!(
        kind(b.try_write(&[IoSlice::new(b"x")])),
        io::ErrorKind::BrokenPipe
    );
}

#[tokio::test]
async fn a_reset_is_none_and_takes_what_was_not_read() {
    let (a, b) = streams();
    a.try_write(&[IoSlice::new(b"half")]).unwrap();
    a.close_by_reset();
    a.close_in_order();
    a.close_by_reset();
    let waiting = b.broken();
    drop(a);
    assert_eq!(waiting.await.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(kind(b.try_read(&mut [0; 9])), io::ErrorKind::ConnectionReset);
    assert_eq!(kind(b.readable().await), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn whoever_waits_is_told_of_every_end() {
    for by_reset in [false, true] {
        let (a, b) = streams();
        let mut space = [0; 1];
        let reads = b.read(&mut space);
        let drops = async {
            tokio::task::yield_now().await;
            if by_reset {
                a.close_by_reset();
            }
            drop(a);
        };
        let (read, ()) = tokio::join!(reads, drops);
        assert_eq!(read.is_err(), by_reset);
    }
    let (a, b) = streams();
    let full = vec![0; PIPE_BYTES];
    a.try_write(&[IoSlice::new(&full)]).unwrap();
    let drops = async {
        tokio::task::yield_now().await;
        drop(b);
    };
    let more = [IoSlice::new(b"x")];
    let (written, ()) = tokio::join!(a.write_some(&more), drops);
    assert_eq!(kind(written), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_file_goes_in_as_far_as_there_is_room() {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..PIPE_BYTES + 10)
        .map(|n| u8::try_from(n % 250).unwrap())
        .collect();
    file.write_all(&content).unwrap();
    let (a, b) = pair();
    assert_eq!(a.try_send_file(&file, 5, 10).unwrap(), 10);
    assert_eq!(b.take(), content[5..15]);
    assert_eq!(a.try_send_file(&file, 0, usize::MAX).unwrap(), PIPE_BYTES);
    assert_eq!(b.take(), content[..PIPE_BYTES]);
    assert_eq!(a.try_send_file(&file, content.len() as u64, 1).unwrap(), 0);
    assert!(b.take().is_empty());
}

proptest! {
    /// Against a queue without any cleverness.
    #[test]
    fn what_goes_in_comes_out_in_order(steps in prop::collection::vec((any::<bool>(), 0..70_000_usize), 1..60)) {
        let (a, b) = pair();
        let mut queue = VecDeque::new();
        let mut next = 0_u8;
        for (writes, n) in steps {
            if writes {
                let bytes: Vec<u8> = (0..n).map(|_| { next = next.wrapping_add(1); next }).collect();
                let (first, second) = bytes.split_at(n / 3);
                let room = PIPE_BYTES - queue.len();
                match a.try_write(&[IoSlice::new(first), IoSlice::new(second)]) {
                    Ok(written) => {
                        prop_assert_eq!(written, n.min(room));
                        queue.extend(&bytes[..written]);
                    }
                    Err(error) => prop_assert_eq!((error.kind(), room), (io::ErrorKind::WouldBlock, 0)),
                }
            } else {
                let mut space = vec![0; n.max(1)];
                match b.try_read(&mut space) {
                    Ok(read) => {
                        prop_assert_eq!(read, space.len().min(queue.len()));
                        let expected: Vec<u8> = queue.drain(..read).collect();
                        prop_assert_eq!(&space[..read], &expected[..]);
                    }
                    Err(error) => prop_assert_eq!((error.kind(), queue.len()), (io::ErrorKind::WouldBlock, 0)),
                }
            }
        }
    }
}
