//! Where a section runs: a network that nothing else is in, made anew and gone with the process.
//!
//! `unshare` gives a process of this program mount, network and process namespaces of its own; it is the first process
//! in there, so the kernel ends everything that it started when it ends, however it ends. The generator stays in that
//! first network. Each server has a network namespace and a cable (a veth pair) to the generator, all alike; the host's
//! interfaces are in none of them. `/run` and `/var/lib` are empty and in memory: no server waits for a disk.

use crate::process::core_words;
use crate::settings::Settings;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the first process of the namespaces does before it becomes this program.
const PREPARE: &str = r#"
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/netns /run/bench /run/lock /run/kea /var/lib/kea
ip link set lo up
# The generator is every relay and every client: all their addresses are its own.
ip route add local 10.0.0.0/8 dev lo
ip -6 route add local 2001:db8::/32 dev lo
exec "$@"
"#;

/// What servers' TCP goes by, whatever the host has set: the kernel's own default. One that paces (`bbr`) measures its
/// timers, and gives each connection another rate on a cable without a delay.
const CONGESTION_CONTROL: &str = "cubic";

/// Where servers keep files, in memory.
pub(crate) const DIRECTORY: &str = "/run/bench";

/// Runs a section in namespaces of its own and gives its page.
pub(crate) fn enter(section: &str, settings: &Settings) -> Result<String, String> {
    if !nix::unistd::geteuid().is_root() {
        let why = format!("the section {section} makes network namespaces, and so needs root");
        if settings.is_smoke {
            crate::say(&format!("{why}: left out"));
            return Ok(String::new());
        }
        return Err(why);
    }
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", PREPARE, "sh"])
        .arg(this)
        .args(["inside", section])
        .args(settings.words())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("failed to start unshare: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("the section {section} ended with {}", output.status))
    }
}

/// The two processors that the generator and the server have to themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    generator: usize,
    /// The server's.
    pub(crate) server: usize,
}

impl Cores {
    /// Takes the first and the last that this process may use, and goes to the first.
    pub(crate) fn take() -> Result<Self, String> {
        let all = sched_getaffinity(Pid::from_raw(0))
            .map_err(|error| format!("failed to ask for cores: {error}"))?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
        let (Some(&generator), Some(&server)) = (usable.first(), usable.last()) else {
            return Err("this process may use no core".to_owned());
        };
        if generator == server {
            crate::say("one core only: the generator and the server share it, and no figure means much");
        }
        let mut set = CpuSet::new();
        set.set(generator)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .map_err(|error| format!("failed to stay on core {generator}: {error}"))?;
        Ok(Self { generator, server })
    }

    /// A command on the generator's core, beside the generator.
    pub(crate) fn judge(&self, words: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(core_words(self.generator)).args(words).stdin(Stdio::null());
        command
    }
}

/// A network namespace with one server, and the cable to it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its name, which is the server's.
    pub(crate) name: String,
    /// The generator's end of the cable.
    pub(crate) cable: String,
    /// The server's address (of RFC 2544's test network).
    pub(crate) address: Ipv4Addr,
    /// The generator's.
    pub(crate) generator: Ipv4Addr,
    /// The server's, of RFC 5180's.
    pub(crate) address6: Ipv6Addr,
    /// The generator's.
    pub(crate) generator6: Ipv6Addr,
}

impl Place {
    /// Makes the `number`th, beginning with 1.
    pub(crate) fn new(number: u8, name: &str) -> Result<Self, String> {
        let six = |last: u16| Ipv6Addr::new(0x2001, 2, 0, u16::from(number), 0, 0, 0, last);
        let place = Self {
            name: name.replace(' ', "-"),
            cable: format!("cable{number}"),
            address: Ipv4Addr::new(198, 18, number, 1),
            generator: Ipv4Addr::new(198, 18, number, 2),
            address6: six(1),
            generator6: six(2),
        };
        let Self { name, cable, address, generator, address6, generator6 } = &place;
        shell(&format!(
            "ip netns add {name}
             ip -n {name} link set lo up
             ip link add {cable} type veth peer name uplink netns {name}
             ip link set {cable} up
             ip -n {name} link set uplink up
             ip address add {generator}/30 dev {cable}
             ip -n {name} address add {address}/30 dev uplink
             ip address add {generator6}/64 dev {cable} nodad
             ip -n {name} address add {address6}/64 dev uplink nodad
             ip -n {name} route add default via {generator} congctl {CONGESTION_CONTROL} ||
               ip -n {name} route add default via {generator}
             ip -n {name} -6 route add default via {generator6}"
        ))?;
        Ok(place)
    }

    /// A directory of this server's own, in memory.
    pub(crate) fn directory(&self) -> Result<PathBuf, String> {
        let directory = PathBuf::from(DIRECTORY).join(&self.name);
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("failed to make {}: {error}", directory.display()))?;
        Ok(directory)
    }

    /// Writes a file into that directory and gives its path.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<String, String> {
        let path = self.directory()?.join(file);
        std::fs::write(&path, text)
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }
}

/// Runs shell text that must succeed.
pub(crate) fn shell(script: &str) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-euc", script])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start sh: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{script}\nended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
