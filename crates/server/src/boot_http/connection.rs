//! One connection: requests are read and answered in their order, one at a time.
//!
//! A connection holds memory only for what has come of an unfinished request and what is left of a reply.

use crate::boot_http::respond::Service;
use crate::boot_http::sending::{Sending, Sent};
use crate::boot_http::transport::{Handshake, Transport};
use answer::http::head::{self, HEAD_MAX};
use nix::sys::epoll::EpollFlags;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A handshake, from the connection's begin to its end: emulated firmware takes a second, slow boards some.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);
/// From the first octet of a request's head to its last: a head is one packet or two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two requests: firmware asks for a file's size, and then for the file after it has found room for it.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// In this time a client takes [`PROGRESS`], or all that is left: nobody holds a place in the limit by taking nothing,
/// or next to nothing.
const STALL_MAX: Duration = Duration::from_secs(30);
const PROGRESS: u64 = 256 << 10;
/// After the last reply: until the client has read it and closed its end.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Something to read.
    Read,
    /// Room to write, or its next turn.
    Write,
    /// Nothing more.
    Close,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Keys are agreed on.
    Handshake,
    /// Between requests.
    Idle,
    /// A part of a head has come.
    Head,
    /// A reply goes out.
    Reply,
    /// The last reply is out; what still comes is thrown away, for a close with unread octets would destroy the reply.
    Drain,
}

pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) client: IpAddr,
    /// What the `epoll` was told to wait for.
    pub(super) waits_for: EpollFlags,
    /// The file that is sent after `output`.
    pub(super) sending: Option<Sending>,
    /// Since when it has been in its phase, or made no progress in it.
    pub(super) since: Instant,
    phase: Phase,
    /// Octets that were read and not answered yet.
    input: Vec<u8>,
    /// Heads and texts to send.
    output: Vec<u8>,
    /// How much of them was sent.
    written: usize,
    /// Octets taken since `since`.
    taken: u64,
    keep_alive: bool,
    /// Whether the kernel holds back segments that are not whole.
    is_corked: bool,
}

impl Connection {
    pub(super) fn new(transport: Transport, client: IpAddr, now: Instant) -> Self {
        let phase = if transport.is_tls() { Phase::Handshake } else { Phase::Idle };
        Self {
            transport,
            client,
            waits_for: EpollFlags::EPOLLIN,
            sending: None,
            since: now,
            phase,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            taken: 0,
            keep_alive: true,
            is_corked: false,
        }
    }

