//! Load at start; history while running, beside the writer.

use crate::error::Failure;
use crate::write::Embedded;
use model::event::What;
use model::facts::Machine;
use model::{Change, ChangeId, Event, Facts, Generation, Location, Time};
use rusqlite::{Connection, OpenFlags, Row, named_params};
use std::collections::BTreeMap;
use std::path::Path;

/// What a server starts from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Loaded {
    /// The current plan's publication; `None` in a new store.
    pub published: Option<Published>,
    /// What was observed.
    pub facts: Facts,
    /// The last event's number; 0 if there is none.
    pub last_seq: u64,
}

/// A plan that became current.
#[derive(Clone, PartialEq, Debug)]
pub struct Published {
    /// Its number.
    pub generation: Generation,
    /// The one that it replaced; 0 for the first.
    pub parent: Generation,
    /// Who published it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Time,
    /// The design's files, path and text; it is the design that is kept, and compiled again at start.
    pub files: Vec<(String, String)>,
    /// Digest of the plan document.
    pub digest: String,
    /// The commit that the files were in version control.
    pub commit: Option<String>,
}

/// An event as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its number; one counter for the zone, without repetition.
    pub seq: u64,
    /// The event.
    pub event: Event,
    /// The machine's state after it.
    pub state: String,
}

/// Which entries are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// The newest of one machine, oldest first.
    Of(&'a Location),
    /// The first after this number, of the whole zone, oldest first.
    After(u64),
}

impl Embedded {
    /// The current plan's publication and the facts.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT * FROM plans ORDER BY generation DESC LIMIT 1")?;
        let published = statement.query_map([], |row| Ok(published(row)))?.next().transpose()?.transpose()?;
        let mut facts = Facts::default();
        let mut statement = connection.prepare("SELECT location, machine FROM machines")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let machine: Machine =
                serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
            facts
                .machines
                .insert(Location::new(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?), machine);
        }
        facts.changes = changes(connection)?;
        Ok(Loaded { published, facts, last_seq: self.last_seq() })
    }

    /// A publication of before, if it is still kept.
    pub(crate) fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        plan(self.connection(), generation)
    }

    /// A second connection, for reading history while this one writes.
    pub(crate) fn history(&self) -> Result<EmbeddedHistory, Failure> {
        EmbeddedHistory::open(self.path())
    }

    /// The bytes kept under this name.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        secret(self.connection(), name)
    }
}

/// Reads history; never writes.
pub(crate) struct EmbeddedHistory {
    connection: Connection,
}

impl EmbeddedHistory {
    fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Self { connection: Connection::open_with_flags(path, flags)? })
    }

    /// The bytes kept under this name.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        secret(&self.connection, name)
    }

    /// The names of all secrets.
    pub(crate) fn secrets(&self) -> Result<Vec<String>, Failure> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM secrets ORDER BY name")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// At most `limit` entries, oldest first.
    pub(crate) fn events(&self, selection: Selection<'_>, limit: u32) -> Result<Vec<Entry>, Failure> {
        let mut entries = match selection {
            Selection::Of(location) => {
                let sql = "SELECT seq, at, location, what, state FROM events
                           WHERE location = :location ORDER BY seq DESC LIMIT :limit";
                self.collect(sql, named_params! {":location": location.as_str(), ":limit": limit})?
            }
            Selection::After(seq) => {
                let sql = "SELECT seq, at, location, what, state FROM events WHERE seq > :seq ORDER BY seq LIMIT :limit";
                let seq = i64::try_from(seq).unwrap_or(i64::MAX);
                self.collect(sql, named_params! {":seq": seq, ":limit": limit})?
            }
        };
        if matches!(selection, Selection::Of(_)) {
            entries.reverse();
        }
        Ok(entries)
    }

    /// All entries, in some order in which each place's are in theirs.
    pub(crate) fn each_event(
        &self,
        mut each: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut last = 0;
        loop {
            let some = self.events(Selection::After(last), 1000)?;
            let Some(newest) = some.last() else { return Ok(()) };
            last = newest.seq;
            some.into_iter().try_for_each(&mut each)?;
        }
    }

    /// The newest `limit` publications, newest first.
    pub(crate) fn plans(&self, limit: u32) -> Result<Vec<Published>, Failure> {
        let mut statement =
            self.connection.prepare_cached("SELECT * FROM plans ORDER BY generation DESC LIMIT ?1")?;
        statement.query_map([limit], |row| Ok(published(row)))?.map(|row| row?).collect()
    }

    /// One publication, if it is still kept.
    pub(crate) fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        plan(&self.connection, generation)
    }

    fn collect(&self, sql: &str, parameters: &[(&str, &dyn rusqlite::ToSql)]) -> Result<Vec<Entry>, Failure> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let what: What = serde_json::from_str(text(3)?)?;
            let event = Event { at: Time(row.get(1)?), location: Location::new(text(2)?), what };
            entries.push(Entry { seq: row.get(0)?, event, state: row.get(4)? });
        }
        Ok(entries)
    }
}

fn secret(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM secrets WHERE name = ?1")?;
    Ok(statement.query_map([name], |row| row.get(0))?.next().transpose()?)
}

/// Every change that is kept, with its machines.
fn changes(connection: &Connection) -> Result<BTreeMap<ChangeId, Change>, Failure> {
    let mut changes = BTreeMap::new();
    let mut statement = connection.prepare("SELECT change FROM changes")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let change: Change = serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
        changes.insert(change.id, change);
    }
    let mut statement = connection.prepare("SELECT id, location, member FROM change_machines")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        if let Some(change) = changes.get_mut(&ChangeId(row.get(0)?)) {
            change.machines.insert(Location::new(text(1)?), serde_json::from_str(text(2)?)?);
        }
    }
    Ok(changes)
}

fn plan(connection: &Connection, generation: Generation) -> Result<Option<Published>, Failure> {
    let mut statement = connection.prepare_cached("SELECT * FROM plans WHERE generation = ?1")?;
    statement.query_map([generation.0], |row| Ok(published(row)))?.next().transpose()?.transpose()
}

fn published(row: &Row<'_>) -> Result<Published, Failure> {
    let files: String = row.get("files")?;
    Ok(Published {
        generation: Generation(row.get("generation")?),
        parent: Generation(row.get("parent")?),
        author: row.get("author")?,
        reason: row.get("reason")?,
        at: Time(row.get("at")?),
        files: serde_json::from_str(&files)?,
        digest: row.get("digest")?,
        commit: row.get("git_commit")?,
    })
}
