//! What an order may ask of disks, and where its partitions lie: arithmetic alone.

use super::gpt;
use api::install::{DISKS_MAX, Disks, Raid, VOLUMES_MAX};
use std::collections::BTreeSet;

const MIB: u64 = 1 << 20;
/// Partitions begin and end at multiples of this.
const ALIGNMENT: u64 = MIB;
/// FAT32 needs 65,525 clusters.
const ESP_MIN: u64 = 64 * MIB;
/// No system is smaller.
const ROOT_MIN: u64 = 64 * MIB;
/// What LVM keeps for itself at the beginning, at least.
const GROUP_OVERHEAD: u64 = MIB;

/// Where the partitions of one disk are, in blocks, first and last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Partitions {
    /// 1: GRUB for a BIOS.
    pub bios: (u64, u64),
    /// 2: the EFI system partition. GRUB looks for it there.
    pub esp: (u64, u64),
    /// 3: the group, or a part of the RAID below it.
    pub rest: (u64, u64),
}

/// Where the partitions of a disk of `blocks` blocks of `block` octets are.
pub(super) fn partitions(block: u64, blocks: u64, esp_bytes: u64) -> Result<Partitions, String> {
    if !block.is_power_of_two() || !(512..=ALIGNMENT).contains(&block) {
        return Err(format!("blocks of {block} octets are none that it can use"));
    }
    let unit = ALIGNMENT / block;
    let (first, last) = gpt::usable(block, blocks);
    let rest = unit + esp_bytes.div_ceil(ALIGNMENT) * unit;
    let end = (last + 1) / unit * unit;
    if end <= rest {
        return Err(format!("{} MiB are too few for its partitions", blocks * block / MIB));
    }
    Ok(Partitions { bios: (first, unit - 1), esp: (unit, rest - 1), rest: (rest, end - 1) })
}

/// The name of a partition of a disk, as the kernel makes it.
pub(super) fn partition_name(disk: &str, number: u8) -> String {
    let joint = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{joint}{number}")
}

/// Whether an order makes sense by itself, before any disk is looked at.
pub(super) fn judge(disks: &Disks) -> Result<(), String> {
    let count = disks.system.len();
    let names: BTreeSet<&str> = disks.system.iter().map(|disk| disk.name.as_str()).collect();
    if names.len() != count {
        return Err("the order names a disk twice".into());
    }
    let is_plain = |name: &&&str| {
        !name.is_empty()
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(format!("{name:?} is no name of a disk"));
    }
    let enough = |raid: Raid| (raid.disks_min() as usize..=DISKS_MAX).contains(&count);
    match disks.raid {
        None if count == 1 => {}
        None => return Err(format!("one disk is used without raid, and the order names {count}")),
        Some(raid @ Raid::Raid1) if enough(raid) => {}
        Some(Raid::Raid1) => {
            return Err(format!("raid 1 needs two disks or more, and the order names {count}"));
        }
        Some(raid @ Raid::Raid10) if enough(raid) && count.is_multiple_of(2) => {}
        Some(Raid::Raid10) => {
            return Err(format!(
                "raid 10 needs an even number of disks from four, and the order names {count}"
            ));
        }
    }
    if !(1..=2).contains(&disks.slots) {
        return Err(format!("there are one or two slots, and the order wants {}", disks.slots));
    }
    if disks.esp_bytes < ESP_MIN || disks.root_bytes < ROOT_MIN {
        return Err(format!("a slot and the efi system partition need at least {} MiB each", ESP_MIN / MIB));
    }
    volumes(disks)?;
    let smallest = disks.system.iter().map(|disk| disk.size_bytes).min().unwrap_or(0);
    let on_each = smallest.saturating_sub(disks.esp_bytes.saturating_add(2 * MIB));
    let room = match disks.raid {
        Some(Raid::Raid10) => on_each.saturating_mul(count as u64 / 2),
        _ => on_each,
    }
    .saturating_sub(GROUP_OVERHEAD);
    let wanted = disks
        .volumes
        .iter()
        .filter_map(|volume| volume.bytes)
        .fold(disks.root_bytes.saturating_mul(disks.slots.into()), u64::saturating_add);
    if wanted > room {
        return Err(format!(
            "the order wants volumes of {} MiB, and the disks have room for {} MiB",
            wanted / MIB,
            room / MIB
        ));
    }
    Ok(())
}

