//! What users write about workouts, splits and logs, and how much of it.

use crate::input::{Fields, Input};
use crate::store::logs::{self, Performed, Set};
use crate::store::splits;
use crate::store::workouts::{self, Dose};
use crate::weight::Grams;
use crate::words::{Weekday, Word};

/// RFC 9875, section 2, has caches know 32 groups of a response at least: these, and the workout's own.
const EXERCISES_MAX: usize = 30;
/// More sets of one exercise are more than one workout.
const SETS_MAX: usize = 20;
/// More repetitions in a set are a typing error.
const REPS_MAX: i64 = 1000;
/// Twice what anybody has lifted yet.
const WEIGHT_MAX: Grams = Grams(1_000_000);

impl Input for workouts::Draft {
    fn read(fields: &mut Fields) -> workouts::Draft {
        workouts::Draft(fields.list("exercises", 1..=EXERCISES_MAX))
    }
}

impl Input for (i64, Dose) {
    fn read(fields: &mut Fields) -> (i64, Dose) {
        let exercise = fields.id("exercise_id");
        let sets = fields.whole("sets", 1..=SETS_MAX as i64);
        let Set { reps, weight } = Set::read(fields);
        (exercise, Dose { sets, reps, weight })
    }
}

impl Input for splits::Draft {
    fn read(fields: &mut Fields) -> splits::Draft {
        let days: Vec<(Weekday, i64)> = fields.list("days", 1..=Weekday::ALL.len());
        for (at, (day, _)) in days.iter().enumerate() {
            if days[..at].iter().any(|(earlier, _)| earlier == day) {
                fields.fault::<()>(&format!("days[{at}].day"), "is a day that has a workout already");
            }
        }
        splits::Draft(days)
    }
}

impl Input for (Weekday, i64) {
    fn read(fields: &mut Fields) -> (Weekday, i64) {
        (fields.word("day"), fields.id("workout_id"))
    }
}

impl Input for logs::Draft {
    fn read(fields: &mut Fields) -> logs::Draft {
        logs::Draft {
            performed_on: fields.optional_date("performed_on"),
            workout_id: fields.optional_id("workout_id"),
            note: fields.optional_text("note", 2000),
            entries: fields.list("entries", 1..=EXERCISES_MAX),
        }
    }
}

impl Input for Performed {
    fn read(fields: &mut Fields) -> Performed {
        Performed {
            exercise_id: fields.id("exercise_id"),
            sets: fields.list("sets", 1..=SETS_MAX),
        }
    }
}

impl Input for Set {
    fn read(fields: &mut Fields) -> Set {
        Set {
            reps: fields.whole("reps", 1..=REPS_MAX),
            weight: fields.weight_kg("weight_kg", WEIGHT_MAX),
        }
    }
}
