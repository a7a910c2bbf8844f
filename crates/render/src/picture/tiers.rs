//! Cabling seen from afar: tiers of switches, racks and pods, with counts on the lines between them.

use super::index::{Index, count, kind_word, tier};
use super::letters::{self, Face};
use super::order::ordered;
use super::page::{Head, Page, Paper, Sheet, body};
use super::svg::{Align, Area, Canvas, Type};
use model::design::DeviceKind;
use model::ids::{DeviceId, PodId, RackId};
use std::collections::BTreeMap;

/// The least width of a box with upright words, and of one with lying ones, in millimetres.
const UPRIGHT_MIN: f64 = 5.0;
const LYING_MIN: f64 = 17.0;
/// How many boxes a tier has before the last of it are drawn as one.
const TIER_MAX: usize = 48;
/// The width of what stands at the left of all tiers.
const CAPTIONS: f64 = 30.0;

/// What a box stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Box {
    Device(DeviceId),
    Pod(PodId),
    /// The machines of a rack.
    Machines(RackId),
    /// What had no room in the tier.
    Rest(usize),
}

/// Lines between two boxes, drawn as one.
#[derive(Clone, Default)]
struct Bundle {
    cables: usize,
    /// Mbit/s, those that the design says.
    mbps: Vec<u32>,
}

/// A drawing before it has places.
struct Drawing {
    /// From the top.
    tiers: Vec<Vec<Box>>,
    bundles: BTreeMap<(Box, Box), Bundle>,
}

/// The zone: root switches, and below them pods and what else stands at the root.
pub(super) fn zone(index: &Index<'_>, paper: Paper) -> Vec<Sheet> {
    let design = index.design();
    let box_of = |id: DeviceId| index.device(id).pod.map_or(Box::Device(id), Box::Pod);
    let bundles = bundles(index, |_, _| true, box_of);
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (number, device) in design.devices.iter().enumerate().filter(|(_, device)| device.pod.is_none()) {
        let to = if device.kind.is_switch() { &mut above } else { &mut below };
        to.push(Box::Device(DeviceId::from_index(number)));
    }
    below.splice(0..0, (0..design.pods.len()).map(|pod| Box::Pod(PodId::from_index(pod))));
    if above.is_empty() && below.is_empty() {
        return Vec::new();
    }
    let most = ((body(paper, true).width - CAPTIONS) / UPRIGHT_MIN).floor() as usize;
    let of = below.len().div_ceil(most.max(1)).max(1);
    let each = below.len().div_ceil(of).max(1);
    let parts: Vec<&[Box]> = if below.is_empty() { vec![&[]] } else { below.chunks(each).collect() };
    let under = format!(
        "{}, {}, {}, {}",
        count(design.pods.len(), "pod"),
        count(design.racks.len(), "rack"),
        count(design.devices.len(), "device"),
        count(design.cables.len(), "cable"),
    );
    let sheet = |(part, below): (usize, &&[Box])| {
        let drawing = Drawing { tiers: vec![above.clone(), below.to_vec()], bundles: bundles.clone() };
        let head = Head {
            name: format!("cabling-{}", design.zone.name),
            title: &format!("Cabling of {}", design.zone.name),
            under: &under,
            foot: "A line stands for all cables between its two ends; pods, racks and cables have sheets of their own.",
            part: Some((part + 1, of)),
        };
        drawn(index, paper, head, drawing)
    };
    parts.iter().enumerate().map(sheet).collect()
}

