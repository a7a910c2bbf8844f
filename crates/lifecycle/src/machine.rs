//! The state machine of one machine: `expected → seen → booting → (installing) → validating → ready`.
//!
//! [`step`] takes a machine by value and gives it back changed, with what is to be done. It never looks at another
//! machine: what concerns two of them (cabling) is told to it by `zone`.

use crate::enrolment::Proof;
use crate::{attestation, burn_in, cabling, change, enrolment, installing, starting, validate};
use model::change::{Holder, Lease};
use model::event::{Started, What, Wish};
use model::facts::{
    Armed, Attested, ByBmc, CheckResult, Conflict, Hardware, Machine, Purpose, Rejected, Sighting, Stage,
    State, Token,
};
use model::install::{Progress, Running};
use model::{DeviceId, Event, Generation, Plan, Roster, Time};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most sentences kept of why a machine failed.
pub const REASONS_MAX: usize = 32;
/// The most conflicts kept for a machine: its own addresses are few, so more is a forger's work.
pub const CONFLICTS_MAX: usize = 8;
/// What was seen earlier than what is known, but by no more than this, was told late. By more, a clock was wrong.
const LATE_MAX: Duration = Duration::from_secs(120);

/// What an event did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    /// Something that must survive a restart changed.
    pub changed: bool,
    /// Something that packets are answered from changed.
    pub view_changed: bool,
    /// The event was not allowed, and changed nothing.
    pub refused: Option<Cow<'static, str>>,
    /// What is to be done now.
    pub actions: Vec<Action>,
}

/// Something for the server to do. Each may be done twice without harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask the machine's agent for its report and checks again.
    AskAgent,
    /// Tell the machine's agent its [`crate::installing::Duty`], if that is another.
    TellAgent,
    /// Tell it what its role checks, and how: a change gave it another row.
    TellRow,
}

/// A machine that has not been heard of.
pub fn expected(now: Time) -> Machine {
    Machine {
        state: State::Expected,
        since: now,
        boot_began: None,
        boots: 0,
        boot_took_ms: None,
        sightings: BTreeMap::new(),
        accepted: BTreeMap::new(),
        hardware: None,
        checks: Vec::new(),
        agent_at: None,
        boot: None,
        lost: None,
        stranger: None,
        token: Token::None,
        key_sha256: None,
        tpm: None,
        by_bmc: false,
        unproved: None,
        unproved_ek: None,
        armed: None,
        start: None,
        running: None,
        running_since: now,
        installed: None,
        rejected: None,
        boots_in_vain: 0,
        boots_image: None,
        burn_in: model::burn_in::State::default(),
        conflicts: BTreeMap::new(),
        lease: None,
        foreign_servers: Vec::new(),
        held: None,
        miscabled: None,
    }
}

