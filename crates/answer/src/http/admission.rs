//! How many large files are sent at once, and to whom: a machine few, a pod its share when others wait.
//!
//! While there is room everybody is let in. When there is none, a client is told when to come back, and its pod is
//! remembered as waiting: from then on a pod that has its share gets no more until those that wait have had theirs.
//! Scripts and boot loaders are small and are not counted.

use crate::party::Party;
use model::Time;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Files of this size and more are counted; below it a transfer is over before counting helps.
const COUNTED_FROM: u64 = 1 << 20;
/// Parts of them that are smaller are not: a look at a header, which a socket takes at once.
const COUNTED_PART: u64 = 64 << 10;
/// Large files that are sent at once: each then has at least 20 Mb/s of 10 Gb/s, and the last is not starved.
pub const TRANSFERS_MAX: u32 = 512;
/// To one machine: the file it boots, and one that it left without a word.
const MACHINE_MAX: u32 = 2;
/// To one address that is no machine's: a cache that fetches for a rack, an operator with `curl`.
const STRANGER_MAX: u32 = 8;
/// How long a pod counts as waiting after it was told to come back: longer than anybody is told to wait.
const WAITING: Duration = Duration::from_secs(40);
/// The least and the most seconds that a client is told to wait.
const RETRY_LEAST: u32 = 2;
const RETRY_MOST: u32 = 30;

/// Waiting clients that are remembered of each pod; more would change nothing.
const WAITING_MAX: usize = 512;

/// Whether sending so many octets of a file of so many counts. It is the file that does: in parts it would be sent to
/// anyone at any rate.
pub fn counts(size: u64, octets: u64) -> bool {
    size >= COUNTED_FROM && octets >= COUNTED_PART
}

/// There is no room now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy {
    /// When to ask again: spread by who asks and when, so that those who were refused together do not return together.
    pub retry_after_seconds: u32,
}

/// Who is sent large files, and who waits. Bounded by the transfers and the pods of the zone.
#[derive(Debug)]
pub struct Admission {
    transfers_max: u32,
    sending: u32,
    by_who: HashMap<Box<str>, u32>,
    pods: HashMap<Box<str>, Pod>,
}

#[derive(Debug, Default)]
struct Pod {
    sending: u32,
    /// Who was refused and not let in since.
    waiting: HashSet<Box<str>>,
    /// The last refusal.
    refused: Time,
}

impl Admission {
    /// Nobody is sent anything; at most `transfers_max` at once.
    pub fn new(transfers_max: u32) -> Self {
        Self { transfers_max, sending: 0, by_who: HashMap::new(), pods: HashMap::new() }
    }

    /// Lets one transfer begin. [`Admission::end`] is called when it is over, however it ends.
    ///
    /// # Errors
    /// [`Busy`]: now it may not.
    pub fn begin(&mut self, party: &Party, now: Time) -> Result<(), Busy> {
        for pod in self.pods.values_mut() {
            // A refusal that is yet to come was before the clock went back.
            if now < pod.refused || now.since(pod.refused) >= WAITING {
                pod.waiting.clear();
            }
        }
        self.pods.retain(|_, pod| pod.sending > 0 || !pod.waiting.is_empty());
        let own_max = if party.pod.is_empty() { STRANGER_MAX } else { MACHINE_MAX };
        if self.by_who.get(&party.who).is_some_and(|own| *own >= own_max) {
            // No room would help it, so its pod does not wait.
            return Err(self.busy(party, now));
        }
        let share = self.share(&party.pod);
        let own = self.pods.get(&party.pod).map_or(0, |pod| pod.sending);
        let others_wait = self
            .pods
            .iter()
            .any(|(name, pod)| *name != party.pod && !pod.waiting.is_empty() && pod.sending < share);
        if self.sending >= self.transfers_max || (others_wait && own >= share) {
            let pod = self.pods.entry(party.pod.clone()).or_default();
            if pod.waiting.len() < WAITING_MAX {
                pod.waiting.insert(party.who.clone());
            }
            pod.refused = now;
            return Err(self.busy(party, now));
        }
        self.sending += 1;
        *self.by_who.entry(party.who.clone()).or_default() += 1;
        let pod = self.pods.entry(party.pod.clone()).or_default();
        pod.sending += 1;
        pod.waiting.remove(&party.who);
        Ok(())
    }

