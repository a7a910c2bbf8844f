//! Random numbers that repeat for a seed: everything that may come one way or another is drawn from here, in order.

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: u64) -> Self {
        // Neighbouring seeds begin far apart.
        let mut random = Self(seed ^ 0x5eed_0f5e_ed0f_5eed);
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// True so often out of 1,000 times.
    pub(crate) fn is(&mut self, of_thousand: u64) -> bool {
        self.next() % 1000 < of_thousand
    }

    /// A position in something with so many; it has at least one.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).unwrap_or(0)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }

    /// Time until the next of things that come so far apart in the mean: memoryless, at least a millisecond.
    pub(crate) fn pause(&mut self, mean_ms: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        // `as` saturates.
        (-(1.0 - unit).ln() * mean_ms as f64) as u64 + 1
    }

    /// Octets for a key.
    pub(crate) fn octets(&mut self) -> [u8; 32] {
        let mut octets = [0; 32];
        for part in octets.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes());
        }
        octets
    }
}
