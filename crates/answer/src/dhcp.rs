//! DHCPv4: who asks, and what it is told (RFC 2131, RFC 3046, PXE 2.1).
//!
//! In comes one datagram, out go the bytes of the reply and where to send them, or a refusal that says why not; and
//! what was learnt, for the machine's life. An address is given by where the request came from (`identity`), never by
//! what a client claims; there are no leases, so nothing is remembered between two packets, a packet that is sent
//! twice is answered twice alike, and replicas need not agree on anything but the view. No clock is read: a lease is
//! as long as the zone says, counted by the client.
//!
//! Served are machines whose request passed a relay that names its port, and whoever renews the address that the plan
//! gave it. A client on the controller's own wire without an address has no place that could be known, and is refused.

pub(crate) mod boot;
pub(crate) mod identity;
pub mod limit;
mod reply;
pub(crate) mod words;

pub use words::in_words;

use crate::machine_uuid;
use identity::Known;
use limit::Limiter;
use model::event::{Event, PROBE_CLASS, What};
use model::facts::Stage;
use model::view::wiring::Seat;
use model::{InterfaceId, Mac, Plan, Reason, Refusal, Time, View};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{self, BOOT_SERVER_PORT, CLIENT_PORT, HOPS_MAX, Message, MessageType, SERVER_PORT};

/// How a datagram came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Our port that it came to: 67, or 4011 for PXE's boot server discovery. The reply leaves from the same port.
    pub port: u16,
}

/// Where a reply goes (RFC 2131 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To the relay, on the servers' port.
    Relay(Ipv4Addr),
    /// To the address that the client has.
    Client(Ipv4Addr),
    /// To everybody on the wire that the request came by.
    Broadcast,
    /// Back to the sender's address and port (PXE's boot server discovery).
    Sender(SocketAddrV4),
}

impl Destination {
    /// As address and port.
    pub fn address(self) -> SocketAddrV4 {
        match self {
            Self::Relay(relay) => SocketAddrV4::new(relay, SERVER_PORT),
            Self::Client(client) => SocketAddrV4::new(client, CLIENT_PORT),
            Self::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
            Self::Sender(sender) => sender,
        }
    }
}

/// What to do with a request that was understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Where to send the reply; `None`: none is due (RELEASE, DECLINE).
    pub destination: Option<Destination>,
    /// What was learnt.
    pub observed: Option<Observed>,
}

/// A request that is not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why, and what was understood.
    pub refusal: Refusal,
    /// Where to send the DHCPNAK, if one is due.
    pub destination: Option<Destination>,
    /// What was learnt all the same.
    pub observed: Option<Observed>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, destination: None, observed: None }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Refusal::from(reason).into()
    }
}

/// What a packet showed of the place that it came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Observed {
    /// Whose port it came by, or whose address it holds.
    pub interface: InterfaceId,
    /// Position in [`Plan::bindings`] of the identity that it came with; `None` for a renewal, which has none.
    pub binding: Option<u32>,
    /// The hardware address.
    pub mac: Mac,
    /// SMBIOS UUID, if sent.
    pub uuid: Option<[u8; 16]>,
    /// What was asking.
    pub stage: Stage,
    /// The address that it declines; `None`: it asks.
    pub declined: Option<IpAddr>,
}

impl Observed {
    /// As the event that the machine's life takes.
    pub fn event(&self, plan: &Plan, at: Time) -> Event {
        let interface = plan.interface(self.interface);
        let name = interface.name.clone();
        let what = match self.declined {
            Some(address) => What::Declined { interface: name, address, mac: self.mac },
            None => What::Asked {
                interface: words::own_port(plan, self.interface, self.binding).unwrap_or(name),
                mac: self.mac,
                uuid: self.uuid,
                stage: self.stage,
                port: words::port(plan, self.interface, self.binding),
            },
        };
        Event { at, location: plan.design.devices[interface.device.index()].location.clone(), what }
    }
}

