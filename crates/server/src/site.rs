//! This installation's boot files: which there are, how large, and their digests. The view serves these and no others.

mod served;

use crate::boot_file::is_out_of_descriptors;
use crate::options::Options;
use api::image::{self as manifest, Manifest};
use model::Design;
use model::octets::hexadecimal;
use model::view::{Ports, Site, SiteFile};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use served::Served;

/// Boot loaders that are offered at most: a directory of iPXE has some twenty.
const LOADERS_MAX: usize = 256;

/// Octets of files that are read in the way of a look, all together: loaders, as a rule. What is left is read beside it
/// ([`Gatherer::unread`]), and served meanwhile.
const AT_ONCE_MAX: u64 = 32 << 20;

/// Files of which a digest is remembered at most.
const KNOWN_MAX: usize = 4096;

/// What a site is gathered from, and what is remembered so that unchanged files are not read again.
pub(crate) struct Gatherer {
    pub(crate) design: PathBuf,
    pub(crate) loaders: PathBuf,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) proxy: Option<String>,
    reached: Reached,
    pub(crate) ports: Ports,
    pub(crate) ca_sha256: [u8; 32],
    /// Where the zone's edges are, which others find out.
    pub(crate) edges: Arc<Mutex<Vec<IpAddr>>>,
    known: HashMap<PathBuf, Known>,
    unread: Vec<PathBuf>,
    /// The loaders that were found last.
    found: Vec<PathBuf>,
}

/// Where machines reach this controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reached {
    /// At this address, whatever the plan says.
    At(IpAddr),
    /// At those of this host that the plan gives to a controller.
    ByPlan(Vec<IpAddr>),
}

impl Reached {
    /// Where machines are told that it is; none: where the plan says that controllers are.
    fn told(&self, is_shared: bool) -> Vec<IpAddr> {
        match self {
            Self::At(address) => vec![*address],
            // Of several, each is its own clients' first.
            Self::ByPlan(own) if is_shared => own.clone(),
            Self::ByPlan(_) => Vec::new(),
        }
    }
}

/// What is known of a file's content: its digest in a version, or why it cannot be read.
pub(crate) type Known = Result<(Version, [u8; 32]), String>;

