//! The `model` block: what is bought, with its ports and the bytes its relay writes.

use crate::limits::PORTS_MAX;
use crate::pattern;
use crate::report::Report;
use crate::size;
use crate::syntax::{Attribute, Block, Expression, Kind, Spanned};
use crate::tables::word;
use crate::template;
use crate::value::{self, wrong_value};
use model::design::{Bond, Expect, ExpectDisks, Model, ModelKind};
use model::finding::{Code, Finding};
use model::ids::PortIndex;
use std::collections::HashMap;

/// The port of a server's BMC when the model does not name it.
const BMC: &str = "bmc";
/// The highest a device can be, in rack units: a whole rack.
const HEIGHT_MAX: i64 = 60;

/// Reads a model. The flag is true if there is a mistake in it, so that what it lacks is not held against its users.
pub(crate) fn read(report: &mut Report, block: &Block, name: String) -> (Model, bool) {
    let mut model = Model {
        name,
        kind: ModelKind::Other,
        ports: Vec::new(),
        circuit_id: None,
        remote_id: None,
        interface_id: None,
        remote_id6: None,
        bonds: Vec::new(),
        bmc: None,
        bmc_shares: None,
        bmc_vendor_class: Vec::new(),
        height: 1,
        expect: Expect::default(),
        source: block.head,
    };
    let broken = fill(report, block, &mut model).is_none();
    (model, broken)
}

fn fill(report: &mut Report, block: &Block, model: &mut Model) -> Option<()> {
    let kind = value::text(report, block.get("kind")?)?;
    let words = [("switch", ModelKind::Switch), ("server", ModelKind::Server), ("other", ModelKind::Other)];
    model.kind = word(report, "kind", &kind, &words)?;
    let server = model.kind == ModelKind::Server;
    for (key, of_server) in [
        ("nics", true),
        ("bonds", true),
        ("bmc", true),
        ("expect", true),
        ("circuit_id", false),
        ("remote_id", false),
        ("interface_id", false),
        ("remote_id6", false),
    ] {
        let Some(attribute) = block.get(key) else { continue };
        let fits = if of_server { server } else { model.kind == ModelKind::Switch };
        if !fits {
            let sentence = format!("`{key}` is for a {}", if of_server { "server" } else { "switch" });
            report.push(Finding::error(Code::UnknownKey, attribute.key.source, sentence));
        }
    }

    let mut ports = Ports::default();
    let main = if server { "nics" } else { "ports" };
    match block.get(main) {
        Some(attribute) => ports.add_all(report, attribute)?,
        None => {
            let sentence = format!("a {} model needs `{main}`", kind.value);
            report.push(Finding::error(Code::MissingKey, block.head, sentence));
            return None;
        }
    }
    if server {
        read_bmc(report, block, model, &mut ports)?;
        if let Some(more) = block.get("ports") {
            ports.add_all(report, more)?;
        }
    }
    model.ports = ports.names;

    if let Some(bonds) = block.get("bonds") {
        read_bonds(report, bonds, model)?;
    }
    for (key, place) in [
        ("circuit_id", &mut model.circuit_id),
        ("remote_id", &mut model.remote_id),
        ("interface_id", &mut model.interface_id),
        ("remote_id6", &mut model.remote_id6),
    ] {
        if let Some(attribute) = block.get(key) {
            let written = value::text(report, attribute)?;
            *place = Some(template::identity(report, &written)?);
        }
    }
    if let Some(height) = block.get("height") {
        model.height = value::integer(report, height, 1..=HEIGHT_MAX)? as u32;
    }
    if let Some(expect) = block.get("expect") {
        read_expect(report, expect, &mut model.expect);
    }
    Some(())
}

/// Port names so far.
#[derive(Default)]
struct Ports {
    names: Vec<String>,
    indices: HashMap<String, PortIndex>,
}

impl Ports {
    fn add_all(&mut self, report: &mut Report, attribute: &Attribute) -> Option<()> {
        for pattern in value::texts(report, attribute)? {
            for name in pattern::expand(report, &pattern)? {
                self.add(report, &Spanned { value: name, source: pattern.source })?;
            }
        }
        Some(())
    }

