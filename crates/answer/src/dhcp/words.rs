//! The same in words, for events and for people. No packet that is answered comes by here; of those that are refused, the
//! few that are kept as samples.

use model::design::{Audience, PortRef};
use model::plan::Binding;
use model::{DeviceId, InterfaceId, Plan, View};
use std::fmt::Write as _;
use wire::dhcp4::{Message, MessageType};

/// A switch port as people say it: `p01-r1-leaf-a swp3`. Of several, that of `binding`, or the first.
pub(super) fn port(plan: &Plan, interface: InterfaceId, binding: Option<u32>) -> String {
    let binding = match binding {
        Some(position) => plan.bindings.get(position as usize),
        None => plan.bindings.iter().find(|binding| binding.interface == interface),
    };
    binding.map_or_else(String::new, |binding| port_name(plan, binding.port))
}

/// The machine's own port that the asking switch port's cable leads to: a member of a bond, and not the bond. `None`
/// for a BMC, which may share the machine's port and is a thing of its own, and for a request that named no port.
pub(super) fn own_port(plan: &Plan, interface: InterfaceId, binding: Option<u32>) -> Option<String> {
    if plan.interface(interface).audience == Audience::Bmc {
        return None;
    }
    let own = plan.bindings.get(binding? as usize)?.own_port;
    let device = &plan.design.devices[own.device.index()];
    plan.design.models[device.model.index()].ports.get(own.port.index()).cloned()
}

fn port_name(plan: &Plan, port: PortRef) -> String {
    let device = &plan.design.devices[port.device.index()];
    let name = plan.design.models[device.model.index()].ports.get(port.port.index());
    format!("{} {}", device.name, name.map_or("?", String::as_str))
}

/// A packet in one line, for the sample of refusals that people see: who asked for what, by which relay and port, and
/// what the plan has nearest to it. Never longer than a few hundred characters.
pub fn in_words(view: &View, packet: &[u8]) -> String {
    let message = match Message::parse(packet) {
        Ok(message) => message,
        Err(malformed) => return format!("{} octets: {malformed}", packet.len()),
    };
    let mut line = String::from(match message.message_type() {
        Some(MessageType::Discover) => "discover",
        Some(MessageType::Offer) => "offer",
        Some(MessageType::Request) => "request",
        Some(MessageType::Decline) => "decline",
        Some(MessageType::Ack) => "ack",
        Some(MessageType::Nak) => "nak",
        Some(MessageType::Release) => "release",
        Some(MessageType::Inform) => "inform",
        None => "bootp or unknown type",
    });
    match message.mac() {
        Some(mac) => push(&mut line, format_args!(" from {}", model::Mac(mac))),
        None if message.hardware().is_empty() => line.push_str(" without hardware address"),
        None => push(&mut line, format_args!(" from hardware {}", text(message.hardware()))),
    }
    if let Some(address) = message.requested_address() {
        push(&mut line, format_args!(" for {address}"));
    }
    if !message.ciaddr().is_unspecified() {
        push(&mut line, format_args!(" at {}", message.ciaddr()));
    }
    if !message.vendor_class().is_empty() {
        push(&mut line, format_args!(", class {}", text(message.vendor_class())));
    }
    if message.giaddr().is_unspecified() {
        line.push_str(", no relay");
        return line;
    }
    let relays = view.dhcp.wiring.relays.get(&message.giaddr()).map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> =
        relays.iter().map(|switch| view.plan.design.devices[switch.index()].name.as_str()).collect();
    let names = if names.is_empty() { "unknown".to_owned() } else { names.join(" or ") };
    push(&mut line, format_args!(", relay {} ({names})", message.giaddr()));
    let Some(agent) = message.relay_agent() else {
        line.push_str(" without option 82");
        return line;
    };
    if let Some(remote_id) = agent.remote_id() {
        push(&mut line, format_args!(", remote-id {}", text(remote_id)));
    }
    let Some(circuit_id) = agent.circuit_id() else {
        line.push_str(", no circuit-id");
        return line;
    };
    push(&mut line, format_args!(", circuit-id {}", text(circuit_id)));
    push_nearest(&mut line, &view.plan, relays, circuit_id, |binding| &binding.circuit_id);
    line
}

/// What is drawn of these switches and comes nearest to what a relay wrote, unless that is drawn itself. Of a relay that
/// nobody knows nothing is drawn, and it is not searched for: anybody can name one, in each packet another.
pub(crate) fn push_nearest(
    line: &mut String,
    plan: &Plan,
    relays: &[DeviceId],
    written: &[u8],
    drawn: impl Fn(&Binding) -> &[u8],
) {
    if relays.is_empty() {
        return;
    }
    let of_relays = plan.bindings.iter().filter(|binding| relays.contains(&binding.switch));
    let nearest = of_relays
        .map(|binding| (distance(drawn(binding), written), binding))
        .min_by_key(|(distance, _)| *distance);
    if let Some((1.., binding)) = nearest {
        let port = port_name(plan, binding.port);
        push(line, format_args!("; nearest drawn: {} of {port}", text(drawn(binding))));
    }
}

pub(crate) fn push(line: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = line.write_fmt(words);
}

/// Octets for people: text where it is text, else hexadecimal; at most 64 of them.
pub(crate) fn text(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(64)];
    let more = if shown.len() < octets.len() { "…" } else { "" };
    if !shown.is_empty() && shown.iter().all(|octet| (0x20..0x7f).contains(octet)) {
        return format!("`{}`{more}", String::from_utf8_lossy(shown));
    }
    let mut hexadecimal = String::from("0x");
    for octet in shown {
        push(&mut hexadecimal, format_args!("{octet:02x}"));
    }
    hexadecimal + more
}

/// How unlike two identities are: what is left when their common beginning and end are taken off.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (a.len() - end).max(b.len() - end)
}
