//! What lies on the third partitions: software RAID, the volume group, file systems. Made by `mdadm`, `lvm`, `mke2fs` and `mkfs.vfat`,
//! without udev, on the devices that are named and no others.

use super::devices::{Device, Kernel};
use super::grub;
use super::programs::run;
use api::install::{Disks, ESP_LABEL, Slot, VOLUME_GROUP};
use std::fs;
use std::path::{Path, PathBuf};

/// Nothing waits for udev, which is not there, and nothing is kept of what was.
const LVM: &str = "devices{use_devicesfile=0} \
    activation{udev_sync=0 udev_rules=0 verify_udev_operations=1 monitoring=0} \
    global{use_lvmpolld=0 use_lvmlockd=0} backup{backup=0 archive=0}";
const ARRAYS_MAX: u32 = 128;

/// Runs a command of `lvm` that sees these devices alone: a group of the same name on a disk that is not in the order is not touched.
fn lvm(command: &str, devices: &str, arguments: &[&str]) -> Result<(), String> {
    let mut words = vec![command, "--config", LVM, "--devices", devices];
    words.extend(arguments);
    run("lvm", &words).map_err(|error| format!("{command}: {error}"))
}

/// Takes down what an attempt before this one, in the same boot, put on the disks. After a start there is nothing.
pub(super) fn take_down(kernel: &Kernel, devices: &[Device]) -> Result<(), String> {
    let stacked = devices.iter().flat_map(|device| kernel.stacked_on(&device.name));
    let mut arrays = Vec::new();
    let mut below = Vec::new();
    let mut has_group = false;
    for name in stacked {
        let place = kernel.sys.join("class/block").join(&name);
        let is_of_the_group = fs::read_to_string(place.join("dm/name"))
            .is_ok_and(|name| name.starts_with(&format!("{VOLUME_GROUP}-")));
        has_group |= is_of_the_group;
        if place.join("md").is_dir() {
            arrays.push(format!("/dev/{name}"));
        }
        if !place.join("dm").is_dir() {
            below.push(format!("/dev/{name}"));
        }
    }
    if has_group {
        lvm("vgchange", &below.join(","), &["--activate", "n", VOLUME_GROUP])?;
    }
    arrays.sort();
    arrays.dedup();
    arrays.iter().try_for_each(|array| run("mdadm", &["--stop", array]))
}

/// Makes the RAID if there is to be one. Gives the device that the group is made on. It is not said that the disks are alike: the kernel makes
/// them so while the machine works, and a later check finds no differences.
pub(super) fn base(disks: &Disks, devices: &[Device], sys: &Path) -> Result<PathBuf, String> {
    let parts: Vec<String> = devices.iter().map(|device| device.partition(3).display().to_string()).collect();
    let Some(raid) = disks.raid else {
        return parts
            .into_iter()
            .next()
            .map(PathBuf::from)
            .ok_or_else(|| "the order names no disk".to_owned());
    };
    let is_free = |number: &u32| !sys.join(format!("block/md{number}")).exists();
    let number = (0..ARRAYS_MAX).find(is_free).ok_or("there are too many arrays")?;
    let (array, level, count) =
        (format!("/dev/md{number}"), raid.level().to_string(), parts.len().to_string());
    let mut words = vec![
        "--create",
        &array,
        "--run",
        "--metadata=1.2",
        "--level",
        &level,
        "--raid-devices",
        &count,
        "--name",
        VOLUME_GROUP,
        // Else it would be somebody else's on a machine with another name.
        "--homehost=any",
        "--bitmap=internal",
    ];
    words.extend(parts.iter().map(String::as_str));
    run("mdadm", &words)?;
    Ok(array.into())
}

/// Makes the group and its volumes, with file systems on all but the roots.
pub(super) fn group(disks: &Disks, base: &Path) -> Result<(), String> {
    let base = base.display().to_string();
    lvm("pvcreate", &base, &["-ff", "--yes", &base])?;
    lvm("vgcreate", &base, &["--yes", VOLUME_GROUP, &base])?;
    let create = |name: &str, bytes: Option<u64>| {
        let (flag, size) = match bytes {
            Some(bytes) => ("--size", format!("{bytes}b")),
            None => ("--extents", "100%FREE".to_owned()),
        };
        lvm("lvcreate", &base, &["--yes", "--wipesignatures", "y", "--name", name, flag, &size, VOLUME_GROUP])
    };
    for slot in slots(disks) {
        create(&grub::volume(slot), Some(disks.root_bytes))?;
    }
    for volume in &disks.volumes {
        create(&volume.name, volume.bytes)?;
        ext4(&grub::device(&volume.name), &volume.name)?;
    }
    Ok(())
}

/// The slots that these disks have.
pub(super) fn slots(disks: &Disks) -> impl Iterator<Item = Slot> {
    [Slot::A, Slot::B].into_iter().take(disks.slots.into())
}

/// Makes an ext4 on a device, with a label.
pub(super) fn ext4(device: &str, label: &str) -> Result<(), String> {
    // The label has room for 16.
    let label: String = label.chars().take(16).collect();
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-L", &label, device])
}

/// Makes the file system of an EFI system partition.
pub(super) fn fat(device: &Path, id: u32) -> Result<(), String> {
    let device = device.display().to_string();
    run("mkfs.vfat", &["-F", "32", "-n", ESP_LABEL, "-i", &format!("{id:08x}"), &device])
}
