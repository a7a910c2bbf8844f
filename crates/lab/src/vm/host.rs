//! What this machine has for real machines: programs and firmware, virtualization, memory.

use super::arguments::{Accelerator, CODE, CODE_SECURE, OVMF, VARIABLES, VARIABLES_SECURE};
use super::choice::{Choice, Firmware};
use crate::error::{Doing, Error};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The program that is a machine.
pub(super) const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// Those that are a TPM, and that make one.
pub(super) const SWTPM: &str = "/usr/bin/swtpm";
pub(super) const SWTPM_SETUP: &str = "/usr/bin/swtpm_setup";
const TPM: [(&str, &str); 2] = [(SWTPM, "swtpm"), (SWTPM_SETUP, "swtpm-tools")];
/// Where Debian's iPXE lies, and what Secure Boot starts in its place, with the names that are asked for.
const LOADERS: &str = "/usr/lib/ipxe";
const SIGNED: [(&str, &str, &str); 2] = [
    ("/usr/lib/shim/shimx64.efi.signed", "shimx64.efi", "shim-signed"),
    ("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grubx64.efi", "grub-efi-amd64-signed"),
];
/// Where the boot protocol's mark is in a Linux kernel for x86 (Documentation/arch/x86/boot.rst).
const MARK_AT: u64 = 0x202;
const MARK: &[u8; 4] = b"HdrS";

/// The first release of OVMF that is built with elliptic curves (EDK2's change 63e4713c48 of April 2025), and who knows which is here.
const OVMF_WITH_CURVES: (u16, u8) = (2025, 5);
const DPKG: &str = "/var/lib/dpkg/status";

/// Memory that is left to this machine itself, in MiB.
const KEPT_MIB: u64 = 512;

/// Whether everything is here that these machines need.
///
/// # Errors
/// Names the Debian packages that are not.
pub fn check<'a>(
    choices: impl Iterator<Item = &'a Choice>,
    has_own_loaders: bool,
    ovmf: &Path,
) -> Result<(), Error> {
    let mut needed: Vec<(PathBuf, &str)> = Vec::new();
    let mut need = |path: &str, package| needed.push((PathBuf::from(path), package));
    let mut of_ovmf = Vec::new();
    for choice in choices {
        need(QEMU, "qemu-system-x86");
        if !has_own_loaders {
            need("/usr/lib/ipxe/undionly.kpxe", "ipxe");
            SIGNED.iter().filter(|_| choice.secure_boot).for_each(|(path, _, package)| need(path, package));
        }
        match choice.firmware {
            Firmware::Bios | Firmware::BiosUndionly => {
                need("/usr/share/seabios/bios-256k.bin", "seabios");
                need("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu");
            }
            _ if choice.secure_boot => of_ovmf.extend([CODE_SECURE, VARIABLES_SECURE]),
            _ => of_ovmf.extend([CODE, VARIABLES]),
        }
        if choice.tpm {
            TPM.iter().for_each(|(path, package)| need(path, package));
        }
    }
    let of_ovmf = of_ovmf.into_iter().map(|name| ovmf.join(name));
    if ovmf == Path::new(OVMF) {
        needed.extend(of_ovmf.map(|path| (path, "ovmf")));
    } else if let Some(path) = of_ovmf.into_iter().find(|path| !path.exists()) {
        return Err(Error::new(format!("give machines real firmware: there is no {}", path.display())));
    }
    are_there("give machines real firmware", &needed)
}

/// Whether this OVMF can boot `target` by HTTPS, as far as that is known.
///
/// # Errors
/// If it is known that it cannot.
pub(crate) fn check_https(target: &str, ovmf: &Path) -> Result<(), Error> {
    let status = match ovmf == Path::new(OVMF) {
        true => fs::read_to_string(DPKG).unwrap_or_default(),
        false => return Ok(()),
    };
    match ovmf_release(&status) {
        Some((year, month)) if (year, month) < OVMF_WITH_CURVES => Err(Error::new(format!(
            "boot {target} by HTTPS, as its role says: the OVMF {year}.{month:02} in {OVMF} has no elliptic curves, which our certificates need; name the directory of one from 2025.05 on with --ovmf (docs/guides/https-boot.md)"
        ))),
        _ => Ok(()),
    }
}

