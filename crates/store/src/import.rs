//! The file, filled with what another store had; and a file that says where its contents went.

use crate::error::{Failure, FailureKind};
use crate::moving::Piece;
use crate::read::Entry;
use crate::write::Embedded;
use model::Generation;
use rusqlite::params;

/// Under this name a file says where its contents went.
const MOVED: &str = "moved-to";

impl Embedded {
    /// From here on until [`Embedded::end_filling`], all is one transaction: who dies meanwhile leaves nothing.
    pub(crate) fn begin_filling(&mut self) -> Result<(), Failure> {
        let loaded = self.load()?;
        if loaded.published.is_some() || loaded.last_seq > 0 || !loaded.facts.machines.is_empty() {
            let detail = format!("{} holds a zone already", self.path().display());
            return Err(Failure { kind: FailureKind::Other, detail });
        }
        self.connection().execute_batch("BEGIN IMMEDIATE")?;
        Ok(())
    }

    pub(crate) fn fill(&mut self, piece: &Piece<'_>) -> Result<(), Failure> {
        let connection = self.connection();
        match piece {
            Piece::Plan(plan) => {
                connection.execute(
                    "INSERT INTO plans (generation, parent, author, reason, at, files, digest, git_commit)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        plan.generation.0,
                        plan.parent.0,
                        plan.author,
                        plan.reason,
                        plan.at.0,
                        serde_json::to_string(&plan.files)?,
                        plan.digest,
                        plan.commit
                    ],
                )?;
            }
            Piece::Facts(facts) => {
                for (location, machine) in &facts.machines {
                    connection
                        .prepare_cached("INSERT INTO machines (location, machine, seq) VALUES (?1, ?2, 0)")?
                        .execute(params![location.as_str(), serde_json::to_string(machine)?])?;
                }
                for change in facts.changes.values() {
                    connection
                        .prepare_cached("INSERT INTO changes (id, change) VALUES (?1, ?2)")?
                        .execute(params![change.id.0, serde_json::to_string(&change.head())?])?;
                    for (location, member) in &change.machines {
                        let sql = "INSERT INTO change_machines (id, location, member) VALUES (?1, ?2, ?3)";
                        connection.prepare_cached(sql)?.execute(params![
                            change.id.0,
                            location.as_str(),
                            serde_json::to_string(member)?
                        ])?;
                    }
                }
            }
            Piece::Events(entries) => {
                for Entry { seq, event, state } in *entries {
                    let sql =
                        "INSERT INTO events (seq, at, location, what, state) VALUES (?1, ?2, ?3, ?4, ?5)";
                    let what = serde_json::to_string(&event.what)?;
                    connection.prepare_cached(sql)?.execute(params![
                        seq,
                        event.at.0,
                        event.location.as_str(),
                        what,
                        state
                    ])?;
                }
            }
            Piece::Secret(name, bytes) => {
                connection
                    .execute("INSERT INTO secrets (name, bytes) VALUES (?1, ?2)", params![name, bytes])?;
            }
        }
        Ok(())
    }

    pub(crate) fn end_filling(&mut self, last_seq: u64, _: Generation) -> Result<(), Failure> {
        self.connection().execute_batch("COMMIT")?;
        self.set_last_seq(last_seq);
        Ok(())
    }

    /// As it was before it was filled.
    pub(crate) fn empty(&mut self) -> Result<(), Failure> {
        self.connection().execute_batch(
            "DELETE FROM plans; DELETE FROM machines; DELETE FROM changes; DELETE FROM change_machines;
             DELETE FROM events; DELETE FROM secrets;",
        )?;
        self.set_last_seq(0);
        Ok(())
    }

    /// Where its contents went, if they did.
    pub(crate) fn moved(&self) -> Result<Option<String>, Failure> {
        Ok(self.secret(MOVED)?.map(|octets| String::from_utf8_lossy(&octets).into_owned()))
    }

    /// Says where its contents went; it is not opened any more.
    pub(crate) fn retire(&mut self, to: &str) -> Result<(), Failure> {
        self.set_secret(MOVED, to.as_bytes())
    }
}
