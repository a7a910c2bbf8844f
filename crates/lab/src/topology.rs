//! Plan → what the kernel is asked for: namespaces, bridges, cables, addresses, routes. Pure.
//!
//! Every switch, machine, BMC and controller is a host of its own. A switch has one bridge for each subnet that it
//! routes or has ports in; the ports that machines hang on are ports of that bridge. All bridges of one subnet are
//! joined in a star around the subnet's first router: one broadcast domain without a loop, so no spanning tree has to
//! settle and kernels without VLAN devices will do. An arm of the star runs over the cable that the design draws
//! between the two switches, if there is one, and is cut with it.
//!
//! Left out, because plain veth and bridge cannot show it: tagged networks on machine ports, and bonding (the first
//! cabled member carries the address).

use crate::identity;
use ipnet::IpNet;
use model::design::{Audience, DeviceKind, PortRef};
use model::ids::{DeviceId, SubnetId};
use model::plan::{Interface, Router, Subnet};
use model::{Mac, Plan};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Position of a host in [`Topology::hosts`].
pub(crate) type HostId = usize;

/// Everything to build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    /// One namespace each; switches first, then controllers, machines, BMCs.
    pub hosts: Vec<Host>,
    /// One veth pair each.
    pub wires: Vec<Wire>,
    /// The edge, which no design draws, and its address.
    pub edge: Option<(HostId, IpAddr)>,
}

/// What a namespace stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// A switch: forwards, relays, sends LLDP.
    Switch,
    /// A machine that runs the controller.
    Controller,
    /// A host beside the controller that runs an edge. It has the controller's device, for want of one of its own.
    Edge,
    /// A machine that boots.
    Machine,
    /// The BMC of a machine or controller.
    Bmc,
}

/// A family of addresses, and where the plan has its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn prefix(self, subnet: &Subnet) -> Option<IpNet> {
        match self {
            Self::V4 => subnet.v4.map(IpNet::V4),
            Self::V6 => subnet.v6.map(IpNet::V6),
        }
    }

    pub(crate) fn gateway(self, subnet: &Subnet) -> Option<IpAddr> {
        match self {
            Self::V4 => subnet.gateway4.map(IpAddr::V4),
            Self::V6 => subnet.gateway6.map(IpAddr::V6),
        }
    }

    /// A switch's own address in a subnet that it routes.
    pub(crate) fn foot(self, router: &Router) -> Option<IpAddr> {
        match self {
            Self::V4 => router.v4.map(IpAddr::V4),
            Self::V6 => router.v6.map(IpAddr::V6),
        }
    }

    fn address(self, interface: &Interface) -> Option<IpAddr> {
        match self {
            Self::V4 => interface.v4.map(IpAddr::V4),
            Self::V6 => interface.v6.map(IpAddr::V6),
        }
    }
}

/// One namespace.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Host {
    /// Which device.
    pub device: DeviceId,
    /// As what.
    pub kind: Kind,
    /// Its bridges, one for each subnet; switches only.
    pub bridges: Vec<Bridge>,
    /// Its fixed addresses, by interface number: those of switches and controllers. Others ask for theirs.
    pub addresses: Vec<(u32, IpAddr, u8)>,
    /// Its fixed routes.
    pub routes: Vec<(IpNet, IpAddr)>,
    next_index: u32,
}

/// A subnet's bridge in a switch.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Bridge {
    /// Interface number.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Hardware address; fixed, because a bridge otherwise takes its lowest port's, which changes with its ports.
    pub mac: Mac,
    /// The subnet.
    pub subnet: SubnetId,
}

/// A veth pair. `near` is a switch port, unless two hosts are cabled back to back.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Wire {
    /// The end that may be a bridge port.
    pub near: End,
    /// The other.
    pub far: End,
    /// The cable of the design it runs over; `None` for an arm of a star that the design draws no cable for.
    pub cable: Option<usize>,
}

