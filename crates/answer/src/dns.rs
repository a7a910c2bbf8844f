//! DNS: names, addresses, services and locations of the zone, forward and reverse.
//!
//! A packet comes in; a reply goes out, or a zone transfer, or a refusal. Every reply is authoritative or REFUSED:
//! nothing is asked elsewhere, and nothing is remembered.
//!
//! What clients see: all of the zone; or, where a `view` block of the design names their network, only the addresses
//! (and reverse names) of that view's networks. The serial of every SOA is the plan's generation.

mod find;
mod names;
mod notify;
mod records;
mod transfer;

pub use notify::{Notifier, Outcome, secondaries};
pub use transfer::Transfer;

use crate::dns::find::{Place, find};
use crate::dns::names::Names;
use crate::dns::records::{Reply, Sight};
use model::view::{DnsRow, DnsZoneKind};
use model::{Reason, Refusal, View};
use std::net::IpAddr;
use wire::dns::{Class, Code, HEADER, NoQuery, Query, RecordType, Section, UDP_MAX, UDP_PLAIN_MAX, Writer};

/// How long records may be kept, in seconds: a machine that is renumbered is known under its new address everywhere
/// within five minutes; a zone of 10,000 machines that ask for each other hourly makes some 30 queries a second.
pub const TTL_SECONDS: u32 = 300;
/// How long it may be kept that a name does not exist (RFC 2308 §5): a machine that was just drawn is found within a
/// minute.
pub const NEGATIVE_TTL_SECONDS: u32 = 60;
/// Octets of a message over TCP (RFC 1035 §4.2.2).
const TCP_MAX: u16 = u16::MAX;
/// Services of more records than fill this many octets are answered in part: no DNS message holds them, and a client
/// that asks for a service needs some hosts of it, not all. A transfer has them all.
const SERVICES_MAX: usize = 60_000;
/// For so many targets of a service their addresses are added (RFC 2782); a client asks for others itself.
const TARGETS_MAX: usize = 16;

/// How a packet came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// UDP: at most 512 octets, or what EDNS agrees on.
    Udp,
    /// TCP: at most 65,535 octets, and zone transfers.
    Tcp,
}

/// What to do with a packet.
#[derive(Debug)]
pub enum Answer<'v> {
    /// Send what was written. If there is a reason, the reply is a negative one, to be counted under it.
    Reply(Option<Reason>),
    /// Send every message that this makes, one after the other on the same connection.
    Transfer(Transfer<'v>),
}

/// Answers one packet; a reply is written over `out`.
///
/// # Errors
/// A [`Refusal`] means silence: the packet is nothing that may be answered.
pub fn answer<'v>(
    view: &'v View,
    packet: &[u8],
    client: IpAddr,
    transport: Transport,
    out: &mut Vec<u8>,
) -> Result<Answer<'v>, Refusal> {
    let query = match wire::dns::decode(packet) {
        Ok(query) => query,
        Err(NoQuery::Silence) => return Err(Reason::Malformed.into()),
        Err(NoQuery::Reply { header, code }) => {
            wire::dns::write_header(&header, out);
            let reason = if code == Code::FormErr { Reason::Malformed } else { Reason::NotServed };
            return Ok(Answer::Reply(Some(reason)));
        }
    };
    let limit = limit(view, &query, packet.len(), client, transport);
    let mut writer = Writer::reply(query.head, query.question, limit, out);
    let negative = |writer: Writer<'_>, code, reason| {
        writer.finish(code, false);
        Ok(Answer::Reply(Some(reason)))
    };
    if query.head.edns.is_some_and(|edns| edns.version > 0) {
        return negative(writer, Code::BadVers, Reason::NotServed);
    }
    if query.class != Class::IN {
        return negative(writer, Code::Refused, Reason::NotServed);
    }
    let Some(found) = find(&view.dns, query.labels()) else {
        return negative(writer, Code::Refused, Reason::NotServed);
    };
    let sight = Sight::of(view, client);
    match query.record_type {
        RecordType::AXFR | RecordType::IXFR if transport == Transport::Tcp => {
            if found.place != Place::Apex {
                return negative(writer, Code::NotAuth, Reason::NotServed);
            }
            if !may_transfer(view, client) {
                return negative(writer, Code::Refused, Reason::NotAllowed);
            }
            return Ok(Answer::Transfer(Transfer::new(view, found.zone, &query, sight)));
        }
        // RFC 5936 §4.2: there is no AXFR over UDP.
        RecordType::AXFR => return negative(writer, Code::FormErr, Reason::NotServed),
        _ => {}
    }
    // RFC 1995 §2: the serial alone; the client comes again over TCP if it is new to it.
    let wanted = match query.record_type {
        RecordType::IXFR if found.place == Place::Apex => RecordType::SOA,
        wanted => wanted,
    };
    if transport == Transport::Udp && services_octets(view, found.place, wanted) > limit.into() {
        writer.finish_truncated();
        return Ok(Answer::Reply(None));
    }
    let zone = &view.dns.zones[found.zone];
    // The question's name ends in the zone's, and that is where the zone's name stands.
    let apex = u16::try_from(HEADER + query.labels().len() - zone.apex.len()).unwrap_or_default();
    let domain = (zone.kind == DnsZoneKind::Forward).then_some(apex);
    let names = Names::new(view, domain);
    let mut reply = Reply { view, sight, client, names, writer: &mut writer };
    reply.answers(found.place, wanted);
    if reply.writer.answers() == 0 {
        reply.soa(Section::Authority, apex, NEGATIVE_TTL_SECONDS);
    }
    writer.finish(if found.place == Place::Nowhere { Code::NxDomain } else { Code::NoError }, true);
    Ok(Answer::Reply(None))
}

/// Whether a client may have whole zones: the controllers themselves and the hosts of `transfer_to`.
fn may_transfer(view: &View, client: IpAddr) -> bool {
    let client = client.to_canonical();
    client.is_loopback()
        || view.boot.controllers.contains(&client)
        || view.plan.design.zone.transfer_to.iter().any(|net| net.contains(&client))
}

/// The most octets of a reply.
fn limit(view: &View, query: &Query, received: usize, client: IpAddr, transport: Transport) -> u16 {
    if transport == Transport::Tcp {
        return TCP_MAX;
    }
    // RFC 6891 §6.2.3: a size below 512 counts as 512.
    let agreed = query.head.edns.map_or(UDP_PLAIN_MAX, |edns| edns.payload.clamp(UDP_PLAIN_MAX, UDP_MAX));
    // A source address outside the zone may be a victim's: it gets little more than it sent, and the whole over TCP.
    let design = &view.plan.design;
    let is_known = design.zone.contains(client)
        || client.to_canonical().is_loopback()
        || design.zone.transfer_to.iter().any(|net| net.contains(&client.to_canonical()))
        || design
            .dns_views
            .iter()
            .any(|view| view.clients.iter().any(|net| net.contains(&client.to_canonical())));
    if is_known { agreed } else { agreed.min(u16::try_from(3 * received).unwrap_or(u16::MAX)) }
}

/// About how many octets a service's records need, if it is one that is asked for: a long list is not built only to be
/// thrown away because it is too long.
fn services_octets(view: &View, place: Place, wanted: RecordType) -> usize {
    let Place::Name(name) = place else { return 0 };
    if !matches!(wanted, RecordType::SRV | RecordType::ANY) {
        return 0;
    }
    let rows = view.dns.rows_of(name);
    // A name has what is its own first, and then the hosts of its services.
    let services = rows.len() - rows.partition_point(|row| !matches!(row, DnsRow::Service { .. }));
    services * records::SERVICE_OCTETS_MIN
}
