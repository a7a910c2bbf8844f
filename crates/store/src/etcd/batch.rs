//! What is written as one: the log's entries, and the values beside them.

use super::keys::Keys;
use super::wire::Op;
use crate::error::Failure;
use crate::read::{Entry, Published};
use crate::schema::{EVENTS_PER_MACHINE_MAX, EVENTS_PER_MACHINE_SLACK};
use aws_lc_rs::digest::{SHA256, digest};
use model::change::CHANGES_MAX;
use model::facts::Machine;
use model::octets::hexadecimal;
use model::{Change, ChangeId, Event, Generation, Location, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What one write of the deciding controller changed, as every controller reads it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// Its number; one above the one before.
    pub batch: u64,
    /// Tells it from another attempt at the same number.
    pub(super) token: u64,
    /// What happened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<Kept>,
    /// The machines that changed, as they are after it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<Location, Machine>,
    /// The changes that went a step further, as they are after it; of their machines those that are other than before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The plan that became current with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Generation>,
    /// What became of what other controllers asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<Answered>,
    /// Machines whose agents are to look at their hardware and run their checks again.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub check_again: BTreeSet<Location>,
    /// In so many pieces, under this digest, if it is too large for one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pieces: Option<Pieces>,
}

impl Batch {
    /// The number of its last event.
    pub fn last_seq(&self) -> Option<u64> {
        self.events.last().map(|kept| kept.seq)
    }
}

/// What is written with a batch of events for other controllers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Beside {
    /// What became of what they asked.
    pub answered: Vec<Answered>,
    /// Machines whose agents are to look at their hardware and run their checks again.
    pub check_again: BTreeSet<Location>,
}

/// What became of what a controller asked at once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Who asked.
    pub controller: String,
    /// Which of its questions.
    pub number: u64,
    /// For each event: `None`, it is stored; else why it was refused.
    pub refused: Vec<Option<String>>,
}

/// An event as it lies there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) seq: u64,
    /// How many events its place had with it.
    pub(super) ordinal: u64,
    pub(super) event: Event,
    pub(super) state: String,
}

impl From<Kept> for Entry {
    fn from(kept: Kept) -> Self {
        Self { seq: kept.seq, event: kept.event, state: kept.state }
    }
}

/// Octets that lie in pieces beside what names them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pieces {
    pub(super) count: usize,
    pub(super) sha256: String,
}

impl Pieces {
    pub(super) fn of(octets: &[u8], piece: usize) -> Self {
        Self { count: octets.len().div_ceil(piece), sha256: hex(octets) }
    }

    /// The octets, if they are those.
    pub(super) fn join(&self, pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, Failure> {
        let octets: Vec<u8> = pieces.flatten().collect();
        match hex(&octets) == self.sha256 {
            true => Ok(octets),
            false => Err(Failure::corrupt("pieces of a value in etcd do not fit together")),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    hexadecimal(digest(&SHA256, octets).as_ref())
}

/// The last batch, and what follows from it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) batch: u64,
    /// The last batch's.
    pub(super) token: u64,
    /// The last event.
    pub(super) seq: u64,
    /// The current plan.
    pub(super) generation: Generation,
    /// Up to here, batches are in the tables too.
    pub(super) settled: u64,
    /// The oldest batch that is kept.
    pub(super) oldest: u64,
    /// Where the zone went from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) moved: Option<String>,
}

/// A machine as it lies in the table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) machine: Machine,
}

/// A plan as it lies in the table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PlanRow {
    pub(super) generation: Generation,
    pub(super) parent: Generation,
    pub(super) author: String,
    pub(super) reason: String,
    pub(super) at: Time,
    pub(super) digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<String>,
    #[serde(default)]
    pub(super) files: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pieces: Option<Pieces>,
}

/// The files of a plan, if they are too large to lie with it.
pub(super) fn pieces_of_design(row: &PlanRow, piece: usize) -> Result<Option<Vec<u8>>, Failure> {
    let octets = serde_json::to_vec(&row.files)?;
    Ok((octets.len() > piece).then_some(octets))
}

impl From<Published> for PlanRow {
    fn from(published: Published) -> Self {
        let Published { generation, parent, author, reason, at, files, digest, commit } = published;
        Self { generation, parent, author, reason, at, digest, commit, files, pieces: None }
    }
}

impl From<PlanRow> for Published {
    fn from(row: PlanRow) -> Self {
        let PlanRow { generation, parent, author, reason, at, digest, commit, files, pieces: _ } = row;
        Self { generation, parent, author, reason, at, files, digest, commit }
    }
}

/// What brings the tables from before a batch to after it. No key is written twice by it.
pub(super) fn settling(keys: &Keys, batch: &Batch) -> Result<Vec<Op>, Failure> {
    let mut ops = Vec::new();
    let last = batch.events.last().map_or(0, |kept| kept.seq);
    for (location, machine) in &batch.machines {
        let row = serde_json::to_vec(&Row { seq: last, machine: machine.clone() })?;
        ops.push(Op::Put(keys.machine(location), row, 0));
    }
    for change in &batch.changes {
        ops.push(Op::Put(keys.change(change.id), serde_json::to_vec(&change.head())?, 0));
        for (location, member) in &change.machines {
            ops.push(Op::Put(keys.change_machine(change.id, location), serde_json::to_vec(member)?, 0));
        }
        if let Some(gone) = change.id.0.checked_sub(CHANGES_MAX as u64).filter(|gone| *gone > 0) {
            let (first, next) = (ChangeId(0), ChangeId(gone + 1));
            ops.push(Op::DeleteRange(keys.change(first), keys.change(next)));
            ops.push(Op::DeleteRange(keys.change_machines(first).0, keys.change_machines(next).0));
        }
    }
    // From where on the events of a place are kept, if it is time to remove some.
    let mut kept_from: BTreeMap<&Location, u64> = BTreeMap::new();
    for Kept { ordinal, event, .. } in &batch.events {
        if ordinal % u64::from(EVENTS_PER_MACHINE_SLACK) == 0 && *ordinal > u64::from(EVENTS_PER_MACHINE_MAX)
        {
            kept_from.insert(&event.location, ordinal - u64::from(EVENTS_PER_MACHINE_MAX) + 1);
        }
    }
    for kept in &batch.events {
        let location = &kept.event.location;
        if kept_from.get(location).is_none_or(|from| kept.ordinal >= *from) {
            ops.push(Op::Put(keys.event(location, kept.ordinal), serde_json::to_vec(kept)?, 0));
        }
    }
    for (location, from) in kept_from {
        ops.push(Op::DeleteRange(keys.event(location, 0), keys.event(location, from)));
    }
    Ok(ops)
}