/// What an event does to a machine. `is_anothers`: who asks on its port was accepted at another location.
pub fn step(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    machine: &mut Machine,
    event: &Event,
    is_anothers: bool,
    controller: &str,
) -> Step {
    let now = event.at;
    match &event.what {
        What::Asked { interface, mac, uuid, stage, port } => {
            let sighting = Sighting { at: now, mac: *mac, uuid: *uuid, stage: *stage, port: port.clone() };
            let is_new = machine.sightings.get(interface).is_none_or(|before| before.mac != *mac);
            let mut step = asked(machine, interface, sighting, is_anothers);
            if !is_anothers && machine.stranger.is_none() {
                step.changed |= starting::heard(machine, *stage, now);
            }
            // Templates say which port has which address.
            step.view_changed |=
                is_new && plan.design.image_of(device).is_some_and(|image| !image.templates.is_empty());
            step
        }
        What::Declined { address, mac, .. } => {
            if machine.conflicts.len() >= CONFLICTS_MAX && !machine.conflicts.contains_key(address) {
                return refused("too many addresses were declined on this port");
            }
            let known = machine.conflicts.insert(*address, Conflict { at: now, by: *mac });
            Step { changed: known.is_none(), view_changed: known.is_none(), ..Step::default() }
        }
        What::ScriptFetched { generation, image } => match machine.state {
            State::Expected | State::Seen { .. } | State::Booting { .. } => {
                starting::fetched(machine, now);
                let is_other = std::mem::replace(&mut machine.boots_image, *image) != *image;
                let is_again = change::restart_again(plan, device, machine);
                let mut step = enter(machine, State::Booting { generation: *generation }, now);
                step.changed |= is_other || is_again;
                step
            }
            _ => Step::default(),
        },
        What::FileFetched { .. } => Step::default(),
        What::Installing { progress } => installing(machine, progress, now),
        What::Installed { generation, image, slot } => {
            if !installing::is_ours(machine, image.as_deref())
                && !installing::is_anothers(plan, machine, image.as_deref())
            {
                return refused("nothing is being written to its disks");
            }
            installing::installed(machine, image.clone(), *slot, *generation, now);
            let progress = Progress { step: "restarts".to_owned(), ..Progress::default() };
            let mut step = enter(machine, State::Installing { progress }, now);
            (step.changed, step.view_changed) = (true, true);
            step.actions.push(Action::TellAgent);
            step
        }
        What::NotInstalled { image, sentence } => not_installed(machine, image, sentence, now),
        What::Confirmed { slot } => match &mut machine.running {
            Some(Running::Disk { slot: runs, on_trial, .. }) if runs == slot => {
                *on_trial = false;
                Step { changed: true, ..Step::default() }
            }
            _ => refused("it runs from another slot"),
        },
        What::TokenIssued { token_sha256, until, ek_sha256, by_bmc } => {
            let issued = Token::Issued { sha256: *token_sha256, until: *until, by_bmc: *by_bmc };
            if *until <= now {
                return refused("the token would be over before it began");
            }
            token_issued(machine, issued, ek_sha256.as_ref())
        }
        What::NotProved { sentence, ek_sha256 } => {
            let is_news = machine.unproved.as_ref() != Some(sentence) || machine.unproved_ek != *ek_sha256;
            (machine.unproved, machine.unproved_ek) = (Some(sentence.clone()), *ek_sha256);
            Step { changed: is_news, ..Step::default() }
        }
        What::Enrolled { key_sha256, token_sha256, tpm } => {
            let needed = enrolment::proof(plan, device, Some(machine));
            enrolled(machine, *key_sha256, *token_sha256, tpm.as_ref(), needed, now)
        }
        What::Connected { running, burns_in, boot } => {
            machine.burn_in.able = *burns_in;
            let before = std::mem::replace(&mut machine.boot, *boot);
            if boot.is_some()
                && *boot == before
                && machine.running == *running
                && installing::is_to_start(machine)
            {
                // It has not restarted yet: only its connection is another.
                return Step { changed: attach(machine, controller), ..told_again() };
            }
            let mut step = installing::running(plan, device, machine, running.as_ref(), now);
            step.changed |= before != *boot;
            step.changed |= attach(machine, controller);
            merge(&mut step, connected(machine, now));
            starting::connected(machine, now);
            step
        }
        // It came back to another before this one missed it.
        What::Lost if machine.agent_at.as_ref().is_some_and(|at| at != controller) => Step::default(),
        What::Lost => lost(machine, now),
        What::StillConnected if is_missed(machine) => {
            machine.lost = None;
            Step { changed: attach(machine, controller), ..Step::default() }
        }
        What::StillConnected => Step::default(),
        What::Reported { hardware } => reported(plan, roster, device, machine, hardware, now),
        What::Checked { results } => checked(plan, roster, device, machine, results, now),
        What::BurningIn { progress } => {
            let mut step = burn_in::burning(plan, device, machine, *progress, now);
            merge(&mut step, settle(plan, roster, device, machine, now));
            step
        }
        What::BurntIn { outcome } => {
            let mut step = burn_in::ended(plan, device, machine, outcome, now);
            merge(&mut step, settle(plan, roster, device, machine, now));
            step
        }
        What::ServersHeard { servers } => {
            let changed = machine.foreign_servers != *servers;
            machine.foreign_servers.clone_from(servers);
            Step { changed, ..Step::default() }
        }
        What::Held { why } => {
            let changed = machine.held != *why;
            machine.held.clone_from(why);
            // What was refused meanwhile is asked again.
            let actions = if changed { vec![Action::TellAgent] } else { Vec::new() };
            Step { changed, actions, ..Step::default() }
        }
        What::Operator { by, wish, .. } => operator(machine, by, wish, now),
        What::Leased { .. } => Step::default(),
        What::Begins => begins(machine, now),
        What::Released { holder } => match &machine.lease {
            Some(lease) if lease.holder == *holder => {
                machine.lease = None;
                Step { changed: true, ..Step::default() }
            }
            Some(_) => refused("somebody else has its lease"),
            None => Step::default(),
        },
        What::Bmc { start: None, .. } => Step { changed: true, ..Step::default() },
        What::Bmc { start: Some(start), outcome, .. } => {
            let outcome = match start {
                Started::Begun => None,
                Started::Done => Some(Ok(())),
                Started::Failed => Some(Err(outcome.as_deref().unwrap_or_default())),
            };
            starting::asked(machine, outcome, now)
        }
        // Of the zone, not of a machine.
        What::Change { .. } | What::Tick => Step::default(),
    }
}

