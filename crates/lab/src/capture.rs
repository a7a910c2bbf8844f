//! Frames of a machine's or switch's interfaces, written as a capture file (the classic pcap format, which every tool
//! reads), without a program of somebody else's.

use crate::control::enter;
use crate::directory::Directory;
use crate::error::{Doing, Error};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::SystemTime;

/// The longest frame that is kept whole.
const FRAME_MAX: usize = 65_535;

/// Enters the namespaces of a target and writes every frame that comes in or goes out there, until `frames` are written
/// or a signal ends the program. The caller must have one thread.
///
/// # Errors
/// If the lab knows no such target, the socket cannot be opened, or the file not be written.
pub fn capture(directory: &Directory, target: &str, file: &Path, frames: Option<u64>) -> Result<(), Error> {
    // Opened first: afterwards this process is in the lab's mounts.
    let mut out: Box<dyn Write> = if file == Path::new("-") {
        Box::new(io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(file).doing(|| format!("create {}", file.display()))?))
    };
    enter(directory, target)?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .doing(|| "open a packet socket")?;
    let write = || format!("write {}", file.display());
    out.write_all(&file_header()).doing(write)?;
    let mut buffer = vec![0; FRAME_MAX];
    let mut written = 0;
    while frames.is_none_or(|frames| written < frames) {
        let (length, _) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer).doing(|| "hear a frame")?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        out.write_all(&frame_header(since.as_secs(), since.subsec_micros(), length)).doing(write)?;
        out.write_all(&buffer[..length]).doing(write)?;
        // Whoever looks on sees each frame as it comes, and Ctrl-C loses none.
        out.flush().doing(write)?;
        written += 1;
    }
    Ok(())
}

/// Version 2.4, microseconds, Ethernet (LINKTYPE 1).
fn file_header() -> Vec<u8> {
    let mut header = 0xa1b2_c3d4_u32.to_ne_bytes().to_vec();
    header.extend(2_u16.to_ne_bytes());
    header.extend(4_u16.to_ne_bytes());
    header.extend([0; 8]);
    header.extend(u32::try_from(FRAME_MAX).unwrap_or(u32::MAX).to_ne_bytes());
    header.extend(1_u32.to_ne_bytes());
    header
}

fn frame_header(seconds: u64, microseconds: u32, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes();
    // The format's seconds end in 2106.
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).to_ne_bytes();
    [seconds, microseconds.to_ne_bytes(), length, length].concat()
}
