//! What a zone prepares for DHCPv6: whose port it is, what is told, who is not served.

use crate::testing::{POCKET, plan};
use expect_test::expect;
use model::facts::{Conflict, Machine, State};
use model::view::dhcp::Withheld;
use model::view::wiring::Relay;
use model::view::{Dhcp6View, Site};
use model::{InterfaceId, Mac, Plan, Time};
use std::net::IpAddr;

fn view_of(plan: &Plan) -> Dhcp6View {
    super::view(plan, &[], &Site::default())
}

fn device(plan: &Plan, location: &str) -> model::DeviceId {
    let found = plan.design.devices.iter().position(|device| device.location.is(location));
    model::DeviceId::from_index(found.unwrap_or_else(|| panic!("{location}")))
}

#[test]
fn a_port_is_known_by_the_bytes_of_the_circuit_id_on_its_switch() {
    let plan = plan(POCKET);
    let wiring = view_of(&plan).wiring;
    let leaf = device(&plan, "p01/r1/leaf-a");
    let port = wiring.port(Relay::Switch(leaf), b"swp1").expect("drawn");
    let binding = &plan.bindings[port.machine.expect("a machine's").binding as usize];
    assert_eq!((binding.switch, binding.interface_id()), (leaf, &b"swp1"[..]));
    // What it writes in Option 82 is not what it is known by here.
    assert!(wiring.port(Relay::Remote(b"p01-r1-leaf-a"), b"swp1").is_none());
    let interface = plan.interface(binding.interface);
    assert_eq!(wiring.addresses.get(&interface.v6.expect("it has one")), Some(&binding.interface));
    let subnet = plan.subnet(interface.subnet);
    assert_eq!(wiring.relays[&subnet.gateway6.expect("it has one")].len(), 2, "both leaves of the pair");
    let own = subnet.routers.iter().find(|router| router.switch == leaf).and_then(|router| router.v6);
    assert_eq!(wiring.relays[&own.expect("it has one")], [leaf]);
}

#[test]
fn a_port_without_version_6_is_known_too() {
    let mut plan = plan(POCKET);
    let first = plan.bindings[0].interface;
    plan.interfaces[first.index()].v6 = None;
    let (switch, wiring) = (plan.bindings[0].switch, view_of(&plan).wiring);
    let port = wiring.port(Relay::Switch(switch), plan.bindings[0].interface_id()).expect("drawn");
    assert_eq!(port.machine.or(port.bmc).map(|owner| owner.binding), Some(0));
}

#[test]
fn a_model_says_what_its_relay_writes_for_version_6() {
    let words =
        "remote_id  = \"{name}\"\n  interface_id = \"hex:{port:1}000000\"\n  remote_id6 = \"6-{name}\"";
    let text = POCKET.replacen("remote_id  = \"{name}\"", words, 1);
    assert_ne!(text, POCKET);
    let plan = plan(&text);
    let wiring = view_of(&plan).wiring;
    let leaf = device(&plan, "p01/r1/leaf-a");
    let name = format!("6-{}", plan.design.devices[leaf.index()].name);
    let port = wiring.port(Relay::Remote(name.as_bytes()), &[1, 0, 0, 0]).expect("drawn");
    let binding = &plan.bindings[port.machine.expect("a machine's").binding as usize];
    assert_eq!((binding.switch, &*binding.circuit_id), (leaf, &b"swp1"[..]));
    assert!(wiring.port(Relay::Switch(leaf), &[1, 0, 0, 0]).is_none(), "it must say who it is");
    assert!(wiring.port(Relay::Switch(leaf), b"swp1").is_none());
}

#[test]
fn what_a_zone_tells() {
    let plan = plan(POCKET);
    let view = view_of(&plan);
    expect!["[0, 4, cc, 9d, f9, c2, c2, c3, 85, e5, 98, f1, b3, a8, 33, 35, a2, 1a] [2001:db8:64:ffff::36] Told { resolvers: [20, 1, d, b8, 0, 64, ff, ff, 0, 0, 0, 0, 0, 0, 0, 36], search: [4, 6c, 61, 62, 31, 7, 65, 78, 61, 6d, 70, 6c, 65, 3, 6e, 65, 74, 0], time_servers: [20, 1, d, b8, 0, 64, ff, ff, 0, 0, 0, 0, 0, 0, 0, 36], ntp: [0, 1, 0, 10, 20, 1, d, b8, 0, 64, ff, ff, 0, 0, 0, 0, 0, 0, 0, 36], lease: [0, 0, a8, c0], renewal: [0, 0, 54, 60, 0, 0, 93, a8], refresh: [0, 0, a8, c0] }"].assert_eq(&format!("{:x?} {:?} {:x?}", view.server_id, view.servers, view.told));
    assert_eq!(view.server_id, view_of(&plan).server_id);
    let mut other = plan;
    let mut design = (*other.design).clone();
    design.zone.name = "lab2".to_owned();
    design.zone.lease_seconds = u32::MAX;
    other.design = design.into();
    let for_ever = view_of(&other);
    assert_ne!(view.server_id, for_ever.server_id);
    assert_eq!((for_ever.told.lease, for_ever.told.renewal), ([255; 4], [255; 8]));
}

#[test]
fn without_version_6_nothing_is_prepared() {
    let text = POCKET.replacen(", \"2001:db8:64::/48\"", "", 1);
    assert_ne!(text, POCKET);
    let view = view_of(&plan(&text));
    assert!(view.wiring.addresses.is_empty() && view.wiring.ports.is_empty() && view.servers.is_empty());
}

#[test]
fn who_is_not_served() {
    let plan = plan(POCKET);
    let binding = &plan.bindings[0];
    let interface = plan.interface(binding.interface);
    let withheld = |change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::default();
        change(&mut machine);
        let withheld = super::view(&plan, &[(interface.device, &machine)], &Site::default()).withheld;
        withheld.get(&InterfaceId(binding.interface.0)).copied()
    };
    let conflict = |address: IpAddr| {
        move |machine: &mut Machine| {
            machine.conflicts.insert(address, Conflict { at: Time(0), by: Mac([2, 0, 0, 0, 0, 9]) });
        }
    };
    assert_eq!(withheld(&|_| {}), None);
    assert_eq!(withheld(&conflict(interface.v6.expect("it has one").into())), Some(Withheld::Conflict));
    // What is wrong with one family's address leaves the other's.
    assert_eq!(withheld(&conflict(interface.v4.expect("it has one").into())), None);
    let retire = |machine: &mut Machine| {
        machine.state = State::Retired { reason: "old".to_owned(), by: "op".to_owned() };
    };
    assert_eq!(withheld(&retire), Some(Withheld::Retired));
}
