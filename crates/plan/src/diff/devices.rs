//! Devices of two documents, side by side.

use super::{Because, Change, DeviceAt, Diff, Move, Reassigned, Recabled, Renamed, Renumbered};
use crate::document::{
    DeviceRow, Document, EndRow, ImageRow, InterfaceRow, LayoutRow, NetworkRow, OsRow, RoleRow, SubnetRow,
};
use model::Location;
use model::design::{Audience, DeviceKind};
use model::quick::Map;
use std::collections::HashSet;
use std::net::IpAddr;

/// Fills in everything that is told per device.
pub(super) fn compare(before: &Document<'_>, after: &Document<'_>, diff: &mut Diff) {
    let (old, new) = (Side::of(before), Side::of(after));
    let moved: Map<&str, (&Location, &Location)> = before
        .switches
        .iter()
        .chain(&before.machines)
        .filter(|row| !new.devices.contains_key(&row.location))
        .filter_map(|row| {
            let to = new.names.get(row.name.as_ref())?;
            (!old.devices.contains_key(*to)).then_some((row.name.as_ref(), (&row.location, *to)))
        })
        .collect();
    for row in before.switches.iter().chain(&before.machines) {
        match (moved.get(row.name.as_ref()), new.devices.get(&row.location)) {
            (Some((from, to)), _) if **from == row.location => {
                diff.moves.push(Move {
                    name: row.name.to_string(),
                    from: (*from).clone(),
                    to: (*to).clone(),
                });
            }
            (_, Some(now)) => pair(&old, &new, row, now, diff),
            (_, None) => diff.disappears.push(at(row)),
        }
    }
    for row in after.switches.iter().chain(&after.machines) {
        let has_moved = moved.get(row.name.as_ref()).is_some_and(|(_, to)| **to == row.location);
        if !old.devices.contains_key(&row.location) && !has_moved {
            diff.appears.push(at(row));
        }
    }
}

fn at(row: &DeviceRow<'_>) -> DeviceAt {
    DeviceAt { location: row.location.clone(), name: row.name.to_string(), kind: row.kind }
}

/// One document, indexed.
struct Side<'d> {
    devices: Map<&'d Location, &'d DeviceRow<'d>>,
    names: Map<&'d str, &'d Location>,
    /// Each device's rows; they stand together.
    interfaces: Map<&'d Location, &'d [InterfaceRow<'d>]>,
    networks: Map<&'d str, &'d NetworkRow<'d>>,
    subnets: Map<(&'d str, &'d Location), &'d SubnetRow>,
    roles: Map<&'d str, &'d RoleRow<'d>>,
    images: Map<&'d str, &'d ImageRow<'d>>,
    systems: Map<&'d str, &'d OsRow<'d>>,
    layouts: Map<&'d str, &'d LayoutRow<'d>>,
    /// The feet of switches: network, place, addresses as text.
    feet: Map<&'d Location, Vec<Foot<'d>>>,
    cables: Map<&'d Location, Vec<(&'d str, &'d EndRow<'d>)>>,
}

/// A subnet that a switch routes, and how.
#[derive(PartialEq)]
struct Foot<'d> {
    network: &'d str,
    place: &'d Location,
    addresses: String,
}

fn with_room<K, V>(document: &Document<'_>) -> Map<K, V> {
    Map::with_capacity_and_hasher(document.machines.len() + document.switches.len(), Default::default())
}

impl<'d> Side<'d> {
    fn of(document: &'d Document<'d>) -> Self {
        let rows = || document.switches.iter().chain(&document.machines);
        let mut side = Self {
            devices: rows().map(|row| (&row.location, row)).collect(),
            names: rows().map(|row| (row.name.as_ref(), &row.location)).collect(),
            interfaces: with_room(document),
            networks: document.networks.iter().map(|row| (row.name.as_ref(), row)).collect(),
            subnets: Map::default(),
            roles: document.roles.iter().map(|row| (row.name.as_ref(), row)).collect(),
            images: document.images.iter().map(|row| (row.name.as_ref(), row)).collect(),
            systems: document.systems.iter().map(|row| (row.name.as_ref(), row)).collect(),
            layouts: document.layouts.iter().map(|row| (row.name.as_ref(), row)).collect(),
            feet: Map::default(),
            cables: with_room(document),
        };
        for rows in document.interfaces.chunk_by(|a, b| a.location == b.location) {
            side.interfaces.insert(&rows[0].location, rows);
        }
        for network in &document.networks {
            for subnet in &network.subnets {
                side.subnets.insert((network.name.as_ref(), &subnet.location), subnet);
                for router in &subnet.routers {
                    let text = |address: Option<String>| address.unwrap_or_else(|| "the gateway's".into());
                    let mut addresses = Vec::new();
                    if let Some(net) = subnet.v4 {
                        addresses.push(format!("{} in {net}", text(router.v4.map(|it| it.to_string()))));
                    }
                    if let Some(net) = subnet.v6 {
                        addresses.push(format!("{} in {net}", text(router.v6.map(|it| it.to_string()))));
                    }
                    let addresses = addresses.join(", ");
                    let foot = Foot { network: network.name.as_ref(), place: &subnet.location, addresses };
                    side.feet.entry(&router.switch).or_default().push(foot);
                }
            }
        }
        for cable in &document.cables {
            side.cables.entry(&cable.a.location).or_default().push((cable.a.port.as_ref(), &cable.b));
            side.cables.entry(&cable.b.location).or_default().push((cable.b.port.as_ref(), &cable.a));
        }
        side
    }

