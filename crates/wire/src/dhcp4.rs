//! DHCPv4 messages (RFC 2131, RFC 2132, RFC 3046, RFC 3396, RFC 4578).
//!
//! In come bytes, out go a [`Message`] that can be asked for its fields and options; and the other way, a [`Reply`],
//! a client's [`Request`] or what a relay makes of a packet, as bytes. What a field *means* for a zone is not known
//! here, and no byte from the network makes anything here panic or allocate more than the packet is long.
//!
//! Header and options are read by `dhcproto`'s borrowed message. What it leaves open is closed in `message`: a
//! hardware length beyond the field, options that run past the end, instances of one option that do not stand side
//! by side, and Option 52. What we send is written in `write`, because the order of options, what is left out when
//! room is short and the place of Option 82 are ours to decide; the tests let `dhcproto` read everything we write.

pub mod code;
mod message;
mod relay;
mod request;
mod write;

#[cfg(test)]
mod tests;

pub use message::{Malformed, Message};
pub use relay::{HOPS_MAX, RelayAgent, insert_relay_agent, strip_relay_agent};
pub use request::Request;
pub use write::{Limits, Reply, TooLarge};

/// The port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// The port of clients.
pub const CLIENT_PORT: u16 = 68;
/// The port of PXE boot servers (PXE 2.1 §2.2.3, "proxyDHCP").
pub const BOOT_SERVER_PORT: u16 = 4011;

/// The longest datagram that is looked at. Requests fit in 1,500 octets; the rest is room for relays on links with
/// large frames. A longer one is refused before anything is read.
pub const MESSAGE_MAX: usize = 4096;

/// The shortest message we send: BOOTP's, because some relays drop what is shorter (RFC 1542 §2.1).
pub const MESSAGE_MIN: usize = 300;

/// Octets before the options: the BOOTP header and the magic cookie.
pub const HEADER_LENGTH: usize = 240;

/// What the first four octets of the options must be (RFC 2131 §3).
pub const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Option 53.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// A client takes an offer, checks an address or extends a lease.
    Request = 3,
    /// A client found its address in use.
    Decline = 4,
    /// Granted.
    Ack = 5,
    /// Refused.
    Nak = 6,
    /// A client gives its address back.
    Release = 7,
    /// A client that has an address asks for the rest.
    Inform = 8,
}

impl MessageType {
    /// From the octet; `None` for types that nothing here speaks (lease queries and the like).
    pub fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }
}
