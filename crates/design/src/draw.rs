//! The drawing: pods, racks, switches and machines, with every pattern written out.
//!
//! In: the drawing's blocks and the tables they name. Out: the devices of the Design, each with its place, and for
//! each group of like devices the rules that cable them; `cable` resolves those once all devices stand.

use crate::arithmetic::{Numbers, Variable};
use crate::cable::{self, Rule};
use crate::limits::{DEVICES_MAX, LABEL_MAX, PLACES_MAX, PODS_MAX};
use crate::pattern;
use crate::report::Report;
use crate::syntax::{Block, Spanned};
use crate::tables::{Tables, check_segment};
use crate::template::{self, Field, Labels, Naming};
use crate::value;
use model::design::{Device, DeviceKind, Pod, Rack};
use model::finding::{Code, Finding, Source};
use model::ids::{DeviceId, ModelId, PodId, RackId, RoleId};
use model::location::Location;
use model::quick::Map;
use std::collections::HashMap;

mod names;
mod slots;
use slots::Counted;

/// What a device stands in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Container {
    Zone,
    Pod(PodId),
    Rack(RackId),
}

/// All devices, and how they are to be cabled.
#[derive(Default)]
pub(crate) struct Drawing {
    pub(crate) pods: Vec<Pod>,
    pub(crate) racks: Vec<Rack>,
    pub(crate) devices: Vec<Device>,
    /// The numbers at each device's place, by device.
    pub(crate) numbers: Vec<Numbers>,
    /// Rules of each block, shared by the groups it was expanded to.
    pub(crate) rules: Vec<Vec<Rule>>,
    /// Devices of one block in one container.
    pub(crate) groups: Vec<Group>,
    /// Labels of the devices of one kind in one container.
    pub(crate) labels: Map<(Container, DeviceKind), Vec<(String, DeviceId)>>,
    /// Rules that `at` blocks gave to single devices.
    pub(crate) changed: HashMap<DeviceId, usize>,
}

/// Devices of one block in one container: `devices[first..end]`.
pub(crate) struct Group {
    pub(crate) rules: usize,
    pub(crate) first: usize,
    pub(crate) end: usize,
    pub(crate) container: Container,
}

/// A block that stands for devices, read once, before it is expanded.
struct Devices {
    kind: DeviceKind,
    labels: Vec<Place>,
    model: Option<ModelId>,
    role: Option<RoleId>,
    naming: Option<Naming>,
    rules: usize,
    head: Source,
}

/// One expanded label and the number that gives it its place.
struct Place {
    label: String,
    number: Option<u32>,
    /// Set when the number was given by `slot`.
    explicit: bool,
    source: Source,
}

enum Inner {
    Devices(Devices),
    Rack(Vec<Place>, Vec<Devices>),
}

/// Changes that an `at` block makes at one path.
struct Change {
    role: Option<RoleId>,
    model: Option<ModelId>,
    naming: Option<Naming>,
    /// Into [`Drawing::rules`].
    rules: usize,
    absent: bool,
    head: Source,
}

