//! A diff as people read it: what is few is listed, what is many is counted by rack or pod.

use anstyle::{AnsiColor, Style};
use model::Location;
use model::design::DeviceKind;
use plan::Diff;
use plan::diff::{Because, Change, DeviceAt, groups};
use plan::dns::Record;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Rows of one kind that are still listed one by one.
const LISTED_MAX: usize = 12;
/// Reasons that are named when devices are counted.
const REASONS_MAX: usize = 6;
/// Racks that are still counted one by one; beyond, pods are.
const RACKS_MAX: usize = 8;

/// The whole of it; one line if nothing changes.
pub(crate) fn text(diff: &Diff) -> String {
    if *diff == Diff::default() {
        return "nothing changes\n".into();
    }
    let mut out = Changes::default();
    out.list(Sign::Change, "the zone", diff.zone.iter().map(change_words).collect());
    for (sign, verb, rows) in
        [(Sign::Add, "appear", &diff.appears), (Sign::Remove, "disappear", &diff.disappears)]
    {
        for (noun, wanted) in KINDS {
            let rows: Vec<&DeviceAt> = rows.iter().filter(|row| wanted(row.kind)).collect();
            let title = format!("{} {}", noun_of(rows.len(), noun), verb_of(rows.len(), verb));
            out.placed(sign, &title, rows.iter().map(|row| (&row.location, row.name.clone())).collect());
        }
    }
    let count = |count: usize, noun: &str, one: &str, many: &str| {
        format!("{} {}", noun_of(count, noun), if count == 1 { one } else { many })
    };
    out.placed(
        Sign::Change,
        &count(diff.moves.len(), "device", "moves", "move"),
        diff.moves.iter().map(|row| (&row.from, format!("{} to {}", row.name, row.to))).collect(),
    );
    out.placed(
        Sign::Change,
        &count(diff.renamed.len(), "device", "is renamed", "are renamed"),
        diff.renamed.iter().map(|row| (&row.location, format!("{} becomes {}", row.from, row.to))).collect(),
    );
    out.placed(
        Sign::Change,
        &count(diff.reassigned.len(), "machine", "gets another role", "get another role"),
        diff.reassigned
            .iter()
            .map(|row| {
                (&row.location, format!("{} becomes {}", role(row.from.as_deref()), role(row.to.as_deref())))
            })
            .collect(),
    );
    out.placed(
        Sign::Change,
        &count(diff.recabled.len(), "machine", "is recabled", "are recabled"),
        diff.recabled
            .iter()
            .map(|row| (&row.location, row.ports.iter().map(change_words).collect::<Vec<_>>().join("; ")))
            .collect(),
    );
    out.placed(
        Sign::Change,
        &count(diff.renumbers.len(), "interface", "is renumbered", "are renumbered"),
        diff.renumbers
            .iter()
            .map(|row| {
                (&row.location, format!("{} {} becomes {}", row.interface, list(&row.from), list(&row.to)))
            })
            .collect(),
    );
    out.because(
        Sign::Change,
        &count(diff.reboots.len(), "machine", "must reboot", "must reboot"),
        &diff.reboots,
    );
    out.because(
        Sign::Change,
        &count(
            diff.upgrades.len(),
            "machine",
            "gets another system in its other slot",
            "get another system in their other slot",
        ),
        &diff.upgrades,
    );
    out.because(
        Sign::Remove,
        &count(
            diff.reinstalls.len(),
            "machine",
            "must be reinstalled: its disks are written",
            "must be reinstalled: their disks are written",
        ),
        &diff.reinstalls,
    );
    out.placed(
        Sign::Remove,
        &count(diff.cut_off.len(), "address", "is cut off", "are cut off"),
        diff.cut_off
            .iter()
            .map(|row| (&row.location, format!("{} {}", row.interface, row.address)))
            .collect(),
    );
    out.because(
        Sign::Change,
        &count(diff.switches.len(), "switch", "must be told", "must be told"),
        &diff.switches,
    );
    let cables = [(Sign::Add, "to lay", &diff.cables.added), (Sign::Remove, "to pull", &diff.cables.removed)];
    for (sign, verb, rows) in cables {
        let words = |row: &plan::document::CableRow<'_>| {
            format!("{} to {} {}", row.a.port, row.b.location.within_zone(), row.b.port)
        };
        let title = count(rows.len(), "cable", verb, verb);
        out.placed(sign, &title, rows.iter().map(|row| (&row.a.location, words(row))).collect());
    }
    for (sign, verb, rows) in [(Sign::Add, "new", &diff.dns.added), (Sign::Remove, "gone", &diff.dns.removed)]
    {
        out.records(sign, &count(rows.len(), "DNS record", verb, verb), rows);
    }
    out.text
}

