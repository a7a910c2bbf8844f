//! Cable pull lists: the cables of each rack, by where they lead, with both ends and a length.
//!
//! A cable is on the list of its outer end: machines before switches, leaves before spines. Lengths are worked out from what a
//! design knows of places, see [`Pull::length`].

use super::index::{Index, count, outer_first};
use super::letters::Face;
use super::page::{Head, Page, Paper, Sheet, body};
use super::places::{Place, Places};
use super::svg::{Align, Area, Canvas, Type};
use super::tiers::speed;
use model::Plan;
use model::design::{Cable, PortRef};
use model::ids::DeviceId;
use std::borrow::Cow;
use std::fmt::Write;

/// A rack unit (EIA-310), and from the middle of a rack to that of its neighbour, in millimetres.
const UNIT: u32 = 45;
const RACK: u32 = 600;
/// From the top of a rack up to the tray, and what lies in loops and goes from front to side, in millimetres.
const TRAY: u32 = 300;
const SLACK: u32 = 600;
/// Lengths that are sold, in decimetres.
const SOLD: [u32; 16] = [5, 10, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 250, 300, 400, 500];

/// How lengths are worked out, for whoever reads them.
const HOW: &str = "Length: 45 mm a unit, 600 mm a rack of the same pod by way of the tray, 0.6 m slack, up to the next that is sold; switches are taken to stand on top. \
                   –: the design does not say where an end stands.";

/// One cable to pull.
pub struct Pull<'p> {
    place: Place,
    from: PortRef,
    to: PortRef,
    cable: &'p Cable,
    /// What to take from the shelf, in decimetres. `None`: an end stands outside racks, or in another pod.
    length: Option<u32>,
}

/// The lists of these places, one after the other.
pub struct Pulls<'p> {
    index: Index<'p>,
    pulls: Vec<Pull<'p>>,
}

impl<'p> Pulls<'p> {
    /// Those of the plan: by place, destination, and port there.
    pub fn of(plan: &'p Plan, places: &Places) -> Self {
        let index = Index::new(plan);
        let mut pulls: Vec<Pull<'p>> = Vec::new();
        for cable in &plan.design.cables {
            let (from, to) = outer_first(&plan.design, cable);
            let place = index.place(from.device);
            pulls.push(Pull { place, from, to, cable, length: length(&index, from.device, to.device) });
        }
        let at = |place: Place| places.list().iter().position(|it| *it == place);
        let order: std::collections::HashMap<Place, usize> =
            places.list().iter().filter_map(|place| Some((*place, at(*place)?))).collect();
        pulls.retain(|pull| order.contains_key(&pull.place));
        pulls.sort_by_key(|pull| (order.get(&pull.place).copied(), pull.to, pull.from));
        Self { index, pulls }
    }

    /// Whether there is nothing to pull.
    pub fn is_empty(&self) -> bool {
        self.pulls.is_empty()
    }

