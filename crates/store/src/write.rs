//! Publish, append, secrets, and the compaction of old events.

use crate::error::{Failure, FailureKind, OpenError, PublishError};
use crate::lock::Lock;
use crate::schema::{self, DATABASE_FILE, EVENTS_PER_MACHINE_MAX, EVENTS_PER_MACHINE_SLACK, PLANS_MAX};
use model::change::CHANGES_MAX;
use model::facts::Machine;
use model::{Change, Event, Generation, Location, Time};
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The open file. One process at a time has it.
pub(crate) struct Embedded {
    connection: Connection,
    path: PathBuf,
    last_seq: u64,
    /// How many events of a machine are kept; filled when a machine is first written to.
    kept: HashMap<Location, u32>,
    /// The last field: let go of when the database is closed.
    _lock: Lock,
}

/// A plan that is to become current.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The plan that it was compiled against; 0 for the first.
    pub parent: Generation,
    /// Who publishes it.
    pub author: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub at: Time,
    /// The design's files, path and text.
    pub files: &'a [(&'a str, &'a str)],
    /// Digest of the plan document.
    pub digest: &'a str,
    /// The commit that the files are in version control, whole and unchanged.
    pub commit: Option<&'a str>,
    /// The change that brings machines to it, if it has to; kept with it or not at all.
    pub change: Option<&'a Change>,
}

/// A change that went a step further.
#[derive(Clone, Copy, Debug)]
pub struct Stepped<'a> {
    /// As it is now.
    pub change: &'a Change,
    /// Those of its machines that are to be kept anew.
    pub machines: &'a BTreeSet<Location>,
}

/// An event that is to be kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The event.
    pub event: Event,
    /// The name of the machine's state after it.
    pub state: &'static str,
}

