//! DNS.

mod cases;
pub(crate) mod changes;
mod many;
mod plain;
mod transfer;

use crate::zone;
use answer::dns::{Answer, Transport, answer};
use expect_test::{Expect, expect};
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use model::{Reason, View};
use std::fmt::Write;
use std::net::IpAddr;

/// A query, as tests vary it.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    name: &'a str,
    record_type: RecordType,
    class: DNSClass,
    edns: Option<(u16, u8)>,
    client: &'a str,
    transport: Transport,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(name: &'a str, record_type: RecordType) -> Self {
        let edns = Some((1232, 0));
        Self { name, record_type, class: DNSClass::IN, edns, client: "10.33.1.1", transport: Transport::Udp }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut message = Message::new(0x0102, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        let mut question = Question::query(name(self.name), self.record_type);
        question.set_query_class(self.class);
        message.add_query(question);
        if let Some((payload, version)) = self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_version(version);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }

    fn client(&self) -> IpAddr {
        self.client.parse().unwrap()
    }
}

/// A name as zone files spell it: `\DDD` is an octet, `\.` no end of a label (RFC 1035 §5.1).
fn name(text: &str) -> Name {
    let mut labels = vec![Vec::new()];
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let mut octet = rest.next().unwrap();
                if octet.is_ascii_digit() {
                    let digits = [octet, rest.next().unwrap(), rest.next().unwrap()];
                    octet = digits.iter().fold(0, |number, digit| number * 10 + (digit - b'0'));
                }
                labels.last_mut().unwrap().push(octet);
            }
            _ => labels.last_mut().unwrap().push(octet),
        }
    }
    Name::from_labels(labels.iter().filter(|label| !label.is_empty()).map(Vec::as_slice)).unwrap()
}

/// The reply, its size and the reason it is counted under.
fn reply(view: &View, ask: &Ask<'_>) -> (Message, usize, Option<Reason>) {
    let mut out = Vec::new();
    match answer(view, &ask.packet(), ask.client(), ask.transport, &mut out).unwrap() {
        Answer::Reply(reason) => (Message::from_vec(&out).unwrap(), out.len(), reason),
        Answer::Transfer(_) => panic!("a transfer"),
    }
}