    pub(super) fn index(&self) -> &Index<'p> {
        &self.index
    }

    /// Both ends of each, the outer one first.
    pub(super) fn ends(&self) -> impl Iterator<Item = (PortRef, PortRef, Place)> {
        self.pulls.iter().map(|pull| (pull.from, pull.to, pull.place))
    }

    fn name(&self, id: DeviceId) -> &'p str {
        &self.index.device(id).name
    }

    fn unit(&self, id: DeviceId) -> String {
        self.index.unit(id).map(|unit| unit.to_string()).unwrap_or_default()
    }

    /// For a terminal, or a printer of lines: a box to tick, where it leads, where it begins.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for pulls in self.pulls.chunk_by(|a, b| a.place == b.place) {
            if !out.is_empty() {
                out.push('\n');
            }
            let words = pulls.first().map_or("", |pull| pull.place.words(self.index.design()));
            line(&mut out, format_args!("{words}: {}", count(pulls.len(), "cable")));
            let cells = |pull: &Pull<'_>| {
                [
                    self.name(pull.to.device).to_owned(),
                    self.index.port(pull.to).to_owned(),
                    self.name(pull.from.device).to_owned(),
                    self.index.port(pull.from).to_owned(),
                    metres(pull.length),
                ]
            };
            let rows: Vec<[String; 5]> = pulls.iter().map(cells).collect();
            let widths: Vec<usize> = (0..5)
                .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
                .collect();
            for (row, pull) in rows.iter().zip(pulls) {
                let mut text = String::from("[ ]");
                for (cell, width) in row.iter().zip(&widths) {
                    let _ = write!(text, "  {cell:<width$}");
                }
                if let Some(mbps) = pull.cable.mbps {
                    let _ = write!(text, "  {}", speed(mbps));
                }
                line(&mut out, format_args!("{}", text.trim_end()));
            }
        }
        out
    }

    /// For a spreadsheet: CSV (RFC 4180) with a header.
    pub fn csv(&self) -> String {
        let mut out = String::from(
            "Place,ToDevice,ToPort,FromDevice,FromPort,FromUnit,LengthM,BandWidth,VlanID,Done\n",
        );
        let design = self.index.design();
        for pull in &self.pulls {
            let cells = [
                pull.place.words(design),
                self.name(pull.to.device),
                self.index.port(pull.to),
                self.name(pull.from.device),
                self.index.port(pull.from),
                &self.unit(pull.from.device),
                &pull.length.map(number).unwrap_or_default(),
                &pull.cable.mbps.map(|mbps| mbps.to_string()).unwrap_or_default(),
                pull.cable.vlans.as_deref().unwrap_or_default(),
                "",
            ];
            line(&mut out, format_args!("{}", cells.map(cell).join(",")));
        }
        out
    }

    /// For the aisle: upright sheets in two columns, a list for each place.
    pub fn sheets(&self, paper: Paper) -> Vec<Sheet> {
        let room = body(paper, false);
        let (row, gap) = (5.0, 6.0);
        let lines = ((room.height / row).floor() as usize).max(4);
        let width = (room.width - gap) / 2.0;
        let mut sheets = Vec::new();
        for pulls in self.pulls.chunk_by(|a, b| a.place == b.place) {
            let Some(place) = pulls.first().map(|pull| pull.place) else { continue };
            // Columns of lines; a heading stands before the first of its cables, and again in each column.
            let mut columns: Vec<Vec<Line<'_, 'p>>> = vec![Vec::new()];
            for group in pulls.chunk_by(|a, b| a.to.device == b.to.device) {
                for (at, pull) in group.iter().enumerate() {
                    let full = columns.last().is_none_or(|column| column.len() + 2 > lines);
                    if full {
                        columns.push(Vec::new());
                    }
                    if let Some(column) = columns.last_mut() {
                        if at == 0 || full {
                            column.push(Line::Head(pull.to.device));
                        }
                        column.push(Line::Pull(pull));
                    }
                }
            }
            let words = place.words(self.index.design());
            let of = columns.len().div_ceil(2);
            for (part, columns) in columns.chunks(2).enumerate() {
                let head = Head {
                    name: format!("pulls-{words}"),
                    title: &format!("Cables to pull: {words}"),
                    under: &count(pulls.len(), "cable"),
                    foot: HOW,
                    part: Some((part + 1, of)),
                };
                let mut page = Page::new(paper, false, &self.index.design().zone.name, head);
                let body = page.body;
                for (at, column) in columns.iter().enumerate() {
                    let x = body.x + at as f64 * (width + gap);
                    for (down, line) in column.iter().enumerate() {
                        let area = Area::new(x, body.y + down as f64 * row, width, row);
                        match line {
                            Line::Head(id) => self.head(&mut page.canvas, area, *id),
                            Line::Pull(pull) => self.row(&mut page.canvas, area, pull),
                        }
                    }
                }
                sheets.push(page.finish());
            }
        }
        sheets
    }

    fn head(&self, canvas: &mut Canvas, area: Area, id: DeviceId) {
        let half = area.width * 0.56;
        let words = format!("to {}", self.name(id));
        canvas.text(
            Area::new(area.x, area.y + 0.6, half, area.height - 0.6),
            Type::new(Face::Bold, 3.0),
            &words,
        );
        let aside = Area::new(area.x + half + 1.0, area.y + 0.6, area.width - half - 1.0, area.height - 0.6);
        let kind = self.index.kind(id);
        canvas.text(aside, Type::new(Face::Sans, 2.2).align(Align::Right).faint(), &kind);
        canvas.line((area.x, area.bottom()), (area.right(), area.bottom()), "line");
    }

    fn row(&self, canvas: &mut Canvas, area: Area, pull: &Pull<'_>) {
        let (to, from) = (self.index.port(pull.to), self.index.port(pull.from));
        let (far, own) = (self.name(pull.to.device), self.name(pull.from.device));
        canvas.open("cable", &format!("{own} {from} {far} {to}"), "");
        canvas.rect(Area::new(area.x + 0.4, area.y + 0.9, 3.2, 3.2), "open");
        let mono = Type::new(Face::Mono, 2.4);
        // The port there, the device and port here, what to take.
        let parts = [(5.0, 0.25), (0.0, 0.38), (0.0, 0.19), (0.0, 0.18)];
        let room = area.width - 5.0;
        let speed = pull.cable.mbps.map(|mbps| format!(" {}", speed(mbps))).unwrap_or_default();
        let last = format!("{}{speed}", metres(pull.length));
        let kinds = [mono, Type::new(Face::Sans, 2.5), mono, mono.align(Align::Right)];
        let mut x = area.x;
        for ((skip, share), (kind, words)) in
            parts.into_iter().zip(kinds.into_iter().zip([to, own, from, &last]))
        {
            x += skip;
            canvas.text(Area::new(x, area.y, room * share - 1.2, area.height), kind, words);
            x += room * share;
        }
        canvas.line((area.x, area.bottom()), (area.right(), area.bottom()), "thin");
        canvas.close();
    }
}

