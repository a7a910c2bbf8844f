//! When a loop lets datagrams gather before it takes them.
//!
//! A datagram that wakes a sleeping thread costs more than all that is done with it. Where they come closely, the thread
//! sleeps by the clock for a moment instead, and takes what came meanwhile at once: what network cards do with their
//! interrupts. Where they come seldom, each is taken as soon as it is there.

use std::time::{Duration, Instant};

/// They come closely if so many are expected while the thread sleeps.
const CLOSE: u32 = 2;
/// How long is counted, in sleeps.
const LOOK: u32 = 8;
/// How much later than asked the kernel may wake the thread, in nanoseconds; by default it is 50 µs.
const TIMER_SLACK: u64 = 1_000;

pub(super) struct Pace {
    /// How long a datagram may wait for others.
    gather: Duration,
    began: Instant,
    counted: u32,
    are_close: bool,
    /// Something came since the thread slept last.
    has_come: bool,
}

impl Pace {
    /// For the calling thread.
    pub(super) fn new(gather: Duration) -> Self {
        // Refused, it only makes sleeps longer.
        let _ = nix::sys::prctl::set_timerslack(TIMER_SLACK);
        Self { gather, began: Instant::now(), counted: 0, are_close: false, has_come: false }
    }

    /// So many were taken.
    pub(super) fn received(&mut self, count: usize) {
        self.counted = self.counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.has_come |= count > 0;
    }

    /// Nothing is left to take. True if it slept for a while, and there may be something again; false if the thread is
    /// to wait until there is.
    pub(super) fn gathers(&mut self, now: Instant) -> bool {
        let sleeps = self.is_time_to_sleep(now);
        if sleeps {
            std::thread::sleep(self.gather);
        }
        sleeps
    }

    fn is_time_to_sleep(&mut self, now: Instant) -> bool {
        let passed = now.duration_since(self.began);
        if passed >= self.gather * LOOK {
            // On average, in the time of a sleep. A long wait makes a long look, and few in it.
            self.are_close = self.gather.saturating_mul(self.counted) >= passed * CLOSE;
            (self.began, self.counted) = (now, 0);
        }
        // Nothing came while it slept: now it waits.
        std::mem::take(&mut self.has_come) && self.are_close
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_micros(250);

    /// After which of `times` batches of `count`, so far apart, the thread sleeps.
    fn sleeps(times: u32, count: usize, apart: Duration) -> Vec<u32> {
        let mut pace = Pace::new(GATHER);
        let began = pace.began;
        let slept = (1..=times).filter(|time| {
            pace.received(count);
            pace.is_time_to_sleep(began + apart * *time)
        });
        slept.collect()
    }

    #[test]
    fn what_comes_seldom_is_never_let_wait() {
        assert!(sleeps(1000, 1, GATHER).is_empty(), "one in the time of a sleep");
        let bursts = sleeps(1000, 40, Duration::from_millis(10));
        assert!(bursts.is_empty(), "bursts with a pause after each");
    }

    #[test]
    fn what_comes_closely_gathers_from_the_first_look_on() {
        let slept = sleeps(1000, 1, Duration::from_micros(50));
        // Eight sleeps' time is forty datagrams.
        assert_eq!(slept, (40..=1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_sleep_in_which_nothing_came_is_the_last() {
        let mut pace = Pace::new(GATHER);
        let mut now = pace.began;
        for _ in 0..100 {
            now += Duration::from_micros(50);
            pace.received(1);
            pace.is_time_to_sleep(now);
        }
        assert!(pace.are_close && !pace.is_time_to_sleep(now + GATHER));
    }
}
