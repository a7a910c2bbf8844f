//! Who is on whose port, told from hardware addresses in DHCP alone.
//!
//! Three kinds of evidence, of which two need no operating system:
//!
//! - **History.** A machine that was validated at its place left its hardware addresses there (`accepted`). When one of
//!   them asks on another place's port, something was moved.
//! - **The UUID.** PXE firmware sends the same SMBIOS UUID (Option 97) from each of its interfaces. When one UUID asks
//!   on the ports of two places, one of the cables is in the wrong port, even on the first day.
//! - **The report.** An agent tells its machine's addresses and UUID. Who asks by another on a port of the same place, in the
//!   same boot, is another machine: two are plugged in there.
//!
//! An address that nobody knew is not a doubt: that is how a replaced machine looks, and it simply becomes the one
//! that is drawn there. It is a doubt only while the machine that belongs there is still connected.

use crate::validate;
use model::design::PortRef;
use model::facts::{Facts, Machine, Sighting, Stage, State};
use model::finding::Code;
use model::quick::Map;
use model::{DeviceId, Location, Mac, Plan, Roster};
use std::collections::{BTreeMap, BTreeSet};

/// One port of one place: the machine's own port, as the drawn cable leads to it.
pub type Place = (Location, String);

/// The index that makes a judgement cheap: it is kept up to date by the zone, and only what is out of place is looked at.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// Where each accepted address belongs.
    homes: Map<Mac, Place>,
    /// Where each address was last seen.
    seen: BTreeMap<Mac, BTreeSet<Place>>,
    /// What is counted in the indices for each location, so that it can be taken out again.
    counted: Map<Location, Counted>,
    /// Addresses seen away from home: here → home.
    displaced: BTreeMap<Place, Place>,
    /// UUIDs seen at more than one location: few or none, so that a judgement costs nothing in a storm.
    shared_uuids: BTreeSet<[u8; 16]>,
    /// The places that each UUID was seen at.
    uuids: BTreeMap<[u8; 16], BTreeSet<Place>>,
    /// Places whose own machine is connected while another asks on its port: a stranger, as long as it has no home.
    strangers: BTreeMap<Place, Mac>,
    /// Places where another machine asks than the one that reports from there.
    others: BTreeMap<Place, Mac>,
    /// Locations that have a doubt now.
    doubted: BTreeSet<Location>,
    dirty: bool,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Counted {
    accepted: Vec<(String, Mac)>,
    seen: Vec<(String, Mac, Option<[u8; 16]>)>,
    stranger: Option<(String, Mac)>,
    others: Vec<(String, Mac)>,
    /// Ports that had a sighting before and may have none now.
    ports_before: Vec<String>,
}

impl Counted {
    fn of(machine: &Machine) -> Self {
        Self {
            accepted: machine.accepted.iter().map(|(interface, mac)| (interface.clone(), *mac)).collect(),
            seen: machine
                .sightings
                .iter()
                .map(|(interface, seen)| {
                    // A BMC's UUID is the machine's in some firmware and its own in other: no evidence.
                    let uuid = seen.uuid.filter(|_| seen.stage != Stage::Bmc);
                    (interface.clone(), seen.mac, uuid)
                })
                .collect(),
            stranger: machine.stranger.clone(),
            others: present_others(machine).map(|(port, seen)| (port.clone(), seen.mac)).collect(),
            ports_before: Vec::new(),
        }
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Place>>, key: &K, place: &Place) {
    if let Some(places) = index.get_mut(key) {
        places.remove(place);
        if places.is_empty() {
            index.remove(key);
        }
    }
}

impl Sightings {
    /// The index of these facts.
    pub fn of(facts: &Facts) -> Self {
        let mut sightings = Self::default();
        for (location, machine) in &facts.machines {
            sightings.update(location, machine);
            if machine.miscabled.is_some() {
                sightings.doubted.insert(location.clone());
            }
        }
        sightings
    }

