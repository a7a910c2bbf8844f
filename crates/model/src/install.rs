//! How a system is written to disks: what of it is planned, ordered, told and observed.

use serde::{Deserialize, Serialize};

/// Disks that one system is written to, at most.
pub const DISKS_MAX: usize = 64;
/// Volumes of one layout, at most.
pub const VOLUMES_MAX: usize = 64;

/// Software RAID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Raid {
    /// Every disk has all of it.
    Raid1,
    /// Pairs.
    Raid10,
}

impl Raid {
    /// The level's number.
    pub fn level(self) -> u8 {
        match self {
            Raid::Raid1 => 1,
            Raid::Raid10 => 10,
        }
    }

    /// The fewest disks, and whether there must be an even number of them.
    pub fn disks_min(self) -> u32 {
        match self {
            Raid::Raid1 => 2,
            Raid::Raid10 => 4,
        }
    }
}

/// How the disks are used. All of them are wiped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disks {
    /// The system's disks. One without RAID, two or more with RAID 1, four or more and even with RAID 10.
    pub system: Vec<Disk>,
    /// What they form together.
    pub raid: Option<Raid>,
    /// Octets of the EFI system partition on each.
    pub esp_bytes: u64,
    /// Root slots: 1, or 2 for upgrades that can fall back.
    pub slots: u8,
    /// Octets of each slot.
    pub root_bytes: u64,
    /// Further volumes.
    pub volumes: Vec<Volume>,
}

/// A disk that is to be written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// Its name as the agent reported it: `sda`.
    pub name: String,
    /// Its octets, as the agent reported them. Another size is another disk, and nothing is written.
    pub size_bytes: u64,
}

/// A volume that is no root: it stays over upgrades.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Volume {
    /// Its name in the group: lower case letters, digits and `_`.
    pub name: String,
    /// Octets; `None`: what is left. At most one, the last.
    pub bytes: Option<u64>,
    /// Where it is mounted, an absolute path.
    pub mount: String,
    /// What is on it.
    pub filesystem: Filesystem,
}

/// A file system that the installer can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// ext4.
    Ext4,
}

/// A file of the new system, owned by root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct File {
    /// Absolute.
    pub path: String,
    /// Permission bits: `0o644`.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

/// A root slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// `a` or `b`: in `zw.slot=`, in the names of volumes (`root_a`) and of directories on the EFI system partition.
    pub fn letter(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }
}

/// What an agent runs in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Running {
    /// Memory: the installer, or an image that writes no disk.
    Memory,
    /// A slot that an installer of ours wrote.
    Disk {
        /// Which.
        slot: Slot,
        /// Digest of the image in it.
        image: String,
        /// Not confirmed: the next boot is the other slot's, unless it is confirmed before.
        on_trial: bool,
    },
}

/// How far an order is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What is done now, in words: `writes root_a`.
    pub step: String,
    /// Octets of the image that are written.
    pub done_bytes: u64,
    /// Octets of the image; 0 before that is known.
    pub total_bytes: u64,
    /// Octets a second, over the last seconds.
    pub bytes_per_second: u64,
}
