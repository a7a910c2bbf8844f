//! A change before its first step: machines, waves, and how long it will take.

use super::step::is_left_alone;
use super::{CONTROLLER, counted, undoes};
use crate::budget::{Budgets, Tightest, counts};
use crate::zone::Zone;
use model::change::{Change, Effect, Kind, Member, Note, Policy, Reach, Step};
use model::design::Device;
use model::facts::State;
use model::{ChangeId, DeviceId, Facts, Location, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a restart takes where nothing was measured.
const RESTART_TAKES: Duration = Duration::from_secs(300);
/// What a check takes.
const CHECK_TAKES: Duration = Duration::from_secs(10);
/// Machines that are named in a sentence.
const NAMED_MAX: usize = 4;

/// What is to be expected of a wave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Predicted {
    /// How far it reaches.
    pub reach: Reach,
    /// How many machines of it are still to come.
    pub machines: usize,
    /// How many of these are passed over: they are not in service.
    pub passed: usize,
    /// How many of them at once.
    pub at_once: usize,
    /// How long it takes, with its time of watching.
    pub takes: Duration,
    /// What the tightest budget leaves meanwhile; `None`: no budget counts any of them.
    pub tightest: Option<Tightest>,
}

/// A change of these machines of the zone, whose plan is the one before it.
pub fn begin(
    zone: &Zone,
    kind: Kind,
    touched: Vec<(Location, Effect, String)>,
    by: &str,
    reason: &str,
    now: Time,
) -> Change {
    let newest = zone.facts().changes.keys().next_back().map_or(0, |id| id.0);
    let is_undoing = matches!(kind, Kind::Plan { undoes: Some(_), .. });
    let policy = match is_undoing {
        true => Policy { bake_seconds: 0, tolerate_percent: 100 },
        false => zone.plan().design.rollout,
    };
    let canaries = if is_undoing { Vec::new() } else { canaries(zone, &touched) };
    let reaches: Vec<Reach> = touched
        .iter()
        .map(|(location, ..)| if is_undoing { Reach::Zone } else { reach(zone, &canaries, location) })
        .collect();
    let waves: Vec<Reach> = reaches.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let machines: BTreeMap<Location, Member> = touched
        .into_iter()
        .zip(reaches)
        .map(|((location, effect, because), reach)| {
            let wave = waves.iter().position(|wave| *wave == reach).unwrap_or_default();
            let wave = u32::try_from(wave).unwrap_or_default();
            (location, Member { wave, effect, because, step: Step::Waiting })
        })
        .collect();
    let mut change = Change {
        id: ChangeId(newest + 1),
        kind,
        by: by.to_owned(),
        reason: reason.to_owned(),
        began: now,
        policy,
        waves,
        machines,
        wave: 0,
        baking_until: None,
        paused: None,
        ended: None,
        notes: Vec::new(),
    };
    let (machines, waves) = (counted(change.machines.len(), "machine"), counted(change.waves.len(), "wave"));
    let sentence = match undoes(&change) {
        Some(undone) => format!("{CONTROLLER} takes {undone} back: {machines}"),
        None => format!("{by} began it: {machines} in {waves}"),
    };
    change.notes.push(Note { at: now, sentence });
    change
}

/// Whether a machine is in service, or was: it came once, and nobody retired it.
pub fn is_in_service(facts: &Facts, location: &Location) -> bool {
    facts.machines.get(location).is_some_and(counts)
}

/// Of what a plan does to machines, what it does to those that are in service, or were: the others come to it by themselves.
pub fn touched(
    facts: &Facts,
    effects: BTreeMap<Location, (Effect, String)>,
) -> Vec<(Location, Effect, String)> {
    let known = effects.into_iter().filter(|(location, _)| is_in_service(facts, location));
    known.map(|(location, (effect, because))| (location, effect, because)).collect()
}

/// Of the same, what it does to those that a change reached: it is to be taken back there and nowhere else.
pub fn reached(
    undone: &Change,
    effects: BTreeMap<Location, (Effect, String)>,
) -> Vec<(Location, Effect, String)> {
    let is_reached =
        |location: &Location| undone.machines.get(location).is_some_and(|member| member.step.is_reached());
    let reached = effects.into_iter().filter(|(location, _)| is_reached(location));
    reached.map(|(location, (effect, because))| (location, effect, because)).collect()
}

/// `12 machines restart, 3 are checked again`.
pub fn in_words(touched: &[(Location, Effect, String)]) -> String {
    let verbs = [
        (Effect::Check, "is checked again", "are checked again"),
        (Effect::Restart, "restarts", "restart"),
        (Effect::Upgrade, "is upgraded and restarts", "are upgraded and restart"),
        (Effect::Reinstall, "is to be installed anew", "are to be installed anew"),
    ];
    let said = verbs.into_iter().rev().filter_map(|(effect, one, many)| {
        match touched.iter().filter(|(_, its, _)| *its == effect).count() {
            0 => None,
            1 => Some(format!("1 machine {one}")),
            count => Some(format!("{count} machines {many}")),
        }
    });
    said.collect::<Vec<_>>().join(", ")
}

/// `2 machines in service are gone (p01/r1/u04, p02/r1/u04)`.
pub fn gone_in_words(in_service: &[&Location]) -> String {
    let named: Vec<&str> = in_service.iter().take(NAMED_MAX).map(|location| location.within_zone()).collect();
    let more = match in_service.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let are = if in_service.len() == 1 { "is" } else { "are" };
    format!("{} in service {are} gone ({}{more})", counted(in_service.len(), "machine"), named.join(", "))
}

