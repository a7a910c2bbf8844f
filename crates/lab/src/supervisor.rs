//! The process that holds a lab, and the walls around it.
//!
//! Two processes, and a third where the zone may fetch from a mirror: it stands outside. The outer one leaves the terminal, takes the state directory, unshares (user namespace when it has no
//! privilege; mounts, network, processes, IPC) and waits. The inner one is process 1 of the new process namespace: it
//! holds every network namespace as a descriptor and runs the zone. However either ends, the kernel kills everything in
//! the process namespace and takes the network namespaces away: nothing has to be cleaned up but files.
//!
//! `stand_guard` must be called while the process has one thread: the kernel lets nobody else unshare a user namespace.

use crate::directory::Directory;
use crate::error::{Doing, Error};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, getegid, geteuid, setsid};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a supervisor is started with.
#[derive(Clone, Debug)]
pub struct Supervise {
    /// The design's directory, absolute.
    pub design: PathBuf,
    /// Where the lab keeps its files.
    pub directory: Directory,
    /// The arguments that make this program the inner process, with the same directories.
    pub inner: Vec<String>,
    /// Those that make it fetch for the zone, from where this machine's network is; none if it may fetch nothing.
    pub fetcher: Option<Vec<String>>,
}

/// Where a controller's page is, and a lab's if nobody else has the port.
const PAGE_PORT: u16 = 8480;

/// The last line of the outer process's standard output that the one who started it reads.
pub const LISTENING: &str = "listening";

/// Starts a detached supervisor and waits until it listens on its control socket.
///
/// # Errors
/// In the supervisor's own words, if it could not start.
pub fn start(arguments: &[String], directory: &Directory) -> Result<(), Error> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.log())
        .doing(|| format!("open {}", directory.log().display()))?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("zw")
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .doing(|| "start the lab's supervisor")?;
    let mut said = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        // One line or the end of the file: the inner process closes the pipe once it listens.
        let mut octet = [0];
        while matches!(pipe.read(&mut octet), Ok(1)) && octet[0] != b'\n' && said.len() < 4096 {
            said.push(char::from(octet[0]));
        }
    }
    if said == LISTENING {
        return Ok(());
    }
    // It failed before it listened, so it is about to end; its words are all that is wanted.
    let _ = child.wait();
    if said.is_empty() {
        said =
            format!("start the lab: its supervisor ended without a word; see {}", directory.log().display());
    }
    Err(Error::new(said))
}

/// The outer process: from here to its end. Answers the exit code.
pub fn stand_guard(supervise: &Supervise) -> u8 {
    match guard(supervise) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stdout(), "{}", error.chain());
            3
        }
    }
}

fn guard(supervise: &Supervise) -> Result<u8, Error> {
    // Fails for a leader of a process group, which is nobody's child then and needs no new session.
    let _ = setsid();
    let _held = supervise.directory.take()?;
    if let Some(arguments) = &supervise.fetcher {
        let mut fetcher = Command::new("/proc/self/exe");
        // It ends with this process, by itself.
        fetcher.arg0("zw").args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        drop(fetcher.spawn().doing(|| "start what fetches from the mirror")?);
    }
    // Made where this machine's browsers are; a socket stays in the network that it was made in.
    let page = listen_for_page(&supervise.directory)?;
    isolate()?;
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD]);
    signals.thread_block().doing(|| "block signals")?;
    let mut inner = Command::new("/proc/self/exe")
        .arg0("zw")
        .args(&supervise.inner)
        .stdin(Stdio::from(OwnedFd::from(page)))
        .spawn()
        .doing(|| "start the lab's first process")?;
    // The pipe's other end must close when the inner process is done with it, so this process gives up its own.
    let null = File::options().write(true).open("/dev/null").doing(|| "open /dev/null")?;
    dup2_stdout(&null).doing(|| "let go of standard output")?;
    let asked = wait(&signals, &mut inner)?;
    if asked {
        supervise.directory.remove()?;
        return Ok(0);
    }
    // The inner process ended by itself: its log stays, to be looked at.
    Ok(3)
}

/// Listens for browsers of this machine, at the port that controllers have or any free one, and writes down where.
fn listen_for_page(directory: &Directory) -> Result<TcpListener, Error> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind([address(PAGE_PORT), address(0)].as_slice());
    let listener = listener.doing(|| "listen for browsers on 127.0.0.1")?;
    let own = listener.local_addr().doing(|| "listen for browsers on 127.0.0.1")?;
    fs::write(directory.page(), format!("http://{own}/")).doing(|| "write down where the page is")?;
    Ok(listener)
}

