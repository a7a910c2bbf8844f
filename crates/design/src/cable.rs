//! Cables: the `cable` rules of the drawing, and the wiring files.
//!
//! A rule (`eno1 = leaf.a.swp[unit]`) is read once for its block, its target found once for each rack, and its port
//! number computed for each machine. A port holds one plug: what is taken is a table indexed by device and port.

use crate::arithmetic::Numbers;
use crate::draw::{Container, Drawing, Group};
use crate::limits::{CABLES_MAX, SOCKETS_MAX, SUGGESTIONS_MAX};
use crate::pattern;
use crate::report::Report;
use crate::syntax::Block;
use crate::tables::Tables;
use crate::template::Labels;
use crate::wiring;
use model::design::{Cable, DeviceKind, PortRef};
use model::finding::{Code, File, Finding, Severity, Source};
use model::ids::{DeviceId, PortIndex};
use std::cell::Cell;
use std::collections::HashMap;

mod rules;
use rules::{PortSelector, ROOTS, Selector, Target};
pub(crate) use rules::{Rule, rules};

/// Resolves every rule and reads every wiring file.
pub(crate) fn connect(
    report: &mut Report,
    blocks: &[Block],
    files: &[File],
    tables: &Tables,
    drawing: &Drawing,
) -> Vec<Cable> {
    let ports = drawing.devices.iter().map(|device| tables.models[device.model.index()].ports.len() as u64);
    let total: u64 = ports.sum();
    if total > SOCKETS_MAX {
        let sentence =
            format!("the devices of the zone have {total} ports together, more than {SOCKETS_MAX}");
        report.push(Finding::error(Code::WrongValue, tables.zone.source, sentence));
        return Vec::new();
    }
    let mut sockets = Sockets::new(tables, drawing);
    for group in &drawing.groups {
        connect_group(report, &mut sockets, group);
    }
    let mut read: HashMap<&str, Source> = HashMap::new();
    for block in blocks.iter().filter(|block| block.kind.value == "cabling") {
        let Some(path) = block.labels.first() else { continue };
        if let Some(first) = read.insert(&path.value, path.source) {
            let sentence = format!("the cabling of `{}` is written twice", path.value);
            report
                .push(Finding::error(Code::WrittenTwice, path.source, sentence).related(first, "first here"));
            continue;
        }
        wiring::read(report, block, files, &mut sockets);
    }
    sockets.cables
}

fn connect_group(report: &mut Report, sockets: &mut Sockets<'_>, group: &Group) {
    let drawing = sockets.drawing;
    let rules = &drawing.rules[group.rules];
    if !sockets.may_follow(report, rules.len()) {
        return;
    }
    // The target device of a `Near` rule is the same for the whole group.
    let near: Vec<Option<DeviceId>> = rules
        .iter()
        .map(|rule| match &rule.target {
            Some(Target { device: Selector::Near(kind, label), .. }) => {
                sockets.near(report, rule.source, group.container, *kind, label.as_deref())
            }
            _ => None,
        })
        .collect();
    for index in group.first..group.end {
        let device = DeviceId::from_index(index);
        let own_rules: &[Rule] = drawing.changed.get(&device).map_or(&[], |rules| &drawing.rules[*rules]);
        if !sockets.may_follow(report, rules.len() * (1 + own_rules.len()) + own_rules.len()) {
            return;
        }
        for (rule, near) in rules.iter().zip(&near) {
            let replaced = own_rules.iter().any(|own| own.own.value == rule.own.value);
            if !replaced && let Some(target) = &rule.target {
                sockets.follow(report, device, rule, target, *near);
            }
        }
        for rule in own_rules {
            let Some(target) = &rule.target else { continue };
            let near = match &target.device {
                Selector::Near(kind, label) => {
                    sockets.near(report, rule.source, group.container, *kind, label.as_deref())
                }
                Selector::Named(_) => None,
            };
            sockets.follow(report, device, rule, target, near);
        }
    }
}

/// What is plugged in where, so far.
pub(crate) struct Sockets<'d> {
    tables: &'d Tables,
    pub(crate) drawing: &'d Drawing,
    pub(crate) cables: Vec<Cable>,
    /// `taken[first_port[device] + port]` is one more than the index of the cable there, or 0.
    taken: Vec<u32>,
    first_port: Vec<u32>,
    ports: Vec<HashMap<&'d str, PortIndex>>,
    /// By model, for each base that rules use: the ports named by it and a number, sorted by number.
    numbered: Vec<Vec<(String, NumberedPorts)>>,
    suggestions: Cell<u32>,
    /// Devices by name (lower case), location, and location within the zone.
    by_name: Option<HashMap<String, DeviceId>>,
    /// Rules followed so far, whether or not they became cables.
    followed: usize,
}

