//! Times as people read them. All in UTC.

use model::Time;
use model::time::Civil;
use std::time::Duration;

/// `2026-11-21T06:45:03Z`.
pub(crate) fn date_and_time(time: Time) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = time.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-11-21 06:45:03.120`.
pub(crate) fn exact(time: Time) -> String {
    let Civil { year, month, day, hour, minute, second, millisecond, .. } = time.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03}")
}

/// How long ago, in words: `3 min 5 s ago`.
pub(crate) fn ago(time: Time, now: Time) -> String {
    format!("{} ago", lifecycle::why::duration(now.since(time)))
}

/// `2.4 s`, `3 min 5 s`, of milliseconds.
pub(crate) fn took(milliseconds: u64) -> String {
    lifecycle::why::duration(Duration::from_millis(milliseconds))
}

/// Since when, as people say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Since {
    /// A time.
    At(Time),
    /// So many seconds ago.
    Ago(u64),
}

impl Since {
    /// The time, by whose clock it is now.
    pub(crate) fn time(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(seconds) => Time(now.0.saturating_sub(seconds.saturating_mul(1000))),
        }
    }
}

/// A time as it is printed (`2026-11-21T06:45:03Z`; a space for the `T` and no `Z` are fine, UTC in any case), or how long ago:
/// `90s`, `30m`, `12h`, `7d`, as designs say it.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    let at = || time(text).map(Since::At);
    seconds_of(text).map(Since::Ago).or_else(at).ok_or_else(|| {
        "say a time (UTC) as 2026-11-21T06:45:03Z, or how long ago: 90s, 30m, 12h, 7d".to_owned()
    })
}

fn seconds_of(text: &str) -> Option<u64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count = &text[..text.len() - 1];
    number(count).filter(|_| !count.is_empty())?.checked_mul(unit)
}

fn time(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' '])?;
    let mut date = date.split('-').map(number);
    let mut clock = clock.split(':').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if date.next().is_some() || clock.next().is_some() || !(1970..=9999).contains(&year) {
        return None;
    }
    // Leap days before a year, and days before a month of one without.
    let leaps = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap = leaps(year + 1) > leaps(year);
    let of_year = before.get(usize::try_from(month.checked_sub(1)?).ok()?)? + u64::from(is_leap && month > 2);
    let days = (year - 1970) * 365 + leaps(year) - leaps(1970) + of_year + day.checked_sub(1)?;
    let time = Time((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000);
    // What the calendar does not have (a 30th of February) is another time.
    let said = Civil { year, month, day, hour, minute, second, ..time.civil() };
    (time.civil() == said).then_some(time)
}

/// Digits alone, and few: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    (text.len() <= 9 && text.bytes().all(|it| it.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_it_is_printed_or_by_how_long_ago_it_is() {
        for seconds in (0..253_402_300_800).step_by(86_399 * 17) {
            let time = Time(seconds * 1000);
            assert_eq!(since(&date_and_time(time)), Ok(Since::At(time)));
        }
        assert_eq!(since("2026-11-21 06:45:03"), Ok(Since::At(Time(1_795_243_503_000))));
        assert_eq!(since("2024-02-29T23:59:59Z"), Ok(Since::At(Time(1_709_251_199_000))));
        assert_eq!(
            [since("90s"), since("30m"), since("12h"), since("7d")],
            [90, 1800, 43_200, 604_800].map(|it| Ok(Since::Ago(it)))
        );
        assert_eq!(Since::Ago(2).time(Time(5_000)), Time(3_000));
        assert_eq!(Since::Ago(u64::MAX).time(Time(5_000)), Time(0));
        for wrong in [
            "",
            "m",
            "-5m",
            "+5m",
            "5",
            "5w",
            "5 m",
            "1µ",
            "9999999999d",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T06:60:00Z",
            "2026-11-21",
            "1969-12-31T23:59:59Z",
            "2026-11-21T06:45",
            "2026-11-21T06:45:03ZZ",
            "2026-11-21-1T06:45:03Z",
            "99999-01-01T00:00:00Z",
            "2026-11-21T06:45:999999999",
        ] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_written_with_all_their_digits() {
        assert_eq!(date_and_time(Time(951_782_400_000)), "2000-02-29T00:00:00Z");
        assert_eq!(exact(Time(1_795_243_503_120)), "2026-11-21 06:45:03.120");
    }
}