/// The release of OVMF that dpkg says is installed.
fn ovmf_release(status: &str) -> Option<(u16, u8)> {
    let package = status.split("\n\n").find(|text| text.starts_with("Package: ovmf\n"))?;
    let version = package.lines().find_map(|line| line.strip_prefix("Version: "))?;
    let (year, rest) = version.split_once('.')?;
    Some((year.parse().ok()?, rest.get(..2)?.parse().ok()?))
}

/// Whether machines of any kind can have a TPM here.
///
/// # Errors
/// Names the Debian packages that are missing.
pub(crate) fn check_tpm() -> Result<(), Error> {
    are_there("give machines a TPM", &TPM)
}

fn are_there(what: &str, needed: &[(impl AsRef<Path>, &'static str)]) -> Result<(), Error> {
    let missing = needed.iter().filter(|(path, _)| !path.as_ref().exists());
    let mut missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    Err(Error::new(format!("{what}: this needs `apt-get install --no-install-recommends {packages}`")))
}

/// Lays boot programs for real firmware into a directory: iPXE, and for Secure Boot shim and GRUB beside it.
///
/// # Errors
/// If a file cannot be linked to.
pub(crate) fn lay_loaders(directory: &Path, is_secure: bool) -> Result<(), Error> {
    let create = || format!("create {}", directory.display());
    fs::create_dir_all(directory).doing(create)?;
    let ipxe = fs::read_dir(LOADERS).doing(|| format!("read {LOADERS}"))?.flatten();
    let ipxe = ipxe.map(|entry| (entry.path(), entry.file_name()));
    let signed = SIGNED.iter().filter(|_| is_secure).map(|(path, name, _)| (path.into(), name.into()));
    for (path, name) in ipxe.chain(signed) {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(path, link).doing(create)?;
        }
    }
    Ok(())
}

/// Whether the kernel that a machine is to boot is one: examples have something in its place that has its size.
///
/// # Errors
/// If it is there and is none. One that is missing is the controller's to tell.
pub(crate) fn check_kernel(target: &str, kernel: &Path) -> Result<(), Error> {
    let mut mark = [0; MARK.len()];
    let is_there = File::open(kernel).map(|kernel| kernel.read_exact_at(&mut mark, MARK_AT));
    if is_there.is_err() || mark == *MARK {
        return Ok(());
    }
    Err(Error::new(format!(
        "give {target} real firmware: {} is no kernel; `zw image build installer` makes one, and the image that goes with it",
        kernel.display()
    )))
}

/// The best way of running a machine that this processor says it has; whether it works is seen when it runs.
pub(super) fn accelerator() -> Accelerator {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let may_use = || File::options().read(true).write(true).open("/dev/kvm").is_ok();
    if has_virtualization(&processor) && may_use() { Accelerator::Kvm } else { Accelerator::Tcg }
}

/// Intel's and AMD's words. A hypervisor that offers /dev/kvm without either emulates what OVMF asks for only in part.
fn has_virtualization(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split_whitespace().any(|word| word == "vmx" || word == "svm"))
}

/// As much memory as a machine wants, or as this one can spare.
pub(super) fn memory_mib(wanted: u64) -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    wanted.min(available_mib(&meminfo).unwrap_or(wanted).saturating_sub(KEPT_MIB))
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_word_of_the_processor() {
        assert!(has_virtualization("processor : 0\nflags\t\t: fpu vmx sse\n"));
        assert!(has_virtualization("flags : svm\n"));
        assert!(!has_virtualization("flags : fpu hypervisor vmxoff\nbugs : vmx\n"));
        assert!(!has_virtualization(""));
    }

    #[test]
    fn the_release_of_ovmf_is_dpkgs_word() {
        let status = |version| {
            format!(
                "Package: ovmf-ia32\nVersion: 1.2\n\nPackage: ovmf\nStatus: x\nVersion: {version}\nSize: 3\n\nPackage: z\n"
            )
        };
        assert_eq!(ovmf_release(&status("2022.11-6+deb12u2")), Some((2022, 11)));
        assert_eq!(ovmf_release(&status("2026.08+ds-2")), Some((2026, 8)));
        assert_eq!(ovmf_release(&status("0~20181115")), None);
        assert_eq!(ovmf_release(""), None);
    }

    #[test]
    fn memory_is_what_the_kernel_says_is_available() {
        let meminfo = "MemTotal:  24683484 kB\nMemFree: 1 kB\nMemAvailable:   23068672 kB\n";
        assert_eq!(available_mib(meminfo), Some(22_528));
        assert_eq!(available_mib("MemTotal: 5 kB\n"), None);
    }
}
