//! Clients and relays for these tests, and what came of a packet in words.

use crate::zone::{self, six};
use answer::dhcp6::{Arrival, Refused, in_words, v6};
use model::View;
use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{Association, MessageType, Packet, Request, code, relay_forward};

/// The hardware address of the machine that asks.
pub(crate) const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x11];
/// The link-local address that is made of it.
pub(crate) const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x11);
/// A link-local address that is made of nothing.
pub(crate) const OPAQUE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);

/// A port of the fixture: what its relay writes and which link it names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port<'a> {
    pub interface_id: &'a [u8],
    /// With an enterprise number before it.
    pub remote_id: Option<&'a str>,
    pub link: Ipv6Addr,
    pub peer: Ipv6Addr,
}

/// `u01`'s `eno1`, behind a relay that writes no remote-id.
pub(crate) fn u01() -> Port<'static> {
    Port { interface_id: b"swp1", remote_id: None, link: six(zone::leaf_a(0)), peer: PEER }
}

/// `u02`'s `eno1`.
pub(crate) fn u02() -> Port<'static> {
    Port { interface_id: b"swp2", ..u01() }
}

/// The address of `u01`'s `eno1`.
pub(crate) fn its(view: &View) -> Ipv6Addr {
    six(zone::address(view, "ams1/p01/r1/u01", "eno1"))
}

/// The address of `u02`'s `eno1`, on the same link.
pub(crate) fn others(view: &View) -> Ipv6Addr {
    six(zone::address(view, "ams1/p01/r1/u02", "eno1"))
}

/// Of no link of the zone.
pub(crate) const FOREIGN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

/// A message of the machine, with our identifier where it must have one.
pub(crate) fn message(view: &View, kind: MessageType) -> Request {
    let message = Request::new(kind, 0x01_02_03).from(MAC);
    match kind {
        MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline => {
            message.with(code::SERVER_ID, view.dhcp6.server_id)
        }
        _ => message,
    }
}

/// What the relay of a port makes of a message.
pub(crate) fn through(message: &[u8], hop_count: u8, port: Port<'_>) -> Vec<u8> {
    let remote_id = port.remote_id.map(|remote_id| [&[0, 0, 0, 9], remote_id.as_bytes()].concat());
    let mut options = vec![(code::INTERFACE_ID, port.interface_id)];
    options.extend(remote_id.iter().map(|data| (code::REMOTE_ID, &data[..])));
    relay_forward(hop_count, port.link, port.peer, &options, message)
}

/// The bytes, as a relay sends them.
pub(crate) fn send(view: &View, packet: &[u8]) -> String {
    let source = SocketAddrV6::new(six(zone::leaf_a(0)), 547, 0, 0);
    outcome(view, packet, Arrival { source, is_multicast: false })
}

/// Through the relay of a port.
pub(crate) fn relayed(view: &View, request: &Request, port: Port<'_>) -> String {
    send(view, &through(&request.encode(), 0, port))
}

/// What came of a packet, in words: where the reply goes, what it says, why it was refused, what was learnt.
pub(crate) fn outcome(view: &View, packet: &[u8], arrival: Arrival) -> String {
    let mut out = b"left over from the packet before".to_vec();
    let result = v6(view, packet, arrival, &mut out);
    let (refusal, destination, observed) = match result {
        Ok(answer) => (None, Some(answer.destination), answer.observed),
        Err(Refused { refusal, destination, observed }) => (Some(refusal), destination, observed),
    };
    assert_eq!(destination.is_some(), !out.is_empty(), "bytes are there exactly if they are to be sent");
    assert!(in_words(view, packet).len() < 1000);
    let mut again = Vec::new();
    assert_eq!(v6(view, packet, arrival, &mut again), result);
    assert_eq!(again, out, "the same twice");
    let mut text = String::new();
    if let Some(refusal) = refusal {
        let interface = refusal.interface.map(|interface| view.plan.interface(interface));
        let name = interface.map_or(String::new(), |interface| format!(" {}", interface.dns_name));
        writeln!(text, "refused: {}{name}", refusal.reason).expect("a string");
    }
    if let Some(destination) = destination {
        writeln!(text, "to {}", destination.address()).expect("a string");
        say(view, packet, &out, &mut text);
    }
    if let Some(observed) = observed {
        let event = observed.event(&view.plan, model::Time(0));
        writeln!(text, "learnt: {} {:?}", event.location, event.what).expect("a string");
    }
    text
}

