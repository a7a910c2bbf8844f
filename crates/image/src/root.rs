//! The root of an operating system as an archive: what a build gives, without what is of the machine that built it, of one machine
//! alone, or of the build.
//!
//! In goes a tar archive, out comes another, entry by entry. Nothing is held in memory but one list of packages.

use crate::modules::name_of;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tar::{Archive, Builder, Entry, EntryType, Header};

/// dpkg's list of what is installed may have as many octets.
const STATUS_MAX: u64 = 64 << 20;
/// Where it is.
const STATUS: &str = "var/lib/dpkg/status";
/// Directories of which nothing but directories is kept.
const EMPTIED: [&str; 9] =
    ["dev/", "proc/", "run/", "sys/", "tmp/", "var/cache/apt/", "var/lib/apt/lists/", "var/log/", "var/tmp/"];
/// Files that are not kept: of one machine, of the machine that built, or of the build.
const LEFT_OUT: [&str; 23] = [
    "etc/.pwd.lock",
    "etc/.resolv.conf.systemd-resolved.bak",
    "etc/apt/apt.conf.d/00mmdebstrap",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/fstab",
    "etc/group-",
    "etc/gshadow-",
    "etc/hostname",
    "etc/machine-id",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "initrd.img",
    "initrd.img.old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "vmlinuz",
    "vmlinuz.old",
];
/// The extended attribute that is kept: what a program may do without being root. Others are of the file system that was built on.
const CAPABILITY: &str = "SCHILY.xattr.security.capability";

/// What was found on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Versions of the kernels.
    pub(crate) kernels: Vec<String>,
    /// Versions that there is an initial RAM disk for.
    pub(crate) ram_disks: Vec<String>,
    /// How many modules there are.
    pub(crate) modules: usize,
    /// Name and version of each installed package.
    pub(crate) installed: Vec<(String, String)>,
}

/// Whether what stands at a path comes into an image.
pub(crate) fn is_kept(path: &[u8], is_directory: bool) -> bool {
    if is_directory {
        return !path.starts_with(b"dev/");
    }
    let is_backup = [&b"var/lib/dpkg/"[..], b"var/cache/debconf/"].iter().any(|it| path.starts_with(it))
        && path.ends_with(b"-old");
    !(is_backup
        || path.starts_with(b"etc/ssh/ssh_host_")
        || EMPTIED.iter().any(|directory| path.starts_with(directory.as_bytes()))
        || LEFT_OUT.iter().any(|file| path == file.as_bytes()))
}

/// Rewrites an archive; nothing in it is younger than `seconds` since 1970.
pub(crate) fn rewrite(mut input: impl Read, out: impl Write, seconds: u64) -> io::Result<Content> {
    let mut content = Content::default();
    let mut builder = Builder::new(out);
    for entry in Archive::new(&mut input).entries()? {
        let mut entry = entry?;
        let path = plain(&entry.path_bytes());
        let kind = entry.header().entry_type();
        if path.is_empty() || !is_kept(&path, kind.is_dir()) {
            continue;
        }
        content.see(&path);
        if let Some(capability) = capability(&mut entry)? {
            builder.append_pax_extensions([(CAPABILITY, capability.as_slice())])?;
        }
        let from = entry.header();
        let mut header = header(kind, from.mode()? & 0o7777, entry.size(), from.mtime()?.min(seconds));
        header.set_uid(from.uid()?);
        header.set_gid(from.gid()?);
        let path = Path::new(OsStr::from_bytes(&path));
        match kind {
            EntryType::Directory => builder.append_data(&mut header, path, io::empty())?,
            EntryType::Regular | EntryType::Continuous if path == Path::new(STATUS) => {
                let mut text = Vec::new();
                entry.take(STATUS_MAX).read_to_end(&mut text)?;
                content.installed = installed(&String::from_utf8_lossy(&text));
                builder.append_data(&mut header, path, text.as_slice())?;
            }
            EntryType::Regular | EntryType::Continuous => builder.append_data(&mut header, path, entry)?,
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                // A hard link is to another entry, which has lost what stood before its path.
                let target = if kind.is_hard_link() { plain(&target) } else { target.into_owned() };
                builder.append_link(&mut header, path, OsStr::from_bytes(&target))?;
            }
            _ => return Err(io::Error::other(format!("/{} is a device or a pipe", path.display()))),
        }
    }
    // An archive is padded behind its end. Whoever still writes that must be read, or hears that nobody wants it and fails.
    io::copy(&mut input, &mut io::sink())?;
    // An empty file is where the first start writes the machine's identity.
    builder.append_data(&mut header(EntryType::Regular, 0o444, 0, seconds), "etc/machine-id", io::empty())?;
    let mut link = header(EntryType::Symlink, 0o777, 0, seconds);
    builder.append_link(&mut link, "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")?;
    builder.into_inner()?.flush()?;
    Ok(content)
}