fn volumes(disks: &Disks) -> Result<(), String> {
    if disks.volumes.len() > VOLUMES_MAX {
        return Err(format!("the order has more than {VOLUMES_MAX} volumes"));
    }
    let mut names = BTreeSet::from(["root_a", "root_b"]);
    let mut mounts = BTreeSet::from(["/"]);
    for (at, volume) in disks.volumes.iter().enumerate() {
        let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_';
        if !(1..=64).contains(&volume.name.len()) || !volume.name.bytes().all(is_plain) {
            return Err(format!("{:?} is no name of a volume", volume.name));
        }
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
        };
        if !volume.mount.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part)) {
            return Err(format!("{:?} is no place to mount a volume", volume.mount));
        }
        if !names.insert(&volume.name) || !mounts.insert(&volume.mount) {
            return Err(format!("the name or the place of the volume {} is taken", volume.name));
        }
        if volume.bytes.is_none() && at + 1 != disks.volumes.len() {
            return Err("only the last volume takes what is left".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::install::{Disk, Filesystem, Volume};
    use expect_test::{Expect, expect};

    fn order(names: &[&str], raid: Option<Raid>) -> Disks {
        let disk = |name: &&str| Disk { name: (*name).to_owned(), size_bytes: 4 << 30 };
        Disks {
            system: names.iter().map(disk).collect(),
            raid,
            esp_bytes: 512 * MIB,
            slots: 2,
            root_bytes: 1 << 30,
            volumes: vec![volume("data", "/srv/data", None)],
        }
    }

    fn volume(name: &str, mount: &str, bytes: Option<u64>) -> Volume {
        Volume { name: name.into(), bytes, mount: mount.into(), filesystem: Filesystem::Ext4 }
    }

    fn check(disks: &Disks, expected: Expect) {
        expected.assert_eq(&judge(disks).map_or_else(|error| error, |()| "good".into()));
    }

    #[test]
    fn an_order_that_cannot_be_is_refused_with_what_is_wrong() {
        check(&order(&["sda"], None), expect!["good"]);
        check(&order(&["nvme0n1", "nvme1n1"], Some(Raid::Raid1)), expect!["good"]);
        check(&order(&["a", "b", "c", "d"], Some(Raid::Raid10)), expect!["good"]);
        check(&order(&[], None), expect!["one disk is used without raid, and the order names 0"]);
        check(&order(&["sda", "sdb"], None), expect!["one disk is used without raid, and the order names 2"]);
        check(
            &order(&["sda"], Some(Raid::Raid1)),
            expect!["raid 1 needs two disks or more, and the order names 1"],
        );
        check(
            &order(&["a", "b", "c", "d", "e"], Some(Raid::Raid10)),
            expect!["raid 10 needs an even number of disks from four, and the order names 5"],
        );
        check(&order(&["sda", "sda"], Some(Raid::Raid1)), expect!["the order names a disk twice"]);
        check(&order(&["../sda"], None), expect![[r#""../sda" is no name of a disk"#]]);
        check(&order(&[""], None), expect![[r#""" is no name of a disk"#]]);
        let with = |change: fn(&mut Disks)| {
            let mut disks = order(&["sda"], None);
            change(&mut disks);
            disks
        };
        check(&with(|disks| disks.slots = 3), expect!["there are one or two slots, and the order wants 3"]);
        check(
            &with(|disks| disks.esp_bytes = 1 << 20),
            expect!["a slot and the efi system partition need at least 64 MiB each"],
        );
        check(
            &with(|disks| disks.root_bytes = 2 << 30),
            expect!["the order wants volumes of 4096 MiB, and the disks have room for 3581 MiB"],
        );
        check(
            &with(|disks| disks.root_bytes = u64::MAX),
            expect!["the order wants volumes of 17592186044415 MiB, and the disks have room for 3581 MiB"],
        );
        check(
            &with(|disks| disks.volumes = vec![volume("root_a", "/x", None)]),
            expect!["the name or the place of the volume root_a is taken"],
        );
        check(
            &with(|disks| disks.volumes = vec![volume("a b", "/x", None)]),
            expect![[r#""a b" is no name of a volume"#]],
        );
        check(
            &with(|disks| disks.volumes = vec![volume("x", "/../etc", None)]),
            expect![[r#""/../etc" is no place to mount a volume"#]],
        );
        check(
            &with(|disks| disks.volumes = vec![volume("x", "/a b", None)]),
            expect![[r#""/a b" is no place to mount a volume"#]],
        );
        check(
            &with(|disks| disks.volumes = vec![volume("x", "/x", None), volume("y", "/y", Some(1))]),
            expect!["only the last volume takes what is left"],
        );
    }

    #[test]
    fn partitions_are_aligned_and_leave_room_for_both_tables() {
        let check = |block: u64, bytes: u64, expected: Expect| {
            expected.assert_eq(&format!("{:?}", partitions(block, bytes / block, 64 * MIB)));
        };
        check(
            512,
            (1 << 30) + 12_288,
            expect!["Ok(Partitions { bios: (34, 2047), esp: (2048, 133119), rest: (133120, 2095103) })"],
        );
        check(
            4096,
            1 << 30,
            expect!["Ok(Partitions { bios: (6, 255), esp: (256, 16639), rest: (16640, 261887) })"],
        );
        check(512, 66 << 20, expect![[r#"Err("66 MiB are too few for its partitions")"#]]);
        check(512, 512, expect![[r#"Err("0 MiB are too few for its partitions")"#]]);
        check(520, 1 << 30, expect![[r#"Err("blocks of 520 octets are none that it can use")"#]]);
    }

    #[test]
    fn partitions_are_called_as_the_kernel_calls_them() {
        assert_eq!(partition_name("sda", 2), "sda2");
        assert_eq!(partition_name("nvme0n1", 3), "nvme0n1p3");
    }
}
