//! The part of the view that DNS is answered from: the zone's names in one compact table, its addresses in another.
//!
//! Forward names are found by a hash of their lower-case wire form; reverse names are not stored at all, but turned
//! into the address they spell, which is found by binary search. At 100,000 machines with three addressed interfaces
//! each, both families, this is about 30 MB.

use super::dns_history::DnsHistory;
use crate::ids::{DeviceId, NetworkId};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// What DNS knows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DnsView {
    /// The zones: the forward one first, then the reverse ones.
    pub zones: Vec<DnsZone>,
    /// The serial of every SOA: the plan's generation, modulo 2^32.
    pub serial: u32,
    /// The name servers, also the targets of every zone's NS records; the first is the primary.
    pub servers: Vec<DnsNameId>,
    /// Every name below the forward zone's apex, and the apex itself as [`DnsNameId::APEX`]; names without rows are
    /// the nodes between others (empty non-terminals, RFC 4592 §2.2.2). One longer than the names.
    pub names: Vec<DnsName>,
    /// The names' labels in wire form (RFC 1035 §3.1), lower case, without the zone's own and without the root's.
    pub labels: Vec<u8>,
    /// The records, by name.
    pub rows: Vec<DnsRow>,
    /// IPv6 addresses of rows, which would otherwise make every row larger.
    pub addresses6: Vec<Ipv6Addr>,
    /// Open addressing over the names: 0 is free, else a name's position plus one. A power of two long, at most half
    /// full.
    pub slots: Vec<u32>,
    /// What each IPv4 address is called, sorted by address.
    pub pointers4: Vec<DnsPointer<Ipv4Addr>>,
    /// What each IPv6 address is called, sorted by address.
    pub pointers6: Vec<DnsPointer<Ipv6Addr>>,
    /// What changed until this serial.
    pub history: DnsHistory,
}

/// A name, as its position in [`DnsView::names`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DnsNameId(pub u32);

impl DnsNameId {
    /// The forward zone's own name.
    pub const APEX: DnsNameId = DnsNameId(0);

    /// The position.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a name's parts begin; they end where the next name's begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DnsName {
    /// In [`DnsView::labels`].
    pub labels: u32,
    /// In [`DnsView::rows`].
    pub rows: u32,
}

/// A record's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnsRow {
    /// A.
    A {
        /// The network it is on, for views by client.
        network: NetworkId,
        /// The address.
        address: Ipv4Addr,
    },
    /// AAAA.
    Aaaa {
        /// The network it is on.
        network: NetworkId,
        /// The address' position in [`DnsView::addresses6`].
        address: u32,
    },
    /// TXT: the location of a device.
    Location(DeviceId),
    /// SRV.
    Service {
        /// The port.
        port: u16,
        /// The host.
        target: DnsNameId,
    },
}

/// What an address is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DnsPointer<A> {
    /// The address.
    pub address: A,
    /// Its name.
    pub name: DnsNameId,
    /// The network it is on.
    pub network: NetworkId,
}

/// A zone we are an authority of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsZone {
    /// Its name in wire form, lower case, without the root's label.
    pub apex: Vec<u8>,
    /// What is in it.
    pub kind: DnsZoneKind,
}

/// What is in a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnsZoneKind {
    /// Names.
    Forward,
    /// Names of IPv4 addresses; the prefix ends at an octet.
    Reverse4(Ipv4Net),
    /// Names of IPv6 addresses; the prefix ends at a nibble.
    Reverse6(Ipv6Net),
}

impl DnsView {
    /// The name with these labels (wire form, lower case, without the zone's own).
    pub fn find(&self, labels: &[u8]) -> Option<DnsNameId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(labels) & mask;
        loop {
            let name = DnsNameId(self.slots[slot].checked_sub(1)?);
            if self.labels_of(name) == labels {
                return Some(name);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// A name's labels.
    pub fn labels_of(&self, name: DnsNameId) -> &[u8] {
        let [from, to] =
            [name.index(), name.index() + 1].map(|position| self.names[position].labels as usize);
        &self.labels[from..to]
    }

    /// A name's records.
    pub fn rows_of(&self, name: DnsNameId) -> &[DnsRow] {
        let [from, to] = [name.index(), name.index() + 1].map(|position| self.names[position].rows as usize);
        &self.rows[from..to]
    }

    /// Whose record a row is, by the row's position.
    pub fn name_of_row(&self, row: u32) -> DnsNameId {
        // Names without rows begin where the next name does; the last that begins here or before is the owner.
        let after = self.names.partition_point(|name| name.rows <= row);
        DnsNameId(u32::try_from(after).unwrap_or(u32::MAX).saturating_sub(1))
    }

    /// Names that have an address within an IPv4 prefix.
    pub fn pointers4(&self, net: Ipv4Net) -> &[DnsPointer<Ipv4Addr>] {
        &self.pointers4[between(&self.pointers4, net.network(), net.broadcast())]
    }

    /// Names that have an address within an IPv6 prefix.
    pub fn pointers6(&self, net: Ipv6Net) -> &[DnsPointer<Ipv6Addr>] {
        &self.pointers6[between(&self.pointers6, net.network(), net.broadcast())]
    }
}

fn between<A: Ord>(sorted: &[DnsPointer<A>], first: A, last: A) -> Range<usize> {
    let from = sorted.partition_point(|pointer| pointer.address < first);
    let to = sorted.partition_point(|pointer| pointer.address <= last);
    from..to
}

/// FNV-1a, and the high bits folded down. Names come from the design, so nobody outside chooses who collides; a query
/// meets at most the run of slots that the design made.
pub fn hash(labels: &[u8]) -> usize {
    let hash = labels.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    // Truncation is what is wanted: the table is masked from it.
    #[expect(clippy::cast_possible_truncation, reason = "a hash")]
    let folded = (hash ^ (hash >> 32)) as usize;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_eight_octets() {
        assert_eq!(std::mem::size_of::<DnsRow>(), 8);
    }

    #[test]
    fn an_empty_view_knows_nothing() {
        assert_eq!(DnsView::default().find(b"\x01a"), None);
    }
}
