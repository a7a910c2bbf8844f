//! Which switches route each subnet and relay DHCP from it.

use super::devices;
use super::ends::FarEnds;
use super::slots::{Place, Regions};
use super::space::{Space, v4_at, v6_at};
use model::design::{Audience, Design, DeviceKind, Scope};
use model::ids::{DeviceId, PodId, RackId, SubnetId};
use model::plan::{Interface, Router, Subnet};

/// How many of the last pairs of subnet and switch are looked at for one that came already.
const NEIGHBOURS: usize = 8;

/// Sets the routers of every subnet: the relaying switches that its interfaces are cabled to. A subnet for switches,
/// and one whose interfaces meet no relay, is routed where its scope has its exits: the root's switches for the
/// zone, the pod's for a pod, the leaves for a rack.
pub(super) fn set(
    design: &Design,
    space: &Space,
    subnets: &mut [Subnet],
    interfaces: &[Interface],
    far_ends: &FarEnds,
) {
    let mut pairs: Vec<(SubnetId, DeviceId)> = Vec::new();
    for interface in interfaces {
        for port in &interface.ports {
            let Some(far) = far_ends.get(port.device, port.port) else { continue };
            let pair = (interface.subnet, far.device);
            // Neighbours are plugged into the same switches.
            let is_known = pairs.iter().rev().take(NEIGHBOURS).any(|known| *known == pair);
            if !is_known && relays(design, far.device) {
                pairs.push(pair);
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    let exits = Exits::of(design);
    let mut rest = pairs.as_slice();
    for (network, where_) in space.places(design) {
        let id = space.subnet_at(network, where_);
        let (mine, others) = rest.split_at(rest.partition_point(|(of, _)| *of <= id));
        rest = others;
        let mut switches: Vec<DeviceId> = mine.iter().map(|(_, switch)| *switch).collect();
        if switches.is_empty() || design.networks[network.index()].audience.contains(&Audience::Switch) {
            switches.extend_from_slice(exits.of_place(design, where_));
            switches.sort_unstable();
            switches.dedup();
        }
        let regions = space.regions(network);
        let subnet = &mut subnets[id.index()];
        subnet.routers =
            switches.into_iter().map(|switch| router(design, regions, subnet, where_, switch)).collect();
    }
}

/// A switch's foot in a subnet. A switch from outside the subnet's reach has no address of its own there, but the
/// gateway's: nothing is reserved for it, since that would take a slot for every switch of the zone in each rack.
fn router(
    design: &Design,
    regions: &Regions,
    subnet: &Subnet,
    where_: Whereabouts,
    switch: DeviceId,
) -> Router {
    let device = &design.devices[switch.index()];
    let is_within = match where_ {
        Whereabouts::Zone => true,
        Whereabouts::Pod(pod) => device.pod == Some(pod),
        Whereabouts::Rack(rack) => device.rack == Some(rack),
    };
    let offset = if is_within { regions.router(Place::of(design, device)) } else { None };
    Router {
        switch,
        v4: subnet.v4.zip(offset).map(|(net, offset)| v4_at(net, offset)),
        v6: subnet.v6.zip(offset).map(|(net, offset)| v6_at(net, offset)),
    }
}

/// Where a subnet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whereabouts {
    Zone,
    Pod(PodId),
    Rack(RackId),
}

impl Whereabouts {
    /// All places of a scope, in order.
    pub(super) fn of_scope(design: &Design, scope: Scope) -> Vec<Self> {
        match scope {
            Scope::Zone => vec![Self::Zone],
            Scope::Pod => (0..design.pods.len()).map(|index| Self::Pod(PodId::from_index(index))).collect(),
            Scope::Rack => {
                (0..design.racks.len()).map(|index| Self::Rack(RackId::from_index(index))).collect()
            }
        }
    }
}

/// Whether a device is a switch whose relay writes Option 82.
pub(super) fn relays(design: &Design, device: DeviceId) -> bool {
    let device = &design.devices[device.index()];
    device.kind.is_switch() && design.models[device.model.index()].circuit_id.is_some()
}

/// The relaying switches by where they stand.
#[derive(Debug)]
struct Exits {
    root: Vec<DeviceId>,
    pods: Vec<Vec<DeviceId>>,
    /// The leaves of each rack.
    racks: Vec<Vec<DeviceId>>,
}

impl Exits {
    fn of(design: &Design) -> Self {
        let mut exits = Self {
            root: Vec::new(),
            pods: vec![Vec::new(); design.pods.len()],
            racks: vec![Vec::new(); design.racks.len()],
        };
        for (id, device) in devices(design).filter(|(id, _)| relays(design, *id)) {
            match (device.pod, device.rack) {
                (_, Some(rack)) if device.kind == DeviceKind::Leaf => exits.racks[rack.index()].push(id),
                (_, Some(_)) => {}
                (Some(pod), None) => exits.pods[pod.index()].push(id),
                (None, None) => exits.root.push(id),
            }
        }
        exits
    }

    /// The exits of a place; if it has none of its own, those of the place around it.
    fn of_place(&self, design: &Design, where_: Whereabouts) -> &[DeviceId] {
        match where_ {
            Whereabouts::Rack(rack) if !self.racks[rack.index()].is_empty() => &self.racks[rack.index()],
            Whereabouts::Rack(rack) => {
                self.of_place(design, Whereabouts::Pod(design.racks[rack.index()].pod))
            }
            Whereabouts::Pod(pod) if !self.pods[pod.index()].is_empty() => &self.pods[pod.index()],
            Whereabouts::Pod(_) | Whereabouts::Zone => &self.root,
        }
    }
}
