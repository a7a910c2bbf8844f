//! A directory that is to be a machine's root: an archive unpacked into it, and files put into it.
//!
//! The kernel resolves every name as if the directory were `/` (`openat2`), so that no `..` and no link, whoever made it, leads out. An
//! archive goes further: no name in it leads through a link, and none is written twice.

use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat2, symlinkat, unlinkat, utimensat,
};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use tar::EntryType;

/// The most members of an archive.
const MEMBERS_MAX: usize = 8_000_000;
/// The longest name.
const NAME_MAX: usize = 4096;
/// Prefix of extended attributes in an archive (pax, as star, GNU tar and bsdtar write them).
const ATTRIBUTE: &str = "SCHILY.xattr.";

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::CREATE.union(OFlags::EXCL).union(OFlags::WRONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory.
pub(super) struct Root(OwnedFd);

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?.into()))
    }

    /// Opens a file to be read.
    pub(super) fn read(&self, path: &str) -> io::Result<File> {
        Ok(openat2(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)?
            .into())
    }

    /// Writes a file of root's, with the directories above it. What had its name is gone, also a link.
    pub(super) fn put(&self, path: &str, mode: u32, content: &mut dyn Read) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        remove(&directory, name)?;
        let file = openat2(&directory, name, NEW_FILE, Mode::RUSR | Mode::WUSR, ResolveFlags::BENEATH)?;
        let mut file = File::from(file);
        io::copy(content, &mut file)?;
        fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        file.sync_all()
    }

    /// Makes a symbolic link, with the directories above it.
    pub(super) fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        remove(&directory, name)?;
        Ok(symlinkat(target, &directory, name)?)
    }

    /// Makes a directory and those above it; what is there stays.
    pub(super) fn directory(&self, path: &str, mode: u32) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        match mkdirat(&directory, name, Mode::from_raw_mode(mode)) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory above, made if it is not there, and the last part of the name.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is no name of a file"));
        if path.len() > NAME_MAX || !path.starts_with('/') {
            return Err(bad());
        }
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..") || part.contains('\0')) {
            return Err(bad());
        }
        let name = parts.pop().ok_or_else(bad)?;
        let mut directory = self.0.try_clone()?;
        let mut above = String::new();
        for part in parts {
            // The whole of it from the root on: a link on the way may lead anywhere inside.
            above = format!("{above}/{part}");
            let opened = || openat2(&self.0, &above, DIRECTORY, Mode::empty(), ResolveFlags::IN_ROOT);
            directory = match opened() {
                Err(rustix::io::Errno::NOENT) => {
                    mkdirat(&directory, part, Mode::from_raw_mode(0o755))?;
                    opened()?
                }
                opened => opened?,
            };
        }
        Ok((directory, name))
    }

    /// Unpacks an archive: owners, modes, times, extended attributes, hard links, devices. The directory is empty but for
    /// what a new file system brings.
    pub(super) fn unpack(&self, archive: &mut dyn Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        // The times of directories change with what is put into them.
        let mut directories = Vec::new();
        for (count, member) in archive.entries()?.enumerate() {
            if count >= MEMBERS_MAX {
                return Err(io::Error::other("the archive has too many members"));
            }
            let mut member = member?;
            let name = member.path_bytes().into_owned();
            self.unpack_one(&mut member, &mut directories).map_err(|error| {
                let name = String::from_utf8_lossy(&name).into_owned();
                io::Error::new(error.kind(), format!("failed to unpack {name:?}: {error}"))
            })?;
        }
        for (path, time) in directories.into_iter().rev() {
            futimens(self.inside(&path, DIRECTORY)?, &time)?;
        }
        Ok(())
    }

    fn unpack_one<R: Read>(
        &self,
        member: &mut tar::Entry<'_, R>,
        directories: &mut Vec<(Vec<u8>, Timestamps)>,
    ) -> io::Result<()> {
        let kind = member.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = inner(&member.path_bytes())?;
        let owner = (Uid::from_raw(id(member.header().uid()?)?), Gid::from_raw(id(member.header().gid()?)?));
        let mode = Mode::from_raw_mode(member.header().mode()? & 0o7777);
        let time = timestamps(member.header().mtime()?)?;
        let attributes = attributes(member)?;
        let (above, name) = match path.iter().rposition(|octet| *octet == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], &path[..]),
        };
        let directory = || self.inside(above, DIRECTORY);
        let finish = |file: OwnedFd, time: Option<&Timestamps>| -> io::Result<()> {
            // In this order: another owner takes capabilities and the bits of set-user-id away.
            fchown(&file, Some(owner.0), Some(owner.1))?;
            fchmod(&file, mode)?;
            for (name, value) in &attributes {
                fsetxattr(&file, name.as_str(), value, XattrFlags::empty())?;
            }
            if let Some(time) = time {
                futimens(&file, time)?;
            }
            Ok(())
        };
        match kind {
            EntryType::Directory => {
                if !name.is_empty() {
                    match mkdirat(directory()?, name, Mode::RWXU) {
                        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                finish(self.inside(&path, DIRECTORY)?, None)?;
                directories.push((path, time));
                return Ok(());
            }
            _ if name.is_empty() => return Err(io::Error::other("it has no name")),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let file =
                    openat2(directory()?, name, NEW_FILE, Mode::RUSR | Mode::WUSR, ResolveFlags::BENEATH)?;
                let mut file = File::from(file);
                io::copy(member, &mut file)?;
                return finish(file.into(), Some(&time));
            }
            EntryType::Link => {
                let target = inner(&member.link_name_bytes().ok_or(io::ErrorKind::InvalidData)?)?;
                let (above, target) = match target.iter().rposition(|octet| *octet == b'/') {
                    Some(at) => (&target[..at], &target[at + 1..]),
                    None => (&b""[..], &target[..]),
                };
                linkat(self.inside(above, DIRECTORY)?, target, directory()?, name, AtFlags::empty())?;
                return Ok(());
            }
            EntryType::Symlink => {
                let target = member.link_name_bytes().ok_or(io::ErrorKind::InvalidData)?.into_owned();
                symlinkat(target, directory()?, name)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let (kind, device) = match kind {
                    EntryType::Fifo => (FileType::Fifo, 0),
                    kind => {
                        let number = |part: Option<u32>| part.ok_or(io::ErrorKind::InvalidData);
                        let (major, minor) = (
                            number(member.header().device_major()?)?,
                            number(member.header().device_minor()?)?,
                        );
                        let file_type = if kind == EntryType::Char {
                            FileType::CharacterDevice
                        } else {
                            FileType::BlockDevice
                        };
                        (file_type, rustix::fs::makedev(major, minor))
                    }
                };
                mknodat(directory()?, name, kind, mode, device as Dev)?;
            }
            kind => {
                return Err(io::Error::other(format!(
                    "it is of a kind that is not known: {:?}",
                    kind.as_byte() as char
                )));
            }
        }
        // What has no content cannot be opened without consequences.
        let directory = directory()?;
        chownat(&directory, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            // The process's mask took bits away; its name was made above, and is no link.
            rustix::fs::chmodat(&directory, name, mode, AtFlags::empty())?;
        }
        utimensat(&directory, name, &time, AtFlags::SYMLINK_NOFOLLOW)?;
        if attributes.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other("only files and directories have attributes"))
        }
    }

    /// Opens what lies under a name in which nothing is a link.
    fn inside(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        Ok(openat2(&self.0, path, flags, Mode::empty(), resolve)?)
    }

    /// Has everything on the disk, or says that it is not.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }
}

