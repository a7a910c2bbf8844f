//! The agent as the first process of a machine that has no system yet: an installer, or an image that lives in memory.
//!
//! In: a kernel that unpacked our archives and started `/init`. Out: file systems, drivers for what is in the box, addresses from
//! DHCP, and the agent as it runs everywhere. Two processes: the first mounts, starts the second, and buries whoever dies; the
//! second does the rest and is started anew when it ends. What is needed of the zone stands on the kernel's command line.

mod filesystems;
mod modules;
mod network;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub use network::Trouble;

/// The flag by which the second process knows what it is.
pub const FLAG: &str = "--ramdisk";

/// Where an agent keeps its key and its orders if nobody says: without a system in memory, so that they go with the power.
pub fn state_dir(is_ramdisk: bool) -> PathBuf {
    PathBuf::from(if is_ramdisk { "/run/zonewright-agent" } else { "/var/lib/zonewright-agent" })
}

/// Where the agent that runs on this machine keeps them, if nobody told it another place.
pub fn state_dir_here() -> PathBuf {
    let in_memory = state_dir(true);
    if in_memory.is_dir() { in_memory } else { state_dir(false) }
}

/// A second process that ran that long and ended is started anew at once.
const LONG: Duration = Duration::from_secs(60);
/// The pause before it is started anew grows to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The first process, from here to power-off. It must not end: the kernel would panic.
pub fn first_process(say: impl Fn(&str)) -> ! {
    for problem in filesystems::mount_all() {
        say(&problem);
    }
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        match second_process() {
            Ok(ended) => say(&format!("the agent ended: {ended}")),
            Err(error) => say(&format!("failed to start the agent: {error}")),
        }
        failures = if began.elapsed() >= LONG { 0 } else { failures + 1 };
        std::thread::sleep(pause(failures));
    }
}

/// Starts it, and waits until it ended. Orphans become children of the first process, so everybody is waited for.
fn second_process() -> io::Result<String> {
    let child = Command::new("/proc/self/exe")
        .arg(FLAG)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .spawn()?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(process, code)) if process.as_raw().unsigned_abs() == child.id() => {
                return Ok(format!("it left with {code}"));
            }
            Ok(WaitStatus::Signaled(process, signal, _)) if process.as_raw().unsigned_abs() == child.id() => {
                return Ok(format!("{signal} ended it"));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// One second, two, four, …
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX)
}

/// The second process before it is an agent: drivers, then addresses. Returns when there is one; interfaces that come later
/// get theirs too, for as long as the runtime lives.
///
/// # Errors
/// The kernel refuses what nothing can be done without.
pub async fn prepare(say: impl Fn(&str) + Clone + Send + Sync + 'static) -> Result<(), Trouble> {
    let told = say.clone();
    let loading = tokio::task::spawn_blocking(move || {
        for problem in modules::load(Path::new("/lib/modules"), Path::new("/sys")) {
            told(&problem);
        }
    });
    if loading.await.is_err() {
        say("failed to load drivers");
    }
    network::up(say).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_has_an_end() {
        let seconds: Vec<u64> = (0..8).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
