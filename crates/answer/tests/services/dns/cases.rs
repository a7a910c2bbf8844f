//! Questions at the edges of names, types and messages, in the manner of the FerretDataset (Kakarla et al., NSDI 2022), as
//! far as they apply: there are no wildcards, aliases or delegations here, so that asking for them is what is left.

use super::Ask;
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use expect_test::{Expect, expect};
use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RecordType};
use std::fmt::Write as _;

/// A line for each question: code, whether it is authoritative, the types of the sections.
#[expect(clippy::needless_pass_by_value, reason = "the table reads better without a reference in each line")]
fn check(questions: &str, expected: Expect) {
    let view = zone::view();
    let mut text = String::new();
    for question in questions.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, record_type) = question.split_once(' ').unwrap();
        let ask = Ask::new(name, record_type.parse().unwrap());
        let (message, ..) = super::reply(&view, &ask);
        let types = |records: &[hickory_proto::rr::Record]| {
            records.iter().map(|record| format!(" {}", record.record_type())).collect::<String>()
        };
        let _ = writeln!(
            text,
            "{question}: {}{} /{} /{}",
            message.metadata.response_code,
            super::flags(&message.metadata),
            types(&message.answers),
            types(&message.authorities)
        );
    }
    expected.assert_eq(&text);
}

