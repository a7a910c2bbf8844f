//! Every identity by which a DHCP request can be known: the exact bytes the relay at the other end will write.

use super::ends::FarEnds;
use super::interfaces::Addressed;
use super::jacks::ModelJacks;
use super::routers::relays;
use super::{NAMED_MAX, are_distinct, devices, list};
use model::design::{Audience, Design, Device, DeviceKind, IdPart, IdTemplate, PortRef, Trust};
use model::finding::{Code, Finding, Source};
use model::ids::{DeviceId, InterfaceId, ModelId, SubnetId};
use model::plan::{Binding, Router, Subnet};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The bindings, in device order; and findings for machines without one, and for identities that two would send.
pub(super) fn of(
    design: &Design,
    jacks: &[ModelJacks],
    subnets: &[Subnet],
    addressed: &Addressed,
    far_ends: &FarEnds,
    findings: &mut Vec<Finding>,
) -> Vec<Binding> {
    let mut bindings = Vec::with_capacity(2 * addressed.interfaces.len());
    let (mut remote_ids, mut remote_ids6) = (Known::new(), Known::new());
    let mut written = Vec::new();
    for (index, interface) in addressed.interfaces.iter().enumerate() {
        let device = &design.devices[interface.device.index()];
        let model = &design.models[device.model.index()];
        let (jack, foot_number) = addressed.jacks[index];
        let jack = &jacks[device.model.index()].of_kind(device.kind)[usize::from(jack)];
        let foot = &jack.feet[usize::from(foot_number)];
        // A BMC that only ever sends a tag still asks through the port's relay, in its own VLAN.
        let is_tagged_bmc = foot.audience == Audience::Bmc && foot_number == 0;
        if !foot.untagged && !is_tagged_bmc {
            continue;
        }
        let network = &design.networks[foot.network.index()];
        let vlan = if network.native || !foot.untagged { network.vlan.unwrap_or(0) } else { 0 };
        let mut channels: Vec<DeviceId> = Vec::new();
        for port in &interface.ports {
            let Some(far) = far_ends.get(port.device, port.port) else { continue };
            if !relays(design, far.device) {
                continue;
            }
            let switch = &design.devices[far.device.index()];
            let switch_model = &design.models[switch.model.index()];
            let Some(circuit_id) = &switch_model.circuit_id else { continue };
            let port_name = &switch_model.ports[far.port.index()];
            let is_bmc_class = match model.bmc_shares {
                Some(_) if interface.audience == Audience::Bmc => Some(true),
                Some(shared) if shared == port.port => Some(false),
                _ => None,
            };
            let remote = |template: &Option<IdTemplate>, known| {
                remote_id(template.as_ref()?, design, known, far, port_name, vlan)
            };
            let remote_id = remote(&switch_model.remote_id, &mut remote_ids);
            let remote_id6 = remote(&switch_model.remote_id6, &mut remote_ids6);
            let interface_id = switch_model.interface_id.as_ref();
            let mut bind = |name: &str, is_bmc_class| {
                let mut identity = |template| {
                    written.clear();
                    render(template, design, far.device, name, vlan, &mut written);
                    Box::from(written.as_slice())
                };
                bindings.push(Binding {
                    interface: InterfaceId::from_index(index),
                    switch: far.device,
                    port: far,
                    own_port: *port,
                    circuit_id: identity(circuit_id),
                    remote_id: remote_id.clone(),
                    interface_id: interface_id.map(identity),
                    remote_id6: remote_id6.clone(),
                    is_bmc_class,
                });
            };
            bind(port_name, is_bmc_class);
            if let Some(channel) = &jack.port_channel
                && !channels.contains(&far.device)
            {
                channels.push(far.device);
                // The aggregate speaks for all members, so the BMC behind one of them shares it.
                let is_bmc_class = model.bmc_shares.filter(|shared| holds(model, *port, *shared));
                let is_bmc_class = is_bmc_class.map(|_| interface.audience == Audience::Bmc);
                let unit = device.slot + design.zone.count_from;
                bind(
                    &channel.replace("{unit}", &unit.to_string()).replace("{port}", port_name),
                    is_bmc_class,
                );
            }
        }
    }
    tell_unattached(design, addressed, &bindings, findings);
    tell_without_bmc(design, addressed, findings);
    tell_same(design, subnets, addressed, &bindings, findings);
    bindings
}

/// Whether a port is the shared one, or in one bond with it.
fn holds(model: &model::design::Model, port: PortRef, shared: model::PortIndex) -> bool {
    port.port == shared
        || model.bonds.iter().any(|bond| bond.members.contains(&port.port) && bond.members.contains(&shared))
}

/// What switches write as remote-id, where it is the same for each port.
type Known = HashMap<DeviceId, Option<Arc<[u8]>>>;

