//! The part of the view that DNS is answered from.

mod history;

use ipnet::{Ipv4Net, Ipv6Net};
use model::Plan;
use model::design::{Audience, Device, Service, Zone};
use model::view::{DnsName, DnsNameId, DnsPointer, DnsRow, DnsView, DnsZone, DnsZoneKind, dns_hash};
use std::sync::Arc;

/// Prepares it.
pub(crate) fn view(plan: &Plan) -> DnsView {
    let mut table = Table::with_capacity(plan.interfaces.len() + 16);
    let apex = table.name(&[]);
    debug_assert_eq!(apex, DnsNameId::APEX);
    let mut hosts = Vec::with_capacity(plan.interfaces.len());
    for interface in &plan.interfaces {
        let network = plan.subnet(interface.subnet).network;
        let name = table.name(&[&interface.dns_name]);
        hosts.push(name);
        if let Some(address) = interface.v4 {
            table.rows.push((name, DnsRow::A { network, address }));
            table.pointers4.push(DnsPointer { address, name, network });
        }
        if let Some(address) = interface.v6 {
            table.addresses6.push(address);
            let position = u32::try_from(table.addresses6.len() - 1).expect("fewer interfaces than 2^32");
            table.rows.push((name, DnsRow::Aaaa { network, address: position }));
            table.pointers6.push(DnsPointer { address, name, network });
        }
        table.rows.push((name, DnsRow::Location(interface.device)));
    }
    let mut servers = Vec::new();
    for (interface, name) in plan.interfaces.iter().zip(&hosts) {
        if interface.audience == Audience::Controller && !servers.contains(name) {
            servers.push(*name);
        }
    }
    services(plan, &hosts, &mut table);
    table.finish(plan, servers)
}

/// The same for another plan, and what changed. An ordinary change, such as a machine's role, touches no name and no
/// address.
pub(crate) fn succeed(previous: &Arc<DnsView>, before: &Plan, plan: &Plan) -> Arc<DnsView> {
    let is_alike = is_named_alike(before, plan);
    if is_alike && serial(plan) == previous.serial {
        return Arc::clone(previous);
    }
    let mut next = match is_alike {
        true => DnsView { serial: serial(plan), ..(**previous).clone() },
        false => view(plan),
    };
    next.history = history::following((before, previous), (plan, &next), is_alike);
    Arc::new(next)
}

/// Whether everything but the generation that [`view`] reads is the same.
fn is_named_alike(before: &Plan, plan: &Plan) -> bool {
    let (one, other) = (&before.design, &plan.design);
    let zone = |zone: &Zone| (zone.domain.clone(), zone.supernet4, zone.supernet6);
    zone(&one.zone) == zone(&other.zone)
        && before.subnets == plan.subnets
        && before.first_interface == plan.first_interface
        && before.interfaces == plan.interfaces
        && one.devices.len() == other.devices.len()
        && one.devices.iter().zip(&other.devices).all(|(a, b)| offer(before, a) == offer(plan, b))
}

/// What a device's role tells DNS: without services, nothing.
fn offer<'a>(plan: &'a Plan, device: &Device) -> Option<(&'a str, &'a [Service])> {
    let role = &plan.design.roles[device.role?.index()];
    (!role.services.is_empty()).then_some((&role.name, &role.services))
}

/// RFC 1982 arithmetic: what counts for secondaries is that it grows, modulo 2^32.
fn serial(plan: &Plan) -> u32 {
    u32::try_from(plan.generation.0 & u64::from(u32::MAX)).unwrap_or_default()
}

/// `_service._protocol.role`, with one SRV record for each machine of the role.
fn services(plan: &Plan, hosts: &[DnsNameId], table: &mut Table) {
    for (position, device) in plan.design.devices.iter().enumerate() {
        let Some(role) = device.role.map(|role| &plan.design.roles[role.index()]) else { continue };
        // The first interface carries the device's own name; a device without an address offers nothing.
        let interfaces = &plan.first_interface[position..=position + 1];
        let Some(target) = hosts[interfaces[0] as usize..interfaces[1] as usize].first() else { continue };
        for service in &role.services {
            let labels = [format!("_{}", service.name), format!("_{}", service.protocol)];
            let name = table.name(&[&labels[0], &labels[1], &role.name]);
            table.rows.push((name, DnsRow::Service { port: service.port, target: *target }));
        }
    }
}

