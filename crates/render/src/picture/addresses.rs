//! The address plan: blocks within blocks, to scale, with exact figures beside them.
//!
//! A block of addresses is a rectangle; its first half is the upper or the left half of it, and so on down, in the order in
//! which people read. So every prefix is a rectangle, and half as long a prefix twice the area, but for the frames. The zone's sheet
//! shows pods; a pod's sheet shows racks and their subnets. What is free is drawn, too: it is what growth has.

use super::index::count;
use super::letters::Face;
use super::page::{Head, Page, Paper, Sheet, body};
use super::places::Places;
use super::svg::{Align, Area, Canvas, Type};
use ipnet::IpNet;
use model::design::Audience;
use model::ids::PodId;
use model::plan::Subnet;
use model::{Location, Plan};
use std::collections::HashMap;
use std::net::IpAddr;

/// The width of the figures beside the blocks, and the height of one of their lines, in millimetres.
const FIGURES: f64 = 92.0;
const LINE: f64 = 3.5;
/// The frame around the blocks within a block.
const FRAME: f64 = 0.5;
/// How much wider than high a block should be: words lie.
const WIDE: f64 = 1.7;

/// Which family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    V4,
    V6,
}

/// One block of a sheet: a pod, a rack or a subnet.
struct Block {
    net: IpNet,
    name: String,
    /// How much of it is in use, of how much; 0 of 0: not said.
    used: (u128, u128),
    what: &'static str,
    /// Within another block of the sheet.
    depth: usize,
    fill: Option<usize>,
}

/// The sheets: the zone in each family that it has, then each pod.
pub fn addresses(plan: &Plan, places: &Places, paper: Paper) -> Vec<Sheet> {
    let design = &plan.design;
    let used = used(plan);
    let mut sheets = Vec::new();
    let families = [
        (Family::V4, design.zone.supernet4.map(IpNet::V4)),
        (Family::V6, design.zone.supernet6.map(IpNet::V6)),
    ];
    for (family, supernet) in families {
        let Some(supernet) = supernet else { continue };
        if places.has_zone() {
            sheets.extend(zone(plan, family, supernet, &used, paper));
        }
    }
    for id in places.pods(design) {
        for (family, supernet) in families {
            if supernet.is_some() {
                sheets.extend(pod(plan, family, id, &used, paper));
            }
        }
    }
    sheets
}

/// Addresses given to interfaces, for each subnet.
fn used(plan: &Plan) -> Vec<u128> {
    let mut used = vec![0; plan.subnets.len()];
    for interface in &plan.interfaces {
        used[interface.subnet.index()] += 1;
    }
    used
}

fn net(subnet: &Subnet, family: Family) -> Option<IpNet> {
    match family {
        Family::V4 => subnet.v4.map(IpNet::V4),
        Family::V6 => subnet.v6.map(IpNet::V6),
    }
}

/// The blocks of pods and racks, by location.
fn aggregates(plan: &Plan, family: Family) -> HashMap<&Location, IpNet> {
    let blocks = plan.aggregates.iter().filter_map(|aggregate| {
        let net = match family {
            Family::V4 => aggregate.v4.map(IpNet::V4),
            Family::V6 => aggregate.v6.map(IpNet::V6),
        };
        Some((&aggregate.location, net?))
    });
    blocks.collect()
}

/// A subnet as a block. Of IPv4 the room is what hosts can have: not the network's own address, the router's, the switches' that
/// route it, and the broadcast address.
fn subnet_block(plan: &Plan, at: usize, family: Family, used: &[u128], depth: usize) -> Option<Block> {
    let subnet = plan.subnets.get(at)?;
    let net = net(subnet, family)?;
    let network = &plan.design.networks[subnet.network.index()];
    let reserved = subnet.routers.len() as u128 + 3;
    let room = match family {
        Family::V4 => addresses_of(net).saturating_sub(reserved),
        Family::V6 => 0,
    };
    let what = match network.audience[..] {
        [Audience::Machine] => "machines",
        [Audience::Bmc] => "BMCs",
        [Audience::Switch] => "switches",
        [Audience::Controller] => "controllers",
        _ => "addresses",
    };
    let fill = Some(subnet.network.index());
    Some(Block { net, name: network.name.clone(), used: (used[at], room), what, depth, fill })
}

