//! Disks as the kernel knows them: whether they are those of an order, and whether somebody uses them.

use super::layout;
use api::install::Disk;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Octets at each end of a disk and of a partition that are cleared: partition tables, and what LVM, software RAID and file systems
/// are known by.
const END: u64 = 1 << 20;
/// Somebody who looks at a disk for a moment does not end an installation.
const BUSY_MAX: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(200);
/// Devices stacked on one another, at most.
const DEPTH_MAX: u32 = 8;

/// A disk of an order that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Device {
    pub name: String,
    /// Octets of a block.
    pub block: u64,
    /// How many.
    pub blocks: u64,
}

impl Device {
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The path of one of its partitions.
    pub(super) fn partition(&self, number: u8) -> PathBuf {
        Path::new("/dev").join(layout::partition_name(&self.name, number))
    }
}

/// What the kernel says: `/sys`, and the texts of `/proc`.
pub(super) struct Kernel {
    pub sys: PathBuf,
    /// `/proc/self/mountinfo`.
    pub mounts: String,
    /// `/proc/swaps`.
    pub swaps: String,
}

impl Kernel {
    pub(super) fn now() -> Result<Self, String> {
        let text =
            |path: &str| fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"));
        Ok(Self {
            sys: "/sys".into(),
            mounts: text("/proc/self/mountinfo")?,
            swaps: text("/proc/swaps").unwrap_or_default(),
        })
    }

    fn line(&self, path: &str) -> String {
        fs::read_to_string(self.sys.join(path)).unwrap_or_default().trim().to_owned()
    }

    /// The disk that an order names, or why it is not the one. What is mounted under `own` is ours and is no use.
    pub(super) fn find(&self, disk: &Disk, own: &Path) -> Result<Device, String> {
        let name = disk.name.as_str();
        let place = format!("block/{name}");
        let number = |what: &str| self.line(&format!("{place}/{what}")).parse::<u64>().unwrap_or(0);
        if !self.sys.join(&place).is_dir() {
            return Err(format!("there is no disk {name} in this machine"));
        }
        // The unit of `size` is 512 octets, whatever the disk's own are.
        let size = number("size").saturating_mul(512);
        if size != disk.size_bytes {
            return Err(format!(
                "{name} has {size} octets, and the order means a disk of {}",
                disk.size_bytes
            ));
        }
        if number("removable") != 0 || number("ro") != 0 {
            return Err(format!("{name} is removable or read-only"));
        }
        let block = number("queue/logical_block_size").max(512);
        if let Some(user) = self.user(name, own) {
            return Err(format!("{name} is in use: {user}"));
        }
        Ok(Device { name: name.to_owned(), block, blocks: size / block })
    }

    /// Who uses a disk, one of its partitions, or what is stacked on them.
    fn user(&self, disk: &str, own: &Path) -> Option<String> {
        let devices = self.stacked_on(disk);
        let numbers: BTreeSet<String> =
            devices.iter().map(|name| self.line(&format!("class/block/{name}/dev"))).collect();
        for line in self.mounts.lines() {
            let mut words = line.split(' ').skip(2);
            let (Some(number), Some(at)) = (words.next(), words.nth(1)) else { continue };
            if numbers.contains(number) && !Path::new(at).starts_with(own) {
                return Some(format!("{at} is mounted from it"));
            }
        }
        let swap = self.swaps.lines().find(|line| {
            let device = line.split_whitespace().next().and_then(|path| path.rsplit('/').next());
            device.is_some_and(|device| devices.contains(device))
        });
        swap.map(|_| "the machine swaps to it".to_owned())
    }

    /// The device itself, its partitions, and whatever holds one of them, in names of the kernel.
    pub(super) fn stacked_on(&self, device: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([device.to_owned()]);
        for _ in 0..DEPTH_MAX {
            let before = found.len();
            for name in found.clone() {
                let place = self.sys.join("class/block").join(&name);
                let inside = |path: &Path| -> Vec<String> {
                    let entries = fs::read_dir(path).into_iter().flatten().flatten();
                    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
                };
                found.extend(inside(&place.join("holders")));
                let is_partition = |name: &String| place.join(name).join("partition").is_file();
                found.extend(inside(&place).into_iter().filter(is_partition));
            }
            if found.len() == before {
                break;
            }
        }
        found
    }
}

/// Opens a disk so that nobody else can use it meanwhile. Fails if anybody does, whom [`Kernel::find`] did not see, too.
pub(super) fn open(device: &Device) -> Result<File, String> {
    let path = device.path();
    let exclusive = nix::fcntl::OFlag::O_EXCL.bits() | nix::fcntl::OFlag::O_CLOEXEC.bits();
    patiently(|| OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(&path))
        .map_err(|error| format!("failed to open {} for this installation alone: {error}", path.display()))
}

/// Clears the ends of the disk and of the parts that it will have.
pub(super) fn wipe(file: &mut File, device: &Device, parts: &[(u64, u64)]) -> Result<(), String> {
    let size = device.blocks * device.block;
    let parts = parts.iter().map(|(first, last)| (first * device.block, (last + 1) * device.block));
    let zeros = vec![0; usize::try_from(END).unwrap_or(0)];
    let clear = || -> io::Result<()> {
        for (from, to) in parts.chain([(0, size)]) {
            let length = END.min(to - from);
            for at in [from, to - length] {
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&zeros[..usize::try_from(length).unwrap_or(0)])?;
            }
        }
        file.sync_all()
    };
    clear().map_err(|error| format!("failed to clear {}: {error}", device.name))
}

