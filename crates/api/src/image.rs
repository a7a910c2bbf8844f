//! What an image is, as its `manifest.json` says: its files by digest, and where they come from.
//!
//! Written by who builds images, read by the controller that serves them and by the agent that writes them to disks. The image's
//! digest is the SHA-256 of this text, so the same image has the same text: fields in this order, nothing of the day.

use serde::{Deserialize, Serialize};

/// The file beside the others that says what they are.
pub const FILE: &str = "manifest.json";

/// The archive of an operating system: a tar archive compressed by zstd.
pub const ROOT: &str = "root.tar.zst";

/// Octets of each piece of an archive that has a digest of its own; the last piece may be shorter.
pub const CHUNK: u64 = 4 << 20;

/// The longest manifest that is read, in octets: 64 GiB of archive are 16,384 pieces and 1.1 MB.
pub const TEXT_MAX: usize = 8 << 20;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the image is for: `installer`, `os`.
    pub kind: String,
    /// The kernel's version: `6.1.0-56-amd64`.
    pub kernel: String,
    /// How many modules are in it.
    pub modules: usize,
    /// Modules of the list that this kernel does not have.
    pub absent: Vec<String>,
    /// The files beside this one.
    pub files: Vec<File>,
    /// What they were made of.
    pub packages: Vec<Origin>,
}

impl Manifest {
    /// All files together, octets.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// The same of each [`CHUNK`] octets, in order; only of a file that is used while it comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
}

/// A package that something was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its `.deb`.
    pub sha256: String,
}
