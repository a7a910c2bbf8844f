//! What an agent is to do about its machine's disks, and what follows when it did.
//!
//! In: the plan, what is known of the machine, the digest of the image that it should run. Out: one [`Duty`], the same as long as nothing
//! changed. An order is given only to a machine that is armed for this plan, in the way that it is armed for, and only
//! when its hardware and its cables are what is drawn: a system is not written to a machine in the wrong place.

use crate::burn_in;
use crate::machine::{Action, Step};
use crate::starting;
use crate::validate::about;
use crate::zone::Zone;
use model::change::{Holder, Lease};
use model::design::{Layout, Role};
use model::facts::{Armed, Disk as Found, Installed, Machine, Purpose, Rejected, State};
use model::install::{Disk, Disks, Progress, Raid, Running, Slot};
use model::{DeviceId, Generation, Location, Plan, Time, size};

/// What an agent is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    /// Nothing with its disks.
    Nothing,
    /// Write the role's system.
    Install {
        /// When it was allowed.
        allowed_at: Time,
        /// All disks anew, or else the slot that is not running.
        disks: Option<Disks>,
    },
    /// The running slot is right.
    Confirm {
        /// Digest of the image in it.
        image: String,
    },
    /// Restart the machine.
    Restart {
        /// Why.
        sentence: &'static str,
    },
}

/// What the agent of a machine is to do. `image`: digest of what its role's `os` is now; `None` if that is not there.
pub fn duty(plan: &Plan, device: DeviceId, machine: &Machine, image: Option<&str>, now: Time) -> Duty {
    let Some((layout, running)) = layout_of(plan, device).zip(machine.running.as_ref()) else {
        return Duty::Nothing;
    };
    let under_way = matches!(machine.state, State::Installing { .. });
    let allowed = |purpose: Purpose| {
        let armed = machine.armed.filter(|armed| {
            armed.generation == plan.generation && armed.purpose == purpose && armed.undo_until.is_none()
        });
        armed.filter(|armed| now < armed.until || under_way)
    };
    match running {
        Running::Memory => match machine.state {
            State::Installing { .. } if machine.armed.is_none() && machine.installed.is_some() => {
                Duty::Restart { sentence: "its system is written" }
            }
            State::Validating { hardware_fits: true } | State::Installing { .. }
                if image.is_some()
                    && machine.miscabled.is_none()
                    && !burn_in::is_its_turn(plan, device, machine) =>
            {
                let found = machine.hardware.as_ref().map(|hardware| hardware.disks.as_slice());
                let disks = disks(layout, found.unwrap_or_default()).ok();
                match allowed(Purpose::Install).zip(disks) {
                    Some((armed, disks)) => Duty::Install { allowed_at: armed.since, disks: Some(disks) },
                    None => Duty::Nothing,
                }
            }
            _ => Duty::Nothing,
        },
        Running::Disk { image: runs, on_trial, .. } => {
            if *on_trial && machine.state == State::Ready {
                return Duty::Confirm { image: runs.clone() };
            }
            let is_out = matches!(machine.state, State::Validating { .. } | State::Failed { .. });
            if (under_way || is_out) && is_unstarted(machine) {
                return Duty::Restart { sentence: "its other slot is written" };
            }
            // Firmware that starts from disk all the same must not be restarted for ever.
            if allowed(Purpose::Install).is_some_and(|armed| armed.since > machine.running_since) {
                return Duty::Restart { sentence: "it is to be installed anew" };
            }
            let wanted = image.filter(|image| image != runs && layout.slots == 2 && !on_trial);
            let is_rejected = machine.rejected.as_ref().map(|rejected| rejected.image.as_str()) == wanted;
            match allowed(Purpose::Upgrade).filter(|_| machine.miscabled.is_none()) {
                Some(armed) if wanted.is_some() && !is_rejected => {
                    Duty::Install { allowed_at: armed.since, disks: None }
                }
                _ => Duty::Nothing,
            }
        }
    }
}

/// Whether another system is written than the one that it runs from: it has not started that yet, and what it says is of the old one.
pub(crate) fn is_unstarted(machine: &Machine) -> bool {
    let Some(Running::Disk { image: runs, .. }) = &machine.running else { return false };
    machine.installed.as_ref().is_some_and(|written| written.image.as_ref() != Some(runs))
}

/// Whether it is about to restart into a system that it has written.
pub(crate) fn is_to_start(machine: &Machine) -> bool {
    matches!(machine.state, State::Installing { .. }) && machine.armed.is_none() && is_unstarted(machine)
}

/// Why nothing may be written to a machine's disks at this time, all of them anew; `None`: it may.
pub(crate) fn unreleased(plan: &Plan, machine: &Machine, now: Time) -> Option<String> {
    let is_under_way = matches!(machine.state, State::Installing { .. });
    let why = match machine.armed {
        None => "it is not armed".to_owned(),
        Some(armed) if armed.generation != plan.generation => {
            format!("it was armed for plan {}, and {} is in force", armed.generation, plan.generation)
        }
        Some(Armed { purpose: Purpose::Upgrade, .. }) => "only its other slot may be written".to_owned(),
        Some(armed) if now >= armed.until && !is_under_way => {
            "the time in which they might be written is over".to_owned()
        }
        Some(_) => return None,
    };
    // What is on its disks is not wiped by a word that is meant for empty ones.
    Some(match machine.installed {
        None => format!("{why} (`zw arm`)"),
        Some(_) => format!("{why} (`zw reinstall`; restarted as it is, it starts from its disks)"),
    })
}

