//! Everything that is known of one target, in sentences: why it has this address, why it is not ready.
//!
//! Why a packet was not answered is added by the server, which counted the refusals.

use crate::wait::wait;
use crate::zone::Zone;
use crate::{budget, validate};
use model::design::Scope;
use model::facts::{Machine, State};
use model::plan::{Binding, Interface};
use model::roster::Target;
use model::{DeviceId, InterfaceId, Location, Plan, Time};
use std::time::Duration;

/// An explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Why {
    /// The device it is about.
    pub device: DeviceId,
    /// The interface it is about, if the question was about one.
    pub interface: Option<InterfaceId>,
    /// The answer, a sentence each, the most wanted first.
    pub sentences: Vec<String>,
}

/// Explains a location, a name or an address; `None` if the plan has no such thing.
pub fn why(zone: &Zone, target: &str, now: Time) -> Option<Why> {
    let plan = zone.plan();
    let found = zone.roster().find(plan, target)?;
    let (device, interface) = match found {
        Target::Device(device) => (device, None),
        Target::Interface(interface) => (plan.interface(interface).device, Some(interface)),
    };
    let mut sentences = Vec::new();
    life(zone, device, now, &mut sentences);
    let first = plan.first_interface[device.index()] as usize;
    for (offset, planned) in plan.interfaces_of(device).iter().enumerate() {
        let id = InterfaceId::from_index(first + offset);
        if interface.is_none_or(|wanted| wanted == id) {
            address(plan, planned, &mut sentences);
            identity(plan, id, &mut sentences);
        }
    }
    Some(Why { device, interface, sentences })
}

fn life(zone: &Zone, id: DeviceId, now: Time, sentences: &mut Vec<String>) {
    let plan = zone.plan();
    let device = &plan.design.devices[id.index()];
    let place = device.location.within_zone();
    if !validate::boots(device.kind) {
        let model = &plan.design.models[device.model.index()].name;
        sentences.push(format!("{} is {place}, a {model}; it is drawn, not booted", device.name));
        return;
    }
    let unseen;
    let machine = match zone.facts().machines.get(&device.location) {
        Some(machine) => machine,
        None => {
            unseen = crate::machine::expected(now);
            &unseen
        }
    };
    let mut first = format!("{} is {place}, and {}", device.name, machine.state.name());
    if machine.state != State::Expected {
        first += &format!(" for {}", duration(now.since(machine.since)));
    }
    if let (State::Ready, Some(took)) = (&machine.state, machine.boot_took_ms) {
        first += &format!("; it took {} from its first packet", duration(Duration::from_millis(took)));
    }
    sentences.push(first);
    if let Some(wait) = wait(plan, zone.roster(), id, machine, now) {
        let late = if wait.overdue(now) { ", longer than is ordinary" } else { "" };
        sentences.push(format!("it waits for {}{late}", wait.on));
    }
    if let Some(why) = &machine.held {
        sentences
            .push(format!("somebody on it lets nobody restart it ({why}); `zw-agent release` there lets go"));
    }
    changes(zone, &device.location, machine, now, sentences);
    troubles(machine, now, sentences);
}

/// Who has it out of service, and which changes have it before them.
fn changes(zone: &Zone, location: &Location, machine: &Machine, now: Time, sentences: &mut Vec<String>) {
    if let Some(lease) = &machine.lease {
        let ago = duration(now.since(lease.since));
        let back = budget::back(lease, now);
        sentences
            .push(format!("{} has had it out of service for {ago} ({}); {back}", lease.holder, lease.reason));
    }
    for change in zone.facts().changes.values().filter(|change| change.is_under_way()) {
        let Some(member) = change.machines.get(location).filter(|member| !member.step.is_reached()) else {
            continue;
        };
        let reach = change.waves.get(member.wave as usize).map_or("next", |reach| reach.name());
        let waits = crate::change::waits_for(zone, change, now);
        let waits = waits.map(|on| format!("; the change waits for {on}")).unwrap_or_default();
        sentences.push(format!(
            "{} of {} ({}) takes it in its {reach} wave: it {}, since {}{waits}",
            change.id,
            change.by,
            change.reason,
            member.effect.in_words(),
            member.because,
        ));
    }
}

