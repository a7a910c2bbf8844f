//! Which machines a person means: a place, a name, an address, a pod or rack, or a selector.

use crate::zone::Zone;
use model::facts::State;
use model::roster::Target;
use model::{DeviceId, Location};

/// What a selector may name.
const KEYS: [&str; 6] = ["pod", "rack", "role", "model", "state", "name"];

/// The machines that a target means, in the order of the design.
///
/// `p07/r2/u14`, a name or an address is one machine; `p07` or `p07/r2` is all that stand there; `pod=p07,role=hypervisor` all
/// that are both; `all` every one.
///
/// # Errors
/// Why it means none, a sentence.
pub fn select(zone: &Zone, target: &str) -> Result<Vec<DeviceId>, String> {
    if target == "all" {
        return Ok(machines(zone).collect());
    }
    if target.contains('=') {
        return selected(zone, target);
    }
    match zone.roster().find(zone.plan(), target) {
        Some(Target::Device(device)) => only(zone, device),
        Some(Target::Interface(interface)) => only(zone, zone.plan().interface(interface).device),
        None => within(zone, target),
    }
}

fn machines(zone: &Zone) -> impl Iterator<Item = DeviceId> {
    let devices = zone.plan().design.devices.iter().enumerate();
    devices
        .filter(|(_, device)| crate::validate::boots(device.kind))
        .map(|(index, _)| DeviceId::from_index(index))
}

fn only(zone: &Zone, device: DeviceId) -> Result<Vec<DeviceId>, String> {
    let drawn = &zone.plan().design.devices[device.index()];
    match crate::validate::boots(drawn.kind) {
        true => Ok(vec![device]),
        false => Err(format!("{} is drawn, not booted: there is nothing to ask of it", drawn.location)),
    }
}

/// All that stand in a pod or rack.
fn within(zone: &Zone, place: &str) -> Result<Vec<DeviceId>, String> {
    let design = &zone.plan().design;
    let is_it = |location: &Location| location.as_str() == place || location.within_zone() == place;
    let is_place = design.pods.iter().any(|pod| is_it(&pod.location))
        || design.racks.iter().any(|rack| is_it(&rack.location));
    if !is_place {
        return Err(format!("there is no machine, rack or pod `{place}`"));
    }
    let stands = |id: &DeviceId| {
        let location = &design.devices[id.index()].location;
        let under = |path: &str| path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
        under(location.as_str()) || under(location.within_zone())
    };
    Ok(machines(zone).filter(stands).collect())
}

fn selected(zone: &Zone, selector: &str) -> Result<Vec<DeviceId>, String> {
    let mut wanted = Vec::new();
    for part in selector.split(',') {
        let Some((key, value)) = part.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            return Err(format!("`{part}` is not `key=value`"));
        };
        if !KEYS.contains(&key) {
            return Err(format!("a selector has no `{key}`: it may name {}", KEYS.join(", ")));
        }
        wanted.push((key, value));
    }
    let design = &zone.plan().design;
    let has = |id: DeviceId, key: &str, value: &str| {
        let device = &design.devices[id.index()];
        match key {
            "pod" => device.pod.is_some_and(|pod| design.pods[pod.index()].location.leaf() == value),
            "rack" => device.rack.is_some_and(|rack| {
                let location = &design.racks[rack.index()].location;
                location.leaf() == value || location.within_zone() == value
            }),
            "role" => device.role.is_some_and(|role| design.roles[role.index()].name == value),
            "model" => design.models[device.model.index()].name == value,
            "name" => device.name == value,
            _ => {
                let machine = zone.facts().machines.get(&device.location);
                machine.map_or(State::Expected.name(), |machine| machine.state.name()) == value
            }
        }
    };
    let found: Vec<DeviceId> =
        machines(zone).filter(|id| wanted.iter().all(|(key, value)| has(*id, key, value))).collect();
    if found.is_empty() { Err(format!("no machine is `{selector}`")) } else { Ok(found) }
}