/// Nothing is doubted about its cables any more, or something newly is.
pub fn judged(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    machine: &mut Machine,
    doubt: Option<(model::Code, String)>,
    now: Time,
) -> Step {
    if machine.miscabled == doubt {
        return Step::default();
    }
    machine.miscabled = doubt;
    let mut step = Step { changed: true, ..Step::default() };
    if machine.miscabled.is_some() && machine.state == State::Ready {
        merge(&mut step, enter(machine, State::Validating { hardware_fits: true }, now));
    }
    merge(&mut step, settle(plan, roster, device, machine, now));
    step
}

fn asked(machine: &mut Machine, interface: &str, sighting: Sighting, is_anothers: bool) -> Step {
    let (now, stage, mac) = (sighting.at, sighting.stage, sighting.mac);
    let before = machine.sightings.get(interface);
    // Each of several controllers hears the same request, and what the others heard is told after what came of it.
    let is_late = |since: Time| now < since && since.since(now) < LATE_MAX;
    let is_past = is_late(machine.since);
    let later = before.filter(|before| is_late(before.at));
    if later.is_some_and(|later| !is_of_a_missed_boot(machine, &sighting, later)) {
        return Step::default();
    }
    let mut step = Step {
        // A renewal that shows nothing new is not worth a write. That it is there in this boot, too, is news.
        changed: before.is_none_or(|before| {
            before.mac != sighting.mac
                || before.port != sighting.port
                || before.stage != sighting.stage
                || machine.boot_began.is_some_and(|began| before.at < began && began <= now)
        }),
        ..Step::default()
    };
    // A later stage of the same boot need not repeat the UUID.
    let uuid = sighting
        .uuid
        .or_else(|| before.filter(|before| before.mac == sighting.mac).and_then(|before| before.uuid));
    let last = later.cloned().unwrap_or(sighting);
    machine.sightings.insert(interface.to_owned(), Sighting { uuid, ..last });
    if stage == Stage::Bmc || is_past {
        return step;
    }
    if let Some(own) = machine.accepted.get(interface) {
        if machine.is_connected() && *own != mac {
            // Another machine on its port, while its own is there: nothing that the newcomer does is its own's doing.
            machine.stranger = Some((interface.to_owned(), mac));
            return step;
        }
        machine.stranger = None;
    }
    // Two swapped machines boot at the same time, each by its other port: what the neighbour's does on this one voids
    // neither the boot under way nor its token.
    let is_under_way = matches!(
        machine.state,
        State::Seen { .. } | State::Booting { .. } | State::Installing { .. } | State::Validating { .. }
    );
    if is_anothers && is_under_way {
        return step;
    }
    let firmware = matches!(stage, Stage::BiosPxe | Stage::UefiPxe | Stage::UefiHttp);
    let entered = match machine.state {
        State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. } => return step,
        // The same stage asking again is a retry of the same boot.
        State::Seen { stage: seen } if seen == stage => return step,
        State::Seen { .. } if !firmware => enter(machine, State::Seen { stage }, now),
        // iPXE fetches the script and asks again when its loop starts over: still the same boot.
        State::Booting { .. } if stage == Stage::Ipxe => enter(machine, State::Seen { stage }, now),
        // An operating system that renews or starts its own DHCP client does not begin a boot.
        State::Booting { .. }
        | State::Installing { .. }
        | State::Validating { .. }
        | State::Ready
        | State::Failed { .. }
            if stage == Stage::Os =>
        {
            return step;
        }
        _ => {
            begin_boot(machine, now);
            enter(machine, State::Seen { stage }, now)
        }
    };
    merge(&mut step, entered);
    step
}

