//! A change under way: what it does to which machines, in which order, and how far it is.
//!
//! `lifecycle::change` is the only thing that steps it. A change that ended is kept as its own record.

use crate::ids::{ChangeId, Generation};
use crate::location::Location;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most changes that are kept.
pub const CHANGES_MAX: usize = 200;
/// The most notes that a change keeps; beyond it the oldest but the first are lost.
pub const NOTES_MAX: usize = 64;

/// A change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Its number; they count up.
    pub id: ChangeId,
    /// What it does.
    pub kind: Kind,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub began: Time,
    /// How it goes about it.
    pub policy: Policy,
    /// How far each wave reaches, in order. Without machines there are none, and it ends as it begins.
    pub waves: Vec<Reach>,
    /// Every machine that it touches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<Location, Member>,
    /// The wave under way.
    pub wave: u32,
    /// Every machine of the wave is where it is to be; it is watched until then.
    pub baking_until: Option<Time>,
    /// It does nothing new for now.
    pub paused: Option<Paused>,
    /// It is over.
    pub ended: Option<Ended>,
    /// What was worth saying, in order.
    pub notes: Vec<Note>,
}

/// What a change does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// Brings machines from one plan to the next.
    Plan {
        /// What they had.
        from: Generation,
        /// What they get.
        to: Generation,
        /// The change that it takes back.
        undoes: Option<ChangeId>,
    },
    /// Restarts machines.
    Restart,
}

/// How a change goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// How long each wave but the last is watched before the next begins, in seconds; the last one as long before it is done.
    pub bake_seconds: u32,
    /// Of the machines that it reached, so many in a hundred may fail, once the first wave is over.
    pub tolerate_percent: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self { bake_seconds: 120, tolerate_percent: 2 }
    }
}

/// How far a wave reaches: the failure domains of the first machines, ever wider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// One machine of each role.
    Machine,
    /// Their racks.
    Rack,
    /// Their pods.
    Pod,
    /// Everything else.
    Zone,
}

impl Reach {
    /// As people call the wave.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "canary",
            Self::Rack => "rack",
            Self::Pod => "pod",
            Self::Zone => "zone",
        }
    }
}

/// A machine of a change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// In which wave.
    pub wave: u32,
    /// What is done to it.
    pub effect: Effect,
    /// Why, in words: what changes for it.
    pub because: String,
    /// How far that is.
    pub step: Step,
}

/// What a change does to a machine. What comes later disturbs more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is looked at again: hardware and checks.
    Check,
    /// It boots anew.
    Restart,
    /// It gets another system in its other slot, and boots that.
    Upgrade,
    /// Its disks are written anew, if somebody arms it.
    Reinstall,
}

impl Effect {
    /// As a verb of the machine.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Check => "is checked again",
            Self::Restart => "restarts",
            Self::Upgrade => "is upgraded and restarts",
            Self::Reinstall => "is to be installed anew",
        }
    }
}

/// How far a change is with one machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// Its turn has not come.
    Waiting,
    /// It is at it.
    Taken {
        /// Since when.
        at: Time,
        /// By when it should be back.
        deadline: Time,
        /// It was in service: if it does not come back right, that is the change's doing.
        was_ready: bool,
        /// How often it had been seen to boot. Clocks are set; what is counted is not.
        #[serde(default)]
        boots: u64,
    },
    /// It was not in service when its turn came: it has the new row, and takes it up when it comes back by itself.
    Passed {
        /// When.
        at: Time,
    },
    /// It is back, and was found right.
    Done {
        /// Since when it was taken.
        taken: Time,
        /// When it was back.
        at: Time,
    },
    /// It is not what it should be.
    Failed {
        /// Since when it was taken.
        taken: Time,
        /// When that was seen.
        at: Time,
        /// Why.
        why: String,
    },
}

impl Step {
    /// Its machine has the new row.
    pub fn is_reached(&self) -> bool {
        !matches!(self, Self::Waiting)
    }

    /// Nothing more is awaited of it.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Passed { .. } | Self::Done { .. } | Self::Failed { .. })
    }
}

/// Who stopped a change for a while, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paused {
    /// Who; the controller itself is `zonewright`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Time,
}

/// How a change ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Time,
    /// How.
    pub how: Outcome,
    /// Why, with the evidence.
    pub sentence: String,
}

/// How a change ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every machine is where it should be.
    Done,
    /// It stopped itself, and is to be taken back.
    Halted,
    /// Somebody called it off, and it is to be taken back.
    Aborted,
}

/// Something worth saying about a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Time,
    /// What.
    pub sentence: String,
}

impl Change {
    /// It without its machines, which are kept apart: a step changes few of them.
    pub fn head(&self) -> Self {
        let Self {
            id,
            kind,
            by,
            reason,
            began,
            policy,
            waves,
            wave,
            baking_until,
            paused,
            ended,
            notes,
            machines: _,
        } = self;
        Self {
            id: *id,
            kind: kind.clone(),
            by: by.clone(),
            reason: reason.clone(),
            began: *began,
            policy: *policy,
            waves: waves.clone(),
            machines: BTreeMap::new(),
            wave: *wave,
            baking_until: *baking_until,
            paused: paused.clone(),
            ended: ended.clone(),
            notes: notes.clone(),
        }
    }

    /// Whether it is not over.
    pub fn is_under_way(&self) -> bool {
        self.ended.is_none()
    }

    /// The plans that it leads between, if it does.
    pub fn plans(&self) -> Option<(Generation, Generation)> {
        match self.kind {
            Kind::Plan { from, to, .. } => Some((from, to)),
            Kind::Restart => None,
        }
    }

    /// The machines that still have the row of the plan before.
    pub fn held(&self) -> impl Iterator<Item = &Location> {
        let is_held = self.plans().is_some();
        self.machines
            .iter()
            .filter(move |(_, member)| is_held && !member.step.is_reached())
            .map(|(location, _)| location)
    }

    /// Those of one wave.
    pub fn of_wave(&self, wave: u32) -> impl Iterator<Item = (&Location, &Member)> {
        self.machines.iter().filter(move |(_, member)| member.wave == wave)
    }

    /// Keeps a sentence.
    pub fn note(&mut self, at: Time, sentence: String) {
        if self.notes.len() >= NOTES_MAX {
            self.notes.remove(1);
        }
        self.notes.push(Note { at, sentence });
    }
}

/// Who may take a machine out of service on purpose, and has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub holder: Holder,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// When the machine should be back. A lease that is over is overdue, and stays.
    pub deadline: Time,
    /// The key of the agent that was there (SHA-256 of its SubjectPublicKeyInfo); `None`: none was.
    pub key_sha256: Option<[u8; 32]>,
    /// The agent is to restart its machine.
    #[serde(default)]
    pub restarts: bool,
    /// How often the machine had been seen to boot.
    #[serde(default)]
    pub boots: u64,
}

/// Who holds a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "holder")]
pub enum Holder {
    /// A change.
    Change {
        /// Which.
        id: ChangeId,
        /// Who began it.
        by: String,
    },
    /// An operator.
    Operator {
        /// Who.
        by: String,
    },
    /// The machine's own system, by FleetLock.
    Fleetlock {
        /// What it calls itself.
        id: String,
    },
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Change { id, by } => write!(f, "{id} of {by}"),
            Self::Operator { by } => f.write_str(by),
            Self::Fleetlock { id } => write!(f, "its own system (FleetLock, {id})"),
        }
    }
}