fn flags(metadata: &Metadata) -> String {
    let flags = [
        (metadata.authoritative, " aa"),
        (metadata.truncation, " tc"),
        (metadata.recursion_desired, " rd"),
        (metadata.recursion_available, " ra"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect()
}

fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

/// The reply in words.
fn shown(view: &View, ask: &Ask<'_>) -> String {
    let (message, _, reason) = reply(view, ask);
    let mut text = format!("{}{}", message.metadata.response_code, flags(&message.metadata));
    if let Some(reason) = reason {
        let _ = write!(text, " ({reason})");
    }
    text.push('\n');
    for (section, records) in
        [("an", &message.answers), ("ns", &message.authorities), ("ar", &message.additionals)]
    {
        for record in records {
            let _ = writeln!(text, "{section} {}", line(record));
        }
    }
    text
}

#[expect(clippy::needless_pass_by_value, reason = "the table reads better without a reference in each line")]
fn check(name: &str, record_type: RecordType, expected: Expect) {
    expected.assert_eq(&shown(&zone::view(), &Ask::new(name, record_type)));
}

#[test]
fn names_have_addresses_and_a_location() {
    check(
        "hv-u1.ams1.example.net.",
        RecordType::A,
        expect![[r#"
        No Error aa rd
        an hv-u1.ams1.example.net. 300 A 10.32.0.6
    "#]],
    );
    check(
        "hv-u1.ams1.example.net.",
        RecordType::AAAA,
        expect![[r#"
        No Error aa rd
        an hv-u1.ams1.example.net. 300 AAAA 2001:db8:32::6
    "#]],
    );
    check(
        "hv-u1.ams1.example.net.",
        RecordType::TXT,
        expect![[r#"
        No Error aa rd
        an hv-u1.ams1.example.net. 300 TXT location=ams1/p1/r1/u1
    "#]],
    );
    check(
        "hv-u1-bmc.ams1.example.net.",
        RecordType::A,
        expect![[r#"
        No Error aa rd
        an hv-u1-bmc.ams1.example.net. 300 A 10.32.0.22
    "#]],
    );
}

#[test]
fn case_means_nothing_and_is_given_back() {
    check(
        "HV-U1.amS1.exAmple.NET.",
        RecordType::A,
        expect![[r#"
        No Error aa rd
        an HV-U1.amS1.exAmple.NET. 300 A 10.32.0.6
    "#]],
    );
    let view = zone::view();
    let ask = Ask::new("HV-U1.amS1.exAmple.NET.", RecordType::A);
    let mut out = Vec::new();
    answer(&view, &ask.packet(), ask.client(), Transport::Udp, &mut out).unwrap();
    // The question is the client's, octet by octet: resolvers compare it (draft-vixie-dnsext-dns0x20).
    let question = 12..12 + "HV-U1.amS1.exAmple.NET.".len() + 1 + 4;
    assert_eq!(out[question.clone()], ask.packet()[question]);
}

#[test]
fn the_zone_itself() {
    check(
        "ams1.example.net.",
        RecordType::SOA,
        expect![[r#"
        No Error aa rd
        an ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    check(
        "ams1.example.net.",
        RecordType::NS,
        expect![[r#"
        No Error aa rd
        an ams1.example.net. 300 NS ctl1.ams1.example.net.
        an ams1.example.net. 300 NS ctl2.ams1.example.net.
        ar ctl1.ams1.example.net. 300 A 10.33.255.158
        ar ctl1.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1e
        ar ctl2.ams1.example.net. 300 A 10.33.255.159
        ar ctl2.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1f
    "#]],
    );
    check(
        "ams1.example.net.",
        RecordType::A,
        expect![[r#"
        No Error aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    check(
        "32.10.in-addr.arpa.",
        RecordType::SOA,
        expect![[r#"
        No Error aa rd
        an 32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    check(
        "2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
        RecordType::NS,
        expect![[r#"
        No Error aa rd
        an 2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl1.ams1.example.net.
        an 2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl2.ams1.example.net.
        ar ctl1.ams1.example.net. 300 A 10.33.255.158
        ar ctl1.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1e
        ar ctl2.ams1.example.net. 300 A 10.33.255.159
        ar ctl2.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1f
    "#]],
    );
}

#[test]
fn a_service_has_its_hosts_and_their_addresses() {
    check(
        "_ssh._tcp.hypervisor.ams1.example.net.",
        RecordType::SRV,
        expect![[r#"
        No Error aa rd
        an _ssh._tcp.hypervisor.ams1.example.net. 300 SRV 0 0 22 hv-u1.ams1.example.net.
        ar hv-u1.ams1.example.net. 300 A 10.32.0.6
        ar hv-u1.ams1.example.net. 300 AAAA 2001:db8:32::6
    "#]],
    );
}

#[test]
fn what_is_not_there() {
    // The name exists, not with this type.
    check(
        "hv-u1.ams1.example.net.",
        RecordType::MX,
        expect![[r#"
        No Error aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    // It does not exist at all.
    check(
        "nobody.ams1.example.net.",
        RecordType::A,
        expect![[r#"
        Non-Existent Domain aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    check(
        "below.hv-u1.ams1.example.net.",
        RecordType::A,
        expect![[r#"
        Non-Existent Domain aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    // Something is below it, so it exists.
    check(
        "_tcp.hypervisor.ams1.example.net.",
        RecordType::SRV,
        expect![[r#"
        No Error aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
    check(
        "hypervisor.ams1.example.net.",
        RecordType::A,
        expect![[r#"
        No Error aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
}

#[test]
fn addresses_have_names() {
    let view = zone::view();
    let [a, b, c, d] = zone::v4(&view.plan, "hv-u1").octets();
    let name = format!("{d}.{c}.{b}.{a}.in-addr.arpa.");
    expect![[r#"
        No Error aa rd
        an 6.0.32.10.in-addr.arpa. 300 PTR hv-u1.ams1.example.net.
    "#]]
    .assert_eq(&shown(&view, &Ask::new(&name, RecordType::PTR)));
    let v6 = u128::from(zone::v6(&view.plan, "hv-u1"));
    let name: String = (0..32).map(|nibble| format!("{:x}.", (v6 >> (4 * nibble)) & 15)).collect();
    let name = format!("{name}ip6.arpa.");
    expect![[r#"
        No Error aa rd
        an 6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR hv-u1.ams1.example.net.
    "#]].assert_eq(&shown(&view, &Ask::new(&name, RecordType::PTR)));
}

#[test]
fn reverse_names_between_and_beside_addresses() {
    let code = |name: &str| {
        let (message, _, _) = reply(&zone::view(), &Ask::new(name, RecordType::PTR));
        (message.metadata.response_code, message.answers.len())
    };
    let [_, b, c, _] = zone::v4(&zone::plan(), "hv-u1").octets();
    let between = (ResponseCode::NoError, 0);
    let nowhere = (ResponseCode::NXDomain, 0);
    let refused = (ResponseCode::Refused, 0);
    assert_eq!(code(&format!("{c}.{b}.10.in-addr.arpa.")), between);
    assert_eq!(code("250.250.32.10.in-addr.arpa."), nowhere);
    assert_eq!(code("250.32.10.in-addr.arpa."), nowhere);
    assert_eq!(code("1.1.250.32.10.in-addr.arpa."), nowhere, "more than four labels");
    assert_eq!(code(&format!("01.{c}.{b}.10.in-addr.arpa.")), nowhere, "a leading zero");
    assert_eq!(code(&format!("1x.{c}.{b}.10.in-addr.arpa.")), nowhere);
    assert_eq!(code(&format!("256.{c}.{b}.10.in-addr.arpa.")), nowhere);
    assert_eq!(code("34.10.in-addr.arpa."), refused);
    assert_eq!(code("1.1.34.10.in-addr.arpa."), refused);
    assert_eq!(code("10.in-addr.arpa."), refused, "above the zone");
    assert_eq!(code("in-addr.arpa."), refused);
    assert_eq!(code("3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."), between, "the second zone's own name");
    assert_eq!(code("0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."), between);
    assert_eq!(code("f.f.f.f.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."), nowhere);
    assert_eq!(code("ff.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."), nowhere, "not a nibble");
    assert_eq!(code("g.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa."), nowhere);
    assert_eq!(code("0.0.8.b.d.0.1.0.0.2.ip6.arpa."), refused);
    let deep = format!("{}2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "0.".repeat(21));
    assert_eq!(code(&deep), nowhere, "33 nibbles");
}

#[test]
fn what_is_not_ours_is_refused() {
    check(
        "example.net.",
        RecordType::A,
        expect![[r#"
        Query Refused rd (not-served)
    "#]],
    );
    check(
        "www.example.org.",
        RecordType::A,
        expect![[r#"
        Query Refused rd (not-served)
    "#]],
    );
    check(
        "xams1.example.net.",
        RecordType::A,
        expect![[r#"
        Query Refused rd (not-served)
    "#]],
    );
    check(
        ".",
        RecordType::NS,
        expect![[r#"
        Query Refused rd (not-served)
    "#]],
    );
    let chaos = Ask { class: DNSClass::CH, ..Ask::new("version.bind.", RecordType::TXT) };
    expect![[r#"
        Query Refused rd (not-served)
    "#]]
    .assert_eq(&shown(&zone::view(), &chaos));
    let any_class = Ask { class: DNSClass::ANY, ..Ask::new("hv-u1.ams1.example.net.", RecordType::A) };
    expect![[r#"
        Query Refused rd (not-served)
    "#]]
    .assert_eq(&shown(&zone::view(), &any_class));
}

#[test]
fn any_is_one_set() {
    check(
        "hv-u1.ams1.example.net.",
        RecordType::ANY,
        expect![[r#"
        No Error aa rd
        an hv-u1.ams1.example.net. 300 A 10.32.0.6
    "#]],
    );
    check(
        "ams1.example.net.",
        RecordType::ANY,
        expect![[r#"
        No Error aa rd
        an ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]],
    );
}

#[test]
fn edns() {
    let view = zone::view();
    let ask = Ask::new("hv-u1.ams1.example.net.", RecordType::A);
    let (message, ..) = reply(&view, &Ask { edns: None, ..ask });
    assert!(message.edns.is_none(), "a client that does not speak it is not spoken to in it");
    let (message, ..) = reply(&view, &ask);
    let edns = message.edns.unwrap();
    assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
    let (message, _, reason) = reply(&view, &Ask { edns: Some((1232, 1)), ..ask });
    // 16 is BADVERS; the codec reads the number by its other meaning, BADSIG.
    assert_eq!((u16::from(message.metadata.response_code), reason), (16, Some(Reason::NotServed)));
    assert_eq!((message.edns.unwrap().version(), message.answers.len()), (0, 0));
}

#[test]
fn garbage_is_met_with_silence_or_a_bare_header() {
    let view = zone::view();
    let client = "10.33.1.1".parse().unwrap();
    let good = Ask::new("hv-u1.ams1.example.net.", RecordType::A).packet();
    let of = |packet: &[u8]| {
        let mut out = Vec::new();
        match answer(&view, packet, client, Transport::Udp, &mut out) {
            Ok(Answer::Reply(reason)) => {
                let code = Message::from_vec(&out).unwrap().metadata.response_code;
                Ok((code, reason, out.len()))
            }
            Ok(Answer::Transfer(_)) => panic!("a transfer"),
            Err(refusal) => Err(refusal.reason),
        }
    };
    assert_eq!(of(b""), Err(Reason::Malformed));
    assert_eq!(of(&good[..11]), Err(Reason::Malformed));
    let mut spoiled = good.clone();
    spoiled[2] |= 0x80;
    assert_eq!(of(&spoiled), Err(Reason::Malformed), "a reply");
    assert_eq!(of(&good[..20]), Ok((ResponseCode::FormErr, Some(Reason::Malformed), 12)));
    let mut notify = good;
    notify[2] = 0x20;
    assert_eq!(of(&notify), Ok((ResponseCode::NotImp, Some(Reason::NotServed), 12)));
}

#[test]
fn views_hide_what_is_not_for_a_network() {
    let view = zone::view();
    let ask = |name, record_type, client| shown(&view, &Ask { client, ..Ask::new(name, record_type) });
    let (inside, user, other) = ("10.33.1.1", "192.0.2.7", "192.0.2.200");
    let host = "hv-u1.ams1.example.net.";
    let bmc = "hv-u1-bmc.ams1.example.net.";
    assert_eq!(ask(host, RecordType::A, user), ask(host, RecordType::A, inside));
    assert_eq!(ask(bmc, RecordType::A, other), ask(bmc, RecordType::A, inside));
    expect![[r#"
        No Error aa rd
        ns ams1.example.net. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]]
    .assert_eq(&ask(bmc, RecordType::A, user));
    // An IPv4 client on an IPv6 socket is the same client.
    assert_eq!(ask(bmc, RecordType::A, "::ffff:192.0.2.7"), ask(bmc, RecordType::A, user));
    let [a, b, c, d] = zone::v4(&view.plan, "hv-u1-bmc").octets();
    let reverse = format!("{d}.{c}.{b}.{a}.in-addr.arpa.");
    assert!(ask(&reverse, RecordType::PTR, inside).contains(bmc));
    expect![[r#"
        No Error aa rd
        ns 32.10.in-addr.arpa. 60 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]]
    .assert_eq(&ask(&reverse, RecordType::PTR, user));
    expect![[r#"
        No Error aa rd
        an ams1.example.net. 300 NS ctl1.ams1.example.net.
        an ams1.example.net. 300 NS ctl2.ams1.example.net.
    "#]]
    .assert_eq(&ask("ams1.example.net.", RecordType::NS, user));
}

#[test]
fn strangers_get_little_more_than_they_sent() {
    let view = zone::view();
    let service = "_ssh._tcp.hypervisor.ams1.example.net.";
    for client in ["203.0.113.5", "2001:db8:99::5"] {
        for name in ["hv-u1.ams1.example.net.", service, "nobody.ams1.example.net.", "ams1.example.net."] {
            for record_type in
                [RecordType::A, RecordType::SRV, RecordType::ANY, RecordType::NS, RecordType::SOA]
            {
                for edns in [None, Some((4096, 0))] {
                    let ask = Ask { edns, client, ..Ask::new(name, record_type) };
                    let (message, size, _) = reply(&view, &ask);
                    assert!(size <= 3 * ask.packet().len(), "{name} {record_type}: {size}");
                    assert!(
                        message.metadata.truncation
                            || message.metadata.response_code != ResponseCode::ServFail
                    );
                    // Over TCP the same client has shown its address, and gets everything.
                    let ask = Ask { transport: Transport::Tcp, ..ask };
                    assert!(!reply(&view, &ask).0.metadata.truncation);
                }
            }
        }
    }
}
