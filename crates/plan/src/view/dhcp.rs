//! The part of the view that DHCP is answered from.
//!
//! Out of a plan, facts and a site come tables in which `answer` only looks up: identities, option values as bytes,
//! and who is not to be served. Nothing here depends on the order of a hash map.

use super::wiring::{V4, wiring};
use super::{Known, withheld};
use model::design::{Audience, Zone};
use model::facts::State;
use model::plan::Subnet;
use model::quick::Map;
use model::view::dhcp::{Homes, SubnetTold, Told};
use model::view::wiring::Wiring;
use model::view::{DhcpView, Site};
use model::{Mac, Plan};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The shortest lease: below it T1 < T2 < lease cannot hold in whole seconds with room to try again between them.
pub(super) const LEASE_SECONDS_MIN: u32 = 8;

/// What surely passes to a client, whatever its own network takes: relays stand on ordinary links.
const PATH_MTU: u16 = 1500;

/// Prepares it.
pub(super) fn view(plan: &Plan, known: &Known<'_>, site: &Site) -> DhcpView {
    with_wiring(Arc::new(wiring(plan, &V4)), plan, known, site)
}

/// The same for newer facts, or for another plan that is wired alike: the wiring, which is most of the work, is shared.
pub(super) fn succeed(previous: &DhcpView, plan: &Plan, known: &Known<'_>, site: &Site) -> DhcpView {
    with_wiring(Arc::clone(&previous.wiring), plan, known, site)
}

fn with_wiring(wiring: Arc<Wiring<Ipv4Addr>>, plan: &Plan, known: &Known<'_>, site: &Site) -> DhcpView {
    let controllers = controllers(plan, site);
    let resolvers = v4(&site.own).chain(controllers.iter().copied());
    let told = told(plan, &unlike(resolvers), &controllers);
    let servers = unlike(v4(&site.own).chain(controllers).chain(v4(&site.edges)));
    let withheld = withheld(plan, known, |interface| interface.v4.map(IpAddr::V4));
    DhcpView { servers, wiring, told, withheld, accepted: accepted(known) }
}

/// The controllers' addresses: the site's, then the plan's. The first of who answers is the server identifier.
fn controllers(plan: &Plan, site: &Site) -> Vec<Ipv4Addr> {
    let of_plan = plan
        .interfaces
        .iter()
        .filter(|interface| interface.audience == Audience::Controller)
        .filter_map(|interface| interface.v4);
    unlike(v4(&site.controllers).chain(of_plan))
}

