//! DHCPv4 as the clients and relays of a zone speak it (RFC 2131, RFC 3046).

use super::load::{Heard, PORT_BITS, Speech as Spoken};
use crate::zone::Zone;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Where things stand in a message (RFC 2131 §2).
const XID: usize = 4;
const YIADDR: usize = 16;
const SIADDR: usize = 20;
const GIADDR: usize = 24;
const CHADDR: usize = 28;
const COOKIE: usize = 236;
const OPTIONS: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// The least length that every relay and server takes (RFC 1542 §2.1).
const LENGTH_MIN: usize = 300;
/// What an operating system asks for: mask, router, resolvers, name, domain, MTU, time, lease, server, T1, T2.
const WANTED: [u8; 11] = [1, 3, 6, 12, 15, 26, 42, 51, 54, 58, 59];

/// How answers are judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// The address that the plan gives the port.
    Planned,
    /// An address of the relay's network.
    OfNetwork,
    /// Whatever the reflector says.
    Anything,
}

/// A port as packets need it.
struct Told {
    discover: Vec<u8>,
    /// Option 82, whole.
    agent: Vec<u8>,
    mac: [u8; 6],
    planned: Ipv4Addr,
    network: Ipv4Net,
    offered: Ipv4Addr,
    server: [u8; 4],
}

/// All ports of a zone.
pub(crate) struct Speech {
    ports: Vec<Told>,
    judgement: Judgement,
    says: &'static [u8],
    message: Vec<u8>,
}

impl Speech {
    /// The clients of these ports.
    pub(crate) fn new(zone: &Zone, judgement: Judgement) -> Self {
        Self::saying(zone, judgement, &[])
    }

    /// The same, saying something more of themselves: whole options.
    pub(crate) fn saying(zone: &Zone, judgement: Judgement, says: &'static [u8]) -> Self {
        let ports = zone.ports.iter().map(|port| {
            let subnet = &zone.subnets[port.subnet];
            let agent = agent(&port.circuit_id, port.remote_id.as_deref());
            let mut discover = header(port.mac, subnet.relay4);
            discover.extend([53, 1, 1]);
            end(&mut discover, says, &agent);
            Told {
                discover,
                agent,
                mac: port.mac,
                planned: port.address4,
                network: subnet.v4,
                offered: Ipv4Addr::UNSPECIFIED,
                server: [0; 4],
            }
        });
        Self { ports: ports.collect(), judgement, says, message: Vec::new() }
    }
}

/// Option 82 with a circuit-id (1) and perhaps a remote-id (2).
pub(crate) fn agent(circuit_id: &str, remote_id: Option<&str>) -> Vec<u8> {
    let mut parts = Vec::new();
    for (code, text) in [(1, Some(circuit_id)), (2, remote_id)] {
        if let Some(text) = text {
            parts.extend([code, octet(text.len())]);
            parts.extend_from_slice(text.as_bytes());
        }
    }
    let mut option = vec![82, octet(parts.len())];
    option.extend(parts);
    option
}

/// Lengths here are those of names of switches and ports.
fn octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

fn header(mac: [u8; 6], relay: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; OPTIONS];
    // BOOTREQUEST, Ethernet, one hop.
    message[..4].copy_from_slice(&[1, 1, 6, 1]);
    message[GIADDR..GIADDR + 4].copy_from_slice(&relay.octets());
    message[CHADDR..CHADDR + 6].copy_from_slice(&mac);
    message[COOKIE..OPTIONS].copy_from_slice(&MAGIC);
    message
}

fn end(message: &mut Vec<u8>, says: &[u8], agent: &[u8]) {
    message.extend([55, octet(WANTED.len())]);
    message.extend(WANTED);
    message.extend_from_slice(says);
    message.extend_from_slice(agent);
    message.push(255);
    message.resize(message.len().max(LENGTH_MIN), 0);
}

fn xid(port: usize, number: u32) -> [u8; 4] {
    (number << PORT_BITS | port as u32).to_be_bytes()
}

/// An option's octets.
pub(crate) fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = message.get(OPTIONS..)?;
    loop {
        match rest {
            [0, after @ ..] => rest = after,
            [255, ..] | [] | [_] => return None,
            [code, length, after @ ..] => {
                let (value, after) = after.split_at_checked(usize::from(*length))?;
                if *code == wanted {
                    return Some(value);
                }
                rest = after;
            }
        }
    }
}

fn address(message: &[u8], at: usize) -> Ipv4Addr {
    message[at..].first_chunk().map_or(Ipv4Addr::UNSPECIFIED, |octets: &[u8; 4]| Ipv4Addr::from(*octets))
}

impl Spoken for Speech {
    fn ports(&self) -> usize {
        self.ports.len()
    }

    fn ask(&mut self, port: usize, number: u32) -> &[u8] {
        let discover = &mut self.ports[port].discover;
        discover[XID..XID + 4].copy_from_slice(&xid(port, number));
        discover
    }

