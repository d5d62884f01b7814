//! Against a model that does nothing cleverly: lists, walked through from the front.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Deed {
    Enter { key: u128, max: u32, queue: u32 },
    Exit(usize),
    Leave(usize),
    Come(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let any = any::<usize>;
    prop_oneof![
        4 => (0..3u128, 1..4u32, 0..5u32).prop_map(|(key, max, queue)| Deed::Enter { key, max, queue }),
        2 => any().prop_map(Deed::Exit),
        2 => any().prop_map(Deed::Leave),
        2 => any().prop_map(Deed::Come),
    ]
}

/// Of each key: those inside, then those who wait, by number.
#[derive(Default)]
struct Model {
    keys: BTreeMap<u128, (Vec<usize>, Vec<usize>)>,
    max: usize,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Inside,
    Waits,
    Full,
}

const KEYS_MAX: usize = 2;

impl Model {
    fn hand_on(&mut self, key: u128, max: usize) {
        if let Some((inside, waiting)) = self.keys.get_mut(&key) {
            while inside.len() < max && !waiting.is_empty() {
                inside.push(waiting.remove(0));
            }
        }
        self.keys
            .retain(|_, (inside, waiting)| !(inside.is_empty() && waiting.is_empty()));
    }

    fn enter(&mut self, who: usize, key: u128, max: usize, queue: usize) -> Expected {
        self.max = max;
        self.hand_on(key, max);
        if !self.keys.contains_key(&key) && self.keys.len() >= KEYS_MAX {
            return Expected::Full;
        }
        let (inside, waiting) = self.keys.entry(key).or_default();
        if inside.len() < max {
            inside.push(who);
            Expected::Inside
        } else if waiting.len() < queue {
            waiting.push(who);
            Expected::Waits
        } else {
            Expected::Full
        }
    }

    fn remove(&mut self, who: usize, key: u128) {
        if let Some((inside, waiting)) = self.keys.get_mut(&key) {
            inside.retain(|w| *w != who);
            waiting.retain(|w| *w != who);
        }
        self.hand_on(key, self.max);
    }

    fn is_inside(&self, who: usize, key: u128) -> bool {
        self.keys
            .get(&key)
            .is_some_and(|(inside, _)| inside.contains(&who))
    }

    fn totals(&self) -> (usize, usize, usize) {
        let inside = self.keys.values().map(|k| k.0.len()).sum();
        let waiting = self.keys.values().map(|k| k.1.len()).sum();
        (inside, waiting, self.keys.len())
    }
}

struct Guest<T> {
    who: usize,
    key: u128,
    holds: T,
}

fn pick<T>(list: &mut Vec<T>, at: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(at % list.len()))
}

#[derive(Default)]
struct Party {
    gate: Arc<Gate>,
    model: Model,
    permits: Vec<Guest<Permit>>,
    line: Vec<Guest<(Waiting, Arc<Bell>)>>,
}

impl Party {
    fn enter(&mut self, who: usize, key: u128, max: u32, queue: u32) {
        let expected = self.model.enter(who, key, max as usize, queue as usize);
        let seen = match self.gate.peek(key, &policy(max, queue, KEYS_MAX)).admission {
            Admission::Inside => Expected::Inside,
            Admission::Line => Expected::Waits,
            Admission::Full => Expected::Full,
        };
        assert_eq!(seen, expected);
        let found = match self.gate.enter(key, &policy(max, queue, KEYS_MAX)) {
            Entry::Permit(holds) => {
                self.permits.push(Guest { who, key, holds });
                Expected::Inside
            }
            Entry::Wait(mut waiting) => {
                let bell = Arc::default();
                // Every third has not been polled when its turn comes.
                if !who.is_multiple_of(3) {
                    assert!(poll(&mut waiting, &bell).is_none());
                }
                let holds = (waiting, bell);
                self.line.push(Guest { who, key, holds });
                Expected::Waits
            }
            Entry::Full => Expected::Full,
        };
        assert_eq!(found, expected);
    }

    fn come(&mut self, at: usize) {
        let Some(mut guest) = pick(&mut self.line, at) else {
            return;
        };
        let (waiting, bell) = &mut guest.holds;
        let is_inside = self.model.is_inside(guest.who, guest.key);
        match poll(waiting, bell) {
            Some(holds) => {
                assert!(is_inside);
                let Guest { who, key, .. } = guest;
                self.permits.push(Guest { who, key, holds });
            }
            None => {
                assert!(!is_inside);
                self.line.push(guest);
            }
        }
    }

    fn does(&mut self, who: usize, deed: Deed) {
        match deed {
            Deed::Enter { key, max, queue } => self.enter(who, key, max, queue),
            Deed::Exit(at) => {
                if let Some(guest) = pick(&mut self.permits, at) {
                    drop(guest.holds);
                    self.model.remove(guest.who, guest.key);
                }
            }
            Deed::Leave(at) => {
                if let Some(guest) = pick(&mut self.line, at) {
                    drop(guest.holds);
                    self.model.remove(guest.who, guest.key);
                }
            }
            Deed::Come(at) => self.come(at),
        }
        let gate = &self.gate;
        assert_eq!((gate.in_use(), gate.waiting(), gate.keys()), self.model.totals());
        for guest in &self.line {
            let is_rung = guest.holds.1.rung() > 0;
            let is_due = self.model.is_inside(guest.who, guest.key) && !guest.who.is_multiple_of(3);
            assert!(is_rung || !is_due, "{} sleeps through its turn", guest.who);
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(deeds in proptest::collection::vec(deed(), 1..120)) {
        let mut party = Party::default();
        for (who, deed) in deeds.into_iter().enumerate() {
            party.does(who, deed);
        }
        let gate = Arc::clone(&party.gate);
        drop(party);
        prop_assert_eq!((gate.in_use(), gate.waiting(), gate.keys()), (0, 0, 0));
    }

    #[test]
    fn a_line_with_holes_serves_the_rest_in_order(
        length in 1..200usize,
        leaving in proptest::collection::vec(any::<usize>(), 0..300),
    ) {
        let mut line = line::Line::default();
        let mut model: Vec<_> = (0..length).map(|_| line.join()).collect();
        for at in leaving {
            if at % 7 == 0 {
                prop_assert_eq!(line.serve().is_some(), !model.is_empty());
                if !model.is_empty() {
                    prop_assert!(line.is_served(model.remove(0)));
                }
            } else if let Some(ticket) = pick(&mut model, at) {
                _ = line.leave(ticket);
            }
            prop_assert_eq!(line.len(), model.len());
            prop_assert!(model.iter().all(|t| !line.is_served(*t)));
            prop_assert_eq!(line.is_empty(), model.is_empty());
        }
    }
}
