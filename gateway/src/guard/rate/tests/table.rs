//! What is remembered, and what is forgotten first.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::super::gcra::Pace;
use super::super::shard::{Shard, Slot};
use super::*;

/// A million keys are remembered in less; also when there have been two.
const BYTES_MAX: usize = 100 << 20;

#[test]
fn an_idle_table_holds_next_to_nothing_whatever_it_may_hold() {
    let idle = Table::new(1_000_000).bytes();
    assert!(idle <= 64 << 10, "{idle}");
}

#[test]
fn two_million_keys_fit_where_a_million_is_remembered() {
    let table = Arc::new(Table::new(1_000_000));
    let limit = over(&table, 1, DAY, 5);
    for n in 0..2_000_000 {
        assert!(is_admitted(&limit, key(n), at(n / 1_000)));
    }
    assert_eq!(table.keys(), 1_000_000);
    assert_eq!(table.forgotten(), 1_000_000);
    assert!(table.bytes() < BYTES_MAX, "{}", table.bytes());
    assert!(table.bytes() / table.keys() < 40, "{}", table.bytes());
}

#[test]
fn keys_that_owe_nothing_make_room_before_the_table_grows() {
    let table = Arc::new(Table::new(1_000_000));
    let limit = over(&table, 1, SECOND, 1);
    let mut most = 0;
    for n in 0..200_000 {
        assert!(is_admitted(&limit, key(n), at(n)));
        most = most.max(table.keys());
    }
    assert!(
        most < 30_000,
        "some 2,000 at a time are in debt or just out of it: {most}"
    );
    assert_eq!(table.forgotten(), 0);
}

#[test]
fn a_full_table_never_holds_more_and_forgets_who_owes_nothing_first() {
    for most in [1, 2, 10, 100] {
        let table = Arc::new(Table::new(most));
        let limit = over(&table, 1, SECOND, 1);
        for n in 0..most as u64 {
            assert!(is_admitted(&limit, key(n), at(0)));
        }
        for n in 0..most as u64 {
            assert!(is_admitted(&limit, key(1_000 + n), at(1_000)));
            assert_eq!((table.keys(), table.forgotten()), (most, 0));
        }
        let kept = (0..most as u64).filter(|n| !is_admitted(&limit, key(1_000 + n), at(1_000)));
        assert_eq!(kept.count(), most, "all that owe are known");
    }
}

#[test]
fn who_owes_most_stays_limited_when_strangers_fill_the_table() {
    for most in [2, 10, 1_000, 100_000] {
        let table = Arc::new(Table::new(most));
        let limit = over(&table, 1, DAY, 10);
        assert_eq!(admitted(&limit, key(0), at(0)), 10);
        for n in 1..4 * most as u64 {
            assert!(is_admitted(&limit, key(n), at(1)));
        }
        assert!(table.keys() <= most);
        assert!(table.forgotten() > 0);
        assert!(!is_admitted(&limit, key(0), at(2)), "{most}");
    }
}

#[test]
fn a_resize_keeps_every_debt_that_fits() {
    let table = Arc::new(Table::new(100));
    let limit = over(&table, 1, DAY, 1);
    assert!((0..100).all(|n| is_admitted(&limit, key(n), at(0))));
    for max_keys in [1_000_000, 5_000, 100, 300, 20_000, 100] {
        table.resize(max_keys);
        assert_eq!((table.keys(), table.forgotten()), (100, 0), "{max_keys}");
        assert!(
            (0..100).all(|n| !is_admitted(&limit, key(n), at(1))),
            "{max_keys}"
        );
    }
    table.resize(10);
    assert_eq!((table.keys(), table.forgotten()), (10, 90));
}

#[test]
fn a_smaller_table_keeps_who_owes_most_and_gives_its_memory_back() {
    let table = Arc::new(Table::new(50_000));
    let limit = over(&table, 1, DAY, 2);
    for n in 0..50_000 {
        assert!(is_admitted(&limit, key(n), at(0)));
    }
    assert_eq!(admitted(&limit, key(7), at(0)), 1);
    let before = table.bytes();
    table.resize(500);
    assert!(table.keys() <= 500);
    assert!(table.bytes() < before / 10);
    assert!(!is_admitted(&limit, key(7), at(0)));
}

#[test]
fn a_rate_that_only_some_shards_have_met_holds_in_all_after_a_resize() {
    let table = Arc::new(Table::new(10_000));
    let old = over(&table, 1, SECOND, 2);
    for n in 0..1_000 {
        assert_eq!(admitted(&old, key(n), at(0)), 2);
    }
    let new = over(&table, 1, DAY, 2);
    assert!(!is_admitted(&new, key(0), at(0)));
    table.resize(100_000);
    assert!((0..1_000).all(|n| !is_admitted(&new, key(n), at(10_000))));
}

proptest! {
    /// Few homes and much removing: what closes a gap must lose nobody.
    #[test]
    fn a_shard_is_a_map(steps in prop::collection::vec((0..40u64, 0..12u64, 0..1_000u64), 1..300)) {
        let mut shard = Shard::default();
        let mut model = HashMap::new();
        for (n, home, due_ns) in steps {
            let tag = home << 32 | (n + 1);
            if n < 8 {
                let gone = shard.forget_idlest(u64::MAX >> 1);
                prop_assert_eq!(gone.is_some(), !model.is_empty());
                if let Some(gone) = gone {
                    prop_assert_eq!(model.remove(&gone.tag), Some(gone.due_ns));
                }
            } else if !shard.update(tag, due_ns) {
                prop_assert!(!model.contains_key(&tag));
                prop_assert_eq!(shard.make_room(0), 0);
                shard.insert(Slot { tag, due_ns });
                model.insert(tag, due_ns);
            } else {
                prop_assert!(model.insert(tag, due_ns).is_some());
            }
            for (tag, due_ns) in &model {
                prop_assert_eq!(shard.due_ns(*tag), Some(*due_ns));
            }
        }
        let all: HashSet<u64> = shard.drain().map(|s| s.tag).collect();
        prop_assert_eq!(all, model.into_keys().collect::<HashSet<_>>());
    }

    #[test]
    fn whoever_owes_most_in_a_shard_is_never_the_one_forgotten(
        dues in prop::collection::hash_map(1..u64::MAX, 1..1_000u64, 2..200),
        rounds in 1..20usize,
    ) {
        let mut shard = Shard::default();
        for (tag, due_ns) in &dues {
            shard.make_room(0);
            shard.insert(Slot { tag: *tag, due_ns: *due_ns });
        }
        let most = dues.values().copied().max().unwrap();
        for _ in 0..rounds.min(dues.len() - 1) {
            shard.forget_idlest(0);
        }
        prop_assert_eq!(shard.drain().map(|s| s.due_ns).max(), Some(most));
    }

    #[test]
    fn a_converted_debt_is_never_less_in_requests(
        debt in 0..u64::MAX >> 3,
        (c1, c2) in (1..u32::MAX, 1..u32::MAX),
    ) {
        let (from, to) = (Pace::of(&plan(c1, DAY, u32::MAX)), Pace::of(&plan(c2, DAY, u32::MAX)));
        let debt = debt.min(from.debt_ns_max());
        let converted = to.convert(debt, &from);
        let exact = u128::from(debt) * u128::from(to.interval_ns());
        let is_whole = u128::from(converted) * u128::from(from.interval_ns()) >= exact;
        prop_assert!(is_whole || converted == to.debt_ns_max());
        prop_assert_eq!(from.convert(debt, &from), debt);
    }
}
