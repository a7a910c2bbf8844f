//! A tap: the switch's end of a real machine's cable, and the machine's end as a descriptor.
//!
//! The lab holds it as long as the cable lies, and QEMU gets the same descriptor at each power-on. So the port stays
//! on its bridge with its number while the machine is off, and goes away with the lab's first process.

use super::Namespace;
use crate::error::{Doing, Error};
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// The longest name, with its end (linux/if.h IFNAMSIZ).
const NAME_MAX: usize = 16;
/// The largest frame with its header; more is cut, and nobody looks at it.
const FRAME_MAX: usize = 2048;

/// `struct ifreq` as TUNSETIFF reads it: the name, the flags, and the rest of a union that is not looked at.
#[repr(C)]
struct Request {
    name: [u8; NAME_MAX],
    flags: libc::c_short,
    rest: [u8; 22],
}

nix::ioctl_write_ptr!(
    /// Chooses the number of the interface that the next call makes (linux/if_tun.h TUNSETIFINDEX).
    set_index, b'T', 218, libc::c_uint
);
nix::ioctl_write_ptr_bad!(
    /// Makes the interface (linux/if_tun.h TUNSETIFF, which is numbered as if it took an int).
    make, nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()), Request
);

/// An interface of a switch, of which the other end is read and written by whoever has the descriptor.
#[derive(Debug)]
pub(crate) struct Tap(File);

impl Tap {
    /// Makes one in `namespace`, down, with this number and name.
    ///
    /// # Errors
    /// If there is no /dev/net/tun, or the kernel refuses.
    pub(crate) fn create(namespace: &Namespace, index: u32, name: &str) -> Result<Self, Error> {
        namespace.run(|| {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
            // Whoever opens the device decides in which namespace the interface will be.
            let device = options.open("/dev/net/tun").doing(|| "open /dev/net/tun")?;
            let mut request = Request {
                name: [0; NAME_MAX],
                flags: (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short,
                rest: [0; 22],
            };
            for (to, from) in request.name[..NAME_MAX - 1].iter_mut().zip(name.bytes()) {
                *to = from;
            }
            make_interface(&device, index, &request).doing(|| format!("make the tap {name}"))?;
            Ok(Self(device))
        })
    }

    /// Throws away what was sent to a machine that was off.
    pub(crate) fn drain(&self) {
        let mut frame = [0; FRAME_MAX];
        while matches!((&self.0).read(&mut frame), Ok(1..)) {}
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[expect(unsafe_code, reason = "no crate that we use has the calls of linux/if_tun.h")]
fn make_interface(device: &File, index: u32, request: &Request) -> Result<(), Errno> {
    let descriptor = device.as_raw_fd();
    // SAFETY: the descriptor is open as long as `device` is borrowed. Both calls read what the pointer points at, a
    // number and a whole `struct ifreq` (40 octets on every 64-bit Linux, checked below), and keep no pointer. TUNSETIFF
    // writes the name and flags back, into a copy of ours.
    unsafe {
        set_index(descriptor, &index)?;
        let mut own = Request { name: request.name, flags: request.flags, rest: request.rest };
        make(descriptor, &raw mut own)?;
    }
    Ok(())
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// Lets the child of a command have these descriptors, under the numbers that they have here.
#[expect(unsafe_code, reason = "the standard library hands down no descriptors but the first three")]
pub(crate) fn hand_down(command: &mut tokio::process::Command, descriptors: &[BorrowedFd<'_>]) {
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let keep_open = move || {
        for number in &numbers {
            // SAFETY: it takes numbers only. One that is not open any more gives an error, which ends the start.
            if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: it runs in the child between fork and exec, and does what is allowed there: fcntl is async-signal-safe
    // (signal-safety(7)), and nothing is allocated or locked: the error is a bare number.
    unsafe {
        command.pre_exec(keep_open);
    }
}
