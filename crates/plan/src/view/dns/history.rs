//! What a publication changes in the zones of DNS.
//!
//! Two views are compared name by name and address by address; the time is that of making one of them.

use model::Plan;
use model::view::{
    DnsChange, DnsData, DnsHistory, DnsNameId, DnsOwner, DnsPointer, DnsRecord, DnsRow, DnsView, DnsZone,
    DnsZoneChange, DnsZoneKind,
};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The history of `next`, which takes the place of `previous`.
///
/// It begins anew where secondaries would have something else than what was compared: another domain, whose name is in
/// most records; other clients of `view` blocks, who have had a part of the zones.
///
/// `is_named_alike` tells that names, addresses and services are the same.
pub(super) fn following(
    (before, previous): (&Plan, &DnsView),
    (plan, next): (&Plan, &DnsView),
    is_named_alike: bool,
) -> DnsHistory {
    let old = Side { plan: before, dns: previous };
    let new = Side { plan, dns: next };
    let domain = |side: Side<'_>| side.dns.zones.first().map(|zone| zone.apex.clone());
    let clients = |side: Side<'_>| {
        let views = side.plan.design.dns_views.iter();
        views.map(|view| view.clients.clone()).collect::<Vec<_>>()
    };
    if domain(old) != domain(new) || clients(old) != clients(new) || old.dns.serial == new.dns.serial {
        return DnsHistory::default();
    }
    let Some(change) = change(old, new, is_named_alike && is_placed_alike(old, new)) else {
        return DnsHistory::default();
    };
    let mut changes = previous.history.changes.clone();
    changes.push(Arc::new(change));
    let records = |change: &DnsChange| change.zones.iter().map(DnsZoneChange::len).sum::<usize>();
    let mut left = DnsHistory::RECORDS_MAX;
    let kept = changes.iter().rev().take(DnsHistory::CHANGES_MAX).take_while(|change| {
        let after = left.checked_sub(records(change));
        left = after.unwrap_or(0);
        after.is_some()
    });
    let kept = kept.count();
    changes.drain(..changes.len() - kept);
    DnsHistory { changes }
}

/// One of the two that are compared.
#[derive(Clone, Copy)]
struct Side<'v> {
    plan: &'v Plan,
    dns: &'v DnsView,
}

/// A row's data, as it can be compared with another plan's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Seen<'v> {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Location(&'v model::Location),
    Service(u16, &'v [u8]),
}

impl Seen<'_> {
    fn data(self) -> DnsData {
        match self {
            Self::A(address) => DnsData::A(address),
            Self::Aaaa(address) => DnsData::Aaaa(address),
            Self::Location(location) => DnsData::Location(location.clone()),
            Self::Service(port, target) => DnsData::Service(port, target.into()),
        }
    }
}

impl<'v> Side<'v> {
    fn seen(self, row: DnsRow) -> Seen<'v> {
        match row {
            DnsRow::A { address, .. } => Seen::A(address),
            DnsRow::Aaaa { address, .. } => Seen::Aaaa(self.dns.addresses6[address as usize]),
            DnsRow::Location(device) => Seen::Location(&self.plan.design.devices[device.index()].location),
            DnsRow::Service { port, target } => Seen::Service(port, self.dns.labels_of(target)),
        }
    }

    /// A name, first looked for where the other side has it: most names stay where they were.
    fn find(self, labels: &[u8], other: DnsNameId) -> Option<DnsNameId> {
        let is_there = other.index() + 1 < self.dns.names.len() && self.dns.labels_of(other) == labels;
        if is_there { Some(other) } else { self.dns.find(labels) }
    }

    fn servers(self) -> Vec<&'v [u8]> {
        self.dns.servers.iter().map(|server| self.dns.labels_of(*server)).collect()
    }

    fn names(self) -> impl Iterator<Item = DnsNameId> {
        let count = self.dns.names.len().saturating_sub(1);
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(DnsNameId)
    }
}

/// Whether every device has the location that it had.
fn is_placed_alike(old: Side<'_>, new: Side<'_>) -> bool {
    let [old, new] = [old, new].map(|side| side.plan.design.devices.iter().map(|device| &device.location));
    old.eq(new)
}

