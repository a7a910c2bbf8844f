//! The DHCPv6 relay of a switch (RFC 8415 §19): a client's message goes to every controller in a Relay-forward with the
//! interface-id and remote-id that the plan says that this model writes, and with the client's hardware address (RFC 6939).
//!
//! [`Relay`] decides, on octets; [`super::serve`] owns the sockets, of both families.

use super::{Hung, REMEMBERED_MAX, Relayed, Relays, hung};
use crate::net::{Datagram, Filter, decode_udp6, encode_udp6, link_local};
use crate::topology::{Family, HostId, Topology};
use model::{Mac, Plan};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{
    ALL_RELAYS_AND_SERVERS, CLIENT_PORT, MessageType, SERVER_PORT, code, relay_forward, relay_reply,
};

/// The enterprise number before a remote-id; RFC 5612 keeps this one for examples.
const ENTERPRISE: [u8; 4] = 32_473_u32.to_be_bytes();
/// Hardware type of Ethernet, before the address in Option 79.
const ETHERNET: [u8; 2] = [0, 1];

/// What the relay of one switch knows.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// By interface number.
    ports: HashMap<u32, Port>,
    controllers: Vec<Ipv6Addr>,
    /// The port that a client asked by last, and its hardware address, by its link-local address.
    asked: HashMap<Ipv6Addr, (u32, Mac)>,
}

/// A port that machines hang on.
#[derive(Clone, PartialEq, Debug)]
struct Port {
    interface_id: Box<[u8]>,
    /// With the enterprise number.
    remote_id: Option<Box<[u8]>>,
    link: Ipv6Addr,
    mac: Mac,
}

impl Relay {
    /// The relay of a switch of the plan.
    pub(crate) fn new(plan: &Plan, topology: &Topology, switch: HostId) -> Self {
        let controllers = crate::topology::controllers(plan, Family::V6).into_iter().filter_map(v6).collect();
        let mut relay = Self { controllers, ..Self::default() };
        for Hung { end, bridge, address, binding } in hung(plan, topology, switch, Family::V6) {
            let Some(link) = v6(address) else { continue };
            let remote_id = binding.remote_id6.as_deref().or(binding.remote_id.as_deref());
            let remote_id = remote_id.map(|it| [&ENTERPRISE, it].concat().into_boxed_slice());
            let interface_id = binding.interface_id().into();
            relay.ports.insert(end.index, Port { interface_id, remote_id, link, mac: bridge.mac });
        }
        relay
    }