/// Whether something that is told late is how a boot began of which nothing else was heard: an edge tells of the firmware when a controller
/// is there again, and by then the system that it started may have asked at that controller.
fn is_of_a_missed_boot(machine: &Machine, sighting: &Sighting, later: &Sighting) -> bool {
    let is_under_way = matches!(machine.state, State::Seen { .. } | State::Booting { .. });
    !is_under_way
        && machine.since <= sighting.at
        && later.stage == Stage::Os
        && !matches!(sighting.stage, Stage::Os | Stage::Bmc)
        && later.mac == sighting.mac
}

/// Its agent is gone. If another machine has been asking on its port, that one is booting here now.
fn lost(machine: &mut Machine, now: Time) -> Step {
    let was_shared = machine.agent_at.take().is_some_and(|at| !at.is_empty());
    // Ready is what it was found to be: somebody may want to know that nothing is heard of it any more.
    let is_news = machine.state == State::Ready && machine.lost.is_none();
    if is_news {
        machine.lost = Some(now);
    }
    let gone = Step { changed: is_news || was_shared, ..Step::default() };
    let Some((port, _)) = machine.stranger.take() else { return gone };
    let Some(stage) = machine.sightings.get(&port).map(|seen| seen.stage) else { return gone };
    let strange = machine.sightings.iter().filter(|(port, seen)| {
        seen.stage != Stage::Bmc && machine.accepted.get(*port).is_some_and(|own| *own != seen.mac)
    });
    let seen = strange.map(|(_, seen)| seen.at).min().unwrap_or(now);
    match machine.state {
        State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. } => gone,
        _ => {
            // Since it was seen, by whichever of its ports: that the other's connection ended may be heard after the
            // newcomer's whole boot, and what was seen of it would then count for nothing.
            // And if its own boot is under way by another of its ports, since that began.
            let is_under_way = matches!(machine.state, State::Seen { .. } | State::Booting { .. });
            let own = machine.boot_began.filter(|_| is_under_way);
            begin_boot(machine, own.map_or(seen, |own| own.min(seen)));
            // It may have been seen before, and this is another boot all the same.
            Step { changed: true, ..enter(machine, State::Seen { stage }, now) }
        }
    }
}

/// A new boot: what the last one proved is void, and a new token may be had.
fn begin_boot(machine: &mut Machine, now: Time) {
    if matches!(machine.state, State::Booting { .. }) {
        machine.boots_in_vain = machine.boots_in_vain.saturating_add(1);
    }
    machine.boot_began = Some(now);
    machine.boots += 1;
    machine.boots_image = None;
    machine.boot_took_ms = None;
    machine.running = None;
    machine.token = Token::None;
    machine.checks.clear();
    machine.burn_in.failed.clear();
    machine.burn_in.spared = false;
}

