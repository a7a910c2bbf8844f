//! The blocks that other blocks name: zone, networks, images, roles, views (models are in `models`).
//!
//! In: the blocks of all files. Out: tables of the Design, and the names by which the drawing refers to them.

use crate::budgets;
use crate::images;
use crate::limits::{CHECKS_BYTES_MAX, LABEL_MAX, TABLE_MAX};
use crate::models;
use crate::order;
use crate::report::Report;
use crate::size;
use crate::syntax::{Attribute, Block, Spanned};
use crate::systems;
use crate::trust;
use crate::value::{self, wrong_value};
use ipnet::IpNet;
use model::burn_in::BurnIn;
use model::change::Policy;
use model::design::{
    Audience, Budget, Capacity, CheckFile, DnsView, Image, Layout, Model, Network, Os, Role, Scope, Service,
    Zone,
};
use model::finding::{Code, File, Finding, Source};
use model::ids::{ImageId, LayoutId, ModelId, NetworkId, OsId, RoleId};
use std::collections::HashMap;
use std::net::IpAddr;

/// DHCP lease time when the zone states none: a client renews at half of it, so a zone lives through six hours
/// without any controller before the first address lapses.
const LEASE_SECONDS: u32 = 12 * 3600;

/// How soon a DHCP server that is not the zone's is heard of when the zone does not say: before firmware that it misleads
/// has given up.
const DHCP_PROBE_SECONDS: u32 = 30;

/// Switches in each rack, pod and at the root when `capacity` states none.
const SWITCHES: u32 = 4;

/// Everything that is referred to by name.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) zone: Zone,
    pub(crate) models: Vec<Model>,
    /// Models with a mistake in them: what they lack is not held against those who use them.
    pub(crate) broken: Vec<bool>,
    pub(crate) networks: Vec<Network>,
    pub(crate) images: Vec<Image>,
    pub(crate) templates: Vec<File>,
    pub(crate) systems: Vec<Os>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) roles: Vec<Role>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) rollout: Policy,
    pub(crate) views: Vec<DnsView>,
    model_ids: HashMap<String, ModelId>,
    role_ids: HashMap<String, RoleId>,
}

impl Tables {
    /// A model by its name; a finding if there is none.
    pub(crate) fn model(&self, report: &mut Report, block: &Block) -> Option<ModelId> {
        let name = value::reference(report, "model", &block.get("model")?.value, "model")?;
        let id = self.model_ids.get(&name.value).copied();
        if id.is_none() {
            let known = self.models.iter().map(|model| model.name.as_str());
            value::unknown_name(report, name.source, "model", &name.value, known);
        }
        id
    }

    /// A role by its name; a finding if there is none.
    pub(crate) fn role(&self, report: &mut Report, block: &Block) -> Option<RoleId> {
        let name = value::reference(report, "role", &block.get("role")?.value, "role")?;
        let id = self.role_ids.get(&name.value).copied();
        if id.is_none() {
            let known = self.roles.iter().map(|role| role.name.as_str());
            value::unknown_name(report, name.source, "role", &name.value, known);
        }
        id
    }
}

