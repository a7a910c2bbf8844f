//! Changes: who comes next, when it is enough, when it is too much.
//!
//! In: the zone and the time. Out: the events that take its changes a step further. Nothing is remembered that is not in
//! the facts: [`next`] looks at what is, so that whoever asks after a restart gets the same answer as whoever would have
//! asked before it.
//!
//! | module    | question                                                              |
//! |-----------|------------------------------------------------------------------------|
//! | `begin`   | which machines, in which waves; how long will it take?                   |
//! | `hold`    | what does the plan in force say to machines whose turn has not come?      |
//! | `step`    | what does a step do to the facts?                                         |
//! | `verdict` | is it the change that makes machines fail?                                |

mod begin;
mod hold;
mod step;
mod verdict;

pub use begin::{
    Predicted, begin, gone_in_words, in_words, is_in_service, passed_over, predict, reached, reaches_nobody,
    touched,
};
pub use hold::{Held, hold};
pub(crate) use step::apply;
pub use verdict::{Evidence, evidence};

use crate::budget::Budgets;
use crate::installing;
use crate::zone::Zone;
use model::change::{Change, Effect, Holder, Kind, Lease, Member, Outcome, Step};
use model::event::{ChangeStep, Settled, What};
use model::facts::{Machine, Rejected, State};
use model::{ChangeId, DeviceId, Event, Generation, Location, Plan, Time};
use std::collections::BTreeSet;
use std::time::Duration;
use verdict::Verdict;

/// Machines that are taken in one go, so that one decision stays short.
const TAKEN_AT_ONCE_MAX: usize = 64;
/// A kernel that was started so often, and whose agent never came, does not come.
const STARTS_IN_VAIN: u32 = 2;
/// So often it is restarted for what it was not handed.
const BOOTS_OF_ANOTHERS: u64 = 1;
/// In whose name the controller pauses and undoes.
pub const CONTROLLER: &str = "zonewright";

/// `done`, `halted`, `aborted`.
pub fn outcome(how: Outcome) -> &'static str {
    match how {
        Outcome::Done => "done",
        Outcome::Halted => "halted",
        Outcome::Aborted => "aborted",
    }
}

/// How many of something, in words: `1 machine`, `12 machines`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Where events of changes happen.
pub fn place(zone: &Zone) -> Location {
    Location::new(&zone.plan().design.zone.name)
}

/// What takes the changes of a zone a step further now; nothing, if they wait. Each event is to be applied before asking again.
pub fn next(zone: &Zone, now: Time) -> Vec<Event> {
    let mut events = Vec::new();
    if zone.facts().changes.values().all(|change| !change.is_under_way()) {
        return events;
    }
    let mut budgets = Budgets::of(zone);
    for change in zone.facts().changes.values().filter(|change| change.is_under_way()) {
        let steps = steps(zone, change, &mut budgets, now);
        let event =
            |step| Event { at: now, location: place(zone), what: What::Change { id: change.id, step } };
        events.extend(steps.into_iter().map(event));
    }
    events
}

fn steps(zone: &Zone, change: &Change, budgets: &mut Budgets<'_>, now: Time) -> Vec<ChangeStep> {
    let settled: Vec<ChangeStep> = change
        .of_wave(change.wave)
        .filter_map(|(location, member)| {
            let boots_its_own = zone.roster().device_at(location).is_none_or(|device| {
                zone.facts()
                    .machines
                    .get(location)
                    .is_none_or(|machine| boots_its_own(zone.plan(), device, machine))
            });
            let found = judge(zone.facts().machines.get(location), member, boots_its_own, now)?;
            Some(ChangeStep::Settle { machine: location.clone(), found })
        })
        .collect();
    if !settled.is_empty() {
        return settled;
    }
    match verdict::verdict(zone, change, now) {
        Verdict::Fine => {}
        Verdict::Halt(sentence) => return vec![ChangeStep::End { how: Outcome::Halted, sentence }],
        Verdict::Pause(reason) if change.paused.is_none() => {
            return vec![ChangeStep::Pause { by: CONTROLLER.to_owned(), reason }];
        }
        Verdict::Pause(_) => {}
    }
    if change.paused.is_some() {
        return Vec::new();
    }
    if change.of_wave(change.wave).all(|(_, member)| member.step.is_over()) {
        return match change.baking_until {
            None => vec![ChangeStep::Bake],
            Some(until) if now < until || verdict::returning(zone, change, now).is_some() => Vec::new(),
            Some(_) if (change.wave as usize) + 1 < change.waves.len() => vec![ChangeStep::Widen],
            Some(_) => vec![ChangeStep::End { how: Outcome::Done, sentence: tally(change) }],
        };
    }
    let holder = holder(change);
    let order = Order::of(zone, change);
    let mut unproven = Unproven::of(zone, change);
    let mut taken = Vec::new();
    for (location, member) in change.of_wave(change.wave) {
        if member.step != Step::Waiting || taken.len() >= TAKEN_AT_ONCE_MAX {
            continue;
        }
        let Some(device) = zone.roster().device_at(location) else { continue };
        if held(zone, location).is_none()
            && order.is_before(device).is_none()
            && unproven.may_take(device)
            && budgets.may_take(device, &holder).is_ok()
        {
            unproven.take(device);
            budgets.take(device);
            taken.push(ChangeStep::Take { machine: location.clone() });
        }
    }
    taken
}

