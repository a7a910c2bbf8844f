//! What a machine's disks are to become, and how it goes: part of what agent and controller say to each other.
//!
//! An order leaves nothing to choose, and an agent that finds anything else than it says refuses it. `docs/decisions/0013` says why
//! things are done in which order.

pub use model::install::{
    DISKS_MAX, Disk, Disks, File, Filesystem, Progress, Raid, Running, Slot, VOLUMES_MAX, Volume,
};
use model::{Generation, Time};
use serde::{Deserialize, Serialize};

/// The volume group of every system that we write.
pub const VOLUME_GROUP: &str = "zw";

/// The file system label of an EFI system partition that we write. FAT: at most 11 capitals.
pub const ESP_LABEL: &str = "ZWESP";

/// Write a system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The plan that allows it.
    pub generation: Generation,
    /// When it was allowed. With the plan and the digest of the image it is what tells two orders apart: a machine that is allowed
    /// the same image a second time gets it anew.
    pub allowed_at: Time,
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
