//! A zone as a run of messages (RFC 5936): SOA, every record, SOA.
//!
//! Messages are made one at a time while the connection takes them, so a transfer of any size needs one message of
//! memory. The view it began with is held until the end: what is sent is one state of the zone, never a mixture.

use super::TTL_SECONDS;
use super::records::{self, Sight};
use model::View;
use model::view::{DnsNameId, DnsZoneKind};
use std::net::IpAddr;
use wire::dns::{NS, Name, PTR, Query, RData, Record, ResponseCode};

/// Records in one message: 100 of the largest (a service's with the longest owner and target) are below 65,535 octets.
const RECORDS_MAX: usize = 100;

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer<'v> {
    view: &'v View,
    zone: usize,
    query: Query,
    sight: Sight<'v>,
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The first SOA and the name servers.
    Begin,
    /// The rows or addresses from this position on.
    From(usize),
    /// Nothing.
    Over,
}

impl<'v> Transfer<'v> {
    pub(super) fn new(view: &'v View, zone: usize, query: Query, sight: Sight<'v>) -> Self {
        Self { view, zone, query, sight, next: Next::Begin }
    }

    /// Writes the next message over `out`; `false` when there is none.
    pub fn next_message(&mut self, out: &mut Vec<u8>) -> bool {
        let mut records = Vec::with_capacity(RECORDS_MAX + 8);
        let from = match self.next {
            Next::Over => return false,
            Next::Begin => {
                let apex = self.apex();
                records.push(self.soa());
                for server in &self.view.dns.servers {
                    records.push(records::record(&apex, RData::NS(NS(records::host(self.view, *server)))));
                }
                0
            }
            Next::From(position) => position,
        };
        self.next = match self.add(from, &mut records) {
            Some(position) => Next::From(position),
            None => {
                records.push(self.soa());
                Next::Over
            }
        };
        let mut message = wire::dns::reply_to(&self.query, ResponseCode::NoError, true);
        message.add_answers(records);
        wire::dns::encode(&message, u16::MAX, out);
        true
    }

    fn apex(&self) -> Name {
        records::name(&[&self.view.dns.zones[self.zone].apex])
    }

    fn soa(&self) -> Record {
        records::soa(self.view, &self.view.dns.zones[self.zone], self.apex(), TTL_SECONDS)
    }

    /// Adds records from a position on; gives the position to go on from, if there is more.
    fn add(&self, from: usize, records: &mut Vec<Record>) -> Option<usize> {
        let dns = &self.view.dns;
        let mut position = from;
        match dns.zones[self.zone].kind {
            DnsZoneKind::Forward => {
                for (row, place) in dns.rows.iter().zip(0..).skip(from).take(RECORDS_MAX) {
                    position += 1;
                    if self.sight.shows_row(*row) {
                        records.push(records::of_row(self.view, dns.name_of_row(place), *row));
                    }
                }
                (position < dns.rows.len()).then_some(position)
            }
            DnsZoneKind::Reverse4(net) => {
                let pointers = dns.pointers4(net);
                for pointer in pointers.iter().skip(from).take(RECORDS_MAX) {
                    position += 1;
                    if self.sight.shows(pointer.network) {
                        records.push(self::pointer(self.view, pointer.address.into(), pointer.name));
                    }
                }
                (position < pointers.len()).then_some(position)
            }
            DnsZoneKind::Reverse6(net) => {
                let pointers = dns.pointers6(net);
                for pointer in pointers.iter().skip(from).take(RECORDS_MAX) {
                    position += 1;
                    if self.sight.shows(pointer.network) {
                        records.push(self::pointer(self.view, pointer.address.into(), pointer.name));
                    }
                }
                (position < pointers.len()).then_some(position)
            }
        }
    }
}

/// One PTR record.
fn pointer(view: &View, address: IpAddr, name: DnsNameId) -> Record {
    let owner = match address {
        IpAddr::V4(address) => {
            let octets = address.octets().map(|octet| octet.to_string());
            let labels = octets.iter().rev().map(String::as_bytes).chain([&b"in-addr"[..], b"arpa"]);
            Name::from_labels(labels)
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            let nibbles = digits.as_bytes().chunks(1).rev();
            Name::from_labels(nibbles.chain([&b"ip6"[..], b"arpa"]))
        }
    };
    // Both forms are far below the 255 octets of a name.
    let owner = owner.unwrap_or_else(|_| Name::root());
    records::record(&owner, RData::PTR(PTR(records::host(view, name))))
}
