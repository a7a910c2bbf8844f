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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_all_their_digits() {
        assert_eq!(date_and_time(Time(951_782_400_000)), "2000-02-29T00:00:00Z");
        assert_eq!(exact(Time(1_795_243_503_120)), "2026-11-21 06:45:03.120");
    }
}
