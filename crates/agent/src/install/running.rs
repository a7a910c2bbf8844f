//! What the agent runs in, and what follows of it: whether its slot is on trial, how it becomes the good one, how the machine restarts.

use super::esp::{self, Esp, Seal};
use super::files;
use super::grub::Environment;
use crate::options::{self, Options};
use api::agent::Lease;
use api::install::{Running, Slot};
use model::Time;
use nix::mount::MsFlags;
use rustix::system::{RebootCommand, reboot};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WORK: &str = "/run/zonewright-running";
/// A restart that was asked for politely takes at most this long.
const RESTART_PATIENCE: Duration = Duration::from_secs(120);
/// `RAMFS_MAGIC` and `TMPFS_MAGIC` of linux/magic.h.
const MEMORY: [u64; 2] = [0x8584_58f6, 0x0102_1994];

/// The kernel's name for this boot: a UUID, random.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the agent runs in.
#[derive(Debug)]
pub(super) enum Here {
    /// A machine without a system.
    Memory,
    /// A slot that we wrote.
    Disk(Disk),
    /// A system that somebody else installed.
    Elsewhere,
    /// A machine that somebody plays on another, which is never restarted for it.
    Played {
        /// Whoever plays it takes [`options::RESTARTS`] for a restart.
        by_exit: bool,
    },
}

/// A slot that runs.
#[derive(Debug)]
pub(super) struct Disk {
    pub slot: Slot,
    /// Volume id of this system's EFI system partitions.
    pub esp: u32,
    pub seal: Seal,
    on_trial: AtomicBool,
}

impl Disk {
    pub(super) fn on_trial(&self) -> bool {
        self.on_trial.load(Ordering::Relaxed)
    }
}

impl Here {
    /// Tells this boot of a machine with a system of ours from every other: a restart that it is to make, it has made or not.
    pub(super) fn boot(&self) -> Option<u64> {
        let id = matches!(self, Self::Disk(_)).then(|| fs::read_to_string(BOOT_ID).ok())??;
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).ok()
    }

    /// As it is told to controllers.
    pub(super) fn told(&self) -> Option<Running> {
        match self {
            Self::Memory => Some(Running::Memory),
            Self::Disk(disk) => Some(Running::Disk {
                slot: disk.slot,
                image: disk.seal.image.clone(),
                on_trial: disk.on_trial(),
            }),
            Self::Elsewhere | Self::Played { .. } => None,
        }
    }
}

/// Finds out. A slot that is good on one of its disks is made so on all: a power cut may have left them different.
pub(super) fn find(options: &Options) -> (Here, Vec<String>) {
    if options.is_ramdisk {
        return (Here::Memory, Vec::new());
    }
    // They see the command line of the machine they are played on, which may be one of ours.
    if options.is_played || options.hardware_file.is_some() {
        return (Here::Played { by_exit: options.is_played }, Vec::new());
    }
    let kernel = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let is_here =
        options::command_line(&kernel).is_ok_and(|line| line.location.as_ref() == Some(&options.location));
    let Some((slot, id)) = esp::named(&kernel).filter(|_| is_here) else {
        return (Here::Elsewhere, Vec::new());
    };
    let mut problems = Vec::new();
    let mut found = None;
    let mut is_good = false;
    let partitions = esp::with_id(id);
    for partition in &partitions {
        match Esp::mount(partition, Path::new(WORK), MsFlags::MS_RDONLY) {
            Ok(esp) => {
                is_good |= esp.environment().good == Some(slot);
                found = found.or(esp.seal(slot));
            }
            Err(error) => problems.push(error),
        }
    }
    let Some(seal) = found else {
        problems.push(format!("no efi system partition says what runs in slot {}", slot.letter()));
        return (Here::Elsewhere, problems);
    };
    let disk = Disk { slot, esp: id, seal, on_trial: AtomicBool::new(!is_good) };
    if is_good {
        match make_good(&disk) {
            Ok(more) => problems.extend(more),
            Err(error) => problems.push(error),
        }
    }
    (Here::Disk(disk), problems)
}

/// Makes the running slot the good one, on every disk. Gives what went wrong on some: a disk that cannot be written any more is no reason to
/// fall back.
pub(super) fn make_good(disk: &Disk) -> Result<Vec<String>, String> {
    let partitions = esp::with_id(disk.esp);
    let set = |partition: &PathBuf| {
        Esp::mount(partition, Path::new(WORK), MsFlags::empty())?
            .set_environment(Environment { good: Some(disk.slot), trial: None })
    };
    let problems: Vec<String> = partitions.iter().filter_map(|partition| set(partition).err()).collect();
    if problems.len() == partitions.len() {
        return Err(match problems.is_empty() {
            true => "no efi system partition of this system was found".to_owned(),
            false => problems.join("; "),
        });
    }
    disk.on_trial.store(false, Ordering::Relaxed);
    fs::write(files::CONFIRMED, "")
        .map_err(|error| format!("failed to write {}: {error}", files::CONFIRMED))?;
    Ok(problems)
}

/// Whether `/` is gone with the power. Only such a machine may have its disks wiped: its agent was told that it is in memory, and this
/// is the proof.
pub(super) fn is_in_memory() -> bool {
    rustix::fs::statfs("/").is_ok_and(|root| MEMORY.contains(&(root.f_type as u64)))
}

/// How long the machine has been running.
pub(super) fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// Whether a restart may be begun now. A controller that is wrong, or is not ours, gets no further than this.
///
/// # Errors
/// Why not, a sentence.
pub(super) fn may_restart(
    lease: Option<&Lease>,
    wrote: bool,
    held: Option<&str>,
    now: Time,
) -> Result<(), String> {
    if let Some(held) = held {
        return Err(format!("it is held here: {held}"));
    }
    match lease {
        Some(lease) if lease.until <= now => {
            Err(format!("the lease of {} ({}) is over", lease.holder, lease.reason))
        }
        // What it wrote itself takes effect so, and nothing runs in it yet.
        None if !wrote => Err("nobody has a lease of this machine".to_owned()),
        _ => Ok(()),
    }
}

/// Restarts the machine. Blocks until it does.
pub(super) fn restart(here: &Here) -> Result<(), String> {
    match here {
        Here::Memory if is_in_memory() => {}
        Here::Played { by_exit: true } => std::process::exit(options::RESTARTS),
        Here::Disk(_) | Here::Elsewhere => {
            let asked = Command::new("systemctl")
                .arg("reboot")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if asked.is_ok_and(|status| status.success()) {
                std::thread::sleep(RESTART_PATIENCE);
            }
        }
        Here::Memory | Here::Played { .. } => {
            return Err("what runs here is not what would restart".into());
        }
    }
    rustix::fs::sync();
    reboot(RebootCommand::Restart).map_err(|error| format!("failed to restart the machine: {error}"))
}
