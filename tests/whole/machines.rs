//! Machines with real firmware in the lab: OVMF and SeaBIOS in QEMU, from power-on to an agent that is validated.
//!
//! What they boot is the installer, made by `zw image build` with the agent of `cargo xtask agent`. Under emulation a boot takes
//! half a minute of one processor, so they run one after the other, and most of the matrix only when it is asked for:
//! `cargo xtask test --firmware`.

use crate::network::{have, skip};
use crate::zw::{root, transcript, zw};
use lab::control::{self, Machine, Progress};
use lab::directory::{Directory, Holder};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait for anything; ten times what an idle machine of two cores needs.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Two emulated machines take all of a small computer.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A design of a test's own, and its lab. Dropped, both are gone.
pub(crate) struct Zone {
    name: String,
    pub(crate) design: PathBuf,
    lab: Directory,
    _alone: MutexGuard<'static, ()>,
}

impl Zone {
    /// The zone of `tests/whole/machines`. `None`: something that it needs is not here, and it was said.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::of(test, "tests/whole/machines")
    }

    /// The zone `metal` of this directory, under another name and with an installer.
    pub(crate) fn of(test: &str, directory: &str) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if !have(&["qemu-system-x86_64", "swtpm", "swtpm_setup", "apt-get", "dpkg-deb"]) {
            return None;
        }
        let images = installer()?;
        let name = format!("{test}{}", std::process::id());
        let design = std::env::temp_dir().join(format!("zw-machines-{name}"));
        crate::network::copy_folder(&root().join(directory), &design);
        let text = fs::read_to_string(design.join("zone.hcl")).expect("a design");
        fs::write(design.join("zone.hcl"), text.replace("zone \"metal\"", &format!("zone \"{name}\"")))
            .expect("a design");
        // What somebody built in an example is not what this test is about.
        let _ = fs::remove_dir_all(design.join("images"));
        crate::network::copy_folder(&images, &design.join("images"));
        let lab = Directory::of(&lab::directory::base(), &name);
        Some(Self { name, design, lab, _alone: alone })
    }

    /// Powers it on with these real machines. `false`: this computer lets nobody.
    pub(crate) fn up(&self, real: &[&str]) -> bool {
        let words: Vec<&str> = real.iter().flat_map(|choice| ["--vm", choice]).collect();
        self.up_with(&words)
    }

    /// The same with these words of the command.
    pub(crate) fn up_with(&self, words: &[&str]) -> bool {
        let output = self.try_up(words);
        let said = transcript(&output);
        if said.contains("this machine allows neither") {
            skip(&said);
            return false;
        }
        assert!(output.status.success(), "{said}\n{}", self.logs());
        true
    }

    pub(crate) fn try_up(&self, words: &[&str]) -> Output {
        let mut command = zw(&self.design);
        command.args(["lab", "up", "."]).args(words);
        command.stdin(Stdio::null()).output().expect("zw runs")
    }

    /// Powers it on with machines that will not be ready by themselves. `false`: this computer lets nobody.
    pub(crate) fn up_for_a_look(&self, words: &[&str]) -> bool {
        let mut command = zw(&self.design);
        command.args(["lab", "up", ".", "--patience", "5"]).args(words);
        let told = transcript(&command.stdin(Stdio::null()).output().expect("zw runs"));
        if told.contains("this machine allows neither") {
            skip(&told);
            return false;
        }
        assert!(told.contains("nothing changed for 5 s"), "{told}\n{}", self.logs());
        true
    }

    pub(crate) fn zw(&self, words: &[&str]) -> Output {
        let mut command = zw(&self.design);
        command.args(["lab", "--zone", &self.name]).args(words);
        command.stdin(Stdio::null()).output().expect("zw runs")
    }

    /// What a command says; it must succeed.
    pub(crate) fn say(&self, words: &[&str]) -> String {
        let output = self.zw(words);
        assert!(output.status.success(), "zw lab {words:?}: {}", transcript(&output));
        transcript(&output)
    }

    pub(crate) fn console(&self, unit: &str) -> String {
        self.say(&["console", unit, "--log"])
    }

    /// Waits until a machine looks as wanted.
    pub(crate) fn machine(&self, what: &str, unit: &str, wanted: impl Fn(&Machine) -> bool) -> Machine {
        self.machine_within(what, unit, WAIT_MAX, wanted)
    }

    /// The same, for what takes longer.
    pub(crate) fn machine_within(
        &self,
        what: &str,
        unit: &str,
        most: Duration,
        wanted: impl Fn(&Machine) -> bool,
    ) -> Machine {
        let began = Instant::now();
        let location = format!("{}/{unit}", self.name);
        let mut last = None;
        let find = |progress: Progress| progress.machines.into_iter().find(|m| m.location == location);
        let seen = control::watch(&self.lab, |progress| {
            last = find(progress);
            assert!(
                began.elapsed() < most,
                "no {what} of {unit}: {last:#?}\n{}\n{}",
                self.console(unit),
                self.logs()
            );
            last.as_ref().is_some_and(&wanted)
        });
        assert_eq!(seen.ok(), Some(true), "the lab ended while waiting for {what}\n{}", self.logs());
        last.expect("the machine")
    }

    /// Waits until the console of a machine has said this so often.
    pub(crate) fn until_said(&self, unit: &str, text: &str, times: usize, most: Duration) {
        // The lab tells how it is at least every second, which is the rhythm of looking.
        self.machine_within(&format!("{text:?} on the console"), unit, most, |_| {
            transcript(&self.zw(&["console", unit, "--log"])).matches(text).count() >= times
        });
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.lab.path.join(name)).unwrap_or_default();
        format!("lab.log:\n{}\ncontroller.log:\n{}", read("lab.log"), read("controller.log"))
    }

    /// Its machines' network has IPv6 alone.
    fn has_ipv6_alone(&self) {
        let file = self.design.join("zone.hcl");
        let text = fs::read_to_string(&file).expect("a design");
        let network = "  for = [\"machine\"]\n";
        assert_eq!(text.matches(network).count(), 1);
        fs::write(&file, text.replace(network, &format!("{network}  ipv4 = false\n"))).expect("a design");
    }

    /// Its machines prove themselves so.
    fn trusts(&self, trust: &str) {
        self.role(&format!("trust = {trust}"));
    }

    /// Adds a line to their role.
    pub(crate) fn role(&self, line: &str) {
        let file = self.design.join("zone.hcl");
        let text = fs::read_to_string(&file).expect("a design");
        let role = "role \"hypervisor\" {\n";
        assert_eq!(text.matches(role).count(), 1);
        fs::write(&file, text.replace(role, &format!("{role}  {line}\n"))).expect("a design");
    }

    /// Where the lab keeps its files.
    pub(crate) fn lab_path(&self) -> &Path {
        &self.lab.path
    }

    /// The machine's own page by the lab's controller.
    pub(crate) fn shown(&self, unit: &str) -> String {
        transcript(&self.asked(&["show", &format!("{}/{unit}", self.name)]))
    }

    /// What a command says that asks the lab's controller.
    pub(crate) fn asked(&self, words: &[&str]) -> Output {
        let mut command = zw(&self.design);
        command.args(words).arg("--server").arg(self.lab.api());
        command.stdin(Stdio::null()).output().expect("zw runs")
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        let _ = lab::down::down(&self.lab);
        let _ = fs::remove_dir_all(&self.design);
    }
}

