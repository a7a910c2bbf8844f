//! A machine as it stands in its rack: what is in the box, what its ports are plugged into, what it does. It knows nothing
//! of plans; what it knows of a place it was told.

use crate::cabling::JackId;
use lifecycle::validate;
use model::burn_in;
use model::event::What;
use model::facts::{CheckResult, Disk, Hardware, Stage};
use model::install::{Running, Slot};
use model::{Generation, Location, Mac, Time};
use std::net::Ipv4Addr;

/// Its ports, by their number here.
pub(crate) const PORTS: [&str; 3] = ["eno1", "eno2", "bmc"];
/// The BMC's number.
pub(crate) const BMC: usize = 2;

/// One machine.
pub(crate) struct Body {
    /// Where it stands.
    pub(crate) home: Location,
    pub(crate) macs: [Mac; 3],
    pub(crate) uuid: [u8; 16],
    pub(crate) plugs: [Option<JackId>; 3],
    /// Counts what ends everything that was under way: each boot, each loss of power.
    pub(crate) epoch: u32,
    pub(crate) life: Life,
    pub(crate) firmware: Stage,
    /// What each of its ports asks or has, and since when it may have it.
    pub(crate) clients: [Option<Client>; 3],
    pub(crate) disk: SystemDisk,
    /// The key in memory, gone with the power.
    pub(crate) agent: Option<Agent>,
    pub(crate) defect: Option<Defect>,
    /// Its BMC answers nobody.
    pub(crate) bmc_is_dead: bool,
    /// Somebody carried it away; another stands in its place.
    pub(crate) is_gone: bool,
    /// Nobody presses its button for now.
    pub(crate) stays_off: bool,
}

/// What it does.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Life {
    Off,
    /// Its firmware tests memory.
    Post,
    /// Firmware or iPXE asks by one of its ports.
    Asking,
    /// It fetches a boot loader.
    Loading,
    /// It fetches a script, or waits until it asks for it again.
    Scripting,
    /// A kernel starts.
    Starting(Booted),
    /// A system runs, and its agent in it.
    System(Booted),
    /// A kernel that does nothing any more.
    Hung,
}

/// What was started.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Booted {
    /// An image in memory, whose command line said where it is.
    Memory {
        location: Location,
    },
    Disk {
        slot: usize,
        on_trial: bool,
    },
}

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Defect {
    HalfItsMemory,
    ADiskLess,
}

/// The system's disks.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct SystemDisk {
    pub(crate) slots: [Option<u64>; 2],
    pub(crate) good: Option<usize>,
    /// What GRUB starts once.
    pub(crate) trial: Option<usize>,
    /// What the agent in it starts with.
    pub(crate) kept: Option<(Location, [u8; 32])>,
}

/// A DHCP client on one port.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) stage: Stage,
    pub(crate) xid: u32,
    pub(crate) sent: u32,
    pub(crate) phase: Phase,
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Selecting,
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    Bound { address: Ipv4Addr, until: u64 },
}

impl Client {
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        match self.phase {
            Phase::Bound { address, .. } => Some(address),
            _ => None,
        }
    }
}

/// What an agent says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FromAgent {
    Token { mac: Mac },
    Enrol { token: [u8; 32], key: [u8; 32] },
    Renew { key: [u8; 32] },
    Hello { key: [u8; 32], running: Running },
    Heartbeat,
    Tells(What),
}

/// What an agent is told.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FromController {
    Token([u8; 32]),
    Certificate,
    Welcome,
    Heartbeat { now: Time },
    CheckAgain,
    Order(Option<Order>),
    Refused { needs_certificate: bool, words: String },
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Order {
    BurnIn(burn_in::Order),
    Install(Install),
    Confirm { system: u64 },
    Restart,
}

/// A system is to be written.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Install {
    pub(crate) generation: Generation,
    pub(crate) allowed_at: Time,
    pub(crate) system: u64,
    /// All disks anew, or else the other slot.
    pub(crate) wipes: bool,
}

