//! What a query is read as, and what a reply is written as; `hickory-proto` reads and writes the same as a judge.

use super::*;
use hickory_proto::op::{Edns as TheirEdns, Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType as TheirType};
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// A query for `name`, with an OPT record of this payload size and version if given.
fn query(name: &str, edns: Option<(u16, u8)>) -> Vec<u8> {
    message(name, edns).to_vec().unwrap()
}

fn message(name: &str, edns: Option<(u16, u8)>) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(Name::from_ascii(name).unwrap(), TheirType::A));
    if let Some((payload, version)) = edns {
        let mut record = TheirEdns::new();
        record.set_max_payload(payload).set_version(version);
        message.set_edns(record);
    }
    message
}

/// A reply with so many A records in the answer, and so many additional ones.
fn reply(query: &Query<'_>, limit: u16, answers: u8, additionals: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::reply(query.head, query.question, limit, &mut out);
    for (section, count) in [(Section::Answer, answers), (Section::Additional, additionals)] {
        for last in 0..count {
            writer.pointer(12);
            writer.record(RecordType::A, 300);
            writer.octets(&[10, 0, 0, last]);
            writer.end(section);
        }
    }
    writer.finish(Code::NoError, true);
    out
}

#[test]
fn a_query_keeps_its_case_and_its_edns() {
    let packet = query("Hv-01.AMS1.example.net.", Some((4096, 1)));
    let asked = decode(&packet).unwrap();
    assert_eq!(asked.labels(), b"\x05Hv-01\x04AMS1\x07example\x03net");
    assert_eq!(asked.question, &packet[12..12 + 24 + 4]);
    assert_eq!(asked.head.edns, Some(Edns { payload: 4096, version: 1, dnssec_ok: false }));
    assert_eq!((asked.head.id, asked.head.recursion_desired), (0x1234, true));
    assert_eq!((asked.record_type, asked.class, asked.serial), (RecordType::A, Class::IN, None));
    assert_eq!(decode(&query("a.", None)).unwrap().head.edns, None);
    assert_eq!(decode(&query(".", None)).unwrap().labels(), b"");
}

#[test]
fn what_is_no_query_gets_silence_or_a_bare_header() {
    let good = query("a.example.", None);
    let with = |position: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[position] = value;
        bytes
    };
    let code = |bytes: &[u8]| match decode(bytes) {
        Err(NoQuery::Reply { header, code }) => {
            assert_eq!((&header[..2], header[2] & 0x80), (&good[..2], 0x80));
            assert_eq!((header[2] & 0x79, header[3]), (bytes[2] & 0x79, code as u8), "opcode and flags");
            Some(code)
        }
        Err(NoQuery::Silence) => None,
        Ok(query) => panic!("{query:?}"),
    };
    assert_eq!(code(&good[..11]), None, "no whole header");
    assert_eq!(code(&with(2, 0x81)), None, "a reply");
    assert_eq!(code(&with(2, 0x20)), Some(Code::NotImp), "NOTIFY");
    assert_eq!(code(&with(2, 0x28)), Some(Code::NotImp), "UPDATE");
    assert_eq!(code(&with(2, 0x78)), Some(Code::NotImp), "opcode 15");
    assert_eq!(code(&with(5, 0)), Some(Code::FormErr), "no question");
    assert_eq!(code(&with(5, 2)), Some(Code::FormErr), "two questions announced");
    assert_eq!(code(&with(7, 1)), Some(Code::FormErr), "an answer announced and missing");
    assert_eq!(code(&with(12, 0xc0)), Some(Code::FormErr), "a pointer forward");
    assert_eq!(code(&with(12, 0x40)), Some(Code::FormErr), "a label type that was never used");
    assert_eq!(code(&good[..good.len() - 1]), Some(Code::FormErr), "cut off");
}

/// A header with these counts, and what follows it.
fn packet(counts: [u8; 4], rest: &[&[u8]]) -> Vec<u8> {
    let [questions, answers, authorities, additionals] = counts;
    let mut packet = vec![0x12, 0x34, 1, 0, 0, questions, 0, answers, 0, authorities, 0, additionals];
    packet.extend(rest.concat());
    packet
}

