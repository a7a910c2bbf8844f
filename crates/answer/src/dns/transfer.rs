//! A zone as a run of messages (RFC 5936): SOA, every record, SOA.
//!
//! Messages are made one at a time while the connection takes them, so a transfer of any size needs one message of
//! memory. The view it began with is held until the end: what is sent is one state of the zone, never a mixture.

use super::TTL_SECONDS;
use super::names::Names;
use super::records::{Reply, Sight};
use ipnet::{Ipv4Net, Ipv6Net};
use model::View;
use model::view::{DnsNameId, DnsZoneKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::dns::{Code, HEADER, Head, Query, RecordType, Section, Writer};

/// A message of this many octets gets no more records: pointers reach as far, and a secondary has something to do while
/// the next is made.
const MESSAGE_OCTETS: usize = 16_000;
/// Where the zone's name stands in every message: it is what was asked for.
const APEX: u16 = 12;
const _: () = assert!(HEADER == APEX as usize);

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer<'v> {
    view: &'v View,
    zone: usize,
    head: Head,
    question: Box<[u8]>,
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
    pub(super) fn new(view: &'v View, zone: usize, query: &Query<'_>, sight: Sight<'v>) -> Self {
        Self { view, zone, head: query.head, question: query.question.into(), sight, next: Next::Begin }
    }

    /// Writes the next message over `out`; `false` when there is none.
    pub fn next_message(&mut self, out: &mut Vec<u8>) -> bool {
        if self.next == Next::Over {
            return false;
        }
        let view = self.view;
        let mut writer = Writer::reply(self.head, &self.question, u16::MAX, out);
        let is_forward = view.dns.zones[self.zone].kind == DnsZoneKind::Forward;
        let names = Names::new(view, is_forward.then_some(APEX));
        let client = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut reply = Reply { view, sight: self.sight, client, names, writer: &mut writer };
        let from = match self.next {
            Next::From(position) => position,
            Next::Begin | Next::Over => {
                reply.soa(Section::Answer, APEX, TTL_SECONDS);
                reply.servers();
                0
            }
        };
        self.next = match self.add(from, &mut reply) {
            Some(position) => Next::From(position),
            None => {
                reply.soa(Section::Answer, APEX, TTL_SECONDS);
                Next::Over
            }
        };
        writer.finish(Code::NoError, true);
        true
    }

    /// Adds records from a position on until the message is full; gives the position to go on from, if there is more.
    fn add(&self, from: usize, reply: &mut Reply<'_, '_, '_>) -> Option<usize> {
        let dns = &self.view.dns;
        let is_full = |reply: &Reply<'_, '_, '_>| reply.writer.octets_written() > MESSAGE_OCTETS;
        match dns.zones[self.zone].kind {
            DnsZoneKind::Forward => {
                // The name of the record before, and where it stands.
                let mut last = None;
                let first = u32::try_from(from).unwrap_or(u32::MAX);
                let mut owner = dns.name_of_row(first);
                for (row, position) in dns.rows.iter().zip(0_u32..).skip(from) {
                    if is_full(reply) {
                        return Some(position as usize);
                    }
                    while dns.names[owner.index() + 1].rows <= position {
                        owner = DnsNameId(owner.0 + 1);
                    }
                    if self.sight.shows_row(*row) {
                        match last {
                            Some((name, Some(place))) if name == owner => reply.writer.pointer(place),
                            _ => {
                                last = Some((owner, reply.writer.here()));
                                reply.names.below_domain(dns.labels_of(owner), reply.writer);
                            }
                        }
                        reply.row(Section::Answer, *row);
                    }
                }
            }
            DnsZoneKind::Reverse4(net) => {
                for (pointer, position) in dns.pointers4(net).iter().zip(0..).skip(from) {
                    if is_full(reply) {
                        return Some(position);
                    }
                    if self.sight.shows(pointer.network) {
                        labels4(pointer.address, net, reply.writer);
                        self.pointer(pointer.name, reply);
                    }
                }
            }
            DnsZoneKind::Reverse6(net) => {
                for (pointer, position) in dns.pointers6(net).iter().zip(0..).skip(from) {
                    if is_full(reply) {
                        return Some(position);
                    }
                    if self.sight.shows(pointer.network) {
                        labels6(pointer.address, net, reply.writer);
                        self.pointer(pointer.name, reply);
                    }
                }
            }
        }
        None
    }

    /// What of a PTR record comes after the owner's labels below the zone.
    fn pointer(&self, name: DnsNameId, reply: &mut Reply<'_, '_, '_>) {
        reply.writer.pointer(APEX);
        reply.writer.record(RecordType::PTR, TTL_SECONDS);
        reply.names.below_domain(self.view.dns.labels_of(name), reply.writer);
        reply.writer.end(Section::Answer);
    }
}

/// The labels of an address below those of its zone (RFC 1035 §3.5).
fn labels4(address: Ipv4Addr, zone: Ipv4Net, writer: &mut Writer<'_>) {
    let below = usize::from(zone.prefix_len() / 8);
    for octet in address.octets()[below..].iter().rev() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
        let digits = match octet {
            0..10 => &digits[2..],
            10..100 => &digits[1..],
            _ => &digits[..],
        };
        writer.labels(&[u8::try_from(digits.len()).unwrap_or_default()]);
        writer.labels(digits);
    }
}

/// The same in IPv6 (RFC 3596 §2.5).
fn labels6(address: Ipv6Addr, zone: Ipv6Net, writer: &mut Writer<'_>) {
    let below = usize::from(zone.prefix_len() / 4);
    let octets = address.octets();
    for position in (below..32).rev() {
        let octet = octets[position / 2];
        let nibble = if position % 2 == 0 { octet >> 4 } else { octet & 15 };
        writer.labels(&[1, b"0123456789abcdef"[usize::from(nibble)]]);
    }
}
