//! What a machine of the lab is found to have: what its model expects, unless somebody broke it. Pure.

use crate::identity;
use crate::machine::Body;
use model::Mac;
use model::facts::{Disk, Hardware, Nic};
use std::fmt;

/// What a machine has when its model says nothing.
const CPUS: u32 = 2;
const MEMORY_BYTES: u64 = 4 << 30;
const NIC_MBPS: u32 = 10_000;

/// A way in which a machine differs from its model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// So many octets of memory.
    Memory(u64),
    /// So many logical CPUs.
    Cpus(u32),
    /// Only so many disks.
    Disks(usize),
    /// This firmware version.
    Firmware(String),
    /// This speed on every interface, in Mbit/s.
    NicMbps(u32),
    /// A real machine's clock begins on this day at each power-on; empty: it is right.
    Rtc(String),
}

/// A fault that was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotAFault;

impl fmt::Display for NotAFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault is written memory=256GiB, cpus=8, disks=0, firmware=2.1, nic_mbps=1000, rtc=2060-01-01 or rtc=right")
    }
}

impl std::error::Error for NotAFault {}

impl std::str::FromStr for Fault {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, NotAFault> {
        let (what, value) = text.split_once('=').ok_or(NotAFault)?;
        match what {
            "memory" => octets(value).map(Fault::Memory).ok_or(NotAFault),
            "cpus" => value.parse().map(Fault::Cpus).map_err(|_| NotAFault),
            "disks" => value.parse().map(Fault::Disks).map_err(|_| NotAFault),
            "nic_mbps" => value.parse().map(Fault::NicMbps).map_err(|_| NotAFault),
            "rtc" if value == "right" => Ok(Fault::Rtc(String::new())),
            "rtc" if is_day(value) => Ok(Fault::Rtc(value.to_owned())),
            "firmware" if !value.is_empty() => Ok(Fault::Firmware(value.to_owned())),
            _ => Err(NotAFault),
        }
    }
}

/// A day as 2060-01-01. Whether there is such a day is QEMU's to say.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &&str| part.bytes().all(|octet| octet.is_ascii_digit());
    matches!(parts[..], [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2))
        && parts.iter().all(digits)
}

fn octets(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => 1,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// What an agent finds in a machine that was replaced so often and has these faults. `mac` gives a port's address.
pub(crate) fn hardware(body: &Body, replaced: u32, faults: &[Fault], mac: &dyn Fn(&str) -> Mac) -> Hardware {
    let expect = &body.model.expect;
    let disks = expect.disks.iter().flat_map(|disks| {
        let kind = disks.kind.clone().unwrap_or_else(|| "ssd".to_owned());
        (0..disks.count).map(move |_| (disks.size_bytes, kind.clone()))
    });
    let disks = disks.enumerate().map(|(number, (size_bytes, kind))| {
        let name = if kind == "nvme" { format!("nvme{number}n1") } else { format!("sd{}", letter(number)) };
        Disk { name, size_bytes, kind }
    });
    let mut found = Hardware {
        cpus: expect.cpus.unwrap_or(CPUS),
        // Firmware keeps some of what the label says for itself.
        memory_bytes: expect.memory_bytes.unwrap_or(MEMORY_BYTES) / 100 * 98,
        disks: disks.collect(),
        firmware: expect.firmware.clone().unwrap_or_else(|| "lab-1".to_owned()),
        serial: identity::serial(&body.location, replaced),
        uuid: identity::uuid_text(&identity::uuid(&body.location, replaced)),
        nics: body
            .ports
            .iter()
            .map(|(name, _)| Nic {
                name: name.clone(),
                mac: mac(name),
                mbps: Some(expect.nic_mbps.unwrap_or(NIC_MBPS)),
                neighbour: None,
            })
            .collect(),
        stacked: None,
        clock_skew_ms: 0,
        system: "zonewright lab".to_owned(),
    };
    for fault in faults {
        match fault {
            Fault::Memory(octets) => found.memory_bytes = *octets,
            Fault::Cpus(cpus) => found.cpus = *cpus,
            Fault::Disks(count) => found.disks.truncate(*count),
            Fault::Firmware(version) => found.firmware.clone_from(version),
            Fault::Rtc(_) => {}
            Fault::NicMbps(mbps) => found.nics.iter_mut().for_each(|nic| nic.mbps = Some(*mbps)),
        }
    }
    found
}

fn letter(number: usize) -> char {
    char::from(b'a' + u8::try_from(number % 26).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        expected.assert_eq(&format!("{:?}", text.parse::<Fault>()));
    }

    #[test]
    fn faults_as_people_write_them() {
        check("memory=256GiB", &expect!["Ok(Memory(274877906944))"]);
        check("memory=1TB", &expect!["Ok(Memory(1000000000000))"]);
        check("cpus=8", &expect!["Ok(Cpus(8))"]);
        check("disks=0", &expect!["Ok(Disks(0))"]);
        check("firmware=2.1", &expect![[r#"Ok(Firmware("2.1"))"#]]);
        check("nic_mbps=1000", &expect!["Ok(NicMbps(1000))"]);
        check("memory=99999999999TiB", &expect!["Err(NotAFault)"]);
        check("rtc=2060-01-01", &expect![[r#"Ok(Rtc("2060-01-01"))"#]]);
        check("rtc=right", &expect![[r#"Ok(Rtc(""))"#]]);
        check("rtc=2060-1-1", &expect!["Err(NotAFault)"]);
        check("rtc=2060-01-01,base", &expect!["Err(NotAFault)"]);
        check("memory=lots", &expect!["Err(NotAFault)"]);
        check("firmware=", &expect!["Err(NotAFault)"]);
        check("colour=red", &expect!["Err(NotAFault)"]);
    }
}
