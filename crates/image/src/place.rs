//! Where an image comes to lie: made beside its place, and put there in one step, or not at all.

use crate::error::{Error, at};
use crate::manifest;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A directory beside the place of an image. It goes with this value, unless it was put there.
pub(crate) struct Draft {
    place: PathBuf,
    /// The files of the image.
    pub(crate) directory: PathBuf,
    /// The directory itself, locked: one build at a time.
    _lock: File,
}

impl Draft {
    /// Begins an image for a place. A directory there that is no image is not ours to replace.
    pub(crate) fn begin(place: &Path) -> Result<Self, Error> {
        if place.symlink_metadata().is_ok() && manifest::read(place)?.is_none() {
            let is_empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
            if !is_empty {
                return Err(Error::Lacks(format!(
                    "{} is there and is no image: remove it, or name another place with --output",
                    place.display()
                )));
            }
        }
        // A link is followed: what it leads to is exchanged, and not the link.
        let place =
            place.canonicalize().or_else(|_| std::path::absolute(place)).map_err(at("find", place))?;
        let directory = beside(&place, ".making")?;
        fs::create_dir_all(&directory).map_err(at("make", &directory))?;
        let lock = File::open(&directory).map_err(at("read", &directory))?;
        if lock.try_lock().is_err() {
            return Err(Error::Lacks(format!("another build for {} is at work", place.display())));
        }
        // A build that was killed has left its files.
        for entry in fs::read_dir(&directory).map_err(at("read", &directory))? {
            let path = entry.map_err(at("read", &directory))?.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(at("remove", &path))?;
        }
        Ok(Self { place, directory, _lock: lock })
    }

    /// Puts the image at its place. One that is there is taken away in the same step; who reads it has it to the end.
    pub(crate) fn put(self) -> Result<(), Error> {
        sync(&self.directory)?;
        let failed = at("put an image at", &self.place);
        if !self.place.exists() {
            return fs::rename(&self.directory, &self.place).map_err(failed);
        }
        let exchanged =
            renameat2(AT_FDCWD, &self.directory, AT_FDCWD, &self.place, RenameFlags::RENAME_EXCHANGE);
        match exchanged {
            // What is in `directory` now is the old image, which goes with this value.
            Ok(()) => Ok(()),
            // A file system that cannot exchange: for a moment there is none.
            Err(nix::Error::EINVAL | nix::Error::ENOSYS) => {
                let old = beside(&self.place, ".old")?;
                fs::rename(&self.place, &old)
                    .and_then(|()| fs::rename(&self.directory, &self.place))
                    .and_then(|()| fs::remove_dir_all(&old))
                    .map_err(failed)
            }
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nothing is there any more if it was put at a free place.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Writes a file beside its place and renames it: it is the old one or the new one, whole.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = beside(path, ".new")?;
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, path)).map_err(at("write", path))
}

/// A hidden neighbour: `images/installer` has `images/.installer.making`.
fn beside(path: &Path, suffix: &str) -> Result<PathBuf, Error> {
    let name = path.file_name().ok_or_else(|| {
        Error::Lacks(format!("{} is no place for an image: name a directory that may be new", path.display()))
    })?;
    Ok(path.with_file_name(format!(".{}{suffix}", name.to_string_lossy())))
}

fn sync(directory: &Path) -> Result<(), Error> {
    let all = || -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(directory)?.sync_all()
    };
    all().map_err(at("write", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_image_is_there_whole_or_not_at_all() {
        let directory = std::env::temp_dir().join(format!("zw-place-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let place = directory.join("installer");
        let manifest = |kernel: &str| {
            let manifest = manifest::Manifest {
                kind: "installer".into(),
                kernel: kernel.into(),
                modules: 0,
                absent: vec![],
                files: vec![],
                packages: vec![],
            };
            manifest::text(&manifest).unwrap()
        };
        let kernel = || manifest::read(&place).unwrap().map(|image| image.manifest.kernel);

        drop(Draft::begin(&place).unwrap());
        assert_eq!(there(&directory), [""; 0]);

        // What a build that was killed has left does not come into the next image, and two do not write at once.
        fs::create_dir(directory.join(".installer.making")).unwrap();
        fs::write(directory.join(".installer.making/vmlinuz"), "half").unwrap();
        fs::create_dir(directory.join(".installer.making/grub")).unwrap();
        let draft = Draft::begin(&place).unwrap();
        assert_eq!(there(&draft.directory), [""; 0]);
        let refused = Draft::begin(&place).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("is at work"), "{refused}");
        drop(draft);

        for version in ["1", "2"] {
            let draft = Draft::begin(&place).unwrap();
            fs::write(draft.directory.join(manifest::FILE), manifest(version)).unwrap();
            draft.put().unwrap();
            assert_eq!(there(&directory), ["installer"]);
            assert_eq!(kernel().as_deref(), Some(version));
        }

        let other = directory.join("photographs");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("one"), "").unwrap();
        let refused = Draft::begin(&other).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("is there and is no image"), "{refused}");
        fs::remove_dir_all(&directory).unwrap();
    }
}