/// Reads all tables.
pub(crate) fn read(report: &mut Report, blocks: &[Block], files: &[File]) -> Tables {
    let mut tables = Tables::default();
    read_zone(report, blocks, &mut tables);

    let all = |kind: &'static str| blocks.iter().filter(move |block| block.kind.value == kind);
    let mut seen = Seen::default();
    for block in all("model") {
        let Some(name) = seen.new_name(report, block, tables.models.len()) else { continue };
        tables.model_ids.insert(name.clone(), ModelId::from_index(tables.models.len()));
        let (model, broken) = models::read(report, block, name);
        tables.models.push(model);
        tables.broken.push(broken);
    }
    let mut network_ids = HashMap::new();
    for block in all("network") {
        let Some(name) = seen.new_name(report, block, tables.networks.len()) else { continue };
        network_ids.insert(name.clone(), NetworkId::from_index(tables.networks.len()));
        let network = read_network(report, block, name, &tables.zone);
        tables.networks.push(network);
    }
    tables.templates = images::texts(report, files);
    let mut image_ids = HashMap::new();
    for block in all("image") {
        let Some(name) = seen.new_name(report, block, tables.images.len()) else { continue };
        image_ids.insert(name.clone(), ImageId::from_index(tables.images.len()));
        tables.images.push(images::read(report, block, name, files));
    }
    for block in all("os") {
        let Some(name) = seen.new_name(report, block, tables.systems.len()) else { continue };
        tables.systems.push(systems::read_os(report, block, name));
    }
    for block in all("layout") {
        let Some(name) = seen.new_name(report, block, tables.layouts.len()) else { continue };
        tables.layouts.push(systems::read_layout(report, block, name));
    }
    let mut checks_bytes = 0;
    for block in all("role") {
        let Some(name) = seen.new_name(report, block, tables.roles.len()) else { continue };
        tables.role_ids.insert(name.clone(), RoleId::from_index(tables.roles.len()));
        let role = read_role(report, block, name, &image_ids, &tables, files, &mut checks_bytes);
        tables.roles.push(role);
    }
    order::read(report, &all("role").collect::<Vec<_>>(), &tables.role_ids, &mut tables.roles);
    for block in all("budget") {
        let Some(name) = seen.new_name(report, block, tables.budgets.len()) else { continue };
        tables.budgets.push(budgets::read(report, block, name, &tables.role_ids, &tables.roles));
    }
    tables.rollout = budgets::read_rollout(report, blocks);
    for block in all("view") {
        let Some(name) = seen.new_name(report, block, tables.views.len()) else { continue };
        tables.views.push(read_view(report, block, name, &network_ids, &tables.networks));
    }
    tables
}

/// Names given so far, per kind of block.
#[derive(Default)]
struct Seen(HashMap<(String, String), Source>);

impl Seen {
    /// The block's name, if no block of its kind before it has it and the table has room.
    fn new_name(&mut self, report: &mut Report, block: &Block, so_far: usize) -> Option<String> {
        let label = block.labels.first()?;
        let kind = &block.kind.value;
        if let Some(first) = self.0.insert((kind.clone(), label.value.clone()), label.source) {
            let sentence = format!("{kind} `{}` is written twice", label.value);
            report.push(
                Finding::error(Code::WrittenTwice, label.source, sentence).related(first, "first here"),
            );
            return None;
        }
        if so_far >= TABLE_MAX {
            wrong_value(report, block.head, format!("a design holds at most {TABLE_MAX} blocks `{kind}`"));
            return None;
        }
        let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if label.value.is_empty() || !label.value.chars().all(simple) {
            let sentence =
                format!("`{}` is not a name: letters, digits, `-`, `_` and `.` make one", label.value);
            wrong_value(report, label.source, sentence);
        } else if label.value.len() > LABEL_MAX {
            wrong_value(report, label.source, format!("a name has at most {LABEL_MAX} letters"));
        }
        Some(label.value.clone())
    }
}

