//! What a step of a change does to the facts.

use super::{counted, holder, patience};
use crate::budget::Budgets;
use crate::machine::{self, Action};
use crate::starting;
use crate::zone::{Applied, Zone};
use model::change::{Change, Effect, Ended, Lease, Member, Paused, Step};
use model::event::{ChangeStep, Settled};
use model::facts::{Armed, Machine, Purpose, State};
use model::{ChangeId, Location, Plan, Time};
use std::borrow::Cow;
use std::time::Duration;

/// Takes a change a step further.
pub(crate) fn apply(zone: &mut Zone, id: ChangeId, step: &ChangeStep, now: Time) -> Applied {
    let mut applied = Applied::default();
    let outcome = match step {
        ChangeStep::Begin { change } => begin(zone, id, change),
        step => match zone.facts.changes.get(&id).filter(|change| change.is_under_way()) {
            None => Err("there is no such change under way".into()),
            Some(_) => go(zone, id, step, now, &mut applied),
        },
    };
    match outcome {
        Ok(()) => {
            let machines = match step {
                ChangeStep::Begin { change } => change.machines.keys().cloned().collect(),
                ChangeStep::Take { machine } | ChangeStep::Settle { machine, .. } => vec![machine.clone()],
                _ => Vec::new(),
            };
            applied.changes.push((id, machines));
        }
        Err(why) => applied.refused = Some(why),
    }
    applied
}

fn begin(zone: &mut Zone, id: ChangeId, change: &Change) -> Result<(), Cow<'static, str>> {
    if change.id != id || zone.facts.changes.keys().next_back().is_some_and(|newest| *newest >= id) {
        return Err("another change began in between".into());
    }
    if change.plans().is_some() {
        return Err("a change of plans begins with its plan".into());
    }
    zone.facts.step_change(change.clone());
    Ok(())
}

fn go(
    zone: &mut Zone,
    id: ChangeId,
    step: &ChangeStep,
    now: Time,
    applied: &mut Applied,
) -> Result<(), Cow<'static, str>> {
    match step {
        ChangeStep::Take { machine } => return take(zone, id, machine, now, applied),
        ChangeStep::Settle { machine, found } => return settle(zone, id, machine, found, now, applied),
        ChangeStep::End { .. } => release_all(zone, id, applied),
        _ => {}
    }
    let Some(change) = zone.facts.changes.get_mut(&id) else { return Err("there is no such change".into()) };
    match step {
        ChangeStep::Bake => {
            change.baking_until = Some(now + Duration::from_secs(u64::from(change.policy.bake_seconds)));
        }
        ChangeStep::Widen => {
            if change.baking_until.take().is_none() || (change.wave as usize) + 1 >= change.waves.len() {
                return Err("its wave is not over".into());
            }
            change.wave += 1;
            let reach = change.waves[change.wave as usize].name();
            let machines = counted(change.of_wave(change.wave).count(), "machine");
            change.note(now, format!("the {reach} wave begins: {machines}"));
        }
        ChangeStep::Pause { by, reason } => {
            if change.paused.is_some() {
                return Err("it is paused already".into());
            }
            change.paused = Some(Paused { by: by.clone(), reason: reason.clone(), at: now });
            change.note(now, format!("{by} paused it: {reason}"));
        }
        ChangeStep::Resume { by } => {
            if change.paused.take().is_none() {
                return Err("it is not paused".into());
            }
            change.note(now, format!("{by} resumed it"));
        }
        ChangeStep::End { how, sentence } => {
            change.paused = None;
            change.ended = Some(Ended { at: now, how: *how, sentence: sentence.clone() });
            change.note(now, sentence.clone());
        }
        ChangeStep::Begin { .. } | ChangeStep::Take { .. } | ChangeStep::Settle { .. } => {}
    }
    Ok(())
}

