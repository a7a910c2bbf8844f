//! What holds of any datagram on a DHCPv4 port. The fuzz target `dhcp4` includes this file.

use crate::zone;
use answer::dhcp::{Arrival, in_words, v4};
use model::View;
use std::net::{Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{
    BOOT_SERVER_PORT, MESSAGE_MAX, Message, SERVER_PORT, insert_relay_agent, strip_relay_agent,
};

/// The first octet chooses the port that it comes to and from where; the rest is the datagram. Whether it was granted.
pub(crate) fn check(view: &View, input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some((first, packet)) = input.split_first() else { return false };
    let port = if first & 1 == 0 { SERVER_PORT } else { BOOT_SERVER_PORT };
    let read = Message::parse(packet);
    // From the address that it claims, so that what holders may do is reached.
    let source = match &read {
        Ok(message) if first & 2 == 0 => message.ciaddr(),
        _ => Ipv4Addr::LOCALHOST,
    };
    let result = v4(view, packet, Arrival { source: SocketAddrV4::new(source, 68), port }, out);
    let destination = match &result {
        Ok(answer) => answer.destination,
        Err(refused) => refused.destination,
    };
    assert_eq!(destination.is_some(), !out.is_empty());
    if destination.is_some() {
        let reply = Message::parse(out).expect("what we write, we read");
        assert!(!reply.is_request());
        assert!(out.len() <= 1472 && out.len() <= 3 * packet.len(), "{} from {}", out.len(), packet.len());
        let known = view.dhcp.wiring.addresses.contains_key(&reply.yiaddr());
        assert!(known || reply.yiaddr() == Ipv4Addr::UNSPECIFIED, "nobody but whom the plan means");
    }
    assert!(in_words(view, packet).len() < 1000);
    if let Some(relayed) = insert_relay_agent(packet, b"swp1", b"p01-r1-leaf-a", zone::leaf_a(0)) {
        assert!(relayed.len() > MESSAGE_MAX || Message::parse(&relayed).is_ok() || read.is_err());
    }
    let _ = strip_relay_agent(packet);
    result.is_ok()
}
