//! The Debian packages whose programs the tests run against us, and the bench beside us; and what Debian does not have.

use crate::run;
use std::process::{Command, Stdio};

/// Package, and what it is for.
const PACKAGES: &[(&str, &str)] = &[
    ("ansible-core", "ansible-inventory reads our inventory"),
    ("atftp", "a TFTP client that can ask for every option"),
    ("bind9", "named, a secondary of our zones"),
    ("bind9-dnsutils", "dig asks our DNS"),
    ("bind9-utils", "named-checkzone judges the zones that we transfer"),
    ("busybox", "the system that the tests install"),
    ("chromium", "a browser without a window, which looks at the page"),
    ("chromium-driver", "WebDriver, by which tests work that browser"),
    ("cloud-init", "judges the cloud-config of our templates; it is disabled before it is installed"),
    ("cpio", "lists the archives of images that we wrote"),
    ("curl", "fetches boot files by HTTP and TFTP, whole and in ranges"),
    ("debconf", "debconf-set-selections judges our preseed"),
    ("dhcpig", "tries to use up the addresses of a DHCP server"),
    ("dhcpstarv", "the same, in another way"),
    ("dhcpcd-base", "a DHCP client"),
    ("dnsmasq-base", "a DHCP server to measure beside ours, and one that is not ours for agents to find"),
    ("dnsperf", "asks our DNS quickly and counts what is lost"),
    ("etcd-client", "etcdctl writes what is not ours beside our keys"),
    ("etcd-server", "etcd, the store of several controllers"),
    ("faketime", "runs the server with a clock that is far off"),
    ("dosfstools", "fsck.vfat judges the EFI system partitions that we wrote"),
    ("gdisk", "sgdisk judges the partition tables that we wrote"),
    ("grub-efi-amd64-signed", "what shim starts in a real machine with Secure Boot"),
    ("graphviz", "dot draws our graph of cables"),
    ("ipxe", "the boot programs that real firmware fetches"),
    ("ipxe-qemu", "the network ROMs of real machines of the lab"),
    ("grub-common", "grub-editenv reads the environment that we wrote for GRUB"),
    ("iproute2", "makes the private networks of the tests, and looks at what the lab made, from outside"),
    ("isc-dhcp-client", "a DHCP client"),
    ("isc-dhcp-relay", "a relay that inserts Option 82"),
    ("isc-dhcp-server", "a DHCP server to measure beside ours"),
    ("kea-admin", "perfdhcp, a judge of DHCP servers"),
    ("kea-dhcp4-server", "a DHCP server to measure beside ours"),
    ("kea-dhcp6-server", "a DHCPv6 server to measure beside ours"),
    ("kmod", "depmod judges the lists of modules in images"),
    ("knot", "a DNS server to measure beside ours"),
    ("ldnsutils", "drill asks our DNS, by another library than dig's; ldns-verify-zone judges the zones"),
    ("librsvg2-bin", "rsvg-convert draws our pictures"),
    ("libxml2-utils", "xmllint judges that our pictures are XML"),
    ("mmdebstrap", "puts the packages of operating systems together"),
    ("mtools", "reads files of EFI system partitions without mounting them"),
    (
        "libvirt-daemon",
        "libvirtd, the power of a real machine behind a BMC; it runs in a private network only",
    ),
    ("libvirt-daemon-driver-qemu", "the same, for QEMU"),
    ("musl-tools", "musl-gcc, for an agent that needs nothing of the system it runs on"),
    ("nginx-light", "a web server to measure beside ours"),
    ("nsd", "a DNS server to measure beside ours"),
    ("ovmf", "UEFI of real machines of the lab"),
    ("poppler-utils", "pdfinfo counts the pages that a browser printed"),
    ("procps", "pkill ends a lab the hard way"),
    ("prometheus", "promtool reads our metrics and targets"),
    ("python3", "sends what no decent client would"),
    ("python3-libvirt", "lets sushy-emulator power real machines"),
    ("python3-venv", "the place of Python programs that Debian does not have"),
    ("qemu-system-x86", "real machines of the lab"),
    ("shim-signed", "what Secure Boot starts in a real machine of the lab"),
    ("socat", "holds ports that the server wants"),
    ("strace", "tells what a process wrote and synced, for cuts of power"),
    ("swtpm", "the TPM of real machines of the lab"),
    ("swtpm-tools", "makes such a TPM"),
    ("systemd", "systemd-networkd, a DHCP client"),
    ("tftp-hpa", "a TFTP client"),
    ("tftpd-hpa", "a TFTP server to measure beside ours"),
    ("udhcpc", "a DHCP client"),
    ("yersinia", "floods with DHCP among other things"),
    ("uidmap", "newuidmap, by which mmdebstrap does without root"),
    ("util-linux", "unshare, nsenter and setpriv, for private networks and missing rights"),
    ("zstd", "unpacks the archives of images that we wrote"),
];

