//! Any datagram on the DHCP ports: read, answered from a small zone, relayed and stripped.
//!
//! The first octet chooses the port it comes to; the rest is the datagram. Its twin with a fixed seed is
//! `crates/answer/tests/dhcp/robust.rs`.

#![no_main]

#[path = "../../crates/answer/tests/dhcp/zone.rs"]
#[expect(dead_code, reason = "the tests use the rest of the fixture")]
mod zone;

use answer::dhcp::{Arrival, in_words, v4};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::net::SocketAddrV4;
use wire::dhcp4::{BOOT_SERVER_PORT, MESSAGE_MAX, Message, SERVER_PORT, insert_relay_agent, strip_relay_agent};

thread_local! {
    static ZONE: (model::View, RefCell<Vec<u8>>) = (zone::view(), RefCell::new(Vec::new()));
}

fuzz_target!(|data: &[u8]| {
    let Some((first, packet)) = data.split_first() else { return };
    let port = if first & 1 == 0 { SERVER_PORT } else { BOOT_SERVER_PORT };
    ZONE.with(|(view, out)| {
        let out = &mut *out.borrow_mut();
        // From the address that the packet claims, so that renewals are reached.
        let source = match Message::parse(packet) {
            Ok(message) => SocketAddrV4::new(message.ciaddr(), 68),
            Err(_) => SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 68),
        };
        let result = v4(view, packet, Arrival { source, port }, out);
        let is_sent = match result {
            Ok(answer) => answer.destination.is_some(),
            Err(refused) => refused.destination.is_some(),
        };
        assert_eq!(is_sent, !out.is_empty());
        if is_sent {
            let reply = Message::parse(out).expect("what we write, we read");
            assert!(!reply.is_request());
            assert!(out.len() <= 1472 && out.len() <= 3 * packet.len());
        }
        assert!(in_words(view, packet).len() < 1000);
    });
    if let Some(relayed) = insert_relay_agent(packet, b"swp1", b"p01-r1-leaf-a", zone::leaf_a(0)) {
        let is_long = relayed.len() > MESSAGE_MAX;
        assert!(is_long || Message::parse(&relayed).is_ok() || Message::parse(packet).is_err());
    }
    let _ = strip_relay_agent(packet);
});
