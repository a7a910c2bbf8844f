//! What was observed of each machine. `lifecycle::step` is the only thing that changes it.

use crate::burn_in;
use crate::change::{CHANGES_MAX, Change, Lease};
use crate::ids::{ChangeId, Generation};
use crate::install::{Progress, Running, Slot};
use crate::location::Location;
use crate::mac::Mac;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything observed, and what is under way. A machine that is not here has not been seen.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// By location.
    pub machines: BTreeMap<Location, Machine>,
    /// Changes: those under way, and the newest that are over.
    #[serde(default)]
    pub changes: BTreeMap<ChangeId, Change>,
}

impl Facts {
    /// A change went a step further: it is this now, with those of its machines that are other than before.
    pub fn step_change(&mut self, change: Change) {
        let machines = self.changes.remove(&change.id).map(|before| before.machines).unwrap_or_default();
        let mut stepped = Change { machines, ..change.head() };
        stepped.machines.extend(change.machines);
        self.changes.insert(stepped.id, stepped);
        while self.changes.len() > CHANGES_MAX {
            let over = self.changes.iter().find(|(_, change)| !change.is_under_way()).map(|(id, _)| *id);
            let Some(over) = over else { return };
            self.changes.remove(&over);
        }
    }
}

/// What is known of one machine; by default, nothing yet.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Where it is in its life.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// When its first packet of this boot came; what "time taken" counts from.
    pub boot_began: Option<Time>,
    /// How often it was seen to boot.
    #[serde(default)]
    pub boots: u64,
    /// How long it took from its first packet to ready, the last time, in milliseconds.
    pub boot_took_ms: Option<u64>,
    /// What each of its ports last showed, by port name (see [`crate::event::What::Asked`]).
    pub sightings: BTreeMap<String, Sighting>,
    /// The hardware accepted for this location: its MACs by interface name, once validated. A machine that shows
    /// one of these on another location's port is miscabled or moved.
    pub accepted: BTreeMap<String, Mac>,
    /// What its agent last reported.
    pub hardware: Option<Hardware>,
    /// What its checks last said.
    pub checks: Vec<CheckResult>,
    /// The controller that its agent holds a connection to now, by that one's own word for its process, which is empty where there is no
    /// other: then it is not stored, since agents connect again after a restart.
    #[serde(default, skip_serializing_if = "is_at_the_only_one")]
    pub agent_at: Option<String>,
    /// Which boot its agent spoke from last (see [`crate::event::What::Connected`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// When the connection of its agent ended, while it is ready; `None` while it holds one, or where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Time>,
    /// An address that nobody knows asks on this port while the machine's own agent is connected. Not stored, as that.
    #[serde(skip)]
    pub stranger: Option<(String, Mac)>,
    /// The single-use enrolment token of this boot.
    pub token: Token,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) that its agent's certificates are for. The key and not a
    /// certificate is what counts: certificates are renewed twice a day, and that is no change of state.
    pub key_sha256: Option<[u8; 32]>,
    /// The TPM that it proved itself by, the last time. From then on nothing else is its proof.
    #[serde(default)]
    pub tpm: Option<Attested>,
    /// It has proved itself by a key that its BMC handed it. From then on its port alone is no proof.
    #[serde(default)]
    pub by_bmc: bool,
    /// Why its agent was last not believed, a sentence; `None` once it was.
    #[serde(default)]
    pub unproved: Option<String>,
    /// SHA-256 of the endorsement key of the TPM that it showed then, if that was not its place's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproved_ek: Option<[u8; 32]>,
    /// Its disks may be written.
    pub armed: Option<Armed>,
    /// How it comes to the installer that it is armed for, until that was heard.
    #[serde(default)]
    pub start: Option<Start>,
    /// What its agent runs in; `None` before it said so, and of systems that are not ours.
    #[serde(default)]
    pub running: Option<Running>,
    /// Since when: the last hello of its agent.
    #[serde(default)]
    pub running_since: Time,
    /// The system that was last written to its disks, whole. With one it boots from them.
    #[serde(default)]
    pub installed: Option<Installed>,
    /// An image that could not be written, or that fell back. It is not tried again before somebody asks.
    #[serde(default)]
    pub rejected: Option<Rejected>,
    /// How often in a row its firmware began anew where its kernel had been started, and its agent never came.
    #[serde(default)]
    pub boots_in_vain: u32,
    /// What the last boot script that it fetched in this boot boots: [`crate::design::Image::mark`].
    #[serde(default)]
    pub boots_image: Option<u64>,
    /// How it was tried out under load.
    #[serde(default)]
    pub burn_in: burn_in::State,
    /// Who may take it out of service on purpose, and has it.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// Addresses that it, or somebody on its port, declined: somebody else uses them.
    pub conflicts: BTreeMap<IpAddr, Conflict>,
    /// DHCP servers that its agent last heard and that are not the zone's.
    #[serde(default)]
    pub foreign_servers: Vec<DhcpServer>,
    /// Why somebody on the machine itself lets nobody restart it: its agent refuses, whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why its cabling is doubted, in plain words, with the finding's code; it is not ready while this stands.
    pub miscabled: Option<(crate::finding::Code, String)>,
}

