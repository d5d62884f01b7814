//! A server's breaker against a machine that is too simple to be wrong.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const EJECTION_SECS: u64 = 30;
const IN_A_ROW: u32 = 3;

fn policy(places: u32) -> OutlierDetection {
    OutlierDetection {
        consecutive_failures: IN_A_ROW,
        ejection_time: Duration::from_secs(EJECTION_SECS),
        max_ejection_percent: 50,
        half_open_requests: NonZeroU32::new(places).unwrap(),
    }
}

fn server() -> Server {
    let address = Address::parse("10.0.0.1:80").unwrap();
    Server::new(1, address, None, Changes::default())
}

fn at(secs: u64) -> Mono {
    Mono::default().plus(Duration::from_secs(secs))
}

/// What a pool would let in that looks just now, and uses it also while it is ejected if it is the last resort.
fn probing(server: &Server, places: u32, is_last_resort: bool, now: Mono) -> Option<Probing> {
    let (breaker, epoch) = server.circuit(now);
    let lets_in = breaker == Breaker::HalfOpen || (breaker == Breaker::Open && is_last_resort);
    lets_in.then_some(Probing {
        epoch,
        places: NonZeroU32::new(places).unwrap(),
    })
}

#[derive(Clone, Debug)]
enum Act {
    Join {
        is_last_resort: bool,
    },
    /// The lease of this place in the list, modulo its length.
    Answer(usize),
    Fail {
        lease: usize,
        may_eject: bool,
    },
    /// It is dropped, whether or not it has spoken.
    Drop(usize),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop::bool::weighted(0.2).prop_map(|is_last_resort| Act::Join { is_last_resort }),
        2 => (0usize..64).prop_map(Act::Answer),
        5 => ((0usize..64), prop::bool::weighted(0.9)).prop_map(|(lease, may_eject)| Act::Fail { lease, may_eject }),
        2 => (0usize..64).prop_map(Act::Drop),
        2 => (0u64..80).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..200)
}

/// A request, as the server has it and as the model has it.
struct Request {
    ticket: Ticket,
    has_place: bool,
    /// How often it had opened when the request began.
    openings: u64,
}

/// The breaker told plainly.
#[derive(Default)]
struct Model {
    is_tripped: bool,
    until_s: u64,
    closed_at_s: u64,
    streak: u32,
    openings: u64,
    held_against: u32,
}

impl Model {
    fn state(&self, now_s: u64) -> Breaker {
        match (self.is_tripped, now_s < self.until_s) {
            (false, _) => Breaker::Closed,
            (true, true) => Breaker::Open,
            (true, false) => Breaker::HalfOpen,
        }
    }

    fn time_s(nth: u32) -> u64 {
        (EJECTION_SECS << (nth - 1).min(10)).min(300)
    }

    /// Whether it closes.
    fn answered(&mut self, openings: u64, now_s: u64) -> bool {
        if openings != self.openings {
            return false;
        }
        self.streak = 0;
        if self.is_tripped {
            self.closed_at_s = now_s;
        }
        std::mem::take(&mut self.is_tripped)
    }

    /// For how long it opens.
    fn failed(&mut self, openings: u64, may_eject: bool, now_s: u64) -> Option<u64> {
        if openings != self.openings {
            return None;
        }
        match self.state(now_s) {
            Breaker::Open => return None,
            Breaker::HalfOpen if !may_eject => return None,
            Breaker::HalfOpen => {}
            Breaker::Closed => {
                self.streak += 1;
                if self.streak < IN_A_ROW || !may_eject {
                    return None;
                }
                let mut behaved_s = now_s - self.closed_at_s;
                while self.held_against > 0 && behaved_s >= Self::time_s(self.held_against) {
                    behaved_s -= Self::time_s(self.held_against);
                    self.held_against -= 1;
                }
            }
        }
        self.held_against += 1;
        self.openings += 1;
        self.streak = 0;
        self.is_tripped = true;
        self.until_s = now_s + Self::time_s(self.held_against);
        Some(Self::time_s(self.held_against))
    }
}

/// As a lease does after it has spoken, and when it is dropped.
fn leave_probing(server: &Server, request: &mut Request) {
    if std::mem::take(&mut request.has_place) {
        server.leave_probing();
    }
}

