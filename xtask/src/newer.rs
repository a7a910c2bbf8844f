//! Firmware that is newer than this Debian's, for the tests of HTTPS boot: unpacked beside what cargo builds, and nowhere on the system.
//!
//! Debian 12's OVMF (2022.11) and Debian 13's (2025.02) have no elliptic curves in TLS; EDK2 builds OVMF with them since 2025.05. Debian 12's iPXE has
//! no HTTPS. Both packages are for all architectures, need no others, and come from Debian's archive with its signatures.

use crate::run;
use std::fs;
use std::path::{Path, PathBuf};

/// Debian 14 while it is made. Its archive goes on to be there when it is released.
const SUITE: &str = "forky";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Debian 12's holds the key that signs it.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PACKAGES: [&str; 2] = ["ovmf-generic", "ipxe"];
/// Where they are unpacked, beside cargo's profiles: `tests/whole/machines_https.rs` looks here.
const PLACE: &str = "newer-firmware";
/// Written when all is there.
const MARK: &str = "unpacked";

/// Fetches and unpacks what is not there yet. What cannot be had is said, and tests that need it say that they are skipped.
pub(crate) fn fetch() {
    let this = std::env::current_exe().ok();
    let Some(place) = this.as_ref().and_then(|this| this.ancestors().nth(2)).map(|target| target.join(PLACE))
    else {
        return;
    };
    if place.join(MARK).exists() {
        return;
    }
    run::say(&format!("fetching {} of Debian {SUITE} into {}\n", PACKAGES.join(" "), place.display()));
    if let Err(why) = unpack(&place) {
        run::say(&format!("they cannot be had here; tests of HTTPS boot say so and are skipped ({why})\n"));
    }
}

fn unpack(place: &Path) -> Result<(), String> {
    let apt = place.join("apt");
    let failed = |error: std::io::Error| format!("failed to write below {}: {error}", place.display());
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(directory)).map_err(failed)?;
    }
    let sources = apt.join("sources.list");
    fs::write(&sources, format!("deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n")).map_err(failed)?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        "Dir::State::status=/dev/null".to_owned(),
        // Its own user need not be able to write here.
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["--option", option]).collect();
    run::output("apt-get", &[&options[..], &["--quiet", "update"]].concat())?;
    // Into a directory, for it installs nothing and takes no lock.
    let into = format!("--chdir={}", apt.display());
    run::output(
        "env",
        &[&[into.as_str(), "apt-get"][..], &options, &["--quiet", "download"], &PACKAGES].concat(),
    )?;
    let archives: Vec<PathBuf> = fs::read_dir(&apt)
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    let names: Vec<String> =
        archives.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    for archive in &archives {
        run::output("dpkg-deb", &["--extract", &archive.to_string_lossy(), &place.to_string_lossy()])?;
    }
    fs::remove_dir_all(&apt).map_err(failed)?;
    fs::write(place.join(MARK), names.join("\n") + "\n").map_err(failed)
}
