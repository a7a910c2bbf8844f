//! Rack elevations: what stands in each rack, unit by unit as the design counts, the lowest at the bottom.
//!
//! Switches and other devices have no unit in a design; they stand above the units. What stands in a pod or in the zone outside
//! racks has a sheet of its own.

use super::index::{Index, count, kind_word};
use super::letters::{self, Face};
use super::page::{Head, Page, Paper, Sheet, body};
use super::places::{Place, Places};
use super::svg::{Align, Area, Canvas, Type};
use model::Plan;
use model::design::DeviceKind;
use model::ids::DeviceId;

/// The least height of a unit that can be read, and the most that looks like one, in millimetres.
const ROW_MIN: f64 = 3.2;
const ROW_MAX: f64 = 8.0;
/// The least width of a rack in a row of racks.
const RACK_MIN: f64 = 44.0;
const LEGEND: f64 = 6.0;
/// The width of the unit numbers, and of the strip that tells roles apart.
const NUMBER: f64 = 7.0;
const STRIP: f64 = 3.5;
/// Ports that are drawn one by one; more are counted.
const PORTS_DRAWN_MAX: usize = 128;

/// How elevations are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elevations {
    /// The paper.
    pub paper: Paper,
    /// The racks of a pod beside each other, as many as the paper has room for, lying; otherwise one on each sheet, upright, with
    /// every cable.
    pub row: bool,
}

/// One row of a rack: a unit, or a device without one.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The number beside it.
    unit: Option<u32>,
    device: Option<DeviceId>,
    /// How many units it takes.
    height: u32,
}

/// What a column of rows is headed by.
struct Column {
    place: Place,
    title: String,
    rows: Vec<Row>,
}

/// The sheets of these places.
pub fn elevations(plan: &Plan, places: &Places, how: Elevations) -> Vec<Sheet> {
    let index = Index::new(plan);
    if how.row { in_rows(&index, places, how.paper) } else { one_by_one(&index, places, how.paper) }
}

fn one_by_one(index: &Index<'_>, places: &Places, paper: Paper) -> Vec<Sheet> {
    let room = body(paper, false);
    let mut sheets = Vec::new();
    for &place in places.list() {
        let rows = rows(index, place);
        if rows.is_empty() {
            continue;
        }
        let parts = split(rows, room.height - LEGEND, ROW_MIN);
        let of = parts.len();
        for (part, rows) in parts.into_iter().enumerate() {
            let words = place.words(index.design());
            let title = if matches!(place, Place::Rack(_)) {
                format!("Rack {words}")
            } else {
                format!("{words}, outside racks")
            };
            let head = Head {
                name: format!("elevation-{words}"),
                title: &title,
                under: &figures(index, &[place]),
                foot: foot(place),
                part: Some((part + 1, of)),
            };
            let mut page = Page::new(paper, false, &index.design().zone.name, head);
            let body = page.body;
            let row = row_height(&rows, body.height - LEGEND);
            let column = Area::new(body.x, body.y, body.width, row * units(&rows));
            rack(index, &mut page.canvas, column, row, place, &rows, true);
            legend(
                index,
                &mut page.canvas,
                Area::new(body.x, body.bottom() - LEGEND, body.width, LEGEND),
                &rows,
            );
            sheets.push(page.finish());
        }
    }
    sheets
}

