//! A storm: all machines of a zone that booted together, each through its phases, over time.
//!
//! What comes in are events as a controller tells them; what is drawn are the last boots that overlap or follow each other
//! closely, or those since a time that somebody says. First the whole (how many are in which phase at any time, how long phases
//! take, the slowest ten), then a line for each machine, or, of more than [`LINES_MAX`], a line for each rack.

use super::index::count;
use super::letters::{self, Face};
use super::page::{Head, Page, Paper, Sheet, body};
use super::svg::{Align, Area, Canvas, Type};
use model::time::Civil;
use model::{Location, Time};
use std::collections::BTreeMap;

/// So many machines get a line each; a rack's get one together beyond.
const LINES_MAX: usize = 400;
/// Where nothing boots for so many times what half of the boots take at most, one storm is over and another begins: machines of a
/// lab boot in less than a second, others take minutes. Within bounds, in milliseconds.
const APART: u64 = 3;
const APART_MIN_MS: u64 = 10 * 1000;
const APART_MAX_MS: u64 = 15 * 60 * 1000;
/// What part of the time is left at the right, so that the last steps are seen.
const MARGIN: u64 = 25;
const LINE: f64 = 2.9;
const NAMES: f64 = 44.0;
const TOTALS: f64 = 22.0;
const AXIS: f64 = 6.0;
const SLOWEST: usize = 10;

/// A machine with what happened to it, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Booted {
    /// Where it stands.
    pub location: Location,
    /// Its name.
    pub name: String,
    /// Its history, as far as it is kept.
    pub events: Vec<Happened>,
}

/// One event.
#[derive(Clone, PartialEq, Debug)]
pub struct Happened {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at: u64,
    /// It fetched a boot file.
    pub fetched: bool,
    /// The machine's state after it: `seen`, `booting`, …
    pub state: String,
}

/// What a machine is at while it boots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    Firmware,
    Loading,
    Starting,
    Installing,
    Validating,
}

impl Phase {
    const ALL: [Self; 5] =
        [Self::Firmware, Self::Loading, Self::Starting, Self::Installing, Self::Validating];

    fn words(self) -> &'static str {
        match self {
            Self::Firmware => "firmware, to its boot script",
            Self::Loading => "loading boot files",
            Self::Starting => "starting, to its agent",
            Self::Installing => "installing",
            Self::Validating => "validating",
        }
    }

    fn fill(self) -> usize {
        match self {
            Self::Firmware => 3,
            Self::Loading => 1,
            Self::Starting => 0,
            Self::Installing => 4,
            Self::Validating => 5,
        }
    }
}

/// The fill of those that are ready.
const READY: usize = 2;

/// How a boot ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Ready,
    /// Out of the boot, and not ready.
    Otherwise,
    /// It goes on.
    NotYet,
}

/// A machine's last boot; times in milliseconds since 1970.
struct Boot<'m> {
    machine: &'m Booted,
    stretches: Vec<(Phase, u64, u64)>,
    from: u64,
    to: u64,
    end: End,
}

/// The sheets, of boots that began at `since` (milliseconds since 1970) or later, or of the last that belong together. Empty: nothing
/// has booted.
pub fn boot(zone: &str, machines: &[Booted], since: Option<u64>, paper: Paper) -> Vec<Sheet> {
    let mut boots: Vec<Boot<'_>> = machines.iter().filter_map(last_boot).collect();
    boots.sort_by(|a, b| (a.from, &a.machine.location).cmp(&(b.from, &b.machine.location)));
    let first = match since {
        Some(since) => boots.partition_point(|boot| boot.from < since),
        None => first_of_the_last(&boots),
    };
    let boots = &mut boots[first..];
    let Some(start) = boots.first().map(|boot| boot.from) else { return Vec::new() };
    let end = boots.iter().map(|boot| boot.to).max().unwrap_or(start);
    boots.iter_mut().for_each(|boot| boot.last_until(end));
    let boots = &*boots;
    let span = (end - start).max(1);
    let is = |end: End| boots.iter().filter(|boot| boot.end == end).count();
    let before = if first > 0 { format!(" ({first} booted before)") } else { String::new() };
    let under = format!(
        "{} of {} since {} UTC{before}: {} ready, {} not yet, {} not well; {} from the first packet to the last event",
        boots.len(),
        count(machines.len(), "machine"),
        clock(start),
        is(End::Ready),
        is(End::NotYet),
        is(End::Otherwise),
        took(span)
    );
    let storm =
        Storm { zone, under: &under, start, shown: span.saturating_add((span / MARGIN).max(1)), paper };
    let mut sheets = vec![storm.whole(boots)];
    sheets.extend(if boots.len() <= LINES_MAX { storm.machines(boots) } else { storm.racks(boots) });
    sheets
}

