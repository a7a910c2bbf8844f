//! Why packets were not answered: recent samples, one for each cause, so that a flood shows as one line with a count.
//!
//! Counting is in `counters`; here is what `zw show refusals` and `zw why` print. A socket loop never waits here: if a
//! reader holds the lock, that packet is counted and not sampled.

use crate::counters::Protocol;
use model::{Location, Reason, Time};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Causes that are remembered; beyond it the one that is quiet longest is forgotten.
const SAMPLES_MAX: usize = 512;
/// New causes that are taken up in a burst, and then each second: forged identities are cheap to make.
const NEW_BURST: f64 = 256.0;
const NEW_PER_SECOND: f64 = 32.0;
/// The longest text of a sample, in characters.
const TEXT_MAX: usize = 128;

/// One cause.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(crate) protocol: Protocol,
    pub(crate) reason: Reason,
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) count: u64,
    pub(crate) details: Details,
}

/// What was understood of the request, in words.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Details {
    /// Who asked: a hardware address or an IP address.
    pub(crate) client: String,
    /// Through which relay, as its address says.
    pub(crate) relay: String,
    /// Circuit-id and remote-id, text where it is text.
    pub(crate) circuit: String,
    pub(crate) remote: String,
    /// The switch whose relay brought it.
    pub(crate) switch: Option<Location>,
    /// The machine it would have been for.
    pub(crate) machine: Option<Location>,
    /// What was asked for: a DNS name, a file.
    pub(crate) subject: String,
}

/// The samples.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Samples>);

#[derive(Debug)]
struct Samples {
    by_cause: HashMap<u64, Sample>,
    left: f64,
    at: Time,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Samples { by_cause: HashMap::new(), left: NEW_BURST, at: Time(0) }))
    }
}

impl Refusals {
    /// Remembers a refusal. `cause` is what makes two refusals the same (relay and circuit-id, not the hardware
    /// address, which a flood varies); `details` is only called for a new one.
    pub(crate) fn note(
        &self,
        protocol: Protocol,
        reason: Reason,
        cause: impl Hash,
        now: Time,
        details: impl FnOnce() -> Details,
    ) {
        let Ok(mut samples) = self.0.try_lock() else { return };
        let mut hasher = DefaultHasher::new();
        (protocol, reason, cause).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(sample) = samples.by_cause.get_mut(&key) {
            sample.count += 1;
            sample.last = now;
            return;
        }
        if !samples.may_take_up(now) {
            return;
        }
        if samples.by_cause.len() >= SAMPLES_MAX {
            let quietest = samples.by_cause.iter().min_by_key(|(_, sample)| sample.last).map(|(key, _)| *key);
            quietest.and_then(|key| samples.by_cause.remove(&key));
        }
        let details = details().bounded();
        samples.by_cause.insert(key, Sample { protocol, reason, first: now, last: now, count: 1, details });
    }

    /// How many causes of this reason were met since then.
    pub(crate) fn met_since(&self, reason: Reason, since: Time) -> usize {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.by_cause.values().filter(|sample| sample.reason == reason && sample.last >= since).count()
    }

    /// All samples, the newest first.
    pub(crate) fn all(&self) -> Vec<Sample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = samples.by_cause.values().cloned().collect();
        drop(samples);
        all.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| b.count.cmp(&a.count)));
        all
    }
}

impl Samples {
    fn may_take_up(&mut self, now: Time) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * NEW_PER_SECOND).min(NEW_BURST);
        self.at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

impl Details {
    fn bounded(mut self) -> Self {
        for text in
            [&mut self.client, &mut self.relay, &mut self.circuit, &mut self.remote, &mut self.subject]
        {
            if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
                text.truncate(end);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(refusals: &Refusals, cause: u32, now: Time) {
        refusals.note(Protocol::Dhcp, Reason::UnknownPort, cause, now, Details::default);
    }

    #[test]
    fn one_cause_is_one_line_with_a_count() {
        let refusals = Refusals::default();
        for second in 0..1000 {
            note(&refusals, 7, Time(second * 1000));
        }
        let all = refusals.all();
        assert_eq!((all.len(), all[0].count, all[0].first, all[0].last), (1, 1000, Time(0), Time(999_000)));
    }

    #[test]
    fn what_is_met_no_more_is_over() {
        let refusals = Refusals::default();
        note(&refusals, 1, Time(1_000));
        note(&refusals, 2, Time(2_000));
        note(&refusals, 2, Time(5_000));
        let met = |reason, since| refusals.met_since(reason, Time(since));
        assert_eq!([0, 1_001, 5_001].map(|since| met(Reason::UnknownPort, since)), [2, 1, 0]);
        assert_eq!(met(Reason::OtherMachine, 0), 0);
    }

    #[test]
    fn forged_causes_neither_fill_the_memory_nor_push_everything_out_at_once() {
        let refusals = Refusals::default();
        note(&refusals, 1, Time(1));
        for cause in 2..1_000_000 {
            note(&refusals, cause, Time(2));
        }
        assert_eq!(refusals.all().len(), NEW_BURST as usize);
        for second in 0..10_000 {
            note(&refusals, 2_000_000 + second, Time(u64::from(second) * 1000));
        }
        assert_eq!(refusals.all().len(), SAMPLES_MAX);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let details = Details { subject: "é".repeat(1000), ..Details::default() }.bounded();
        assert_eq!(details.subject, "é".repeat(TEXT_MAX));
    }
}
