//! The plan as programs read it: one JSON object, complete, in a stable order, and readable back.
//!
//! A document stands without the design it came from, so `zw plan --against yesterday.json` needs no files of
//! yesterday. `docs/reference/plan-json.md` describes every field; a test keeps that list true. Rows name each other by
//! location, never by position, so that two documents can be compared.

mod build;
mod identity;

use crate::dns::Record;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::Location;
use model::burn_in::BurnIn;
use model::design::{Audience, Capacity, DeviceKind, Scope, Service};
use model::install::{Raid, Volume};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use build::document;
pub use identity::Identity;

/// The number in [`Document::format`]. It grows when a field changes its meaning or goes; new fields do not count.
pub const FORMAT: u32 = 1;

/// A plan, whole. Borrows what it can from the plan; `Document<'static>` is what reading one back gives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Document<'a> {
    /// The format of this document: [`FORMAT`].
    pub format: u32,
    /// The plan's number; 0 if it was not published.
    pub generation: u64,
    /// The zone.
    pub zone: ZoneRow<'a>,
    /// Boot images.
    pub images: Vec<ImageRow<'a>>,
    /// Operating systems that are written to disks.
    pub systems: Vec<OsRow<'a>>,
    /// How disks are used.
    pub layouts: Vec<LayoutRow<'a>>,
    /// Roles.
    pub roles: Vec<RoleRow<'a>>,
    /// One block per pod and rack.
    pub aggregates: Vec<AggregateRow>,
    /// Networks with their subnets.
    pub networks: Vec<NetworkRow<'a>>,
    /// Switches, and whatever else is only cabled.
    pub switches: Vec<DeviceRow<'a>>,
    /// Machines and controllers.
    pub machines: Vec<DeviceRow<'a>>,
    /// Addressed interfaces, of machines, controllers and switches.
    pub interfaces: Vec<InterfaceRow<'a>>,
    /// Cables.
    pub cables: Vec<CableRow<'a>>,
    /// DNS.
    pub dns: DnsRows,
    /// DHCP bindings.
    pub dhcp: Vec<BindingRow<'a>>,
}

/// The zone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ZoneRow<'a> {
    /// Its name, the first segment of every location.
    pub name: Cow<'a, str>,
    /// Its DNS domain.
    pub domain: Cow<'a, str>,
    /// Its IPv4 block.
    pub supernet4: Option<Ipv4Net>,
    /// Its IPv6 block.
    pub supernet6: Option<Ipv6Net>,
    /// What the address plan leaves room for.
    pub capacity: Capacity,
    /// The number of the first pod, rack and unit.
    pub count_from: u32,
    /// DHCP lease time, in seconds.
    pub lease_seconds: u32,
    /// Resolvers handed to clients; empty means the controllers.
    pub resolvers: Cow<'a, [IpAddr]>,
    /// Time servers handed to clients; empty means the controllers.
    pub time_servers: Cow<'a, [IpAddr]>,
    /// Hosts outside the zone that may transfer its DNS zones.
    #[serde(default)]
    pub transfer_to: Cow<'a, [IpNet]>,
    /// Where DHCP relays send from besides the switches' addresses; `None` is from anywhere.
    #[serde(default)]
    pub relays_from: Option<Cow<'a, [IpNet]>>,
    /// How soon agents are to hear of a DHCP server that is not the zone's, in seconds; 0: they look for none. `None` in a
    /// document of before there was such a thing.
    #[serde(default)]
    pub dhcp_probe_seconds: Option<u32>,
}

/// A boot image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Path of the kernel.
    pub kernel: Cow<'a, str>,
    /// Paths of the initial RAM disks.
    pub initrd: Cow<'a, [String]>,
    /// The kernel command line of the design.
    pub args: Cow<'a, str>,
    /// Whether it writes an operating system to disks.
    pub installs: bool,
}

/// An operating system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OsRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The image's directory.
    pub image: Cow<'a, str>,
    /// The only image that it may be, if the design says.
    pub digest: Option<Cow<'a, str>>,
    /// The kernel command line of the design.
    pub args: Cow<'a, str>,
}

/// A disk layout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LayoutRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// How many disks hold the system.
    pub disks: u32,
    /// Their size in bytes; none is any.
    pub size_bytes: Option<u64>,
    /// Their kind; none is any.
    pub kind: Option<Cow<'a, str>>,
    /// What they form together.
    pub raid: Option<Raid>,
    /// Root slots.
    pub slots: u8,
    /// Octets of each.
    pub root_bytes: u64,
    /// Octets of the EFI system partition.
    pub esp_bytes: u64,
    /// Further volumes.
    pub volumes: Cow<'a, [Volume]>,
}