pub(crate) fn is_ready(machine: &Machine) -> bool {
    machine.state == "ready"
}

/// QEMUs and TPMs of this test's machines, by the directory that they stand in.
fn processes(zone: &Zone) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok())
        .filter(|path| path.starts_with(&zone.lab.path))
        .map(|path| path.display().to_string())
        .collect()
}

/// Whether the whole matrix is asked for.
pub(crate) fn is_asked() -> bool {
    std::env::var_os("ZW_FIRMWARE").is_some()
}

/// The directory `images` with the installer in it, made once and kept beside the other products of the build.
pub(crate) fn installer() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines");
    fs::create_dir_all(&place).expect("a directory");
    // Other runs of the tests make it at the same place.
    let lock = File::create(place.join("making")).expect("a file");
    lock.lock().expect("a lock");
    let build = |more: &[&str]| {
        let mut command = zw(&place);
        let words = ["image", "build", "installer", "--kernel", "cloud", "--fast", "--cache", "packages"];
        command.args(words).args(more).output().expect("zw runs")
    };
    let mut output = build(&[]);
    if transcript(&output).contains("choose anew with --update") {
        output = build(&["--update"]);
    }
    let told = transcript(&output);
    if output.status.success() {
        return Some(place.join("images"));
    }
    let is_elsewhere = ["resolv", "Could not connect", "unreachable", "timed out", "no static zw-agent"];
    assert!(is_elsewhere.iter().any(|words| told.contains(words)), "{told}");
    skip(&told);
    None
}

