//! Writing one reply.

use super::{Code, HEADER, Head, POINTER_END, RecordType, UDP_MAX};

/// Octets of our OPT record: root name, type, class, TTL and no options.
const OPT: usize = 11;

/// Where a record goes. Records are written in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Why there is no answer.
    Authority,
    /// What the client would ask for next.
    Additional,
}

/// A reply while it is written.
///
/// A record is its owner ([`labels`](Self::labels), then [`root`](Self::root) or [`pointer`](Self::pointer)),
/// [`record`](Self::record), its data, [`end`](Self::end).
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    head: Head,
    limit: usize,
    counts: [u16; 3],
    /// Where the question ends.
    question_end: usize,
    /// Where the records end that were asked for.
    required_end: usize,
    /// Where the record begins that is being written, and its data.
    record_at: usize,
    data_at: usize,
}

impl<'o> Writer<'o> {
    /// Begins the reply to a question over `out`. It will have at most `limit` octets, or those of header, question and
    /// OPT record if they are more; they are always less than [`super::UDP_PLAIN_MAX`].
    pub fn reply(head: Head, question: &[u8], limit: u16, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(question);
        let end = out.len();
        Self {
            out,
            head,
            limit: usize::from(limit).saturating_sub(if head.edns.is_some() { OPT } else { 0 }),
            counts: [0; 3],
            question_end: end,
            required_end: end,
            record_at: end,
            data_at: end,
        }
    }

    /// Octets written so far.
    pub fn octets_written(&self) -> usize {
        self.out.len()
    }

    /// Where the next octet will be, if a pointer reaches it.
    pub fn here(&self) -> Option<u16> {
        u16::try_from(self.out.len()).ok().filter(|position| usize::from(*position) < POINTER_END)
    }

    /// Records in the answer so far.
    pub fn answers(&self) -> u16 {
        self.counts[0]
    }

    /// Some labels of a name, in wire form.
    pub fn labels(&mut self, labels: &[u8]) {
        self.out.extend_from_slice(labels);
    }

    /// The end of a name that is written whole.
    pub fn root(&mut self) {
        self.out.push(0);
    }

    /// The end of a name that goes on as another did, at an earlier position (RFC 1035 §4.1.4).
    pub fn pointer(&mut self, position: u16) {
        debug_assert!(usize::from(position) < self.out.len().min(POINTER_END));
        self.out.extend_from_slice(&(0xc000 | position).to_be_bytes());
    }

    /// What follows the owner's name: type, class IN, TTL in seconds.
    pub fn record(&mut self, record_type: RecordType, ttl: u32) {
        let [t1, t2] = record_type.0.to_be_bytes();
        let [l1, l2, l3, l4] = ttl.to_be_bytes();
        self.out.extend_from_slice(&[t1, t2, 0, 1, l1, l2, l3, l4, 0, 0]);
        self.data_at = self.out.len();
    }

    /// Octets of the data.
    pub fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// The record is complete. Gives whether there is room for others: an additional record that does not fit is left
    /// out again, quietly, since nobody asked for it.
    pub fn end(&mut self, section: Section) -> bool {
        let length = u16::try_from(self.out.len() - self.data_at).unwrap_or(u16::MAX);
        self.out[self.data_at - 2..self.data_at].copy_from_slice(&length.to_be_bytes());
        let fits = self.out.len() <= self.limit;
        if section == Section::Additional {
            if !fits {
                self.out.truncate(self.record_at);
                return false;
            }
        } else {
            self.required_end = self.out.len();
        }
        self.record_at = self.out.len();
        let count = &mut self.counts[section as usize];
        *count = count.saturating_add(1);
        fits
    }

    /// Ends the reply. If what was asked for is too long, it is left out whole, and the truncation flag says so: a part
    /// of a set is of no use (RFC 2181 §9).
    pub fn finish(self, code: Code, is_authoritative: bool) {
        let is_cut = self.required_end > self.limit && self.required_end > self.question_end;
        self.close_reply(code, is_authoritative, is_cut);
    }

    /// Ends the reply without records: it would be too long.
    pub fn finish_truncated(self) {
        self.close_reply(Code::NoError, true, true);
    }

    fn close_reply(mut self, code: Code, is_authoritative: bool, is_cut: bool) {
        if is_cut {
            self.out.truncate(self.question_end);
            self.counts = [0; 3];
        }
        let code = code as u8;
        let head = self.head;
        if head.edns.is_some() {
            let [p1, p2] = UDP_MAX.to_be_bytes();
            let dnssec_ok = if head.edns.is_some_and(|edns| edns.dnssec_ok) { 0x80 } else { 0 };
            // The code's high bits, then version 0 (RFC 6891 §6.1.3).
            self.out.extend_from_slice(&[0, 0, 41, p1, p2, code >> 4, 0, dnssec_ok, 0, 0, 0]);
            self.counts[2] = self.counts[2].saturating_add(1);
        }
        let [i1, i2] = head.id.to_be_bytes();
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags =
            0x80 | flag(is_authoritative, 0x04) | flag(is_cut, 0x02) | flag(head.recursion_desired, 0x01);
        let [[a1, a2], [n1, n2], [r1, r2]] = self.counts.map(u16::to_be_bytes);
        let more_flags = flag(head.checking_disabled, 0x10) | code & 0x0f;
        let header = [i1, i2, flags, more_flags, 0, 1, a1, a2, n1, n2, r1, r2];
        self.out[..HEADER].copy_from_slice(&header);
    }
}

/// Writes a bare header over `out`, for packets whose question cannot be repeated.
pub fn write_header(header: &[u8; HEADER], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(header);
}