/// One request, as far as it is understood.
struct Request<'a> {
    view: &'a View,
    message: &'a Message<'a>,
    known: Known,
    seat: &'a Seat<Ipv4Addr>,
    /// `None` for hardware other than Ethernet, which has no address of six octets.
    mac: Option<Mac>,
    stage: Stage,
}

/// Answers one datagram. The reply, if one is due, is written over `out`.
pub fn v4(view: &View, packet: &[u8], arrival: Arrival, out: &mut Vec<u8>) -> Result<Answer, Refused> {
    decide(view, packet, arrival, None, out)
}

/// The same for a server that is pressed: who is over the budget of its port is refused.
pub fn v4_limited(
    view: &View,
    packet: &[u8],
    arrival: Arrival,
    limiter: &mut Limiter,
    now: Time,
    out: &mut Vec<u8>,
) -> Result<Answer, Refused> {
    decide(view, packet, arrival, Some((limiter, now)), out)
}

fn decide(
    view: &View,
    packet: &[u8],
    arrival: Arrival,
    pressed: Option<(&mut Limiter, Time)>,
    out: &mut Vec<u8>,
) -> Result<Answer, Refused> {
    out.clear();
    let message = Message::parse(packet).map_err(|_| Reason::Malformed)?;
    let kind = kind(view, &message)?;
    let known = identity::of(view, &message, arrival)?;
    let mac = message.mac().map(Mac);
    let seat = view.dhcp.wiring.seat(known.interface);
    let stage = boot::stage(&message, seat.audience);
    let request = Request { view, message: &message, known, seat, mac, stage };
    if let Some((limiter, now)) = pressed
        && !limiter.admits(identity::claim(view, known, seat, mac), now)
    {
        // Nothing is learnt from it: a flood would be learning enough.
        return Err(request.refuse(Reason::TooMany));
    }
    request.check(kind, out)?;
    if arrival.port == BOOT_SERVER_PORT {
        return request.boot_server(kind, arrival, out);
    }
    match kind {
        MessageType::Discover => request.grant(MessageType::Offer, out),
        MessageType::Request => request.request(out),
        MessageType::Decline => request.decline(),
        // Nothing is held for it, so nothing is given back.
        MessageType::Release => Ok(Answer { destination: None, observed: None }),
        MessageType::Inform => request.inform(out),
        MessageType::Offer | MessageType::Ack | MessageType::Nak => Err(Reason::Malformed.into()),
    }
}

/// What a message asks for, if it is one that any server may look at and is meant for us.
fn kind(view: &View, message: &Message<'_>) -> Result<MessageType, Reason> {
    // A server's own message, as relays see them.
    if !message.is_request() {
        return Err(Reason::NotServed);
    }
    if view.dhcp.servers.is_empty() {
        return Err(Reason::NotServed);
    }
    // An edge may stand on the very switch that relays.
    let is_ours = || {
        let relay = message.giaddr();
        view.dhcp.servers.contains(&relay) && !view.dhcp.wiring.relays.contains_key(&relay)
    };
    if message.hops() > HOPS_MAX || is_ours() {
        return Err(Reason::RelayLoop);
    }
    // Ethernet without an address is broken firmware. InfiniBand sends none and says so (RFC 4390 §2.1).
    if message.hardware_type() == 1 && message.mac().is_none() {
        return Err(Reason::Malformed);
    }
    // Longer than one option can say (RFC 2132 §9.14): it could not go back in one piece.
    if message.client_identifier().is_some_and(|identifier| identifier.len() > 255) {
        return Err(Reason::Malformed);
    }
    // BOOTP has no lease and no identity but the hardware address; machines of this century do without.
    let kind = message.message_type().ok_or(Reason::NotServed)?;
    if matches!(kind, MessageType::Offer | MessageType::Ack | MessageType::Nak) {
        return Err(Reason::Malformed);
    }
    // A DISCOVER names no server; some firmware leaves an old one in (it means nothing, RFC 2131 table 5).
    if let Some(server) = message.server_identifier()
        && !matches!(kind, MessageType::Discover | MessageType::Inform)
        && !view.dhcp.servers.contains(&server)
        && message.relay_agent().and_then(dhcp4::RelayAgent::server_identifier_override) != Some(server)
    {
        return Err(Reason::NotForUs);
    }
    Ok(kind)
}