fn addresses_of(net: IpNet) -> u128 {
    1_u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX)
}

fn zone(plan: &Plan, family: Family, supernet: IpNet, used: &[u128], paper: Paper) -> Vec<Sheet> {
    let design = &plan.design;
    let capacity = design.zone.capacity;
    let known = aggregates(plan, family);
    let mut blocks = Vec::new();
    let mut racks_of = vec![0_u32; design.pods.len()];
    design.racks.iter().for_each(|rack| racks_of[rack.pod.index()] += 1);
    let mut step = None;
    for (pod, racks) in design.pods.iter().zip(racks_of) {
        let Some(net) = known.get(&pod.location) else { continue };
        step = Some((*net, pod.slot));
        let used = (u128::from(racks), u128::from(capacity.racks));
        let name = pod.location.within_zone().to_owned();
        blocks.push(Block { net: *net, name, used, what: "racks", depth: 0, fill: Some(7) });
    }
    for (at, subnet) in plan.subnets.iter().enumerate() {
        if subnet.location.as_str() == design.zone.name {
            blocks.extend(subnet_block(plan, at, family, used, 0));
        }
    }
    let slots = step.map_or_else(Vec::new, |(net, slot)| {
        let taken: Vec<u32> = design.pods.iter().map(|pod| pod.slot).collect();
        let free = (0..capacity.pods).filter(|slot| !taken.contains(slot));
        free.filter_map(|free| shifted(net, i64::from(free) - i64::from(slot))).collect()
    });
    let title = format!("Addresses of {}, {}", design.zone.name, words(family));
    let under = format!(
        "{supernet}: {} of {} pods, {} of {} racks; {} more before anything renumbers",
        design.pods.len(),
        capacity.pods,
        design.racks.len(),
        u64::from(capacity.pods) * u64::from(capacity.racks),
        count((capacity.pods as usize).saturating_sub(design.pods.len()), "pod"),
    );
    let name = format!("addresses-{}-{}", design.zone.name, file(family));
    drawn(plan, paper, supernet, blocks, &slots, "pod", &name, &title, &under)
}

fn pod(plan: &Plan, family: Family, id: PodId, used: &[u128], paper: Paper) -> Vec<Sheet> {
    let design = &plan.design;
    let capacity = design.zone.capacity;
    let known = aggregates(plan, family);
    let pod = &design.pods[id.index()];
    let Some(whole) = known.get(&pod.location).copied() else { return Vec::new() };
    let mut subnets: HashMap<&Location, Vec<usize>> = HashMap::new();
    for (at, subnet) in plan.subnets.iter().enumerate() {
        subnets.entry(&subnet.location).or_default().push(at);
    }
    let of = |location: &Location, depth: usize| -> Vec<Block> {
        let all = subnets.get(location).into_iter().flatten();
        all.filter_map(|at| subnet_block(plan, *at, family, used, depth)).collect()
    };
    let mut blocks = of(&pod.location, 0);
    let mut step = None;
    let racks: Vec<_> = design.racks.iter().filter(|rack| rack.pod == id).collect();
    for rack in &racks {
        let Some(net) = known.get(&rack.location) else { continue };
        step = Some((*net, rack.slot));
        let name = rack.location.leaf().to_owned();
        blocks.push(Block { net: *net, name, used: (0, 0), what: "", depth: 0, fill: None });
        blocks.extend(of(&rack.location, 1));
    }
    let slots = step.map_or_else(Vec::new, |(net, slot)| {
        let taken: Vec<u32> = racks.iter().map(|rack| rack.slot).collect();
        let free = (0..capacity.racks).filter(|slot| !taken.contains(slot));
        free.filter_map(|free| shifted(net, i64::from(free) - i64::from(slot))).collect()
    });
    let label = pod.location.within_zone();
    let title = format!("Addresses of {label}, {}", words(family));
    let under = format!(
        "{whole}: {} of {} racks, up to {} units in each; {} more before anything renumbers",
        racks.len(),
        capacity.racks,
        capacity.units,
        count((capacity.racks as usize).saturating_sub(racks.len()), "rack"),
    );
    let name = format!("addresses-{label}-{}", file(family));
    drawn(plan, paper, whole, blocks, &slots, "rack", &name, &title, &under)
}

