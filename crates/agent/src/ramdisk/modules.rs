//! Drivers: those that are always wanted, then those that the devices ask for, until no device asks for more.
//!
//! As `modprobe` and `udev` would, from the same texts (`modules.dep`, `modules.alias`, `modules.softdep`): none of them is in
//! the archive.

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::sys::utsname::uname;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Devices come after their bus, and that after its driver. Looked at so often at most.
const ROUNDS_MAX: u32 = 64;
/// Rounds in which nothing came before it is said that nothing comes.
const QUIET_ROUNDS: u32 = 3;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Loads them. Gives what failed: the agent goes on with what there is.
pub(super) fn load(modules: &Path, sys: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let release = match uname() {
        Ok(names) => names.release().to_owned(),
        Err(error) => return vec![format!("failed to read the kernel's release: {error}")],
    };
    let directory = modules.join(release);
    // A kernel that has everything built in comes without.
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let index = Index::read(
        &text(&directory.join("modules.dep")),
        &text(&directory.join("modules.alias")),
        &text(&directory.join("modules.softdep")),
    );
    let mut loaded = BTreeSet::new();
    let mut insert = |path: &str| {
        if !loaded.insert(path.to_owned()) {
            return;
        }
        if let Err(error) = insert(&directory.join(path)) {
            problems.push(format!("failed to load {path}: {error}"));
        }
    };
    // Written as names or as files.
    for line in text(&modules.join("order")).lines() {
        let name = name_of(line.trim()).unwrap_or_else(|| line.trim().to_owned());
        index.paths(&name).into_iter().for_each(&mut insert);
    }
    let (mut asked, mut quiet) = (BTreeSet::new(), 0);
    for _ in 0..ROUNDS_MAX {
        let new: Vec<String> =
            modaliases(sys).into_iter().filter(|alias| asked.insert(alias.clone())).collect();
        quiet = if new.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            break;
        }
        for name in new.iter().flat_map(|alias| index.wanted_by(alias)) {
            index.paths(name).into_iter().for_each(&mut insert);
        }
        std::thread::sleep(PAUSE);
    }
    problems
}

fn insert(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        // There already, or its hardware is not: no failure of the driver.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What the devices that are there now ask for.
fn modaliases(sys: &Path) -> BTreeSet<String> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let buses = entries(&sys.join("bus"));
    let devices = buses.flat_map(|bus| entries(&bus.join("devices")).collect::<Vec<_>>());
    let read = devices.filter_map(|device| fs::read_to_string(device.join("modalias")).ok());
    read.map(|alias| alias.trim().to_owned()).filter(|alias| !alias.is_empty()).collect()
}

/// The texts of `depmod`, read.
#[derive(Debug, Default)]
struct Index {
    /// By name: the file, after those that it needs.
    files: BTreeMap<String, Vec<String>>,
    /// Pattern and name.
    aliases: Vec<(String, String)>,
    /// What is loaded before a module if it can be: names or aliases.
    before: BTreeMap<String, Vec<String>>,
}

impl Index {
    fn read(dependencies: &str, aliases: &str, soft: &str) -> Self {
        let mut index = Self::default();
        for line in dependencies.lines() {
            let Some((path, needed)) = line.split_once(':') else { continue };
            let Some(name) = name_of(path) else { continue };
            // The last is needed by those before it.
            let mut files: Vec<String> = needed.split_whitespace().rev().map(str::to_owned).collect();
            files.push(path.to_owned());
            index.files.insert(name, files);
        }
        for line in aliases.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(pattern), Some(name)) = (words.next(), words.next(), words.next()) {
                index.aliases.push((pattern.to_owned(), plain(name)));
            }
        }
        for line in soft.lines() {
            let mut words = line.split_whitespace();
            let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { continue };
            let first = words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| *word != "post:");
            index.before.entry(plain(name)).or_default().extend(first.map(str::to_owned));
        }
        index
    }

    /// The modules that take care of a device.
    fn wanted_by<'a>(&'a self, alias: &'a str) -> impl Iterator<Item = &'a str> {
        let fits = move |(pattern, _): &&(String, String)| matches(pattern.as_bytes(), alias.as_bytes());
        self.aliases.iter().filter(fits).map(|(_, name)| name.as_str())
    }

    /// The files of a module, by its name or by an alias, in the order that they are loaded in.
    fn paths(&self, called: &str) -> Vec<&str> {
        let mut paths = Vec::new();
        self.add(called, &mut BTreeSet::new(), &mut paths);
        paths
    }

    fn add<'a>(&'a self, called: &str, seen: &mut BTreeSet<String>, paths: &mut Vec<&'a str>) {
        let name = plain(called);
        if !seen.insert(name.clone()) {
            return;
        }
        let Some(files) = self.files.get(&name) else {
            for (_, name) in self.aliases.iter().filter(|(alias, _)| alias == called) {
                self.add(name, seen, paths);
            }
            return;
        };
        for name in self.before.get(&name).into_iter().flatten() {
            self.add(name, seen, paths);
        }
        paths.extend(files.iter().map(String::as_str));
    }
}

