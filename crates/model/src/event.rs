//! What happened: the one input of a machine's life, and what the store keeps of it.

use crate::burn_in;
use crate::change::{Change, Holder, Outcome};
use crate::facts::{Attested, ByBmc, CheckResult, DhcpServer, Hardware, Stage};
use crate::ids::{ChangeId, Generation};
use crate::install::{Progress, Running, Slot};
use crate::location::Location;
use crate::mac::Mac;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The vendor class (DHCP Option 60) of an agent that asks which DHCP servers there are. Its DISCOVER is answered as any
/// other, and teaches nothing about the machine: it boots nothing, and nothing new is plugged in.
pub const PROBE_CLASS: &[u8] = b"zonewright-probe";

/// Something that happened to one machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When, by the controller's clock.
    pub at: Time,
    /// To which machine (or, for [`What::Asked`] on a switch port, whose port).
    pub location: Location,
    /// What.
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum What {
    /// One of its interfaces got a DHCP ACK, or was refused because of the MAC it showed.
    Asked {
        /// The machine's own port that the drawn cable of the asking switch port leads to (`eno1`, `bmc`; a member of
        /// a bond, not the bond); the planned interface's name when the request named no switch port.
        interface: String,
        /// The hardware address it showed.
        mac: Mac,
        /// SMBIOS UUID (Option 97), if it sent one.
        uuid: Option<[u8; 16]>,
        /// What was asking.
        stage: Stage,
        /// The switch port as the relay called it, for people: `p01-r1-leaf-a swp3`.
        port: String,
    },
    /// It says that somebody else has its address (DHCPDECLINE).
    Declined {
        /// Interface name.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Who declined.
        mac: Mac,
    },
    /// It fetched its boot script.
    ScriptFetched {
        /// Of this plan.
        generation: Generation,
        /// Which image it boots: [`crate::design::Image::mark`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<u64>,
    },
    /// It fetched a boot file whole.
    FileFetched {
        /// Path.
        file: String,
        /// Octets.
        bytes: u64,
    },
    /// Who writes its disks says how far that is.
    Installing {
        /// How far.
        progress: Progress,
    },
    /// A system was written: by our agent, whole and proved, or by a distribution's installer, which says so.
    Installed {
        /// The plan of the order, or of the boot script.
        generation: Generation,
        /// Digest of the image; `None`: another installer's system.
        image: Option<String>,
        /// Where; `None`: another installer's system.
        slot: Option<Slot>,
    },
    /// A system could not be written.
    NotInstalled {
        /// Digest of the image.
        image: String,
        /// Why, a sentence.
        sentence: String,
    },
    /// The running slot is the good one from here on.
    Confirmed {
        /// Which.
        slot: Slot,
    },
    /// A single-use token was given out on its port.
    TokenIssued {
        /// SHA-256 of the token; the token itself is kept nowhere.
        token_sha256: [u8; 32],
        /// When it stops being good.
        until: Time,
        /// SHA-256 of the endorsement key of the TPM that alone can read it. `None`: it was told in plain.
        #[serde(default)]
        ek_sha256: Option<[u8; 32]>,
        /// Half of it was told; the other half is handed over by its BMC.
        #[serde(default)]
        by_bmc: bool,
    },
    /// Its agent is not believed to be this machine's.
    NotProved {
        /// Why, a sentence.
        sentence: String,
        /// SHA-256 of the endorsement key of the TPM that it showed, if that is not its place's.
        #[serde(default)]
        ek_sha256: Option<[u8; 32]>,
    },
    /// A certificate was issued: for a token, or for the certificate it replaces.
    Enrolled {
        /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) that the certificate is for.
        key_sha256: [u8; 32],
        /// SHA-256 of the token that paid for it. `None`: a renewal, asked for with the current certificate.
        token_sha256: Option<[u8; 32]>,
        /// What its TPM proved beside.
        #[serde(default)]
        tpm: Option<Attested>,
    },
    /// Its agent opened a connection.
    Connected {
        /// What it runs in. `None`: a system that is not ours.
        running: Option<Running>,
        /// It can burn the machine in.
        #[serde(default)]
        burns_in: bool,
        /// Tells this boot of the machine from every other; `None`: it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<u64>,
    },
    /// Its agent's connection ended.
    Lost,
    /// Its agent is connected to this controller, and none is known to have it: one that could not be heard for a while counts as gone.
    StillConnected,
    /// Its agent reported what it found.
    Reported {
        /// What is in the box and what is at the other end of its cables.
        hardware: Box<Hardware>,
    },
    /// Its agent ran the role's checks.
    Checked {
        /// One for each check.
        results: Vec<CheckResult>,
    },
    /// Its agent says how far its burn-in is.
    BurningIn {
        /// How far.
        progress: burn_in::Progress,
    },
    /// Its burn-in ended.
    BurntIn {
        /// How.
        outcome: burn_in::Outcome,
    },
    /// Its agent heard other DHCP servers that are not the zone's than before, or none any more.
    ServersHeard {
        /// All that it heard the last time.
        servers: Vec<DhcpServer>,
    },
    /// Somebody on the machine itself lets nobody restart it any more, or lets go of it.
    Held {
        /// Why, in their words; `None`: nobody holds it.
        why: Option<String>,
    },
    /// An operator asked for something.
    Operator {
        /// Who.
        by: String,
        /// What.
        wish: Wish,
        /// Whether the budgets allow it does not matter.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        beyond_budget: bool,
    },
    /// The time in which an operator could take back what was asked of it is over.
    Begins,
    /// Something was asked of its BMC, which changes nothing that is known of the machine by itself.
    Bmc {
        /// Who asked.
        by: String,
        /// What, in words that complete "asked its BMC …".
        asked: String,
        /// What came of it; `None`: it begins.
        outcome: Option<String>,
        /// The controller asks, to bring an armed machine to its installer: whether it came off. `None`: somebody else asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Started>,
    },
    /// A change, at the zone's own location: it goes a step further.
    Change {
        /// Which.
        id: ChangeId,
        /// How.
        step: ChangeStep,
    },
    /// Its lease is taken: by its own system, which is about to restart it.
    Leased {
        /// Who asks.
        holder: Holder,
        /// Why.
        reason: String,
        /// When it should be back.
        deadline: Time,
    },
    /// Its lease is given back by who holds it.
    Released {
        /// Who.
        holder: Holder,
    },
    /// Time passed; overdue waits are looked at. Not stored.
    Tick,
}