/// One end of a veth pair.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct End {
    /// Whose.
    pub host: HostId,
    /// Interface number.
    pub index: u32,
    /// Interface name: the port's name as far as the kernel takes it.
    pub name: String,
    /// Hardware address.
    pub mac: Mac,
    /// The bridge it is a port of, by interface number.
    pub bridge: Option<u32>,
    /// The port of the design; `None` for an arm of a star.
    pub port: Option<PortRef>,
}

impl Topology {
    /// The host of a device: a machine's own, not its BMC's.
    pub(crate) fn host_of(&self, device: DeviceId) -> Option<HostId> {
        self.hosts.iter().position(|host| host.device == device && host.kind != Kind::Bmc)
    }

    /// The name of an interface of a host.
    pub(crate) fn interface_name(&self, host: HostId, index: u32) -> Option<&str> {
        let bridge = self.hosts[host].bridges.iter().find(|bridge| bridge.index == index);
        let ends = self.wires.iter().flat_map(|wire| [&wire.near, &wire.far]);
        let end = || ends.filter(|end| end.host == host).find(|end| end.index == index);
        bridge.map(|bridge| &bridge.name).or_else(|| Some(&end()?.name)).map(String::as_str)
    }

    /// The BMC of a device.
    pub(crate) fn bmc_of(&self, device: DeviceId) -> Option<HostId> {
        self.hosts.iter().position(|host| host.device == device && host.kind == Kind::Bmc)
    }
}

impl Host {
    fn new(device: DeviceId, kind: Kind) -> Self {
        // 1 is the loopback of every namespace.
        Self { device, kind, bridges: Vec::new(), addresses: Vec::new(), routes: Vec::new(), next_index: 2 }
    }

    fn take_index(&mut self) -> u32 {
        self.next_index += 1;
        self.next_index - 1
    }

    /// The bridge of a subnet.
    pub(crate) fn bridge(&self, subnet: SubnetId) -> Option<&Bridge> {
        self.bridges.iter().find(|bridge| bridge.subnet == subnet)
    }
}

/// Works out what to build.
pub(crate) fn topology(plan: &Plan) -> Topology {
    built(plan, false)
}

/// The same with an edge beside the controller, on a cable of its own. Without room for its address there is none.
pub(crate) fn topology_with_edge(plan: &Plan) -> Topology {
    built(plan, true)
}

fn built(plan: &Plan, has_edge: bool) -> Topology {
    let mut topology = Topology::default();
    let mut hosts = HashMap::new();
    for kind in [Kind::Switch, Kind::Controller, Kind::Machine, Kind::Bmc] {
        for (index, device) in plan.design.devices.iter().enumerate() {
            let id = DeviceId::from_index(index);
            if stands_for(plan, id, device.kind, kind) {
                hosts.insert((id, kind == Kind::Bmc), topology.hosts.len());
                topology.hosts.push(Host::new(id, kind));
            }
        }
    }
    let access = access_ports(plan);
    add_bridges(plan, &mut topology, &hosts, &access);
    add_machine_wires(plan, &mut topology, &hosts, &access);
    add_stars(plan, &mut topology, &hosts);
    add_controller_addresses(plan, &mut topology);
    if has_edge {
        topology.edge = add_edge(plan, &mut topology);
    }
    add_routes(plan, &mut topology);
    topology
}

fn stands_for(plan: &Plan, id: DeviceId, device: DeviceKind, kind: Kind) -> bool {
    match kind {
        Kind::Switch => device.is_switch(),
        Kind::Controller => device == DeviceKind::Controller,
        Kind::Edge => false,
        Kind::Machine => device == DeviceKind::Machine,
        Kind::Bmc => {
            matches!(device, DeviceKind::Machine | DeviceKind::Controller)
                && plan.interfaces_of(id).iter().any(|interface| interface.audience == Audience::Bmc)
        }
    }
}

/// Whether machines send a network's frames with a tag.
fn is_tagged(plan: &Plan, subnet: SubnetId) -> bool {
    let network = &plan.design.networks[plan.subnet(subnet).network.index()];
    network.vlan.is_some() && !network.native
}

