//! Every addressed interface: one row per jack and network, in device order.

use super::devices;
use super::ends::FarEnds;
use super::jacks::{Foot, Jack, ModelJacks};
use super::slots::Place;
use super::space::Space;
use model::design::{Audience, Design, Device, DeviceKind, PortRef};
use model::finding::{Code, Finding};
use model::ids::{DeviceId, ModelId, PortIndex};
use model::plan::Interface;
use std::collections::BTreeMap;

/// The interfaces, and what binding them needs to know.
#[derive(Debug, Default)]
pub(super) struct Addressed {
    pub(super) interfaces: Vec<Interface>,
    pub(super) first_interface: Vec<u32>,
    /// For each interface: the number of its jack among those of its device's model and kind, and of its foot.
    pub(super) jacks: Vec<(u16, u16)>,
}

/// Addresses every interface that a cable joins to a switch, and every switch's own.
///
/// A plug that nothing is plugged into gets no address: its name would resolve to nobody.
pub(super) fn of(
    design: &Design,
    space: &Space,
    jacks: &[ModelJacks],
    far_ends: &FarEnds,
    findings: &mut Vec<Finding>,
) -> Addressed {
    let expected = 3 * design.devices.len();
    let mut addressed = Addressed {
        interfaces: Vec::with_capacity(expected),
        first_interface: Vec::with_capacity(design.devices.len() + 1),
        jacks: Vec::with_capacity(expected),
    };
    let mut without_network: BTreeMap<(ModelId, usize, bool), (usize, DeviceId)> = BTreeMap::new();
    for (id, device) in devices(design) {
        addressed.first_interface.push(count(&addressed.interfaces));
        let place = Place::of(design, device);
        let mut is_first = true;
        for (number, jack) in jacks[device.model.index()].of_kind(device.kind).iter().enumerate() {
            let mut ports = ports_of(design, far_ends, id, device, jack);
            let is_cabled = ports.iter().any(|port| is_at_switch(design, far_ends, *port));
            if !is_cabled && !device.kind.is_switch() {
                continue;
            }
            if jack.feet.is_empty() && is_cabled {
                let is_controller = device.kind == DeviceKind::Controller;
                without_network.entry((device.model, number, is_controller)).or_insert((0, id)).0 += 1;
            }
            for (foot_number, foot) in jack.feet.iter().enumerate() {
                let Some(mut interface) = stand(space, id, device, place, foot) else { continue };
                // The device's own name is its first interface's, but never its BMC's.
                if is_first && foot.audience != Audience::Bmc {
                    is_first = false;
                    interface.dns_name.clone_from(&device.name);
                } else {
                    interface.dns_name.reserve_exact(device.name.len() + foot.dns_suffix.len());
                    interface.dns_name.push_str(&device.name);
                    interface.dns_name.push_str(&foot.dns_suffix);
                }
                let is_last = foot_number + 1 == jack.feet.len();
                interface.ports = if is_last { std::mem::take(&mut ports) } else { ports.clone() };
                addressed.interfaces.push(interface);
                let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
                addressed.jacks.push((short(number), short(foot_number)));
            }
        }
    }
    addressed.first_interface.push(count(&addressed.interfaces));
    for ((model, number, is_controller), (count, first)) in without_network {
        let kind = if is_controller { DeviceKind::Controller } else { design.devices[first.index()].kind };
        let jack = &jacks[model.index()].of_kind(kind)[number];
        findings.push(no_network(design, model, jack, count, first));
    }
    addressed
}

fn count(interfaces: &[Interface]) -> u32 {
    u32::try_from(interfaces.len()).unwrap_or(u32::MAX)
}

/// The row of one foot, without name and ports. `None` if the network does not reach the device.
fn stand(space: &Space, id: DeviceId, device: &Device, place: Place, foot: &Foot) -> Option<Interface> {
    let subnet = space.subnet_of(foot.network, device.pod, device.rack)?;
    let offset = space.regions(foot.network).host(device.kind, place, foot.audience, foot.nth)?;
    let (v4, v6) = space.addresses(foot.network, place, offset);
    Some(Interface {
        device: id,
        name: foot.interface.clone(),
        dns_name: String::new(),
        audience: foot.audience,
        subnet,
        v4,
        v6,
        ports: Vec::new(),
    })
}

/// The ports that carry a jack: the model's; for a switch without an out-of-band cable, its cables towards the root.
fn ports_of(design: &Design, far_ends: &FarEnds, id: DeviceId, device: &Device, jack: &Jack) -> Vec<PortRef> {
    let own: Vec<PortRef> = jack.ports.iter().map(|&port| PortRef { device: id, port }).collect();
    if !device.kind.is_switch() || own.iter().any(|port| is_at_switch(design, far_ends, *port)) {
        return own;
    }
    let ports = design.models[device.model.index()].ports.len();
    let uplink = |port: &PortRef| {
        let far = far_ends.get(port.device, port.port);
        far.is_some_and(|far| tier(design.devices[far.device.index()].kind) < tier(device.kind))
    };
    (0..ports)
        .map(|index| PortRef { device: id, port: PortIndex::from_index(index) })
        .filter(uplink)
        .collect()
}

/// How far from the root a switch stands; what is no switch is farthest.
fn tier(kind: DeviceKind) -> u8 {
    match kind {
        DeviceKind::Core => 0,
        DeviceKind::Spine => 1,
        DeviceKind::Leaf => 2,
        DeviceKind::Lom => 3,
        DeviceKind::Machine | DeviceKind::Controller | DeviceKind::Other => u8::MAX,
    }
}

fn is_at_switch(design: &Design, far_ends: &FarEnds, port: PortRef) -> bool {
    far_ends
        .get(port.device, port.port)
        .is_some_and(|far| design.devices[far.device.index()].kind.is_switch())
}

fn no_network(design: &Design, model: ModelId, jack: &Jack, count: usize, first: DeviceId) -> Finding {
    let model = &design.models[model.index()];
    let first = &design.devices[first.index()];
    let (others, verb, they) = match count - 1 {
        0 => (String::new(), "is", "it gets"),
        others => (format!(" and {others} more"), "are", "they get"),
    };
    Finding::warning(
        Code::NoNetwork,
        model.source,
        format!(
            "`{}` of {}{others} {verb} cabled, but no network is for it, so {they} no address",
            jack.name, first.location
        ),
    )
    .related(first.source, format!("{} is written here", first.location))
    .help("add a `network` block `for` it, or list the interface in an existing network's `interfaces`")
}