/// Where the expansion stands.
#[derive(Clone, Copy)]
struct Here<'a> {
    container: Container,
    pod: Option<(PodId, &'a str, u32)>,
    rack: Option<(RackId, &'a str, u32)>,
}

const AT_ROOT: Here<'static> = Here { container: Container::Zone, pod: None, rack: None };

/// Expands the drawing.
pub(crate) fn draw(report: &mut Report, blocks: &[Block], tables: &Tables) -> Drawing {
    let mut pen = Pen {
        report,
        tables,
        drawing: Drawing::default(),
        changes: Vec::new(),
        paths: HashMap::new(),
        pod_ids: HashMap::new(),
        rack_ids: HashMap::new(),
        slots: Map::default(),
        tried: 0,
        full: false,
    };
    for block in blocks.iter().filter(|block| block.kind.value == "at") {
        pen.read_change(block);
    }
    for block in blocks {
        match block.kind.value.as_str() {
            "core" | "controller" | "device" => {
                if let Some(devices) = pen.read_devices(block, Level::Zone) {
                    pen.put(&devices, AT_ROOT);
                }
            }
            "pod" => pen.pods(block),
            _ => {}
        }
    }
    pen.finish(blocks.iter().any(|block| block.kind.value == "controller"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Zone,
    Pod,
    Rack,
}

struct Pen<'r> {
    report: &'r mut Report,
    tables: &'r Tables,
    drawing: Drawing,
    changes: Vec<Change>,
    /// Paths within the zone that an `at` block names: the change, where the path is written, and whether it was met.
    paths: HashMap<String, (usize, Source, bool)>,
    pod_ids: HashMap<String, PodId>,
    rack_ids: HashMap<(PodId, String), RackId>,
    /// Who has which place: pods, racks, switches, machines and controllers each count apart.
    slots: Map<(Container, Counted, u32), (Location, Source)>,
    /// Places looked at so far, whether or not they became pods, racks or devices.
    tried: usize,
    full: bool,
}

impl Pen<'_> {
    /// Every label of a block, expanded, with its number.
    fn places(&mut self, block: &Block) -> Vec<Place> {
        let mut places: Vec<Place> = pattern::expand_all(self.report, &block.labels)
            .into_iter()
            .filter_map(|(label, source)| {
                let label = Spanned { value: label, source };
                check_segment(self.report, &label).then_some(label)
            })
            .map(|label| Place {
                number: pattern::trailing_number(&label.value),
                label: label.value,
                explicit: false,
                source: label.source,
            })
            .collect();
        if let Some(attribute) = block.get("slot") {
            let number = value::integer(self.report, attribute, 0..=1 << 20);
            if places.len() > 1 {
                let sentence = "`slot` is for a block with one label";
                self.report.push(Finding::error(Code::WrongValue, attribute.key.source, sentence));
            } else if let (Some(place), Some(number)) = (places.first_mut(), number) {
                place.number = Some(number as u32);
                place.explicit = true;
            }
        }
        places
    }

    fn read_devices(&mut self, block: &Block, level: Level) -> Option<Devices> {
        let (kind, default) = match (block.kind.value.as_str(), level) {
            ("core", _) => (DeviceKind::Core, "core-{label}"),
            ("spine", _) => (DeviceKind::Spine, "{pod}-spine-{label}"),
            ("leaf", Level::Rack) => (DeviceKind::Leaf, "{pod}-{rack}-leaf-{label}"),
            ("leaf", _) => (DeviceKind::Leaf, "{pod}-leaf-{label}"),
            ("lom", Level::Rack) if block.labels.is_empty() => (DeviceKind::Lom, "{pod}-{rack}-lom"),
            ("lom", Level::Rack) => (DeviceKind::Lom, "{pod}-{rack}-lom-{label}"),
            ("lom", _) if block.labels.is_empty() => (DeviceKind::Lom, "{pod}-lom"),
            ("lom", _) => (DeviceKind::Lom, "{pod}-lom-{label}"),
            ("machines" | "machine", _) => (DeviceKind::Machine, "{pod}-{rack}-{unit}"),
            ("controller", _) => (DeviceKind::Controller, "{label}"),
            ("device", _) => (DeviceKind::Other, "{label}"),
            _ => return None,
        };
        let mut fields = vec![Field::Zone, Field::Label, Field::Number];
        let mut variables = vec![Variable::Number];
        if level != Level::Zone {
            fields.push(Field::Pod);
            variables.push(Variable::Pod);
        }
        if level == Level::Rack {
            fields.push(Field::Rack);
            variables.push(Variable::Rack);
        }
        if kind == DeviceKind::Machine {
            fields.push(Field::Unit);
            variables.push(Variable::Unit);
        }
        let mut labels = self.places(block);
        if kind == DeviceKind::Lom && block.labels.is_empty() {
            let slot =
                block.get("slot").and_then(|attribute| value::integer(self.report, attribute, 0..=1 << 20));
            let number = slot.map_or(self.tables.zone.count_from, |slot| slot as u32);
            let explicit = slot.is_some();
            labels.push(Place { label: String::new(), number: Some(number), explicit, source: block.head });
        }
        let written = block.get("name").map(|attribute| value::text(self.report, attribute));
        let naming = match written {
            Some(written) => written.and_then(|name| template::naming(self.report, &name, &fields)),
            None => {
                let default = Spanned { value: default.to_string(), source: block.head };
                template::naming(self.report, &default, &fields)
            }
        };
        let model = self.tables.model(self.report, block);
        let role = self.tables.role(self.report, block);
        let rules = self.read_rules(block, &variables, &fields);
        Some(Devices { kind, labels, model, role, naming, rules, head: block.head })
    }

    fn read_rules(&mut self, block: &Block, variables: &[Variable], fields: &[Field]) -> usize {
        let rules = match block.get("cable") {
            Some(attribute) => cable::rules(self.report, attribute, variables, fields),
            None => Vec::new(),
        };
        self.drawing.rules.push(rules);
        self.drawing.rules.len() - 1
    }

    fn read_change(&mut self, block: &Block) {
        let variables = [Variable::Pod, Variable::Rack, Variable::Unit, Variable::Number];
        let fields = [Field::Zone, Field::Pod, Field::Rack, Field::Unit, Field::Label, Field::Number];
        let naming = block
            .get("name")
            .and_then(|attribute| value::text(self.report, attribute))
            .and_then(|name| template::naming(self.report, &name, &fields));
        let absent = block.get("absent").and_then(|attribute| value::boolean(self.report, attribute));
        let change = Change {
            role: self.tables.role(self.report, block),
            model: self.tables.model(self.report, block),
            naming,
            rules: self.read_rules(block, &variables, &fields),
            absent: absent.unwrap_or(false),
            head: block.head,
        };
        self.changes.push(change);
        for (path, source) in pattern::expand_all(self.report, &block.labels) {
            let zone = &self.tables.zone.name;
            let within =
                path.strip_prefix(zone.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&path);
            let entry = (self.changes.len() - 1, source, false);
            if let Some((_, first, _)) = self.paths.insert(within.to_string(), entry) {
                let sentence = format!("two `at` blocks change `{within}`");
                self.report.push(
                    Finding::error(Code::WrittenTwice, source, sentence)
                        .related(first, "first here")
                        .help("write all changes of one place in one block"),
                );
            }
        }
    }

    fn pods(&mut self, block: &Block) {
        let labels = self.places(block);
        let mut inner = Vec::new();
        for child in &block.blocks {
            if child.kind.value == "rack" {
                let racks = self.places(child);
                let devices =
                    child.blocks.iter().filter_map(|block| self.read_devices(block, Level::Rack)).collect();
                inner.push(Inner::Rack(racks, devices));
            } else if let Some(devices) = self.read_devices(child, Level::Pod) {
                inner.push(Inner::Devices(devices));
            }
        }
        for place in &labels {
            if !self.may_try(place.source) {
                return;
            }
            let Some(pod) = self.pod(place) else { continue };
            for child in &inner {
                match child {
                    Inner::Devices(devices) => {
                        self.put(
                            devices,
                            Here { container: Container::Pod(pod.0), pod: Some(pod), rack: None },
                        );
                    }
                    Inner::Rack(racks, devices) => {
                        for place in racks {
                            if !self.may_try(place.source) {
                                return;
                            }
                            let Some(rack) = self.rack(pod, place) else { continue };
                            let here =
                                Here { container: Container::Rack(rack.0), pod: Some(pod), rack: Some(rack) };
                            for devices in devices {
                                self.put(devices, here);
                            }
                        }
                    }
                }
            }
        }
    }

    fn pod<'p>(&mut self, place: &'p Place) -> Option<(PodId, &'p str, u32)> {
        if let Some(first) = self.pod_ids.get(&place.label) {
            let sentence = format!("pod `{}` is written twice", place.label);
            let first = self.drawing.pods[first.index()].source;
            self.report.push(
                Finding::error(Code::WrittenTwice, place.source, sentence).related(first, "first here"),
            );
            return None;
        }
        if self.drawing.pods.len() >= PODS_MAX {
            value::wrong_value(self.report, place.source, format!("a zone has at most {PODS_MAX} pods"));
            return None;
        }
        let location = Location::new(&format!("{}/{}", self.tables.zone.name, place.label));
        let slot =
            self.slot(place, Container::Zone, Counted::Pod, self.tables.zone.capacity.pods, &location)?;
        let id = PodId::from_index(self.drawing.pods.len());
        self.pod_ids.insert(place.label.clone(), id);
        self.drawing.pods.push(Pod { location, slot, source: place.source });
        Some((id, &place.label, place.number.unwrap_or(0)))
    }

    fn rack<'p>(&mut self, pod: (PodId, &str, u32), place: &'p Place) -> Option<(RackId, &'p str, u32)> {
        let key = (pod.0, place.label.clone());
        if let Some(first) = self.rack_ids.get(&key) {
            let sentence = format!("rack `{}` is written twice", place.label);
            let first = self.drawing.racks[first.index()].source;
            self.report.push(
                Finding::error(Code::WrittenTwice, place.source, sentence).related(first, "first here"),
            );
            return None;
        }
        if self.drawing.racks.len() >= DEVICES_MAX {
            self.fill_up(place.source);
            return None;
        }
        let location = Location::new(&format!("{}/{}/{}", self.tables.zone.name, pod.1, place.label));
        let container = Container::Pod(pod.0);
        let slot = self.slot(place, container, Counted::Rack, self.tables.zone.capacity.racks, &location)?;
        let id = RackId::from_index(self.drawing.racks.len());
        self.rack_ids.insert(key, id);
        let rack = Rack { location, pod: pod.0, slot, source: place.source };
        self.drawing.racks.push(rack);
        Some((id, &place.label, place.number.unwrap_or(0)))
    }

    /// Whether one more place may be looked at; says it once if not.
    fn may_try(&mut self, source: Source) -> bool {
        self.tried += 1;
        if self.tried > PLACES_MAX && !std::mem::replace(&mut self.full, true) {
            let sentence =
                format!("patterns of pods, racks and devices multiply to more than {PLACES_MAX} places");
            value::wrong_value(self.report, source, sentence);
        }
        !self.full
    }

    fn fill_up(&mut self, source: Source) {
        if !std::mem::replace(&mut self.full, true) {
            let sentence = format!("the zone has more than {DEVICES_MAX} devices");
            value::wrong_value(self.report, source, sentence);
        }
    }

    /// Puts the devices of one block where the expansion stands.
    fn put(&mut self, devices: &Devices, here: Here<'_>) {
        let first = self.drawing.devices.len();
        let zone = &self.tables.zone.name;
        let mut location = zone.clone();
        for label in [here.pod.map(|pod| pod.1), here.rack.map(|rack| rack.1)].into_iter().flatten() {
            location.push('/');
            location.push_str(label);
        }
        let prefix = location.len();
        let word = match devices.kind {
            DeviceKind::Core => "core",
            DeviceKind::Spine => "spine",
            DeviceKind::Leaf => "leaf",
            DeviceKind::Lom => "lom",
            DeviceKind::Machine | DeviceKind::Controller | DeviceKind::Other => "",
        };
        // A block counts also where it stands for nothing.
        if !self.may_try(devices.head) {
            return;
        }
        for place in &devices.labels {
            if !self.may_try(devices.head) {
                break;
            }
            if self.drawing.devices.len() >= DEVICES_MAX {
                self.fill_up(devices.head);
                break;
            }
            let separator = if word.is_empty() || place.label.is_empty() { "" } else { "-" };
            location.truncate(prefix);
            for part in ["/", word, separator, &place.label] {
                location.push_str(part);
            }
            self.device(devices, place, &location, here);
        }
        let end = self.drawing.devices.len();
        if first < end {
            self.drawing.groups.push(Group { rules: devices.rules, first, end, container: here.container });
        }
    }

    fn device(&mut self, devices: &Devices, place: &Place, location: &str, here: Here<'_>) {
        let within = &location[self.tables.zone.name.len() + 1..];
        let mut change = None;
        if !self.paths.is_empty()
            && let Some((index, _, met)) = self.paths.get_mut(within)
        {
            *met = true;
            change = Some(&self.changes[*index]);
        }
        if change.is_some_and(|change| change.absent) {
            return;
        }
        let (model, role, naming, rules, source) = match change {
            Some(change) => (
                change.model.or(devices.model),
                change.role.or(devices.role),
                change.naming.clone().or_else(|| devices.naming.clone()),
                Some(change.rules),
                change.head,
            ),
            None => (devices.model, devices.role, None, None, devices.head),
        };
        let location = Location::new(location);
        let capacity = self.tables.zone.capacity;
        let numbered;
        let (place, slot) = match devices.kind {
            DeviceKind::Other => (place, Some(0)),
            DeviceKind::Machine => {
                (place, self.slot(place, here.container, Counted::Machine, capacity.units, &location))
            }
            DeviceKind::Controller => {
                numbered = self.lettered(place);
                (&numbered, self.slot(&numbered, here.container, Counted::Controller, 0, &location))
            }
            DeviceKind::Lom if !place.explicit => {
                numbered = self.lettered(place);
                (&numbered, self.lom_slot(&numbered, here.container, &location))
            }
            _ => {
                numbered = self.lettered(place);
                (
                    &numbered,
                    self.slot(&numbered, here.container, Counted::Switch, capacity.switches, &location),
                )
            }
        };
        // A model that is not there has its finding already; so has a name template that cannot be read.
        let (Some(slot), Some(model)) = (slot, model) else { return };
        let Some(naming) = naming.as_ref().or(devices.naming.as_ref()) else { return };
        let number = place.number.unwrap_or(0);
        let labels = Labels {
            zone: &self.tables.zone.name,
            pod: here.pod.map_or("", |pod| pod.1),
            rack: here.rack.map_or("", |rack| rack.1),
            label: &place.label,
            number,
        };
        let mut name = naming.at(labels);
        if name.len() > LABEL_MAX {
            // It is refused for its length: a million of them need not be held whole.
            name = name.chars().take(LABEL_MAX + 1).collect();
        }
        let id = DeviceId::from_index(self.drawing.devices.len());
        if let Some(rules) = rules {
            self.drawing.changed.insert(id, rules);
        }
        if devices.kind != DeviceKind::Machine {
            let key = (here.container, devices.kind);
            self.drawing.labels.entry(key).or_default().push((place.label.clone(), id));
        }
        self.drawing.numbers.push(Numbers {
            pod: here.pod.map_or(0, |pod| pod.2),
            rack: here.rack.map_or(0, |rack| rack.2),
            number,
        });
        self.drawing.devices.push(Device {
            location,
            name,
            kind: devices.kind,
            pod: here.pod.map(|pod| pod.0),
            rack: here.rack.map(|rack| rack.0),
            slot,
            model,
            role,
            source,
        });
    }

    fn finish(self, has_controller: bool) -> Drawing {
        let Self { report, tables, drawing, paths, pod_ids, rack_ids, .. } = self;
        let mut unmet: Vec<(&String, Source)> = paths
            .iter()
            .filter(|(_, (_, _, met))| !met)
            .map(|(path, (_, source, _))| (path, *source))
            .collect();
        unmet.sort();
        for (path, source) in unmet {
            let segments: Vec<&str> = path.split('/').collect();
            let pod = pod_ids.get(segments[0]);
            let rack = match (pod, segments.get(1)) {
                (Some(pod), Some(rack)) => rack_ids.get(&(*pod, (*rack).to_string())),
                _ => None,
            };
            let why = match (pod, rack) {
                (None, _) if segments.len() > 1 => format!("there is no pod `{}`", segments[0]),
                (Some(_), None) if segments.len() > 2 => {
                    format!("pod `{}` has no rack `{}`", segments[0], segments[1])
                }
                _ => "the path is pod, rack and label, as in `p01/r1/u14` or `p01/r1/leaf-a`".to_string(),
            };
            let sentence = format!("nothing stands at `{path}`");
            report.push(Finding::error(Code::OverrideOfNothing, source, sentence).help(why));
        }
        names::check(report, &drawing, &pod_ids);
        let has_zone = !tables.zone.name.is_empty();
        if has_zone && !has_controller {
            let sentence = format!("zone `{}` has no controller, so nobody would answer", tables.zone.name);
            report.push(
                Finding::warning(Code::NoController, tables.zone.source, sentence)
                    .help("add `controller \"ctl1\" {` with its `model` and `cable`"),
            );
        }
        drawing
    }
}
