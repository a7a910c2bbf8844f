//! The installer on a machine with real firmware and empty disks: it becomes a system, over power cuts; it is upgraded, and falls back.
//!
//! The controller is played, so that each thing can be said at the worst moment; the agent, the kernel, GRUB, LVM and RAID are real.

mod controller;
mod machine;
mod system;

use crate::machines::{ONE_AT_A_TIME, installer, is_asked};
use crate::network::{have, skip};
use crate::zw::{transcript, zw};
use api::agent::{FromAgent, FromController};
use api::install::{Disk, Disks, File, Filesystem, Order, OsImage, Raid, Running, Slot, Volume};
use controller::{Controller, HOST, serve};
use machine::{Firmware, Machine};
use model::{Generation, Time};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MIB: u64 = 1 << 20;
const DISK: u64 = 1536 * MIB;

/// What a test needs beside a machine. Dropped, its files are gone.
struct Bench {
    directory: PathBuf,
    installer: PathBuf,
    controller: Controller,
    server: std::net::SocketAddr,
    /// Those that were said so far.
    boots: Mutex<BTreeSet<u64>>,
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    fn new(name: &str) -> Option<Self> {
        if !have(&[
            "qemu-system-x86_64",
            "setpriv",
            "busybox",
            "cpio",
            "zstd",
            "tar",
            "sgdisk",
            "fsck.vfat",
            "grub-editenv",
            "mcopy",
        ]) {
            return None;
        }
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let installer = installer()?.join("installer");
        let directory = std::env::temp_dir().join(format!("zw-install-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let server = serve(directory.clone(), 10 << 20);
        let (controller, boots) = (Controller::start(), Mutex::default());
        Some(Self { directory, installer, controller, server, boots, _alone: alone })
    }

    fn image(&self, name: &str, breaks: bool) -> OsImage {
        let digest = system::build(&self.directory.join(name), &self.installer, name, breaks);
        let at = |path: &str| format!("http://{HOST}:{}/{path}{name}/", self.server.port());
        OsImage { name: name.into(), digest, sources: vec![at("breaks/"), at("")] }
    }

    fn order(&self, image: &OsImage, allowed_at: u64, disks: Option<Disks>) -> Order {
        Order {
            generation: Generation(1),
            allowed_at: Time(allowed_at),
            image: image.clone(),
            disks,
            arguments: format!("console=ttyS0 panic=1 loglevel=4 {}", self.controller.arguments()),
            files: vec![File { path: "/etc/ordered".into(), mode: 0o640, text: "as ordered".into() }],
            trial_seconds: 300,
        }
    }

    fn boot_installer(&self, machine: &mut Machine) {
        let arguments = format!("console=ttyS0 panic=1 loglevel=4 {}", self.controller.arguments());
        machine.on(Some((&self.installer, &arguments)));
        assert_eq!(self.hello(), Some(Running::Memory));
    }

    /// Waits for an agent after a restart, and gives what it runs in. From a disk it says which boot this is, which was none before.
    fn hello(&self) -> Option<Running> {
        let (running, boot) = self.controller.until("a hello", |frame| match frame {
            FromAgent::Hello { running, boot, .. } => Some((running.clone(), *boot)),
            _ => None,
        });
        assert_eq!(boot.is_some(), matches!(running, Some(Running::Disk { .. })));
        if let Some(boot) = boot {
            assert!(self.boots.lock().expect("whole").insert(boot), "it has said {boot:x} before");
        }
        running
    }

    fn install(&self, order: &Order) {
        self.controller.say(FromController::Install { order: Box::new(order.clone()) });
    }

    fn until_step(&self, text: &str) {
        self.controller.until(text, |frame| match frame {
            FromAgent::Installing { progress } if progress.step.contains(text) => Some(()),
            FromAgent::Installed { .. } => panic!("installed before {text:?}"),
            _ => None,
        });
    }

    fn until_installed(&self, order: &Order) -> Slot {
        self.controller.until("the end of an installation", |frame| match frame {
            FromAgent::Installed { generation, image, slot } => {
                assert_eq!((generation, image), (&order.generation, &order.image.digest));
                Some(*slot)
            }
            _ => None,
        })
    }

    fn refusal(&self) -> String {
        self.controller.until("a refusal", |frame| match frame {
            FromAgent::NotInstalled { sentence, .. } => Some(sentence.clone()),
            _ => None,
        })
    }

    fn restart(&self, machine: &mut Machine) {
        self.controller.say(FromController::Restart { sentence: "it is time".into(), lease: None });
        machine.until_restart();
    }
}

fn disks(count: usize, raid: Option<Raid>) -> Disks {
    let names = ["vda", "vdb"];
    Disks {
        system: names
            .iter()
            .take(count)
            .map(|name| Disk { name: (*name).into(), size_bytes: DISK })
            .collect(),
        raid,
        esp_bytes: 256 * MIB,
        slots: 2,
        root_bytes: 384 * MIB,
        volumes: vec![Volume {
            name: "data".into(),
            bytes: None,
            mount: "/srv/data".into(),
            filesystem: Filesystem::Ext4,
        }],
    }
}

fn on_disk(slot: Slot, image: &OsImage, on_trial: bool) -> Option<Running> {
    Some(Running::Disk { slot, image: image.digest.clone(), on_trial })
}

/// Judges the disks of a machine that is off by other people's programs.
fn judge(directory: &Path, machine: &Machine, number: usize, environment: &str) {
    let run = |program: &str, words: &[&str]| {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let output = Command::new(program).args(words).env("PATH", path).output().expect("a program");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{program} {words:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    let disk = machine.disk(number).display().to_string();
    let said = run("sgdisk", &["--verify", &disk]);
    assert!(said.contains("No problems found"), "{said}");
    let said = run("sgdisk", &["--print", &disk]);
    for wanted in [" EF02 ", " EF00 ", "zonewright"] {
        assert!(said.contains(wanted), "{said}");
    }
    let esp = directory.join("esp").display().to_string();
    let words =
        [format!("if={disk}"), format!("of={esp}"), "bs=1M".into(), "skip=1".into(), "count=256".into()];
    run("dd", &words.each_ref().map(String::as_str));
    run("fsck.vfat", &["-n", &esp]);
    let env = directory.join("env").display().to_string();
    run("mcopy", &["-n", "-o", "-i", &esp, "::zw/env", &env]);
    assert_eq!(run("grub-editenv", &[&env, "list"]), environment);
}

/// From empty disks to a system, through power cuts; then an upgrade that is confirmed, and one that panics.
fn whole_life(name: &str, firmware: Firmware, raid: Option<Raid>, cuts: &[&str]) {
    let Some(bench) = Bench::new(name) else { return };
    let count = if raid.is_some() { 2 } else { 1 };
    let first = bench.image("first", false);
    let mut machine = Machine::new(&bench.directory.join("machine"), firmware, count, DISK);
    bench.boot_installer(&mut machine);

    // Nothing is written that is not right: the disks are as empty as they were.
    let mut wrong = bench.order(&first, 1, Some(disks(count, raid)));
    wrong.disks.as_mut().expect("disks").system[0].size_bytes += 512;
    bench.install(&wrong);
    assert!(bench.refusal().contains("and the order means a disk of"));
    let mut wrong = bench.order(&first, 1, Some(disks(count, raid)));
    wrong.image.digest = format!("sha256:{}", "0".repeat(64));
    bench.install(&wrong);
    assert!(bench.refusal().contains("has another image"));
    bench.install(&bench.order(&first, 1, None));
    assert!(bench.refusal().contains("install the machine first"));
    let start = std::fs::read(machine.disk(0)).expect("a disk");
    assert!(start.iter().all(|octet| *octet == 0), "the disk was written");
    drop(start);

    let order = bench.order(&first, 1, Some(disks(count, raid)));
    for cut in cuts {
        bench.install(&order);
        bench.until_step(cut);
        bench.boot_installer(&mut machine);
    }
    bench.install(&order);
    assert_eq!(bench.until_installed(&order), Slot::A);
    // Cut after the seal: the same order is answered at once, and another allowance is another order.
    bench.boot_installer(&mut machine);
    bench.install(&order);
    assert_eq!(bench.until_installed(&order), Slot::A);
    bench.restart(&mut machine);
    for number in 0..count {
        judge(&bench.directory, &machine, number, "zw_good=a\nzw_try=\n");
    }

    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::A, &first, false), "{}", machine.console());
    let console = machine.console();
    let wanted = [
        "SYSTEM of first in zw.slot=a",
        "STATE 700 600",
        "FILE 640 as ordered",
        "/dev/mapper/zw-data /srv/data ext4",
    ];
    for wanted in wanted.into_iter().chain(raid.map(|_| "ARRAY raid1")) {
        assert!(console.contains(wanted), "{wanted} is not in\n{console}");
    }
    // A system on disk never wipes one.
    bench.install(&order);
    assert!(bench.refusal().contains("boot the installer"));

    // An upgrade that nobody confirms and that panics: the machine comes back with what it had.
    let bad = bench.image("bad", true);
    let upgrade = bench.order(&bad, 2, None);
    bench.install(&upgrade);
    bench.until_step("writes root_b");
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::A, &first, false), "a half-written slot is not started");
    bench.install(&upgrade);
    assert_eq!(bench.until_installed(&upgrade), Slot::B);
    bench.restart(&mut machine);
    machine.on(None);
    machine.until_restart();
    assert!(machine.console().contains("SYSTEM of bad in zw.slot=b"), "{}", machine.console());
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::A, &first, false));

    // One that is right, and that nobody confirms in time.
    let second = bench.image("second", false);
    if is_asked() {
        let upgrade = Order { trial_seconds: 60, ..bench.order(&second, 3, None) };
        bench.install(&upgrade);
        assert_eq!(bench.until_installed(&upgrade), Slot::B);
        bench.restart(&mut machine);
        machine.on(None);
        assert_eq!(bench.hello(), on_disk(Slot::B, &second, true));
        machine.until_restart();
        machine.on(None);
        assert_eq!(bench.hello(), on_disk(Slot::A, &first, false));
    }

    // The same again is confirmed and stays.
    let upgrade = bench.order(&second, 4, None);
    bench.install(&upgrade);
    assert_eq!(bench.until_installed(&upgrade), Slot::B);
    bench.restart(&mut machine);
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::B, &second, true));
    let console = machine.console();
    let kept: BTreeSet<&str> =
        console.lines().filter(|line| line.starts_with("KEPT ")).map(str::trim).collect();
    assert_eq!(kept.len(), 1, "each slot has an identity of its own: {kept:?}");
    bench.install(&bench.order(&first, 5, None));
    assert!(bench.refusal().contains("slot b is on trial"));
    bench.controller.say(FromController::Confirm { image: second.digest.clone() });
    let slot = bench.controller.until("confirmation", |frame| match frame {
        FromAgent::Confirmed { slot } => Some(*slot),
        _ => None,
    });
    assert_eq!(slot, Slot::B);
    bench.restart(&mut machine);
    for number in 0..count {
        judge(&bench.directory, &machine, number, "zw_good=b\nzw_try=\n");
    }
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::B, &second, false));
}