fn read_zone(report: &mut Report, blocks: &[Block], tables: &mut Tables) {
    let mut zones = blocks.iter().filter(|block| block.kind.value == "zone");
    let Some(block) = zones.next() else {
        let place = blocks.first().map_or(Source::default(), |block| block.head);
        report.push(
            Finding::error(Code::MissingKey, place, "the design has no `zone` block")
                .help("write `zone \"name\" {` with `domain`, `supernet` and `capacity`"),
        );
        return;
    };
    for second in zones {
        report.push(
            Finding::error(Code::WrittenTwice, second.head, "a design is of one zone")
                .related(block.head, "the zone is written here")
                .help("give each zone its own directory"),
        );
    }
    let zone = &mut tables.zone;
    zone.source = block.head;
    zone.count_from = 1;
    zone.lease_seconds = LEASE_SECONDS;
    zone.dhcp_probe_seconds = DHCP_PROBE_SECONDS;
    if let Some(label) = block.labels.first() {
        zone.name = label.value.clone();
        check_segment(report, label);
    }
    if let Some(domain) = block.get("domain").and_then(|attribute| value::text(report, attribute)) {
        let trimmed = domain.value.strip_suffix('.').unwrap_or(&domain.value);
        if trimmed.len() > 200 || !trimmed.split('.').all(is_dns_label) {
            let sentence = format!("`{}` is not a DNS domain", domain.value);
            report.push(Finding::error(Code::BadName, domain.source, sentence));
        }
        zone.domain = trimmed.to_ascii_lowercase();
    }
    if let Some(supernet) = block.get("supernet") {
        read_supernet(report, supernet, zone);
    }
    if let Some(capacity) = block.get("capacity") {
        read_capacity(report, capacity, zone);
    }
    if let Some(from) = block.get("count_from").and_then(|attribute| value::integer(report, attribute, 0..=1))
    {
        zone.count_from = from as u32;
    }
    if let Some(lease) = block.get("lease").and_then(|attribute| value::text(report, attribute)) {
        match size::seconds(&lease.value).filter(|seconds| (60..=365 * 86_400).contains(seconds)) {
            Some(seconds) => zone.lease_seconds = seconds as u32,
            None => {
                wrong_value(report, lease.source, "`lease` is a time from `60s` to `365d`, such as `12h`")
            }
        }
    }
    if let Some(probe) = block.get("dhcp_probe").and_then(|attribute| value::text(report, attribute)) {
        let seconds = match probe.value.as_str() {
            "never" => Some(0),
            text => size::seconds(text).filter(|seconds| (10..=86_400).contains(seconds)),
        };
        match seconds {
            Some(seconds) => zone.dhcp_probe_seconds = seconds as u32,
            None => {
                let expected = "`dhcp_probe` is a time from `10s` to `1d`, such as `30s`, or `never`";
                wrong_value(report, probe.source, expected);
            }
        }
    }
    zone.resolvers = addresses(report, block.get("resolvers"));
    zone.time_servers = addresses(report, block.get("time_servers"));
    let mut networks = |name| -> Vec<IpNet> {
        prefixes(report, block.get(name)).into_iter().map(|prefix| prefix.value).collect()
    };
    zone.transfer_to = networks("transfer_to");
    zone.relays_from = block.get("relays_from").map(|_| networks("relays_from"));
}

fn read_supernet(report: &mut Report, attribute: &Attribute, zone: &mut Zone) {
    for prefix in prefixes(report, Some(attribute)) {
        let (twice, family) = match prefix.value {
            IpNet::V4(net) => (zone.supernet4.replace(net).is_some(), "IPv4"),
            IpNet::V6(net) => (zone.supernet6.replace(net).is_some(), "IPv6"),
        };
        if twice {
            let sentence = format!("a zone has one {family} supernet");
            report.push(Finding::error(Code::WrittenTwice, prefix.source, sentence));
        }
    }
}

fn read_capacity(report: &mut Report, attribute: &Attribute, zone: &mut Zone) {
    let known = ["pods", "racks", "units", "switches"];
    zone.capacity = Capacity { switches: SWITCHES, ..Capacity::default() };
    let Some(entries) = value::object(report, attribute, &known) else { return };
    let missing: Vec<String> = known[..3]
        .iter()
        .filter(|key| !entries.iter().any(|entry| entry.key.value == **key))
        .map(|key| format!("`{key}`"))
        .collect();
    if !missing.is_empty() {
        let sentence = format!("`capacity` needs {}", missing.join(" and "));
        report.push(Finding::error(Code::MissingKey, attribute.value.source, sentence));
    }
    for entry in entries {
        let (place, most) = match entry.key.value.as_str() {
            "pods" => (&mut zone.capacity.pods, 16_384),
            "racks" => (&mut zone.capacity.racks, 4_096),
            "units" => (&mut zone.capacity.units, 4_096),
            "switches" => (&mut zone.capacity.switches, 1_024),
            _ => continue,
        };
        if let Some(count) = value::integer(report, entry, 1..=most) {
            *place = count as u32;
        }
    }
}

