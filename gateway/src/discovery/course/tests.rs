use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_secs(60);

fn server(n: u16, weight: u32) -> UpstreamServer {
    UpstreamServer {
        address: Address::parse(&format!("10.0.{}.{}:80", n / 256, n % 256)).unwrap(),
        weight: NonZeroU32::new(weight).unwrap(),
        backup: false,
        down: false,
        max_conns: 0,
        slow_start: Duration::ZERO,
    }
}

fn servers(numbers: impl IntoIterator<Item = u16>) -> Vec<UpstreamServer> {
    numbers.into_iter().map(|n| server(n, 1)).collect()
}

fn given(numbers: impl IntoIterator<Item = u16>, again_s: u64) -> Answer {
    Answer::Servers {
        servers: servers(numbers),
        again_after: Duration::from_secs(again_s),
        missing: None,
    }
}

fn failed() -> Answer {
    Answer::Failed("no".to_owned())
}

/// Takes answers a second apart.
fn play(course: &mut Course, answers: impl IntoIterator<Item = Answer>) -> Vec<Step> {
    let pace = Pace::of(INTERVAL);
    let steps = answers.into_iter().zip(1..);
    steps
        .map(|(answer, s)| course.take(answer, pace, Mono(s * 1_000_000_000), 0.0))
        .collect()
}

#[test]
fn the_time_to_live_says_when_to_ask_again_within_bounds() {
    let mut course = Course::default();
    let waits = play(&mut course, [0, 1, 30, 60, 86_400].map(|ttl| given([1], ttl)));
    let waits: Vec<_> = waits.iter().map(|s| s.wait.as_secs()).collect();
    assert_eq!(waits, [1, 1, 30, 60, 60]);
    let fast = Pace::of(Duration::from_millis(20));
    let step = course.take(given([1], 0), fast, Mono(0), 0.0);
    assert_eq!(
        step.wait,
        Duration::from_millis(20),
        "a shorter interval is meant"
    );
}

#[test]
fn failures_double_the_pause_up_to_a_limit_which_is_lower_before_the_first_answer() {
    let mut course = Course::default();
    let seconds = |steps: Vec<Step>| steps.iter().map(|s| s.wait.as_secs()).collect::<Vec<_>>();
    assert_eq!(
        seconds(play(&mut course, (0..6).map(|_| failed()))),
        [1, 2, 4, 5, 5, 5]
    );
    play(&mut course, [given([1], 5)]);
    assert_eq!(
        seconds(play(&mut course, (0..7).map(|_| failed()))),
        [1, 2, 4, 8, 16, 30, 30]
    );
}

#[test]
fn a_source_that_tells_of_changes_is_asked_again_soon_after_it_had_no_server() {
    let mut course = Course::default();
    let told = Pace::told(Duration::from_secs(10));
    let empty = || Answer::Empty("none".to_owned());
    let answers = [
        given([1], 0),
        empty(),
        empty(),
        empty(),
        failed(),
        failed(),
        empty(),
    ];
    let waits = answers.map(|answer| course.take(answer, told, Mono(0), 0.0).wait);
    let seconds = waits.map(|wait| wait.as_secs_f64());
    assert_eq!(seconds, [0.25, 1.0, 1.0, 1.0, 2.0, 4.0, 1.0]);
    let mut course = Course::default();
    let waits = [(); 3].map(|()| course.take(empty(), Pace::of(INTERVAL), Mono(0), 0.0).wait);
    assert_eq!(
        waits.map(|wait| wait.as_secs()),
        [1, 2, 4],
        "one that is asked at intervals"
    );
}

#[test]
fn a_failure_and_an_empty_answer_leave_the_servers_and_are_told_once_each() {
    let mut course = Course::default();
    let empty = || Answer::Empty("gone".to_owned());
    let steps = play(
        &mut course,
        [
            given([1, 2], 5),
            failed(),
            failed(),
            empty(),
            empty(),
            given([], 5),
            given([1, 2], 5),
            failed(),
        ],
    );
    assert_eq!(course.servers(), servers([1, 2]));
    let told: Vec<String> = steps
        .iter()
        .map(|s| s.say.iter().map(Say::to_string).collect())
        .collect();
    assert_eq!(
        told,
        [
            "has 2 servers now; new: 10.0.0.1:80, 10.0.0.2:80",
            "does not answer, and the last 2 servers stay in use: no",
            "",
            "has no server any more, and the last 2 stay in use until it has one: gone",
            "",
            "",
            "answers again, after 5.0s",
            "does not answer, and the last 2 servers stay in use: no",
        ]
    );
}

