//! Reading one query.

use super::{Class, Code, HEADER, LABEL_MAX, NAME_MAX, RecordType};
use std::fmt;

/// Bits of the header's third octet.
const QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const RD: u8 = 0x01;
/// And of the fourth.
const CD: u8 = 0x10;

/// One question, as it can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query<'p> {
    /// What of the packet a reply begins with, but for the question.
    pub head: Head,
    /// The question as it was sent: the name in its case, the root's label, type and class.
    pub question: &'p [u8],
    /// The type asked for.
    pub record_type: RecordType,
    /// The class asked for.
    pub class: Class,
    /// The serial that a client which asks for changes has (RFC 1995 §3).
    pub serial: Option<u32>,
}

impl<'p> Query<'p> {
    /// The name's labels in wire form, in the case they were sent in, without the root's.
    pub fn labels(&self) -> &'p [u8] {
        &self.question[..self.question.len() - 5]
    }
}

/// The name and the type, as people write them (RFC 1035 §5.1).
impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.labels();
        while let Some((length, text)) = rest.split_first() {
            let (label, more) = text.split_at_checked(usize::from(*length)).unwrap_or((text, &[]));
            write!(f, "{}.", label.escape_ascii())?;
            rest = more;
        }
        if self.labels().is_empty() {
            f.write_str(".")?;
        }
        write!(f, " {}", self.record_type)
    }
}

/// What a reply repeats of its query, but for the question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The message's id.
    pub id: u16,
    /// The client would like recursion. The bit is copied (RFC 1035 §4.1.1).
    pub recursion_desired: bool,
    /// The client checks signatures itself. The bit is copied (RFC 4035 §3.1.6).
    pub checking_disabled: bool,
    /// What the client says by EDNS, if it speaks it.
    pub edns: Option<Edns>,
}

/// A client's EDNS record. Its options, cookies among them, are read over: none is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns {
    /// The largest UDP message it takes, as sent.
    pub payload: u16,
    /// The version it speaks; we speak 0.
    pub version: u8,
    /// It understands DNSSEC. The bit is copied into the reply (RFC 3225 §3).
    pub dnssec_ok: bool,
}

/// The packet is no query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoQuery {
    /// It must not be answered: too short for an id, or itself a reply, which would start a game of ping-pong.
    Silence,
    /// It gets a bare header.
    Reply {
        /// The header, already turned into a reply's.
        header: [u8; HEADER],
        /// The code in it.
        code: Code,
    },
}

/// Reads a packet.
///
/// # Errors
/// [`NoQuery`] if it cannot be answered as a question.
pub fn decode(packet: &[u8]) -> Result<Query<'_>, NoQuery> {
    let Some(header) = packet.first_chunk::<HEADER>() else { return Err(NoQuery::Silence) };
    if header[2] & QR != 0 {
        return Err(NoQuery::Silence);
    }
    let no = |code: Code| {
        let mut reply = [0; HEADER];
        reply[..2].copy_from_slice(&header[..2]);
        reply[2] = QR | header[2] & (OPCODE | RD);
        reply[3] = header[3] & CD | code as u8;
        NoQuery::Reply { header: reply, code }
    };
    if header[2] & OPCODE != 0 {
        return Err(no(Code::NotImp));
    }
    read(packet, header).ok_or_else(|| no(Code::FormErr))
}

fn read<'p>(packet: &'p [u8], header: &[u8; HEADER]) -> Option<Query<'p>> {
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        return None;
    }
    let mut at = whole_name(packet, HEADER)? + 4;
    let question = packet.get(HEADER..at)?;
    let (record_type, class) = (number(packet, at - 4)?, number(packet, at - 2)?);
    let mut query = Query {
        head: Head {
            id: u16::from_be_bytes([header[0], header[1]]),
            recursion_desired: header[2] & RD != 0,
            checking_disabled: header[3] & CD != 0,
            edns: None,
        },
        question,
        record_type: RecordType(record_type),
        class: Class(class),
        serial: None,
    };
    // Answer, authority, additional: every record takes eleven octets at least, so the packet bounds these loops.
    for section in [6, 8, 10] {
        for _ in 0..count(section) {
            let record = Record::read(packet, at)?;
            at = record.end;
            match record.record_type {
                RecordType::OPT => {
                    // RFC 6891 §6.1.1: one, at the root, among the additional records.
                    if section != 10 || query.head.edns.is_some() || !record.is_at_root {
                        return None;
                    }
                    query.head.edns = Some(record.edns()?);
                }
                RecordType::SOA if section == 8 && query.record_type == RecordType::IXFR => {
                    query.serial = Some(record.serial(packet)?);
                }
                _ => {}
            }
        }
    }
    Some(query)
}

/// A record, of which the data is not yet read.
struct Record<'p> {
    is_at_root: bool,
    record_type: RecordType,
    class: u16,
    ttl: [u8; 4],
    data: &'p [u8],
    data_at: usize,
    end: usize,
}

impl<'p> Record<'p> {
    fn read(packet: &'p [u8], at: usize) -> Option<Self> {
        let fixed = name(packet, at)?;
        let data_at = fixed + 10;
        let end = data_at + usize::from(number(packet, fixed + 8)?);
        Some(Self {
            is_at_root: packet[at] == 0,
            record_type: RecordType(number(packet, fixed)?),
            class: number(packet, fixed + 2)?,
            ttl: packet.get(fixed + 4..fixed + 8)?.try_into().ok()?,
            data: packet.get(data_at..end)?,
            data_at,
            end,
        })
    }

    /// As an OPT record, whose fixed fields mean other things (RFC 6891 §6.1.2, §6.1.3).
    fn edns(&self) -> Option<Edns> {
        let mut options = self.data;
        while !options.is_empty() {
            let length = usize::from(number(options, 2)?);
            options = options.get(4 + length..)?;
        }
        let [_, version, flags, _] = self.ttl;
        Some(Edns { payload: self.class, version, dnssec_ok: flags & 0x80 != 0 })
    }

    /// The serial, as an SOA record.
    fn serial(&self, packet: &[u8]) -> Option<u32> {
        let primary_end = name(packet, self.data_at)?;
        let contact_end = name(packet, primary_end)?;
        let numbers = packet.get(contact_end..self.end)?;
        let serial = numbers.first_chunk::<4>().filter(|_| numbers.len() == 20)?;
        Some(u32::from_be_bytes(*serial))
    }
}

fn number(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}

/// Where a name ends that is written whole: nothing comes before a question to which it could point.
pub(super) fn whole_name(packet: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let length = usize::from(*packet.get(end)?);
        end += 1 + length;
        if length > LABEL_MAX || end - at > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some(end);
        }
    }
}

/// Where a name ends that may be shortened. What it is called is not asked, so that pointers are looked at, not followed.
fn name(packet: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let length = usize::from(*packet.get(end)?);
        if length & 0xc0 == 0xc0 {
            let target = usize::from(number(packet, end)? & 0x3fff);
            return (HEADER..end).contains(&target).then_some(end + 2);
        }
        end += 1 + length;
        if length > LABEL_MAX || end - at > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some(end);
        }
    }
}
