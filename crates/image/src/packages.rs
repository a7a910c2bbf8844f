//! Packages: chosen by `apt-get` or by a lock, kept under their digest, and hashed each time they are taken.

use crate::apt::{self, Apt};
use crate::error::{Error, at};
use crate::lock::Package;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is being done, for whoever waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another build uses the cache.
    Waiting,
    /// The sources are asked what they have.
    Asking,
    /// Packages are fetched: how many, their octets, and how far of a hundred.
    Fetching(usize, u64, u8),
    /// Packages are checked and listed: how many of how many.
    Reading(usize, usize),
    /// Packages are unpacked and set up: how many and their octets, how far of a hundred, and what is done with which.
    Installing(usize, u64, u8, &'static str, String),
    /// The initial RAM disk is made.
    Generating,
    /// A file of the image is compressed: its name, octets done and in all.
    Packing(&'static str, u64, u64),
    /// A file of the image is compressed while it comes: its name, and octets done.
    Streaming(&'static str, u64),
}

/// A directory of packages, each a file named by its SHA-256.
pub(crate) struct Cache {
    directory: PathBuf,
    /// Held while this is there: two builds do not clear away each other's downloads.
    _lock: File,
}

impl Cache {
    /// Opens a cache, and makes it if it is not there. Waits while another build uses it.
    pub(crate) fn open(directory: &Path, step: &mut dyn FnMut(Step)) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(at("make", directory))?;
        let path = directory.join("lock");
        let lock = File::create(&path).map_err(at("write", &path))?;
        if lock.try_lock().is_err() {
            step(Step::Waiting);
            lock.lock().map_err(at("lock", &path))?;
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// The file of a package, hashed just now. One that is damaged is removed and not given.
    pub(crate) fn take(&self, package: &Package) -> Result<Option<PathBuf>, Error> {
        let path = self.directory.join(format!("{}.deb", package.sha256));
        match digest(&path) {
            Ok((size, sha256)) if sha256 == package.sha256 && size == package.size => Ok(Some(path)),
            Ok(_) => {
                fs::remove_file(&path).map_err(at("remove the damaged", &path))?;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at("read", &path)(error)),
        }
    }

    /// Those of the packages that are not here.
    pub(crate) fn missing<'p>(
        &self,
        packages: impl IntoIterator<Item = &'p Package>,
    ) -> Result<Vec<&'p Package>, Error> {
        let mut missing = Vec::new();
        for package in packages {
            if self.take(package)?.is_none() {
                missing.push(package);
            }
        }
        Ok(missing)
    }

    /// Fetches packages that are not here.
    pub(crate) fn fetch(
        &self,
        apt: &Apt,
        missing: &[&Package],
        step: &mut dyn FnMut(Step),
    ) -> Result<(), Error> {
        if missing.is_empty() {
            return Ok(());
        }
        let octets = missing.iter().map(|package| package.size).sum();
        step(Step::Fetching(missing.len(), octets, 0));
        let incoming = self.directory.join("incoming");
        // What a build that was ended left there is not trusted, and is not needed.
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(at("remove", &incoming))?;
        }
        fs::create_dir(&incoming).map_err(at("make", &incoming))?;
        let mut told = |percent| step(Step::Fetching(missing.len(), octets, percent));
        apt.download(missing, &incoming, &mut told)?;
        for entry in fs::read_dir(&incoming).map_err(at("read", &incoming))? {
            let path = entry.map_err(at("read", &incoming))?.path();
            let (_, sha256) = digest(&path).map_err(at("read", &path))?;
            if missing.iter().any(|package| package.sha256 == sha256) {
                let kept = self.directory.join(format!("{sha256}.deb"));
                fs::rename(&path, &kept).map_err(at("write", &kept))?;
            }
        }
        fs::remove_dir_all(&incoming).map_err(at("remove", &incoming))?;
        for package in missing {
            if self.take(package)?.is_none() {
                return Err(Error::Lacks(format!(
                    "{} {} came from the mirror, and is not the file with the SHA-256 {}",
                    package.name, package.version, package.sha256
                )));
            }
        }
        Ok(())
    }

    /// `apt-get` with a state beside the packages.
    pub(crate) fn apt(&self, sources: Option<&Path>) -> Result<Apt, Error> {
        Apt::new(&self.directory.join("apt"), sources)
    }
}

