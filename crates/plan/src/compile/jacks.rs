//! Which interfaces a device of a model has, and on which networks: decided once per model, not per machine.

use model::design::{Audience, Design, DeviceKind, Model, ModelKind, Network};
use model::finding::{Code, Finding};
use model::ids::{NetworkId, PortIndex};
use std::collections::BTreeSet;

/// One logical interface of a model: a port, a bond of ports, or the BMC.
#[derive(Clone, Debug)]
pub(super) struct Jack {
    /// `eno1`, `bond0`, `bmc`, `mgmt`.
    pub(super) name: String,
    /// The model's ports that carry it. Empty for a switch's own interface.
    pub(super) ports: Vec<PortIndex>,
    /// What the relay calls its port-channel, if it is a bond that has such a name.
    pub(super) port_channel: Option<String>,
    /// Its networks: the untagged one first, then tagged ones in the order they are written.
    pub(super) feet: Vec<Foot>,
}

/// A jack's presence on one network.
#[derive(Clone, Debug)]
pub(super) struct Foot {
    pub(super) network: NetworkId,
    pub(super) audience: Audience,
    /// `eno1`, or `eno1.300` where the device sends a tag.
    pub(super) interface: String,
    /// What follows the device's name in DNS, unless it is the device's first interface: `-eno1-300`.
    pub(super) dns_suffix: String,
    /// The device sends no tag, and so DHCP is answered on it.
    pub(super) untagged: bool,
    /// Its number among the model's interfaces on this network.
    pub(super) nth: u32,
}

/// The jacks of one model, as a machine and as a controller (the networks differ), or as a switch.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelJacks {
    pub(super) machine: Vec<Jack>,
    pub(super) controller: Vec<Jack>,
    pub(super) switch: Vec<Jack>,
}

impl ModelJacks {
    /// Those of a device of this kind.
    pub(super) fn of_kind(&self, kind: DeviceKind) -> &[Jack] {
        match kind {
            DeviceKind::Machine => &self.machine,
            DeviceKind::Controller => &self.controller,
            DeviceKind::Core | DeviceKind::Spine | DeviceKind::Leaf | DeviceKind::Lom => &self.switch,
            DeviceKind::Other => &[],
        }
    }
}

/// The jacks of every model, in model order.
pub(super) fn of_models(design: &Design, findings: &mut Vec<Finding>) -> Vec<ModelJacks> {
    let mut told = BTreeSet::new();
    let mut feet = |jacks: &mut Vec<Jack>, audience: Audience| {
        set_feet(design, jacks, audience, &mut told, findings);
    };
    let mut all = Vec::with_capacity(design.models.len());
    for model in &design.models {
        let mut jacks = ModelJacks::default();
        match model.kind {
            ModelKind::Server => {
                let (data, bmc) = server_jacks(model);
                let mut bmc: Vec<Jack> = bmc.into_iter().collect();
                feet(&mut bmc, Audience::Bmc);
                jacks.machine.clone_from(&data);
                feet(&mut jacks.machine, Audience::Machine);
                jacks.controller = data;
                feet(&mut jacks.controller, Audience::Controller);
                jacks.machine.extend_from_slice(&bmc);
                jacks.controller.extend(bmc);
            }
            ModelKind::Switch => {
                jacks.switch = vec![switch_jack(model)];
                feet(&mut jacks.switch, Audience::Switch);
            }
            ModelKind::Other => {}
        }
        all.push(jacks);
    }
    all
}

/// The data interfaces in the order of their first ports, and the BMC.
fn server_jacks(model: &Model) -> (Vec<Jack>, Option<Jack>) {
    let mut data = Vec::new();
    for index in 0..model.ports.len() {
        let port = PortIndex::from_index(index);
        if model.bmc == Some(port) && model.bmc_shares != Some(port) {
            continue;
        }
        let bond = model.bonds.iter().find(|bond| bond.members.contains(&port));
        let (name, ports, port_channel) = match bond {
            Some(bond) if bond.members.first() == Some(&port) => {
                (bond.name.clone(), bond.members.clone(), bond.port_channel.clone())
            }
            Some(_) => continue,
            None => (model.ports[index].clone(), vec![port], None),
        };
        data.push(Jack { name, ports, port_channel, feet: Vec::new() });
    }
    // A shared BMC is behind the bond too, if its port is a member: the relay then names the aggregate for both.
    let bmc = model.bmc_shares.or(model.bmc).map(|port| Jack {
        name: "bmc".into(),
        ports: vec![port],
        port_channel: data
            .iter()
            .find(|jack| jack.ports.contains(&port))
            .and_then(|jack| jack.port_channel.clone()),
        feet: Vec::new(),
    });
    (data, bmc)
}