fn read_network(report: &mut Report, block: &Block, name: String, zone: &Zone) -> Network {
    let mut network = Network {
        name,
        scope: Scope::Zone,
        audience: Vec::new(),
        vlan: None,
        native: false,
        interfaces: Vec::new(),
        spare: 0,
        mtu: None,
        ipv4: zone.supernet4.is_some(),
        ipv6: zone.supernet6.is_some(),
        source: block.head,
    };
    if let Some(per) = block.get("per").and_then(|attribute| value::text(report, attribute)) {
        let words = [("zone", Scope::Zone), ("pod", Scope::Pod), ("rack", Scope::Rack)];
        if let Some(scope) = word(report, "per", &per, &words) {
            network.scope = scope;
        }
    }
    for audience in block.get("for").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        let words = [
            ("machine", Audience::Machine),
            ("bmc", Audience::Bmc),
            ("switch", Audience::Switch),
            ("controller", Audience::Controller),
        ];
        if let Some(audience) = word(report, "for", &audience, &words)
            && !network.audience.contains(&audience)
        {
            network.audience.push(audience);
        }
    }
    if let Some(vlan) = block.get("vlan").and_then(|attribute| value::integer(report, attribute, 1..=4094)) {
        network.vlan = Some(vlan as u16);
    }
    if let Some(native) = block.get("native") {
        network.native = value::boolean(report, native).unwrap_or(false);
        if network.native && block.get("vlan").is_none() {
            wrong_value(
                report,
                native.value.source,
                "`native = true` says what `vlan` is the untagged one: write it",
            );
        }
    }
    if let Some(interfaces) = block.get("interfaces").and_then(|attribute| value::texts(report, attribute)) {
        network.interfaces = interfaces.into_iter().map(|interface| interface.value).collect();
    }
    if let Some(spare) =
        block.get("spare").and_then(|attribute| value::integer(report, attribute, 0..=1 << 20))
    {
        network.spare = spare as u32;
    }
    if let Some(mtu) = block.get("mtu").and_then(|attribute| value::integer(report, attribute, 576..=9216)) {
        network.mtu = Some(mtu as u16);
    }
    for (key, has, family) in [
        ("ipv4", &mut network.ipv4, zone.supernet4.is_some()),
        ("ipv6", &mut network.ipv6, zone.supernet6.is_some()),
    ] {
        let Some(attribute) = block.get(key) else { continue };
        *has = value::boolean(report, attribute).unwrap_or(*has);
        if *has && !family {
            let sentence =
                format!("the zone has no {} supernet", if key == "ipv4" { "IPv4" } else { "IPv6" });
            wrong_value(report, attribute.value.source, sentence);
        }
    }
    network
}

fn read_role(
    report: &mut Report,
    block: &Block,
    name: String,
    image_ids: &HashMap<String, ImageId>,
    tables: &Tables,
    files: &[File],
    checks_bytes: &mut usize,
) -> Role {
    let mut role = Role {
        name,
        boot: None,
        os: None,
        disks: None,
        ssh_keys: Vec::new(),
        trust: trust::read(report, block, files),
        https: block.get("https").and_then(|attribute| value::boolean(report, attribute)).unwrap_or_default(),
        checks: Vec::new(),
        burn_in: BurnIn::default(),
        services: Vec::new(),
        guest_ouis: Vec::new(),
        after: Vec::new(),
        source: block.head,
    };
    if let Some(image) =
        block.get("boot").and_then(|attribute| value::reference(report, "boot", &attribute.value, "image"))
    {
        role.boot = image_ids.get(&image.value).copied();
        if role.boot.is_none() {
            let known = tables.images.iter().map(|image| image.name.as_str());
            value::unknown_name(report, image.source, "image", &image.value, known);
        }
    }
    read_system(report, block, tables, &mut role);
    if let Some(attribute) = block.get("burn_in") {
        role.burn_in = systems::read_burn_in(report, attribute);
    }
    for oui in
        block.get("guest_ouis").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        match read_oui(&oui.value) {
            Some(bytes) => role.guest_ouis.push(bytes),
            None => {
                let sentence = format!("`{}` is not the first three octets of a MAC address", oui.value);
                report.push(
                    Finding::error(Code::WrongValue, oui.source, sentence).help("write it as `52:54:00`"),
                );
            }
        }
    }
    for check in block.all("check") {
        let Some(path) = check.labels.first() else { continue };
        match files.iter().find(|file| file.path == path.value) {
            Some(file) if *checks_bytes + file.text.len() > CHECKS_BYTES_MAX => {
                let sentence = format!(
                    "the roles up to here hold files of checks of more than {} MiB",
                    CHECKS_BYTES_MAX >> 20
                );
                wrong_value(report, path.source, sentence);
            }
            Some(file) => {
                *checks_bytes += file.text.len();
                role.checks.push(CheckFile { path: path.value.clone(), text: file.text.to_string() })
            }
            None => value::missing_file(report, path, files, &[".yaml", ".yml"]),
        }
    }
    for service in block.all("service") {
        if let Some(service) = read_service(report, service) {
            role.services.push(service);
        }
    }
    role
}

