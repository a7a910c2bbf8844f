//! Where everything lies under a zone's prefix. Numbers have sixteen hexadecimal digits, so that keys sort as they count.

use model::{ChangeId, Generation, Location};

/// The keys of one zone.
#[derive(Clone, Debug)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(format!("{prefix}/"))
    }

    /// The layout's version.
    pub(super) fn format(&self) -> String {
        format!("{}format", self.0)
    }

    /// Who decides. It is there as long as that controller's lease.
    pub(super) fn leader(&self) -> String {
        format!("{}leader", self.0)
    }

    /// The last batch, and what follows from it. Every write of a leader compares it and moves it.
    pub(super) fn head(&self) -> String {
        format!("{}head", self.0)
    }

    pub(super) fn log(&self, batch: u64) -> String {
        format!("{}log/{batch:016x}", self.0)
    }

    /// A piece of a batch that is too large for one value.
    pub(super) fn part(&self, batch: u64, piece: usize) -> String {
        format!("{}parts/{batch:016x}/{piece:04x}", self.0)
    }

    /// Before the first piece of this batch.
    pub(super) fn parts(&self, batch: u64) -> String {
        format!("{}parts/{batch:016x}", self.0)
    }

    pub(super) fn plan(&self, generation: Generation) -> String {
        format!("{}plans/{:016x}", self.0, generation.0)
    }

    /// A piece of a design that is too large for one value.
    pub(super) fn design(&self, generation: Generation, piece: usize) -> String {
        format!("{}designs/{:016x}/{piece:04x}", self.0, generation.0)
    }

    /// Before the first piece of this plan's design.
    pub(super) fn designs(&self, generation: Generation) -> String {
        format!("{}designs/{:016x}", self.0, generation.0)
    }

    pub(super) fn machine(&self, location: &Location) -> String {
        format!("{}machines/{location}", self.0)
    }

    pub(super) fn machines(&self) -> (String, String) {
        self.all("machines")
    }

    /// The place of a machine's key.
    pub(super) fn location<'a>(&self, key: &'a str) -> &'a str {
        let within = key.strip_prefix(&*self.0).unwrap_or_default();
        within.strip_prefix("machines/").unwrap_or_default()
    }

    /// A change, without its machines.
    pub(super) fn change(&self, id: ChangeId) -> String {
        format!("{}changes/{:016x}", self.0, id.0)
    }

    /// Changes.
    pub(super) fn changes(&self) -> (String, String) {
        self.all("changes")
    }

    /// A machine of a change.
    pub(super) fn change_machine(&self, id: ChangeId, location: &Location) -> String {
        format!("{}{location}", self.change_machines(id).0)
    }

    /// Those of one change.
    pub(super) fn change_machines(&self, id: ChangeId) -> (String, String) {
        let from = format!("{}change-machines/{:016x}/", self.0, id.0);
        let to = after(&from);
        (from, to)
    }

    /// The place of a key of one of them.
    pub(super) fn machine_of_change(key: &str) -> &str {
        let within = key.split_once("change-machines/").map_or("", |(_, within)| within);
        within.split_once('/').map_or("", |(_, location)| location)
    }

    /// An event of a place, numbered by the place.
    pub(super) fn event(&self, location: &Location, ordinal: u64) -> String {
        // A place may lie in another, whose events are none of its own.
        let place = location.as_str().replace('%', "%25").replace('/', "%2F");
        format!("{}events/{place}/{ordinal:016x}", self.0)
    }

    /// The number of an event's key.
    pub(super) fn ordinal(key: &str) -> Option<u64> {
        u64::from_str_radix(key.rsplit_once('/')?.1, 16).ok()
    }

    pub(super) fn events(&self) -> (String, String) {
        self.all("events")
    }

    pub(super) fn secret(&self, name: &str) -> String {
        format!("{}secrets/{name}", self.0)
    }

    pub(super) fn secrets(&self) -> (String, String) {
        self.all("secrets")
    }

    /// The name of a secret's key.
    pub(super) fn secret_name<'a>(&self, key: &'a str) -> &'a str {
        let within = key.strip_prefix(&*self.0).unwrap_or_default();
        within.strip_prefix("secrets/").unwrap_or_default()
    }

    /// A controller that is there, and the last that it asked. It is there as long as its lease.
    pub(super) fn controller(&self, id: &str) -> String {
        format!("{}controllers/{id}", self.0)
    }

    pub(super) fn controllers(&self) -> (String, String) {
        self.all("controllers")
    }

    /// What a controller that does not decide heard, for the one that does.
    pub(super) fn asked(&self, id: &str, number: u64) -> String {
        format!("{}asked/{id}/{number:016x}", self.0)
    }

    pub(super) fn all_asked(&self) -> (String, String) {
        self.all("asked")
    }

    /// Who asked, and which.
    pub(super) fn asker(&self, key: &str) -> Option<(String, u64)> {
        let (id, number) = key.strip_prefix(&*self.0)?.strip_prefix("asked/")?.split_once('/')?;
        Some((id.to_owned(), u64::from_str_radix(number, 16).ok()?))
    }

    /// What a zone consists of, but for who is there, what they ask, and the head.
    pub(super) fn contents(&self) -> Vec<(String, String)> {
        let kinds = [
            "changes",
            "change-machines",
            "designs",
            "events",
            "log",
            "machines",
            "parts",
            "plans",
            "secrets",
        ];
        kinds.map(|kind| self.all(kind)).to_vec()
    }

    /// Everything of the zone.
    pub(super) fn zone(&self) -> (String, String) {
        (self.0.clone(), after(&self.0))
    }

    fn all(&self, kind: &str) -> (String, String) {
        let from = format!("{}{kind}/", self.0);
        let to = after(&from);
        (from, to)
    }
}

/// The first key that does not begin with a prefix, which ends in a slash.
fn after(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_they_count_and_places_do_not_hold_each_other() {
        let keys = Keys::new("zones/ams1");
        assert!(keys.log(9) < keys.log(10) && keys.log(255) < keys.log(256));
        let (from, to) = keys.all("log");
        assert!(from < keys.log(0) && keys.log(u64::MAX) < to);
        let (zone, within) = (Location::new("ams1"), Location::new("ams1/p01"));
        let inside = keys.event(&within, 1);
        assert!(inside < keys.event(&zone, 0) || inside > keys.event(&zone, u64::MAX));
        assert_eq!(Keys::ordinal(&inside), Some(1));
        assert_eq!(keys.location(&keys.machine(&within)), "ams1/p01");
        assert_eq!(keys.asker(&keys.asked("a1", 17)), Some(("a1".to_owned(), 17)));
        assert_eq!(keys.secret_name(&keys.secret("bmc/ams1/p01")), "bmc/ams1/p01");
        assert_eq!(after("a/"), "a0");
    }
}
