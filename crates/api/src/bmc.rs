//! What an operator asks of a machine's BMC, and what is told while it is done.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Something that is to be done. Posted to `/v1/bmc/{location}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub enum Ask {
    /// Power.
    Power {
        /// What of it.
        to: Power,
    },
    /// What the machine boots from.
    Boot {
        /// From what.
        from: Source,
        /// The next time only; else until it is changed.
        once: bool,
        /// Which kind of firmware boots; as it is set, if left out.
        #[serde(default)]
        mode: Option<Mode>,
        /// Power cycle it right then.
        #[serde(default)]
        now: bool,
    },
    /// Insert an image as its CD.
    Insert {
        /// Where the BMC itself fetches it.
        url: String,
    },
    /// Eject what is inserted.
    Eject,
    /// What the machine is.
    Inventory,
    /// Install firmware.
    Update {
        /// Where the BMC itself fetches it.
        url: String,
    },
    /// Make the BMC ours: an account of our own, and another password for the account that is given.
    Adopt {
        /// The account that it came with.
        user: String,
        /// Its password.
        password: Secret,
        /// Change nothing on the BMC: use this account as it is.
        #[serde(default)]
        as_given: bool,
        /// SHA-256 of the certificate that it must show, in hexadecimal; left out, the one that it shows is believed.
        #[serde(default)]
        certificate: Option<String>,
    },
}

/// What of the power.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Tell it.
    Status,
    /// On.
    On,
    /// The system shuts itself down.
    Off,
    /// Off at once.
    ForceOff,
    /// Over again at once.
    Cycle,
}

/// What to boot from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// PXE.
    Pxe,
    /// UEFI HTTP boot.
    Http,
    /// The first disk.
    Disk,
    /// CD, virtual media included.
    Cd,
    /// As its firmware is set.
    Usual,
}

/// Which kind of firmware boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// UEFI.
    Uefi,
    /// BIOS.
    Legacy,
}

/// A secret on its way. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A line of the answer; the last is `done` or `failed`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "word")]
pub enum Word {
    /// It goes on.
    Waits {
        /// For what, in words that complete "it waits for …".
        on: String,
        /// How much is done, if the BMC says.
        percent: Option<u8>,
    },
    /// It is done.
    Done {
        /// What came of it, in words.
        outcome: String,
        /// What was asked for, if it was the inventory.
        inventory: Option<Box<Inventory>>,
    },
    /// It is not.
    Failed {
        /// Why.
        error: String,
    },
}

/// What a machine is, as its BMC knows it. Texts are empty where the BMC says nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Inventory {
    /// Who made it.
    pub vendor: String,
    /// Model.
    pub model: String,
    /// System serial number.
    pub serial: String,
    /// SMBIOS UUID.
    pub uuid: String,
    /// Version of BIOS or UEFI.
    pub bios: String,
    /// Version of the BMC's firmware.
    pub bmc_firmware: String,
    /// `on`, `off` or what the BMC says.
    pub power: String,
    /// `OK`, `Warning` or `Critical`.
    pub health: String,
    /// Processor packages.
    pub processors: Option<u64>,
    /// Their model.
    pub processor_model: String,
    /// Memory.
    pub memory_gib: Option<f64>,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Disks.
    pub drives: Vec<Drive>,
    /// What could not be read.
    pub unread: Vec<String>,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BmcNic)]
pub struct Nic {
    /// The BMC's name of it.
    pub id: String,
    /// Hardware address.
    pub mac: String,
    /// Speed in Mbit/s.
    pub mbps: Option<u64>,
}

/// A disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Drive {
    /// The BMC's name of it.
    pub name: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Size.
    pub size_bytes: Option<u64>,
    /// `SSD` or `HDD`.
    pub media: String,
}
