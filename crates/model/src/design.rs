//! The drawing, expanded.
//!
//! `design::parse` reads the files and gives this: every pattern written out, every expression evaluated, every
//! cable with two known ends. What it does not hold is anything *decided* (prefixes, addresses, DNS, bindings):
//! that is the Plan.

use crate::burn_in::BurnIn;
use crate::change::Policy;
use crate::finding::{File, Source};
use crate::ids::{DeviceId, ImageId, LayoutId, ModelId, NetworkId, OsId, PodId, PortIndex, RackId, RoleId};
use crate::install::{Raid, Volume};
use crate::location::Location;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A zone as drawn. Tables are in the order of the files, which is the order of every output.
#[derive(Clone, Debug, Default)]
pub struct Design {
    /// The zone block.
    pub zone: Zone,
    /// Switch and server models.
    pub models: Vec<Model>,
    /// Network blocks, in the order they take their place in the address plan.
    pub networks: Vec<Network>,
    /// Boot images.
    pub images: Vec<Image>,
    /// Texts that templates are rendered from (`*.j2`), sorted by path.
    pub templates: Vec<File>,
    /// Operating systems.
    pub systems: Vec<Os>,
    /// Disk layouts.
    pub layouts: Vec<Layout>,
    /// Roles.
    pub roles: Vec<Role>,
    /// How many machines may be out of service at a time.
    pub budgets: Vec<Budget>,
    /// How changes go about it.
    pub rollout: Policy,
    /// DNS views by client network.
    pub dns_views: Vec<DnsView>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Racks of all pods.
    pub racks: Vec<Rack>,
    /// Every switch, machine and controller.
    pub devices: Vec<Device>,
    /// Every cable.
    pub cables: Vec<Cable>,
}

impl Design {
    /// What a device boots, if its role says so.
    pub fn image_of(&self, device: DeviceId) -> Option<&Image> {
        let role = &self.roles[self.devices[device.index()].role?.index()];
        Some(&self.images[role.boot?.index()])
    }

    /// Whether machines of role `first` start before those of `second`, by however many others between. By name, since a machine that a
    /// change has not reached has a row of its own for the same role.
    pub fn starts_before(&self, first: &str, second: &str) -> bool {
        let mut seen = vec![second];
        let mut at = 0;
        while let Some(name) = seen.get(at).copied() {
            at += 1;
            for before in self.roles.iter().filter(|role| role.name == name).flat_map(|role| &role.after) {
                if before == first {
                    return true;
                }
                if !seen.contains(&before.as_str()) {
                    seen.push(before);
                }
            }
        }
        false
    }

    /// The name of a device's role.
    pub fn role_name(&self, device: DeviceId) -> Option<&str> {
        let role = self.devices[device.index()].role?;
        Some(&self.roles[role.index()].name)
    }
}

/// The zone block.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Zone {
    /// The first segment of every location.
    pub name: String,
    /// The DNS domain, without a trailing dot.
    pub domain: String,
    /// The IPv4 block that everything is cut from.
    pub supernet4: Option<Ipv4Net>,
    /// The IPv6 block that everything is cut from; each subnet takes a /64.
    pub supernet6: Option<Ipv6Net>,
    /// What the address plan leaves room for.
    pub capacity: Capacity,
    /// The number of the first pod, rack and unit: 1, or 0 for zones that count from nought.
    pub count_from: u32,
    /// DHCP lease time, in seconds.
    pub lease_seconds: u32,
    /// Resolvers handed to clients; empty means the controllers.
    pub resolvers: Vec<std::net::IpAddr>,
    /// Time servers handed to clients; empty means the controllers.
    pub time_servers: Vec<std::net::IpAddr>,
    /// Hosts outside the zone that may transfer its DNS zones.
    pub transfer_to: Vec<IpNet>,
    /// Where DHCP relays send from besides the switches' addresses of the plan; `None`: from anywhere.
    pub relays_from: Option<Vec<IpNet>>,
    /// How soon agents are to hear of a DHCP server that is not the zone's, in seconds; 0: they do not look for any.
    pub dhcp_probe_seconds: u32,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

impl Zone {
    /// Whether an address is one of the zone's. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        match address.to_canonical() {
            std::net::IpAddr::V4(address) => self.supernet4.is_some_and(|net| net.contains(&address)),
            std::net::IpAddr::V6(address) => self.supernet6.is_some_and(|net| net.contains(&address)),
        }
    }

    /// Whether the zone lets DHCP relays send from this address, whoever has it.
    pub fn may_relay(&self, address: std::net::IpAddr) -> bool {
        let address = address.to_canonical();
        self.relays_from.as_ref().is_none_or(|from| from.iter().any(|net| net.contains(&address)))
    }
}

