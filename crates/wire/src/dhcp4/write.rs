//! Writing a reply: options in the caller's order, Option 82 last and byte for byte, and within the client's limits.

use super::{HEADER_LENGTH, MAGIC_COOKIE, MESSAGE_MIN, code};
use std::fmt;
use std::net::Ipv4Addr;

/// What may be left out when room is short, first to go first. What is not listed here is never left out.
const DISPENSABLE: [u8; 12] = [
    code::TFTP_SERVER_ADDRESS,
    code::TFTP_SERVER_NAME,
    code::DOMAIN_SEARCH,
    code::NTP_SERVERS,
    code::BROADCAST_ADDRESS,
    code::CLIENT_MACHINE_IDENTIFIER,
    code::REBINDING_TIME,
    code::RENEWAL_TIME,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::DOMAIN_NAME_SERVER,
];

/// A server's message.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// Kind of hardware, as asked.
    pub hardware_type: u8,
    /// Hardware address, as asked; at most 16 octets count.
    pub hardware: &'a [u8],
    /// As asked.
    pub xid: u32,
    /// The flags field: as asked, or with the broadcast bit.
    pub flags: u16,
    /// The address that the client has.
    pub ciaddr: Ipv4Addr,
    /// The address that it is given.
    pub yiaddr: Ipv4Addr,
    /// The next server to boot from.
    pub siaddr: Ipv4Addr,
    /// The relay, as asked.
    pub giaddr: Ipv4Addr,
    /// The boot file; one that does not fit with its NUL is not written here, so put it in Option 67 then.
    pub file: &'a [u8],
    /// Options in the order they go out. A second of a code is not sent (a duplicate Option 54 breaks clients that
    /// join instances).
    pub options: Vec<(u8, &'a [u8])>,
    /// Option 82 as it came.
    pub relay_agent: Option<&'a [u8]>,
}

/// How long a message may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What the client takes, in octets of UDP payload. Option 82 does not count: the relay removes it.
    pub client: usize,
    /// What the path takes, in octets of UDP payload, all counted: more would be cut into IP fragments, which
    /// firmware does not put together.
    pub path: usize,
    /// Options may go on in `file` and `sname`. Never for firmware: boot ROMs read a name there whatever Option 52
    /// says.
    pub overload: bool,
}

impl Limits {
    /// By the client's Option 57, in octets of IP datagram, and the link's MTU. Not below 576 octets, the least that
    /// any client takes (RFC 2132 §9.10), which leaves 548 for the message; and that is what counts if it says nothing.
    pub fn new(maximum_size: Option<u16>, mtu: u16, overload: bool) -> Self {
        let path = usize::from(mtu.max(576)) - 28;
        let client = usize::from(maximum_size.unwrap_or(576).max(576)) - 28;
        Self { client: client.min(path), path, overload }
    }
}

/// The options that cannot be left out do not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options that must be sent do not fit the message")
    }
}

impl std::error::Error for TooLarge {}

/// One of the places where options go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Options,
    File,
    Sname,
}

impl<'a> Reply<'a> {
    /// Adds an option unless one of this code is there.
    pub fn push(&mut self, code: u8, data: &'a [u8]) {
        if !self.has(code) {
            self.options.push((code, data));
        }
    }

    /// Whether an option of this code is there.
    pub fn has(&self, code: u8) -> bool {
        self.options.iter().any(|(there, _)| *there == code)
    }

    /// Writes it over `out`. On an error `out` is empty.
    pub fn encode(mut self, limits: Limits, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        out.clear();
        let relay_agent = self.relay_agent.map_or(0, encoded_length);
        let room =
            limits.client.min(limits.path.saturating_sub(relay_agent)).saturating_sub(HEADER_LENGTH + 1);
        let places = loop {
            if let Some(places) = self.place(room, limits.overload) {
                break places;
            }
            let at = DISPENSABLE
                .iter()
                .find_map(|code| self.options.iter().position(|(there, _)| there == code))
                .ok_or(TooLarge)?;
            self.options.remove(at);
        };
        self.header(out);
        match places {
            None => self.options.iter().for_each(|(code, data)| put(out, *code, data)),
            Some(places) => self.overloaded(&places, out),
        }
        if let Some(data) = self.relay_agent {
            put(out, code::RELAY_AGENT_INFORMATION, data);
        }
        out.push(code::END);
        out.resize(out.len().max(MESSAGE_MIN), code::PAD);
        Ok(())
    }

    /// Where each option goes; `Some(None)` is "all in the options field", and `None` that they do not fit.
    #[expect(clippy::option_option, reason = "it fits, and then it is overloaded or not")]
    fn place(&self, room: usize, overload: bool) -> Option<Option<Vec<Place>>> {
        let length: usize = self.options.iter().map(|(_, data)| encoded_length(data)).sum();
        if length <= room {
            return Some(None);
        }
        if !overload || !self.file.is_empty() {
            return None;
        }
        // Three octets for Option 52, and an End in each field.
        let mut left = [(Place::Options, room.checked_sub(3)?), (Place::File, 127), (Place::Sname, 63)];
        let mut places = Vec::with_capacity(self.options.len());
        for (_, data) in &self.options {
            let length = encoded_length(data);
            let (place, room) = left.iter_mut().find(|(_, room)| *room >= length)?;
            *room -= length;
            places.push(*place);
        }
        Some(Some(places))
    }

    fn header(&self, out: &mut Vec<u8>) {
        out.resize(HEADER_LENGTH, 0);
        let hardware = &self.hardware[..self.hardware.len().min(16)];
        out[0] = 2;
        out[1] = self.hardware_type;
        out[2] = u8::try_from(hardware.len()).unwrap_or(16);
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        out[10..12].copy_from_slice(&self.flags.to_be_bytes());
        out[12..16].copy_from_slice(&self.ciaddr.octets());
        out[16..20].copy_from_slice(&self.yiaddr.octets());
        out[20..24].copy_from_slice(&self.siaddr.octets());
        out[24..28].copy_from_slice(&self.giaddr.octets());
        out[28..28 + hardware.len()].copy_from_slice(hardware);
        if self.file.len() < 128 {
            out[108..108 + self.file.len()].copy_from_slice(self.file);
        }
        out[HEADER_LENGTH - 4..].copy_from_slice(&MAGIC_COOKIE);
    }

    fn overloaded(&self, places: &[Place], out: &mut Vec<u8>) {
        let gather = |wanted: Place| {
            let mut field = Vec::new();
            for ((code, data), place) in self.options.iter().zip(places) {
                if *place == wanted {
                    put(&mut field, *code, data);
                }
            }
            field
        };
        let mut value = 0;
        for (place, bit, start) in [(Place::File, 1, 108), (Place::Sname, 2, 44)] {
            let mut field = gather(place);
            if !field.is_empty() {
                value |= bit;
                field.push(code::END);
                out[start..start + field.len()].copy_from_slice(&field);
            }
        }
        put(out, code::OVERLOAD, &[value]);
        out.extend(gather(Place::Options));
    }
}

/// Octets on the wire, with a code and length for each 255 (RFC 3396 §6).
fn encoded_length(data: &[u8]) -> usize {
    data.len() + 2 * data.len().div_ceil(255).max(1)
}

/// Appends one option, split if it is longer than 255 octets.
pub(super) fn put(out: &mut Vec<u8>, code: u8, data: &[u8]) {
    if data.is_empty() {
        out.extend([code, 0]);
    }
    for piece in data.chunks(255) {
        out.push(code);
        out.push(u8::try_from(piece.len()).unwrap_or(255));
        out.extend_from_slice(piece);
    }
}
