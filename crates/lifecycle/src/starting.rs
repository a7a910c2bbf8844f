//! How a machine that is armed comes from what it does now to the installer: its agent restarts it, or its BMC starts it from the
//! network, or somebody does. And how one comes back that hangs in what a change gave it, when that is taken back: it has no agent then that
//! could restart it, and its BMC does.
//!
//! In: the plan, what is known of the machine, the time. Out: whose BMCs are to be asked now, and what is waited for. Its agent is asked
//! first, where it has one that can: a BMC cuts the power. One allowance is worth [`TRIES_MAX`] tries, a role a tenth of its machines at a time.

use crate::budget::Budgets;
use crate::change;
use crate::machine::Step;
use crate::wait::{BOOTING_ORDINARY, SEEN_ORDINARY, Wait};
use crate::zone::Zone;
use model::design::Audience;
use model::facts::{ByBmc, Machine, Purpose, Stage, Start, State};
use model::install::Running;
use model::plan::Interface;
use model::{DeviceId, Location, Plan, Time};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// From the word to a running agent to its firmware's first request: a system that ends, and a server with much memory that begins.
pub const RESTART_PATIENCE: Duration = Duration::from_secs(600);
/// From a BMC's "power is on" to the firmware's first request.
pub const SILENCE_PATIENCE: Duration = Duration::from_secs(600);
/// An agent that is not connected may be about to be, and one that is connected again may be about to restart its machine.
pub const AGENT_GRACE: Duration = Duration::from_secs(60);
/// When a BMC that failed is asked again.
pub const FAILED_RETRY: Duration = Duration::from_secs(120);
/// How often a BMC is asked for one allowance. Firmware that starts from disk all the same is not power cycled for ever.
pub const TRIES_MAX: u32 = 3;
/// Machines of the whole zone that are started at once and have not asked for an address yet. More would all draw their first
/// current, and fetch their installer, together.
pub const STARTING_MAX: usize = 64;
/// Characters of a failure that are kept.
const FAILURE_MAX: usize = 300;

/// By which of its ways firmware is to boot from the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// PXE, as nearly all do.
    Pxe,
    /// UEFI HTTP boot: the second try, for machines that have PXE switched off.
    Http,
    /// As it always does.
    Usual,
}

/// A machine whose BMC is to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// Where.
    pub location: Location,
    /// Who wants that.
    pub by: String,
    /// What it is to boot from.
    pub way: Way,
}

/// What a machine is to be started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Installer,
    /// To come back from what it hangs in.
    Restart,
}

/// What is to be done to a machine now.
struct Pending<'a> {
    start: &'a Start,
    what: For,
    since: Time,
    /// It is not wanted any more then.
    until: Time,
}

/// Whose BMCs are to be asked now to start their machines: the longest due first, of each role no more than one in
/// ten at a time, and at least one. A machine that is still in service is looked at once more:
/// others may have broken since it was armed.
pub fn due(zone: &Zone, now: Time) -> Vec<Due> {
    let plan = zone.plan();
    let mut under_way: HashMap<_, usize> = HashMap::new();
    let mut found = Vec::new();
    // Roles of which somebody is still to be written.
    let mut unwritten = BTreeSet::new();
    for (location, machine) in &zone.facts().machines {
        // A machine that its BMC is about to start is out of service, whatever became of its allowance since.
        let is_left_alone = machine.armed.is_none() && machine.start.is_none();
        if is_left_alone && !matches!(machine.state, State::Installing { .. }) {
            continue;
        }
        let Some(device) = zone.roster().device_at(location) else { continue };
        if is_unwritten(plan, machine, now) {
            unwritten.extend(plan.design.role_name(device));
        }
        let Some(start) = &machine.start else { continue };
        let role = plan.design.devices[device.index()].role;
        if is_under_way(start, now) {
            *under_way.entry(role).or_default() += 1;
        } else if let Some(what) = what_is_due(plan, device, machine, now) {
            found.push((start.due, location, device, role, start, what));
        }
    }
    found.sort_by_key(|(due, _, device, ..)| (*due, *device));
    let mut all: usize = under_way.values().sum();
    let devices = &plan.design.devices;
    let mut members = HashMap::new();
    let mut budgets = None;
    let mut chosen = Vec::new();
    for (_, location, device, role, start, what) in found {
        let is_before = |first: &&str| {
            plan.design.role_name(device).is_some_and(|role| plan.design.starts_before(first, role))
        };
        if what == For::Installer && unwritten.iter().any(is_before) {
            continue;
        }
        let members = *members
            .entry(role)
            .or_insert_with(|| devices.iter().filter(|device| device.role == role).count());
        let at_most = (members / 10).max(1);
        let of_role = under_way.entry(role).or_default();
        if *of_role >= at_most || all >= STARTING_MAX {
            continue;
        }
        if budgets.get_or_insert_with(|| Budgets::of(zone)).may_go_on(device).is_err() {
            continue;
        }
        *of_role += 1;
        all += 1;
        let way = match what {
            For::Restart => Way::Usual,
            For::Installer if start.asked % 2 == 0 => Way::Pxe,
            For::Installer => Way::Http,
        };
        chosen.push(Due { location: location.clone(), by: start.by.clone(), way });
    }
    chosen
}

