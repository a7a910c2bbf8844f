//! What an edge keeps of a zone, in the same file as a controller's: the plan, the one before while it is needed, facts, and bytes by
//! name.
//!
//! What comes in is put there whole or not at all, with where it came from; and is on the disk when [`Mirror::take`] returns.

use crate::error::{Failure, OpenError};
use crate::read::Published;
use crate::schema::DATABASE_FILE;
use crate::write::Embedded;
use model::facts::Machine;
use model::{Facts, Generation, Location};
use rusqlite::{Transaction, params};
use std::path::Path;

/// Under this name such a file says whose it is.
const IDENTITY: &str = "edge";

/// The open file. One process at a time has it.
pub struct Mirror(Embedded);

/// What is put into it at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken<'a> {
    /// Plans to keep beside those that are kept.
    pub plans: &'a [Published],
    /// Of all plans, those to keep.
    pub keep: &'a [Generation],
    /// There are no machines but these.
    pub are_all: bool,
    /// Machines as they are; `None`: nothing is known of it any more.
    pub machines: &'a [(Location, Option<Machine>)],
    /// Bytes, by name.
    pub bytes: &'a [(&'a str, Vec<u8>)],
}

impl Mirror {
    /// Opens it in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// As of a store; and if it is a controller's.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let store = Embedded::open(directory)?;
        let path = || directory.join(DATABASE_FILE);
        let failed = |source| OpenError::Failed { path: path(), source };
        let is_edges = store.secret(IDENTITY).map_err(failed)?.is_some();
        if !is_edges && !store.is_empty().map_err(failed)? {
            let detail = "it is a controller's; give an edge a directory of its own".to_owned();
            return Err(OpenError::NotAStore { path: path(), detail });
        }
        Ok(Self(store))
    }

    /// Says whose it is from here on.
    pub fn found(&mut self, identity: &[u8]) -> Result<(), Failure> {
        self.0.set_secret(IDENTITY, identity)
    }

    /// Whose it is, if anybody's.
    pub fn identity(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.0.secret(IDENTITY)
    }

    /// The bytes kept under this name.
    pub fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.0.secret(name)
    }

    /// A plan that is kept.
    pub fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        self.0.plan(generation)
    }

    /// All facts.
    pub fn facts(&self) -> Result<Facts, Failure> {
        Ok(self.0.load()?.facts)
    }

    /// Takes all of it, or nothing.
    pub fn take(&mut self, taken: &Taken<'_>) -> Result<(), Failure> {
        let transaction = self.0.connection_mut().transaction()?;
        put(&transaction, taken)?;
        Ok(transaction.commit()?)
    }
}

fn put(transaction: &Transaction<'_>, taken: &Taken<'_>) -> Result<(), Failure> {
    for plan in taken.plans {
        let files = serde_json::to_string(&plan.files)?;
        transaction.execute(
            "INSERT OR REPLACE INTO plans (generation, parent, author, reason, at, files, digest, git_commit)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                plan.generation.0,
                plan.parent.0,
                plan.author,
                plan.reason,
                plan.at.0,
                files,
                plan.digest,
                plan.commit
            ],
        )?;
    }
    let keep: Vec<u64> = taken.keep.iter().map(|generation| generation.0).collect();
    transaction.execute(
        "DELETE FROM plans WHERE generation NOT IN (SELECT value FROM json_each(?1))",
        [serde_json::to_string(&keep)?],
    )?;
    if taken.are_all {
        transaction.execute("DELETE FROM machines", [])?;
    }
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO machines (location, machine, seq) VALUES (?1, ?2, 0)
         ON CONFLICT (location) DO UPDATE SET machine = excluded.machine",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM machines WHERE location = ?1")?;
    for (location, machine) in taken.machines {
        match machine {
            Some(machine) => upsert.execute(params![location.as_str(), serde_json::to_string(machine)?])?,
            None => delete.execute([location.as_str()])?,
        };
    }
    let mut keep = transaction.prepare_cached(
        "INSERT INTO secrets (name, bytes) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes",
    )?;
    for (name, bytes) in taken.bytes {
        keep.execute(params![name, bytes])?;
    }
    Ok(())
}

/// Whether a store is an edge's.
pub(crate) fn is_edges(store: &Embedded) -> Result<bool, Failure> {
    Ok(store.secret(IDENTITY)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use model::Time;
    use model::facts::State;

    fn plan(generation: u64) -> Published {
        Published {
            generation: Generation(generation),
            parent: Generation(generation - 1),
            author: String::new(),
            reason: String::new(),
            at: Time(0),
            files: vec![("zone.hcl".into(), format!("plan {generation}"))],
            digest: String::new(),
            commit: None,
        }
    }

    #[test]
    fn what_was_taken_is_there_after_a_start_and_what_is_not_kept_is_not() {
        let directory = std::env::temp_dir().join(format!("zonewright-mirror-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let mut mirror = Mirror::open(&directory).expect("opened");
        assert_eq!(mirror.identity().expect("read"), None);
        mirror.found(b"me").expect("written");
        let [a, b] = ["z/a", "z/b"].map(Location::new);
        let machine = |reason: &str| {
            let state = State::Retired { reason: reason.into(), by: String::new() };
            Some(Machine { state, ..Machine::default() })
        };
        let (plans, keep) = ([plan(7), plan(5)], [5, 7].map(Generation));
        let machines = [(a.clone(), machine("one")), (b.clone(), machine("two"))];
        let bytes = [("position", b"7".to_vec())];
        mirror
            .take(&Taken { plans: &plans, keep: &keep, are_all: true, machines: &machines, bytes: &bytes })
            .expect("taken");
        let machines = [(a.clone(), None), (b.clone(), machine("three"))];
        let keep = [Generation(7)];
        mirror.take(&Taken { keep: &keep, machines: &machines, ..Taken::default() }).expect("taken");
        drop(mirror);
        let mirror = Mirror::open(&directory).expect("opened again");
        assert_eq!(mirror.identity().expect("read"), Some(b"me".to_vec()));
        assert_eq!(mirror.plan(Generation(7)).expect("read"), Some(plan(7)));
        assert_eq!(mirror.plan(Generation(5)).expect("read"), None);
        let facts = mirror.facts().expect("read");
        assert_eq!(facts.machines.into_iter().collect::<Vec<_>>(), [(b, machine("three").expect("one"))]);
        assert_eq!(mirror.bytes("position").expect("read"), Some(b"7".to_vec()));
        drop(mirror);
        assert!(
            matches!(Store::open(&directory), Err(OpenError::NotAStore { .. })),
            "a controller took an edge's"
        );
        std::fs::remove_dir_all(&directory).expect("removed");
        drop(Store::open(&directory).expect("a controller's").set_secret("x", b"y"));
        assert!(
            matches!(Mirror::open(&directory), Err(OpenError::NotAStore { .. })),
            "an edge took a controller's"
        );
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
