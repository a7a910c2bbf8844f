//! The `Range` header (RFC 9110 §14.1.2): which octets of a file of known size.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// Everything: the header is not understood, or asks for several parts. A server may always send the whole
    /// (§14.2), boot firmware never asks for several, and a thousand overlapping parts are an attack.
    Whole,
    /// One part, never empty.
    Part(Range<u64>),
    /// A part beyond the end.
    Unsatisfiable,
}

/// Reads the header for a file of `size` octets.
pub(super) fn parse(header: &str, size: u64) -> Asked {
    let Some((unit, set)) = header.split_once('=') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Asked::Whole };
    let range = match (first, last) {
        ("", suffix) => match number(suffix) {
            Some(length) => size.saturating_sub(length)..size,
            None => return Asked::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Asked::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            // A last before the first is not valid, and so ignored (§14.1.1).
            (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
            _ => return Asked::Whole,
        },
    };
    if range.is_empty() { Asked::Unsatisfiable } else { Asked::Part(range) }
}

/// Digits only. A number too large to hold is beyond the end of any file.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_ranges() {
        let part = |range: Range<u64>| Asked::Part(range);
        for (header, size, expected) in [
            ("bytes=0-99", 1000, part(0..100)),
            ("bytes=0-0", 1000, part(0..1)),
            ("bytes=999-999", 1000, part(999..1000)),
            ("bytes=990-2000", 1000, part(990..1000)),
            ("bytes=500-", 1000, part(500..1000)),
            ("bytes=-10", 1000, part(990..1000)),
            ("bytes=-5000", 1000, part(0..1000)),
            ("Bytes=1-2", 1000, part(1..3)),
            ("bytes= 1-2", 1000, part(1..3)),
            ("bytes=1000-", 1000, Asked::Unsatisfiable),
            ("bytes=1000-1001", 1000, Asked::Unsatisfiable),
            ("bytes=-0", 1000, Asked::Unsatisfiable),
            ("bytes=0-", 0, Asked::Unsatisfiable),
            ("bytes=-1", 0, Asked::Unsatisfiable),
            ("bytes=99999999999999999999-", 1000, Asked::Unsatisfiable),
            ("bytes=0-99999999999999999999", 1000, part(0..1000)),
            ("bytes=0-18446744073709551615", 1000, part(0..1000)),
            ("bytes=5-4", 1000, Asked::Whole),
            ("bytes=0-1,4-5", 1000, Asked::Whole),
            ("bytes=-", 1000, Asked::Whole),
            ("bytes=", 1000, Asked::Whole),
            ("bytes", 1000, Asked::Whole),
            ("", 1000, Asked::Whole),
            ("bytes=a-b", 1000, Asked::Whole),
            ("bytes=+1-2", 1000, Asked::Whole),
            ("bytes=1--2", 1000, Asked::Whole),
            ("seconds=1-2", 1000, Asked::Whole),
        ] {
            assert_eq!(parse(header, size), expected, "{header} of {size}");
        }
    }
}
