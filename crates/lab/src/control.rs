//! What `zw lab …` and the supervisor say to each other: one JSON object on a line, over a unix socket.
//!
//! A connection carries one request. `Watch` is answered by many lines, anything else by one. `Enter` is answered by
//! where the namespaces are to be found, so that the program a user runs in a machine is the user's own child.

use crate::directory::Directory;
use crate::error::{Doing, Error};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

/// The longest line; a status of ten thousand machines fits.
const LINE_MAX: u64 = 16 << 20;

/// Asked of a supervisor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// How far it is, now and whenever that changes.
    Watch,
    /// How far it is, once.
    Status,
    /// Takes the cables of a target down.
    Cut {
        /// A location, a name, or one interface of it (`p01/r1/u01:eno1`).
        target: String,
    },
    /// Brings them up again.
    Mend {
        /// As in `Cut`.
        target: String,
    },
    /// Swaps the cables of two targets at the machines' end.
    Swap {
        /// As in `Cut`.
        a: String,
        /// As in `Cut`.
        b: String,
    },
    /// Puts another machine (other MACs, UUID, serial) in the place of a target and powers it on.
    Replace {
        /// A location or name.
        target: String,
    },
    /// Powers a machine, or all of them, off and on.
    PowerCycle {
        /// A location, a name, or `all`.
        target: String,
    },
    /// Turns a machine on or off, or resets it.
    Power {
        /// A location or name.
        target: String,
        /// What of these.
        power: Power,
    },
    /// Where the console of a real machine is.
    Console {
        /// A location or name.
        target: String,
    },
    /// Makes a machine differ from its model, then powers it off and on.
    Break {
        /// A location or name.
        target: String,
        /// `memory=256GiB`, `cpus=8`, `disks=0`, `firmware=2.1`, `rtc=2060-01-01`; of a controller `clock=+86400`.
        what: String,
    },
    /// Kills a controller, or what several share; it is started again at once, on the same state.
    Crash {
        /// A location or name, `etcd`, or `controller`: the one that decides.
        target: String,
    },
    /// Stops a controller, or what several share, where it is.
    Pause {
        /// As in `Crash`.
        target: String,
    },
    /// Lets it go on.
    Resume {
        /// As in `Crash`.
        target: String,
    },
    /// The namespaces of a target, to run a program in.
    Enter {
        /// A location, a name, or `location:bmc`.
        target: String,
    },
}

/// What a machine's switch can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// On, if it is off.
    On,
    /// Off, at once.
    Off,
    /// Begins anew, without losing its power.
    Reset,
}

/// Answered by a supervisor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// How far the lab is.
    Progress(Progress),
    /// It is done, in words.
    Done {
        /// A sentence.
        words: String,
    },
    /// It is not done, and why.
    Failed {
        /// Completes "failed to …".
        words: String,
    },
    /// The console of a real machine.
    Console {
        /// The file of what it said.
        log: PathBuf,
        /// The socket that hears what is typed, while the machine is on.
        socket: PathBuf,
    },
    /// Where to enter. The namespaces are held by the process that answers.
    Entered {
        /// It is in a user namespace of its own, which must be entered first.
        has_user_namespace: bool,
        /// The number of its descriptor of the target's network namespace.
        network: i32,
    },
}

/// How far a lab is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The zone.
    pub zone: String,
    /// What is being done.
    pub phase: Phase,
    /// Namespaces made, of how many.
    pub built: (usize, usize),
    /// Every machine, in the design's order.
    pub machines: Vec<Machine>,
    /// BMCs that hold their address, of how many.
    pub bmcs: (usize, usize),
    /// Those that serve, in the design's order.
    #[serde(default)]
    pub controllers: Vec<Controller>,
    /// How the etcd is that several controllers share: `runs`, `off` or `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Milliseconds since the lab was started.
    pub elapsed_ms: u64,
}

/// A controller as the lab sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Its IPv4 address, if the plan gives it one.
    pub address: Option<String>,
    /// `off`, `paused`, `starts`, `serves`; of several `leads`, `follows`, or `does not answer`.
    pub state: String,
}

/// The phases of a lab.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// Namespaces, cables and addresses are made.
    #[default]
    Building,
    /// The controller starts.
    Starting,
    /// Machines are on.
    Running,
    /// The lab cannot go on.
    Failed {
        /// Completes "failed to …".
        words: String,
    },
}

/// A machine as the lab and the controller see it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Its location.
    pub location: String,
    /// Its name.
    pub name: String,
    /// Its first planned address.
    pub address: String,
    /// `off`, `on`, or the controller's word: `expected`, `seen`, … `ready`, `failed`.
    pub state: String,
    /// What the lab's firmware is doing, in words.
    pub doing: String,
    /// Why it is not ready, as the controller says; empty while that is ordinary.
    pub why: String,
    /// Milliseconds from power-on to ready.
    pub took_ms: Option<u64>,
    /// Its role has no image: it boots its own disk, where the lab has no agent, and so it is never ready.
    pub boots_own_disk: bool,
    /// It is real, and runs like this: firmware, accelerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
}

