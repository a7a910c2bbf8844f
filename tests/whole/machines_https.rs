//! Real firmware that boots by HTTPS: it knows the zone's authority, or another one, or its clock is wrong.
//!
//! It takes an OVMF from EDK2 2025.05 on, and an iPXE that believes the firmware's authorities (from March 2025): `cargo xtask firmware` unpacks both
//! beside what cargo builds.

use crate::machines::{Zone, is_asked, is_ready};
use crate::network::skip;
use crate::zw::transcript;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const UNIT: &str = "p01/r1/u01";

/// Where the newer packages were unpacked.
fn newer() -> Option<PathBuf> {
    let place =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory").join("newer-firmware");
    if place.join("unpacked").exists() {
        return Some(place);
    }
    skip("there is no newer OVMF here: `cargo xtask firmware` fetches it");
    None
}

/// The zone of `tests/whole/machines`, whose machines boot by HTTPS.
fn zone(test: &str) -> Option<Zone> {
    let zone = Zone::new(test)?;
    zone.role("https = true");
    Some(zone)
}

/// Powers it on with a real machine; with this iPXE, or Debian's of this system.
fn up(zone: &Zone, newer: &Path, ipxe: Option<&Path>) -> bool {
    let ovmf = newer.join("usr/share/OVMF").display().to_string();
    let mut words = vec!["--vm", "p01/r1/u01,uefi-http", "--ovmf", &ovmf];
    let ipxe = ipxe.map(|path| path.display().to_string());
    words.extend(ipxe.iter().flat_map(|path| ["--loaders", path.as_str()]));
    zone.up_with(&words)
}

#[test]
fn the_whole_chain_is_https_and_only_from_our_authority() {
    if !is_asked() {
        return;
    }
    let Some(newer) = newer() else { return };
    let Some(zone) = zone("https") else { return };
    if !up(&zone, &newer, Some(&newer.join("usr/lib/ipxe"))) {
        return;
    }
    let console = zone.console(UNIT);
    assert!(console.contains("URI: https://"), "{console}");
    // iPXE by itself, before it asks DHCP for anything but an address.
    assert!(console.contains("HTTPS") && console.contains("autoexec.ipxe... ok"), "{console}");
    for file in ["auto.ipxe", "/vmlinuz", "/installer.img", "/agent.img"] {
        let fetched = console.split_whitespace().filter(|word| word.contains("://") && word.contains(file));
        let fetched: Vec<&str> = fetched.collect();
        assert!(
            !fetched.is_empty() && fetched.iter().all(|url| url.starts_with("https://")),
            "{file}: {fetched:?}\n{console}"
        );
    }
    assert!(zone.shown(UNIT).contains("uefi-http"), "{}", zone.shown(UNIT));
    // A neighbour that the lab plays boots so too.
    zone.machine("a played machine", "p01/r1/u02", is_ready);

    // A clock that is past the certificate's end.
    assert!(!refusals(&zone).contains("certificate-refused"), "{}", refusals(&zone));
    let fetched = files_fetched(&zone);
    zone.say(&["break", UNIT, "rtc=2060-01-01"]);
    until_refused(&zone, 1);
    assert_eq!(files_fetched(&zone), fetched);
    // Another authority than ours.
    let authorities = zone.lab_path().join("authorities");
    let ours = fs::read(&authorities).expect("it was given one");
    zone.say(&["power", "off", UNIT]);
    fs::write(&authorities, another(&ours)).expect("a file");
    let before = count_refused(&zone);
    zone.say(&["break", UNIT, "rtc=right"]);
    until_refused(&zone, before + 1);
    assert_eq!(files_fetched(&zone), fetched);
    // What the operator sees of it, where people look for a machine that does not come.
    let why = transcript(&zone.asked(&["why", UNIT]));
    assert!(why.contains("certificate-refused") && why.contains("zw authority"), "{why}");
    // Ours again: it was nothing else.
    zone.say(&["power", "off", UNIT]);
    fs::write(&authorities, ours).expect("a file");
    zone.say(&["power", "on", UNIT]);
    zone.machine("ready again", UNIT, is_ready);
    assert!(files_fetched(&zone) > fetched);
}

#[test]
fn an_ipxe_without_https_goes_on_by_http() {
    if !is_asked() {
        return;
    }
    let Some(newer) = newer() else { return };
    let Some(zone) = zone("half") else { return };
    if !up(&zone, &newer, None) {
        return;
    }
    let console = zone.console(UNIT);
    assert!(console.contains("URI: https://"), "{console}");
    assert!(console.contains("http://") && !console.contains("autoexec.ipxe... ok"), "{console}");
}

#[test]
fn https_on_an_ovmf_that_cannot_is_refused_before_anything_starts() {
    let Some(zone) = zone("cannot") else { return };
    let output = zone.try_up(&["--vm", "p01/r1/u01,uefi-http"]);
    let told = transcript(&output);
    if fs::read_to_string("/var/lib/dpkg/status").is_ok_and(|status| status.contains("Version: 2022.11-6")) {
        assert!(told.contains("the OVMF 2022.11 in /usr/share/OVMF has no elliptic curves"), "{told}");
        assert!(!output.status.success());
    }
}

fn refusals(zone: &Zone) -> String {
    transcript(&zone.asked(&["show", "refusals"]))
}

/// How often the machine did not believe the controller.
fn count_refused(zone: &Zone) -> u64 {
    let text = transcript(&zone.asked(&["show", "refusals", "--json"]));
    let json = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{text}"));
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    json["counts"]["http"]["certificate-refused"].as_u64().unwrap_or_default()
}

fn until_refused(zone: &Zone, times: u64) {
    zone.machine(&format!("{times} refusals of the certificate"), UNIT, |_| count_refused(zone) >= times);
}

/// How many boot files were sent whole, to whomever.
fn files_fetched(zone: &Zone) -> u64 {
    let socket = zone.lab_path().join("api.sock");
    let output = Command::new("curl")
        .args(["--silent", "--unix-socket", &socket.to_string_lossy(), "http://localhost/metrics"])
        .output();
    let text = String::from_utf8(output.expect("curl runs").stdout).expect("text");
    let line = text.lines().find(|line| line.starts_with("zonewright_answers_total{protocol=\"http\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// The same list with the certificate of another authority in it.
fn another(list: &[u8]) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let key = rcgen::KeyPair::generate().expect("a key");
    let other = params.self_signed(&key).expect("a certificate");
    // Type, lengths of the list, of no header, of the one entry (UEFI 2.10 §32.4.1), its owner.
    let (head, owner) = (28, 16);
    let entry = u32::try_from(owner + other.der().len()).expect("short");
    let mut another = list[..16].to_vec();
    for length in [head + entry, 0, entry] {
        another.extend(length.to_le_bytes());
    }
    another.extend(&list[28..28 + owner]);
    another.extend(other.der().as_ref());
    another
}
