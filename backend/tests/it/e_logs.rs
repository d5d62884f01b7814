//! Logs, and the statistics that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use backend::calendar::{Date, Timestamp};
use backend::store::logs::{Draft, Performed, Set};
use backend::store::stats::{Stats, Streak, Sums, WEEKS_MAX};
use backend::store::{Store, logs, seed, stats, users};
use backend::weight::Grams;
use backend::words::Role;
use proptest::prelude::*;
use serde_json::json;

use crate::harness::{Call, NOW, World, log, workout};

#[tokio::test]
async fn a_log_is_stored_as_it_was_performed() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let body = json!({ "workout_id": 1, "note": "heavy\nday", "entries": [
        { "exercise_id": 9, "sets": [{ "reps": 5, "weight_kg": 100 }, { "reps": 3, "weight_kg": 102.5 }] },
        { "exercise_id": 7, "sets": [{ "reps": 20 }] }] });
    let made = world.post("/logs", &ada, body).await.expect(201);
    let found = Call::get(made.header("location").unwrap())
        .token(&ada)
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(found.body, made.body);
    let json = found.json();
    assert_eq!(
        (&json["performed_on"], &json["workout_id"]),
        (&json!("2026-11-21"), &json!(1))
    );
    assert_eq!((&json["sets"], &json["volume_kg"]), (&json!(3), &json!(807.5)));
    assert_eq!(
        json["entries"][0]["sets"][1],
        json!({ "reps": 3, "weight_kg": 102.5 })
    );
    assert_eq!(json["entries"][1]["exercise"], "Push-up");
}

#[tokio::test]
async fn logs_are_listed_latest_first_and_only_to_their_owner() {
    let world = World::seeded().await;
    let (ada, eve) = (world.member("ada").await, world.member("eve").await);
    for day in ["2026-11-02", "2026-11-20", "2026-11-11"] {
        world.post("/logs", &ada, log(day, 1, 5, 60.0)).await.expect(201);
    }
    let list = |token: &str, query| {
        Call::get(&format!("/logs{query}"))
            .token(token)
            .send(world.address())
    };
    let first = list(&ada, "?per_page=2").await.expect(200);
    let second = Call::get(&first.link("next").unwrap())
        .token(&ada)
        .send(world.address())
        .await
        .expect(200);
    let days: Vec<_> = [first.json(), second.json()]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .map(|item| item["performed_on"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(days, ["2026-11-20", "2026-11-11", "2026-11-02"]);
    assert_eq!(list(&eve, "").await.expect(200).json()["total"], 0);

    let path = format!("/logs/{}", first.json()["items"][0]["id"]);
    Call::get(&path)
        .token(&eve)
        .send(world.address())
        .await
        .expect(404);
    Call::new("DELETE", &path)
        .token(&eve)
        .send(world.address())
        .await
        .expect(404);
    Call::new("DELETE", &path)
        .token(&ada)
        .send(world.address())
        .await
        .expect(204);
    assert_eq!(list(&ada, "").await.json()["total"], 2);
}

#[tokio::test]
async fn a_log_outlives_its_workout() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let workout = world.post("/workouts", &ada, workout("W", false, 1)).await.id();
    let mut body = log("2026-11-20", 1, 5, 60.0);
    body["workout_id"] = json!(workout);
    let made = world.post("/logs", &ada, body).await.expect(201);
    Call::new("DELETE", &format!("/workouts/{workout}"))
        .token(&ada)
        .send(world.address())
        .await
        .expect(204);
    let left = Call::get(made.header("location").unwrap())
        .token(&ada)
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(left.json()["workout_id"], json!(null));
    assert_eq!(left.json()["volume_kg"], 300.0);
}

#[tokio::test]
async fn statistics_follow_from_the_logs() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    for (day, reps, kg) in [
        ("2026-11-10", 5, 60.0),
        ("2026-11-19", 5, 62.5),
        ("2026-11-20", 6, 62.5),
    ] {
        world.post("/logs", &ada, log(day, 1, reps, kg)).await.expect(201);
    }
    let json = Call::get("/me/stats")
        .token(&ada)
        .send(world.address())
        .await
        .expect(200)
        .json();
    assert_eq!(
        json["totals"],
        json!({ "logs": 3, "sets": 3, "reps": 16, "volume_kg": 987.5 })
    );
    assert_eq!(json["streak_days"], json!({ "current": 2, "longest": 2 }));
    assert_eq!(json["streak_weeks"], json!({ "current": 2, "longest": 2 }));
    assert_eq!(json["weeks"][0]["starts_on"], "2026-11-16");
    assert_eq!(
        json["exercises"][0]["best_set"],
        json!({ "reps": 6, "weight_kg": 62.5 })
    );
    assert_eq!(json["exercises"][0]["best_on"], "2026-11-20");
}

#[tokio::test]
async fn who_has_done_nothing_has_empty_statistics() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let json = Call::get("/me/stats")
        .token(&ada)
        .send(world.address())
        .await
        .expect(200)
        .json();
    assert_eq!(
        json["totals"],
        json!({ "logs": 0, "sets": 0, "reps": 0, "volume_kg": 0.0 })
    );
    assert_eq!((&json["first_on"], &json["weeks"]), (&json!(null), &json!([])));
}

