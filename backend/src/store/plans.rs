//! What workouts and splits have in common: an owner, a name, and whether everybody may read them.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::error::{in_use, taken};
use super::{Error, Found, Slice};
use crate::calendar::Timestamp;

/// What one kind of plan holds beside its head, and where that is kept.
pub trait Contents: Serialize + Sized + Send + 'static {
    /// The name of one: in messages, and with an id as a cache group.
    const NOUN: &'static str;
    /// The name of all: table, path and cache group.
    const PLURAL: &'static str;
    /// The table of the contents; its column `NOUN` points to the plan.
    const TABLE: &'static str;
    /// How many one account may have.
    const PER_OWNER_MAX: i64;
    /// What a user writes.
    type Draft: Send + 'static;

    /// Reads the contents of a plan.
    fn load(db: &Connection, plan: &Plan) -> Result<Self, Error>;
    /// Writes the contents of a plan that has none.
    fn fill(db: &Connection, plan: &Plan, draft: &Self::Draft) -> Result<(), Error>;
    /// Refuses to make a plan private if something relies on its being public.
    fn check_withdrawal(db: &Connection, plan: &Plan) -> Result<(), Error>;
    /// The things whose names the contents show, each as a cache group: noun and id.
    fn shown(&self) -> impl Iterator<Item = (&'static str, i64)>;
}

/// The head of a workout or a split.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Never given out twice within a kind.
    pub id: i64,
    /// Unique among the owner's plans of this kind, without regard to case.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whether everybody may read it; it is part of the catalogue then.
    pub public: bool,
    /// The owner's name.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last replaced.
    pub updated_at: Timestamp,
    /// The owner's id.
    #[serde(skip)]
    pub owner_id: i64,
}

/// A plan with its contents.
#[derive(Clone, Debug, Serialize)]
pub struct Full<C> {
    /// The head.
    #[serde(flatten)]
    pub plan: Plan,
    /// What it consists of.
    #[serde(flatten)]
    pub contents: C,
}

/// What a user writes about a plan's head.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As [`Plan::name`].
    pub name: String,
    /// As [`Plan::description`].
    pub description: String,
    /// As [`Plan::public`].
    pub public: bool,
}

/// A line of a list of plans.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The plan without its contents.
    #[serde(flatten)]
    pub plan: Plan,
    /// How many exercises a workout has, or how many training days a split.
    pub size: i64,
}

/// Whose plans a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// What is public, whoever owns it.
    Catalogue,
    /// All of one user's.
    Of(i64),
}

/// One page of plans by name.
pub fn page<C: Contents>(db: &Connection, shelf: Shelf, slice: Slice) -> Result<Found<Summary>, Error> {
    let (filter, owner) = match shelf {
        // An owner that is always null keeps the parameters of both filters the same.
        Shelf::Catalogue => ("p.public = 1 AND ?1 IS NULL", None),
        Shelf::Of(owner) => ("p.owner = ?1", Some(owner)),
    };
    let count = format!("SELECT count(*) FROM {} p WHERE {filter}", C::PLURAL);
    let list = format!(
        "SELECT {COLUMNS}, (SELECT count(*) FROM {} c WHERE c.{} = p.id)
         FROM {} p JOIN users u ON u.id = p.owner WHERE {filter} ORDER BY p.name, p.id LIMIT ?2 OFFSET ?3",
        C::TABLE,
        C::NOUN,
        C::PLURAL
    );
    let total = db.prepare_cached(&count)?.query_row([owner], |row| row.get(0))?;
    let mut list = db.prepare_cached(&list)?;
    let summary = |row: &Row<'_>| {
        Ok(Summary {
            plan: plan(row)?,
            size: row.get(8)?,
        })
    };
    let items = list.query_map(params![owner, slice.limit, slice.offset], summary)?;
    Ok(Found {
        items: items.collect::<Result<_, _>>()?,
        total,
    })
}

