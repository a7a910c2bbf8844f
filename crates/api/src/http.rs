//! What the HTTP API speaks. Times are milliseconds since 1970-01-01T00:00:00Z; durations end in their unit.
//!
//! Within `/v1`, fields may be added and none changes its meaning.

use model::{Location, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use utoipa::ToSchema;

/// What went wrong, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// One sentence.
    pub error: String,
}

/// The zone as it is drawn.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// Its name, the first segment of every location.
    pub name: String,
    /// Its DNS domain.
    pub domain: String,
    /// The plan in force.
    pub generation: u64,
    /// Where machines reach the controllers.
    pub controllers: Vec<String>,
    /// The ports that this controller serves.
    pub ports: Ports,
    /// How many there are of each.
    pub counts: ZoneCounts,
    /// The networks, in the order they take their place in the address plan.
    pub networks: Vec<Network>,
}

/// The zone's certificate authority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// The SHA-256 of its certificate, 64 hexadecimal digits: what `zw.ca=` pins.
    pub sha256: String,
}

/// The ports that a controller serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ports {
    /// DHCP, UDP.
    pub dhcp: u16,
    /// DHCPv6, UDP; 0 on a host without IPv6.
    pub dhcp6: u16,
    /// DNS, UDP and TCP.
    pub dns: u16,
    /// TFTP, UDP.
    pub tftp: u16,
    /// HTTP boot.
    pub boot: u16,
    /// HTTPS boot; 0 where another program has the port.
    pub boot_tls: u16,
    /// Agents, TLS.
    pub agents: u16,
}

/// How many there are of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ZoneCounts {
    /// Pods.
    pub pods: usize,
    /// Racks.
    pub racks: usize,
    /// Switches.
    pub switches: usize,
    /// Machines.
    pub machines: usize,
    /// Cables.
    pub cables: usize,
    /// Addressed interfaces.
    pub interfaces: usize,
    /// Subnets.
    pub subnets: usize,
}

/// A network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// `zone`, `pod` or `rack`: how far one subnet of it reaches.
    pub scope: String,
    /// How many subnets it has.
    pub subnets: usize,
}

/// How the controller and the zone are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The zone's name.
    pub zone: String,
    /// The release of the controller.
    pub version: String,
    /// The plan in force.
    pub generation: u64,
    /// The controller's clock.
    #[schema(value_type = u64)]
    pub now: Time,
    /// When the controller started.
    #[schema(value_type = u64)]
    pub started: Time,
    /// How many machines are in each state.
    pub states: BTreeMap<String, usize>,
    /// How many machines wait longer than is ordinary.
    pub overdue: usize,
    /// Agents that hold a connection.
    pub agents: usize,
    /// Pods, racks and units by state, as they stand.
    pub pods: Vec<PodMap>,
    /// What an operator should look at, the worst first.
    pub troubles: Vec<Trouble>,
    /// How much more there is to look at.
    #[serde(default)]
    pub more_troubles: usize,
    /// Packets that were not answered since the start.
    pub refused: u64,
    /// Packets and requests that were answered since the start.
    pub answered: u64,
    /// Of several controllers: which this is, and who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllers: Option<Controllers>,
}

/// Several controllers of one zone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Controllers {
    /// Who answers this.
    pub this: String,
    /// Who decides; none: nobody that is known of.
    pub leads: Option<String>,
    /// All that were there when it was looked last, by name.
    pub present: Vec<String>,
}

/// One pod on the map.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PodMap {
    /// Its label (`p07`); empty for what stands outside pods.
    pub pod: String,
    /// Its racks.
    pub racks: Vec<RackMap>,
}

/// One rack on the map.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RackMap {
    /// Its label (`r2`); empty for what stands outside racks.
    pub rack: String,
    /// Its machines, in the order of the design.
    pub units: Vec<UnitMap>,
}

/// One machine on the map.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UnitMap {
    /// Its label (`u14`).
    pub unit: String,
    /// Its state.
    pub state: String,
    /// It waits longer than is ordinary, or its cabling is doubted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attention: bool,
}

/// Something an operator should look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// What it is about: `store`, `design`, `boot-files`, `clock`, `packets`, `refusals`, `edge`, `change`, `dhcp`, `machine`, `cabling`.
    pub about: String,
    /// The machine, if it is about one.
    #[schema(value_type = Option<String>)]
    pub location: Option<Location>,
    /// The change, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The finding's code, if it has one.
    pub code: Option<String>,
    /// One sentence.
    pub sentence: String,
}