impl Machine {
    /// It is as far as it gets in a lab.
    pub fn is_up(&self) -> bool {
        self.state == "ready" || self.boots_own_disk && self.state == "seen"
    }
}

/// Asks, and reads the one answer.
///
/// # Errors
/// If no supervisor listens, or it says that it failed.
pub fn ask(directory: &Directory, request: &Request) -> Result<Reply, Error> {
    let stream = send(directory, request)?;
    let mut line = String::new();
    BufReader::new(stream).take(LINE_MAX).read_line(&mut line).doing(|| "hear from the lab")?;
    if line.is_empty() {
        return Err(Error::new("hear from the lab: it ended"));
    }
    match serde_json::from_str(&line).doing(|| "understand the lab")? {
        Reply::Failed { words } => Err(Error::new(words)),
        reply => Ok(reply),
    }
}

/// Asks, and hands each answer to `each` until that says stop or the lab ends. Whether `each` said stop.
///
/// # Errors
/// If no supervisor listens, or it says that it failed.
pub fn watch(directory: &Directory, mut each: impl FnMut(Progress) -> bool) -> Result<bool, Error> {
    let stream = send(directory, &Request::Watch)?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let read = (&mut lines).take(LINE_MAX).read_line(&mut line).doing(|| "hear from the lab")?;
        if read == 0 {
            return Ok(false);
        }
        match serde_json::from_str(&line).doing(|| "understand the lab")? {
            Reply::Progress(progress) => {
                if each(progress) {
                    return Ok(true);
                }
            }
            Reply::Failed { words } => return Err(Error::new(words)),
            Reply::Done { .. } | Reply::Console { .. } | Reply::Entered { .. } => {}
        }
    }
}

fn send(directory: &Directory, request: &Request) -> Result<UnixStream, Error> {
    let path = directory.control();
    let mut stream = UnixStream::connect(&path).doing(|| format!("reach the lab at {}", path.display()))?;
    let mut line = serde_json::to_string(request).doing(|| "write the request")?;
    line.push('\n');
    stream.write_all(line.as_bytes()).doing(|| "ask the lab")?;
    Ok(stream)
}

/// Enters the namespaces of a target and runs a program there; answers its exit code. The caller must have one thread,
/// and is in those namespaces afterwards.
///
/// # Errors
/// If the lab knows no such target, a namespace cannot be entered, or the program not be started.
pub fn execute(directory: &Directory, target: &str, program: &[String]) -> Result<u8, Error> {
    enter(directory, target)?;
    let [name, arguments @ ..] = program else { return Err(Error::new("run a program: none was named")) };
    let status = Command::new(name).args(arguments).status().doing(|| format!("run {name}"))?;
    // As a shell says it: a program that a signal ended is 128 and the signal's number.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Enters the namespaces of a target. The caller must have one thread.
///
/// # Errors
/// If the lab knows no such target, or a namespace cannot be entered.
pub(crate) fn enter(directory: &Directory, target: &str) -> Result<(), Error> {
    let stream = send(directory, &Request::Enter { target: target.to_owned() })?;
    // The lab's first process listens, so it is the peer; its number is translated to this side by the kernel.
    let peer = getsockopt(&stream, PeerCredentials).doing(|| "learn who the lab is")?.pid();
    let mut line = String::new();
    BufReader::new(&stream).take(LINE_MAX).read_line(&mut line).doing(|| "hear from the lab")?;
    let (has_user_namespace, network) = match serde_json::from_str(&line).doing(|| "understand the lab")? {
        Reply::Entered { has_user_namespace, network } => (has_user_namespace, network),
        Reply::Failed { words } => return Err(Error::new(words)),
        Reply::Progress(_) | Reply::Done { .. } | Reply::Console { .. } => {
            return Err(Error::new("hear from the lab: no namespaces"));
        }
    };
    let open = |path: String| File::open(&path).doing(|| format!("open {path}"));
    let user = has_user_namespace.then(|| open(format!("/proc/{peer}/ns/user"))).transpose()?;
    let mount = open(format!("/proc/{peer}/ns/mnt"))?;
    let processes = open(format!("/proc/{peer}/ns/pid"))?;
    let network = open(format!("/proc/{peer}/fd/{network}"))?;
    let here = std::env::current_dir().ok();
    if let Some(user) = user {
        setns(user, CloneFlags::CLONE_NEWUSER).doing(|| "enter the lab's user namespace")?;
    }
    setns(network, CloneFlags::CLONE_NEWNET).doing(|| "enter the network namespace")?;
    setns(processes, CloneFlags::CLONE_NEWPID).doing(|| "enter the lab's process namespace")?;
    setns(mount, CloneFlags::CLONE_NEWNS).doing(|| "enter the lab's mounts")?;
    // Entering mounts leads to their root; a directory that is not there leaves the program at the root.
    if let Some(here) = here {
        let _ = std::env::set_current_dir(here);
    }
    Ok(())
}