/// A line of a list.
enum Line<'a, 'p> {
    Head(DeviceId),
    Pull(&'a Pull<'p>),
}

/// Decimetres, as sold. Within a rack: up or down and the slack. Between racks of a pod: up to the tray, along, and down.
fn length(index: &Index<'_>, a: DeviceId, b: DeviceId) -> Option<u32> {
    let design = index.design();
    let units = design.zone.capacity.units;
    let rack = |id: DeviceId| index.device(id).rack;
    let (first, second) = (rack(a)?, rack(b)?);
    // Counted from the lowest; what has no unit stands on top.
    let height = |id: DeviceId| index.unit(id).map_or(units, |unit| unit - design.zone.count_from);
    let millimetres = if first == second {
        UNIT * height(a).abs_diff(height(b)) + SLACK
    } else {
        let (first, second) = (&design.racks[first.index()], &design.racks[second.index()]);
        if first.pod != second.pod {
            return None;
        }
        let up = |id: DeviceId| UNIT * units.saturating_sub(height(id)) + TRAY;
        up(a) + up(b) + RACK * first.slot.abs_diff(second.slot) + SLACK
    };
    SOLD.into_iter().find(|sold| sold * 100 >= millimetres)
}

fn number(decimetres: u32) -> String {
    match decimetres % 10 {
        0 => (decimetres / 10).to_string(),
        rest => format!("{}.{rest}", decimetres / 10),
    }
}

fn metres(length: Option<u32>) -> String {
    length.map_or_else(|| "–".into(), |length| format!("{} m", number(length)))
}

/// RFC 4180 §2; what a spreadsheet would take for a formula begins with an apostrophe.
pub(super) fn cell(text: &str) -> Cow<'_, str> {
    let text: Cow<'_, str> =
        if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}").into() } else { text.into() };
    if text.contains(['"', ',', '\n', '\r']) || text.starts_with('#') {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text
    }
}

fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{words}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_computes_nothing_of_a_design() {
        assert_eq!([cell("=HYPERLINK(1)"), cell("a,b"), cell("swp1")], ["'=HYPERLINK(1)", "\"a,b\"", "swp1"]);
    }

    #[test]
    fn lengths_are_in_metres() {
        assert_eq!([Some(5), Some(10), Some(25), None].map(metres), ["0.5 m", "1 m", "2.5 m", "–"]);
    }
}
