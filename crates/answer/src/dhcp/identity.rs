//! Whose request it is: by the port that the relay names, or by the address that the client holds; and who may not have
//! what the plan gives to a place. Both families of addresses have these rules.

use super::Arrival;
use super::limit::Claim;
use model::design::{Audience, Role};
use model::view::dhcp::Withheld;
use model::view::wiring::{Owner, Port, Relay, Seat, Wiring};
use model::{DeviceId, InterfaceId, Mac, Reason, Refusal, View};
use std::hash::Hash;
use std::net::Ipv4Addr;
use wire::dhcp4::{Message, RelayAgent};

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    /// The interface.
    pub interface: InterfaceId,
    /// By which of [`model::Plan::bindings`]; `None`: by its address.
    pub binding: Option<u32>,
    /// The switch that relayed.
    pub switch: Option<DeviceId>,
}

/// Finds out.
pub(super) fn of(view: &View, message: &Message<'_>, arrival: Arrival) -> Result<Known, Refusal> {
    match (message.giaddr(), message.relay_agent()) {
        (Ipv4Addr::UNSPECIFIED, agent) => by_address(view, message, agent, arrival),
        (giaddr, Some(agent)) => by_port(view, message, giaddr, agent, arrival),
        (giaddr, None) => {
            let relays = switches(view, giaddr);
            let reason = if relays.is_empty() { Reason::UnknownRelay } else { Reason::NoIdentity };
            Err(Refusal { reason, switch: only(relays), interface: None })
        }
    }
}

fn by_port(
    view: &View,
    message: &Message<'_>,
    giaddr: Ipv4Addr,
    agent: RelayAgent<'_>,
    arrival: Arrival,
) -> Result<Known, Refusal> {
    let (wiring, relays) = (&view.dhcp.wiring, switches(view, giaddr));
    let refuse = |reason, switch| Refusal { reason, switch, interface: None };
    // Relays send from many addresses, some of which no plan knows; but never from one that a machine has or could take,
    // nor from none, as a machine on our own link could; and only from where the zone lets them if it says so.
    let source = *arrival.source.ip();
    let is_clients = source.is_unspecified() || wiring.may_be_clients(source);
    let may_relay = view.plan.design.zone.may_relay(source.into()) || wiring.relays.contains_key(&source);
    if agent.is_doubled() || is_clients || !may_relay {
        return Err(refuse(Reason::UntrustedRelay, only(relays)));
    }
    let Some(circuit_id) = agent.circuit_id() else {
        let reason = if relays.is_empty() { Reason::UnknownRelay } else { Reason::NoIdentity };
        return Err(refuse(reason, only(relays)));
    };
    let Some(owner) = owner_of(view, message, relays, agent.remote_id(), circuit_id) else {
        let reason = if relays.is_empty() { Reason::UnknownRelay } else { Reason::UnknownPort };
        return Err(refuse(reason, only(relays)));
    };
    let Owner { interface, switch, binding } = owner;
    let known = Known { interface, binding: Some(binding), switch: Some(switch) };
    let untrusted =
        Refusal { reason: Reason::UntrustedRelay, switch: known.switch, interface: Some(known.interface) };
    // A remote-id is bytes that anybody can write; the relay's address must be one that this switch has.
    if !relays.contains(&switch) {
        return Err(untrusted);
    }
    // RFC 3527: the address must be of the subnet that the relay selects. The port has decided already, so all that is
    // left is to agree.
    if let Some(link) = agent.link_selection() {
        let subnet = view.plan.subnet(wiring.seat(interface).subnet);
        if !subnet.v4.is_some_and(|prefix| prefix.contains(&link)) {
            return Err(untrusted);
        }
    }
    Ok(known)
}

/// Who asks by a port: by remote-id where the relay's model writes a known one, else by the switch that has the
/// relay's address. A remote-id that the design does not describe (often a MAC address) is no hindrance.
fn owner_of(
    view: &View,
    message: &Message<'_>,
    relays: &[DeviceId],
    remote_id: Option<&[u8]>,
    circuit_id: &[u8],
) -> Option<Owner> {
    let wiring = &view.dhcp.wiring;
    let is_of = |prefix: &[u8]| message.vendor_class().starts_with(prefix);
    if let Some(port) = remote_id.and_then(|remote_id| wiring.port(Relay::Remote(remote_id), circuit_id)) {
        return owner(view, port, is_of);
    }
    // A pair that shares its gateway's address may both have a port of this name.
    the_one(owners(view, wiring, relays, circuit_id, &is_of))
}

