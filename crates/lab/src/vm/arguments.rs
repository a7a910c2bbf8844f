//! QEMU's command line for one machine. Pure.
//!
//! Files are named relative to the machine's directory, in which QEMU runs. Measured with QEMU 7.2, OVMF 2022.11 and
//! SeaBIOS 1.16.2 of Debian 12.

use super::choice::{Choice, Firmware};
use model::Mac;
use model::facts::Hardware;
use std::path::Path;

/// Where Debian's OVMF lies.
pub const OVMF: &str = "/usr/share/OVMF";
/// OVMF for machines without and with Secure Boot, in its directory; the latter needs system management mode, or anybody could write
/// its variables.
pub(super) const CODE: &str = "OVMF_CODE_4M.fd";
pub(super) const CODE_SECURE: &str = "OVMF_CODE_4M.secboot.fd";
/// Its variables as they leave the factory: none, and with Microsoft's keys.
pub(super) const VARIABLES: &str = "OVMF_VARS_4M.fd";
pub(super) const VARIABLES_SECURE: &str = "OVMF_VARS_4M.ms.fd";

/// The machine's own variables, in its directory.
pub(super) const OWN_VARIABLES: &str = "variables.fd";
/// What Debian's iPXE is as a kernel, and the script that leads it on to undionly.
pub(super) const IPXE: &str = "/usr/lib/ipxe/ipxe.lkrn";
pub(super) const CHAIN: &str = "undionly.ipxe";
/// Its disks are in here, which leads to where there is room.
pub(super) const DISKS: &str = "disks";
/// How long firmware of IPv6 waits for a key before it boots, as boards do.
///
/// OVMF 2022.11 makes its link-local addresses when it finds its network interfaces, and tries none for a second (duplicate address
/// detection). If the first boot option is HTTP, it asks for an address before that: "Error: Could not retrieve NBP file size from
/// HTTP server", on each interface at once, and then nothing is left to boot from. PXE as first option waits for it.
const KEY_WAIT_MILLISECONDS: u32 = 5000;
/// What its serial port said, and where it listens.
pub(super) const CONSOLE_LOG: &str = "console.log";
pub(super) const CONSOLE_SOCKET: &str = "console.sock";

/// How a machine is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Accelerator {
    /// The processor's own virtualization.
    Kvm,
    /// None: every instruction is translated.
    Tcg,
}

/// An interface: its address, and the number of the descriptor of its cable's other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nic {
    pub mac: Mac,
    pub descriptor: i32,
}

/// All that a command line depends on.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Machine<'a> {
    pub choice: &'a Choice,
    /// The directory of its OVMF.
    pub ovmf: &'a Path,
    /// The authorities that its firmware believes, a file; `None`: none.
    pub authorities: Option<&'a Path>,
    /// The day that its clock begins with, if it is not right.
    pub day: Option<&'a str>,
    pub accelerator: Accelerator,
    pub hardware: &'a Hardware,
    /// The version that its firmware shows; `None` is its own.
    pub firmware_version: Option<&'a str>,
    pub memory_mib: u64,
    /// In boot order.
    pub nics: &'a [Nic],
    /// Descriptors of the connections to QEMU's monitor and to the TPM.
    pub monitor: i32,
    pub tpm: Option<i32>,
}

/// The file of a disk.
pub(super) fn disk_file(number: usize) -> String {
    format!("{DISKS}/{number}.raw")
}

