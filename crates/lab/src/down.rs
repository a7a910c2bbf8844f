//! The end of a lab: asked for, or what a crash left; and Ctrl-C on the way up.

use crate::directory::{Directory, Holder};
use crate::error::{Doing, Error};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How long a supervisor may take to end when asked: the kernel has to reap every process of the lab.
const END_MAX: Duration = Duration::from_secs(10);
/// How long it may take after `SIGKILL`.
const KILL_MAX: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// Nothing.
    Nothing,
    /// Files of a lab that had crashed.
    Remains,
    /// A running lab.
    Lab,
}

/// Ends a lab and removes its directory.
///
/// # Errors
/// If it does not end even when killed, or a file of it cannot be removed.
pub fn down(directory: &Directory) -> Result<Down, Error> {
    let found = match directory.holder() {
        Holder::Nobody => return Ok(Down::Nothing),
        Holder::Remains => Down::Remains,
        Holder::Supervisor(process) => {
            end(directory, process)?;
            Down::Lab
        }
    };
    directory.remove()?;
    Ok(found)
}

fn end(directory: &Directory, process: i32) -> Result<(), Error> {
    for (signal, patience) in [(Signal::SIGTERM, END_MAX), (Signal::SIGKILL, KILL_MAX)] {
        match kill(Pid::from_raw(process), signal) {
            Ok(()) => {}
            Err(Errno::ESRCH) => return Ok(()),
            Err(error) => {
                return Err(Error::because(format!("end the lab's supervisor, process {process}"), error));
            }
        }
        let began = Instant::now();
        while began.elapsed() < patience {
            if directory.holder() != Holder::Supervisor(process) && has_ended(process) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Err(Error::new(format!("end the lab's supervisor: process {process} does not die")))
}

/// Whether a process is gone, or waits only for its parent to take note.
fn has_ended(process: i32) -> bool {
    // proc(5): the name, in brackets, may hold anything; the state follows the last bracket.
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    matches!(state, Some("Z" | "X") | None)
}

/// From now on Ctrl-C, `SIGTERM` and a closed terminal run `action`, on a thread of its own.
///
/// # Errors
/// If signals cannot be blocked or a thread cannot be started.
pub fn on_interrupt(action: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().doing(|| "block signals")?;
    std::thread::Builder::new()
        .spawn(move || {
            if signals.wait().is_ok() {
                action();
            }
        })
        .doing(|| "start a thread")?;
    Ok(())
}