#[test]
fn a_machine_with_bios_is_installed_upgraded_and_falls_back() {
    whole_life("bios", Firmware::Bios, None, &["writes root_a"]);
}

#[test]
fn a_machine_with_uefi_and_two_disks_is_installed_over_power_cuts() {
    if !is_asked() {
        return;
    }
    let cuts =
        ["makes partitions", "makes volumes", "writes root_a", "proves the kernel", "seals the system"];
    whole_life("uefi", Firmware::Uefi, Some(Raid::Raid1), &cuts);
}

/// What `zw image build os` makes, on two disks: Debian with systemd, installed and upgraded.
#[test]
fn debian_is_installed_and_upgraded() {
    if !is_asked() {
        return;
    }
    let Some(bench) = Bench::new("debian") else { return };
    let mut command = zw(&bench.directory);
    command.args(["image", "build", "os", "--kernel", "cloud", "--fast", "--output", "debian"]);
    let built = command.output().expect("zw runs");
    if !built.status.success() {
        return skip(&transcript(&built));
    }
    let text = std::fs::read(bench.directory.join("debian/manifest.json")).expect("a manifest");
    let at = format!("http://{HOST}:{}/debian/", bench.server.port());
    let image = OsImage { name: "debian".into(), digest: system::digest(&text), sources: vec![at] };
    const SIZE: u64 = 8 << 30;
    let mut machine = Machine::new(&bench.directory.join("machine"), Firmware::Uefi, 2, SIZE);
    let mut layout = disks(2, Some(Raid::Raid1));
    layout.root_bytes = 2 << 30;
    layout.system.iter_mut().for_each(|disk| disk.size_bytes = SIZE);
    let order = |allowed_at: u64, disks: Option<Disks>| {
        let file = |path: &str, text: &str| File { path: path.into(), mode: 0o644, text: text.into() };
        let mut order = bench.order(&image, allowed_at, disks);
        order.files = vec![
            file("/etc/systemd/network/10-dhcp.network", "[Match]\nName=e*\n[Network]\nDHCP=yes\n"),
            file("/etc/hostname", "srv1\n"),
        ];
        order.arguments = order.arguments.replace("loglevel=4", "systemd.show_status=1");
        order
    };

    bench.boot_installer(&mut machine);
    let first = order(1, Some(layout));
    bench.install(&first);
    assert_eq!(bench.until_installed(&first), Slot::A);
    bench.restart(&mut machine);
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::A, &image, false), "{}", machine.console());

    let upgrade = order(2, None);
    bench.install(&upgrade);
    assert_eq!(bench.until_installed(&upgrade), Slot::B);
    bench.restart(&mut machine);
    machine.on(None);
    assert_eq!(bench.hello(), on_disk(Slot::B, &image, true), "{}", machine.console());
    bench.controller.say(FromController::Confirm { image: image.digest.clone() });
    bench
        .controller
        .until("confirmation", |frame| matches!(frame, FromAgent::Confirmed { .. }).then_some(()));
    bench.restart(&mut machine);
    for number in 0..2 {
        judge(&bench.directory, &machine, number, "zw_good=b\nzw_try=\n");
    }
    let console = machine.console();
    assert!(console.contains("srv1 login:") && !console.contains("localhost login:"), "{console}");
}