impl Request<'_> {
    /// Whether whoever asks may have what the plan gives to this place.
    fn check(&self, kind: MessageType, out: &mut Vec<u8>) -> Result<(), Refused> {
        let withheld = self.view.dhcp.withheld.get(&self.known.interface).copied();
        // Who holds the address and renews it is not the one who lost it.
        let is_holder = Some(self.message.ciaddr()) == self.seat.address;
        let may_hold = is_holder || kind == MessageType::Decline;
        match identity::objection(self.view, self.seat, self.mac, withheld, may_hold) {
            None => Ok(()),
            Some(Reason::OtherMachine) => {
                let observed = self.observed();
                Err(Refused { observed, ..self.negative(Reason::OtherMachine, kind, out) })
            }
            Some(reason) => Err(self.refuse(reason)),
        }
    }

    /// DHCPREQUEST in each of its states (RFC 2131 §4.3.2): what tells them apart is where the address stands.
    fn request(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        let ciaddr = Some(self.message.ciaddr()).filter(|address| !address.is_unspecified());
        // SELECTING and INIT-REBOOT say it in Option 50, RENEWING and REBINDING in ciaddr.
        let wanted =
            self.message.requested_address().or(ciaddr).ok_or_else(|| self.refuse(Reason::Malformed))?;
        if Some(wanted) != self.seat.address {
            let observed = self.observed();
            return Err(Refused {
                observed,
                ..self.negative(Reason::WrongAddress, MessageType::Request, out)
            });
        }
        self.grant(MessageType::Ack, out)
    }

    /// DHCPDECLINE counts from the port that the address belongs to, and from nowhere else: otherwise one packet from
    /// anywhere would take a machine's address away.
    fn decline(&self) -> Result<Answer, Refused> {
        let address = self.message.requested_address();
        if self.known.binding.is_none() {
            return Err(self.refuse(Reason::NoIdentity));
        }
        if address.is_none() || address != self.seat.address {
            return Err(self.refuse(Reason::WrongAddress));
        }
        let observed =
            self.observed().map(|observed| Observed { declined: address.map(IpAddr::V4), ..observed });
        Ok(Answer { destination: None, observed })
    }

    /// What the packet shows of its place; nothing for hardware without an Ethernet address, and for an agent's probe.
    fn observed(&self) -> Option<Observed> {
        let is_discover = self.message.message_type() == Some(MessageType::Discover);
        if is_discover && self.message.vendor_class() == PROBE_CLASS {
            return None;
        }
        Some(Observed {
            interface: self.known.interface,
            binding: self.known.binding,
            mac: self.mac?,
            uuid: self.message.uuid().and_then(machine_uuid::of_one),
            stage: self.stage,
            declined: None,
        })
    }

    fn refuse(&self, reason: Reason) -> Refused {
        let interface = Some(self.known.interface);
        Refusal { reason, switch: self.known.switch, interface }.into()
    }

    /// A refusal that an operating system is told by DHCPNAK, so that it starts anew. Firmware is never told: a NAK
    /// ends its boot for good (Dell PXE, metal3-io/ironic-image#195), while silence lets it ask again.
    fn negative(&self, reason: Reason, kind: MessageType, out: &mut Vec<u8>) -> Refused {
        let refused = self.refuse(reason);
        let is_firmware =
            matches!(self.stage, Stage::BiosPxe | Stage::UefiPxe | Stage::UefiHttp | Stage::Ipxe);
        if kind != MessageType::Request || is_firmware {
            return refused;
        }
        Refused { destination: self.nak(reason, out), ..refused }
    }
}
