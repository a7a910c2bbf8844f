//! Is what was found in the box, and at the end of its cables, what was drawn?
//!
//! Every difference is one sentence that names both sides.

use model::design::{Design, Device, DeviceKind, Expect, PortRef};
use model::facts::{Disk, Hardware, Sighting};
use model::{DeviceId, Plan, Roster, size};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much less memory or disk than its label a machine may show, in percent: firmware and controllers keep some.
pub const SIZE_TOLERANCE_PERCENT: u64 = 5;
/// How far a machine's clock may be off.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// Whether the machine's role has checks that must be heard before it is ready.
pub fn checks_of(design: &Design, device: &Device) -> bool {
    device.role.is_some_and(|role| !design.roles[role.index()].checks.is_empty())
}

/// What differs from the design, a sentence for each; none is a fit.
///
/// `sightings` are what the machine's ports showed to DHCP: a system that calls its interfaces otherwise than the design
/// (`eth0`, in an installer) is understood by its hardware addresses.
pub fn hardware(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    found: &Hardware,
    sightings: &BTreeMap<String, Sighting>,
) -> Vec<String> {
    let expect = &plan.design.models[plan.design.devices[device.index()].model.index()].expect;
    let mut differences = Vec::new();
    if let Some(cpus) = expect.cpus.filter(|cpus| *cpus != found.cpus) {
        differences.push(format!("{cpus} CPUs drawn, {} found", found.cpus));
    }
    if let Some(memory) = expect.memory_bytes.filter(|memory| !about(*memory, found.memory_bytes)) {
        differences.push(format!(
            "{} of memory drawn, {} found",
            size::binary(memory),
            size::binary(found.memory_bytes)
        ));
    }
    disks(expect, &found.disks, &mut differences);
    if let Some(firmware) = expect.firmware.as_ref().filter(|firmware| **firmware != found.firmware) {
        differences.push(format!("firmware {firmware} drawn, {} found", found.firmware));
    }
    for nic in &found.nics {
        if let (Some(drawn), Some(mbps)) = (expect.nic_mbps, nic.mbps)
            && mbps < drawn
        {
            differences.push(format!("{} should run at {drawn} Mbit/s, it runs at {mbps}", nic.name));
        }
    }
    neighbours(plan, roster, device, found, sightings, &mut differences);
    if found.clock_skew_ms.unsigned_abs() > CLOCK_SKEW_MAX.as_millis() as u64 {
        differences.push(format!("its clock is {} ms off", found.clock_skew_ms));
    }
    differences
}

fn disks(expect: &Expect, found: &[Disk], differences: &mut Vec<String>) {
    for drawn in &expect.disks {
        let fitting = found.iter().filter(|disk| {
            about(drawn.size_bytes, disk.size_bytes)
                && drawn.kind.as_ref().is_none_or(|kind| *kind == disk.kind)
        });
        let fitting = fitting.count();
        if fitting < drawn.count as usize {
            let kind = drawn.kind.as_deref().unwrap_or("any");
            let listed: Vec<_> = found
                .iter()
                .map(|disk| format!("{} {} {}", disk.name, disk.kind, size::decimal(disk.size_bytes)))
                .collect();
            let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
            differences.push(format!(
                "{} × {} {kind} disk drawn, {fitting} found (disks: {listed})",
                drawn.count,
                size::decimal(drawn.size_bytes)
            ));
        }
    }
}

/// Compares each neighbour that LLDP told with the cable drawn for that port. Silence is not a difference: many
/// switches do not speak LLDP.
fn neighbours(
    plan: &Plan,
    roster: &Roster,
    device: DeviceId,
    found: &Hardware,
    sightings: &BTreeMap<String, Sighting>,
    differences: &mut Vec<String>,
) {
    let design = &plan.design;
    let model = &design.models[design.devices[device.index()].model.index()];
    for nic in &found.nics {
        let Some(neighbour) = &nic.neighbour else { continue };
        let by_address =
            || sightings.iter().find(|(_, seen)| seen.mac == nic.mac).map(|(name, _)| name.as_str());
        let drawn = model.port(&nic.name).or_else(|| model.port(by_address()?));
        let Some(port) = drawn else { continue };
        let name = &model.ports[port.index()];
        let Some(far) = roster.far_end(PortRef { device, port }) else {
            differences.push(format!(
                "{} is drawn with no cable, LLDP says {} {}",
                name, neighbour.system, neighbour.port
            ));
            continue;
        };
        let (switch, port) = (&design.devices[far.device.index()], port_name(design, far));
        if switch.name != neighbour.system || port != neighbour.port {
            differences.push(format!(
                "{} should be plugged into {} {port}, LLDP says {} {}",
                name, switch.name, neighbour.system, neighbour.port
            ));
        }
    }
}

/// `p01-r1-leaf-a swp3`, as people say it.
pub fn port_in_words(design: &Design, end: PortRef) -> String {
    format!("{} {}", design.devices[end.device.index()].name, port_name(design, end))
}

/// The name of a port.
pub fn port_name(design: &Design, end: PortRef) -> &str {
    let model = design.devices[end.device.index()].model;
    &design.models[model.index()].ports[end.port.index()]
}

/// Whether the machine takes part in booting and validation.
pub fn boots(kind: DeviceKind) -> bool {
    matches!(kind, DeviceKind::Machine)
}

pub(crate) fn about(drawn: u64, found: u64) -> bool {
    let slack = drawn / 100 * SIZE_TOLERANCE_PERCENT;
    found >= drawn - slack && found <= drawn.saturating_add(slack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_about_what_is_drawn() {
        assert!(about(512 << 30, 503 << 30));
        assert!(!about(512 << 30, 384 << 30));
        assert!(!about(512 << 30, 1024 << 30));
    }
}