impl<'d> Sockets<'d> {
    fn new(tables: &'d Tables, drawing: &'d Drawing) -> Self {
        let mut first_port = Vec::with_capacity(drawing.devices.len());
        // Bounded by `SOCKETS_MAX`.
        let mut total = 0u32;
        for device in &drawing.devices {
            first_port.push(total);
            total += tables.models[device.model.index()].ports.len() as u32;
        }
        let ports = tables
            .models
            .iter()
            .map(|model| {
                model
                    .ports
                    .iter()
                    .enumerate()
                    .map(|(i, port)| (port.as_str(), PortIndex::from_index(i)))
                    .collect()
            })
            .collect();
        Self {
            tables,
            drawing,
            cables: Vec::new(),
            taken: vec![0; total as usize],
            first_port,
            ports,
            numbered: vec![Vec::new(); tables.models.len()],
            suggestions: Cell::new(SUGGESTIONS_MAX),
            by_name: None,
            followed: 0,
        }
    }

    /// The device that `kind` and `label` mean in `container`, or a finding.
    fn near(
        &self,
        report: &mut Report,
        source: Source,
        container: Container,
        kind: DeviceKind,
        label: Option<&str>,
    ) -> Option<DeviceId> {
        let mut scopes = vec![container];
        if let Container::Rack(rack) = container {
            scopes.push(Container::Pod(self.drawing.racks[rack.index()].pod));
        }
        if container != Container::Zone {
            scopes.push(Container::Zone);
        }
        let word = ROOTS.iter().find(|(_, root)| *root == kind).map_or("device", |(word, _)| word);
        let mut known: Vec<&str> = Vec::new();
        for scope in scopes {
            let Some(labels) = self.drawing.labels.get(&(scope, kind)) else { continue };
            let found = match label {
                Some(label) => labels.iter().find(|(own, _)| own == label),
                None => labels.iter().find(|(own, _)| own.is_empty()).or(match &labels[..] {
                    [only] => Some(only),
                    _ => None,
                }),
            };
            if let Some((_, id)) = found {
                return Some(*id);
            }
            known.extend(labels.iter().map(|(label, _)| label.as_str()));
        }
        let place = match container {
            Container::Zone => "at the root of the zone".to_string(),
            Container::Pod(pod) => format!("in `{}` or at the root", self.drawing.pods[pod.index()].location),
            Container::Rack(rack) => {
                format!("in `{}`, its pod or at the root", self.drawing.racks[rack.index()].location)
            }
        };
        let finding = match label {
            None if !known.is_empty() => {
                let sentence = format!("`{word}` could be any of {}", listed(&known));
                Finding::error(Code::UnknownDevice, source, sentence)
                    .help(format!("name one, as in `{word}.{}`", known[0]))
            }
            None => Finding::error(Code::UnknownDevice, source, format!("there is no `{word}` {place}")),
            Some(label) => {
                let sentence = format!("there is no `{word}` labelled `{label}` {place}");
                let finding = Finding::error(Code::UnknownDevice, source, sentence);
                match model::finding::nearest(label, known.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `{word}.{near}`?")),
                    None if known.is_empty() => finding,
                    None => finding.help(format!("labels here are {}", listed(&known))),
                }
            }
        };
        report.push(finding);
        None
    }

    /// A device by name or location.
    pub(crate) fn device(&mut self, written: &str) -> Option<DeviceId> {
        let drawing = self.drawing;
        let by_name = self.by_name.get_or_insert_with(|| {
            let mut by_name = HashMap::with_capacity(drawing.devices.len() * 3);
            for (index, device) in drawing.devices.iter().enumerate() {
                let id = DeviceId::from_index(index);
                by_name.entry(device.location.as_str().to_string()).or_insert(id);
                by_name.entry(device.location.within_zone().to_string()).or_insert(id);
            }
            for (index, device) in drawing.devices.iter().enumerate() {
                by_name.insert(device.name.to_ascii_lowercase(), DeviceId::from_index(index));
            }
            by_name
        });
        by_name.get(written).or_else(|| by_name.get(&written.to_ascii_lowercase())).copied()
    }

    /// Whether so many more rules are still to be afforded; says it once if not.
    fn may_follow(&mut self, report: &mut Report, rules: usize) -> bool {
        let fits = self.followed <= CABLES_MAX;
        self.followed += rules;
        if fits && self.followed > CABLES_MAX {
            let sentence = format!("the rules of all devices stand for more than {CABLES_MAX} cables");
            report.push(Finding::error(Code::WrongValue, self.tables.zone.source, sentence));
        }
        self.followed <= CABLES_MAX
    }

    /// Whether a search for what may have been meant is still to be afforded.
    fn may_suggest(&self) -> bool {
        let left = self.suggestions.get();
        self.suggestions.set(left.saturating_sub(1));
        left > 0
    }