/// Its BMC has been asked, and nothing came of it yet.
fn is_under_way(start: &Start, now: Time) -> bool {
    start.asked > 0 && start.silent && start.failure.is_none() && now < start.due
}

/// Whether others that start after its role wait for it: it is to be written, and nobody need help it.
fn is_unwritten(plan: &Plan, machine: &Machine, now: Time) -> bool {
    if matches!(machine.state, State::Installing { .. }) {
        return true;
    }
    let is_allowed = machine.armed.is_some_and(|armed| {
        armed.generation == plan.generation && armed.purpose == Purpose::Install && now < armed.until
    });
    let is_stuck = match &machine.start {
        Some(start) => start.bmc != ByBmc::Allowed || start.asked >= TRIES_MAX && start.due <= now,
        None => !is_there(machine),
    };
    let is_out = matches!(
        machine.state,
        State::Failed { .. } | State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. }
    );
    is_allowed && !is_stuck && !is_out
}

fn what_is_due(plan: &Plan, device: DeviceId, machine: &Machine, now: Time) -> Option<For> {
    let installs = plan.design.image_of(device).is_some_and(|image| image.installs);
    let Pending { start, what, until, .. } = pending(plan, machine)?;
    let is_due = start.bmc == ByBmc::Allowed && start.asked < TRIES_MAX && start.due <= now && now < until;
    (is_due && (what == For::Restart || installs)).then_some(what)
}

/// What is to be done to start it, and for how long; `None`: nothing, or hands off.
fn pending<'a>(plan: &Plan, machine: &'a Machine) -> Option<Pending<'a>> {
    let start = machine.start.as_ref()?;
    if matches!(machine.state, State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. }) {
        return None;
    }
    let Some(armed) = machine.armed else {
        let lease = machine.lease.as_ref().filter(|_| hangs(machine))?;
        return Some(Pending { start, what: For::Restart, since: lease.since, until: lease.deadline });
    };
    let is_good = armed.generation == plan.generation
        && armed.purpose == Purpose::Install
        && armed.undo_until.is_none();
    let (since, until) = (armed.since, armed.until);
    (is_good && !is_there(machine)).then_some(Pending { start, what: For::Installer, since, until })
}

/// Whether somebody wants it restarted, and it has no agent that does: it is not in service, and has not booted since.
fn hangs(machine: &Machine) -> bool {
    has_no_agent(machine) && change::is_to_restart(machine)
}

/// Whether nobody is there who could restart it, and it serves nobody.
pub(crate) fn has_no_agent(machine: &Machine) -> bool {
    !machine.is_connected() && machine.state != State::Ready
}

/// Whether it is in the installer.
pub(crate) fn is_there(machine: &Machine) -> bool {
    machine.is_connected() && machine.running == Some(Running::Memory)
}

