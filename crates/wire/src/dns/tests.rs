//! What a query is read as, and what a reply is written as.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// A query for `name`, with an OPT record of this payload size and version if given.
fn query(name: &str, edns: Option<(u16, u8)>) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(Name::from_ascii(name).unwrap(), RecordType::A));
    if let Some((payload, version)) = edns {
        let mut record = Edns::new();
        record.set_max_payload(payload).set_version(version);
        message.set_edns(record);
    }
    message.to_vec().unwrap()
}

fn addresses(name: &Name, count: u8) -> Vec<Record> {
    let record = |last| Record::from_rdata(name.clone(), 300, RData::A(A(Ipv4Addr::new(10, 0, 0, last))));
    (0..count).map(record).collect()
}

#[test]
fn a_query_keeps_its_case_and_its_edns() {
    let asked = decode(&query("Hv-01.AMS1.example.net.", Some((4096, 1)))).unwrap();
    assert_eq!(asked.name.to_ascii(), "Hv-01.AMS1.example.net.");
    assert_eq!(asked.edns, Some(EdnsAsked { payload: 4096, version: 1, dnssec_ok: false }));
    assert_eq!((asked.metadata.id, asked.metadata.recursion_desired), (0x1234, true));
    assert_eq!(decode(&query("a.", None)).unwrap().edns, None);
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
        Err(NoQuery::Reply { metadata }) => {
            let mut out = Vec::new();
            encode_header(&metadata, &mut out);
            assert_eq!((out.len(), &out[..2], out[2] & 0x80), (12, &good[..2], 0x80));
            Some(metadata.response_code)
        }
        Err(NoQuery::Silence) => None,
        Ok(query) => panic!("{query:?}"),
    };
    assert_eq!(code(&good[..11]), None, "no whole header");
    assert_eq!(code(&with(2, 0x81)), None, "a reply");
    assert_eq!(code(&with(2, 0x20)), Some(ResponseCode::NotImp), "NOTIFY");
    assert_eq!(code(&with(2, 0x28)), Some(ResponseCode::NotImp), "UPDATE");
    assert_eq!(code(&with(2, 0x78)), Some(ResponseCode::NotImp), "opcode 15");
    assert_eq!(code(&with(5, 0)), Some(ResponseCode::FormErr), "no question");
    assert_eq!(code(&with(5, 2)), Some(ResponseCode::FormErr), "two questions announced");
    assert_eq!(code(&with(7, 1)), Some(ResponseCode::FormErr), "an answer announced and missing");
    assert_eq!(code(&with(12, 0xc0)), Some(ResponseCode::FormErr), "a pointer forward");
    assert_eq!(code(&with(12, 0x40)), Some(ResponseCode::FormErr), "a label type that was never used");
    assert_eq!(code(&good[..good.len() - 1]), Some(ResponseCode::FormErr), "cut off");
}

#[test]
fn a_reply_that_does_not_fit_is_truncated_whole_and_keeps_its_opt() {
    let asked = decode(&query("many.example.", Some((4096, 0)))).unwrap();
    let mut message = reply_to(&asked, ResponseCode::NoError, true);
    message.add_answers(addresses(&asked.name, 200));
    let mut out = Vec::new();
    for limit in [0, 100, 512, 1232] {
        encode(&message, limit, &mut out);
        let read = Message::from_vec(&out).unwrap();
        assert!(read.metadata.truncation && read.answers.is_empty(), "{limit}");
        assert!(read.edns.is_some() && out.len() <= 512, "{limit}");
    }
    encode(&message, u16::MAX, &mut out);
    let read = Message::from_vec(&out).unwrap();
    assert!(!read.metadata.truncation && read.answers.len() == 200);
}

#[test]
fn additional_records_go_first_when_space_is_short() {
    let asked = decode(&query("some.example.", Some((1232, 0)))).unwrap();
    let mut message = reply_to(&asked, ResponseCode::NoError, true);
    message.add_answers(addresses(&asked.name, 10)).add_additionals(addresses(&asked.name, 200));
    let mut out = Vec::new();
    encode(&message, 512, &mut out);
    let read = Message::from_vec(&out).unwrap();
    assert!(!read.metadata.truncation && out.len() <= 512);
    assert_eq!(read.answers.len(), 10);
    assert!((10..40).contains(&read.additionals.len()), "{}", read.additionals.len());
    assert!(read.edns.is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_spoiled_query_is_read_or_refused(position in 0_usize..60, value: u8, cut in 0_usize..60) {
        let mut bytes = query("hv-01.ams1.example.net.", Some((1232, 0)));
        let position = position % bytes.len();
        bytes[position] = value;
        bytes.truncate(bytes.len() - cut % bytes.len());
        if let Ok(query) = decode(&bytes) {
            let mut out = Vec::new();
            encode(&reply_to(&query, ResponseCode::Refused, false), 512, &mut out);
            prop_assert!(Message::from_vec(&out).is_ok());
        }
    }
}
