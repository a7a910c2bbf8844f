//! Cable labels: one for each end of each cable, on sheets of labels or as CSV for a label printer.
//!
//! A label is a flag: its middle goes around the cable, its halves stick to each other and say the same: this end, and where
//! the other one is.

use super::letters::{self, Face};
use super::page::{Paper, Sheet};
use super::pulls::{Pulls, cell};
use super::svg::{Align, Area, Canvas, Type};
use model::design::PortRef;
use std::fmt::Write;

/// A sheet of labels, in millimetres.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stock {
    paper: Paper,
    columns: usize,
    rows: usize,
    label: (f64, f64),
    /// The upper left corner of the first label.
    first: (f64, f64),
    /// From one label to the next.
    step: (f64, f64),
}

impl Stock {
    /// A4, 4 × 12 labels of 45.7 × 21.2 mm.
    pub const A4_48: Self = Self {
        paper: Paper::A4,
        columns: 4,
        rows: 12,
        label: (45.7, 21.2),
        first: (9.7, 21.3),
        step: (48.3, 21.2),
    };
    /// A4, 3 × 8 labels of 63.5 × 33.9 mm.
    pub const A4_24: Self = Self {
        paper: Paper::A4,
        columns: 3,
        rows: 8,
        label: (63.5, 33.9),
        first: (7.2, 12.9),
        step: (66.0, 33.9),
    };
    /// Letter, 3 × 10 labels of 2⅝ × 1 inches.
    pub const LETTER_30: Self = Self {
        paper: Paper::Letter,
        columns: 3,
        rows: 10,
        label: (66.675, 25.4),
        first: (3.969, 12.7),
        step: (70.644, 25.4),
    };
}

/// How labels are laid out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Labels {
    /// The sheets.
    pub stock: Stock,
    /// The thickest cable, in millimetres: what the middle goes around.
    pub cable: f64,
    /// Labels of the first sheet that are used up.
    pub skip: usize,
}

/// The least size that is read on a cable in a rack, the largest that is of use, and how finely sizes differ, in hundredths of a
/// millimetre.
const SIZES: std::ops::RangeInclusive<u32> = 180..=400;
const STEP: u32 = 5;
/// What stands between the two ends at least, in lines.
const BETWEEN: f64 = 0.5;
/// Labels are cut some tenths of a millimetre beside where they should be.
const INSET: f64 = 1.5;

/// What a label says: this end's device and port, and the other's.
type Words<'p> = [&'p str; 4];

/// How each of them is set, and what stands before it.
const KINDS: [(Face, &str); 4] = [(Face::Bold, ""), (Face::Mono, ""), (Face::Sans, "→ "), (Face::Mono, "")];

/// A label whose words have no room in letters that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TooSmall {
    /// What it should say.
    pub words: String,
}

/// The two labels of each cable, beside each other, in the order of the pull lists; all in one size, and nothing is cut.
pub fn labels(pulls: &Pulls<'_>, how: Labels) -> Result<Vec<Sheet>, TooSmall> {
    let index = pulls.index();
    let name = |end: PortRef| index.device(end.device).name.as_str();
    let words = |own, far| [name(own), index.port(own), name(far), index.port(far)];
    let labels: Vec<Words<'_>> =
        pulls.ends().flat_map(|(outer, inner, _)| [words(outer, inner), words(inner, outer)]).collect();
    let size = size(&labels, how)?;
    let Stock { paper, columns, rows, label, first, step } = how.stock;
    let (width, height) = paper.size();
    let each = columns * rows;
    let skip = how.skip % each;
    let of = (labels.len() + skip).div_ceil(each);
    let mut sheets = Vec::new();
    for part in 0..of {
        let mut canvas = Canvas::new(
            width,
            height,
            &format!("Cable labels of {}, sheet {} of {of}", index.design().zone.name, part + 1),
        );
        for at in 0..each {
            let Some(words) = (part * each + at).checked_sub(skip).and_then(|at| labels.get(at)) else {
                continue;
            };
            let (column, row) = ((at % columns) as f64, (at / columns) as f64);
            let area = Area::new(first.0 + column * step.0, first.1 + row * step.1, label.0, label.1);
            canvas.open("label", &words.join(" "), "");
            flag(&mut canvas, area, how, size, *words);
            canvas.close();
        }
        let name = if of > 1 { format!("labels-{}", part + 1) } else { "labels".to_owned() };
        sheets.push(Sheet::bare(&name, canvas));
    }
    Ok(sheets)
}

