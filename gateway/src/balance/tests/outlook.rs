//! A look at whom a request would fall to: the same as the choice itself, and nothing is different after it.

use proptest::prelude::*;

use super::*;
use crate::balance::Bid;
use crate::upstream::Order;

/// What changes who is eligible and who is next.
#[derive(Clone, Debug)]
enum Event {
    /// Picks and holds the lease.
    Pick(u64),
    /// Gives the oldest lease back, as a success or not.
    End(bool),
    /// Tells a server to drain, go down or come up.
    Order(usize, Order),
    /// Changes a server's weight.
    Weigh(usize, u32),
    /// Lets time pass.
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let orders = prop_oneof![
        Just(Order::Up),
        Just(Order::Up),
        Just(Order::Down),
        Just(Order::Drain)
    ];
    let event = prop_oneof![
        8 => any::<u64>().prop_map(Event::Pick),
        4 => any::<bool>().prop_map(Event::End),
        1 => (0..5usize, orders).prop_map(|(at, order)| Event::Order(at, order)),
        1 => (0..5usize, 1..9u32).prop_map(|(at, weight)| Event::Weigh(at, weight)),
        1 => (1..40_000u64).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 1..80)
}

proptest! {
    #[test]
    fn who_is_seen_is_who_is_picked(policy in 0..ALL_POLICIES.len(), events in events()) {
        let rig = Rig::with(ALL_POLICIES[policy].clone(), &[3, 2, 2, 1, 1], |i, s| {
            s.backup = i == 4;
            s.max_conns = if i == 1 { 2 } else { 0 };
        });
        let mut held: Vec<Lease> = Vec::new();
        let mut now = at(1);
        for event in events {
            match event {
                Event::Pick(draw) => {
                    let sticky = rig.pool.members()[(draw % 5) as usize].sticky_value().as_bytes();
                    let ask = Ask {
                        hash: draw.is_multiple_of(3).then_some(draw >> 2),
                        sticky: draw.is_multiple_of(5).then_some(sticky),
                        tried: &[],
                    };
                    let loads = rig.in_flight();
                    let seen = rig.pool.peek(&ask, draw, now);
                    prop_assert_eq!(&seen, &rig.pool.peek(&ask, draw, now));
                    prop_assert_eq!(loads, rig.in_flight());
                    let taken = rig.pool.pick(&ask, draw, now);
                    prop_assert_eq!(seen.chosen, taken.as_ref().map(Lease::index));
                    let may_be = |index: usize| seen.is_bound || matches!(seen.bids[index], Bid::Eligible { .. });
                    prop_assert!(seen.chosen.is_none_or(may_be));
                    held.extend(taken);
                }
                Event::End(is_good) if !held.is_empty() => {
                    let lease = held.remove(0);
                    match is_good {
                        true => lease.succeeded(Duration::from_millis(now.0 % 90), now),
                        false => lease.failed(Failure::Reset, now),
                    };
                }
                Event::End(_) => {}
                Event::Order(at, order) => rig.cells[at].seat.command(order, now),
                Event::Weigh(at, weight) => rig.cells[at].seat.reweigh(NonZeroU32::new(weight)),
                Event::Wait(ms) => now = now.plus(Duration::from_millis(ms)),
            }
        }
    }
}

#[test]
fn each_server_says_why_it_cannot_be_chosen() {
    let rig = Rig::with(LoadBalancing::LeastConn, &[1, 2, 1, 4], |i, s| {
        s.down = i == 0;
        s.max_conns = u32::from(i == 1);
    });
    let _held = rig.pick(at(1)).unwrap();
    let full = rig.pick_at(1, at(1));
    let tried = [rig.cells[2].server.id()];
    let ask = Ask {
        tried: &tried,
        ..Ask::default()
    };
    let seen = rig.pool.peek(&ask, 0, at(1));
    let bids = [Bid::Out, Bid::Full(1), Bid::Tried, Bid::Eligible { weight: 4.0 }];
    assert_eq!((seen.bids.as_slice(), seen.chosen), (&bids[..], Some(3)));
    drop(full);
}
