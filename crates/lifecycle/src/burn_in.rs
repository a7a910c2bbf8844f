//! Which machine is to be burnt in, and what follows when it was.
//!
//! Once for what stands at a place: not again before other hardware is found there, somebody accepts what is there, or the
//! role asks for a part that was not done. Only while the machine is validated, and so before it is given work and
//! before its disks are written. What comes back to validation without a boot, since a check failed for a while, may be at
//! work, and is spared; so is a slot on trial, whose time would run out.

use crate::installing;
use crate::machine::Step;
use crate::validate::{about, checks_of};
use crate::wait::Wait;
use model::burn_in::{BurnIn, Order, Outcome, Part, PartOutcome, Passed, Progress, State as Burnt};
use model::facts::{Hardware, Machine, State};
use model::install::Running;
use model::{DeviceId, Plan, Time, size};
use std::time::Duration;

/// A burn-in that was begun so often and came to no end has failed: the machine went down in the middle, or its agent did.
pub const BEGUN_MAX: u32 = 3;
/// Agents say every few seconds how far they are; one that is silent for so long hangs, or is cut off.
pub const SILENCE_ORDINARY: Duration = Duration::from_secs(60);
/// What a burn-in takes beyond the time of its parts: memory is taken and given back, disks end a read.
pub const GRACE: Duration = Duration::from_secs(180);

/// What the role of a machine asks for.
pub fn wanted(plan: &Plan, device: DeviceId) -> BurnIn {
    let role = plan.design.devices[device.index()].role;
    role.map(|role| plan.design.roles[role.index()].burn_in).unwrap_or_default()
}

/// What the machine's agent is to do now, if anything. It stays the same for as long as it is to be done.
pub fn order(plan: &Plan, device: DeviceId, machine: &Machine) -> Option<Order> {
    let is_now = machine.burn_in.able && is_its_turn(plan, device, machine);
    is_now.then(|| Order { due: machine.since, parts: wanted(plan, device) })
}

/// Whether it is what the machine waits for: all that was looked at before is right.
pub fn is_its_turn(plan: &Plan, device: DeviceId, machine: &Machine) -> bool {
    let has_checks = checks_of(&plan.design, &plan.design.devices[device.index()])
        && !installing::is_installer(plan, device, machine);
    machine.state == State::Validating { hardware_fits: true }
        && machine.miscabled.is_none()
        && !installing::is_unstarted(machine)
        && !(has_checks && machine.checks.is_empty())
        && is_due(plan, device, machine)
}

/// Whether it is to be done before the machine is ready, or its disks are written.
pub(crate) fn is_due(plan: &Plan, device: DeviceId, machine: &Machine) -> bool {
    let wanted = wanted(plan, device);
    let is_on_trial = matches!(machine.running, Some(Running::Disk { on_trial: true, .. }));
    wanted.seconds() > 0
        && !machine.burn_in.spared
        && !is_on_trial
        && machine.burn_in.passed.as_ref().is_none_or(|passed| {
            let done = |part| passed.parts.parts().any(|(has, _)| has == part);
            !wanted.parts().all(|(part, _)| done(part)) || is_other(passed, machine)
        })
}

/// Whether the machine has other hardware than what was burnt in. Names of disks, links and firmware change by themselves.
fn is_other(passed: &Passed, machine: &Machine) -> bool {
    let Some(found) = &machine.hardware else { return false };
    let disks = |hardware: &Hardware| {
        let mut disks: Vec<_> =
            hardware.disks.iter().map(|disk| (disk.size_bytes, disk.kind.clone())).collect();
        disks.sort();
        disks
    };
    let was = &passed.hardware;
    let is_another_port = |(port, mac)| machine.sightings.get(port).is_some_and(|seen| seen.mac != mac);
    (&was.serial, &was.uuid, was.cpus) != (&found.serial, &found.uuid, found.cpus)
        // A kernel that keeps more for itself is no other memory.
        || !about(was.memory_bytes, found.memory_bytes)
        || disks(was) != disks(found)
        || passed.macs.iter().map(|(port, mac)| (port, *mac)).any(is_another_port)
}

/// Its agent says how far it is. Percents are not worth a write to the store; a beginning and another part are.
pub(crate) fn burning(
    plan: &Plan,
    device: DeviceId,
    machine: &mut Machine,
    progress: Progress,
    now: Time,
) -> Step {
    // One that was called off is told so by the session.
    if order(plan, device, machine) != Some(progress.order) {
        return Step::default();
    }
    let burnt = &mut machine.burn_in;
    let before = burnt.progress.replace((progress, now)).map(|(before, _)| before);
    let begins = match before {
        None => true,
        // Another plan's is begun because it is another.
        Some(before) => before.order == progress.order && progress.elapsed_seconds < before.elapsed_seconds,
    };
    if begins {
        burnt.begun += 1;
    }
    if burnt.begun > BEGUN_MAX {
        let sentence = format!(
            "its burn-in was begun {BEGUN_MAX} times, and the machine or its agent went down in each"
        );
        *burnt = Burnt { failed: vec![sentence], ..called_off(burnt) };
    }
    let changed =
        begins || before.is_none_or(|before| (before.order, before.part) != (progress.order, progress.part));
    Step { changed, ..Step::default() }
}

