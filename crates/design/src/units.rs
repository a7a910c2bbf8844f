//! Machines that are so high that they reach into each other, or above their rack.

use crate::draw::Drawing;
use crate::report::Report;
use crate::tables::Tables;
use model::design::{Device, DeviceKind};
use model::finding::{Code, Finding};
use model::ids::RackId;
use std::collections::BTreeMap;

/// Warns of each: elevations cannot be right, and all else can.
pub(crate) fn check(report: &mut Report, tables: &Tables, drawing: &Drawing) {
    let height = |device: &Device| tables.models.get(device.model.index()).map_or(1, |model| model.height);
    if tables.models.iter().all(|model| model.height == 1) {
        return;
    }
    let mut racks: BTreeMap<RackId, BTreeMap<u32, &Device>> = BTreeMap::new();
    for device in drawing.devices.iter().filter(|device| device.kind == DeviceKind::Machine) {
        if let Some(rack) = device.rack {
            racks.entry(rack).or_default().insert(device.slot, device);
        }
    }
    for units in racks.values() {
        for (slot, device) in units {
            let above = slot + height(device);
            let high = format!("`{}` is {} units high", device.location, height(device));
            if let Some((_, other)) = units.range(slot + 1..above).next() {
                let sentence = format!("{high}, and reaches into `{}`", other.location);
                let warning = Finding::warning(Code::UnitsMeet, device.source, sentence);
                report.push(warning.related(other.source, "this one"));
            } else if tables.zone.capacity.units > 0 && above > tables.zone.capacity.units {
                let sentence =
                    format!("{high}, and reaches above the {} units of its rack", tables.zone.capacity.units);
                report.push(Finding::warning(Code::UnitsMeet, device.source, sentence));
            }
        }
    }
}
