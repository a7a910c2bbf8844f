//! The zone's DNS records as rows: what the document holds and `zw plan --only dns` prints.
//!
//! The records are made in one place, the view that queries are answered from; here they are only spelt out, so that
//! what `zw plan` prints is what `dig` will get. Names and hosts in data are written without the trailing dot.

mod record;

use crate::view::dns_view;
use model::Plan;
use model::view::{DnsNameId, DnsRow, DnsView, DnsZoneKind};
use std::sync::Arc;

pub use record::{Data, Owner, Record, RecordKind};

/// The names of the zones, the forward one first, and every record of a plan: for each zone its SOA and NS; then
/// names in the order of interfaces; then, by address, what each address is called. The same plan gives the same rows.
pub fn records(plan: &Plan) -> (Vec<String>, Vec<Record>) {
    let view = dns_view(plan);
    let domain = plan.design.zone.domain.as_str();
    let mut rows = Vec::with_capacity(view.rows.len() + view.pointers4.len() + view.pointers6.len() + 8);
    let count = view.names.len().saturating_sub(1);
    let names: Vec<Arc<str>> =
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(|id| spell(&view, DnsNameId(id), domain)).collect();
    let name_of = |id: DnsNameId| Arc::clone(&names[id.index()]);
    let zones = apexes(&view, &names, domain, &mut rows);
    for (id, name) in names.iter().enumerate() {
        let owner = || Owner::Name(Arc::clone(name));
        for row in view.rows_of(DnsNameId(u32::try_from(id).unwrap_or(u32::MAX))) {
            let (kind, data) = match *row {
                DnsRow::A { address, .. } => (RecordKind::A, Data::Address4(address)),
                DnsRow::Aaaa { address, .. } => {
                    (RecordKind::Aaaa, Data::Address6(view.addresses6[address as usize]))
                }
                DnsRow::Location(device) => {
                    let location = plan.design.devices[device.index()].location.clone();
                    (RecordKind::Txt, Data::Location(location))
                }
                DnsRow::Service { port, target } => (RecordKind::Srv, Data::Service(port, name_of(target))),
            };
            rows.push(Record { name: owner(), kind, data });
        }
    }
    let pointer = |name, id| Record { name, kind: RecordKind::Ptr, data: Data::Name(name_of(id)) };
    rows.extend(view.pointers4.iter().map(|it| pointer(Owner::Reverse4(it.address), it.name)));
    rows.extend(view.pointers6.iter().map(|it| pointer(Owner::Reverse6(it.address), it.name)));
    (zones, rows)
}

/// SOA and NS of each zone; gives the zones' names.
fn apexes(view: &DnsView, names: &[Arc<str>], domain: &str, rows: &mut Vec<Record>) -> Vec<String> {
    let primary = view.servers.first().map_or(domain, |server| &names[server.index()]);
    let mut zones = Vec::with_capacity(view.zones.len());
    for zone in &view.zones {
        let name = match zone.kind {
            DnsZoneKind::Forward => domain.to_owned(),
            DnsZoneKind::Reverse4(_) | DnsZoneKind::Reverse6(_) => {
                let mut name = String::with_capacity(zone.apex.len());
                push_labels(&mut name, &zone.apex);
                name
            }
        };
        let owner: Arc<str> = name.as_str().into();
        let authority = format!("{primary} hostmaster.{domain} {}", view.serial);
        let mut push = |kind, data| rows.push(Record { name: Owner::Name(Arc::clone(&owner)), kind, data });
        push(RecordKind::Soa, Data::Name(authority.into()));
        for server in &view.servers {
            push(RecordKind::Ns, Data::Name(Arc::clone(&names[server.index()])));
        }
        zones.push(name);
    }
    zones
}

/// A name of the forward zone, whole.
fn spell(view: &DnsView, id: DnsNameId, domain: &str) -> Arc<str> {
    let mut name = String::with_capacity(view.labels_of(id).len() + 1 + domain.len());
    push_labels(&mut name, view.labels_of(id));
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(domain);
    name.into()
}

/// Labels in wire form as text.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{POCKET, plan};
    use expect_test::expect;
    use std::fmt::Write;

    #[test]
    fn pocket_records() {
        let (zones, records) = records(&plan(POCKET));
        let mut text = zones.join(" ");
        text.push('\n');
        let shown = |it: &Record| {
            let name = it.name.to_string();
            ["hv-p02-r1-u04", "ctl1", "lab1.example.net", "_ssh", "10.64", "8.32.64.10", "f.f.f.f.4"]
                .iter()
                .any(|start| name.starts_with(start))
                || it.kind <= RecordKind::Ns
        };
        for row in records.iter().filter(|row| shown(row)) {
            writeln!(text, "{} {} {}", row.name, row.kind.as_str(), row.data).unwrap();
        }
        expect![[r#"
            lab1.example.net 64.10.in-addr.arpa 4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa
            lab1.example.net SOA ctl1.lab1.example.net hostmaster.lab1.example.net 0
            lab1.example.net NS ctl1.lab1.example.net
            64.10.in-addr.arpa SOA ctl1.lab1.example.net hostmaster.lab1.example.net 0
            64.10.in-addr.arpa NS ctl1.lab1.example.net
            4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa SOA ctl1.lab1.example.net hostmaster.lab1.example.net 0
            4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa NS ctl1.lab1.example.net
            ctl1.lab1.example.net A 10.64.255.182
            ctl1.lab1.example.net AAAA 2001:db8:64:ffff::36
            ctl1.lab1.example.net TXT location=lab1/ctl1
            hv-p02-r1-u04.lab1.example.net A 10.64.32.9
            hv-p02-r1-u04.lab1.example.net AAAA 2001:db8:64:2000::9
            hv-p02-r1-u04.lab1.example.net TXT location=lab1/p02/r1/u04
            hv-p02-r1-u04-bmc.lab1.example.net A 10.64.32.41
            hv-p02-r1-u04-bmc.lab1.example.net AAAA 2001:db8:64:2001::9
            hv-p02-r1-u04-bmc.lab1.example.net TXT location=lab1/p02/r1/u04
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p01-r1-u01.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p01-r1-u02.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p01-r1-u03.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p01-r1-u04.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p02-r1-u01.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p02-r1-u02.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p02-r1-u03.lab1.example.net
            _ssh._tcp.hypervisor.lab1.example.net SRV 0 0 22 hv-p02-r1-u04.lab1.example.net
            8.32.64.10.in-addr.arpa PTR hv-p02-r1-u03.lab1.example.net
        "#]]
        .assert_eq(&text);
    }
}