/// The two ends of each cable, by either end.
fn ends(plan: &Plan) -> HashMap<PortRef, (PortRef, usize)> {
    let cables = plan.design.cables.iter().enumerate();
    cables.flat_map(|(index, cable)| [(cable.a, (cable.b, index)), (cable.b, (cable.a, index))]).collect()
}

/// For each switch port that a machine, BMC or controller hangs on: the untagged subnet of the data interface, and of
/// the BMC that shares the port or has it to itself.
#[derive(Clone, Copy, Default)]
struct Access {
    data: Option<SubnetId>,
    bmc: Option<SubnetId>,
}

fn access_ports(plan: &Plan) -> BTreeMap<PortRef, Access> {
    let ends = ends(plan);
    let mut access: BTreeMap<PortRef, Access> = BTreeMap::new();
    for interface in &plan.interfaces {
        if is_tagged(plan, interface.subnet) || interface.audience == Audience::Switch {
            continue;
        }
        for port in &interface.ports {
            let Some((other, _)) = ends.get(port) else { continue };
            if plan.design.devices[other.device.index()].kind.is_switch() {
                let at = access.entry(*other).or_default();
                let slot = if interface.audience == Audience::Bmc { &mut at.bmc } else { &mut at.data };
                slot.get_or_insert(interface.subnet);
            }
        }
    }
    access
}

type Hosts = HashMap<(DeviceId, bool), HostId>;

/// Gives each switch a bridge for every subnet it routes, has ports in, or has its own address in.
fn add_bridges(plan: &Plan, topology: &mut Topology, hosts: &Hosts, access: &BTreeMap<PortRef, Access>) {
    let mut wanted: BTreeSet<(DeviceId, SubnetId)> = BTreeSet::new();
    for (port, at) in access {
        wanted.extend([at.data, at.bmc].into_iter().flatten().map(|subnet| (port.device, subnet)));
    }
    for (index, subnet) in plan.subnets.iter().enumerate() {
        wanted.extend(subnet.routers.iter().map(|router| (router.switch, SubnetId::from_index(index))));
    }
    for interface in plan.interfaces.iter().filter(|interface| interface.audience == Audience::Switch) {
        wanted.insert((interface.device, interface.subnet));
    }
    for (switch, subnet) in wanted {
        let Some(&id) = hosts.get(&(switch, false)) else { continue };
        let location = &plan.design.devices[switch.index()].location;
        let host = &mut topology.hosts[id];
        let name = format!("br{}", host.bridges.len());
        let index = host.take_index();
        host.bridges.push(Bridge { index, mac: identity::mac(location.as_str(), 0, &name), name, subnet });
        for family in [Family::V4, Family::V6] {
            let Some(prefix) = family.prefix(plan.subnet(subnet)) else { continue };
            let routers = &plan.subnet(subnet).routers;
            let own =
                routers.iter().find(|router| router.switch == switch).and_then(|router| family.foot(router));
            let is_first = routers.first().is_some_and(|router| router.switch == switch);
            let gateway = family.gateway(plan.subnet(subnet)).filter(|_| is_first);
            let management = plan
                .interfaces_of(switch)
                .iter()
                .find(|interface| interface.audience == Audience::Switch && interface.subnet == subnet)
                .and_then(|interface| family.address(interface));
            // The switch's own address first: the kernel speaks from the first of a prefix.
            let addresses: BTreeSet<_> = [own, gateway, management].into_iter().flatten().collect();
            let first = management.or(own).or(gateway);
            let order =
                first.into_iter().chain(addresses.into_iter().filter(|address| Some(*address) != first));
            host.addresses.extend(order.map(|address| (index, address, prefix.prefix_len())));
        }
    }
}

