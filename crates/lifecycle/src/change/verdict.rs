//! Is it the change? Machines that have it are held against machines that do not.

use crate::zone::Zone;
use model::change::{Change, Member, Step};
use model::facts::{Machine, State};
use model::{Location, Time};

/// The most machines that a sentence names.
const NAMED_MAX: usize = 3;

/// What is to be done about a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Go on.
    Fine,
    /// Stop, and take it back; why.
    Halt(String),
    /// Stop for somebody to look; why.
    Pause(String),
}

/// What speaks for and against it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// Machines that have it, and were in service.
    pub changed: usize,
    /// How many of them are not right, since.
    pub changed_failed: usize,
    /// Machines that do not have it, and are known.
    pub unchanged: usize,
    /// How many of them failed since it began.
    pub unchanged_failed: usize,
    /// Of `changed_failed`, some: where, and why.
    pub examples: Vec<(Location, String)>,
}

impl Evidence {
    /// `1 of 1 machines that have it failed (p01/r1/u01: …), 0 of 199 that do not`.
    pub fn in_words(&self) -> String {
        let Self { changed, changed_failed, unchanged, unchanged_failed, examples } = self;
        let named: Vec<String> =
            examples.iter().map(|(location, why)| format!("{}: {why}", location.within_zone())).collect();
        let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join("; ")) };
        format!(
            "{changed_failed} of {} that ha{} it failed{named}, {unchanged_failed} of {unchanged} that do not",
            super::counted(*changed, "machine"),
            if *changed == 1 { "s" } else { "ve" },
        )
    }
}

/// What speaks for and against a change by now.
pub fn evidence(zone: &Zone, change: &Change, now: Time) -> Evidence {
    let mut evidence = Evidence::default();
    for (location, member) in &change.machines {
        let now_failed = || why_gone(zone.facts().machines.get(location)?, member, now);
        let failed = match &member.step {
            Step::Failed { why, .. } => Some(why.clone()),
            // It came back right, and is not any more.
            Step::Done { .. } => now_failed(),
            Step::Waiting | Step::Taken { .. } | Step::Passed { .. } => None,
        };
        if matches!(member.step, Step::Failed { .. } | Step::Done { .. }) {
            evidence.changed += 1;
        }
        if let Some(why) = failed {
            evidence.changed_failed += 1;
            if evidence.examples.len() < NAMED_MAX {
                evidence.examples.push((location.clone(), why));
            }
        }
    }
    for (location, machine) in &zone.facts().machines {
        let has_it = change.machines.get(location).is_some_and(|member| member.step.is_reached());
        if has_it || machine.accepted.is_empty() || matches!(machine.state, State::Retired { .. }) {
            continue;
        }
        evidence.unchanged += 1;
        let failed = matches!(machine.state, State::Failed { .. }) && machine.since >= change.began;
        evidence.unchanged_failed += usize::from(failed);
    }
    evidence
}

/// Why a machine that came back right is not any more; `None`: it is, is on its way, or somebody took it out of service.
fn why_gone(machine: &Machine, member: &Member, now: Time) -> Option<String> {
    if let State::Failed { reasons } = &machine.state {
        return Some(reasons.first().cloned().unwrap_or_default());
    }
    if !is_on_its_way(machine) {
        return None;
    }
    if machine.boots_in_vain >= super::STARTS_IN_VAIN {
        return Some(super::in_vain(machine));
    }
    let is_overdue = now >= machine.since + super::patience(machine, member.effect);
    is_overdue.then(|| format!("it went down again, and is {} since", machine.state.name()))
}

/// Whether a machine that has a change is to be back by itself; and not because somebody has it out of service.
fn is_on_its_way(machine: &Machine) -> bool {
    let boots = matches!(
        machine.state,
        State::Seen { .. } | State::Booting { .. } | State::Installing { .. } | State::Validating { .. }
    );
    boots && machine.miscabled.is_none() && machine.held.is_none() && machine.lease.is_none()
}

/// The first machine of a change's wave that came back right, and is on its way once more: how that ends is waited for.
pub(super) fn returning<'a>(zone: &Zone, change: &'a Change, now: Time) -> Option<&'a Location> {
    let mut done = change.of_wave(change.wave).filter(|(_, member)| matches!(member.step, Step::Done { .. }));
    let is_returning = |(location, member): &(&Location, &Member)| {
        let machine = zone.facts().machines.get(*location);
        machine.is_some_and(|machine| is_on_its_way(machine) && why_gone(machine, member, now).is_none())
    };
    done.find(is_returning).map(|(location, _)| location)
}

/// Whether a change may go on. The first wave tolerates nothing.
pub(super) fn verdict(zone: &Zone, change: &Change, now: Time) -> Verdict {
    if super::undoes(change).is_some() {
        return Verdict::Fine;
    }
    // Most changes go well, and then there is nothing to count.
    let evidence = evidence(zone, change, now);
    let Evidence { changed, changed_failed, unchanged, unchanged_failed, .. } = evidence;
    let tolerated = match change.wave {
        0 => 0,
        _ => changed * usize::from(change.policy.tolerate_percent) / 100,
    };
    if changed_failed <= tolerated {
        return Verdict::Fine;
    }
    // Half as bad where it was not, or worse: power, a switch, somebody else's change. Few machines tell little, so it is not
    // asked for more than twice.
    let is_everywhere = unchanged_failed > 0 && 2 * unchanged_failed * changed >= changed_failed * unchanged;
    let words = evidence.in_words();
    match is_everywhere {
        true => Verdict::Pause(format!("{words}: it is not the change alone, look before it goes on")),
        false => Verdict::Halt(words),
    }
}
