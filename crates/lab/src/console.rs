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
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Ctrl-] ends it, as in telnet.
const END: u8 = 0x1d;
/// Octets that are kept for a machine that does not take them; what is typed beyond is lost, as on any serial line.
const TYPED_MAX: usize = 4096;

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
    let mut line = Line { socket, stream: None, typed: VecDeque::new() };
    let mut octets = [0; 4096];
    loop {
        shown.go_on()?;
        let mut waits = vec![
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
            PollFd::new(changes.as_fd(), PollFlags::POLLIN),
        ];
        waits.extend(line.wait());
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
            line.go_on();
        }
        if ready[0] {
            let length = nix::unistd::read(input, &mut octets).doing(|| "read what is typed")?;
            let typed = &octets[..length];
            let end = typed.iter().position(|octet| *octet == END);
            line.send(&typed[..end.unwrap_or(length)]);
            if end.is_some() || length == 0 {
                return Ok(());
            }
        }
    }
}

/// The way to a machine's serial port. It waits for nobody: a machine that does not take what is typed would otherwise wait for us in its
/// turn, since what it says is taken here, too.
struct Line<'a> {
    socket: &'a Path,
    stream: Option<UnixStream>,
    /// What QEMU has not taken yet.
    typed: VecDeque<u8>,
}

impl Line<'_> {
    /// Hands on what is typed. Nobody hears that at a machine that is off.
    fn send(&mut self, typed: &[u8]) {
        if self.stream.is_none() {
            let connected = UnixStream::connect(self.socket);
            self.stream = connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream)).ok();
        }
        let room = TYPED_MAX - self.typed.len();
        self.typed.extend(typed.iter().take(room));
        self.write();
    }

    /// For what to wait.
    fn wait(&self) -> Option<PollFd<'_>> {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, !self.typed.is_empty());
        self.stream.as_ref().map(|stream| PollFd::new(stream.as_fd(), flags))
    }

    /// Takes what QEMU said, so that it need not wait for us: the log has it already. Then goes on with what is typed.
    fn go_on(&mut self) {
        let read = self.stream.as_mut().map(|stream| stream.read(&mut [0; 4096]));
        let is_there = match read {
            Some(Ok(length)) => length > 0,
            Some(Err(error)) => is_later(&error),
            None => false,
        };
        if is_there { self.write() } else { self.end() }
    }

    fn write(&mut self) {
        while let Some(stream) = self.stream.as_mut().filter(|_| !self.typed.is_empty()) {
            let (next, _) = self.typed.as_slices();
            match stream.write(next) {
                Ok(written) => drop(self.typed.drain(..written)),
                Err(error) if is_later(&error) => return,
                Err(_) => self.end(),
            }
        }
        if self.stream.is_none() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.stream = None;
        self.typed.clear();
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    /// A machine that is busy printing takes no key, and prints no further while nobody takes what it said: two that wait for each other.
    #[test]
    fn a_machine_that_takes_no_keys_is_listened_to_all_the_same() {
        let directory = std::env::temp_dir().join(format!("zw-console-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (log, socket) = (directory.join("console.log"), directory.join("console.sock"));
        let qemu = UnixListener::bind(&socket).expect("a socket");
        let (input, mut keys) = UnixStream::pair().expect("a pair");
        std::thread::scope(|scope| {
            let console = scope.spawn(|| converse(&log, &socket, &input.as_fd()));
            keys.write_all(&[2]).expect("a key");
            let (mut machine, _) = qemu.accept().expect("the console");
            for stream in [&keys, &machine] {
                stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a limit");
                stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
            }
            // Each is an entry of its own in the socket's buffer, which is full after some hundreds.
            for _ in 0..20_000 {
                keys.write_all(&[2]).expect("a key");
                machine.write_all(b"\x08").expect("it is taken");
            }
            // What was kept arrives, and the rest of it when there is room.
            let mut taken = [0; 1000];
            machine.read_exact(&mut taken).expect("what was typed");
            assert_eq!(taken, [2; 1000]);
            keys.write_all(&[END]).expect("a key");
            console.join().expect("no panic").expect("it ends");
        });
        let _ = std::fs::remove_dir_all(&directory);
    }
}
