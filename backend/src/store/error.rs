//! Why the database did not do it, grouped by whose move it is.

use std::fmt;

use rusqlite::ErrorCode;

use crate::input::Fault;

/// Why a read or a write had no effect.
#[derive(Debug)]
pub enum Error {
    /// There is no such thing, or it is not for this user to see.
    NotFound,
    /// It is there to be seen, but not this user's to change.
    Forbidden,
    /// It has changed since the writer looked (`If-Match`).
    Stale,
    /// The input names things that do not exist or do not fit.
    Invalid(Vec<Fault>),
    /// The state of the database forbids it; the text says what stands in the way.
    Conflict(String),
    /// Too much to do, here or in another process on the same file; later will do.
    Busy,
    /// The database or this program is at fault. The text is for us, never for a client.
    Broken(String),
}

impl Error {
    /// The input's `field` is at fault.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid(vec![Fault::new(field, message)])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound => f.write_str("no such row"),
            Error::Forbidden => f.write_str("not this user's"),
            Error::Stale => f.write_str("changed meanwhile"),
            Error::Invalid(faults) => write!(f, "invalid: {faults:?}"),
            Error::Conflict(what) => write!(f, "conflict: {what}"),
            Error::Busy => f.write_str("the database is busy"),
            Error::Broken(what) => write!(f, "the database is broken: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            _ if error == rusqlite::Error::QueryReturnedNoRows => Error::NotFound,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
            _ => Error::Broken(error.to_string()),
        }
    }
}

/// Reads a broken UNIQUE constraint as `conflict`, and any other error as itself.
pub fn taken(error: rusqlite::Error, conflict: &str) -> Error {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    constraint(
        error,
        &[SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY],
        conflict,
    )
}

/// Reads a row that others point to (RESTRICT) as `conflict`, and any other error as itself.
pub fn in_use(error: rusqlite::Error, conflict: &str) -> Error {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_TRIGGER};
    // SQLite reports RESTRICT as a trigger's constraint: foreign key actions are triggers inside.
    constraint(
        error,
        &[SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_TRIGGER],
        conflict,
    )
}

fn constraint(error: rusqlite::Error, codes: &[i32], conflict: &str) -> Error {
    match error.sqlite_error() {
        Some(failure) if codes.contains(&failure.extended_code) => Error::Conflict(conflict.to_owned()),
        _ => error.into(),
    }
}