#[test]
fn uefi_and_bios_go_from_power_on_to_ready_and_again() {
    let Some(zone) = Zone::new("metal") else { return };
    if !zone.up(&["p01/r1/u01", "p01/r1/u02,bios"]) {
        return;
    }
    let (uefi, bios) = ("p01/r1/u01", "p01/r1/u02");
    let described = |unit: &str| zone.machine("a state", unit, is_ready).real.unwrap_or_default();
    assert!(described(uefi).starts_with("UEFI, "), "{}", described(uefi));
    assert!(described(bios).starts_with("BIOS, "), "{}", described(bios));
    assert!(zone.console(uefi).contains(">>Start PXE over IPv4"), "{}", zone.console(uefi));
    assert!(zone.console(bios).contains("SeaBIOS"), "{}", zone.console(bios));
    for (unit, first) in [(uefi, "uefi-pxe"), (bios, "ipxe")] {
        assert!(zone.console(unit).contains("enrolled: a certificate was issued"), "{}", zone.console(unit));
        assert!(zone.shown(unit).contains(first), "{}", zone.shown(unit));
    }

    // Burnt in before it was ready: its own processor and memory, and a disk that was only read.
    for unit in [uefi, bios] {
        let shown = zone.shown(unit);
        let parts = ["calculations, each right", "written, read and compared", "no disk written: "];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
    }

    // Off is off, and the place is known while it is; on again it boots as before.
    zone.say(&["power", "off", bios]);
    zone.machine("power off", bios, |machine| machine.state == "off");
    zone.say(&["power", "on", bios]);
    zone.machine("ready again", bios, is_ready);
    assert_eq!(zone.console(bios).matches("enrolled: a certificate was issued").count(), 2);

    // With the first cable cut, firmware sees no light there and boots over the second, as the same machine.
    zone.say(&["cut", "p01/r1/u01:eno1"]);
    zone.say(&["power-cycle", uefi]);
    zone.machine("power off", uefi, |machine| !is_ready(machine));
    let ready = zone.machine("boot over eno2", uefi, is_ready);
    assert_eq!(ready.address, "10.64.0.6");
    zone.say(&["mend", "p01/r1/u01:eno1"]);

    // A real machine is nothing to be entered, and a played one has no console.
    let refused = transcript(&zone.zw(&["exec", uefi, "--", "true"]));
    assert!(refused.contains("zw lab console") && refused.ends_with("[status 3]\n"), "{refused}");

    // The lab's first process is killed, and nothing of it is left but files.
    assert!(!processes(&zone).is_empty());
    let Holder::Supervisor(supervisor) = zone.lab.holder() else { panic!("no supervisor") };
    let ended = Command::new("pkill").args(["-KILL", "-P", &supervisor.to_string()]).status();
    assert!(ended.is_ok_and(|status| status.success()));
    let began = Instant::now();
    while !processes(&zone).is_empty() {
        assert!(began.elapsed() < WAIT_MAX, "left: {:?}", processes(&zone));
        std::thread::yield_now();
    }
    let disks = fs::read_link(zone.lab.disks()).expect("the way to the disks");
    assert!(disks.is_dir());
    zone.say(&["down"]);
    assert!(!disks.exists() && !zone.lab.path.exists());
}

#[test]
fn what_cannot_be_real_is_said_before_anything_starts() {
    let Some(zone) = Zone::new("not") else { return };
    for (choice, words) in [
        ("p01/r1/u09", "no location, name or address"),
        ("p01/r1/leaf-a", "no machine that boots"),
        ("p01/r1/u01,efi", "`efi` is none of"),
    ] {
        let told = transcript(&zone.try_up(&["--vm", choice]));
        assert!(told.contains(words), "{choice}: {told}");
        assert_eq!(zone.lab.holder(), Holder::Nobody);
    }
}

