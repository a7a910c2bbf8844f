//! What a relay makes of the packets of a port, and of the replies.

use super::*;
use crate::topology::{Kind, topology};
use expect_test::expect;
use std::path::Path;
use wire::dhcp4::{Request, code};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// The first leaf of the pocket zone, and the interface of its port 3.
pub(super) fn leaf() -> (Plan, Topology, HostId, u32) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pocket");
    let plan = crate::load::load(&directory).unwrap_or_else(|error| panic!("{}", error.line())).0;
    let topology = topology(&plan);
    let leaf = topology
        .hosts
        .iter()
        .position(|host| {
            host.kind == Kind::Switch && plan.design.devices[host.device.index()].location.is("p01/r1/leaf-a")
        })
        .expect("a leaf");
    let port =
        topology.wires.iter().find(|wire| wire.near.host == leaf && wire.near.name == "swp3").expect("swp3");
    let port = port.near.index;
    (plan, topology, leaf, port)
}

/// Its relay.
fn relay() -> (Relay, u32) {
    let (plan, topology, leaf, port) = leaf();
    (Relay::new(&plan, &topology, leaf), port)
}

fn datagram<'a>(to: Ipv4Addr, payload: &'a [u8]) -> Datagram<'a> {
    Datagram {
        from_mac: Mac(MAC),
        to_mac: BROADCAST,
        from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
        to: SocketAddrV4::new(to, SERVER_PORT),
        payload,
    }
}

#[test]
fn a_request_gets_the_bytes_of_the_plan() {
    let (mut relay, port) = relay();
    let discover = Request::new(MessageType::Discover, MAC, 7).encode();
    let relayed = relay.request(port, &datagram(Ipv4Addr::BROADCAST, &discover)).expect("relayed");
    let message = Message::parse(&relayed.packet).expect("a message");
    let option = message.relay_agent().expect("Option 82");
    let text = |octets: Option<&[u8]>| String::from_utf8_lossy(octets.unwrap_or_default()).into_owned();
    expect!["from 10.64.0.2, giaddr 10.64.0.2, hops 1, circuit-id swp3, remote-id p01-r1-leaf-a"].assert_eq(
        &format!(
            "from {}, giaddr {}, hops {}, circuit-id {}, remote-id {}",
            relayed.from,
            message.giaddr(),
            message.hops(),
            text(option.circuit_id()),
            text(option.remote_id())
        ),
    );
}

#[test]
fn what_a_relay_must_not_touch() {
    let (mut relay, port) = relay();
    let discover = Request::new(MessageType::Discover, MAC, 7).encode();
    // A renewal goes to the server as any packet does.
    assert_eq!(relay.request(port, &datagram(Ipv4Addr::new(10, 64, 255, 182), &discover)), None);
    // No machine hangs there.
    assert_eq!(relay.request(9999, &datagram(Ipv4Addr::BROADCAST, &discover)), None);
    // RFC 3046 §2.1: a client that brings its own Option 82 forges its port.
    let mut forged = Request::new(MessageType::Discover, MAC, 7);
    forged.more.push((code::RELAY_AGENT_INFORMATION, vec![1, 4, b's', b'w', b'p', b'1']));
    assert_eq!(relay.request(port, &datagram(Ipv4Addr::BROADCAST, &forged.encode())), None);
    assert_eq!(relay.request(port, &datagram(Ipv4Addr::BROADCAST, b"nonsense")), None);
}

/// The server's answer to what the relay sent: the same packet, turned round.
fn answer(relayed: &[u8], broadcast: bool, kind: MessageType) -> Vec<u8> {
    let mut reply = relayed.to_vec();
    reply[0] = 2;
    reply[10] = if broadcast { 0x80 } else { 0 };
    reply[16..20].copy_from_slice(&[10, 64, 0, 8]);
    let at = reply.windows(3).position(|octets| octets == [53, 1, 1]).expect("Option 53");
    reply[at + 2] = kind as u8;
    reply
}

#[test]
fn a_reply_goes_to_the_port_it_is_for_without_option_82() {
    let (mut relay, port) = relay();
    let discover = Request::new(MessageType::Discover, MAC, 7).encode();
    let relayed = relay.request(port, &datagram(Ipv4Addr::BROADCAST, &discover)).expect("relayed");
    let mut table = String::new();
    for (broadcast, kind) in
        [(false, MessageType::Offer), (true, MessageType::Offer), (false, MessageType::Nak)]
    {
        let frames = relay.replied(relayed.from, &answer(&relayed.packet, broadcast, kind));
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].0, port);
        let datagram = decode_udp(&frames[0].1).expect("a frame");
        let message = Message::parse(datagram.payload).expect("a message");
        table.push_str(&format!(
            "{kind:?}, flag {broadcast}: {} -> {} {}, Option 82 {}\n",
            datagram.from,
            datagram.to,
            datagram.to_mac,
            message.relay_agent().is_some()
        ));
    }
    expect![[r#"
        Offer, flag false: 10.64.0.2:67 -> 10.64.0.8:68 02:00:00:00:00:09, Option 82 false
        Offer, flag true: 10.64.0.2:67 -> 255.255.255.255:68 ff:ff:ff:ff:ff:ff, Option 82 false
        Nak, flag false: 10.64.0.2:67 -> 255.255.255.255:68 ff:ff:ff:ff:ff:ff, Option 82 false
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_reply_for_another_relay_or_port_is_dropped() {
    let (mut relay, port) = relay();
    let discover = Request::new(MessageType::Discover, MAC, 7).encode();
    let relayed = relay.request(port, &datagram(Ipv4Addr::BROADCAST, &discover)).expect("relayed");
    let offer = answer(&relayed.packet, false, MessageType::Offer);
    assert!(relay.reply(Ipv4Addr::new(10, 64, 32, 2), &offer).is_empty());
    assert!(relay.replied(relayed.from, &strip_relay_agent(&offer)).is_empty());
    assert!(relay.replied(relayed.from, &relayed.packet).is_empty());
    assert!(relay.replied(relayed.from, &offer[..100]).is_empty());
}
