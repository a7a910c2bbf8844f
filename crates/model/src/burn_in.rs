//! How a machine is tried out under load before it is given work: what of it is planned, ordered, told and observed.

use crate::facts::Hardware;
use crate::mac::Mac;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long each part lasts, in seconds; 0: it is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BurnIn {
    /// Calculations with a known result, on every CPU.
    pub cpu_seconds: u32,
    /// Patterns, written to most of the memory that is free and read again.
    pub memory_seconds: u32,
    /// Disks, only read.
    pub disk_seconds: u32,
}

impl BurnIn {
    /// The parts that there are, in the order in which they are done, with their seconds.
    pub fn parts(self) -> impl Iterator<Item = (Part, u32)> {
        let all = [
            (Part::Cpu, self.cpu_seconds),
            (Part::Memory, self.memory_seconds),
            (Part::Disk, self.disk_seconds),
        ];
        all.into_iter().filter(|(_, seconds)| *seconds > 0)
    }

    /// All parts together, in seconds.
    pub fn seconds(self) -> u64 {
        self.parts().map(|(_, seconds)| u64::from(seconds)).sum()
    }
}

/// What is tried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Every CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Disks.
    Disk,
}

impl Part {
    /// `cpu`, `memory` or `disk`: as a design writes it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Cpu => "cpu",
            Part::Memory => "memory",
            Part::Disk => "disk",
        }
    }
}

/// Burn the machine in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// When it became due: with `parts` what tells two orders apart.
    pub due: Time,
    /// What is to be done, and for how long.
    pub parts: BurnIn,
}

/// How far an order is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// Of what.
    pub order: Order,
    /// What is being tried out.
    pub part: Part,
    /// How much of this part's time is over, 0 to 100.
    pub percent: u8,
    /// Of the CPU: calculations. Otherwise octets, written or read.
    pub per_second: u64,
    /// Since the order was begun. Less than before: it was begun again.
    pub elapsed_seconds: u32,
}

/// How an order ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Of what.
    pub order: Order,
    /// One for each part that was begun. After one that failed none is begun.
    pub parts: Vec<PartOutcome>,
}

/// How a part ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartOutcome {
    /// Which.
    pub part: Part,
    /// Nothing was found that should not be.
    pub passed: bool,
    /// What was done, or what was found that should not be, in words.
    pub sentence: String,
}

/// What is known of a machine's burn-in.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// How far it is, and when that was heard; `None`: none is under way.
    pub progress: Option<(Progress, Time)>,
    /// How often it was begun since it last ended, or somebody last asked for something.
    pub begun: u32,
    /// The last that was passed.
    pub passed: Option<Passed>,
    /// Why the last was not passed, a sentence for each reason. Until the machine boots again, or somebody returns it.
    pub failed: Vec<String>,
    /// The machine was ready since it last booted or was returned: what works on it is not disturbed.
    pub spared: bool,
    /// Its agent can do it. Not stored: each connection says so anew.
    #[serde(skip)]
    pub able: bool,
}

/// A burn-in that was passed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Passed {
    /// When.
    pub at: Time,
    /// What was asked for.
    pub parts: BurnIn,
    /// What was done, a sentence for each part.
    pub sentences: Vec<String>,
    /// What was in the box.
    pub hardware: Box<Hardware>,
    /// What its ports had shown, by name.
    pub macs: BTreeMap<String, Mac>,
}