/// Why somebody on a machine itself lets nobody restart it.
fn held<'a>(zone: &'a Zone, location: &Location) -> Option<&'a str> {
    zone.facts().machines.get(location)?.held.as_deref()
}

/// Roles of which no machine has proved the change yet: one is taken at a time. The first of a role may have been out of service when its
/// turn came, and then the first wave has proved nothing.
struct Unproven<'a> {
    design: &'a model::Design,
    /// It takes another back: what it leads to was there before.
    is_undoing: bool,
    proven: BTreeSet<&'a str>,
    /// With a machine that is at it.
    busy: BTreeSet<&'a str>,
}

impl<'a> Unproven<'a> {
    fn of(zone: &'a Zone, change: &Change) -> Self {
        let design = &zone.plan().design;
        let roles = |is_it: fn(&Step) -> bool| {
            let members = change.machines.iter().filter(|(_, member)| is_it(&member.step));
            let devices = members.filter_map(|(location, _)| zone.roster().device_at(location));
            devices.filter_map(|device| design.role_name(device)).collect()
        };
        Self {
            design,
            is_undoing: undoes(change).is_some(),
            proven: roles(|step| matches!(step, Step::Done { .. })),
            busy: roles(|step| matches!(step, Step::Taken { .. })),
        }
    }

    fn may_take(&self, device: DeviceId) -> bool {
        let role = self.design.role_name(device).filter(|_| !self.is_undoing);
        role.is_none_or(|role| self.proven.contains(role) || !self.busy.contains(role))
    }

    fn take(&mut self, device: DeviceId) {
        self.busy.extend(self.design.role_name(device));
    }
}

/// Which roles of a wave are not through yet: those that start after them wait.
struct Order<'a> {
    design: &'a model::Design,
    under_way: BTreeSet<&'a str>,
}

impl<'a> Order<'a> {
    fn of(zone: &'a Zone, change: &Change) -> Self {
        let design = &zone.plan().design;
        let mut under_way = BTreeSet::new();
        if design.roles.iter().any(|role| !role.after.is_empty()) {
            let members = change.of_wave(change.wave).filter(|(_, member)| !member.step.is_over());
            let devices = members.filter_map(|(location, _)| zone.roster().device_at(location));
            under_way.extend(devices.filter_map(|device| design.role_name(device)));
        }
        Self { design, under_way }
    }

    /// The role that goes before a machine's.
    fn is_before(&self, device: DeviceId) -> Option<&'a str> {
        let role = self.design.role_name(device).filter(|_| !self.under_way.is_empty())?;
        self.under_way.iter().copied().find(|first| self.design.starts_before(first, role))
    }
}

/// Who holds the leases of a change.
pub fn holder(change: &Change) -> Holder {
    Holder::Change { id: change.id, by: change.by.clone() }
}