/// Racks beside each other, those of a pod together.
fn in_rows(index: &Index<'_>, places: &Places, paper: Paper) -> Vec<Sheet> {
    let design = index.design();
    let room = body(paper, true);
    let title_height = 6.0;
    let mut groups: Vec<(String, Vec<Column>)> = Vec::new();
    for &place in places.list() {
        let group = match place {
            Place::Zone => design.zone.name.clone(),
            Place::Pod(pod) => design.pods[pod.index()].location.within_zone().to_owned(),
            Place::Rack(rack) => {
                design.pods[design.racks[rack.index()].pod.index()].location.within_zone().to_owned()
            }
        };
        let rows = rows(index, place);
        if rows.is_empty() {
            continue;
        }
        let title = match place {
            Place::Rack(rack) => design.racks[rack.index()].location.leaf().to_owned(),
            Place::Zone | Place::Pod(_) => "outside racks".to_owned(),
        };
        let parts = split(rows, room.height - LEGEND - title_height, ROW_MIN);
        let columns = parts.into_iter().map(|rows| Column { place, title: title.clone(), rows });
        match groups.last_mut().filter(|(name, _)| *name == group) {
            Some((_, known)) => known.extend(columns),
            None => groups.push((group, columns.collect())),
        }
    }
    let beside = ((room.width / RACK_MIN).floor() as usize).max(1);
    let mut sheets = Vec::new();
    for (group, columns) in groups {
        let of = columns.len().div_ceil(beside);
        // As many on each sheet, so that the last is not a rack alone where that can be helped.
        for (part, columns) in columns.chunks(columns.len().div_ceil(of)).enumerate() {
            let mut shown: Vec<Place> = columns.iter().map(|column| column.place).collect();
            shown.dedup();
            let title = if shown == [Place::Zone] {
                format!("{group}, outside racks")
            } else {
                format!("Racks of {group}")
            };
            let head = Head {
                name: format!("elevations-{group}"),
                title: &title,
                under: &figures(index, &shown),
                foot: foot(Place::Zone),
                part: Some((part + 1, of)),
            };
            let mut page = Page::new(paper, true, &design.zone.name, head);
            let body = page.body;
            let gap = 4.0;
            let width = ((body.width + gap) / columns.len() as f64 - gap).min(75.0);
            let below = body.height - LEGEND - title_height;
            // All racks of a sheet to one scale, on one floor.
            let row = columns.iter().map(|column| row_height(&column.rows, below)).fold(ROW_MAX, f64::min);
            let floor = body.y
                + title_height
                + columns.iter().map(|column| row * units(&column.rows)).fold(0.0, f64::max);
            for (at, column) in columns.iter().enumerate() {
                let height = row * units(&column.rows);
                let area = Area::new(body.x + at as f64 * (width + gap), floor - height, width, height);
                let above = Area::new(area.x, area.y - title_height, width, title_height - 1.0);
                page.canvas.text(above, Type::new(Face::Bold, 3.6), &column.title);
                rack(index, &mut page.canvas, area, row, column.place, &column.rows, false);
            }
            let all: Vec<Row> = columns.iter().flat_map(|column| column.rows.iter().copied()).collect();
            legend(
                index,
                &mut page.canvas,
                Area::new(body.x, body.bottom() - LEGEND, body.width, LEGEND),
                &all,
            );
            sheets.push(page.finish());
        }
    }
    sheets
}

/// A place from top to bottom: what has no unit, then the units that the capacity has.
fn rows(index: &Index<'_>, place: Place) -> Vec<Row> {
    let devices = index.devices_in(place);
    let mut rows: Vec<Row> = Vec::new();
    let mut standing: Vec<(u32, DeviceId)> = Vec::new();
    for &id in devices {
        match index.unit(id) {
            Some(unit) => standing.push((unit, id)),
            None => rows.push(Row { unit: None, device: Some(id), height: 1 }),
        }
    }
    rows.sort_by_key(|row| row.device.map(|id| super::index::tier(index.device(id).kind)));
    if !matches!(place, Place::Rack(_)) {
        return rows;
    }
    let zone = &index.design().zone;
    let (first, mut top) = (zone.count_from, zone.count_from + zone.capacity.units.max(1) - 1);
    standing.sort_unstable();
    top = standing.last().map_or(top, |(unit, _)| top.max(*unit));
    let highest = standing.last().map_or(0, |(unit, id)| unit + index.model(*id).height - 1);
    top = top.max(highest);
    let mut upwards = Vec::new();
    let mut unit = first;
    let mut standing = standing.into_iter().peekable();
    while unit <= top {
        let Some((_, id)) = standing.next_if(|(at, _)| *at <= unit) else {
            upwards.push(Row { unit: Some(unit), device: None, height: 1 });
            unit += 1;
            continue;
        };
        // What reaches into the next is drawn up to there; the design was warned of.
        let room = standing.peek().map_or(u32::MAX, |(next, _)| next.saturating_sub(unit).max(1));
        let height = index.model(id).height.min(room);
        upwards.push(Row { unit: Some(unit), device: Some(id), height });
        unit += height;
    }
    rows.extend(upwards.into_iter().rev());
    rows
}