    /// Where an accepted address belongs.
    pub fn home(&self, mac: Mac) -> Option<Place> {
        self.homes.get(&mac).cloned()
    }

    /// The places other than `here` that an address was last seen at: it is there no more when it is seen here.
    pub fn elsewhere(&self, mac: Mac, here: &Place) -> Vec<Place> {
        self.seen.get(&mac).into_iter().flatten().filter(|place| *place != here).cloned().collect()
    }

    /// Whether what was seen at a place is accepted there.
    fn at_home(&self, place: &Place) -> bool {
        let seen = self.counted.get(&place.0).into_iter().flat_map(|counted| &counted.seen);
        seen.filter(|(port, ..)| *port == place.1).any(|(_, mac, _)| self.homes.get(mac) == Some(place))
    }

    /// Judge again, whatever changed.
    pub fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Takes a machine's facts into the index.
    pub fn update(&mut self, location: &Location, machine: &Machine) {
        let before = self.counted.get(location).cloned().unwrap_or_default();
        let mut now = Counted::of(machine);
        let is_as_before = (&now.accepted, &now.seen) == (&before.accepted, &before.seen);
        if is_as_before && (&now.stranger, &now.others) == (&before.stranger, &before.others) {
            return;
        }
        now.ports_before = before.seen.iter().map(|(port, ..)| port.clone()).collect();
        self.dirty = true;
        for (_, mac) in &before.accepted {
            if self.homes.get(mac).is_some_and(|(home, _)| home == location) {
                self.homes.remove(mac);
            }
        }
        for (interface, mac, uuid) in &before.seen {
            let place = (location.clone(), interface.clone());
            forget(&mut self.seen, mac, &place);
            uuid.inspect(|uuid| forget(&mut self.uuids, uuid, &place));
        }
        for (interface, mac) in &now.accepted {
            self.homes.insert(*mac, (location.clone(), interface.clone()));
        }
        for (interface, mac, uuid) in &now.seen {
            let place = (location.clone(), interface.clone());
            self.seen.entry(*mac).or_default().insert(place.clone());
            if let Some(uuid) = uuid {
                self.uuids.entry(*uuid).or_default().insert(place);
            }
        }
        for uuid in before.seen.iter().chain(&now.seen).filter_map(|(_, _, uuid)| *uuid) {
            let mut places = self.uuids.get(&uuid).into_iter().flatten();
            let first = places.next().map(|(location, _)| location);
            if places.any(|(location, _)| Some(location) != first) {
                self.shared_uuids.insert(uuid);
            } else {
                self.shared_uuids.remove(&uuid);
            }
        }
        // Whoever shows one of these addresses may now be at home, or no longer.
        let macs = before.accepted.iter().chain(&now.accepted).map(|(_, mac)| mac);
        let mut concerned: BTreeSet<Location> = macs
            .filter_map(|mac| self.seen.get(mac))
            .flatten()
            .map(|(location, _)| location.clone())
            .collect();
        concerned.insert(location.clone());
        self.counted.insert(location.clone(), now);
        for location in &concerned {
            self.place(location);
        }
    }

    /// Sorts the addresses seen at one location into at home, displaced and strange.
    fn place(&mut self, location: &Location) {
        let Some(counted) = self.counted.get(location) else { return };
        for port in counted.seen.iter().map(|(port, ..)| port).chain(&counted.ports_before) {
            let here = (location.clone(), port.clone());
            self.displaced.remove(&here);
            self.strangers.remove(&here);
            self.others.remove(&here);
        }
        for (port, mac) in &counted.others {
            self.others.insert((location.clone(), port.clone()), *mac);
        }
        for (port, mac, _) in &counted.seen {
            let here = (location.clone(), port.clone());
            if let Some(home) = self.homes.get(mac).filter(|home| **home != here) {
                self.displaced.insert(here.clone(), home.clone());
            }
            if let Some((_, stranger)) = counted.stranger.as_ref().filter(|(strange, _)| strange == port) {
                self.strangers.insert(here, *stranger);
            }
        }
    }

