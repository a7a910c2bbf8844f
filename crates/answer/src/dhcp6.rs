//! DHCPv6: who asks, and what it is told (RFC 8415, RFC 5970, RFC 6939).
//!
//! As in DHCPv4 ([`crate::dhcp`], whose rules these are): an address is given by where the request came from, nothing is
//! remembered between two packets, and a packet that is sent twice is answered twice alike, by every replica with the
//! same bytes. A place has one address. The association that names it gets it, or else the first one; others, temporary
//! addresses and prefixes are answered that there is none.
//!
//! Served are machines whose request passed a relay that names its port. Of those on the controller's own link, whoever
//! holds the address that the plan gave it.

mod identity;
mod reply;
mod words;

pub use words::in_words;

use crate::dhcp::Observed;
use crate::dhcp::identity::{Known, claim, objection};
use crate::dhcp::limit::Limiter;
use crate::machine_uuid;
use model::facts::Stage;
use model::view::wiring::Seat;
use model::{Mac, Reason, Refusal, Time, View};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{
    Association, AssociationKind, CLIENT_PORT, Malformed, Message, MessageType, Packet, RELAYS_MAX,
    SERVER_PORT, Status, code,
};

/// How a datagram came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Who sent it.
    pub source: SocketAddrV6,
    /// Whether it was sent to a group and not to an address of ours.
    pub is_multicast: bool,
}

/// Where a reply goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To the relay that sent the request, on the servers' port.
    Relay(SocketAddrV6),
    /// To the client itself.
    Client(SocketAddrV6),
}

impl Destination {
    /// As address and port.
    pub fn address(self) -> SocketAddrV6 {
        let (mut address, port) = match self {
            Self::Relay(relay) => (relay, SERVER_PORT),
            Self::Client(client) => (client, CLIENT_PORT),
        };
        address.set_port(port);
        address
    }
}

/// What to do with a request that was understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Where to send the reply.
    pub destination: Destination,
    /// What was learnt.
    pub observed: Option<Observed>,
}

/// A request that is not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why, and what was understood.
    pub refusal: Refusal,
    /// Where to send the reply that says no, if one is due.
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

/// One request, as far as it is understood.
struct Request<'a> {
    view: &'a View,
    packet: &'a Packet<'a>,
    message: &'a Message<'a>,
    arrival: Arrival,
    known: Known,
    seat: &'a Seat<Ipv6Addr>,
    /// The address that the plan gives to the place.
    address: Ipv6Addr,
    mac: Option<Mac>,
    stage: Stage,
}

/// Answers one datagram. The reply, if one is due, is written over `out`.
///
/// # Errors
/// [`Refused`]: why it is not granted; `out` holds a reply that says no if there is somewhere to send it.
pub fn v6(view: &View, packet: &[u8], arrival: Arrival, out: &mut Vec<u8>) -> Result<Answer, Refused> {
    decide(view, packet, arrival, None, out)
}

/// The same while more comes than can be answered: what is beyond its budget is refused as [`Reason::TooMany`].
///
/// # Errors
/// As [`v6`].
pub fn v6_limited(
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
    if view.dhcp6.wiring.addresses.is_empty() {
        return Err(Reason::NotServed.into());
    }
    let packet = Packet::parse(packet).map_err(|malformed| match malformed {
        Malformed::TooManyRelays => Reason::RelayLoop,
        _ => Reason::Malformed,
    })?;
    let message = &packet.message;
    admit(view, &packet)?;
    if packet.nearest().is_none() && !arrival.is_multicast {
        return Err(unicast(view, &packet, arrival, out));
    }
    let known = identity::of(view, &packet, arrival)?;
    let seat = view.dhcp6.wiring.seat(known.interface);
    let Some(address) = seat.address else {
        let (switch, interface) = (known.switch, Some(known.interface));
        return Err(Refusal { reason: Reason::NotServed, switch, interface }.into());
    };
    let stage = identity::stage(message, seat.audience);
    let mac = identity::mac(&packet, arrival, stage);
    let request = Request { view, packet: &packet, message, arrival, known, seat, address, mac, stage };
    if let Some((limiter, now)) = pressed
        && !limiter.admits(claim(view, known, seat, mac), now)
    {
        // Nothing is learnt from it: a flood would be learning enough.
        return Err(request.refuse(Reason::TooMany));
    }
    request.check(out)?;
    request.answer(out)
}

