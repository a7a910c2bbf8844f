//! Who may watch at once: open streams, counted by whose they are.
//!
//! Whoever is known by name (an account, a user of this host) has places that nobody without a name can take; nobody takes all
//! places of a kind alone.

use crate::people::{Visitor, tries};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Streams of those who are known by name, and of one of them: a browser has one for each tab that is looked at.
const NAMED_MAX: usize = 128;
const NAME_MAX: usize = 32;
/// Streams of all others, and of those at one address: several people come through one tunnel.
const NAMELESS_MAX: usize = 96;
const ADDRESS_MAX: usize = 32;

/// The open streams.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Whose, usize>>);

/// Whose a stream is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Whose {
    Name(Arc<str>),
    /// `None`: not known, which counts as one place.
    Address(Option<IpAddr>),
}

/// A place among the streams, as long as it is held.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Arc<Streams>,
    whose: Whose,
}

impl Streams {
    /// Takes a place; `None`: there is none for this visitor.
    pub(crate) fn enter(self: &Arc<Self>, visitor: &Visitor) -> Option<Place> {
        let whose = match &visitor.identity {
            Some(identity) => Whose::Name(Arc::clone(&identity.name)),
            None => Whose::Address(visitor.from.parse().ok().map(tries::network)),
        };
        let is_named = matches!(whose, Whose::Name(_));
        let (most, own_most) = if is_named { (NAMED_MAX, NAME_MAX) } else { (NAMELESS_MAX, ADDRESS_MAX) };
        let mut open = self.lock();
        let alike = open.iter().filter(|(other, _)| matches!(other, Whose::Name(_)) == is_named);
        let (all, own) =
            (alike.map(|(_, count)| count).sum::<usize>(), open.get(&whose).map_or(0, |own| *own));
        if all >= most || own >= own_most {
            return None;
        }
        open.insert(whose.clone(), own + 1);
        drop(open);
        Some(Place { streams: Arc::clone(self), whose })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        match open.get_mut(&self.whose) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Identity;
    use api::people::Role;

    fn visitor(name: Option<&str>, from: &str) -> Visitor {
        let identity = name.map(|name| Identity { name: name.into(), role: Role::View, has_account: true });
        Visitor { identity, role: Some(Role::View), may_sign_in: false, is_tls: false, from: from.to_owned() }
    }

    fn enter(streams: &Arc<Streams>, visitor: &Visitor, count: usize) -> Vec<Place> {
        (0..count).map_while(|_| streams.enter(visitor)).collect()
    }

    #[test]
    fn nobody_without_a_name_takes_the_places_of_those_with_one() {
        let streams: Arc<Streams> = Arc::default();
        let address = |n: usize| visitor(None, &format!("192.0.2.{n}"));
        let strangers: Vec<Place> = (0..9).flat_map(|n| enter(&streams, &address(n), 1000)).collect();
        assert_eq!(strangers.len(), NAMELESS_MAX);
        let ada = enter(&streams, &visitor(Some("ada"), "192.0.2.1"), 1000);
        assert_eq!(ada.len(), NAME_MAX);
        assert!(streams.enter(&visitor(Some("root"), "unix socket")).is_some());
        drop(strangers);
        assert_eq!(enter(&streams, &address(1), 1000).len(), ADDRESS_MAX);
        drop(ada);
        assert!(streams.lock().is_empty(), "nothing is left of those who are gone");
    }

    #[test]
    fn addresses_of_one_network_are_one_place() {
        let streams: Arc<Streams> = Arc::default();
        let all: Vec<Place> =
            (0..1000).filter_map(|n| streams.enter(&visitor(None, &format!("2001:db8::{n:x}")))).collect();
        assert_eq!(all.len(), ADDRESS_MAX);
    }
}
