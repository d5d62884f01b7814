//! Workouts: ordered lists of exercises with sets, repetitions and weight.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::plans::{Contents, Plan};
use super::{Error, exercises};
use crate::weight::Grams;

/// What a workout asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Workout {
    /// What to do, in this order.
    pub exercises: Vec<Item>,
}

/// One exercise of a workout.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Which exercise.
    pub exercise_id: i64,
    /// Its name in the catalogue.
    pub exercise: String,
    /// How it is to be done.
    #[serde(flatten)]
    pub dose: Dose,
}

/// How much of an exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dose {
    /// How many sets.
    pub sets: i64,
    /// How many repetitions in each set.
    pub reps: i64,
    /// How heavy; zero for the weight of the body alone.
    #[serde(rename = "weight_kg")]
    pub weight: Grams,
}

/// What a user writes about a workout: exercises by id, in order.
#[derive(Clone, Debug)]
pub struct Draft(pub Vec<(i64, Dose)>);

impl Contents for Workout {
    const NOUN: &'static str = "workout";
    const PLURAL: &'static str = "workouts";
    const TABLE: &'static str = "workout_exercises";
    const PER_OWNER_MAX: i64 = 500;
    type Draft = Draft;

    fn load(db: &Connection, plan: &Plan) -> Result<Workout, Error> {
        let sql = "SELECT e.id, e.name, c.sets, c.reps, c.weight_g FROM workout_exercises c
                   JOIN exercises e ON e.id = c.exercise WHERE c.workout = ?1 ORDER BY c.position";
        let mut list = db.prepare_cached(sql)?;
        let items = list.query_map([plan.id], |row| {
            let dose = Dose {
                sets: row.get(2)?,
                reps: row.get(3)?,
                weight: row.get(4)?,
            };
            Ok(Item {
                exercise_id: row.get(0)?,
                exercise: row.get(1)?,
                dose,
            })
        })?;
        Ok(Workout {
            exercises: items.collect::<Result<_, _>>()?,
        })
    }

    fn fill(db: &Connection, plan: &Plan, Draft(exercises): &Draft) -> Result<(), Error> {
        exercises::require_all(db, "exercises", exercises.iter().map(|(id, _)| *id))?;
        let sql = "INSERT INTO workout_exercises (workout, position, exercise, sets, reps, weight_g)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut insert = db.prepare_cached(sql)?;
        for (position, (exercise, dose)) in exercises.iter().enumerate() {
            insert.execute(params![
                plan.id,
                position as i64,
                exercise,
                dose.sets,
                dose.reps,
                dose.weight
            ])?;
        }
        Ok(())
    }

    /// A split shows its workouts to all who may read it, so what such a split uses stays public.
    fn check_withdrawal(db: &Connection, plan: &Plan) -> Result<(), Error> {
        let sql = "SELECT 1 FROM split_days d JOIN splits s ON s.id = d.split
                   WHERE d.workout = ?1 AND (s.public = 1 OR s.owner <> ?2)";
        if db.prepare_cached(sql)?.exists([plan.id, plan.owner_id])? {
            let conflict = "a split that others read uses this workout: it has to stay public";
            return Err(Error::Conflict(conflict.to_owned()));
        }
        Ok(())
    }

    fn shown(&self) -> impl Iterator<Item = (&'static str, i64)> {
        self.exercises.iter().map(|item| ("exercise", item.exercise_id))
    }
}