/// What the address plan leaves room for. Growth inside it renumbers nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// Pods in the zone.
    pub pods: u32,
    /// Racks in each pod.
    pub racks: u32,
    /// Units (machines) in each rack.
    pub units: u32,
    /// Switches in each rack, each pod and at the root.
    pub switches: u32,
}

/// What kind of device a model, and so a device, is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Forwards packets; relays DHCP.
    Switch,
    /// A machine with data interfaces and, usually, a BMC.
    Server,
    /// Anything with ports that is only cabled: power strips, console servers, testers.
    Other,
}

/// A switch or server model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Model {
    /// The label of the block.
    pub name: String,
    /// Switch, server or other.
    pub kind: ModelKind,
    /// Every port name, in order; [`PortIndex`] counts in this list.
    pub ports: Vec<String>,
    /// What the relay of this switch writes as circuit-id (Option 82 sub-option 1) for each port. `None` for servers.
    pub circuit_id: Option<IdTemplate>,
    /// What it writes as remote-id (sub-option 2). `None`: the relay is known by giaddr alone.
    pub remote_id: Option<IdTemplate>,
    /// What its DHCPv6 relay writes as interface-id (Option 18). `None`: the same as `circuit_id`.
    pub interface_id: Option<IdTemplate>,
    /// What it writes as remote-id (Option 37), without the enterprise number. `None`: the link-address tells the relay.
    pub remote_id6: Option<IdTemplate>,
    /// Ports of a server that form one logical interface and share one address: `("bond0", [eno1, eno2])`.
    pub bonds: Vec<Bond>,
    /// The port that is the BMC's; `None` for machines without one.
    pub bmc: Option<PortIndex>,
    /// Set when the BMC has no jack of its own but shares this data port: two identities on one switch port,
    /// told apart by the vendor class (Option 60) prefixes of `bmc_vendor_class`.
    pub bmc_shares: Option<PortIndex>,
    /// Prefixes of Option 60 by which the BMC of this model is known on a shared port.
    pub bmc_vendor_class: Vec<String>,
    /// How many rack units it is high; a machine's number is its lowest. For elevations and lengths of cables.
    pub height: u32,
    /// What validation compares the discovered hardware with.
    pub expect: Expect,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

impl Model {
    /// The index of a port by its name.
    pub fn port(&self, name: &str) -> Option<PortIndex> {
        self.ports.iter().position(|port| port == name).map(PortIndex::from_index)
    }
}

/// Server ports that share one address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bond {
    /// The interface's name in the operating system.
    pub name: String,
    /// Its member ports.
    pub members: Vec<PortIndex>,
    /// What the relay calls the port-channel this bond makes on the switch, with `{unit}` and `{port}` of the first
    /// member, where the switch reports the aggregate and not the member.
    pub port_channel: Option<String>,
}

/// How a switch model writes an identity: literal bytes and fields, in order.
///
/// From `"{hostname}:{port}"`, or from hexadecimal with fields for binary forms: `"hex:0004{vlan:2}{module:1}{port:1}"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IdTemplate {
    /// The pieces, concatenated.
    pub parts: Vec<IdPart>,
}

/// One piece of an [`IdTemplate`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdPart {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The port's name, as text.
    PortName,
    /// The trailing number of the port's name, as text.
    PortNumber,
    /// The switch's name, as text.
    Name,
    /// The switch's location, as text.
    Location,
    /// The untagged VLAN of the port, as text; `0` if it has none.
    Vlan,
    /// The trailing number of the port's name plus `add`, as an unsigned big-endian integer of `octets` octets.
    PortNumberBinary {
        /// 1, 2 or 4.
        octets: u8,
        /// Added to the number, for models that count ports from another start.
        add: i32,
    },
    /// The untagged VLAN, as an unsigned big-endian integer of `octets` octets.
    VlanBinary {
        /// 1, 2 or 4.
        octets: u8,
    },
}

/// What a server of a model should be found to have. `None` and empty mean "not checked".
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Expect {
    /// Logical CPUs.
    pub cpus: Option<u32>,
    /// Memory in bytes, as written on the label; a machine may show up to 5 % less.
    pub memory_bytes: Option<u64>,
    /// Disks.
    pub disks: Vec<ExpectDisks>,
    /// Firmware version, exactly.
    pub firmware: Option<String>,
    /// Speed of each data interface, in Mbit/s.
    pub nic_mbps: Option<u32>,
}

/// So many disks of one kind and size.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExpectDisks {
    /// How many.
    pub count: u32,
    /// Bytes, as written on the label (decimal); within 5 %.
    pub size_bytes: u64,
    /// `nvme`, `ssd` or `hdd`; `None` is any.
    pub kind: Option<String>,
}

/// How far one subnet of a network reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One subnet for the zone.
    Zone,
    /// One in each pod.
    Pod,
    /// One in each rack.
    Rack,
}