/// The head of a plan that `viewer` may see; any other is as if it did not exist.
pub fn find_head<C: Contents>(db: &Connection, id: i64, viewer: Option<i64>) -> Result<Plan, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {} p JOIN users u ON u.id = p.owner
         WHERE p.id = ?1 AND (p.public = 1 OR p.owner IS ?2)",
        C::PLURAL
    );
    Ok(db.prepare_cached(&sql)?.query_row(params![id, viewer], plan)?)
}

/// A plan that `viewer` may see.
pub fn find<C: Contents>(db: &Connection, id: i64, viewer: Option<i64>) -> Result<Full<C>, Error> {
    let plan = find_head::<C>(db, id, viewer)?;
    Ok(Full {
        contents: C::load(db, &plan)?,
        plan,
    })
}

/// A plan that `user` may change.
pub fn find_own<C: Contents>(db: &Connection, id: i64, user: i64) -> Result<Full<C>, Error> {
    let found = find::<C>(db, id, Some(user))?;
    if found.plan.owner_id == user {
        Ok(found)
    } else {
        Err(Error::Forbidden)
    }
}

/// Makes a plan.
pub fn create<C: Contents>(
    db: &Connection,
    head: &Draft,
    contents: &C::Draft,
    owner: i64,
    now: Timestamp,
) -> Result<Full<C>, Error> {
    let count = format!("SELECT count(*) FROM {} WHERE owner = ?1", C::PLURAL);
    if db
        .prepare_cached(&count)?
        .query_row([owner], |row| row.get::<_, i64>(0))?
        >= C::PER_OWNER_MAX
    {
        let (most, plural) = (C::PER_OWNER_MAX, C::PLURAL);
        return Err(Error::Conflict(format!(
            "an account holds {most} {plural} at most: delete one first"
        )));
    }
    let sql = format!(
        "INSERT INTO {} (owner, name, description, public, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        C::PLURAL
    );
    db.prepare_cached(&sql)?
        .execute(params![owner, head.name, head.description, head.public, now])
        .map_err(|error| taken(error, NAME_TAKEN))?;
    fill(db, db.last_insert_rowid(), contents, owner)
}

/// Replaces a plan that the caller got from [`find_own`].
pub fn replace<C: Contents>(
    db: &Connection,
    old: &Plan,
    head: &Draft,
    contents: &C::Draft,
    now: Timestamp,
) -> Result<Full<C>, Error> {
    if old.public && !head.public {
        C::check_withdrawal(db, old)?;
    }
    let update = format!(
        "UPDATE {} SET name = ?2, description = ?3, public = ?4, updated_at = ?5 WHERE id = ?1",
        C::PLURAL
    );
    db.prepare_cached(&update)?
        .execute(params![old.id, head.name, head.description, head.public, now])
        .map_err(|error| taken(error, NAME_TAKEN))?;
    db.prepare_cached(&format!("DELETE FROM {} WHERE {} = ?1", C::TABLE, C::NOUN))?
        .execute([old.id])?;
    fill(db, old.id, contents, old.owner_id)
}

/// Deletes a plan that the caller got from [`find_own`].
pub fn delete<C: Contents>(db: &Connection, plan: &Plan) -> Result<(), Error> {
    let sql = format!("DELETE FROM {} WHERE id = ?1", C::PLURAL);
    db.prepare_cached(&sql)?
        .execute([plan.id])
        .map_err(|error| in_use(error, "the workout is part of a split: take it out there first"))?;
    Ok(())
}

fn fill<C: Contents>(db: &Connection, id: i64, contents: &C::Draft, owner: i64) -> Result<Full<C>, Error> {
    C::fill(db, &find_head::<C>(db, id, Some(owner))?, contents)?;
    find(db, id, Some(owner))
}

const NAME_TAKEN: &str = "another one of yours has this name";
const COLUMNS: &str = "p.id, p.name, p.description, p.public, u.name, p.created_at, p.updated_at, p.owner";

fn plan(row: &Row<'_>) -> rusqlite::Result<Plan> {
    Ok(Plan {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        public: row.get(3)?,
        owner: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        owner_id: row.get(7)?,
    })
}
