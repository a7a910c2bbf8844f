//! Operating systems and how disks are used: the `os` and `layout` blocks, and a role's `burn_in`.
//!
//! In: a block. Out: a table row, and a finding for whatever in it no machine could carry out.

use crate::models::some_disks;
use crate::report::Report;
use crate::size;
use crate::syntax::{Attribute, Block, Spanned};
use crate::tables::{check_path, one_line};
use crate::value::{self, wrong_value};
use model::burn_in::BurnIn;
use model::design::{Layout, Os};
use model::finding::{Code, Finding};
use model::install::{DISKS_MAX, Filesystem, Raid, VOLUMES_MAX, Volume};
use std::ops::RangeInclusive;
use std::path::Path;

/// A root slot, if the layout does not say: room for a Debian with what servers run.
const ROOT_BYTES: u64 = 8 << 30;
/// The smallest root slot: a minimal Debian with its kernel has 0.7 GB.
const ROOT_BYTES_MIN: u64 = 1 << 30;
/// The EFI system partition, if the layout does not say: kernels and initial RAM disks of two slots.
const ESP_BYTES: u64 = 512 << 20;
/// The smallest that FAT32 is made on, with room for one kernel.
const ESP_BYTES_MIN: u64 = 128 << 20;
/// How long a part of a burn-in may last, in seconds: beyond a day it is an operator's own test.
const BURN_IN_SECONDS: RangeInclusive<u64> = 1..=86_400;
/// An empty volume there would hide what the image put in these; below them one does no harm.
const HELD: &[&str] = &["/", "/root", "/var", "/var/lib"];
/// Nothing is mounted there or below: the image's programs, the boot loader's files, the machine's settings, what the
/// kernel and systemd mount themselves, and the agent's key.
const CLOSED: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/zonewright-agent",
];
/// What of [`CLOSED`] is the operator's.
const OPEN: &str = "/usr/local";

/// An `os` block.
pub(crate) fn read_os(report: &mut Report, block: &Block, name: String) -> Os {
    let mut os = Os { name, image: String::new(), digest: None, args: String::new(), source: block.head };
    if let Some(image) = block.get("image").and_then(|attribute| value::text(report, attribute)) {
        check_path(report, &image);
        os.image = image.value;
    }
    if let Some(digest) = block.get("digest").and_then(|attribute| value::text(report, attribute)) {
        let digits = digest.value.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            let finding = Finding::error(
                Code::WrongValue,
                digest.source,
                "a digest is `sha256:` and 64 hexadecimal digits",
            );
            report
                .push(finding.help("`zw image show` prints it; leave `digest` out to take what lies there"));
        }
        os.digest = Some(digest.value);
    }
    if let Some(args) = block.get("args").and_then(|attribute| value::text(report, attribute)) {
        one_line(report, "a kernel command line", &args);
        os.args = args.value;
    }
    os
}

/// A `layout` block.
pub(crate) fn read_layout(report: &mut Report, block: &Block, name: String) -> Layout {
    let mut layout = Layout {
        name,
        disks: 1,
        size_bytes: None,
        kind: None,
        raid: None,
        slots: 2,
        root_bytes: ROOT_BYTES,
        esp_bytes: ESP_BYTES,
        volumes: Vec::new(),
        source: block.head,
    };
    let disks = block.get("disks").and_then(|disks| some_disks(report, &disks.value, DISKS_MAX as u32));
    if let Some(disks) = disks {
        layout.disks = disks.count.unwrap_or(1);
        (layout.size_bytes, layout.kind) = (disks.size_bytes, disks.kind);
    }
    if let Some(raid) = block.get("raid") {
        layout.raid = match value::integer(report, raid, 1..=10) {
            Some(1) => Some(Raid::Raid1),
            Some(10) => Some(Raid::Raid10),
            Some(other) => {
                wrong_value(report, raid.value.source, format!("RAID {other} is not among 1 and 10"));
                None
            }
            None => None,
        };
        if let Some(sentence) = layout.raid.and_then(|raid| too_few(raid, layout.disks)) {
            wrong_value(report, raid.value.source, sentence);
        }
    } else if layout.disks > 1 {
        let finding = Finding::error(
            Code::MissingKey,
            block.head,
            format!("{} disks hold the system, and nothing says how", layout.disks),
        );
        report.push(finding.help("write `raid = 1`"));
    }
    if let Some(slots) = block.get("slots").and_then(|attribute| value::integer(report, attribute, 1..=2)) {
        layout.slots = if slots == 1 { 1 } else { 2 };
    }
    if let Some(bytes) = at_least(report, block, "root", ROOT_BYTES_MIN, "1GiB") {
        layout.root_bytes = bytes;
    }
    if let Some(bytes) = at_least(report, block, "esp", ESP_BYTES_MIN, "128MiB") {
        layout.esp_bytes = bytes;
    }
    for volume in block.all("volume") {
        read_volume(report, volume, &mut layout.volumes);
    }
    layout
}