/// The arguments, without the program's name. The machine waits to be told to go on.
pub(super) fn arguments(machine: &Machine<'_>) -> Vec<String> {
    let Machine { choice, hardware, .. } = *machine;
    let is_uefi = !choice.firmware.is_bios();
    let mut all = Vec::new();
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);

    add("-machine", board(choice).to_owned());
    let (accelerator, processor) = match machine.accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg,thread=multi", "max"),
    };
    add("-accel", accelerator.to_owned());
    add("-cpu", processor.to_owned());
    add("-smp", hardware.cpus.to_string());
    add("-m", machine.memory_mib.to_string());
    add("-display", "none".to_owned());
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".to_owned());
    if is_uefi {
        let code = machine.ovmf.join(if choice.secure_boot { CODE_SECURE } else { CODE });
        let code = value(&code.to_string_lossy());
        add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
        add("-drive", format!("if=pflash,format=raw,unit=1,file={OWN_VARIABLES}"));
        // As in a rack that people have set up: each option of a family that nobody answers in would be a minute of asking.
        let (family, other) = if choice.ipv6 { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        add("-fw_cfg", format!("name=opt/org.tianocore/{other}Support,string=n"));
        if choice.firmware == Firmware::UefiHttp {
            add("-fw_cfg", format!("name=opt/org.tianocore/{family}PXESupport,string=n"));
        }
        if choice.ipv6 {
            add("-boot", format!("menu=on,splash-time={KEY_WAIT_MILLISECONDS}"));
        }
        if let Some(authorities) = machine.authorities {
            // In place of a person in its setup: OVMF takes it into the variable TlsCaCertificate at each start.
            let authorities = value(&authorities.to_string_lossy());
            add("-fw_cfg", format!("name=etc/edk2/https/cacerts,file={authorities}"));
        }
        if choice.secure_boot {
            add("-global", "driver=cfi.pflash01,property=secure,value=on".to_owned());
        }
    } else {
        // As a BIOS does that found nothing: it begins again after a while.
        add("-boot", "reboot-timeout=5000".to_owned());
        if choice.firmware == Firmware::BiosUndionly {
            add("-kernel", IPXE.to_owned());
            add("-initrd", CHAIN.to_owned());
        }
    }
    identity(machine, &mut add);
    if let Some(day) = machine.day {
        add("-rtc", format!("base={day}T00:00:00"));
    }
    add(
        "-chardev",
        format!(
            "socket,id=console,path={CONSOLE_SOCKET},server=on,wait=off,logfile={CONSOLE_LOG},logappend=on"
        ),
    );
    add("-serial", "chardev:console".to_owned());
    add("-chardev", format!("socket,id=monitor,fd={}", machine.monitor));
    add("-mon", "chardev=monitor,mode=control".to_owned());
    add("-device", "virtio-rng-pci".to_owned());
    add("-device", "i6300esb".to_owned());
    add("-action", "watchdog=reset".to_owned());
    if let Some(descriptor) = machine.tpm {
        add("-chardev", format!("socket,id=tpm,fd={descriptor}"));
        add("-tpmdev", "emulator,id=tpm0,chardev=tpm".to_owned());
        // SeaBIOS knows the older interface alone.
        add("-device", format!("{},tpmdev=tpm0", if is_uefi { "tpm-crb" } else { "tpm-tis" }));
    }
    for (number, nic) in machine.nics.iter().enumerate() {
        add("-netdev", format!("tap,id=cable{number},fd={}", nic.descriptor));
        let mbps = hardware.nics.iter().find(|found| found.mac == nic.mac).and_then(|found| found.mbps);
        let speed = mbps.map(|mbps| format!(",speed={mbps},duplex=full")).unwrap_or_default();
        // Without a ROM the firmware's own driver and PXE run, which for OVMF is the point.
        let rom = if is_uefi { ",romfile=" } else { "" };
        let boot = number + 1;
        add(
            "-device",
            format!(
                "virtio-net-pci,id=nic{number},netdev=cable{number},mac={},bootindex={boot}{rom}{speed}",
                nic.mac
            ),
        );
    }
    disks(machine, &mut add);
    // Nothing that is not asked for, and nothing moves before the cables are as they lie.
    all.extend(["-nodefaults", "-no-user-config", "-S"].map(str::to_owned));
    all
}