    /// Whether anything changed since the last time this was asked.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Locations that have a doubt now.
    pub fn doubted(&self) -> impl Iterator<Item = &Location> {
        self.doubted.iter()
    }

    /// Remembers whether a location has a doubt.
    pub fn set_doubted(&mut self, location: &Location, doubted: bool) {
        if doubted {
            self.doubted.insert(location.clone());
        } else {
            self.doubted.remove(location);
        }
    }
}

/// Whether a port showed another machine than the one whose agent reports from its place: by another UUID, or where that is not known
/// by an address that no interface of it has. (Systems ask with addresses of bridges, too, and send no UUID.)
pub(crate) fn is_anothers(machine: &Machine, seen: &Sighting) -> bool {
    // What was reported before this boot may be another machine's own.
    let is_heard = matches!(
        machine.state,
        State::Validating { hardware_fits: true } | State::Ready | State::Failed { .. }
    );
    let Some(own) = machine.hardware.as_ref().filter(|_| is_heard) else { return false };
    if seen.stage == Stage::Bmc || own.nics.is_empty() || own.nics.iter().any(|nic| nic.mac == seen.mac) {
        return false;
    }
    match octets(&own.uuid).zip(seen.uuid) {
        Some((own, other)) => !is_same(own, other),
        None => own.stacked.as_ref().is_some_and(|stacked| !stacked.contains(&seen.mac)),
    }
}

/// The addresses that are a machine's own: what its ports show and is not another's. An address that it had, and still reports, stays
/// its own when its cable is seen in another place's port: that is how it is known to be in the wrong one.
pub(crate) fn own(machine: &Machine) -> BTreeMap<String, Mac> {
    let shown = machine.sightings.iter().filter(|(_, seen)| !is_anothers(machine, seen));
    let mut own: BTreeMap<_, _> = shown.map(|(port, seen)| (port.clone(), seen.mac)).collect();
    let nics = machine.hardware.iter().flat_map(|hardware| &hardware.nics);
    let reported: BTreeSet<Mac> = nics.map(|nic| nic.mac).collect();
    for (port, mac) in &machine.accepted {
        if reported.contains(mac)
            && !machine.sightings.contains_key(port)
            && !own.values().any(|own| own == mac)
        {
            own.insert(port.clone(), *mac);
        }
    }
    own
}

/// The ports where somebody else asked in this boot: what was seen before it may be whoever stood there then.
fn present_others(machine: &Machine) -> impl Iterator<Item = (&String, &Sighting)> {
    let began = machine.boot_began;
    let is_present = move |seen: &Sighting| began.is_none_or(|began| began <= seen.at);
    machine.sightings.iter().filter(move |(_, seen)| is_present(seen) && is_anothers(machine, seen))
}

/// A UUID as it is written.
fn octets(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|digit| *digit != '-').collect();
    let is_whole = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(&digits, 16).ok().filter(|_| is_whole).map(u128::to_be_bytes)
}

/// Whether two UUIDs are one. In SMBIOS's table the first three fields lie the other way round than as it is written since 2.6
/// (DSP0134 §7.2.1), and before that not; firmware may send either.
fn is_same(one: [u8; 16], other: [u8; 16]) -> bool {
    let mut turned = one;
    turned[..4].reverse();
    turned[4..6].reverse();
    turned[6..8].reverse();
    one == other || turned == other
}

