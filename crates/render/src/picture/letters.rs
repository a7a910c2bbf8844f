//! How wide a text is, without its font: generic families are whatever a machine has, so the widest of those that are
//! common counts (DejaVu Sans and Verdana, which agree within a few per cent; monospaced ones are all 0.6 wide).

use std::borrow::Cow;

/// A line's height for a size of 1, and how far its baseline is below its middle.
pub(super) const HEIGHT: f64 = 1.2;
pub(super) const DROP: f64 = 0.35;

/// How letters are shaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Face {
    Sans,
    Bold,
    Mono,
}

/// Widths of the printable ASCII characters from the space on, in hundredths of the size.
const WIDTHS: [u8; 95] = [
    36, 41, 46, 84, 64, 108, 78, 28, 46, 46, 64, 84, 37, 46, 37, 46, // space to /
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 46, 46, 84, 84, 84, 55, // 0 to ?
    100, 69, 69, 70, 78, 64, 58, 78, 76, 43, 46, 70, 56, 87, 75, 79, // @ to O
    61, 79, 70, 69, 62, 74, 69, 99, 69, 62, 69, 46, 46, 46, 84, 64, // P to _
    64, 62, 64, 56, 64, 62, 36, 64, 64, 28, 35, 60, 28, 98, 64, 62, // ` to o
    64, 64, 43, 53, 40, 64, 60, 82, 60, 60, 53, 64, 46, 64, 84, // p to ~
];

/// What bold adds to each character.
const BOLD: f64 = 0.08;

/// The width of a text of size 1.
pub(super) fn width(text: &str, face: Face) -> f64 {
    text.chars().map(|character| advance(character, face)).sum()
}

fn advance(character: char, face: Face) -> f64 {
    let known = u32::from(character).checked_sub(0x20).and_then(|index| WIDTHS.get(index as usize));
    match (face, known) {
        (Face::Mono, Some(_)) => 0.61,
        (Face::Sans, Some(width)) => f64::from(*width) / 100.0,
        (Face::Bold, Some(width)) => f64::from(*width) / 100.0 + BOLD,
        // Arrows, signs and every other script: a square, as ideographs are.
        (_, None) => 1.0,
    }
}

/// A size between `most` and `least` with which the text is not longer than `room`, and what of the text is shown then.
/// `None`: not even `…` has room, or there is nothing to show.
pub(super) fn fit(text: &str, face: Face, room: f64, most: f64, least: f64) -> Option<(f64, Cow<'_, str>)> {
    if text.is_empty() || most <= 0.0 || room <= 0.0 {
        return None;
    }
    let whole = width(text, face);
    if whole * least <= room {
        // Rounded down to what is written, so that rounding never makes it longer than its room.
        let size = (most.min(room / whole) * 100.0).floor() / 100.0;
        return (size > 0.0).then_some((size, text.into()));
    }
    // Names differ at their ends as often as at their beginnings: the middle goes.
    let characters: Vec<char> = text.chars().collect();
    let size = (least * 100.0).floor() / 100.0;
    let mut kept = characters.len().saturating_sub(1);
    while kept > 0 {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let shown: String = characters
            .iter()
            .take(head)
            .chain([&'…'])
            .chain(characters.iter().skip(characters.len() - tail))
            .collect();
        if width(&shown, face) * size <= room {
            return (size > 0.0).then_some((size, shown.into()));
        }
        kept -= 1;
    }
    None
}

/// The lines of a text of this size, none longer than `room`, nothing left out: it is parted after what parts names (`-`, `.`, `/`)
/// and before a capital, and anywhere only where a part has no room at the `least` size either. `lead` stands before the first
/// line. `None`: the size is too large.
pub(super) fn lines<'t>(
    text: &'t str,
    face: Face,
    lead: &str,
    room: f64,
    size: f64,
    least: f64,
) -> Option<Vec<&'t str>> {
    let mut lines = Vec::new();
    let before = width(lead, face);
    let (mut from, mut used) = (0, before * size);
    for (at, part) in parts(text, face, before, room / least) {
        let long = width(part, face) * size;
        if used + long > room {
            // What leads is never alone.
            if at == from {
                return None;
            }
            lines.push(&text[from..at]);
            (from, used) = (at, 0.0);
        }
        used += long;
        if used > room {
            return None;
        }
    }
    lines.push(&text[from..]);
    Some(lines)
}

