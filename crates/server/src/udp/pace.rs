//! When a loop lets datagrams gather before it takes them.
//!
//! A datagram that wakes a sleeping thread costs more than all that is done with it. Where they come closely, the thread
//! sleeps by the clock for a moment instead, and takes what came meanwhile at once: what network cards do with their
//! interrupts. Where they come seldom, each is taken as soon as it is there.

use std::time::{Duration, Instant};

/// What a datagram waits at most for others: little beside its way over any network.
const GATHER: Duration = Duration::from_micros(60);
/// So many in the time of a look, and they come closely.
const CLOSE: usize = 16;
/// How long is counted.
const LOOK: Duration = Duration::from_millis(2);
/// How much later than asked the kernel may wake the thread, in nanoseconds; by default it is as long as [`GATHER`].
const TIMER_SLACK: u64 = 1_000;

pub(super) struct Pace {
    began: Instant,
    counted: usize,
    are_close: bool,
    /// Since the thread slept last.
    since_sleep: usize,
}

impl Pace {
    /// For the calling thread.
    pub(super) fn new() -> Self {
        // Refused, it only makes sleeps longer.
        let _ = nix::sys::prctl::set_timerslack(TIMER_SLACK);
        Self { began: Instant::now(), counted: 0, are_close: false, since_sleep: 0 }
    }

    /// So many were taken.
    pub(super) fn received(&mut self, count: usize) {
        self.counted += count;
        self.since_sleep += count;
    }

    /// Nothing is left to take. True if it slept for a while, and there may be something again; false if the thread is
    /// to wait until there is.
    pub(super) fn gathers(&mut self, now: Instant) -> bool {
        if !self.is_time_to_sleep(now) {
            return false;
        }
        std::thread::sleep(GATHER);
        true
    }

    fn is_time_to_sleep(&mut self, now: Instant) -> bool {
        let passed = now.duration_since(self.began);
        if passed >= LOOK {
            // A look that was long has a long wait in it: nothing came closely.
            self.are_close = self.counted >= CLOSE && passed < 2 * LOOK;
            (self.began, self.counted) = (now, 0);
        }
        // Nothing came while it slept: now it waits.
        let sleeps = self.are_close && self.since_sleep > 0;
        self.since_sleep = 0;
        sleeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the thread sleeps after each of `times` batches of `count`, so far apart.
    fn sleeps(times: u32, count: usize, apart: Duration) -> Vec<bool> {
        let mut pace = Pace::new();
        let began = pace.began;
        (1..=times)
            .map(|time| {
                pace.received(count);
                pace.is_time_to_sleep(began + apart * time)
            })
            .collect()
    }

    #[test]
    fn what_comes_seldom_is_never_let_wait() {
        assert!(!sleeps(1000, 1, Duration::from_micros(500)).contains(&true));
        assert!(
            !sleeps(1000, 40, Duration::from_millis(10)).contains(&true),
            "bursts with a pause after each"
        );
    }

    #[test]
    fn what_comes_closely_gathers_from_the_first_look_on() {
        let slept = sleeps(1000, 1, Duration::from_micros(50));
        let first = slept.iter().position(|slept| *slept).expect("it slept");
        assert_eq!(first, 39, "two milliseconds are forty datagrams");
        assert!(slept[first..].iter().all(|slept| *slept));
    }

    #[test]
    fn a_sleep_in_which_nothing_came_is_the_last() {
        let mut pace = Pace::new();
        let mut now = pace.began;
        for _ in 0..100 {
            now += Duration::from_micros(50);
            pace.received(1);
            pace.is_time_to_sleep(now);
        }
        assert!(!pace.is_time_to_sleep(now + GATHER));
    }
}