/// Lays the cables that have a machine, a BMC or a controller at one end.
fn add_machine_wires(
    plan: &Plan,
    topology: &mut Topology,
    hosts: &Hosts,
    access: &BTreeMap<PortRef, Access>,
) {
    for (index, cable) in plan.design.cables.iter().enumerate() {
        let is_switch = |port: PortRef| plan.design.devices[port.device.index()].kind.is_switch();
        let (near, far) = match (is_switch(cable.a), is_switch(cable.b)) {
            (true, true) => continue,
            (false, true) => (cable.b, cable.a),
            _ => (cable.a, cable.b),
        };
        let model = &plan.design.models[plan.design.devices[far.device.index()].model.index()];
        let at = access.get(&near).copied().unwrap_or_default();
        if model.bmc == Some(far.port) {
            lay(plan, topology, hosts, index, (near, false, at.bmc), (far, true));
            continue;
        }
        lay(plan, topology, hosts, index, (near, false, at.data), (far, false));
        if model.bmc_shares == Some(far.port) {
            // Two hosts cannot share one end of a veth: the BMC gets a second one that stands for the same port.
            lay(plan, topology, hosts, index, (near, false, at.bmc), (far, true));
        }
    }
}

fn lay(
    plan: &Plan,
    topology: &mut Topology,
    hosts: &Hosts,
    cable: usize,
    near: (PortRef, bool, Option<SubnetId>),
    far: (PortRef, bool),
) {
    let (Some(&near_host), Some(&far_host)) =
        (hosts.get(&(near.0.device, near.1)), hosts.get(&(far.0.device, far.1)))
    else {
        return;
    };
    let bridge =
        near.2.and_then(|subnet| topology.hosts[near_host].bridge(subnet)).map(|bridge| bridge.index);
    let near = end(plan, topology, near_host, near.0, bridge);
    let far = end(plan, topology, far_host, far.0, None);
    topology.wires.push(Wire { near, far, cable: Some(cable) });
}

fn end(plan: &Plan, topology: &mut Topology, host: HostId, port: PortRef, bridge: Option<u32>) -> End {
    let device = &plan.design.devices[port.device.index()];
    let kind = topology.hosts[host].kind;
    let called = port_name(plan, port);
    let index = topology.hosts[host].take_index();
    let name = kernel_name(topology, host, called, index);
    // A machine's addresses go by its ports; a switch port that a BMC shares has two ends, by their own names.
    let label = match kind {
        Kind::Bmc => "bmc",
        Kind::Switch => &name,
        Kind::Controller | Kind::Edge | Kind::Machine => called,
    };
    let mac = identity::mac(device.location.as_str(), 0, label);
    End { host, index, name, mac, bridge, port: Some(port) }
}

/// The name of a port in its model.
pub(crate) fn port_name(plan: &Plan, port: PortRef) -> &str {
    let device = &plan.design.devices[port.device.index()];
    plan.design.models[device.model.index()].ports.get(port.port.index()).map_or("?", String::as_str)
}

/// A name that the kernel takes (15 octets, no `/`, `:` or space) and that the host does not have yet.
fn kernel_name(topology: &Topology, host: HostId, called: &str, index: u32) -> String {
    let plain: String = called
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect();
    let taken = topology
        .wires
        .iter()
        .any(|wire| [&wire.near, &wire.far].iter().any(|end| end.host == host && end.name == plain));
    if plain.len() > 15 || plain.is_empty() || plain == "lo" || plain.starts_with("br") || taken {
        format!("port{index}")
    } else {
        plain
    }
}