/// A pod: what it leads to, its own switches, those of its racks, and the machines of each rack as one.
pub(super) fn pod(index: &Index<'_>, pod: PodId, paper: Paper) -> Vec<Sheet> {
    let design = index.design();
    let is_here = |id: DeviceId| index.device(id).pod == Some(pod);
    let box_of = |id: DeviceId| {
        let device = index.device(id);
        match (device.pod, device.rack) {
            (Some(of), Some(rack)) if of == pod && device.kind == DeviceKind::Machine => Box::Machines(rack),
            (Some(of), _) if of != pod => Box::Pod(of),
            _ => Box::Device(id),
        }
    };
    let bundles = bundles(index, |a, b| is_here(a) || is_here(b), box_of);
    let mut outside: Vec<Box> = bundles.keys().flat_map(|(a, b)| [*a, *b]).collect();
    outside.retain(|it| match it {
        Box::Device(id) => !is_here(*id),
        Box::Pod(_) => true,
        Box::Machines(_) | Box::Rest(_) => false,
    });
    outside.sort_unstable();
    outside.dedup();
    let mut own = Vec::new();
    let mut in_racks: BTreeMap<RackId, (Vec<Box>, bool)> = BTreeMap::new();
    for (number, device) in design.devices.iter().enumerate().filter(|(_, device)| device.pod == Some(pod)) {
        let id = DeviceId::from_index(number);
        match device.rack {
            None => own.push(Box::Device(id)),
            Some(rack) if device.kind == DeviceKind::Machine => in_racks.entry(rack).or_default().1 = true,
            Some(rack) => in_racks.entry(rack).or_default().0.push(Box::Device(id)),
        }
    }
    if own.is_empty() && in_racks.is_empty() {
        return Vec::new();
    }
    let location = design.pods[pod.index()].location.within_zone();
    let machines = design
        .devices
        .iter()
        .filter(|device| device.pod == Some(pod) && device.kind == DeviceKind::Machine)
        .count();
    let cables: usize = bundles.values().map(|bundle| bundle.cables).sum();
    let under = format!(
        "{}, {}, {} between the boxes",
        count(in_racks.len(), "rack"),
        count(machines, "machine"),
        count(cables, "cable")
    );
    let most = ((body(paper, true).width - CAPTIONS) / UPRIGHT_MIN).floor() as usize;
    // Whole racks on a sheet.
    let mut parts: Vec<Vec<(RackId, Vec<Box>, bool)>> = vec![Vec::new()];
    let mut width = 0;
    for (rack, (boxes, has_machines)) in in_racks {
        let takes = boxes.len().max(1);
        if width + takes > most && width > 0 {
            parts.push(Vec::new());
            width = 0;
        }
        width += takes;
        if let Some(part) = parts.last_mut() {
            part.push((rack, boxes, has_machines));
        }
    }
    let of = parts.len();
    let sheet = |(part, racks): (usize, Vec<(RackId, Vec<Box>, bool)>)| {
        let switches = racks.iter().flat_map(|(_, boxes, _)| boxes.iter().copied()).collect();
        let machines = racks.iter().filter(|(.., has)| *has).map(|(rack, ..)| Box::Machines(*rack)).collect();
        let drawing = Drawing {
            tiers: vec![outside.clone(), own.clone(), switches, machines],
            bundles: bundles.clone(),
        };
        let head = Head {
            name: format!("cabling-{location}"),
            title: &format!("Cabling of {location}"),
            under: &under,
            foot: "A line stands for all cables between its two ends; each rack has a sheet of its own with every cable.",
            part: Some((part + 1, of)),
        };
        drawn(index, paper, head, drawing)
    };
    parts.into_iter().enumerate().map(sheet).collect()
}

/// Cables between different boxes, counted.
fn bundles(
    index: &Index<'_>,
    wanted: impl Fn(DeviceId, DeviceId) -> bool,
    box_of: impl Fn(DeviceId) -> Box,
) -> BTreeMap<(Box, Box), Bundle> {
    let mut bundles: BTreeMap<(Box, Box), Bundle> = BTreeMap::new();
    for cable in index.design().cables.iter().filter(|cable| wanted(cable.a.device, cable.b.device)) {
        let (a, b) = (box_of(cable.a.device), box_of(cable.b.device));
        if a != b {
            let bundle = bundles.entry((a.min(b), a.max(b))).or_default();
            bundle.cables += 1;
            if let Some(mbps) = cable.mbps.filter(|mbps| !bundle.mbps.contains(mbps)) {
                bundle.mbps.push(mbps);
            }
        }
    }
    bundles
}

