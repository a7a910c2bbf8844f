//! Who is connected, and how to reach them.
//!
//! A machine that connects again before its old connection is known to be dead replaces it: the newest counts, and
//! the end of the replaced one is no event. In memory only; after a restart agents come back by themselves.

use model::Location;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// What waits to be said to one agent. More is refused: the same push again says nothing new.
const PUSHES_MAX: usize = 4;

/// What the controller can say unasked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Push {
    /// Look at the hardware and run the checks again.
    CheckAgain,
    /// What is to be done with its disks may have changed.
    Order,
    /// What its role checks may have changed.
    Row,
}

/// The connected agents.
#[derive(Debug, Default)]
pub struct Present(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    agents: HashMap<Location, (u64, mpsc::Sender<Push>)>,
}

impl Present {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many agents are connected.
    pub fn count(&self) -> usize {
        self.inner().agents.len()
    }

    /// Those of the connected agents' machines of which this is so. It must not wait.
    pub fn those(&self, is_so: impl Fn(&Location) -> bool) -> Vec<Location> {
        self.inner().agents.keys().filter(|location| is_so(location)).cloned().collect()
    }

    /// Says something to the agent at `location`. `false`: it is not connected, or has not taken what was said before.
    pub fn push(&self, location: &Location, push: Push) -> bool {
        self.inner().agents.get(location).is_some_and(|(_, agent)| agent.try_send(push).is_ok())
    }

    /// Enters a connection. The channel closes when another replaces it.
    pub(super) fn enter(&self, location: &Location) -> (u64, mpsc::Receiver<Push>) {
        let (sender, receiver) = mpsc::channel(PUSHES_MAX);
        let mut inner = self.inner();
        inner.next += 1;
        let id = inner.next;
        inner.agents.insert(location.clone(), (id, sender));
        (id, receiver)
    }

    /// Removes a connection, and says so by `tell` before another can enter: what is told of two connections is in the
    /// order of the connections. `None` if another has replaced it; else what `tell` gave. It must not wait.
    pub(super) fn leave<T>(&self, location: &Location, id: u64, tell: impl FnOnce() -> T) -> Option<T> {
        let mut inner = self.inner();
        if inner.agents.get(location).is_none_or(|(current, _)| *current != id) {
            return None;
        }
        inner.agents.remove(location);
        Some(tell())
    }

    /// `tell`, unless the agent has connected; what it gave. It must not wait.
    pub(super) fn while_absent<T>(&self, location: &Location, tell: impl FnOnce() -> T) -> Option<T> {
        let inner = self.inner();
        (!inner.agents.contains_key(location)).then(tell)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_connection_counts_and_the_end_of_an_older_one_is_nothing() {
        let (present, place) = (Present::new(), Location::new("ams1/p01/r1/u01"));
        assert!(!present.push(&place, Push::CheckAgain));
        let (first, mut first_hears) = present.enter(&place);
        let (second, mut second_hears) = present.enter(&place);
        assert_eq!(first_hears.blocking_recv(), None, "the replaced connection is told to end");
        assert_eq!(present.leave(&place, first, || ()), None);
        assert!(present.push(&place, Push::CheckAgain));
        assert_eq!(second_hears.blocking_recv(), Some(Push::CheckAgain));
        assert_eq!(present.count(), 1);
        assert_eq!(present.while_absent(&place, || ()), None);
        assert_eq!(present.leave(&place, second, || ()), Some(()));
        assert_eq!(present.while_absent(&place, || ()), Some(()));
        assert_eq!(present.count(), 0);
    }

    #[test]
    fn an_agent_that_does_not_listen_costs_a_bounded_queue() {
        let (present, place) = (Present::new(), Location::new("ams1/p01/r1/u01"));
        let (_, _hears) = present.enter(&place);
        let taken = (0..100).filter(|_| present.push(&place, Push::CheckAgain)).count();
        assert_eq!(taken, PUSHES_MAX);
    }
}
