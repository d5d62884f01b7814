//! Accounts.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::Error;
use super::error::taken;
use crate::calendar::Timestamp;
use crate::words::Role;

/// An account as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// Never given out twice.
    pub id: i64,
    /// Unique without regard to case; shown as it was registered.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// The account that a token was issued for. Id and name both, since a key may outlive a database: in a new one the
/// same id is somebody else.
pub fn find(db: &Connection, id: i64, name: &str) -> Result<Option<User>, Error> {
    let sql = "SELECT id, name, role, created_at FROM users WHERE id = ?1 AND name = ?2";
    Ok(db
        .prepare_cached(sql)?
        .query_row(params![id, name], user)
        .optional()?)
}

/// The account of that name, and the hash of its password.
pub fn credentials(db: &Connection, name: &str) -> Result<Option<(User, String)>, Error> {
    let sql = "SELECT id, name, role, created_at, password_hash FROM users WHERE name = ?1";
    let found = db
        .prepare_cached(sql)?
        .query_row([name], |row| Ok((user(row)?, row.get(4)?)));
    Ok(found.optional()?)
}

/// Refuses a name that somebody has; asked before the expensive hash, and decided again by [`create`].
pub fn require_free(db: &Connection, name: &str) -> Result<(), Error> {
    match credentials(db, name)? {
        None => Ok(()),
        Some(_) => Err(Error::Conflict(NAME_TAKEN.to_owned())),
    }
}

/// Registers an account.
pub fn create(db: &Connection, name: &str, hash: &str, role: Role, now: Timestamp) -> Result<User, Error> {
    let sql = "INSERT INTO users (name, password_hash, role, created_at) VALUES (?1, ?2, ?3, ?4)
               RETURNING id, name, role, created_at";
    let created = db
        .prepare_cached(sql)?
        .query_row(params![name, hash, role, now], user);
    created.map_err(|error| taken(error, NAME_TAKEN))
}

/// Makes a registered account an admin.
pub fn promote(db: &Connection, name: &str) -> Result<(), Error> {
    let changed = db.execute(
        "UPDATE users SET role = ?1 WHERE name = ?2",
        params![Role::Admin, name],
    )?;
    if changed == 0 {
        Err(Error::NotFound)
    } else {
        Ok(())
    }
}

const NAME_TAKEN: &str = "this name is taken";

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        role: row.get(2)?,
        created_at: row.get(3)?,
    })
}