    /// Finding for a device that is not there.
    pub(crate) fn unknown_device(&self, source: Source, written: &str) -> Finding {
        let names = self.drawing.devices.iter().map(|device| device.name.as_str());
        let finding = Finding::error(Code::UnknownDevice, source, format!("there is no device `{written}`"));
        if self.may_suggest() { finding.did_you_mean(written, names) } else { finding }
    }

    /// A port of a device by its name; a finding if its model has none, unless the model is broken anyway.
    pub(crate) fn port(
        &self,
        report: &mut Report,
        source: Source,
        device: DeviceId,
        name: &str,
    ) -> Option<PortRef> {
        let model = self.drawing.devices[device.index()].model;
        match self.ports[model.index()].get(name) {
            Some(port) => Some(PortRef { device, port: *port }),
            None => {
                self.unknown_port(report, source, device, name);
                None
            }
        }
    }

    fn numbered_port(
        &mut self,
        report: &mut Report,
        source: Source,
        device: DeviceId,
        base: &str,
        number: i64,
    ) -> Option<PortRef> {
        let model = self.drawing.devices[device.index()].model;
        let tables = &mut self.numbered[model.index()];
        let known = tables.iter().position(|(own, _)| own == base);
        let known = known.unwrap_or_else(|| {
            tables.push((base.to_string(), numbered_ports(&self.tables.models[model.index()].ports, base)));
            tables.len() - 1
        });
        let table = &tables[known].1;
        let found = u32::try_from(number).ok().and_then(|number| {
            table.binary_search_by_key(&number, |(number, _)| *number).ok().map(|index| table[index].1)
        });
        match found {
            Some(port) => Some(PortRef { device, port }),
            None => {
                self.unknown_port(report, source, device, &format!("{base}{number}"));
                None
            }
        }
    }

    fn unknown_port(&self, report: &mut Report, source: Source, device: DeviceId, name: &str) {
        let device = &self.drawing.devices[device.index()];
        if self.tables.broken[device.model.index()] {
            return;
        }
        let model = &self.tables.models[device.model.index()];
        let sentence = format!(
            "`{}` has no port `{name}`: its model `{}` does not list it",
            device.location, model.name
        );
        let finding = Finding::error(Code::UnknownPort, source, sentence).related(model.source, "the model");
        let near = if self.may_suggest() {
            model::finding::nearest(name, model.ports.iter().map(String::as_str))
        } else {
            None
        };
        report.push(match (near, model.ports.first(), model.ports.last()) {
            (Some(near), _, _) if pattern::trailing_number(name).is_none() => {
                finding.help(format!("did you mean `{near}`?"))
            }
            (_, Some(first), Some(last)) => {
                finding.help(format!("it has {} ports, `{first}` to `{last}`", model.ports.len()))
            }
            _ => finding,
        });
    }

    /// One rule for one device.
    fn follow(
        &mut self,
        report: &mut Report,
        device: DeviceId,
        rule: &Rule,
        target: &Target,
        near: Option<DeviceId>,
    ) {
        let numbers = self.drawing.numbers[device.index()];
        let Some(own) = self.own_port(report, device, rule) else { return };
        let far = match &target.device {
            Selector::Near(..) => match near {
                Some(far) => far,
                None => return,
            },
            Selector::Named(naming) => {
                let name = naming.at(self.labels_of(device, numbers));
                match self.device(&name) {
                    Some(far) => far,
                    None => {
                        report.push(self.unknown_device(rule.source, &name));
                        return;
                    }
                }
            }
        };
        let far = match &target.port {
            PortSelector::Exact(naming) => self.port(report, rule.source, far, &naming.at(numbers)),
            PortSelector::Numbered(base, number) => match number.evaluate(numbers) {
                Some(number) => self.numbered_port(report, rule.source, far, base, number),
                None => {
                    let sentence = format!(
                        "this cannot be computed for `{}`: it overflows or divides by nought",
                        self.drawing.devices[device.index()].location
                    );
                    report.push(Finding::error(Code::BadExpression, rule.source, sentence));
                    None
                }
            },
        };
        if let Some(far) = far {
            let cable = Cable { a: own, b: far, mbps: None, vlans: None, source: rule.source };
            self.join(report, cable, Severity::Error, false);
        }
    }

