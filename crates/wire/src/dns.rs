//! DNS messages (RFC 1035, EDNS RFC 6891), with hickory-proto as the codec.
//!
//! [`decode`] turns a packet into one [`Query`], or says what little can be answered to a packet that is none.
//! [`encode`] writes a reply within a limit of octets, and truncates by the rules where it must. It knows nothing of
//! zones.

pub use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query as Question, ResponseCode};
pub use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA, SRV, TXT};
pub use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use hickory_proto::op::Header;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

/// Octets of a UDP message that need no EDNS (RFC 1035 §2.3.4).
pub const UDP_PLAIN_MAX: u16 = 512;
/// Octets of a UDP message that pass the internet's paths unfragmented (DNS Flag Day 2020); also what we say we take.
pub const UDP_MAX: u16 = 1232;
/// Octets of a header.
const HEADER: usize = 12;
/// Octets of our OPT record: root name, type, class, TTL and an empty RDATA.
const OPT: u16 = 11;

/// One question, as it can be answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Message id and flags.
    pub metadata: Metadata,
    /// The name, in the case it was sent in.
    pub name: Name,
    /// The type asked for.
    pub record_type: RecordType,
    /// The class asked for.
    pub class: DNSClass,
    /// What the client says by EDNS, if it speaks it.
    pub edns: Option<EdnsAsked>,
}

/// A client's EDNS record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdnsAsked {
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
    /// It gets a bare header with this code.
    Reply {
        /// The header's id and flags, already turned into a reply's.
        metadata: Metadata,
    },
}

/// Reads a packet. What is allocated is bounded by the packet's own length.
pub fn decode(packet: &[u8]) -> Result<Query, NoQuery> {
    let mut decoder = BinDecoder::new(packet);
    let header = Header::read(&mut decoder).map_err(|_| NoQuery::Silence)?;
    if header.metadata.message_type == MessageType::Response {
        return Err(NoQuery::Silence);
    }
    let no = |code| {
        let mut metadata = Metadata::response_from_request(&header.metadata);
        metadata.response_code = code;
        NoQuery::Reply { metadata }
    };
    let malformed = no(ResponseCode::FormErr);
    if header.metadata.op_code != OpCode::Query {
        return Err(no(ResponseCode::NotImp));
    }
    let counts = header.counts;
    if counts.queries != 1 {
        return Err(malformed);
    }
    let question = Question::read(&mut decoder).map_err(|_| malformed)?;
    let mut section = |count: u16, is_additional| {
        Message::read_records(&mut decoder, count.into(), is_additional, OpCode::Query).map_err(|_| malformed)
    };
    // An IXFR carries the client's SOA in the authority section; nothing else is expected, and nothing of it needed.
    section(counts.answers, false)?;
    section(counts.authorities, false)?;
    let (_, edns, _) = section(counts.additionals, true)?;
    Ok(Query {
        metadata: header.metadata,
        name: question.name().clone(),
        record_type: question.query_type(),
        class: question.query_class(),
        edns: edns.map(|edns| EdnsAsked {
            payload: edns.max_payload(),
            version: edns.version(),
            dnssec_ok: edns.flags().dnssec_ok,
        }),
    })
}

/// The beginning of a reply: the query's id, question and EDNS, no records.
pub fn reply_to(query: &Query, code: ResponseCode, is_authoritative: bool) -> Message {
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.metadata = Metadata::response_from_request(&query.metadata);
    message.metadata.response_code = code;
    message.metadata.authoritative = is_authoritative;
    let mut question = Question::query(query.name.clone(), query.record_type);
    question.set_query_class(query.class);
    message.add_query(question);
    if let Some(asked) = query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX).set_version(0).set_dnssec_ok(asked.dnssec_ok);
        message.set_edns(edns);
    }
    message
}

/// Writes a reply of at most `limit` octets over `out`.
///
/// If answer or authority do not fit, both are left out and the truncation flag says so: a part of a set is of no use
/// (RFC 2181 §9). Additional records that do not fit are left out quietly; nobody asked for them. The question and the
/// OPT record always fit into [`UDP_PLAIN_MAX`].
pub fn encode(message: &Message, limit: u16, out: &mut Vec<u8>) {
    out.clear();
    let fits = write(message, Sections::All, limit, out);
    if !fits {
        out.clear();
        write(message, Sections::None, limit.max(UDP_PLAIN_MAX), out);
    }
}

/// Writes a bare header, for packets whose question cannot be repeated.
pub fn encode_header(metadata: &Metadata, out: &mut Vec<u8>) {
    out.clear();
    let header = Header { metadata: *metadata, counts: hickory_proto::op::HeaderCounts::default() };
    let mut encoder = BinEncoder::new(out);
    // Twelve octets into an empty buffer that grows; there is no error to see.
    let _ = header.emit(&mut encoder);
}

/// Which records are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sections {
    All,
    None,
}

/// Writes the message; `false` if answer or authority did not fit, and `out` is then of no use.
fn write(message: &Message, sections: Sections, limit: u16, out: &mut Vec<u8>) -> bool {
    out.resize(HEADER, 0);
    let mut encoder = BinEncoder::new(out);
    encoder.set_offset(HEADER);
    // The OPT record comes last and must have its place: a reply without it says that we do not speak EDNS.
    let reserved = if message.edns.is_some() { OPT } else { 0 };
    encoder.set_max_size(limit.saturating_sub(reserved));
    let mut counts = hickory_proto::op::HeaderCounts::default();
    let mut metadata = message.metadata;
    for question in &message.queries {
        if question.emit(&mut encoder).is_err() {
            return false;
        }
        counts.queries += 1;
    }
    match sections {
        Sections::All => {
            let answers = encoder.emit_all(message.answers.iter());
            let authorities = encoder.emit_all(message.authorities.iter());
            let (Ok(answers), Ok(authorities)) = (answers, authorities) else { return false };
            counts.answers = u16::try_from(answers).unwrap_or(u16::MAX);
            counts.authorities = u16::try_from(authorities).unwrap_or(u16::MAX);
            for record in &message.additionals {
                if encoder.emit_all(std::iter::once(record)).is_err() {
                    break;
                }
                counts.additionals += 1;
            }
        }
        Sections::None => metadata.truncation = true,
    }
    encoder.set_max_size(limit);
    if let Some(edns) = &message.edns {
        let mut edns = edns.clone();
        edns.set_rcode_high(metadata.response_code.high());
        if edns.emit(&mut encoder).is_err() {
            return false;
        }
        counts.additionals += 1;
    }
    encoder.set_offset(0);
    Header { metadata, counts }.emit(&mut encoder).is_ok()
}

#[cfg(test)]
mod tests;
