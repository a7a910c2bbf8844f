//! Whose request comes by which port, from which relay, from which address: one table for each family of addresses.

use model::design::Audience;
use model::plan::{Binding, Interface, Router, Subnet};
use model::view::wiring::{Owner, PORT_KEY_MAX, Relay, Seat, Wiring, port_key};
use model::{DeviceId, InterfaceId, Plan};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a family of addresses has what both have.
pub(super) struct Family<A> {
    interface: fn(&Interface) -> Option<A>,
    router: fn(&Router) -> Option<A>,
    gateway: fn(&Subnet) -> Option<A>,
    /// The first and the last address.
    subnet: fn(&Subnet) -> Option<(A, A)>,
    /// What the relay writes of itself, if that is known.
    remote_id: fn(&Binding) -> Option<&[u8]>,
    /// What it writes of the port.
    circuit_id: fn(&Binding) -> &[u8],
}

pub(super) const V4: Family<Ipv4Addr> = Family {
    interface: |interface| interface.v4,
    router: |router| router.v4,
    gateway: |subnet| subnet.gateway4,
    subnet: |subnet| subnet.v4.map(|prefix| (prefix.network(), prefix.broadcast())),
    remote_id: |binding| binding.remote_id.as_deref(),
    circuit_id: |binding| &binding.circuit_id,
};

pub(super) const V6: Family<Ipv6Addr> = Family {
    interface: |interface| interface.v6,
    router: |router| router.v6,
    gateway: |subnet| subnet.gateway6,
    subnet: |subnet| subnet.v6.map(|prefix| (prefix.network(), prefix.broadcast())),
    remote_id: |binding| binding.remote_id6.as_deref(),
    circuit_id: |binding| binding.interface_id(),
};

/// Prepares it; empty in a zone that has no address of the family.
pub(super) fn wiring<A: Copy + Ord + Hash>(plan: &Plan, family: &Family<A>) -> Wiring<A> {
    let mut wiring = Wiring::default();
    wiring.seats.reserve_exact(plan.interfaces.len());
    for (position, interface) in plan.interfaces.iter().enumerate() {
        let address = (family.interface)(interface);
        let Interface { device, subnet, audience, .. } = *interface;
        wiring.seats.push(Seat { device, subnet, address, audience });
        let Some(address) = address else { continue };
        wiring.addresses.insert(address, InterfaceId::from_index(position));
        if plan.design.devices[device.index()].kind.is_switch() {
            relay(&mut wiring, address, device);
        }
    }
    if wiring.addresses.is_empty() {
        return Wiring::default();
    }
    wiring.client_subnets = client_subnets(plan).filter_map(family.subnet).collect();
    wiring.client_subnets.sort_unstable();
    for subnet in &plan.subnets {
        for router in &subnet.routers {
            for address in [(family.router)(router), (family.gateway)(subnet)].into_iter().flatten() {
                relay(&mut wiring, address, router.switch);
            }
        }
    }
    // Also the ports of those who have no address of the family: they are drawn, and what comes by them is told apart by it.
    wiring.ports.reserve(plan.bindings.len());
    let mut buffer = [0; PORT_KEY_MAX];
    for (binding, drawn) in (0..).zip(&plan.bindings) {
        let relay = (family.remote_id)(drawn).map_or(Relay::Switch(drawn.switch), Relay::Remote);
        // A template that writes more than a sub-option holds can match no request.
        let Some(key) = port_key(relay, (family.circuit_id)(drawn), &mut buffer) else { continue };
        let port = wiring.ports.entry(key.into()).or_default();
        let slot = if drawn.is_bmc_class == Some(true) { &mut port.bmc } else { &mut port.machine };
        match slot {
            None => *slot = Some(Owner { interface: drawn.interface, switch: drawn.switch, binding }),
            Some(first) if first.interface == drawn.interface => {}
            Some(_) => port.is_ambiguous = true,
        }
    }
    wiring
}

/// Whether everything that [`wiring`] reads is the same, in both families: a name is not of it.
pub(super) fn is_alike(before: &Plan, plan: &Plan) -> bool {
    let seat = |it: &Interface| (it.device, it.subnet, it.audience, it.v4, it.v6);
    let (one, other) = (&before.design.devices, &plan.design.devices);
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.kind.is_switch() == other.kind.is_switch())
        && before.interfaces.len() == plan.interfaces.len()
        && before.interfaces.iter().zip(&plan.interfaces).all(|(one, other)| seat(one) == seat(other))
        && before.subnets == plan.subnets
        && before.bindings == plan.bindings
        && for_clients(before).eq(for_clients(plan))
}

/// Of each network, whether machines or BMCs stand on it.
fn for_clients(plan: &Plan) -> impl Iterator<Item = bool> {
    let is_client = |audience: &Audience| matches!(audience, Audience::Machine | Audience::Bmc);
    plan.design.networks.iter().map(move |network| network.audience.iter().any(is_client))
}

/// The subnets of the networks that are for machines or BMCs.
fn client_subnets(plan: &Plan) -> impl Iterator<Item = &Subnet> {
    let networks: Vec<bool> = for_clients(plan).collect();
    plan.subnets.iter().filter(move |subnet| networks[subnet.network.index()])
}

fn relay<A: Eq + Hash>(wiring: &mut Wiring<A>, address: A, switch: DeviceId) {
    let switches = wiring.relays.entry(address).or_default();
    if !switches.contains(&switch) {
        switches.push(switch);
    }
}