/// What it waits for on its way to the installer; `None` if it is not on its way, or its state tells how far it is.
pub fn wait(plan: &Plan, device: DeviceId, machine: &Machine) -> Option<Wait> {
    let undo = machine.armed.filter(|armed| armed.generation == plan.generation);
    if let Some((armed, undo_until)) = undo.and_then(|armed| Some((armed, armed.undo_until?))) {
        let on = "its disks to be wiped, which `zw disarm` still takes back".to_owned();
        return Some(Wait { on, since: armed.since, expected_by: Some(undo_until + AGENT_GRACE) });
    }
    let Pending { start, what, since, until } = pending(plan, machine)?;
    if !start.silent && matches!(machine.state, State::Seen { .. } | State::Booting { .. }) {
        return None;
    }
    let by =
        |on: String, expected_by: Time| Some(Wait { on, since, expected_by: Some(expected_by.min(until)) });
    if what == For::Restart {
        let (on, expected_by) = until_it_restarts(start, until);
        return by(on, expected_by);
    }
    let restarts = machine.is_connected()
        && matches!(machine.running, Some(Running::Disk { .. }))
        && machine.running_since < since;
    let place = plan.design.devices[device.index()].location.within_zone();
    let cannot = match start.bmc {
        ByBmc::Allowed => None,
        ByBmc::NotAdopted => Some(format!(
            "its BMC is not adopted (`zw bmc adopt {place}`, then arm it again, and the controller does it)"
        )),
        ByBmc::Absent => Some("it has no BMC in the design".to_owned()),
        ByBmc::Refused => Some("its BMC is to be left alone".to_owned()),
    };
    let restart = "its agent to restart it into the installer";
    if let Some(cannot) = cannot {
        return match restarts {
            true => {
                let on = format!("{restart}; if it starts from its disk, somebody must help: {cannot}");
                by(on, since + RESTART_PATIENCE)
            }
            false => by(format!("somebody to start it from the network: {cannot}"), until),
        };
    }
    match (&start.failure, start.asked) {
        (None, 0) if restarts => by(format!("{restart}; its BMC does if that fails"), start.due),
        (None, 0) => {
            let after = match plan.design.devices[device.index()]
                .role
                .map(|role| &plan.design.roles[role.index()])
            {
                Some(role) if !role.after.is_empty() => format!(", after those of {}", role.after.join(", ")),
                _ => String::new(),
            };
            by(format!("its BMC to start it from the network{after}"), start.due + AGENT_GRACE)
        }
        (None, asked) => by(
            format!("its firmware to ask for an address, since its BMC started it{}", times(asked)),
            start.due,
        ),
        (Some(failure), TRIES_MAX..) => by(
            format!("somebody to start it from the network: its BMC was asked {TRIES_MAX} times: {failure}"),
            until,
        ),
        (Some(failure), _) => {
            by(format!("its BMC to be asked again to start it from the network; {failure}"), start.due)
        }
    }
}

/// What one waits for that hangs, and by when that is ordinary.
fn until_it_restarts(start: &Start, until: Time) -> (String, Time) {
    match (&start.failure, start.asked) {
        _ if start.bmc != ByBmc::Allowed => {
            let on = "what it was given to come to an end; else somebody to power-cycle it: it has no BMC in the design";
            (on.to_owned(), start.due)
        }
        (None, 0) => (
            "what it was given to come to an end; else its BMC power-cycles it".to_owned(),
            start.due + AGENT_GRACE,
        ),
        (None, asked) => (
            format!("its firmware to ask for an address, since its BMC power-cycled it{}", times(asked)),
            start.due,
        ),
        (Some(failure), TRIES_MAX..) => {
            (format!("somebody to power-cycle it: its BMC was asked {TRIES_MAX} times: {failure}"), until)
        }
        (Some(failure), _) => (format!("its BMC to be asked again to power-cycle it; {failure}"), start.due),
    }
}

fn times(asked: u32) -> String {
    if asked > 1 { format!(" ({asked} times)") } else { String::new() }
}

/// It was armed, by `by`.
pub(crate) fn armed(machine: &mut Machine, by: &str, bmc: ByBmc, now: Time) {
    machine.start = None;
    let is_install = machine.armed.is_some_and(|armed| armed.purpose == Purpose::Install);
    if !is_install || is_there(machine) {
        return;
    }
    let is_asking = matches!(machine.state, State::Seen { .. } | State::Booting { .. });
    let patience = match (&machine.state, &machine.running) {
        (_, Some(Running::Disk { .. })) if machine.is_connected() => RESTART_PATIENCE,
        // An agent in a system of somebody else's restarts nothing.
        _ if machine.is_connected() => Duration::ZERO,
        // iPXE that was told to wait asks again within this.
        _ if is_asking => SEEN_ORDINARY,
        (State::Expected, _) => Duration::ZERO,
        _ => AGENT_GRACE,
    };
    let by = by.to_owned();
    machine.start = Some(Start { by, bmc, due: now + patience, asked: 0, silent: !is_asking, failure: None });
}