    fn hear(&mut self, datagram: &[u8]) -> Heard {
        if datagram.len() < OPTIONS || datagram[0] != 2 || datagram[COOKIE..OPTIONS] != MAGIC {
            return Heard::Wrong("no answer of DHCP");
        }
        let transaction =
            datagram[XID..].first_chunk().map_or(0, |octets: &[u8; 4]| u32::from_be_bytes(*octets));
        let (port, number) = ((transaction & ((1 << PORT_BITS) - 1)) as usize, transaction >> PORT_BITS);
        let Some(told) = self.ports.get_mut(port) else {
            return Heard::Wrong("a transaction that nobody began");
        };
        if datagram[CHADDR..CHADDR + 6] != told.mac {
            return Heard::Wrong("another client's hardware address");
        }
        let yours = address(datagram, YIADDR);
        let is_right = match self.judgement {
            Judgement::Planned => yours == told.planned,
            Judgement::OfNetwork => told.network.contains(&yours),
            Judgement::Anything => true,
        };
        match option(datagram, 53) {
            Some([2 | 5]) if !is_right => Heard::Wrong("an address of elsewhere"),
            Some([2]) => {
                told.offered = yours;
                let server = option(datagram, 54).and_then(|octets| octets.try_into().ok());
                told.server = server.unwrap_or(address(datagram, SIADDR).octets());
                Heard::Offer(port, number)
            }
            Some([5]) if yours != told.offered => Heard::Wrong("another address than was offered"),
            Some([5]) => Heard::Done(port, number),
            Some([6]) => Heard::Wrong("NAK"),
            _ => Heard::Wrong("a message that is no answer"),
        }
    }

    fn accept(&mut self, port: usize, number: u32) -> &[u8] {
        let told = &self.ports[port];
        self.message.clear();
        self.message.extend_from_slice(&told.discover[..OPTIONS]);
        self.message[XID..XID + 4].copy_from_slice(&xid(port, number));
        self.message.extend([53, 1, 3, 50, 4]);
        self.message.extend(told.offered.octets());
        self.message.extend([54, 4]);
        self.message.extend(told.server);
        end(&mut self.message, self.says, &told.agent);
        &self.message
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::zone::{Port, Subnet};
    use std::net::Ipv6Addr;

    /// A rack of two machines.
    pub(crate) fn zone() -> Zone {
        let subnet = Subnet {
            v4: "10.0.0.0/26".parse().expect("a prefix"),
            v6: "2001:db8::/64".parse().expect("a prefix"),
            relay6: "2001:db8::2".parse().expect("an address"),
            gateway4: Ipv4Addr::new(10, 0, 0, 1),
            relay4: Ipv4Addr::new(10, 0, 0, 2),
        };
        let port = |last: u8| Port {
            subnet: 0,
            circuit_id: format!("swp{last}"),
            remote_id: Some("leaf".to_owned()),
            interface_id: format!("swp{last}"),
            remote_id6: Some("leaf".to_owned()),
            address4: Ipv4Addr::new(10, 0, 0, last),
            address6: Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(last)),
            location: format!("z/u{last}"),
            mac: [2, 0, 0, 0, 0, last],
        };
        Zone {
            design: "z".into(),
            domain: "z.example.net".to_owned(),
            subnets: vec![subnet],
            ports: vec![port(10), port(11)],
            records: Vec::new(),
        }
    }

    fn speech(judgement: Judgement) -> Speech {
        Speech::new(&zone(), judgement)
    }

    /// A server's answer to a message: type and address.
    fn answer(question: &[u8], kind: u8, address: [u8; 4]) -> Vec<u8> {
        let mut answer = question[..OPTIONS].to_vec();
        answer[0] = 2;
        answer[YIADDR..YIADDR + 4].copy_from_slice(&address);
        answer.extend([53, 1, kind, 0, 54, 4, 198, 18, 0, 1, 255]);
        answer
    }

    #[test]
    fn what_is_asked_carries_the_port_and_what_was_offered() {
        let mut speech = speech(Judgement::Planned);
        let discover = speech.ask(1, 5).to_vec();
        assert_eq!(option(&discover, 82), Some(&b"\x01\x05swp11\x02\x04leaf"[..]));
        assert!(matches!(speech.hear(&answer(&discover, 2, [10, 0, 0, 11])), Heard::Offer(1, 5)));
        let request = speech.accept(1, 5).to_vec();
        assert_eq!(option(&request, 53), Some(&[3][..]));
        assert_eq!(option(&request, 50), Some(&[10, 0, 0, 11][..]));
        assert_eq!(option(&request, 54), Some(&[198, 18, 0, 1][..]));
        assert!(matches!(speech.hear(&answer(&request, 5, [10, 0, 0, 11])), Heard::Done(1, 5)));
    }

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        let mut speech = speech(Judgement::Planned);
        let discover = speech.ask(0, 0).to_vec();
        for (wrong, why) in [
            (answer(&discover, 2, [10, 0, 0, 11]), "an address of elsewhere"),
            (answer(&discover, 5, [10, 0, 0, 10]), "another address than was offered"),
            (answer(&discover, 6, [0; 4]), "NAK"),
            (discover.clone(), "no answer of DHCP"),
            (discover[..100].to_vec(), "no answer of DHCP"),
        ] {
            let Heard::Wrong(what) = speech.hear(&wrong) else { panic!("it was right: {why}") };
            assert_eq!(what, why);
        }
    }

    #[test]
    fn a_server_without_a_plan_may_give_any_address_of_the_network() {
        let mut speech = speech(Judgement::OfNetwork);
        let discover = speech.ask(0, 0).to_vec();
        assert!(matches!(speech.hear(&answer(&discover, 2, [10, 0, 0, 33])), Heard::Offer(0, 0)));
        assert!(matches!(speech.hear(&answer(&discover, 2, [10, 0, 1, 33])), Heard::Wrong(_)));
    }
}
