//! Something to look at in an empty database: a catalogue, a demo user with a diary, and an admin.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Params};
use serde::Deserialize;

use super::splits::Split;
use super::users::User;
use super::workouts::{Dose, Workout};
use super::{Error, exercises, logs, plans, splits, users, workouts};
use crate::calendar::{Date, Timestamp};
use crate::weight::Grams;
use crate::words::{Equipment, Muscle, Role, Weekday};

/// An account to seed: name, password and role.
pub type Account = (&'static str, &'static str, Role);

/// Owns the seeded plans. Its password is in the source: for experiments only, as the flag's help says.
pub const ADMIN: Account = ("admin", "admin-password", Role::Admin);
/// Has a diary of `DIARY_WEEKS`.
pub const DEMO: Account = ("demo", "demo-password", Role::Member);

/// Adds what is missing, and leaves alone whatever has the same name. `hash_of` hashes a password; it is slow, and asked
/// only for accounts that are missing.
pub fn plant(
    db: &Connection,
    hash_of: impl Fn(&str) -> Result<String, Error>,
    now: Timestamp,
) -> Result<(), Error> {
    let catalogue: Catalogue<'_> = serde_json::from_str(include_str!("../../seed/catalogue.json"))
        .map_err(|error| Error::Broken(format!("seed/catalogue.json: {error}")))?;
    let (admin, _) = account(db, ADMIN, &hash_of, now)?;
    let exercises = plant_exercises(db, &catalogue)?;
    let workouts = plant_workouts(db, &catalogue, &exercises, admin.id, now)?;
    plant_splits(db, &catalogue, &workouts, admin.id, now)?;
    let (demo, is_new) = account(db, DEMO, &hash_of, now)?;
    if is_new {
        keep_diary(db, &demo, &workouts, now)
    } else {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Catalogue<'a> {
    /// Name, muscle, equipment, description.
    #[serde(borrow)]
    exercises: Vec<(&'a str, Muscle, Equipment, &'a str)>,
    workouts: Vec<WorkoutSeed<'a>>,
    splits: Vec<SplitSeed<'a>>,
}

#[derive(Deserialize)]
struct WorkoutSeed<'a> {
    name: &'a str,
    description: &'a str,
    /// Name, sets, repetitions, kilograms.
    exercises: Vec<(&'a str, i64, i64, f64)>,
}

#[derive(Deserialize)]
struct SplitSeed<'a> {
    name: &'a str,
    description: &'a str,
    /// Day, name of the workout.
    days: Vec<(Weekday, &'a str)>,
}

/// Ids by name.
type Ids<'a> = HashMap<&'a str, i64>;

fn account(
    db: &Connection,
    (name, password, role): Account,
    hash_of: impl Fn(&str) -> Result<String, Error>,
    now: Timestamp,
) -> Result<(User, bool), Error> {
    match users::credentials(db, name)? {
        Some((user, _)) => Ok((user, false)),
        None => Ok((users::create(db, name, &hash_of(password)?, role, now)?, true)),
    }
}

fn plant_exercises<'a>(db: &Connection, catalogue: &Catalogue<'a>) -> Result<Ids<'a>, Error> {
    let named = "SELECT id FROM exercises WHERE name = ?1";
    let mut ids = Ids::new();
    for &(name, muscle, equipment, description) in &catalogue.exercises {
        let mut id = id_of(db, named, [name])?;
        if id.is_none() {
            let (name, description) = (name.to_owned(), description.to_owned());
            let draft = exercises::Draft {
                name,
                muscle,
                equipment,
                description,
            };
            id = Some(exercises::create(db, draft)?.id);
        }
        ids.extend(id.map(|id| (name, id)));
    }
    Ok(ids)
}