impl Machine {
    /// Whether its agent holds a connection.
    pub fn is_connected(&self) -> bool {
        self.agent_at.is_some()
    }
}

fn is_at_the_only_one(agent_at: &Option<String>) -> bool {
    agent_at.as_ref().is_none_or(String::is_empty)
}

/// Where a machine is in its life. Each state owns its data.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// In the plan; nothing heard.
    #[default]
    Expected,
    /// Its firmware asked for an address.
    Seen {
        /// What asked last.
        stage: Stage,
    },
    /// It fetched its boot script.
    Booting {
        /// Of this plan.
        generation: Generation,
    },
    /// The installer writes its disks.
    Installing {
        /// How far it is. Octets are not stored: after a restart they are heard again.
        progress: Progress,
    },
    /// Its agent enrolled; hardware, neighbours and checks are compared with the design.
    Validating {
        /// The hardware report came and fits.
        hardware_fits: bool,
    },
    /// Compared and found right.
    Ready,
    /// Work moves off.
    Draining {
        /// Why.
        reason: String,
        /// Who asked.
        by: String,
    },
    /// Hands off.
    Maintenance {
        /// Why.
        reason: String,
        /// Who asked.
        by: String,
    },
    /// It is not what the design says, or a check failed. It leaves this by booting again or by an operator's word.
    Failed {
        /// Every reason, each a sentence.
        reasons: Vec<String>,
    },
    /// Out of service.
    Retired {
        /// Why.
        reason: String,
        /// Who asked.
        by: String,
    },
}

impl State {
    /// The state's name as the CLI and API say it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Expected => "expected",
            State::Seen { .. } => "seen",
            State::Booting { .. } => "booting",
            State::Installing { .. } => "installing",
            State::Validating { .. } => "validating",
            State::Ready => "ready",
            State::Draining { .. } => "draining",
            State::Maintenance { .. } => "maintenance",
            State::Failed { .. } => "failed",
            State::Retired { .. } => "retired",
        }
    }
}

/// Which program of a machine is asking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// BIOS PXE ROM.
    BiosPxe,
    /// UEFI PXE.
    UefiPxe,
    /// UEFI HTTP boot.
    UefiHttp,
    /// iPXE.
    Ipxe,
    /// An operating system, or anything that does not say it is firmware.
    Os,
    /// A BMC.
    Bmc,
}

/// What one interface last showed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// When.
    pub at: Time,
    /// Its hardware address.
    pub mac: Mac,
    /// SMBIOS UUID, if any stage of this boot sent one.
    pub uuid: Option<[u8; 16]>,
    /// What asked.
    pub stage: Stage,
    /// The switch port in people's words.
    pub port: String,
}

/// The state of a boot's enrolment token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "token")]
pub enum Token {
    /// None was given out for this boot.
    #[default]
    None,
    /// Given out on this machine's port, not used yet.
    Issued {
        /// SHA-256 of it.
        sha256: [u8; 32],
        /// When it stops being good.
        until: Time,
        /// Half of it came through its BMC.
        #[serde(default)]
        by_bmc: bool,
    },
    /// Used. Another is given out only after another boot.
    Used,
}

