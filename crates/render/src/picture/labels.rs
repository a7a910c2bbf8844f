//! Cable labels: one for each end of each cable, on sheets of labels or as CSV for a label printer.
//!
//! A label is a flag: its middle goes around the cable, its halves stick to each other and say the same: this end, and where
//! the other one is.

use super::letters::Face;
use super::page::{Paper, Sheet};
use super::pulls::{Pulls, cell};
use super::svg::{Align, Area, Canvas, Type};
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

/// The two labels of each cable, beside each other, in the order of the pull lists.
pub fn labels(pulls: &Pulls<'_>, how: Labels) -> Vec<Sheet> {
    let index = pulls.index();
    let mut ends = Vec::new();
    for (outer, inner, _) in pulls.ends() {
        ends.extend([(outer, inner), (inner, outer)]);
    }
    let Stock { paper, columns, rows, label, first, step } = how.stock;
    let (width, height) = paper.size();
    let each = columns * rows;
    let skip = how.skip % each;
    let of = (ends.len() + skip).div_ceil(each);
    let mut sheets = Vec::new();
    for part in 0..of {
        let mut canvas = Canvas::new(
            width,
            height,
            &format!("Cable labels of {}, sheet {} of {of}", index.design().zone.name, part + 1),
        );
        for at in 0..each {
            let Some((own, far)) = (part * each + at).checked_sub(skip).and_then(|at| ends.get(at)) else {
                continue;
            };
            let (column, row) = ((at % columns) as f64, (at / columns) as f64);
            let area = Area::new(first.0 + column * step.0, first.1 + row * step.1, label.0, label.1);
            let name = |end: &model::design::PortRef| index.device(end.device).name.as_str();
            let words = [name(own), index.port(*own), name(far), index.port(*far)];
            canvas.open("label", &words.join(" "), "");
            flag(&mut canvas, area, how.cable, words);
            canvas.close();
        }
        let name = if of > 1 { format!("labels-{}", part + 1) } else { "labels".to_owned() };
        sheets.push(Sheet::bare(&name, canvas));
    }
    sheets
}

fn flag(canvas: &mut Canvas, area: Area, cable: f64, words: [&str; 4]) {
    // Around the cable, and a little for hands that are not exact; half a label is left in any case.
    let around = (cable * std::f64::consts::PI + 1.0).clamp(0.0, area.width / 2.0);
    // Labels are cut some tenths of a millimetre beside where they should be.
    let inset = 1.5;
    let width = (area.width - around) / 2.0 - inset;
    let middle = area.x + area.width / 2.0;
    canvas.line((middle, area.y + 0.8), (middle, area.y + 2.0), "thin");
    canvas.line((middle, area.bottom() - 2.0), (middle, area.bottom() - 0.8), "thin");
    let height = (area.height - 2.0 * inset) / 4.0;
    for x in [area.x + inset, middle + around / 2.0] {
        let line = |at: usize| Area::new(x, area.y + inset + at as f64 * height, width, height);
        let [own, own_port, far, far_port] = words;
        let middle = |face, size: f64| Type { least: 1.3, ..Type::new(face, size).align(Align::Middle) };
        canvas.text(line(0), middle(Face::Bold, height * 0.75), own);
        canvas.text(line(1), middle(Face::Mono, height * 0.6), own_port);
        canvas.text(line(2), middle(Face::Sans, height * 0.7), &format!("→ {far}"));
        canvas.text(line(3), middle(Face::Mono, height * 0.6), far_port);
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
