//! Whether the drawing stays within its capacity, and each slot is taken once: what all arithmetic after it rests on.

use super::slots::CONTROLLERS_MAX;
use super::{NAMED_MAX, list};
use model::design::{Design, DeviceKind};
use model::finding::{Code, Finding, Source};
use std::collections::BTreeMap;
use std::collections::HashMap;

/// The units of a zone, above which offsets would no longer be exact. Far beyond an IPv4 supernet.
const UNITS_MAX: u128 = 1 << 30;

/// Adds a finding for each thing that is beyond the capacity, or on another's slot.
pub(super) fn check(design: &Design, findings: &mut Vec<Finding>) {
    let zone = &design.zone;
    let capacity = zone.capacity;
    let largest = u128::from(capacity.units).max(capacity.switches.into());
    if (u128::from(capacity.pods) + 1) * (u128::from(capacity.racks) + 1) * largest > UNITS_MAX {
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
    let mut beyond = Beyond::default();
    let mut taken = Taken::default();
    for pod in &design.pods {
        beyond.see(pod.source, "pods", capacity.pods, pod.slot, zone.count_from, pod.location.as_str());
        taken.see((0, None, None, pod.slot), pod.location.as_str(), pod.source, findings);
    }
    for rack in &design.racks {
        beyond.see(rack.source, "racks", capacity.racks, rack.slot, zone.count_from, rack.location.as_str());
        let pod = u32::from(rack.pod.0);
        taken.see((1, Some(pod), None, rack.slot), rack.location.as_str(), rack.source, findings);
    }
    for device in &design.devices {
        let (class, word, limit) = match device.kind {
            DeviceKind::Core | DeviceKind::Spine | DeviceKind::Leaf | DeviceKind::Lom => {
                (2, "switches", capacity.switches)
            }
            DeviceKind::Machine => (3, "units", capacity.units),
            DeviceKind::Controller => (4, "controllers", CONTROLLERS_MAX),
            DeviceKind::Other => continue,
        };
        beyond.see(device.source, word, limit, device.slot, zone.count_from, device.location.as_str());
        let (pod, rack) = (device.pod.map(|pod| u32::from(pod.0)), device.rack.map(|rack| rack.0));
        taken.see((class, pod, rack, device.slot), device.location.as_str(), device.source, findings);
    }
    beyond.tell(design, findings);
}

/// What is beyond the capacity: gathered by place in the file, so that a pattern over forty pods is one finding.
#[derive(Default)]
struct Beyond<'a> {
    rows: BTreeMap<(Source, &'static str), Excess<'a>>,
}

#[derive(Default)]
struct Excess<'a> {
    limit: u32,
    highest: u64,
    count: usize,
    first: Vec<&'a str>,
}

impl<'a> Beyond<'a> {
    fn see(
        &mut self,
        source: Source,
        word: &'static str,
        limit: u32,
        slot: u32,
        from: u32,
        location: &'a str,
    ) {
        if slot < limit {
            return;
        }
        let excess = self.rows.entry((source, word)).or_default();
        excess.limit = limit;
        excess.highest = excess.highest.max(u64::from(slot) + u64::from(from));
        excess.count += 1;
        if excess.first.len() < NAMED_MAX {
            excess.first.push(location);
        }
    }

    fn tell(self, design: &Design, findings: &mut Vec<Finding>) {
        for ((source, word), excess) in self.rows {
            let Excess { limit, highest, count, first } = excess;
            let named: Vec<String> = first.iter().map(|location| (*location).to_owned()).collect();
            let finding = Finding::error(
                Code::BeyondCapacity,
                source,
                format!("{} is beyond the capacity of {limit} {word}", list(&named, count)),
            )
            .label(format!("goes up to number {highest}"))
            .related(design.zone.source, "the capacity is written here");
            findings.push(if word == "controllers" {
                finding.help(format!("a place has room for {limit} controllers"))
            } else {
                let needed = highest + 1 - u64::from(design.zone.count_from);
                finding.help(format!("write `{word} = {needed}` in the capacity, or more; that may renumber"))
            });
        }
    }
}

/// Kind of thing, pod, rack, slot.
type Seat = (u8, Option<u32>, Option<u32>, u32);

/// Who has which slot.
#[derive(Default)]
struct Taken<'a> {
    seats: HashMap<Seat, (&'a str, Source)>,
}

impl<'a> Taken<'a> {
    fn see(&mut self, seat: Seat, location: &'a str, source: Source, findings: &mut Vec<Finding>) {
        if let Some((other, first)) = self.seats.insert(seat, (location, source)) {
            findings.push(
                Finding::error(
                    Code::SlotTakenTwice,
                    source,
                    format!("{location} has the same place in the address plan as {other}"),
                )
                .related(first, format!("{other} is written here"))
                .help("give one of them another number, or `slot = N`"),
            );
        }
    }
}
