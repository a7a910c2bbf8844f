//! The receiving end of a TFTP transfer, without socket, file or clock: what firmware does.
//!
//! The driver sends the first packet to port 69 and every later one to the port that the first answer came from, and
//! passes in only packets from there.

use model::Time;
use std::time::Duration;
use wire::tftp::{self, BLKSIZE_DEFAULT, Mode, Options, Packet, Request, error};

/// The time until the first repetition.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Waits double up to this.
const RETRY_LONGEST: Duration = Duration::from_secs(8);
/// Repetitions without progress before the server counts as gone.
const TRIES_MAX: u32 = 6;

/// A file being fetched.
#[derive(Clone, Debug)]
pub struct Fetch {
    file: String,
    mode: Mode,
    asked: Options,
    /// Set by the server's first answer.
    agreed: Option<Options>,
    /// Blocks received in order.
    got: u64,
    octets: u64,
    /// Blocks since the last ACK.
    in_window: u64,
    /// A gap or repetition was answered; nothing more is said until the next block in order.
    complained: bool,
    due: Option<Due>,
    retry: Duration,
    tries: u32,
    deadline: Time,
    outcome: Option<Fetched>,
}

/// The packet to send next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Request,
    Ack,
    Error(u16),
}

/// How a fetch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetched {
    /// All octets are there. Packets may still come if the last ACK was lost: go on passing them in for a while.
    Done,
    /// The server said no.
    Refused {
        /// Its error code.
        code: u16,
    },
    /// The server said nothing more.
    Silent,
    /// The server answered with options that were not asked for.
    BadOptions,
    /// We ended it.
    Aborted,
}

impl Fetch {
    /// A fetch of `file` that asks for `options`.
    pub fn new(file: &str, mode: Mode, options: Options, now: Time) -> Self {
        Self {
            file: file.to_owned(),
            mode,
            asked: options,
            agreed: None,
            got: 0,
            octets: 0,
            in_window: 0,
            complained: false,
            due: Some(Due::Request),
            retry: RETRY_FIRST,
            tries: 0,
            deadline: now + RETRY_FIRST,
            outcome: None,
        }
    }

    /// Writes the packet to send now, if there is one, over `out`.
    pub fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> bool {
        let Some(due) = self.due.take() else { return false };
        out.clear();
        let packet = match due {
            Due::Request => Packet::Read(Request { file: &self.file, mode: self.mode, options: self.asked }),
            Due::Ack => Packet::Ack { block: on_wire(self.got) },
            Due::Error(code) => Packet::Error { code, message: b"" },
        };
        tftp::encode(&packet, out);
        self.deadline = now + self.retry;
        true
    }

    /// Takes a packet from the server; what comes back are the next octets of the file.
    pub fn receive<'p>(&mut self, packet: &Packet<'p>, now: Time) -> &'p [u8] {
        match packet {
            _ if self.outcome.is_some_and(|outcome| outcome != Fetched::Done) => &[],
            Packet::Oack(options) => {
                self.options(options, now);
                &[]
            }
            Packet::Data { block, data } => self.data(*block, data, now),
            Packet::Error { code, .. } => {
                self.outcome = self.outcome.or(Some(Fetched::Refused { code: *code }));
                &[]
            }
            Packet::Read(_) | Packet::Write(_) | Packet::Ack { .. } => &[],
        }
    }

    /// Says that time has passed. Call it when [`Fetch::deadline`] is reached; earlier calls do nothing.
    pub fn tick(&mut self, now: Time) {
        if self.outcome.is_some() || now < self.deadline {
            return;
        }
        self.tries += 1;
        if self.tries > TRIES_MAX {
            self.outcome = Some(Fetched::Silent);
            return;
        }
        self.retry = (self.retry * 2).min(RETRY_LONGEST);
        self.deadline = now + self.retry;
        self.due = Some(if self.agreed.is_some() { Due::Ack } else { Due::Request });
        self.in_window = 0;
        self.complained = false;
    }

    /// Ends it with an error to the server, as firmware does that only wanted the size.
    pub fn abort(&mut self) {
        if self.outcome.is_none() {
            self.due = Some(Due::Error(error::OTHER));
            self.outcome = Some(Fetched::Aborted);
        }
    }

    /// When to call [`Fetch::tick`]; `None` once it is over.
    pub fn deadline(&self) -> Option<Time> {
        self.outcome.is_none().then_some(self.deadline)
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Fetched> {
        self.outcome
    }

    /// The file's size, if it was asked for and the server has told it.
    pub fn size(&self) -> Option<u64> {
        self.agreed.and_then(|options| options.tsize)
    }

    /// Octets received.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    fn options(&mut self, offered: &Options, now: Time) {
        if self.got > 0 || self.outcome.is_some() {
            return;
        }
        let no_more =
            |offered: Option<u64>, asked: Option<u64>| offered.is_none_or(|offer| asked >= Some(offer));
        let is_fair = no_more(offered.blksize.map(u64::from), self.asked.blksize.map(u64::from))
            && no_more(offered.windowsize.map(u64::from), self.asked.windowsize.map(u64::from))
            && (offered.timeout.is_none() || offered.timeout == self.asked.timeout)
            && (offered.tsize.is_none() || self.asked.tsize.is_some());
        if !is_fair {
            self.due = Some(Due::Error(error::OPTIONS));
            self.outcome = Some(Fetched::BadOptions);
            return;
        }
        self.agreed = Some(*offered);
        self.due = Some(Due::Ack);
        self.progress(now);
    }

    fn data<'p>(&mut self, block: u16, data: &'p [u8], now: Time) -> &'p [u8] {
        // A server that knows no options answers with the first block at once (RFC 2347 §2).
        let agreed = *self.agreed.get_or_insert_with(Options::default);
        let blksize = usize::from(agreed.blksize.unwrap_or(BLKSIZE_DEFAULT));
        let is_next = block == on_wire(self.got + 1);
        if self.outcome.is_some() || !is_next || data.len() > blksize {
            // A repetition or a gap: say once how far we are.
            if !self.complained || self.outcome.is_some() {
                self.due = Some(Due::Ack);
                self.complained = true;
                self.in_window = 0;
            }
            return &[];
        }
        self.got += 1;
        self.octets += data.len() as u64;
        self.in_window += 1;
        self.progress(now);
        if data.len() < blksize {
            self.due = Some(Due::Ack);
            self.outcome = Some(Fetched::Done);
        } else if self.in_window >= u64::from(agreed.windowsize.unwrap_or(1)) {
            self.due = Some(Due::Ack);
            self.in_window = 0;
        }
        data
    }

    fn progress(&mut self, now: Time) {
        self.tries = 0;
        self.retry = RETRY_FIRST;
        self.deadline = now + self.retry;
        self.complained = false;
    }
}

/// A block's number on the wire: 65,535 is followed by 0.
#[expect(clippy::cast_possible_truncation, reason = "the numbers roll over")]
fn on_wire(block: u64) -> u16 {
    block as u16
}
