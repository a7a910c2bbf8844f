//! One transfer: its socket, what is sent, and what the machine is told to have got.

use crate::boot_file::BootFile;
use crate::counters::Traffic;
use crate::tftp::window::Window;
use answer::tftp::{Outcome, Outgoing, Transfer};
use model::event::What;
use model::{Event, Location, Time};
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use wire::tftp::{Packet, decode, encode, error};

/// Packets of one client that are looked at in its turn: a window is acknowledged by one.
const RECEIVED_AT_ONCE: usize = 16;

/// What is sent.
pub(super) enum Content {
    Text(Vec<u8>),
    File { file: Arc<BootFile>, name: String },
}

pub(super) struct Job {
    pub(super) socket: UdpSocket,
    /// The octets that asked for it.
    pub(super) request: Box<[u8]>,
    pub(super) transfer: Transfer,
    pub(super) content: Content,
    pub(super) machine: Option<Location>,
    /// Set if the machine's boot script is sent.
    pub(super) tells: Option<What>,
    /// The socket has no room: go on when it has.
    pub(super) is_blocked: bool,
}

impl Job {
    /// Takes what the client sent. An error ends the transfer.
    pub(super) fn receive(&mut self, buffer: &mut [u8], now: Time) -> io::Result<()> {
        for _ in 0..RECEIVED_AT_ONCE {
            match self.socket.recv(buffer) {
                Ok(length) => {
                    if let Ok(packet) = decode(&buffer[..length]) {
                        self.transfer.receive(&packet, now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The client's port is closed.
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends what is to be sent now. An error ends the transfer.
    pub(super) fn send(&mut self, window: &mut Window, traffic: &Traffic, now: Time) -> io::Result<()> {
        self.is_blocked = false;
        window.clear();
        let mut start = None;
        loop {
            match self.transfer.poll(now) {
                Some(Outgoing::Data { block, range }) => {
                    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                    if !window.add(block, length) {
                        self.transfer.not_sent(1);
                        break;
                    }
                    start.get_or_insert(range.start);
                }
                Some(Outgoing::Oack(options)) => self.send_one(&Packet::Oack(options), traffic),
                Some(Outgoing::Error(code)) => self.send_one(&Packet::Error { code, message: b"" }, traffic),
                None => break,
            }
        }
        let Some(start) = start else { return Ok(()) };
        if let Err(error) = self.read(start, window.room()) {
            // The client shall not wait for what does not come, nor boot what is half of another file.
            let message = b"the file changed, ask again";
            self.send_one(&Packet::Error { code: error::OTHER, message }, traffic);
            return Err(error);
        }
        let (sent, octets) = match window.send(&self.socket) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, 0),
            // The client's port is closed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
            // As good as lost: they are sent again in time.
            Err(_) => {
                traffic.send_failed.one();
                return Ok(());
            }
        };
        traffic.octets.add(octets);
        if sent < window.len() {
            self.transfer.not_sent((window.len() - sent) as u64);
            self.is_blocked = true;
        }
        Ok(())
    }

    /// What the keeper is told, if the client has everything.
    pub(super) fn event(self, now: Time) -> Option<Event> {
        if self.transfer.outcome() != Some(Outcome::Done) {
            return None;
        }
        let what = match (self.tells, self.content) {
            (Some(what), _) => what,
            (None, Content::File { name, .. }) => {
                What::FileFetched { file: name, bytes: self.transfer.octets() }
            }
            (None, Content::Text(_)) => {
                What::FileFetched { file: String::new(), bytes: self.transfer.octets() }
            }
        };
        Some(Event { at: now, location: self.machine?, what })
    }

    fn send_one(&self, packet: &Packet<'_>, traffic: &Traffic) {
        let mut octets = Vec::with_capacity(128);
        encode(packet, &mut octets);
        // A failed send is a lost packet.
        match self.socket.send(&octets) {
            Ok(length) => traffic.octets.add(length as u64),
            Err(_) => traffic.send_failed.one(),
        }
    }

    /// Reads octets of the content into `room`, all of them.
    fn read(&self, start: u64, room: &mut [u8]) -> io::Result<()> {
        match &self.content {
            Content::Text(text) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let octets = start.checked_add(room.len()).and_then(|end| text.get(start..end));
                room.copy_from_slice(octets.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Content::File { file, .. } => {
                file.file.read_exact_at(room, start)?;
                if start + room.len() as u64 >= file.size {
                    // Looked at before the last octets go: without them the client knows that it has not got the file.
                    file.is_unchanged()?;
                }
                Ok(())
            }
        }
    }
}
