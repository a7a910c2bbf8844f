//! What is in the box: CPUs, memory, disks, firmware, interfaces, system.
//!
//! In: the kernel's files under `/sys`, `/proc` and `/etc`, and its list of interfaces. Out: [`Hardware`]. What a machine
//! does not tell stays empty; nothing here fails. Neighbours are `lldp`'s.

mod disks;
mod nics;
mod replacement;

pub use replacement::replace;

use model::facts::Hardware;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No file of the kernel that is read here is longer.
const FILE_MAX: u64 = 64 << 10;

/// A text of firmware or kernel is cut here.
const TEXT_MAX: usize = 128;

/// Everything that can be found. Reads files; a dying disk can make it slow.
pub fn gather() -> Hardware {
    let dmi = |name: &str| line(&Path::new("/sys/class/dmi/id").join(name));
    let (nics, stacked) = nics::found(Path::new("/sys/class/net"));
    Hardware {
        cpus: cpus(&text(Path::new("/sys/devices/system/cpu/online"))),
        memory_bytes: memory_bytes(&text(Path::new("/proc/meminfo"))),
        disks: disks::found(Path::new("/sys/block")),
        firmware: dmi("bios_version"),
        serial: dmi("product_serial"),
        uuid: dmi("product_uuid").to_ascii_lowercase(),
        nics,
        stacked,
        clock_skew_ms: 0,
        system: system(&text(Path::new("/etc/os-release")), &line(Path::new("/proc/sys/kernel/osrelease"))),
    }
}

/// Logical CPUs in the kernel's list form: `0-3,8,10-11`.
fn cpus(list: &str) -> u32 {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            last.checked_sub(first)?.checked_add(1)
        })
        .fold(0, u32::saturating_add)
}

/// `MemTotal` of `/proc/meminfo`, in bytes: what the kernel manages, a little less than what is plugged in.
fn memory_bytes(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// `Debian GNU/Linux 12 (bookworm), Linux 6.1.0-18-amd64`.
fn system(os_release: &str, kernel: &str) -> String {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or("", |value| value.trim_matches('"'));
    match (name, kernel) {
        ("", "") => String::new(),
        (name, "") => shown(name),
        ("", kernel) => shown(&format!("Linux {kernel}")),
        (name, kernel) => shown(&format!("{name}, Linux {kernel}")),
    }
}

/// A short file of the kernel; empty if it cannot be read.
fn text(path: &Path) -> String {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut octets));
    if read.is_err() {
        octets.clear();
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Its first line.
fn line(path: &Path) -> String {
    shown(text(path).lines().next().unwrap_or_default())
}

/// A text from outside, fit to be shown: one line, no control characters, not long.
pub(crate) fn shown(text: &str) -> String {
    let shown: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    beginning(&shown, TEXT_MAX).to_owned()
}

/// As much of a text as fits in so many octets.
pub(crate) fn beginning(text: &str, octets_max: usize) -> &str {
    let mut end = text.len().min(octets_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn cpus_are_counted_in_every_form_of_the_list() {
        let counts: Vec<_> = ["0-3", "0", "0-3,8,10-11\n", "", "3-1", "x", "0-4294967295"].map(cpus).into();
        expect!["[4, 1, 7, 0, 0, 0, 0]"].assert_eq(&format!("{counts:?}"));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), 16 << 20);
        assert_eq!(memory_bytes("nothing"), 0);
    }

    #[test]
    fn the_system_says_distribution_and_kernel() {
        let check = |release: &str, kernel: &str| system(release, kernel);
        expect!["Debian GNU/Linux 12 (bookworm), Linux 6.1.0"]
            .assert_eq(&check("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "6.1.0"));
        expect!["Linux 6.1.0"].assert_eq(&check("", "6.1.0"));
        expect![""].assert_eq(&check("", ""));
    }

    #[test]
    fn texts_from_firmware_are_made_fit_to_be_shown() {
        assert_eq!(shown("  a\x1b[31mb\tc  "), "a [31mb c");
        assert!(shown(&"é".repeat(200)).len() <= TEXT_MAX);
    }
}
