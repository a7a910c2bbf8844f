//! Records as messages carry them, made from the view's rows.

use super::find::Place;
use super::{NEGATIVE_TTL_SECONDS, SERVICES_MAX, TARGETS_MAX, TTL_SECONDS};
use model::View;
use model::ids::NetworkId;
use model::view::{DnsNameId, DnsRow, DnsZone};
use std::net::IpAddr;
use wire::dns::{A, AAAA, Message, NS, Name, PTR, RData, Record, RecordType, SOA, SRV, TXT};

/// The least octets of an SRV record: a pointer to its name, type, class, TTL, length, and a target of one label.
pub(super) const SERVICE_OCTETS_MIN: usize = 2 + 10 + 6 + 2;

/// What a client may see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'v> {
    /// The networks of the first `view` block that has the client; `None` is everything.
    networks: Option<&'v [NetworkId]>,
}

impl<'v> Sight<'v> {
    /// What this client may see.
    pub(super) fn of(view: &'v View, client: IpAddr) -> Self {
        let client = client.to_canonical();
        let has = |clients: &[ipnet::IpNet]| clients.iter().any(|net| net.contains(&client));
        let mut views = view.plan.design.dns_views.iter();
        Self { networks: views.find(|view| has(&view.clients)).map(|view| view.networks.as_slice()) }
    }

    /// Whether addresses of a network are shown.
    pub(super) fn shows(self, network: NetworkId) -> bool {
        self.networks.is_none_or(|networks| networks.contains(&network))
    }

    /// Whether a row is shown.
    pub(super) fn shows_row(self, row: DnsRow) -> bool {
        match row {
            DnsRow::A { network, .. } | DnsRow::Aaaa { network, .. } => self.shows(network),
            DnsRow::Location(_) | DnsRow::Service { .. } => true,
        }
    }
}

/// Adds what answers the question, and what goes with it.
#[expect(
    clippy::too_many_arguments,
    reason = "a question has these parts, and a struct for them would be read once"
)]
pub(super) fn answers(
    view: &View,
    zone: &DnsZone,
    place: Place,
    owner: &Name,
    wanted: RecordType,
    sight: &Sight<'_>,
    client: IpAddr,
    reply: &mut Message,
) {
    match place {
        Place::Between | Place::Nowhere => {}
        Place::Apex => match wanted {
            // RFC 8482 §4.1: of everything, one set.
            RecordType::SOA | RecordType::ANY => {
                reply.add_answer(soa(view, zone, owner.clone(), TTL_SECONDS));
            }
            RecordType::NS => {
                for server in &view.dns.servers {
                    let server = host(view, *server);
                    reply.add_answer(record(owner, RData::NS(NS(server))));
                }
                for server in &view.dns.servers {
                    add_addresses(view, *server, *sight, reply);
                }
            }
            _ => {}
        },
        Place::Address4(address) => {
            let net = address.into();
            let pointers = view.dns.pointers4(net).iter();
            let names = pointers.filter(|pointer| sight.shows(pointer.network)).map(|pointer| pointer.name);
            pointers_to(view, owner, wanted, names, reply);
        }
        Place::Address6(address) => {
            let net = address.into();
            let pointers = view.dns.pointers6(net).iter();
            let names = pointers.filter(|pointer| sight.shows(pointer.network)).map(|pointer| pointer.name);
            pointers_to(view, owner, wanted, names, reply);
        }
        Place::Name(name) => named(view, name, owner, wanted, *sight, client, reply),
    }
}

fn pointers_to(
    view: &View,
    owner: &Name,
    wanted: RecordType,
    names: impl Iterator<Item = DnsNameId>,
    reply: &mut Message,
) {
    if matches!(wanted, RecordType::PTR | RecordType::ANY) {
        reply.add_answers(names.map(|name| record(owner, RData::PTR(PTR(host(view, name))))));
    }
}

fn named(
    view: &View,
    name: DnsNameId,
    owner: &Name,
    wanted: RecordType,
    sight: Sight<'_>,
    client: IpAddr,
    reply: &mut Message,
) {
    let rows: Vec<DnsRow> =
        view.dns.rows_of(name).iter().copied().filter(|row| sight.shows_row(*row)).collect();
    let wanted = match (wanted, rows.first()) {
        (RecordType::ANY, Some(first)) => type_of(*first),
        _ => wanted,
    };
    let mut rows: Vec<DnsRow> = rows.into_iter().filter(|row| type_of(*row) == wanted).collect();
    if wanted == RecordType::SRV {
        some_services(view, owner, client, &mut rows);
    }
    reply.add_answers(rows.iter().map(|row| record(owner, data(view, *row))));
    for row in rows.iter().take(TARGETS_MAX) {
        if let DnsRow::Service { target, .. } = row {
            add_addresses(view, *target, sight, reply);
        }
    }
}

