//! Many threads at once.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::{MIB, bytes, disk_bytes, get, key, meta, plan};
use crate::cache::store::{Store, StoreStatus};
use crate::kit::clock::Clock;

const KEYS: u64 = 300;
const ROUNDS: u64 = 1_500;

/// Length and contents follow from the key, so that any byte of another object is noticed.
fn body_of(n: u64) -> Vec<u8> {
    let length = (n * 7919) % 20_000;
    (0..length).map(|i| (n * 31 + i / 5) as u8).collect()
}

fn hammer(store: &Store, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..ROUNDS {
        let n = random.u64(..KEYS);
        match random.u32(..100) {
            0 => _ = store.purge(&[random.u64(..4)], random.bool()),
            1 => _ = store.remove(key(n)),
            2 => {
                if let Some(hit) = get(store, n) {
                    let mark = store.begin_fill();
                    store.freshen(&hit.object, meta(n, &[n % 4, 1000 + n], mark.serial()));
                }
            }
            3 => spill(store, n),
            _ => match get(store, n) {
                Some(hit) => assert_eq!(bytes(&hit.object), body_of(n)),
                None => {
                    let mark = store.begin_fill();
                    store.admit(
                        key(n),
                        meta(n, &[n % 4, 1000 + n], mark.serial()),
                        Bytes::from(body_of(n)),
                    );
                }
            },
        }
        let status = store.status();
        assert!(status.memory_bytes <= status.memory_limit, "{status:?}");
        assert!(status.disk_bytes <= status.disk_limit, "{status:?}");
    }
}

fn spill(store: &Store, n: u64) {
    let Some(draft) = store.draft() else { return };
    let mark = store.begin_fill();
    let body = body_of(n);
    if body.chunks(3_000).all(|part| draft.append(part).is_ok()) {
        store.admit_draft(key(n), meta(n, &[n % 4, 1000 + n], mark.serial()), &draft);
    }
}

#[test]
fn many_threads_never_see_a_wrong_byte_and_leave_exact_counts() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(MIB, Some((folder.path(), 2 * MIB)));
    let store = Store::open(&plan, 5, Clock::system());
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let store = store.clone();
            thread::spawn(move || hammer(&store, seed))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    check_counts(&store);
    assert_eq!(store.fills_in_flight(), 0);
    let bell = store.shared.bell.clone();
    assert_eq!(Arc::strong_count(&store), 1);
    drop(store);
    assert_eq!(bell.state.lock().ended, 2);
    assert_eq!(disk_bytes(folder.path()), 0);
}

/// Everything in memory is in the index, and everything goes once all of it is purged: nothing is known in one place only.
fn check_counts(store: &Store) {
    let shared = &store.shared;
    // Nobody asks any more; what waits to be written comes to an end.
    wait(|| shared.queue.bytes() == 0 && store.fills_in_flight() == 0);
    for n in 0..KEYS {
        if let Some(object) = shared.memory.peek(key(n)) {
            let known = shared.index.find(key(n)).unwrap();
            assert_eq!(known.id, object.mark.id);
            assert!(known.is_in_memory);
        }
    }
    store.purge(&[0, 1, 2, 3], false);
    assert!((0..KEYS).all(|n| get(store, n).is_none()));
    let is_empty = |status: StoreStatus| {
        (
            status.objects,
            status.objects_disk,
            status.disk_bytes,
            status.memory_bytes,
        ) == (0, 0, 0, 0)
    };
    wait(|| is_empty(store.status()) && shared.purges.records() == 0);
    assert!(is_empty(store.status()), "{:?}", store.status());
    assert_eq!(shared.purges.records(), 0);
    assert!(
        (0..4)
            .chain(1_000..1_000 + KEYS)
            .all(|facet| shared.purges.live(facet) == 0)
    );
}

fn wait(is_so: impl Fn() -> bool) {
    let mut rounds = 0;
    while !is_so() && rounds < 10_000 {
        thread::park_timeout(Duration::from_millis(1));
        rounds += 1;
    }
}