fn v4(addresses: &[IpAddr]) -> impl Iterator<Item = Ipv4Addr> {
    addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

/// Each once, in order.
pub(super) fn unlike<A: PartialEq>(addresses: impl Iterator<Item = A>) -> Vec<A> {
    let mut unlike = Vec::new();
    for address in addresses {
        if !unlike.contains(&address) {
            unlike.push(address);
        }
    }
    unlike
}

fn told(plan: &Plan, resolvers: &[Ipv4Addr], controllers: &[Ipv4Addr]) -> Told {
    let zone = &plan.design.zone;
    let lease_seconds = zone.lease_seconds.max(LEASE_SECONDS_MIN);
    Told {
        subnets: plan.subnets.iter().map(|subnet| subnet_told(plan, subnet)).collect(),
        resolvers: addresses(&zone.resolvers, resolvers),
        time_servers: addresses(&zone.time_servers, controllers),
        search: search(zone),
        lease: lease_seconds.to_be_bytes(),
        renewal: (lease_seconds != u32::MAX).then(|| timers(lease_seconds)),
    }
}

fn subnet_told(plan: &Plan, subnet: &Subnet) -> Option<SubnetTold> {
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
pub(super) fn timers(lease_seconds: u32) -> ([u8; 4], [u8; 4]) {
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
pub(super) fn search(zone: &Zone) -> Vec<u8> {
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

/// Where each piece of hardware belongs. What a retired place had may be used elsewhere.
fn accepted(known: &Known<'_>) -> Map<Mac, Homes> {
    let mut accepted: Map<Mac, Homes> = Map::default();
    accepted.reserve(known.len());
    for (device, machine) in
        known.iter().filter(|(_, machine)| !matches!(machine.state, State::Retired { .. }))
    {
        for mac in machine.accepted.values() {
            accepted.entry(*mac).and_modify(|homes| homes.add(*device)).or_insert_with(|| Homes::of(*device));
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::super::wiring;
    use super::*;
    use expect_test::{Expect, expect};
    use model::design::{Design, Device, DeviceKind, Network, PortRef, Scope};
    use model::facts::{Conflict, Machine};
    use model::finding::Source;
    use model::ids::{ModelId, NetworkId, PortIndex, SubnetId};
    use model::plan::{Binding, Interface, Router, Subnet};
    use model::view::dhcp::Withheld;
    use model::view::wiring::Relay;
    use model::{DeviceId, InterfaceId};
    use model::{Generation, Location, Mac, Time};

    const LEAF_A: DeviceId = DeviceId(0);
    const LEAF_B: DeviceId = DeviceId(1);

    /// Two leaves that share a gateway, two machines and a controller; the identities are the test's.
    fn plan(bindings: Vec<Binding>) -> Plan {
        let device = |path: &str, kind| Device {
            location: Location::new(path),
            name: path.to_owned(),
            kind,
            pod: None,
            rack: None,
            slot: 0,
            model: ModelId(0),
            role: None,
            source: Source::default(),
        };
        let interface = |device, last, audience| Interface {
            device: DeviceId(device),
            name: "eno1".to_owned(),
            dns_name: String::new(),
            audience,
            subnet: SubnetId(0),
            v4: Some(Ipv4Addr::new(10, 0, 0, last)),
            v6: None,
            ports: Vec::new(),
        };
        let router = |switch, last| Router { switch, v4: Some(Ipv4Addr::new(10, 0, 0, last)), v6: None };
        let design = Design {
            zone: Zone { domain: "ams1.example.net".to_owned(), lease_seconds: 600, ..Zone::default() },
            networks: vec![Network {
                name: "boot".to_owned(),
                scope: Scope::Rack,
                audience: vec![Audience::Machine],
                vlan: None,
                native: false,
                interfaces: Vec::new(),
                spare: 0,
                mtu: Some(9000),
                ipv4: true,
                ipv6: false,
                source: Source::default(),
            }],
            devices: vec![
                device("leaf-a", DeviceKind::Leaf),
                device("leaf-b", DeviceKind::Leaf),
                device("u01", DeviceKind::Machine),
                device("u02", DeviceKind::Machine),
                device("ctl", DeviceKind::Controller),
            ],
            ..Design::default()
        };
        Plan {
            generation: Generation(1),
            design: Arc::new(design),
            aggregates: Vec::new(),
            subnets: vec![Subnet {
                network: NetworkId(0),
                location: Location::new("r1"),
                v4: "10.0.0.0/24".parse().ok(),
                v6: None,
                gateway4: Some(Ipv4Addr::new(10, 0, 0, 1)),
                gateway6: None,
                routers: vec![router(LEAF_A, 2), router(LEAF_B, 3)],
            }],
            interfaces: vec![
                interface(2, 11, Audience::Machine),
                interface(3, 12, Audience::Machine),
                interface(4, 9, Audience::Controller),
            ],
            first_interface: vec![0, 0, 0, 1, 2, 3],
            bindings,
        }
    }

    fn binding(interface: u32, switch: DeviceId, circuit_id: &str, remote_id: Option<&str>) -> Binding {
        Binding {
            interface: InterfaceId(interface),
            switch,
            port: PortRef { device: switch, port: PortIndex(0) },
            own_port: PortRef { device: DeviceId(interface), port: PortIndex(0) },
            circuit_id: circuit_id.as_bytes().into(),
            remote_id: remote_id.map(|text| Arc::from(text.as_bytes())),
            interface_id: None,
            remote_id6: None,
            is_bmc_class: None,
        }
    }

    fn view_of(plan: &Plan) -> DhcpView {
        view(plan, &[], &Site::default())
    }

    #[test]
    fn a_port_is_found_by_remote_id_or_by_switch_and_never_by_the_other() {
        let plan = plan(vec![
            binding(0, LEAF_A, "swp1", Some("leaf-a")),
            binding(1, LEAF_B, "swp1", None),
            binding(0, LEAF_B, "swp2", None),
        ]);
        let wiring = view_of(&plan).wiring;
        let machine = |relay, circuit_id: &str| {
            wiring.port(relay, circuit_id.as_bytes()).and_then(|it| it.machine).map(|it| it.binding)
        };
        assert_eq!(machine(Relay::Remote(b"leaf-a"), "swp1"), Some(0));
        assert_eq!(machine(Relay::Switch(LEAF_B), "swp1"), Some(1));
        assert_eq!(machine(Relay::Switch(LEAF_B), "swp2"), Some(2));
        assert_eq!(machine(Relay::Switch(LEAF_A), "swp1"), None);
        assert_eq!(
            machine(Relay::Remote(b"leaf-as"), "wp1"),
            None,
            "where the remote-id ends is part of the key"
        );
        assert_eq!(machine(Relay::Remote(b""), ""), None);
        assert!(wiring.port(Relay::Remote(&[1; 256]), b"").is_none());
        assert!(wiring.port(Relay::Remote(&[1; 255]), &[1; 255]).is_none());
    }

    #[test]
    fn one_identity_of_two_interfaces_tells_nothing_and_of_one_interface_is_one() {
        let twice = plan(vec![binding(0, LEAF_A, "swp1", None), binding(0, LEAF_A, "swp1", None)]);
        let port = view_of(&twice).wiring.port(Relay::Switch(LEAF_A), b"swp1").expect("known");
        assert_eq!((port.machine.map(|it| it.binding), port.is_ambiguous), (Some(0), false));
        let two = plan(vec![binding(0, LEAF_A, "swp1", None), binding(1, LEAF_A, "swp1", None)]);
        let port = view_of(&two).wiring.port(Relay::Switch(LEAF_A), b"swp1").expect("known");
        assert!(port.is_ambiguous);
    }

    #[test]
    fn a_relay_may_use_its_own_addresses_and_the_gateway_it_shares() {
        let wiring = view_of(&plan(Vec::new())).wiring;
        let of = |last| wiring.relays.get(&Ipv4Addr::new(10, 0, 0, last)).cloned();
        assert_eq!(of(1), Some(vec![LEAF_A, LEAF_B]));
        assert_eq!(of(2), Some(vec![LEAF_A]));
        assert_eq!(of(3), Some(vec![LEAF_B]));
        assert_eq!(of(11), None, "a machine is no relay");
    }

    #[test]
    fn whoever_stands_on_a_subnet_may_have_its_free_addresses() {
        let plan = plan(Vec::new());
        let before = view_of(&plan);
        let of = |view: &DhcpView| {
            [1, 2, 9, 11, 77].map(|last| view.wiring.may_be_clients(Ipv4Addr::new(10, 0, 0, last)))
        };
        assert_eq!(of(&before), [false, false, false, true, true]);
        assert!(!before.wiring.may_be_clients(Ipv4Addr::new(10, 0, 1, 0)));
        // The same places on a network that is for switches.
        let mut design = (*plan.design).clone();
        design.networks[0].audience = vec![Audience::Switch];
        let after = Plan { design: Arc::new(design), ..plan.clone() };
        assert!(!wiring::is_alike(&plan, &after));
        assert_eq!(of(&view_of(&after)), [false, false, false, true, false]);
    }

    fn check_told(change: impl FnOnce(&mut Zone), expected: Expect) {
        let mut plan = plan(Vec::new());
        let mut design = (*plan.design).clone();
        change(&mut design.zone);
        plan.design = Arc::new(design);
        expected.assert_eq(&format!("{:?}", view_of(&plan).told));
    }

    #[test]
    fn what_a_zone_tells() {
        check_told(
            |_| {},
            expect![
                "Told { subnets: [Some(SubnetTold { mask: [255, 255, 255, 0], router: Some([10, 0, 0, 1]), broadcast: Some([10, 0, 0, 255]), mtu: Some([35, 40]), path_mtu: 1500 })], resolvers: [10, 0, 0, 9], time_servers: [10, 0, 0, 9], search: [4, 97, 109, 115, 49, 7, 101, 120, 97, 109, 112, 108, 101, 3, 110, 101, 116, 0], lease: [0, 0, 2, 88], renewal: Some(([0, 0, 1, 44], [0, 0, 2, 13])) }"
            ],
        );
        check_told(
            |zone| {
                zone.lease_seconds = u32::MAX;
                zone.domain = String::new();
                zone.resolvers = vec![Ipv4Addr::new(9, 9, 9, 9).into(), std::net::Ipv6Addr::LOCALHOST.into()];
            },
            expect![
                "Told { subnets: [Some(SubnetTold { mask: [255, 255, 255, 0], router: Some([10, 0, 0, 1]), broadcast: Some([10, 0, 0, 255]), mtu: Some([35, 40]), path_mtu: 1500 })], resolvers: [9, 9, 9, 9], time_servers: [10, 0, 0, 9], search: [], lease: [255, 255, 255, 255], renewal: None }"
            ],
        );
    }

    #[test]
    fn the_sites_controllers_come_first_and_each_address_once() {
        let controllers = vec![Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(10, 0, 0, 9).into()];
        let site = Site { controllers, ..Site::default() };
        let view = view(&plan(Vec::new()), &[], &site);
        assert_eq!(view.servers, [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(10, 0, 0, 9)]);
    }

    fn machine(state: State) -> Machine {
        let accepted = [("eno1".to_owned(), Mac([2, 0, 0, 0, 0, 1]))].into();
        Machine { state, accepted, ..Machine::default() }
    }

    #[test]
    fn facts_withhold_an_address_and_say_where_hardware_belongs() {
        let mut declined = machine(State::Ready);
        let conflict = Conflict { at: Time(0), by: Mac([2, 0, 0, 0, 0, 9]) };
        declined.conflicts.insert(Ipv4Addr::new(10, 0, 0, 11).into(), conflict);
        let retired = machine(State::Retired { reason: String::new(), by: String::new() });
        let known = [(DeviceId(2), &declined), (DeviceId(3), &retired)];
        let view = view(&plan(Vec::new()), &known, &Site::default());
        assert_eq!(view.withheld.get(&InterfaceId(0)), Some(&Withheld::Conflict));
        assert_eq!(view.withheld.get(&InterfaceId(1)), Some(&Withheld::Retired));
        let homes = view.accepted.get(&Mac([2, 0, 0, 0, 0, 1])).cloned();
        assert_eq!(homes, Some(Homes::of(DeviceId(2))), "a retired place holds no hardware");
    }
}