    fn interfaces(&self, location: &Location) -> &'d [InterfaceRow<'d>] {
        self.interfaces.get(location).copied().unwrap_or(&[])
    }

    fn role(&self, row: &DeviceRow<'_>) -> Option<&'d RoleRow<'d>> {
        self.roles.get(row.role.as_deref()?).copied()
    }

    fn image(&self, role: Option<&RoleRow<'_>>) -> Option<&'d ImageRow<'d>> {
        self.images.get(role?.image.as_deref()?).copied()
    }

    fn os(&self, role: Option<&RoleRow<'_>>) -> Option<&'d OsRow<'d>> {
        self.systems.get(role?.os.as_deref()?).copied()
    }

    fn layout(&self, role: Option<&RoleRow<'_>>) -> Option<&'d LayoutRow<'d>> {
        self.layouts.get(role?.disks.as_deref()?).copied()
    }
}

/// A device that stands at the same place in both.
fn pair(old: &Side<'_>, new: &Side<'_>, row: &DeviceRow<'_>, now: &DeviceRow<'_>, diff: &mut Diff) {
    let location = || now.location.clone();
    if row.name != now.name {
        diff.renamed.push(Renamed {
            location: location(),
            from: row.name.to_string(),
            to: now.name.to_string(),
        });
    }
    if row.role != now.role {
        let text = |role: &Option<std::borrow::Cow<'_, str>>| role.as_ref().map(ToString::to_string);
        diff.reassigned.push(Reassigned { location: location(), from: text(&row.role), to: text(&now.role) });
    }
    let mut reasons = Vec::new();
    if row.model != now.model {
        reasons.push(format!("model {} becomes {}", row.model, now.model));
    }
    networks(old, new, &now.location, diff, &mut reasons);
    let recabled = recabled(old, new, &now.location);
    if matches!(now.kind, DeviceKind::Machine | DeviceKind::Controller) {
        boot(old, new, row, now, reasons, diff);
        if !recabled.is_empty() {
            diff.recabled.push(Recabled { location: location(), ports: recabled });
        }
        return;
    }
    // At the far end of a machine's cable the switch need not be told: its port stays as it is.
    if row.name != now.name {
        reasons.insert(0, format!("name {} becomes {}", row.name, now.name));
    }
    feet(old, new, &now.location, &mut reasons);
    if !reasons.is_empty() {
        diff.switches.push(Because { location: location(), reasons });
    }
}

/// Compares the interfaces of a device, and what clients are told on their networks. A BMC's are no reason to reboot
/// the machine: it asks anew by itself.
fn networks(old: &Side<'_>, new: &Side<'_>, location: &Location, diff: &mut Diff, reasons: &mut Vec<String>) {
    let (had, has) = (old.interfaces(location), new.interfaces(location));
    let is_same = |a: &InterfaceRow<'_>, b: &InterfaceRow<'_>| a.name == b.name && a.network == b.network;
    for before in had {
        let mut because = |words: String| {
            if before.audience != Audience::Bmc {
                reasons.push(words);
            }
        };
        let Some(after) = has.iter().find(|after| is_same(before, after)) else {
            because(format!("{} leaves {}", before.name, before.network));
            continue;
        };
        if (before.v4, before.v6) != (after.v4, after.v6) {
            let list = |row: &InterfaceRow<'_>| -> Vec<IpAddr> {
                row.v4.map(IpAddr::V4).into_iter().chain(row.v6.map(IpAddr::V6)).collect()
            };
            because(format!("{} is renumbered", after.name));
            diff.renumbers.push(Renumbered {
                location: location.clone(),
                interface: after.name.to_string(),
                network: after.network.to_string(),
                from: list(before),
                to: list(after),
            });
        } else if told(old, before) != told(new, after) {
            because(format!("{} has another prefix, gateway or MTU", after.name));
        }
        if before.ports != after.ports {
            because(format!("{} is carried by other ports", after.name));
        }
    }
    for after in has.iter().filter(|after| !had.iter().any(|before| is_same(before, after))) {
        if after.audience == Audience::Bmc {
            continue;
        }
        reasons.push(format!("{} joins {}", after.name, after.network));
    }
}

/// What decides how a machine sets up an interface, besides its address.
type Told = (Option<u8>, Option<std::net::Ipv4Addr>, Option<u8>, Option<u16>);

fn told(side: &Side<'_>, row: &InterfaceRow<'_>) -> Told {
    let subnet = side.subnets.get(&(row.network.as_ref(), &row.subnet));
    let network = side.networks.get(row.network.as_ref());
    (
        subnet.and_then(|subnet| subnet.v4).map(|net| net.prefix_len()),
        subnet.and_then(|subnet| subnet.gateway4),
        subnet.and_then(|subnet| subnet.v6).map(|net| net.prefix_len()),
        network.and_then(|network| network.mtu),
    )
}