fn board(choice: &Choice) -> &'static str {
    match (choice.firmware, choice.secure_boot) {
        // Without graphics SeaBIOS speaks to the serial port.
        (Firmware::Bios | Firmware::BiosUndionly, _) => "pc,graphics=off",
        (_, false) => "q35,smm=off",
        (_, true) => "q35,smm=on",
    }
}

fn identity(machine: &Machine<'_>, add: &mut impl FnMut(&str, String)) {
    let Hardware { uuid, serial, .. } = machine.hardware;
    add("-uuid", uuid.clone());
    add("-smbios", format!("type=1,manufacturer=Zonewright,product=lab,serial={}", value(serial)));
    if let Some(version) = machine.firmware_version {
        add("-smbios", format!("type=0,version={}", value(version)));
    }
}

fn disks(machine: &Machine<'_>, add: &mut impl FnMut(&str, String)) {
    let disks = &machine.hardware.disks;
    if disks.iter().any(|disk| disk.kind != "nvme") {
        add("-device", "virtio-scsi-pci,id=scsi".to_owned());
    }
    for (number, disk) in disks.iter().enumerate() {
        // The lab's machines lose their power, never this one's: nothing is gained by waiting for its disk.
        let file = disk_file(number);
        add("-drive", format!("if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={file}"));
        let kind = match disk.kind.as_str() {
            "nvme" => "nvme".to_owned(),
            "hdd" => "scsi-hd,bus=scsi.0,rotation_rate=7200".to_owned(),
            _ => "scsi-hd,bus=scsi.0,rotation_rate=1".to_owned(),
        };
        let (serial, boot) =
            (format!("{}-{number}", machine.hardware.serial), machine.nics.len() + number + 1);
        add("-device", format!("{kind},drive=disk{number},serial={},bootindex={boot}", value(&serial)));
    }
}