/// Whether a message is one that any server may look at and is meant for us (RFC 8415 §16).
fn admit(view: &View, packet: &Packet<'_>) -> Result<(), Reason> {
    let message = &packet.message;
    let is_looped = packet
        .relays()
        .any(|relay| usize::from(relay.hop_count) > RELAYS_MAX || view.dhcp6.servers.contains(&relay.link));
    if is_looped {
        return Err(Reason::RelayLoop);
    }
    // Whether it must carry a client's and a server's identifier; `None`: it may.
    let (client, server) = match message.kind {
        MessageType::Solicit | MessageType::Confirm | MessageType::Rebind => (true, Some(false)),
        MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline => {
            (true, Some(true))
        }
        MessageType::InformationRequest => (false, None),
        // A server's own message, as relays see them.
        _ => return Err(Reason::NotServed),
    };
    let server_id = message.server_id();
    if (client && message.client_id().is_none()) || server.is_some_and(|must| must != server_id.is_some()) {
        return Err(Reason::Malformed);
    }
    if message.kind == MessageType::InformationRequest && message.associations().next().is_some() {
        return Err(Reason::Malformed);
    }
    if server_id.is_some_and(|server_id| server_id != view.dhcp6.server_id) {
        return Err(Reason::NotForUs);
    }
    Ok(())
}

/// A client that speaks to us alone is not allowed to: its relay would not name its port. What it may be told is to ask
/// by multicast (RFC 8415 §18.3.2); the rest is dropped (§16).
fn unicast(view: &View, packet: &Packet<'_>, arrival: Arrival, out: &mut Vec<u8>) -> Refused {
    let refused = Refused::from(Reason::NotServed);
    let is_told = matches!(
        packet.message.kind,
        MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline
    );
    if !is_told || reply::use_multicast(view, packet, out).is_err() {
        return refused;
    }
    Refused { destination: Some(Destination::Client(arrival.source)), ..refused }
}

impl<'a> Request<'a> {
    /// Whether whoever asks may have what the plan gives to this place.
    fn check(&self, out: &mut Vec<u8>) -> Result<(), Refused> {
        let withheld = self.view.dhcp6.withheld.get(&self.known.interface).copied();
        // Who holds the address and extends it is not the one who lost it.
        let is_holder =
            matches!(self.message.kind, MessageType::Renew | MessageType::Rebind) && self.names_its_own();
        let may_hold = is_holder || matches!(self.message.kind, MessageType::Decline | MessageType::Release);
        match objection(self.view, self.seat, self.mac, withheld, may_hold) {
            None => Ok(()),
            Some(Reason::OtherMachine) => {
                let observed = self.observed();
                Err(Refused { observed, ..self.negative(Reason::OtherMachine, out) })
            }
            Some(reason) => Err(self.refuse(reason)),
        }
    }

    fn answer(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        match self.message.kind {
            MessageType::Solicit if self.message.has(code::RAPID_COMMIT) => {
                self.grant(MessageType::Reply, out)
            }
            MessageType::Solicit => self.grant(MessageType::Advertise, out),
            MessageType::Request if self.names(|address| !self.is_on_link(address)) => {
                let observed = self.observed();
                Err(Refused { observed, ..self.negative(Reason::WrongAddress, out) })
            }
            MessageType::Request | MessageType::Renew | MessageType::Rebind => {
                self.grant(MessageType::Reply, out)
            }
            MessageType::Confirm => self.confirm(out),
            MessageType::Release => self.give_back(out),
            MessageType::Decline => self.decline(out),
            MessageType::InformationRequest => self.inform(out),
            _ => Err(self.refuse(Reason::NotServed)),
        }
    }

