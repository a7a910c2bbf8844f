//! Where in a subnet an interface stands: a function of slot numbers, never of order.
//!
//! A subnet is filled from its start, in regions whose sizes come from the capacity:
//!
//! | region        | addresses                                                                    |
//! |---------------|------------------------------------------------------------------------------|
//! | network       | 1, the subnet's own                                                          |
//! | gateway       | 1                                                                            |
//! | routers       | one per switch slot in reach                                                 |
//! | controllers   | [`CONTROLLERS_MAX`], if the network is for controllers                       |
//! | switches      | one per switch slot in reach, if it is for switches                          |
//! | machines      | one per unit in reach, if it is for machines                                 |
//! | BMCs          | one per unit in reach, if it is for BMCs                                     |
//! | more          | machines' (controllers') second, third, … interface on the network           |
//! | more BMCs     | [`CONTROLLERS_MAX`], if it is for BMCs and some controller has one           |
//! | spare         | as the network asks                                                          |
//!
//! Second interfaces come after all first ones, so a new server model with more of them grows the end of a subnet
//! and moves nobody. Routers come first, so that a switch's own address is the same whatever hangs below it.

use model::design::{Audience, Capacity, Design, Device, DeviceKind, Network, Scope};

/// Controllers per place (zone, pod or rack): their number is not part of the capacity. A zone runs on one, three
/// or five.
pub(super) const CONTROLLERS_MAX: u32 = 8;

/// How many slots of a kind one subnet of a scope reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    capacity: Capacity,
    scope: Scope,
}

impl Reach {
    fn units(self) -> u64 {
        let Capacity { pods, racks, units, .. } = self.capacity;
        match self.scope {
            Scope::Rack => u64::from(units),
            Scope::Pod => u64::from(racks) * u64::from(units),
            Scope::Zone => u64::from(pods) * u64::from(racks) * u64::from(units),
        }
    }

    fn switches(self) -> u64 {
        let Capacity { pods, racks, switches, .. } = self.capacity;
        let (pods, racks, switches) = (u64::from(pods), u64::from(racks), u64::from(switches));
        match self.scope {
            Scope::Rack => switches,
            Scope::Pod => (racks + 1) * switches,
            Scope::Zone => (pods * (racks + 1) + 1) * switches,
        }
    }
}

/// The place of a device in the drawing, in slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) pod: Option<u32>,
    pub(super) rack: Option<u32>,
    pub(super) slot: u32,
}

impl Place {
    pub(super) fn of(design: &Design, device: &Device) -> Self {
        Self {
            pod: device.pod.map(|pod| design.pods[pod.index()].slot),
            rack: device.rack.map(|rack| design.racks[rack.index()].slot),
            slot: device.slot,
        }
    }
}

/// The regions of the subnets of one network, as first offsets from the subnet's own address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regions {
    reach: Reach,
    controllers: u64,
    switches: u64,
    machines: u64,
    bmcs: u64,
    more_machines: u64,
    more_controllers: u64,
    controller_bmcs: u64,
    /// Addresses the subnet needs in all, with its own and the broadcast address.
    pub(super) size: u64,
}

/// What of the design, besides the capacity, the size of a subnet depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// The most interfaces any server model has on the network, rounded up to a power of two.
    pub(super) stride: u32,
    /// Some controller has a BMC.
    pub(super) controller_bmcs: bool,
}

impl Regions {
    pub(super) fn new(network: &Network, capacity: Capacity, extent: Extent) -> Self {
        let reach = Reach { capacity, scope: network.scope };
        let is_for = |audience| network.audience.contains(&audience);
        let mut next = 2 + reach.switches();
        let mut region = |wanted: bool, size: u64| {
            let start = next;
            next += if wanted { size } else { 0 };
            start
        };
        let (machine, bmc) = (is_for(Audience::Machine), is_for(Audience::Bmc));
        let controller = is_for(Audience::Controller);
        let further = u64::from(extent.stride.saturating_sub(1));
        let controllers = region(controller, CONTROLLERS_MAX.into());
        let switches = region(is_for(Audience::Switch), reach.switches());
        let machines = region(machine, reach.units());
        let bmcs = region(bmc, reach.units());
        let more_machines = region(machine, further * reach.units());
        let more_controllers = region(controller, further * u64::from(CONTROLLERS_MAX));
        let controller_bmcs = region(bmc && extent.controller_bmcs, CONTROLLERS_MAX.into());
        let size = next + u64::from(network.spare) + 1;
        Self {
            reach,
            controllers,
            switches,
            machines,
            bmcs,
            more_machines,
            more_controllers,
            controller_bmcs,
            size,
        }
    }

    /// The gateway's offset.
    pub(super) const GATEWAY: u64 = 1;

    /// The offset of a switch's own address as a router. `None` if the switch stands outside the subnet's reach:
    /// it then has only the gateway's address there.
    pub(super) fn router(&self, switch: Place) -> Option<u64> {
        Some(2 + self.switch_index(switch)?)
    }