/// The turn of a machine has come: it gets the new row, and does what that takes.
fn take(
    zone: &mut Zone,
    id: ChangeId,
    location: &Location,
    now: Time,
    applied: &mut Applied,
) -> Result<(), Cow<'static, str>> {
    let device = zone.roster.device_at(location).ok_or("there is no such machine")?;
    let change = zone.facts.changes.get(&id).ok_or("there is no such change")?;
    let holder = holder(change);
    let member = change.machines.get(location).ok_or("it is not of this change")?;
    if member.step != Step::Waiting || member.wave != change.wave || change.paused.is_some() {
        return Err("its turn has not come".into());
    }
    Budgets::count(&zone.plan, &zone.facts).may_take(device, &holder)?;
    let (effect, reason, is_undoing) =
        (member.effect, change.reason.clone(), super::undoes(change).is_some());
    let has_failed = super::undoes(change)
        .and_then(|undone| zone.facts.changes.get(&undone)?.machines.get(location))
        .is_some_and(|member| matches!(member.step, Step::Failed { .. }));
    let plan = zone.whole.clone();
    let machine = zone.facts.machines.entry(location.clone()).or_insert_with(|| machine::expected(now));
    // By what it is judged, before it is asked to be.
    let mut actions = vec![Action::TellRow];
    let step = if is_left_alone(machine, effect, is_undoing) {
        Step::Passed { at: now }
    } else {
        let patience = patience(machine, effect);
        let was_ready = machine.state == State::Ready;
        let restarts = effect == Effect::Restart;
        let (key_sha256, boots) = (machine.key_sha256, machine.boots);
        let deadline = match is_undoing && restarts && starting::has_no_agent(machine) {
            false => now + patience,
            true => {
                // What panics comes back by itself, and what the change only reached may be about to.
                let is_hung = has_failed && machine.boots_in_vain < super::STARTS_IN_VAIN;
                let hangs_by = if is_hung { now } else { now.max(machine.since) + patience };
                starting::taken_back(&plan, device, machine, &id.to_string(), hangs_by) + patience
            }
        };
        machine.lease = Some(Lease { holder, reason, since: now, deadline, key_sha256, restarts, boots });
        machine.boots_in_vain = 0;
        actions.extend(act(&plan, machine, effect, deadline, now));
        Step::Taken { at: now, deadline, was_ready, boots }
    };
    applied.actions.extend(actions.into_iter().map(|action| (location.clone(), action)));
    applied.changed.push(location.clone());
    if let Some(member) = member_mut(zone, id, location) {
        member.step = step;
    }
    // What it boots is another's row now.
    zone.is_stale = true;
    applied.view_changed = true;
    Ok(())
}

/// Whether nothing is done to a machine but that it gets the new row.
pub(super) fn is_left_alone(machine: &Machine, effect: Effect, is_undoing: bool) -> bool {
    match machine.state {
        // It fell back by itself: there is nothing to take back.
        State::Ready if is_undoing && effect == Effect::Upgrade && machine.rejected.is_some() => true,
        State::Ready => effect == Effect::Reinstall,
        State::Maintenance { .. } | State::Draining { .. } | State::Retired { .. } | State::Expected => true,
        // It is on its way, and comes to the new row by itself; its agent may be asked to begin anew.
        _ => effect == Effect::Reinstall || !(is_undoing || machine.is_connected()),
    }
}

/// What is to be done to a machine that is taken.
fn act(plan: &Plan, machine: &mut Machine, effect: Effect, deadline: Time, now: Time) -> Option<Action> {
    match effect {
        Effect::Check => {
            machine.state = State::Validating { hardware_fits: false };
            machine.since = now;
            machine.checks.clear();
            Some(Action::AskAgent)
        }
        Effect::Restart => Some(Action::TellAgent),
        Effect::Upgrade => {
            machine.rejected = None;
            machine.armed = Some(Armed {
                generation: plan.generation,
                until: deadline,
                since: now,
                purpose: Purpose::Upgrade,
                undo_until: None,
            });
            Some(Action::TellAgent)
        }
        Effect::Reinstall => None,
    }
}

fn settle(
    zone: &mut Zone,
    id: ChangeId,
    location: &Location,
    found: &Settled,
    now: Time,
    applied: &mut Applied,
) -> Result<(), Cow<'static, str>> {
    let member = member_mut(zone, id, location).ok_or("it is not of this change")?;
    let Step::Taken { at: taken, .. } = member.step else { return Err("it was not taken".into()) };
    member.step = match found {
        Settled::Right => Step::Done { taken, at: now },
        Settled::Wrong { why } => Step::Failed { taken, at: now, why: why.clone() },
        Settled::Absent => Step::Passed { at: now },
    };
    if let (Settled::Wrong { why }, Some(change)) = (found, zone.facts.changes.get_mut(&id)) {
        change.note(now, format!("{} failed: {why}", location.within_zone()));
    }
    release(zone, id, location, applied);
    Ok(())
}

fn member_mut<'a>(zone: &'a mut Zone, id: ChangeId, location: &Location) -> Option<&'a mut Member> {
    zone.facts.changes.get_mut(&id)?.machines.get_mut(location)
}

fn release(zone: &mut Zone, id: ChangeId, location: &Location, applied: &mut Applied) {
    let Some(machine) = zone.facts.machines.get_mut(location) else { return };
    let is_its =
        |lease: &Lease| matches!(&lease.holder, model::change::Holder::Change { id: of, .. } if *of == id);
    if machine.lease.as_ref().is_some_and(is_its) {
        machine.lease = None;
        starting::released(machine);
        applied.changed.push(location.clone());
    }
}

fn release_all(zone: &mut Zone, id: ChangeId, applied: &mut Applied) {
    let members: Vec<Location> = zone
        .facts
        .changes
        .get(&id)
        .map(|change| change.machines.keys().cloned().collect())
        .unwrap_or_default();
    for location in members {
        release(zone, id, &location, applied);
    }
}