/// Merges what is too many for a tier.
fn capped(drawing: &mut Drawing) {
    for (tier, members) in drawing.tiers.iter_mut().enumerate().take(2) {
        if members.len() <= TIER_MAX || tier + 1 == 2 && members.iter().any(|it| matches!(it, Box::Pod(_))) {
            continue;
        }
        let merged = members.split_off(TIER_MAX - 1);
        let rest = Box::Rest(merged.len());
        members.push(rest);
        let mut bundles: BTreeMap<(Box, Box), Bundle> = BTreeMap::new();
        for ((a, b), bundle) in std::mem::take(&mut drawing.bundles) {
            let into = |it: Box| if merged.contains(&it) { rest } else { it };
            let (a, b) = (into(a), into(b));
            if a != b {
                let known = bundles.entry((a.min(b), a.max(b))).or_default();
                known.cables += bundle.cables;
                known.mbps.extend(bundle.mbps);
                known.mbps.sort_unstable();
                known.mbps.dedup();
            }
        }
        drawing.bundles = bundles;
    }
}

/// With whom a box may change places: switches at the top and of a pod among each other, those of a rack among each other.
fn group(index: &Index<'_>, node: usize, it: Box) -> usize {
    // Beyond all nodes and racks, so that no two kinds of group meet.
    let free = usize::MAX;
    match it {
        Box::Device(id) => match index.device(id).rack {
            Some(rack) => free - 1 - rack.index(),
            None if index.device(id).kind.is_switch() => free,
            None => node,
        },
        Box::Pod(_) | Box::Machines(_) | Box::Rest(_) => node,
    }
}

fn drawn(index: &Index<'_>, paper: Paper, head: Head<'_>, mut drawing: Drawing) -> Sheet {
    capped(&mut drawing);
    drawing.tiers.retain(|tier| !tier.is_empty());
    let boxes: Vec<Box> = drawing.tiers.iter().flatten().copied().collect();
    let number: BTreeMap<Box, usize> = boxes.iter().copied().enumerate().map(|(at, it)| (it, at)).collect();
    let edges: Vec<(usize, usize)> =
        drawing.bundles.keys().filter_map(|(a, b)| Some((*number.get(a)?, *number.get(b)?))).collect();
    let groups: Vec<usize> = boxes.iter().enumerate().map(|(at, it)| group(index, at, *it)).collect();
    let mut next = 0;
    let tiers = drawing.tiers.iter().map(|tier| {
        next += tier.len();
        (next - tier.len()..next).collect()
    });
    let tiers = ordered(tiers.collect(), &groups, &edges);
    let mut page = Page::new(paper, true, &index.design().zone.name, head);
    // At the left stands what all lines between two tiers have in common.
    let (captions, body) = (page.body, page.body);
    let body = Area::new(body.x + CAPTIONS, body.y, body.width - CAPTIONS, body.height);
    let places = placed(body, &tiers, &boxes, index);
    lines(&mut page.canvas, captions, &tiers, &boxes, &places, &drawing.bundles, &number);
    for (at, it) in boxes.iter().enumerate() {
        shown(index, &mut page.canvas, places[at], *it);
    }
    racks(index, &mut page.canvas, &tiers, &boxes, &places);
    page.finish()
}

/// Where each box stands.
fn placed(body: Area, tiers: &[Vec<usize>], boxes: &[Box], index: &Index<'_>) -> Vec<Area> {
    let mut places = vec![Area::default(); boxes.len()];
    // Room below the last tier for the names of racks, and for bows.
    let height = body.height - 14.0;
    let tall = |members: &[usize]| {
        if body.width / members.len() as f64 >= LYING_MIN { 11.0 } else { 30.0 }
    };
    let heights: f64 = tiers.iter().map(|members| tall(members)).sum();
    let gap = if tiers.len() > 1 { ((height - heights) / (tiers.len() - 1) as f64).max(4.0) } else { 0.0 };
    let mut y = body.y;
    for members in tiers {
        let step = body.width / members.len() as f64;
        let width = (step - (step * 0.12).clamp(0.4, 6.0)).min(46.0);
        for (at, node) in members.iter().enumerate() {
            let middle = body.x + (at as f64 + 0.5) * step;
            places[*node] = Area::new(middle - width / 2.0, y, width, tall(members));
        }
        // The machines of a rack stand below its switches.
        for node in members {
            if let Box::Machines(rack) = boxes[*node] {
                let own = boxes
                    .iter()
                    .enumerate()
                    .filter(|(_, it)| matches!(it, Box::Device(id) if index.device(*id).rack == Some(rack)));
                let own: Vec<Area> = own.map(|(at, _)| places[at]).filter(|area| area.width > 0.0).collect();
                if let (Some(first), Some(last)) = (own.first(), own.last()) {
                    let (left, right) = own.iter().fold((first.x, last.right()), |(left, right), area| {
                        (left.min(area.x), right.max(area.right()))
                    });
                    places[*node] = Area::new(left, y, right - left, tall(members));
                }
            }
        }
        y += tall(members) + gap;
    }
    places
}