/// Joins the bridges of each subnet around its first router.
fn add_stars(plan: &Plan, topology: &mut Topology, hosts: &Hosts) {
    let mut members: BTreeMap<SubnetId, Vec<HostId>> = BTreeMap::new();
    for (id, host) in topology.hosts.iter().enumerate() {
        for bridge in &host.bridges {
            members.entry(bridge.subnet).or_default().push(id);
        }
    }
    let drawn: HashMap<(DeviceId, DeviceId), usize> = plan
        .design
        .cables
        .iter()
        .enumerate()
        .flat_map(|(index, cable)| {
            [((cable.a.device, cable.b.device), index), ((cable.b.device, cable.a.device), index)]
        })
        .collect();
    for (subnet, members) in members {
        let first = plan.subnet(subnet).routers.first().and_then(|router| hosts.get(&(router.switch, false)));
        let Some(&hub) = first.or(members.first()) else { continue };
        for member in members.into_iter().filter(|member| *member != hub) {
            let devices = (topology.hosts[hub].device, topology.hosts[member].device);
            let cable = drawn.get(&devices).copied();
            let near = arm(plan, topology, hub, subnet);
            let far = arm(plan, topology, member, subnet);
            topology.wires.push(Wire { near, far, cable });
        }
    }
}

fn arm(plan: &Plan, topology: &mut Topology, host: HostId, subnet: SubnetId) -> End {
    let location = plan.design.devices[topology.hosts[host].device.index()].location.clone();
    let bridge = topology.hosts[host].bridge(subnet).map(|bridge| bridge.index);
    let index = topology.hosts[host].take_index();
    let name = format!("arm{index}");
    End { host, index, mac: identity::mac(location.as_str(), 0, &name), name, bridge, port: None }
}

/// A controller's addresses are fixed: it answers the others, nobody answers it.
fn add_controller_addresses(plan: &Plan, topology: &mut Topology) {
    for interface in plan.interfaces.iter().filter(|interface| interface.audience == Audience::Controller) {
        if is_tagged(plan, interface.subnet) {
            continue;
        }
        let end = topology.wires.iter().flat_map(|wire| [&wire.near, &wire.far]).find(|end| {
            topology.hosts[end.host].kind == Kind::Controller
                && end.port.is_some_and(|port| interface.ports.contains(&port))
        });
        let Some((host, index)) = end.map(|end| (end.host, end.index)) else { continue };
        for family in [Family::V4, Family::V6] {
            let prefix = family.prefix(plan.subnet(interface.subnet));
            if let Some((address, prefix)) = family.address(interface).zip(prefix) {
                topology.hosts[host].addresses.push((index, address, prefix.prefix_len()));
            }
        }
    }
}

/// Puts an edge on the controller's switch, in the controller's subnet, at its last address that is nobody's.
fn add_edge(plan: &Plan, topology: &mut Topology) -> Option<(HostId, IpAddr)> {
    let is_controllers = |wire: &&Wire| topology.hosts[wire.far.host].kind == Kind::Controller;
    let beside = topology.wires.iter().find(is_controllers)?.clone();
    let controller = topology.hosts[beside.far.host].device;
    let subnet = plan
        .interfaces_of(controller)
        .iter()
        .find(|interface| interface.audience == Audience::Controller && interface.v4.is_some())
        .map(|interface| plan.subnet(interface.subnet))?;
    let prefix = subnet.v4?;
    let planned = plan.interfaces.iter().filter_map(|interface| interface.v4);
    let feet = subnet.routers.iter().filter_map(|router| router.v4);
    let taken: BTreeSet<_> = planned.chain(feet).chain(subnet.gateway4).collect();
    let address = prefix.hosts().rfind(|address| !taken.contains(address))?;
    let id = topology.hosts.len();
    topology.hosts.push(Host::new(controller, Kind::Edge));
    let location = plan.design.devices[controller.index()].location.clone();
    let mut end = |host: HostId, name: &str, bridge| End {
        host,
        index: topology.hosts[host].take_index(),
        name: name.to_owned(),
        mac: identity::mac(location.as_str(), 0, &format!("edge-{name}")),
        bridge,
        port: None,
    };
    let (near, far) = (end(beside.near.host, "to-edge", beside.near.bridge), end(id, "eth0", None));
    topology.hosts[id].addresses.push((far.index, IpAddr::V4(address), prefix.prefix_len()));
    topology.wires.push(Wire { near, far, cable: None });
    Some((id, IpAddr::V4(address)))
}

