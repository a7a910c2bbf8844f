//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Ten thousand agents lose their controller in the same second; waiting a random part of a growing time spreads them
//! evenly, where a fixed wait would bring them back in step. Pure: the randomness is passed in.

use std::time::Duration;

/// The first wait is up to this.
const FIRST_MAX: Duration = Duration::from_millis(500);

/// No wait is longer than this, but for what a controller asks for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The wait before the attempt that follows `failures` failures in a row, for a `random` from the whole range of u64.
/// `at_least` is what the controller asked for; the jitter comes on top of it.
pub(crate) fn wait(failures: u32, at_least: Duration, random: u64) -> Duration {
    let ceiling = FIRST_MAX.saturating_mul(1 << failures.min(16)).min(WAIT_MAX);
    at_least.min(WAIT_MAX) + scaled(ceiling, random)
}

/// `random` as a part of `whole`: 0 is none of it, `u64::MAX` all but a little.
pub(crate) fn scaled(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Random numbers that repeat for a seed (SplitMix64): good enough to spread waits, and for nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(pub(crate) u64);

impl Jitter {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn waits_double_to_a_minute_and_are_never_past_it() {
        let longest: Vec<_> =
            (0..10).map(|failures| wait(failures, Duration::ZERO, u64::MAX).as_millis()).collect();
        expect!["[499, 999, 1999, 3999, 7999, 15999, 31999, 59999, 59999, 59999]"]
            .assert_eq(&format!("{longest:?}"));
        assert_eq!(wait(0, Duration::ZERO, 0), Duration::ZERO);
        assert!(wait(u32::MAX, Duration::MAX, u64::MAX) <= 2 * WAIT_MAX);
    }

    #[test]
    fn what_the_controller_asks_for_is_kept() {
        assert!(wait(0, Duration::from_secs(10), 0) >= Duration::from_secs(10));
    }

    #[test]
    fn ten_thousand_agents_come_back_spread_evenly() {
        let mut jitter = Jitter(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            let wait = wait(20, Duration::ZERO, jitter.next());
            tenths[usize::try_from(wait.as_secs() / 6).expect("under a minute")] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}
