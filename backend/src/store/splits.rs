//! Splits: which workout on which day of the week.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::Error;
use super::plans::{Contents, Plan};
use super::workouts::Workout;
use crate::input::Fault;
use crate::words::Weekday;

/// A week's plan.
#[derive(Clone, Debug, Serialize)]
pub struct Split {
    /// The days of training, from Monday on; the others are for rest.
    pub days: Vec<Day>,
}

/// A day of training.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Day {
    /// Which day.
    pub day: Weekday,
    /// Which workout.
    pub workout_id: i64,
    /// The workout's name.
    pub workout: String,
}

/// What a user writes about a split: workouts by id, no day twice.
#[derive(Clone, Debug)]
pub struct Draft(pub Vec<(Weekday, i64)>);

impl Contents for Split {
    const NOUN: &'static str = "split";
    const PLURAL: &'static str = "splits";
    const TABLE: &'static str = "split_days";
    const PER_OWNER_MAX: i64 = 50;
    type Draft = Draft;

    fn load(db: &Connection, plan: &Plan) -> Result<Split, Error> {
        let sql = "SELECT d.day, w.id, w.name FROM split_days d JOIN workouts w ON w.id = d.workout WHERE d.split = ?1";
        let mut list = db.prepare_cached(sql)?;
        let days = list.query_map([plan.id], |row| {
            Ok(Day {
                day: row.get(0)?,
                workout_id: row.get(1)?,
                workout: row.get(2)?,
            })
        })?;
        let mut days = days.collect::<Result<Vec<_>, _>>()?;
        days.sort_unstable();
        Ok(Split { days })
    }

    fn fill(db: &Connection, plan: &Plan, Draft(days): &Draft) -> Result<(), Error> {
        let mut insert =
            db.prepare_cached("INSERT INTO split_days (split, day, workout) VALUES (?1, ?2, ?3)")?;
        let mut faults = Vec::new();
        for (at, (day, workout)) in days.iter().enumerate() {
            match fault_of(db, plan, *workout)? {
                Some(message) => faults.push(Fault::new(format!("days[{at}].workout_id"), message)),
                None => drop(insert.execute(params![plan.id, day, workout])?),
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(faults))
        }
    }

    /// Nothing is made of splits.
    fn check_withdrawal(_: &Connection, _: &Plan) -> Result<(), Error> {
        Ok(())
    }

    fn shown(&self) -> impl Iterator<Item = (&'static str, i64)> {
        self.days.iter().map(|day| (Workout::NOUN, day.workout_id))
    }
}

/// Who reads a split reads the names of its workouts: none of them may be more private than the split.
fn fault_of(db: &Connection, plan: &Plan, workout: i64) -> Result<Option<&'static str>, Error> {
    let sql = "SELECT public FROM workouts WHERE id = ?1 AND (public = 1 OR owner = ?2)";
    let public = db
        .prepare_cached(sql)?
        .query_row([workout, plan.owner_id], |row| row.get(0))
        .optional()?;
    Ok(match public {
        None => Some("is not the id of a workout that you may read"),
        Some(false) if plan.public => Some("is a private workout: a public split has public ones only"),
        Some(_) => None,
    })
}