/// The tables while they grow.
struct Table {
    view: DnsView,
    rows: Vec<(DnsNameId, DnsRow)>,
    addresses6: Vec<std::net::Ipv6Addr>,
    pointers4: Vec<DnsPointer<std::net::Ipv4Addr>>,
    pointers6: Vec<DnsPointer<std::net::Ipv6Addr>>,
    /// Where a name is written before it is looked for.
    wire: Vec<u8>,
}

impl Table {
    fn with_capacity(names: usize) -> Self {
        let view = DnsView {
            names: vec![DnsName::default()],
            slots: vec![0; (2 * names).next_power_of_two()],
            ..DnsView::default()
        };
        Self {
            view,
            rows: Vec::with_capacity(3 * names),
            addresses6: Vec::with_capacity(names),
            pointers4: Vec::with_capacity(names),
            pointers6: Vec::with_capacity(names),
            wire: Vec::new(),
        }
    }

    /// The id of the name with these labels, first label first; the name and those above it are made if need be.
    fn name(&mut self, labels: &[&str]) -> DnsNameId {
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        for label in labels {
            wire.push(u8::try_from(label.len()).expect("labels are at most 63 long, or there is no plan"));
            wire.extend_from_slice(label.as_bytes());
        }
        // No length is a letter: at most 63.
        wire.make_ascii_lowercase();
        let name = match slot(&self.view, &wire) {
            Ok(known) => known,
            Err(free) if labels.len() <= 1 => self.add(&wire, free),
            Err(_) => {
                self.name(&labels[1..]);
                // Those above it may have taken the slot, or moved all.
                slot(&self.view, &wire).unwrap_or_else(|free| self.add(&wire, free))
            }
        };
        self.wire = wire;
        name
    }

    /// A name that is not there yet, in the slot that is free for it.
    fn add(&mut self, wire: &[u8], free: usize) -> DnsNameId {
        let view = &mut self.view;
        let id = u32::try_from(view.names.len() - 1).expect("fewer names than 2^32");
        view.labels.extend_from_slice(wire);
        let end = u32::try_from(view.labels.len()).expect("fewer label octets than 2^32");
        view.names.push(DnsName { labels: end, rows: 0 });
        if 2 * view.names.len() > view.slots.len() {
            view.slots = vec![0; 2 * view.slots.len()];
            for id in 0..=id {
                if let Err(free) = slot(view, view.labels_of(DnsNameId(id))) {
                    view.slots[free] = id + 1;
                }
            }
        } else {
            view.slots[free] = id + 1;
        }
        DnsNameId(id)
    }

    fn finish(self, plan: &Plan, servers: Vec<DnsNameId>) -> DnsView {
        let Table { mut view, mut rows, addresses6, mut pointers4, mut pointers6, .. } = self;
        // Stable: a name's records stay in the order they were made.
        rows.sort_by_key(|(name, _)| *name);
        let mut before = 0;
        for (position, name) in view.names.iter_mut().enumerate() {
            while rows.get(before).is_some_and(|(row_of, _)| row_of.index() < position) {
                before += 1;
            }
            name.rows = u32::try_from(before).expect("fewer rows than 2^32");
        }
        // Numbers sort faster than addresses, and alike.
        pointers4.sort_unstable_by_key(|pointer| u32::from(pointer.address));
        pointers6.sort_unstable_by_key(|pointer| u128::from(pointer.address));
        DnsView {
            zones: zones(&plan.design.zone),
            serial: serial(plan),
            servers,
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            addresses6,
            pointers4,
            pointers6,
            ..view
        }
    }
}

/// The name with these labels, or the first free slot of its run.
fn slot(view: &DnsView, labels: &[u8]) -> Result<DnsNameId, usize> {
    let mask = view.slots.len() - 1;
    let mut slot = dns_hash(labels) & mask;
    loop {
        let Some(name) = view.slots[slot].checked_sub(1).map(DnsNameId) else { return Err(slot) };
        if view.labels_of(name) == labels {
            return Ok(name);
        }
        slot = (slot + 1) & mask;
    }
}