    /// CONFIRM: the address is right if it is the planned one. That it is of the link would be enough for RFC 8415
    /// §18.3.3, but whoever keeps another's address on the right link is to begin anew too.
    fn confirm(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        if !self.names(|_| true) {
            // It asks about nothing, so no reply is due.
            return Err(self.refuse(Reason::Malformed));
        }
        if self.names(|address| address != self.address) {
            let observed = self.observed();
            return Err(Refused { observed, ..self.negative(Reason::WrongAddress, out) });
        }
        self.say(Status::Success, |_| {}, out)?;
        Ok(Answer { destination: self.destination(), observed: self.learnt() })
    }

    /// RELEASE: nothing is held for it, so nothing is given back.
    fn give_back(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        self.acknowledge(out)?;
        Ok(Answer { destination: self.destination(), observed: None })
    }

    /// DECLINE counts from the port that the address belongs to, and from nowhere else: otherwise one packet from
    /// anywhere would take a machine's address away.
    fn decline(&self, out: &mut Vec<u8>) -> Result<Answer, Refused> {
        if self.known.binding.is_none() {
            return Err(self.refuse(Reason::NoIdentity));
        }
        self.acknowledge(out)?;
        if !self.names_its_own() {
            return Err(Refused {
                destination: Some(self.destination()),
                ..self.refuse(Reason::WrongAddress)
            });
        }
        // Who declines is known by its port; the hardware address is for people.
        let mac = self.mac.or(self.message.duid_mac().map(Mac)).unwrap_or(Mac([0; 6]));
        let declined = Some(IpAddr::V6(self.address));
        let observed = Some(Observed { declined, ..self.observed_as(mac) });
        Ok(Answer { destination: self.destination(), observed })
    }

    fn destination(&self) -> Destination {
        match self.packet.nearest() {
            Some(_) => Destination::Relay(self.arrival.source),
            None => Destination::Client(self.arrival.source),
        }
    }

    /// The associations of addresses.
    fn associations(&self) -> impl Iterator<Item = Association<'a>> {
        let associations = self.message.associations();
        associations.filter(|association| association.kind == AssociationKind::Address)
    }

    /// Whether it names an address of which this holds.
    fn names(&self, holds: impl Fn(Ipv6Addr) -> bool) -> bool {
        self.associations().flat_map(Association::addresses).any(holds)
    }

    fn names_its_own(&self) -> bool {
        self.names(|address| address == self.address)
    }

    /// Whether an address belongs to the link that the plan puts the place on.
    fn is_on_link(&self, address: Ipv6Addr) -> bool {
        self.view.plan.subnet(self.seat.subnet).v6.is_some_and(|prefix| prefix.contains(&address))
    }

    /// What the packet shows of its place; nothing if it shows no hardware address.
    fn observed(&self) -> Option<Observed> {
        self.mac.map(|mac| self.observed_as(mac))
    }

    fn observed_as(&self, mac: Mac) -> Observed {
        Observed {
            interface: self.known.interface,
            binding: self.known.binding,
            mac,
            uuid: self.message.uuid().and_then(|uuid| machine_uuid::of_duid(uuid, self.stage)),
            stage: self.stage,
            declined: None,
        }
    }

    /// What a grant teaches: nothing if the request shows no place.
    fn learnt(&self) -> Option<Observed> {
        self.known.binding.and_then(|_| self.observed())
    }

    fn refuse(&self, reason: Reason) -> Refused {
        let interface = Some(self.known.interface);
        Refusal { reason, switch: self.known.switch, interface }.into()
    }

    /// A refusal that an operating system is told, so that it starts anew; firmware never is, as in DHCPv4.
    fn negative(&self, reason: Reason, out: &mut Vec<u8>) -> Refused {
        let refused = self.refuse(reason);
        let is_firmware =
            matches!(self.stage, Stage::BiosPxe | Stage::UefiPxe | Stage::UefiHttp | Stage::Ipxe);
        if is_firmware || !self.deny(out) {
            return refused;
        }
        Refused { destination: Some(self.destination()), ..refused }
    }
}
