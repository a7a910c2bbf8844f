//! What changed in the zones of DNS from serial to serial, for secondaries that have an earlier one (RFC 1995).
//!
//! Records are spelt out, not named by ids: no id outlives its plan.

use crate::location::Location;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The newest changes, oldest first; each begins with the serial that the one before ended with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsHistory {
    /// The changes.
    pub changes: Vec<Arc<DnsChange>>,
}

impl DnsHistory {
    /// Publications that are remembered: a secondary that looks every five minutes misses few of them.
    pub const CHANGES_MAX: usize = 32;
    /// Records in all of them, some hundred octets each. A secondary that missed more gets the whole zone.
    pub const RECORDS_MAX: usize = 65_536;

    /// The changes since a serial, oldest first; `None` if it is not remembered.
    pub fn since(&self, serial: u32) -> Option<&[Arc<DnsChange>]> {
        let from = self.changes.iter().position(|change| change.from == serial)?;
        Some(&self.changes[from..])
    }
}

/// What one publication changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsChange {
    /// The serial before.
    pub from: u32,
    /// The primary name server before: its labels below the forward zone's name.
    pub primary: Option<Box<[u8]>>,
    /// Of each zone that there was before and after. A zone that is missing here is not remembered.
    pub zones: Vec<DnsZoneChange>,
}

/// What changed in one zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsZoneChange {
    /// The zone's name in wire form, lower case, without the root's label.
    pub apex: Vec<u8>,
    /// Records that are gone.
    pub removed: Vec<DnsRecord>,
    /// Records that are new.
    pub added: Vec<DnsRecord>,
}

impl DnsZoneChange {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }

    /// Whether the publication changed nothing in the zone but its serial.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A record that came or went.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DnsRecord {
    /// Whose it is.
    pub owner: DnsOwner,
    /// Its type and data.
    pub data: DnsData,
}

/// Whose a record is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DnsOwner {
    /// The zone itself.
    Apex,
    /// A name: its labels in wire form, lower case, below the zone's name.
    Name(Box<[u8]>),
    /// The name of an address.
    Address(IpAddr),
}

/// A record's data. Names are labels in wire form, lower case, below the forward zone's name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DnsData {
    /// A.
    A(Ipv4Addr),
    /// AAAA.
    Aaaa(Ipv6Addr),
    /// TXT: a device's location.
    Location(Location),
    /// SRV: port and host.
    Service(u16, Box<[u8]>),
    /// PTR.
    Pointer(Box<[u8]>),
    /// NS.
    Server(Box<[u8]>),
}