/// A machine, in one line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MachineRow {
    /// Where it stands: its key.
    #[schema(value_type = String)]
    pub location: Location,
    /// Its name.
    pub name: String,
    /// Its pod's label.
    pub pod: Option<String>,
    /// Its rack's label.
    pub rack: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// Its model.
    pub model: String,
    /// The address of its first interface.
    pub address: Option<String>,
    /// Its state: `expected`, `seen`, `booting`, `installing`, `validating`, `ready`, `draining`, `maintenance`,
    /// `failed` or `retired`; a switch is `drawn`.
    pub state: String,
    /// More on the state, in words: why it failed, how far its installer is.
    pub detail: Option<String>,
    /// Since when it is in that state.
    #[schema(value_type = Option<u64>)]
    pub since: Option<Time>,
    /// How long its last boot took from its first packet to ready.
    pub boot_took_ms: Option<u64>,
    /// Its agent holds a connection.
    pub connected: bool,
    /// What it waits for.
    pub wait: Option<Wait>,
    /// Why its cabling is doubted.
    pub miscabled: Option<String>,
}

/// What a machine waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// In words that complete "it waits for …".
    pub on: String,
    /// Since when.
    #[schema(value_type = u64)]
    pub since: Time,
    /// When it should have happened by; `null` is "when somebody wants it".
    #[schema(value_type = Option<u64>)]
    pub expected_by: Option<Time>,
    /// It has lasted longer than is ordinary.
    pub overdue: bool,
}

/// Many machines.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Machines {
    /// The plan that they are of.
    pub generation: u64,
    /// In the order of the design.
    pub machines: Vec<MachineRow>,
}

/// All of one machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    /// Its line.
    #[serde(flatten)]
    pub row: MachineRow,
    /// Its addressed interfaces.
    pub interfaces: Vec<Interface>,
    /// Its cables.
    pub cables: Vec<Cable>,
    /// Why somebody on it lets nobody restart it.
    #[serde(default)]
    pub held: Option<String>,
    /// What alone proves who stands there.
    pub proof: Proof,
    /// The TPM that it proves itself by.
    pub tpm: Option<Tpm>,
    /// What is on its disks; `null`: its system is not ours to write.
    pub system: Option<System>,
    /// What its agent found in the box.
    pub hardware: Option<Hardware>,
    /// How it was tried out under load; `null`: its role does not ask for it, and it never was.
    pub burn_in: Option<BurnIn>,
    /// What its checks last said.
    pub checks: Vec<Check>,
    /// Its history, oldest first.
    pub timeline: Vec<Event>,
    /// Everything that explains it, a sentence each.
    pub why: Vec<String>,
}

/// What alone proves who stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The port that it asks on.
    Port,
    /// A key that its BMC hands it.
    Bmc,
    /// Its TPM.
    Tpm,
}

/// The TPM that a machine proves itself by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tpm {
    /// SHA-256 of its endorsement key's public area, in hexadecimal.
    pub ek_sha256: String,
    /// The registers that it proved the last time.
    pub registers: Vec<Register>,
}

/// A register of a TPM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Register {
    /// Its number.
    pub pcr: u8,
    /// What is in it, of the SHA-256 bank, in hexadecimal.
    pub sha256: String,
}

/// How a machine was tried out under load. Why it did not pass stands in its `detail`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BurnIn {
    /// How long its role wants it, all parts together, in seconds; 0: not any more.
    pub seconds: u64,
    /// How far it is; `null`: none is under way.
    pub progress: Option<BurningIn>,
    /// When it was passed last.
    #[schema(value_type = Option<u64>)]
    pub passed: Option<Time>,
    /// What was done then, a sentence for each part.
    pub found: Vec<String>,
}

/// How far a burn-in is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BurningIn {
    /// `cpu`, `memory` or `disk`.
    pub part: String,
    /// How much of the part's time is over, 0 to 100.
    pub percent: u8,
    /// Of the CPU: calculations. Otherwise octets, written or read.
    pub per_second: u64,
    /// When that was heard.
    #[schema(value_type = u64)]
    pub heard: Time,
}

/// What is on a machine's disks, and what may be written there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct System {
    /// What its agent runs in: `memory`, `slot a`, `slot b`; `null`: it has not said so since it booted.
    pub runs: Option<String>,
    /// Digest of the image that was last written, or runs.
    pub image: Option<String>,
    /// When it was written.
    #[schema(value_type = Option<u64>)]
    pub written: Option<Time>,
    /// The running slot is not confirmed.
    pub on_trial: bool,
    /// Digest of the image that the plan has for it; `null`: there is none on this controller.
    pub wanted: Option<String>,
    /// Its disks may be written.
    pub armed: Option<Armed>,
    /// Why the last image was not taken.
    pub rejected: Option<String>,
    /// How far the writing is.
    pub progress: Option<Progress>,
}

