//! Who is asking: what relays name, and what they cannot be trusted with.

use super::client::*;
use crate::zone::{self, Settings, six, view_of};
use answer::dhcp6::Arrival;
use model::design::Audience;
use model::facts::Facts;
use model::view::wiring::PORT_KEY_MAX;
use model::{Mac, View};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use wire::dhcp6::{MessageType, Request, code, relay_forward};

fn request(view: &View) -> Request {
    message(view, MessageType::Request).association(7, &[])
}

/// Asked by this port: the interface that is given its address, or the reason why not.
fn given(view: &View, port: Port<'_>) -> String {
    told(view, &through(&request(view).encode(), 0, port))
}

fn told(view: &View, packet: &[u8]) -> String {
    let outcome = send(view, packet);
    if let Some(line) = outcome.lines().find(|line| line.starts_with("refused: ")) {
        return line.to_owned();
    }
    let after =
        outcome.split_once("Address 7").and_then(|(_, rest)| rest.split_once(", ")).expect("an address").1;
    let address: Ipv6Addr = after.split(' ').next().expect("a word").parse().expect("an address");
    view.plan.interface(view.dhcp6.wiring.addresses[&address]).dns_name.clone()
}

#[test]
fn the_interface_id_and_the_link_tell_the_port() {
    let view = zone::view();
    let lom = Port { link: six(zone::lom(0)), ..u01() };
    let rack_2 = Port { link: six(zone::leaf_a(1)), ..u01() };
    for (port, expected) in [
        (u01(), "p01-r1-u01-eno1"),
        (u02(), "p01-r1-u02-eno1"),
        (Port { link: six(zone::leaf_b(0)), ..u01() }, "p01-r1-u01-eno2"),
        (lom, "p01-r1-u01-bmc"),
        (rack_2, "p01-r2-u01-eno1"),
        (Port { interface_id: b"swp40", ..u01() }, "refused: unknown-port"),
        (Port { interface_id: b"", ..u01() }, "refused: unknown-port"),
        (Port { interface_id: &[b'x'; 2 * PORT_KEY_MAX], ..u01() }, "refused: unknown-port"),
        (Port { link: FOREIGN, ..u01() }, "refused: unknown-relay"),
        (Port { link: Ipv6Addr::UNSPECIFIED, ..u01() }, "refused: unknown-relay"),
        (Port { link: its(&view), ..u01() }, "refused: unknown-relay"),
        (Port { link: six(zone::CONTROLLERS[0]), ..u01() }, "refused: relay-loop"),
    ] {
        assert_eq!(given(&view, port), expected, "{port:?}");
    }
    let nameless = relay_forward(0, u01().link, PEER, &[], &request(&view).encode());
    assert_eq!(told(&view, &nameless), "refused: no-identity");
    let nameless = relay_forward(0, FOREIGN, PEER, &[], &request(&view).encode());
    assert_eq!(told(&view, &nameless), "refused: unknown-relay");
}

#[test]
fn a_gateway_that_two_switches_share_tells_a_bond_and_else_needs_the_remote_id() {
    let view = zone::view();
    let gateway = Port { link: six(zone::gateway(0)), ..u01() };
    assert_eq!(given(&view, gateway), "refused: unknown-port", "eno1 or eno2");
    let says = |name| given(&view, Port { remote_id: Some(name), ..gateway });
    assert_eq!(says("p01-r1-leaf-a"), "p01-r1-u01-eno1");
    assert_eq!(says("p01-r1-leaf-b"), "p01-r1-u01-eno2");
    assert_eq!(says("p01-r2-leaf-a"), "refused: unknown-port");
    assert_eq!(given(&view, Port { interface_id: b"swp6", ..gateway }), "p01-r1-u06-bond0");
    assert_eq!(given(&view, Port { interface_id: b"PortChannel6", ..gateway }), "p01-r1-u06-bond0");
    // One that the design does not describe is no hindrance.
    assert_eq!(given(&view, Port { remote_id: Some("00:11:22"), ..u01() }), "p01-r1-u01-eno1");
}

#[test]
fn a_model_that_says_what_its_relay_writes_is_held_to_it() {
    let view = view_of(&Settings { lom_says: true, ..Settings::default() }, &Facts::default());
    let lom = Port { link: six(zone::lom(0)), interface_id: b"hex-1", ..u01() };
    let says = |name| given(&view, Port { remote_id: Some(name), ..lom });
    assert_eq!(says("p01-r1-lom"), "p01-r1-u01-bmc");
    assert_eq!(given(&view, lom), "refused: unknown-port");
    assert_eq!(
        given(&view, Port { interface_id: b"swp1", remote_id: Some("p01-r1-lom"), ..lom }),
        "refused: unknown-port"
    );
    // A remote-id is bytes that anybody can write: the link's address must be of that very switch.
    assert_eq!(says("p01-r2-lom"), "refused: untrusted-relay p01-r2-u01-bmc");
    let elsewhere = Port { link: six(zone::leaf_a(0)), remote_id: Some("p01-r1-lom"), ..lom };
    assert_eq!(given(&view, elsewhere), "refused: untrusted-relay p01-r1-u01-bmc");
}