/// A change takes back what it was given, and it has no agent that could restart it. If it does not come back by then, its BMC is asked to.
/// Gives by when that is done, if it fails once.
pub(crate) fn taken_back(
    plan: &Plan,
    device: DeviceId,
    machine: &mut Machine,
    by: &str,
    hangs_by: Time,
) -> Time {
    let due = hangs_by + AGENT_GRACE;
    // Who is armed is started for that.
    if machine.armed.is_none() {
        let is_bmcs = |interface: &Interface| {
            interface.audience == Audience::Bmc && (interface.v4.is_some() || interface.v6.is_some())
        };
        let bmc = match plan.interfaces_of(device).iter().any(is_bmcs) {
            true => ByBmc::Allowed,
            false => ByBmc::Absent,
        };
        machine.start = Some(Start { by: by.to_owned(), bmc, due, asked: 0, silent: true, failure: None });
    }
    due + FAILED_RETRY
}

/// The change is over with it.
pub(crate) fn released(machine: &mut Machine) {
    if machine.armed.is_none() {
        machine.start = None;
    }
}

/// What was asked can be taken back no more: the time to wait for each way begins now.
pub(crate) fn begins(machine: &mut Machine, now: Time) {
    if let Some(Start { by, bmc, .. }) = machine.start.take() {
        armed(machine, &by, bmc, now);
    }
}

/// Its own firmware, or iPXE, asked for an address: it comes by itself now. Whether that is news.
pub(crate) fn heard(machine: &mut Machine, stage: Stage, now: Time) -> bool {
    let is_early = matches!(stage, Stage::BiosPxe | Stage::UefiPxe | Stage::UefiHttp | Stage::Ipxe);
    let Some(start) = machine.start.as_mut().filter(|start| is_early && start.silent) else { return false };
    start.silent = false;
    start.failure = None;
    start.due = start.due.max(now + SEEN_ORDINARY + BOOTING_ORDINARY);
    true
}

/// It fetched a script that boots something.
pub(crate) fn fetched(machine: &mut Machine, now: Time) {
    if let Some(start) = &mut machine.start {
        start.silent = false;
        start.due = start.due.max(now + BOOTING_ORDINARY);
    }
}

/// Its agent connected, and runs in this.
pub(crate) fn connected(machine: &mut Machine, now: Time) {
    if is_there(machine) {
        machine.start = None;
    } else if let Some(start) = &mut machine.start {
        // It came from its disk, or had never left it: it is not asked again.
        start.due = start.due.min(now + AGENT_GRACE);
        start.silent = true;
    }
}

/// Its BMC is asked to start it (`None`), and what came of that.
pub(crate) fn asked(machine: &mut Machine, outcome: Option<Result<(), &str>>, now: Time) -> Step {
    let is_wanted = machine.armed.is_some() || hangs(machine);
    let start = machine.start.as_mut().filter(|start| is_wanted && start.bmc == ByBmc::Allowed);
    match (start, outcome) {
        (None, None) => {
            return Step { refused: Some("it need not be started any more".into()), ..Step::default() };
        }
        (Some(start), None) => {
            start.asked += 1;
            (start.silent, start.failure) = (true, None);
            start.due = now + SILENCE_PATIENCE;
        }
        // Its firmware may have been quicker than the BMC's last word.
        (Some(start), Some(Ok(()))) if start.silent => start.due = now + SILENCE_PATIENCE,
        (Some(start), Some(Err(failure))) if start.silent => {
            start.failure = Some(failure.chars().take(FAILURE_MAX).collect());
            start.due = now + FAILED_RETRY;
        }
        (_, Some(_)) => {}
    }
    Step { changed: true, ..Step::default() }
}
