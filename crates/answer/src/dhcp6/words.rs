//! The same in words, for people. Nothing here is on the path of a packet.

use super::identity::switches;
use crate::dhcp::words::{push, push_nearest, text};
use model::plan::Binding;
use model::{Mac, View};
use wire::dhcp6::Packet;

/// A packet in one line, for the sample of refusals that people see: who asked for what, by which relay and port, and
/// what the plan has nearest to it. Never longer than a few hundred characters.
pub fn in_words(view: &View, packet: &[u8]) -> String {
    let read = match Packet::parse(packet) {
        Ok(read) => read,
        Err(malformed) => return format!("{} octets, {malformed}", packet.len()),
    };
    let message = &read.message;
    let mut line = String::from(message.kind.as_str());
    let mac = read.nearest().and_then(|relay| relay.client_mac()).or_else(|| message.duid_mac());
    match (mac, message.client_id()) {
        (Some(mac), _) => push(&mut line, format_args!(" from {}", Mac(mac))),
        (None, Some(duid)) => push(&mut line, format_args!(" from duid {}", text(duid))),
        (None, None) => line.push_str(" without client identifier"),
    }
    if let Some(address) = message.associations().flat_map(|association| association.addresses()).next() {
        push(&mut line, format_args!(" for {address}"));
    }
    if let Some(class) = message.vendor_classes().next() {
        push(&mut line, format_args!(", class {}", text(class)));
    }
    let Some(relay) = read.nearest() else {
        line.push_str(", no relay");
        return line;
    };
    let design = &view.plan.design;
    let relays = switches(view, relay.link);
    let names: Vec<&str> = relays.iter().map(|switch| design.devices[switch.index()].name.as_str()).collect();
    let names = if names.is_empty() { "unknown".to_owned() } else { names.join(" or ") };
    push(&mut line, format_args!(", link {} ({names})", relay.link));
    if let Some(remote_id) = relay.remote_id() {
        push(&mut line, format_args!(", remote-id {}", text(remote_id)));
    }
    let Some(interface_id) = relay.interface_id() else {
        line.push_str(", no interface-id");
        return line;
    };
    push(&mut line, format_args!(", interface-id {}", text(interface_id)));
    push_nearest(&mut line, &view.plan, relays, interface_id, Binding::interface_id);
    line
}