/// How it ended. What is said again, or of one that was called off, is nothing new.
pub(crate) fn ended(
    plan: &Plan,
    device: DeviceId,
    machine: &mut Machine,
    outcome: &Outcome,
    now: Time,
) -> Step {
    if order(plan, device, machine) != Some(outcome.order) {
        return Step::default();
    }
    let failed = outcome.parts.iter().filter(|part| !part.passed);
    let mut failed: Vec<_> =
        failed.map(|part| format!("its burn-in failed, {}", part_in_words(part))).collect();
    let is_done = |part| outcome.parts.iter().any(|done| done.part == part);
    let parts = outcome.order.parts;
    if failed.is_empty() && !parts.parts().all(|(part, _)| is_done(part)) {
        failed.push("its burn-in ended, and its agent does not tell of all its parts".to_owned());
    }
    let passed = Passed {
        at: now,
        parts,
        sentences: outcome.parts.iter().map(part_in_words).collect(),
        hardware: Box::new(machine.hardware.clone().unwrap_or_default()),
        macs: machine.sightings.iter().map(|(port, seen)| (port.clone(), seen.mac)).collect(),
    };
    let passed = failed.is_empty().then_some(passed);
    // The time that it took is not taken from that in which its disks may be written.
    let armed_until = machine.armed.map(|armed| armed.until);
    if let Some(armed) = &mut machine.armed
        && outcome.order.due < armed.until
    {
        armed.until = armed.until + now.since(outcome.order.due.max(armed.since));
    }
    // Until when it gets its installer is answered from the view.
    let view_changed = machine.armed.map(|armed| armed.until) != armed_until;
    machine.burn_in = Burnt { passed, failed, ..called_off(&machine.burn_in) };
    Step { changed: true, view_changed, ..Step::default() }
}

/// The same, with none under way, and none that went wrong.
pub(crate) fn called_off(burnt: &Burnt) -> Burnt {
    Burnt { progress: None, begun: 0, failed: Vec::new(), ..burnt.clone() }
}

/// What the machine waits for while it is [its turn](is_its_turn).
pub(crate) fn wait(plan: &Plan, device: DeviceId, machine: &Machine) -> Wait {
    let since = machine.since;
    let whole = Duration::from_secs(wanted(plan, device).seconds()) + GRACE;
    let (on, expected_by) = match machine.burn_in.progress {
        _ if machine.is_connected() && !machine.burn_in.able => (
            "its burn-in, which its agent cannot do: it is of an older release, or ends by itself".to_owned(),
            None,
        ),
        None => ("its burn-in to begin".to_owned(), Some(since + crate::wait::VALIDATING_ORDINARY)),
        Some((progress, heard)) => {
            let stale = if machine.is_connected() { "" } else { ", as its agent last said" };
            let ends = heard + whole.saturating_sub(Duration::from_secs(progress.elapsed_seconds.into()));
            (
                format!("its burn-in ({}{stale})", in_words(&progress)),
                Some(ends.min(heard + SILENCE_ORDINARY)),
            )
        }
    };
    Wait { on, since, expected_by }
}

/// `memory, 31 %, 9.1 GB/s`.
pub fn in_words(progress: &Progress) -> String {
    let rate = match progress.part {
        _ if progress.per_second == 0 => String::new(),
        Part::Cpu => format!(", {} calculations/s", progress.per_second),
        Part::Memory | Part::Disk => format!(", {}/s", size::decimal(progress.per_second)),
    };
    format!("{}, {} %{rate}", progress.part.name(), progress.percent.min(100))
}

/// `passed: cpu: 64 CPUs, …`, or why not.
pub fn outcome_in_words(outcome: &Outcome) -> String {
    let verdict = if outcome.parts.iter().all(|part| part.passed) { "passed" } else { "failed" };
    let parts = outcome.parts.iter().map(part_in_words);
    format!("{verdict}: {}", parts.collect::<Vec<_>>().join("; "))
}

/// `cpu: 64 CPUs, …`, on one line whatever the agent said.
fn part_in_words(part: &PartOutcome) -> String {
    let sentence = part.sentence.chars().map(|c| if c.is_control() { ' ' } else { c });
    format!("{}: {}", part.part.name(), sentence.collect::<String>())
}
