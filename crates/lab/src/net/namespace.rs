//! A network namespace, as a file descriptor.
//!
//! Entering one is done on a thread that was started for it and ends with it: a thread that forgot to come back would
//! open the next machine's sockets in this machine. Nothing here forks.

use crate::error::{Doing, Error};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

/// More open files than any lab needs; a soft limit of millions makes some programs slow, which close every one.
const DESCRIPTORS_MAX: u64 = 65_536;

/// A network namespace; it is gone when the last clone, and the last process in it, is.
#[derive(Clone, Debug)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    /// A new one: loopback only and down, IPv6 off, no reverse-path filter.
    ///
    /// IPv6 is off until [`Self::speak_ipv6`]: duplicate address detection and multicast reports on a thousand idle links
    /// would cost more than the whole boot.
    ///
    /// # Errors
    /// If the kernel refuses it: no privilege, or `user.max_net_namespaces` is reached.
    pub(crate) fn create(forwards: bool) -> Result<Self, Error> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).doing(|| "create a network namespace")?;
            let file = File::open("/proc/thread-self/ns/net").doing(|| "open a network namespace")?;
            // A kernel without IPv6 has no such file, and nothing to turn off.
            for place in ["all", "default"] {
                let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{place}/disable_ipv6"), "1");
                let _ = fs::write(format!("/proc/sys/net/ipv4/conf/{place}/rp_filter"), "0");
            }
            // All addresses are the plan's: none is in doubt, and no router is asked for one.
            let _ = fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
            let _ = fs::write("/proc/sys/net/ipv6/conf/default/accept_ra", "0");
            if forwards {
                fs::write("/proc/sys/net/ipv4/ip_forward", "1").doing(|| "let a switch forward packets")?;
                // Two routes to one neighbour are by design here; a redirect would only confuse.
                let _ = fs::write("/proc/sys/net/ipv4/conf/all/send_redirects", "0");
                let _ = fs::write("/proc/sys/net/ipv4/conf/default/send_redirects", "0");
                let _ = fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1");
            }
            Ok(Self(Arc::new(file)))
        })
    }

    /// Runs `work` in this namespace: sockets it opens and processes it starts stay there.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or a thread cannot be started.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
        on_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET).doing(|| "enter a network namespace")?;
            work()
        })
    }

    /// Turns IPv6 on for these interfaces and the loopback.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn speak_ipv6(&self, interfaces: &[&str]) -> Result<(), Error> {
        self.run(|| {
            for name in ["lo"].iter().chain(interfaces) {
                fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0")
                    .doing(|| format!("turn IPv6 on for {name}"))?;
            }
            Ok(())
        })
    }

    /// The descriptor's number, for netlink messages that name a namespace by it.
    pub(super) fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether this machine's kernel has IPv6.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6/conf/default/disable_ipv6").exists()
}

/// Runs `work` on a thread of its own and waits for it.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)
            .doing(|| "start a thread")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Lets this process open as many files as it may; answers how many that is.
///
/// # Errors
/// If the limit can be neither read nor raised.
pub(crate) fn open_descriptors() -> Result<u64, Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).doing(|| "read the limit of open files")?;
    let wanted = hard.min(DESCRIPTORS_MAX);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).doing(|| "raise the limit of open files")?;
    }
    Ok(soft.max(wanted))
}