fn plant_workouts<'a>(
    db: &Connection,
    catalogue: &Catalogue<'a>,
    exercises: &Ids<'_>,
    owner: i64,
    now: Timestamp,
) -> Result<Ids<'a>, Error> {
    let named = "SELECT id FROM workouts WHERE name = ?1 AND owner = ?2";
    let mut ids = Ids::new();
    for seed in &catalogue.workouts {
        let mut id = id_of(db, named, (seed.name, owner))?;
        if id.is_none() {
            let dose = |&(name, sets, reps, kg): &(&str, i64, i64, f64)| {
                let weight = Grams::from_kg(kg).ok_or_else(|| unknown("weight", name))?;
                Ok((lookup(exercises, name)?, Dose { sets, reps, weight }))
            };
            let contents = seed.exercises.iter().map(dose).collect::<Result<_, Error>>()?;
            let head = public(seed.name, seed.description);
            let made = plans::create::<Workout>(db, &head, &workouts::Draft(contents), owner, now)?;
            id = Some(made.plan.id);
        }
        ids.extend(id.map(|id| (seed.name, id)));
    }
    Ok(ids)
}

fn plant_splits(
    db: &Connection,
    catalogue: &Catalogue<'_>,
    workouts: &Ids<'_>,
    owner: i64,
    now: Timestamp,
) -> Result<(), Error> {
    let named = "SELECT id FROM splits WHERE name = ?1 AND owner = ?2";
    for seed in &catalogue.splits {
        if id_of(db, named, (seed.name, owner))?.is_none() {
            let day = |&(day, name): &(Weekday, &str)| Ok((day, lookup(workouts, name)?));
            let days = seed.days.iter().map(day).collect::<Result<_, Error>>()?;
            let head = public(seed.name, seed.description);
            plans::create::<Split>(db, &head, &splits::Draft(days), owner, now)?;
        }
    }
    Ok(())
}

/// How far back the demo user's diary goes.
const DIARY_WEEKS: i32 = 8;

/// Three workouts a week up to today, a little heavier every week.
fn keep_diary(db: &Connection, user: &User, workouts: &Ids<'_>, now: Timestamp) -> Result<(), Error> {
    let plan = [(0, "Push day"), (2, "Pull day"), (4, "Leg day")];
    let this_monday = now.date().monday().days();
    for week in 0..=DIARY_WEEKS {
        for (day, name) in plan {
            let performed_on = Date::from_days(this_monday + 7 * (week - DIARY_WEEKS) + day);
            if performed_on > now.date() {
                continue;
            }
            let workout = plans::find::<Workout>(db, lookup(workouts, name)?, Some(user.id))?;
            let exercises = &workout.contents.exercises;
            let draft = logs::Draft {
                performed_on: Some(performed_on),
                workout_id: Some(workout.plan.id),
                note: String::new(),
                entries: exercises.iter().map(|item| performed(item, week)).collect(),
            };
            logs::create(db, &draft, user.id, now)?;
        }
    }
    Ok(())
}

/// The smallest step of weight in most gyms.
const PLATES_G: i64 = 500;

/// What a workout asks for, with about a twentieth more weight each week.
fn performed(item: &workouts::Item, week: i32) -> logs::Performed {
    let planned = item.dose.weight.0;
    let weight = Grams(planned + planned * i64::from(week) / 20 / PLATES_G * PLATES_G);
    let sets = (0..item.dose.sets)
        .map(|_| logs::Set {
            reps: item.dose.reps,
            weight,
        })
        .collect();
    logs::Performed {
        exercise_id: item.exercise_id,
        sets,
    }
}

fn public(name: &str, description: &str) -> plans::Draft {
    plans::Draft {
        name: name.to_owned(),
        description: description.to_owned(),
        public: true,
    }
}

fn id_of(db: &Connection, sql: &str, key: impl Params) -> Result<Option<i64>, Error> {
    Ok(db
        .prepare_cached(sql)?
        .query_row(key, |row| row.get(0))
        .optional()?)
}

fn lookup(ids: &Ids<'_>, name: &str) -> Result<i64, Error> {
    ids.get(name).copied().ok_or_else(|| unknown("name", name))
}

fn unknown(what: &str, name: &str) -> Error {
    Error::Broken(format!("seed/catalogue.json: unknown {what} of {name:?}"))
}
