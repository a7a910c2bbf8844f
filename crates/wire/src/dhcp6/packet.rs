//! A datagram: the client's message, in the shells of the relays that it passed.

use super::{MESSAGE_MAX, Message, MessageType, Options, RELAYS_MAX, code};
use std::fmt;
use std::net::Ipv6Addr;

/// Octets of a relay's message before its options: type, hop count, two addresses.
pub(super) const RELAY_HEADER: usize = 34;

/// Why bytes are no DHCPv6 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Fewer octets than a header.
    TooShort,
    /// More than [`MESSAGE_MAX`].
    TooLong,
    /// A type that nothing here speaks.
    Type(u8),
    /// An option runs past the end of what holds it, or is shorter than its fields.
    Option,
    /// An option that stands once stands twice.
    Repeated,
    /// A relay's message without a message inside.
    Empty,
    /// More than [`RELAYS_MAX`] relays.
    TooManyRelays,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than a header"),
            Self::TooLong => write!(f, "longer than {MESSAGE_MAX} octets"),
            Self::Type(octet) => write!(f, "of unknown type {octet}"),
            Self::Option => f.write_str("with an option that does not end inside, or is too short"),
            Self::Repeated => f.write_str("with an option twice that stands once"),
            Self::Empty => f.write_str("of a relay, with no message inside"),
            Self::TooManyRelays => write!(f, "through more than {RELAYS_MAX} relays"),
        }
    }
}

impl std::error::Error for Malformed {}

/// What one relay wrote around a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relay<'a> {
    /// How many relays it had passed.
    pub hop_count: u8,
    /// An address that names the link that the message came from.
    pub link: Ipv6Addr,
    /// Who sent the message to this relay.
    pub peer: Ipv6Addr,
    /// What else it wrote.
    pub options: Options<'a>,
}

impl<'a> Relay<'a> {
    /// Option 18: the port.
    pub fn interface_id(&self) -> Option<&'a [u8]> {
        self.options.get(code::INTERFACE_ID)
    }

    /// Option 37 without the enterprise number: the relay.
    pub fn remote_id(&self) -> Option<&'a [u8]> {
        self.options.get(code::REMOTE_ID)?.get(4..)
    }

    /// Option 79, of Ethernet.
    pub fn client_mac(&self) -> Option<[u8; 6]> {
        match self.options.get(code::CLIENT_LINK_LAYER_ADDRESS)? {
            [0, 1, mac @ ..] => mac.try_into().ok(),
            _ => None,
        }
    }
}

/// A datagram that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    relays: [Option<Relay<'a>>; RELAYS_MAX],
    /// The message of the client.
    pub message: Message<'a>,
}

impl<'a> Packet<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// [`Malformed`]; nothing of it is looked at then.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        if octets.len() > MESSAGE_MAX {
            return Err(Malformed::TooLong);
        }
        let mut relays = [None; RELAYS_MAX];
        let mut rest = octets;
        for depth in 0..=RELAYS_MAX {
            let octet = *rest.first().ok_or(Malformed::TooShort)?;
            let kind = MessageType::from_octet(octet).ok_or(Malformed::Type(octet))?;
            if !matches!(kind, MessageType::RelayForward | MessageType::RelayReply) {
                return Ok(Self { relays, message: Message::parse(kind, rest)? });
            }
            // A server's word to a relay never comes to a server.
            if kind == MessageType::RelayReply {
                return Err(Malformed::Type(octet));
            }
            let relay = relay(rest)?;
            rest = relay.options.get(code::RELAY_MESSAGE).ok_or(Malformed::Empty)?;
            *relays.get_mut(depth).ok_or(Malformed::TooManyRelays)? = Some(relay);
        }
        Err(Malformed::TooManyRelays)
    }

    /// The relays that it passed, the last one, which sent it here, first.
    pub fn relays(&self) -> impl DoubleEndedIterator<Item = &Relay<'a>> {
        self.relays.iter().flatten()
    }

    /// The relay that heard the client itself.
    pub fn nearest(&self) -> Option<&Relay<'a>> {
        self.relays().next_back()
    }
}

/// What a server gives a relay to hand on: the shell that is for this relay, and the message inside (RFC 8415 §19.2).
///
/// # Errors
/// [`Malformed`], also if it is anything but a Relay-reply.
pub fn relay_reply(octets: &[u8]) -> Result<(Relay<'_>, &[u8]), Malformed> {
    let octet = *octets.first().ok_or(Malformed::TooShort)?;
    if octet != MessageType::RelayReply as u8 {
        return Err(Malformed::Type(octet));
    }
    let relay = relay(octets)?;
    let message = relay.options.get(code::RELAY_MESSAGE).ok_or(Malformed::Empty)?;
    Ok((relay, message))
}

fn relay(octets: &[u8]) -> Result<Relay<'_>, Malformed> {
    let (header, rest) = octets.split_at_checked(RELAY_HEADER).ok_or(Malformed::TooShort)?;
    let address = |from: usize| -> Result<Ipv6Addr, Malformed> {
        let octets: &[u8; 16] =
            header.get(from..).and_then(<[u8]>::first_chunk).ok_or(Malformed::TooShort)?;
        Ok(Ipv6Addr::from(*octets))
    };
    let options = Options::new(rest)?;
    let once = [code::RELAY_MESSAGE, code::INTERFACE_ID, code::REMOTE_ID];
    if once.into_iter().any(|code| options.repeats(code)) {
        return Err(Malformed::Repeated);
    }
    Ok(Relay { hop_count: header[1], link: address(2)?, peer: address(18)?, options })
}