/// Programs of Python's index, with their version, and what they are for. They are put in a place of their own beside what cargo
/// builds (`target/python`), and nowhere on the system.
const PYTHON: &[(&str, &str)] = &[
    ("pykickstart==3.78", "ksvalidator judges our kickstart file"),
    ("sushy-tools==2.2.0", "sushy-emulator plays a BMC that speaks Redfish"),
];

/// Installs what is missing, as far as this user may; else names it.
pub(crate) fn install() -> Result<(), String> {
    install_debian()?;
    install_python();
    Ok(())
}

/// What cannot be had is named, and tests that need it say that they are skipped: there may be no way to the index.
fn install_python() {
    // Beside this program's own directory, wherever cargo was told to build.
    let this = std::env::current_exe().ok();
    let Some(place) =
        this.as_ref().and_then(|this| this.ancestors().nth(2)).map(|target| target.join("python"))
    else {
        return;
    };
    let wanted: Vec<&str> = PYTHON.iter().map(|(name, _)| *name).collect();
    let mark = place.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted.join("\n")) {
        return;
    }
    run::say(&format!("installing {} in {}\n", wanted.join(" "), place.display()));
    let (place, pip) = (place.display().to_string(), place.join("bin/pip").display().to_string());
    // The system's own, whatever stands first in the path: Debian's bindings of libvirt are for that one.
    let options = ["-m", "venv", "--clear", "--system-site-packages", &place];
    let made = run::output("/usr/bin/python3", &options).and_then(|_| {
        let options = ["install", "--quiet", "--disable-pip-version-check"];
        run::output(&pip, &[&options[..], &wanted].concat())
    });
    match made.and_then(|_| std::fs::write(&mark, wanted.join("\n")).map_err(|error| error.to_string())) {
        Ok(()) => {}
        Err(why) => {
            let missing = PYTHON.iter().map(|(name, reason)| format!("  {name}: {reason}\n"));
            run::say(&format!(
                "these cannot be had here; tests that run them say so and are skipped ({why}):\n{}\n",
                missing.collect::<String>()
            ));
        }
    }
}

fn install_debian() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = run::output("id", &["-u"]).is_ok_and(|id| id.trim_ascii() == b"0");
    if !is_root || !succeeds("apt-get", &["--version"]) {
        run::say(&format!(
            "these Debian packages are missing; tests that run them say so and are skipped, and the bench leaves them out:\n{}\n",
            missing.iter().map(|name| format!("  {name}: {}\n", reason(name))).collect::<String>()
        ));
        return Ok(());
    }
    run::say(&format!("installing {}\n", missing.join(" ")));
    if missing.contains(&"cloud-init") {
        // It judges files here, and must not take this machine for a new one at its next start (cloud-init(1), "disabled").
        let written = std::fs::create_dir_all("/etc/cloud")
            .and_then(|()| std::fs::write("/etc/cloud/cloud-init.disabled", ""));
        written.map_err(|error| format!("failed to keep cloud-init from running: {error}"))?;
    }
    let mut arguments = vec![
        "DEBIAN_FRONTEND=noninteractive",
        "RUNLEVEL=1",
        "apt-get",
        "install",
        "--quiet",
        "--yes",
        "--no-install-recommends",
    ];
    arguments.extend(&missing);
    // A package index may be old or absent: refresh it only if the first try fails.
    if run::output("env", &arguments).is_err() {
        run::output("apt-get", &["update", "--quiet"])?;
        run::output("env", &arguments)?;
    }
    Ok(())
}

fn reason(name: &str) -> &str {
    PACKAGES.iter().find(|(package, _)| *package == name).map_or("", |(_, reason)| reason)
}

fn installed(name: &str) -> bool {
    run::output("dpkg-query", &["--show", "--showformat", "${db:Status-Status}", name])
        .is_ok_and(|status| status == b"installed")
}

fn succeeds(name: &str, arguments: &[&str]) -> bool {
    Command::new(name)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