fn token_issued(machine: &mut Machine, issued: Token, ek_sha256: Option<&[u8; 32]>) -> Step {
    // Whoever gets it cannot read it but by the TPM that was accepted here: that is a better reason than a boot.
    let is_own = machine.tpm.as_ref().is_some_and(|known| Some(&known.ek_sha256) == ek_sha256);
    if is_own && !matches!(machine.state, State::Retired { .. }) {
        machine.token = issued;
        return Step { changed: true, ..Step::default() };
    }
    match machine.state {
        State::Seen { .. } | State::Booting { .. } | State::Installing { .. } => {}
        _ => {
            return refused(
                "no boot is under way on its port; a token is given only after its firmware was seen",
            );
        }
    }
    if machine.token == Token::Used {
        return refused("the token of this boot was used; power-cycle the machine for another");
    }
    // An agent that died between asking and using may ask again: the earlier token is void from here on.
    machine.token = issued;
    Step { changed: true, ..Step::default() }
}

fn enrolled(
    machine: &mut Machine,
    key: [u8; 32],
    token: Option<[u8; 32]>,
    tpm: Option<&Attested>,
    needed: Proof,
    now: Time,
) -> Step {
    let Some(token) = token else {
        // A renewal was authenticated by the certificate that it replaces.
        if machine.key_sha256.is_none() || matches!(machine.state, State::Retired { .. }) {
            return refused("there is no certificate to renew");
        }
        machine.key_sha256 = Some(key);
        return Step { changed: true, ..Step::default() };
    };
    if let Err(why) = enrolment::is_good(machine.token, token, now) {
        return refused(why);
    }
    let by_bmc = matches!(machine.token, Token::Issued { by_bmc: true, .. });
    match needed {
        Proof::Tpm if tpm.is_none() => return refused("its place is proved by a TPM"),
        Proof::Bmc if !by_bmc && tpm.is_none() => {
            return refused("its place is proved by a key that its BMC hands it");
        }
        _ => machine.by_bmc |= by_bmc,
    }
    if let Some(tpm) = tpm {
        if attestation::follows(machine.tpm.as_ref(), tpm).is_err() {
            return refused("what its TPM proves does not follow what it proved before");
        }
        machine.tpm = Some(tpm.clone());
    }
    (machine.unproved, machine.unproved_ek) = (None, None);
    machine.token = Token::Used;
    machine.key_sha256 = Some(key);
    change::is_known_by(machine, key);
    let mut step = Step { changed: true, ..Step::default() };
    merge(&mut step, enter(machine, State::Validating { hardware_fits: false }, now));
    step
}

/// Octets are not worth a write to the store; another step is.
fn installing(machine: &mut Machine, progress: &Progress, now: Time) -> Step {
    match &mut machine.state {
        State::Installing { progress: before } => {
            let changed = before.step != progress.step;
            before.clone_from(progress);
            Step { changed, ..Step::default() }
        }
        State::Validating { .. } | State::Ready | State::Failed { .. } if machine.armed.is_some() => {
            machine.start = None;
            enter(machine, State::Installing { progress: progress.clone() }, now)
        }
        _ => refused("it is not armed to write its disks"),
    }
}

/// What was there runs on, or nothing does.
fn not_installed(machine: &mut Machine, image: &str, sentence: &str, now: Time) -> Step {
    let is_told_again = machine
        .rejected
        .as_ref()
        .is_some_and(|rejected| rejected.image == image && rejected.sentence == sentence);
    if is_told_again {
        return Step::default();
    }
    if machine.armed.is_none() && !matches!(machine.state, State::Installing { .. }) {
        return refused("nothing is being written to its disks");
    }
    machine.rejected = Some(Rejected { image: image.to_owned(), sentence: sentence.to_owned(), at: now });
    if machine.running == Some(Running::Memory) {
        let reasons = vec![format!("its system could not be written: {sentence}")];
        return Step { changed: true, ..enter(machine, State::Failed { reasons }, now) };
    }
    machine.armed = None;
    let mut step = enter(machine, State::Validating { hardware_fits: false }, now);
    (step.changed, step.view_changed) = (true, true);
    step.actions.push(Action::AskAgent);
    step
}