fn say(view: &View, request: &[u8], mut reply: &[u8], text: &mut String) {
    // The shells, which must be those of the request.
    let request = Packet::parse(request).expect("it was answered");
    for relay in request.relays() {
        assert_eq!(reply[..2], [MessageType::RelayReply as u8, relay.hop_count]);
        assert_eq!((&reply[2..18], &reply[18..34]), (&relay.link.octets()[..], &relay.peer.octets()[..]));
        let mut options = Vec::new();
        let mut rest = &reply[34..];
        while let [a, b, c, d, after @ ..] = rest {
            let (data, next) = after.split_at(usize::from(u16::from_be_bytes([*c, *d])));
            options.push((u16::from_be_bytes([*a, *b]), data));
            rest = next;
        }
        let codes: Vec<_> = options.iter().map(|(code, _)| *code).collect();
        let echoed = relay.interface_id().map(|_| code::INTERFACE_ID);
        assert_eq!(codes, echoed.into_iter().chain([code::RELAY_MESSAGE]).collect::<Vec<_>>());
        if let Some(interface_id) = relay.interface_id() {
            assert_eq!(options[0].1, interface_id);
        }
        reply = options.last().expect("two").1;
        text.push_str("relay-reply ");
    }
    let read = Packet::parse(reply).expect("a reply that can be read").message;
    assert_eq!(
        (read.transaction, read.client_id()),
        (request.message.transaction, request.message.client_id())
    );
    assert_eq!(read.server_id(), Some(&view.dhcp6.server_id[..]));
    writeln!(text, "{}", read.kind.as_str()).expect("a string");
    let mut associations = read.associations();
    for (code, data) in read.options.iter() {
        let words = match code {
            code::CLIENT_ID | code::SERVER_ID => continue,
            code::IA_NA | code::IA_TA | code::IA_PD => {
                associated(associations.next().expect("another"), data)
            }
            code::STATUS_CODE => format!("status {}", status(data)),
            code::PREFERENCE => format!("preference {}", data[0]),
            code::RAPID_COMMIT => "rapid commit".to_owned(),
            code::BOOT_FILE_URL => String::from_utf8_lossy(data).into_owned(),
            code::DNS_SERVERS | code::SNTP_SERVERS => format!("{code}: {}", addresses(data)),
            _ => format!("{code}: {}", data.escape_ascii()),
        };
        writeln!(text, "  {words}").expect("a string");
    }
}

fn associated(association: Association<'_>, data: &[u8]) -> String {
    let number = |octets: &[u8]| u32::from_be_bytes(octets.try_into().expect("four"));
    let mut words = format!("{:?} {}", association.kind, u32::from_be_bytes(association.id));
    if association.kind != wire::dhcp6::AssociationKind::Temporary {
        write!(words, " T1 {} T2 {}", number(&data[4..8]), number(&data[8..12])).expect("a string");
    }
    for (code, data) in association.options.iter() {
        match code {
            code::IA_ADDRESS => {
                let (preferred, valid) = (number(&data[16..20]), number(&data[20..24]));
                write!(words, ", {} {preferred} {valid}", addresses(&data[..16])).expect("a string");
            }
            _ => write!(words, ", status {}", status(data)).expect("a string"),
        }
    }
    words
}

fn status(data: &[u8]) -> &'static str {
    assert_eq!(data.len(), 2, "no words");
    ["success", "unspecified", "no-addresses", "no-binding", "not-on-link", "use-multicast", "no-prefix"]
        [usize::from(data[1])]
}

fn addresses(data: &[u8]) -> String {
    let address = |octets: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(octets).expect("sixteen")).to_string();
    data.chunks(16).map(address).collect::<Vec<_>>().join(" ")
}