    fn own_port(&self, report: &mut Report, device: DeviceId, rule: &Rule) -> Option<PortRef> {
        let model = &self.tables.models[self.drawing.devices[device.index()].model.index()];
        if rule.own.value == "bmc"
            && let Some(bmc) = model.bmc
        {
            return Some(PortRef { device, port: bmc });
        }
        if rule.own.value == "bmc"
            && let Some(shared) = model.bmc_shares
        {
            let port = &model.ports[shared.index()];
            let sentence = format!("the BMC of model `{}` has no jack: it shares `{port}`", model.name);
            report.push(
                Finding::error(Code::UnknownPort, rule.own.source, sentence)
                    .related(model.source, "the model"),
            );
            return None;
        }
        self.port(report, rule.own.source, device, &rule.own.value)
    }

    fn labels_of(&self, device: DeviceId, numbers: Numbers) -> Labels<'d> {
        let drawing = self.drawing;
        let device = &drawing.devices[device.index()];
        let leaf = device.location.leaf();
        let label =
            if device.kind.is_switch() { leaf.split_once('-').map_or("", |(_, label)| label) } else { leaf };
        Labels {
            zone: &self.tables.zone.name,
            pod: device.pod.map_or("", |pod| drawing.pods[pod.index()].location.leaf()),
            rack: device.rack.map_or("", |rack| drawing.racks[rack.index()].location.leaf()),
            label,
            number: numbers.number,
        }
    }

    /// Plugs a cable in, if both of its ports are free. `severity` is that of a port taken twice; `loops` says that
    /// cables between two ports of one device are meant.
    pub(crate) fn join(&mut self, report: &mut Report, cable: Cable, severity: Severity, loops: bool) {
        let (a, b) = (self.socket(cable.a), self.socket(cable.b));
        if a == b {
            let sentence = format!("a cable joins {} to itself", self.said(cable.a));
            report.push(Finding { severity, ..Finding::error(Code::CableToItself, cable.source, sentence) });
            return;
        }
        if self.taken[a] != 0 && self.taken[a] == self.taken[b] {
            let first = self.cables[self.taken[a] as usize - 1].source;
            let sentence = format!(
                "the cable between {} and {} is written twice",
                self.said(cable.a),
                self.said(cable.b)
            );
            report.push(
                Finding::warning(Code::SameCableTwice, cable.source, sentence).related(first, "first here"),
            );
            return;
        }
        if cable.a.device == cable.b.device && !loops {
            let sentence =
                format!("a cable joins {} and {}, of one device", self.said(cable.a), self.said(cable.b));
            report.push(
                Finding::warning(Code::CableToItself, cable.source, sentence)
                    .help("right for a loopback test; otherwise mend one end"),
            );
        }
        for (socket, end, other) in [(a, cable.a, cable.b), (b, cable.b, cable.a)] {
            if self.taken[socket] == 0 {
                continue;
            }
            let first = &self.cables[self.taken[socket] as usize - 1];
            let holder = if first.a == end { first.b } else { first.a };
            let sentence = format!(
                "{} is taken by the cable to {}, and cannot hold the one to {} too",
                self.said(end),
                self.said(holder),
                self.said(other)
            );
            let finding =
                Finding { severity, ..Finding::error(Code::PortTakenTwice, cable.source, sentence) };
            report.push(if first.source == cable.source {
                finding
            } else {
                finding.related(first.source, "taken here")
            });
            return;
        }
        if self.cables.len() >= CABLES_MAX {
            let sentence = format!("the zone has more than {CABLES_MAX} cables");
            report.push(Finding::error(Code::WrongValue, cable.source, sentence));
            return;
        }
        self.cables.push(cable);
        // Bounded by `CABLES_MAX`.
        let mark = self.cables.len() as u32;
        self.taken[a] = mark;
        self.taken[b] = mark;
    }

    fn socket(&self, end: PortRef) -> usize {
        self.first_port[end.device.index()] as usize + end.port.index()
    }

    fn said(&self, end: PortRef) -> String {
        let device = &self.drawing.devices[end.device.index()];
        let port = &self.tables.models[device.model.index()].ports[end.port.index()];
        format!("`{}` of `{}`", port, device.location.within_zone())
    }
}

/// Ports by the number after a base.
type NumberedPorts = Vec<(u32, PortIndex)>;

fn numbered_ports(ports: &[String], base: &str) -> NumberedPorts {
    let mut table = NumberedPorts::with_capacity(ports.len());
    for (index, port) in ports.iter().enumerate() {
        let Some(digits) = port.strip_prefix(base) else { continue };
        if !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = digits.parse()
        {
            table.push((number, PortIndex::from_index(index)));
        }
    }
    // Of `swp1` and `swp01` the one that is listed first is meant.
    table.sort_by_key(|(number, _)| *number);
    table.dedup_by_key(|(number, _)| *number);
    table
}

fn listed(labels: &[&str]) -> String {
    let quoted: Vec<String> = labels.iter().take(8).map(|label| format!("`{label}`")).collect();
    quoted.join(", ") + if labels.len() > 8 { ", …" } else { "" }
}