/// Writes octets at an octet of a device.
pub(super) fn write_at(file: &mut File, device: &Device, at: u64, octets: &[u8]) -> Result<(), String> {
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.write_all(octets))
        .and_then(|()| file.sync_all())
        .map_err(|error| format!("failed to write to {}: {error}", device.name))
}

/// Has the kernel read the partition table again, and waits until the devices of `count` partitions are there.
pub(super) fn read_partitions(file: &File, device: &Device, count: u8) -> Result<(), String> {
    let failed =
        |error: io::Error| format!("failed to read the partitions of {} again: {error}", device.name);
    patiently(|| reread(file)).map_err(failed)?;
    let began = Instant::now();
    while !(1..=count).all(|number| device.partition(number).exists()) {
        if began.elapsed() > BUSY_MAX {
            return Err(format!("the partitions of {} did not appear", device.name));
        }
        std::thread::sleep(BUSY_PAUSE);
    }
    Ok(())
}

fn reread(file: &File) -> io::Result<()> {
    mod request {
        // `BLKRRPART` of linux/fs.h.
        nix::ioctl_none!(reread_partitions, 0x12, 95);
    }
    // SAFETY: the request takes no argument, so the kernel reads and writes no memory of this process; the descriptor is open
    // for as long as `file` is borrowed. On what is no block device it fails with ENOTTY.
    #[expect(unsafe_code, reason = "the kernel offers this as an ioctl only, and no crate here wraps it")]
    let answered = unsafe { request::reread_partitions(file.as_raw_fd()) };
    answered.map(drop).map_err(io::Error::from)
}

/// Tries again while somebody is busy with it.
fn patiently<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        match act() {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) && began.elapsed() < BUSY_MAX => {
                std::thread::sleep(BUSY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// A kernel with `sda`: `sda3` in `md0`, and on that `dm-0`; and `sdb` with nothing.
    fn kernel(name: &str, mounts: &str, swaps: &str) -> Kernel {
        let sys = std::env::temp_dir().join(format!("zw-agent-{}-devices-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&sys);
        let write = |path: &str, text: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().expect("a name")).expect("made");
            fs::write(path, text).expect("written");
        };
        for disk in ["block/sda", "class/block/sda", "block/sdb", "class/block/sdb", "block/sdc"] {
            write(&format!("{disk}/size"), "8388608\n");
            write(&format!("{disk}/removable"), if disk.ends_with('c') { "1\n" } else { "0\n" });
            write(&format!("{disk}/queue/logical_block_size"), "4096\n");
        }
        write("class/block/sda/dev", "8:0\n");
        write("class/block/sda/sda3/partition", "3\n");
        write("class/block/sda3/dev", "8:3\n");
        write("class/block/sda3/holders/md0", "");
        write("class/block/md0/dev", "9:0\n");
        write("class/block/md0/holders/dm-0", "");
        write("class/block/dm-0/dev", "254:0\n");
        Kernel { sys, mounts: mounts.into(), swaps: swaps.into() }
    }

    #[test]
    fn only_the_disk_of_the_order_is_taken_and_only_if_nobody_uses_it() {
        let check = |name: &str, disk: &str, size_bytes: u64, mounts: &str, swaps: &str, expected: Expect| {
            let kernel = kernel(name, mounts, swaps);
            let found = kernel.find(&Disk { name: disk.into(), size_bytes }, Path::new("/run/own"));
            let shown =
                found.map_or_else(|error| error, |found| format!("{} × {}", found.blocks, found.block));
            expected.assert_eq(&shown);
            fs::remove_dir_all(&kernel.sys).expect("removed");
        };
        const SIZE: u64 = 8_388_608 * 512;
        let mounted = |at: &str| format!("30 1 254:0 / {at} rw - ext4 /dev/mapper/zw-root_a rw\n");
        check("good", "sda", SIZE, "", "", expect!["1048576 × 4096"]);
        check("none", "sdx", SIZE, "", "", expect!["there is no disk sdx in this machine"]);
        check(
            "size",
            "sda",
            SIZE - 512,
            "",
            "",
            expect!["sda has 4294967296 octets, and the order means a disk of 4294966784"],
        );
        check("removable", "sdc", SIZE, "", "", expect!["sdc is removable or read-only"]);
        check("root", "sda", SIZE, &mounted("/"), "", expect!["sda is in use: / is mounted from it"]);
        check("other", "sdb", SIZE, &mounted("/"), "", expect!["1048576 × 4096"]);
        check("own", "sda", SIZE, &mounted("/run/own/root"), "", expect!["1048576 × 4096"]);
        check(
            "swap",
            "sda",
            SIZE,
            "",
            "Filename Type\n/dev/sda3 partition 1 0 -2\n",
            expect!["sda is in use: the machine swaps to it"],
        );
    }
}
