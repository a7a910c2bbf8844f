//! Cabling: the zone and its pods from afar (`tiers`), each rack port by port.
//!
//! A rack's cables are a grid: a row for each device, a column for each device that it leads to, a cell for each cable. It has no
//! crossings however many there are. A cable stands where its outer end does, so once over all sheets.

use super::index::{Index, count, outer_first};
use super::letters::Face;
use super::page::{Head, Page, Paper, Sheet, body};
use super::places::{Place, Places};
use super::svg::{Align, Area, Type};
use super::tiers;
use model::Plan;
use model::design::{Cable, PortRef};
use model::ids::DeviceId;
use std::collections::BTreeMap;

const COLUMN_MIN: f64 = 28.0;
const COLUMN_MAX: f64 = 48.0;
const LINE_MIN: f64 = 3.3;
const LINE_MAX: f64 = 6.5;
const NAMES: f64 = 46.0;
const TOP: f64 = 9.0;

/// The sheets: the zone, its pods, and each place with cables of its own.
pub fn cabling(plan: &Plan, places: &Places, paper: Paper) -> Vec<Sheet> {
    let index = Index::new(plan);
    let mut of: BTreeMap<Place, Vec<&Cable>> = BTreeMap::new();
    for cable in &plan.design.cables {
        let (outer, _) = outer_first(&plan.design, cable);
        of.entry(index.place(outer.device)).or_default().push(cable);
    }
    let mut sheets = if places.has_zone() { tiers::zone(&index, paper) } else { Vec::new() };
    for &place in places.list() {
        if let Place::Pod(pod) = place {
            sheets.extend(tiers::pod(&index, pod, paper));
        }
        if let Some(cables) = of.get(&place) {
            sheets.extend(grid(&index, place, cables, paper));
        }
    }
    sheets
}

/// One row: a device, and its cables by column.
struct Row<'p> {
    device: DeviceId,
    cells: BTreeMap<usize, Vec<(PortRef, PortRef, &'p Cable)>>,
}

impl Row<'_> {
    /// Lines of text that it takes.
    fn lines(&self) -> usize {
        self.cells.values().map(Vec::len).max().unwrap_or(0)
    }
}