/// What is written to the role's disks, and who may log in there.
fn read_system(report: &mut Report, block: &Block, tables: &Tables, role: &mut Role) {
    if let Some(layout) =
        block.get("disks").and_then(|attribute| value::reference(report, "disks", &attribute.value, "layout"))
    {
        let names = || tables.layouts.iter().map(|layout| layout.name.as_str());
        role.disks = names().position(|name| name == layout.value).map(LayoutId::from_index);
        if role.disks.is_none() {
            value::unknown_name(report, layout.source, "layout", &layout.value, names());
        }
    }
    if let Some(os) =
        block.get("os").and_then(|attribute| value::reference(report, "os", &attribute.value, "os"))
    {
        let names = || tables.systems.iter().map(|os| os.name.as_str());
        role.os = names().position(|name| name == os.value).map(OsId::from_index);
        if role.os.is_none() {
            value::unknown_name(report, os.source, "os", &os.value, names());
        }
        if block.get("disks").is_none() {
            let sentence =
                "an operating system is written to disks, and the role does not say how they are used";
            let finding = Finding::error(Code::MissingKey, os.source, sentence);
            report.push(finding.help("write `disks = layout.name`, and a block `layout \"name\" {}`"));
        }
        if !role.boot.is_some_and(|image| tables.images[image.index()].installs) {
            let sentence = "nothing would write it: the role boots no image that installs";
            let finding = Finding::error(Code::MissingKey, os.source, sentence);
            report.push(finding.help("write `boot = image.name` of an image with `installs = true`"));
        }
    }
    for key in block.get("ssh_keys").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        one_line(report, "a key", &key);
        role.ssh_keys.push(key.value);
    }
}

fn read_service(report: &mut Report, block: &Block) -> Option<Service> {
    let name = block.labels.first()?;
    // RFC 6335 §5.1 bounds a service name to 15 letters, digits and hyphens.
    if !is_dns_label(&name.value) || name.value.len() > 15 {
        let sentence = format!("`{}` is not a service name: at most 15 letters, digits and `-`", name.value);
        report.push(Finding::error(Code::BadName, name.source, sentence));
    }
    let mut protocol = "tcp".to_string();
    if let Some(written) = block.get("protocol").and_then(|attribute| value::text(report, attribute)) {
        protocol = word(report, "protocol", &written, &[("tcp", "tcp"), ("udp", "udp")])?.to_string();
    }
    let port = value::integer(report, block.get("port")?, 1..=65_535)? as u16;
    Some(Service { name: name.value.to_ascii_lowercase(), protocol, port })
}

fn read_view(
    report: &mut Report,
    block: &Block,
    name: String,
    network_ids: &HashMap<String, NetworkId>,
    networks: &[Network],
) -> DnsView {
    let clients = prefixes(report, block.get("clients")).into_iter().map(|prefix| prefix.value).collect();
    let mut view = DnsView { name, clients, networks: Vec::new(), source: block.head };
    for network in
        block.get("networks").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        match network_ids.get(&network.value) {
            Some(id) => view.networks.push(*id),
            None => {
                let known = networks.iter().map(|network| network.name.as_str());
                value::unknown_name(report, network.source, "network", &network.value, known);
            }
        }
    }
    view
}

