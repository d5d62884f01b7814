use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::*;
use crate::cache::fill::{Fill, FillPlan, FillWriter};
use crate::cache::object::{Facets, Freshness, Key, Meta};
use crate::cache::sync::Arc;
use crate::wire::{Fields, Version};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

type Error = u32;

fn key(primary: u128) -> Key {
    Key { primary, variance: 0 }
}

fn fill(key: Key, tags: &[u64]) -> (Arc<Fill>, FillWriter) {
    let meta = Meta {
        key_text: Box::default(),
        variance: Box::default(),
        vary: Box::default(),
        status: 200,
        reason: Box::default(),
        version: Version::Http11,
        fields: Fields::default(),
        freshness: Freshness::default(),
        facets: Facets(tags.into()),
        serial: 0,
    };
    Fill::begin(FillPlan {
        key,
        meta: Arc::new(meta),
        length: None,
        memory_bytes_max: 1024,
        object_bytes_max: u64::MAX,
        spill: None,
        budget: None,
    })
}

fn join(flights: &Arc<Flights<Error>>, which: u128) -> Joined<Error> {
    flights.join(key(which), Began::default, |_| false)
}

fn lead(flights: &Arc<Flights<Error>>, which: u128) -> Leader<Error> {
    match join(flights, which) {
        Joined::Lead(leader) => leader,
        other => panic!("{other:?}"),
    }
}