fn grid(index: &Index<'_>, place: Place, cables: &[&Cable], paper: Paper) -> Vec<Sheet> {
    let design = index.design();
    let ends = |cable: &Cable| outer_first(design, cable);
    // Rows as the place is read: switches, then machines by unit.
    let mut devices: Vec<DeviceId> = cables.iter().map(|cable| ends(cable).0.device).collect();
    devices.sort_by_key(|id| (super::index::tier(index.device(*id).kind), index.unit(*id), *id));
    devices.dedup();
    let row_of: BTreeMap<DeviceId, usize> = devices.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    // Columns from the middle of the network outwards, as the design counts: nothing can cross, so people find what they know.
    let mut columns: Vec<DeviceId> = cables.iter().map(|cable| ends(cable).1.device).collect();
    columns.sort_by_key(|id| (super::index::tier(index.device(*id).kind), *id));
    columns.dedup();
    let landscape = columns.len() > 5;
    let room = body(paper, landscape);
    let beside = (((room.width - NAMES) / COLUMN_MIN).floor() as usize).max(1);
    let most = (((room.height - TOP) / LINE_MIN).floor() as usize).max(1);
    let mut pages: Vec<(Vec<DeviceId>, Vec<Row<'_>>)> = Vec::new();
    for columns in columns.chunks(beside) {
        let column_of: BTreeMap<DeviceId, usize> =
            columns.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let mut rows: Vec<Row<'_>> =
            devices.iter().map(|id| Row { device: *id, cells: BTreeMap::new() }).collect();
        for cable in cables {
            let (outer, inner) = ends(cable);
            if let Some(column) = column_of.get(&inner.device) {
                rows[row_of[&outer.device]].cells.entry(*column).or_default().push((outer, inner, cable));
            }
        }
        rows.retain(|row| !row.cells.is_empty());
        for part in paged(rows, most) {
            pages.push((columns.to_vec(), part));
        }
    }
    let of = pages.len();
    let words = place.words(design);
    let title = match place {
        Place::Rack(_) => format!("Cables of rack {words}"),
        Place::Pod(_) | Place::Zone => format!("Cables of {words}, outside racks"),
    };
    let under = count(cables.len(), "cable");
    let sheet = |(part, (columns, rows)): (usize, (Vec<DeviceId>, Vec<Row<'_>>))| {
        let head = Head {
            name: format!("cables-{words}"),
            title: &title,
            under: &under,
            foot: "Own port → port of the device above. Cables between two racks are on the sheet of the outer end: machines before switches, leaves before spines.",
            part: Some((part + 1, of)),
        };
        drawn(index, place, Page::new(paper, landscape, &design.zone.name, head), &columns, &rows)
    };
    pages.into_iter().enumerate().map(sheet).collect()
}

/// Rows on sheets of so many lines; a row with more is divided.
fn paged(rows: Vec<Row<'_>>, most: usize) -> Vec<Vec<Row<'_>>> {
    let mut pages: Vec<Vec<Row<'_>>> = Vec::new();
    let mut left = 0;
    for mut row in rows {
        while row.lines() > most {
            let mut head = Row { device: row.device, cells: BTreeMap::new() };
            for (column, cell) in &mut row.cells {
                let rest = cell.split_off(cell.len().min(most));
                head.cells.insert(*column, std::mem::replace(cell, rest));
            }
            head.cells.retain(|_, cell| !cell.is_empty());
            row.cells.retain(|_, cell| !cell.is_empty());
            pages.push(vec![head]);
            left = 0;
        }
        let lines = row.lines();
        if lines == 0 {
            continue;
        }
        match pages.last_mut().filter(|_| lines <= left) {
            Some(page) => page.push(row),
            None => {
                pages.push(vec![row]);
                left = most;
            }
        }
        left -= lines;
    }
    pages
}

fn drawn(index: &Index<'_>, place: Place, mut page: Page, columns: &[DeviceId], rows: &[Row<'_>]) -> Sheet {
    let body = page.body;
    let canvas = &mut page.canvas;
    let width = ((body.width - NAMES) / columns.len() as f64).min(COLUMN_MAX);
    let lines: usize = rows.iter().map(Row::lines).sum();
    let line = ((body.height - TOP) / lines.max(1) as f64).min(LINE_MAX);
    let rail = |column: usize| body.x + NAMES + column as f64 * width + 1.5;
    let bottom = body.y + TOP + line * lines as f64;
    for (at, id) in columns.iter().enumerate() {
        let x = rail(at) - 0.8;
        canvas.text(
            Area::new(x, body.y, width - 1.0, 4.2),
            Type::new(Face::Bold, 2.8),
            index.short(*id, place),
        );
        canvas.text(
            Area::new(x, body.y + 4.2, width - 1.0, 3.4),
            Type::new(Face::Sans, 2.1),
            &index.kind(*id),
        );
        canvas.line((rail(at), body.y + TOP - 1.0), (rail(at), bottom), "line");
    }
    let mut y = body.y + TOP;
    for (at, row) in rows.iter().enumerate() {
        let height = line * row.lines() as f64;
        if at % 2 == 0 {
            canvas.rect(Area::new(body.x, y, NAMES + width * columns.len() as f64, height), "soft");
        }
        let device = index.device(row.device);
        let unit = index.unit(row.device).map(|unit| unit.to_string()).unwrap_or_default();
        let first = Area::new(body.x, y, 7.0, line);
        canvas.text(first, Type::new(Face::Mono, 2.5).align(Align::Right), &unit);
        canvas.text(Area::new(body.x + 8.5, y, NAMES - 10.0, line), Type::new(Face::Bold, 2.6), &device.name);
        y += height;
    }
    // The rails lie over the shading, the cells over the rails.
    for at in 0..columns.len() {
        canvas.line((rail(at), body.y + TOP - 1.0), (rail(at), bottom), "line");
    }
    let mut y = body.y + TOP;
    for row in rows {
        for (column, cell) in &row.cells {
            for (at, (outer, inner, cable)) in cell.iter().enumerate() {
                let top = y + at as f64 * line;
                let (own, far) = (index.port(*outer), index.port(*inner));
                let name = |end: &PortRef| &index.device(end.device).name;
                let whole = format!("{} {own} {} {far}", name(outer), name(inner));
                let speed = cable.mbps.map(|mbps| format!(" {}", tiers::speed(mbps))).unwrap_or_default();
                canvas.open("cable", &whole, "");
                canvas.dot(rail(*column), top + line / 2.0, 0.55);
                let words = Area::new(rail(*column) + 1.4, top, width - 3.4, line);
                canvas.text(words, Type::new(Face::Mono, 2.3), &format!("{own} → {far}{speed}"));
                canvas.close();
            }
        }
        y += line * row.lines() as f64;
    }
    page.finish()
}