/// Whether an agent that a controller has is one that no other is known to have. While it boots, what is connected yet is of before.
pub fn is_missed(machine: &Machine) -> bool {
    let boots = matches!(
        machine.state,
        State::Expected | State::Seen { .. } | State::Booting { .. } | State::Installing { .. }
    );
    machine.agent_at.is_none() && machine.key_sha256.is_some() && !boots
}

/// Its agent is at this controller; gives whether others are to know.
fn attach(machine: &mut Machine, controller: &str) -> bool {
    let before = machine.agent_at.replace(controller.to_owned());
    !controller.is_empty() && before.as_deref() != Some(controller)
}

fn connected(machine: &mut Machine, now: Time) -> Step {
    machine.boots_in_vain = 0;
    let was_lost = machine.lost.take().is_some();
    match machine.state {
        // It booted from its own disk with the certificate it had.
        State::Expected | State::Seen { .. } | State::Booting { .. } | State::Installing { .. } => {
            let mut step = enter(machine, State::Validating { hardware_fits: false }, now);
            step.actions.push(Action::AskAgent);
            step
        }
        _ => Step { changed: was_lost, ..Step::default() },
    }
}

fn reported(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    machine: &mut Machine,
    hardware: &Hardware,
    now: Time,
) -> Step {
    let mut step = Step { changed: machine.hardware.as_ref() != Some(hardware), ..Step::default() };
    machine.hardware = Some(hardware.clone());
    if let State::Validating { hardware_fits } = &mut machine.state {
        step.changed |= !*hardware_fits;
        *hardware_fits = true;
    }
    merge(&mut step, settle(plan, roster, device, machine, now));
    step
}

fn checked(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    machine: &mut Machine,
    results: &[CheckResult],
    now: Time,
) -> Step {
    let mut step = Step { changed: machine.checks != results, ..Step::default() };
    machine.checks = results.to_vec();
    merge(&mut step, settle(plan, roster, device, machine, now));
    step
}

/// Draws the conclusion from what the agent has said so far: ready, failed, or still waiting.
fn settle(plan: &Plan, roster: &Roster, device: DeviceId, machine: &mut Machine, now: Time) -> Step {
    let heard = match machine.state {
        State::Validating { hardware_fits } => hardware_fits,
        State::Ready | State::Failed { .. } => true,
        _ => return Step::default(),
    };
    let Some(hardware) = machine.hardware.as_ref().filter(|_| heard) else { return Step::default() };
    let mut reasons = validate::hardware(plan, roster, device, hardware, &machine.sightings);
    reasons.extend(
        machine
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| format!("check {} failed: {}", check.name, check.detail)),
    );
    if installing::is_installer(plan, device, machine) {
        // What could not be written stays so until somebody mends it and the machine boots again.
        reasons.extend(installing::obstacle(plan, device, &hardware.disks));
        if let (State::Failed { .. }, Some(_)) = (&machine.state, &machine.rejected) {
            return Step::default();
        }
    }
    if burn_in::wanted(plan, device).seconds() > 0 {
        reasons.extend(machine.burn_in.failed.iter().cloned());
    }
    reasons.truncate(REASONS_MAX);
    if !reasons.is_empty() {
        // What an operator took it for came to this: its state tells that it is out, and a change that mends it may take it.
        let (since, is_armed) = (machine.since, machine.armed.is_some());
        let is_over = |lease: &mut Lease| {
            matches!(lease.holder, Holder::Operator { .. }) && since > lease.since && !is_armed
        };
        let changed = machine.lease.take_if(is_over).is_some();
        return match &machine.state {
            State::Failed { reasons: known } if *known == reasons => Step { changed, ..Step::default() },
            _ => enter(machine, State::Failed { reasons }, now),
        };
    }
    if installing::is_installer(plan, device, machine)
        || validate::checks_of(&plan.design, &plan.design.devices[device.index()])
            && machine.checks.is_empty()
        || machine.miscabled.is_some()
        || installing::is_unstarted(machine)
        || machine.state != State::Ready && burn_in::is_due(plan, device, machine)
    {
        let mut step = match machine.state {
            State::Failed { .. } => enter(machine, State::Validating { hardware_fits: true }, now),
            _ => Step::default(),
        };
        if !burn_in::is_its_turn(plan, device, machine) && machine.burn_in.progress.take().is_some() {
            machine.burn_in.begun = 0;
        }
        step.actions.push(Action::TellAgent);
        return step;
    }
    machine.burn_in.progress = None;
    let spared = std::mem::replace(&mut machine.burn_in.spared, true);
    // What an operator took it for is over, once it was out; changes and its own system give theirs back themselves.
    let is_over = machine.lease.as_ref().is_some_and(|lease| {
        matches!(lease.holder, Holder::Operator { .. })
            && machine.since > lease.since
            && machine.armed.is_none()
    });
    if is_over {
        machine.lease = None;
    }
    if machine.state == State::Ready {
        return Step { changed: !spared, ..Step::default() };
    }
    let accepted = cabling::own(machine);
    let view_changed = accepted != machine.accepted;
    machine.accepted = accepted;
    if let (Some(began), None) = (machine.boot_began, machine.boot_took_ms) {
        machine.boot_took_ms = Some(u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX));
    }
    Step { view_changed, actions: vec![Action::TellAgent], ..enter(machine, State::Ready, now) }
}

