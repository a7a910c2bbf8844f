//! Disks, from `/sys/block`: whole devices that hold data, not what is stacked on them.

use super::{line, text};
use model::facts::Disk;
use std::fs;
use std::path::Path;

/// Kernel drivers whose block devices are not disks in the box.
const NOT_DISKS: [&str; 10] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "rbd", "drbd"];

/// More are not looked at.
const DISKS_MAX: usize = 512;

/// The disks under `root`, by name.
pub(super) fn found(root: &Path) -> Vec<Disk> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut disks: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            disk(&root.join(&name), &name)
        })
        .take(DISKS_MAX)
        .collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks
}

fn disk(path: &Path, name: &str) -> Option<Disk> {
    if NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) || text(&path.join("removable")).trim() == "1"
    {
        return None;
    }
    // The unit of `size` is 512 octets, whatever the disk's own sectors are.
    let size_bytes =
        line(&path.join("size")).parse::<u64>().ok()?.checked_mul(512).filter(|size| *size > 0)?;
    let rotates = text(&path.join("queue/rotational")).trim() == "1";
    let kind = match rotates {
        _ if name.starts_with("nvme") => "nvme",
        true => "hdd",
        false => "ssd",
    };
    Some(Disk { name: name.to_owned(), size_bytes, kind: kind.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn disks_are_told_by_kind_and_other_devices_left_out() {
        let root = std::env::temp_dir().join(format!("zw-agent-{}-disks", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let make = |name: &str, size: &str, rotational: &str, removable: &str| {
            fs::create_dir_all(root.join(name).join("queue")).expect("made");
            fs::write(root.join(name).join("size"), size).expect("written");
            fs::write(root.join(name).join("queue/rotational"), rotational).expect("written");
            fs::write(root.join(name).join("removable"), removable).expect("written");
        };
        make("sdb", "3750748848\n", "1\n", "0\n");
        make("sda", "1875374424\n", "0\n", "0\n");
        make("nvme0n1", "3750748848\n", "0\n", "0\n");
        make("loop0", "8\n", "1\n", "0\n");
        make("dm-0", "8\n", "0\n", "0\n");
        make("zram0", "8\n", "0\n", "0\n");
        make("sdc", "8\n", "1\n", "1\n");
        make("sdd", "0\n", "1\n", "0\n");
        make("sde", "18446744073709551615\n", "1\n", "0\n");
        let shown: Vec<_> = found(&root)
            .iter()
            .map(|disk| format!("{} {} {}", disk.name, disk.size_bytes, disk.kind))
            .collect();
        expect![[r#"
            [
                "nvme0n1 1920383410176 nvme",
                "sda 960191705088 ssd",
                "sdb 1920383410176 hdd",
            ]
        "#]]
        .assert_debug_eq(&shown);
        fs::remove_dir_all(&root).expect("removed");
    }
}
