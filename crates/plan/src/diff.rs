//! What changes between two documents, in the words of those who will do it.
//!
//! Devices are compared by location: what stands at a place in both is the same machine, renamed or renumbered; what
//! left one place and bears its name at a new one has moved. In: two documents. Out: lists in the order of the
//! documents, empty where nothing changes. It says what would be, never whether it may: that is for findings.

mod devices;
mod effects;
mod gone;
mod groups;

use crate::dns::{Record, RecordKind};
use crate::document::{CableRow, Document};
use ipnet::IpNet;
use model::Location;
use model::design::DeviceKind;
use model::quick::Set;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::Hash;
use std::net::IpAddr;

pub use effects::effects;
pub use gone::{Gone, gone};
pub use groups::{Group, groups};

/// The difference of two plans.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Diff {
    /// What of the zone itself changes: domain, supernets, capacity, what clients are told.
    pub zone: Vec<Change>,
    /// Devices that are new.
    pub appears: Vec<DeviceAt>,
    /// Devices that are gone.
    pub disappears: Vec<DeviceAt>,
    /// Devices that stand elsewhere under the same name.
    pub moves: Vec<Move>,
    /// Devices that bear another name at the same place.
    pub renamed: Vec<Renamed>,
    /// Machines that have another role.
    pub reassigned: Vec<Reassigned>,
    /// Machines, in both, with other cables.
    pub recabled: Vec<Recabled>,
    /// Interfaces, in both, with another address.
    pub renumbers: Vec<Renumbered>,
    /// Machines that must boot anew for it to take effect, and why.
    pub reboots: Vec<Because>,
    /// Machines that get another system in their other slot, and why. None of them is among `reboots` or `reinstalls`.
    pub upgrades: Vec<Because>,
    /// Machines whose disks must be written anew, and why. None of them is among `reboots`.
    pub reinstalls: Vec<Because>,
    /// Addresses that nobody has any more.
    pub cut_off: Vec<CutOff>,
    /// Switches, in both, that must be told something new.
    pub switches: Vec<Because>,
    /// Cables to lay and to pull.
    pub cables: Sets<CableRow<'static>>,
    /// DNS records, but for the serial.
    pub dns: Sets<Record>,
}

/// One value that changes, as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub what: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// A device at a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceAt {
    /// Where.
    pub location: Location,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: DeviceKind,
}

/// A device that moves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Move {
    /// Its name.
    pub name: String,
    /// Where it stood.
    pub from: Location,
    /// Where it stands.
    pub to: Location,
}

/// A device that is renamed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renamed {
    /// Where.
    pub location: Location,
    /// Its name before.
    pub from: String,
    /// And after.
    pub to: String,
}

/// A machine with another role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reassigned {
    /// Where.
    pub location: Location,
    /// Its role before.
    pub from: Option<String>,
    /// And after.
    pub to: Option<String>,
}

/// A machine with other cables.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recabled {
    /// Where.
    pub location: Location,
    /// `eno1`, from `ams1/p01/r1/leaf-a swp3` to `ams1/p01/r1/leaf-b swp3`; empty is nowhere.
    pub ports: Vec<Change>,
}

/// An interface with another address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renumbered {
    /// Whose.
    pub location: Location,
    /// Which.
    pub interface: String,
    /// On which network.
    pub network: String,
    /// The addresses before.
    pub from: Vec<IpAddr>,
    /// And after.
    pub to: Vec<IpAddr>,
}

/// A device, and why something is to be done to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Because {
    /// Where.
    pub location: Location,
    /// The reasons, each a few words.
    pub reasons: Vec<String>,
}

/// An address that nobody has any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CutOff {
    /// The address.
    pub address: IpAddr,
    /// Who had it.
    pub location: Location,
    /// On which interface.
    pub interface: String,
}

/// Rows on one side only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sets<T> {
    /// Only after.
    pub added: Vec<T>,
    /// Only before.
    pub removed: Vec<T>,
}

impl<T> Default for Sets<T> {
    fn default() -> Self {
        Self { added: Vec::new(), removed: Vec::new() }
    }
}

