//! The files of all packages together, as if they were installed in one merged `/usr`.

use crate::archive::{Archive, Found};
use crate::error::Error;
use crate::lock::Package;
use crate::packages::{Cache, Step};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of all packages.
pub(crate) struct Source {
    /// Name of the package, and its files.
    pub(crate) archives: Vec<(String, Archive)>,
    /// Path, and which archive has it.
    pub(crate) paths: BTreeMap<String, usize>,
}

impl Source {
    /// Opens the packages of a cache, each hashed; `scratch` is a directory where nothing remains.
    pub(crate) fn open(
        cache: &Cache,
        packages: &[Package],
        scratch: &Path,
        step: &mut dyn FnMut(Step),
    ) -> Result<Self, Error> {
        let mut source = Self { archives: Vec::new(), paths: BTreeMap::new() };
        for (number, package) in packages.iter().enumerate() {
            step(Step::Reading(number, packages.len()));
            let path = cache.take(package)?.ok_or_else(|| {
                Error::Lacks(format!("{} was removed from the cache while it was read", package.name))
            })?;
            let archive = Archive::open(&path, scratch)?;
            for path in archive.paths() {
                source.paths.entry(path.to_owned()).or_insert(number);
            }
            source.archives.push((package.name.clone(), archive));
        }
        step(Step::Reading(packages.len(), packages.len()));
        Ok(source)
    }

    /// What stands at a path of a merged `/usr`.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Found>, Error> {
        match self.paths.get(path).and_then(|number| self.archives.get(*number)) {
            Some((_, archive)) => archive.get(path),
            None => Ok(None),
        }
    }

    /// The content of a file that must be there.
    pub(crate) fn file(&self, path: &str) -> Result<Vec<u8>, Error> {
        match self.get(path)? {
            Some(Found::File(_, content)) => Ok(content),
            Some(Found::Link(_)) | None => {
                Err(Error::Lacks(format!("none of the packages has the file /{path}")))
            }
        }
    }

    /// The paths below a directory, which ends with a slash.
    pub(crate) fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        self.paths
            .range(directory.to_owned()..)
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(directory))
    }

    /// The version of the kernel: there is one.
    pub(crate) fn kernel(&self) -> Result<String, Error> {
        let mut versions = self.below("boot/vmlinuz-").filter_map(|path| path.strip_prefix("boot/vmlinuz-"));
        match (versions.next(), versions.next()) {
            (Some(version), None) => Ok(version.to_owned()),
            (None, _) => Err(Error::Lacks("none of the packages has a kernel".to_owned())),
            (Some(one), Some(other)) => {
                Err(Error::Lacks(format!("the packages have two kernels, {one} and {other}")))
            }
        }
    }
}
