//! A server as a process: started, asked for its time and memory, stopped by its number.

use crate::arena::{Cores, Place};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
pub(crate) const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running server. Dropped, it is ended.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    core: usize,
}

/// The words of `taskset` for one core.
pub(crate) fn core_words(core: usize) -> [String; 2] {
    ["--cpu-list".to_owned(), core.to_string()]
}

/// Where a program is, by `PATH` and the places of the administrator's programs.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// The program beside this one.
pub(crate) fn zw() -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let zw = this.with_file_name("zw");
    if zw.is_file() {
        Ok(zw.display().to_string())
    } else {
        Err(format!("{} is not there: build it as this program was built", zw.display()))
    }
}

impl Server {
    /// Starts a program in a place, on the server's core. It stays in the foreground.
    pub(crate) fn start(place: &Place, cores: Cores, words: &[&str]) -> Result<Self, String> {
        let directory = place.directory()?;
        let log = directory.join("log");
        let open =
            || File::create(&log).map_err(|error| format!("failed to write {}: {error}", log.display()));
        let out = open()?;
        let errors = out.try_clone().map_err(|error| error.to_string())?;
        let child = Command::new("ip")
            .args(["netns", "exec", &place.name, "taskset"])
            .args(core_words(cores.server))
            .args(words)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("failed to start {}: {error}", words.join(" ")))?;
        Ok(Self { child, log, core: cores.server })
    }

    /// Asks until `answers` says yes; fails with the log when it ends before, or in the end.
    pub(crate) fn await_answer(&mut self, mut answers: impl FnMut() -> bool) -> Result<(), String> {
        let began = Instant::now();
        while !answers() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}\n{}", self.last_words()));
            }
            if began.elapsed() > START_MAX {
                return Err(format!("no answer in {} s\n{}", START_MAX.as_secs(), self.last_words()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.confine()
    }

    /// Puts every thread on the server's core: some servers (Knot) spread theirs over all processors, whatever they were
    /// started with, and one beside the generator would be woken for less.
    fn confine(&self) -> Result<(), String> {
        let mut core = CpuSet::new();
        core.set(self.core).map_err(|error| error.to_string())?;
        for task in self.tasks() {
            let Some(number) = task.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                continue;
            };
            match sched_setaffinity(Pid::from_raw(number), &core) {
                // It ended meanwhile.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(format!("failed to keep it on core {}: {error}", self.core)),
            }
        }
        Ok(())
    }

    /// All its threads, as directories of `/proc`.
    fn tasks(&self) -> impl Iterator<Item = PathBuf> {
        let of = |process| fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        family(self.child.id()).into_iter().flat_map(of).map(|entry| entry.path())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// The time that all its processes and threads ran, user and system.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.tasks().filter_map(|task| run_time(&task)).sum())
    }

    /// What its processes hold in memory now, in octets.
    pub(crate) fn memory(&self) -> u64 {
        let resident = |process: u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        family(self.child.id()).into_iter().filter_map(resident).sum::<u64>() * 1024
    }

    /// Ends it in order; what it was doing is stored.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.end(nix::sys::signal::Signal::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < STOP_MAX {
            if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("it does not end\n{}", self.last_words()))
    }

    fn end(&self, signal: nix::sys::signal::Signal) {
        if let Ok(number) = i32::try_from(self.child.id()) {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(Pid::from_raw(number), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in family(self.child.id()) {
            if let Ok(number) = i32::try_from(process) {
                let _ = nix::sys::signal::kill(Pid::from_raw(number), nix::sys::signal::Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// How long a task ran: the first figure of its `schedstat`, nanoseconds.
fn run_time(task: &Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

/// A process and all that came from it.
fn family(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name stands in parentheses and may hold anything.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((number, parent))
        })
        .collect();
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(number, _)| *number));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_a_process_and_its_children() {
        let mut child =
            Command::new("sh").args(["-c", "cat; true"]).stdin(Stdio::piped()).spawn().expect("sh");
        let began = Instant::now();
        // The shell needs a moment for its own child.
        while family(child.id()).len() < 2 {
            assert!(began.elapsed() < START_MAX, "the shell has no child");
            thread::yield_now();
        }
        assert!(family(std::process::id()).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }
}