/// Which interfaces a network is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Data interfaces of machines.
    Machine,
    /// BMCs.
    Bmc,
    /// Management interfaces of switches.
    Switch,
    /// Controllers.
    Controller,
}

/// A `network` block.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Network {
    /// The label of the block.
    pub name: String,
    /// One subnet per zone, pod or rack.
    pub scope: Scope,
    /// Who gets an address on it.
    pub audience: Vec<Audience>,
    /// The 802.1Q tag. `None`, or `native = true`, is the untagged network of the port, the one DHCP answers on.
    pub vlan: Option<u16>,
    /// The tag above is what the switch puts the untagged port in; machines send no tag.
    pub native: bool,
    /// Only these interfaces of a machine (`["eno1"]`, `["bond0"]`); empty is all of the audience.
    pub interfaces: Vec<String>,
    /// Room beyond the capacity, in addresses per subnet (for virtual addresses, guests).
    pub spare: u32,
    /// Interface MTU handed to clients; `None` is 1500 and not sent.
    pub mtu: Option<u16>,
    /// Whether the network has IPv4 addresses (the zone has an IPv4 supernet and the block does not turn it off).
    pub ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// An `image` block: what is booted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Image {
    /// The label of the block.
    pub name: String,
    /// Path of the kernel, relative to the design's directory.
    pub kernel: String,
    /// Paths of the initial RAM disks.
    pub initrd: Vec<String>,
    /// The kernel command line, before what Zonewright adds.
    pub args: String,
    /// The image writes an operating system to the machine's disks, and so asks for an armed machine.
    pub installs: bool,
    /// What machines that boot it may fetch, each rendered for the machine.
    pub templates: Vec<Template>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

impl Image {
    /// What tells it from every image that boots something else: its kernel, initial RAM disks and arguments. The same of one image in
    /// every release (FNV-1a, 64 bits).
    pub fn mark(&self) -> u64 {
        let texts = [&self.name, &self.kernel, &self.args].into_iter().chain(&self.initrd);
        let octets = texts.flat_map(|text| text.bytes().chain([0]));
        octets.fold(0xcbf2_9ce4_8422_2325, |mark, octet| {
            (mark ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// A `template` block in an `image`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Template {
    /// What it is served as: `/boot/template/NAME`.
    pub name: String,
    /// Path of its text in the design, or `zw/NAME` for one of ours. `None`: `zw/` and its own name.
    pub file: Option<String>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// An `os` block: an operating system that is written to disks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Os {
    /// The label of the block.
    pub name: String,
    /// The image's directory, relative to the design's.
    pub image: String,
    /// `sha256:` and 64 hexadecimal digits: no image but this one. `None`: the one that lies there.
    pub digest: Option<String>,
    /// The kernel command line, before what Zonewright adds.
    pub args: String,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// A `layout` block: how the disks of a machine are used.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Layout {
    /// The label of the block.
    pub name: String,
    /// How many disks hold the system.
    pub disks: u32,
    /// Their size in bytes, as written on the label; `None` is any.
    pub size_bytes: Option<u64>,
    /// `nvme`, `ssd` or `hdd`; `None` is any.
    pub kind: Option<String>,
    /// What they form together.
    pub raid: Option<Raid>,
    /// Root slots, 1 or 2.
    pub slots: u8,
    /// Octets of each.
    pub root_bytes: u64,
    /// Octets of the EFI system partition.
    pub esp_bytes: u64,
    /// Further volumes, in order.
    pub volumes: Vec<Volume>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// A `role` block.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The label of the block.
    pub name: String,
    /// What machines of this role boot. `None`: their own disk; only the network is theirs from us.
    pub boot: Option<ImageId>,
    /// The operating system that is written to their disks, with [`Role::disks`].
    pub os: Option<OsId>,
    /// How their disks are used.
    pub disks: Option<LayoutId>,
    /// Who may log in as root by SSH: lines of `authorized_keys`.
    pub ssh_keys: Vec<String>,
    /// How its machines prove that they are themselves.
    pub trust: Trust,
    /// Firmware that boots by HTTP is told an `https://` URL: it knows our authority.
    #[serde(default)]
    pub https: bool,
    /// Check files (YAML), path relative to the design's directory and text.
    pub checks: Vec<CheckFile>,
    /// How long its machines are tried out under load before they are ready.
    #[serde(default)]
    pub burn_in: BurnIn,
    /// Services that every machine of the role offers; each becomes an SRV record.
    pub services: Vec<Service>,
    /// MAC prefixes (OUI) of virtual machines behind the port: their requests are refused as guests.
    pub guest_ouis: Vec<[u8; 3]>,
    /// Roles that are started, and changed, before this one. No role is after itself, by however many others.
    #[serde(default)]
    pub after: Vec<String>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// A `budget` block: how many machines that do one job may be out of service at a time, broken ones included. A role that no budget
/// names has one of its own: one in ten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// The label of the block.
    pub name: String,
    /// Whose machines count.
    pub roles: Vec<RoleId>,
    /// How many of them in the zone.
    pub may_miss: Share,
    /// How many of those in one pod; `None`: as many as in the zone.
    pub per_pod: Option<Share>,
    /// How many of those in one rack.
    pub per_rack: Option<Share>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// So many, or so many in a hundred.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// This many; none is allowed, and means never.
    Count(u32),
    /// This many in a hundred, rounded down, and at least one.
    Percent(u8),
}

impl Share {
    /// Of so many.
    pub fn of(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (members * usize::from(percent) / 100).max(1),
        }
    }
}

/// How machines prove that they are themselves. What is stronger asks for what is weaker, too.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// By the port that they ask on.
    #[default]
    Port,
    /// By a key that their BMC hands them.
    Bmc,
    /// By their TPM.
    Tpm(TpmTrust),
}

impl Trust {
    /// What their TPM must prove, if that is asked for.
    pub fn tpm(&self) -> Option<&TpmTrust> {
        match self {
            Self::Tpm(trust) => Some(trust),
            Self::Port | Self::Bmc => None,
        }
    }
}

/// Machines that prove themselves by their TPM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TpmTrust {
    /// The registers that stay what they were when the machine was accepted; ascending.
    pub pcrs: Vec<u8>,
    /// Certificates (PEM) of the makers that endorsement keys must be from; `None`: of any.
    pub makers: Option<Arc<str>>,
}

/// A file of checks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckFile {
    /// Path relative to the design's directory.
    pub path: String,
    /// Its text; parsed by the agent's own parser when the design is checked.
    pub text: String,
}

