use super::*;
use proptest::prelude::*;

const POLICY: OutlierDetection = OutlierDetection {
    consecutive_failures: 3,
    ejection_time: Duration::from_secs(30),
    max_ejection_percent: 50,
    half_open_requests: std::num::NonZeroU32::MIN,
};

fn at(secs: u64) -> Mono {
    Mono::default().plus(Duration::from_secs(secs))
}

fn tell(record: &mut Record, outcome: Outcome, secs: u64) -> Option<Shift> {
    let epoch = record.epoch();
    step(record, outcome, epoch, &POLICY, || true, at(secs))
}

fn fail(record: &mut Record, secs: u64) -> Option<Shift> {
    tell(record, Outcome::Failed, secs)
}

fn answer(record: &mut Record, secs: u64) -> Option<Shift> {
    tell(record, Outcome::Answered, secs)
}

/// Fails until it is out; returns for how many seconds.
fn fall(record: &mut Record, secs: u64) -> u64 {
    match (0..3).find_map(|_| fail(record, secs)) {
        Some(Shift::Opened(ejection)) => ejection.time.as_secs(),
        other => panic!("{other:?}"),
    }
}

/// Is ejected, and closed by the first probe; returns when.
fn fall_and_recover(record: &mut Record, secs: u64) -> u64 {
    let back = secs + fall(record, secs);
    assert_eq!(answer(record, back), Some(Shift::Closed));
    back
}

#[test]
fn only_failures_in_a_row_eject() {
    let mut record = Record::default();
    for _ in 0..10 {
        assert_eq!((fail(&mut record, 1), fail(&mut record, 1)), (None, None));
        assert_eq!(answer(&mut record, 1), None);
    }
    assert_eq!(fall(&mut record, 2), 30);
}

#[test]
fn answers_that_break_off_in_a_row_eject_though_each_has_begun_like_a_success() {
    let mut record = Record::default();
    let broken = |record: &mut Record| {
        assert_eq!(answer(record, 1), None);
        tell(record, Outcome::BrokeOff, 1)
    };
    assert_eq!((broken(&mut record), broken(&mut record)), (None, None));
    assert_eq!(tell(&mut record, Outcome::Ended, 1), None);
    assert_eq!((broken(&mut record), broken(&mut record)), (None, None));
    assert!(matches!(broken(&mut record), Some(Shift::Opened(_))));
    assert_eq!((record.streak(), record.breaks()), (0, 0));
}

#[test]
fn failures_and_answers_that_break_off_are_two_rows() {
    let mut record = Record::default();
    assert_eq!((fail(&mut record, 1), fail(&mut record, 1)), (None, None));
    assert_eq!(tell(&mut record, Outcome::BrokeOff, 1), None);
    assert_eq!(tell(&mut record, Outcome::BrokeOff, 1), None);
    assert!(matches!(fail(&mut record, 1), Some(Shift::Opened(_))));
}

#[test]
fn a_half_open_server_is_closed_by_one_success_and_has_a_clean_streak() {
    let mut record = Record::default();
    fall(&mut record, 0);
    assert_eq!(record.breaker(at(29)), Breaker::Open);
    assert_eq!(record.breaker(at(30)), Breaker::HalfOpen);
    assert_eq!(
        record.breaker(at(1_000)),
        Breaker::HalfOpen,
        "until somebody asks it"
    );
    assert_eq!(answer(&mut record, 1_000), Some(Shift::Closed));
    assert_eq!(record.breaker(at(1_000)), Breaker::Closed);
    assert_eq!((fail(&mut record, 1_000), fail(&mut record, 1_000)), (None, None));
}