/// What a switch writes as remote-id: once per switch, unless it differs by port.
fn remote_id(
    template: &IdTemplate,
    design: &Design,
    known: &mut Known,
    far: PortRef,
    port_name: &str,
    vlan: u16,
) -> Option<Arc<[u8]>> {
    let render = || {
        let mut written = Vec::new();
        render(template, design, far.device, port_name, vlan, &mut written);
        Some(written.into())
    };
    let is_switchs = |part: &IdPart| matches!(part, IdPart::Bytes(_) | IdPart::Name | IdPart::Location);
    if template.parts.iter().all(is_switchs) {
        known.entry(far.device).or_insert_with(render).clone()
    } else {
        render()
    }
}

/// Writes the bytes of a template for one port of one switch.
fn render(
    template: &IdTemplate,
    design: &Design,
    switch: DeviceId,
    port_name: &str,
    vlan: u16,
    bytes: &mut Vec<u8>,
) {
    let switch = &design.devices[switch.index()];
    for part in &template.parts {
        match part {
            IdPart::Bytes(literal) => bytes.extend_from_slice(literal),
            IdPart::PortName => bytes.extend_from_slice(port_name.as_bytes()),
            IdPart::PortNumber => bytes.extend_from_slice(trailing_number(port_name).as_bytes()),
            IdPart::Name => bytes.extend_from_slice(switch.name.as_bytes()),
            IdPart::Location => bytes.extend_from_slice(switch.location.as_str().as_bytes()),
            IdPart::Vlan => bytes.extend_from_slice(vlan.to_string().as_bytes()),
            IdPart::PortNumberBinary { octets, add } => {
                let number: i64 = trailing_number(port_name).parse().unwrap_or(0);
                push_binary(bytes, number.saturating_add(i64::from(*add)), *octets);
            }
            IdPart::VlanBinary { octets } => push_binary(bytes, i64::from(vlan), *octets),
        }
    }
}

/// The digits at the end of a port's name; empty if there are none.
fn trailing_number(name: &str) -> &str {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    &name[name.len() - digits..]
}

/// The low octets, most significant first.
fn push_binary(bytes: &mut Vec<u8>, number: i64, octets: u8) {
    let all = number.to_be_bytes();
    bytes.extend_from_slice(&all[all.len() - usize::from(octets).min(all.len())..]);
}

/// Such machines, gathered by where they are written: how many, and the first of them.
fn machines(
    design: &Design,
    is_meant: impl Fn(DeviceId, &Device) -> bool,
) -> BTreeMap<Source, (usize, Vec<String>)> {
    let mut found: BTreeMap<Source, (usize, Vec<String>)> = BTreeMap::new();
    for (id, device) in devices(design) {
        if device.kind == DeviceKind::Machine && is_meant(id, device) {
            let (count, named) = found.entry(device.source).or_default();
            *count += 1;
            if named.len() < NAMED_MAX {
                named.push(device.location.to_string());
            }
        }
    }
    found
}

/// Machines that are to be handed a key by a BMC that is nowhere to be reached.
fn tell_without_bmc(design: &Design, addressed: &Addressed, findings: &mut Vec<Finding>) {
    let mut has_bmc = vec![false; design.devices.len()];
    for interface in &addressed.interfaces {
        has_bmc[interface.device.index()] |= interface.audience == Audience::Bmc;
    }
    let lacks = |id: DeviceId, device: &Device| {
        let trust = device.role.map(|role| &design.roles[role.index()].trust);
        trust == Some(&Trust::Bmc) && !has_bmc[id.index()]
    };
    for (source, (count, named)) in machines(design, lacks) {
        let (verb, them) = if count == 1 { ("has", "it") } else { ("have", "them") };
        let sentence =
            format!("{} {verb} no BMC with an address that could hand {them} a key", list(&named, count));
        findings.push(
            Finding::warning(Code::NoBmc, source, sentence)
                .help("give the model a `bmc` and add a network `for` BMCs; or choose another `trust`"),
        );
    }
}

/// Machines that no relay can speak for.
fn tell_unattached(
    design: &Design,
    addressed: &Addressed,
    bindings: &[Binding],
    findings: &mut Vec<Finding>,
) {
    let mut is_bound = vec![false; design.devices.len()];
    for binding in bindings {
        let interface = &addressed.interfaces[binding.interface.index()];
        is_bound[interface.device.index()] |= interface.audience != Audience::Bmc;
    }
    for (source, (count, named)) in machines(design, |id, _| !is_bound[id.index()]) {
        let verb = if count == 1 { "is" } else { "are" };
        findings.push(
            Finding::warning(
                Code::Unattached,
                source,
                format!(
                    "{} {verb} cabled to no switch that relays DHCP, so nothing can know {} by place",
                    list(&named, count),
                    if count == 1 { "it" } else { "them" },
                ),
            )
            .help(
                "cable a data interface that has an untagged network to a switch whose model has `circuit_id`",
            ),
        );
    }
    // That there is none at all, the design has told.
    let first = design.devices.iter().find(|device| device.kind == DeviceKind::Controller);
    let has_address = addressed.interfaces.iter().any(|interface| interface.audience == Audience::Controller);
    if let (Some(first), false) = (first, has_address) {
        findings.push(
            Finding::warning(
                Code::NoController,
                first.source,
                "no controller of the zone has an address, so nobody would answer",
            )
            .help("cable it to a switch, and add a network `for` it"),
        );
    }
}