/// Who asks by a port that is called so on one of these switches.
pub(crate) fn owners<A: Copy + Ord + Hash>(
    view: &View,
    wiring: &Wiring<A>,
    relays: &[DeviceId],
    circuit_id: &[u8],
    is_of: &impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = Owner> {
    let ports = relays.iter().filter_map(|switch| wiring.port(Relay::Switch(*switch), circuit_id));
    ports.filter_map(move |port| owner(view, port, is_of))
}

/// The first, if all lead to one interface (a bond); otherwise it would be a guess.
pub(crate) fn the_one(mut owners: impl Iterator<Item = Owner>) -> Option<Owner> {
    let first = owners.next()?;
    owners.all(|other| other.interface == first.interface).then_some(first)
}

/// Which of those who share a port asks: the BMC says so by its vendor class, as its model is drawn. `is_of` tells whether
/// the request has a class that begins so.
pub(crate) fn owner(view: &View, port: Port, is_of: impl Fn(&[u8]) -> bool) -> Option<Owner> {
    if port.is_ambiguous {
        return None;
    }
    let Some(bmc) = port.bmc else { return port.machine };
    let interface = view.plan.interface(bmc.interface);
    let device = &view.plan.design.devices[interface.device.index()];
    let prefixes = &view.plan.design.models[device.model.index()].bmc_vendor_class;
    let is_bmc = prefixes.iter().any(|prefix| is_of(prefix.as_bytes()));
    if is_bmc { Some(bmc) } else { port.machine }
}

/// A renewal is unicast past the relay and carries no Option 82; the plan maps its address back to the place.
fn by_address(
    view: &View,
    message: &Message<'_>,
    agent: Option<RelayAgent<'_>>,
    arrival: Arrival,
) -> Result<Known, Refusal> {
    let interface = view.dhcp.wiring.addresses.get(&message.ciaddr()).copied();
    if agent.is_some_and(RelayAgent::is_doubled) {
        return Err(Refusal { reason: Reason::UntrustedRelay, switch: None, interface });
    }
    if let Some(agent) = agent {
        // Option 82 without a relay's address: forged, unless a snooping switch wrote it into a renewal and names the
        // very place that the address belongs to (RFC 3046 §2.1).
        let owner = agent
            .remote_id()
            .zip(agent.circuit_id())
            .and_then(|(remote_id, circuit_id)| owner_of(view, message, &[], Some(remote_id), circuit_id));
        let named = owner.map(|owner| owner.interface);
        if named.is_none() || named != interface {
            return Err(Refusal { reason: Reason::UntrustedRelay, switch: None, interface });
        }
    }
    let Some(interface) = interface else { return Err(Reason::NoIdentity.into()) };
    // Whoever holds the address sends from it; anybody else speaks for somebody.
    if *arrival.source.ip() != message.ciaddr() {
        return Err(Refusal { reason: Reason::NoIdentity, switch: None, interface: Some(interface) });
    }
    Ok(Known { interface, binding: None, switch: None })
}

/// The switches whose relay may call itself by this address.
fn switches(view: &View, giaddr: Ipv4Addr) -> &[DeviceId] {
    view.dhcp.wiring.relays.get(&giaddr).map_or(&[][..], Vec::as_slice)
}

/// The switch, if it is only one.
pub(crate) fn only(switches: &[DeviceId]) -> Option<DeviceId> {
    match switches {
        [switch] => Some(*switch),
        _ => None,
    }
}

/// Whose budget a request is taken from. Who holds its address has been there before.
pub(crate) fn claim<A>(view: &View, known: Known, seat: &Seat<A>, mac: Option<Mac>) -> Claim {
    let homes = mac.and_then(|mac| view.dhcp.accepted.get(&mac));
    let is_known = homes.is_some_and(|homes| homes.contains(seat.device)) || known.binding.is_none();
    Claim { interface: known.interface, is_known }
}

/// Why whoever asks may not have what the plan gives to this place. `may_hold`: who says so may speak of an address
/// that is in conflict.
pub(crate) fn objection<A>(
    view: &View,
    seat: &Seat<A>,
    mac: Option<Mac>,
    withheld: Option<Withheld>,
    may_hold: bool,
) -> Option<Reason> {
    if withheld == Some(Withheld::Retired) {
        return Some(Reason::Retired);
    }
    if let Some(mac) = mac {
        let homes = view.dhcp.accepted.get(&mac);
        let is_at_home = homes.is_some_and(|homes| homes.contains(seat.device));
        if !is_at_home && is_guest(view, seat, mac) {
            return Some(Reason::Guest);
        }
        if !is_at_home && homes.is_some() {
            return Some(Reason::OtherMachine);
        }
    }
    (withheld == Some(Withheld::Conflict) && !may_hold).then_some(Reason::Conflict)
}

/// Whether a virtual machine asks on the port of the machine that hosts it.
fn is_guest<A>(view: &View, seat: &Seat<A>, mac: Mac) -> bool {
    let design = &view.plan.design;
    let hosts = |role: &Role| role.guest_ouis.contains(&mac.oui());
    // Roles are few and at hand; devices are many and far.
    seat.audience == Audience::Machine
        && design.roles.iter().any(hosts)
        && design.devices[seat.device.index()].role.is_some_and(|role| hosts(&design.roles[role.index()]))
}
