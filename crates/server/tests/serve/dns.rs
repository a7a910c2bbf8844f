//! Names over UDP and TCP.

use crate::support::{PATIENCE, Server, ask};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

/// A query for one name.
fn query(name: &str, kind: u8) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet
}

fn code(reply: &[u8]) -> u8 {
    reply[3] & 15
}

fn answers(reply: &[u8]) -> u16 {
    u16::from_be_bytes([reply[6], reply[7]])
}

const A: u8 = 1;
const AXFR: u8 = 252;
const NAME: &str = "hv-p01-r1-u01.lab1.example.net";

#[test]
fn a_name_has_its_address_over_udp_and_tcp() {
    let server = Server::start();
    let reply = ask(&server.udp(server.ports().dns), &query(NAME, A));
    assert_eq!((&reply[..2], code(&reply), answers(&reply)), (&[0xab, 0xcd][..], 0, 1));
    assert!(reply.ends_with(&[10, 64, 0, 6]), "{reply:?}");
    let missing = ask(&server.udp(server.ports().dns), &query("nobody.lab1.example.net", A));
    assert_eq!((code(&missing), answers(&missing)), (3, 0));
    let elsewhere = ask(&server.udp(server.ports().dns), &query("example.org", A));
    assert_eq!(code(&elsewhere), 5);
    let refusals: api::http::Refusals = server.get("/v1/refusals");
    assert_eq!(refusals.recent[0].subject, "example.org. A");

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().dns)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Twice on one connection (RFC 7766).
    for _ in 0..2 {
        send(&mut stream, &query(NAME, A));
        assert!(receive(&mut stream).ends_with(&[10, 64, 0, 6]));
    }
    server.await_answers("dns", 4.0);
}

#[test]
fn the_zone_is_transferred_over_tcp_to_this_host() {
    let server = Server::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().dns)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    send(&mut stream, &query("lab1.example.net", AXFR));
    let first = receive(&mut stream);
    assert_eq!(code(&first), 0);
    assert!(answers(&first) > 16, "{} records", answers(&first));
}

#[test]
fn queries_that_come_together_are_answered_in_their_order() {
    let server = Server::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().dns)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    let transfer_id = 150;
    for id in 0..300_u16 {
        let mut message = match id {
            150 => query("lab1.example.net", AXFR),
            _ if id % 3 == 0 => query("nobody.lab1.example.net", A),
            _ => query(NAME, A),
        };
        message[..2].copy_from_slice(&id.to_be_bytes());
        all.extend((message.len() as u16).to_be_bytes());
        all.extend(message);
    }
    // Cut within a query: what is whole is answered before the rest comes.
    let (first, rest) = all.split_at(1000);
    stream.write_all(first).unwrap();
    assert_eq!(receive(&mut stream)[..2], [0, 0]);
    stream.write_all(rest).unwrap();
    for id in 1..300_u16 {
        let reply = receive(&mut stream);
        assert_eq!(reply[..2], id.to_be_bytes());
        let expected = if id == transfer_id {
            0
        } else if id % 3 == 0 {
            3
        } else {
            0
        };
        assert_eq!(code(&reply), expected, "{id}");
    }
}

#[test]
fn one_client_does_not_take_every_connection() {
    let server = Server::start();
    let open = || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().dns)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let is_served = |mut stream: &TcpStream| {
        // Without a whole query nothing is sent before the connection is closed.
        let asked = stream.write_all(&[0, 12]).and_then(|()| stream.write_all(&[0; 12]));
        asked.and_then(|()| stream.read_exact(&mut [0; 14])).is_ok()
    };
    let mut held: Vec<TcpStream> = (0..128).map(|_| open()).collect();
    assert!(held.iter().all(is_served));
    assert!(!is_served(&open()), "the 129th");
    held.clear();
    // The server hears of the ends in its own time.
    let began = std::time::Instant::now();
    while !is_served(&open()) {
        assert!(began.elapsed() < PATIENCE);
    }
}

#[test]
fn a_query_that_no_query_is_as_long_as_ends_the_connection() {
    let server = Server::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().dns)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    let message = query(NAME, A);
    all.extend((message.len() as u16).to_be_bytes());
    all.extend(&message);
    all.extend([0xff, 0xff, 0, 0]);
    stream.write_all(&all).unwrap();
    assert_eq!(code(&receive(&mut stream)), 0, "what came before it is answered");
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}

fn send(stream: &mut TcpStream, message: &[u8]) {
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).unwrap();
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).unwrap();
    message
}
