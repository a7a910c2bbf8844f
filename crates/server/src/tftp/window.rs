//! The blocks of one window, read by one system call and sent by one more.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Blocks that are sent at once: the largest window that is agreed on.
pub(super) const BLOCKS_MAX: usize = 64;
/// Room for them: each fits in an Ethernet frame.
const OCTETS_MAX: usize = BLOCKS_MAX * 1500;
/// Before each block: the opcode of DATA and the block's number (RFC 1350 §5).
const HEADER: usize = 4;

/// Room for the blocks of one transfer at a time.
pub(super) struct Window {
    octets: Vec<u8>,
    /// Of each block its header, and where in `octets` its payload is.
    blocks: Vec<([u8; HEADER], Range<usize>)>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            octets: vec![0; OCTETS_MAX],
            blocks: Vec::with_capacity(BLOCKS_MAX),
            headers: MultiHeaders::preallocate(BLOCKS_MAX, None),
        }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
    }

    /// Adds a block of so many octets; false if there is no room for it.
    pub(super) fn add(&mut self, block: u16, length: usize) -> bool {
        let start = self.blocks.last().map_or(0, |(_, range)| range.end);
        if self.blocks.len() == BLOCKS_MAX || start + length > self.octets.len() {
            return false;
        }
        let [high, low] = block.to_be_bytes();
        self.blocks.push(([0, 3, high, low], start..start + length));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Where the octets of all its blocks go, one after the other.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let end = self.blocks.last().map_or(0, |(_, range)| range.end);
        &mut self.octets[..end]
    }

    /// Sends its blocks: how many went and how many octets they were. An error is about the first of them.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> io::Result<(usize, u64)> {
        let octets = &self.octets;
        let pieces: Vec<[IoSlice<'_>; 2]> = self
            .blocks
            .iter()
            .map(|(header, range)| [IoSlice::new(header), IoSlice::new(&octets[range.clone()])])
            .collect();
        let nowhere_else = [const { None }; BLOCKS_MAX];
        let to = &nowhere_else[..pieces.len()];
        let (socket, none) = (socket.as_raw_fd(), []);
        loop {
            match sendmmsg(socket, &mut self.headers, &pieces, to, none, MsgFlags::MSG_DONTWAIT) {
                Ok(sent) => {
                    let sent = sent.count();
                    let octets = self.blocks[..sent].iter().map(|(_, range)| (HEADER + range.len()) as u64);
                    return Ok((sent, octets.sum()));
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