/// What is doubted about each location's cables, in plain words.
pub fn judge(plan: &Plan, roster: &Roster, sightings: &Sightings) -> BTreeMap<Location, (Code, String)> {
    let ground = Ground { plan, roster };
    let mut doubts = BTreeMap::new();
    let strangers = sightings.strangers.iter().filter(|(_, mac)| !sightings.homes.contains_key(*mac));
    for (place, mac) in strangers {
        let sentence = format!(
            "a machine unknown to this zone ({mac}) asks on {}, which is drawn for {}; that place's own machine is connected at the same time",
            ground.port(place),
            ground.who(&place.0),
        );
        doubts.insert(place.0.clone(), (Code::Foreign, sentence));
    }
    by_uuid(&ground, sightings, &mut doubts);
    by_report(&ground, sightings, &mut doubts);
    by_history(&ground, sightings, &mut doubts);
    doubts
}

/// What sentences are made from.
struct Ground<'a> {
    plan: &'a Plan,
    roster: &'a Roster,
}

impl Ground<'_> {
    fn who(&self, location: &Location) -> String {
        match self.roster.device_at(location) {
            Some(device) => {
                format!("{} ({})", location.within_zone(), self.plan.design.devices[device.index()].name)
            }
            None => location.to_string(),
        }
    }

    /// The switch port drawn for a port of a location.
    fn port(&self, (location, interface): &Place) -> String {
        self.far_end(location, interface).map_or_else(|| "no drawn port".to_owned(), |(_, words)| words)
    }

    fn far_end(&self, location: &Location, port: &str) -> Option<(PortRef, String)> {
        let device = self.roster.device_at(location)?;
        let model = self.plan.design.devices[device.index()].model;
        let port = self.plan.design.models[model.index()].port(port)?;
        let far = self.roster.far_end(PortRef { device, port })?;
        Some((far, validate::port_in_words(&self.plan.design, far)))
    }

    /// Rack and slot, for telling who is beside whom.
    fn slot(&self, location: &Location) -> Option<(model::ids::RackId, i64)> {
        let device: DeviceId = self.roster.device_at(location)?;
        let device = &self.plan.design.devices[device.index()];
        Some((device.rack?, i64::from(device.slot)))
    }
}

/// One UUID at the ports of two places: of these, the places where it is not accepted are doubted.
fn by_uuid(ground: &Ground<'_>, sightings: &Sightings, doubts: &mut BTreeMap<Location, (Code, String)>) {
    for places in sightings.shared_uuids.iter().filter_map(|uuid| sightings.uuids.get(uuid)) {
        let locations: BTreeSet<&Location> = places.iter().map(|(location, _)| location).collect();
        // What history explains is left to history, which knows which of the places is right.
        if places.iter().any(|place| sightings.displaced.contains_key(place)) {
            continue;
        }
        let told: Vec<String> = places
            .iter()
            .map(|place| format!("on {}, drawn for {} {}", ground.port(place), ground.who(&place.0), place.1))
            .collect();
        let sentence = format!(
            "one machine asks on the ports of {} places: {}; one of these cables is in another's port",
            locations.len(),
            told.join("; ")
        );
        for place in places.iter().filter(|place| !sightings.at_home(place)) {
            doubts.entry(place.0.clone()).or_insert_with(|| (Code::Miscabled, sentence.clone()));
        }
    }
}

/// Two machines at the ports of one place. Where an address is known to belong is better told by history.
fn by_report(ground: &Ground<'_>, sightings: &Sightings, doubts: &mut BTreeMap<Location, (Code, String)>) {
    for (place, mac) in &sightings.others {
        let sentence = format!(
            "another machine than the one that reports as {} asks on {}, drawn for its {}, as {mac}; put the cable that belongs \
             there into that port",
            ground.who(&place.0),
            ground.port(place),
            place.1,
        );
        doubts.entry(place.0.clone()).or_insert((Code::Foreign, sentence));
    }
}