    /// The addresses it relays from.
    pub(crate) fn addresses(&self) -> Vec<Ipv6Addr> {
        let mut addresses: Vec<_> = self.ports.values().map(|port| port.link).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// A frame for port 547 came in by an interface.
    pub(crate) fn request(&mut self, index: u32, datagram: &Datagram<'_, SocketAddrV6>) -> Option<Relayed> {
        let port = self.ports.get(&index)?;
        let peer = *datagram.from.ip();
        // A unicast passes by as any packet does, and no relay stands behind a machine's port (RFC 8415 §19.1 leaves it to
        // the relay whom it trusts).
        if *datagram.to.ip() != ALL_RELAYS_AND_SERVERS || !is_of_a_client(datagram.payload) {
            return None;
        }
        let hardware = [&ETHERNET[..], &datagram.from_mac.0].concat();
        let mut options = vec![(code::INTERFACE_ID, &*port.interface_id)];
        options.extend(port.remote_id.as_deref().map(|remote_id| (code::REMOTE_ID, remote_id)));
        options.push((code::CLIENT_LINK_LAYER_ADDRESS, &hardware));
        let packet = relay_forward(0, port.link, peer, &options, datagram.payload);
        let from = IpAddr::V6(port.link);
        if self.asked.len() >= REMEMBERED_MAX {
            self.asked.clear();
        }
        self.asked.insert(peer, (index, datagram.from_mac));
        Some(Relayed { from, packet })
    }

    /// A reply came for relay address `to`: the frame to send, with its interface. Two ports may have one interface-id (the
    /// members of a bundle, a BMC and its machine): it is the one by which the client asked.
    pub(crate) fn reply(&self, to: Ipv6Addr, octets: &[u8]) -> Option<(u32, Vec<u8>)> {
        let (relay, payload) = relay_reply(octets).ok()?;
        let (index, to_mac) = self.asked.get(&relay.peer).copied()?;
        let port = self.ports.get(&index)?;
        let is_for_port = relay.interface_id() == Some(&port.interface_id) && port.link == to;
        if !is_for_port || relay.link != to {
            return None;
        }
        let frame = encode_udp6(&Datagram {
            from_mac: port.mac,
            to_mac,
            from: SocketAddrV6::new(link_local(port.mac), SERVER_PORT, 0, 0),
            to: SocketAddrV6::new(relay.peer, CLIENT_PORT, 0, 0),
            payload,
        });
        Some((index, frame))
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// Whether it is a message that clients send.
fn is_of_a_client(message: &[u8]) -> bool {
    let kind = message.first().and_then(|octet| MessageType::from_octet(*octet));
    matches!(
        kind,
        Some(
            MessageType::Solicit
                | MessageType::Request
                | MessageType::Confirm
                | MessageType::Renew
                | MessageType::Rebind
                | MessageType::Release
                | MessageType::Decline
                | MessageType::InformationRequest
        )
    )
}

impl Relays for Relay {
    const PORT: u16 = SERVER_PORT;
    const FILTER: Filter = Filter::Udp6To(SERVER_PORT);

    fn from(&self) -> Vec<IpAddr> {
        self.addresses().into_iter().map(IpAddr::V6).collect()
    }

    fn controllers(&self) -> Vec<IpAddr> {
        self.controllers.iter().copied().map(IpAddr::V6).collect()
    }

    fn requested(&mut self, index: u32, frame: &[u8]) -> Option<Relayed> {
        self.request(index, &decode_udp6(frame)?)
    }

    fn replied(&self, to: IpAddr, octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
        v6(to).and_then(|to| self.reply(to, octets)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::leaf;
    use super::*;
    use expect_test::expect;
    use wire::dhcp6::{Packet, Reply, Request};

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn relay() -> (Relay, u32) {
        let (plan, topology, leaf, port) = leaf();
        (Relay::new(&plan, &topology, leaf), port)
    }

    fn datagram(payload: &[u8]) -> Datagram<'_, SocketAddrV6> {
        Datagram {
            from_mac: MAC,
            to_mac: Mac([0x33, 0x33, 0, 1, 0, 2]),
            from: SocketAddrV6::new(link_local(MAC), CLIENT_PORT, 0, 0),
            to: SocketAddrV6::new(ALL_RELAYS_AND_SERVERS, SERVER_PORT, 0, 0),
            payload,
        }
    }

    fn solicit() -> Vec<u8> {
        Request::new(MessageType::Solicit, 7).from(MAC.0).association(1, &[]).encode()
    }

    fn answer(relayed: &Relayed) -> Vec<u8> {
        let packet = Packet::parse(&relayed.packet).expect("a packet");
        let mut reply = Vec::new();
        Reply::to(&packet, MessageType::Advertise, &mut reply).finish().expect("short");
        reply
    }

    #[test]
    fn a_request_gets_the_bytes_of_the_plan() {
        let (mut relay, port) = relay();
        let solicit = solicit();
        let relayed = relay.request(port, &datagram(&solicit)).expect("relayed");
        let packet = Packet::parse(&relayed.packet).expect("a packet");
        let nearest = packet.nearest().expect("a relay");
        let text = |octets: Option<&[u8]>| String::from_utf8_lossy(octets.unwrap_or_default()).into_owned();
        expect!["from 2001:db8:64::2, hops 0, link 2001:db8:64::2, peer fe80::ff:fe00:9, interface-id swp3, remote-id p01-r1-leaf-a, hardware 02:00:00:00:00:09"].assert_eq(&format!(
            "from {}, hops {}, link {}, peer {}, interface-id {}, remote-id {}, hardware {}",
            relayed.from,
            nearest.hop_count,
            nearest.link,
            nearest.peer,
            text(nearest.interface_id()),
            text(nearest.remote_id()),
            Mac(nearest.client_mac().expect("Option 79")),
        ));
        assert_eq!(packet.message.kind, MessageType::Solicit);
    }

    #[test]
    fn what_a_relay_must_not_touch() {
        let (mut relay, port) = relay();
        let solicit = solicit();
        // No machine hangs there.
        assert_eq!(relay.request(9999, &datagram(&solicit)), None);
        // To a server, as any packet.
        let to = SocketAddrV6::new(Ipv6Addr::LOCALHOST, SERVER_PORT, 0, 0);
        assert_eq!(relay.request(port, &Datagram { to, ..datagram(&solicit) }), None);
        // A machine that poses as a relay forges its port.
        let forged = relay_forward(0, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, &[], &solicit);
        assert_eq!(relay.request(port, &datagram(&forged)), None);
        assert_eq!(relay.request(port, &datagram(b"")), None);
    }

    #[test]
    fn a_reply_goes_to_the_port_it_is_for_and_no_other_is_handed_on() {
        let (mut relay, port) = relay();
        let solicit = solicit();
        let relayed = relay.request(port, &datagram(&solicit)).expect("relayed");
        let reply = answer(&relayed);
        let [(index, frame)] = relay.replied(relayed.from, &reply).try_into().expect("a frame");
        assert_eq!(index, port);
        let datagram = decode_udp6(&frame).expect("a datagram");
        assert_eq!((datagram.to_mac, datagram.to.port()), (MAC, CLIENT_PORT));
        assert_eq!((*datagram.to.ip(), datagram.from.port()), (link_local(MAC), SERVER_PORT));
        let message = Packet::parse(datagram.payload).expect("a message").message;
        assert_eq!(message.kind, MessageType::Advertise);

        assert_eq!(relay.reply(Ipv6Addr::LOCALHOST, &reply), None);
        assert_eq!(relay.replied(relayed.from, &relayed.packet), []);
        assert_eq!(relay.replied(relayed.from, &reply[..reply.len() - 1]), []);
        // Another port's, and that of a client which never asked.
        let at = reply.windows(4).position(|octets| octets == b"swp3").expect("the interface-id");
        for (at, octet) in [(at + 3, b'4'), (33, 0xff)] {
            let mut other = reply.clone();
            other[at] = octet;
            assert_eq!(relay.replied(relayed.from, &other), [], "octet {at}");
        }
    }
}
