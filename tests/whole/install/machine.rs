//! A machine of QEMU with disks of its own, which a test switches on and cuts the power of.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OVMF: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];
const WAIT_MAX: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    Bios,
    Uefi,
}

pub(crate) struct Machine {
    directory: PathBuf,
    firmware: Firmware,
    disks: usize,
    running: Option<Child>,
}

impl Machine {
    /// A machine with so many empty disks of so many octets.
    pub(crate) fn new(directory: &Path, firmware: Firmware, disks: usize, size: u64) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        for number in 0..disks {
            let disk = File::create(directory.join(format!("disk{number}"))).expect("a file");
            disk.set_len(size).expect("a disk");
        }
        if firmware == Firmware::Uefi {
            fs::copy(OVMF[1], directory.join("variables")).expect("OVMF");
        }
        Self { directory: directory.to_owned(), firmware, disks, running: None }
    }

    /// Switches it on: with a kernel from elsewhere, as a network boot would, or by its own disks.
    pub(crate) fn on(&mut self, from: Option<(&Path, &str)>) {
        self.cut();
        let path = |name: &str| self.directory.join(name).display().to_string();
        // A test that is killed takes its machines with it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(["-machine", "q35,graphics=off", "-accel", "tcg", "-cpu", "max", "-m", "1024"]);
        command.args(["-display", "none", "-monitor", "none", "-no-reboot", "-device", "virtio-rng-pci"]);
        command.args(["-chardev", &format!("file,id=console,append=on,path={}", path("console"))]);
        command.args(["-serial", "chardev:console", "-netdev", "user,id=net"]);
        command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        for number in 0..self.disks {
            command.args([
                "-drive",
                &format!("if=none,id=d{number},format=raw,file={}", path(&format!("disk{number}"))),
            ]);
            command.args(["-device", &format!("virtio-blk-pci,drive=d{number},bootindex={}", number + 1)]);
        }
        if self.firmware == Firmware::Uefi {
            command.args(["-drive", &format!("if=pflash,format=raw,readonly=on,file={}", OVMF[0])]);
            command.args(["-drive", &format!("if=pflash,format=raw,file={}", path("variables"))]);
        }
        if let Some((installer, arguments)) = from {
            let mut both = fs::read(installer.join("installer.img")).expect("an installer");
            both.resize(both.len().next_multiple_of(4), 0);
            both.extend(fs::read(installer.join("agent.img")).expect("an agent"));
            fs::write(path("initrd"), both).expect("written");
            let kernel = installer.join("vmlinuz");
            command.arg("-kernel").arg(kernel).args(["-initrd", &path("initrd"), "-append", arguments]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        self.running = Some(child.expect("QEMU starts"));
    }

    /// Cuts its power.
    pub(crate) fn cut(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }

    /// Waits until it restarts, which is off here.
    pub(crate) fn until_restart(&mut self) {
        let mut running = self.running.take().expect("it is on");
        let began = Instant::now();
        while running.try_wait().expect("our child").is_none() {
            if began.elapsed() > WAIT_MAX {
                let _ = running.kill();
                panic!("it does not restart:\n{}", self.console());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All that its console said.
    pub(crate) fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join("console")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn disk(&self, number: usize) -> PathBuf {
        self.directory.join(format!("disk{number}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
        if std::thread::panicking() {
            let console = self.console();
            let from = console.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "console:\n{}", &console[from..]);
        }
    }
}
