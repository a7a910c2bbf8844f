//! Whose request it is: by the port that the relay nearest to the client names, or by the address that the client
//! holds. The rules are DHCPv4's ([`crate::dhcp`]); only where they read from differs.

use super::Arrival;
use crate::dhcp::boot;
use crate::dhcp::identity::{Known, only, owner, owners, the_one};
use model::design::Audience;
use model::facts::Stage;
use model::view::wiring::{Owner, Relay as PortOf};
use model::{DeviceId, InterfaceId, Mac, Reason, Refusal, View};
use std::net::Ipv6Addr;
use wire::dhcp6::{AssociationKind, Message, MessageType, Packet, Relay};

/// Finds out.
pub(super) fn of(view: &View, packet: &Packet<'_>, arrival: Arrival) -> Result<Known, Refusal> {
    let Some(nearest) = packet.nearest() else { return by_address(view, &packet.message, arrival) };
    // Relays send from many addresses, some of which no plan knows; but never from one that a machine has or could take,
    // and only from where the zone lets them if it says so.
    let source = *arrival.source.ip();
    let may_relay = view.plan.design.zone.may_relay(source.into()) || !switches(view, source).is_empty();
    if !may_relay || may_be_clients(view, source, || is_beside_clients(view)) {
        return Err(forged(view, source));
    }
    // Relays take relayed messages from below, so whoever is plugged in at a port could send one that names another
    // port. A relay further out tells it: that message came in where a machine is drawn and no switch, or from an
    // address that a machine has or could take.
    for outer in packet.relays().rev().skip(1) {
        if let Ok(known) = by_port(view, &packet.message, outer) {
            let (switch, interface) = (known.switch, Some(known.interface));
            return Err(Refusal { reason: Reason::UntrustedRelay, switch, interface });
        }
        if may_be_clients(view, outer.peer, || is_drawn(view, outer.link)) {
            return Err(forged(view, outer.peer));
        }
    }
    by_port(view, &packet.message, nearest)
}

fn by_port(view: &View, message: &Message<'_>, relay: &Relay<'_>) -> Result<Known, Refusal> {
    let relays = switches(view, relay.link);
    let refuse = |reason, switch| Refusal { reason, switch, interface: None };
    let or_unknown = |reason| if relays.is_empty() { Reason::UnknownRelay } else { reason };
    let Some(interface_id) = relay.interface_id() else {
        return Err(refuse(or_unknown(Reason::NoIdentity), only(relays)));
    };
    let Some(owner) = owner_of(view, message, relays, relay.remote_id(), interface_id) else {
        return Err(refuse(or_unknown(Reason::UnknownPort), only(relays)));
    };
    let Owner { interface, switch, binding } = owner;
    // A remote-id is bytes that anybody can write; the link's address must be one that this switch has.
    if !relays.contains(&switch) {
        let (switch, interface) = (Some(switch), Some(interface));
        return Err(Refusal { reason: Reason::UntrustedRelay, switch, interface });
    }
    Ok(Known { interface, binding: Some(binding), switch: Some(switch) })
}

/// Who asks by a port: by remote-id where the model says what its relay writes in Option 37, else by the switch that
/// the link's address names.
fn owner_of(
    view: &View,
    message: &Message<'_>,
    relays: &[DeviceId],
    remote_id: Option<&[u8]>,
    interface_id: &[u8],
) -> Option<Owner> {
    let wiring = &view.dhcp6.wiring;
    let is_of = |prefix: &[u8]| message.vendor_classes().any(|class| class.starts_with(prefix));
    let named = remote_id.and_then(|remote_id| wiring.port(PortOf::Remote(remote_id), interface_id));
    if let Some(port) = named {
        return owner(view, port, is_of);
    }
    let owners = || owners(view, wiring, relays, interface_id, &is_of);
    if let Some(first) = the_one(owners()) {
        return Some(first);
    }
    // A pair that shares its gateway's address may both have a port of this name: what the relay says of itself decides
    // between them, if it is what it says in Option 82.
    let says = |owner: &Owner| {
        let written = &view.plan.bindings[owner.binding as usize].remote_id;
        written.as_deref().is_some_and(|written| Some(written) == remote_id)
    };
    the_one(owners().filter(says))
}