fn remove(directory: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A member's name without `./` before it and `/` behind it; empty is the root itself.
fn inner(name: &[u8]) -> io::Result<Vec<u8>> {
    let bad = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if name.len() > NAME_MAX || name.contains(&0) {
        return bad("its name is too long or has a zero in it");
    }
    if name.starts_with(b"/") {
        return bad("its name begins at the root");
    }
    let parts = name.split(|octet| *octet == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let parts: Vec<&[u8]> = parts.collect();
    if parts.contains(&&b".."[..]) {
        return bad("its name leads upwards");
    }
    Ok(parts.join(&b'/'))
}

fn id(number: u64) -> io::Result<u32> {
    // The highest means "leave it".
    u32::try_from(number)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| io::Error::other("it is owned by nobody that can be"))
}

fn timestamps(seconds: u64) -> io::Result<Timestamps> {
    let tv_sec = i64::try_from(seconds).map_err(|_| io::Error::other("its time is none"))?;
    let time = Timespec { tv_sec, tv_nsec: 0 };
    Ok(Timestamps { last_access: time, last_modification: time })
}

fn attributes<R: Read>(member: &mut tar::Entry<'_, R>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for extension in member.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix(ATTRIBUTE)) {
            found.push((name.to_owned(), extension.value_bytes().to_vec()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;

    /// A directory with a root in it, and something beside that must stay as it is.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("zw-agent-{}-root-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("root")).expect("made");
            fs::write(path.join("outside"), "mine").expect("written");
            Self(path)
        }

        fn root(&self) -> Root {
            Root::open(&self.0.join("root")).expect("opened")
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join("root").join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            assert_eq!(fs::read(self.0.join("outside")).expect("there"), b"mine");
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[derive(Clone, Copy)]
    enum Member {
        Directory(&'static str),
        File(&'static str),
        Link(&'static str, &'static str),
        HardLink(&'static str, &'static str),
    }
    use Member::{Directory, File as Regular, HardLink, Link};

    fn archive(members: &[Member]) -> Vec<u8> {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut builder = tar::Builder::new(Vec::new());
        for member in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o751);
            header.set_mtime(1000);
            header.set_uid(uid.into());
            header.set_gid(gid.into());
            let (name, kind, target) = match *member {
                Directory(name) => (name, EntryType::Directory, None),
                Regular(name) => (name, EntryType::Regular, None),
                Link(name, target) => (name, EntryType::Symlink, Some(target)),
                HardLink(name, target) => (name, EntryType::Link, Some(target)),
            };
            header.set_entry_type(kind);
            // Names that the builder would refuse to write.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            if let Some(target) = target {
                header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
            }
            let content: &[u8] = if kind == EntryType::Regular { b"content" } else { b"" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).expect("written");
        }
        builder.into_inner().expect("whole")
    }

    fn check(members: &[Member], expected: Expect) {
        // Each in a directory of its own: tests run beside each other.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let scratch = Scratch::new(&COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        let outcome = scratch.root().unpack(&mut &archive(members)[..]);
        expected.assert_eq(&outcome.map_or_else(|error| error.to_string(), |()| "good".into()));
    }

    #[test]
    fn no_name_in_an_archive_leads_out_of_the_root() {
        check(
            &[Regular("../outside")],
            expect![[r#"failed to unpack "../outside": its name leads upwards"#]],
        );
        check(
            &[Regular("a/../../outside")],
            expect![[r#"failed to unpack "a/../../outside": its name leads upwards"#]],
        );
        check(&[Regular("/tmp/x")], expect![[r#"failed to unpack "/tmp/x": its name begins at the root"#]]);
        check(
            &[Link("up", ".."), Regular("up/outside")],
            expect![[r#"failed to unpack "up/outside": Too many levels of symbolic links (os error 40)"#]],
        );
        check(
            &[Link("x", "../outside"), Regular("x")],
            expect![[r#"failed to unpack "x": File exists (os error 17)"#]],
        );
        check(
            &[Link("up", ".."), Directory("up")],
            expect![[r#"failed to unpack "up": Too many levels of symbolic links (os error 40)"#]],
        );
        check(&[HardLink("x", "../outside")], expect![[r#"failed to unpack "x": its name leads upwards"#]]);
        check(
            &[Link("up", ".."), HardLink("x", "up/outside")],
            expect![[r#"failed to unpack "x": Too many levels of symbolic links (os error 40)"#]],
        );
        // Inside, a link may say what it wants.
        check(
            &[Directory("./"), Link("./x", "/etc/shadow"), Directory("./d/"), Regular("./d/f")],
            expect!["good"],
        );
        check(&[Regular("f"), Regular("f")], expect![[r#"failed to unpack "f": File exists (os error 17)"#]]);
        check(&[Regular("")], expect![[r#"failed to unpack "": it has no name"#]]);
    }

    #[test]
    fn what_is_unpacked_has_its_mode_its_time_and_its_links() {
        let scratch = Scratch::new("whole");
        let members = [
            Directory("./"),
            Directory("./d/"),
            Regular("./d/f"),
            HardLink("./g", "./d/f"),
            Link("./l", "d/f"),
        ];
        scratch.root().unpack(&mut &archive(&members)[..]).expect("good");
        let file = fs::metadata(scratch.path("g")).expect("there");
        assert_eq!((file.permissions().mode() & 0o7777, file.mtime(), file.nlink()), (0o751, 1000, 2));
        assert_eq!(fs::metadata(scratch.path("d")).expect("there").mtime(), 1000);
        assert_eq!(fs::read(scratch.path("l")).expect("there"), b"content");
    }

    #[test]
    fn an_archive_that_ends_too_early_is_an_error() {
        let scratch = Scratch::new("early");
        let octets = archive(&[Regular("f")]);
        assert!(scratch.root().unpack(&mut &octets[..515]).is_err());
    }

    #[test]
    fn files_are_put_as_if_the_root_were_the_machines() {
        let scratch = Scratch::new("put");
        std::os::unix::fs::symlink("/", scratch.path("absolute")).expect("linked");
        std::os::unix::fs::symlink("../../..", scratch.path("up")).expect("linked");
        std::os::unix::fs::symlink("../outside", scratch.path("name")).expect("linked");
        let root = scratch.root();
        let put = |path: &str| root.put(path, 0o640, &mut &b"new"[..]).map_err(|error| error.to_string());
        // Each leads to the root itself, as on the machine.
        for (path, name) in
            [("/absolute/a/b", "a/b"), ("/up/outside", "outside"), ("/name", "name"), ("/a/c/", "a/c")]
        {
            assert_eq!(put(path), Ok(()), "{path}");
            let metadata = fs::symlink_metadata(scratch.path(name)).expect("there");
            assert!(metadata.is_file() && metadata.permissions().mode() & 0o7777 == 0o640, "{path}");
        }
        assert_eq!(put("/a/b"), Ok(()), "again");
        for path in ["relative", "/a/../../outside", "/", "", "/a\0b"] {
            assert!(put(path).is_err(), "{path:?}");
        }
    }
}