#[test]
fn there_or_not_there() {
    check(
        "
        hv-u1.ams1.example.net. A
        hv-u1.ams1.example.net. CNAME
        hv-u1.ams1.example.net. DS
        hv-u1.ams1.example.net. NS
        hv-u1.ams1.example.net. SOA
        hv-u1.ams1.example.net. SRV
        hv-u1.ams1.example.net. PTR
        hv-u1.ams1.example.net. ANY
        a.hv-u1.ams1.example.net. A
        a.b.c.hv-u1.ams1.example.net. A
        hv-u.ams1.example.net. A
        hv-u1x.ams1.example.net. A
        xhv-u1.ams1.example.net. A
        u1.ams1.example.net. A
        hypervisor.ams1.example.net. A
        hypervisor.ams1.example.net. ANY
        _tcp.hypervisor.ams1.example.net. SRV
        _ssh._tcp.hypervisor.ams1.example.net. SRV
        _ssh._tcp.hypervisor.ams1.example.net. A
        _ssh._tcp.hypervisor.ams1.example.net. ANY
        _ssh._udp.hypervisor.ams1.example.net. SRV
        _ssh._tcp.plain.ams1.example.net. SRV
        a._ssh._tcp.hypervisor.ams1.example.net. SRV
        ",
        expect![[r#"
            hv-u1.ams1.example.net. A: No Error aa rd / A /
            hv-u1.ams1.example.net. CNAME: No Error aa rd / / SOA
            hv-u1.ams1.example.net. DS: No Error aa rd / / SOA
            hv-u1.ams1.example.net. NS: No Error aa rd / / SOA
            hv-u1.ams1.example.net. SOA: No Error aa rd / / SOA
            hv-u1.ams1.example.net. SRV: No Error aa rd / / SOA
            hv-u1.ams1.example.net. PTR: No Error aa rd / / SOA
            hv-u1.ams1.example.net. ANY: No Error aa rd / A /
            a.hv-u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            a.b.c.hv-u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            hv-u.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            hv-u1x.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            xhv-u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            hypervisor.ams1.example.net. A: No Error aa rd / / SOA
            hypervisor.ams1.example.net. ANY: No Error aa rd / / SOA
            _tcp.hypervisor.ams1.example.net. SRV: No Error aa rd / / SOA
            _ssh._tcp.hypervisor.ams1.example.net. SRV: No Error aa rd / SRV /
            _ssh._tcp.hypervisor.ams1.example.net. A: No Error aa rd / / SOA
            _ssh._tcp.hypervisor.ams1.example.net. ANY: No Error aa rd / SRV /
            _ssh._udp.hypervisor.ams1.example.net. SRV: Non-Existent Domain aa rd / / SOA
            _ssh._tcp.plain.ams1.example.net. SRV: Non-Existent Domain aa rd / / SOA
            a._ssh._tcp.hypervisor.ams1.example.net. SRV: Non-Existent Domain aa rd / / SOA
        "#]],
    );
}

#[test]
fn no_wildcards_and_no_aliases() {
    check(
        "
        *.ams1.example.net. A
        *.ams1.example.net. ANY
        *.hypervisor.ams1.example.net. A
        *.*.ams1.example.net. A
        a.*.ams1.example.net. A
        *.hv-u1.ams1.example.net. A
        *.32.10.in-addr.arpa. PTR
        *. A
        ams1.example.net. CNAME
        ams1.example.net. DNAME
        ",
        expect![[r#"
            *.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            *.ams1.example.net. ANY: Non-Existent Domain aa rd / / SOA
            *.hypervisor.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            *.*.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            a.*.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            *.hv-u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            *.32.10.in-addr.arpa. PTR: Non-Existent Domain aa rd / / SOA
            *. A: Query Refused rd / /
            ams1.example.net. CNAME: No Error aa rd / / SOA
            ams1.example.net. DNAME: No Error aa rd / / SOA
        "#]],
    );
}

#[test]
fn at_above_and_beside_the_zones() {
    check(
        "
        ams1.example.net. SOA
        ams1.example.net. NS
        ams1.example.net. A
        ams1.example.net. DS
        ams1.example.net. DNSKEY
        ams1.example.net. ANY
        example.net. NS
        net. NS
        . NS
        . SOA
        . ANY
        ams2.example.net. SOA
        xams1.example.net. SOA
        ams1.example.net.ams1.example.net. SOA
        ams1.example.net.example.org. SOA
        32.10.in-addr.arpa. SOA
        32.10.in-addr.arpa. PTR
        10.in-addr.arpa. SOA
        in-addr.arpa. SOA
        0.32.10.in-addr.arpa. PTR
        6.0.32.10.in-addr.arpa. PTR
        6.0.32.10.in-addr.arpa. ANY
        6.0.32.10.in-addr.arpa. A
        5.0.32.10.in-addr.arpa. PTR
        6.6.0.32.10.in-addr.arpa. PTR
        6.0.32.10.ip6.arpa. PTR
        2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. SOA
        0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR
        6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR
        6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.B.D.0.1.0.0.2.IP6.ARPA. PTR
        ",
        expect![[r#"
            ams1.example.net. SOA: No Error aa rd / SOA /
            ams1.example.net. NS: No Error aa rd / NS NS /
            ams1.example.net. A: No Error aa rd / / SOA
            ams1.example.net. DS: No Error aa rd / / SOA
            ams1.example.net. DNSKEY: No Error aa rd / / SOA
            ams1.example.net. ANY: No Error aa rd / SOA /
            example.net. NS: Query Refused rd / /
            net. NS: Query Refused rd / /
            . NS: Query Refused rd / /
            . SOA: Query Refused rd / /
            . ANY: Query Refused rd / /
            ams2.example.net. SOA: Query Refused rd / /
            xams1.example.net. SOA: Query Refused rd / /
            ams1.example.net.ams1.example.net. SOA: Non-Existent Domain aa rd / / SOA
            ams1.example.net.example.org. SOA: Query Refused rd / /
            32.10.in-addr.arpa. SOA: No Error aa rd / SOA /
            32.10.in-addr.arpa. PTR: No Error aa rd / / SOA
            10.in-addr.arpa. SOA: Query Refused rd / /
            in-addr.arpa. SOA: Query Refused rd / /
            0.32.10.in-addr.arpa. PTR: No Error aa rd / / SOA
            6.0.32.10.in-addr.arpa. PTR: No Error aa rd / PTR /
            6.0.32.10.in-addr.arpa. ANY: No Error aa rd / PTR /
            6.0.32.10.in-addr.arpa. A: No Error aa rd / / SOA
            5.0.32.10.in-addr.arpa. PTR: Non-Existent Domain aa rd / / SOA
            6.6.0.32.10.in-addr.arpa. PTR: Non-Existent Domain aa rd / / SOA
            6.0.32.10.ip6.arpa. PTR: Query Refused rd / /
            2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. SOA: No Error aa rd / SOA /
            0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR: No Error aa rd / / SOA
            6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR: No Error aa rd / PTR /
            6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.B.D.0.1.0.0.2.IP6.ARPA. PTR: No Error aa rd / PTR /
        "#]],
    );
}

#[test]
fn unusual_labels() {
    check(
        r"
        \000.ams1.example.net. A
        \255\254.ams1.example.net. A
        hv-u1\.ams1.example.net. A
        hv\.u1.ams1.example.net. A
        hv-u1\000.ams1.example.net. A
        \104v-u1.ams1.example.net. A
        HV-u1.AmS1.eXaMpLe.NeT. A
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.ams1.example.net. A
        1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.ams1.example.net. A
        006.0.32.10.in-addr.arpa. PTR
        +6.0.32.10.in-addr.arpa. PTR
        ",
        expect![[r#"
            \000.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            \255\254.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            hv-u1\.ams1.example.net. A: Query Refused rd / /
            hv\.u1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            hv-u1\000.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            \104v-u1.ams1.example.net. A: No Error aa rd / A /
            HV-u1.AmS1.eXaMpLe.NeT. A: No Error aa rd / A /
            xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.ams1.example.net. A: Non-Existent Domain aa rd / / SOA
            006.0.32.10.in-addr.arpa. PTR: Non-Existent Domain aa rd / / SOA
            +6.0.32.10.in-addr.arpa. PTR: Non-Existent Domain aa rd / / SOA
        "#]],
    );
}

#[test]
fn classes_and_operations() {
    let view = zone::view();
    let mut text = String::new();
    for class in
        [DNSClass::IN, DNSClass::CH, DNSClass::HS, DNSClass::NONE, DNSClass::ANY, DNSClass::Unknown(9)]
    {
        let ask = Ask { class, ..Ask::new("hv-u1.ams1.example.net.", RecordType::A) };
        let (message, _, reason) = super::reply(&view, &ask);
        let _ = writeln!(text, "{class}: {} {}", message.metadata.response_code, reason.is_some());
    }
    let good = Ask::new("hv-u1.ams1.example.net.", RecordType::A).packet();
    let mut out = Vec::new();
    for opcode in 0..16 {
        let mut packet = good.clone();
        packet[2] = opcode << 3;
        answer(&view, &packet, "10.33.1.1".parse().unwrap(), Transport::Udp, &mut out).unwrap();
        assert_eq!((out[2] >> 3 & 15, out[2] >> 7), (opcode, 1), "the opcode is repeated");
        let _ = writeln!(text, "opcode {opcode}: {} in {} octets", out[3] & 15, out.len());
    }
    expect![[r#"
        IN: No Error false
        CH: Query Refused true
        HS: Query Refused true
        NONE: Query Refused true
        ANY: Query Refused true
        UNKNOWN: Query Refused true
        opcode 0: 0 in 67 octets
        opcode 1: 4 in 12 octets
        opcode 2: 4 in 12 octets
        opcode 3: 4 in 12 octets
        opcode 4: 4 in 12 octets
        opcode 5: 4 in 12 octets
        opcode 6: 4 in 12 octets
        opcode 7: 4 in 12 octets
        opcode 8: 4 in 12 octets
        opcode 9: 4 in 12 octets
        opcode 10: 4 in 12 octets
        opcode 11: 4 in 12 octets
        opcode 12: 4 in 12 octets
        opcode 13: 4 in 12 octets
        opcode 14: 4 in 12 octets
        opcode 15: 4 in 12 octets
    "#]]
    .assert_eq(&text);
}

#[test]
fn versions_cookies_and_other_options() {
    let view = zone::view();
    let client = "10.33.1.1".parse().unwrap();
    let mut plain = Ask::new("hv-u1.ams1.example.net.", RecordType::A);
    plain.edns = None;
    // RFC 6891 §6.1.2: root name, type 41, size, extended code, version, flags, options.
    let with = |version: u8, flags: u8, options: &[u8]| {
        let mut packet = plain.packet();
        packet[11] = 1;
        packet.extend([0, 0, 41, 4, 208, 0, version, flags, 0, 0, u8::try_from(options.len()).unwrap()]);
        packet.extend(options);
        packet
    };
    let told = |packet: &[u8]| {
        let mut out = Vec::new();
        let answer = answer(&view, packet, client, Transport::Udp, &mut out).unwrap();
        assert!(matches!(answer, Answer::Reply(_)));
        let message = Message::from_vec(&out).unwrap();
        let edns = message.edns.as_ref();
        format!(
            "{} an={} {:?}\n",
            u16::from(message.metadata.response_code),
            message.answers.len(),
            edns.map(|edns| (edns.version(), edns.flags().dnssec_ok, edns.options().as_ref().len()))
        )
    };
    let mut text = String::new();
    for (what, packet) in [
        ("plain", with(0, 0, b"")),
        ("dnssec ok", with(0, 0x80, b"")),
        ("unknown flags", with(0, 0x7f, b"")),
        ("version 1", with(1, 0, b"")),
        ("version 255 and dnssec ok", with(255, 0x80, b"")),
        ("client cookie", with(0, 0, b"\0\x0a\0\x0812345678")),
        ("client and server cookie", with(0, 0, b"\0\x0a\0\x101234567887654321")),
        ("cookie too short", with(0, 0, b"\0\x0a\0\x011")),
        ("name server id", with(0, 0, b"\0\x03\0\0")),
        ("client subnet", with(0, 0, b"\0\x08\0\x07\0\x01\x18\0\x0a\x21\x01")),
        ("padding", with(0, 0, b"\0\x0c\0\x04\0\0\0\0")),
        ("unknown twice", with(0, 0, b"\xfd\xe9\0\x01x\xfd\xe9\0\x01y")),
        ("half an option", with(0, 0, b"\0\x0a\0")),
        ("an option past the end", with(0, 0, b"\0\x0a\0\x0912345678")),
    ] {
        let _ = write!(text, "{what}: {}", told(&packet));
    }
    expect![[r#"
        plain: 0 an=1 Some((0, false, 0))
        dnssec ok: 0 an=1 Some((0, true, 0))
        unknown flags: 0 an=1 Some((0, false, 0))
        version 1: 16 an=0 Some((0, false, 0))
        version 255 and dnssec ok: 16 an=0 Some((0, true, 0))
        client cookie: 0 an=1 Some((0, false, 0))
        client and server cookie: 0 an=1 Some((0, false, 0))
        cookie too short: 0 an=1 Some((0, false, 0))
        name server id: 0 an=1 Some((0, false, 0))
        client subnet: 0 an=1 Some((0, false, 0))
        padding: 0 an=1 Some((0, false, 0))
        unknown twice: 0 an=1 Some((0, false, 0))
        half an option: 1 an=0 None
        an option past the end: 1 an=0 None
    "#]]
    .assert_eq(&text);
}