/// Where the boots begin that belong together: from the newest back, as long as they follow each other.
fn first_of_the_last(boots: &[Boot<'_>]) -> usize {
    let mut over: Vec<u64> =
        boots.iter().filter(|boot| boot.end != End::NotYet).map(|boot| boot.to - boot.from).collect();
    over.sort_unstable();
    let apart = nth(&over, 50).map_or(APART_MAX_MS, |half| (APART * half).clamp(APART_MIN_MS, APART_MAX_MS));
    let mut ends = 0_u64;
    let mut first = 0;
    for (at, boot) in boots.iter().enumerate() {
        if boot.from > ends.saturating_add(apart) {
            first = at;
        }
        ends = ends.max(boot.to);
    }
    first
}

impl Boot<'_> {
    /// What is not over lasts until the last that is known of anybody: that nothing was heard of it does not mean that it ended.
    fn last_until(&mut self, end: u64) {
        if self.end == End::NotYet {
            self.to = end;
            if let Some(last) = self.stretches.last_mut() {
                last.2 = end;
            }
        }
    }

    /// The stretches that are over: how long the others take nobody knows yet.
    fn over(&self) -> &[(Phase, u64, u64)] {
        let is_last_over = self.end != End::NotYet;
        &self.stretches[..self.stretches.len() - usize::from(!is_last_over && !self.stretches.is_empty())]
    }
}

/// From the last event that brought it into `seen` out of another state.
fn last_boot(machine: &Booted) -> Option<Boot<'_>> {
    let events = &machine.events;
    let begins = |at: &usize| events[*at].state == "seen" && (*at == 0 || events[*at - 1].state != "seen");
    let begin = (0..events.len()).rev().find(begins)?;
    let events = &events[begin..];
    let last_file = |at: usize| {
        events[at + 1..].iter().take_while(|event| event.state == "booting").any(|event| event.fetched)
    };
    let mut stretches: Vec<(Phase, u64, u64)> = Vec::new();
    let (mut to, mut end) = (events[0].at, End::NotYet);
    for (at, event) in events.iter().enumerate() {
        to = to.max(event.at);
        if let Some(stretch) = stretches.last_mut() {
            stretch.2 = to;
        }
        let phase = match event.state.as_str() {
            "seen" => Phase::Firmware,
            "booting" if last_file(at) => Phase::Loading,
            "booting" => Phase::Starting,
            "installing" => Phase::Installing,
            "validating" => Phase::Validating,
            state => {
                end = if state == "ready" { End::Ready } else { End::Otherwise };
                break;
            }
        };
        if stretches.last().is_none_or(|stretch| stretch.0 != phase) {
            stretches.push((phase, to, to));
        }
    }
    Some(Boot { machine, stretches, from: events[0].at, to, end })
}

struct Storm<'a> {
    zone: &'a str,
    under: &'a str,
    start: u64,
    /// How long the sheets reach from there.
    shown: u64,
    paper: Paper,
}

