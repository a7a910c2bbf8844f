//! The serial port of a real machine, at a terminal.
//!
//! What is shown is read from the log, so that nothing is missed and any number of people can look on, over power
//! cycles too. What is typed goes to the socket that QEMU listens on; it speaks with one at a time.

use crate::control::{self, Reply, Request};
use crate::directory::Directory;
use crate::error::{Doing, Error};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::termios::{self, SetArg, Termios};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Ctrl-] ends it, as in telnet.
const END: u8 = 0x1d;

/// Shows what a machine's console said.
///
/// # Errors
/// If the lab knows no such real machine, or it said nothing yet.
pub fn show(directory: &Directory, target: &str) -> Result<(), Error> {
    let (log, _) = places(directory, target)?;
    let mut file = File::open(&log).doing(|| format!("open {}", log.display()))?;
    // A closed standard output, as of `| head`, is nobody's failure.
    let _ = io::copy(&mut file, &mut io::stdout());
    Ok(())
}

/// Shows what it said and says, and hands on what is typed, until Ctrl-] or the end of the input.
///
/// # Errors
/// If the lab knows no such real machine, or the terminal cannot be set.
pub fn attach(directory: &Directory, target: &str) -> Result<(), Error> {
    let (log, socket) = places(directory, target)?;
    let input = io::stdin();
    let restored = Raw::set(input.as_fd())?;
    if restored.is_some() {
        let _ = writeln!(io::stderr(), "console of {target}; Ctrl-] ends it\r");
    }
    converse(&log, &socket, &input.as_fd())
}

fn places(directory: &Directory, target: &str) -> Result<(PathBuf, PathBuf), Error> {
    match control::ask(directory, &Request::Console { target: target.to_owned() })? {
        Reply::Console { log, socket } => Ok((log, socket)),
        _ => Err(Error::new("hear from the lab: no console")),
    }
}

fn converse(log: &Path, socket: &Path, input: &BorrowedFd<'_>) -> Result<(), Error> {
    let directory = log.parent().unwrap_or(log);
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).doing(|| "watch the log")?;
    // The directory: the log is made by the first power-on, and made anew when it became too long.
    let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_FROM;
    changes.add_watch(directory, flags).doing(|| format!("watch {}", directory.display()))?;
    let mut shown = Shown { log, file: None };
    let mut machine: Option<UnixStream> = None;
    let mut octets = [0; 4096];
    loop {
        shown.go_on()?;
        let mut waits = vec![
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
            PollFd::new(changes.as_fd(), PollFlags::POLLIN),
        ];
        waits.extend(machine.as_ref().map(|machine| PollFd::new(machine.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waits, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other.doing(|| "wait for the console")?,
        };
        let ready: Vec<bool> =
            waits.iter().map(|wait| wait.revents().is_some_and(|events| !events.is_empty())).collect();
        drop(waits);
        if ready[1] {
            let seen = changes.read_events().unwrap_or_default();
            if seen.iter().any(|event| event.mask.contains(AddWatchFlags::IN_MOVED_FROM)) {
                shown.file = None;
            }
        }
        if ready.get(2) == Some(&true) {
            // The log has it already; it is taken so that QEMU need not wait for us.
            let is_there =
                machine.as_mut().is_some_and(|machine| matches!(machine.read(&mut octets), Ok(1..)));
            if !is_there {
                machine = None;
            }
        }
        if ready[0] {
            let length = nix::unistd::read(input, &mut octets).doing(|| "read what is typed")?;
            let typed = &octets[..length];
            let end = typed.iter().position(|octet| *octet == END);
            if machine.is_none() {
                machine = UnixStream::connect(socket).ok();
            }
            // Nobody hears what is typed at a machine that is off.
            if let Some(stream) = &mut machine
                && stream.write_all(&typed[..end.unwrap_or(length)]).is_err()
            {
                machine = None;
            }
            if end.is_some() || length == 0 {
                return Ok(());
            }
        }
    }
}

/// A log that grows.
struct Shown<'a> {
    log: &'a Path,
    file: Option<File>,
}

impl Shown<'_> {
    /// Prints what is new.
    fn go_on(&mut self) -> Result<(), Error> {
        if self.file.is_none() {
            self.file = File::open(self.log).ok();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut out = io::stdout();
        io::copy(file, &mut out).and_then(|_| out.flush()).doing(|| "print the console")
    }
}

/// A terminal that hands on every key as it is typed; dropped, it is as before.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn set(terminal: BorrowedFd<'a>) -> Result<Option<Self>, Error> {
        if !terminal.is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(terminal).doing(|| "read the terminal's settings")?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(terminal, SetArg::TCSANOW, &raw).doing(|| "set the terminal")?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // If it is gone nobody looks at it.
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}