    /// Whether it has had its time.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let most = match self.phase {
            Phase::Handshake => HANDSHAKE_MAX,
            Phase::Idle => IDLE_MAX,
            Phase::Head => HEAD_TIME_MAX,
            Phase::Reply => STALL_MAX,
            Phase::Drain => DRAIN_MAX,
        };
        now.duration_since(self.since) >= most
    }

    /// Whether nothing was agreed on yet.
    pub(super) fn is_shaking(&self) -> bool {
        self.phase == Phase::Handshake
    }

    /// Whether nothing is being sent on it.
    pub(super) fn is_idle(&self) -> bool {
        self.phase != Phase::Reply
    }

    /// Sends what is to be sent, at most a slice of a file; then answers what was asked; then reads once.
    pub(super) fn turn(
        &mut self,
        service: &mut Service,
        mut is_readable: bool,
        mut slice: u64,
        scratch: &mut [u8],
        now: Instant,
    ) -> Next {
        if self.phase == Phase::Handshake {
            match self.transport.shake(is_readable) {
                Handshake::Done => self.enter(Phase::Idle, now),
                Handshake::Reads => return Next::Read,
                Handshake::Writes => return Next::Write,
                Handshake::Failed(because) => {
                    if let Some(no) = because {
                        service.no_handshake(no, self.client);
                    }
                    return Next::Close;
                }
            }
        }
        loop {
            match self.write(service, &mut slice, now) {
                Ok(true) => {}
                Ok(false) => return Next::Write,
                Err(_) => return Next::Close,
            }
            if self.phase == Phase::Drain {
                return if is_readable { self.drain(scratch) } else { Next::Read };
            }
            if self.answer(service, now) {
                continue;
            }
            if !is_readable && !self.transport.has_unread() {
                return Next::Read;
            }
            is_readable = false;
            match self.transport.read(scratch) {
                Ok(0) => return Next::Close,
                Ok(length) => self.input.extend_from_slice(&scratch[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => is_readable = true,
                Err(_) => return Next::Close,
            }
        }
    }

    /// Takes the next request from what was read. False if it is not whole yet.
    fn answer(&mut self, service: &mut Service, now: Instant) -> bool {
        if self.input.is_empty() {
            self.input = Vec::new();
            return false;
        }
        let (length, keep_alive) = match head::read(&self.input) {
            Ok(Some(head)) => {
                let is_secure = self.transport.is_tls();
                self.sending = service.respond(&head, self.client, is_secure, &mut self.output);
                (head.length, head.keep_alive)
            }
            Ok(None) => {
                if self.phase == Phase::Idle {
                    self.enter(Phase::Head, now);
                }
                return false;
            }
            Err(bad) => {
                service.bad_head(bad, self.client, &mut self.output);
                (self.input.len(), false)
            }
        };
        self.input.drain(..length);
        debug_assert!(self.input.len() <= 2 * HEAD_MAX);
        self.keep_alive = keep_alive;
        self.enter(Phase::Reply, now);
        true
    }

    /// True when everything is sent; false when there is no room, or the slice is used up.
    fn write(&mut self, service: &mut Service, slice: &mut u64, now: Instant) -> io::Result<bool> {
        if self.phase != Phase::Reply {
            return Ok(true);
        }
        if self.sending.is_some() && !self.is_corked {
            // From head to end only whole segments go out. Else a cut one does each time that the socket is full, and
            // packets are smaller.
            self.cork(true)?;
        }
        while self.written < self.output.len() {
            match self.transport.send(&self.output[self.written..]) {
                Ok(length) => {
                    self.written += length;
                    (self.taken, self.since) = progress(self.taken + length as u64, self.since, now);
                }
                Err(error) => return would_block(error),
            }
        }
        self.output = Vec::new();
        self.written = 0;
        if let Some(sending) = &mut self.sending {
            loop {
                if *slice == 0 {
                    return Ok(false);
                }
                let wanted = sending.left().min(*slice);
                match sending.send(&mut self.transport, *slice) {
                    Ok(Sent::Part(length)) => {
                        *slice -= length.min(*slice);
                        service.sent(length);
                        (self.taken, self.since) = progress(self.taken + length, self.since, now);
                        if length < wanted && !self.transport.is_tls() {
                            // The socket is full. What drips out of it meanwhile is not worth a call for each drop.
                            return Ok(false);
                        }
                    }
                    Ok(Sent::All) => break,
                    Err(error) => return would_block(error),
                }
            }
            if !self.transport.is_flushed()? {
                return Ok(false);
            }
            self.cork(false)?;
            service.done(self.sending.take());
        }
        if !self.transport.is_flushed()? {
            return Ok(false);
        }
        if self.keep_alive {
            self.enter(Phase::Idle, now);
        } else {
            self.transport.finish()?;
            self.enter(Phase::Drain, now);
        }
        Ok(true)
    }

    fn drain(&self, scratch: &mut [u8]) -> Next {
        match self.transport.discard(scratch) {
            Ok(0) => Next::Close,
            Ok(_) => Next::Read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Next::Read,
            Err(_) => Next::Close,
        }
    }

    fn cork(&mut self, is_corked: bool) -> io::Result<()> {
        self.transport.socket.set_tcp_cork(is_corked)?;
        self.is_corked = is_corked;
        Ok(())
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since, self.taken) = (phase, now, 0);
    }
}

/// What was taken since when, after more was taken.
fn progress(taken: u64, since: Instant, now: Instant) -> (u64, Instant) {
    if taken >= PROGRESS { (0, now) } else { (taken, since) }
}

fn would_block(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::Socket;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    #[test]
    fn each_phase_has_its_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = Socket::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let began = Instant::now();
        let mut connection =
            Connection::new(Transport::plain(socket), IpAddr::V4(Ipv4Addr::LOCALHOST), began);
        for (phase, seconds, is_idle) in [
            (Phase::Handshake, 20, true),
            (Phase::Idle, 60, true),
            (Phase::Head, 10, true),
            (Phase::Reply, 30, false),
            (Phase::Drain, 2, true),
        ] {
            connection.enter(phase, began);
            let almost = began + Duration::from_secs(seconds) - Duration::from_millis(1);
            assert_eq!((connection.is_overdue(almost), connection.is_idle()), (false, is_idle), "{phase:?}");
            assert!(connection.is_overdue(began + Duration::from_secs(seconds)), "{phase:?}");
        }
    }

    #[test]
    fn next_to_nothing_is_no_progress() {
        let began = Instant::now();
        let later = began + Duration::from_secs(29);
        assert_eq!(progress(PROGRESS - 1, began, later), (PROGRESS - 1, began));
        assert_eq!(progress(PROGRESS, began, later), (0, later));
    }
}