/// One machine of each role, in service if any is.
fn canaries<'a>(zone: &'a Zone, touched: &[(Location, Effect, String)]) -> Vec<&'a Device> {
    let devices = &zone.plan().design.devices;
    // By name: while a change is under way, a role may stand there twice.
    let roles = &zone.plan().design.roles;
    let mut chosen: BTreeMap<Option<&str>, (bool, &Device)> = BTreeMap::new();
    for (location, ..) in touched {
        let Some(device) = zone.roster().device_at(location).map(|id| &devices[id.index()]) else { continue };
        let is_ready = zone
            .facts()
            .machines
            .get(location)
            .is_some_and(|machine| machine.state == State::Ready && machine.is_connected());
        let role = device.role.map(|role| roles[role.index()].name.as_str());
        let known = chosen.entry(role).or_insert((is_ready, device));
        if is_ready && !known.0 {
            *known = (true, device);
        }
    }
    chosen.into_values().map(|(_, device)| device).collect()
}

fn reach(zone: &Zone, canaries: &[&Device], location: &Location) -> Reach {
    let devices = &zone.plan().design.devices;
    let Some(device) = zone.roster().device_at(location).map(|id| &devices[id.index()]) else {
        return Reach::Zone;
    };
    let any = |is_near: &dyn Fn(&Device) -> bool| canaries.iter().any(|canary| is_near(canary));
    if any(&|canary| canary.location == device.location) {
        Reach::Machine
    } else if device.rack.is_some() && any(&|canary| canary.rack == device.rack) {
        Reach::Rack
    } else if device.pod.is_some() && any(&|canary| canary.pod == device.pod) {
        Reach::Pod
    } else {
        Reach::Zone
    }
}

/// What is to be expected of each wave of a change that is not over, from how long its machines took to boot.
pub fn predict(zone: &Zone, change: &Change) -> Vec<Predicted> {
    let budgets = Budgets::of(zone);
    let bake = Duration::from_secs(u64::from(change.policy.bake_seconds));
    let first = change.waves.iter().zip(0..).skip(change.wave as usize);
    let waves = first.filter(|_| change.is_under_way()).map(|(reach, wave)| {
        let left = change.of_wave(wave).filter(|(_, member)| !member.step.is_over());
        let (passed, members): (Vec<_>, Vec<_>) =
            left.partition(|(location, member)| passed_over(zone, change, location, member).is_some());
        let ids: Vec<DeviceId> =
            members.iter().filter_map(|(location, _)| zone.roster().device_at(location)).collect();
        let at_once = budgets.at_once(ids.iter().copied()).max(1);
        let each = members.iter().map(|(location, member)| takes(zone, location, member.effect));
        let (slowest, all) = each.fold((Duration::ZERO, Duration::ZERO), |(slowest, all), takes| {
            (slowest.max(takes), all.saturating_add(takes))
        });
        // Whoever is back makes room for the next at once.
        let takes = slowest.max(all / u32::try_from(at_once).unwrap_or(u32::MAX)) + bake;
        let tightest = budgets.tightest(ids.into_iter());
        let machines = members.len() + passed.len();
        Predicted { reach: *reach, machines, passed: passed.len(), at_once, takes, tightest }
    });
    waves.collect()
}

/// Why nothing would be done to a machine if its turn came now: completes "it …"; `None`: something would be, or was.
pub fn passed_over(
    zone: &Zone,
    change: &Change,
    location: &Location,
    member: &Member,
) -> Option<&'static str> {
    if member.step != Step::Waiting || !change.is_under_way() {
        return None;
    }
    let Some(machine) = zone.facts().machines.get(location) else { return Some("never came") };
    if !is_left_alone(machine, member.effect, undoes(change).is_some()) {
        return None;
    }
    match machine.state {
        State::Expected => Some("is not there"),
        State::Draining { .. } => Some("is drained"),
        State::Maintenance { .. } => Some("is in maintenance"),
        State::Retired { .. } => Some("is retired"),
        // That it is to be installed anew is said of it already.
        _ if member.effect == Effect::Reinstall => None,
        State::Ready => Some("fell back by itself"),
        _ => Some("comes to it by itself, when it is there"),
    }
}

/// Why there is nothing for a change to do, with its machines: completes "it is refused: …"; `None`: there is.
pub fn reaches_nobody(zone: &Zone, change: &Change) -> Option<String> {
    let over = change.machines.iter().map(|(location, member)| {
        let why = passed_over(zone, change, location, member)?;
        Some(format!("{} {why}", location.within_zone()))
    });
    let mut named = over.collect::<Option<Vec<_>>>()?;
    let more = match named.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.truncate(NAMED_MAX);
    Some(format!("none of these is in service: {}{more}", named.join(", ")))
}

fn takes(zone: &Zone, location: &Location, effect: Effect) -> Duration {
    let measured = zone.facts().machines.get(location).and_then(|machine| machine.boot_took_ms);
    let boot = measured.map_or(RESTART_TAKES, Duration::from_millis);
    match effect {
        Effect::Check => CHECK_TAKES,
        Effect::Restart => boot,
        Effect::Upgrade => boot * 3,
        // Not by the change.
        Effect::Reinstall => Duration::ZERO,
    }
}
