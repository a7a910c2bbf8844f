//! What is laid over an operating system's packages: files of ours, and a tree of whoever builds the image.
//!
//! A tree is taken as it is: files and links with their permissions, all owned by root. A directory that is already in the image
//! keeps its permissions.

use crate::error::{Error, at};
use crate::root;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is laid over, by its path in the image.
#[derive(Debug, Default)]
pub(crate) struct Overlay(BTreeMap<PathBuf, Entry>);

#[derive(Debug)]
enum Entry {
    Directory(u32),
    /// A file of ours; one that begins with `#!` is a program.
    Text(&'static str),
    /// Permissions, and where it lies.
    File(u32, PathBuf),
    Link(PathBuf),
}

impl Overlay {
    /// What every image has: sources of packages, SSH host keys at the first start, an initial RAM disk that finds the root and ends a
    /// trial that nothing else ends.
    pub(crate) fn ours(is_virtual: bool) -> Self {
        let mut texts = vec![
            ("etc/apt/sources.list.d/debian.sources", include_str!("os/debian.sources")),
            ("etc/initramfs-tools/conf.d/zonewright", include_str!("os/initramfs")),
            ("etc/initramfs-tools/scripts/init-bottom/zonewright", include_str!("os/trial-init")),
            ("etc/initramfs-tools/scripts/init-top/zonewright", include_str!("os/trial-limit")),
            ("etc/mdadm/mdadm.conf", include_str!("os/mdadm.conf")),
            ("etc/systemd/system/ssh-host-keys.service", include_str!("os/ssh-host-keys.service")),
        ];
        if is_virtual {
            texts.push((
                "etc/initramfs-tools/conf.d/zonewright-virtual",
                include_str!("os/initramfs-virtual"),
            ));
            texts.push(("etc/initramfs-tools/modules", include_str!("os/modules-virtual")));
        }
        Self(texts.into_iter().map(|(path, text)| (PathBuf::from(path), Entry::Text(text))).collect())
    }

    /// Adds a tree; its files take the place of ours.
    pub(crate) fn add(&mut self, directory: &Path) -> Result<(), Error> {
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let path = directory.join(&below);
            for entry in fs::read_dir(&path).map_err(at("read", &path))? {
                let entry = entry.map_err(at("read", &path))?;
                let below = below.join(entry.file_name());
                let path = entry.path();
                let metadata = path.symlink_metadata().map_err(at("read", &path))?;
                let permissions = metadata.permissions().mode() & 0o7777;
                let found = if metadata.is_dir() {
                    waiting.push(below.clone());
                    Entry::Directory(permissions)
                } else if metadata.is_file() {
                    Entry::File(permissions, path.clone())
                } else if metadata.is_symlink() {
                    Entry::Link(fs::read_link(&path).map_err(at("read", &path))?)
                } else {
                    return Err(Error::Lacks(format!(
                        "{} is neither file nor directory nor link: an overlay has no others",
                        path.display()
                    )));
                };
                if !metadata.is_dir() && !root::is_kept(below.as_os_str().as_bytes(), false) {
                    return Err(Error::Lacks(format!(
                        "{} would not be in the image: /{} is for each machine of its own",
                        path.display(),
                        below.display()
                    )));
                }
                self.0.insert(below, found);
            }
        }
        Ok(())
    }

    /// Writes it as an archive, all of one time.
    pub(crate) fn write(&self, archive: &Path, seconds: u64) -> Result<(), Error> {
        let file = File::create(archive).map_err(at("write", archive))?;
        let mut builder = tar::Builder::new(io::BufWriter::new(file));
        for (path, entry) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(seconds);
            let written = match entry {
                Entry::Directory(permissions) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(*permissions);
                    header.set_size(0);
                    builder.append_data(&mut header, path, io::empty())
                }
                Entry::Text(text) => {
                    header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
                    header.set_size(text.len() as u64);
                    builder.append_data(&mut header, path, text.as_bytes())
                }
                Entry::File(permissions, there) => {
                    let file = File::open(there).map_err(at("read", there))?;
                    let size = file.metadata().map_err(at("read", there))?.len();
                    header.set_mode(*permissions);
                    header.set_size(size);
                    builder.append_data(&mut header, path, io::Read::take(file, size))
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    builder.append_link(&mut header, path, target)
                }
            };
            written.map_err(at("write", archive))?;
        }
        builder.into_inner().and_then(|mut file| io::Write::flush(&mut file)).map_err(at("write", archive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_taken_with_its_permissions_and_its_files_take_the_place_of_ours() {
        let directory = std::env::temp_dir().join(format!("zw-overlay-{}", std::process::id()));
        let tree = directory.join("tree");
        fs::create_dir_all(tree.join("etc/mdadm")).unwrap();
        fs::create_dir_all(tree.join("srv/web")).unwrap();
        let permit =
            |path: &str, mode| fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode));
        fs::write(tree.join("etc/mdadm/mdadm.conf"), "MAILADDR me").unwrap();
        permit("etc/mdadm/mdadm.conf", 0o640).unwrap();
        permit("srv/web", 0o2750).unwrap();
        symlink("/usr/share/zoneinfo/UTC", tree.join("etc/localtime")).unwrap();

        let mut overlay = Overlay::ours(false);
        overlay.add(&tree).unwrap();
        let archive = directory.join("archive");
        overlay.write(&archive, 7).unwrap();
        let entries: Vec<String> = tar::Archive::new(File::open(&archive).unwrap())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!(
                    (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                    (0, 0, 7)
                );
                format!("{:o} {} {}", header.mode().unwrap(), entry.path().unwrap().display(), entry.size())
            })
            .collect();
        for wanted in ["640 etc/mdadm/mdadm.conf 11", "2750 srv/web 0", "777 etc/localtime 0"] {
            assert!(entries.iter().any(|entry| entry == wanted), "{wanted} is not in {entries:?}");
        }
        for wanted in [
            "644 etc/systemd/system/ssh-host-keys.service",
            "755 etc/initramfs-tools/scripts/init-top/zonewright",
        ] {
            assert!(entries.iter().any(|entry| entry.starts_with(wanted)), "{wanted} is not in {entries:?}");
        }

        fs::write(tree.join("etc/hostname"), "one").unwrap();
        let refused = Overlay::default().add(&tree).map_err(|error| error.to_string());
        assert!(
            refused.as_ref().is_err_and(|why| why.contains("for each machine of its own")),
            "{refused:?}"
        );
        fs::remove_dir_all(&directory).unwrap();
    }
}