/// As many sheets as are needed for rows of at least this height.
fn split(rows: Vec<Row>, height: f64, least: f64) -> Vec<Vec<Row>> {
    let most = (height / least).floor().max(1.0);
    let parts = (units(&rows) / most).ceil().max(1.0);
    let each = (units(&rows) / parts).ceil();
    let mut sheets: Vec<Vec<Row>> = Vec::new();
    let mut left = 0.0;
    for row in rows {
        let takes = f64::from(row.height);
        match sheets.last_mut().filter(|_| takes <= left) {
            Some(sheet) => sheet.push(row),
            None => {
                sheets.push(vec![row]);
                left = each;
            }
        }
        left -= takes;
    }
    sheets
}

fn units(rows: &[Row]) -> f64 {
    rows.iter().map(|row| f64::from(row.height)).sum()
}

fn row_height(rows: &[Row], height: f64) -> f64 {
    (height / units(rows).max(1.0)).min(ROW_MAX)
}

/// Draws the rows from the top of the area down.
fn rack(
    index: &Index<'_>,
    canvas: &mut Canvas,
    area: Area,
    row_height: f64,
    place: Place,
    rows: &[Row],
    in_full: bool,
) {
    let mut y = area.y;
    let inner = Area::new(area.x + NUMBER, area.y, area.width - NUMBER, area.height);
    for row in rows {
        let height = row_height * f64::from(row.height);
        if let Some(unit) = row.unit {
            let number = Type::new(Face::Mono, 2.6).align(Align::Right);
            let beside = Area::new(area.x, y, NUMBER - 1.2, row_height.min(height));
            canvas.text(
                beside,
                if row.device.is_some() { number } else { number.faint() },
                &unit.to_string(),
            );
        }
        let slot = Area::new(inner.x, y, inner.width, height);
        match row.device {
            Some(id) => device(index, canvas, slot, place, id, in_full),
            None => canvas.rect(slot, "free"),
        }
        y += height;
    }
    canvas.rect(inner, "frame");
}

fn device(index: &Index<'_>, canvas: &mut Canvas, slot: Area, place: Place, id: DeviceId, in_full: bool) {
    let device = index.device(id);
    let ends = index.cables_of(id);
    let kind = index.kind(id);
    canvas.open(
        "device",
        device.location.as_str(),
        &format!("{} · {} · {kind}", device.location, device.name),
    );
    canvas.rect(slot, "box");
    let strip = Area::new(slot.x, slot.y, STRIP, slot.height);
    match fill_of(index, id) {
        Some(fill) => canvas.fill(strip, fill),
        None => canvas.rect(strip, "used"),
    }
    let words = Area::new(strip.right() + 1.0, slot.y, slot.width - STRIP - 2.0, slot.height);
    let (name, small) = (Type::new(Face::Bold, 2.8), Type::new(Face::Sans, 2.3));
    let ports = index.model(id).ports.len();
    let mut used: Vec<usize> = ends.iter().map(|(own, _)| own.port.index()).collect();
    used.dedup();
    let count = format!("{} of {ports} ports", used.len());
    if !in_full {
        // What a row of racks has room for: the name, and the role.
        let right = (words.width * 0.36).min(22.0);
        canvas.text(Area::new(words.x, slot.y, words.width - right - 1.0, slot.height), name, &device.name);
        let aside = Area::new(words.right() - right, slot.y, right, slot.height);
        let said = if device.kind.is_switch() {
            format!("{} {}/{ports}", kind_word(device.kind), used.len())
        } else {
            role_or_kind(index, id).to_owned()
        };
        canvas.text(aside, Type::new(Face::Sans, 2.1).align(Align::Right), &said);
        canvas.close();
        return;
    }
    let (first, second) = (words.width * 0.27, words.width * 0.24);
    canvas.text(Area::new(words.x, slot.y, first - 1.0, slot.height), name, &device.name);
    canvas.text(Area::new(words.x + first, slot.y, second - 1.0, slot.height), small, &kind);
    let rest = Area::new(words.x + first + second, slot.y, words.width - first - second, slot.height);
    let is_machine = matches!(device.kind, DeviceKind::Machine | DeviceKind::Controller);
    if is_machine && ends.len() <= 6 {
        let leads = |(own, far): &(_, model::design::PortRef)| {
            format!("{} {} {}", index.port(*own), index.short(far.device, place), index.port(*far))
        };
        let said: Vec<String> = ends.iter().map(leads).collect();
        canvas.text(rest, Type::new(Face::Mono, 2.3), &said.join(" · "));
    } else {
        let counted = 21.0;
        canvas.text(
            Area::new(rest.x, rest.y, counted - 1.0, rest.height),
            Type::new(Face::Mono, 2.0),
            &count,
        );
        if (1..=PORTS_DRAWN_MAX).contains(&ports) {
            let panel = Area::new(rest.x + counted, rest.y, rest.width - counted, rest.height);
            front(canvas, panel, ports, &used);
        }
    }
    canvas.close();
}