/// What a machine of a change is found to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum Settled {
    /// Back, and right.
    Right,
    /// Not right, by the change's doing as far as can be told.
    Wrong {
        /// Why.
        why: String,
    },
    /// Not in service, for reasons of its own.
    Absent,
}

/// A step of a change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum ChangeStep {
    /// It begins, without a plan of its own.
    Begin {
        /// The change, before anything is done.
        change: Box<Change>,
    },
    /// The turn of a machine has come.
    Take {
        /// Which.
        machine: Location,
    },
    /// A machine is where it should be, or is not.
    Settle {
        /// Which.
        machine: Location,
        /// What it is.
        found: Settled,
    },
    /// The machines of the wave are over with; it is watched from here on.
    Bake,
    /// The next wave begins.
    Widen,
    /// It does nothing new until it is resumed.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// It goes on.
    Resume {
        /// Who asks.
        by: String,
    },
    /// It is over.
    End {
        /// How.
        how: Outcome,
        /// Why, with the evidence.
        sentence: String,
    },
}

/// How far a BMC is that is asked to start its machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// It is about to be asked.
    Begun,
    /// It says that the machine starts.
    Done,
    /// It did not.
    Failed,
}

/// What an operator can ask of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "wish")]
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
    /// Taken out of service; its requests are refused.
    Retire {
        /// Why.
        reason: String,
    },
    /// Its disks may be written once, in this plan generation. Refused if there is a system of ours on them.
    Arm {
        /// The generation.
        generation: Generation,
        /// Until when it may begin.
        until: Time,
        /// Whether its BMC may start it from the network for that.
        #[serde(default)]
        bmc: ByBmc,
    },
    /// The same, whatever is on them.
    Reinstall {
        /// The generation.
        generation: Generation,
        /// Until when it may begin.
        until: Time,
        /// Whether its BMC may start it from the network for that.
        #[serde(default)]
        bmc: ByBmc,
        /// Until then it can be taken back, and nothing begins. `None`: it begins at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo_until: Option<Time>,
    },
    /// What was allowed and not begun is not allowed any more.
    Disarm,
    /// The slot that is not running may be written once.
    Upgrade {
        /// The generation.
        generation: Generation,
        /// Until when it may begin.
        until: Time,
    },
}