fn lines(
    canvas: &mut Canvas,
    body: Area,
    tiers: &[Vec<usize>],
    boxes: &[Box],
    places: &[Area],
    bundles: &BTreeMap<(Box, Box), Bundle>,
    number: &BTreeMap<Box, usize>,
) {
    let tier_of = |node: usize| tiers.iter().position(|tier| tier.contains(&node)).unwrap_or(0);
    let middle = |node: usize| places[node].x + places[node].width / 2.0;
    let mut all: Vec<Line<'_>> = Vec::new();
    for ((a, b), bundle) in bundles {
        let (Some(a), Some(b)) = (number.get(a), number.get(b)) else { continue };
        let (upper, lower) = if tier_of(*a) <= tier_of(*b) { (*a, *b) } else { (*b, *a) };
        all.push(Line { upper, lower, tiers: (tier_of(upper), tier_of(lower)), bundle, from: 0.0, to: 0.0 });
    }
    ends(&mut all, boxes, places);
    let usual = usual(&all);
    // What is written may not stand over anything else that is written.
    let mut taken: Vec<Area> = places.to_vec();
    let mut words: Vec<(Area, String)> = Vec::new();
    for line in &all {
        let bundle = line.bundle;
        let said = format!("{}{}", bundle.cables, speeds(&bundle.mbps));
        canvas.open(
            "bundle",
            &bundle.cables.to_string(),
            &format!("{}{}", count(bundle.cables, "cable"), speeds(&bundle.mbps)),
        );
        let (up, down) = (places[line.upper], places[line.lower]);
        if line.tiers.0 == line.tiers.1 {
            let far = (middle(line.upper) - middle(line.lower)).abs();
            let (from, to) = ((middle(line.upper), up.bottom()), (middle(line.lower), down.bottom()));
            canvas.bow(from, to, (far / 6.0).clamp(2.5, 11.0));
        } else {
            let width = (0.12 + (bundle.cables as f64).ln() * 0.12).min(1.2);
            let (from, to) = ((line.from, up.bottom()), (line.to, down.y));
            canvas.thick(from, to, width);
            if usual.get(&line.tiers) != Some(&said) {
                let (wide, high) = (letters::width(&said, Face::Sans) * 2.1 + 0.8, 2.7);
                let spots = [0.5, 0.62, 0.38, 0.74, 0.26, 0.86, 0.14].map(|part| {
                    let (x, y) = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
                    Area::new(x - wide / 2.0, y - high / 2.0, wide, high)
                });
                if let Some(spot) = spots.iter().find(|spot| !taken.iter().any(|other| spot.meets(*other))) {
                    taken.push(*spot);
                    words.push((*spot, said));
                }
            }
        }
        canvas.close();
    }
    for (area, said) in words {
        canvas.rect(area, "paper");
        canvas.text(area, Type::new(Face::Sans, 2.1).align(Align::Middle), &said);
    }
    let mut heights: Vec<f64> = Vec::new();
    for ((above, below), said) in usual {
        let (Some(first), Some(second)) = (tiers[above].first(), tiers[below].first()) else { continue };
        let (top, bottom) = (places[*first].bottom(), places[*second].y);
        let mut y = top + (bottom - top) * 0.5;
        while heights.iter().any(|other| (other - y).abs() < 7.5) {
            y += 7.5;
        }
        heights.push(y);
        let kind = Type::new(Face::Sans, 2.5);
        let (count, speed) = said.split_once(" · ").unwrap_or((&said, ""));
        let cables = format!("{count} {}", if count == "1" { "cable" } else { "cables" });
        canvas.text(Area::new(body.x, y - 3.4, CAPTIONS - 4.0, 3.4), kind.faint(), "lines without a number:");
        let second = if speed.is_empty() { cables } else { format!("{cables} · {speed}") };
        canvas.text(Area::new(body.x, y, CAPTIONS - 4.0, 3.6), kind, &second);
    }
}

