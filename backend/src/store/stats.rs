//! What a user's logs add up to.
//!
//! SQL adds up the sets of a day and of an exercise; weeks and streaks follow from the days, by plain functions.

use rusqlite::Connection;
use serde::Serialize;

use super::Error;
use super::logs::Set;
use crate::calendar::Date;
use crate::weight::Grams;

/// A user's statistics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Everything together.
    pub totals: Sums,
    /// The day of the first log.
    pub first_on: Option<Date>,
    /// The day of the latest log.
    pub last_on: Option<Date>,
    /// Days in a row with a log; alive if today or yesterday had one.
    pub streak_days: Streak,
    /// Weeks in a row with a log; alive if this or the last week had one.
    pub streak_weeks: Streak,
    /// The latest [`WEEKS_MAX`] weeks with a log, the latest first.
    pub weeks: Vec<Week>,
    /// Every exercise the user has done, the largest volume first.
    pub exercises: Vec<PerExercise>,
}

/// What sets add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// How many logs.
    pub logs: i64,
    /// How many sets.
    pub sets: i64,
    /// How many repetitions.
    pub reps: i64,
    /// Weight times repetitions.
    #[serde(rename = "volume_kg")]
    pub volume: Grams,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.logs += other.logs;
        self.sets += other.sets;
        self.reps += other.reps;
        self.volume.0 += other.volume.0;
    }
}

/// An unbroken run of days or weeks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Streak {
    /// The run that can still grow, zero if it is broken.
    pub current: i64,
    /// The longest run there was.
    pub longest: i64,
}

/// A week with at least one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Week {
    /// Its Monday.
    pub starts_on: Date,
    /// What was done in it.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What a user has done of one exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PerExercise {
    /// Which exercise.
    pub exercise_id: i64,
    /// Its name in the catalogue.
    pub exercise: String,
    /// Its share; `logs` are those that contain it.
    #[serde(flatten)]
    pub sums: Sums,
    /// The heaviest set; of equals that with most repetitions, of these the earliest.
    pub best_set: Set,
    /// When that was.
    pub best_on: Date,
}

/// How many weeks are listed: a year.
pub const WEEKS_MAX: usize = 52;

/// The statistics of a user, as seen on the day `today`.
pub fn find(db: &Connection, owner: i64, today: Date) -> Result<Stats, Error> {
    let days = per_day(db, owner)?;
    let mut totals = Sums::default();
    days.iter().for_each(|(_, sums)| totals.add(*sums));
    let mut weeks = per_week(&days);
    let streak_weeks = streak(weeks.iter().map(|week| week.starts_on.week()), today.week());
    weeks.reverse();
    weeks.truncate(WEEKS_MAX);
    Ok(Stats {
        totals,
        first_on: days.first().map(|(date, _)| *date),
        last_on: days.last().map(|(date, _)| *date),
        streak_days: streak(days.iter().map(|(date, _)| date.days()), today.days()),
        streak_weeks,
        weeks,
        exercises: per_exercise(db, owner)?,
    })
}

/// Runs in `numbers`, which rise; the last is alive if it reaches `now` or the number before. A number after `now`
/// counts as well: where the user is, it may be tomorrow already.
fn streak(numbers: impl Iterator<Item = i32>, now: i32) -> Streak {
    let (mut run, mut longest, mut last) = (0, 0, None);
    for number in numbers {
        run = if last == Some(number - 1) { run + 1 } else { 1 };
        longest = longest.max(run);
        last = Some(number);
    }
    let alive = last.is_some_and(|last| last >= now - 1);
    Streak {
        current: if alive { run } else { 0 },
        longest,
    }
}

/// Sums per week from sums per day, both with the earliest first.
fn per_week(days: &[(Date, Sums)]) -> Vec<Week> {
    let mut weeks: Vec<Week> = Vec::new();
    for (date, sums) in days {
        match weeks.last_mut().filter(|week| week.starts_on == date.monday()) {
            Some(week) => week.sums.add(*sums),
            None => weeks.push(Week {
                starts_on: date.monday(),
                sums: *sums,
            }),
        }
    }
    weeks
}

fn per_day(db: &Connection, owner: i64) -> Result<Vec<(Date, Sums)>, Error> {
    let sql = "SELECT l.performed_on, count(DISTINCT l.id), count(*), sum(s.reps), sum(s.reps * s.weight_g)
               FROM logs l JOIN log_sets s ON s.log = l.id
               WHERE l.owner = ?1 GROUP BY l.performed_on ORDER BY l.performed_on";
    let mut list = db.prepare_cached(sql)?;
    let days = list.query_map([owner], |row| {
        let sums = Sums {
            logs: row.get(1)?,
            sets: row.get(2)?,
            reps: row.get(3)?,
            volume: row.get(4)?,
        };
        Ok((row.get(0)?, sums))
    })?;
    Ok(days.collect::<Result<_, _>>()?)
}

fn per_exercise(db: &Connection, owner: i64) -> Result<Vec<PerExercise>, Error> {
    let sql = "WITH done AS (
                   SELECT s.exercise, s.log, s.reps, s.weight_g, l.performed_on,
                          row_number() OVER (PARTITION BY s.exercise
                                             ORDER BY s.weight_g DESC, s.reps DESC, l.performed_on) AS place
                   FROM logs l JOIN log_sets s ON s.log = l.id WHERE l.owner = ?1)
               SELECT e.id, e.name, count(DISTINCT log), count(*), sum(reps), sum(reps * weight_g) AS volume,
                      max(reps) FILTER (WHERE place = 1), max(weight_g) FILTER (WHERE place = 1),
                      max(performed_on) FILTER (WHERE place = 1)
               FROM done JOIN exercises e ON e.id = done.exercise
               GROUP BY e.id ORDER BY volume DESC, e.name";
    let mut list = db.prepare_cached(sql)?;
    let exercises = list.query_map([owner], |row| {
        Ok(PerExercise {
            exercise_id: row.get(0)?,
            exercise: row.get(1)?,
            sums: Sums {
                logs: row.get(2)?,
                sets: row.get(3)?,
                reps: row.get(4)?,
                volume: row.get(5)?,
            },
            best_set: Set {
                reps: row.get(6)?,
                weight: row.get(7)?,
            },
            best_on: row.get(8)?,
        })
    })?;
    Ok(exercises.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_is_alive_today_and_the_day_after() {
        let of = |numbers: &[i32], now| streak(numbers.iter().copied(), now);
        assert_eq!(
            of(&[], 10),
            Streak {
                current: 0,
                longest: 0
            }
        );
        assert_eq!(
            of(&[8, 9, 10], 10),
            Streak {
                current: 3,
                longest: 3
            }
        );
        assert_eq!(
            of(&[8, 9], 10),
            Streak {
                current: 2,
                longest: 2
            }
        );
        assert_eq!(
            of(&[7, 8], 10),
            Streak {
                current: 0,
                longest: 2
            }
        );
        assert_eq!(
            of(&[1, 2, 3, 9, 11], 10),
            Streak {
                current: 1,
                longest: 3
            }
        );
    }
}
