//! The SVG that all pictures are made of: a sheet in millimetres, with text that is measured before it is placed.
//!
//! What comes from a design is escaped here and nowhere else. The result is XML 1.0 without anything from elsewhere: no fonts,
//! no scripts, no links.

use super::letters::{self, Face};
use std::fmt::Write;

/// Colours of paper; on a screen that is dark, others. `print` is not `screen`, so paper stays white.
const STYLE: &str = "\
text{font-family:sans-serif;fill:#000}.m{font-family:monospace}.b{font-weight:bold}.n{fill:#555}\
.paper{fill:#fff}.box{fill:#fff;stroke:#000;stroke-width:.2}.free{fill:none;stroke:#777;stroke-width:.12;stroke-dasharray:.8 .8}\
.frame{fill:none;stroke:#000;stroke-width:.5}.line{fill:none;stroke:#000;stroke-width:.2}.thin{fill:none;stroke:#999;stroke-width:.12}\
.used{fill:#333}.open{fill:none;stroke:#555;stroke-width:.12}.soft{fill:#ececec}.edge{stroke:#222;stroke-width:.1}.dot{fill:#000}\
@media screen and (prefers-color-scheme:dark){text{fill:#eee}.n{fill:#aaa}.paper{fill:#15171a}.box{fill:#22262b;stroke:#ccc}\
.frame,.line{stroke:#ccc}.thin{stroke:#777}.used{fill:#ddd}.open{stroke:#aaa}.soft{fill:#2b3037}.dot{fill:#eee}.edge{stroke:#eee}}";

/// Fills that differ in colour, for eyes of every kind (Okabe and Ito's set), and in hatching, for a printer without colour:
/// the colour, and the lines over it in a tile of 2 mm.
const HATCHES: [(&str, &str); FILLS] = [
    ("#56b4e9", ""),
    ("#e69f00", "M0 2L2 0M-.5 .5L.5 -.5M1.5 2.5L2.5 1.5"),
    ("#009e73", "M0 1H2"),
    ("#f0e442", "M1 0V2"),
    ("#cc79a7", "M0 0L2 2M-.5 1.5L.5 2.5M1.5 -.5L2.5 .5"),
    ("#0072b2", "M0 1H2M1 0V2"),
    ("#d55e00", "M0 0L2 2M0 2L2 0"),
    ("#999999", "M.7 1H1.3"),
];

/// How many fills can be told apart; after them they begin again.
pub(super) const FILLS: usize = 8;

/// A rectangle, in millimetres from the sheet's upper left corner.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { x, y, width: width.max(0.0), height: height.max(0.0) }
    }

    pub(super) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.y + self.height
    }

    /// Whether the two have more than an edge in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// The same, smaller on every side.
    pub(super) fn inset(self, by: f64) -> Self {
        Self::new(self.x + by, self.y + by, self.width - 2.0 * by, self.height - 2.0 * by)
    }
}

/// Where in its area a text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) face: Face,
    /// The height of its letters' square, in millimetres: what is tried first, and the least that people can read.
    pub(super) size: f64,
    pub(super) least: f64,
    pub(super) align: Align,
    /// Grey: what is not looked for.
    pub(super) faint: bool,
}

impl Type {
    pub(super) fn new(face: Face, size: f64) -> Self {
        Self { face, size, least: (size * 0.55).max(1.2), align: Align::Left, faint: false }
    }

    pub(super) fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    pub(super) fn faint(self) -> Self {
        Self { faint: true, ..self }
    }
}

/// A sheet that is being drawn.
pub(super) struct Canvas {
    out: String,
    width: f64,
    height: f64,
}

