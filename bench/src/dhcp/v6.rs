//! DHCPv6 as the clients and relays of a zone speak it (RFC 8415, RFC 4649): Solicit, Advertise, Request, Reply.

use super::load::{Heard, PORT_BITS, Speech as Spoken};
use super::v4::Judgement;
use crate::zone::Zone;
use ipnet::Ipv6Net;
use std::net::Ipv6Addr;

/// Message types.
const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const REPLY: u8 = 7;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// Option codes.
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
const WANTED: u16 = 6;
const ELAPSED: u16 = 8;
const RELAYED: u16 = 9;
const INTERFACE_ID: u16 = 18;
const REMOTE_ID: u16 = 37;
/// Octets before the options of a relay's message: type, hops, link and peer.
const RELAY_HEADER: usize = 34;
/// Where the client's message begins in a relay's: the option with it comes first.
pub(crate) const INNER: usize = RELAY_HEADER + 4;
/// An enterprise number before the remote-id (RFC 4649 §3), that of nobody in particular.
const ENTERPRISE: [u8; 4] = [0, 0, 0, 9];

struct Told {
    /// The relay's header.
    header: Vec<u8>,
    /// Options 18 and 37, whole.
    agent: Vec<u8>,
    /// Option 1, whole.
    client: Vec<u8>,
    planned: Ipv6Addr,
    network: Ipv6Net,
    offered: Ipv6Addr,
    /// The server's identifier.
    server: Vec<u8>,
}

/// All ports of a zone.
pub(crate) struct Speech {
    ports: Vec<Told>,
    judgement: Judgement,
    message: Vec<u8>,
    inner: Vec<u8>,
}

impl Speech {
    /// The clients of these ports.
    pub(crate) fn new(zone: &Zone, judgement: Judgement) -> Self {
        let ports = zone.ports.iter().map(|port| {
            let subnet = &zone.subnets[port.subnet];
            let [a, b, c, d, e, f] = port.mac;
            let mut header = vec![RELAY_FORWARD, 0];
            header.extend(subnet.relay6.octets());
            // The client's own address on its link (RFC 4291, appendix A).
            header.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
            let mut agent = Vec::new();
            put(&mut agent, INTERFACE_ID, port.interface_id.as_bytes());
            if let Some(remote_id) = &port.remote_id6 {
                put(&mut agent, REMOTE_ID, &[&ENTERPRISE, remote_id.as_bytes()].concat());
            }
            let mut client = Vec::new();
            // A DUID of the hardware address (RFC 8415 §11.4).
            put(&mut client, CLIENT_ID, &[0, 3, 0, 1, a, b, c, d, e, f]);
            Told {
                header,
                agent,
                client,
                planned: port.address6,
                network: subnet.v6,
                offered: Ipv6Addr::UNSPECIFIED,
                server: Vec::new(),
            }
        });
        Self { ports: ports.collect(), judgement, message: Vec::new(), inner: Vec::new() }
    }

    fn write(&mut self, port: usize, number: u32, kind: u8) -> &[u8] {
        let told = &self.ports[port];
        let transaction = (number << PORT_BITS | port as u32).to_be_bytes();
        self.inner.clear();
        self.inner.extend([kind, transaction[1], transaction[2], transaction[3]]);
        self.inner.extend_from_slice(&told.client);
        // Identity 1; the server says when to renew.
        let mut association = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        if kind == REQUEST {
            put(&mut self.inner, SERVER_ID, &told.server);
            put(&mut association, IA_ADDRESS, &[&told.offered.octets()[..], &[0; 8]].concat());
        }
        put(&mut self.inner, IA_NA, &association);
        put(&mut self.inner, WANTED, &[0, 23, 0, 24]);
        put(&mut self.inner, ELAPSED, &[0, 0]);
        self.message.clear();
        self.message.extend_from_slice(&told.header);
        put(&mut self.message, RELAYED, &self.inner);
        self.message.extend_from_slice(&told.agent);
        &self.message
    }
}

fn put(message: &mut Vec<u8>, code: u16, value: &[u8]) {
    message.extend(code.to_be_bytes());
    // What is written here is short.
    message.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend_from_slice(value);
}

/// An option's octets, among options.
fn option(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let ([code_high, code_low, length_high, length_low], rest) = options.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let (value, rest) = rest.split_at_checked(length)?;
        if u16::from_be_bytes([*code_high, *code_low]) == wanted {
            return Some(value);
        }
        options = rest;
    }
}

impl Spoken for Speech {
    fn ports(&self) -> usize {
        self.ports.len()
    }

    fn ask(&mut self, port: usize, number: u32) -> &[u8] {
        self.write(port, number, SOLICIT)
    }

