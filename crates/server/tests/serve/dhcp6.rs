//! DHCPv6 on its socket. The machine is behind a relay that speaks from this host's loopback address.

use crate::support::{PATIENCE, Server};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use wire::dhcp6::{MessageType, Packet, Request, code, relay_forward};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
/// `2001:db8:64::1`, which both leaves of the pair have; leaf a writes its name as remote-id.
const GATEWAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1);

/// What a relay sends of `p01/r1/u01`'s message, or of another port's.
fn relayed(request: &Request, port: &str) -> Vec<u8> {
    let remote_id = [&[0, 0, 0, 9][..], b"p01-r1-leaf-a"].concat();
    let options = [(code::INTERFACE_ID, port.as_bytes()), (code::REMOTE_ID, &remote_id)];
    relay_forward(0, GATEWAY, PEER, &options, &request.encode())
}

fn socket(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(SocketAddr::from((Ipv6Addr::LOCALHOST, server.ports().dhcp6))).unwrap();
    socket
}

/// The message in the relay's shell, or what came without one.
fn ask(socket: &UdpSocket, packet: &[u8]) -> Vec<u8> {
    socket.send(packet).unwrap();
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).unwrap();
    reply.truncate(length);
    if reply[0] != MessageType::RelayReply as u8 {
        return reply;
    }
    // Header, interface-id, and the head of the relay message.
    reply.split_off(34 + 4 + 4 + 4)
}

fn granted(message: &[u8]) -> Vec<Ipv6Addr> {
    let packet = Packet::parse(message).unwrap();
    packet.message.associations().flat_map(|association| association.addresses()).collect()
}

#[test]
fn a_machine_gets_its_address_and_is_seen() {
    let server = Server::start();
    let socket = socket(&server);
    let mut events = server.events("", "");
    let solicit = Request::new(MessageType::Solicit, 1).from(MAC).association(7, &[]);
    let advertise = ask(&socket, &relayed(&solicit, "swp1"));
    let read = Packet::parse(&advertise).unwrap().message;
    assert_eq!(read.kind, MessageType::Advertise);
    let server_id = read.server_id().unwrap().to_vec();
    let request = Request { kind: MessageType::Request, ..solicit.clone() }.with(code::SERVER_ID, server_id);
    let reply = ask(&socket, &relayed(&request, "swp1"));
    let plan: serde_json::Value = server.get("/v1/plan");
    let rows = plan["interfaces"].as_array().unwrap();
    let is_its =
        |row: &&serde_json::Value| row["location"].as_str().is_some_and(|at| at.ends_with("p01/r1/u01"));
    let planned = rows.iter().find(is_its).unwrap();
    let planned: Ipv6Addr = planned["v6"].as_str().unwrap().parse().unwrap();
    assert_eq!((granted(&advertise), granted(&reply)), (vec![planned], vec![planned]));
    let event = events.machine();
    assert_eq!(event.location.as_str(), "lab1/p01/r1/u01");
    assert!(event.sentence.contains("52:54:00:00:00:01"), "{}", event.sentence);
    server.await_answers("dhcp6", 2.0);
}

#[test]
fn a_port_that_nobody_drew_is_named() {
    let server = Server::start();
    let socket = socket(&server);
    let solicit = Request::new(MessageType::Solicit, 1).from(MAC).association(7, &[]);
    socket.send(&relayed(&solicit, "swp30")).unwrap();
    // The next one is answered, so that one was looked at.
    ask(&socket, &relayed(&solicit, "swp1"));
    let name = "zonewright_refusals_total{protocol=\"dhcp6\",reason=\"unknown-port\"}";
    assert_eq!(server.metric(name), 1.0);
    let refusals: serde_json::Value = server.get("/v1/refusals");
    let refusal = &refusals["recent"][0];
    assert_eq!(
        (refusal["protocol"].as_str(), refusal["circuit_id"].as_str()),
        (Some("dhcp6"), Some("`swp30`"))
    );
    let expected = refusal["expected"].as_str().unwrap_or_default();
    assert!(expected.starts_with("interface-id `swp3` of "), "{refusal}");
}

#[test]
fn who_speaks_to_the_server_alone_is_told_to_use_multicast() {
    let server = Server::start();
    let socket = socket(&server);
    let solicit = Request::new(MessageType::Solicit, 1).from(MAC);
    let advertise = ask(&socket, &relayed(&solicit, "swp1"));
    let server_id = Packet::parse(&advertise).unwrap().message.server_id().unwrap().to_vec();
    let renew = Request::new(MessageType::Renew, 2).from(MAC).with(code::SERVER_ID, server_id);
    let reply = ask(&socket, &renew.encode());
    let message = Packet::parse(&reply).unwrap().message;
    assert_eq!(message.options.get(code::STATUS_CODE), Some(&[0, 5][..]));
}
