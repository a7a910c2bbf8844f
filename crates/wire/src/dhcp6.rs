//! DHCPv6 messages (RFC 8415, RFC 3646, RFC 4649, RFC 5970, RFC 6939).
//!
//! In come bytes, out go a [`Packet`], the message of a client and the relays that it passed; and the other way, a
//! [`Reply`] or a client's [`Request`] as bytes. What a field *means* for a zone is not known here, and no byte from
//! the network makes anything here panic. Reading borrows from the packet and allocates nothing: that every option
//! ends inside what holds it is checked once, and everything after that is walking.
//!
//! `dhcproto` is the oracle of the tests and no more: its owned options allocate for each, and it cannot read a
//! client's message inside a relay's.

pub mod code;
mod message;
mod packet;
mod request;
mod write;

#[cfg(test)]
mod tests;

pub use message::{Association, AssociationKind, Message, Options};
pub use packet::{Malformed, Packet, Relay, relay_reply};
pub use request::{Request, relay_forward};
pub use write::{Reply, TooLarge};

use std::net::Ipv6Addr;

/// The port of servers and relays.
pub const SERVER_PORT: u16 = 547;
/// The port of clients.
pub const CLIENT_PORT: u16 = 546;

/// Where clients and relays on the server's own link speak to (RFC 8415 §7.1).
pub const ALL_RELAYS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Where relays of the site speak to that know no server (RFC 8415 §7.1).
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

/// The longest datagram that is looked at, and that is sent.
pub const MESSAGE_MAX: usize = 4096;
/// The most relays that a packet may have passed (HOP_COUNT_LIMIT, RFC 8415 §7.6).
pub const RELAYS_MAX: usize = 8;
/// The longest DUID: its type and 128 octets (RFC 8415 §11.1).
pub const DUID_MAX: usize = 130;

/// The first octet of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Solicit = 1,
    /// A server offers.
    Advertise = 2,
    /// A client takes an offer.
    Request = 3,
    /// A client asks whether its addresses still fit the link.
    Confirm = 4,
    /// A client extends its addresses with the server that gave them.
    Renew = 5,
    /// The same with any server.
    Rebind = 6,
    /// A server's answer.
    Reply = 7,
    /// A client gives its addresses back.
    Release = 8,
    /// A client found an address in use.
    Decline = 9,
    /// A server wants to be asked again.
    Reconfigure = 10,
    /// A client that wants no address asks for the rest.
    InformationRequest = 11,
    /// What a relay makes of a message on its way to servers.
    RelayForward = 12,
    /// What a server gives a relay to hand on.
    RelayReply = 13,
}

impl MessageType {
    /// From the octet; `None` for types that nothing here speaks (lease queries and the like).
    pub fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Solicit,
            2 => Self::Advertise,
            3 => Self::Request,
            4 => Self::Confirm,
            5 => Self::Renew,
            6 => Self::Rebind,
            7 => Self::Reply,
            8 => Self::Release,
            9 => Self::Decline,
            10 => Self::Reconfigure,
            11 => Self::InformationRequest,
            12 => Self::RelayForward,
            13 => Self::RelayReply,
            _ => return None,
        })
    }

    /// `information-request`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Solicit => "solicit",
            Self::Advertise => "advertise",
            Self::Request => "request",
            Self::Confirm => "confirm",
            Self::Renew => "renew",
            Self::Rebind => "rebind",
            Self::Reply => "reply",
            Self::Release => "release",
            Self::Decline => "decline",
            Self::Reconfigure => "reconfigure",
            Self::InformationRequest => "information-request",
            Self::RelayForward => "relay-forward",
            Self::RelayReply => "relay-reply",
        }
    }
}

/// What Option 13 says (RFC 8415 §21.13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Status {
    /// Done.
    Success = 0,
    /// There is no address for this association.
    NoAddressesAvailable = 2,
    /// Nothing is known of this association.
    NoBinding = 3,
    /// An address does not belong to the client's link.
    NotOnLink = 4,
    /// Ask by multicast.
    UseMulticast = 5,
    /// There is no prefix for this association.
    NoPrefixAvailable = 6,
}
