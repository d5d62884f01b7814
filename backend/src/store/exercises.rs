//! The catalogue of exercises.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::error::{in_use, taken};
use super::{Error, Found, Slice};
use crate::input::Fault;
use crate::words::{Equipment, Muscle};

/// An exercise of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exercise {
    /// Never given out twice.
    pub id: i64,
    /// What it says, without the id.
    #[serde(flatten)]
    pub draft: Draft,
}

/// What an admin writes about an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// Unique without regard to case.
    pub name: String,
    /// What it trains first.
    pub muscle: Muscle,
    /// What it needs.
    pub equipment: Equipment,
    /// How it is done.
    pub description: String,
}

/// One page of the catalogue by name, of one muscle group or of all.
pub fn page(db: &Connection, muscle: Option<Muscle>, slice: Slice) -> Result<Found<Exercise>, Error> {
    // Two statements rather than one with OR, which could not use the index by muscle.
    let filter = if muscle.is_some() {
        "muscle = ?1"
    } else {
        "?1 IS NULL"
    };
    let count = format!("SELECT count(*) FROM exercises WHERE {filter}");
    let list = format!("SELECT {COLUMNS} FROM exercises WHERE {filter} ORDER BY name LIMIT ?2 OFFSET ?3");
    let total = db.prepare_cached(&count)?.query_row([muscle], |row| row.get(0))?;
    let mut list = db.prepare_cached(&list)?;
    let items = list.query_map(params![muscle, slice.limit, slice.offset], exercise)?;
    Ok(Found {
        items: items.collect::<Result<_, _>>()?,
        total,
    })
}

/// One exercise.
pub fn find(db: &Connection, id: i64) -> Result<Exercise, Error> {
    let sql = format!("SELECT {COLUMNS} FROM exercises WHERE id = ?1");
    Ok(db.prepare_cached(&sql)?.query_row([id], exercise)?)
}

/// Adds an exercise to the catalogue.
pub fn create(db: &Connection, draft: Draft) -> Result<Exercise, Error> {
    let total: i64 = db.query_row("SELECT count(*) FROM exercises", [], |row| row.get(0))?;
    if total >= EXERCISES_MAX {
        return Err(Error::Conflict(format!(
            "the catalogue is full: it holds {EXERCISES_MAX} exercises at most"
        )));
    }
    let sql = "INSERT INTO exercises (name, muscle, equipment, description) VALUES (?1, ?2, ?3, ?4)";
    db.prepare_cached(sql)?
        .execute(params![
            draft.name,
            draft.muscle,
            draft.equipment,
            draft.description
        ])
        .map_err(|error| taken(error, NAME_TAKEN))?;
    Ok(Exercise {
        id: db.last_insert_rowid(),
        draft,
    })
}

/// Replaces all that is said about an exercise.
pub fn replace(db: &Connection, id: i64, draft: Draft) -> Result<Exercise, Error> {
    let sql = "UPDATE exercises SET name = ?2, muscle = ?3, equipment = ?4, description = ?5 WHERE id = ?1";
    let changed = db
        .prepare_cached(sql)?
        .execute(params![
            id,
            draft.name,
            draft.muscle,
            draft.equipment,
            draft.description
        ])
        .map_err(|error| taken(error, NAME_TAKEN))?;
    if changed == 0 {
        Err(Error::NotFound)
    } else {
        Ok(Exercise { id, draft })
    }
}

/// Takes an exercise out of the catalogue, unless a workout or a log mentions it.
pub fn delete(db: &Connection, id: i64) -> Result<(), Error> {
    let changed = db
        .prepare_cached("DELETE FROM exercises WHERE id = ?1")?
        .execute([id])
        .map_err(|error| in_use(error, "the exercise is part of a workout or of somebody's log"))?;
    if changed == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}

/// Refuses a list that mentions exercises which do not exist, naming each; `list` is the field that holds them.
pub fn require_all(db: &Connection, list: &str, ids: impl Iterator<Item = i64>) -> Result<(), Error> {
    let mut known = db.prepare_cached("SELECT 1 FROM exercises WHERE id = ?1")?;
    let mut faults = Vec::new();
    for (at, id) in ids.enumerate() {
        if !known.exists([id])? {
            faults.push(Fault::new(
                format!("{list}[{at}].exercise_id"),
                "is not the id of an exercise",
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(faults))
    }
}

/// Statistics list every exercise a user has done: that list ends where the catalogue does.
const EXERCISES_MAX: i64 = 2_000;
const NAME_TAKEN: &str = "another exercise has this name";
const COLUMNS: &str = "id, name, muscle, equipment, description";

fn exercise(row: &Row<'_>) -> rusqlite::Result<Exercise> {
    let draft = Draft {
        name: row.get(1)?,
        muscle: row.get(2)?,
        equipment: row.get(3)?,
        description: row.get(4)?,
    };
    Ok(Exercise {
        id: row.get(0)?,
        draft,
    })
}