/// Leaves as many services as a message holds, beginning at a place that depends on the client, so that the load is
/// spread and every replica still answers alike.
fn some_services(view: &View, owner: &Name, client: IpAddr, rows: &mut Vec<DnsRow>) {
    // The codec stops to shorten names after the first few hundred, so owners count whole.
    let domain = view.dns.zones.first().map_or(0, |zone| zone.apex.len());
    let always = owner.len() + 10 + 6 + domain + 1;
    let octets = |row: &DnsRow| match row {
        DnsRow::Service { target, .. } => always + view.dns.labels_of(*target).len(),
        _ => 0,
    };
    if rows.iter().map(octets).sum::<usize>() <= SERVICES_MAX {
        return;
    }
    let seed = match client.to_canonical() {
        IpAddr::V4(client) => model::view::dns_hash(&client.octets()),
        IpAddr::V6(client) => model::view::dns_hash(&client.octets()),
    };
    let start = seed % rows.len();
    rows.rotate_left(start);
    let mut room = SERVICES_MAX;
    let fits = rows.iter().map(octets).take_while(|octets| {
        let fits = *octets <= room;
        room = room.saturating_sub(*octets);
        fits
    });
    let count = fits.count();
    rows.truncate(count);
}

fn add_addresses(view: &View, name: DnsNameId, sight: Sight<'_>, reply: &mut Message) {
    let owner = host(view, name);
    for row in view.dns.rows_of(name) {
        if matches!(row, DnsRow::A { .. } | DnsRow::Aaaa { .. }) && sight.shows_row(*row) {
            reply.add_additional(record(&owner, data(view, *row)));
        }
    }
}

/// One record of a row, for a transfer.
pub(super) fn of_row(view: &View, owner: DnsNameId, row: DnsRow) -> Record {
    record(&host(view, owner), data(view, row))
}

/// The SOA record of a zone.
///
/// Secondaries look every five minutes and go on for two weeks without us; `owner` is the zone's own name, as asked.
pub(super) fn soa(view: &View, zone: &DnsZone, owner: Name, ttl: u32) -> Record {
    let primary = view.dns.servers.first().map_or_else(|| name(&[&zone.apex]), |server| host(view, *server));
    let domain: &[u8] = view.dns.zones.first().map_or(&[], |zone| &zone.apex);
    let contact = name(&[b"\x0ahostmaster", domain]);
    let serial = view.dns.serial;
    let soa = SOA::new(primary, contact, serial, 300, 60, 1_209_600, NEGATIVE_TTL_SECONDS);
    Record::from_rdata(owner, ttl, RData::SOA(soa))
}

/// A record of the usual life.
pub(super) fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL_SECONDS, data)
}

/// The whole name of a host of the zone.
pub(super) fn host(view: &View, id: DnsNameId) -> Name {
    let apex: &[u8] = view.dns.zones.first().map_or(&[], |zone| &zone.apex);
    name(&[view.dns.labels_of(id), apex])
}

/// A name from labels in wire form.
pub(super) fn name(parts: &[&[u8]]) -> Name {
    let mut labels = Vec::with_capacity(8);
    for part in parts {
        let mut rest = *part;
        while let [length, after @ ..] = rest {
            let (label, others) = after.split_at(usize::from(*length).min(after.len()));
            labels.push(label);
            rest = others;
        }
    }
    // The plan has no name that is too long; one would be shown as the root rather than stop the answer.
    Name::from_labels(labels).unwrap_or_else(|_| Name::root())
}

fn type_of(row: DnsRow) -> RecordType {
    match row {
        DnsRow::A { .. } => RecordType::A,
        DnsRow::Aaaa { .. } => RecordType::AAAA,
        DnsRow::Location(_) => RecordType::TXT,
        DnsRow::Service { .. } => RecordType::SRV,
    }
}

fn data(view: &View, row: DnsRow) -> RData {
    match row {
        DnsRow::A { address, .. } => RData::A(A(address)),
        DnsRow::Aaaa { address, .. } => RData::AAAA(AAAA(view.dns.addresses6[address as usize])),
        DnsRow::Location(device) => {
            // One string of at most 255 octets (RFC 1035 §3.3), in the manner of RFC 1464.
            let location = format!("location={}", view.plan.design.devices[device.index()].location);
            RData::TXT(TXT::from_bytes(vec![&location.as_bytes()[..location.len().min(255)]]))
        }
        // One priority, and the weight of RFC 2782 for hosts between which nothing is to be chosen: all are alike.
        DnsRow::Service { port, target } => RData::SRV(SRV::new(0, 0, port, host(view, target))),
    }
}
