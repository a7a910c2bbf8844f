//! Plan → what other people's tools read: `zw export`.
//!
//! | module       | text                              | reader                          |
//! |--------------|-----------------------------------|---------------------------------|
//! | `ansible`    | inventory, YAML                   | `ansible-inventory -i FILE`     |
//! | `prometheus` | targets and labels, JSON          | `file_sd_configs`, HTTP SD      |
//! | `hosts`      | addresses and names               | `/etc/hosts`                    |
//! | `cables`     | a wiring file, CSV                | people, and `zw` itself         |
//! | `dot`        | the zone as a graph               | Graphviz                        |
//!
//! All rows come in the order of the design; the same plan gives the same text.

mod ansible;
mod cables;
mod dot;
mod hosts;
mod prometheus;

pub use ansible::ansible;
pub use cables::cables;
pub use dot::dot;
pub use hosts::hosts;
pub use prometheus::prometheus;

use model::Plan;
use model::design::{Audience, Device, DeviceKind};
use model::ids::DeviceId;
use model::plan::Interface;
use std::net::IpAddr;

/// Machines and controllers: what runs an operating system that somebody looks after.
fn machines(plan: &Plan) -> impl Iterator<Item = (DeviceId, &Device)> {
    let devices = plan.design.devices.iter().enumerate();
    devices
        .filter(|(_, device)| matches!(device.kind, DeviceKind::Machine | DeviceKind::Controller))
        .map(|(index, device)| (DeviceId::from_index(index), device))
}

/// The address by which a device is reached: its first interface's, IPv4 before IPv6.
fn address(plan: &Plan, device: DeviceId) -> Option<IpAddr> {
    let interface =
        plan.interfaces_of(device).iter().find(|interface| interface.audience != Audience::Bmc)?;
    either(interface)
}

/// The address of its BMC.
fn bmc_address(plan: &Plan, device: DeviceId) -> Option<IpAddr> {
    either(plan.interfaces_of(device).iter().find(|interface| interface.audience == Audience::Bmc)?)
}

fn either(interface: &Interface) -> Option<IpAddr> {
    interface.v4.map(IpAddr::V4).or(interface.v6.map(IpAddr::V6))
}

/// What is said of a machine besides its name and address: word and value, both as they are.
fn labels<'p>(plan: &'p Plan, device: &'p Device) -> Vec<(&'static str, &'p str)> {
    let design = &plan.design;
    let mut labels = vec![("location", device.location.as_str())];
    labels.extend(device.pod.map(|pod| ("pod", design.pods[pod.index()].location.leaf())));
    labels.extend(device.rack.map(|rack| ("rack", design.racks[rack.index()].location.leaf())));
    labels.extend(device.role.map(|role| ("role", design.roles[role.index()].name.as_str())));
    labels.push(("model", design.models[device.model.index()].name.as_str()));
    labels
}