impl Storm<'_> {
    fn page(&self, name: &str, title: &str, foot: &str, part: (usize, usize)) -> Page {
        let foot = format!(
            "A machine's last boot, from its first packet. {foot}{}Times are the controller's.",
            if foot.is_empty() { "" } else { " " }
        );
        let head = Head { name: name.to_owned(), title, under: self.under, foot: &foot, part: Some(part) };
        Page::new(self.paper, true, self.zone, head)
    }

    fn x(&self, bars: Area, at: u64) -> f64 {
        bars.x + bars.width * (at.saturating_sub(self.start) as f64 / self.shown as f64).min(1.0)
    }

    /// How many are in which phase, how long phases take, and the slowest.
    fn whole(&self, boots: &[Boot<'_>]) -> Sheet {
        let title = format!("Boot of {}", self.zone);
        let foot = "White, above: not begun, or out of it and not well. Figures: of phases that are over.";
        let mut page = self.page(&format!("boot-{}", self.zone), &title, foot, (1, 1));
        let body = page.body;
        let canvas = &mut page.canvas;
        let slow = SLOWEST.min(boots.len()) as f64 * 4.0 + AXIS;
        let table = 96.0;
        let chart = Area::new(
            body.x + 12.0,
            body.y + 2.0,
            body.width - 12.0 - table - 6.0,
            body.height - slow - AXIS - 12.0,
        );
        self.surfaces(canvas, chart, boots);
        self.axis(canvas, chart, boots.len());
        figures(canvas, Area::new(chart.right() + 6.0, body.y, table, chart.height), boots);
        let mut slowest: Vec<&Boot<'_>> = boots.iter().collect();
        // Those that are not there yet have taken longest.
        slowest
            .sort_by_key(|boot| (boot.end == End::Ready, std::cmp::Reverse(boot.to - boot.from), boot.from));
        let top = chart.bottom() + AXIS + 4.0;
        let heading = format!("The slowest {}, those that are not ready first", SLOWEST.min(boots.len()));
        canvas.text(Area::new(body.x, top, body.width, 4.5), Type::new(Face::Bold, 3.2), &heading);
        for (at, boot) in slowest.into_iter().take(SLOWEST).enumerate() {
            let area = Area::new(body.x, top + 5.0 + at as f64 * 4.0, body.width, 4.0);
            self.line(canvas, area, boot, false);
        }
        page.finish()
    }

    /// Stacked from below: ready, then the phases from the last to the first.
    fn surfaces(&self, canvas: &mut Canvas, chart: Area, boots: &[Boot<'_>]) {
        // Level 0 is ready; a machine that goes into a phase raises the levels from there on.
        let level =
            |phase: Phase| Phase::ALL.len() - Phase::ALL.iter().position(|it| *it == phase).unwrap_or(0);
        let mut changes: Vec<(u64, usize, i64)> = Vec::new();
        for boot in boots {
            for (at, (phase, from, to)) in boot.stretches.iter().enumerate() {
                changes.push((*from, level(*phase), 1));
                if boot.end != End::NotYet || at + 1 < boot.stretches.len() {
                    changes.push((*to, level(*phase), -1));
                }
            }
            if boot.end == End::Ready {
                changes.push((boot.to, 0, 1));
            }
        }
        changes.sort_unstable();
        let levels = Phase::ALL.len() + 1;
        let mut counts = vec![0_i64; levels];
        let mut edges: Vec<Vec<(f64, f64)>> = vec![Vec::new(); levels];
        let y = |sum: i64| chart.bottom() - chart.height * sum as f64 / boots.len().max(1) as f64;
        let mut at = 0;
        while let Some((time, ..)) = changes.get(at).copied() {
            let x = self.x(chart, time);
            let mut sum = 0;
            for (level, edge) in edges.iter_mut().enumerate() {
                sum += counts[level];
                edge.push((x, y(sum)));
            }
            while let Some((_, level, by)) = changes.get(at).copied().filter(|change| change.0 == time) {
                counts[level] += by;
                at += 1;
            }
            sum = 0;
            for (level, edge) in edges.iter_mut().enumerate() {
                sum += counts[level];
                edge.push((x, y(sum)));
            }
        }
        let mut below = vec![(chart.x, chart.bottom()), (chart.right(), chart.bottom())];
        for (level, mut edge) in edges.into_iter().enumerate() {
            edge.push((chart.right(), edge.last().map_or(chart.bottom(), |point| point.1)));
            edge.dedup();
            // Most of the surface is ready: no ink for it.
            let fill = Phase::ALL
                .iter()
                .nth_back(level.wrapping_sub(1))
                .filter(|_| level > 0)
                .map(|phase| phase.fill());
            let mut points = edge.clone();
            points.extend(below.iter().rev());
            if edge != below {
                canvas.surface(&points, fill);
            }
            below = edge;
        }
        canvas.rect(chart, "frame");
    }

    fn axis(&self, canvas: &mut Canvas, chart: Area, machines: usize) {
        self.ticks(canvas, chart);
        // Round numbers, five at most.
        let steps = (0..9).flat_map(|power| [1, 2, 5].map(|it| it * 10_usize.pow(power)));
        let step = steps.into_iter().find(|step| machines / step <= 5).unwrap_or(machines.max(1));
        for part in (0..=machines).step_by(step) {
            let y = chart.bottom() - chart.height * part as f64 / machines.max(1) as f64;
            let kind = Type::new(Face::Mono, 2.4).align(Align::Right);
            canvas.text(Area::new(chart.x - 12.0, y - 1.6, 10.8, 3.2), kind, &part.to_string());
            canvas.line((chart.x - 0.8, y), (chart.x, y), "line");
        }
    }

    /// Times since the start, below.
    fn ticks(&self, canvas: &mut Canvas, bars: Area) {
        const STEPS: [u64; 20] = [
            10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000,
            600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
        ];
        let most = (bars.width / 22.0).floor().max(2.0) as u64;
        let step = STEPS.into_iter().find(|step| self.shown / step <= most).unwrap_or(self.shown / most + 1);
        let mut at = 0;
        while at <= self.shown {
            let x = self.x(bars, self.start + at);
            canvas.line((x, bars.bottom()), (x, bars.bottom() + 1.0), "line");
            let kind = Type::new(Face::Mono, 2.3).align(Align::Middle);
            let words = Area::new((x - 9.0).min(bars.right() - 16.0), bars.bottom() + 1.2, 18.0, 3.2);
            canvas.text(words, kind, &took(at));
            at += step;
        }
    }

    fn machines(&self, boots: &[Boot<'_>]) -> Vec<Sheet> {
        let room = body(self.paper, true);
        let most = (((room.height - AXIS - 6.0) / LINE).floor() as usize).max(1);
        let of = boots.len().div_ceil(most);
        // The same on each sheet: those that any machine went through.
        let went_through =
            |phase: &Phase| boots.iter().flat_map(|boot| &boot.stretches).any(|stretch| stretch.0 == *phase);
        let phases: Vec<Phase> = Phase::ALL.into_iter().filter(went_through).collect();
        let sheet = |(part, boots): (usize, &[Boot<'_>])| {
            let title = format!("Boot of {}, machine by machine", self.zone);
            let foot = "In the order of their first packets.";
            let mut page = self.page(&format!("boot-{}-machines", self.zone), &title, foot, (part + 1, of));
            let body = page.body;
            legend(&mut page.canvas, Area::new(body.x, body.y, body.width, 4.0), &phases);
            let top = body.y + 6.0;
            for (at, boot) in boots.iter().enumerate() {
                let area = Area::new(body.x, top + at as f64 * LINE, body.width, LINE);
                self.line(&mut page.canvas, area, boot, true);
            }
            let height = LINE * boots.len() as f64;
            self.ticks(&mut page.canvas, Area::new(body.x + NAMES, top, body.width - NAMES - TOTALS, height));
            page.finish()
        };
        boots.chunks(most).enumerate().map(sheet).collect()
    }

    /// One machine's line.
    fn line(&self, canvas: &mut Canvas, area: Area, boot: &Boot<'_>, is_counted: bool) {
        if is_counted {
            canvas.open("device", boot.machine.location.as_str(), &spelled(boot));
        }
        let small = Type::new(Face::Sans, 2.3);
        let names = Area::new(area.x, area.y, NAMES - 2.0, area.height);
        canvas.text(names, small.align(Align::Right), &boot.machine.name);
        let bars = Area::new(area.x + NAMES, area.y, area.width - NAMES - TOTALS, area.height);
        for (phase, from, to) in &boot.stretches {
            let (left, right) = (self.x(bars, *from), self.x(bars, *to));
            let bar =
                Area::new(left, area.y + area.height * 0.12, (right - left).max(0.1), area.height * 0.76);
            canvas.fill(bar, phase.fill());
        }
        let total = match boot.end {
            End::Ready => took(boot.to - boot.from),
            End::Otherwise => format!("{} not well", took(boot.to - boot.from)),
            End::NotYet => format!("{} not yet", took(boot.to - boot.from)),
        };
        let beside = Area::new(bars.right() + 1.0, area.y, TOTALS - 1.0, area.height);
        canvas.text(beside, Type::new(Face::Mono, 2.1), &total);
        if is_counted {
            canvas.close();
        }
    }

    /// A line for each rack: from its first packet to its last machine, thick where the middle half of them became ready.
    fn racks(&self, boots: &[Boot<'_>]) -> Vec<Sheet> {
        let mut racks: BTreeMap<&str, Vec<&Boot<'_>>> = BTreeMap::new();
        for boot in boots {
            let path = boot.machine.location.as_str();
            racks.entry(path.rsplit_once('/').map_or(path, |(rack, _)| rack)).or_default().push(boot);
        }
        let racks: Vec<(&str, Vec<&Boot<'_>>)> = racks.into_iter().collect();
        let room = body(self.paper, true);
        let most = (((room.height - AXIS - 6.0) / LINE).floor() as usize).max(1);
        let of = racks.len().div_ceil(most);
        let mut sheets = Vec::new();
        for (part, racks) in racks.chunks(most).enumerate() {
            let title = format!("Boot of {}, rack by rack", self.zone);
            let mut page = self.page(&format!("boot-{}-racks", self.zone), &title, "", (part + 1, of));
            let body = page.body;
            let words = "thin: from the first packet of the rack to its last event; thick: the middle half of its machines became ready; stroke: half of them were";
            page.canvas.text(Area::new(body.x, body.y, body.width, 4.0), Type::new(Face::Sans, 2.5), words);
            let (top, bars) = (
                body.y + 6.0,
                Area::new(
                    body.x + NAMES,
                    body.y + 6.0,
                    body.width - NAMES - TOTALS,
                    LINE * racks.len() as f64,
                ),
            );
            for (at, (rack, boots)) in racks.iter().enumerate() {
                let y = top + at as f64 * LINE;
                let canvas = &mut page.canvas;
                let mut ready: Vec<u64> =
                    boots.iter().filter(|boot| boot.end == End::Ready).map(|boot| boot.to).collect();
                ready.sort_unstable();
                let from = boots.iter().map(|boot| boot.from).min().unwrap_or(self.start);
                let to = boots.iter().map(|boot| boot.to).max().unwrap_or(from);
                canvas.open("rack", rack, &format!("{rack}: {} of {} ready", ready.len(), boots.len()));
                let name = rack.split_once('/').map_or(*rack, |(_, rest)| rest);
                let names = Area::new(body.x, y, NAMES - 2.0, LINE);
                canvas.text(names, Type::new(Face::Sans, 2.3).align(Align::Right), name);
                let middle = y + LINE / 2.0;
                canvas.line((self.x(bars, from), middle), (self.x(bars, to), middle), "line");
                if let (Some(a), Some(m), Some(b)) = (nth(&ready, 25), nth(&ready, 50), nth(&ready, 75)) {
                    let (left, right) = (self.x(bars, a), self.x(bars, b));
                    canvas.fill(Area::new(left, y + LINE * 0.15, (right - left).max(0.2), LINE * 0.7), READY);
                    canvas.line((self.x(bars, m), y), (self.x(bars, m), y + LINE), "line");
                }
                let said = format!("{}/{} {}", ready.len(), boots.len(), took(to - from));
                canvas.text(
                    Area::new(bars.right() + 1.0, y, TOTALS - 1.0, LINE),
                    Type::new(Face::Mono, 2.1),
                    &said,
                );
                canvas.close();
            }
            self.ticks(&mut page.canvas, bars);
            sheets.push(page.finish());
        }
        sheets
    }
}

/// The value below which so many in a hundred are (nearest rank).
fn nth(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// How long each phase takes, where it is over: half of the machines, nine in ten, ninety-nine in a hundred, the longest.
fn figures(canvas: &mut Canvas, area: Area, boots: &[Boot<'_>]) {
    let widths = [0.42, 0.145, 0.145, 0.145, 0.145];
    let row = |canvas: &mut Canvas, y: f64, cells: [&str; 5], face: Face, fill: Option<usize>| {
        let mut x = area.x;
        for (at, (cell, share)) in cells.into_iter().zip(widths).enumerate() {
            let width = area.width * share;
            if at == 0 {
                let sample = Area::new(x, y + 0.9, 4.0, 2.8);
                match fill {
                    Some(READY) => canvas.rect(sample, "soft edge"),
                    Some(fill) => canvas.fill(sample, fill),
                    None => {}
                }
                canvas.text(Area::new(x + 5.5, y, width - 6.5, 4.6), Type::new(face, 2.5), cell);
            } else {
                let kind = Type::new(if face == Face::Bold { Face::Bold } else { Face::Mono }, 2.2);
                canvas.text(Area::new(x, y, width - 0.8, 4.6), kind.align(Align::Right), cell);
            }
            x += width;
        }
    };
    let mut y = area.y + 1.0;
    row(canvas, y, ["phase", "50 %", "90 %", "99 %", "longest"], Face::Bold, None);
    y += 5.0;
    let mut lines: Vec<(&str, Option<usize>, Vec<u64>)> = Vec::new();
    for phase in Phase::ALL {
        let of = |boot: &Boot<'_>| {
            let all = boot.over().iter().filter(|stretch| stretch.0 == phase);
            let sum: u64 = all.clone().map(|stretch| stretch.2 - stretch.1).sum();
            (all.count() > 0).then_some(sum)
        };
        lines.push((phase.words(), Some(phase.fill()), boots.iter().filter_map(of).collect()));
    }
    let whole = boots.iter().filter(|boot| boot.end == End::Ready).map(|boot| boot.to - boot.from).collect();
    lines.push(("ready, all in all", Some(READY), whole));
    for (words, fill, mut all) in lines {
        all.sort_unstable();
        if all.is_empty() {
            continue;
        }
        let of = |percent: usize| nth(&all, percent).map(took).unwrap_or_default();
        row(canvas, y, [words, &of(50), &of(90), &of(99), &of(100)], Face::Sans, fill);
        y += 5.0;
    }
}

fn legend(canvas: &mut Canvas, area: Area, phases: &[Phase]) {
    let mut x = area.x;
    for phase in phases {
        let width = letters::width(phase.words(), Face::Sans) * 2.5 + 1.0;
        canvas.fill(Area::new(x, area.y + 0.6, 5.0, 2.8), phase.fill());
        canvas.text(
            Area::new(x + 6.2, area.y, width, area.height),
            Type::new(Face::Sans, 2.5),
            phase.words(),
        );
        x += width + 10.0;
    }
}

fn spelled(boot: &Boot<'_>) -> String {
    let parts: Vec<String> = boot
        .stretches
        .iter()
        .map(|(phase, from, to)| format!("{} {}", phase.words(), took(to - from)))
        .collect();
    format!("{}: {}", boot.machine.location, parts.join("; "))
}

/// `0.42 s`, `12.3 s`, `3 m 04 s`, `1 h 02 m`.
fn took(milliseconds: u64) -> String {
    let tenths = (milliseconds + 50) / 100;
    match milliseconds {
        0 => "0".into(),
        1..1_000 => format!("{milliseconds} ms"),
        1_000..100_000 if tenths.is_multiple_of(10) => format!("{} s", tenths / 10),
        1_000..100_000 => format!("{}.{} s", tenths / 10, tenths % 10),
        100_000..3_600_000 => format!("{} m {:02} s", milliseconds / 60_000, milliseconds / 1_000 % 60),
        _ => format!("{} h {:02} m", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
    }
}

/// The time of day, with the date: `2026-11-21 06:45:03`.
fn clock(milliseconds: u64) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = Time(milliseconds).civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(at: u64, state: &str, fetched: bool) -> Happened {
        Happened { at, fetched, state: state.into() }
    }

    #[test]
    fn a_boot_is_told_by_its_phases_from_its_last_beginning() {
        let events = vec![
            happened(0, "seen", false),
            happened(10, "ready", false),
            happened(1_000, "seen", false),
            happened(3_000, "booting", false),
            happened(4_000, "booting", true),
            happened(6_000, "booting", true),
            happened(9_000, "validating", false),
            happened(9_500, "ready", false),
            happened(99_000, "ready", false),
        ];
        let machine = Booted { location: Location::new("z/p/r/u1"), name: "u1".into(), events };
        let boot = last_boot(&machine).unwrap();
        let stretches = [
            (Phase::Firmware, 1_000, 3_000),
            (Phase::Loading, 3_000, 6_000),
            (Phase::Starting, 6_000, 9_000),
            (Phase::Validating, 9_000, 9_500),
        ];
        assert_eq!(
            (boot.stretches.as_slice(), boot.from, boot.to, boot.end),
            (&stretches[..], 1_000, 9_500, End::Ready)
        );
    }

    /// Of two machines the one is ready, and the other was last heard of before.
    #[test]
    fn what_is_not_over_lasts_and_is_not_counted_as_short() {
        let machine = |unit: &str, events: Vec<Happened>| Booted {
            location: Location::new(&format!("z/p/r/{unit}")),
            name: unit.to_owned(),
            events,
        };
        let ready = vec![
            happened(0, "seen", false),
            happened(3_000, "booting", false),
            happened(9_000, "validating", false),
            happened(10_000, "ready", false),
        ];
        let machines = [
            machine("u1", ready),
            machine("u2", vec![happened(100, "seen", false)]),
            // Nothing was ever heard of it.
            machine("u3", Vec::new()),
        ];
        let sheets = boot("z", &machines, None, Paper::A4);
        let texts: Vec<&str> = sheets.iter().map(|sheet| sheet.svg.as_str()).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("2 of 3 machines since"), "{}", texts[0]);
        assert!(texts[0].contains("9.9 s not yet"), "{}", texts[0]);
        assert_eq!(texts[0].matches("9.9 s").count(), 1, "not among the figures: {}", texts[0]);
        let mut other = last_boot(&machines[1]).unwrap();
        other.last_until(10_000);
        assert_eq!(
            (other.stretches.as_slice(), other.over().len()),
            (&[(Phase::Firmware, 100, 10_000)][..], 0)
        );
        // No machine was installed, and none is said to have been.
        assert!(!texts[1].contains("installing"), "{}", texts[1]);
    }

    #[test]
    fn times_are_said_shortly() {
        assert_eq!(
            [0, 420, 1_000, 12_340, 184_000, 3_720_000].map(took),
            ["0", "420 ms", "1 s", "12.3 s", "3 m 04 s", "1 h 02 m"]
        );
        assert_eq!(clock(1_795_243_503_120), "2026-11-21 06:45:03");
        assert_eq!(clock(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(nth(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 90), Some(9));
    }
}
