//! Places in the address plan: from the number in a label, never from the order in the file.

use super::{Container, Pen, Place};
use model::finding::{Code, Finding};
use model::location::Location;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    Pod,
    Rack,
    Switch,
    Machine,
    Controller,
}

impl Counted {
    fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Rack => "rack",
            Self::Switch => "switch",
            Self::Machine => "machine",
            Self::Controller => "controller",
        }
    }

    fn capacity(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Rack => "racks",
            Self::Switch | Self::Controller => "switches",
            Self::Machine => "units",
        }
    }
}

impl Pen<'_> {
    /// The place from 0 of one label, if it has a number, the number is free, and there is room for it.
    pub(super) fn slot(
        &mut self,
        place: &Place,
        container: Container,
        counted: Counted,
        capacity: u32,
        location: &Location,
    ) -> Option<u32> {
        let what = counted.word();
        let Some(number) = place.number else {
            let sentence = format!("{what} `{}` has no number to take its place from", place.label);
            self.report.push(
                Finding::error(Code::NoSlot, place.source, sentence)
                    .help("end the label in a number, or give the block `slot = N`"),
            );
            return None;
        };
        let from = self.tables.zone.count_from;
        let Some(slot) = number.checked_sub(from) else {
            let sentence =
                format!("{what} `{}` has the number {number}, but the zone counts from {from}", place.label);
            self.report.push(
                Finding::error(Code::NoSlot, place.source, sentence)
                    .help("write `count_from = 0` in the zone block, or count from 1"),
            );
            return None;
        };
        // A zone whose `capacity` could not be read has said so already.
        if capacity > 0 && slot >= capacity {
            let sentence = format!(
                "{what} `{}` is number {number}, but the zone has room for {capacity} {}",
                place.label,
                counted.capacity()
            );
            self.report.push(
                Finding::error(Code::BeyondCapacity, place.source, sentence)
                    .related(self.tables.zone.source, "capacity is stated in this block")
                    .help(format!(
                        "raise `capacity.{}`: `zw plan --against` shows what that renumbers",
                        counted.capacity()
                    )),
            );
            return None;
        }
        self.take_slot(place, container, counted, slot, location).then_some(slot)
    }

    fn take_slot(
        &mut self,
        place: &Place,
        container: Container,
        counted: Counted,
        slot: u32,
        location: &Location,
    ) -> bool {
        let new = (location.clone(), place.source);
        match self.slots.entry((container, counted, slot)) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(new);
                true
            }
            std::collections::hash_map::Entry::Occupied(taken) => {
                let (other, first) = taken.get();
                let what = counted.word();
                let (code, sentence) = if other == location {
                    (Code::WrittenTwice, format!("{what} `{location}` is written twice"))
                } else {
                    let sentence =
                        format!("`{other}` and `{location}` have the same number, and so the same place");
                    (Code::SlotTakenTwice, sentence)
                };
                self.report.push(Finding::error(code, place.source, sentence).related(*first, "first here"));
                false
            }
        }
    }

    /// A switch or controller may be told by a letter: `a` is the first.
    pub(super) fn lettered(&self, place: &Place) -> Place {
        let letter = match place.label.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(u32::from(letter - b'a') + self.tables.zone.count_from),
            _ => None,
        };
        Place { label: place.label.clone(), number: place.number.or(letter), ..*place }
    }

    /// Lights-out switches count from the top of the switches' places, so that they and the leaves of a rack never
    /// meet, however either grows.
    pub(super) fn lom_slot(
        &mut self,
        place: &Place,
        container: Container,
        location: &Location,
    ) -> Option<u32> {
        let capacity = self.tables.zone.capacity.switches;
        let Some(from_top) = place.number.and_then(|number| number.checked_sub(self.tables.zone.count_from))
        else {
            return self.slot(place, container, Counted::Switch, capacity, location);
        };
        if from_top >= capacity {
            return self.slot(place, container, Counted::Switch, capacity, location);
        }
        let slot = capacity - 1 - from_top;
        self.take_slot(place, container, Counted::Switch, slot, location).then_some(slot)
    }
}
