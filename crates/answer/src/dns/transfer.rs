//! A zone as a run of messages: all of it (RFC 5936: SOA, every record, SOA), or what changed since the serial that the
//! client has (RFC 1995), if that is remembered and less.
//!
//! Messages are made one at a time while the connection takes them, so a transfer of any size needs one message of
//! memory. The view it began with is held until the end: what is sent is one state of the zone, never a mixture.

use super::TTL_SECONDS;
use super::names::Names;
use super::records::{Reply, Sight};
use ipnet::{Ipv4Net, Ipv6Net};
use model::View;
use model::view::{DnsChange, DnsNameId, DnsOwner, DnsRecord, DnsZoneChange, DnsZoneKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
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
    changes: &'v [Arc<DnsChange>],
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The first SOA and the name servers.
    Begin,
    /// The rows or addresses from this position on.
    From(usize),
    /// The first SOA, and then changes.
    BeginChanges,
    /// Of this change, counted from the oldest that is sent, from this step on: the SOA before, what was removed, the SOA
    /// after, what was added.
    Change(usize, usize),
    /// Nothing but the SOA: the client has everything.
    Same,
    /// Nothing.
    Over,
}

impl<'v> Transfer<'v> {
    pub(super) fn new(view: &'v View, zone: usize, query: &Query<'_>, sight: Sight<'v>) -> Self {
        let (head, question) = (query.head, query.question.into());
        let mut transfer = Self { view, zone, head, question, sight, changes: &[], next: Next::Begin };
        let Some(serial) = query.serial.filter(|_| query.record_type == RecordType::IXFR) else {
            return transfer;
        };
        // RFC 1995 §2, and RFC 1982 §3.2 for what is newer.
        if serial.wrapping_sub(view.dns.serial) < 1 << 31 {
            transfer.next = Next::Same;
        } else if let Some(changes) = transfer.changes_since(serial) {
            transfer.changes = changes;
            transfer.next = Next::BeginChanges;
        }
        transfer
    }

    /// The changes since a serial, if this client had all of that one, and they are less than the zone is.
    fn changes_since(&self, serial: u32) -> Option<&'v [Arc<DnsChange>]> {
        let dns = &self.view.dns;
        let changes = dns.history.since(serial).filter(|_| self.sight.is_everything())?;
        let records = match dns.zones[self.zone].kind {
            DnsZoneKind::Forward => dns.rows.len(),
            DnsZoneKind::Reverse4(net) => dns.pointers4(net).len(),
            DnsZoneKind::Reverse6(net) => dns.pointers6(net).len(),
        };
        let mut sent = 0;
        for change in changes {
            sent += 2 + self.of_zone(change)?.len();
        }
        (sent <= records + 2).then_some(changes)
    }

    fn of_zone(&self, change: &'v DnsChange) -> Option<&'v DnsZoneChange> {
        let apex = &self.view.dns.zones[self.zone].apex;
        change.zones.iter().find(|zone| zone.apex == *apex)
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
        if matches!(self.next, Next::Begin | Next::BeginChanges | Next::Same) {
            reply.soa(Section::Answer, APEX, TTL_SECONDS);
        }
        let next = match self.next {
            Next::Begin => {
                reply.servers();
                self.add(0, &mut reply).map(Next::From)
            }
            Next::From(position) => self.add(position, &mut reply).map(Next::From),
            Next::BeginChanges => self.add_changes((0, 0), &mut reply),
            Next::Change(change, step) => self.add_changes((change, step), &mut reply),
            Next::Same | Next::Over => Some(Next::Over),
        };
        self.next = next.unwrap_or_else(|| {
            reply.soa(Section::Answer, APEX, TTL_SECONDS);
            Next::Over
        });
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

    /// Adds changes from one's step on until the message is full; gives where to go on from, if there is more.
    fn add_changes(&self, from: (usize, usize), reply: &mut Reply<'_, '_, '_>) -> Option<Next> {
        let (position, mut step) = from;
        for (change, position) in self.changes.iter().zip(0..).skip(position) {
            // Each has the zone: it was looked for before the first message.
            let Some(zone) = self.of_zone(change) else { continue };
            while step < 2 + zone.len() {
                if reply.writer.octets_written() > MESSAGE_OCTETS {
                    return Some(Next::Change(position, step));
                }
                let removed = zone.removed.len();
                match step {
                    0 => self.soa_before(position, reply),
                    _ if step <= removed => self.changed(&zone.removed[step - 1], reply),
                    _ if step == removed + 1 => self.soa_before(position + 1, reply),
                    _ => self.changed(&zone.added[step - removed - 2], reply),
                }
                step += 1;
            }
            step = 0;
        }
        None
    }

    /// The SOA before a change; after the last it is today's.
    fn soa_before(&self, change: usize, reply: &mut Reply<'_, '_, '_>) {
        match self.changes.get(change) {
            Some(change) => {
                let primary = change.primary.as_deref();
                reply.soa_with(Section::Answer, APEX, TTL_SECONDS, change.from, primary);
            }
            None => reply.soa(Section::Answer, APEX, TTL_SECONDS),
        }
    }

    fn changed(&self, record: &DnsRecord, reply: &mut Reply<'_, '_, '_>) {
        match (&record.owner, self.view.dns.zones[self.zone].kind) {
            (DnsOwner::Name(labels), _) => reply.writer.labels(labels),
            (DnsOwner::Address(IpAddr::V4(address)), DnsZoneKind::Reverse4(net)) => {
                labels4(*address, net, reply.writer);
            }
            (DnsOwner::Address(IpAddr::V6(address)), DnsZoneKind::Reverse6(net)) => {
                labels6(*address, net, reply.writer);
            }
            (DnsOwner::Apex | DnsOwner::Address(_), _) => {}
        }
        reply.writer.pointer(APEX);
        reply.changed(&record.data);
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
