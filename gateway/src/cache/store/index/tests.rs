//! The index against collisions, sizes and the hand of its clock.

use super::table::Slot;
use super::{Arrival, Index, SHARDS};
use crate::cache::disk::Location;
use crate::cache::object::Key;
use crate::cache::store::purges::Purges;

fn location(generation: u64) -> Location {
    Location {
        generation,
        file_length: 5_000_000_000,
        body_length: 4_999_999_000,
        meta_length: 262_144,
    }
}

fn arrival(key: Key, id: u64, facets: &[u64]) -> Arrival<'_> {
    Arrival {
        key,
        id,
        serial: 1,
        facets,
        location: Some(location(id)),
        is_in_memory: false,
        is_queued: false,
    }
}

/// All in one part, and all of one half.
fn twin(n: u64) -> Key {
    Key {
        primary: u128::from(n) << 100 | 5,
        variance: 0,
    }
}

#[test]
fn a_slot_has_the_size_that_is_told() {
    assert_eq!(size_of::<Slot>(), 96);
}

#[test]
fn keys_of_one_half_are_told_apart_in_any_order_of_removal() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let (index, purges) = (Index::default(), Purges::default());
        // The upper halves choose the part; these four share one, and a chain in it.
        let key = |n: u64| Key {
            primary: u128::from(n) << 70 | 5,
            variance: 0,
        };
        for n in 0..4 {
            assert_eq!(index.insert(arrival(key(n), n + 1, &[7]), &purges), Ok(None));
        }
        for (gone, n) in order.into_iter().enumerate() {
            assert_eq!(index.find(key(n)).map(|known| known.id), Some(n + 1));
            assert_eq!(
                index.remove(key(n), None, &purges).map(|known| known.location),
                Some(Some(location(n + 1)))
            );
            assert_eq!(index.find(key(n)), None);
            assert_eq!(purges.live(7), 3 - gone as u64);
        }
        assert_eq!((index.objects(), index.on_disk()), (0, 0));
    }
}

#[test]
fn an_older_object_does_not_replace_a_younger_one() {
    let (index, purges) = (Index::default(), Purges::default());
    index.insert(arrival(twin(1), 9, &[]), &purges).unwrap();
    assert_eq!(index.insert(arrival(twin(1), 8, &[]), &purges), Err(()));
    assert_eq!(
        index.insert_found(
            Arrival {
                location: Some(location(8)),
                ..arrival(twin(1), 10, &[])
            },
            &purges
        ),
        Err(())
    );
    let found = Arrival {
        location: Some(location(12)),
        ..arrival(twin(1), 11, &[])
    };
    assert_eq!(
        index
            .insert_found(found, &purges)
            .map(|old| old.map(|old| old.id)),
        Ok(Some(9))
    );
}

#[test]
fn the_hand_takes_what_nobody_asked_for_in_the_order_it_came() {
    let (index, purges) = (Index::default(), Purges::default());
    let key = |n: u64| Key {
        primary: u128::from(n),
        variance: 0,
    };
    for n in 0..10 {
        index.insert(arrival(key(n), n + 1, &[]), &purges).unwrap();
    }
    for n in [2, 3, 3] {
        assert!(index.ask(key(n), true, &purges).is_some());
    }
    let part = (0..SHARDS).find(|part| index.candidate(*part).is_some()).unwrap();
    let mut order = vec![1];
    index.drop_file(key(0), 1, &purges).unwrap();
    // Three turns for the most wanted, and one to take it.
    for known in (0..40).filter_map(|_| index.candidate(part)) {
        index.drop_file(known.key, known.id, &purges).unwrap();
        order.push(known.id);
    }
    assert_eq!(order, [1, 2, 5, 6, 7, 8, 9, 10, 3, 4]);
}

#[test]
fn sorting_puts_the_oldest_before_the_hand_and_loses_none() {
    let (index, purges) = (Index::default(), Purges::default());
    let key = |n: u64| Key {
        primary: u128::from(n),
        variance: 0,
    };
    for n in 0..20 {
        index.insert(arrival(key(n), n + 1, &[]), &purges).unwrap();
    }
    index.remove(key(4), None, &purges);
    for part in 0..SHARDS {
        index.sort(part, |generation| 100 - generation);
    }
    assert!((0..20).all(|n| index.find(key(n)).is_some() == (n != 4)));
    let part = (0..SHARDS)
        .find(|part| index.candidate(*part).is_some_and(|known| known.id == 20))
        .unwrap();
    assert_eq!(index.candidate(part).map(|known| known.id), Some(19));
    index.insert(arrival(key(4), 30, &[]), &purges).unwrap();
    assert_eq!(index.objects(), 20);
}