fn operator(machine: &mut Machine, by: &str, wish: &Wish, now: Time) -> Step {
    let by = by.to_owned();
    machine.burn_in.begun = 0;
    match wish {
        Wish::Accept => {
            machine.burn_in = burn_in::called_off(&machine.burn_in);
            machine.burn_in.passed = None;
            // What is plugged in now is this location's. `zone` has freed the addresses from their old homes, and
            // judges the cables again. Of two machines that are plugged in it is the one that reports; the other is
            // forgotten until it asks again.
            let sightings = std::mem::take(&mut machine.sightings);
            let own = sightings.into_iter().filter(|(_, seen)| !cabling::is_anothers(machine, seen));
            machine.sightings = own.collect();
            machine.accepted =
                machine.sightings.iter().map(|(interface, seen)| (interface.clone(), seen.mac)).collect();
            machine.conflicts.clear();
            // The next TPM that it proves itself by is its own.
            (machine.tpm, machine.by_bmc) = (None, false);
            (machine.unproved, machine.unproved_ek) = (None, None);
            Step { changed: true, view_changed: true, actions: vec![Action::AskAgent], refused: None }
        }
        Wish::Drain { reason } => enter(machine, State::Draining { reason: reason.clone(), by }, now),
        Wish::Maintain { reason } => enter(machine, State::Maintenance { reason: reason.clone(), by }, now),
        // Whoever takes it out of service asks the budget first.
        Wish::Retire { .. } if machine.state == State::Ready => {
            refused("it is in service; `zw drain` it first, then retire it")
        }
        Wish::Retire { reason } => {
            machine.key_sha256 = None;
            machine.token = Token::None;
            (machine.tpm, machine.by_bmc) = (None, false);
            (machine.unproved, machine.unproved_ek) = (None, None);
            machine.armed = None;
            machine.start = None;
            enter(machine, State::Retired { reason: reason.clone(), by }, now)
        }
        // Checked now, it would be for the system that it is about to leave. Only who else has its address can be gone.
        Wish::Return if matches!(machine.state, State::Installing { .. }) => {
            if machine.conflicts.is_empty() {
                return refused("its system is being written; it returns by itself when it has started that");
            }
            machine.conflicts.clear();
            Step { changed: true, view_changed: true, ..Step::default() }
        }
        Wish::Return => {
            let view_changed = !machine.conflicts.is_empty();
            machine.conflicts.clear();
            machine.burn_in =
                model::burn_in::State { spared: false, ..burn_in::called_off(&machine.burn_in) };
            let mut step = if machine.is_connected() {
                enter(machine, State::Validating { hardware_fits: false }, now)
            } else {
                enter(machine, State::Expected, now)
            };
            step.view_changed |= view_changed;
            step.actions.push(Action::AskAgent);
            step
        }
        Wish::Arm { .. } if machine.installed.is_some() => refused(
            "there is a system on its disks: `zw upgrade` writes the other slot, `zw reinstall` wipes them",
        ),
        Wish::Arm { generation: of, until, bmc } => {
            armed(machine, &by, *bmc, allowance(*of, *until, now), now)
        }
        Wish::Reinstall { generation: of, until, bmc, undo_until } => {
            let undo_until = undo_until.filter(|undo_until| now < *undo_until);
            armed(machine, &by, *bmc, Armed { undo_until, ..allowance(*of, *until, now) }, now)
        }
        Wish::Upgrade { generation: of, until } => {
            let purpose = Purpose::Upgrade;
            armed(machine, &by, ByBmc::Refused, Armed { purpose, ..allowance(*of, *until, now) }, now)
        }
        Wish::Disarm => match installing::disarm(machine) {
            Ok(()) => told_anew(),
            Err(why) => refused(why),
        },
    }
}

