//! Workout logs: what a user did on a day, set after set.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::workouts::Workout;
use super::{Error, Found, Slice, exercises, plans};
use crate::calendar::{Date, Timestamp};
use crate::weight::Grams;

/// A performed workout.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: Summary,
    /// What was done, in this order.
    pub entries: Vec<Entry>,
}

/// A line of a list of logs.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Never given out twice.
    pub id: i64,
    /// The day, on the user's own calendar.
    pub performed_on: Date,
    /// The workout it followed, if it did and if that still exists.
    pub workout_id: Option<i64>,
    /// Free text.
    pub note: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// How many sets were done.
    pub sets: i64,
    /// Weight times repetitions, over all sets.
    #[serde(rename = "volume_kg")]
    pub volume: Grams,
}

/// The sets of one exercise.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Which exercise.
    pub exercise_id: i64,
    /// Its name in the catalogue.
    pub exercise: String,
    /// In the order they were done.
    pub sets: Vec<Set>,
}

/// One set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Set {
    /// How many repetitions.
    pub reps: i64,
    /// How heavy.
    #[serde(rename = "weight_kg")]
    pub weight: Grams,
}

/// What a user writes about a performed workout.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As [`Summary::performed_on`]; today if absent.
    pub performed_on: Option<Date>,
    /// As [`Summary::workout_id`].
    pub workout_id: Option<i64>,
    /// As [`Summary::note`].
    pub note: String,
    /// As [`Log::entries`]; never empty.
    pub entries: Vec<Performed>,
}

/// What a user writes about the sets of one exercise.
#[derive(Clone, Debug)]
pub struct Performed {
    /// As [`Entry::exercise_id`].
    pub exercise_id: i64,
    /// As [`Entry::sets`]; never empty.
    pub sets: Vec<Set>,
}

/// One page of a user's logs, the latest first.
pub fn page(db: &Connection, owner: i64, slice: Slice) -> Result<Found<Summary>, Error> {
    let total = count(db, owner)?;
    let sql =
        format!("{SUMMARY} WHERE l.owner = ?1 ORDER BY l.performed_on DESC, l.id DESC LIMIT ?2 OFFSET ?3");
    let mut list = db.prepare_cached(&sql)?;
    let items = list.query_map(params![owner, slice.limit, slice.offset], summary)?;
    Ok(Found {
        items: items.collect::<Result<_, _>>()?,
        total,
    })
}

/// One of a user's logs.
pub fn find(db: &Connection, id: i64, owner: i64) -> Result<Log, Error> {
    let sql = format!("{SUMMARY} WHERE l.id = ?1 AND l.owner = ?2");
    let summary = db.prepare_cached(&sql)?.query_row([id, owner], summary)?;
    Ok(Log {
        summary,
        entries: entries(db, id)?,
    })
}

/// Stores what a user did.
pub fn create(db: &Connection, draft: &Draft, owner: i64, now: Timestamp) -> Result<Log, Error> {
    if count(db, owner)? >= LOGS_PER_OWNER_MAX {
        return Err(Error::Conflict(format!(
            "an account holds {LOGS_PER_OWNER_MAX} logs at most: delete one first"
        )));
    }
    let performed_on = performed_on(draft, now)?;
    require_readable_workout(db, draft, owner)?;
    exercises::require_all(db, "entries", draft.entries.iter().map(|entry| entry.exercise_id))?;
    let sql = "INSERT INTO logs (owner, workout, performed_on, note, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?
        .execute(params![owner, draft.workout_id, performed_on, draft.note, now])?;
    let id = db.last_insert_rowid();
    insert_sets(db, id, &draft.entries)?;
    find(db, id, owner)
}

/// Deletes one of a user's logs.
pub fn delete(db: &Connection, id: i64, owner: i64) -> Result<(), Error> {
    let changed = db
        .prepare_cached("DELETE FROM logs WHERE id = ?1 AND owner = ?2")?
        .execute([id, owner])?;
    if changed == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}

/// East of Greenwich it may be tomorrow already; any later it is nowhere.
fn performed_on(draft: &Draft, now: Timestamp) -> Result<Date, Error> {
    let today = now.date();
    let tomorrow = Date::from_days(today.days() + 1);
    let date = draft.performed_on.unwrap_or(today);
    if (EARLIEST..=tomorrow).contains(&date) {
        return Ok(date);
    }
    Err(Error::invalid(
        "performed_on",
        format!("must be a day from {EARLIEST} to {tomorrow}"),
    ))
}

fn require_readable_workout(db: &Connection, draft: &Draft, owner: i64) -> Result<(), Error> {
    let Some(workout) = draft.workout_id else {
        return Ok(());
    };
    match plans::find_head::<Workout>(db, workout, Some(owner)) {
        Ok(_) => Ok(()),
        Err(Error::NotFound) => Err(Error::invalid(
            "workout_id",
            "is not the id of a workout that you may read",
        )),
        Err(error) => Err(error),
    }
}

/// Nobody who logged a workout before is still around to type it in.
const EARLIEST: Date = Date::from_days(-25_567); // 1900-01-01
/// Fifty years of a workout a day.
const LOGS_PER_OWNER_MAX: i64 = 20_000;

const SUMMARY: &str = "SELECT l.id, l.performed_on, l.workout, l.note, l.created_at,
        (SELECT count(*) FROM log_sets s WHERE s.log = l.id),
        (SELECT coalesce(sum(s.reps * s.weight_g), 0) FROM log_sets s WHERE s.log = l.id)
    FROM logs l";

fn count(db: &Connection, owner: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM logs WHERE owner = ?1";
    Ok(db.prepare_cached(sql)?.query_row([owner], |row| row.get(0))?)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        id: row.get(0)?,
        performed_on: row.get(1)?,
        workout_id: row.get(2)?,
        note: row.get(3)?,
        created_at: row.get(4)?,
        sets: row.get(5)?,
        volume: row.get(6)?,
    })
}

fn insert_sets(db: &Connection, log: i64, entries: &[Performed]) -> Result<(), Error> {
    let sql =
        "INSERT INTO log_sets (log, entry, number, exercise, reps, weight_g) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = db.prepare_cached(sql)?;
    for (entry, Performed { exercise_id, sets }) in entries.iter().enumerate() {
        for (number, set) in sets.iter().enumerate() {
            insert.execute(params![
                log,
                entry as i64,
                number as i64,
                exercise_id,
                set.reps,
                set.weight
            ])?;
        }
    }
    Ok(())
}

fn entries(db: &Connection, log: i64) -> Result<Vec<Entry>, Error> {
    let sql = "SELECT s.entry, e.id, e.name, s.reps, s.weight_g FROM log_sets s
               JOIN exercises e ON e.id = s.exercise WHERE s.log = ?1 ORDER BY s.entry, s.number";
    let mut list = db.prepare_cached(sql)?;
    let mut rows = list.query([log])?;
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(row) = rows.next()? {
        // Entries are numbered from zero without gaps, so a number not seen yet is the next one.
        if row.get::<_, i64>(0)? == entries.len() as i64 {
            entries.push(Entry {
                exercise_id: row.get(1)?,
                exercise: row.get(2)?,
                sets: Vec::new(),
            });
        }
        let entry = entries
            .last_mut()
            .expect("the first row has opened the first entry");
        entry.sets.push(Set {
            reps: row.get(3)?,
            weight: row.get(4)?,
        });
    }
    Ok(entries)
}