/// The ports of a switch in two rows, odd ones above, as front panels have them.
fn front(canvas: &mut Canvas, area: Area, ports: usize, used: &[usize]) {
    let columns = ports.div_ceil(2);
    let step = (area.width / columns as f64).min(area.height / 2.4).min(2.4);
    let side = step * 0.8;
    let top = area.y + (area.height - 2.0 * step) / 2.0 + (step - side) / 2.0;
    for port in 0..ports {
        let (column, line) = ((port / 2) as f64, (port % 2) as f64);
        let square = Area::new(area.x + column * step, top + line * step, side, side);
        canvas.rect(square, if used.contains(&port) { "used" } else { "open" });
    }
}

/// The fill of its role; `None`: it is no machine.
fn fill_of(index: &Index<'_>, id: DeviceId) -> Option<usize> {
    let device = index.device(id);
    match device.kind {
        DeviceKind::Machine | DeviceKind::Controller => Some(device.role.map_or(7, |role| role.index())),
        _ => None,
    }
}

fn role_or_kind<'p>(index: &Index<'p>, id: DeviceId) -> &'p str {
    let device = index.device(id);
    device.role.map_or(kind_word(device.kind), |role| index.design().roles[role.index()].name.as_str())
}

/// What the strips mean, for those that are there.
fn legend(index: &Index<'_>, canvas: &mut Canvas, area: Area, rows: &[Row]) {
    let mut shown: Vec<(Option<usize>, &str)> = Vec::new();
    for id in rows.iter().filter_map(|row| row.device) {
        let entry = match fill_of(index, id) {
            Some(fill) => (Some(fill), role_or_kind(index, id)),
            None => (None, "switches and others"),
        };
        if !shown.contains(&entry) {
            shown.push(entry);
        }
    }
    shown.sort_unstable();
    let mut x = area.x;
    for (fill, word) in shown {
        let width = letters::width(word, Face::Sans) * 2.5 + 1.0;
        if x + width + 8.0 > area.right() {
            break;
        }
        let sample = Area::new(x, area.bottom() - 4.0, 6.0, 3.0);
        match fill {
            Some(fill) => canvas.fill(sample, fill),
            None => canvas.rect(sample, "used"),
        }
        canvas.text(Area::new(x + 7.5, area.bottom() - 4.3, width, 3.6), Type::new(Face::Sans, 2.5), word);
        x += width + 13.0;
    }
}

fn figures(index: &Index<'_>, places: &[Place]) -> String {
    let devices: Vec<DeviceId> = places.iter().flat_map(|place| index.devices_in(*place)).copied().collect();
    let count_of =
        |wanted: fn(DeviceKind) -> bool| devices.iter().filter(|id| wanted(index.device(**id).kind)).count();
    let parts = [
        (count_of(|kind| kind == DeviceKind::Machine), "machine"),
        (count_of(|kind| kind == DeviceKind::Controller), "controller"),
        (count_of(|kind| kind == DeviceKind::Other), "other device"),
    ];
    let switches = match count_of(DeviceKind::is_switch) {
        0 => None,
        1 => Some("1 switch".to_owned()),
        switches => Some(format!("{switches} switches")),
    };
    let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(number, word)| count(number, word));
    parts.chain(switches).collect::<Vec<_>>().join(", ")
}

fn foot(place: Place) -> &'static str {
    match place {
        Place::Rack(_) => {
            "Units as the design counts them. Switches have no unit in it and stand above. Dashed: free. A filled port has a cable."
        }
        Place::Zone | Place::Pod(_) => {
            "Units as the design counts them. Switches have no unit in it and stand above. Dashed: free."
        }
    }
}