impl Canvas {
    /// An empty sheet of this size; its title is what a screen reader says.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut canvas = Self { out: String::with_capacity(1 << 15), width, height };
        let (w, h) = (number(width), number(height));
        canvas.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}mm\" height=\"{h}mm\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n<defs>\n",
            escaped(title)
        ));
        for (index, (colour, lines)) in HATCHES.iter().enumerate() {
            canvas.push(format_args!(
                "<pattern id=\"f{index}\" width=\"2\" height=\"2\" patternUnits=\"userSpaceOnUse\"><rect width=\"2\" height=\"2\" fill=\"{colour}\"/>"
            ));
            if !lines.is_empty() {
                canvas.push(format_args!(
                    "<path d=\"{lines}\" fill=\"none\" stroke=\"#000\" stroke-width=\".3\"/>"
                ));
            }
            canvas.push(format_args!("</pattern>\n"));
        }
        canvas.push(format_args!("</defs>\n"));
        canvas.rect(Area::new(0.0, 0.0, width, height), "paper");
        canvas
    }

    pub(super) fn width(&self) -> f64 {
        self.width
    }

    pub(super) fn height(&self) -> f64 {
        self.height
    }

    pub(super) fn rect(&mut self, area: Area, class: &str) {
        let [x, y, w, h] = numbers(area);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>\n"
        ));
    }

    /// A rectangle in one of the fills.
    pub(super) fn fill(&mut self, area: Area, fill: usize) {
        let [x, y, w, h] = numbers(area);
        let fill = fill % FILLS;
        self.push(format_args!(
            "<rect class=\"edge\" fill=\"url(#f{fill})\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>\n"
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let [a, b, c, d] = [from.0, from.1, to.0, to.1].map(number);
        self.push(format_args!("<path class=\"{class}\" d=\"M{a} {b}L{c} {d}\"/>\n"));
    }

    /// A line whose width says how much it stands for, in millimetres.
    pub(super) fn thick(&mut self, from: (f64, f64), to: (f64, f64), width: f64) {
        let [a, b, c, d, w] = [from.0, from.1, to.0, to.1, width].map(number);
        self.push(format_args!("<path class=\"line\" style=\"stroke-width:{w}\" d=\"M{a} {b}L{c} {d}\"/>\n"));
    }

    /// A surface within these points, in one of the fills or in light grey.
    pub(super) fn surface(&mut self, points: &[(f64, f64)], fill: Option<usize>) {
        let Some(((x, y), rest)) = points.split_first() else { return };
        let mut path = format!("M{} {}", number(*x), number(*y));
        for (x, y) in rest {
            // Writing to a String cannot fail.
            let _ = write!(path, "L{} {}", number(*x), number(*y));
        }
        match fill.map(|fill| fill % FILLS) {
            Some(fill) => {
                self.push(format_args!("<path class=\"edge\" fill=\"url(#f{fill})\" d=\"{path}Z\"/>\n"))
            }
            None => self.push(format_args!("<path class=\"soft edge\" d=\"{path}Z\"/>\n")),
        }
    }

    /// A bow from one point to another, its belly so far below.
    pub(super) fn bow(&mut self, from: (f64, f64), to: (f64, f64), belly: f64) {
        let [a, b, c, d] = [from.0, from.1, to.0, to.1].map(number);
        let (e, f) = (number(from.1 + belly), number(to.1 + belly));
        self.push(format_args!("<path class=\"line\" d=\"M{a} {b}C{a} {e} {c} {f} {c} {d}\"/>\n"));
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64) {
        let [x, y, r] = [x, y, radius].map(number);
        self.push(format_args!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>\n"));
    }

    /// A text on one line in the middle of the area's height: as large as it may be, smaller where it must, cut with `…` where the
    /// least size does not do. What was cut is shown by a browser when it is pointed at.
    pub(super) fn text(&mut self, area: Area, kind: Type, words: &str) {
        self.set(area, kind, words, false);
    }

    /// The same, but all of it or nothing: what a part of would be taken for something else. Whether it was set.
    pub(super) fn whole(&mut self, area: Area, kind: Type, words: &str) -> bool {
        let size = kind.size.min(area.height / letters::HEIGHT);
        let has_room = letters::width(words, kind.face) * kind.least.min(size) <= area.width;
        if has_room {
            self.text(area, kind, words);
        }
        has_room
    }

    /// The same from bottom to top: the area's height is its length.
    pub(super) fn upright(&mut self, area: Area, kind: Type, words: &str) {
        self.set(area, kind, words, true);
    }

    fn set(&mut self, area: Area, kind: Type, words: &str, upright: bool) {
        let (along, across) = if upright { (area.height, area.width) } else { (area.width, area.height) };
        // A line of text is some 1.2 of its size high.
        let size = kind.size.min(across / letters::HEIGHT);
        let Some((size, shown)) = letters::fit(words, kind.face, along, size, kind.least.min(size)) else {
            return;
        };
        let anchor = match kind.align {
            Align::Left => "",
            Align::Middle => " text-anchor=\"middle\"",
            Align::Right => " text-anchor=\"end\"",
        };
        let part = match kind.align {
            Align::Left => 0.0,
            Align::Middle => 0.5,
            Align::Right => 1.0,
        };
        let class = [
            (kind.face == Face::Mono).then_some("m"),
            (kind.face == Face::Bold).then_some("b"),
            kind.faint.then_some("n"),
        ];
        let class = class.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let class = if class.is_empty() { class } else { format!(" class=\"{class}\"") };
        let drop = size * letters::DROP;
        let place = if upright {
            let (x, y) =
                (number(area.x + area.width / 2.0 + drop), number(area.y + area.height * (1.0 - part)));
            format!("x=\"{x}\" y=\"{y}\" transform=\"rotate(-90 {x} {y})\"")
        } else {
            let (x, y) = (area.x + area.width * part, area.y + area.height / 2.0 + drop);
            format!("x=\"{}\" y=\"{}\"", number(x), number(y))
        };
        let size = number(size);
        let shown_ = escaped(&shown);
        if shown == words {
            self.push(format_args!("<text{class}{anchor} {place} font-size=\"{size}\">{shown_}</text>\n"));
        } else {
            let whole = escaped(words);
            self.push(format_args!(
                "<text{class}{anchor} {place} font-size=\"{size}\">{shown_}<title>{whole}</title></text>\n"
            ));
        }
    }

    /// Opens a group that stands for one thing of the plan: `data-device`, `data-cable`, `data-block`. A browser shows `title` when it is
    /// pointed at.
    pub(super) fn open(&mut self, what: &str, which: &str, title: &str) {
        self.push(format_args!("<g data-{what}=\"{}\">", escaped(which)));
        if !title.is_empty() {
            self.push(format_args!("<title>{}</title>", escaped(title)));
        }
        self.out.push('\n');
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        self.out.push_str("</g>\n");
    }

    /// The document.
    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    fn push(&mut self, words: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.out.write_fmt(words);
    }
}

fn numbers(area: Area) -> [String; 4] {
    [area.x, area.y, area.width, area.height].map(number)
}

/// Hundredths of a millimetre, without what says nothing: the same on every machine.
pub(super) fn number(value: f64) -> String {
    let hundredths = (value * 100.0).round() / 100.0;
    // Minus nought is nought.
    let text = format!("{:.2}", if hundredths == 0.0 { 0.0 } else { hundredths });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text and attribute values (XML 1.0 §2.4, §2.2): what no document may have becomes U+FFFD, and so do the marks that turn the
/// direction of writing: a name must not rearrange what stands beside it.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}')
            }
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_design_says_stays_text() {
        assert_eq!(escaped("</text><script>&\"'"), "&lt;/text&gt;&lt;script&gt;&amp;&quot;&#39;");
        assert_eq!(escaped("a\u{0}\u{1b}\n\u{202e}b"), "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b");
    }

    #[test]
    fn numbers_are_short_and_the_same_everywhere() {
        assert_eq!(
            [0.0, -0.001, 1.0, 2.5, 1.0 / 3.0, 297.0].map(number),
            ["0", "0", "1", "2.5", "0.33", "297"]
        );
    }
}