    /// A transfer that was let in is over.
    pub fn end(&mut self, party: &Party) {
        self.sending = self.sending.saturating_sub(1);
        if let Some(own) = self.by_who.get_mut(&party.who) {
            *own -= 1;
            if *own == 0 {
                self.by_who.remove(&party.who);
            }
        }
        if let Some(pod) = self.pods.get_mut(&party.pod) {
            pod.sending = pod.sending.saturating_sub(1);
        }
    }

    /// Transfers that are under way.
    pub fn sending(&self) -> u32 {
        self.sending
    }

    /// What each pod may have while others wait: an equal part for each that is served or waits.
    fn share(&self, asking: &str) -> u32 {
        let others = self.pods.keys().filter(|name| &***name != asking).count();
        let pods = u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
        self.transfers_max.div_ceil(pods)
    }

    fn busy(&self, party: &Party, now: Time) -> Busy {
        // More who wait are spread over a longer time.
        let waiting: usize = self.pods.values().map(|pod| pod.waiting.len()).sum();
        let window = u32::try_from(4 + waiting / 16).unwrap_or(u32::MAX).min(RETRY_MOST - RETRY_LEAST + 1);
        Busy { retry_after_seconds: RETRY_LEAST + spread(&party.who, now) % window }
    }
}

/// A number of who asks and the second in which it asks (FNV-1a): the same for all replicas, another at each try.
fn spread(who: &str, now: Time) -> u32 {
    let second = (now.0 / 1000).to_be_bytes();
    let hash = who
        .bytes()
        .chain(second)
        .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000);

    fn machine(pod: &str, number: u32) -> Party {
        Party { who: format!("z/{pod}/r1/u{number}").into(), pod: pod.into() }
    }

    #[test]
    fn a_machine_has_two_and_a_stranger_eight() {
        let mut admission = Admission::new(100);
        let own = machine("p1", 1);
        let stranger = Party { who: "10.0.0.1".into(), pod: "".into() };
        for (party, max) in [(&own, 2), (&stranger, 8)] {
            for _ in 0..max {
                assert_eq!(admission.begin(party, NOW), Ok(()));
            }
            assert!(admission.begin(party, NOW).is_err());
            admission.end(party);
            assert_eq!(admission.begin(party, NOW), Ok(()));
        }
        assert_eq!(admission.sending(), 10);
    }

    #[test]
    fn alone_a_pod_may_have_everything() {
        let mut admission = Admission::new(100);
        assert!((0..100).all(|number| admission.begin(&machine("p1", number), NOW).is_ok()));
        assert!(admission.begin(&machine("p1", 100), NOW).is_err());
    }

    #[test]
    fn who_came_late_gets_its_share_and_no_more_while_others_wait() {
        let mut admission = Admission::new(100);
        for number in 0..100 {
            admission.begin(&machine("p1", number), NOW).unwrap();
        }
        // Everybody asks again and again; each transfer that ends makes room for one.
        let (mut of_p1, mut of_p2, mut next) = (100, 0, 0);
        for number in 0..150 {
            let _ = admission.begin(&machine("p2", 1000 + number), NOW);
        }
        for ended in 0..80 {
            admission.end(&machine("p1", ended));
            of_p1 -= 1;
            for _ in 0..3 {
                next += 1;
                if admission.begin(&machine("p1", 2000 + next), NOW).is_ok() {
                    of_p1 += 1;
                }
                if admission.begin(&machine("p2", 2000 + next), NOW).is_ok() {
                    of_p2 += 1;
                }
            }
        }
        assert_eq!((of_p1, of_p2, admission.sending()), (50, 50, 100));
    }

    #[test]
    fn room_is_not_kept_for_those_who_do_not_return() {
        let mut admission = Admission::new(10);
        for number in 0..10 {
            admission.begin(&machine("p1", number), NOW).unwrap();
        }
        assert!(admission.begin(&machine("p2", 1), NOW).is_err());
        admission.end(&machine("p1", 0));
        assert!(admission.begin(&machine("p1", 11), NOW).is_err());
        assert_eq!(admission.begin(&machine("p1", 11), NOW + WAITING), Ok(()));
    }

    #[test]
    fn who_was_refused_often_and_then_let_in_waits_no_more() {
        let mut admission = Admission::new(10);
        for number in 0..10 {
            admission.begin(&machine("p1", number), NOW).unwrap();
        }
        for number in 0..15 {
            assert!(admission.begin(&machine("p2", number % 5), NOW).is_err());
        }
        for number in 0..5 {
            admission.end(&machine("p1", number));
            assert_eq!(admission.begin(&machine("p2", number), NOW), Ok(()));
        }
        // p2 has its share of places, and nobody of it waits: what it leaves is anybody's.
        admission.end(&machine("p2", 0));
        assert_eq!(admission.begin(&machine("p1", 11), NOW), Ok(()));
    }

    #[test]
    fn a13_a_clock_that_goes_back_keeps_no_room() {
        let mut admission = Admission::new(10);
        for number in 0..10 {
            admission.begin(&machine("p1", number), NOW).unwrap();
        }
        assert!(admission.begin(&machine("p2", 1), NOW).is_err());
        admission.end(&machine("p1", 0));
        assert_eq!(admission.begin(&machine("p1", 11), Time(NOW.0 - 1)), Ok(()));
    }

    #[test]
    fn a10_a_large_file_counts_in_whatever_parts_it_is_asked_for() {
        const MIB: u64 = 1 << 20;
        for (size, octets, expected) in [
            (MIB, MIB, true),
            (1000 * MIB, MIB - 1, true),
            (1000 * MIB, COUNTED_PART, true),
            (1000 * MIB, 100, false),
            (MIB - 1, MIB - 1, false),
        ] {
            assert_eq!(counts(size, octets), expected, "{octets} of {size}");
        }
    }

    #[test]
    fn those_who_were_refused_together_do_not_return_together() {
        let mut admission = Admission::new(1);
        admission.begin(&machine("p1", 0), NOW).unwrap();
        let mut when = [0_u32; 40];
        for number in 1..=2000 {
            let busy = admission.begin(&machine("p2", number), NOW).unwrap_err();
            assert!((RETRY_LEAST..=RETRY_MOST).contains(&busy.retry_after_seconds));
            when[busy.retry_after_seconds as usize] += 1;
        }
        let most = when.iter().max();
        assert!(when.iter().filter(|count| **count > 0).count() > 20 && most < Some(&250), "{when:?}");
        // Nor does one that asks at another time wait as long.
        let waits: std::collections::HashSet<u32> = (0..20)
            .filter_map(|second| admission.begin(&machine("p2", 1), Time(second * 1000)).err())
            .map(|busy| busy.retry_after_seconds)
            .collect();
        assert!(waits.len() > 3, "{waits:?}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut admission = Admission::new(4);
        for round in 0..10_000_u32 {
            let party = machine(&format!("p{}", round % 7), round);
            if admission.begin(&party, Time(u64::from(round) * 10_000)).is_ok() && round % 2 == 0 {
                admission.end(&party);
            }
        }
        assert!(admission.by_who.len() <= 4 && admission.pods.len() <= 7);
        for number in 0..10_000 {
            let _ = admission.begin(&machine("p1", number), NOW);
        }
        assert_eq!(admission.pods["p1"].waiting.len(), WAITING_MAX);
    }
}
