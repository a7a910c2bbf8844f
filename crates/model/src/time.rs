//! Time as the deciding code sees it: a number that is passed in.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Nothing in the deciding crates reads a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// How long after `earlier` this is; zero if the clock went back.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The same by the calendar.
    pub fn civil(self) -> Civil {
        let (days, second) = (self.0 / 86_400_000, self.0 / 1000 % 86_400);
        // Years that begin in March have their leap day at the end; 719,468 days lie between 0000-03-01 and 1970-01-01.
        let day = days + 719_468;
        let (era, of_era) = (day / 146_097, day % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Civil {
            year: era * 400 + year + later,
            month,
            day,
            // 1970 began with a Thursday.
            weekday: (days + 3) % 7,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            millisecond: self.0 % 1000,
        }
    }
}

/// A time in UTC by the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// As it is written: 2026.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 is a Monday.
    pub weekday: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
    /// 0 to 999.
    pub millisecond: u64,
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |seconds: u64| {
            let Civil { year, month, day, weekday, .. } = Time(seconds * 1000).civil();
            (year, month, day, weekday)
        };
        assert_eq!(of(0), (1970, 1, 1, 3));
        assert_eq!(of(951_782_399), (2000, 2, 28, 0));
        assert_eq!(of(951_782_400), (2000, 2, 29, 1));
        assert_eq!(of(1_709_251_199), (2024, 2, 29, 3));
        assert_eq!(of(1_767_225_600), (2026, 1, 1, 3));
        assert_eq!(of(4_107_542_400), (2100, 3, 1, 0));
        let Civil { hour, minute, second, millisecond, .. } = Time(1_795_243_503_120).civil();
        assert_eq!((hour, minute, second, millisecond), (6, 45, 3, 120));
    }
}