/// Routes of switches, controllers and edges: every subnet by way of a router with which they share another subnet.
///
/// Controllers and edges also get a route to each relay's own address by way of that very switch, so that a request is answered
/// to the switch that asked, also while its neighbour is down.
fn add_routes(plan: &Plan, topology: &mut Topology) {
    add_routes_of(plan, topology, Family::V4);
    add_routes_of(plan, topology, Family::V6);
}

fn add_routes_of(plan: &Plan, topology: &mut Topology, family: Family) {
    // Each host's foot in each subnet that it has an address in.
    let mut feet: Vec<HashMap<SubnetId, IpAddr>> = Vec::with_capacity(topology.hosts.len());
    for host in &topology.hosts {
        let mut own = HashMap::new();
        for (_, address, _) in &host.addresses {
            let is_in = |subnet| family.prefix(subnet).is_some_and(|net: IpNet| net.contains(address));
            if let Some(subnet) = plan.subnets.iter().position(is_in) {
                own.entry(SubnetId::from_index(subnet)).or_insert(*address);
            }
        }
        feet.push(own);
    }
    let host_of: HashMap<DeviceId, HostId> = topology
        .hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| host.kind == Kind::Switch)
        .map(|(id, host)| (host.device, id))
        .collect();
    let shared = |from: HostId, router: HostId| {
        let mut common: Vec<_> =
            feet[router].iter().filter(|(subnet, _)| feet[from].contains_key(subnet)).collect();
        common.sort();
        common.first().map(|(_, address)| **address)
    };
    let mut routes = Vec::new();
    for (id, host) in topology.hosts.iter().enumerate() {
        if !matches!(host.kind, Kind::Switch | Kind::Controller | Kind::Edge) {
            continue;
        }
        for (index, subnet) in plan.subnets.iter().enumerate() {
            let Some(prefix) = family.prefix(subnet) else { continue };
            let attached = feet[id].contains_key(&SubnetId::from_index(index));
            let routers =
                subnet.routers.iter().filter_map(|router| Some((router, *host_of.get(&router.switch)?)));
            for (position, (router, at)) in routers.enumerate() {
                let Some(gateway) = (at != id).then(|| shared(id, at)).flatten() else { continue };
                if position == 0 && !attached {
                    routes.push((id, prefix, gateway));
                }
                if matches!(host.kind, Kind::Controller | Kind::Edge) && !attached {
                    routes.extend(family.foot(router).map(|own| (id, IpNet::from(own), gateway)));
                }
            }
        }
    }
    for (id, prefix, gateway) in routes {
        topology.hosts[id].routes.push((prefix, gateway));
    }
}

/// For each untagged interface of a host that asks for an address: the interface numbers of its cabled ports, one, or
/// the members of a bond.
pub(crate) fn asking(plan: &Plan, topology: &Topology, host: HostId) -> Vec<Vec<u32>> {
    let Host { device, kind, .. } = topology.hosts[host];
    let ends = topology.wires.iter().flat_map(|wire| [&wire.near, &wire.far]);
    let own: Vec<&End> = ends.filter(|end| end.host == host).collect();
    plan.interfaces_of(device)
        .iter()
        .filter(|interface| (interface.audience == Audience::Bmc) == (kind == Kind::Bmc))
        .filter(|interface| interface.v4.is_some() && !is_tagged(plan, interface.subnet))
        .map(|interface| {
            let ports = interface.ports.iter();
            ports.filter_map(|port| Some(own.iter().find(|end| end.port == Some(*port))?.index)).collect()
        })
        .filter(|ports: &Vec<u32>| !ports.is_empty())
        .collect()
}

/// The addresses of the controllers, in the design's order.
pub(crate) fn controllers(plan: &Plan, family: Family) -> Vec<IpAddr> {
    let interfaces = plan.interfaces.iter().filter(|interface| interface.audience == Audience::Controller);
    interfaces
        .filter(|interface| !is_tagged(plan, interface.subnet))
        .filter_map(|interface| family.address(interface))
        .collect()
}

#[cfg(test)]
mod tests;