/// Where a text may be parted, and what follows there up to the next such place; `before` stands before the first of them.
fn parts(text: &str, face: Face, before: f64, long: f64) -> Vec<(usize, &str)> {
    let is_place = |at: usize| {
        let (before, after) = (text[..at].chars().next_back(), text[at..].chars().next());
        before.is_some_and(|it| matches!(it, '-' | '.' | '/' | ':' | '_' | ' '))
            || (before.is_some_and(char::is_lowercase) && after.is_some_and(char::is_uppercase))
    };
    let mut parts = Vec::new();
    let mut from = 0;
    let places = text.char_indices().map(|(at, _)| at).filter(|at| is_place(*at));
    for to in places.chain([text.len()]).filter(|to| *to > 0) {
        let part = &text[from..to];
        if width(part, face) + if from == 0 { before } else { 0.0 } > long {
            parts.extend(part.char_indices().map(|(at, it)| (from + at, &part[at..at + it.len_utf8()])));
        } else {
            parts.push((from, part));
        }
        from = to;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shrinks_and_then_loses_its_middle() {
        let check = |room: f64| {
            fit("hv-p01-r1-u14", Face::Mono, room, 2.5, 1.5).map(|(size, shown)| (size, shown.into_owned()))
        };
        assert_eq!(check(30.0), Some((2.5, "hv-p01-r1-u14".into())));
        assert_eq!(check(14.0), Some((1.76, "hv-p01-r1-u14".into())));
        assert_eq!(check(8.0), Some((1.5, "hv-p…u14".into())));
        assert_eq!(check(0.5), None);
    }

    #[test]
    fn a_text_in_lines_keeps_all_of_itself() {
        let check = |text: &str, lead: &str, room: f64, size: f64| {
            lines(text, Face::Mono, lead, room * 0.611 * size, size, 1.8).map(|lines| lines.join("|"))
        };
        assert_eq!(check("hv-p01-r1-u14", "", 13.0, 2.0).as_deref(), Some("hv-p01-r1-u14"));
        assert_eq!(check("hv-p01-r1-u14", "", 12.0, 2.0).as_deref(), Some("hv-p01-r1-|u14"));
        assert_eq!(check("hv-p01-r1-u14", "> ", 11.0, 2.0).as_deref(), Some("hv-p01-|r1-u14"));
        assert_eq!(check("GigabitEthernet1/0/48", "", 14.0, 1.8).as_deref(), Some("Gigabit|Ethernet1/0/48"));
        // A part that has room when it is smaller, and one that never has.
        assert_eq!(check("hypervisor-p01", "", 10.0, 2.0), None);
        assert_eq!(check("hypervisor-p01", "", 10.0, 1.8).as_deref(), Some("hypervisor|-p01"));
        assert_eq!(check("hypervisor-p01", "> ", 11.0, 1.8).as_deref(), Some("hyperviso|r-p01"));
        assert_eq!(check("hv-p01", "a long way", 8.0, 1.8), None);
        assert_eq!(check("", "", 8.0, 1.8).as_deref(), Some(""));
        assert_eq!(check("äöü", "", 2.0, 1.8).as_deref(), Some("ä|ö|ü"));
    }

    #[test]
    fn a_text_is_never_longer_than_its_room() {
        for face in [Face::Sans, Face::Bold, Face::Mono] {
            for room in 1..80 {
                let room = f64::from(room) / 2.0;
                if let Some((size, shown)) = fit("Ethernet1/31 → p07-r2-leaf-b", face, room, 3.0, 1.3) {
                    assert!(width(&shown, face) * size <= room, "{shown} {size} {room}");
                }
            }
        }
    }
}