/// A bundle with its place.
struct Line<'a> {
    upper: usize,
    lower: usize,
    tiers: (usize, usize),
    bundle: &'a Bundle,
    /// Where on the lower side of the upper box it begins, and where on the upper side of the lower box it ends.
    from: f64,
    to: f64,
}

/// Lines of a box begin beside each other, in the order of where they lead: no knots.
fn ends(all: &mut [Line<'_>], boxes: &[Box], places: &[Area]) {
    let middle = |node: usize| places[node].x + places[node].width / 2.0;
    let spread = |node: usize, mut of: Vec<(usize, f64)>| {
        of.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (area, count) = (places[node], of.len() as f64);
        let each = (area.width * 0.9 / count).min(4.0);
        let first = area.x + area.width / 2.0 - each * (count - 1.0) / 2.0;
        of.into_iter().enumerate().map(move |(at, (line, _))| (line, first + at as f64 * each))
    };
    let other = |node: usize, upper: bool| {
        let is_of = move |line: &Line<'_>| {
            (if upper { line.upper } else { line.lower }) == node && line.tiers.0 != line.tiers.1
        };
        move |all: &[Line<'_>]| -> Vec<usize> {
            all.iter().enumerate().filter(|(_, line)| is_of(line)).map(|(at, _)| at).collect()
        }
    };
    for node in 0..places.len() {
        let down = other(node, true)(all).into_iter().map(|at| (at, middle(all[at].lower))).collect();
        for (line, x) in spread(node, down) {
            all[line].from = x;
        }
        let up = other(node, false)(all).into_iter().map(|at| (at, middle(all[at].upper))).collect();
        for (line, x) in spread(node, up) {
            all[line].to = x;
        }
    }
    // The machines of a rack are as wide as its switches: straight down from each.
    for line in all.iter_mut() {
        let (up, down) = (places[line.upper], places[line.lower]);
        if matches!(boxes[line.lower], Box::Machines(_))
            && up.x >= down.x - 1.0
            && up.right() <= down.right() + 1.0
        {
            line.from = middle(line.upper);
            line.to = line.from;
        }
    }
}