/// The `burn_in` of a role.
pub(crate) fn read_burn_in(report: &mut Report, attribute: &Attribute) -> BurnIn {
    let mut burn_in = BurnIn::default();
    for entry in value::object(report, attribute, &["cpu", "memory", "disk"]).unwrap_or_default() {
        let key = entry.key.value.as_str();
        let seconds = match key {
            "cpu" => &mut burn_in.cpu_seconds,
            "memory" => &mut burn_in.memory_seconds,
            "disk" => &mut burn_in.disk_seconds,
            _ => continue,
        };
        let Some(text) = value::text(report, entry) else { continue };
        match size::seconds(&text.value).filter(|seconds| BURN_IN_SECONDS.contains(seconds)) {
            Some(whole) => *seconds = whole as u32,
            None => wrong_value(
                report,
                text.source,
                format!("`{key}` of a burn-in is a time from `1s` to `24h`, such as `10m`"),
            ),
        }
    }
    burn_in
}

/// Why so many disks do not form this RAID.
fn too_few(raid: Raid, disks: u32) -> Option<String> {
    let level = raid.level();
    if disks < raid.disks_min() {
        return Some(format!(
            "RAID {level} needs at least {} disks, the layout has {disks}",
            raid.disks_min()
        ));
    }
    (raid == Raid::Raid10 && disks % 2 == 1).then(|| format!("RAID {level} needs an even number of disks"))
}

fn read_volume(report: &mut Report, block: &Block, volumes: &mut Vec<Volume>) -> Option<()> {
    let name = block.labels.first()?;
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.value.is_empty() || name.value.len() > 32 || !name.value.chars().all(letters) {
        let sentence = format!("`{}` is not a volume's name", name.value);
        let finding = Finding::error(Code::BadName, name.source, sentence);
        report.push(finding.help("use lower case letters, digits and `_`, at most 32"));
    }
    if matches!(name.value.as_str(), "root_a" | "root_b")
        || volumes.iter().any(|volume| volume.name == name.value)
    {
        let sentence = format!("there is a volume `{}` already", name.value);
        report.push(Finding::error(Code::WrittenTwice, name.source, sentence));
    }
    if volumes.len() >= VOLUMES_MAX {
        wrong_value(report, name.source, format!("a layout has at most {VOLUMES_MAX} volumes"));
        return None;
    }
    if volumes.last().is_some_and(|volume| volume.bytes.is_none()) {
        let sentence = "the volume before it has no `size`, and so takes all that is left";
        wrong_value(report, name.source, sentence);
    }
    let mount = value::text(report, block.get("mount")?)?;
    check_mount(report, &mount, volumes);
    let bytes = match block.get("size") {
        Some(size) => Some(value::bytes(report, size)?.value),
        None => None,
    };
    volumes.push(Volume {
        name: name.value.clone(),
        bytes,
        mount: mount.value,
        filesystem: Filesystem::Ext4,
    });
    Some(())
}

/// A mount point goes into `/etc/fstab` as it is, and hides what was there.
fn check_mount(report: &mut Report, mount: &Spanned<String>, volumes: &[Volume]) {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let is_path = mount.value.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain));
    let mounted = Path::new(&mount.value);
    let is_below = |closed: &&&str| mounted.starts_with(closed) && !mounted.starts_with(OPEN);
    if HELD.contains(&mount.value.as_str()) {
        let sentence = format!("a volume at `{}` would hide what the system has there", mount.value);
        wrong_value(report, mount.source, sentence);
    } else if let Some(closed) = CLOSED.iter().find(is_below) {
        wrong_value(report, mount.source, format!("`{closed}` is the system's own, and so is all below it"));
    } else if !is_path {
        let sentence = format!("`{}` is not a plain absolute path", mount.value);
        report.push(Finding::error(Code::WrongValue, mount.source, sentence).help("write it as `/srv/data`"));
    } else if volumes.iter().any(|volume| volume.mount == mount.value) {
        let sentence = format!("`{}` is mounted twice", mount.value);
        report.push(Finding::error(Code::WrittenTwice, mount.source, sentence));
    }
}

fn at_least(report: &mut Report, block: &Block, key: &str, least: u64, in_words: &str) -> Option<u64> {
    let written = value::bytes(report, block.get(key)?)?;
    if written.value < least {
        wrong_value(report, written.source, format!("`{key}` needs at least {in_words}"));
    }
    Some(written.value)
}
