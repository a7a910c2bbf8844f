//! The one place that reads the clock for what is decided.
//!
//! Machines that were taken have deadlines, and waves are watched for a time. So while a change is under way a host's clock that is set
//! does not set ours: it goes on as it went, and is set when the change has ended.

use model::Time;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// A host's clock that is further from where it was going was set. One that is slewed takes the steady clock with it.
const SET_MIN_MS: u64 = 2_000;

/// Milliseconds of the host's clock when the steady one began.
static BEGAN: AtomicI64 = AtomicI64::new(0);
/// A change is under way.
static IS_HELD: AtomicBool = AtomicBool::new(false);

/// Now, by this host's clock; 1970 if it is set before that.
pub(crate) fn now() -> Time {
    let held = IS_HELD.load(Relaxed);
    let (now, began) = chosen(of_host(), steady(), BEGAN.load(Relaxed), held);
    BEGAN.store(began, Relaxed);
    Time(u64::try_from(now).unwrap_or_default())
}

/// Whether a change is under way. Says by how much the host's clock was set meanwhile, in seconds, if it was.
pub(crate) fn hold(is_held: bool) -> Option<i64> {
    // What it is before it is held counts.
    if is_held && !IS_HELD.load(Relaxed) {
        let _ = now();
    }
    IS_HELD.store(is_held, Relaxed);
    let off = of_host().saturating_sub(steady().saturating_add(BEGAN.load(Relaxed)));
    (is_held && off.unsigned_abs() > SET_MIN_MS).then_some(off / 1000)
}

/// The time that counts, and where the steady clock is thought to have begun.
fn chosen(of_host: i64, steady: i64, began: i64, is_held: bool) -> (i64, i64) {
    let expected = steady.saturating_add(began);
    match is_held && of_host.abs_diff(expected) > SET_MIN_MS {
        true => (expected, began),
        false => (of_host, of_host.saturating_sub(steady)),
    }
}

fn of_host() -> i64 {
    milliseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn steady() -> i64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    milliseconds(FIRST.get_or_init(Instant::now).elapsed())
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_counts_when_no_change_is_under_way() {
        let day = 86_400_000;
        // As it goes, and slewed a little.
        assert_eq!(chosen(1_000_500, 500, 1_000_000, true), (1_000_500, 1_000_000));
        assert_eq!(chosen(1_001_500, 1_000, 1_000_000, true), (1_001_500, 1_000_500));
        // Set ahead or back.
        assert_eq!(chosen(1_000_500 + day, 500, 1_000_000, true), (1_000_500, 1_000_000));
        assert_eq!(chosen(1_000_500 - day, 500, 1_000_000, true), (1_000_500, 1_000_000));
        assert_eq!(chosen(1_000_500 + day, 500, 1_000_000, false), (1_000_500 + day, 1_000_000 + day));
    }
}
