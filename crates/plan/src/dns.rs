//! The zone's DNS records as rows of text: what the document holds and `zw export` writes.
//!
//! The records are made in one place, the view that queries are answered from; here they are only spelt out, so that
//! what `zw plan` prints is what `dig` will get. Names and hosts in data are written without the trailing dot.

use crate::view::dns_view;
use model::Plan;
use model::view::{DnsNameId, DnsRow, DnsView, DnsZoneKind};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// A type of record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// The authority of a zone: primary, mailbox, serial. The timers are the server's and not part of the plan.
    Soa,
    /// A name server of a zone.
    Ns,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// `location=` and the device's location.
    Txt,
    /// Priority, weight, port and host of a service.
    Srv,
    /// The name of an address.
    Ptr,
}

impl RecordKind {
    /// `A`, `AAAA`, `PTR`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soa => "SOA",
            Self::Ns => "NS",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
            Self::Srv => "SRV",
            Self::Ptr => "PTR",
        }
    }
}

/// One record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The owner's name, whole.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// The data, as in a zone file.
    pub data: String,
}

/// Every record of a plan: for each zone its SOA and NS; then names in the order of interfaces; then, by address,
/// what each address is called. The same plan gives the same rows.
pub fn records(plan: &Plan) -> Vec<Record> {
    let view = dns_view(plan);
    let domain = plan.design.zone.domain.as_str();
    let mut rows = Vec::with_capacity(view.rows.len() + view.pointers4.len() + view.pointers6.len() + 8);
    apexes(&view, domain, &mut rows);
    for id in 0..u32::try_from(view.names.len().saturating_sub(1)).unwrap_or(u32::MAX) {
        let id = DnsNameId(id);
        let of_name = view.rows_of(id);
        if of_name.is_empty() {
            continue;
        }
        let name = spell(&view, id, domain);
        for row in of_name {
            let (kind, data) = match *row {
                DnsRow::A { address, .. } => (RecordKind::A, address.to_string()),
                DnsRow::Aaaa { address, .. } => {
                    (RecordKind::Aaaa, view.addresses6[address as usize].to_string())
                }
                DnsRow::Location(device) => {
                    let location = plan.design.devices[device.index()].location.as_str();
                    (RecordKind::Txt, format!("location={location}"))
                }
                DnsRow::Service { port, target } => {
                    (RecordKind::Srv, format!("0 0 {port} {}", spell(&view, target, domain)))
                }
            };
            rows.push(Record { name: name.clone(), kind, data });
        }
    }
    for pointer in &view.pointers4 {
        let [a, b, c, d] = pointer.address.octets();
        let mut name = String::with_capacity(32);
        let written = write!(name, "{d}.{c}.{b}.{a}.in-addr.arpa");
        debug_assert!(written.is_ok(), "a String takes every write");
        rows.push(Record { name, kind: RecordKind::Ptr, data: spell(&view, pointer.name, domain) });
    }
    for pointer in &view.pointers6 {
        let name = reverse6(pointer.address);
        rows.push(Record { name, kind: RecordKind::Ptr, data: spell(&view, pointer.name, domain) });
    }
    rows
}

/// The names of the zones, the forward one first.
pub fn zones(plan: &Plan) -> Vec<String> {
    dns_view(plan).zones.iter().map(|zone| dotted(&zone.apex)).collect()
}

/// SOA and NS of each zone.
fn apexes(view: &DnsView, domain: &str, rows: &mut Vec<Record>) {
    let servers: Vec<String> = view.servers.iter().map(|server| spell(view, *server, domain)).collect();
    let primary = servers.first().map_or(domain, String::as_str);
    for zone in &view.zones {
        let name = match zone.kind {
            DnsZoneKind::Forward => domain.to_owned(),
            DnsZoneKind::Reverse4(_) | DnsZoneKind::Reverse6(_) => dotted(&zone.apex),
        };
        let data = format!("{primary} hostmaster.{domain} {}", view.serial);
        rows.push(Record { name: name.clone(), kind: RecordKind::Soa, data });
        rows.extend(servers.iter().map(|server| Record {
            name: name.clone(),
            kind: RecordKind::Ns,
            data: server.clone(),
        }));
    }
}

/// A name of the forward zone, whole.
fn spell(view: &DnsView, id: DnsNameId, domain: &str) -> String {
    let mut name = String::with_capacity(view.labels_of(id).len() + 1 + domain.len());
    push_labels(&mut name, view.labels_of(id));
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(domain);
    name
}

/// Labels in wire form as text.
fn dotted(wire: &[u8]) -> String {
    let mut name = String::with_capacity(wire.len());
    push_labels(&mut name, wire);
    name
}

fn push_labels(name: &mut String, mut wire: &[u8]) {
    while let Some((&length, rest)) = wire.split_first() {
        let (label, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|octet| char::from(*octet)));
        wire = rest;
    }
}

fn reverse6(address: std::net::Ipv6Addr) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut name = String::with_capacity(72);
    let mut left = u128::from(address);
    for _ in 0..32 {
        name.push(DIGITS[(left & 15) as usize]);
        name.push('.');
        left >>= 4;
    }
    name.push_str("ip6.arpa");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_go_nibble_by_nibble() {
        let name = reverse6("2001:db8::1:2f".parse().unwrap());
        assert_eq!(name, "f.2.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }
}