/// One of a few words.
pub(crate) fn word<T: Clone>(
    report: &mut Report,
    key: &str,
    written: &Spanned<String>,
    words: &[(&str, T)],
) -> Option<T> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written.value) {
        return Some(meaning.clone());
    }
    let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    let sentence = format!("`{key}` cannot be `{}`", written.value);
    let finding = Finding::error(Code::WrongValue, written.source, sentence);
    let near = model::finding::nearest(&written.value, words.iter().map(|(word, _)| *word));
    report.push(match near {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("it is one of {}", known.join(", "))),
    });
    None
}

fn prefixes(report: &mut Report, attribute: Option<&Attribute>) -> Vec<Spanned<IpNet>> {
    let texts = attribute.and_then(|attribute| value::texts(report, attribute)).unwrap_or_default();
    let mut prefixes = Vec::with_capacity(texts.len());
    for text in texts {
        match text.value.parse::<IpNet>() {
            Ok(net) if net.trunc() == net => prefixes.push(Spanned { value: net, source: text.source }),
            Ok(net) => report.push(
                Finding::error(
                    Code::WrongValue,
                    text.source,
                    format!("`{}` has bits beyond its prefix", text.value),
                )
                .help(format!("did you mean `{}`?", net.trunc())),
            ),
            Err(_) => report.push(
                Finding::error(Code::WrongValue, text.source, format!("`{}` is not a prefix", text.value))
                    .help("write an address and a length, as in `10.32.0.0/14` or `2001:db8::/44`"),
            ),
        }
    }
    prefixes
}

fn addresses(report: &mut Report, attribute: Option<&Attribute>) -> Vec<IpAddr> {
    let texts = attribute.and_then(|attribute| value::texts(report, attribute)).unwrap_or_default();
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        match text.value.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => wrong_value(report, text.source, format!("`{}` is not an IP address", text.value)),
        }
    }
    addresses
}

fn read_oui(text: &str) -> Option<[u8; 3]> {
    let mut octets = text.split([':', '-']).map(|octet| match octet.len() {
        2 if octet.bytes().all(|byte| byte.is_ascii_hexdigit()) => u8::from_str_radix(octet, 16).ok(),
        _ => None,
    });
    let oui = [octets.next()??, octets.next()??, octets.next()??];
    octets.next().is_none().then_some(oui)
}

/// Text that is put into a line of something else.
pub(crate) fn one_line(report: &mut Report, what: &str, text: &Spanned<String>) {
    if text.value.chars().any(char::is_control) {
        wrong_value(report, text.source, format!("{what} is one line of printable text"));
    }
}

/// A path stays within the design's directory: what is served over the network is found by it.
pub(crate) fn check_path(report: &mut Report, path: &Spanned<String>) {
    let inside = !path.value.is_empty()
        && !path.value.starts_with('/')
        && !path.value.contains(['\\', '\0'])
        && path.value.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !inside {
        let sentence = format!("`{}` is not a plain path inside the design's directory", path.value);
        report.push(
            Finding::error(Code::WrongValue, path.source, sentence)
                .help("write it without `..` and without a leading `/`"),
        );
    }
}

/// A segment of a location.
pub(crate) fn check_segment(report: &mut Report, label: &Spanned<String>) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !label.value.is_empty()
        && label.value.len() <= LABEL_MAX
        && label.value.chars().all(simple)
        && label.value.chars().any(|c| c.is_ascii_alphanumeric());
    if !fits {
        let sentence = format!("`{}` cannot be part of a location", label.value);
        report.push(
            Finding::error(Code::WrongValue, label.source, sentence)
                .help("use letters, digits, `-`, `_` and `.`, at most 63"),
        );
    }
    fits
}

/// RFC 1123 §2.1: letters, digits and hyphens, no hyphen first or last, at most 63.
pub(crate) fn is_dns_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
