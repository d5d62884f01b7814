//! The schema's history: file after file, each applied once and counted in the file's `user_version`.

use rusqlite::{Connection, TransactionBehavior};

use super::Error;

/// In order; one that has been released is never edited, the next change is a new file.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/0001_accounts_and_catalogue.sql"),
    include_str!("../../migrations/0002_splits.sql"),
    include_str!("../../migrations/0003_logs.sql"),
];

/// Applies what is missing, all of it or nothing. Several processes may do so at once: the first one does it.
pub fn run(db: &mut Connection) -> Result<(), Error> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Some(missing) = MIGRATIONS.get(version as usize..) else {
        return Err(Error::Broken(format!(
            "the database has schema {version}, this program knows {} at most: use a newer program",
            MIGRATIONS.len()
        )));
    };
    let tables: i64 = change.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && tables > 0 {
        return Err(Error::Broken(
            "the file is a database of another program".to_owned(),
        ));
    }
    for sql in missing {
        change.execute_batch(sql)?;
    }
    change.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    Ok(change.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_history_leads_to_the_same_schema() {
        let schema = |db: &Connection| -> Vec<String> {
            let mut all = db
                .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql")
                .unwrap();
            all.query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        let mut fresh = Connection::open_in_memory().unwrap();
        run(&mut fresh).unwrap();
        for done in 1..=MIGRATIONS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            MIGRATIONS[..done]
                .iter()
                .for_each(|sql| old.execute_batch(sql).unwrap());
            old.pragma_update(None, "user_version", done as u32).unwrap();
            run(&mut old).unwrap();
            assert_eq!(schema(&old), schema(&fresh));
        }
    }

    #[test]
    fn a_database_that_is_newer_or_not_ours_is_left_alone() {
        let mut newer = Connection::open_in_memory().unwrap();
        newer
            .pragma_update(None, "user_version", MIGRATIONS.len() as u32 + 1)
            .unwrap();
        assert!(matches!(run(&mut newer), Err(Error::Broken(why)) if why.contains("newer program")));

        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE invoices (id)").unwrap();
        assert!(matches!(run(&mut foreign), Err(Error::Broken(why)) if why.contains("another program")));
    }
}
