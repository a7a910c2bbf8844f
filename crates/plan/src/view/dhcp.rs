//! The part of the view that DHCP is answered from.
//!
//! Out of a plan, facts and a site come tables in which `answer` only looks up: identities, option values as bytes,
//! and who is not to be served. Nothing here depends on the order of a hash map.

use model::design::{Audience, Zone};
use model::facts::State;
use model::view::dhcp::{PORT_KEY_MAX, Relay, SubnetTold, Told, Wiring, Withheld, port_key};
use model::view::{DhcpView, Site};
use model::{Facts, InterfaceId, Plan};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The shortest lease: below it T1 < T2 < lease cannot hold in whole seconds with room to try again between them.
const LEASE_SECONDS_MIN: u32 = 8;

/// What surely passes to a client, whatever its own network takes: relays stand on ordinary links.
const PATH_MTU: u16 = 1500;

/// Prepares it.
pub(super) fn view(plan: &Plan, facts: &Facts, site: &Site) -> DhcpView {
    with_wiring(Arc::new(wiring(plan)), plan, facts, site)
}

fn with_wiring(wiring: Arc<Wiring>, plan: &Plan, facts: &Facts, site: &Site) -> DhcpView {
    let servers = servers(plan, site);
    let told = told(plan, &servers);
    let mut view = DhcpView { servers, wiring, told, withheld: HashMap::new(), accepted: HashMap::new() };
    observed(plan, facts, &mut view);
    view
}

/// The controllers' addresses: the site's, then the plan's. The first is the server identifier.
fn servers(plan: &Plan, site: &Site) -> Vec<Ipv4Addr> {
    let of_site = site.controllers.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let of_plan = plan
        .interfaces
        .iter()
        .filter(|interface| interface.audience == Audience::Controller)
        .filter_map(|interface| interface.v4);
    let mut servers = Vec::new();
    for address in of_site.chain(of_plan) {
        if !servers.contains(&address) {
            servers.push(address);
        }
    }
    servers
}

fn wiring(plan: &Plan) -> Wiring {
    let mut wiring = Wiring {
        ports: HashMap::with_capacity(plan.bindings.len()),
        relays: HashMap::new(),
        addresses: HashMap::with_capacity(plan.interfaces.len()),
    };
    for (position, binding) in (0..).zip(&plan.bindings) {
        let relay = match &binding.remote_id {
            Some(remote_id) => Relay::Remote(remote_id),
            None => Relay::Switch(binding.switch),
        };
        let mut buffer = [0; PORT_KEY_MAX];
        // A template that writes more than a sub-option holds can match no request.
        let Some(key) = port_key(relay, &binding.circuit_id, &mut buffer) else { continue };
        let port = wiring.ports.entry(key.into()).or_default();
        let slot = if binding.is_bmc_class == Some(true) { &mut port.bmc } else { &mut port.machine };
        match *slot {
            None => *slot = Some(position),
            Some(first) if plan.bindings[first as usize].interface == binding.interface => {}
            Some(_) => port.is_ambiguous = true,
        }
    }
    for subnet in &plan.subnets {
        for router in &subnet.routers {
            for address in [router.v4, subnet.gateway4].into_iter().flatten() {
                relay(&mut wiring, address, router.switch);
            }
        }
    }
    for (position, interface) in plan.interfaces.iter().enumerate() {
        let Some(address) = interface.v4 else { continue };
        wiring.addresses.insert(address, InterfaceId::from_index(position));
        if plan.design.devices[interface.device.index()].kind.is_switch() {
            relay(&mut wiring, address, interface.device);
        }
    }
    wiring
}

fn relay(wiring: &mut Wiring, address: Ipv4Addr, switch: model::DeviceId) {
    let switches = wiring.relays.entry(address).or_default();
    if !switches.contains(&switch) {
        switches.push(switch);
    }
}

fn told(plan: &Plan, servers: &[Ipv4Addr]) -> Told {
    let zone = &plan.design.zone;
    let lease_seconds = zone.lease_seconds.max(LEASE_SECONDS_MIN);
    Told {
        subnets: plan.subnets.iter().map(|subnet| subnet_told(plan, subnet)).collect(),
        resolvers: addresses(&zone.resolvers, servers),
        time_servers: addresses(&zone.time_servers, servers),
        search: search(zone),
        lease: lease_seconds.to_be_bytes(),
        renewal: (lease_seconds != u32::MAX).then(|| timers(lease_seconds)),
    }
}

fn subnet_told(plan: &Plan, subnet: &model::plan::Subnet) -> Option<SubnetTold> {
    let prefix = subnet.v4?;
    let mtu = plan.design.networks[subnet.network.index()].mtu;
    Some(SubnetTold {
        mask: prefix.netmask().octets(),
        router: subnet.gateway4.map(|gateway| gateway.octets()),
        broadcast: (prefix.prefix_len() < 31).then(|| prefix.broadcast().octets()),
        mtu: mtu.map(u16::to_be_bytes),
        path_mtu: mtu.unwrap_or(PATH_MTU).min(PATH_MTU),
    })
}

/// T1 at a half and T2 at seven eighths of the lease (RFC 2131 §4.4.5), each surely below the next.
fn timers(lease_seconds: u32) -> ([u8; 4], [u8; 4]) {
    ((lease_seconds / 2).to_be_bytes(), (lease_seconds - lease_seconds / 8).to_be_bytes())
}

/// The IPv4 addresses of a list as an option, or the controllers' if the list is empty.
fn addresses(list: &[IpAddr], servers: &[Ipv4Addr]) -> Vec<u8> {
    if list.is_empty() {
        return servers.iter().flat_map(Ipv4Addr::octets).collect();
    }
    let v4 = list.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    });
    v4.flatten().collect()
}

/// A domain as Option 119 has it: labels after their lengths, and the root (RFC 3397 §2).
fn search(zone: &Zone) -> Vec<u8> {
    let mut name = Vec::new();
    for label in zone.domain.split('.').filter(|label| !label.is_empty()) {
        let Ok(length @ 1..=63) = u8::try_from(label.len()) else { return Vec::new() };
        name.push(length);
        name.extend(label.as_bytes());
    }
    if !name.is_empty() {
        name.push(0);
    }
    name
}

/// What the facts change: who is not served, and where each piece of hardware belongs.
fn observed(plan: &Plan, facts: &Facts, view: &mut DhcpView) {
    for (position, device) in plan.design.devices.iter().enumerate() {
        let Some(machine) = facts.machines.get(&device.location) else { continue };
        let device = model::DeviceId::from_index(position);
        let first = plan.first_interface[position] as usize;
        let is_retired = matches!(machine.state, State::Retired { .. });
        for (offset, interface) in plan.interfaces_of(device).iter().enumerate() {
            let is_in_conflict =
                interface.v4.is_some_and(|address| machine.conflicts.contains_key(&IpAddr::V4(address)));
            let withheld = match (is_retired, is_in_conflict) {
                (true, _) => Withheld::Retired,
                (false, true) => Withheld::Conflict,
                (false, false) => continue,
            };
            view.withheld.insert(InterfaceId::from_index(first + offset), withheld);
        }
        // What a retired place had may be used elsewhere.
        if is_retired {
            continue;
        }
        for mac in machine.accepted.values() {
            let places = view.accepted.entry(*mac).or_default();
            if !places.contains(&device) {
                places.push(device);
            }
        }
    }
}
