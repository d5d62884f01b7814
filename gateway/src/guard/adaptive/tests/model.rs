//! Against two lists: those in flight and those who wait.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::guard::concurrency::Admission;

#[derive(Clone, Debug)]
enum Deed {
    Enter { max: u32, queue: u32 },
    Exit(usize),
    Leave(usize),
    Come(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let any = any::<usize>;
    prop_oneof![
        4 => (0..4u32, 0..5u32).prop_map(|(max, queue)| Deed::Enter { max, queue }),
        2 => any().prop_map(Deed::Exit),
        2 => any().prop_map(Deed::Leave),
        2 => any().prop_map(Deed::Come),
    ]
}

#[derive(Default)]
struct Model {
    max: usize,
    inside: Vec<usize>,
    line: Vec<usize>,
}

impl Model {
    fn hand_on(&mut self) {
        while self.inside.len() < self.max && !self.line.is_empty() {
            self.inside.push(self.line.remove(0));
        }
    }

    /// Inside, in line, or neither.
    fn enter(&mut self, who: usize, max: u32, queue: u32) -> (bool, bool) {
        self.max = if max == 0 { usize::MAX } else { max as usize };
        // Without a line in the policy nobody is asked to look after those who wait: that is left to whoever goes.
        if queue > 0 {
            self.hand_on();
        }
        let is_inside = self.line.is_empty() && self.inside.len() < self.max;
        let waits = !is_inside && self.line.len() < queue as usize;
        if is_inside {
            self.inside.push(who);
        } else if waits {
            self.line.push(who);
        }
        (is_inside, waits)
    }

    /// Who is served makes room when it goes; who leaves the line does not.
    fn remove(&mut self, who: usize) {
        let before = self.inside.len();
        self.inside.retain(|w| *w != who);
        self.line.retain(|w| *w != who);
        if self.inside.len() < before {
            self.hand_on();
        }
    }
}

fn pick<T>(map: &mut BTreeMap<usize, T>, at: usize) -> Option<(usize, T)> {
    let who = *map.keys().nth(at.checked_rem(map.len())?)?;
    map.remove_entry(&who)
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(deeds in proptest::collection::vec(deed(), 1..120)) {
        let (throttle, mut model) = (throttle(), Model::default());
        let (mut permits, mut line) = (BTreeMap::new(), BTreeMap::new());
        for (who, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Enter { max, queue } => {
                    let expected = model.enter(who, max, queue);
                    let seen = throttle.peek(&given(max, queue), NOW);
                    prop_assert_eq!((seen == Admission::Inside, seen == Admission::Line), expected);
                    let found = match throttle.enter(&given(max, queue), NOW) {
                        Entry::Permit(permit) => (permits.insert(who, permit).is_none(), false),
                        Entry::Wait(waiting) => (false, line.insert(who, waiting).is_none()),
                        Entry::Full => (false, false),
                    };
                    prop_assert_eq!(found, expected);
                }
                Deed::Exit(at) => {
                    if let Some((who, permit)) = pick(&mut permits, at) {
                        permit.learn(Duration::from_millis(1), at.is_multiple_of(2), NOW);
                        drop(permit);
                        model.remove(who);
                    }
                }
                Deed::Leave(at) => {
                    if let Some((who, waiting)) = pick(&mut line, at) {
                        drop(waiting);
                        model.remove(who);
                    }
                }
                Deed::Come(at) => {
                    if let Some((who, mut waiting)) = pick(&mut line, at) {
                        let permit = poll(&mut waiting, &Arc::default());
                        prop_assert_eq!(permit.is_some(), model.inside.contains(&who));
                        match permit {
                            Some(permit) => _ = permits.insert(who, permit),
                            None => _ = line.insert(who, waiting),
                        }
                    }
                }
            }
            prop_assert_eq!(throttle.in_flight() as usize, model.inside.len());
            prop_assert_eq!(throttle.waiting() as usize, model.line.len());
        }
        drop((permits, line));
        prop_assert_eq!((throttle.in_flight(), throttle.waiting()), (0, 0));
    }
}
