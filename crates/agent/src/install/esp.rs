//! EFI system partitions: found, mounted, and written so that a power cut leaves the old file or the new one.

use super::grub::{self, Environment};
use api::install::{ESP_LABEL, Slot};
use model::octets::hexadecimal;
use model::{Generation, Time};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest `slot.json` and `zw/env` that are read.
const SMALL_MAX: u64 = 64 << 10;
/// More partitions are not looked at.
const PARTITIONS_MAX: usize = 4096;

/// `slot.json` in a slot's directory, written last of all that is in it: the slot is whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Seal {
    /// The order's plan.
    pub generation: Generation,
    /// When the order was allowed.
    pub allowed_at: Time,
    /// Digest of the image.
    pub image: String,
    /// So long may it be on trial.
    pub trial_seconds: u32,
}

/// A mounted EFI system partition; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Esp {
    device: PathBuf,
    at: PathBuf,
}

impl Esp {
    /// Mounts a partition in a directory of its own below `work`.
    pub(super) fn mount(device: &Path, work: &Path, flags: MsFlags) -> Result<Self, String> {
        let at = work.join(device.file_name().unwrap_or_default());
        mount_at(device, &at, "vfat", flags, Some("umask=0077"))?;
        Ok(Self { device: device.to_owned(), at })
    }

    fn failed(&self, name: &str, error: &io::Error) -> String {
        format!("failed to write {name} to {}: {error}", self.device.display())
    }

    /// Writes a file whole: a new one, on the disk before it takes the other's name.
    pub(super) fn write(&self, name: &str, content: &mut dyn Read) -> Result<(), String> {
        let path = self.at.join(name);
        let fresh = path.with_extension("new");
        let directory = path.parent().unwrap_or(&self.at);
        let mut written = || -> io::Result<()> {
            fs::create_dir_all(directory)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
            io::copy(content, &mut file)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&fresh, &path)?;
            // A directory that was made now is a line of the one above.
            directory
                .ancestors()
                .take_while(|path| path.starts_with(&self.at))
                .try_for_each(|path| File::open(path)?.sync_all())
        };
        written().map_err(|error| self.failed(name, &error))
    }

    /// Removes what is in a slot's directory, what says that it is whole first.
    pub(super) fn clear(&self, slot: Slot) -> Result<(), String> {
        let directory = self.at.join(slot.letter());
        let removed = || -> io::Result<()> {
            if !directory.is_dir() {
                return Ok(());
            }
            for name in ["slot.json", "boot.cfg", "vmlinuz", "initrd"] {
                match fs::remove_file(directory.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                File::open(&directory)?.sync_all()?;
            }
            fs::remove_dir_all(&directory)?;
            File::open(&self.at)?.sync_all()
        };
        removed().map_err(|error| {
            format!("failed to clear slot {} of {}: {error}", slot.letter(), self.device.display())
        })
    }

    /// What a slot is, if it is whole.
    pub(super) fn seal(&self, slot: Slot) -> Option<Seal> {
        serde_json::from_slice(&self.small(&format!("{}/slot.json", slot.letter()))?).ok()
    }

    pub(super) fn environment(&self) -> Environment {
        self.small("zw/env").map_or_else(Environment::default, |octets| Environment::read(&octets))
    }

    /// Says which slot is started. Written only if it says something else.
    pub(super) fn set_environment(&self, environment: Environment) -> Result<(), String> {
        if self.environment() == environment {
            return Ok(());
        }
        self.write("zw/env", &mut &environment.write()[..])
    }

    fn small(&self, name: &str) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        File::open(self.at.join(name)).ok()?.take(SMALL_MAX).read_to_end(&mut octets).ok()?;
        Some(octets)
    }

    /// The SHA-256 of a file as it is on the disk.
    pub(super) fn digest(&self, name: &str) -> Result<String, String> {
        File::open(self.at.join(name))
            .and_then(|mut file| digest(&mut file))
            .map_err(|error| format!("failed to read {name} of {}: {error}", self.device.display()))
    }
}

impl Drop for Esp {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}

/// The SHA-256 of all that can be read.
pub(super) fn digest(content: &mut dyn Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Mounts a device in a directory that only root may enter.
pub(super) fn mount_at(
    device: &Path,
    at: &Path,
    kind: &str,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<(), String> {
    let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(at)
        .and_then(|()| Ok(mount(Some(device), at, Some(kind), flags, options)?))
        .map_err(|error| format!("failed to mount {}: {error}", device.display()))
}

/// Takes a mount away; if somebody still reads there, as soon as nobody does.
pub(super) fn unmount(at: &Path) {
    if umount2(at, MntFlags::UMOUNT_NOFOLLOW).is_err() {
        let _ = umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    let _ = fs::remove_dir(at);
}

/// The EFI system partitions with this volume id, by what they are, not by what somebody calls them.
pub(super) fn with_id(id: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten().take(PARTITIONS_MAX);
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            fs::read_to_string(entry.path().join("partition")).is_ok_and(|number| number.trim() == "2")
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .filter(|path| {
            let mut sector = [0; 512];
            let read = OpenOptions::new()
                .read(true)
                .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
                .open(path)
                .and_then(|mut file| file.read_exact(&mut sector));
            read.is_ok() && is_esp(&sector, id)
        })
        .collect();
    found.sort();
    found
}

/// Whether a first sector is one of FAT32 with our label and this volume id (FAT specification 1.03, 3.3).
fn is_esp(sector: &[u8; 512], id: u32) -> bool {
    sector[510..] == [0x55, 0xaa]
        && sector[82..90] == *b"FAT32   "
        && sector[71..82].trim_ascii_end() == ESP_LABEL.as_bytes()
        && sector[67..71] == id.to_le_bytes()
}

/// The slot and the volume id that a kernel's command line names.
pub(super) fn named(command_line: &str) -> Option<(Slot, u32)> {
    let word = |name: &str| command_line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
    let slot = grub::slot(word("zw.slot=")?)?;
    let id = word("zw.esp=")
        .filter(|digits| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some((slot, u32::from_str_radix(id, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_runs() {
        assert_eq!(named("BOOT_IMAGE=x ro zw.slot=b zw.esp=0a1b2c3d quiet\n"), Some((Slot::B, 0x0a1b_2c3d)));
        for other in
            ["", "zw.slot=b", "zw.slot=c zw.esp=0a1b2c3d", "zw.slot=b zw.esp=+a1b2c3d", "zw.slot=b zw.esp=1"]
        {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
