//! Whose request is left out when more comes than can be answered.
//!
//! Each port has a budget, and on it each of two kinds of client: the machine that was accepted there, and anybody else.
//! So a flood of invented hardware addresses from one port uses up the budget of strangers on that one port, and
//! neither the machine there nor anything elsewhere goes without. Budgets are the only memory between two packets in
//! this crate, they are bounded, and they count only while the server is pressed: an idle one answers everything.

use model::{InterfaceId, Time};

/// Budgets that are kept. Two that fall on one place share it, which is rare and costs a repetition. 1 MiB.
const PLACES: usize = 1 << 17;
/// Requests of an accepted machine at once: three stages, each asking twice, each of which it may have to repeat.
const KNOWN_BURST: u16 = 24;
/// And then, for each second.
const KNOWN_PER_SECOND: u16 = 8;
/// Requests of anybody else on a port: a machine's first boot must pass, with a repetition or two.
const STRANGER_BURST: u16 = 12;
/// And then, for each second.
const STRANGER_PER_SECOND: u16 = 1;

/// Who asks, as far as budgets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Whose place it is.
    pub interface: InterfaceId,
    /// Whether it is the hardware address that was accepted there.
    pub is_known: bool,
}

/// The budgets.
pub struct Limiter {
    places: Box<[Place]>,
    seed: u64,
}

#[derive(Clone, Copy)]
struct Place {
    left: u16,
    /// When it was last filled, in milliseconds modulo 2³².
    at: u32,
}

impl Limiter {
    /// Full budgets. `seed` is not to be guessed from outside: it says which budgets share a place.
    pub fn new(seed: u64) -> Self {
        Self { places: vec![Place { left: STRANGER_BURST, at: 0 }; PLACES].into(), seed }
    }

    /// Whether a request is within its budget; one that is uses it.
    pub fn admits(&mut self, claim: Claim, now: Time) -> bool {
        let (burst, per_second) = match claim.is_known {
            true => (KNOWN_BURST, KNOWN_PER_SECOND),
            false => (STRANGER_BURST, STRANGER_PER_SECOND),
        };
        let place = &mut self.places[place(claim, self.seed)];
        // Milliseconds modulo 2³² turn over after 49 days; a budget that was not used for so long is full anyway, or a
        // little less so.
        let now = (now.0 & u64::from(u32::MAX)) as u32;
        let earned = u64::from(now.wrapping_sub(place.at)) * u64::from(per_second) / 1000;
        if earned > 0 {
            place.left = u16::try_from(earned + u64::from(place.left)).map_or(burst, |left| left.min(burst));
            place.at = now;
        }
        let admitted = place.left > 0;
        place.left = place.left.saturating_sub(1);
        admitted
    }
}

/// Where a claim's budget lies: a multiplicative hash, whose upper bits depend on all of the lower ones.
fn place(claim: Claim, seed: u64) -> usize {
    let key = u64::from(claim.interface.0) << 1 | u64::from(claim.is_known);
    let mixed = (key ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - PLACES.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Time = Time(1_700_000_000_000);

    fn known(interface: u32) -> Claim {
        Claim { interface: InterfaceId(interface), is_known: true }
    }

    fn stranger(interface: u32) -> Claim {
        Claim { interface: InterfaceId(interface), is_known: false }
    }

    fn admitted(limiter: &mut Limiter, claim: Claim, at: Time, of: usize) -> usize {
        (0..of).filter(|_| limiter.admits(claim, at)).count()
    }

    #[test]
    fn a_flood_uses_up_only_its_own_budget() {
        let mut limiter = Limiter::new(7);
        let flood = admitted(&mut limiter, stranger(5), START, 100_000);
        assert_eq!(flood, usize::from(STRANGER_BURST));
        assert_eq!(admitted(&mut limiter, known(5), START, 6), 6, "the machine on the same port");
        assert_eq!(admitted(&mut limiter, stranger(6), START, 6), 6, "a new one on the next port");
    }

    #[test]
    fn a_budget_fills_again_and_no_further_than_its_burst() {
        let mut limiter = Limiter::new(7);
        admitted(&mut limiter, stranger(5), START, 100);
        let later = START + Duration::from_secs(3);
        assert_eq!(admitted(&mut limiter, stranger(5), later, 100), 3 * usize::from(STRANGER_PER_SECOND));
        let next_day = later + Duration::from_secs(86_400);
        assert_eq!(admitted(&mut limiter, stranger(5), next_day, 100), usize::from(STRANGER_BURST));
    }

    #[test]
    fn asking_often_does_not_keep_a_budget_empty() {
        let mut limiter = Limiter::new(7);
        admitted(&mut limiter, stranger(5), START, 100);
        let in_ten_seconds = (1..=1000)
            .filter(|tick| limiter.admits(stranger(5), START + Duration::from_millis(tick * 10)))
            .count();
        assert_eq!(in_ten_seconds, 10 * usize::from(STRANGER_PER_SECOND));
    }

    #[test]
    fn ten_thousand_machines_at_once_are_within_theirs() {
        let mut limiter = Limiter::new(7);
        // Three stages of a DISCOVER and a REQUEST, all within one second.
        let left_out = (0..10_000)
            .flat_map(|machine| std::iter::repeat_n(machine, 6))
            .filter(|machine| !limiter.admits(stranger(*machine), START))
            .count();
        // Some pairs share a place; two machines' boots are as much as one budget holds.
        assert!(left_out <= 10, "{left_out} of 60,000 left out");
    }

    #[test]
    fn a_clock_that_goes_back_shuts_nobody_out() {
        let mut limiter = Limiter::new(7);
        admitted(&mut limiter, known(5), START, 1000);
        let earlier = Time(START.0 - 3_600_000);
        assert!(limiter.admits(known(5), earlier));
    }
}