/// What tells one relay from another: its remote-id, or else the address it relays from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Relay<'a> {
    Remote(&'a [u8]),
    Switch(DeviceId),
    /// It has no address of its own there, and relays from the gateway's.
    Gateway(SubnetId),
}

/// Two interfaces behind one identity.
fn tell_same(
    design: &Design,
    subnets: &[Subnet],
    addressed: &Addressed,
    bindings: &[Binding],
    findings: &mut Vec<Finding>,
) {
    let subnet_of = |binding: &Binding| addressed.interfaces[binding.interface.index()].subnet;
    let has_own = |binding: &Binding, has: fn(&Router) -> bool| {
        let routers = &subnets[subnet_of(binding).index()].routers;
        routers.iter().any(|router| router.switch == binding.switch && has(router))
    };
    let by_option_82 = bindings.iter().map(|binding| {
        let relay = match &binding.remote_id {
            Some(remote_id) => Relay::Remote(remote_id),
            None if has_own(binding, |router| router.v4.is_some() || router.v6.is_some()) => {
                Relay::Switch(binding.switch)
            }
            None => Relay::Gateway(subnet_of(binding)),
        };
        (relay, &*binding.circuit_id, binding)
    });
    tell_same_of(
        design,
        by_option_82,
        "let `circuit_id` use `{port}`, and `remote_id` tell the switch, for example by `{name}`",
        findings,
    );
    // What is not drawn apart for DHCPv6 is the same there.
    let is_apart = |binding: &&Binding| binding.interface_id.is_some() || binding.remote_id6.is_some();
    let by_version_6 = bindings.iter().filter(is_apart).map(|binding| {
        let relay = match (&binding.remote_id6, &binding.remote_id) {
            (Some(remote_id), _) => Relay::Remote(remote_id),
            (None, _) if has_own(binding, |router| router.v6.is_some()) => Relay::Switch(binding.switch),
            (None, Some(remote_id)) => Relay::Remote(remote_id),
            (None, None) => Relay::Gateway(subnet_of(binding)),
        };
        (relay, binding.interface_id(), binding)
    });
    tell_same_of(
        design,
        by_version_6,
        "let `interface_id` use `{port}`, and `remote_id6` tell the switch, for example by `{name}`",
        findings,
    );
}

/// Gathered by the switch's model, whose template is at fault.
fn tell_same_of<'a>(
    design: &Design,
    identities: impl Iterator<Item = (Relay<'a>, &'a [u8], &'a Binding)> + Clone,
    help: &str,
    findings: &mut Vec<Finding>,
) {
    let keys = identities.clone().map(|(relay, bytes, binding)| (relay, bytes, binding.is_bmc_class));
    if are_distinct(keys) {
        return;
    }
    let mut seen: HashMap<(Relay<'_>, &[u8], Option<bool>), &Binding> =
        HashMap::with_capacity(identities.size_hint().0);
    let mut same: BTreeMap<ModelId, (usize, &[u8], &Binding, &Binding)> = BTreeMap::new();
    for (relay, bytes, binding) in identities {
        let model = design.devices[binding.switch.index()].model;
        match seen.insert((relay, bytes, binding.is_bmc_class), binding) {
            Some(other) if other.interface != binding.interface => {
                same.entry(model).or_insert((0, bytes, other, binding)).0 += 1;
            }
            _ => {}
        }
    }
    for (model, (count, bytes, one, other)) in same {
        let port = |binding: &Binding| {
            let switch = &design.devices[binding.switch.index()];
            let name = &design.models[switch.model.index()].ports[binding.port.port.index()];
            format!("{} {name}", switch.location)
        };
        let others = if count > 1 { format!(" (and {} more such pairs)", count - 1) } else { String::new() };
        findings.push(
            Finding::error(
                Code::SameIdentity,
                design.models[model.index()].source,
                format!(
                    "{} and {} would send the same identity `{}`{others}, so a request could be either's",
                    port(one),
                    port(other),
                    String::from_utf8_lossy(bytes).escape_default(),
                ),
            )
            .help(help),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_model_counts() {
        let mut bytes = Vec::new();
        push_binary(&mut bytes, 300, 2);
        push_binary(&mut bytes, 7 - 1, 1);
        push_binary(&mut bytes, 1, 4);
        assert_eq!(bytes, [1, 44, 6, 0, 0, 0, 1]);
        assert_eq!(trailing_number("Ethernet1/12"), "12");
        assert_eq!(trailing_number("swp07"), "07");
        assert_eq!(trailing_number("mgmt"), "");
    }
}