impl Labels {
    /// What goes around the cable, and a little for hands that are not exact; half a label is left in any case.
    fn around(self) -> f64 {
        (self.cable * std::f64::consts::PI + 1.0).clamp(0.0, self.stock.label.0 / 2.0)
    }

    /// The width and height for words, on each half.
    fn room(self) -> (f64, f64) {
        let (width, height) = self.stock.label;
        ((width - self.around()) / 2.0 - INSET, height - 2.0 * INSET)
    }
}

/// The largest size that all of them have room in: labels of a set are read beside each other.
fn size(labels: &[Words<'_>], how: Labels) -> Result<f64, TooSmall> {
    let mut size = *SIZES.end();
    for words in labels {
        while lines(*words, how, millimetres(size)).is_none() {
            size -= STEP;
            if size < *SIZES.start() {
                return Err(TooSmall { words: words.join(" ") });
            }
        }
    }
    Ok(millimetres(size))
}

fn millimetres(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}

/// The lines of each of a label's words, if a half of it has room for them in this size.
fn lines<'p>(words: Words<'p>, how: Labels, size: f64) -> Option<Vec<Vec<&'p str>>> {
    let (width, height) = how.room();
    let least = millimetres(*SIZES.start());
    let all: Option<Vec<_>> = words
        .into_iter()
        .zip(KINDS)
        .map(|(words, (face, lead))| letters::lines(words, face, lead, width, size, least))
        .collect();
    all.filter(|all| (count(all) + BETWEEN) * size * letters::HEIGHT <= height)
}

fn count(lines: &[Vec<&str>]) -> f64 {
    lines.iter().map(Vec::len).sum::<usize>() as f64
}

fn flag(canvas: &mut Canvas, area: Area, how: Labels, size: f64, words: Words<'_>) {
    let Some(lines) = lines(words, how, size) else { return };
    let middle = area.x + area.width / 2.0;
    canvas.line((middle, area.y + 0.8), (middle, area.y + 2.0), "thin");
    canvas.line((middle, area.bottom() - 2.0), (middle, area.bottom() - 0.8), "thin");
    let (width, height) = how.room();
    let line = size * letters::HEIGHT;
    // What is left stands above, between the two ends, and below.
    let left = height - count(&lines) * line;
    let between = (left / 3.0).max(BETWEEN * line);
    for x in [area.x + INSET, middle + how.around() / 2.0] {
        let mut y = area.y + INSET + (left - between) / 2.0;
        for (at, (lines, (face, lead))) in lines.iter().zip(KINDS).enumerate() {
            let kind = Type { least: size, ..Type::new(face, size).align(Align::Middle) };
            y += if at == 2 { between } else { 0.0 };
            for (at, words) in lines.iter().enumerate() {
                // A hair more than it takes: rounding must not make it smaller.
                let area = Area::new(x, y, width, line + 0.01);
                let lead = if at == 0 { lead } else { "" };
                canvas.text(area, kind, &format!("{lead}{words}"));
                y += line;
            }
        }
    }
}

/// For label printers: a line for each label, `Place` being where that end is.
pub fn csv(pulls: &Pulls<'_>) -> String {
    let index = pulls.index();
    let design = index.design();
    let mut out = String::from("Place,ThisDevice,ThisPort,OtherDevice,OtherPort\n");
    for (outer, inner, _) in pulls.ends() {
        for (own, far) in [(outer, inner), (inner, outer)] {
            let (place, device) = (index.place(own.device), index.device(own.device));
            let far_name = &index.device(far.device).name;
            let cells = [place.words(design), &device.name, index.port(own), far_name, index.port(far)];
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", cells.map(cell).join(","));
        }
    }
    out
}
