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
