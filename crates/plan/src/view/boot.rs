//! The part of the view that TFTP and HTTP boot are answered from.

use super::Known;
use model::design::{Audience, Device, DeviceKind};
use model::facts::{Armed, Machine, Purpose, State};
use model::ids::ImageId;
use model::view::{Boot, BootImage, BootView, FileId, Places, Site};
use model::{DeviceId, Mac, Plan};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Prepares it.
pub(super) fn view(plan: &Plan, known: &Known<'_>, places: Arc<Places>, site: &Arc<Site>) -> BootView {
    let files: HashMap<String, FileId> =
        site.files.iter().zip(0..).map(|(file, position)| (file.name.clone(), FileId(position))).collect();
    let controllers = controllers(plan, site);
    BootView {
        images: plan.design.images.iter().map(|image| boot_image(image, &files, site)).collect(),
        seen: seen(plan, known),
        boots: boots(plan, known),
        controllers,
        site: Arc::clone(site),
        files,
        places,
    }
}

/// Who asks.
pub(super) fn places(plan: &Plan) -> Places {
    let devices = &plan.design.devices;
    let mut machines4 = Vec::new();
    let mut machines6 = Vec::new();
    for interface in plan.interfaces.iter().filter(|interface| interface.audience == Audience::Machine) {
        machines4.extend(interface.v4.map(|address| (address, interface.device)));
        machines6.extend(interface.v6.map(|address| (address, interface.device)));
    }
    machines4.sort_unstable();
    machines6.sort_unstable();
    let mut by_location: Vec<DeviceId> = (0..devices.len()).map(DeviceId::from_index).collect();
    // A drawing is mostly in order: a stable sort takes what is.
    by_location.sort_by(|a, b| devices[a.index()].location.cmp(&devices[b.index()].location));
    Places { machines4, machines6, by_location }
}

/// The controllers' addresses.
fn controllers(plan: &Plan, site: &Site) -> Vec<IpAddr> {
    let of_audience = plan.interfaces.iter().filter(|interface| interface.audience == Audience::Controller);
    let both = of_audience.flat_map(|it| [it.v4.map(IpAddr::V4), it.v6.map(IpAddr::V6)]);
    reached_at(&site.controllers, both.flatten().collect(), site.is_shared)
}

/// Those of the site, or else those the plan gives them. Where they share what they know, both: the plan's only if the site's are among
/// them, since whoever serves at an address of its own has others that do so too.
fn reached_at(own: &[IpAddr], planned: Vec<IpAddr>, is_shared: bool) -> Vec<IpAddr> {
    let is_of_plan = own.iter().any(|address| planned.contains(address));
    let mut all = own.to_vec();
    if own.is_empty() || is_shared && is_of_plan {
        all.extend(planned.into_iter().filter(|address| !own.contains(address)));
    }
    all
}

fn boot_image(image: &model::design::Image, files: &HashMap<String, FileId>, site: &Site) -> BootImage {
    let name = |path: &String| format!("image/{}/{path}", image.name);
    let kernel = name(&image.kernel);
    let initrd: Vec<String> = image.initrd.iter().map(name).collect();
    let is_anywhere = |name: &String| files.contains_key(name) || site.elsewhere.binary_search(name).is_ok();
    let missing = std::iter::once(&kernel).chain(&initrd).find(|name| !is_anywhere(name)).cloned();
    let (name, args) = (image.name.clone(), image.args.clone());
    BootImage { name, kernel, initrd, args, mark: image.mark(), missing }
}

/// What machines showed whose image has templates.
fn seen(plan: &Plan, known: &Known<'_>) -> HashMap<DeviceId, Vec<(String, Mac)>> {
    let of =
        |machine: &Machine| machine.sightings.iter().map(|(port, seen)| (port.clone(), seen.mac)).collect();
    let has =
        |device: &DeviceId| plan.design.image_of(*device).is_some_and(|image| !image.templates.is_empty());
    known.iter().filter(|(device, _)| has(device)).map(|(device, machine)| (*device, of(machine))).collect()
}

/// What each device boots.
fn boots(plan: &Plan, known: &Known<'_>) -> Vec<Boot> {
    let devices = &plan.design.devices;
    let mut boots: Vec<_> = devices.iter().map(|device| boot(plan, device, None)).collect();
    for (device, machine) in known {
        boots[device.index()] = boot(plan, &devices[device.index()], Some(machine));
    }
    boots
}

/// What a device boots.
fn boot(plan: &Plan, device: &Device, machine: Option<&Machine>) -> Boot {
    if device.kind != DeviceKind::Machine {
        return Boot::Nothing;
    }
    match machine.map(|machine| &machine.state) {
        Some(State::Retired { .. }) => return Boot::Retired,
        Some(State::Maintenance { reason, by }) => {
            return Boot::Maintenance { reason: reason.as_str().into(), by: by.as_str().into() };
        }
        _ => {}
    }
    let role = device.role.map(|role| &plan.design.roles[role.index()]);
    let Some(image) = role.and_then(|role| role.boot) else { return Boot::LocalDisk };
    if !plan.design.images[image.index()].installs {
        return Boot::Image(image);
    }
    installer(plan, image, machine)
}

/// An image that writes disks: only an armed machine gets it, and what is installed already boots from its disk.
fn installer(plan: &Plan, image: ImageId, machine: Option<&Machine>) -> Boot {
    let armed = machine.and_then(|machine| machine.armed);
    let is_installed = machine.is_some_and(|machine| machine.installed.is_some());
    // An allowance for the other slot wipes nothing.
    let is_good = |armed: &Armed| {
        armed.generation == plan.generation && armed.purpose == Purpose::Install && armed.undo_until.is_none()
    };
    if let Some(armed) = armed.filter(is_good) {
        return Boot::Installer { image, until: armed.until, is_installed };
    }
    if is_installed {
        return Boot::LocalDisk;
    }
    Boot::NotArmed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_share_what_they_know_are_all_told_of() {
        let check = |own: &[&str], is_shared: bool, expected: &[&str]| {
            let addresses =
                |all: &[&str]| all.iter().map(|it| it.parse().expect("an address")).collect::<Vec<IpAddr>>();
            let planned = addresses(&["10.0.0.1", "10.0.0.2"]);
            assert_eq!(reached_at(&addresses(own), planned, is_shared), addresses(expected), "{own:?}");
        };
        check(&[], false, &["10.0.0.1", "10.0.0.2"]);
        check(&["10.0.0.2"], false, &["10.0.0.2"]);
        check(&["10.0.0.2"], true, &["10.0.0.2", "10.0.0.1"]);
        // At an address of its own: where the others are is not the plan's to say.
        check(&["192.0.2.2"], true, &["192.0.2.2"]);
    }
}