fn troubles(machine: &Machine, now: Time, sentences: &mut Vec<String>) {
    if let Some((code, doubt)) = &machine.miscabled {
        sentences.push(format!("{doubt} [{code}]"));
    }
    if let Some(unproved) = &machine.unproved {
        sentences.push(format!("its agent was not believed: {unproved}"));
    }
    if let State::Failed { reasons } = &machine.state {
        sentences.extend(reasons.iter().skip(1).cloned());
    }
    for (address, conflict) in &machine.conflicts {
        sentences.push(format!(
            "{address} is used by somebody else: {} declined it {} ago; find the other holder, then `zw return` the machine",
            conflict.by,
            duration(now.since(conflict.at))
        ));
    }
    let stale = if machine.is_connected() { "" } else { ", as its agent last said" };
    for server in &machine.foreign_servers {
        let code = model::Code::ForeignServer;
        sentences.push(format!("{}{stale} [{code}]", crate::probe::in_words(server)));
    }
    for (interface, seen) in &machine.sightings {
        let accepted = match machine.accepted.get(interface) {
            Some(mac) if *mac == seen.mac => "",
            Some(_) => ", which is another than was validated here before",
            None => ", not validated yet",
        };
        sentences.push(format!(
            "{interface} last asked {} ago as {} on {}{accepted}",
            duration(now.since(seen.at)),
            seen.mac,
            seen.port
        ));
    }
}

/// Which rule gave the address.
fn address(plan: &Plan, interface: &Interface, sentences: &mut Vec<String>) {
    let subnet = plan.subnet(interface.subnet);
    let network = &plan.design.networks[subnet.network.index()];
    let reach = match network.scope {
        Scope::Zone => "the zone",
        Scope::Pod | Scope::Rack => subnet.location.within_zone(),
    };
    let addresses = [interface.v4.map(|v4| v4.to_string()), interface.v6.map(|v6| v6.to_string())];
    let prefixes = [subnet.v4.map(|v4| v4.to_string()), subnet.v6.map(|v6| v6.to_string())];
    let slot = plan.design.devices[interface.device.index()].slot;
    sentences.push(format!(
        "{} has {} because `{}` of {reach} is {}, and its place there is number {}",
        interface.name,
        listed(addresses),
        network.name,
        listed(prefixes),
        u64::from(slot) + u64::from(plan.design.zone.count_from),
    ));
}

/// By what its requests are known.
fn identity(plan: &Plan, id: InterfaceId, sentences: &mut Vec<String>) {
    // Bindings are in device order, and so in interface order.
    let from = plan.bindings.partition_point(|binding| binding.interface < id);
    for binding in plan.bindings[from..].iter().take_while(|binding| binding.interface == id) {
        let Binding { circuit_id, remote_id, port, .. } = binding;
        let remote = remote_id.as_ref().map_or_else(
            || "its relay address".to_owned(),
            |bytes| format!("remote-id {}", bytes_in_words(bytes)),
        );
        sentences.push(format!(
            "{} is known on {} by circuit-id {} and {remote}",
            plan.interface(id).name,
            validate::port_in_words(&plan.design, *port),
            bytes_in_words(circuit_id),
        ));
        if binding.interface_id.is_some() || binding.remote_id6.is_some() {
            let remote = binding.remote_id6.as_ref().map_or_else(
                || "its link-address".to_owned(),
                |bytes| format!("remote-id {}", bytes_in_words(bytes)),
            );
            let interface_id = bytes_in_words(binding.interface_id());
            sentences.push(format!("in DHCPv6 that is interface-id {interface_id} and {remote}"));
        }
    }
}

/// Text where it is text, hexadecimal where it is not.
pub fn bytes_in_words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            format!("`{text}`")
        }
        _ => bytes.iter().fold("0x".to_owned(), |all, byte| all + &format!("{byte:02x}")),
    }
}

fn listed(items: [Option<String>; 2]) -> String {
    let items: Vec<String> = items.into_iter().flatten().collect();
    items.join(" and ")
}

/// A span that is a guess: `40 s`, `3 min 5 s`.
pub fn about(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        _ => duration(span),
    }
}

/// `2.4 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