/// A role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The image its machines boot; none if they boot their own disk.
    pub image: Option<Cow<'a, str>>,
    /// The operating system that is written to their disks.
    pub os: Option<Cow<'a, str>>,
    /// The disk layout.
    pub disks: Option<Cow<'a, str>>,
    /// Who may log in as root by SSH.
    pub ssh_keys: Cow<'a, [String]>,
    /// How its machines prove that they are themselves: `bmc` or `tpm`; none is by their port.
    #[serde(default)]
    pub trust: Option<Cow<'a, str>>,
    /// The registers that its machines' TPMs prove.
    pub tpm_registers: Option<Cow<'a, [u8]>>,
    /// Firmware that boots by HTTP is told an `https://` URL.
    #[serde(default)]
    pub https: bool,
    /// The files of checks.
    pub checks: Vec<Cow<'a, str>>,
    /// How long its machines are tried out under load.
    #[serde(default)]
    pub burn_in: BurnIn,
    /// The services that get SRV records.
    pub services: Cow<'a, [Service]>,
    /// Roles that are started, and changed, before it.
    #[serde(default)]
    pub after: Cow<'a, [String]>,
}

/// The block of a pod or rack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AggregateRow {
    /// The pod or rack.
    pub location: Location,
    /// Its IPv4 block.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 block.
    pub v6: Option<Ipv6Net>,
}

/// A network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// One subnet per `zone`, `pod` or `rack`.
    pub scope: Scope,
    /// Who gets an address on it.
    pub audience: Cow<'a, [Audience]>,
    /// Its 802.1Q tag.
    pub vlan: Option<u16>,
    /// The tag is the switch's own; machines send none.
    pub native: bool,
    /// The MTU handed to clients.
    pub mtu: Option<u16>,
    /// Its subnets.
    pub subnets: Vec<SubnetRow>,
}

/// A network in one place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubnetRow {
    /// The zone, pod or rack.
    pub location: Location,
    /// Its IPv4 prefix.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 prefix.
    pub v6: Option<Ipv6Net>,
    /// The router that IPv4 clients are told.
    pub gateway4: Option<Ipv4Addr>,
    /// The IPv6 router.
    pub gateway6: Option<Ipv6Addr>,
    /// The switches that route it.
    pub routers: Vec<RouterRow>,
}

/// A switch's own address in a subnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouterRow {
    /// The switch's location.
    pub switch: Location,
    /// Its own IPv4 address; none if it has only the gateway's.
    pub v4: Option<Ipv4Addr>,
    /// Its own IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// A machine, controller or switch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceRow<'a> {
    /// Where it stands.
    pub location: Location,
    /// Its name, a DNS label.
    pub name: Cow<'a, str>,
    /// What it is for.
    pub kind: DeviceKind,
    /// Its place among its kind, from 0.
    pub slot: u32,
    /// Its model's name.
    pub model: Cow<'a, str>,
    /// Its role's name.
    pub role: Option<Cow<'a, str>>,
}

/// An addressed interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfaceRow<'a> {
    /// The device's location.
    pub location: Location,
    /// Its name on the device.
    pub name: Cow<'a, str>,
    /// Its DNS label.
    pub dns_name: Cow<'a, str>,
    /// Whose interface it is on the network.
    pub audience: Audience,
    /// The network's name.
    pub network: Cow<'a, str>,
    /// The zone, pod or rack of its subnet.
    pub subnet: Location,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// The device's ports that carry it.
    pub ports: Vec<Cow<'a, str>>,
}

/// A cable.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CableRow<'a> {
    /// The end written first.
    pub a: EndRow<'a>,
    /// The other.
    pub b: EndRow<'a>,
    /// Mbit/s.
    pub mbps: Option<u32>,
    /// VLANs as a wiring file wrote them.
    pub vlans: Option<Cow<'a, str>>,
}

/// One end of a cable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EndRow<'a> {
    /// The device's location.
    pub location: Location,
    /// The port.
    pub port: Cow<'a, str>,
}

/// DNS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DnsRows {
    /// The zones: the forward one, then the reverse ones.
    pub zones: Vec<String>,
    /// Every record.
    pub records: Vec<Record>,
}

/// One identity by which a DHCP request is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BindingRow<'a> {
    /// The location of the device whose request it is.
    pub location: Location,
    /// Its interface.
    pub interface: Cow<'a, str>,
    /// The network that it is answered on.
    pub network: Cow<'a, str>,
    /// The location of the switch whose relay speaks.
    pub switch: Location,
    /// The switch's port.
    pub port: Cow<'a, str>,
    /// Option 82, sub-option 1.
    pub circuit_id: Identity<'a>,
    /// Option 82, sub-option 2; none if the relay is known by its address.
    pub remote_id: Option<Identity<'a>>,
    /// DHCPv6 Option 18; none if it is the circuit-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_id: Option<Identity<'a>>,
    /// DHCPv6 Option 37, without the enterprise number; none if the link-address alone tells the relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id6: Option<Identity<'a>>,
    /// On a port that a BMC shares: whether the request is the BMC's (`true`) or the machine's (`false`).
    pub is_bmc_class: Option<bool>,
}

#[cfg(test)]
mod tests;