#[test]
fn records_beside_the_question_are_bounded_and_looked_at() {
    const QUESTION: &[u8] = b"\x01a\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";
    let reads = |counts, rest: &[&[u8]]| decode(&packet(counts, rest)).is_ok();
    let edns = decode(&packet([1, 0, 0, 1], &[QUESTION, OPT])).unwrap().head.edns;
    assert_eq!(edns, Some(Edns { payload: 4096, version: 0, dnssec_ok: true }));
    assert!(!reads([1, 0, 0, 2], &[QUESTION, OPT, OPT]), "two OPT records");
    assert!(!reads([1, 1, 0, 0], &[QUESTION, OPT]), "one among the answers");
    let elsewhere = b"\x01a\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
    assert!(!reads([1, 0, 0, 1], &[QUESTION, elsewhere]), "one that is not at the root");
    let option = |length: &[u8]| [b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x0c\x00\x0a", length].concat();
    assert!(reads([1, 0, 0, 1], &[QUESTION, &option(b"\x00\x08"), b"12345678"]), "a cookie");
    assert!(reads([1, 0, 0, 1], &[QUESTION, &option(b"\x00\x04"), b"1234\xfe\xff\x00\x00"]), "and another");
    assert!(!reads([1, 0, 0, 1], &[QUESTION, &option(b"\x00\x09"), b"12345678"]), "an option past the end");
    assert!(!reads([1, 0, 0, 1], &[QUESTION, &option(b"\x00\x06"), b"12345678"]), "half an option");
    let shortened = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x01";
    assert!(reads([1, 1, 0, 0], &[QUESTION, shortened]), "a name that points back");
    for pointer in [0, 11, 19, 20, 255] {
        let mut record = shortened.to_vec();
        record[1] = pointer;
        assert!(!reads([1, 1, 0, 0], &[QUESTION, &record]), "a pointer to {pointer}");
    }
    assert!(!reads([1, 1, 0, 0], &[QUESTION, &shortened[..15]]), "data cut off");
}

#[test]
fn names_are_as_long_as_names_may_be_and_no_longer() {
    let question = |labels: &[usize]| {
        let mut name = Vec::new();
        for length in labels {
            name.push(u8::try_from(*length).unwrap());
            name.extend(vec![b'x'; *length]);
        }
        packet([1, 0, 0, 0], &[&name, b"\x00\x00\x01\x00\x01"])
    };
    assert!(decode(&question(&[63, 63, 63, 61])).is_ok(), "255 octets");
    assert!(decode(&question(&[63, 63, 63, 62])).is_err(), "256");
    assert!(decode(&question(&[1; 127])).is_ok(), "255 of as many labels as there can be");
    assert!(decode(&question(&[1; 128])).is_err());
    assert!(decode(&question(&[64])).is_err());
}

#[test]
fn a_client_that_asks_for_changes_says_what_it_has() {
    let mut asked = message("ams1.example.net.", None);
    asked.queries[0].set_query_type(TheirType::IXFR);
    let zone = Name::from_ascii("ams1.example.net.").unwrap();
    let primary = Name::from_ascii("ctl1.ams1.example.net.").unwrap();
    let soa = SOA::new(primary.clone(), primary, 0xfedc_ba98, 300, 60, 1_209_600, 60);
    asked.add_authority(Record::from_rdata(zone, 300, RData::SOA(soa)));
    let packet = asked.to_vec().unwrap();
    let query = decode(&packet).unwrap();
    assert_eq!((query.record_type, query.serial), (RecordType::IXFR, Some(0xfedc_ba98)));
    assert!(decode(&packet[..packet.len() - 1]).is_err(), "cut off");
    asked.queries[0].set_query_type(TheirType::AXFR);
    assert_eq!(decode(&asked.to_vec().unwrap()).unwrap().serial, None);
}

#[test]
fn a_reply_that_does_not_fit_is_truncated_whole_and_keeps_its_opt() {
    let packet = query("many.example.", Some((4096, 0)));
    let asked = decode(&packet).unwrap();
    for limit in [0, 100, 512, 1232] {
        let out = reply(&asked, limit, 200, 3);
        let read = Message::from_vec(&out).unwrap();
        assert!(
            read.metadata.truncation && read.answers.is_empty() && read.additionals.is_empty(),
            "{limit}"
        );
        assert!(read.edns.is_some() && out.len() <= 512, "{limit}");
    }
    let read = Message::from_vec(&reply(&asked, u16::MAX, 200, 0)).unwrap();
    assert!(!read.metadata.truncation && read.answers.len() == 200);
}

#[test]
fn the_limit_is_kept_to_the_octet() {
    let packet = query("some.example.", Some((4096, 0)));
    let asked = decode(&packet).unwrap();
    let whole = reply(&asked, u16::MAX, 10, 0).len();
    let is_cut = |limit: usize| {
        let out = reply(&asked, u16::try_from(limit).unwrap(), 10, 0);
        assert!(out.len() <= limit);
        Message::from_vec(&out).unwrap().metadata.truncation
    };
    assert_eq!((is_cut(whole), is_cut(whole - 1)), (false, true));
}

#[test]
fn additional_records_go_first_when_space_is_short() {
    let packet = query("some.example.", Some((1232, 0)));
    let asked = decode(&packet).unwrap();
    let out = reply(&asked, 512, 10, 200);
    let read = Message::from_vec(&out).unwrap();
    assert!(!read.metadata.truncation && out.len() <= 512);
    assert_eq!(read.answers.len(), 10);
    assert!((10..40).contains(&read.additionals.len()), "{}", read.additionals.len());
    assert!(read.edns.is_some());
}

#[test]
fn a_reply_is_what_it_was_meant_to_be() {
    let packet = query("Some.Example.", Some((1232, 0)));
    let asked = decode(&packet).unwrap();
    let mut out = Vec::new();
    let mut writer = Writer::reply(asked.head, asked.question, 512, &mut out);
    let name = writer.here().unwrap();
    writer.labels(b"\x05other");
    writer.pointer(17);
    writer.record(RecordType::PTR, 60);
    writer.pointer(name);
    assert!(writer.end(Section::Answer));
    assert_eq!(writer.answers(), 1);
    writer.finish(Code::NxDomain, true);
    let read = Message::from_vec(&out).unwrap();
    assert_eq!(read.answers[0].to_string(), "other.Example. 60 IN PTR other.Example.");
    assert_eq!(read.queries[0].name().to_ascii(), "Some.Example.");
    assert!(read.metadata.authoritative && !read.metadata.truncation && read.metadata.recursion_desired);
    for code in [Code::NoError, Code::FormErr, Code::NotImp, Code::Refused, Code::NotAuth, Code::BadVers] {
        Writer::reply(asked.head, asked.question, 512, &mut out).finish(code, false);
        let read = Message::from_vec(&out).unwrap();
        assert_eq!(u16::from(read.metadata.response_code), code as u16);
        assert!(!read.metadata.authoritative);
    }
}

#[test]
fn a_notify_is_read_by_others_and_its_answer_by_us() {
    let mut out = Vec::new();
    write_notify(0xabcd, b"\x04ams1\x07example\x03net", &mut out);
    let mut read = Message::from_vec(&out).unwrap();
    assert_eq!((read.metadata.id, read.metadata.op_code), (0xabcd, OpCode::Notify));
    assert_eq!(read.metadata.message_type, MessageType::Query);
    assert_eq!(read.queries[0].to_string(), "ams1.example.net. IN SOA");
    assert_eq!(decode_notified(&out), None, "our own");

    read.metadata.message_type = MessageType::Response;
    read.metadata.response_code = hickory_proto::op::ResponseCode::NotAuth;
    let answer = read.to_vec().unwrap();
    let apex = &b"\x04ams1\x07example\x03net\x00"[..];
    assert_eq!(decode_notified(&answer), Some(Notified { id: 0xabcd, code: 9, apex: Some(apex) }));
    assert_eq!(decode_notified(&answer[..answer.len() - 1]), None, "cut off");
    assert_eq!(decode_notified(&answer[..11]), None);
    read.queries.clear();
    assert_eq!(decode_notified(&read.to_vec().unwrap()).unwrap().apex, None);
    read.metadata.op_code = OpCode::Query;
    assert_eq!(decode_notified(&read.to_vec().unwrap()), None, "the answer to something else");
}

/// What both readings of a packet must agree on, where there are two.
fn agree(bytes: &[u8]) {
    let (Ok(ours), Ok(theirs)) = (decode(bytes), Message::from_vec(bytes)) else { return };
    let question = &theirs.queries[0];
    let labels: Vec<u8> = question
        .name()
        .iter()
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()][..], label].concat())
        .collect();
    assert_eq!(ours.labels(), labels);
    assert_eq!(ours.record_type.0, u16::from(question.query_type()));
    assert_eq!(ours.class.0, u16::from(question.query_class()));
    let head = &theirs.metadata;
    assert_eq!(ours.head.id, head.id);
    assert_eq!(ours.head.recursion_desired, head.recursion_desired);
    assert_eq!(ours.head.checking_disabled, head.checking_disabled);
    let edns = theirs.edns.as_ref().map(|edns| Edns {
        payload: edns.max_payload(),
        version: edns.version(),
        dnssec_ok: edns.flags().dnssec_ok,
    });
    // Their reading raises a payload below 512 to that (RFC 6891 §6.2.3); ours is raised where it is used.
    let raised = ours.head.edns.map(|edns| Edns { payload: edns.payload.max(512), ..edns });
    assert_eq!(raised, edns.map(|edns| Edns { payload: edns.payload.max(512), ..edns }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        agree(&bytes);
        let _ = decode_notified(&bytes);
    }

    #[test]
    fn a_spoiled_query_is_read_or_refused(position in 0_usize..60, value: u8, cut in 0_usize..60) {
        let mut bytes = query("hv-01.ams1.example.net.", Some((1232, 0)));
        let position = position % bytes.len();
        bytes[position] = value;
        bytes.truncate(bytes.len() - cut % bytes.len());
        agree(&bytes);
        if let Ok(query) = decode(&bytes) {
            let read = Message::from_vec(&reply(&query, 512, 2, 2));
            prop_assert!(read.is_ok());
        }
    }

    #[test]
    fn what_they_write_we_read(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..12),
        record_type: u16,
        edns in proptest::option::of((any::<u16>(), any::<u8>())),
    ) {
        let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        let mut asked = message("a.", edns);
        asked.queries[0].set_name(name);
        asked.queries[0].set_query_type(TheirType::from(record_type));
        asked.add_authority(Record::from_rdata(Name::root(), 0, RData::A(A(Ipv4Addr::LOCALHOST))));
        let packet = asked.to_vec().unwrap();
        prop_assert!(decode(&packet).is_ok(), "{packet:?}");
        agree(&packet);
    }
}