/// The agent that runs.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) location: Location,
    pub(crate) running: Running,
    pub(crate) key: [u8; 32],
    pub(crate) has_certificate: bool,
    /// Its key had one: another is asked for with it, once.
    pub(crate) may_renew: bool,
    /// Counts its connections.
    pub(crate) connection: u32,
    /// With which controller, and which of its lives.
    pub(crate) with: Option<(usize, u32)>,
    pub(crate) is_welcome: bool,
    pub(crate) failures: u32,
    /// When it last heard from the controller.
    pub(crate) heard_at: u64,
    /// What it told of itself in this connection.
    pub(crate) reported: Option<Hardware>,
    pub(crate) checked: bool,
    pub(crate) job: Option<Install>,
    /// How its order ended, until a controller has taken that.
    pub(crate) outcome: Option<What>,
    pub(crate) burning: Option<(burn_in::Order, u64)>,
}

impl Body {
    /// Whether it would be found right, wherever it stands.
    pub(crate) fn is_whole(&self) -> bool {
        self.defect.is_none()
    }

    /// The data port by which it speaks, and from where.
    pub(crate) fn speaks_from(&self) -> Option<Ipv4Addr> {
        let bound =
            |port: &usize| self.plugs[*port].and(self.clients[*port].as_ref()).and_then(Client::address);
        [0, 1].iter().find_map(bound)
    }

    /// What is on its disks that starts.
    pub(crate) fn bootable(&self) -> Option<(usize, bool)> {
        let has = |slot: &usize| self.disk.slots[*slot].is_some();
        let trial = self.disk.trial.filter(has).map(|slot| (slot, true));
        trial.or_else(|| self.disk.good.filter(has).map(|slot| (slot, false)))
    }

    pub(crate) fn disks(&self) -> Vec<Disk> {
        let count = if self.defect == Some(Defect::ADiskLess) { 1 } else { 2 };
        let disk = |number: usize| Disk {
            name: ["sda", "sdb"][number].to_owned(),
            size_bytes: 480_103_981_056,
            kind: "ssd".to_owned(),
        };
        (0..count).map(disk).collect()
    }

    /// What an agent finds in it; neighbours are the caller's to add.
    pub(crate) fn hardware(&self) -> Hardware {
        let memory = if self.defect == Some(Defect::HalfItsMemory) { 32 } else { 64 };
        Hardware {
            cpus: 16,
            memory_bytes: memory << 30,
            disks: self.disks(),
            firmware: "2.19".to_owned(),
            serial: format!("{:02x}{:02x}{:02x}", self.uuid[0], self.uuid[1], self.uuid[2]),
            uuid: self.uuid.iter().map(|octet| format!("{octet:02x}")).collect(),
            nics: Vec::new(),
            stacked: Some(Vec::new()),
            clock_skew_ms: 0,
            system: "sim".to_owned(),
        }
    }

    /// What the checks of its role find. A bad system fails them wherever it runs.
    pub(crate) fn checks(&self, passed: bool) -> Vec<CheckResult> {
        vec![CheckResult {
            name: "service:ssh.running".to_owned(),
            passed,
            detail: if passed { "running".to_owned() } else { "expected true, found false".to_owned() },
        }]
    }

    /// Which system runs from its disk.
    pub(crate) fn running_system(&self) -> Option<u64> {
        match &self.life {
            Life::System(Booted::Disk { slot, .. }) => self.disk.slots[*slot],
            _ => None,
        }
    }
}

/// A slot by its number here.
pub(crate) fn slot(number: usize) -> Slot {
    if number == 0 { Slot::A } else { Slot::B }
}

/// How far a machine's clock may be off in what it tells.
pub(crate) fn skew(offset_ms: i64) -> i64 {
    -offset_ms / 100 * 100
}

/// Whether a skew is worth another report.
pub(crate) fn is_news(skew_ms: i64, reported_ms: i64) -> bool {
    skew_ms.abs_diff(reported_ms) > validate::CLOCK_SKEW_MAX.as_millis() as u64 / 2
}
