//! How many transfers are under way, and which gives way when there is no room.
//!
//! A transfer that its client has not answered yet may have been asked for under a forged address. It is the one that
//! gives way, the oldest first: a client that is there answers within a round trip, so a flood of forged requests takes
//! places only from itself.

use crate::party::Party;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Transfers under way at once, all together: two for each machine of a pod of a thousand.
pub const TRANSFERS_MAX: usize = 2048;
/// Transfers of one client, which is a machine or a stranger as [`Party`] has it: firmware asks
/// for the size and then for the file, and may not end the first politely.
const CLIENT_MAX: usize = 4;

/// The transfers that are under way, by a number that grows with each.
#[derive(Debug)]
pub struct Places {
    transfers_max: usize,
    clients: BTreeMap<u64, Box<str>>,
    unanswered: BTreeSet<u64>,
    by_client: HashMap<Box<str>, Vec<u64>>,
}

/// There is no room, and none can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl Places {
    /// Room for so many.
    pub fn new(transfers_max: usize) -> Self {
        Self {
            transfers_max,
            clients: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            by_client: HashMap::new(),
        }
    }

    /// Takes a place for a new transfer. What comes back is a transfer that has lost its place to it, and ends.
    ///
    /// # Errors
    /// [`Full`]: everybody who has a place uses it.
    pub fn take(&mut self, transfer: u64, client: Party) -> Result<Option<u64>, Full> {
        let client = client.who;
        let own = self.by_client.get(&client).map_or(&[][..], Vec::as_slice);
        let gives_way = if own.len() >= CLIENT_MAX {
            Some(*own.iter().find(|own| self.unanswered.contains(own)).ok_or(Full)?)
        } else if self.clients.len() >= self.transfers_max {
            Some(*self.unanswered.first().ok_or(Full)?)
        } else {
            None
        };
        if let Some(other) = gives_way {
            self.leave(other);
        }
        self.clients.insert(transfer, client.clone());
        self.unanswered.insert(transfer);
        self.by_client.entry(client).or_default().push(transfer);
        Ok(gives_way)
    }

    /// The client of this transfer has said something: it is there.
    pub fn answered(&mut self, transfer: u64) {
        self.unanswered.remove(&transfer);
    }

    /// A transfer is over. One that has no place is passed over.
    pub fn leave(&mut self, transfer: u64) {
        let Some(client) = self.clients.remove(&transfer) else { return };
        self.unanswered.remove(&transfer);
        if let Some(own) = self.by_client.get_mut(&client) {
            own.retain(|other| *other != transfer);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Party {
        Party { who: format!("z/p1/r1/u{number}").into(), pod: "p1".into() }
    }

    #[test]
    fn a_client_has_four_and_replaces_those_that_it_does_not_answer() {
        let mut places = Places::new(100);
        assert!((1..=4).all(|number| places.take(number, client(1)) == Ok(None)));
        places.answered(1);
        assert_eq!(places.take(5, client(1)), Ok(Some(2)));
        for number in [3, 4, 5] {
            places.answered(number);
        }
        assert_eq!(places.take(6, client(1)), Err(Full));
        assert_eq!(places.take(6, client(2)), Ok(None));
        places.leave(3);
        assert_eq!(places.take(7, client(1)), Ok(None));
    }

    #[test]
    fn a09_forged_requests_take_places_only_from_themselves() {
        let mut places = Places::new(100);
        for number in 0..60 {
            places.take(number, client(1000 + number as u32)).unwrap();
            places.answered(number);
        }
        let mut ended = Vec::new();
        for number in 60..10_000 {
            ended.extend(places.take(number, client(2000 + number as u32)).unwrap());
        }
        assert!(ended.iter().all(|number| *number >= 60) && places.clients.len() == 100);
        // One that is there still comes through, and keeps its place.
        assert!(places.take(10_000, client(1)).is_ok());
        places.answered(10_000);
        for number in 10_001..20_000 {
            assert_ne!(places.take(number, client(2000 + number as u32)), Ok(Some(10_000)));
        }
        for number in 0..20_000 {
            places.leave(number);
        }
        assert!(places.clients.is_empty() && places.unanswered.is_empty() && places.by_client.is_empty());
    }

    #[test]
    fn when_all_use_their_places_the_next_is_refused() {
        let mut places = Places::new(3);
        for number in 0..3 {
            places.take(number, client(number as u32)).unwrap();
            places.answered(number);
        }
        assert_eq!(places.take(3, client(3)), Err(Full));
    }
}