impl Diff {
    /// Whether the two plans are the same to everybody.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is different in `after`, seen from `before`.
pub fn diff(before: &Document<'_>, after: &Document<'_>) -> Diff {
    let mut diff = Diff { zone: zone(before, after), ..Diff::default() };
    devices::compare(before, after, &mut diff);
    diff.cut_off = cut_off(before, after);
    let cables = one_sided(&before.cables, &after.cables);
    diff.cables = Sets {
        added: cables.added.into_iter().map(own).collect(),
        removed: cables.removed.into_iter().map(own).collect(),
    };
    let dns = one_sided(&before.dns.records, &after.dns.records);
    let kept = |rows: Vec<&Record>| -> Vec<Record> {
        rows.into_iter().filter(|record| record.kind != RecordKind::Soa).cloned().collect()
    };
    diff.dns = Sets { added: kept(dns.added), removed: kept(dns.removed) };
    diff
}

fn zone(before: &Document<'_>, after: &Document<'_>) -> Vec<Change> {
    let (a, b) = (&before.zone, &after.zone);
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".into());
    let list = |addresses: &[IpAddr]| {
        if addresses.is_empty() {
            return "the controllers".to_owned();
        }
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let nets = |nets: &[IpNet]| match nets {
        [] => "to nobody".to_owned(),
        nets => format!("to {}", nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let relays = |from: &Option<Cow<'_, [IpNet]>>| match from.as_deref() {
        None => "from anywhere".to_owned(),
        Some([]) => "from the switches' addresses".to_owned(),
        Some(nets) => {
            let nets: Vec<_> = nets.iter().map(ToString::to_string).collect();
            format!("from the switches' addresses and {}", nets.join(", "))
        }
    };
    // A document of before there was such a word says nothing of it.
    let probe = |seconds: Option<u32>, other: Option<u32>| match (seconds, other) {
        (Some(0), Some(_)) => "never".to_owned(),
        (Some(seconds), Some(_)) => format!("every {seconds} s"),
        (None, _) | (_, None) => String::new(),
    };
    let capacity = |it: &model::design::Capacity| {
        format!("{} pods, {} racks, {} units, {} switches", it.pods, it.racks, it.units, it.switches)
    };
    let rows = [
        ("name", a.name.to_string(), b.name.to_string()),
        ("domain", a.domain.to_string(), b.domain.to_string()),
        (
            "IPv4 supernet",
            text(a.supernet4.map(|it| it.to_string())),
            text(b.supernet4.map(|it| it.to_string())),
        ),
        (
            "IPv6 supernet",
            text(a.supernet6.map(|it| it.to_string())),
            text(b.supernet6.map(|it| it.to_string())),
        ),
        ("capacity", capacity(&a.capacity), capacity(&b.capacity)),
        ("lease", format!("{} s", a.lease_seconds), format!("{} s", b.lease_seconds)),
        ("resolvers", list(&a.resolvers), list(&b.resolvers)),
        ("time servers", list(&a.time_servers), list(&b.time_servers)),
        ("zone transfers outside", nets(&a.transfer_to), nets(&b.transfer_to)),
        ("relays", relays(&a.relays_from), relays(&b.relays_from)),
        (
            "DHCP servers looked for",
            probe(a.dhcp_probe_seconds, b.dhcp_probe_seconds),
            probe(b.dhcp_probe_seconds, a.dhcp_probe_seconds),
        ),
    ];
    rows.into_iter()
        .filter(|(_, from, to)| from != to)
        .map(|(what, from, to)| Change { what: what.into(), from, to })
        .collect()
}

fn cut_off(before: &Document<'_>, after: &Document<'_>) -> Vec<CutOff> {
    let addresses = |row: &crate::document::InterfaceRow<'_>| {
        row.v4.map(IpAddr::V4).into_iter().chain(row.v6.map(IpAddr::V6)).collect::<Vec<_>>()
    };
    let (from, to) = differing(&before.interfaces, &after.interfaces);
    if from.is_empty() {
        return Vec::new();
    }
    // Rows outside the differing stretch stand in both, and no address stands twice in `before`: none is one of `from`.
    let mut kept: Set<IpAddr> = Set::with_capacity_and_hasher(2 * to.len(), Default::default());
    kept.extend(to.iter().flat_map(addresses));
    let mut rows = Vec::new();
    for row in from {
        for address in addresses(row).into_iter().filter(|address| !kept.contains(address)) {
            rows.push(CutOff { address, location: row.location.clone(), interface: row.name.to_string() });
        }
    }
    rows
}

/// The rows that stand on one side only, by hash.
fn one_sided<'r, T: Eq + Hash>(before: &'r [T], after: &'r [T]) -> Sets<&'r T> {
    let (from, to) = differing(before, after);
    if from.is_empty() || to.is_empty() {
        return Sets { added: to.iter().collect(), removed: from.iter().collect() };
    }
    let had: Set<&T> = from.iter().collect();
    let has: Set<&T> = to.iter().collect();
    Sets {
        added: to.iter().filter(|row| !had.contains(row)).collect(),
        removed: from.iter().filter(|row| !has.contains(row)).collect(),
    }
}

/// What is left of two lists without the rows that both begin and end with: most changes touch a short stretch.
fn differing<'r, T: PartialEq>(before: &'r [T], after: &'r [T]) -> (&'r [T], &'r [T]) {
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same..], &after[same..]);
    let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    (&before[..before.len() - same], &after[..after.len() - same])
}

fn own(row: &CableRow<'_>) -> CableRow<'static> {
    let end = |end: &crate::document::EndRow<'_>| crate::document::EndRow {
        location: end.location.clone(),
        port: end.port.to_string().into(),
    };
    CableRow {
        a: end(&row.a),
        b: end(&row.b),
        mbps: row.mbps,
        vlans: row.vlans.as_ref().map(|vlans| vlans.to_string().into()),
    }
}

#[cfg(test)]
mod tests;