/// An allowance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Armed {
    /// `install` or `upgrade`.
    pub purpose: String,
    /// For this plan.
    pub generation: u64,
    /// Until then it may begin.
    #[schema(value_type = u64)]
    pub until: Time,
    /// It has not come to its installer yet.
    #[serde(default)]
    pub starts: bool,
    /// Until then nothing begins, and it can be taken back.
    #[schema(value_type = Option<u64>)]
    #[serde(default)]
    pub undo_until: Option<Time>,
}

/// How far the writing is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// What is done now.
    pub step: String,
    /// Octets of the image that are written.
    pub done_bytes: u64,
    /// Octets of the image; 0: not known yet.
    pub total_bytes: u64,
    /// Octets a second.
    pub bytes_per_second: u64,
}

/// An addressed interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// `eno1`, `bond0`, `bmc`, `eno1.300`.
    pub name: String,
    /// Its whole DNS name.
    pub dns_name: String,
    /// Its network.
    pub network: String,
    /// Its IPv4 address and prefix length.
    pub ipv4: Option<String>,
    /// Its IPv6 address and prefix length.
    pub ipv6: Option<String>,
    /// What asked for an address through it last.
    pub seen: Vec<Sighting>,
}

/// What an interface showed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sighting {
    /// The interface, or the member of it.
    pub interface: String,
    /// When.
    #[schema(value_type = u64)]
    pub at: Time,
    /// Its hardware address.
    pub mac: String,
    /// `bios-pxe`, `uefi-pxe`, `uefi-http`, `ipxe`, `os` or `bmc`.
    pub stage: String,
    /// The switch port that it came by.
    pub port: String,
    /// It is the hardware that was accepted for this place; `null`: none was yet.
    pub accepted: Option<bool>,
}

/// A cable, seen from one device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cable {
    /// The device's own port.
    pub port: String,
    /// Where the device at the other end stands.
    #[schema(value_type = String)]
    pub far: Location,
    /// Its name.
    pub far_name: String,
    /// The port there.
    pub far_port: String,
}

/// What is in the box.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Hardware {
    /// Logical CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Firmware version.
    pub firmware: String,
    /// System serial number.
    pub serial: String,
    /// SMBIOS UUID.
    pub uuid: String,
    /// Operating system and kernel.
    pub system: String,
    /// The machine's clock minus the controller's.
    pub clock_skew_ms: i64,
}

/// A disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Device name.
    pub name: String,
    /// Size.
    pub size_bytes: u64,
    /// `nvme`, `ssd` or `hdd`.
    pub kind: String,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// Name.
    pub name: String,
    /// Hardware address.
    pub mac: String,
    /// Speed in Mbit/s.
    pub mbps: Option<u32>,
    /// Who is at the other end of its cable, as LLDP says: `system port`.
    pub neighbour: Option<String>,
}

/// What one check said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// Expected and found.
    pub detail: String,
}

/// Something that happened to a machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number: one counter for the zone; also the id of the server-sent event.
    pub seq: u64,
    /// When.
    #[schema(value_type = u64)]
    pub at: Time,
    /// To which machine.
    #[schema(value_type = String)]
    pub location: Location,
    /// Its kind: `asked`, `declined`, `script-fetched`, `file-fetched`, `installing`, `installed`,
    /// `not-installed`, `confirmed`, `token-issued`, `not-proved`, `enrolled`, `connected`, `lost`, `reported`,
    /// `checked`, `burning-in`, `burnt-in`, `servers-heard`, `operator` or `bmc`.
    pub kind: String,
    /// In words.
    pub sentence: String,
    /// The machine's state after it.
    pub state: String,
}

/// An explanation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// What was asked about.
    pub target: String,
    /// The device that it is, if the plan has one.
    #[schema(value_type = Option<String>)]
    pub location: Option<Location>,
    /// The explanation, a sentence each, the most wanted first.
    pub sentences: Vec<String>,
    /// Packets of it that were not answered.
    pub refusals: Vec<Refusal>,
}

/// Why packets of one cause were not answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// `dhcp`, `dns`, `tftp` or `http`.
    pub protocol: String,
    /// Its reason: the metric's label.
    pub reason: String,
    /// What that means.
    pub meaning: String,
    /// What to do.
    pub remedy: String,
    /// How many packets.
    pub count: u64,
    /// The first of them.
    #[schema(value_type = u64)]
    pub first: Time,
    /// The last of them.
    #[schema(value_type = u64)]
    pub last: Time,
    /// Who asked first: a hardware address or an IP address.
    pub client: String,
    /// The relay's address, or the sender's.
    pub relay: String,
    /// Circuit-id: text between backquotes, or hexadecimal.
    pub circuit_id: String,
    /// Remote-id.
    pub remote_id: String,
    /// What the plan expects that comes nearest to these bytes, and where.
    pub expected: Option<String>,
    /// The switch whose relay brought it.
    #[schema(value_type = Option<String>)]
    pub switch: Option<Location>,
    /// The machine that it would have been for.
    #[schema(value_type = Option<String>)]
    pub machine: Option<Location>,
    /// What was asked for.
    pub subject: String,
}

