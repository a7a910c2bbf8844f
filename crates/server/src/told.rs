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
        // Never 0, which is a place where nothing was told yet.
        let place = &self.0[interface.index() % PLACES];
        let before = place.swap(digest | now, Relaxed);
        let passed = now.wrapping_sub(before & seconds_mask) & seconds_mask;
        before & !seconds_mask != digest || passed >= SAME_FOR.as_secs()
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
