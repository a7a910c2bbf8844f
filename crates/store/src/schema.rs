//! The tables, their version, and the limits on them.

use crate::error::{Failure, OpenError};
use rusqlite::Connection;
use std::path::Path;

/// The database's file name in the state directory.
pub const DATABASE_FILE: &str = "zonewright.db";
/// Held locked by the process that has the store open.
pub const LOCK_FILE: &str = "zonewright.lock";

/// How many events of one machine are kept: some dozens of boots.
pub const EVENTS_PER_MACHINE_MAX: u32 = 256;
/// How many more there may be before the oldest are removed; so that not each append removes one.
pub const EVENTS_PER_MACHINE_SLACK: u32 = 32;
/// How many plans are kept, the newest; each holds its design whole (kilobytes).
pub const PLANS_MAX: u32 = 1000;

/// Marks the file as ours for `file(1)` and for [`prepare`]: "ZWst".
const APPLICATION_ID: i64 = 0x5a57_7374;
/// The version of the tables below.
const VERSION: i64 = 2;

/// Since version 2.
const CHANGES: &str = "
    CREATE TABLE changes (
        id     INTEGER PRIMARY KEY,
        change TEXT NOT NULL          -- model::change::Change as JSON, without its machines
    ) STRICT;
    CREATE TABLE change_machines (
        id       INTEGER NOT NULL,
        location TEXT NOT NULL,
        member   TEXT NOT NULL,       -- model::change::Member as JSON
        PRIMARY KEY (id, location)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE plans ADD COLUMN git_commit TEXT;  -- of the design's files, whole and unchanged
";

const TABLES: &str = "
    CREATE TABLE plans (
        generation INTEGER PRIMARY KEY,
        parent     INTEGER NOT NULL,
        author     TEXT NOT NULL,
        reason     TEXT NOT NULL,
        at         INTEGER NOT NULL,  -- milliseconds since 1970
        files      TEXT NOT NULL,     -- the design, [[path, text], ...]
        digest     TEXT NOT NULL      -- of the plan document
    ) STRICT;
    CREATE TABLE events (
        seq      INTEGER PRIMARY KEY,
        at       INTEGER NOT NULL,
        location TEXT NOT NULL,
        what     TEXT NOT NULL,       -- model::event::What as JSON
        state    TEXT NOT NULL        -- the machine's state after it
    ) STRICT;
    CREATE INDEX events_by_location ON events (location, seq);
    CREATE TABLE machines (
        location TEXT PRIMARY KEY,
        machine  TEXT NOT NULL,       -- model::facts::Machine as JSON
        seq      INTEGER NOT NULL     -- the last event when it was written
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE secrets (
        name  TEXT PRIMARY KEY,
        bytes BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Sets the connection up and makes or checks the tables.
pub(crate) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| {
        let failure = Failure::from(error);
        match failure.kind {
            crate::FailureKind::Corrupt => OpenError::NotAStore { path: path.into(), detail: failure.detail },
            _ => OpenError::Failed { path: path.into(), source: failure },
        }
    };
    let number = |connection: &Connection, pragma: &str| -> Result<i64, rusqlite::Error> {
        connection.pragma_query_value(None, pragma, |row| row.get(0))
    };
    let version = number(connection, "user_version").map_err(failed)?;
    let application = number(connection, "application_id").map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (tables > 0 || version > 0) {
        return Err(OpenError::NotAStore {
            path: path.into(),
            detail: "it is another program's database".into(),
        });
    }
    if version > VERSION {
        return Err(OpenError::Newer { path: path.into(), found: version, known: VERSION });
    }
    // FULL: the log is on the disk before a commit is acknowledged. WAL: history is read beside the writer.
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
    if version == 0 {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(TABLES).map_err(failed)?;
        transaction.execute_batch(CHANGES).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    } else {
        // A damaged page is better told now than in the middle of the night.
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(OpenError::NotAStore { path: path.into(), detail: verdict });
        }
        if version < 2 {
            let transaction = connection.transaction().map_err(failed)?;
            transaction.execute_batch(CHANGES).map_err(failed)?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
    }
    Ok(())
}