/// The role of a machine whose system we write.
pub fn role_of(plan: &Plan, device: DeviceId) -> Option<&Role> {
    let role = plan.design.devices[device.index()].role?;
    Some(&plan.design.roles[role.index()]).filter(|role| role.os.is_some())
}

fn layout_of(plan: &Plan, device: DeviceId) -> Option<&Layout> {
    let layout = role_of(plan, device)?.disks?;
    Some(&plan.design.layouts[layout.index()])
}

/// Whether the machine runs from memory in order to be written: it is not what will be ready, and not checked as such.
pub fn is_installer(plan: &Plan, device: DeviceId, machine: &Machine) -> bool {
    machine.running == Some(Running::Memory) && role_of(plan, device).is_some()
}

/// Why the system cannot be written to what was found, if the machine's system is ours to write.
pub fn obstacle(plan: &Plan, device: DeviceId, found: &[Found]) -> Option<String> {
    disks(layout_of(plan, device)?, found).err()
}

/// Which of the disks that were found hold the system. The smallest that fit, since large ones are for data; among equals, by
/// name, which is the same for as long as the machine runs.
///
/// # Errors
/// What is missing, a sentence.
pub fn disks(layout: &Layout, found: &[Found]) -> Result<Disks, String> {
    let fits = |disk: &&Found| {
        layout.kind.as_ref().is_none_or(|kind| *kind == disk.kind)
            && layout.size_bytes.is_none_or(|size| about(size, disk.size_bytes))
    };
    let mut fitting: Vec<&Found> = found.iter().filter(fits).collect();
    fitting.sort_by(|a, b| {
        a.size_bytes.cmp(&b.size_bytes).then_with(|| natural(&a.name).cmp(&natural(&b.name)))
    });
    let wanted = layout.disks as usize;
    if fitting.len() < wanted {
        return Err(format!(
            "the layout {} needs {wanted} × {}{} disk, {} found",
            layout.name,
            layout.size_bytes.map(|size| size::decimal(size) + " ").unwrap_or_default(),
            layout.kind.as_deref().unwrap_or("any"),
            fitting.len()
        ));
    }
    fitting.truncate(wanted);
    let smallest = fitting.iter().map(|disk| disk.size_bytes).min().unwrap_or_default();
    let room = room(layout.raid, wanted as u64, smallest.saturating_sub(layout.esp_bytes + EDGES));
    let taken = u64::from(layout.slots) * layout.root_bytes
        + layout.volumes.iter().filter_map(|volume| volume.bytes).sum::<u64>();
    if taken > room {
        return Err(format!(
            "the layout {} needs {}, its disks have room for {}",
            layout.name,
            size::decimal(taken),
            size::decimal(room)
        ));
    }
    let system =
        fitting.iter().map(|disk| Disk { name: disk.name.clone(), size_bytes: disk.size_bytes }).collect();
    Ok(Disks {
        system,
        raid: layout.raid,
        esp_bytes: layout.esp_bytes,
        slots: layout.slots,
        root_bytes: layout.root_bytes,
        volumes: layout.volumes.clone(),
    })
}

/// What partition tables, the RAID's and the volume group's own data take of each disk, generously.
const EDGES: u64 = 256 << 20;

/// Octets for volumes on so many disks with so much room each.
fn room(raid: Option<Raid>, disks: u64, each: u64) -> u64 {
    match raid {
        None | Some(Raid::Raid1) => each,
        Some(Raid::Raid10) => each * (disks / 2),
    }
}

/// `sdb` before `sdaa`, `nvme2n1` before `nvme10n1`: shorter names first, then by letters.
fn natural(name: &str) -> (usize, &str) {
    (name.len(), name)
}

/// `writes root_a, 31 %, 85 MB/s`.
pub fn in_words(progress: &Progress) -> String {
    let Progress { step, done_bytes, total_bytes, bytes_per_second } = progress;
    match (u128::from(*done_bytes) * 100).checked_div(u128::from(*total_bytes)) {
        Some(percent) if *bytes_per_second > 0 => {
            format!("{step}, {percent} %, {}/s", size::decimal(*bytes_per_second))
        }
        Some(percent) => format!("{step}, {percent} %"),
        None => step.clone(),
    }
}