    fn add(&mut self, report: &mut Report, name: &Spanned<String>) -> Option<PortIndex> {
        if name.value.is_empty() || name.value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            wrong_value(report, name.source, format!("`{}` is not a port name", name.value.escape_debug()));
            return None;
        }
        if self.names.len() >= PORTS_MAX {
            wrong_value(report, name.source, format!("a model has at most {PORTS_MAX} ports"));
            return None;
        }
        let index = PortIndex::from_index(self.names.len());
        if self.indices.insert(name.value.clone(), index).is_some() {
            let sentence = format!("port `{}` is listed twice", name.value);
            report.push(Finding::error(Code::WrittenTwice, name.source, sentence));
            return None;
        }
        self.names.push(name.value.clone());
        Some(index)
    }
}

fn read_bmc(report: &mut Report, block: &Block, model: &mut Model, ports: &mut Ports) -> Option<()> {
    let Some(attribute) = block.get("bmc") else {
        if !ports.indices.contains_key(BMC) {
            model.bmc = ports.add(report, &Spanned { value: BMC.to_string(), source: block.head });
        } else {
            model.bmc = ports.indices.get(BMC).copied();
        }
        return Some(());
    };
    let mut own = None;
    match &attribute.value.kind {
        Kind::Bool(false) => {}
        Kind::Bool(true) => own = Some(Spanned { value: BMC.to_string(), source: attribute.value.source }),
        Kind::Text(name) => own = Some(Spanned { value: name.clone(), source: attribute.value.source }),
        Kind::Object(_) => {
            for entry in value::object(report, attribute, &["port", "shares", "vendor_class"])? {
                match entry.key.value.as_str() {
                    "port" => own = Some(value::text(report, entry)?),
                    "shares" => {
                        let port = value::text(report, entry)?;
                        model.bmc_shares = Some(known_port(report, &port, &ports.names)?);
                    }
                    "vendor_class" => {
                        let prefixes = value::texts(report, entry)?;
                        model.bmc_vendor_class = prefixes.into_iter().map(|prefix| prefix.value).collect();
                    }
                    _ => {}
                }
            }
            let classes = model.bmc_vendor_class.iter().all(|class| !class.is_empty());
            if model.bmc_shares.is_some() && (model.bmc_vendor_class.is_empty() || !classes) {
                let sentence =
                    "a BMC that shares a port is told apart by `vendor_class`, which is missing or empty";
                report.push(
                    Finding::error(Code::MissingKey, attribute.value.source, sentence)
                        .help("list the prefixes of DHCP option 60 that this BMC sends"),
                );
                return None;
            }
            if own.is_some() && model.bmc_shares.is_some() {
                wrong_value(
                    report,
                    attribute.value.source,
                    "a BMC has a `port` of its own or `shares` one, not both",
                );
                return None;
            }
        }
        _ => {
            value::wrong_type(report, "bmc", "a port name, false, or `{ shares = … }`", &attribute.value);
            return None;
        }
    }
    if let Some(own) = own {
        model.bmc = match ports.indices.get(&own.value) {
            Some(listed) => Some(*listed),
            None => Some(ports.add(report, &own)?),
        };
    }
    Some(())
}

fn known_port(report: &mut Report, name: &Spanned<String>, names: &[String]) -> Option<PortIndex> {
    let index = names.iter().position(|port| *port == name.value).map(PortIndex::from_index);
    if index.is_none() {
        let finding = Finding::error(
            Code::UnknownPort,
            name.source,
            format!("this model has no port `{}`", name.value),
        );
        report.push(finding.did_you_mean(&name.value, names.iter().map(String::as_str)));
    }
    index
}

