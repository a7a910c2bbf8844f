//! What a view needs that stands in no drawing: this installation's addresses, ports, trust anchor and boot files.
//!
//! `server` gathers it at start and whenever the files change; a plan, facts and a site give the same view on every
//! replica. It names where bytes lie, and never opens anything.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// One installation of Zonewright.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Site {
    /// Where machines reach the controllers. Empty: at the addresses that the plan gives the zone's controllers.
    pub controllers: Vec<IpAddr>,
    /// These are one controller's, and the plan's other controllers know what it knows: machines are told of all, these first.
    pub is_shared: bool,
    /// Where machines reach who answers from this view, if that is an edge and no controller: they fetch there first. What only a
    /// controller can do they ask of a controller all the same.
    pub own: Vec<IpAddr>,
    /// Where machines reach the zone's edges. What a machine was told there is the zone's word.
    pub edges: Vec<IpAddr>,
    /// The ports that machines are told.
    pub ports: Ports,
    /// SHA-256 of the DER of the certificate that agents trust, the pin of `zw.ca=`.
    pub ca_sha256: [u8; 32],
    /// The URL of the HTTP proxy that distributions' installers are told to fetch packages by.
    pub proxy: Option<String>,
    /// Every file that may be served, in any order; [`FileId`] counts in this list. A file that is not here is not
    /// served, whatever lies on the disk.
    pub files: Vec<SiteFile>,
    /// The names of files that an edge does not have yet, and controllers do. Sorted.
    pub elsewhere: Vec<String>,
    /// The digest of each operating system's image, by the name of its `os` block: `sha256:` and 64 hexadecimal digits. One that is
    /// not here is not there, or is not the one that the design names. By name, since a site outlives the plan that it was
    /// gathered for.
    pub systems: BTreeMap<String, String>,
}

impl Site {
    /// One file.
    pub fn file(&self, id: FileId) -> &SiteFile {
        &self.files[id.index()]
    }
}

/// The ports that machines are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// Boot scripts and files, HTTP.
    pub boot: u16,
    /// The same, HTTPS; 0: not served.
    pub boot_tls: u16,
    /// Agents, TLS.
    pub agents: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { boot: 80, boot_tls: 443, agents: 8443 }
    }
}

/// A position in [`Site::files`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

impl FileId {
    /// The position.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One file that may be served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteFile {
    /// Its path in a URL or TFTP request, without a leading slash: `loader/snponly.efi` for boot loaders,
    /// `image/NAME/PATH` for the files of an image, with PATH as the design writes it, `os/NAME/FILE` for those of an
    /// operating system, [`SiteFile::AGENT`].
    pub name: String,
    /// Octets.
    pub size: u64,
    /// When the content was last written, as its file system says: seconds and nanoseconds since 1970. With another
    /// time it is another content, and not served until it was listed anew.
    pub modified: (i64, i64),
    /// Digest of the content; its ETag, so that a file that changes is never resumed as if it were the same. `None` while
    /// it was not read yet.
    pub sha256: Option<[u8; 32]>,
    /// Where the server finds the bytes.
    pub source: PathBuf,
}

impl SiteFile {
    /// The name of the agent, for systems that others install.
    pub const AGENT: &'static str = "agent/zw-agent";
}
