//! Files, mounts and kernel parameters.

use super::{Found, Value};
use nix::sys::statvfs::statvfs;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What is searched of a file's contents, in octets.
const CONTENTS_MAX: u64 = 1 << 20;

/// The longest file that is digested, in octets.
const DIGEST_MAX: u64 = 1 << 30;

pub(super) fn file(path: &str) -> Found {
    let link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(vec![("exists", Value::Flag(false))]);
        }
        Err(error) => return Err(format!("failed to look at {path}: {error}")),
    };
    let mut found = vec![
        ("exists", Value::Flag(true)),
        ("filetype", Value::Text(filetype(&link).into())),
        ("mode", Value::Number((link.mode() & 0o7777).into())),
        ("owner", Value::Text(owner(link.uid()))),
        ("group", Value::Text(group(link.gid()))),
        ("size", Value::Number(i64::try_from(link.size()).unwrap_or(i64::MAX))),
    ];
    if let Ok(target) = fs::read_link(path) {
        found.push(("linked-to", Value::Text(target.to_string_lossy().into_owned())));
    }
    // Nothing but a regular file is opened: a pipe would wait, a device may act.
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        found.extend(contents(Path::new(path)).map(|text| ("contents", Value::Lines(text))));
        found.extend(sha256(Path::new(path)).map(|text| ("sha256", Value::Text(text))));
    }
    Ok(found)
}

fn filetype(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_symlink() => "symlink",
        () if kind.is_dir() => "directory",
        () if kind.is_file() => "file",
        () if kind.is_block_device() => "block-device",
        () if kind.is_char_device() => "character-device",
        () if kind.is_fifo() => "pipe",
        () => "socket",
    }
}

fn owner(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn group(gid: u32) -> String {
    let group = nix::unistd::Group::from_gid(gid.into()).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

fn contents(path: &Path) -> Option<String> {
    let mut octets = Vec::new();
    File::open(path).ok()?.take(CONTENTS_MAX).read_to_end(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets).into_owned())
}

fn sha256(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() > DIGEST_MAX {
        return None;
    }
    let (mut hasher, mut octets, mut file) = (Sha256::new(), [0; 16 << 10], file.take(DIGEST_MAX));
    loop {
        match file.read(&mut octets).ok()? {
            0 => break,
            read => hasher.update(&octets[..read]),
        }
    }
    Some(model::octets::hexadecimal(&hasher.finalize()))
}

pub(super) fn kernel_param(name: &str) -> Found {
    // With slashes, dots are letters (`net/ipv4/conf/eno1.300/forwarding`), as sysctl(8) has it.
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    match fs::read_to_string(Path::new("/proc/sys").join(path)) {
        Ok(text) => Ok(vec![("value", Value::Text(text.trim().replace('\t', " ")))]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("failed to read the kernel parameter {name}: {error}")),
    }
}

pub(super) fn mount(path: &str) -> Found {
    let table = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("failed to read the mounts: {error}"))?;
    let Some(mounted) = mounted(&table, path) else { return Ok(vec![("exists", Value::Flag(false))]) };
    let mut found = vec![
        ("exists", Value::Flag(true)),
        ("source", Value::Text(mounted.source)),
        ("filesystem", Value::Text(mounted.filesystem)),
        ("opts", Value::List(mounted.options)),
    ];
    if let Ok(space) = statvfs(path) {
        // As df counts it: of what a user without privilege could have, rounded up.
        let used = space.blocks().saturating_sub(space.blocks_free());
        let all = used.saturating_add(space.blocks_available());
        let percent = (u128::from(used) * 100).div_ceil(u128::from(all.max(1)));
        found.push(("usage", Value::Number(i64::try_from(percent).unwrap_or(100))));
    }
    Ok(found)
}

#[derive(PartialEq, Eq, Debug)]
struct Mounted {
    source: String,
    filesystem: String,
    options: Vec<String>,
}

/// The file system that is seen at `path`: the last one mounted there. The form of the table is in proc(5).
fn mounted(table: &str, path: &str) -> Option<Mounted> {
    table.lines().rev().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<_> = before.split(' ').collect();
        let mut after = after.split(' ');
        if unescaped(before.get(4)?) != path {
            return None;
        }
        let (filesystem, source) = (after.next()?.to_owned(), unescaped(after.next()?));
        let mut options: Vec<String> = before.get(5)?.split(',').map(str::to_owned).collect();
        for option in after.next().unwrap_or_default().split(',') {
            if !option.is_empty() && !options.iter().any(|known| known == option) {
                options.push(option.to_owned());
            }
        }
        Some(Mounted { source, filesystem, options })
    })
}

/// Blanks and backslashes stand as `\040` in the table.
fn unescaped(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = tail.get(..3).filter(|_| *first == b'\\');
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match value {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[3..];
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(found: &'a Found, attribute: &str) -> Option<&'a Value> {
        found.as_ref().expect("looked").iter().find(|(name, _)| *name == attribute).map(|(_, value)| value)
    }

    #[test]
    fn the_mount_that_is_seen_is_the_last_one() {
        let table = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:5 / /mnt/a\\040b rw - tmpfs tmpfs rw,size=4k
31 22 8:2 / /mnt/a\\040b ro,noatime master:2 shared:4 - xfs /dev/sdb1 ro
bad line
";
        let mount = mounted(table, "/mnt/a b").expect("there");
        assert_eq!((mount.filesystem.as_str(), mount.source.as_str()), ("xfs", "/dev/sdb1"));
        assert_eq!(mount.options, ["ro", "noatime"]);
        assert_eq!(mounted(table, "/").expect("there").options, ["rw", "relatime", "errors=remount-ro"]);
        assert_eq!(mounted(table, "/mnt"), None);
        assert_eq!(unescaped("a\\04"), "a\\04");
    }

    #[test]
    fn files_are_told_without_opening_what_is_no_file() {
        let path = std::env::temp_dir().join(format!("zw-agent-{}-file", std::process::id()));
        fs::write(&path, "abc").expect("written");
        let found = file(path.to_str().expect("text"));
        assert_eq!(of(&found, "size"), Some(&Value::Number(3)));
        assert_eq!(of(&found, "filetype"), Some(&Value::Text("file".into())));
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(&found, "sha256"), Some(&Value::Text(digest.into())));
        fs::remove_file(&path).expect("removed");
        let gone = file(path.to_str().expect("text"));
        assert_eq!(gone, Ok(vec![("exists", Value::Flag(false))]));
        let null = file("/dev/null");
        assert_eq!(of(&null, "filetype"), Some(&Value::Text("character-device".into())));
        assert_eq!(of(&null, "contents"), None);
    }

    #[test]
    fn kernel_parameters_are_read_by_either_spelling() {
        let linux = Ok(vec![("value", Value::Text("Linux".into()))]);
        assert_eq!(kernel_param("kernel.ostype"), linux);
        assert_eq!(kernel_param("kernel/ostype"), linux);
        assert_eq!(kernel_param("kernel.nonesuch"), Ok(Vec::new()));
    }

    #[test]
    fn the_root_is_mounted_and_has_a_usage() {
        let found = mount("/proc");
        assert_eq!(of(&found, "filesystem"), Some(&Value::Text("proc".into())));
        assert!(matches!(of(&found, "usage"), Some(Value::Number(0..=100))));
        assert_eq!(mount("/nonexistent"), Ok(vec![("exists", Value::Flag(false))]));
    }
}