impl Embedded {
    /// Opens the store in `directory`, which is made (mode 0700) if it is not there. The file has mode 0600.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Directory { path, source }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
        let lock = Lock::take(directory)?;
        let path = directory.join(DATABASE_FILE);
        // Made here and not by SQLite, so that it has its mode from its first moment; the log files copy it.
        let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        drop(made.map_err(at(&path))?);
        let failed = |error| OpenError::Failed { path: path.clone(), source: Failure::from(error) };
        let mut connection = Connection::open(&path).map_err(failed)?;
        schema::prepare(&mut connection, &path)?;
        let last_seq = connection
            .query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))
            .map_err(failed)?;
        Ok(Self { connection, path, last_seq, kept: HashMap::new(), _lock: lock })
    }

    /// Makes a plan current, if its parent is current. Gives its number, one above the parent's.
    pub(crate) fn publish(&mut self, publication: &Publication<'_>) -> Result<Generation, PublishError> {
        // Immediate: the parent is compared under the write lock, at the write and not before it.
        let failed = |error: rusqlite::Error| PublishError::Failed(error.into());
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed)?;
        let current: u64 = transaction
            .query_row("SELECT coalesce(max(generation), 0) FROM plans", [], |row| row.get(0))
            .map_err(failed)?;
        if current != publication.parent.0 {
            return Err(PublishError::Stale { parent: publication.parent, current: Generation(current) });
        }
        let generation = current + 1;
        let files = serde_json::to_string(publication.files).map_err(Failure::from)?;
        let Publication { author, reason, at, digest, commit, change, .. } = publication;
        transaction
            .execute(
                "INSERT INTO plans (generation, parent, author, reason, at, files, digest, git_commit)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![generation, current, author, reason, at.0, files, digest, commit],
            )
            .map_err(failed)?;
        transaction
            .execute(
                "DELETE FROM plans WHERE generation <= ?1",
                [generation.saturating_sub(u64::from(PLANS_MAX))],
            )
            .map_err(failed)?;
        if let Some(change) = change {
            keep_change(&transaction, change, change.machines.keys())?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Generation(generation))
    }

    /// Keeps a batch of events, and the machines and changes as they are after it. All of it is on the disk when this returns,
    /// or nothing of it. Gives the number of the last event that is kept.
    pub(crate) fn append<'a>(
        &mut self,
        records: &[Record],
        machines: impl IntoIterator<Item = (&'a Location, &'a Machine)>,
        changes: impl IntoIterator<Item = Stepped<'a>>,
    ) -> Result<u64, Failure> {
        let transaction = self.connection.transaction()?;
        let mut seq = self.last_seq;
        let mut added: HashMap<&Location, u32> = HashMap::new();
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (seq, at, location, what, state) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for Record { event, state } in records {
                seq += 1;
                let what = serde_json::to_string(&event.what)?;
                insert.execute(params![seq, event.at.0, event.location.as_str(), what, state])?;
                *added.entry(&event.location).or_default() += 1;
            }
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO machines (location, machine, seq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (location) DO UPDATE SET machine = excluded.machine, seq = excluded.seq",
            )?;
            for (location, machine) in machines {
                upsert.execute(params![location.as_str(), serde_json::to_string(machine)?, seq])?;
            }
        }
        for Stepped { change, machines } in changes {
            keep_change(&transaction, change, machines.iter())?;
        }
        let mut kept = Vec::with_capacity(added.len());
        for (location, added) in added {
            let count = match self.kept.get(location) {
                Some(count) => count.saturating_add(added),
                None => count_events(&transaction, location)?,
            };
            kept.push((location.clone(), compact(&transaction, location, count)?));
        }
        transaction.commit()?;
        self.last_seq = seq;
        self.kept.extend(kept);
        Ok(seq)
    }

    /// Keeps bytes under a name, in place of what was there.
    pub(crate) fn set_secret(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let sql = "INSERT INTO secrets (name, bytes) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";
        self.connection.execute(sql, params![name, bytes])?;
        Ok(())
    }

    /// Bounds the database file, in octets; for tests of a full disk and for operators who give it a quota.
    pub(crate) fn limit_size(&mut self, octets: u64) -> Result<(), Failure> {
        let page: u64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(octets / page)
            .map_err(|error| Failure { kind: FailureKind::Other, detail: error.to_string() })?;
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }

    /// The number of the last event.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    pub(crate) fn set_last_seq(&mut self, seq: u64) {
        self.last_seq = seq;
        self.kept.clear();
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Nothing was ever put into it.
    pub(crate) fn is_empty(&self) -> Result<bool, Failure> {
        let sql = "SELECT (SELECT count(*) FROM plans) + (SELECT count(*) FROM secrets)";
        let count: u64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(count == 0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Keeps a change as it is now, with these of its machines; and the newest of all changes.
fn keep_change<'a>(
    transaction: &Transaction<'_>,
    change: &Change,
    machines: impl Iterator<Item = &'a Location>,
) -> Result<(), Failure> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO changes (id, change) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET change = excluded.change",
    )?;
    upsert.execute(params![change.id.0, serde_json::to_string(&change.head())?])?;
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO change_machines (id, location, member) VALUES (?1, ?2, ?3)
         ON CONFLICT (id, location) DO UPDATE SET member = excluded.member",
    )?;
    for location in machines {
        let Some(member) = change.machines.get(location) else { continue };
        upsert.execute(params![change.id.0, location.as_str(), serde_json::to_string(member)?])?;
    }
    let gone = change.id.0.saturating_sub(CHANGES_MAX as u64);
    for delete in ["DELETE FROM changes WHERE id <= ?1", "DELETE FROM change_machines WHERE id <= ?1"] {
        transaction.prepare_cached(delete)?.execute([gone])?;
    }
    Ok(())
}

fn count_events(transaction: &Transaction<'_>, location: &Location) -> Result<u32, Failure> {
    let mut count = transaction.prepare_cached("SELECT count(*) FROM events WHERE location = ?1")?;
    Ok(count.query_row([location.as_str()], |row| row.get(0))?)
}

/// Removes the oldest events of a machine that has too many. Gives how many it has then. The newest event of the
/// zone always stays, and so no number is given out twice.
fn compact(transaction: &Transaction<'_>, location: &Location, count: u32) -> Result<u32, Failure> {
    if count <= EVENTS_PER_MACHINE_MAX + EVENTS_PER_MACHINE_SLACK {
        return Ok(count);
    }
    let mut delete = transaction.prepare_cached(
        "DELETE FROM events WHERE location = ?1 AND seq <=
            (SELECT seq FROM events WHERE location = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?;
    delete.execute(params![location.as_str(), EVENTS_PER_MACHINE_MAX])?;
    Ok(EVENTS_PER_MACHINE_MAX)
}