/// What is taken beside the packages that were named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The libraries that they need.
    Libraries,
    /// All that they depend on, and what every Debian has.
    System,
}

/// Chooses packages anew, and sees that they are in the cache.
pub(crate) fn choose(
    cache: &Cache,
    sources: Option<&Path>,
    names: &[String],
    wanted: Wanted,
    step: &mut dyn FnMut(Step),
) -> Result<Vec<Package>, Error> {
    step(Step::Asking);
    let mut apt = cache.apt(sources)?;
    apt.update()?;
    let offered: BTreeMap<String, Package> = apt
        .resolve(names, wanted == Wanted::System)?
        .into_iter()
        .map(|package| (package.name.clone(), package))
        .collect();
    if wanted == Wanted::System {
        cache.fetch(&apt, &cache.missing(offered.values())?, step)?;
        return Ok(offered.into_values().collect());
    }
    let mut chosen: BTreeSet<String> = BTreeSet::new();
    let mut next: BTreeSet<String> = names.iter().cloned().collect();
    while !next.is_empty() {
        let packages: Vec<&Package> = next.iter().filter_map(|name| offered.get(name)).collect();
        cache.fetch(&apt, &cache.missing(packages.iter().copied())?, step)?;
        let mut after = BTreeSet::new();
        for package in packages {
            let needed = depends(cache, package)?;
            after.extend(
                needed.into_iter().filter(|name| apt::is_followed(name) && offered.contains_key(name)),
            );
        }
        chosen.append(&mut next);
        next = after.difference(&chosen).cloned().collect();
    }
    Ok(chosen.iter().filter_map(|name| offered.get(name)).cloned().collect())
}

/// Sees that the packages of a lock are in the cache.
pub(crate) fn gather(
    cache: &Cache,
    sources: Option<&Path>,
    packages: &[Package],
    step: &mut dyn FnMut(Step),
) -> Result<(), Error> {
    let missing = cache.missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    step(Step::Asking);
    let mut apt = cache.apt(sources)?;
    apt.update()?;
    cache.fetch(&apt, &missing, step).map_err(|error| match error {
        Error::Program { said, .. } => {
            // It gives none if one is not to be had, and says which.
            let is_named = |it: &&&Package| said.contains(&format!("'{}'", it.name));
            let named: Vec<&&Package> = missing.iter().filter(is_named).collect();
            let gone = if named.is_empty() { missing.iter().collect() } else { named };
            let packages = gone.iter().map(|package| format!("{} {}", package.name, package.version));
            Error::Gone { packages: packages.collect(), said }
        }
        error => error,
    })
}

fn depends(cache: &Cache, package: &Package) -> Result<Vec<String>, Error> {
    let path = cache.take(package)?.ok_or_else(|| {
        Error::Lacks(format!("{} was removed from the cache while it was read", package.name))
    })?;
    let mut command = apt::plain("dpkg-deb");
    command.arg("--show").arg("--showformat=${Pre-Depends},${Depends}").arg("--").arg(&path);
    let output = apt::ended("dpkg-deb --show", command.output())?;
    Ok(apt::depends(&String::from_utf8_lossy(&output.stdout)))
}

/// Size and SHA-256 of a file.
pub(crate) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, hexadecimal(&hash.finalize())));
        }
        size += read as u64;
        hash.update(&buffer[..read]);
    }
}

/// Octets as text.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_package_is_not_given() {
        let directory = std::env::temp_dir().join(format!("zw-cache-{}", std::process::id()));
        let cache = Cache::open(&directory, &mut |_| {}).unwrap();
        let content = b"a package";
        let package = Package {
            name: "a".into(),
            version: "1".into(),
            architecture: "all".into(),
            size: content.len() as u64,
            sha256: hexadecimal(&Sha256::digest(content)),
        };
        assert_eq!(cache.take(&package).unwrap(), None);
        let path = directory.join(format!("{}.deb", package.sha256));
        fs::write(&path, content).unwrap();
        assert_eq!(cache.take(&package).unwrap(), Some(path.clone()));
        // The same size, and another content: what `apt-get` itself would take.
        fs::write(&path, b"A package").unwrap();
        assert_eq!(cache.take(&package).unwrap(), None);
        assert!(!path.exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
