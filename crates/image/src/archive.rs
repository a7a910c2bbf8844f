//! The files of a package, read out of it without unpacking it.

use crate::apt;
use crate::error::{Error, at};
use crate::tree::merged;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A package's content, decompressed, and where each file stands in it.
pub(crate) struct Archive {
    content: File,
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    File {
        permissions: u32,
        at: u64,
        size: u64,
    },
    Link(String),
    /// Another name of a file of this package.
    Same(String),
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file: permissions and content.
    File(u32, Vec<u8>),
    /// A link, and where it leads.
    Link(String),
}

impl Archive {
    /// Lists a package; `scratch` is a directory for its content, where nothing remains.
    pub(crate) fn open(package: &Path, scratch: &Path) -> Result<Self, Error> {
        let path = scratch.join("content");
        let content = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(at("write", &path))?;
        fs::remove_file(&path).map_err(at("remove", &path))?;
        let copy = content.try_clone().map_err(at("write", &path))?;
        let mut command = apt::plain("dpkg-deb");
        command.arg("--fsys-tarfile").arg(package).stdout(copy);
        // Only its errors come back; `output` leaves a standard output alone that was set.
        apt::ended("dpkg-deb --fsys-tarfile", command.output())?;
        let entries = listed(&content).map_err(at("read", package))?;
        Ok(Self { content, entries })
    }

    /// The paths of files and links, in a merged `/usr`.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What stands at a path of [`Self::paths`].
    pub(crate) fn get(&self, path: &str) -> Result<Option<Found>, Error> {
        let entry = match self.entries.get(path) {
            Some(Entry::Same(other)) => self.entries.get(other),
            entry => entry,
        };
        match entry {
            None | Some(Entry::Same(_)) => Ok(None),
            Some(Entry::Link(target)) => Ok(Some(Found::Link(target.clone()))),
            Some(Entry::File { permissions, at: position, size }) => {
                let mut content = vec![0; usize::try_from(*size).unwrap_or(usize::MAX)];
                self.content.read_exact_at(&mut content, *position).map_err(at("read", Path::new(path)))?;
                Ok(Some(Found::File(*permissions, content)))
            }
        }
    }
}

fn listed(content: &File) -> std::io::Result<BTreeMap<String, Entry>> {
    use std::io::{Seek, SeekFrom};
    let mut content = content;
    content.seek(SeekFrom::Start(0))?;
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(content).entries_with_seek()? {
        let entry = entry?;
        let path = merged(&entry.path()?.to_string_lossy());
        let target = || -> std::io::Result<String> {
            Ok(entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned())
        };
        let what = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Entry::File {
                permissions: entry.header().mode()? & 0o777,
                at: entry.raw_file_position(),
                size: entry.size(),
            },
            tar::EntryType::Symlink => Entry::Link(target()?),
            tar::EntryType::Link => Entry::Same(merged(&target()?)),
            _ => continue,
        };
        entries.insert(path, what);
    }
    Ok(entries)
}
