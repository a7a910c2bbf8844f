//! TFTP packets: RFC 1350, options RFC 2347, blksize RFC 2348, timeout and tsize RFC 2349, windowsize RFC 7440.
//!
//! Bytes in, a [`Packet`] that borrows from them out; and back. It knows nothing of transfers: who may have which file,
//! and what is sent when, stands in `answer::tftp`.

use std::fmt;

/// The largest payload of one DATA packet that blksize can ask for (RFC 2348).
pub const BLKSIZE_MAX: u16 = 65_464;
/// The smallest (RFC 2348).
pub const BLKSIZE_MIN: u16 = 8;
/// The payload when nobody asks (RFC 1350 §5).
pub const BLKSIZE_DEFAULT: u16 = 512;
/// Options read from one packet; the rest is passed over. Firmware sends four or five.
const OPTIONS_MAX: usize = 16;

/// One packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// RRQ: the client wants a file.
    Read(Request<'a>),
    /// WRQ: the client wants to store one.
    Write(Request<'a>),
    /// DATA: one block.
    Data {
        /// Its number, modulo 65,536.
        block: u16,
        /// Its octets; fewer than blksize in the last block.
        data: &'a [u8],
    },
    /// ACK: everything up to this block has arrived; block 0 acknowledges an OACK.
    Ack {
        /// The block's number, modulo 65,536.
        block: u16,
    },
    /// ERROR: the transfer is over.
    Error {
        /// What kind, see [`error`].
        code: u16,
        /// In words, as sent.
        message: &'a [u8],
    },
    /// OACK: the options that the server accepted.
    Oack(Options),
}

/// A read or write request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// The file's name, as sent.
    pub file: &'a str,
    /// How the file is to be sent.
    pub mode: Mode,
    /// Options asked for.
    pub options: Options,
}

/// How a file is sent (RFC 1350 §1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Octets as they are.
    Octet,
    /// Text: a line ends with CR LF, a lone CR is CR NUL.
    Netascii,
    /// To a user instead of a file: obsolete, and never served.
    Mail,
}

impl Mode {
    /// `octet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Octet => "octet",
            Mode::Netascii => "netascii",
            Mode::Mail => "mail",
        }
    }
}

/// The options we know; others, and values out of range, are left out as RFC 2347 §2 wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Octets of payload in a DATA packet, [`BLKSIZE_MIN`] to [`BLKSIZE_MAX`].
    pub blksize: Option<u16>,
    /// The file's size in octets; 0 in a read request, where it asks for the size.
    pub tsize: Option<u64>,
    /// Seconds until a packet is sent again, 1 to 255.
    pub timeout: Option<u8>,
    /// Blocks sent before an ACK is waited for, 1 or more.
    pub windowsize: Option<u16>,
}

impl Options {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Error codes (RFC 1350 §5, RFC 2347 §2).
pub mod error {
    /// Not defined: see the message.
    pub const OTHER: u16 = 0;
    /// File not found.
    pub const NOT_FOUND: u16 = 1;
    /// Access violation.
    pub const ACCESS: u16 = 2;
    /// Illegal operation.
    pub const ILLEGAL: u16 = 4;
    /// Unknown transfer: the packet came from another port.
    pub const UNKNOWN_TRANSFER: u16 = 5;
    /// The options cannot be agreed on.
    pub const OPTIONS: u16 = 8;
}

/// The bytes are no TFTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a TFTP packet")
    }
}

impl std::error::Error for Malformed {}

/// Reads one packet. Allocates nothing.
pub fn decode(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    let (opcode, rest) = word(bytes)?;
    Ok(match opcode {
        1 => Packet::Read(request(rest)?),
        2 => Packet::Write(request(rest)?),
        3 => {
            let (block, data) = word(rest)?;
            Packet::Data { block, data }
        }
        4 => Packet::Ack { block: word(rest)?.0 },
        5 => {
            let (code, message) = word(rest)?;
            // Some clients leave out the final NUL; the message is for people only.
            Packet::Error { code, message: text(message).map_or(message, |(text, _)| text) }
        }
        6 => Packet::Oack(options(rest)),
        _ => return Err(Malformed),
    })
}

/// Appends the packet's bytes.
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match packet {
        Packet::Read(request) => encode_request(1, request, out),
        Packet::Write(request) => encode_request(2, request, out),
        Packet::Data { block, data } => {
            words(&[3, *block], out);
            out.extend_from_slice(data);
        }
        Packet::Ack { block } => words(&[4, *block], out),
        Packet::Error { code, message } => {
            words(&[5, *code], out);
            out.extend(message.iter().copied().filter(|octet| *octet != 0));
            out.push(0);
        }
        Packet::Oack(options) => {
            words(&[6], out);
            encode_options(options, out);
        }
    }
}

fn words(values: &[u16], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

fn encode_request(opcode: u16, request: &Request<'_>, out: &mut Vec<u8>) {
    words(&[opcode], out);
    encode_text(request.file, out);
    encode_text(request.mode.as_str(), out);
    encode_options(&request.options, out);
}

fn encode_options(options: &Options, out: &mut Vec<u8>) {
    let known = [
        ("tsize", options.tsize),
        ("blksize", options.blksize.map(u64::from)),
        ("timeout", options.timeout.map(u64::from)),
        ("windowsize", options.windowsize.map(u64::from)),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            encode_text(name, out);
            encode_text(&value.to_string(), out);
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().filter(|octet| *octet != 0));
    out.push(0);
}

/// A big-endian 16-bit word and what follows.
fn word(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (word, rest) = bytes.split_first_chunk::<2>().ok_or(Malformed)?;
    Ok((u16::from_be_bytes(*word), rest))
}

/// Octets up to a NUL, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|octet| *octet == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn request(bytes: &[u8]) -> Result<Request<'_>, Malformed> {
    let (file, rest) = text(bytes).ok_or(Malformed)?;
    let (mode, rest) = text(rest).ok_or(Malformed)?;
    let mode = [Mode::Octet, Mode::Netascii, Mode::Mail]
        .into_iter()
        .find(|known| mode.eq_ignore_ascii_case(known.as_str().as_bytes()))
        .ok_or(Malformed)?;
    let file = std::str::from_utf8(file).map_err(|_| Malformed)?;
    Ok(Request { file, mode, options: options(rest) })
}

/// Options by pairs of texts. Ends at the first text without a NUL, and at an empty name: firmware pads with NULs.
fn options(mut bytes: &[u8]) -> Options {
    let mut options = Options::default();
    for _ in 0..OPTIONS_MAX {
        let Some((name, rest)) = text(bytes) else { break };
        let Some((value, rest)) = text(rest) else { break };
        if name.is_empty() {
            break;
        }
        bytes = rest;
        let Some(value) = number(value) else { continue };
        // Names in any case (RFC 2347 §2). The first of two equal options counts.
        if name.eq_ignore_ascii_case(b"blksize") {
            let value = u16::try_from(value).ok().filter(|value| (BLKSIZE_MIN..=BLKSIZE_MAX).contains(value));
            options.blksize = options.blksize.or(value);
        } else if name.eq_ignore_ascii_case(b"tsize") {
            options.tsize = options.tsize.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"timeout") {
            let value = u8::try_from(value).ok().filter(|value| *value > 0);
            options.timeout = options.timeout.or(value);
        } else if name.eq_ignore_ascii_case(b"windowsize") {
            let value = u16::try_from(value).ok().filter(|value| *value > 0);
            options.windowsize = options.windowsize.or(value);
        }
    }
    options
}

/// A decimal number; nothing but digits, and few enough to fit.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