    /// The offset of the `nth` interface (from 0) of a device on this network, as one of an audience. `None` if the
    /// device stands outside the subnet's reach.
    pub(super) fn host(&self, kind: DeviceKind, place: Place, audience: Audience, nth: u32) -> Option<u64> {
        let nth = u64::from(nth);
        let slot = u64::from(place.slot);
        match audience {
            Audience::Switch => Some(self.switches + self.switch_index(place)?),
            Audience::Controller if nth == 0 => Some(self.controllers + slot),
            Audience::Controller => {
                Some(self.more_controllers + (nth - 1) * u64::from(CONTROLLERS_MAX) + slot)
            }
            Audience::Bmc if kind == DeviceKind::Controller => Some(self.controller_bmcs + slot),
            Audience::Bmc => Some(self.bmcs + self.unit_index(place)?),
            Audience::Machine if nth == 0 => Some(self.machines + self.unit_index(place)?),
            Audience::Machine => {
                Some(self.more_machines + (nth - 1) * self.reach.units() + self.unit_index(place)?)
            }
        }
    }

    fn unit_index(&self, place: Place) -> Option<u64> {
        let (pod, rack, unit) = (u64::from(place.pod?), u64::from(place.rack?), u64::from(place.slot));
        let (racks, units) = (u64::from(self.reach.capacity.racks), u64::from(self.reach.capacity.units));
        Some(match self.reach.scope {
            Scope::Rack => unit,
            Scope::Pod => rack * units + unit,
            Scope::Zone => (pod * racks + rack) * units + unit,
        })
    }

    fn switch_index(&self, place: Place) -> Option<u64> {
        let Capacity { pods, racks, switches, .. } = self.reach.capacity;
        let (pods, racks, switches) = (u64::from(pods), u64::from(racks), u64::from(switches));
        let slot = u64::from(place.slot);
        // Within a pod: the racks' switches, then the pod's own. In the zone: the pods', then the root's.
        let in_pod = place.rack.map_or(racks, u64::from) * switches + slot;
        match (self.reach.scope, place.pod) {
            (Scope::Rack, _) => place.rack.map(|_| slot),
            (Scope::Pod, Some(_)) => Some(in_pod),
            (Scope::Zone, Some(pod)) => Some(u64::from(pod) * (racks + 1) * switches + in_pod),
            (Scope::Zone, None) => Some(pods * (racks + 1) * switches + slot),
            (Scope::Pod, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(scope: Scope, audience: &[Audience]) -> Network {
        Network {
            name: "n".into(),
            scope,
            audience: audience.to_vec(),
            vlan: None,
            native: false,
            interfaces: vec![],
            spare: 3,
            mtu: None,
            ipv4: true,
            ipv6: true,
            source: Default::default(),
        }
    }

    const CAPACITY: Capacity = Capacity { pods: 3, racks: 2, units: 5, switches: 2 };

    /// Every host and router offset that the capacity allows: none twice, none outside the subnet.
    #[test]
    fn no_two_slots_share_an_offset() {
        let extent = Extent { stride: 2, controller_bmcs: true };
        let everyone = [Audience::Machine, Audience::Bmc, Audience::Switch, Audience::Controller];
        for scope in [Scope::Zone, Scope::Pod, Scope::Rack] {
            let regions = Regions::new(&network(scope, &everyone), CAPACITY, extent);
            let (pods, racks) = match scope {
                Scope::Zone => (3, 2),
                Scope::Pod => (1, 2),
                Scope::Rack => (1, 1),
            };
            let mut places = vec![(None, None)];
            for pod in 0..pods {
                places.push((Some(pod), None));
                places.extend((0..racks).map(|rack| (Some(pod), Some(rack))));
            }
            let mut offsets = vec![0, Regions::GATEWAY];
            for (pod, rack) in places {
                let at = |slot| Place { pod, rack, slot };
                for slot in 0..CAPACITY.switches {
                    offsets.extend(regions.router(at(slot)));
                    offsets.extend(regions.host(DeviceKind::Leaf, at(slot), Audience::Switch, 0));
                }
                for slot in 0..CAPACITY.units {
                    for nth in 0..2 {
                        offsets.extend(regions.host(DeviceKind::Machine, at(slot), Audience::Machine, nth));
                    }
                    offsets.extend(regions.host(DeviceKind::Machine, at(slot), Audience::Bmc, 0));
                }
            }
            for slot in 0..CONTROLLERS_MAX {
                let at = Place { pod: None, rack: None, slot };
                for nth in 0..2 {
                    offsets.extend(regions.host(DeviceKind::Controller, at, Audience::Controller, nth));
                }
                offsets.extend(regions.host(DeviceKind::Controller, at, Audience::Bmc, 0));
            }
            let count = offsets.len();
            offsets.sort_unstable();
            offsets.dedup();
            assert_eq!(offsets.len(), count, "{scope:?}");
            // The regions are full: after the last host come the spare addresses and the broadcast address.
            assert_eq!(*offsets.last().unwrap() + 1 + 3 + 1, regions.size, "{scope:?}");
            assert_eq!(count as u64 + 3 + 1, regions.size, "{scope:?}");
        }
    }
}
