//! This installation's boot files: which there are, how large, and their digests. The view serves these and no others.

use model::Design;
use model::view::{Ports, Site, SiteFile};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Boot loaders that are offered at most: a directory of iPXE has some twenty.
const LOADERS_MAX: usize = 256;

/// What a site is gathered from, and what is remembered so that unchanged files are not read again.
pub(crate) struct Gatherer {
    pub(crate) design: PathBuf,
    pub(crate) loaders: PathBuf,
    pub(crate) controllers: Vec<IpAddr>,
    pub(crate) ports: Ports,
    pub(crate) ca_sha256: [u8; 32],
    known: HashMap<PathBuf, (Version, [u8; 32])>,
}

/// What changes when a file's content does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Gatherer {
    pub(crate) fn new(
        design: PathBuf,
        loaders: PathBuf,
        controllers: Vec<IpAddr>,
        ports: Ports,
        ca_sha256: [u8; 32],
    ) -> Self {
        Self { design, loaders, controllers, ports, ca_sha256, known: HashMap::new() }
    }

    /// The site as it is now, and what is missing from it, a sentence each.
    pub(crate) fn gather(&mut self, design: &Design) -> (Site, Vec<String>) {
        let mut troubles = Vec::new();
        let mut known = HashMap::new();
        let mut files = Vec::new();
        let loaders = loaders(&self.loaders);
        if loaders.is_empty() {
            troubles.push(format!(
                "there are no boot loaders in {}, so no firmware can start iPXE; install the package ipxe, or name their directory with --loaders",
                self.loaders.display()
            ));
        }
        let wanted = loaders.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (format!("loader/{name}"), path.clone())
        });
        let images = design.images.iter().flat_map(|image| {
            let paths = std::iter::once(&image.kernel).chain(&image.initrd);
            paths.map(|path| (format!("image/{}/{path}", image.name), self.design.join(path)))
        });
        for (name, source) in wanted.chain(images) {
            match self.digest(&source) {
                Ok((version, sha256)) => {
                    known.insert(source.clone(), (version, sha256));
                    files.push(SiteFile {
                        name,
                        size: version.size,
                        modified: version.modified,
                        sha256,
                        source,
                    });
                }
                Err(error) => troubles
                    .push(format!("{} cannot be read, so it cannot be booted: {error}", source.display())),
            }
        }
        self.known = known;
        let site = Site {
            controllers: self.controllers.clone(),
            ports: self.ports,
            ca_sha256: self.ca_sha256,
            files,
        };
        (site, troubles)
    }

    fn digest(&self, path: &Path) -> io::Result<(Version, [u8; 32])> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let version = version(&metadata);
        if let Some((known, sha256)) = self.known.get(path)
            && *known == version
        {
            return Ok((version, *sha256));
        }
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                length => hasher.update(&piece[..length]),
            }
        }
        Ok((version, hasher.finalize().into()))
    }
}

fn version(metadata: &Metadata) -> Version {
    Version {
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn loaders(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.truncate(LOADERS_MAX);
    found
}