/// What changes when a file's content does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Gatherer {
    pub(crate) fn new(options: &Options, reached: Reached, ports: Ports, ca_sha256: [u8; 32]) -> Self {
        let Options { design, loaders, agent, proxy, .. } = options.clone();
        let (known, unread, found) = (HashMap::new(), Vec::new(), Vec::new());
        let edges = Arc::default();
        Self { design, loaders, agent, proxy, reached, ports, ca_sha256, edges, known, unread, found }
    }

    /// The site as it is now, and what is missing from it, a sentence each. Reads little: what is new and large has no
    /// digest yet. `is_shared`: other controllers know what this one knows.
    pub(crate) fn gather(&mut self, design: &Design, is_shared: bool) -> (Site, Vec<String>) {
        let mut troubles = Vec::new();
        let mut known = HashMap::new();
        let mut at_once = AT_ONCE_MAX;
        self.unread.clear();
        let mut files = Vec::new();
        match loaders(&self.loaders) {
            Ok(found) => self.found = found,
            // They are there still; it is we who cannot look.
            Err(error) if is_out_of_descriptors(&error) => {}
            Err(_) => self.found.clear(),
        }
        if self.found.is_empty() {
            troubles.push(format!(
                "there are no boot loaders in {}, so no firmware can start iPXE; install the package ipxe, or name their directory with --loaders",
                self.loaders.display()
            ));
        }
        if self.ports.boot_tls == 0 && design.roles.iter().any(|role| role.https) {
            troubles.push(
                "HTTPS boot is not served, so machines whose role asks for it are told to boot by HTTP; another program had its port when this one started: free it, or choose another with --port boot-tls=PORT, and start again"
                    .to_owned(),
            );
        }
        let wanted = self.found.iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (format!("loader/{name}"), path.clone())
        });
        if self.agent.is_none()
            && design.images.iter().any(|image| image.installs && !image.templates.is_empty())
        {
            troubles.push(
                "there is no agent for the systems that distributions' installers write, so none of them is ever ready; name it with --agent"
                    .to_owned(),
            );
        }
        let (systems, system_files) = self.systems(design, &mut troubles);
        let images = design.images.iter().flat_map(|image| {
            let paths = std::iter::once(&image.kernel).chain(&image.initrd);
            paths.map(|path| (format!("image/{}/{path}", image.name), self.design.join(path)))
        });
        // First, so that its digest is there at once: a template that was rendered without would install a system without it.
        let agent = self.agent.iter().map(|path| (SiteFile::AGENT.to_owned(), path.clone()));
        for (name, source) in agent.chain(wanted).chain(images).chain(system_files) {
            // Two images may have a file in common.
            let before = self.known.remove(&source).or_else(|| known.get(&source).cloned());
            match look(&source, before.as_ref(), &mut at_once) {
                Ok((version, sha256)) => {
                    match sha256 {
                        Some(sha256) => drop(known.insert(source.clone(), Ok((version, sha256)))),
                        None if self.unread.contains(&source) => {}
                        None => self.unread.push(source.clone()),
                    }
                    files.push(SiteFile {
                        name,
                        size: version.size,
                        modified: version.modified,
                        sha256,
                        source,
                    });
                }
                Err(error) => {
                    troubles.push(format!(
                        "{} cannot be read, so it cannot be booted: {error}",
                        source.display()
                    ));
                    if let Some(Err(_)) = before {
                        // Found by reading, so it takes reading to find it mended.
                        if !self.unread.contains(&source) {
                            self.unread.push(source.clone());
                        }
                        known.extend(before.map(|before| (source, before)));
                    }
                }
            }
        }
        // Of files that this plan does not name: another may again.
        known.extend(self.known.drain().take(KNOWN_MAX.saturating_sub(known.len())));
        self.known = known;
        let site = Site {
            controllers: self.reached.told(is_shared),
            own: Vec::new(),
            edges: self.edges.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            elsewhere: Vec::new(),
            is_shared,
            ports: self.ports,
            ca_sha256: self.ca_sha256,
            proxy: self.proxy.clone(),
            files,
            systems,
        };
        (site, troubles)
    }

    /// The digests of the operating systems' images, and their files.
    fn systems(
        &self,
        design: &Design,
        troubles: &mut Vec<String>,
    ) -> (BTreeMap<String, String>, Vec<(String, PathBuf)>) {
        let mut digests = BTreeMap::new();
        let mut files = Vec::new();
        for os in &design.systems {
            let directory = self.design.join(&os.image);
            match system(&directory, os.digest.as_deref()) {
                Ok((digest, names)) => {
                    let file = |name: String| (format!("os/{}/{name}", os.name), directory.join(name));
                    files.extend(names.into_iter().map(file));
                    digests.insert(os.name.clone(), digest);
                }
                Err(error) => {
                    troubles.push(format!("the os {} cannot be installed: {error}", os.name));
                }
            }
        }
        (digests, files)
    }

    /// The files whose content is not known yet.
    pub(crate) fn unread(&self) -> &[PathBuf] {
        &self.unread
    }

    /// Takes what was [`read`]; the next look shows it.
    pub(crate) fn learn(&mut self, path: PathBuf, known: Known) {
        self.known.insert(path, known);
    }
}

