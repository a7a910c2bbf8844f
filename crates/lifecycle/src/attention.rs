//! What somebody should look at, and why: machines that do not get on by themselves, changes that stopped.
//!
//! In: the zone and the time. Out: a reason for each. What takes its ordinary time is not among them, nor is what somebody
//! asked for.

use crate::{Wait, Zone, change, wait};
use model::change::{Change, Outcome};
use model::facts::{Machine, State};
use model::{ChangeId, Code, DeviceId, Plan, Roster, Time};
use std::net::IpAddr;

/// Why a machine wants attention, the worst first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attention<'a> {
    /// It failed; why.
    Failed(&'a [String]),
    /// Its cables do not lead where they are drawn to.
    Miscabled(Code, &'a str),
    /// Somebody else uses an address of it.
    Conflict(IpAddr),
    /// It waits longer than is ordinary.
    Overdue(Wait),
}

impl Attention<'_> {
    /// The lower, the worse.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Failed(_) => 0,
            Self::Miscabled(..) => 1,
            Self::Conflict(_) => 2,
            Self::Overdue(_) => 3,
        }
    }

    /// One sentence about the machine of this name.
    pub fn in_words(&self, name: &str) -> String {
        match self {
            Self::Failed([]) => format!("{name} failed, and no reason is known"),
            Self::Failed(reasons) => format!("{name} failed: {}", reasons.join("; ")),
            Self::Miscabled(_, doubt) => (*doubt).to_owned(),
            Self::Conflict(address) => format!("{address} of {name} is used by somebody else"),
            Self::Overdue(wait) => format!("{name} waits longer than is ordinary for {}", wait.on),
        }
    }
}

/// Why a machine wants attention at this time, if it does.
pub fn of_machine<'a>(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    machine: &'a Machine,
    now: Time,
) -> Option<Attention<'a>> {
    // Whatever else it does, it does because of its cables.
    if let Some((code, doubt)) = &machine.miscabled {
        return Some(Attention::Miscabled(*code, doubt));
    }
    if let State::Failed { reasons } = &machine.state {
        return Some(Attention::Failed(reasons));
    }
    if let Some(address) = machine.conflicts.keys().next() {
        return Some(Attention::Conflict(*address));
    }
    let wait = wait(plan, roster, device, machine, now)?;
    wait.overdue(now).then_some(Attention::Overdue(wait))
}

/// The changes that want attention, each with a sentence: those that are paused, and the last one that somebody began, if it was
/// halted. Taking it back does not mend it; who begins another one has seen it.
pub fn of_changes(zone: &Zone, now: Time) -> Vec<(ChangeId, String)> {
    let changes = &zone.facts().changes;
    let paused = changes.values().filter(|change| change.paused.is_some());
    let paused = paused.filter_map(|change| {
        Some((change.id, format!("{} waits for {}", change.id, change::waits_for(zone, change, now)?)))
    });
    let is_taking_back = |change: &&Change| change::undoes(change).is_some();
    let last = changes.values().rev().find(|change| !is_taking_back(change));
    let halted = last.and_then(|change| {
        let ended = change.ended.as_ref().filter(|ended| ended.how == Outcome::Halted)?;
        Some((change.id, format!("{} was halted: {}", change.id, ended.sentence)))
    });
    paused.chain(halted).collect()
}