fn by_history(ground: &Ground<'_>, sightings: &Sightings, doubts: &mut BTreeMap<Location, (Code, String)>) {
    let displaced = &sightings.displaced;
    for (here, home) in displaced {
        if here.0 == home.0 {
            let sentence = format!(
                "the cables of {} are crossed: its {} is on {}, which is drawn for its {}; exchange the two plugs",
                ground.who(&here.0),
                home.1,
                ground.port(here),
                here.1,
            );
            doubts.insert(here.0.clone(), (Code::PairCrossed, sentence));
            continue;
        }
        if displaced.get(home) == Some(here) {
            let (first, second) = if here < home { (here, home) } else { (home, here) };
            let sentence = format!(
                "{} and {} are swapped: the machine of {} is on {}, and the machine of {} is on {}; exchange the two cables",
                ground.who(&first.0),
                ground.who(&second.0),
                second.0.within_zone(),
                ground.port(first),
                first.0.within_zone(),
                ground.port(second),
            );
            doubts.insert(here.0.clone(), (Code::Swapped, sentence));
            continue;
        }
        if let Some(sentence) = shifted(ground, displaced, here, home) {
            doubts.insert(here.0.clone(), (Code::ShiftedByOne, sentence));
            continue;
        }
        let sentence = format!(
            "the machine of {} asks on {}, which is drawn for {}; put its cable back into {}",
            ground.who(&home.0),
            ground.port(here),
            ground.who(&here.0),
            ground.port(home),
        );
        doubts.insert(here.0.clone(), (Code::Miscabled, sentence));
    }
}

/// A run of neighbours, each one port beside its own: two at least, in one rack, in one direction.
fn shifted(
    ground: &Ground<'_>,
    displaced: &BTreeMap<Place, Place>,
    here: &Place,
    home: &Place,
) -> Option<String> {
    let step = |here: &Place, home: &Place| {
        let ((rack, at), (home_rack, from)) = (ground.slot(&here.0)?, ground.slot(&home.0)?);
        (rack == home_rack && here.1 == home.1 && (at - from).abs() == 1).then_some(at - from)
    };
    let by = step(here, home)?;
    let (rack, _) = ground.slot(&here.0)?;
    let mut run: Vec<(i64, &Place, &Place)> = displaced
        .iter()
        .filter(|(other, home)| {
            ground.slot(&other.0).is_some_and(|(at, _)| at == rack) && step(other, home) == Some(by)
        })
        .filter(|(other, _)| other.1 == here.1)
        .filter_map(|(other, home)| Some((ground.slot(&other.0)?.1, other, home)))
        .collect();
    run.sort_unstable_by_key(|(slot, ..)| *slot);
    let at = run.iter().position(|(_, other, _)| *other == here)?;
    let mut first = at;
    while first > 0 && run[first - 1].0 + 1 == run[first].0 {
        first -= 1;
    }
    let mut last = at;
    while last + 1 < run.len() && run[last].0 + 1 == run[last + 1].0 {
        last += 1;
    }
    if first == last {
        return None;
    }
    let (from, to) = (
        run[first].2.0.within_zone().min(run[last].2.0.within_zone()),
        run[first].2.0.within_zone().max(run[last].2.0.within_zone()),
    );
    Some(format!(
        "the {} cables of {from} to {to} are shifted by one: the machine of {} is on {}, and so on; move each one port {}",
        home.1,
        home.0.within_zone(),
        ground.port(here),
        if by > 0 { "down" } else { "up" },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_the_same_in_both_orders() {
        let written = octets("00112233-4455-6677-8899-AABBCCDDEEFF").expect("a UUID");
        for (other, is_its) in [
            ("00112233445566778899aabbccddeeff", true),
            ("33221100554477668899aabbccddeeff", true),
            ("00112233445566778899aabbccddee00", false),
            ("33221100445566778899aabbccddeeff", false),
        ] {
            assert_eq!(is_same(written, octets(other).expect("a UUID")), is_its, "{other}");
        }
        for text in
            ["", "Not Settable", "+0112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff00"]
        {
            assert_eq!(octets(text), None, "{text}");
        }
    }
}