/// What a change waits for now, in words that complete "waits for …"; `None` if it is over.
pub fn waits_for(zone: &Zone, change: &Change, now: Time) -> Option<String> {
    if !change.is_under_way() {
        return None;
    }
    if let Some(paused) = &change.paused {
        return Some(format!("somebody to resume it: {} paused it ({})", paused.by, paused.reason));
    }
    let taken = |(location, member): (&Location, &Member)| {
        matches!(member.step, Step::Taken { .. }).then(|| location.within_zone().to_owned())
    };
    let mut taken: Vec<String> = change.of_wave(change.wave).filter_map(taken).collect();
    if !taken.is_empty() {
        let more = taken.len().saturating_sub(3);
        taken.truncate(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Some(format!("{}{more} to be back", taken.join(", ")));
    }
    if let Some(until) = change.baking_until.filter(|until| now < *until) {
        return Some(format!("{} s more in which nothing goes wrong", until.since(now).as_secs()));
    }
    if let Some(location) = change.baking_until.and_then(|_| verdict::returning(zone, change, now)) {
        return Some(format!("{}, which has it and went down, to be back", location.within_zone()));
    }
    let (budgets, order) = (Budgets::of(zone), Order::of(zone, change));
    change.of_wave(change.wave).filter(|(_, member)| member.step == Step::Waiting).find_map(
        |(location, _)| {
            let device = zone.roster().device_at(location)?;
            if let Some(why) = held(zone, location) {
                let place = location.within_zone();
                return Some(format!("its turn with {place}: somebody holds it there ({why})"));
            }
            if let Some(role) = order.is_before(device) {
                return Some(format!("its turn with {}: those of {role} go first", location.within_zone()));
            }
            let why = budgets.may_take(device, &holder(change)).err()?;
            Some(format!("its turn with {}: {why}", location.within_zone()))
        },
    )
}

/// The change that decides which plan's row each machine has, if one does: that which led to the plan in force.
pub fn holding(changes: &model::Facts, generation: Generation) -> Option<&Change> {
    changes.changes.values().rev().find(|change| change.plans().is_some_and(|(_, to)| to == generation))
}

/// The change that is to be taken back, and the plan before it: it stopped, and the plan that it led to is still in force.
pub fn to_undo(zone: &Zone) -> Option<(ChangeId, Generation)> {
    let change = holding(zone.facts(), zone.plan().generation)?;
    let ended = change.ended.as_ref()?;
    let (from, _) = change.plans()?;
    (matches!(ended.how, Outcome::Halted | Outcome::Aborted) && undoes(change).is_none())
        .then_some((change.id, from))
}

/// Whether the change that led to a plan stopped, so that the plan is, or was, taken back; or took another back itself.
pub fn was_taken_back(facts: &model::Facts, generation: Generation) -> bool {
    let stopped = |ended: &model::change::Ended| matches!(ended.how, Outcome::Halted | Outcome::Aborted);
    holding(facts, generation)
        .is_some_and(|change| undoes(change).is_some() || change.ended.as_ref().is_some_and(stopped))
}

/// The change that a change takes back.
pub fn undoes(change: &Change) -> Option<ChangeId> {
    match change.kind {
        Kind::Plan { undoes, .. } => undoes,
        Kind::Restart => None,
    }
}

/// What a machine that was taken is found to be; `None`: not known yet.
fn judge(machine: Option<&Machine>, member: &Member, boots_its_own: bool, now: Time) -> Option<Settled> {
    let Step::Taken { at, deadline, was_ready, boots } = member.step else { return None };
    let Some(machine) = machine else { return Some(Settled::Absent) };
    // That somebody holds it says nothing against the change.
    let wrong = |why: String| match was_ready && machine.held.is_none() {
        true => Some(Settled::Wrong { why }),
        false => Some(Settled::Absent),
    };
    // Not by the clock, which may have been set since: what it was when it was taken, it cannot be without having done what it was taken for.
    let has_changed = match member.effect {
        // Taken, it was told to look again, and is validating until it has.
        Effect::Check => true,
        Effect::Restart => machine.boots > boots && boots_its_own,
        // Taken, it was allowed to write its other slot, which is spent when it has; it is there when it was started.
        Effect::Upgrade => machine.armed.is_none() && !installing::is_unstarted(machine),
        // Not by the change.
        Effect::Reinstall => machine.installed.as_ref().is_some_and(|installed| installed.at >= at),
    };
    let is_its = |rejected: &&Rejected| member.effect == Effect::Upgrade || rejected.at >= at;
    if let Some(rejected) = machine.rejected.as_ref().filter(is_its) {
        return wrong(format!("it did not take its system: {}", rejected.sentence));
    }
    match &machine.state {
        State::Ready if has_changed => return Some(Settled::Right),
        State::Ready if !boots_its_own && machine.boots > boots + BOOTS_OF_ANOTHERS => {
            return wrong("each time that it restarted it was handed what it booted before".to_owned());
        }
        State::Failed { reasons } if has_changed => {
            return wrong(reasons.first().cloned().unwrap_or_default());
        }
        State::Maintenance { .. } | State::Draining { .. } | State::Retired { .. } => {
            return Some(Settled::Absent);
        }
        _ => {}
    }
    if machine.boots_in_vain >= STARTS_IN_VAIN && has_changed {
        return wrong(in_vain(machine));
    }
    (now >= deadline)
        .then(|| {
            wrong(format!(
                "it was not back after {} s, and is {}",
                deadline.since(at).as_secs(),
                machine.state.name()
            ))
        })
        .flatten()
}

fn in_vain(machine: &Machine) -> String {
    format!("its kernel was started {} times, and its agent never came", machine.boots_in_vain)
}

/// Whether what a machine boots, as far as it is known, is what its row says. Who handed it its boot script, an edge or another controller, may
/// not have known of its turn yet.
fn boots_its_own(plan: &Plan, device: DeviceId, machine: &Machine) -> bool {
    let own = plan.design.image_of(device).map(model::design::Image::mark);
    machine.boots_image.is_none_or(|image| own.is_none_or(|own| own == image))
}

/// Has a machine restarted once more that was restarted for what it does not boot; true if it is.
pub(crate) fn restart_again(plan: &Plan, device: DeviceId, machine: &mut Machine) -> bool {
    let (boots, boots_its_own) = (machine.boots, boots_its_own(plan, device, machine));
    let is_first = |lease: &&mut Lease| lease.restarts && boots == lease.boots + BOOTS_OF_ANOTHERS;
    let Some(lease) = machine.lease.as_mut().filter(|_| !boots_its_own).filter(is_first) else {
        return false;
    };
    lease.boots = boots;
    true
}

/// A machine that is to restart enrolled in the boot that it is to leave: it is known by this key.
pub(crate) fn is_known_by(machine: &mut Machine, key_sha256: [u8; 32]) {
    if let Some(lease) = machine.lease.as_mut().filter(|lease| lease.restarts && lease.boots == machine.boots)
    {
        lease.key_sha256 = Some(key_sha256);
    }
}

/// Whether the agent of a machine is to restart it: who has its lease wants that, it has not booted since, and it is the machine that was there.
pub fn is_to_restart(machine: &Machine) -> bool {
    machine.lease.as_ref().is_some_and(|lease| {
        lease.restarts && lease.key_sha256 == machine.key_sha256 && machine.boots == lease.boots
    })
}

/// How long a machine may take, from the moment that it is taken: three times what its last boot took, where that is known.
fn patience(machine: &Machine, effect: Effect) -> Duration {
    let boot = machine.boot_took_ms.map_or(Duration::from_secs(600), |took| {
        (Duration::from_millis(took) * 3).clamp(Duration::from_secs(60), Duration::from_secs(3600))
    });
    match effect {
        Effect::Check => crate::wait::VALIDATING_ORDINARY,
        Effect::Restart => boot + Duration::from_secs(60),
        Effect::Upgrade | Effect::Reinstall => crate::wait::INSTALLING_ORDINARY + boot,
    }
}

/// `12 machines done, 1 was not in service`.
fn tally(change: &Change) -> String {
    let count =
        |is_it: fn(&Step) -> bool| change.machines.values().filter(|member| is_it(&member.step)).count();
    let done = count(|step| matches!(step, Step::Done { .. }));
    let failed = count(|step| matches!(step, Step::Failed { .. }));
    let passed = count(|step| matches!(step, Step::Passed { .. }));
    let mut said = vec![format!("{} done", counted(done, "machine"))];
    if failed > 0 {
        said.push(format!("{failed} failed"));
    }
    if passed > 0 {
        said.push(format!("{passed} not in service"));
    }
    said.join(", ")
}