/// The forward zone, and reverse zones that cover the supernets exactly. A supernet longer than /24 gets the whole /24
/// that it lies in: its name cannot be cut finer without the parent's help (RFC 2317).
fn zones(zone: &Zone) -> Vec<DnsZone> {
    let mut zones = vec![DnsZone { apex: wire(&zone.domain), kind: DnsZoneKind::Forward }];
    if let Some(net) = zone.supernet4 {
        let length = net.prefix_len().div_ceil(8).clamp(1, 3) * 8;
        let cut = Ipv4Net::new(net.network(), net.prefix_len().min(length)).unwrap_or(net);
        for part in cut.trunc().subnets(length).into_iter().flatten() {
            let octets = part.network().octets();
            let labels = octets[..usize::from(length / 8)].iter().rev().map(ToString::to_string);
            let apex = labels.chain(["in-addr".into(), "arpa".into()]).collect::<Vec<_>>().join(".");
            zones.push(DnsZone { apex: wire(&apex), kind: DnsZoneKind::Reverse4(part) });
        }
    }
    if let Some(net) = zone.supernet6 {
        let length = net.prefix_len().div_ceil(4).clamp(1, 31) * 4;
        let cut = Ipv6Net::new(net.network(), net.prefix_len().min(length)).unwrap_or(net);
        for part in cut.trunc().subnets(length).into_iter().flatten() {
            let digits = format!("{:032x}", u128::from(part.network()));
            let labels = digits[..usize::from(length / 4)].chars().rev().map(|digit| digit.to_string());
            let apex = labels.chain(["ip6".into(), "arpa".into()]).collect::<Vec<_>>().join(".");
            zones.push(DnsZone { apex: wire(&apex), kind: DnsZoneKind::Reverse6(part) });
        }
    }
    zones
}

/// A name in wire form, lower case, without the root's label.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("labels are at most 63 long, or there is no plan"));
        wire.extend(label.bytes().map(|octet| octet.to_ascii_lowercase()));
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the reverse zones of a supernet, the first and the last, and how many there are.
    fn reverse(supernet: &str) -> (usize, String, String) {
        let zone = Zone {
            domain: "ams1.example.net".into(),
            supernet4: supernet.parse().ok(),
            supernet6: supernet.parse().ok(),
            ..Zone::default()
        };
        let spell = |zone: &DnsZone| {
            let (mut name, mut rest) = (String::new(), &zone.apex[..]);
            while let Some((length, after)) = rest.split_first() {
                let (label, others) = after.split_at(usize::from(*length));
                name.push_str(std::str::from_utf8(label).unwrap());
                name.push('.');
                rest = others;
            }
            name
        };
        let zones = zones(&zone);
        assert_eq!((spell(&zones[0]).as_str(), zones[0].kind), ("ams1.example.net.", DnsZoneKind::Forward));
        (zones.len() - 1, spell(&zones[1]), spell(zones.last().unwrap()))
    }

    #[test]
    fn reverse_zones_cover_a_supernet_exactly_where_names_can_be_cut() {
        for (supernet, count, first, last) in [
            ("10.0.0.0/8", 1, "10.in-addr.arpa.", "10.in-addr.arpa."),
            ("10.32.0.0/14", 4, "32.10.in-addr.arpa.", "35.10.in-addr.arpa."),
            ("10.64.0.0/16", 1, "64.10.in-addr.arpa.", "64.10.in-addr.arpa."),
            ("10.64.16.0/20", 16, "16.64.10.in-addr.arpa.", "31.64.10.in-addr.arpa."),
            ("10.64.16.0/24", 1, "16.64.10.in-addr.arpa.", "16.64.10.in-addr.arpa."),
            ("10.64.16.128/25", 1, "16.64.10.in-addr.arpa.", "16.64.10.in-addr.arpa."),
            ("8.0.0.0/6", 4, "8.in-addr.arpa.", "11.in-addr.arpa."),
            ("2001:db8::/32", 1, "8.b.d.0.1.0.0.2.ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."),
            ("2001:db8:30::/44", 1, "3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."),
            ("2001:db8:30::/45", 8, "0.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "7.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."),
        ] {
            assert_eq!(reverse(supernet), (count, first.to_owned(), last.to_owned()), "{supernet}");
        }
    }
}