/// A service, for SRV records `_name._proto.role.domain`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Without the underscore.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port.
    pub port: u16,
}

/// A `view` block: clients in `clients` see only addresses on `networks`. The first that matches counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DnsView {
    /// The label of the block.
    pub name: String,
    /// Client prefixes.
    pub clients: Vec<IpNet>,
    /// Networks whose addresses they see.
    pub networks: Vec<NetworkId>,
    /// Where the block stands.
    #[serde(skip)]
    pub source: Source,
}

/// A pod.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pod {
    /// `ams1/p07`.
    pub location: Location,
    /// Its place in the address plan, from 0: the number in its label, or `slot = N`.
    pub slot: u32,
    /// Where it is written.
    #[serde(skip)]
    pub source: Source,
}

/// A rack.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rack {
    /// `ams1/p07/r2`.
    pub location: Location,
    /// Its pod.
    pub pod: PodId,
    /// Its place within the pod, from 0.
    pub slot: u32,
    /// Where it is written.
    #[serde(skip)]
    pub source: Source,
}

/// What a device is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// A switch at the root of the zone.
    Core,
    /// A switch of a pod.
    Spine,
    /// A top-of-rack switch.
    Leaf,
    /// The lights-out switch of a rack.
    Lom,
    /// A machine.
    Machine,
    /// A machine that runs `zw serve`.
    Controller,
    /// Power, console, testers: cabled, not booted.
    Other,
}

impl DeviceKind {
    /// Whether it forwards packets and relays DHCP.
    pub fn is_switch(self) -> bool {
        matches!(self, Self::Core | Self::Spine | Self::Leaf | Self::Lom)
    }
}

/// A switch, machine or controller.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// `ams1/p07/r2/u14`, `ams1/p07/r2/leaf-a`, `ams1/core-1`.
    pub location: Location,
    /// The DNS label, unique in the zone.
    pub name: String,
    /// What it is for.
    pub kind: DeviceKind,
    /// Its pod, unless it stands at the root.
    pub pod: Option<PodId>,
    /// Its rack, unless it stands in a pod or at the root.
    pub rack: Option<RackId>,
    /// Its place among its kind in its rack, pod or zone, from 0: machines count apart from switches.
    pub slot: u32,
    /// Its model.
    pub model: ModelId,
    /// Its role; machines and controllers.
    pub role: Option<RoleId>,
    /// Where it is written: the `machines` block, or the `at` block that changed it.
    #[serde(skip)]
    pub source: Source,
}

/// One end of a cable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PortRef {
    /// The device.
    pub device: DeviceId,
    /// The port, in its model's list.
    pub port: PortIndex,
}

/// Two ports joined.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cable {
    /// The end written first.
    pub a: PortRef,
    /// The other.
    pub b: PortRef,
    /// Mbit/s, if the design says.
    pub mbps: Option<u32>,
    /// VLANs as the wiring file wrote them (`1681`, `1681-1712`), if it did.
    pub vlans: Option<String>,
    /// Where it is written: an expression, or a line of a wiring file.
    #[serde(skip)]
    pub source: Source,
}
