//! The sending end of a TFTP transfer, without socket, file or clock.
//!
//! Blocks are numbered from 1 without end in here, and modulo 65,536 on the wire, so that a file of any size passes at
//! any block size. Lost packets are sent again when the client shows a gap (RFC 7440 §4) or says nothing.

use model::Time;
use std::ops::Range;
use std::time::Duration;
use wire::tftp::{BLKSIZE_DEFAULT, Options, Packet, error};

/// The time until the first repetition, if the client does not ask for one.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Waits double up to this, unless the client asked for longer.
const RETRY_LONGEST: Duration = Duration::from_secs(8);
/// Repetitions without progress before the client counts as gone: about half a minute.
const TRIES_MAX: u32 = 6;
/// Repetitions of the first packet before the client has said anything: a forged request is worth four small packets to
/// the victim, and a client that is there asks again by itself.
const TRIES_UNANSWERED_MAX: u32 = 3;

/// A file being sent to one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Octets of the file.
    size: u64,
    /// Octets of a full block.
    blksize: u64,
    /// Blocks sent before an ACK is waited for.
    window: u64,
    /// The first packet, until the client acknowledges it.
    oack: Option<Options>,
    /// The first packet has to be sent, or sent again.
    oack_due: bool,
    /// Every block up to here has arrived.
    acked: u64,
    /// The highest block sent so far.
    sent: u64,
    /// The next block to send.
    next: u64,
    /// The client showed a gap after `acked`, and the window was sent again because of it.
    resent: bool,
    /// The client has acknowledged something.
    answered: bool,
    retry_first: Duration,
    retry: Duration,
    tries: u32,
    deadline: Time,
    error_due: Option<u16>,
    outcome: Option<Outcome>,
}

/// A packet to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outgoing {
    /// The accepted options.
    Oack(Options),
    /// One block.
    Data {
        /// The number on the wire.
        block: u16,
        /// Which octets of the file it carries; may be empty in the last block.
        range: Range<u64>,
    },
    /// The transfer ends with this error code.
    Error(u16),
}

/// How a transfer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The client has everything.
    Done,
    /// The client ended it. Ordinary after the first packet: firmware asks for the size, and then anew for the file.
    Aborted {
        /// The client's error code.
        code: u16,
        /// Octets that had arrived by then.
        octets: u64,
    },
    /// The client said nothing more.
    Silent {
        /// Octets that had arrived by then.
        octets: u64,
    },
    /// The client sent what has no place in a transfer.
    Confused,
}

impl Transfer {
    /// A transfer of `size` octets with the options that were agreed on, which are announced first if there are any.
    pub fn new(size: u64, agreed: Options, now: Time) -> Self {
        let retry_first = agreed.timeout.map_or(RETRY_FIRST, |seconds| Duration::from_secs(seconds.into()));
        Self {
            size,
            blksize: agreed.blksize.unwrap_or(BLKSIZE_DEFAULT).into(),
            window: agreed.windowsize.unwrap_or(1).into(),
            oack: (!agreed.is_empty()).then_some(agreed),
            oack_due: !agreed.is_empty(),
            acked: 0,
            sent: 0,
            next: 1,
            resent: false,
            answered: false,
            retry_first,
            retry: retry_first,
            tries: 0,
            deadline: now + retry_first,
            error_due: None,
            outcome: None,
        }
    }

    /// The next packet to send now, until there is none.
    pub fn poll(&mut self, now: Time) -> Option<Outgoing> {
        if let Some(code) = self.error_due.take() {
            return Some(Outgoing::Error(code));
        }
        if self.outcome.is_some() {
            return None;
        }
        if let Some(options) = self.oack {
            if !std::mem::take(&mut self.oack_due) {
                return None;
            }
            self.deadline = now + self.retry;
            return Some(Outgoing::Oack(options));
        }
        if self.next > self.last().min(self.acked + self.window) {
            return None;
        }
        let start = (self.next - 1) * self.blksize;
        let range = start..self.size.min(start + self.blksize);
        let block = on_wire(self.next);
        self.sent = self.sent.max(self.next);
        self.next += 1;
        self.deadline = now + self.retry;
        Some(Outgoing::Data { block, range })
    }

    /// Says that the last so many blocks of [`Transfer::poll`] were not sent after all: they come again.
    pub fn not_sent(&mut self, blocks: u64) {
        self.next = self.next.saturating_sub(blocks).max(self.acked + 1);
    }

    /// Whether the client has acknowledged anything, and so is known to be there.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Takes a packet that came from the client's address and port.
    pub fn receive(&mut self, packet: &Packet<'_>, now: Time) {
        if self.outcome.is_some() {
            return;
        }
        match packet {
            Packet::Ack { block } => self.acknowledge(*block, now),
            Packet::Error { code, .. } => {
                self.outcome = Some(Outcome::Aborted { code: *code, octets: self.octets() });
            }
            // The request again, because our first packet was lost or late: it is sent again in time.
            Packet::Read(_) => {}
            Packet::Write(_) | Packet::Data { .. } | Packet::Oack(_) => {
                self.error_due = Some(error::ILLEGAL);
                self.outcome = Some(Outcome::Confused);
            }
        }
    }

    /// Says that time has passed. Call it when [`Transfer::deadline`] is reached; earlier calls do nothing.
    pub fn tick(&mut self, now: Time) {
        if self.outcome.is_some() || now < self.deadline {
            return;
        }
        self.tries += 1;
        if self.tries > if self.answered { TRIES_MAX } else { TRIES_UNANSWERED_MAX } {
            self.outcome = Some(Outcome::Silent { octets: self.octets() });
            return;
        }
        self.retry = (self.retry * 2).min(RETRY_LONGEST.max(self.retry_first));
        self.deadline = now + self.retry;
        self.oack_due = self.oack.is_some();
        self.next = self.acked + 1;
        self.resent = false;
    }

    /// When to call [`Transfer::tick`]; `None` once it is over.
    pub fn deadline(&self) -> Option<Time> {
        self.outcome.is_none().then_some(self.deadline)
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Octets that have certainly arrived.
    pub fn octets(&self) -> u64 {
        self.size.min(self.acked * self.blksize)
    }

    /// The last block; it is shorter than the others, and empty if they fill the file exactly.
    fn last(&self) -> u64 {
        self.size / self.blksize + 1
    }

    fn acknowledge(&mut self, block: u16, now: Time) {
        if self.oack.is_some() {
            if block == 0 {
                self.oack = None;
                self.progress(now);
            }
            return;
        }
        let ahead = u64::from(block.wrapping_sub(on_wire(self.acked)));
        if ahead == 0 {
            // With one block in flight a repeated ACK must be passed over, or every block is doubled from here on
            // (RFC 1123 §4.2.3.1). With a window it says that the window's first block is missing; once is enough.
            if self.window > 1 && !self.resent && self.sent > self.acked {
                self.next = self.acked + 1;
                self.resent = true;
            }
        } else if ahead <= self.sent - self.acked {
            self.acked += ahead;
            // Fewer than were sent: what came after is lost, or will be passed over (RFC 7440 §4).
            self.next = self.acked + 1;
            self.progress(now);
            if self.acked == self.last() {
                self.outcome = Some(Outcome::Done);
            }
        }
    }

    fn progress(&mut self, now: Time) {
        self.answered = true;
        self.tries = 0;
        self.retry = self.retry_first;
        self.deadline = now + self.retry;
        self.resent = false;
    }
}

/// A block's number on the wire: 65,535 is followed by 0.
#[expect(clippy::cast_possible_truncation, reason = "the numbers roll over")]
fn on_wire(block: u64) -> u16 {
    block as u16
}