fn wait(flights: &Arc<Flights<Error>>, which: u128) -> Waiting<Error> {
    match join(flights, which) {
        Joined::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

fn poll(waiting: &mut Waiting<Error>) -> Poll<Landed<Error>> {
    waiting.poll_outcome(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn one_leads_and_the_others_follow_its_fill_until_it_is_admitted() {
    let flights = Arc::new(Flights::default());
    let leader = lead(&flights, 1);
    let mut early = wait(&flights, 1);
    assert!(poll(&mut early).is_pending());
    let (body, _writer) = fill(key(1), &[]);
    let landing = leader.filling(Arc::clone(&body));
    let mut late = wait(&flights, 1);
    for waiting in [&mut early, &mut late] {
        let Poll::Ready(Landed::Filling(found)) = poll(waiting) else {
            panic!("there is a fill");
        };
        assert!(Arc::ptr_eq(&found, &body));
    }
    assert_eq!((flights.waiting(), flights.collapsed()), (2, 2));
    drop((early, late));
    assert_eq!((flights.waiting(), flights.aloft()), (0, 1));
    drop(landing);
    assert_eq!(flights.aloft(), 0);
    assert!(matches!(join(&flights, 1), Joined::Lead(_)));
}

#[test]
fn every_word_of_a_leader_reaches_who_waits_and_nobody_who_comes_later() {
    type Word = fn(Leader<Error>);
    let words: [(Word, &str); 4] = [
        (Leader::pass, "Pass"),
        (Leader::look_again, "LookAgain"),
        (|leader| leader.fail(7), "Failed(7)"),
        (drop, "Vacant"),
    ];
    for (word, expected) in words {
        let flights = Arc::new(Flights::default());
        let leader = lead(&flights, 1);
        let mut waiting = wait(&flights, 1);
        word(leader);
        let Poll::Ready(landed) = poll(&mut waiting) else {
            panic!("{expected}");
        };
        assert_eq!(format!("{landed:?}"), expected);
        assert_eq!(flights.aloft(), 0);
        assert!(matches!(join(&flights, 1), Joined::Lead(_)), "{expected}");
    }
}

#[test]
fn a_purge_puts_a_new_flight_in_the_place_of_one_it_reaches() {
    let flights = Arc::new(Flights::<Error>::default());
    let of = |serial, facet| Began {
        serial,
        facets: Facets([facet].into()),
    };
    let old = match flights.join(key(1), || of(3, 5), |_| false) {
        Joined::Lead(leader) => leader,
        other => panic!("{other:?}"),
    };
    let mut before = wait(&flights, 1);
    let purged_5 = |facts: &FlightFacts<'_>| facts.serial < 4 && facts.facets.0.contains(&5);
    let Joined::Lead(new) = flights.join(key(1), || of(4, 5), purged_5) else {
        panic!("the purge reaches it");
    };
    assert!(matches!(
        flights.join(key(1), Began::default, purged_5),
        Joined::Wait(_)
    ));
    assert_eq!(flights.aloft(), 1);
    old.fail(1);
    assert!(matches!(poll(&mut before), Poll::Ready(Landed::Failed(1))));
    assert_eq!(
        flights.aloft(),
        1,
        "the old leader takes its own flight with it, not the new one"
    );
    let mut after = wait(&flights, 1);
    assert!(poll(&mut after).is_pending());
    new.pass();
    assert!(matches!(poll(&mut after), Poll::Ready(Landed::Pass)));
}

#[test]
fn a_purge_by_tag_reaches_a_flight_whose_answer_has_that_tag() {
    let flights = Arc::new(Flights::<Error>::default());
    let tagged_9 = |facts: &FlightFacts<'_>| facts.meta.is_some_and(|meta| meta.facets.0.contains(&9));
    let leader = lead(&flights, 1);
    assert!(matches!(
        flights.join(key(1), Began::default, tagged_9),
        Joined::Wait(_)
    ));
    let (body, _writer) = fill(key(1), &[9]);
    let landing = leader.filling(body);
    let new = flights.join(key(1), Began::default, tagged_9);
    assert!(matches!(new, Joined::Lead(_)));
    drop(landing);
    assert_eq!(flights.aloft(), 1);
}

#[test]
fn a_broken_fill_takes_nobody_in() {
    let flights = Arc::new(Flights::<Error>::default());
    let (body, writer) = fill(key(1), &[]);
    let _landing = lead(&flights, 1).filling(body);
    drop(writer);
    assert!(matches!(join(&flights, 1), Joined::Lead(_)));
}

#[test]
fn beyond_the_limit_everybody_asks_for_himself_and_may_still_wait() {
    let flights = Arc::new(Flights::<Error>::new(2));
    let first = lead(&flights, 1);
    let _second = lead(&flights, 2);
    assert!(matches!(join(&flights, 3), Joined::Full));
    assert!(matches!(join(&flights, 2), Joined::Wait(_)));
    first.pass();
    assert!(matches!(join(&flights, 3), Joined::Lead(_)));
}

#[test]
fn a_thousand_who_lose_their_leader_find_one_among_them() {
    let flights = Arc::new(Flights::<Error>::default());
    let mut leader = Some(lead(&flights, 1));
    let mut crowd: Vec<_> = (0..1000).map(|_| wait(&flights, 1)).collect();
    // One leader after the other leaves; the rest keep coming back.
    for round in 0..20 {
        drop(leader.take());
        let mut next = Vec::new();
        for mut waiting in crowd {
            assert!(matches!(poll(&mut waiting), Poll::Ready(Landed::Vacant)));
            match join(&flights, 1) {
                Joined::Lead(first) => assert!(leader.replace(first).is_none()),
                Joined::Wait(waiting) => next.push(waiting),
                Joined::Full => panic!("there is room"),
            }
        }
        assert_eq!(next.len(), 999 - round);
        crowd = next;
    }
}

#[derive(Clone, Debug)]
enum Act {
    Join(u128),
    Poll(usize),
    Leave(usize),
    Purge,
    Fill(usize),
    Pass(usize),
    Fail(usize),
    Vacate(usize),
    Land(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let any = 0..8usize;
    prop_oneof![
        8 => (0..3u128).prop_map(Act::Join),
        6 => any.clone().prop_map(Act::Poll),
        2 => any.clone().prop_map(Act::Leave),
        1 => Just(Act::Purge),
        1 => any.clone().prop_map(Act::Fill),
        1 => any.clone().prop_map(Act::Pass),
        1 => any.clone().prop_map(Act::Fail),
        1 => any.clone().prop_map(Act::Vacate),
        1 => any.prop_map(Act::Land),
    ]
}

/// The model: flights have numbers, and a list says which one newcomers find and how each ended.
#[derive(Default)]
struct World {
    flights: Arc<Flights<Error>>,
    purge_serial: u64,
    shown: BTreeMap<u128, usize>,
    began: Vec<u64>,
    ended: Vec<Option<&'static str>>,
    leaders: Vec<(u128, usize, Leader<Error>)>,
    landings: Vec<(u128, usize, Landing<Error>)>,
    writers: Vec<FillWriter>,
    waiters: Vec<(usize, Waiting<Error>, Arc<Bell>, bool)>,
}

impl World {
    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Join(which) => self.join(*which)?,
            Act::Poll(index) => self.poll(*index)?,
            Act::Leave(index) => drop(take(&mut self.waiters, *index)),
            Act::Purge => self.purge_serial += 1,
            Act::Fill(index) => self.fill(*index),
            Act::Pass(index) => self.end(*index, "Pass", Leader::pass),
            Act::Fail(index) => self.end(*index, "Failed(3)", |leader| leader.fail(3)),
            Act::Vacate(index) => self.end(*index, "Vacant", drop),
            Act::Land(index) => {
                if let Some((which, number, landing)) = take(&mut self.landings, *index) {
                    drop(landing);
                    self.hide(which, number);
                }
            }
        }
        prop_assert_eq!(self.flights.waiting(), self.waiters.len());
        prop_assert_eq!(self.flights.aloft(), self.shown.len());
        for (number, _, bell, is_told_to_wait) in &self.waiters {
            if *is_told_to_wait && self.ended[*number].is_some() {
                prop_assert!(bell.0.load(Ordering::Acquire) > 0, "a lost wake-up");
            }
        }
        Ok(())
    }

    fn join(&mut self, which: u128) -> Result<(), TestCaseError> {
        let serial = self.purge_serial;
        let began = || Began {
            serial,
            ..Began::default()
        };
        let joined = self
            .flights
            .join(key(which), began, |facts| facts.serial < serial);
        let shown = self.shown.get(&which).copied();
        match (joined, shown.filter(|number| self.began[*number] == serial)) {
            (Joined::Lead(leader), None) => {
                let number = self.began.len();
                self.began.push(serial);
                self.ended.push(None);
                self.shown.insert(which, number);
                self.leaders.push((which, number, leader));
            }
            (Joined::Wait(waiting), Some(number)) => {
                self.waiters.push((number, waiting, Arc::default(), false));
            }
            (joined, expected) => prop_assert!(false, "{joined:?}, expected {expected:?}"),
        }
        Ok(())
    }

    fn poll(&mut self, index: usize) -> Result<(), TestCaseError> {
        let count = self.waiters.len().max(1);
        let Some((number, waiting, bell, is_told_to_wait)) = self.waiters.get_mut(index % count) else {
            return Ok(());
        };
        let waker = Waker::from(Arc::clone(bell));
        let outcome = waiting.poll_outcome(&mut Context::from_waker(&waker));
        match (outcome, self.ended[*number]) {
            (Poll::Pending, None) => *is_told_to_wait = true,
            (Poll::Ready(landed), Some(word)) => {
                let heard = format!("{landed:?}");
                prop_assert!(heard.starts_with(word), "{heard}, expected {word}");
            }
            (outcome, expected) => prop_assert!(false, "{outcome:?}, expected {expected:?}"),
        }
        Ok(())
    }

    fn fill(&mut self, index: usize) {
        if let Some((which, number, leader)) = take(&mut self.leaders, index) {
            let (body, writer) = fill(key(which), &[]);
            self.writers.push(writer);
            self.ended[number] = Some("Filling");
            self.landings.push((which, number, leader.filling(body)));
        }
    }

    fn end(&mut self, index: usize, word: &'static str, say: impl Fn(Leader<Error>)) {
        if let Some((which, number, leader)) = take(&mut self.leaders, index) {
            say(leader);
            self.ended[number] = Some(word);
            self.hide(which, number);
        }
    }

    fn hide(&mut self, which: u128, number: usize) {
        if self.shown.get(&which) == Some(&number) {
            self.shown.remove(&which);
        }
    }
}

fn take<T>(from: &mut Vec<T>, index: usize) -> Option<T> {
    let count = from.len();
    (count > 0).then(|| from.swap_remove(index % count))
}

proptest! {
    #[test]
    fn who_waits_hears_how_its_own_flight_ended_and_no_other(
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let mut world = World::default();
        for act in &acts {
            world.act(act)?;
        }
    }
}