fn allowance(generation: Generation, until: Time, now: Time) -> Armed {
    Armed { generation, until, since: now, purpose: Purpose::Install, undo_until: None }
}

fn armed(machine: &mut Machine, by: &str, bmc: ByBmc, armed: Armed, now: Time) -> Step {
    match installing::arm(machine, armed) {
        Ok(()) => {
            starting::armed(machine, by, bmc, now);
            told_anew()
        }
        Err(why) => refused(why),
    }
}

/// What was asked of it can be taken back no more.
fn begins(machine: &mut Machine, now: Time) -> Step {
    let Some(armed) = machine.armed.as_mut().filter(|armed| armed.undo_until.is_some()) else {
        return refused("nothing is to begin");
    };
    // A system that was started meanwhile is restarted all the same.
    (armed.undo_until, armed.since) = (None, now);
    starting::begins(machine, now);
    told_anew()
}

/// What its agent is to do is told to it once more.
fn told_again() -> Step {
    Step { actions: vec![Action::TellAgent], ..Step::default() }
}

/// What it boots, and what its agent is to do, is to be looked at again.
fn told_anew() -> Step {
    Step { changed: true, view_changed: true, actions: vec![Action::TellAgent], ..Step::default() }
}

fn enter(machine: &mut Machine, state: State, now: Time) -> Step {
    if machine.state == state {
        return Step::default();
    }
    if machine.state.name() != state.name() {
        machine.since = now;
    }
    // Who is held back, or out of service, boots something else, and hears why.
    let is_held = |state: &State| matches!(state, State::Maintenance { .. } | State::Retired { .. });
    let view_changed = is_held(&machine.state) || is_held(&state);
    machine.state = state;
    machine.lost = machine.lost.filter(|_| machine.state == State::Ready);
    let mut step = Step { changed: true, view_changed, ..Step::default() };
    if !matches!(machine.state, State::Validating { .. }) && machine.burn_in.progress.take().is_some() {
        // It is called off. That it is begun once more is nobody's fault, unless the machine boots.
        if !matches!(machine.state, State::Seen { .. }) {
            machine.burn_in.begun = 0;
        }
        step.actions.push(Action::TellAgent);
    }
    step
}

fn refused(why: &'static str) -> Step {
    Step { refused: Some(why.into()), ..Step::default() }
}

fn merge(step: &mut Step, more: Step) {
    step.changed |= more.changed;
    step.view_changed |= more.view_changed;
    if step.refused.is_none() {
        step.refused = more.refused;
    }
    step.actions.extend(more.actions);
}
