//! What the keeper was told last of each interface, so that it is not told the same again for every packet.
//!
//! A boot is some dozen datagrams, and its sighting one: who asked, at which stage. Only the same again is left out, and
//! only for a while; anything else of that interface is told at once, so that the order of stages is kept.

use model::{InterfaceId, Time};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Interfaces that are remembered; of larger zones, some share a place and are told more often. 2 MiB.
const PLACES: usize = 1 << 18;
/// How long the same is not told again: the longest pause of a firmware between two tries (EDK2: 16 s), and some.
const SAME_FOR: Duration = Duration::from_secs(30);
/// Seconds fill the lower bits of a place, the digest of what was told the others.
const SECOND_BITS: u32 = 24;

/// A place for each interface, written without locks: two threads that race tell once too often, at worst.
pub(crate) struct Told(Box<[AtomicU64]>);

impl Default for Told {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Told {
    /// Whether this was not told of the interface just now; from here on it counts as told.
    pub(crate) fn is_news(&self, interface: InterfaceId, what: &impl Hash, now: Time) -> bool {
        let mut hasher = DefaultHasher::new();
        (interface, what).hash(&mut hasher);
        let digest = hasher.finish() >> SECOND_BITS << SECOND_BITS;
        let seconds_mask = (1 << SECOND_BITS) - 1;
        let now = now.since(Time::default()).as_secs() & seconds_mask;
        let place = &self.0[interface.index() % PLACES];
        let before = place.load(Relaxed);
        let passed = now.wrapping_sub(before & seconds_mask) & seconds_mask;
        let is_news = before & !seconds_mask != digest || passed >= SAME_FOR.as_secs();
        if is_news {
            place.store(digest | now, Relaxed);
        }
        is_news
    }

    /// Everything is news again: what was told may be gone, or means something else now.
    pub(crate) fn forget(&self) {
        for place in &self.0 {
            place.store(0, Relaxed);
        }
    }

    /// What was told of an interface did not arrive.
    pub(crate) fn forget_one(&self, interface: InterfaceId) {
        self.0[interface.index() % PLACES].store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_700_000_000_000);
    const ONE: InterfaceId = InterfaceId(1);
    const OTHER: InterfaceId = InterfaceId(2);

    #[test]
    fn only_the_same_again_is_no_news() {
        let told = Told::default();
        let at = |seconds| START + Duration::from_secs(seconds);
        assert!(told.is_news(ONE, &"firmware", at(0)));
        assert!(!told.is_news(ONE, &"firmware", at(1)));
        assert!(told.is_news(OTHER, &"firmware", at(1)));
        assert!(told.is_news(ONE, &"system", at(2)));
        // It booted again within the half minute: the order of stages is what tells it.
        assert!(told.is_news(ONE, &"firmware", at(3)));
        assert!(!told.is_news(ONE, &"firmware", at(32)));
        assert!(
            told.is_news(ONE, &"firmware", at(33)),
            "half a minute after it was told, however often it came"
        );
        assert!(told.is_news(ONE, &"firmware", at(10)), "a clock that went back hides nothing");
    }

    #[test]
    fn what_is_forgotten_is_news() {
        let told = Told::default();
        for interface in [ONE, OTHER] {
            assert!(told.is_news(interface, &"firmware", START));
        }
        told.forget_one(ONE);
        assert!(told.is_news(ONE, &"firmware", START));
        assert!(!told.is_news(OTHER, &"firmware", START));
        told.forget();
        assert!(told.is_news(OTHER, &"firmware", START));
    }
}