/// Whether a machine must boot or install anew.
fn boot(
    old: &Side<'_>,
    new: &Side<'_>,
    row: &DeviceRow<'_>,
    now: &DeviceRow<'_>,
    mut reasons: Vec<String>,
    diff: &mut Diff,
) {
    let (old_role, new_role) = (old.role(row), new.role(now));
    let (old_image, new_image) = (old.image(old_role), new.image(new_role));
    let mut installs = Vec::new();
    let (old_layout, new_layout) = (old.layout(old_role), new.layout(new_role));
    if old_layout != new_layout {
        let name = |layout: Option<&LayoutRow<'_>>| {
            layout.map_or_else(|| "none".to_owned(), |row| row.name.to_string())
        };
        let (was, is) = (name(old_layout), name(new_layout));
        installs.push(match was == is {
            true => format!("disks {is} are laid out otherwise"),
            false => format!("disks {was} become {is}"),
        });
    }
    let mut upgrades = Vec::new();
    let (old_os, new_os) = (old.os(old_role), new.os(new_role));
    if let Some(os) = new_os.filter(|_| old_os != new_os) {
        let reason = match old_os {
            Some(old) if old.name == os.name && old.image == os.image && old.digest == os.digest => {
                format!("os {} has other arguments", os.name)
            }
            Some(old) if old.name == os.name => format!("os {} is another image", os.name),
            _ => format!("gets os {}", os.name),
        };
        // The other slot, if there is a system of ours beside it.
        let has_slot = old_os.is_some() && new_layout.is_some_and(|layout| layout.slots == 2);
        if has_slot { &mut upgrades } else { &mut installs }.push(reason);
    }
    // What writes the system is a tool: another one changes nothing that was written.
    if old_image != new_image && !(old_os.is_some() && new_os.is_some()) {
        let reason = match (old_image, new_image) {
            (Some(old), Some(new)) if old.name == new.name && old.args != new.args => {
                format!("image {} has other arguments", new.name)
            }
            (Some(old), Some(new)) if old.name == new.name => format!("image {} has changed", new.name),
            (_, Some(new)) => format!("boots image {}", new.name),
            (_, None) => "boots its own disk".into(),
        };
        // To boot its own disk, a machine that an installer wrote needs no new installation.
        if new_image.is_some_and(|image| image.installs) { &mut installs } else { &mut reasons }.push(reason);
    }
    let location = now.location.clone();
    if !installs.is_empty() {
        installs.append(&mut reasons);
        installs.append(&mut upgrades);
        diff.reinstalls.push(Because { location, reasons: installs });
    } else if !upgrades.is_empty() {
        upgrades.append(&mut reasons);
        diff.upgrades.push(Because { location, reasons: upgrades });
    } else if !reasons.is_empty() {
        diff.reboots.push(Because { location, reasons });
    }
}

/// The ports of a device whose far end changes.
fn recabled(old: &Side<'_>, new: &Side<'_>, location: &Location) -> Vec<Change> {
    let none = Vec::new();
    let (had, has) = (old.cables.get(location).unwrap_or(&none), new.cables.get(location).unwrap_or(&none));
    if had == has {
        return Vec::new();
    }
    let far = |cables: &[(&str, &EndRow<'_>)], port: &str| {
        let end = cables.iter().find(|(at, _)| *at == port);
        end.map_or_else(String::new, |(_, end)| format!("{} {}", end.location, end.port))
    };
    let mut seen = HashSet::new();
    let ports = had.iter().chain(has).map(|(port, _)| *port).filter(|port| seen.insert(*port));
    let change = |port: &str| Change { what: port.to_owned(), from: far(had, port), to: far(has, port) };
    ports.map(change).filter(|change| change.from != change.to).collect()
}

/// The subnets that a switch begins or ceases to route, or routes by other addresses.
fn feet(old: &Side<'_>, new: &Side<'_>, location: &Location, reasons: &mut Vec<String>) {
    let none = Vec::new();
    let (had, has) = (old.feet.get(location).unwrap_or(&none), new.feet.get(location).unwrap_or(&none));
    // Also where a document from outside says something twice.
    if had == has {
        return;
    }
    let find = |feet: &[Foot<'_>], foot: &Foot<'_>| {
        feet.iter()
            .find(|other| other.network == foot.network && other.place == foot.place)
            .map(|it| it.addresses.clone())
    };
    for foot in had {
        let subject = format!("{} of {}", foot.network, foot.place.within_zone());
        match find(has, foot) {
            None => reasons.push(format!("ceases to route {subject}")),
            Some(addresses) if addresses != foot.addresses => {
                reasons.push(format!("routes {subject} as {addresses}"));
            }
            Some(_) => {}
        }
    }
    for foot in has.iter().filter(|foot| find(had, foot).is_none()) {
        let subject = format!("{} of {}", foot.network, foot.place.within_zone());
        reasons.push(format!("routes {subject}: {}", foot.addresses));
    }
}