/// Its agent says what it runs in.
pub(crate) fn running(
    plan: &Plan,
    device: DeviceId,
    machine: &mut Machine,
    running: Option<&Running>,
    now: Time,
) -> Step {
    let before = (machine.running.clone(), machine.installed.clone());
    machine.running = running.cloned();
    machine.running_since = now;
    let found = match running {
        Some(Running::Memory) => None,
        Some(Running::Disk { slot, image, .. }) => Some((Some(image.clone()), Some(*slot))),
        None => {
            let installs = plan.design.image_of(device).is_some_and(|image| image.installs);
            installs.then_some((None, None))
        }
    };
    if let Some((image, slot)) = found {
        let written = machine.installed.as_ref();
        if written.is_none_or(|written| written.image != image) {
            if let Some(rejected) = written.and_then(|written| written.image.clone()) {
                let sentence = "the machine came back without it".to_owned();
                machine.rejected = Some(Rejected { image: rejected, sentence, at: now });
            }
            machine.installed = Some(Installed { image, slot, generation: plan.generation, at: now });
        }
    }
    Step {
        changed: before != (machine.running.clone(), machine.installed.clone()),
        view_changed: before.1.is_some() != machine.installed.is_some(),
        actions: vec![Action::TellAgent],
        ..Step::default()
    }
}

/// Whether its agent may say that this image is written: it is at it, or its connection broke meanwhile and it comes
/// back with an allowance that is not spent, or it says what it has said before.
pub(crate) fn is_ours(machine: &Machine, image: Option<&str>) -> bool {
    let is_told_again =
        || machine.installed.as_ref().is_some_and(|written| written.image.as_deref() == image);
    image.is_some()
        && match machine.state {
            State::Installing { .. } => true,
            State::Validating { .. } => machine.armed.is_some() || is_told_again(),
            _ => false,
        }
}

/// Whether the installer of a distribution may say that it is done: it was started with an allowance that still stands.
pub(crate) fn is_anothers(plan: &Plan, machine: &Machine, image: Option<&str>) -> bool {
    let is_allowed = |armed: Armed| armed.generation == plan.generation && armed.purpose == Purpose::Install;
    image.is_none()
        && matches!(machine.state, State::Booting { .. } | State::Installing { .. })
        && machine.armed.is_some_and(is_allowed)
}

/// Whether it boots a system that another installer wrote, in which no agent of ours was heard.
pub(crate) fn has_anothers(machine: &Machine) -> bool {
    machine.installed.as_ref().is_some_and(|written| written.image.is_none())
        && machine.armed.is_none()
        && machine.key_sha256.is_none()
}

/// A system was written: the allowance is spent.
pub(crate) fn installed(
    machine: &mut Machine,
    image: Option<String>,
    slot: Option<Slot>,
    generation: Generation,
    now: Time,
) {
    machine.armed = None;
    machine.start = None;
    machine.rejected = None;
    machine.installed = Some(Installed { image, slot, generation, at: now });
}

/// Somebody allows its disks to be written.
///
/// # Errors
/// Why not.
pub(crate) fn arm(machine: &mut Machine, armed: Armed) -> Result<(), &'static str> {
    if matches!(machine.state, State::Retired { .. }) {
        return Err("it is retired");
    }
    if armed.purpose == Purpose::Upgrade && !matches!(machine.running, Some(Running::Disk { .. })) {
        return Err("it runs no system of ours whose other slot could be written");
    }
    if machine.armed.is_some_and(|known| known.generation == armed.generation && armed.since < known.until)
        && has_order(machine)
    {
        return Err("its agent has the order already");
    }
    machine.rejected = None;
    machine.armed = Some(armed);
    Ok(())
}

/// Whether its agent has its order in hand: another one would only be in its way.
fn has_order(machine: &Machine) -> bool {
    let is_to_wipe = |armed: Armed| armed.undo_until.is_none() && armed.purpose == Purpose::Install;
    let is_there = starting::is_there(machine) && machine.state == State::Validating { hardware_fits: true };
    is_there && machine.armed.is_some_and(is_to_wipe) || matches!(machine.state, State::Installing { .. })
}

/// Takes an allowance back. What has an agent's hand on it already is not stopped half-way.
///
/// # Errors
/// Why not.
pub(crate) fn disarm(machine: &mut Machine) -> Result<(), &'static str> {
    if machine.armed.is_none() {
        return Err("it is not armed");
    }
    let is_of_change = |lease: &Lease| matches!(lease.holder, Holder::Change { .. });
    if machine.armed.is_some_and(|armed| armed.purpose == Purpose::Upgrade)
        && machine.lease.as_ref().is_some_and(is_of_change)
    {
        return Err(
            "a change allows it to write its other slot: `zw abort` ends that for all, `zw maintain` for this machine",
        );
    }
    if has_order(machine) {
        return Err("its agent has the order already: a system that is half written is worth nothing");
    }
    (machine.armed, machine.start) = (None, None);
    if machine.lease.as_ref().is_some_and(|lease| matches!(lease.holder, Holder::Operator { .. })) {
        machine.lease = None;
    }
    Ok(())
}

/// The machines of which what was asked can be taken back no more, and begins.
pub fn begin(zone: &Zone, now: Time) -> Vec<Location> {
    let is_over = |machine: &Machine| {
        machine.armed.and_then(|armed| armed.undo_until).is_some_and(|until| until <= now)
    };
    let machines = zone.facts().machines.iter().filter(|(_, machine)| is_over(machine));
    machines.map(|(location, _)| location.clone()).collect()
}
