//! Who is who in a plan: by location, by name, by address; and what is at the other end of a cable.
//!
//! Built once for each plan; packets do not need it (they have the View), people and events do.

use crate::design::PortRef;
use crate::ids::{DeviceId, InterfaceId, PortIndex};
use crate::location::Location;
use crate::plan::Plan;
use crate::quick::Map;
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The indices.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    locations: Map<Location, DeviceId>,
    names: Map<String, DeviceId>,
    /// Sorted by address, as are those of the other family: only people ask, and a table of hashes takes longer to make.
    addresses4: Vec<(Ipv4Addr, InterfaceId)>,
    addresses6: Vec<(Ipv6Addr, InterfaceId)>,
    /// Where each device's ports start in `far_ends`; one longer than the devices.
    first_port: Vec<u32>,
    far_ends: Vec<Option<PortRef>>,
}

/// What a target that a person wrote turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A location or a name.
    Device(DeviceId),
    /// An address, or `location:interface`.
    Interface(InterfaceId),
}

impl Roster {
    /// Indexes a plan.
    pub fn of(plan: &Plan) -> Self {
        let devices = &plan.design.devices;
        let mut roster = Self {
            locations: Map::with_capacity_and_hasher(devices.len(), BuildHasherDefault::default()),
            names: Map::with_capacity_and_hasher(devices.len(), BuildHasherDefault::default()),
            addresses4: Vec::with_capacity(plan.interfaces.len()),
            addresses6: Vec::with_capacity(plan.interfaces.len()),
            first_port: Vec::with_capacity(devices.len() + 1),
            far_ends: Vec::new(),
        };
        let mut ports = 0;
        roster.first_port.push(0);
        for (index, device) in devices.iter().enumerate() {
            let id = DeviceId::from_index(index);
            roster.locations.insert(device.location.clone(), id);
            roster.names.insert(device.name.clone(), id);
            ports += plan.design.models.get(device.model.index()).map_or(0, |model| model.ports.len());
            roster.first_port.push(u32::try_from(ports).expect("the design bounds the ports of a zone"));
        }
        for (index, interface) in plan.interfaces.iter().enumerate() {
            let id = InterfaceId::from_index(index);
            roster.addresses4.extend(interface.v4.map(|address| (address, id)));
            roster.addresses6.extend(interface.v6.map(|address| (address, id)));
        }
        roster.addresses4.sort_unstable_by_key(|(address, _)| u32::from(*address));
        roster.addresses6.sort_unstable_by_key(|(address, _)| u128::from(*address));
        roster.far_ends.resize(ports, None);
        for cable in &plan.design.cables {
            for (near, far) in [(cable.a, cable.b), (cable.b, cable.a)] {
                if let Some(socket) = roster.socket(near) {
                    roster.far_ends[socket] = Some(far);
                }
            }
        }
        roster
    }

    /// Where a port stands in `far_ends`, if there is such a port.
    fn socket(&self, port: PortRef) -> Option<usize> {
        let first = *self.first_port.get(port.device.index())? as usize;
        let end = *self.first_port.get(port.device.index() + 1)? as usize;
        Some(first + port.port.index()).filter(|socket| *socket < end)
    }

    /// The device at a location.
    pub fn device_at(&self, location: &Location) -> Option<DeviceId> {
        self.locations.get(location).copied()
    }

    /// The interface that holds an address.
    pub fn interface_of(&self, address: IpAddr) -> Option<InterfaceId> {
        match address {
            IpAddr::V4(address) => {
                let at = self.addresses4.binary_search_by_key(&address, |(address, _)| *address).ok()?;
                Some(self.addresses4[at].1)
            }
            IpAddr::V6(address) => {
                let at = self.addresses6.binary_search_by_key(&address, |(address, _)| *address).ok()?;
                Some(self.addresses6[at].1)
            }
        }
    }

    /// The port at the other end of the cable in `port`.
    pub fn far_end(&self, port: PortRef) -> Option<PortRef> {
        self.far_ends[self.socket(port)?]
    }

    /// The switch ports that a device is plugged into, in the order of its own ports: `(own port, switch port)`.
    pub fn uplinks<'a>(
        &'a self,
        plan: &'a Plan,
        device: DeviceId,
    ) -> impl Iterator<Item = (PortRef, PortRef)> + 'a {
        let ports = plan.design.models[plan.design.devices[device.index()].model.index()].ports.len();
        (0..ports).filter_map(move |port| {
            let own = PortRef { device, port: PortIndex::from_index(port) };
            let far = self.far_end(own)?;
            plan.design.devices[far.device.index()].kind.is_switch().then_some((own, far))
        })
    }

    /// What a person means by `p01/r1/u02`, `ams1/p01/r1/u02`, `hv-p01-r1-u02` (with the domain or without),
    /// `10.32.0.12`, or any of the first three followed by `:eno2`.
    pub fn find(&self, plan: &Plan, text: &str) -> Option<Target> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return self.interface_of(address).map(Target::Interface);
        }
        let (device, interface) = match text.split_once(':') {
            Some((device, interface)) => (device, Some(interface)),
            None => (text, None),
        };
        let device = self.find_device(plan, device)?;
        let Some(interface) = interface else { return Some(Target::Device(device)) };
        let first = plan.first_interface[device.index()] as usize;
        let at = plan.interfaces_of(device).iter().position(|candidate| candidate.name == interface)?;
        Some(Target::Interface(InterfaceId::from_index(first + at)))
    }

    fn find_device(&self, plan: &Plan, text: &str) -> Option<DeviceId> {
        let zone = &plan.design.zone;
        let name = text.strip_suffix('.').unwrap_or(text);
        let name =
            name.strip_suffix(zone.domain.as_str()).and_then(|name| name.strip_suffix('.')).unwrap_or(name);
        self.locations
            .get(text)
            .or_else(|| self.locations.get(format!("{}/{text}", zone.name).as_str()))
            .or_else(|| self.names.get(name))
            .copied()
    }
}