/// Everything that changed; `None` if it is more than is remembered.
fn change(old: Side<'_>, new: Side<'_>, is_same: bool) -> Option<DnsChange> {
    let mut zones = Vec::new();
    let mut room = DnsHistory::RECORDS_MAX;
    for zone in &new.dns.zones {
        if !old.dns.zones.contains(zone) {
            continue;
        }
        let mut change = DnsZoneChange { apex: zone.apex.clone(), removed: Vec::new(), added: Vec::new() };
        let (before, after) = (old.servers(), new.servers());
        let server =
            |labels: &&[u8]| DnsRecord { owner: DnsOwner::Apex, data: DnsData::Server((*labels).into()) };
        change.removed.extend(before.iter().filter(|server| !after.contains(server)).map(server));
        change.added.extend(after.iter().filter(|server| !before.contains(server)).map(server));
        if !is_same {
            contents(zone, old, new, &mut change);
        }
        room = room.checked_sub(change.len())?;
        zones.push(change);
    }
    let primary = old.servers().first().map(|labels| (*labels).into());
    Some(DnsChange { from: old.dns.serial, primary, zones })
}

fn contents(zone: &DnsZone, old: Side<'_>, new: Side<'_>, change: &mut DnsZoneChange) {
    match zone.kind {
        DnsZoneKind::Forward => {
            for name in old.names() {
                let labels = old.dns.labels_of(name);
                let after = new.find(labels, name).map_or(&[][..], |name| new.dns.rows_of(name));
                rows(labels, (old, old.dns.rows_of(name)), (new, after), change);
            }
            for name in new.names() {
                let labels = new.dns.labels_of(name);
                if old.find(labels, name).is_none() {
                    rows(labels, (old, &[]), (new, new.dns.rows_of(name)), change);
                }
            }
        }
        DnsZoneKind::Reverse4(net) => {
            pointers((old, old.dns.pointers4(net)), (new, new.dns.pointers4(net)), change);
        }
        DnsZoneKind::Reverse6(net) => {
            pointers((old, old.dns.pointers6(net)), (new, new.dns.pointers6(net)), change);
        }
    }
}

fn seen<'v>((side, rows): (Side<'v>, &'v [DnsRow])) -> impl Iterator<Item = Seen<'v>> {
    rows.iter().map(move |row| side.seen(*row))
}

/// What changed at one name.
fn rows(
    labels: &[u8],
    before: (Side<'_>, &[DnsRow]),
    after: (Side<'_>, &[DnsRow]),
    change: &mut DnsZoneChange,
) {
    if before.1.len() == after.1.len() && seen(before).eq(seen(after)) {
        return;
    }
    let record = |seen: Seen<'_>| DnsRecord { owner: DnsOwner::Name(labels.into()), data: seen.data() };
    // A service of thousands of hosts is one name: sets, so that this is no square.
    let (old, new): (HashSet<_>, HashSet<_>) = (seen(before).collect(), seen(after).collect());
    change.removed.extend(seen(before).filter(|seen| !new.contains(seen)).map(record));
    change.added.extend(seen(after).filter(|seen| !old.contains(seen)).map(record));
}

/// What changed in a reverse zone: both sides are sorted by address.
fn pointers<A: Copy + Ord + Into<IpAddr>>(
    before: (Side<'_>, &[DnsPointer<A>]),
    after: (Side<'_>, &[DnsPointer<A>]),
    change: &mut DnsZoneChange,
) {
    let record = |side: Side<'_>, pointer: &DnsPointer<A>| DnsRecord {
        owner: DnsOwner::Address(pointer.address.into()),
        data: DnsData::Pointer(side.dns.labels_of(pointer.name).into()),
    };
    let ((old, mut before), (new, mut after)) = (before, after);
    loop {
        let address = match (before.first(), after.first()) {
            (None, None) => return,
            (Some(one), None) | (None, Some(one)) => one.address,
            (Some(old), Some(new)) => old.address.min(new.address),
        };
        let (gone, come);
        (gone, before) = before.split_at(count(before, address));
        (come, after) = after.split_at(count(after, address));
        let has = |side: Side<'_>, pointers: &[DnsPointer<A>], labels: &[u8]| {
            pointers.iter().any(|pointer| side.dns.labels_of(pointer.name) == labels)
        };
        let is_gone = |pointer: &&DnsPointer<A>| !has(new, come, old.dns.labels_of(pointer.name));
        let is_new = |pointer: &&DnsPointer<A>| !has(old, gone, new.dns.labels_of(pointer.name));
        change.removed.extend(gone.iter().filter(is_gone).map(|pointer| record(old, pointer)));
        change.added.extend(come.iter().filter(is_new).map(|pointer| record(new, pointer)));
    }
}

/// How many of the first have this address.
fn count<A: PartialEq>(pointers: &[DnsPointer<A>], address: A) -> usize {
    pointers.iter().take_while(|pointer| pointer.address == address).count()
}
