//! Whose request is left out when more comes than can be answered.
//!
//! Each port has a budget, and on it each of two kinds of client: the machine that was accepted there, and anybody else.
//! So a flood of invented hardware addresses from one port uses up the budget of strangers on that one port, and
//! neither the machine there nor anything elsewhere goes without. Where many ports ask at once it is a storm and no flood:
//! each may have twice what they have on average, so that nothing is refused that could be answered. Budgets are the
//! only memory between two packets in this crate, they are bounded, and they count only while the server is pressed: an
//! idle one answers everything.

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
/// What an average port has is reckoned anew so often, in milliseconds.
const WINDOW: u64 = 250;
/// So many that ask within a window are a storm: more ports than whoever floods is plugged in at.
const STORM: u32 = 256;

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
    /// Which window it is, modulo 2¹⁶.
    window: u16,
    /// Requests admitted in it, and places that asked.
    admitted: u32,
    asking: u32,
    /// What each place may have in it at least: twice the average of the last one, if that was a storm.
    share: u16,
}

#[derive(Clone, Copy)]
struct Place {
    left: u16,
    /// When it asked last, in windows modulo 2¹⁶.
    window: u16,
    /// When it was last filled, in milliseconds modulo 2³².
    at: u32,
}

impl Limiter {
    /// Full budgets. `seed` is not to be guessed from outside: it says which budgets share a place.
    pub fn new(seed: u64) -> Self {
        let place = Place { left: STRANGER_BURST, window: 0, at: 0 };
        Self { places: vec![place; PLACES].into(), seed, window: 0, admitted: 0, asking: 0, share: 0 }
    }

    /// Whether a request is within its budget; one that is uses it.
    pub fn admits(&mut self, claim: Claim, now: Time) -> bool {
        let (burst, per_second) = match claim.is_known {
            true => (KNOWN_BURST, KNOWN_PER_SECOND),
            false => (STRANGER_BURST, STRANGER_PER_SECOND),
        };
        self.begin_window(now);
        let place = &mut self.places[place(claim, self.seed)];
        // Milliseconds modulo 2³² turn over after 49 days; a budget that was not used for so long is full anyway, or a
        // little less so.
        let now = (now.0 & u64::from(u32::MAX)) as u32;
        let earned = u64::from(now.wrapping_sub(place.at)) * u64::from(per_second) / 1000;
        if earned > 0 {
            place.left = u16::try_from(earned + u64::from(place.left)).map_or(burst, |left| left.min(burst));
            place.at = now;
        }
        if place.window != self.window {
            place.window = self.window;
            place.left = place.left.max(self.share);
            self.asking += 1;
        }
        let admitted = place.left > 0;
        place.left = place.left.saturating_sub(1);
        self.admitted = self.admitted.saturating_add(u32::from(admitted));
        admitted
    }

    /// Reckons what the last window gave, if it is over.
    fn begin_window(&mut self, now: Time) {
        let window = (now.0 / WINDOW) as u16;
        if window == self.window {
            return;
        }
        let is_storm = self.asking >= STORM && window == self.window.wrapping_add(1);
        let share = if is_storm { 2 * (self.admitted / self.asking) } else { 0 };
        self.share = u16::try_from(share).unwrap_or(u16::MAX);
        (self.window, self.admitted, self.asking) = (window, 0, 0);
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
    fn in_a_storm_everybody_has_what_the_others_have() {
        let mut limiter = Limiter::new(7);
        let window = Duration::from_millis(WINDOW);
        // 5,000 ports ask forty times in a window, and one asks without end. Budgets end in the second.
        let mut of = |at| {
            let asked: Vec<usize> =
                (0..5_000).map(|port| admitted(&mut limiter, stranger(port), at, 40)).collect();
            (asked.iter().sum::<usize>() / asked.len(), admitted(&mut limiter, stranger(5_000), at, 100_000))
        };
        let given: Vec<(usize, usize)> = (0..4).map(|number| of(START + window * number)).collect();
        assert_eq!(
            given,
            [(12, 12), (24, 24), (40, 48), (40, 80)],
            "what each may have doubles until all have what they ask for"
        );
        // A few ports are no storm, however much they ask for.
        let mut few = Limiter::new(7);
        for number in 0..10 {
            let at = START + window * number;
            let given: usize = (0..STORM - 1).map(|port| admitted(&mut few, stranger(port), at, 40)).sum();
            assert!(number == 0 || given < 400, "{given}");
        }
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