    fn hear(&mut self, datagram: &[u8]) -> Heard {
        let relayed = (datagram.first() == Some(&RELAY_REPLY))
            .then(|| option(datagram.get(RELAY_HEADER..)?, RELAYED))
            .flatten();
        let Some(([kind, transaction @ ..], options)) =
            relayed.and_then(|message| message.split_first_chunk::<4>())
        else {
            return Heard::Wrong("no answer of DHCPv6 to a relay");
        };
        let [high, middle, low] = *transaction;
        let transaction = u32::from_be_bytes([0, high, middle, low]);
        let (port, number) = ((transaction & ((1 << PORT_BITS) - 1)) as usize, transaction >> PORT_BITS);
        let Some(told) = self.ports.get_mut(port) else {
            return Heard::Wrong("a transaction that nobody began");
        };
        if option(options, CLIENT_ID) != told.client.get(4..) {
            return Heard::Wrong("another client's identifier");
        }
        let association = option(options, IA_NA).and_then(|association| association.get(12..));
        let address = association
            .and_then(|options| option(options, IA_ADDRESS)?.first_chunk::<16>())
            .map(|octets| Ipv6Addr::from(*octets));
        let is_right = match (self.judgement, address) {
            (Judgement::Anything, _) => true,
            (_, None) => return Heard::Wrong("no address"),
            (Judgement::Planned, Some(address)) => address == told.planned,
            (Judgement::OfNetwork, Some(address)) => told.network.contains(&address),
        };
        let address = address.unwrap_or(Ipv6Addr::UNSPECIFIED);
        match *kind {
            ADVERTISE | REPLY if !is_right => Heard::Wrong("an address of elsewhere"),
            ADVERTISE => {
                told.offered = address;
                told.server = option(options, SERVER_ID).unwrap_or_default().to_vec();
                Heard::Offer(port, number)
            }
            REPLY if address != told.offered => Heard::Wrong("another address than was offered"),
            REPLY => Heard::Done(port, number),
            _ => Heard::Wrong("a message that is no answer"),
        }
    }

    fn accept(&mut self, port: usize, number: u32) -> &[u8] {
        self.write(port, number, REQUEST)
    }
}

/// A Relay-forward becomes a Relay-reply, in it Solicit becomes Advertise and Request becomes Reply: the reflector's part.
pub(crate) fn turn(message: &mut [u8]) {
    if message.len() > INNER {
        message[0] = RELAY_REPLY;
        message[INNER] = if message[INNER] == SOLICIT { ADVERTISE } else { REPLY };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::v4::tests::zone;

    /// A server's answer to a relay's message: type and address.
    fn answer(question: &[u8], kind: u8, address: &str) -> Vec<u8> {
        let inner = option(&question[RELAY_HEADER..], RELAYED).expect("a client's message");
        let mut reply = vec![kind];
        reply.extend_from_slice(&inner[1..4]);
        put(&mut reply, CLIENT_ID, option(&inner[4..], CLIENT_ID).expect("an identifier"));
        put(&mut reply, SERVER_ID, b"us");
        let mut association = vec![0; 12];
        let address: Ipv6Addr = address.parse().expect("an address");
        put(&mut association, IA_ADDRESS, &[&address.octets()[..], &[0; 8]].concat());
        put(&mut reply, IA_NA, &association);
        let mut message = vec![RELAY_REPLY, 0];
        message.extend_from_slice(&question[2..RELAY_HEADER]);
        put(&mut message, RELAYED, &reply);
        message
    }

    #[test]
    fn what_is_asked_carries_the_port_and_what_was_offered() {
        let mut speech = Speech::new(&zone(), Judgement::Planned);
        let solicit = speech.ask(1, 5).to_vec();
        let options = &solicit[RELAY_HEADER..];
        assert_eq!(option(options, INTERFACE_ID), Some(&b"swp11"[..]));
        assert_eq!(option(options, REMOTE_ID), Some(&b"\0\0\0\x09leaf"[..]));
        assert!(matches!(speech.hear(&answer(&solicit, ADVERTISE, "2001:db8::b")), Heard::Offer(1, 5)));
        let request = speech.accept(1, 5).to_vec();
        let inner = option(&request[RELAY_HEADER..], RELAYED).expect("a client's message");
        assert_eq!(option(&inner[4..], SERVER_ID), Some(&b"us"[..]));
        assert!(matches!(speech.hear(&answer(&request, REPLY, "2001:db8::b")), Heard::Done(1, 5)));
    }

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        let mut speech = Speech::new(&zone(), Judgement::Planned);
        let solicit = speech.ask(0, 0).to_vec();
        for (wrong, why) in [
            (answer(&solicit, ADVERTISE, "2001:db8::b"), "an address of elsewhere"),
            (answer(&solicit, REPLY, "2001:db8::a"), "another address than was offered"),
            (solicit.clone(), "no answer of DHCPv6 to a relay"),
            (solicit[..30].to_vec(), "no answer of DHCPv6 to a relay"),
        ] {
            let Heard::Wrong(what) = speech.hear(&wrong) else { panic!("it was right: {why}") };
            assert_eq!(what, why);
        }
    }

    #[test]
    fn the_reflector_is_taken_for_a_server() {
        let mut speech = Speech::new(&zone(), Judgement::Anything);
        let mut solicit = speech.ask(0, 3).to_vec();
        turn(&mut solicit);
        assert!(matches!(speech.hear(&solicit), Heard::Offer(0, 3)));
        let mut request = speech.accept(0, 3).to_vec();
        turn(&mut request);
        assert!(matches!(speech.hear(&request), Heard::Done(0, 3)));
    }
}