#[test]
fn one_failure_of_a_half_open_server_ejects_it_for_twice_the_time_up_to_five_minutes() {
    let mut record = Record::default();
    let (mut now, mut times) = (1, vec![fall(&mut record, 1)]);
    for _ in 0..5 {
        now += times.last().unwrap();
        match fail(&mut record, now) {
            Some(Shift::Opened(ejection)) => times.push(ejection.time.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(times, [30, 60, 120, 240, 300, 300]);
}

#[test]
fn good_behaviour_as_long_as_an_ejection_takes_it_back() {
    let mut record = Record::default();
    let now = fall_and_recover(&mut record, 0);
    assert_eq!(now, 30);
    let now = fall_and_recover(&mut record, now);
    assert_eq!(now, 90);
    assert_eq!(fall(&mut record.clone(), 90 + 59), 120, "not long enough");
    assert_eq!(fall(&mut record.clone(), 90 + 60), 60, "the second is forgiven");
    assert_eq!(fall(&mut record.clone(), 90 + 60 + 30), 30, "and the first");
}

#[test]
fn time_spent_half_open_is_no_good_behaviour() {
    let mut record = Record::default();
    fall(&mut record, 0);
    let mut other = record.clone();
    assert_eq!(answer(&mut other, 10_000), Some(Shift::Closed));
    assert_eq!(fall(&mut other, 10_000), 60);
    assert_eq!(fall(&mut record, 10_000), 60);
}

#[test]
fn what_requests_from_before_an_opening_say_decides_nothing_after_it() {
    let mut record = Record::default();
    let before = record.epoch();
    fall(&mut record, 0);
    for secs in [1, 31] {
        for outcome in [Outcome::Failed, Outcome::Answered] {
            let unheard = record.clone();
            let told = step(&mut record, outcome, before, &POLICY, || true, at(secs));
            assert_eq!((told, &record), (None, &unheard));
        }
    }
    assert_eq!(answer(&mut record, 31), Some(Shift::Closed));
    for _ in 0..10 {
        let told = step(&mut record, Outcome::Failed, before, &POLICY, || true, at(32));
        assert_eq!(told, None, "nor once it is closed again");
    }
}

#[test]
fn an_ejected_server_that_is_used_all_the_same_is_closed_by_a_success_and_not_kept_by_a_failure() {
    let mut record = Record::default();
    fall(&mut record, 0);
    assert!((0..10).all(|_| fail(&mut record, 29).is_none()));
    assert_eq!(record.breaker(at(30)), Breaker::HalfOpen);
    assert_eq!(answer(&mut record, 29), Some(Shift::Closed));
}

#[test]
fn a_refused_ejection_is_asked_for_again_at_the_next_failure() {
    let mut record = Record::default();
    let refused = |record: &mut Record, secs| {
        let epoch = record.epoch();
        step(record, Outcome::Failed, epoch, &POLICY, || false, at(secs))
    };
    for _ in 0..5 {
        assert_eq!(refused(&mut record, 1), None);
    }
    assert!(fail(&mut record, 1).is_some());
    assert_eq!(refused(&mut record, 31), None);
    assert_eq!(record.breaker(at(31)), Breaker::HalfOpen);
    assert!(fail(&mut record, 31).is_some());
}

#[test]
fn zero_consecutive_failures_means_never() {
    let never = OutlierDetection {
        consecutive_failures: 0,
        ..POLICY
    };
    let fails = |record: &mut Record| {
        let epoch = record.epoch();
        step(record, Outcome::Failed, epoch, &never, || true, at(31))
    };
    let mut record = Record::default();
    assert!((0..100).all(|_| fails(&mut record).is_none()));
    let mut opened_by_another = Record::default();
    fall(&mut opened_by_another, 0);
    assert!(fails(&mut opened_by_another).is_none());
    assert_eq!(opened_by_another.breaker(at(31)), Breaker::HalfOpen);
}

#[test]
fn an_applications_500_is_an_answer() {
    assert_eq!(Failure::Status(500).outcome(), Outcome::Answered);
    assert_eq!(Failure::Status(503).outcome(), Outcome::Failed);
    assert_eq!(Failure::Connect.outcome(), Outcome::Failed);
}

#[test]
fn the_share_is_held_but_one_of_two_may_go_and_the_last_never() {
    let cases = [
        (0, 50, 0),
        (1, 100, 0),
        (2, 0, 1),
        (2, 100, 1),
        (3, 50, 1),
        (4, 50, 2),
        (10, 50, 5),
        (10, 100, 9),
    ];
    for (servers, percent, max) in cases {
        assert_eq!(ejections_max(servers, percent), max, "{servers} at {percent}%");
    }
}

proptest! {
    #[test]
    fn no_ejection_is_longer_than_the_limit_or_shorter_than_the_first(
        failures in proptest::collection::vec((any::<bool>(), 0u64..100), 1..300),
    ) {
        let (mut record, mut now) = (Record::default(), 0);
        for (failed, pause) in failures {
            now += pause;
            let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
            if let Some(Shift::Opened(ejection)) = tell(&mut record, outcome, now) {
                prop_assert!((POLICY.ejection_time..=EJECTION_TIME_MAX).contains(&ejection.time));
                prop_assert_eq!(ejection.until, at(now).plus(ejection.time));
            }
        }
    }
}