type IsKind = fn(DeviceKind) -> bool;

const KINDS: [(&str, IsKind); 4] = [
    ("machine", |kind| kind == DeviceKind::Machine),
    ("controller", |kind| kind == DeviceKind::Controller),
    ("switch", DeviceKind::is_switch),
    ("other device", |kind| kind == DeviceKind::Other),
];

fn noun_of(count: usize, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "switch") => format!("{count} switches"),
        (_, "address") => format!("{count} addresses"),
        _ => format!("{count} {noun}s"),
    }
}

fn verb_of(count: usize, verb: &str) -> String {
    if count == 1 { format!("{verb}s") } else { verb.to_owned() }
}

fn change_words(change: &Change) -> String {
    let or_nowhere = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
    format!("{}: {} becomes {}", change.what, or_nowhere(&change.from), or_nowhere(&change.to))
}

fn role(role: Option<&str>) -> &str {
    role.unwrap_or("no role")
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".into();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Copy)]
enum Sign {
    Add,
    Remove,
    Change,
}

/// The text as it grows.
#[derive(Default)]
struct Changes {
    text: String,
}

impl Changes {
    fn title(&mut self, sign: Sign, title: &str) {
        let (mark, colour) = match sign {
            Sign::Add => ('+', AnsiColor::Green),
            Sign::Remove => ('-', AnsiColor::Red),
            Sign::Change => ('~', AnsiColor::Yellow),
        };
        let style = Style::new().fg_color(Some(colour.into())).bold();
        self.text.push_str(&format!("{style}{mark} {title}{style:#}\n"));
    }

    fn line(&mut self, words: &str) {
        self.text.push_str("    ");
        self.text.push_str(words);
        self.text.push('\n');
    }

    fn list(&mut self, sign: Sign, title: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.title(sign, title);
        lines.iter().for_each(|line| self.line(line));
    }

    /// Rows at places: listed, or counted.
    fn placed(&mut self, sign: Sign, title: &str, rows: Vec<(&Location, String)>) {
        if rows.len() > LISTED_MAX {
            self.title(sign, title);
            self.counted(rows.iter().map(|(location, _)| *location));
        } else {
            self.list(
                sign,
                title,
                rows.iter().map(|(location, words)| format!("{location}  {words}")).collect(),
            );
        }
    }

    fn counted<'a>(&mut self, locations: impl Iterator<Item = &'a Location>) {
        let groups = groups(locations, RACKS_MAX);
        for group in groups.iter().take(LISTED_MAX) {
            self.line(&format!("{} in {}", group.count, group.place));
        }
        if groups.len() > LISTED_MAX {
            let left: usize = groups[LISTED_MAX..].iter().map(|group| group.count).sum();
            self.line(&format!("{left} in {} places more", groups.len() - LISTED_MAX));
        }
    }

    /// Devices with reasons: when many, the reasons are counted.
    fn because(&mut self, sign: Sign, title: &str, rows: &[Because]) {
        if rows.len() <= LISTED_MAX {
            let words = |row: &Because| format!("{}  {}", row.location, row.reasons.join("; "));
            return self.list(sign, title, rows.iter().map(words).collect());
        }
        self.title(sign, title);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        rows.iter().flat_map(|row| &row.reasons).for_each(|reason| *reasons.entry(reason).or_default() += 1);
        // The most common first; what only one or two devices are told is for --json.
        let mut reasons: Vec<(&str, usize)> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let common = reasons.iter().take(REASONS_MAX).take_while(|(_, count)| *count > 2).count();
        for (reason, count) in &reasons[..common] {
            self.line(&format!("{count}: {reason}"));
        }
        if reasons.len() > common {
            self.line(&format!("{} rarer reasons: --json has them", reasons.len() - common));
        }
        self.counted(rows.iter().map(|row| &row.location));
    }

    fn records(&mut self, sign: Sign, title: &str, rows: &[Record]) {
        if rows.len() <= LISTED_MAX {
            let words = |row: &Record| format!("{} {} {}", row.name, row.kind.as_str(), row.data);
            return self.list(sign, title, rows.iter().map(words).collect());
        }
        self.title(sign, title);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *kinds.entry(row.kind.as_str()).or_default() += 1);
        let words: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        self.line(&words.join(", "));
    }
}
