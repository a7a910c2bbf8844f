//! DNS messages (RFC 1035, EDNS RFC 6891): a query read where it lies, a reply written where it leaves from.
//!
//! [`decode`] turns a packet into one [`Query`] that borrows from it, or says what little can be answered to a packet that
//! is none. [`Writer`] puts a reply into a buffer, with names shortened as its caller says, and truncates by the rules
//! where the reply is longer than the client takes. Neither allocates, but for the buffer's own growth. Nothing is known
//! here of zones.

mod notify;
mod query;
mod writer;

pub use notify::{Notified, decode_notified, write_notify};
pub use query::{Edns, Head, NoQuery, Query, decode};
pub use writer::{Section, Writer, write_header};

/// Octets of a header.
pub const HEADER: usize = 12;
/// Octets of a UDP message that need no EDNS (RFC 1035 §2.3.4).
pub const UDP_PLAIN_MAX: u16 = 512;
/// Octets of a UDP message that pass the internet's paths unfragmented (DNS Flag Day 2020); also what we say we take.
pub const UDP_MAX: u16 = 1232;
/// Octets of a name, with the root's label (RFC 1035 §2.3.4).
pub const NAME_MAX: usize = 255;
/// Octets of a label (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;
/// The first octet that a compression pointer cannot point to (RFC 1035 §4.1.4).
pub const POINTER_END: usize = 0x4000;

/// The type of a record, or of a question (RFC 1035 §3.2.2, §3.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// A name server.
    pub const NS: Self = Self(2);
    /// The start of a zone.
    pub const SOA: Self = Self(6);
    /// A name, of an address for example.
    pub const PTR: Self = Self(12);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address.
    pub const AAAA: Self = Self(28);
    /// A service's host (RFC 2782).
    pub const SRV: Self = Self(33);
    /// EDNS (RFC 6891 §6.1.1).
    pub const OPT: Self = Self(41);
    /// A zone's changes (RFC 1995).
    pub const IXFR: Self = Self(251);
    /// A whole zone (RFC 5936).
    pub const AXFR: Self = Self(252);
    /// Everything (RFC 8482).
    pub const ANY: Self = Self(255);
}

/// As zone files write it, those that nobody named by number (RFC 3597 §5).
impl std::fmt::Display for RecordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self {
            Self::A => "A",
            Self::NS => "NS",
            Self::SOA => "SOA",
            Self::PTR => "PTR",
            Self::TXT => "TXT",
            Self::AAAA => "AAAA",
            Self::SRV => "SRV",
            Self::OPT => "OPT",
            Self::IXFR => "IXFR",
            Self::AXFR => "AXFR",
            Self::ANY => "ANY",
            Self(number) => return write!(f, "TYPE{number}"),
        })
    }
}

/// The class of a question (RFC 1035 §3.2.4, §3.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class(pub u16);

impl Class {
    /// The internet, the only one that is served anywhere today.
    pub const IN: Self = Self(1);
}

/// How a reply says that it went (RFC 1035 §4.1.1, RFC 6891 §9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// Answered, also where there is nothing of the type.
    NoError = 0,
    /// The packet is malformed.
    FormErr = 1,
    /// The name does not exist.
    NxDomain = 3,
    /// Such things are not done here.
    NotImp = 4,
    /// Not for this client, or not of our zones.
    Refused = 5,
    /// Not the name of a zone that is ours.
    NotAuth = 9,
    /// A version of EDNS that is not spoken. It does not fit into the header; its high bits are the OPT record's.
    BadVers = 16,
}

#[cfg(test)]
mod tests;