/// What a TPM proved, when its machine enrolled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attested {
    /// SHA-256 of its endorsement key's public area: by this it is known.
    pub ek_sha256: [u8; 32],
    /// The registers that the role names, of the SHA-256 bank, and what is in them; ascending.
    pub pcrs: Vec<(u8, [u8; 32])>,
    /// How often it was reset. It never goes back.
    pub resets: u32,
    /// Milliseconds that it has run. It never goes back, but with a reset before it was written down.
    pub clock_ms: u64,
}

/// Its disks may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Armed {
    /// For this plan only.
    pub generation: Generation,
    /// Until then it may begin.
    pub until: Time,
    /// Since when.
    #[serde(default)]
    pub since: Time,
    /// What may be written.
    #[serde(default)]
    pub purpose: Purpose,
    /// Until then it can be taken back, and nothing begins. `None`: that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Time>,
}

/// What an allowance is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// All disks anew.
    #[default]
    Install,
    /// The slot that is not running.
    Upgrade,
}

/// How a machine that is armed comes to the installer, or one that hangs in what a change takes back comes out of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Who armed it; or the change.
    pub by: String,
    /// Whether its BMC may do it.
    pub bmc: ByBmc,
    /// Its BMC is not asked before.
    pub due: Time,
    /// How often its BMC was asked.
    pub asked: u32,
    /// Its firmware has not been heard since it is wanted, or since its BMC was asked last.
    pub silent: bool,
    /// Why its BMC did not do it, the last time.
    pub failure: Option<String>,
}

/// Whether a BMC may start its machine from the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByBmc {
    /// It may.
    Allowed,
    /// Nothing is known to log in with.
    NotAdopted,
    /// There is none, by the design.
    Absent,
    /// Whoever armed the machine wants it left alone.
    #[default]
    Refused,
}

/// A system on disks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Installed {
    /// Digest of the image; `None` of a system that somebody else's installer wrote.
    pub image: Option<String>,
    /// In which slot.
    pub slot: Option<Slot>,
    /// By which plan.
    pub generation: Generation,
    /// When.
    pub at: Time,
}

/// An image that this machine did not take.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejected {
    /// Its digest.
    pub image: String,
    /// Why, a sentence.
    pub sentence: String,
    /// When.
    pub at: Time,
}

/// An address that a client declined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// When.
    pub at: Time,
    /// Who declined it.
    pub by: Mac,
}

/// What an agent found in its machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Hardware {
    /// Logical CPUs.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Firmware version.
    pub firmware: String,
    /// System serial number.
    pub serial: String,
    /// SMBIOS UUID as text.
    pub uuid: String,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Hardware addresses of what its system stacks on them, such as bridges, by which it may ask as well. `None`: its agent
    /// does not tell.
    #[serde(default)]
    pub stacked: Option<Vec<Mac>>,
    /// The machine's clock minus the controller's, in milliseconds.
    pub clock_skew_ms: i64,
    /// Operating system and kernel, in words.
    pub system: String,
}

/// A disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// Device name.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// `nvme`, `ssd` or `hdd`.
    pub kind: String,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Nic {
    /// Name.
    pub name: String,
    /// Hardware address.
    pub mac: Mac,
    /// Mbit/s, if known.
    pub mbps: Option<u32>,
    /// Who is at the other end of the cable (LLDP): system name and port.
    pub neighbour: Option<Neighbour>,
}

/// The other end of a cable, as LLDP tells it (IEEE 802.1AB §8.5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// System name.
    pub system: String,
    /// Port id.
    pub port: String,
}

/// A DHCP server, as it answers a machine's probe.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DhcpServer {
    /// What it calls itself (Option 54); the address it sent from if it says nothing.
    pub identifier: IpAddr,
    /// The hardware address that its answer came from: its own, or that of the relay before it.
    pub mac: Mac,
    /// The machine's interface that heard it.
    pub interface: String,
    /// The address that it offered, if any.
    pub offered: Option<IpAddr>,
}

/// What one check said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckResult {
    /// `service:sshd.running`.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// Expected and found, in words.
    pub detail: String,
}