/// A comma in a value is written twice.
fn value(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::facts::{Disk, Nic as Found};

    fn check(choice: &str, accelerator: Accelerator, disks: &[&str], expected: &Expect) {
        expected.assert_eq(&lines(&choice.parse().expect("a choice"), accelerator, disks));
    }

    fn lines(choice: &Choice, accelerator: Accelerator, disks: &[&str]) -> String {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let nic = Found { name: "eno1".to_owned(), mac, mbps: Some(10_000), neighbour: None };
        let disks = disks.iter().enumerate().map(|(number, kind)| Disk {
            name: format!("disk{number}"),
            size_bytes: 20_000_000_000,
            kind: (*kind).to_owned(),
        });
        let hardware = Hardware {
            cpus: 2,
            memory_bytes: 4 << 30,
            disks: disks.collect(),
            firmware: String::new(),
            serial: "LAB0123456789".to_owned(),
            uuid: "00112233-4455-8677-8899-aabbccddeeff".to_owned(),
            nics: vec![nic],
            stacked: None,
            clock_skew_ms: 0,
            system: String::new(),
        };
        let machine = Machine {
            choice,
            ovmf: Path::new(OVMF),
            authorities: choice.tpm.then_some(Path::new("/lab/authorities")),
            day: choice.tpm.then_some("2060-01-01"),
            accelerator,
            hardware: &hardware,
            firmware_version: Some("1.0, a beta"),
            memory_mib: 4300,
            nics: &[Nic { mac, descriptor: 9 }],
            monitor: 10,
            tpm: choice.tpm.then_some(11),
        };
        let lines = arguments(&machine).join(" ").replace(" -", "\n-");
        format!("{lines}\n")
    }

    #[test]
    fn a_uefi_machine_with_all_kinds_of_disks_and_a_tpm() {
        check(
            "u01,tpm,secure-boot",
            Accelerator::Tcg,
            &["ssd", "hdd", "nvme"],
            &expect![[r#"
                -machine q35,smm=on
                -accel tcg,thread=multi
                -cpu max
                -smp 2
                -m 4300
                -display none
                -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
                -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
                -drive if=pflash,format=raw,unit=1,file=variables.fd
                -fw_cfg name=opt/org.tianocore/IPv6Support,string=n
                -fw_cfg name=etc/edk2/https/cacerts,file=/lab/authorities
                -global driver=cfi.pflash01,property=secure,value=on
                -uuid 00112233-4455-8677-8899-aabbccddeeff
                -smbios type=1,manufacturer=Zonewright,product=lab,serial=LAB0123456789
                -smbios type=0,version=1.0,, a beta
                -rtc base=2060-01-01T00:00:00
                -chardev socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on
                -serial chardev:console
                -chardev socket,id=monitor,fd=10
                -mon chardev=monitor,mode=control
                -device virtio-rng-pci
                -device i6300esb
                -action watchdog=reset
                -chardev socket,id=tpm,fd=11
                -tpmdev emulator,id=tpm0,chardev=tpm
                -device tpm-crb,tpmdev=tpm0
                -netdev tap,id=cable0,fd=9
                -device virtio-net-pci,id=nic0,netdev=cable0,mac=02:00:00:00:00:01,bootindex=1,romfile=,speed=10000,duplex=full
                -device virtio-scsi-pci,id=scsi
                -drive if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file=disks/0.raw
                -device scsi-hd,bus=scsi.0,rotation_rate=1,drive=disk0,serial=LAB0123456789-0,bootindex=2
                -drive if=none,id=disk1,format=raw,cache=unsafe,discard=unmap,file=disks/1.raw
                -device scsi-hd,bus=scsi.0,rotation_rate=7200,drive=disk1,serial=LAB0123456789-1,bootindex=3
                -drive if=none,id=disk2,format=raw,cache=unsafe,discard=unmap,file=disks/2.raw
                -device nvme,drive=disk2,serial=LAB0123456789-2,bootindex=4
                -nodefaults
                -no-user-config
                -S
            "#]],
        );
    }

    #[test]
    fn the_families_and_ways_that_uefi_is_set_to() {
        let told = |choice: &str| {
            let choice: Choice = choice.parse().expect("a choice");
            let lines = lines(&choice, Accelerator::Kvm, &[]);
            let told = lines.lines().filter_map(|line| line.strip_prefix("-fw_cfg name=opt/org.tianocore/"));
            told.collect::<Vec<_>>().join(" ")
        };
        expect!["IPv6Support,string=n"].assert_eq(&told("u01"));
        expect!["IPv6Support,string=n IPv4PXESupport,string=n"].assert_eq(&told("u01,uefi-http"));
        expect!["IPv4Support,string=n"].assert_eq(&told("u01,ipv6"));
        expect!["IPv4Support,string=n IPv6PXESupport,string=n"].assert_eq(&told("u01,uefi-http,ipv6"));
    }

    #[test]
    fn a_bios_machine_without_disks() {
        check(
            "u01,bios",
            Accelerator::Kvm,
            &[],
            &expect![[r#"
            -machine pc,graphics=off
            -accel kvm
            -cpu host
            -smp 2
            -m 4300
            -display none
            -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
            -boot reboot-timeout=5000
            -uuid 00112233-4455-8677-8899-aabbccddeeff
            -smbios type=1,manufacturer=Zonewright,product=lab,serial=LAB0123456789
            -smbios type=0,version=1.0,, a beta
            -chardev socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on
            -serial chardev:console
            -chardev socket,id=monitor,fd=10
            -mon chardev=monitor,mode=control
            -device virtio-rng-pci
            -device i6300esb
            -action watchdog=reset
            -netdev tap,id=cable0,fd=9
            -device virtio-net-pci,id=nic0,netdev=cable0,mac=02:00:00:00:00:01,bootindex=1,speed=10000,duplex=full
            -nodefaults
            -no-user-config
            -S
        "#]],
        );
    }
}
