//! NOTIFY (RFC 1996): a primary tells a secondary that a zone has changed, and is told that it heard.

use super::{HEADER, RecordType};

/// The opcode, where the header has it.
const OPCODE: u8 = 4 << 3;
const OPCODE_MASK: u8 = 0x78;
const QR: u8 = 0x80;
const AA: u8 = 0x04;

/// Writes a NOTIFY about a zone over `out`. `apex` is its name in wire form without the root's label.
pub fn write_notify(id: u16, apex: &[u8], out: &mut Vec<u8>) {
    let [i1, i2] = id.to_be_bytes();
    out.clear();
    out.extend_from_slice(&[i1, i2, OPCODE | AA, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(apex);
    let [t1, t2] = RecordType::SOA.0.to_be_bytes();
    out.extend_from_slice(&[0, t1, t2, 0, 1]);
}

/// A secondary's answer to a NOTIFY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notified<'p> {
    /// The NOTIFY's id.
    pub id: u16,
    /// The response code; 0 is none but fine.
    pub code: u8,
    /// The zone, in wire form with the root's label; `None` if it is not repeated.
    pub apex: Option<&'p [u8]>,
}

/// Reads the answer to a NOTIFY; `None` if the packet is none.
pub fn decode_notified(packet: &[u8]) -> Option<Notified<'_>> {
    let header = packet.first_chunk::<HEADER>()?;
    if header[2] & (QR | OPCODE_MASK) != QR | OPCODE {
        return None;
    }
    let apex = match u16::from_be_bytes([header[4], header[5]]) {
        0 => None,
        1 => {
            let end = super::query::whole_name(packet, HEADER)?;
            packet.get(end..end + 4)?;
            Some(&packet[HEADER..end])
        }
        _ => return None,
    };
    Some(Notified { id: u16::from_be_bytes([header[0], header[1]]), code: header[3] & 0x0f, apex })
}
