//! What holds of any datagram on the DHCPv6 port.

use answer::dhcp6::{Arrival, in_words, v6};
use model::View;
use std::net::{Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{MESSAGE_MAX, MessageType, Packet};

/// The most that a reply may be: what is told does not grow with the request, and what is mirrored is no more than it.
const TOLD_MAX: usize = 512;

/// The first octet tells how it comes; the rest is the datagram. Whether it was granted.
pub(crate) fn check(view: &View, input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some((first, packet)) = input.split_first() else { return false };
    let read = Packet::parse(packet);
    // From the address that it names, so that what holders may do is reached.
    let named = read
        .ok()
        .and_then(|read| read.message.associations().flat_map(|association| association.addresses()).next());
    let source = match first & 6 {
        0 if read.is_ok_and(|read| read.nearest().is_none()) => named.unwrap_or(Ipv6Addr::LOCALHOST),
        _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x11),
    };
    let arrival = Arrival { source: SocketAddrV6::new(source, 546, 0, 0), is_multicast: first & 1 == 0 };
    let result = v6(view, packet, arrival, out);
    let destination = match &result {
        Ok(answer) => Some(answer.destination),
        Err(refused) => refused.destination,
    };
    assert_eq!(destination.is_some(), !out.is_empty());
    if let Some(destination) = destination {
        let read = read.expect("it was answered");
        assert_eq!(*destination.address().ip(), source, "to nobody but who asked");
        assert!(
            out.len() <= packet.len() + TOLD_MAX && out.len() <= MESSAGE_MAX,
            "{} of {}",
            out.len(),
            packet.len()
        );
        match read.relays().next() {
            Some(relay) => {
                assert_eq!(out[..2], [MessageType::RelayReply as u8, relay.hop_count]);
                assert_eq!(destination.address().port(), 547);
            }
            None => {
                let reply = Packet::parse(out).expect("what we write, we read").message;
                assert!(matches!(reply.kind, MessageType::Advertise | MessageType::Reply));
                assert_eq!(reply.transaction, read.message.transaction);
                assert_eq!(destination.address().port(), 546);
            }
        }
    }
    assert!(in_words(view, packet).len() < 1000);
    result.is_ok()
}
