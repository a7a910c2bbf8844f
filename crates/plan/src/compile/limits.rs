//! What all arithmetic after it rests on: the drawing stays within its capacity, and each slot is taken once.
//!
//! That pods, racks, units and switches do, the design has told with source lines; here it is asserted, since an
//! address counted from a wrong slot would be another machine's. What only the address plan knows is a finding.

use super::slots::CONTROLLERS_MAX;
use model::Location;
use model::design::{Design, DeviceKind};
use model::finding::{Code, Finding};

/// The slots of a kind in a zone, above which offsets would no longer be exact. Far beyond an IPv4 supernet.
const SLOTS_MAX: u128 = 1 << 30;

/// Adds a finding if the capacity, or the number of controllers, is beyond what a zone is planned for.
///
/// # Panics
/// If the design was not checked: a slot is beyond the capacity, or taken twice.
pub(super) fn check(design: &Design, findings: &mut Vec<Finding>) {
    let zone = &design.zone;
    let capacity = zone.capacity;
    let largest = u128::from(capacity.units).max(capacity.switches.into());
    if (u128::from(capacity.pods) + 1) * (u128::from(capacity.racks) + 1) * largest > SLOTS_MAX {
        findings.push(
            Finding::error(
                Code::OutOfAddresses,
                zone.source,
                "the capacity is beyond what one zone can address",
            )
            .help("draw several zones: each is a failure domain of its own"),
        );
        return;
    }
    for device in &design.devices {
        if device.kind == DeviceKind::Controller && device.slot >= CONTROLLERS_MAX {
            let number = u64::from(device.slot) + u64::from(zone.count_from);
            let sentence = format!(
                "controller {} is number {number}, but a zone has room for {CONTROLLERS_MAX} controllers",
                device.location
            );
            findings.push(
                Finding::error(Code::BeyondCapacity, device.source, sentence)
                    .help("one, three or five controllers serve a zone of any size"),
            );
        }
    }
    assert_slots(design);
}

fn assert_slots(design: &Design) {
    let capacity = design.zone.capacity;
    let mut seats = Vec::with_capacity(design.devices.len() + design.racks.len() + design.pods.len());
    let mut take = |seat: Seat, limit: u32, location: &'_ Location| {
        assert!(seat.slot < limit, "{location} is within the capacity, the design has checked");
        seats.push(seat.key());
    };
    for pod in &design.pods {
        take(Seat { class: 0, pod: None, rack: None, slot: pod.slot }, capacity.pods, &pod.location);
    }
    for rack in &design.racks {
        let seat = Seat { class: 1, pod: Some(rack.pod.0), rack: None, slot: rack.slot };
        take(seat, capacity.racks, &rack.location);
    }
    for device in &design.devices {
        let (class, limit) = match device.kind {
            DeviceKind::Core | DeviceKind::Spine | DeviceKind::Leaf | DeviceKind::Lom => {
                (2, capacity.switches)
            }
            DeviceKind::Machine => (3, capacity.units),
            // Beyond their limit there is a finding, and so no plan.
            DeviceKind::Controller => (4, u32::MAX),
            DeviceKind::Other => continue,
        };
        let (pod, rack) = (device.pod.map(|pod| pod.0), device.rack.map(|rack| rack.0));
        take(Seat { class, pod, rack, slot: device.slot }, limit, &device.location);
    }
    seats.sort_unstable();
    assert!(seats.windows(2).all(|two| two[0] != two[1]), "each has its slot alone, the design has checked");
}

/// What one thing alone may have.
struct Seat {
    class: u8,
    pod: Option<u16>,
    rack: Option<u32>,
    slot: u32,
}

impl Seat {
    /// All of it in one number, which sorts faster.
    fn key(&self) -> u128 {
        let pod = self.pod.map_or(0, |pod| u128::from(pod) + 1);
        let rack = self.rack.map_or(0, |rack| u128::from(rack) + 1);
        u128::from(self.class) << 96 | pod << 72 | rack << 32 | u128::from(self.slot)
    }
}
