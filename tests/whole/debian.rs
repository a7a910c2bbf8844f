//! Debian's own installer, from our preseed, on a machine with real firmware: from empty disks to a system whose agent is validated, and
//! its own disk from then on. It takes the better part of an hour under emulation, so it is run when it is asked for (`cargo xtask test
//! --firmware`). The installer's log stays in `target/tmp/debian` (`CARGO_TARGET_TMPDIR`), with the console's.

use crate::machines::{Zone, is_asked, is_ready};
use crate::network::{have, skip};
use crate::zw::{root, transcript};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const UNIT: &str = "p01/r1/u01";
/// What it fetches from, each with what it is for.
const MIRRORS: [&str; 2] = ["http://deb.debian.org/debian", "http://security.debian.org/debian-security"];
/// The longest wait for a step; two thirds of the whole are spent on unpacking and configuring packages.
const STEP_MAX: Duration = Duration::from_secs(3600);

/// What the installer says when it comes to something, in this order.
const STEPS: [(&str, &str); 9] = [
    ("the installer fetched its preseed", "preseed: successfully loaded preseed file from"),
    ("its components are there", "INFO: Menu item 'user-setup-udeb' selected"),
    ("it partitions", "INFO: Menu item 'partman-base' selected"),
    ("it installs the base", "INFO: Menu item 'bootstrap-base' selected"),
    ("it chooses a mirror and packages", "INFO: Menu item 'apt-setup-udeb' selected"),
    ("it selects software", "INFO: Menu item 'pkgsel' selected"),
    ("it installs the boot loader", "INFO: Menu item 'grub-installer' selected"),
    ("our last commands run", "running preseed command preseed/late_command"),
    ("it restarts", "reboot: Restarting system"),
];

/// Where the test keeps what it needs again, and what it leaves.
fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian")
}

/// Debian's kernel and initial RAM disk, and what the mirror in reach lacks of its components. `None`: it cannot be had here.
fn netinst() -> Option<PathBuf> {
    let directory = place().join("netinst");
    if directory.join("supplement.img").exists() {
        return Some(directory);
    }
    let script = root().join("tests/whole/debian/supplement.sh");
    let output = Command::new("sh").arg(script).arg("trixie").arg(&directory).output().expect("a shell");
    let told = transcript(&output);
    if !output.status.success() && crate::image::is_offline(&told) {
        skip(&told);
        return None;
    }
    assert!(output.status.success(), "{told}");
    let missing = fs::read_to_string(directory.join("missing")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "components that the mirror lacks: {}", missing.replace('\n', " "));
    Some(directory)
}

#[test]
fn debians_own_installer_completes_from_our_preseed() {
    if !is_asked() || !have(&["apt-get", "dpkg-deb", "cpio", "depmod", "gzip"]) {
        return;
    }
    let Some(netinst) = netinst() else { return };
    let Some(zone) = Zone::of("debian", "tests/whole/debian") else { return };
    crate::network::copy_folder(&netinst, &zone.design.join("images/netinst"));
    let options = ["--vm", UNIT, "--mirror", MIRRORS[0], "--mirror", MIRRORS[1]];
    if !zone.up_for_a_look(&options) {
        return;
    }
    let began = Instant::now();
    let mut log = File::create(place().join("steps")).expect("a file");
    let mut done = |step: &str| {
        let line = format!("{:>5.0} s  {step}\n", began.elapsed().as_secs_f64());
        let _ = std::io::stderr().write_all(line.as_bytes());
        log.write_all(line.as_bytes()).expect("written");
    };

    // Nobody allowed it, so its firmware does not get the installer.
    zone.until_said(UNIT, "it is not armed to write its disks", 1, STEP_MAX);
    assert!(!zone.console(UNIT).contains("Linux version"), "{}", zone.console(UNIT));
    done("not armed: it waits");
    assert!(zone.asked(&["arm", UNIT]).status.success());
    for (step, said) in STEPS {
        zone.until_said(UNIT, said, 1, STEP_MAX);
        keep(&zone);
        done(step);
    }
    zone.machine_within("ready", UNIT, STEP_MAX, is_ready);
    done("its own disk, its agent, ready");
    keep(&zone);
    let shown = zone.shown(UNIT);
    assert!(shown.contains("Debian GNU/Linux 13"), "{shown}");

    // Once more from its own disk: it is not installed again, and nobody is asked.
    zone.say(&["power-cycle", UNIT]);
    zone.machine_within("power off", UNIT, STEP_MAX, |machine| !is_ready(machine));
    zone.machine_within("ready again", UNIT, STEP_MAX, is_ready);
    done("power-cycled to ready");
    let said = zone.console(UNIT);
    assert_eq!(said.matches("running preseed command preseed/late_command").count(), 1, "{said}");
    keep(&zone);
}

/// The installer's log, out of the console's, and the machine's page.
fn keep(zone: &Zone) {
    let said = zone.console(UNIT);
    let log: String = said.lines().filter_map(logged).map(|line| format!("{line}\n")).collect();
    fs::write(place().join("syslog"), log).expect("written");
    fs::write(place().join("console.log"), said).expect("written");
    fs::write(place().join("shown"), zone.shown(UNIT)).expect("written");
}

/// A line of the log, `Nov 22 05:08:13 anna[3083]: …`, without what else was written to the same line of a screen before it.
fn logged(line: &str) -> Option<&str> {
    let is_stamp = |at: &usize| {
        let stamp = line.as_bytes().get(*at..*at + 16).unwrap_or_default();
        let like = |(octet, form): (&u8, &u8)| match form {
            b'A' => octet.is_ascii_uppercase(),
            b'a' => octet.is_ascii_lowercase(),
            b'9' => octet.is_ascii_digit() || *octet == b' ',
            form => octet == form,
        };
        stamp.len() == 16 && stamp.iter().zip(b"Aaa 99 99:99:99 ").all(like)
    };
    let at = (0..line.len()).find(is_stamp)?;
    line.get(at..).map(str::trim_end)
}