/// The refusals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refusals {
    /// How many since the start, by protocol and reason; those that never happened are left out.
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Recent causes, the newest first.
    pub recent: Vec<Refusal>,
}

/// What is wrong with the design, and with what was found of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// The newest reading of the design is in force.
    pub in_force: bool,
    /// Why it is not.
    pub refused: Option<String>,
    /// When the design was last read.
    #[schema(value_type = u64)]
    pub read: Time,
    /// Of the newest reading of the design.
    pub findings: Vec<Finding>,
    /// Everything else that an operator should look at, the worst first.
    pub troubles: Vec<Trouble>,
    /// How much more there is to look at.
    #[serde(default)]
    pub more_troubles: usize,
}

/// A mistake in the design.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// `ZW0304`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// One sentence.
    pub sentence: String,
    /// The file, relative to the design's directory; empty if it is about none.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What to do.
    pub help: Option<String>,
}

/// What an operator asks of a machine. One of them: `accept`, `drain`, `maintain`, `return`, `retire`, `arm`,
/// `reinstall`, `disarm`, `upgrade`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "wish", deny_unknown_fields)]
pub enum Wish {
    /// Accept the hardware that is there now as this location's.
    Accept,
    /// Move work off.
    Drain {
        /// Why.
        reason: String,
    },
    /// Hands off: nothing automatic.
    Maintain {
        /// Why.
        reason: String,
    },
    /// Back to work: it boots and is validated again.
    Return,
    /// Take it out of service; its requests are refused.
    Retire {
        /// Why.
        reason: String,
    },
    /// Its disks may be written once, in this plan. Refused if there is a system of ours on them.
    Arm {
        /// The plan.
        generation: u64,
        /// For how long it may begin.
        seconds: u32,
        /// Its BMC is left alone: whoever asks sees to it that the machine starts from the network.
        #[serde(default)]
        no_bmc: bool,
    },
    /// The same, whatever is on them; refused while too many machines of its role are out.
    Reinstall {
        /// The plan.
        generation: u64,
        /// For how long it may begin.
        seconds: u32,
        /// Its BMC is left alone: whoever asks sees to it that the machine starts from the network.
        #[serde(default)]
        no_bmc: bool,
        /// For how long it can be taken back (`disarm`) before anything begins.
        #[serde(default = "undo_seconds")]
        undo_seconds: u32,
    },
    /// What was allowed and not begun is not allowed any more.
    Disarm,
    /// The slot that is not running may be written once, in this plan.
    Upgrade {
        /// The plan.
        generation: u64,
        /// For how long it may begin.
        seconds: u32,
    },
}

/// For how long a machine that is to be wiped is left as it is: long enough to read what was typed.
pub const UNDO_SECONDS: u32 = 60;

const fn undo_seconds() -> u32 {
    UNDO_SECONDS
}

/// What came of a wish.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The machine.
    #[schema(value_type = String)]
    pub location: Location,
    /// Its state after it.
    pub state: String,
    /// What its installation waits for now, if that was asked: completes "it waits for …".
    #[serde(default)]
    pub waits_for: Option<String>,
}

/// Where the zone is to move to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveStore {
    /// `etcd://HOST:PORT,…/PREFIX`, `etcds://…`, or a directory on the controller's host.
    pub to: String,
    /// PEM, a file on the controller's host: who signs the etcd's certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ca: Option<PathBuf>,
    /// PEM, likewise: the controller's certificate, and its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Likewise: a line `USER:PASSWORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub credentials: Option<PathBuf>,
}

/// What moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// Plans.
    pub plans: usize,
    /// Machines.
    pub machines: usize,
    /// Changes.
    pub changes: usize,
    /// Events.
    pub events: usize,
    /// Secrets.
    pub secrets: usize,
    /// What lies beside the store of before and is to be thought of, a sentence; empty: nothing.
    pub beside: String,
}

/// What an operator explicitly allows a reload to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Existing addresses may change.
    pub renumber: bool,
    /// So many machines may disappear.
    pub remove: u32,
    /// So many may be new.
    pub grow: u32,
}

/// What came of a reload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The plan in force.
    pub generation: u64,
    /// It is a new one.
    pub changed: bool,
    /// Why the design is not in force; `null`: it is.
    pub refused: Option<String>,
    /// What was found in it.
    pub findings: Vec<Finding>,
}