/// Waits for the inner process to end, or for a signal to end it. Whether a signal asked for it.
fn wait(signals: &SigSet, inner: &mut Child) -> Result<bool, Error> {
    loop {
        let signal = signals.wait().doing(|| "wait for a signal")?;
        if signal != Signal::SIGCHLD {
            inner.kill().doing(|| "end the lab's first process")?;
            // It is reaped only after everything in its process namespace is.
            inner.wait().doing(|| "wait for the lab's first process")?;
            return Ok(true);
        }
        if let Some(status) = inner.try_wait().doing(|| "wait for the lab's first process")? {
            let _ = writeln!(io::stderr(), "the lab's first process ended by itself: {status}");
            return Ok(status.success());
        }
    }
}

const WALLS: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWIPC);

/// Leaves the machine's namespaces: with privilege directly, without it inside a user namespace of our own.
fn isolate() -> Result<(), Error> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() && unshare(WALLS).is_ok() {
        return Ok(());
    }
    // A new user namespace has limits of its own, so those that count are read before.
    let forbidding = forbidding_settings();
    let refused = |errno: Errno| refused(&forbidding, errno);
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused)?;
    // Without this the group map cannot be written by an ordinary user (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny").doing(|| "give up changing groups")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(|error| refused(errno(&error)))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(|error| refused(errno(&error)))?;
    unshare(WALLS).map_err(refused)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Settings of this machine that forbid a lab, each with what to do.
fn forbidding_settings() -> Vec<String> {
    let mut settings = Vec::new();
    let value =
        |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).map(|text| text.trim().to_owned());
    if value("kernel/unprivileged_userns_clone").is_ok_and(|value| value == "0") {
        settings.push("kernel.unprivileged_userns_clone is 0 (set it to 1)".to_owned());
    }
    if value("kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|value| value != "0") {
        settings.push("kernel.apparmor_restrict_unprivileged_userns is on (set it to 0)".to_owned());
    }
    for limit in ["user", "net", "pid", "mnt", "ipc"] {
        if value(&format!("user/max_{limit}_namespaces")).is_ok_and(|value| value == "0") {
            settings.push(format!("user.max_{limit}_namespaces is 0 (raise it)"));
        }
    }
    settings
}

/// Why this machine lets nobody build a lab, in one message.
fn refused(forbidding: &[String], errno: Errno) -> Error {
    let why = if forbidding.is_empty() {
        "no setting forbids it (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
         user.max_user_namespaces), so a container or security module does: allow user namespaces there, or run as root"
            .to_owned()
    } else {
        forbidding.join("; ")
    };
    Error::because(
        format!("build a lab: it needs root or user namespaces, and this machine allows neither here; {why}"),
        errno,
    )
}

/// First thing in the inner process: it dies with the outer one, mounts are its own, `/proc` shows its own processes. Gives the socket that
/// browsers come to.
///
/// # Errors
/// If the kernel refuses the first two; a refused `/proc` is only less tidy.
pub fn settle() -> Result<OwnedFd, Error> {
    use nix::mount::{MsFlags, mount};
    set_pdeathsig(Signal::SIGKILL).doing(|| "ask to die with the supervisor")?;
    // Nobody inherits it but the controller.
    let page = io::stdin().as_fd().try_clone_to_owned().doing(|| "take over the page's socket")?;
    let null = File::open("/dev/null").doing(|| "open /dev/null")?;
    dup2_stdin(&null).doing(|| "let go of standard input")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).doing(|| "make mounts private")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // In a container parts of /proc are covered, and then the kernel does not let a user namespace mount a bare one.
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, none);
    Ok(page)
}

/// Tells whoever started the lab that it listens, and lets go of the pipe.
///
/// # Errors
/// If the log cannot take over standard output.
pub fn say_listening(log: &Path) -> Result<(), Error> {
    let file = File::options().append(true).open(log).doing(|| format!("open {}", log.display()))?;
    let _ = writeln!(io::stdout(), "{LISTENING}");
    dup2_stdout(&file).doing(|| "let go of standard output")?;
    dup2_stderr(&file).doing(|| "write to the log")?;
    Ok(())
}