proptest! {
    #[test]
    fn a_breaker_does_what_the_naive_machine_does(acts in acts(), places in 1u32..4) {
        let (server, policy) = (server(), policy(places));
        let (mut model, mut open, mut now_s) = (Model::default(), Vec::<Request>::new(), 1);
        for act in acts {
            let now = at(now_s);
            match act {
                Act::Wait(secs) => now_s += secs,
                Act::Join { is_last_resort } => {
                    let state = model.state(now_s);
                    let taken = u32::try_from(open.iter().filter(|r| r.has_place).count()).unwrap();
                    let expected = match state {
                        Breaker::Closed => Some(false),
                        Breaker::Open if !is_last_resort => None,
                        Breaker::Open | Breaker::HalfOpen => (taken < places).then_some(true),
                    };
                    let probing = probing(&server, places, is_last_resort, now);
                    let got = server.join_below(u32::MAX, probing);
                    prop_assert_eq!(got.map(|t| t.is_probe), expected);
                    if let Some(ticket) = got {
                        let openings = model.openings;
                        open.push(Request { ticket, has_place: ticket.is_probe, openings });
                    }
                }
                Act::Answer(_) | Act::Fail { .. } | Act::Drop(_) if open.is_empty() => {}
                Act::Answer(i) => {
                    let i = i % open.len();
                    let told = server.answered(Duration::ZERO, open[i].ticket.epoch, &policy, now);
                    let closes = model.answered(open[i].openings, now_s);
                    prop_assert_eq!(told, closes.then_some(Shift::Closed));
                    leave_probing(&server, &mut open[i]);
                    if closes {
                        prop_assert_eq!(server.up_since(), Some(now), "its slow start begins");
                    }
                }
                Act::Fail { lease, may_eject } => {
                    let i = lease % open.len();
                    let epoch = open[i].ticket.epoch;
                    let told = server.failed(Failure::Reset, epoch, &policy, || may_eject, now);
                    let opens = model.failed(open[i].openings, may_eject, now_s);
                    let told = told.map(|shift| match shift {
                        Shift::Opened(ejection) => ejection.time.as_secs(),
                        Shift::Closed => 0,
                    });
                    prop_assert_eq!(told, opens);
                    leave_probing(&server, &mut open[i]);
                }
                Act::Drop(i) => {
                    let mut request = open.swap_remove(i % open.len());
                    leave_probing(&server, &mut request);
                    server.leave();
                }
            }
            prop_assert_eq!(server.circuit(at(now_s)).0, model.state(now_s));
            let taken = open.iter().filter(|r| r.has_place).count();
            prop_assert_eq!(server.probes() as usize, taken);
            prop_assert_eq!(server.in_flight() as usize, open.len());
        }
    }
}

#[test]
fn a_place_that_max_conns_refuses_takes_up_no_probe_place() {
    let (server, policy) = (server(), policy(1));
    let straggler = server.join_below(1, None).unwrap();
    for _ in 0..IN_A_ROW {
        server.failed(Failure::Reset, straggler.epoch, &policy, || true, at(0));
    }
    let probing = probing(&server, 1, false, at(EJECTION_SECS));
    assert_eq!(server.join_below(1, probing), None);
    assert_eq!(
        (server.probes(), server.in_flight(), server.requests()),
        (0, 1, 1)
    );
    server.leave();
    assert!(server.join_below(1, probing).is_some());
}

#[test]
fn who_has_not_looked_since_it_opened_does_not_get_in() {
    let (server, policy) = (server(), policy(1));
    let first = server.join_below(9, None).unwrap();
    for _ in 0..IN_A_ROW {
        server.failed(Failure::Reset, first.epoch, &policy, || true, at(0));
    }
    assert_eq!(server.join_below(9, None), None);
    assert_eq!(server.join_at(Load::Requests(1), 9, None), None);
    let seen = probing(&server, 1, false, at(30));
    let probe = server.join_at(Load::Probes(0), 9, seen).unwrap();
    assert_eq!(server.load(seen), None);
    server.failed(Failure::Reset, probe.epoch, &policy, || true, at(30));
    server.leave_probing();
    assert_eq!(
        server.load(seen),
        None,
        "the second opening was not in what was seen"
    );
    assert_eq!(server.join_below(9, seen), None);
    assert_eq!(server.join_at(Load::Probes(0), 9, seen), None);
    let again = probing(&server, 1, false, at(90));
    assert_eq!(server.load(again), Some(Load::Probes(0)));
    assert!(server.join_below(9, again).is_some());
}