#[test]
fn relays_further_out_are_mirrored_and_change_nothing() {
    let view = zone::view();
    let uplink = Port { interface_id: b"swp48", link: FOREIGN, remote_id: Some("spine"), peer: u01().link };
    let mut packet = through(&request(&view).encode(), 0, u01());
    for hop in 1..8 {
        packet = through(&packet, hop, uplink);
        assert_eq!(told(&view, &packet), "p01-r1-u01-eno1");
    }
    assert_eq!(told(&view, &through(&packet, 8, uplink)), "refused: relay-loop");
    assert_eq!(told(&view, &through(&request(&view).encode(), 9, u01())), "refused: relay-loop");
}

#[test]
fn a_relayed_message_from_a_machines_port_is_forged() {
    let view = zone::view();
    // The machine at u02 says that it is a relay, and names u01's port.
    let forged = through(&request(&view).encode(), 0, u01());
    assert_eq!(told(&view, &through(&forged, 1, u02())), "refused: untrusted-relay p01-r1-u02-eno1");
    // Or it sends it to us by itself, from its own address.
    let source = std::net::SocketAddrV6::new(others(&view), 547, 0, 0);
    let arrival = answer::dhcp6::Arrival { source, is_multicast: false };
    assert_eq!(outcome(&view, &forged, arrival), "refused: untrusted-relay p01-r1-u02-eno1\n");
    let uplink = Port { interface_id: b"swp48", link: FOREIGN, remote_id: None, peer: u01().link };
    let deeper = through(&through(&forged, 1, uplink), 2, u02());
    assert_eq!(told(&view, &deeper), "refused: untrusted-relay p01-r1-u02-eno1");
}

/// An address of u01's link that the plan gives nobody, so that any machine there may take it.
const FREE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa01, 0, 0, 0xff, 0xfe00, 0x99);

#[test]
fn a04_a_relayed_message_from_an_address_that_a_machine_may_take_is_forged() {
    let view = zone::view();
    let its = request(&view).encode();
    let forged = through(&its, 0, u01());
    let from = |source| {
        let source = std::net::SocketAddrV6::new(source, 547, 0, 0);
        outcome(&view, &forged, answer::dhcp6::Arrival { source, is_multicast: false })
    };
    assert_eq!(from(FREE), "refused: untrusted-relay\n");
    for relay in [six(zone::gateway(0)), six(zone::leaf_b(0)), FOREIGN, OPAQUE] {
        assert!(from(relay).contains("Address 7"), "{relay}");
    }
    // Or at a port where nothing is drawn, to the leaf, which hands it on.
    let undrawn = Port { interface_id: b"swp40", ..u01() };
    for peer in [OPAQUE, FREE, Ipv6Addr::UNSPECIFIED] {
        for link in [u01().link, six(zone::gateway(0)), FREE, Ipv6Addr::UNSPECIFIED] {
            let told = told(&view, &through(&forged, 1, Port { peer, link, ..undrawn }));
            assert_eq!(told, "refused: untrusted-relay", "{peer} {link}");
        }
    }
    // A switch below may be drawn, or may not be: then it is at a switch that is not drawn either.
    for (peer, link) in [(u01().link, u01().link), (FOREIGN, u01().link), (OPAQUE, FOREIGN)] {
        let told = told(&view, &through(&forged, 1, Port { peer, link, ..undrawn }));
        assert_eq!(told, "p01-r1-u01-eno1", "{peer} {link}");
    }
}

#[test]
fn on_a_link_of_ours_with_machines_a_relay_has_an_address_of_its_own() {
    let mut plan = zone::plan_of(&Settings::default());
    let mut design = (*plan.design).clone();
    design.networks[0].audience.push(Audience::Machine);
    plan.design = Arc::new(design);
    let view = plan::view(&Arc::new(plan), &Facts::default(), &Arc::default());
    let packet = through(&request(&view).encode(), 0, u01());
    let source = std::net::SocketAddrV6::new(OPAQUE, 547, 0, 1);
    let arrival = answer::dhcp6::Arrival { source, is_multicast: true };
    assert_eq!(outcome(&view, &packet, arrival), "refused: untrusted-relay\n");
    assert_eq!(told(&view, &packet), "p01-r1-u01-eno1");
}

