//! Records as messages carry them, written from the view's rows.

use super::find::Place;
use super::names::Names;
use super::{NEGATIVE_TTL_SECONDS, SERVICES_MAX, TARGETS_MAX, TTL_SECONDS};
use model::ids::NetworkId;
use model::view::{DnsData, DnsNameId, DnsRow};
use model::{Location, View};
use std::net::IpAddr;
use wire::dns::{RecordType, Section, Writer};

/// Where the question's name stands: the owner of every answer.
const QUESTION: u16 = 12;
/// The octets of an SRV record but for its target's labels: pointers to its name and domain, type, class, TTL, length,
/// priority, weight, port.
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

    /// Whether nothing is hidden.
    pub(super) fn is_everything(self) -> bool {
        self.networks.is_none()
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

/// A reply under way: what it is made from, who asks, where it goes.
pub(super) struct Reply<'v, 'w, 'o> {
    pub(super) view: &'v View,
    pub(super) sight: Sight<'v>,
    pub(super) client: IpAddr,
    pub(super) names: Names<'v>,
    pub(super) writer: &'w mut Writer<'o>,
}

impl Reply<'_, '_, '_> {
    /// Writes what answers the question, and what goes with it.
    pub(super) fn answers(&mut self, place: Place, wanted: RecordType) {
        let dns = &self.view.dns;
        match place {
            Place::Between | Place::Nowhere => {}
            Place::Apex => match wanted {
                // RFC 8482 §4.1: of everything, one set.
                RecordType::SOA | RecordType::ANY => self.soa(Section::Answer, QUESTION, TTL_SECONDS),
                RecordType::NS => {
                    self.servers();
                    self.add_addresses(dns.servers.iter().take(TARGETS_MAX).copied());
                }
                _ => {}
            },
            Place::Address4(address) => {
                for pointer in dns.pointers4(address.into()) {
                    self.pointer(pointer.name, pointer.network, wanted);
                }
            }
            Place::Address6(address) => {
                for pointer in dns.pointers6(address.into()) {
                    self.pointer(pointer.name, pointer.network, wanted);
                }
            }
            Place::Name(name) => self.named(name, wanted),
        }
    }

    /// Writes the SOA record of the zone whose name stands at `owner`.
    ///
    /// Secondaries look every five minutes and go on for two weeks without us.
    pub(super) fn soa(&mut self, section: Section, owner: u16, ttl: u32) {
        let dns = &self.view.dns;
        let primary = dns.servers.first().map(|server| dns.labels_of(*server));
        self.soa_with(section, owner, ttl, dns.serial, primary);
    }

    /// The same as it was or is with this serial and this primary server.
    pub(super) fn soa_with(
        &mut self,
        section: Section,
        owner: u16,
        ttl: u32,
        serial: u32,
        primary: Option<&[u8]>,
    ) {
        self.writer.pointer(owner);
        self.writer.record(RecordType::SOA, ttl);
        // Without a controller the domain names itself.
        self.names.below_domain(primary.unwrap_or_default(), self.writer);
        self.names.below_domain(b"\x0ahostmaster", self.writer);
        for number in [serial, 300, 60, 1_209_600, NEGATIVE_TTL_SECONDS] {
            self.writer.octets(&number.to_be_bytes());
        }
        self.writer.end(section);
    }

    /// Writes the NS records of the zone that was asked for.
    pub(super) fn servers(&mut self) {
        for server in &self.view.dns.servers {
            self.writer.pointer(QUESTION);
            self.writer.record(RecordType::NS, TTL_SECONDS);
            self.names.host(*server, self.writer);
            self.writer.end(Section::Answer);
        }
    }

    /// One name of an address.
    fn pointer(&mut self, name: DnsNameId, network: NetworkId, wanted: RecordType) {
        if matches!(wanted, RecordType::PTR | RecordType::ANY) && self.sight.shows(network) {
            self.writer.pointer(QUESTION);
            self.writer.record(RecordType::PTR, TTL_SECONDS);
            self.names.host(name, self.writer);
            self.writer.end(Section::Answer);
        }
    }

    fn named(&mut self, name: DnsNameId, wanted: RecordType) {
        let rows = self.view.dns.rows_of(name);
        let sight = self.sight;
        let wanted = match wanted {
            RecordType::ANY => match rows.iter().find(|row| sight.shows_row(**row)) {
                Some(first) => type_of(*first),
                None => return,
            },
            _ => wanted,
        };
        if wanted == RecordType::SRV {
            return self.services(rows);
        }
        for row in rows.iter().filter(|row| type_of(**row) == wanted && sight.shows_row(**row)) {
            self.writer.pointer(QUESTION);
            self.row(Section::Answer, *row);
        }
    }

    /// As many services as a message holds, beginning at a place that depends on the client, so that the load is spread
    /// and every replica still answers alike; then the addresses of the first.
    fn services(&mut self, rows: &[DnsRow]) {
        let dns = &self.view.dns;
        let octets = |row: &DnsRow| match row {
            DnsRow::Service { target, .. } => SERVICE_OCTETS_MIN + dns.labels_of(*target).len(),
            _ => 0,
        };
        let has_room = rows.iter().map(octets).sum::<usize>() <= SERVICES_MAX;
        let start = if has_room || rows.is_empty() {
            0
        } else {
            let seed = match self.client.to_canonical() {
                IpAddr::V4(client) => model::view::dns_hash(&client.octets()),
                IpAddr::V6(client) => model::view::dns_hash(&client.octets()),
            };
            seed % rows.len()
        };
        let mut room = SERVICES_MAX;
        let (before, from) = rows.split_at(start);
        let shown = from.iter().chain(before).filter(|row| type_of(**row) == RecordType::SRV);
        let shown = shown.take_while(|row| {
            let left = room.checked_sub(octets(row));
            room = left.unwrap_or(0);
            left.is_some()
        });
        let mut targets = [None; TARGETS_MAX];
        for (position, row) in shown.enumerate() {
            if let (DnsRow::Service { target, .. }, Some(place)) = (row, targets.get_mut(position)) {
                *place = Some(*target);
            }
            self.writer.pointer(QUESTION);
            self.row(Section::Answer, *row);
        }
        self.add_addresses(targets.into_iter().flatten());
    }

    /// Adds the addresses of hosts until one finds no room. No other may follow: names that were left out again with it
    /// are remembered.
    fn add_addresses(&mut self, hosts: impl Iterator<Item = DnsNameId>) {
        for name in hosts {
            for row in self.view.dns.rows_of(name) {
                if matches!(row, DnsRow::A { .. } | DnsRow::Aaaa { .. }) && self.sight.shows_row(*row) {
                    self.names.host(name, self.writer);
                    if !self.row(Section::Additional, *row) {
                        return;
                    }
                }
            }
        }
    }

    /// All of a row's record but its owner. Gives whether there is room for more.
    pub(super) fn row(&mut self, section: Section, row: DnsRow) -> bool {
        let writer = &mut *self.writer;
        writer.record(type_of(row), TTL_SECONDS);
        match row {
            DnsRow::A { address, .. } => writer.octets(&address.octets()),
            DnsRow::Aaaa { address, .. } => {
                writer.octets(&self.view.dns.addresses6[address as usize].octets());
            }
            DnsRow::Location(device) => {
                location(&self.view.plan.design.devices[device.index()].location, writer);
            }
            DnsRow::Service { port, target } => {
                service(port, writer);
                self.names.host(target, writer);
            }
        }
        writer.end(section)
    }

    /// All of a changed record but its owner.
    pub(super) fn changed(&mut self, data: &DnsData) {
        let writer = &mut *self.writer;
        let record_type = match data {
            DnsData::A(_) => RecordType::A,
            DnsData::Aaaa(_) => RecordType::AAAA,
            DnsData::Location(_) => RecordType::TXT,
            DnsData::Service(..) => RecordType::SRV,
            DnsData::Pointer(_) => RecordType::PTR,
            DnsData::Server(_) => RecordType::NS,
        };
        writer.record(record_type, TTL_SECONDS);
        match data {
            DnsData::A(address) => writer.octets(&address.octets()),
            DnsData::Aaaa(address) => writer.octets(&address.octets()),
            DnsData::Location(it) => location(it, writer),
            DnsData::Service(port, target) => {
                service(*port, writer);
                self.names.below_domain(target, writer);
            }
            DnsData::Pointer(target) | DnsData::Server(target) => self.names.below_domain(target, writer),
        }
        writer.end(Section::Answer);
    }
}

/// The data of a TXT record: one string of at most 255 octets (RFC 1035 §3.3), in the manner of RFC 1464.
fn location(location: &Location, writer: &mut Writer<'_>) {
    const KEY: &[u8] = b"location=";
    let location = location.as_str().as_bytes();
    let location = &location[..location.len().min(255 - KEY.len())];
    writer.octets(&[u8::try_from(KEY.len() + location.len()).unwrap_or(u8::MAX)]);
    writer.octets(KEY);
    writer.octets(location);
}

/// The data of an SRV record before its host: one priority, and the weight of RFC 2782 for hosts between which nothing is
/// to be chosen, since all are alike.
fn service(port: u16, writer: &mut Writer<'_>) {
    let [p1, p2] = port.to_be_bytes();
    writer.octets(&[0, 0, 0, 0, p1, p2]);
}

fn type_of(row: DnsRow) -> RecordType {
    match row {
        DnsRow::A { .. } => RecordType::A,
        DnsRow::Aaaa { .. } => RecordType::AAAA,
        DnsRow::Location(_) => RecordType::TXT,
        DnsRow::Service { .. } => RecordType::SRV,
    }
}