/// The digest of the image in a directory, and the names of its files.
fn system(directory: &Path, pinned: Option<&str>) -> Result<(String, Vec<String>), String> {
    let path = directory.join(manifest::FILE);
    let failed = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let mut text = Vec::new();
    let file = File::open(&path).map_err(|error| failed(&error))?;
    file.take(manifest::TEXT_MAX as u64).read_to_end(&mut text).map_err(|error| failed(&error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    let digest = format!("sha256:{}", hexadecimal(&Sha256::digest(&text)));
    if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
        return Err(format!("the design names {pinned}, in {} lies {digest}", directory.display()));
    }
    if manifest.kind != "os" {
        return Err(format!("{} holds an image of kind {}", directory.display(), manifest.kind));
    }
    let mut names: Vec<String> = manifest.files.into_iter().map(|file| file.name).collect();
    // A name that leads out of the directory is none of ours.
    if let Some(name) = names.iter().find(|name| name.contains('/') || name.starts_with('.')) {
        return Err(format!("{} names the file {name:?}", path.display()));
    }
    names.push(manifest::FILE.to_owned());
    Ok((digest, names))
}

/// A file as it is now, and its digest if that is known or cheap.
fn look(path: &Path, known: Option<&Known>, at_once: &mut u64) -> io::Result<(Version, Option<[u8; 32]>)> {
    match known {
        // Looking takes no descriptor, of which there may be none: what has not changed stays listed.
        Some(Ok((read, sha256))) if *read == version(&fs::metadata(path)?) => {
            return Ok((*read, Some(*sha256)));
        }
        Some(Err(error)) => return Err(io::Error::other(error.clone())),
        _ => {}
    }
    let mut file = File::open(path)?;
    let version = version_of(&file)?;
    let Some(left) = at_once.checked_sub(version.size) else { return Ok((version, None)) };
    *at_once = left;
    Ok((version, digest(&mut file, || false)?))
}

/// Reads a file, however large. `None` if it is to end before that.
pub(crate) fn read(path: &Path, is_ended: impl Fn() -> bool) -> Option<Known> {
    let read = || {
        let mut file = File::open(path)?;
        // Before the content: what is written meanwhile makes it another version.
        let version = version_of(&file)?;
        Ok(digest(&mut file, is_ended)?.map(|sha256| (version, sha256)))
    };
    read().map_err(|error: io::Error| error.to_string()).transpose()
}

/// `None` if it is to end before the end of the file.
fn digest(file: &mut File, is_ended: impl Fn() -> bool) -> io::Result<Option<[u8; 32]>> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    while !is_ended() {
        match file.read(&mut piece)? {
            0 => return Ok(Some(hasher.finalize().into())),
            length => hasher.update(&piece[..length]),
        }
    }
    Ok(None)
}

fn version_of(file: &File) -> io::Result<Version> {
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok(version(&metadata)),
        false => Err(io::Error::other("it is not a file")),
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

fn loaders(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> =
        fs::read_dir(directory)?.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    found.sort();
    found.truncate(LOADERS_MAX);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::design::Image;
    use model::finding::Source;

    #[test]
    fn a_large_file_is_listed_at_once_and_its_digest_when_it_was_read() {
        let directory = std::env::temp_dir().join(format!("zonewright-site-{}", std::process::id()));
        fs::create_dir_all(directory.join("loaders")).unwrap();
        let large = directory.join("initrd");
        fs::write(directory.join("vmlinuz"), "small").unwrap();
        File::create(&large).unwrap().set_len(AT_ONCE_MAX + 1).unwrap();
        let image = |name: &str| Image {
            name: name.to_owned(),
            kernel: "vmlinuz".to_owned(),
            initrd: vec!["initrd".to_owned()],
            args: String::new(),
            installs: false,
            templates: Vec::new(),
            source: Source::default(),
        };
        let design = Design { images: vec![image("one"), image("two")], ..Design::default() };
        let ports = Ports::default();
        let mut options = Options::new(directory.clone(), directory.join("state"));
        options.loaders = directory.join("loaders");
        let mut gatherer = Gatherer::new(&options, Reached::ByPlan(Vec::new()), ports, [0; 32]);
        let digests = |gatherer: &mut Gatherer| -> Vec<bool> {
            gatherer.gather(&design, false).0.files.iter().map(|file| file.sha256.is_some()).collect()
        };
        assert_eq!(digests(&mut gatherer), [true, false, true, false]);
        assert_eq!(gatherer.unread(), std::slice::from_ref(&large));
        assert_eq!(read(&large, || true), None, "it was to end");
        let known = read(&large, || false).unwrap();
        gatherer.learn(large.clone(), known);
        assert_eq!(digests(&mut gatherer), [true; 4]);
        assert!(gatherer.unread().is_empty());
        // Another content is another version.
        File::create(&large).unwrap().set_len(AT_ONCE_MAX + 2).unwrap();
        assert_eq!(digests(&mut gatherer), [true, false, true, false]);
        // One that cannot be read is not offered, and told of until it can.
        gatherer.learn(large.clone(), Err("the disk is broken".to_owned()));
        let (site, troubles) = gatherer.gather(&design, false);
        assert_eq!(site.files.len(), 2);
        assert!(troubles.iter().any(|trouble| trouble.ends_with("the disk is broken")), "{troubles:?}");
        assert_eq!(gatherer.unread(), [large]);
        fs::remove_dir_all(directory).unwrap();
    }
}