#[test]
fn uefi_boots_by_http_and_has_a_tpm() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("http") else { return };
    zone.trusts("\"tpm\"");
    if !zone.up(&["p01/r1/u01,uefi-http,tpm"]) {
        return;
    }
    let unit = "p01/r1/u01";
    let proved = "its TPM proved itself and its registers 0, 2, 7";
    assert_eq!(zone.shown(unit).matches(proved).count(), 1, "{}", zone.shown(unit));
    assert!(zone.shown(unit).contains("uefi-http"), "{}", zone.shown(unit));
    assert!(zone.console(unit).contains("ACPI: TPM2"), "{}", zone.console(unit));
    // Over again, by the same firmware: the registers are what they were.
    zone.say(&["power-cycle", unit]);
    zone.machine("ready again", unit, |machine| {
        is_ready(machine) && zone.shown(unit).matches(proved).count() == 2
    });
    // Another box in its place, with all that a box shows but the TPM.
    zone.say(&["power", "off", unit]);
    let name = zone.machine("off", unit, |machine| machine.state == "off").name;
    fs::remove_dir_all(zone.lab.path.join("machines").join(name).join("tpm")).expect("it had a TPM");
    zone.say(&["power", "on", unit]);
    zone.machine("doubt", unit, |_| {
        zone.shown(unit).contains("it has another TPM than the machine that was accepted here")
    });
    assert!(zone.asked(&["accept", unit]).status.success());
    zone.machine("ready when it is accepted", unit, is_ready);
}

#[test]
fn uefi_boots_by_pxe_over_ipv6_beside_ipv4() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("six") else { return };
    // The other machine is played, and asks by IPv4 of the same controller.
    if !zone.up(&["p01/r1/u01,ipv6"]) {
        return;
    }
    let (unit, said) = ("p01/r1/u01", zone.console("p01/r1/u01"));
    assert!(said.contains(">>Start PXE over IPv6") && !said.contains("over IPv4"), "{said}");
    assert!(said.contains("NBP file downloaded successfully."), "{said}");
    assert!(zone.shown(unit).contains("uefi-pxe"), "{}", zone.shown(unit));
}

#[test]
fn in_a_rack_of_ipv6_alone_uefi_and_bios_go_from_power_on_to_ready() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("only") else { return };
    zone.has_ipv6_alone();
    if !zone.up(&["p01/r1/u01", "p01/r1/u02,bios"]) {
        return;
    }
    let (uefi, bios) = ("p01/r1/u01", "p01/r1/u02");
    let described = zone.machine("a state", uefi, is_ready).real.unwrap_or_default();
    assert!(described.starts_with("UEFI IPv6, "), "{described}");
    assert!(zone.console(uefi).contains(">>Start PXE over IPv6"), "{}", zone.console(uefi));
    for (unit, first, last) in [(uefi, "uefi-pxe", '6'), (bios, "ipxe", '7')] {
        let said = zone.console(unit);
        assert!(said.contains(&format!("put 2001:db8:64::{last}/128 on ")), "{said}");
        assert!(said.contains("connected to https://[2001:db8:64:ffff::36]:8443"), "{said}");
        assert!(zone.shown(unit).contains(first), "{}", zone.shown(unit));
    }

    // Over the second cable, as the same machine.
    zone.say(&["cut", "p01/r1/u01:eno1"]);
    zone.say(&["power-cycle", uefi]);
    zone.machine("power off", uefi, |machine| !is_ready(machine));
    let ready = zone.machine("boot over eno2", uefi, is_ready);
    assert_eq!(ready.address, "2001:db8:64::6");
}

#[test]
fn uefi_boots_by_http_over_ipv6_and_proves_itself_by_its_tpm() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("http6") else { return };
    zone.has_ipv6_alone();
    zone.trusts("\"tpm\"");
    // Nobody waits for the other one: played machines have no IPv6.
    if !zone.up_for_a_look(&["--vm", "p01/r1/u01,uefi-http"]) {
        return;
    }
    let unit = "p01/r1/u01";
    zone.machine("a boot", unit, is_ready);
    let said = zone.console(unit);
    assert!(said.contains(">>Start HTTP Boot over IPv6"), "{said}");
    assert!(said.contains("URI: http://[2001:db8:64:ffff::36]/boot/loader/ipxe.efi"), "{said}");
    assert!(zone.shown(unit).contains("uefi-http"), "{}", zone.shown(unit));
    let proved = "its TPM proved itself and its registers 0, 2, 7";
    assert_eq!(zone.shown(unit).matches(proved).count(), 1, "{}", zone.shown(unit));
}

#[test]
fn bios_boots_by_undionly_over_its_own_driver() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("undi") else { return };
    if !zone.up(&["p01/r1/u01,bios-undionly"]) {
        return;
    }
    let said = zone.console("p01/r1/u01");
    // On a busy computer it says between the dots and the "ok" how far it is.
    assert!(said.contains("/undionly.kpxe...") && said.contains("UNDI code segment"), "{said}");
}

