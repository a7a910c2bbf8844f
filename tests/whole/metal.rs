//! The life of an installed machine, whole: `examples/metal` with real firmware, from empty disks to an upgrade, and back from one
//! that breaks. It takes a quarter of an hour under emulation, so it is run when it is asked for (`cargo xtask test --firmware`); its parts are
//! tested apart, in `install.rs` and `machines.rs`.

use crate::image::is_offline;
use crate::machines::{Zone, is_asked, is_ready};
use crate::network::{have, skip};
use crate::zw::{transcript, zw};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

const UNIT: &str = "p01/r1/u01";

/// Tells each step with its time, as `docs/internals/installing.md` has them.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, step: &str) {
        let now = Instant::now();
        let _ = writeln!(std::io::stderr(), "{step}: {:.0} s", now.duration_since(self.0).as_secs_f64());
        self.0 = now;
    }
}

/// An operating system of this kernel, with one file that is not Debian's. `false`: it cannot be made here.
fn made(design: &Path, name: &str, kernel: &str, path: &str, text: &str) -> bool {
    let overlay = design.join(format!("{name}.overlay"));
    let file = overlay.join(path);
    fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    fs::write(&file, text).expect("a file");
    let permissions = if text.is_empty() { 0o644 } else { 0o755 };
    fs::set_permissions(&file, fs::Permissions::from_mode(permissions)).expect("permissions");
    // The packages of the last are those of the first.
    let lock = design.join("images/debian.lock");
    if lock.exists() && kernel == "cloud" {
        fs::copy(&lock, design.join(format!("images/{name}.lock"))).expect("a lock");
    }
    let output = zw(design)
        .args(["image", "build", "os", "--kernel", kernel, "--fast", "--overlay"])
        .arg(&overlay)
        .args(["--output", &format!("images/{name}")])
        .output()
        .expect("zw runs");
    let told = transcript(&output);
    if !output.status.success() && is_offline(&told) {
        skip(&told);
        return false;
    }
    assert!(output.status.success(), "{told}");
    true
}

/// Names another image in the design; the controller reads it by itself.
fn name(zone: &Zone, from: &str, to: &str) {
    let file = zone.design.join("zone.hcl");
    let text = fs::read_to_string(&file).expect("a design");
    let (from, to) = (format!("image = \"images/{from}\""), format!("image = \"images/{to}\""));
    assert!(text.contains(&from));
    fs::write(&file, text.replace(&from, &to)).expect("a design");
    zone.asked(&["reload"]);
}

#[test]
fn a_machine_is_installed_upgraded_and_falls_back_from_what_breaks() {
    if !is_asked() || !have(&["mmdebstrap"]) {
        return;
    }
    let Some(zone) = Zone::of("life", "examples/metal") else { return };
    let mut steps = Steps(Instant::now());
    if !made(&zone.design, "debian", "cloud", "etc/motd", "one\n") {
        return;
    }
    steps.done("an operating system is made");
    // With the kernel for machines that are not virtual, and its drivers.
    made(&zone.design, "debian-2", "amd64", "etc/motd", "two\n");
    // No first process that can be run, since nobody may: the initial RAM disk ends the trial. One that panics is tried in `install.rs`.
    made(&zone.design, "debian-3", "cloud", "usr/lib/systemd/systemd", "");
    steps.done("two more are made");

    if !zone.up(&[UNIT]) {
        return;
    }
    zone.machine("ready", UNIT, is_ready);
    steps.done("from power-on with empty disks to ready");
    let shown = zone.shown(UNIT);
    assert!(shown.contains("runs      slot a, sha256:"), "{shown}");

    zone.say(&["power-cycle", UNIT]);
    zone.machine("power off", UNIT, |machine| !is_ready(machine));
    zone.machine("ready", UNIT, is_ready);
    steps.done("power-cycled to ready");

    let upgrade = || zone.asked(&["upgrade", UNIT, "--wait"]);
    name(&zone, "debian", "debian-2");
    let output = upgrade();
    assert!(output.status.success(), "{}\n{}", transcript(&output), zone.shown(UNIT));
    steps.done("upgraded, on trial, confirmed");
    let shown = zone.shown(UNIT);
    assert!(
        shown.contains("runs      slot b, sha256:") && shown.contains("slot b is the good one"),
        "{shown}"
    );

    name(&zone, "debian-2", "debian-3");
    let output = upgrade();
    assert_eq!(output.status.code(), Some(1), "{}", transcript(&output));
    assert!(transcript(&output).contains("came back without it"), "{}", transcript(&output));
    zone.machine("ready", UNIT, is_ready);
    steps.done("upgraded to one without a first process, fell back, ready");
    let shown = zone.shown(UNIT);
    assert!(shown.contains("runs      slot b, sha256:") && shown.contains("rejected"), "{shown}");
}