#[test]
fn a_part_that_is_missing_is_trouble_though_the_rest_is_used() {
    let mut course = Course::default();
    let partly = Answer::Servers {
        servers: servers([1]),
        again_after: Duration::from_secs(50),
        missing: Some("half".to_owned()),
    };
    let step = course.take(partly, Pace::of(INTERVAL), Mono(0), 0.0);
    assert!(
        step.changed && step.say.len() == 2 && step.wait == Duration::from_secs(1),
        "{step:?}"
    );
    let step = course.take(given([1], 50), Pace::of(INTERVAL), Mono(1), 0.0);
    assert!(
        !step.changed && matches!(step.say[..], [Say::Back(_)]),
        "{step:?}"
    );
}

#[test]
fn more_servers_than_are_used_are_cut_and_that_is_told_once() {
    let mut course = Course::default();
    let many = || given(0..1_200, 5);
    let steps = play(&mut course, [many(), many(), given(0..1_000, 5), many()]);
    assert_eq!(course.servers(), servers(0..1_000));
    let cut = |step: &Step| step.say.contains(&Say::Cut(1_200));
    assert_eq!(
        steps.iter().map(cut).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    assert!(steps[0].say[1].to_string().ends_with("10.0.0.7:80 and 992 more"));
}

#[test]
fn weights_that_add_up_to_too_much_keep_their_ratio() {
    let mut course = Course::default();
    let heavy = Answer::Servers {
        servers: (0..1_000)
            .map(|n| server(n, if n == 0 { 30_000 } else { 60_000 }))
            .collect(),
        again_after: INTERVAL,
        missing: None,
    };
    play(&mut course, [heavy]);
    let weights: Vec<u32> = course.servers().iter().map(|s| s.weight.get()).collect();
    assert!(weights.iter().map(|w| u64::from(*w)).sum::<u64>() <= WEIGHT_TOTAL_MAX);
    assert_eq!(weights[1], 2 * weights[0]);
}

/// What a source may answer, in few enough kinds that they repeat.
fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(failed()),
        Just(Answer::Empty("gone".to_owned())),
        (prop::collection::vec(0u16..5, 0..6), 0u64..100, any::<bool>()).prop_map(
            |(numbers, ttl, is_whole)| {
                Answer::Servers {
                    servers: servers(numbers),
                    again_after: Duration::from_secs(ttl),
                    missing: (!is_whole).then(|| "half".to_owned()),
                }
            }
        ),
    ]
}

fn has_servers(answer: &Answer) -> bool {
    matches!(answer, Answer::Servers { servers, .. } if !servers.is_empty())
}

/// What is known after a history, worked out from all of it anew.
fn known(history: &[Answer]) -> Vec<UpstreamServer> {
    let last = history.iter().rev().find(|a| has_servers(a));
    let Some(Answer::Servers { servers, .. }) = last else {
        return Vec::new();
    };
    let mut once: Vec<UpstreamServer> = Vec::new();
    for server in servers {
        if !once.contains(server) {
            once.push(server.clone());
        }
    }
    once
}

/// "", "empty", "failing" or "partly" after a history.
fn trouble(history: &[Answer]) -> &'static str {
    match history.last() {
        None => "",
        Some(Answer::Failed(_)) => "failing",
        Some(Answer::Empty(_)) => "empty",
        Some(Answer::Servers { servers, .. }) if servers.is_empty() => "empty",
        Some(Answer::Servers { missing, .. }) => missing.as_ref().map_or("", |_| "partly"),
    }
}

proptest! {
    #[test]
    fn it_goes_as_in_a_model_that_looks_at_the_whole_history(
        history in prop::collection::vec(answers(), 1..30),
        interval_ms in 1u64..200_000,
        draw in 0.0f64..1.0,
    ) {
        let pace = Pace::of(Duration::from_millis(interval_ms));
        let mut course = Course::default();
        for (at, answer) in history.iter().enumerate() {
            let (before, until) = (&history[..at], &history[..=at]);
            let step = course.take(answer.clone(), pace, Mono(at as u64), draw);
            prop_assert_eq!(course.servers(), known(until));
            prop_assert_eq!(step.changed, known(before) != known(until));
            prop_assert_eq!(course.has_answered(), until.iter().any(has_servers));
            let told = |pick: fn(&Say) -> bool| step.say.iter().filter(|s| pick(s)).count();
            let (was, is) = (trouble(before), trouble(until));
            prop_assert_eq!(told(|s| matches!(s, Say::Changed { .. })), usize::from(step.changed));
            prop_assert_eq!(told(|s| matches!(s, Say::Back(_))), usize::from(is.is_empty() && !was.is_empty()));
            prop_assert_eq!(told(|s| matches!(s, Say::Failing { .. })), usize::from(is == "failing" && was != "failing"));
            prop_assert_eq!(told(|s| matches!(s, Say::Partly(_))), usize::from(is == "partly" && was != "partly"));
            prop_assert_eq!(told(|s| matches!(s, Say::Emptied { .. })), usize::from(is == "empty" && was != "empty"));
            let least = pace.least.min(pace.backoff_first).mul_f64(1.0 - JITTER);
            prop_assert!(step.wait >= least && step.wait <= pace.most, "{:?}", step.wait);
        }
    }
}