#[test]
fn what_people_do_to_a_real_machine() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("do") else { return };
    if !zone.up(&["p01/r1/u01,bios"]) {
        return;
    }
    let unit = "p01/r1/u01";
    zone.say(&["break", unit, "disks=0"]);
    let failed = zone.machine("validation", unit, |machine| machine.state == "failed");
    assert!(failed.why.contains("20 GB ssd disk drawn, 0 found"), "{}", failed.why);
    let before = zone.shown(unit);
    zone.say(&["replace", unit]);
    zone.machine("a whole box", unit, is_ready);
    let serial = |page: &str| page.lines().find(|line| line.contains("serial")).map(str::to_owned);
    assert_ne!(serial(&zone.shown(unit)), serial(&before));

    // Between a real machine and a played one cables are swapped as between any.
    zone.say(&["swap", "p01/r1/u01:eno1", "p01/r1/u02:eno1"]);
    zone.machine("miscabling", unit, |machine| machine.why.contains("swapped"));
    zone.say(&["swap", "p01/r1/u01:eno1", "p01/r1/u02:eno1"]);
    zone.machine("all as drawn", unit, is_ready);

    // A reset is no loss of power.
    zone.say(&["power", "reset", unit]);
    zone.machine("ready after a reset", unit, is_ready);
}

#[test]
fn secure_boot_goes_by_shim_and_grub_to_a_kernel_that_debian_signed() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("sb") else { return };
    zone.trusts("{ by = \"tpm\", pcrs = [0, 7, 8, 9] }");
    if !zone.up(&["p01/r1/u01,secure-boot,tpm"]) {
        return;
    }
    let unit = "p01/r1/u01";
    let said = zone.console(unit);
    assert!(said.contains("Fetching Netboot Image grubx64.efi"), "{said}");
    assert!(said.contains("secureboot: Secure boot enabled"), "{said}");
    let proved = "its TPM proved itself and its registers 0, 7, 8, 9";
    zone.say(&["power-cycle", unit]);
    zone.machine("ready again", unit, |machine| {
        is_ready(machine) && zone.shown(unit).matches(proved).count() == 2
    });
    // Nobody signs an initial RAM disk, and yet it is not changed unseen: GRUB measures it. Zeros at its end mean nothing to the kernel.
    let changed = zone.design.join("images/installer/installer.img");
    let mut file = fs::OpenOptions::new().append(true).open(changed).expect("an initial RAM disk");
    file.write_all(&[0; 512]).expect("written");
    zone.say(&["power-cycle", unit]);
    let why = "its kernel or initial RAM disk changed since it was accepted (PCR 9)";
    zone.machine("doubt", unit, |_| zone.shown(unit).contains(why));
    assert!(zone.asked(&["accept", unit]).status.success());
    zone.machine("ready when it is accepted", unit, is_ready);
}

#[test]
fn secure_boot_refuses_an_ipxe_that_nobody_signed() {
    if !is_asked() {
        return;
    }
    let Some(zone) = Zone::new("unsigned") else { return };
    if zone.up_for_a_look(&["--vm", "p01/r1/u01,secure-boot", "--loaders", "/usr/lib/ipxe"]) {
        zone.until_said("p01/r1/u01", "Access Denied", 1, WAIT_MAX);
    }
}

#[test]
fn what_is_typed_reaches_a_console() {
    let Some(zone) = Zone::new("typed") else { return };
    if !zone.up_for_a_look(&["--vm", "p01/r1/u01,bios"]) {
        return;
    }
    let mut command = zw(&zone.design);
    command.args(["lab", "--zone", &zone.name, "console", "p01/r1/u01"]);
    let mut console = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("zw runs");
    let (mut keys, mut screen) =
        (console.stdin.take().expect("a pipe"), console.stdout.take().expect("a pipe"));
    zone.say(&["power", "reset", "p01/r1/u01"]);
    // The ROM waits two seconds for Ctrl-B; more than once is typed, since the reset takes its time.
    let (heard, hears) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        let mut octets = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut octets) {
            if heard.send(String::from_utf8_lossy(&octets[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    let (mut said, began) = (String::new(), Instant::now());
    while !said.contains("iPXE>") {
        let left = WAIT_MAX.saturating_sub(began.elapsed());
        let Ok(more) = hears.recv_timeout(left) else { panic!("no prompt: {said}") };
        said.push_str(&more);
        if said.contains("Press Ctrl-B") {
            keys.write_all(&[2]).expect("keys");
        }
    }
    keys.write_all(&[0x1d]).expect("keys");
    assert!(console.wait().expect("its end").success());
    listener.join().expect("no panic");
}
