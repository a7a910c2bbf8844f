//! A file that says what is in the box, for machines that have no box of their own: those of a lab.
//!
//! In: JSON with some of the fields of [`Hardware`]. What it does not name stays as found; of interfaces it gives only the
//! speed of those that are there: which there are, their addresses and their neighbours are real in a lab too.

use model::facts::{Disk, Hardware};
use serde::Deserialize;
use std::path::Path;

/// The longest file that is read, in octets.
const FILE_MAX: u64 = 256 << 10;

#[derive(Deserialize)]
struct Replacement {
    cpus: Option<u32>,
    memory_bytes: Option<u64>,
    disks: Option<Vec<Disk>>,
    firmware: Option<String>,
    serial: Option<String>,
    uuid: Option<String>,
    system: Option<String>,
    #[serde(default)]
    nics: Vec<Speed>,
}

#[derive(Deserialize)]
struct Speed {
    name: String,
    mbps: Option<u32>,
}

/// Puts what the file at `path` says in place of what was found.
///
/// # Errors
/// A sentence that names the file: it cannot be read, is too long, or is not such JSON. `found` is as it was then.
pub fn replace(found: &mut Hardware, path: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("failed to read the hardware file {}: {error}", path.display())
    };
    if std::fs::metadata(path).map_err(|error| failed(&error))?.len() > FILE_MAX {
        return Err(failed(&"it is too long"));
    }
    let text = std::fs::read(path).map_err(|error| failed(&error))?;
    let replacement: Replacement = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    let Replacement { cpus, memory_bytes, disks, firmware, serial, uuid, system, nics } = replacement;
    put(&mut found.cpus, cpus);
    put(&mut found.memory_bytes, memory_bytes);
    put(&mut found.disks, disks);
    put(&mut found.firmware, firmware);
    put(&mut found.serial, serial);
    put(&mut found.uuid, uuid);
    put(&mut found.system, system);
    for nic in &mut found.nics {
        let speed = nics.iter().find(|speed| speed.name == nic.name).and_then(|speed| speed.mbps);
        nic.mbps = speed.or(nic.mbps);
    }
    Ok(())
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Mac;
    use model::facts::Nic;

    fn check(text: &str) -> Result<Hardware, String> {
        let path = std::env::temp_dir().join(format!("zw-agent-{}-{:x}", std::process::id(), text.len()));
        std::fs::write(&path, text).expect("written");
        let nic = |name: &str, last| Nic {
            name: name.into(),
            mac: Mac([2, 0, 0, 0, 0, last]),
            mbps: Some(10_000),
            neighbour: None,
        };
        let nics = vec![nic("eno1", 1), nic("eno2", 2)];
        let mut found = Hardware { cpus: 2, serial: "own".into(), nics, ..Hardware::default() };
        let outcome = replace(&mut found, &path).map(|()| found);
        std::fs::remove_file(&path).expect("removed");
        outcome
    }

    #[test]
    fn what_the_file_names_is_replaced_and_the_rest_stays() {
        let found = check(r#"{"cpus": 64, "disks": [{"name": "sda", "size_bytes": 1, "kind": "ssd"}]}"#)
            .expect("good");
        assert_eq!((found.cpus, found.disks.len(), found.serial.as_str()), (64, 1, "own"));
        // A whole report, as a real agent sent it, is as good.
        let whole = serde_json::to_string(&Hardware { cpus: 8, ..Hardware::default() }).expect("json");
        let found = check(&whole).expect("good");
        assert_eq!((found.cpus, found.serial.as_str()), (8, ""));
    }

    #[test]
    fn interfaces_are_those_that_are_there_at_the_speed_that_the_file_says() {
        let found = check(
            r#"{"nics": [{"name": "eno1", "mac": "02:00:00:00:00:09", "mbps": 25000}, {"name": "eno9"}]}"#,
        )
        .expect("good");
        let nics: Vec<_> = found.nics.iter().map(|nic| (nic.name.as_str(), nic.mac.0[5], nic.mbps)).collect();
        assert_eq!(nics, [("eno1", 1, Some(25_000)), ("eno2", 2, Some(10_000))]);
    }

    #[test]
    fn a_bad_file_is_named() {
        assert!(check("{").is_err_and(|error| error.starts_with("failed to read the hardware file")));
        assert!(check(r#"{"cpus": "many"}"#).is_err());
        let missing = replace(&mut Hardware::default(), Path::new("/nonexistent/hardware.json"));
        assert!(missing.is_err_and(|error| error.contains("/nonexistent/hardware.json")));
    }
}