fn read_bonds(report: &mut Report, attribute: &Attribute, model: &mut Model) -> Option<()> {
    let mut taken: HashMap<PortIndex, &str> = HashMap::new();
    for entry in value::entries(report, attribute)? {
        let mut bond = Bond { name: entry.key.value.clone(), members: Vec::new(), port_channel: None };
        let mut members = Vec::new();
        if matches!(entry.value.kind, Kind::Object(_)) {
            for inner in value::object(report, entry, &["members", "port_channel"])? {
                match inner.key.value.as_str() {
                    "members" => members = value::texts(report, inner)?,
                    "port_channel" => bond.port_channel = Some(value::text(report, inner)?.value),
                    _ => {}
                }
            }
        } else {
            members = value::texts(report, entry)?;
        }
        if members.is_empty() {
            let sentence = format!("bond `{}` has no members", bond.name);
            wrong_value(report, entry.value.source, sentence);
            return None;
        }
        if model.ports.contains(&bond.name) {
            let sentence = format!("`{}` is a port and cannot be a bond too", bond.name);
            report.push(Finding::error(Code::WrittenTwice, entry.key.source, sentence));
            return None;
        }
        for member in members {
            let port = known_port(report, &member, &model.ports)?;
            if let Some(other) = taken.insert(port, &entry.key.value) {
                let sentence = format!("port `{}` is in bond `{other}` already", member.value);
                report.push(Finding::error(Code::WrittenTwice, member.source, sentence));
                return None;
            }
            bond.members.push(port);
        }
        model.bonds.push(bond);
    }
    Some(())
}

fn read_expect(report: &mut Report, attribute: &Attribute, expect: &mut Expect) -> Option<()> {
    for entry in value::object(report, attribute, &["cpus", "memory", "disks", "firmware", "nic_speed"])? {
        match entry.key.value.as_str() {
            "cpus" => expect.cpus = value::integer(report, entry, 1..=65_536).map(|cpus| cpus as u32),
            "memory" => expect.memory_bytes = value::bytes(report, entry).map(|bytes| bytes.value),
            "firmware" => expect.firmware = value::text(report, entry).map(|text| text.value),
            "nic_speed" => {
                if let Some(text) = value::text(report, entry) {
                    expect.nic_mbps = size::megabits(&text.value).and_then(|mbps| u32::try_from(mbps).ok());
                    if expect.nic_mbps.is_none() {
                        wrong_value(
                            report,
                            text.source,
                            format!("`{}` is not a speed such as `25G`", text.value),
                        );
                    }
                }
            }
            "disks" => {
                let Kind::List(items) = &entry.value.kind else {
                    value::wrong_type(report, "disks", "a list of objects", &entry.value);
                    continue;
                };
                for item in items {
                    expect.disks.extend(expected_disks(report, item));
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// `{ count = …, size = …, kind = … }`, each of which may be left out.
#[derive(Default)]
pub(crate) struct SomeDisks {
    pub count: Option<u32>,
    pub size_bytes: Option<u64>,
    pub kind: Option<String>,
}

/// Reads [`SomeDisks`], at most `count_max` of them. `None` if there is a mistake in it.
pub(crate) fn some_disks(report: &mut Report, value: &Expression, count_max: u32) -> Option<SomeDisks> {
    let mut disks = SomeDisks::default();
    let mut is_read = true;
    for entry in value::object_of(report, "disks", value, &["count", "size", "kind"])? {
        is_read &= match entry.key.value.as_str() {
            "count" => {
                let count = value::integer(report, entry, 1..=count_max.into());
                disks.count = count.and_then(|count| u32::try_from(count).ok());
                disks.count.is_some()
            }
            "size" => {
                disks.size_bytes = value::bytes(report, entry).map(|bytes| bytes.value);
                disks.size_bytes.is_some()
            }
            "kind" => {
                let kinds = [("nvme", "nvme"), ("ssd", "ssd"), ("hdd", "hdd")];
                let kind =
                    value::text(report, entry).and_then(|written| word(report, "kind", &written, &kinds));
                disks.kind = kind.map(str::to_owned);
                kind.is_some()
            }
            _ => true,
        };
    }
    is_read.then_some(disks)
}

fn expected_disks(report: &mut Report, item: &Expression) -> Option<ExpectDisks> {
    let SomeDisks { count, size_bytes, kind } = some_disks(report, item, 1_024)?;
    let Some(size_bytes) = size_bytes else {
        report.push(Finding::error(Code::MissingKey, item.source, "a disk needs `size`"));
        return None;
    };
    Some(ExpectDisks { count: count.unwrap_or(1), size_bytes, kind })
}
