//! Patterns: `u{01..36}`, `Ethernet{0..124..4}`.
//!
//! In: the text of a label or a port list. Out: every name it stands for, in order.

use crate::limits::{DEVICES_MAX, NAMES_BYTES_MAX, PATTERN_MAX, TEMPLATE_MAX};
use crate::report::Report;
use crate::syntax::Spanned;
use model::finding::{Code, Finding, Source};

/// Every name a pattern stands for; the text itself if it has no braces. Several braces count like an odometer, the
/// last one fastest. Padding is that of the first number.
pub(crate) fn expand(report: &mut Report, pattern: &Spanned<String>) -> Option<Vec<String>> {
    // What it takes at most is known before any of it is held.
    let bytes = |count: usize| count.saturating_mul(pattern.value.len() + size_of::<String>());
    match expanded(&pattern.value, |count| report.may_hold_names(bytes(count))) {
        Ok(names) => Some(names),
        Err(sentence) => {
            report.push(
                Finding::error(Code::BadPattern, pattern.source, sentence)
                    .help("a pattern is `{first..last}` or `{first..last..step}`, as in `u{01..36}`"),
            );
            None
        }
    }
}

/// All names of several patterns. Each keeps the place of its pattern.
pub(crate) fn expand_all(report: &mut Report, patterns: &[Spanned<String>]) -> Vec<(String, Source)> {
    let mut names = Vec::new();
    for pattern in patterns {
        for name in expand(report, pattern).unwrap_or_default() {
            names.push((name, pattern.source));
        }
        if names.len() > DEVICES_MAX {
            let sentence = format!("the labels up to here stand for more than {DEVICES_MAX} names");
            report.push(Finding::error(Code::BadPattern, pattern.source, sentence));
            break;
        }
    }
    names
}

fn expanded(pattern: &str, mut may_hold: impl FnMut(usize) -> bool) -> Result<Vec<String>, String> {
    if pattern.len() > TEMPLATE_MAX {
        return Err(format!("a name of {} bytes is too long: {TEMPLATE_MAX} are allowed", pattern.len()));
    }
    let mut ranges = Vec::new();
    let mut rest = pattern;
    let mut total = 1_usize;
    while let Some(open) = rest.find('{') {
        let length = rest[open..].find('}').ok_or_else(|| format!("`{pattern}` has a `{{` without `}}`"))?;
        let before = &rest[..open];
        let range = Range::read(&rest[open + 1..open + length])?;
        if before.contains('}') {
            break;
        }
        total = range
            .count()
            .checked_mul(total)
            .filter(|total| *total <= PATTERN_MAX)
            .ok_or_else(|| format!("`{pattern}` stands for more than {PATTERN_MAX} names"))?;
        ranges.push((before, range));
        rest = &rest[open + length + 1..];
    }
    if rest.contains('}') {
        return Err(format!("`{pattern}` has a `}}` without `{{`"));
    }
    if !may_hold(total) {
        let most = NAMES_BYTES_MAX >> 20;
        return Err(format!("the labels and ports up to here take more than {most} MiB when written out"));
    }
    let mut names = vec![String::new()];
    for (before, range) in ranges {
        names = names
            .iter()
            .flat_map(|name| range.numbers().map(move |number| (name, number)))
            .map(|(name, number)| format!("{name}{before}{number:0width$}", width = range.width))
            .collect();
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

struct Range {
    first: u32,
    last: u32,
    step: u32,
    width: usize,
}

impl Range {
    fn read(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split("..").collect();
        let (first, last, step) = match parts[..] {
            [first, last] => (first, last, "1"),
            [first, last, step] => (first, last, step),
            _ => return Err(format!("`{{{text}}}` is not a range")),
        };
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| part.parse::<u32>().ok())
                .flatten()
                .ok_or_else(|| format!("`{part}` in `{{{text}}}` is not a number"))
        };
        let padded = |part: &str| part.len() > 1 && part.starts_with('0');
        let range =
            Self { first: number(first)?, last: number(last)?, step: number(step)?, width: first.len() };
        if range.first > range.last {
            return Err(format!("`{{{text}}}` counts down"));
        }
        if range.step == 0 {
            return Err(format!("`{{{text}}}` has a step of 0"));
        }
        if (padded(first) || padded(last)) && first.len() != last.len() {
            return Err(format!("`{first}` and `{last}` in `{{{text}}}` are not padded alike"));
        }
        Ok(Self { width: if padded(first) { range.width } else { 1 }, ..range })
    }

    fn count(&self) -> usize {
        ((self.last - self.first) / self.step) as usize + 1
    }

    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        (self.first..=self.last).step_by(self.step as usize)
    }
}

/// The number that a name ends in: 7 for `r07`.
pub(crate) fn trailing_number(name: &str) -> Option<u32> {
    let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
    name[digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(pattern: &str, expected: Expect) {
        let shown = match expanded(pattern, |_| true) {
            Ok(names) => names.join(" "),
            Err(sentence) => format!("error: {sentence}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn patterns_expand() {
        check("leaf", expect!["leaf"]);
        check("", expect![""]);
        check("u{08..11}", expect!["u08 u09 u10 u11"]);
        check("u{8..11}", expect!["u8 u9 u10 u11"]);
        check("Ethernet{0..12..4}", expect!["Ethernet0 Ethernet4 Ethernet8 Ethernet12"]);
        check("e{1..2}/{1..2}", expect!["e1/1 e1/2 e2/1 e2/2"]);
        check("u{7..7}x", expect!["u7x"]);
        check("{00..00}", expect!["00"]);
    }

    #[test]
    fn patterns_that_cannot_be_expanded() {
        check("u{1..", expect!["error: `u{1..` has a `{` without `}`"]);
        check("u1}", expect!["error: `u1}` has a `}` without `{`"]);
        check("u}{1..2}", expect!["error: `u}{1..2}` has a `}` without `{`"]);
        check("u{}", expect!["error: `{}` is not a range"]);
        check("u{1-4}", expect!["error: `{1-4}` is not a range"]);
        check("u{a..b}", expect!["error: `a` in `{a..b}` is not a number"]);
        check("u{4..1}", expect!["error: `{4..1}` counts down"]);
        check("u{1..4..0}", expect!["error: `{1..4..0}` has a step of 0"]);
        check("u{01..100}", expect!["error: `01` and `100` in `{01..100}` are not padded alike"]);
        check("u{1..99999}", expect!["error: `u{1..99999}` stands for more than 16384 names"]);
        check(
            "{1..9999}{1..9999}{1..9999}",
            expect!["error: `{1..9999}{1..9999}{1..9999}` stands for more than 16384 names"],
        );
        check(&"x".repeat(256), expect!["error: a name of 256 bytes is too long: 255 are allowed"]);
        check("{1..99999999999}", expect!["error: `99999999999` in `{1..99999999999}` is not a number"]);
    }

    #[test]
    fn a_name_ends_in_its_number() {
        assert_eq!(trailing_number("r07"), Some(7));
        assert_eq!(trailing_number("tor-a"), None);
        assert_eq!(trailing_number("12"), Some(12));
        assert_eq!(trailing_number("x99999999999999"), None);
    }
}