fn words(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn file(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// The block of the same size so many places on.
fn shifted(net: IpNet, by: i64) -> Option<IpNet> {
    let size = i128::try_from(addresses_of(net)).ok()?;
    let to = i128::try_from(bits(net.network())).ok()?.checked_add(size.checked_mul(i128::from(by))?)?;
    let to = u128::try_from(to).ok()?;
    let address = match net {
        IpNet::V4(_) => IpAddr::V4(u32::try_from(to).ok()?.into()),
        IpNet::V6(_) => IpAddr::V6(to.into()),
    };
    IpNet::new(address, net.prefix_len()).ok()
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// For each further bit of a prefix whether it halves the height (or the width): first rows, then columns of the blocks of the first
/// length; then of those within them.
fn halvings(area: Area, from: u8, lengths: &[u8]) -> Vec<bool> {
    let mut halvings = Vec::new();
    let (mut width, mut height, mut at) = (area.width, area.height, from);
    for &length in lengths.iter().filter(|length| **length > from) {
        let splits = length.saturating_sub(at);
        // So many rows that a block is about as wide as words want it.
        let rows = (0..=splits)
            .min_by(|a, b| {
                let off = |rows: u8| {
                    let shape = (width / f64::from(splits - rows).exp2()) / (height / f64::from(rows).exp2());
                    (shape / WIDE).ln().abs()
                };
                off(*a).total_cmp(&off(*b))
            })
            .unwrap_or(0);
        for split in 0..splits {
            let halves_height = split < rows;
            halvings.push(halves_height);
            if halves_height {
                height /= 2.0;
            } else {
                width /= 2.0;
            }
        }
        at = at.max(length);
    }
    halvings
}

/// Where a prefix lies in the area of a shorter one.
fn placed(area: Area, whole: IpNet, net: IpNet, halvings: &[bool]) -> Area {
    let mut area = area;
    let offset = bits(net.network()) - bits(whole.network());
    let all = u32::from(whole.max_prefix_len());
    for at in 0..net.prefix_len().saturating_sub(whole.prefix_len()) {
        let bit = all - 1 - u32::from(whole.prefix_len()) - u32::from(at);
        let is_second = offset >> bit & 1 == 1;
        // Past what the sheet's blocks need, by turns.
        let halves_height = halvings.get(usize::from(at)).copied().unwrap_or(area.width / area.height < WIDE);
        if halves_height {
            area.height /= 2.0;
            area.y += if is_second { area.height } else { 0.0 };
        } else {
            area.width /= 2.0;
            area.x += if is_second { area.width } else { 0.0 };
        }
    }
    area
}

#[expect(clippy::too_many_arguments, reason = "two callers, beside it")]
fn drawn(
    plan: &Plan,
    paper: Paper,
    whole: IpNet,
    blocks: Vec<Block>,
    slots: &[IpNet],
    slot_word: &str,
    name: &str,
    title: &str,
    under: &str,
) -> Vec<Sheet> {
    let room = body(paper, true);
    let lines = (((room.height - 5.0) / LINE).floor() as usize).max(4);
    let of = blocks.len().div_ceil(lines).max(1);
    let mut sheets = Vec::new();
    for part in 0..of {
        let head = Head {
            name: name.to_owned(),
            title,
            under,
            foot: "Areas are to scale but for the frames, in the order of addresses, row by row. Dashed: kept for growth within the capacity. Grey: beyond it.",
            part: Some((part + 1, of)),
        };
        let mut page = Page::new(paper, true, &plan.design.zone.name, head);
        let map = Area::new(page.body.x, page.body.y, page.body.width - FIGURES - 6.0, page.body.height);
        // The blocks once, on the first sheet; the figures of the others follow.
        if part == 0 {
            the_map(&mut page.canvas, map, whole, &blocks, slots, slot_word);
        }
        let figures = Area::new(map.right() + 6.0, page.body.y, FIGURES, page.body.height);
        let figures = if part == 0 { figures } else { Area { x: page.body.x, ..figures } };
        let shown = blocks.iter().skip(part * lines).take(lines);
        the_figures(&mut page.canvas, figures, shown);
        sheets.push(page.finish());
    }
    sheets
}

fn the_map(
    canvas: &mut Canvas,
    area: Area,
    whole: IpNet,
    blocks: &[Block],
    slots: &[IpNet],
    slot_word: &str,
) {
    let length = |depth: usize| {
        let all = blocks.iter().filter(|block| block.depth == depth).map(|block| block.net.prefix_len());
        // Of the outer blocks those count that there are most of.
        let mut counts: HashMap<u8, usize> = HashMap::new();
        all.for_each(|length| *counts.entry(length).or_default() += 1);
        counts.into_iter().max_by_key(|(length, count)| (*count, *length)).map(|(length, _)| length)
    };
    let outer = slots.first().map(IpNet::prefix_len).or(length(0));
    let lengths: Vec<u8> = [outer, length(1)].into_iter().flatten().collect();
    let halvings = halvings(area, whole.prefix_len(), &lengths);
    canvas.rect(area, "soft");
    for slot in slots {
        let place = placed(area, whole, *slot, &halvings).inset(FRAME / 2.0);
        canvas.open("free", &slot.to_string(), &format!("{slot}: kept for a {slot_word}"));
        canvas.rect(place, "paper");
        canvas.rect(place, "free");
        if place.width > 14.0 && place.height > 5.0 {
            let words = Area::new(place.x + 0.6, place.y + 0.4, place.width - 1.2, 3.0);
            canvas.whole(words, Type::new(Face::Mono, 2.0).faint(), &slot.to_string());
        }
        canvas.close();
    }
    for block in blocks {
        let place = placed(area, whole, block.net, &halvings);
        let place =
            place.inset((FRAME / 2.0 + FRAME * block.depth as f64).min(place.width.min(place.height) / 4.0));
        canvas.open("block", &block.net.to_string(), &format!("{} {}{}", block.name, block.net, said(block)));
        canvas.rect(place, "box");
        let has_inner =
            block.depth == 0 && blocks.iter().any(|other| other.depth == 1 && contains(block.net, other.net));
        if let Some(fill) = block.fill.filter(|_| !has_inner) {
            // A strip, as long as what is in use.
            let strip = Area::new(
                place.x,
                place.bottom() - (place.height * 0.16).clamp(0.3, 3.0),
                place.width,
                (place.height * 0.16).clamp(0.3, 3.0),
            );
            let (used, of) = block.used;
            let share = if of > 0 { used as f64 / of as f64 } else { 1.0 };
            canvas.fill(Area { width: (strip.width * share.clamp(0.0, 1.0)).max(0.2), ..strip }, fill);
        }
        // What blocks lie within would be under the words of this one.
        let inner_top = if has_inner {
            let inner = blocks.iter().filter(|other| other.depth == 1 && contains(block.net, other.net));
            let tops = inner.filter(|other| placed(area, whole, other.net, &halvings).y < place.y + 7.0);
            if tops.count() > 0 { None } else { Some(place.y) }
        } else {
            Some(place.y)
        };
        if let Some(top) = inner_top {
            written(
                canvas,
                Area::new(place.x + 0.7, top + 0.4, place.width - 1.4, place.height * 0.8 - 0.4),
                block,
            );
        } else {
            // In the lower right quarter, if nothing is there: racks are filled from their start.
            let corner = Area::new(
                place.x + place.width / 2.0 + 0.7,
                place.y + place.height * 0.62,
                place.width / 2.0 - 1.4,
                place.height * 0.36,
            );
            let is_free = !blocks.iter().any(|other| {
                other.depth == 1
                    && contains(block.net, other.net)
                    && corner.meets(placed(area, whole, other.net, &halvings))
            });
            if is_free {
                written(canvas, corner, block);
            }
        }
        canvas.close();
    }
    canvas.rect(area, "frame");
}

fn contains(outer: IpNet, inner: IpNet) -> bool {
    outer != inner && outer.contains(&inner)
}

/// The words of a block, those of its lines that have room: the figures beside have them all.
fn written(canvas: &mut Canvas, area: Area, block: &Block) {
    let size = (area.height / 3.8).clamp(1.7, 4.2);
    let lines = [
        (Type { least: 1.6, ..Type::new(Face::Bold, size) }, block.name.clone()),
        (Type { least: 1.5, ..Type::new(Face::Mono, size * 0.72) }, block.net.to_string()),
        (
            Type { least: 1.5, ..Type::new(Face::Sans, size * 0.68) },
            said(block).trim_start_matches(", ").to_owned(),
        ),
    ];
    let mut y = area.y;
    for (kind, words) in lines {
        let height = kind.size * 1.25;
        if y + height > area.bottom() || words.is_empty() {
            break;
        }
        if canvas.whole(Area::new(area.x, y, area.width, height), kind, &words) {
            y += height;
        }
    }
}

fn said(block: &Block) -> String {
    match block.used {
        (0, 0) => String::new(),
        (used, 0) => format!(", {used} {}", block.what),
        (used, of) => format!(", {used} of {of} {}", block.what),
    }
}

/// The exact figures.
fn the_figures<'b>(canvas: &mut Canvas, area: Area, blocks: impl Iterator<Item = &'b Block>) {
    let (name, net, used) = (area.width * 0.26, area.width * 0.44, area.width * 0.28);
    let heading = Type::new(Face::Sans, 2.3).faint();
    canvas.text(Area::new(area.x + 5.0, area.y, name - 6.0, 3.4), heading, "block");
    canvas.text(Area::new(area.x + name, area.y, net - 1.0, 3.4), heading, "prefix");
    canvas.text(Area::new(area.x + name + net, area.y, used, 3.4), heading.align(Align::Right), "in use");
    canvas.line((area.x, area.y + 4.0), (area.right(), area.y + 4.0), "line");
    let mut y = area.y + 5.0;
    for block in blocks {
        if let Some(fill) = block.fill {
            canvas.fill(Area::new(area.x + block.depth as f64 * 1.5, y + 0.7, 2.4, LINE - 1.4), fill);
        }
        let mono = Type::new(Face::Mono, 2.2);
        let words = Area::new(area.x + 5.0, y, name - 6.0, LINE);
        let face = if block.fill.is_none() { Face::Bold } else { Face::Sans };
        canvas.text(words, Type::new(face, 2.4), &block.name);
        canvas.text(Area::new(area.x + name, y, net - 1.0, LINE), mono, &block.net.to_string());
        let said = said(block);
        canvas.text(
            Area::new(area.x + name + net, y, used, LINE),
            mono.align(Align::Right),
            said.trim_start_matches(", "),
        );
        y += LINE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_a_rectangle_of_its_size_and_none_meets_another() {
        let area = Area::new(0.0, 0.0, 160.0, 100.0);
        let whole: IpNet = "10.0.0.0/16".parse().unwrap();
        let halvings = halvings(area, 16, &[20, 24]);
        assert_eq!(halvings.len(), 8);
        let nets: Vec<IpNet> = [
            "10.0.0.0/20",
            "10.0.16.0/20",
            "10.0.32.0/19",
            "10.0.64.0/18",
            "10.0.128.0/25",
            "10.0.128.128/25",
        ]
        .map(|net| net.parse().unwrap())
        .to_vec();
        let places: Vec<Area> = nets.iter().map(|net| placed(area, whole, *net, &halvings)).collect();
        for (at, (net, place)) in nets.iter().zip(&places).enumerate() {
            let share = f64::from(1_u32 << (net.prefix_len() - 16)).recip();
            assert!((place.width * place.height - share * 16000.0).abs() < 1e-6, "{net}");
            assert!(!places[..at].iter().any(|other| place.meets(*other)), "{net}");
        }
        assert_eq!(placed(area, whole, whole, &halvings), area);
        assert_eq!(shifted(nets[0], 3), Some("10.0.48.0/20".parse().unwrap()));
        assert_eq!(shifted(nets[0], -1_000_000), None);
    }
}