/// Days before today, and for each entry an exercise and its sets.
type Diary = Vec<(i32, Vec<(i64, Vec<(i64, i64)>)>)>;

fn diary() -> impl Strategy<Value = Diary> {
    let sets = prop::collection::vec((1i64..=12, (0i64..6).prop_map(|step| step * 2_500)), 1..4);
    let entries = prop::collection::vec((1i64..=4, sets), 1..4);
    // Dense enough for streaks, long enough for more weeks than are listed.
    let day = prop_oneof![1 => 0..12i32, 3 => 0..600i32];
    prop::collection::vec((day, entries), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn statistics_agree_with_counting_by_hand(diary in diary()) {
        let now = Timestamp::from_unix(NOW);
        let folder = tempfile::tempdir().unwrap();
        let no_passwords = |_: &str| Ok("-".to_owned());
        let store = Store::open(&folder.path().join("w.db"), |db| seed::plant(db, no_passwords, now)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let written = diary.clone();
        let found = runtime.block_on(store.write(move |db| {
            let user = users::create(db, "ada", "-", Role::Member, now)?;
            for (days_ago, entries) in written {
                let entries = entries.into_iter().map(|(exercise_id, sets)| Performed { exercise_id, sets: sets.into_iter().map(set).collect() });
                let performed_on = Some(Date::from_days(now.date().days() - days_ago));
                let draft = Draft { performed_on, workout_id: None, note: String::new(), entries: entries.collect() };
                logs::create(db, &draft, user.id, now)?;
            }
            stats::find(db, user.id, now.date())
        })).unwrap();
        check(&diary, now.date(), &found)?;
    }
}

fn set((reps, grams): (i64, i64)) -> Set {
    Set {
        reps,
        weight: Grams(grams),
    }
}

/// The statistics again, slowly: from a flat list of all sets, with nothing shared with the code under test.
fn check(diary: &Diary, today: Date, found: &Stats) -> Result<(), TestCaseError> {
    // Log, day, exercise, repetitions, grams.
    let mut all = Vec::new();
    for (log, (days_ago, entries)) in diary.iter().enumerate() {
        for (exercise, sets) in entries {
            all.extend(
                sets.iter()
                    .map(|(reps, grams)| (log, today.days() - days_ago, *exercise, *reps, *grams)),
            );
        }
    }
    let sums = |part: &[(usize, i32, i64, i64, i64)]| Sums {
        logs: part.iter().map(|row| row.0).collect::<BTreeSet<_>>().len() as i64,
        sets: part.len() as i64,
        reps: part.iter().map(|row| row.3).sum(),
        volume: Grams(part.iter().map(|row| row.3 * row.4).sum()),
    };
    prop_assert_eq!(found.totals, sums(&all));

    let days: BTreeSet<i32> = all.iter().map(|row| row.1).collect();
    prop_assert_eq!(found.first_on, days.first().map(|day| Date::from_days(*day)));
    prop_assert_eq!(found.last_on, days.last().map(|day| Date::from_days(*day)));
    prop_assert_eq!(found.streak_days, streak(&days, today.days()));
    let weeks: BTreeSet<i32> = days.iter().map(|day| (day + 3).div_euclid(7)).collect();
    prop_assert_eq!(
        found.streak_weeks,
        streak(&weeks, (today.days() + 3).div_euclid(7))
    );

    prop_assert_eq!(found.weeks.len(), weeks.len().min(WEEKS_MAX));
    for (week, number) in found.weeks.iter().zip(weeks.iter().rev()) {
        let part: Vec<_> = all
            .iter()
            .filter(|row| (row.1 + 3).div_euclid(7) == *number)
            .copied()
            .collect();
        prop_assert_eq!((week.starts_on.days(), week.sums), (number * 7 - 3, sums(&part)));
    }

    let mut by_exercise: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    all.iter()
        .for_each(|row| by_exercise.entry(row.2).or_default().push(*row));
    prop_assert_eq!(found.exercises.len(), by_exercise.len());
    prop_assert!(
        found
            .exercises
            .is_sorted_by_key(|exercise| std::cmp::Reverse(exercise.sums.volume))
    );
    for exercise in &found.exercises {
        let part = &by_exercise[&exercise.exercise_id];
        prop_assert_eq!(exercise.sums, sums(part));
        let best = part.iter().map(|row| (row.4, row.3, -row.1)).max().unwrap();
        prop_assert_eq!(
            (
                exercise.best_set.weight.0,
                exercise.best_set.reps,
                -exercise.best_on.days()
            ),
            best
        );
    }
    Ok(())
}

/// By walking back from each number for as long as there is one before it.
fn streak(numbers: &BTreeSet<i32>, now: i32) -> Streak {
    let run_up_to = |end: i32| (0..).take_while(|back| numbers.contains(&(end - back))).count() as i64;
    let current = if numbers.contains(&now) {
        run_up_to(now)
    } else {
        run_up_to(now - 1)
    };
    Streak {
        current,
        longest: numbers.iter().map(|end| run_up_to(*end)).max().unwrap_or(0),
    }
}
