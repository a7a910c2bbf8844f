//! A sheet of paper: its size, its margins, its head and foot; many of them as one document for a printer.

use super::letters::Face;
use super::svg::{Align, Area, Canvas, Type, escaped, number};
use std::fmt::Write;

/// What printers leave white at most, and what a punch takes, in millimetres.
const MARGIN: f64 = 10.0;
const HEAD: f64 = 13.0;
const FOOT: f64 = 7.0;

/// Sizes of paper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paper {
    /// 210 × 297 mm.
    A4,
    /// 297 × 420 mm.
    A3,
    /// 8.5 × 11 inches.
    Letter,
    /// 11 × 17 inches.
    Tabloid,
}

impl Paper {
    /// Width and height, upright, in millimetres.
    pub(super) fn size(self) -> (f64, f64) {
        match self {
            Self::A4 => (210.0, 297.0),
            Self::A3 => (297.0, 420.0),
            Self::Letter => (215.9, 279.4),
            Self::Tabloid => (279.4, 431.8),
        }
    }
}

/// One sheet.
#[derive(Clone, PartialEq, Debug)]
pub struct Sheet {
    /// What its file is called, without `.svg`: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The document.
    pub svg: String,
    /// Its size in millimetres.
    width: f64,
    height: f64,
}

/// What stands at the head and the foot of a sheet.
pub(super) struct Head<'a> {
    /// Name of the file, without `.svg`.
    pub(super) name: String,
    pub(super) title: &'a str,
    /// Figures.
    pub(super) under: &'a str,
    /// What the reader must know.
    pub(super) foot: &'a str,
    /// `2 of 3`, where a subject takes several.
    pub(super) part: Option<(usize, usize)>,
}

/// A sheet that is being drawn, with what is free for drawing.
pub(super) struct Page {
    pub(super) canvas: Canvas,
    pub(super) body: Area,
    name: String,
}

/// What is free for drawing on a sheet.
pub(super) fn body(paper: Paper, landscape: bool) -> Area {
    let (width, height) = size(paper, landscape);
    Area::new(MARGIN, MARGIN + HEAD, width - 2.0 * MARGIN, height - 2.0 * MARGIN - HEAD - FOOT)
}

fn size(paper: Paper, landscape: bool) -> (f64, f64) {
    let (width, height) = paper.size();
    if landscape { (height, width) } else { (width, height) }
}

impl Sheet {
    /// A sheet without head and foot.
    pub(super) fn bare(name: &str, canvas: Canvas) -> Self {
        let (width, height) = (canvas.width(), canvas.height());
        Self { name: file_name(name), svg: canvas.finish(), width, height }
    }
}

impl Page {
    pub(super) fn new(paper: Paper, landscape: bool, zone: &str, head: Head<'_>) -> Self {
        let (width, height) = size(paper, landscape);
        let whole = format!("{} · {}", zone, head.title);
        let mut canvas = Canvas::new(width, height, &whole);
        let across = width - 2.0 * MARGIN;
        canvas.text(Area::new(MARGIN, MARGIN, across * 0.7, 6.0), Type::new(Face::Bold, 5.0), head.title);
        let right = Type::new(Face::Sans, 3.5).align(Align::Right);
        let zone = match head.part {
            Some((part, of)) if of > 1 => format!("{zone} · sheet {part} of {of}"),
            _ => zone.to_owned(),
        };
        canvas.text(Area::new(MARGIN + across * 0.72, MARGIN, across * 0.28, 6.0), right, &zone);
        canvas.text(Area::new(MARGIN, MARGIN + 6.2, across, 4.0), Type::new(Face::Sans, 2.8), head.under);
        let foot = Area::new(MARGIN, height - MARGIN - 3.4, across, 3.2);
        canvas.text(foot, Type::new(Face::Sans, 2.3).faint(), head.foot);
        let name = match head.part {
            Some((part, of)) if of > 1 => format!("{}-{part}", head.name),
            _ => head.name,
        };
        Self { canvas, body: body(paper, landscape), name: file_name(&name) }
    }

    pub(super) fn finish(self) -> Sheet {
        Sheet::bare(&self.name, self.canvas)
    }
}

/// What a file may be called on every system.
pub(super) fn file_name(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '_') { character } else { '-' }
    };
    name.chars().map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

/// All sheets as one HTML document: a browser prints each on a sheet of its own, in its own size.
pub fn html(title: &str, sheets: &[Sheet]) -> String {
    let mut sizes: Vec<(String, String)> = Vec::new();
    let mut parts = String::new();
    for sheet in sheets {
        let size = (number(sheet.width), number(sheet.height));
        let index = sizes.iter().position(|known| *known == size).unwrap_or_else(|| {
            sizes.push(size);
            sizes.len() - 1
        });
        // Writing to a String cannot fail.
        let _ =
            write!(parts, "<section class=\"p{index}\" id=\"{}\">\n{}</section>\n", sheet.name, sheet.svg);
    }
    let mut style = String::from(
        "body{margin:0}section{margin:4mm auto;box-shadow:0 0 2mm #888}svg{display:block;width:100%;height:auto}\
         @media print{section{margin:0;box-shadow:none;break-after:page}section:last-child{break-after:auto}}",
    );
    for (index, (width, height)) in sizes.iter().enumerate() {
        let _ = write!(
            style,
            "@page p{index}{{size:{width}mm {height}mm;margin:0}}.p{index}{{page:p{index};width:{width}mm}}"
        );
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n{parts}</body>\n</html>\n",
        escaped(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_leads_nowhere() {
        assert_eq!(file_name("../p01/r1 <x>"), "-p01-r1--x-");
        assert_eq!(file_name("elevation-p01-r1"), "elevation-p01-r1");
    }
}