/// Names that vendors give the out-of-band port of a switch.
const MANAGEMENT_PORTS: [&str; 9] =
    ["mgmt", "mgmt0", "management", "eth0", "ma1", "me0", "em0", "fxp0", "oob"];

/// A switch's own interface. Its port is the out-of-band one if the model has it; else it is reached through the
/// uplinks, which depend on the cabling and are found per switch.
fn switch_jack(model: &Model) -> Jack {
    let is_management = |port: &&String| MANAGEMENT_PORTS.contains(&port.to_ascii_lowercase().as_str());
    let port = model.ports.iter().position(|port| is_management(&port)).map(PortIndex::from_index);
    Jack { name: "mgmt".into(), ports: port.into_iter().collect(), port_channel: None, feet: Vec::new() }
}

/// Finds the networks of each jack. Two untagged ones are a finding, told once for each pair of networks.
fn set_feet(
    design: &Design,
    jacks: &mut [Jack],
    audience: Audience,
    told: &mut BTreeSet<(usize, usize)>,
    findings: &mut Vec<Finding>,
) {
    let mut used = vec![0_u32; design.networks.len()];
    for jack in jacks {
        let mut untagged_by: Option<usize> = None;
        for (index, network) in design.networks.iter().enumerate() {
            if !network.audience.contains(&audience) || !takes(network, jack, audience) {
                continue;
            }
            let untagged = network.vlan.is_none() || network.native;
            if let (true, Some(first)) = (untagged, untagged_by) {
                if told.insert((first, index)) {
                    let first = &design.networks[first];
                    findings.push(
                        Finding::error(
                            Code::TwoUntagged,
                            network.source,
                            format!(
                                "networks `{}` and `{}` are both untagged on `{}`, so which one DHCP answers on is \
                                 not decided",
                                first.name, network.name, jack.name
                            ),
                        )
                        .label("the second untagged network")
                        .related(first.source, "the first")
                        .help("give one of them a `vlan`, or limit it with `interfaces`"),
                    );
                }
                continue;
            }
            let interface = match network.vlan {
                Some(vlan) if !untagged => format!("{}.{vlan}", jack.name),
                _ => jack.name.clone(),
            };
            let foot = Foot {
                network: NetworkId::from_index(index),
                audience,
                dns_suffix: dns_suffix(&interface),
                interface,
                untagged,
                nth: used[index],
            };
            used[index] += 1;
            if untagged {
                untagged_by = Some(index);
                jack.feet.insert(0, foot);
            } else {
                jack.feet.push(foot);
            }
        }
    }
}

/// Whether a network of the jack's audience means this jack.
fn takes(network: &Network, jack: &Jack, audience: Audience) -> bool {
    match audience {
        Audience::Machine | Audience::Controller => {
            network.interfaces.is_empty() || network.interfaces.contains(&jack.name)
        }
        Audience::Bmc | Audience::Switch => true,
    }
}

/// `-eno1-300` for `eno1.300`: what is no letter or digit becomes a hyphen.
fn dns_suffix(interface: &str) -> String {
    let mut suffix = String::with_capacity(interface.len() + 1);
    suffix.push('-');
    for character in interface.chars() {
        let is_plain = character.is_ascii_alphanumeric();
        suffix.push(if is_plain { character.to_ascii_lowercase() } else { '-' });
    }
    suffix.truncate(suffix.trim_end_matches('-').len());
    suffix
}

/// The most interfaces any server model has on a network, rounded up to a power of two; at least one.
pub(super) fn stride(all: &[ModelJacks], network: NetworkId) -> u32 {
    let most = |jacks: &[Jack]| {
        jacks
            .iter()
            .flat_map(|jack| &jack.feet)
            .filter(|foot| foot.network == network)
            .map(|foot| foot.nth + 1)
            .max()
    };
    let of_model = |jacks: &ModelJacks| most(&jacks.machine).max(most(&jacks.controller));
    all.iter().filter_map(of_model).max().unwrap_or(1).next_power_of_two()
}