/// As the kernel has it: `-` and `_` are one.
fn plain(name: &str) -> String {
    name.trim().replace('-', "_")
}

fn name_of(path: &str) -> Option<String> {
    path.rsplit('/').next()?.strip_suffix(".ko").map(plain)
}

/// Whether a pattern of `modules.alias` fits: `*`, `?` and `[a-f0]`, as fnmatch(3) has them. Takes the product of the two lengths
/// at most.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    // Where the last star stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[at..], text[position]),
            Some(octet) if *octet == text[position] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                position += 1;
            }
            (None, Some((place, taken))) => {
                star = Some((place, taken + 1));
                (at, position) = (place + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|octet| *octet == b'*')
}

/// The length of the class `[…]` that a pattern begins with, if the octet is in it.
fn class(pattern: &[u8], octet: u8) -> Option<usize> {
    let end = pattern.iter().position(|octet| *octet == b']')?;
    let mut members = &pattern[1..end];
    while let Some((first, rest)) = members.split_first() {
        let (last, rest) = match rest {
            [b'-', last, rest @ ..] => (last, rest),
            rest => (first, rest),
        };
        if (*first..=*last).contains(&octet) {
            return Some(end + 1);
        }
        members = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_fnmatch_has_them() {
        for (pattern, text, fits) in [
            (
                "pci:v00001AF4d00001000sv*sd*bc*sc*i*",
                "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00",
                true,
            ),
            (
                "pci:v00001AF4d00001000sv*sd*bc*sc*i*",
                "pci:v00001AF4d00001001sv00001AF4sd00000001bc02sc00i00",
                false,
            ),
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("dmi*:pn*R650*:", "dmi:bvnDell:pnPowerEdgeR650x:", true),
            ("usb:v*p*d*dc*dsc*dp*ic08isc0[24]ip50in*", "usb:v1p2d3dc4dsc5dp6ic08isc04ip50in00", true),
            ("usb:v*p*d*dc*dsc*dp*ic08isc0[24]ip50in*", "usb:v1p2d3dc4dsc5dp6ic08isc03ip50in00", false),
            ("[0-9a-f]?c", "bxc", true),
            ("[0-9a-f]?c", "gxc", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("[ab", "a", false),
            ("a*b*c", "a-b-b-cc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
        // No pattern takes for ever.
        assert!(!matches("a*".repeat(40).as_bytes(), &[b'a'; 2000].map(|_| b'b')));
    }

    fn index() -> Index {
        Index::read(
            "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\n\
             kernel/lib/crc16.ko:\nkernel/crypto/crc32c-intel.ko:\nkernel/net/virtio_net.ko: kernel/net/failover.ko\nkernel/net/failover.ko:\n\
             kernel/x/round.ko:\nnonsense\nkernel/x/other.txt:\n",
            "alias crypto-crc32c crc32c_intel\nalias virtio:d00000001v* virtio_net\nalias virtio:* absent\n# alias a b\nalias\n",
            "softdep ext4 pre: crypto-crc32c post: late\nsoftdep round pre: round\n",
        )
    }

    #[test]
    fn each_is_loaded_after_what_it_needs() {
        let index = index();
        let check = |name: &str, expected: &[&str]| {
            let paths = index.paths(name);
            let names: Vec<&str> = paths.iter().filter_map(|path| path.rsplit('/').next()).collect();
            assert_eq!(names, expected, "{name}");
        };
        check("ext4", &["crc32c-intel.ko", "jbd2.ko", "crc16.ko", "ext4.ko"]);
        check("crc32c-intel", &["crc32c-intel.ko"]);
        check("crypto-crc32c", &["crc32c-intel.ko"]);
        check("round", &["round.ko"]);
        check("built_in", &[]);
        let wanted: Vec<&str> = index.wanted_by("virtio:d00000001v00001AF4").collect();
        assert_eq!(wanted, ["virtio_net", "absent"]);
        check("virtio_net", &["failover.ko", "virtio_net.ko"]);
    }
}
