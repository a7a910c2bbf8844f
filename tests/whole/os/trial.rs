//! How the initial RAM disk of an operating system ends a trial of a system that does not come as far as systemd.
//!
//! The kernel and the RAM disk are what `zw image build os` made; GRUB is played by QEMU, and the root has nothing but a shell and what is
//! tried. What else ends trials is tried in `install.rs` and `metal.rs`.

use crate::image::judge;
use crate::machines::ONE_AT_A_TIME;
use crate::network::have;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Ten times what an idle machine of two cores needs.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The shell of the RAM disk is the root's, too: it needs no other files.
const UNPACK: &str = r"
set -eu
tar --extract --zstd --wildcards 'boot/vmlinuz-*' 'boot/initrd.img-*'
mv boot/vmlinuz-* vmlinuz
mv boot/initrd.img-* initrd
mkdir -p ramdisk
cd ramdisk
zstd --decompress --stdout ../initrd | cpio --extract --make-directories --quiet
";

const FIRST: &str = "#!/bin/sh\necho SYSTEM begins\n";

#[test]
fn what_the_kernel_is_told_is_what_the_ram_disk_reads() {
    let reads = include_str!("../../../crates/image/src/os/trial-limit");
    let told = include_str!("../../../crates/agent/src/install/grub.rs");
    for word in ["zw.trial_limit=", "zw.trial"] {
        assert!(reads.contains(word) && told.contains(word), "{word}");
    }
    let confirmed = "zonewright-confirmed";
    let says = include_str!("../../../crates/agent/src/install/files.rs");
    assert!(reads.contains(confirmed) && says.contains(&format!("\"/run/{confirmed}\"")));
}

/// `root`: the image's archive.
pub(super) fn ends_by_itself(root: &Path, directory: &Path) {
    if !have(&["qemu-system-x86_64", "setpriv", "mke2fs", "zstd", "cpio", "tar"]) {
        return;
    }
    let directory = &directory.join("trial");
    fs::create_dir(directory).expect("a directory");
    judge(directory, "sh", &["-c", UNPACK], root);
    let hangs = format!("{FIRST}while :; do sleep 1000; done\n");
    let goes_on = format!("{FIRST}: >/run/zonewright-confirmed\nsleep 75\necho SYSTEM goes on\n");
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // They do nothing most of the time.
    let [absent, hanging, confirmed] = std::thread::scope(|scope| {
        let run = |name: &'static str, first: Option<&str>, limit: u32| {
            let disk = disk(directory, name, first);
            scope.spawn(move || console(directory, name, &disk, limit))
        };
        let all = [
            run("absent", None, 900),
            run("hanging", Some(&hangs), 60),
            run("confirmed", Some(&goes_on), 60),
        ];
        all.map(|console| console.join().unwrap_or_else(|failed| std::panic::resume_unwind(failed)))
    });
    assert!(absent.contains("the system on trial has no /sbin/init that can be run"), "{absent}");
    assert!(hanging.contains("SYSTEM begins") && hanging.contains("nobody ended this trial"), "{hanging}");
    // One that is confirmed is left alone, until its first process ends, which is a panic.
    assert!(confirmed.contains("SYSTEM goes on") && !confirmed.contains("ended this trial"), "{confirmed}");
}

/// A root with this as its first process.
fn disk(directory: &Path, name: &str, first: Option<&str>) -> String {
    let tree = directory.join(format!("{name}.tree"));
    for path in ["bin", "dev", "etc", "lib", "proc", "run", "sbin", "sys"] {
        fs::create_dir_all(tree.join(path)).expect("a directory");
    }
    let copy =
        format!("cd ramdisk && cp bin/sh bin/sleep ../{name}.tree/bin && cp lib/klibc-* ../{name}.tree/lib");
    judge(directory, "sh", &["-c", &copy], Path::new("/dev/null"));
    if let Some(text) = first {
        fs::write(tree.join("sbin/init"), text).expect("a file");
        fs::set_permissions(tree.join("sbin/init"), fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    let disk = format!("{name}.disk");
    let words = ["-q", "-t", "ext4", "-d", &tree.display().to_string(), &disk, "32M"].map(str::to_owned);
    judge(directory, "mke2fs", &words.each_ref().map(String::as_str), Path::new("/dev/null"));
    disk
}

/// What a machine says on trial until it restarts.
fn console(directory: &Path, name: &str, disk: &str, limit: u32) -> String {
    let console = format!("{name}.console");
    let drive = format!("if=none,id=disk,format=raw,file={disk}");
    let serial = format!("file:{console}");
    let arguments = format!("console=ttyS0 root=/dev/vda ro panic=1 zw.trial_limit={limit} zw.trial");
    let mut command = Command::new("setpriv");
    command.current_dir(directory).args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command.args([
        "-machine",
        "q35,graphics=off",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-m",
        "512",
        "-nic",
        "none",
    ]);
    command.args(["-display", "none", "-monitor", "none", "-no-reboot", "-serial", &serial]);
    command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]);
    command.args(["-kernel", "vmlinuz", "-initrd", "initrd", "-append", &arguments]);
    let mut machine = command.stdin(Stdio::null()).spawn().expect("QEMU starts");
    let began = Instant::now();
    let said =
        || String::from_utf8_lossy(&fs::read(directory.join(&console)).unwrap_or_default()).into_owned();
    while machine.try_wait().expect("our child").is_none() {
        if began.elapsed() > WAIT_MAX {
            let _ = machine.kill();
            panic!("{name} does not restart:\n{}", said());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    said()
}