#[test]
fn a_drawn_port_without_version_6_is_known_and_not_served() {
    let mut plan = zone::plan_of(&Settings::default());
    let bare = plan.bindings.iter().find(|binding| &*binding.circuit_id == b"swp2").expect("drawn").interface;
    plan.interfaces[bare.index()].v6 = None;
    let view = plan::view(&Arc::new(plan), &Facts::default(), &Arc::default());
    assert_eq!(given(&view, u02()), "refused: not-served p01-r1-u02-eno1");
    let forged = through(&request(&view).encode(), 0, u01());
    assert_eq!(told(&view, &through(&forged, 1, u02())), "refused: untrusted-relay p01-r1-u02-eno1");
}

#[test]
fn a_bmc_on_a_shared_port_says_so_in_its_vendor_class() {
    let view = zone::view();
    let shared = Port { interface_id: b"swp5", ..u01() };
    let classed = |class: &[u8]| {
        let length = u8::try_from(class.len()).expect("short");
        let data = [&[0, 0, 2, 0xa2, 0, length][..], class].concat();
        told(&view, &through(&request(&view).with(code::VENDOR_CLASS, data).encode(), 0, shared))
    };
    assert_eq!(classed(b"iDRAC9"), "p01-r1-u05-bmc");
    assert_eq!(classed(b"PXEClient"), "p01-r1-u05-eno1");
    assert_eq!(given(&view, shared), "p01-r1-u05-eno1");
}

/// The hardware address that is learnt.
fn learnt(view: &View, request: &Request, options: &[(u16, &[u8])], peer: Ipv6Addr) -> Option<Mac> {
    let port = u01();
    let options = [&[(code::INTERFACE_ID, port.interface_id)][..], options].concat();
    let packet = relay_forward(0, port.link, peer, &options, &request.encode());
    let arrival = answer::dhcp6::Arrival {
        source: std::net::SocketAddrV6::new(port.link, 547, 0, 0),
        is_multicast: false,
    };
    let answer = answer::dhcp6::v6(view, &packet, arrival, &mut Vec::new()).expect("granted");
    answer.observed.map(|observed| observed.mac)
}

#[test]
fn the_hardware_address_is_that_of_the_interface_that_asks() {
    let view = zone::view();
    let by_relay = [0, 1, 2, 0, 0, 0, 0, 0x77];
    let seen = [(code::CLIENT_LINK_LAYER_ADDRESS, &by_relay[..])];
    let request = request(&view);
    assert_eq!(learnt(&view, &request, &seen, PEER), Some(Mac([2, 0, 0, 0, 0, 0x77])));
    assert_eq!(learnt(&view, &request, &[], PEER), Some(Mac(MAC)));
    let infiniband = [(code::CLIENT_LINK_LAYER_ADDRESS, &[0, 32, 1, 2, 3, 4, 5, 6][..])];
    assert_eq!(learnt(&view, &request, &infiniband, OPAQUE), None);
    // An operating system's DUID may be of another interface, or of the disk that it was copied from.
    assert_eq!(learnt(&view, &request, &[], OPAQUE), None);
    let class = [&[0, 0, 1, 0x57, 0, 9][..], b"PXEClient"].concat();
    let firmware = request.clone().with(code::VENDOR_CLASS, class);
    assert_eq!(learnt(&view, &firmware, &[], OPAQUE), Some(Mac(MAC)));
}

#[test]
fn the_uuid_is_in_the_duid_that_is_made_of_it() {
    let view = zone::view();
    let duid = [&[0, 4][..], &[7; 16]].concat();
    let request = Request::new(MessageType::Request, 1)
        .with(code::CLIENT_ID, duid)
        .with(code::SERVER_ID, view.dhcp6.server_id)
        .association(7, &[]);
    let packet = through(&request.encode(), 0, u01());
    assert!(send(&view, &packet).contains("uuid: Some([7, 7, 7"));
}

#[test]
fn relays_send_from_where_the_zone_says() {
    let told = |relays_from: Option<&[&str]>, source: Ipv6Addr| {
        let view = zone::relayed_from(relays_from);
        let packet = through(&request(&view).encode(), 0, u01());
        let arrival = Arrival { source: SocketAddrV6::new(source, 547, 0, 0), is_multicast: false };
        outcome(&view, &packet, arrival).lines().next().expect("a line").to_owned()
    };
    let elsewhere = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 7);
    let answered = "to [2001:db8:99::7]:547";
    assert_eq!(told(None, elsewhere), answered);
    assert_eq!(told(Some(&["2001:db8:99::/64"]), elsewhere), answered);
    assert_eq!(told(Some(&["192.0.2.0/24"]), elsewhere), "refused: untrusted-relay");
    let leaf = six(zone::leaf_b(0));
    assert_eq!(told(Some(&[]), leaf), format!("to [{leaf}]:547"), "an address of a switch");
}