/// What most lines between two tiers would say.
fn usual(all: &[Line<'_>]) -> BTreeMap<(usize, usize), String> {
    let mut counts: BTreeMap<(usize, usize), BTreeMap<String, usize>> = BTreeMap::new();
    for line in all.iter().filter(|line| line.tiers.0 != line.tiers.1) {
        let said = format!("{}{}", line.bundle.cables, speeds(&line.bundle.mbps));
        *counts.entry(line.tiers).or_default().entry(said).or_default() += 1;
    }
    let most = |said: BTreeMap<String, usize>| {
        said.into_iter().max_by_key(|(_, count)| *count).map(|(said, _)| said)
    };
    counts.into_iter().filter_map(|(tiers, said)| Some((tiers, most(said)?))).collect()
}

/// ` · 25G`, ` · 1G, 10G`, or nothing.
fn speeds(mbps: &[u32]) -> String {
    let mut mbps = mbps.to_vec();
    mbps.sort_unstable();
    let words: Vec<String> = mbps.iter().map(|mbps| speed(*mbps)).collect();
    if words.is_empty() { String::new() } else { format!(" · {}", words.join(", ")) }
}

/// `25G`, `100M`, `2.5G`.
pub(super) fn speed(mbps: u32) -> String {
    match (mbps / 1000, mbps % 1000) {
        (0, mbps) => format!("{mbps}M"),
        (gbps, 0) => format!("{gbps}G"),
        (gbps, rest) => format!("{gbps}.{}G", format!("{rest:03}").trim_end_matches('0')),
    }
}

fn shown(index: &Index<'_>, canvas: &mut Canvas, area: Area, it: Box) {
    let design = index.design();
    let (name, about) = match it {
        Box::Device(id) => {
            let device = index.device(id);
            let name = if device.rack.is_some() { device.location.leaf() } else { device.name.as_str() };
            (name.to_owned(), format!("{} · {}", kind_word(device.kind), index.model(id).name))
        }
        Box::Pod(pod) => {
            let racks = design.racks.iter().filter(|rack| rack.pod == pod).count();
            let is_of = |device: &&model::design::Device| device.pod == Some(pod) && tier(device.kind) == 5;
            let machines = design.devices.iter().filter(is_of).count();
            let name = design.pods[pod.index()].location.within_zone().to_owned();
            (name, format!("{} · {}", count(racks, "rack"), count(machines, "machine")))
        }
        Box::Machines(rack) => {
            let is_of = |device: &&model::design::Device| {
                device.rack == Some(rack) && device.kind == DeviceKind::Machine
            };
            (count(design.devices.iter().filter(is_of).count(), "machine"), String::new())
        }
        Box::Rest(members) => (format!("{members} more"), String::new()),
    };
    canvas.rect(area, "box");
    let middle = |face, size| Type::new(face, size).align(Align::Middle);
    let inner = Area::new(area.x + 0.4, area.y + 0.8, area.width - 0.8, area.height - 1.6);
    if area.height > 20.0 && area.width < LYING_MIN {
        // Upright: the name first, what it is beside it if there is room.
        if inner.width >= 4.2 && !about.is_empty() {
            canvas.upright(
                Area::new(inner.x, inner.y, inner.width * 0.55, inner.height),
                middle(Face::Bold, 2.8),
                &name,
            );
            let beside = Area::new(inner.x + inner.width * 0.55, inner.y, inner.width * 0.45, inner.height);
            canvas.upright(beside, middle(Face::Sans, 2.1), &about);
        } else {
            canvas.upright(inner, middle(Face::Bold, 2.6), &name);
        }
    } else if about.is_empty() {
        canvas.text(inner, middle(Face::Bold, 2.8), &name);
    } else {
        let half = inner.height / 2.0;
        canvas.text(Area::new(inner.x, inner.y, inner.width, half), middle(Face::Bold, 3.0), &name);
        canvas.text(Area::new(inner.x, inner.y + half, inner.width, half), middle(Face::Sans, 2.2), &about);
    }
}

/// A frame around what stands in one rack, and its name below.
fn racks(index: &Index<'_>, canvas: &mut Canvas, tiers: &[Vec<usize>], boxes: &[Box], places: &[Area]) {
    let mut frames: BTreeMap<RackId, Area> = BTreeMap::new();
    for node in tiers.iter().flatten() {
        let rack = match boxes[*node] {
            Box::Device(id) => index.device(id).rack,
            Box::Machines(rack) => Some(rack),
            Box::Pod(_) | Box::Rest(_) => None,
        };
        // Devices of other racks are drawn above, where they are led to.
        let Some(rack) = rack.filter(|_| tiers.len() > 1 && !tiers[0].contains(node) || tiers.len() == 1)
        else {
            continue;
        };
        let area = places[*node];
        let frame = frames.entry(rack).or_insert(area);
        let (right, bottom) = (frame.right().max(area.right()), frame.bottom().max(area.bottom()));
        let (x, y) = (frame.x.min(area.x), frame.y.min(area.y));
        *frame = Area::new(x, y, right - x, bottom - y);
    }
    let foot = frames.values().map(|frame| frame.bottom()).fold(0.0, f64::max);
    for (rack, frame) in frames {
        let name = index.design().racks[rack.index()].location.leaf();
        let below = Area::new(frame.x, foot + 1.0, frame.width, 4.0);
        canvas.text(below, Type::new(Face::Bold, 3.0).align(Align::Middle), name);
    }
}
