//! A plan's tables the other way round: what stands in a place, which cables a device has, and whose sheet a cable is on.

use super::places::Place;
use model::Plan;
use model::design::{Cable, Design, Device, DeviceKind, Model, PortRef};
use model::ids::DeviceId;
use std::collections::HashMap;

/// The tables.
pub(super) struct Index<'p> {
    pub(super) plan: &'p Plan,
    devices: HashMap<Place, Vec<DeviceId>>,
    /// Numbers of cables, for each device; a cable from a device to itself twice.
    cables: Vec<Vec<usize>>,
}

impl<'p> Index<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let design = &plan.design;
        let mut devices: HashMap<Place, Vec<DeviceId>> = HashMap::new();
        for (index, device) in design.devices.iter().enumerate() {
            devices.entry(Place::of(device)).or_default().push(DeviceId::from_index(index));
        }
        let mut cables = vec![Vec::new(); design.devices.len()];
        for (index, cable) in design.cables.iter().enumerate() {
            cables[cable.a.device.index()].push(index);
            cables[cable.b.device.index()].push(index);
        }
        Self { plan, devices, cables }
    }

    pub(super) fn design(&self) -> &'p Design {
        &self.plan.design
    }

    /// What stands there, in the order of the design.
    pub(super) fn devices_in(&self, place: Place) -> &[DeviceId] {
        self.devices.get(&place).map_or(&[], Vec::as_slice)
    }

    pub(super) fn device(&self, id: DeviceId) -> &'p Device {
        &self.design().devices[id.index()]
    }

    pub(super) fn model(&self, id: DeviceId) -> &'p Model {
        &self.design().models[self.device(id).model.index()]
    }

    pub(super) fn place(&self, id: DeviceId) -> Place {
        Place::of(self.device(id))
    }

    /// Each cable's end on the device, and the other, in the order of its ports.
    pub(super) fn cables_of(&self, id: DeviceId) -> Vec<(PortRef, PortRef)> {
        let both = |number: &usize| {
            let cable = &self.design().cables[*number];
            if cable.a.device == id { (cable.a, cable.b) } else { (cable.b, cable.a) }
        };
        let mut ends: Vec<(PortRef, PortRef)> = self.cables[id.index()].iter().map(both).collect();
        ends.sort_unstable();
        ends
    }

    /// A port's name.
    pub(super) fn port(&self, port: PortRef) -> &'p str {
        self.model(port.device).ports.get(port.port.index()).map_or("", String::as_str)
    }

    /// What a device is called on the sheet of a place: short where that cannot be mistaken.
    pub(super) fn short(&self, id: DeviceId, place: Place) -> &'p str {
        let device = self.device(id);
        if Place::of(device) == place { device.location.leaf() } else { &device.name }
    }

    /// The number of a machine's unit, as the design counts.
    pub(super) fn unit(&self, id: DeviceId) -> Option<u32> {
        let device = self.device(id);
        let stands = device.rack.is_some() && device.kind == DeviceKind::Machine;
        stands.then(|| device.slot + self.design().zone.count_from)
    }

    /// `leaf · leaf48`, `hypervisor · r650`.
    pub(super) fn kind(&self, id: DeviceId) -> String {
        let device = self.device(id);
        let what = match device.role {
            Some(role) => self.design().roles[role.index()].name.as_str(),
            None => kind_word(device.kind),
        };
        let model = self.model(id);
        let height = if model.height > 1 { format!(" · {}U", model.height) } else { String::new() };
        format!("{what} · {}{height}", model.name)
    }
}

/// A device's kind, as the design writes it.
pub(super) fn kind_word(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Core => "core",
        DeviceKind::Spine => "spine",
        DeviceKind::Leaf => "leaf",
        DeviceKind::Lom => "lom",
        DeviceKind::Machine => "machine",
        DeviceKind::Controller => "controller",
        DeviceKind::Other => "other",
    }
}

/// How near the middle of the network a kind stands; a cable is listed with its outer end.
pub(super) fn tier(kind: DeviceKind) -> u8 {
    match kind {
        DeviceKind::Core => 0,
        DeviceKind::Spine => 1,
        DeviceKind::Leaf => 2,
        DeviceKind::Lom => 3,
        DeviceKind::Other => 4,
        DeviceKind::Machine | DeviceKind::Controller => 5,
    }
}

/// The outer end of a cable and the inner one. Between equals the one that is written first is the outer.
pub(super) fn outer_first(design: &Design, cable: &Cable) -> (PortRef, PortRef) {
    let tier_of = |end: PortRef| tier(design.devices[end.device.index()].kind);
    if tier_of(cable.b) > tier_of(cable.a) { (cable.b, cable.a) } else { (cable.a, cable.b) }
}

/// `1 rack`, `7 racks`.
pub(super) fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