fn header(kind: EntryType, permissions: u32, size: u64, seconds: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(if kind == EntryType::Continuous { EntryType::Regular } else { kind });
    header.set_mode(permissions);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(seconds);
    header
}

/// What a file's program may do without being root.
fn capability(entry: &mut Entry<impl Read>) -> io::Result<Option<Vec<u8>>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() == CAPABILITY.as_bytes() {
            return Ok(Some(extension.value_bytes().to_vec()));
        }
    }
    Ok(None)
}

/// A path without `./` in front and `/` behind.
fn plain(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let path = if path == b"." { b"" } else { path };
    path.strip_suffix(b"/").unwrap_or(path).to_vec()
}

impl Content {
    fn see(&mut self, path: &[u8]) {
        let Ok(path) = std::str::from_utf8(path) else { return };
        if let Some(version) = path.strip_prefix("boot/vmlinuz-") {
            self.kernels.push(version.to_owned());
        } else if let Some(version) = path.strip_prefix("boot/initrd.img-") {
            self.ram_disks.push(version.to_owned());
        } else if path.starts_with("usr/lib/modules/") && name_of(path).is_some() {
            self.modules += 1;
        }
    }
}

/// The installed packages of dpkg's list, each with its version.
fn installed(status: &str) -> Vec<(String, String)> {
    let package = |paragraph: &str| {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        field("Status: ").filter(|status| *status == "install ok installed")?;
        Some((field("Package: ")?.to_owned(), field("Version: ")?.to_owned()))
    };
    status.split("\n\n").filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// A time between those of the files, and the latest that is left.
    const SECONDS: u64 = 1_000;

    #[test]
    fn what_is_of_a_machine_or_of_the_build_is_not_kept() {
        for (path, is_here) in [
            ("etc/hostname", false),
            ("etc/hosts", true),
            ("etc/machine-id", false),
            ("etc/ssh/ssh_host_ed25519_key", false),
            ("etc/ssh/sshd_config", true),
            ("etc/apt/sources.list", false),
            ("etc/apt/sources.list.d/debian.sources", true),
            ("var/lib/dpkg/status", true),
            ("var/lib/dpkg/status-old", false),
            ("var/cache/debconf/templates.dat-old", false),
            ("var/cache/apt/archives/a.deb", false),
            ("var/log/dpkg.log", false),
            ("dev/console", false),
            ("boot/vmlinuz-6.1", true),
            ("vmlinuz.old", false),
        ] {
            assert_eq!(is_kept(path.as_bytes(), false), is_here, "{path}");
        }
        assert!(is_kept(b"var/log/journal", true) && is_kept(b"dev", true) && !is_kept(b"dev/pts", true));
    }

    /// An archive as `tar` writes one: `kind path content` a line.
    fn archive(lines: &str) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header(EntryType::Directory, 0o755, 0, 0), "./", io::empty()).unwrap();
        for (line, seconds) in lines.lines().map(str::trim_start).zip((400..).step_by(400)) {
            let [kind, path, content] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let content: &str = content;
            let (kind, permissions) = match kind {
                "d" => (EntryType::Directory, 0o1777),
                "f" => (EntryType::Regular, 0o4755),
                "l" => (EntryType::Symlink, 0o777),
                "h" => (EntryType::Link, 0o644),
                "c" => {
                    let capability = (CAPABILITY, content.as_bytes());
                    builder.append_pax_extensions([capability, ("SCHILY.xattr.user.x", b"y")]).unwrap();
                    (EntryType::Regular, 0o755)
                }
                _ => (EntryType::Fifo, 0o600),
            };
            let mut header = header(kind, permissions, 0, seconds);
            header.set_uid(7);
            header.set_gid(8);
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                builder.append_link(&mut header, path, content).unwrap();
            } else {
                let content = content.replace('|', "\n");
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn check(lines: &str, expect: Expect) {
        let mut out = Vec::new();
        let told = match rewrite(archive(lines).as_slice(), &mut out, SECONDS) {
            Err(error) => format!("{error}\n"),
            Ok(content) => {
                let mut text = String::new();
                for entry in Archive::new(out.as_slice()).entries().unwrap() {
                    let mut entry = entry.unwrap();
                    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                    let link =
                        entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
                    let pax: Vec<String> = entry
                        .pax_extensions()
                        .unwrap()
                        .into_iter()
                        .flatten()
                        .map(|it| it.unwrap().key().unwrap().to_owned())
                        .collect();
                    let header = entry.header();
                    text += &format!(
                        "{:o} {}/{} {} {path} {}{}\n",
                        header.mode().unwrap(),
                        header.uid().unwrap(),
                        header.gid().unwrap(),
                        header.mtime().unwrap(),
                        link.unwrap_or_default(),
                        pax.join(" ")
                    );
                }
                text + &format!("{content:?}\n")
            }
        };
        expect.assert_eq(&told);
    }

    #[test]
    fn what_stands_behind_the_end_is_read_too() {
        let padded = [archive("f ./usr/bin/true text"), vec![0; 8192]].concat();
        let mut input = padded.as_slice();
        rewrite(&mut input, io::sink(), SECONDS).unwrap();
        assert!(input.is_empty(), "{} octets are left", input.len());
    }

    #[test]
    fn entries_are_kept_as_they_are_and_none_is_younger() {
        let long = "a-long-name-".repeat(12);
        check(
            &format!(
                "d ./usr/bin/ \n\
                 f ./usr/bin/perl text\n\
                 h ./usr/bin/perl5 ./usr/bin/perl\n\
                 l ./bin /usr/bin\n\
                 f ./etc/ssh/ssh_host_rsa_key secret\n\
                 c ./usr/bin/ping capability\n\
                 f ./usr/share/{long}/{long} text"
            ),
            expect![[r#"
                1777 7/8 400 usr/bin 
                4755 7/8 800 usr/bin/perl 
                644 7/8 1000 usr/bin/perl5 usr/bin/perl
                777 7/8 1000 bin /usr/bin
                755 7/8 1000 usr/bin/ping SCHILY.xattr.security.capability
                4755 7/8 1000 usr/share/a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-/a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name-a-long-name- 
                444 0/0 1000 etc/machine-id 
                777 0/0 1000 etc/resolv.conf ../run/systemd/resolve/stub-resolv.conf
                Content { kernels: [], ram_disks: [], modules: 0, installed: [] }
            "#]],
        );
    }

    #[test]
    fn what_is_in_it_is_seen_on_the_way() {
        check(
            "f ./boot/vmlinuz-6.1.0-56-amd64 x\n\
             f ./boot/initrd.img-6.1.0-56-amd64 x\n\
             f ./usr/lib/modules/6.1.0-56-amd64/kernel/fs/ext4/ext4.ko x\n\
             f ./usr/lib/modules/6.1.0-56-amd64/modules.dep x\n\
             f ./var/lib/dpkg/status Package: a|Status: install ok installed|Version: 1:2||Package: b|Status: deinstall ok config-files|Version: 3|",
            expect![[r#"
                4755 7/8 400 boot/vmlinuz-6.1.0-56-amd64 
                4755 7/8 800 boot/initrd.img-6.1.0-56-amd64 
                4755 7/8 1000 usr/lib/modules/6.1.0-56-amd64/kernel/fs/ext4/ext4.ko 
                4755 7/8 1000 usr/lib/modules/6.1.0-56-amd64/modules.dep 
                4755 7/8 1000 var/lib/dpkg/status 
                444 0/0 1000 etc/machine-id 
                777 0/0 1000 etc/resolv.conf ../run/systemd/resolve/stub-resolv.conf
                Content { kernels: ["6.1.0-56-amd64"], ram_disks: ["6.1.0-56-amd64"], modules: 1, installed: [("a", "1:2")] }
            "#]],
        );
        check(
            "p ./var/lib/pipe x",
            expect![[r#"
                /var/lib/pipe is a device or a pipe
            "#]],
        );
    }
}
