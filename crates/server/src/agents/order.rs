//! What an agent is told to do with its machine. What that is was decided by `lifecycle`; here it gets the words.

use api::agent::{FromController, Lease};
use api::install::{Order, OsImage};
use lifecycle::installing::{Duty, duty, role_of};
use model::facts::Machine;
use model::{DeviceId, Plan, Time, View};
use std::net::IpAddr;

/// A system on trial that was not found right by then restarts its machine, and falls back: booting, a report and the role's
/// checks take a few minutes on slow hardware.
const TRIAL_SECONDS: u32 = 900;

/// What to say of trying it out under load; `None`: nothing. It comes before anything is done with its disks, and needs no view: a
/// burn-in that is under way goes on while one is replaced.
pub(crate) fn burn_in(plan: &Plan, device: DeviceId, machine: &Machine) -> Option<FromController> {
    let order = lifecycle::burn_in::order(plan, device, machine)?;
    Some(FromController::BurnIn { order: Some(order) })
}

/// What to say of restarting its machine, which a lease was taken for; `None`: nothing.
pub(crate) fn restart(machine: &Machine) -> Option<FromController> {
    let lease = machine.lease.as_ref().filter(|_| lifecycle::change::is_to_restart(machine))?;
    let sentence = format!("{}: {}", lease.holder, lease.reason);
    Some(FromController::Restart { sentence, lease: told(machine) })
}

/// The lease of its machine, as its agent is told.
fn told(machine: &Machine) -> Option<Lease> {
    let lease = machine.lease.as_ref()?;
    Some(Lease { holder: lease.holder.to_string(), reason: lease.reason.clone(), until: lease.deadline })
}

/// What to say of its disks; `None`: nothing.
pub(crate) fn frame(view: &View, device: DeviceId, machine: &Machine, now: Time) -> Option<FromController> {
    let plan = &view.plan;
    let os = role_of(plan, device)?.os?;
    let os = &plan.design.systems[os.index()];
    let digest = view.boot.site.systems.get(&os.name).map(String::as_str);
    let (allowed_at, disks) = match duty(plan, device, machine, digest, now) {
        Duty::Nothing => return None,
        Duty::Confirm { image } => return Some(FromController::Confirm { image }),
        Duty::Restart { sentence } => {
            return Some(FromController::Restart { sentence: sentence.to_owned(), lease: told(machine) });
        }
        Duty::Install { allowed_at, disks } => (allowed_at, disks),
    };
    let (ports, controllers) = (view.boot.site.ports, &view.boot.controllers);
    let source =
        |controller: &IpAddr| format!("{}/os/{}/", render::ipxe::base(*controller, ports, false), os.name);
    let seen: Vec<_> = machine.sightings.iter().map(|(port, seen)| (port.clone(), seen.mac)).collect();
    let location = plan.design.devices[device.index()].location.as_str();
    let speak = render::ipxe::Machine { location, controllers, near: &[], ports, is_secure: false };
    let order = Order {
        generation: plan.generation,
        allowed_at,
        image: OsImage {
            name: os.name.clone(),
            digest: digest?.to_owned(),
            sources: controllers.iter().map(source).collect(),
        },
        disks,
        arguments: render::ipxe::disk_arguments(&speak, &view.boot.site.ca_sha256, &os.args),
        files: render::system::files(plan, device, &seen),
        trial_seconds: TRIAL_SECONDS,
    };
    Some(FromController::Install { order: Box::new(order) })
}