/// Without a relay it stands on the controller's own link, and only an address that the plan gave tells which machine it
/// is: the one that it speaks from, or the one that it asks to keep, if that is of this link.
fn by_address(view: &View, message: &Message<'_>, arrival: Arrival) -> Result<Known, Refusal> {
    let known = |interface| Known { interface, binding: None, switch: None };
    let addresses = &view.dhcp6.wiring.addresses;
    let source = arrival.source.ip();
    if let Some(interface) = addresses.get(source) {
        return Ok(known(*interface));
    }
    let keeps = matches!(
        message.kind,
        MessageType::Renew | MessageType::Rebind | MessageType::Confirm | MessageType::Release
    );
    let is_near =
        |interface: &&InterfaceId| view.dhcp6.links.contains(&view.dhcp6.wiring.seat(**interface).subnet);
    let named = message
        .associations()
        .filter(|association| association.kind == AssociationKind::Address)
        .flat_map(|association| association.addresses())
        .find_map(|address| addresses.get(&address).filter(is_near));
    match named {
        Some(interface) if keeps && source.is_unicast_link_local() => Ok(known(*interface)),
        _ => Err(Reason::NoIdentity.into()),
    }
}

/// Whether it may be a machine or BMC that sent a relayed message from this address. A link-local one is anybody's who
/// stands on the link; `is_clients_link` tells of that.
fn may_be_clients(view: &View, sender: Ipv6Addr, is_clients_link: impl FnOnce() -> bool) -> bool {
    if sender.is_unicast_link_local() || sender.is_unspecified() {
        return is_clients_link();
    }
    view.dhcp6.wiring.may_be_clients(sender)
}

/// Whether machines or BMCs stand on a link of ours.
fn is_beside_clients(view: &View) -> bool {
    view.dhcp6.servers.iter().any(|server| view.dhcp6.wiring.is_beside_clients(*server))
}

/// Whether a relay's link is none, so that nothing tells where a message came in, or of a drawn switch or subnet: which
/// of its ports lead to switches is not known.
fn is_drawn(view: &View, link: Ipv6Addr) -> bool {
    let wiring = &view.dhcp6.wiring;
    link.is_unspecified() || wiring.relays.contains_key(&link) || wiring.is_beside_clients(link)
}

fn forged(view: &View, sender: Ipv6Addr) -> Refusal {
    let interface = view.dhcp6.wiring.addresses.get(&sender).copied();
    Refusal { reason: Reason::UntrustedRelay, switch: None, interface }
}

/// The switches whose relay may name a link by this address.
pub(super) fn switches(view: &View, link: Ipv6Addr) -> &[DeviceId] {
    view.dhcp6.wiring.relays.get(&link).map_or(&[][..], Vec::as_slice)
}

/// What asks on this interface.
pub(super) fn stage(message: &Message<'_>, audience: Audience) -> Stage {
    let (class, _) = firmware_class(message).unwrap_or_default();
    let first = boot::values(class, message.architectures()).next();
    // There is no DHCPv6 in a BIOS, so who does not say is UEFI.
    let first = Some(first.unwrap_or(boot::UEFI));
    boot::stage_of(audience, message.has_user_class(b"iPXE"), class, first)
}

/// The class by which firmware asks to boot, and the Option 16 that has it: others may stand before it.
pub(super) fn firmware_class<'m>(message: &Message<'m>) -> Option<(&'m [u8], &'m [u8])> {
    message.vendor_class(|class| class.starts_with(b"HTTPClient") || class.starts_with(b"PXEClient"))
}

/// The hardware address of the interface that asks: as the relay saw it (RFC 6939), or as the link-local address that it
/// speaks from is made of it (RFC 4291, appendix A).
///
/// A DUID is a machine's and not an interface's, and an operating system keeps it on a disk that is copied or moves to
/// another machine. So it counts for firmware only.
pub(super) fn mac(packet: &Packet<'_>, arrival: Arrival, stage: Stage) -> Option<Mac> {
    let nearest = packet.nearest();
    let peer = nearest.map_or(*arrival.source.ip(), |relay| relay.peer);
    let seen = nearest.and_then(Relay::client_mac).or_else(|| mac_in(peer));
    let seen = seen.or_else(|| packet.message.duid_mac().filter(|_| stage != Stage::Os));
    seen.map(Mac)
}

fn mac_in(address: Ipv6Addr) -> Option<[u8; 6]> {
    match address.octets() {
        // The universal bit is turned over, so a card's own address has it set here.
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xff, 0xfe, d, e, f] => Some([a ^ 2, b, c, d, e, f]),
        _ => None,
    }
}
