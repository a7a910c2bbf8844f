//! What a machine's disks are to become, and how it goes: part of what agent and controller say to each other.
//!
//! An order leaves nothing to choose, and an agent that finds anything else than it says refuses it. `docs/decisions/0013` says why
//! things are done in which order.

use model::Generation;
use serde::{Deserialize, Serialize};

/// The volume group of every system that we write.
pub const VOLUME_GROUP: &str = "zw";

/// The file system label of an EFI system partition that we write. FAT: at most 11 capitals.
pub const ESP_LABEL: &str = "ZWESP";

/// Write a system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The plan that allows it. With the digest of the image it is what tells two orders apart.
    pub generation: Generation,
    /// The image.
    pub image: OsImage,
    /// All disks anew. `None`: nothing but the slot that is not running.
    pub disks: Option<Disks>,
    /// The kernel's command line after `root=` and `zw.slot=`.
    pub arguments: String,
    /// Files put into the new system after it was unpacked.
    pub files: Vec<File>,
    /// A system on trial that nobody confirmed after so many seconds restarts the machine.
    pub trial_seconds: u32,
}

/// Which image, and where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OsImage {
    /// Its name in the design.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits: of its manifest.
    pub digest: String,
    /// Where its files are, tried in turn: `http://10.0.0.1:8080/os/debian/`, with the slash.
    pub sources: Vec<String>,
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
