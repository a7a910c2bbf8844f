//! The messages that go out.

use super::{MESSAGE_MAX, MessageType, Packet, RELAYS_MAX, Status, code};
use std::fmt;

/// A reply that would be longer than [`MESSAGE_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a reply of more than {MESSAGE_MAX} octets")
    }
}

impl std::error::Error for TooLarge {}

/// A reply while it is written, into a buffer that is used again and again.
#[derive(Debug)]
pub struct Reply<'o> {
    out: &'o mut Vec<u8>,
    /// Where the lengths of the relays' shells stand, and how many there are.
    shells: [usize; RELAYS_MAX],
    depth: usize,
}

impl<'o> Reply<'o> {
    /// Begins a reply to a packet: in the same shells, each told its own port again (RFC 8415 §19.3).
    pub fn to(packet: &Packet<'_>, kind: MessageType, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        let mut reply = Self { out, shells: [0; RELAYS_MAX], depth: 0 };
        for relay in packet.relays() {
            reply.out.push(MessageType::RelayReply as u8);
            reply.out.push(relay.hop_count);
            reply.out.extend(relay.link.octets());
            reply.out.extend(relay.peer.octets());
            if let Some(interface_id) = relay.interface_id() {
                reply.option(code::INTERFACE_ID, interface_id);
            }
            reply.shells[reply.depth] = reply.open(code::RELAY_MESSAGE);
            reply.depth += 1;
        }
        reply.out.push(kind as u8);
        reply.out.extend(packet.message.transaction);
        reply
    }

    /// One option.
    pub fn option(&mut self, code: u16, data: &[u8]) {
        self.nested(code, |reply| reply.out.extend(data));
    }

    /// One option of several pieces.
    pub fn pieces(&mut self, code: u16, pieces: &[&[u8]]) {
        self.nested(code, |reply| {
            for piece in pieces {
                reply.out.extend(*piece);
            }
        });
    }

    /// Option 13, without words: they would only make a reply longer than its request.
    pub fn status(&mut self, status: Status) {
        self.option(code::STATUS_CODE, &(status as u16).to_be_bytes());
    }

    /// One option that holds what `write` writes: octets of its own first, then options.
    pub fn nested(&mut self, code: u16, write: impl FnOnce(&mut Self)) {
        let at = self.open(code);
        write(self);
        self.close(at);
    }

    /// The fields of an option before the options in it.
    pub fn octets(&mut self, octets: &[u8]) {
        self.out.extend(octets);
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`TooLarge`]; the buffer is empty then.
    pub fn finish(mut self) -> Result<(), TooLarge> {
        // Below this no length can be too much for its two octets.
        if self.out.len() > MESSAGE_MAX {
            self.out.clear();
            return Err(TooLarge);
        }
        for depth in (0..self.depth).rev() {
            self.close(self.shells[depth]);
        }
        Ok(())
    }

    fn open(&mut self, code: u16) -> usize {
        self.out.extend(code.to_be_bytes());
        self.out.extend([0, 0]);
        self.out.len()
    }

    fn close(&mut self, at: usize) {
        // What does not fit is told by `finish`.
        let length = u16::try_from(self.out.len() - at).unwrap_or(u16::MAX);
        self.out[at - 2..at].copy_from_slice(&length.to_be_bytes());
    }
}
