//! Times as people read them. All in UTC.

use model::Time;
use std::time::Duration;

/// `2026-11-21T06:45:03Z`.
pub(crate) fn date_and_time(time: Time) -> String {
    let (year, month, day) = date(time.0 / 86_400_000);
    let (hour, minute, second) = hms(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-11-21 06:45:03.120`.
pub(crate) fn exact(time: Time) -> String {
    let (year, month, day) = date(time.0 / 86_400_000);
    let (hour, minute, second) = hms(time);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", time.0 % 1000)
}

/// How long ago, in words: `3 min 5 s ago`.
pub(crate) fn ago(time: Time, now: Time) -> String {
    format!("{} ago", lifecycle::why::duration(now.since(time)))
}

/// `2.4 s`, `3 min 5 s`, of milliseconds.
pub(crate) fn took(milliseconds: u64) -> String {
    lifecycle::why::duration(Duration::from_millis(milliseconds))
}

fn hms(time: Time) -> (u64, u64, u64) {
    let seconds = time.0 / 1000 % 86_400;
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Counted in years that begin in March, so
/// that the leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |seconds: u64| date_and_time(Time(seconds * 1000));
        assert_eq!(of(0), "1970-01-01T00:00:00Z");
        assert_eq!(of(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(of(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(of(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(exact(Time(1_795_243_503_120)), "2026-11-21 06:45:03.120");
    }
}
