//! Zone transfers, and that every zone is whole and consistent.

use super::{Ask, line};
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use expect_test::expect;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use model::view::DnsZoneKind;
use model::{Plan, Reason, View};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Every record of a transfer, in order, and how many messages it took.
fn transfer(
    view: &View,
    name: &str,
    record_type: RecordType,
    client: &str,
) -> Result<(Vec<Record>, usize), Reason> {
    let ask = Ask { client, transport: Transport::Tcp, ..Ask::new(name, record_type) };
    let mut out = Vec::new();
    let mut transfer = match answer(view, &ask.packet(), ask.client(), ask.transport, &mut out).unwrap() {
        Answer::Transfer(transfer) => transfer,
        Answer::Reply(reason) => return Err(reason.unwrap()),
    };
    let (mut records, mut messages) = (Vec::new(), 0);
    while transfer.next_message(&mut out) {
        let message = Message::from_vec(&out).unwrap();
        assert_eq!((message.metadata.response_code, message.metadata.id), (ResponseCode::NoError, 0x0102));
        assert!(message.metadata.authoritative && !message.metadata.truncation);
        records.extend(message.answers);
        messages += 1;
    }
    assert!(!transfer.next_message(&mut out), "over is over");
    Ok((records, messages))
}

/// The names of all zones, as a client writes them.
fn zones(plan: &Plan) -> Vec<String> {
    plan::dns::records(plan).0.into_iter().map(|zone| format!("{zone}.")).collect()
}

#[test]
fn a_zone_is_sent_whole_between_two_soas() {
    let view = zone::view();
    let mut text = String::new();
    for zone in zones(&view.plan) {
        let (records, messages) = transfer(&view, &zone, RecordType::AXFR, "127.0.0.1").unwrap();
        assert_eq!(messages, 1);
        for record in &records {
            let _ = writeln!(text, "{}", line(record));
        }
        text.push('\n');
    }
    expect![[r#"
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
        ams1.example.net. 300 NS ctl1.ams1.example.net.
        ams1.example.net. 300 NS ctl2.ams1.example.net.
        core-c1.ams1.example.net. 300 A 10.33.255.190
        core-c1.ams1.example.net. 300 AAAA 2001:db8:33:ffff::3e
        core-c1.ams1.example.net. 300 TXT location=ams1/core-c1
        ctl1.ams1.example.net. 300 A 10.33.255.158
        ctl1.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1e
        ctl1.ams1.example.net. 300 TXT location=ams1/ctl1
        ctl2.ams1.example.net. 300 A 10.33.255.159
        ctl2.ams1.example.net. 300 AAAA 2001:db8:33:ffff::1f
        ctl2.ams1.example.net. 300 TXT location=ams1/ctl2
        p1-r1-leaf-a.ams1.example.net. 300 A 10.33.255.166
        p1-r1-leaf-a.ams1.example.net. 300 AAAA 2001:db8:33:ffff::26
        p1-r1-leaf-a.ams1.example.net. 300 TXT location=ams1/p1/r1/leaf-a
        p1-r1-lom.ams1.example.net. 300 A 10.33.255.169
        p1-r1-lom.ams1.example.net. 300 AAAA 2001:db8:33:ffff::29
        p1-r1-lom.ams1.example.net. 300 TXT location=ams1/p1/r1/lom
        hv-u1.ams1.example.net. 300 A 10.32.0.6
        hv-u1.ams1.example.net. 300 AAAA 2001:db8:32::6
        hv-u1.ams1.example.net. 300 TXT location=ams1/p1/r1/u1
        hv-u1-bmc.ams1.example.net. 300 A 10.32.0.22
        hv-u1-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::6
        hv-u1-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u1
        st-2.ams1.example.net. 300 A 10.32.0.7
        st-2.ams1.example.net. 300 AAAA 2001:db8:32::7
        st-2.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        st-2-bmc.ams1.example.net. 300 A 10.32.0.23
        st-2-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::7
        st-2-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        plain-3.ams1.example.net. 300 A 10.32.0.8
        plain-3.ams1.example.net. 300 AAAA 2001:db8:32::8
        plain-3.ams1.example.net. 300 TXT location=ams1/p1/r1/u3
        plain-3-bmc.ams1.example.net. 300 A 10.32.0.24
        plain-3-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::8
        plain-3-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u3
        broken-4.ams1.example.net. 300 A 10.32.0.9
        broken-4.ams1.example.net. 300 AAAA 2001:db8:32::9
        broken-4.ams1.example.net. 300 TXT location=ams1/p1/r1/u4
        broken-4-bmc.ams1.example.net. 300 A 10.32.0.25
        broken-4-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::9
        broken-4-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u4
        _ssh._tcp.hypervisor.ams1.example.net. 300 SRV 0 0 22 hv-u1.ams1.example.net.
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60

        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
        32.10.in-addr.arpa. 300 NS ctl1.ams1.example.net.
        32.10.in-addr.arpa. 300 NS ctl2.ams1.example.net.
        6.0.32.10.in-addr.arpa. 300 PTR hv-u1.ams1.example.net.
        7.0.32.10.in-addr.arpa. 300 PTR st-2.ams1.example.net.
        8.0.32.10.in-addr.arpa. 300 PTR plain-3.ams1.example.net.
        9.0.32.10.in-addr.arpa. 300 PTR broken-4.ams1.example.net.
        22.0.32.10.in-addr.arpa. 300 PTR hv-u1-bmc.ams1.example.net.
        23.0.32.10.in-addr.arpa. 300 PTR st-2-bmc.ams1.example.net.
        24.0.32.10.in-addr.arpa. 300 PTR plain-3-bmc.ams1.example.net.
        25.0.32.10.in-addr.arpa. 300 PTR broken-4-bmc.ams1.example.net.
        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60

        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
        33.10.in-addr.arpa. 300 NS ctl1.ams1.example.net.
        33.10.in-addr.arpa. 300 NS ctl2.ams1.example.net.
        158.255.33.10.in-addr.arpa. 300 PTR ctl1.ams1.example.net.
        159.255.33.10.in-addr.arpa. 300 PTR ctl2.ams1.example.net.
        166.255.33.10.in-addr.arpa. 300 PTR p1-r1-leaf-a.ams1.example.net.
        169.255.33.10.in-addr.arpa. 300 PTR p1-r1-lom.ams1.example.net.
        190.255.33.10.in-addr.arpa. 300 PTR core-c1.ams1.example.net.
        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60

        2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
        2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl1.ams1.example.net.
        2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl2.ams1.example.net.
        6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR hv-u1.ams1.example.net.
        7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR st-2.ams1.example.net.
        8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR plain-3.ams1.example.net.
        9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR broken-4.ams1.example.net.
        6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR hv-u1-bmc.ams1.example.net.
        7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR st-2-bmc.ams1.example.net.
        8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR plain-3-bmc.ams1.example.net.
        9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR broken-4-bmc.ams1.example.net.
        2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60

        3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
        3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl1.ams1.example.net.
        3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 NS ctl2.ams1.example.net.
        e.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.f.3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR ctl1.ams1.example.net.
        f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.f.3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR ctl2.ams1.example.net.
        6.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.f.3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR p1-r1-leaf-a.ams1.example.net.
        9.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.f.3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR p1-r1-lom.ams1.example.net.
        e.3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.f.3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR core-c1.ams1.example.net.
        3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60

    "#]].assert_eq(&text);
}

#[test]
fn only_secondaries_and_controllers_may_have_it() {
    let view = zone::view();
    let of = |name: &str, record_type, client: &str| transfer(&view, name, record_type, client).map(|_| ());
    let controller = zone::v4(&view.plan, "ctl2").to_string();
    let controller6 = zone::v6(&view.plan, "ctl2").to_string();
    for client in [
        controller.as_str(),
        &controller6,
        "192.0.2.53",
        "::ffff:192.0.2.53",
        "2001:db8:53::1",
        "127.0.0.1",
        "::1",
    ] {
        assert_eq!(of("ams1.example.net.", RecordType::AXFR, client), Ok(()), "{client}");
    }
    let machine = zone::v4(&view.plan, "hv-u1").to_string();
    for client in [machine.as_str(), "192.0.2.54", "203.0.113.1"] {
        assert_eq!(of("ams1.example.net.", RecordType::AXFR, client), Err(Reason::NotAllowed), "{client}");
        assert_eq!(of("ams1.example.net.", RecordType::IXFR, client), Err(Reason::NotAllowed), "{client}");
    }
    assert_eq!(of("hv-u1.ams1.example.net.", RecordType::AXFR, "127.0.0.1"), Err(Reason::NotServed));
    assert_eq!(of("example.net.", RecordType::AXFR, "127.0.0.1"), Err(Reason::NotServed));
    let over_udp = |record_type| {
        let ask = Ask { client: "127.0.0.1", ..Ask::new("ams1.example.net.", record_type) };
        super::shown(&view, &ask)
    };
    expect![[r#"
        Form Error rd (not-served)
    "#]]
    .assert_eq(&over_udp(RecordType::AXFR));
    expect![[r#"
        No Error aa rd
        an ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 7 300 60 1209600 60
    "#]]
    .assert_eq(&over_udp(RecordType::IXFR));
}

#[test]
fn a_change_asked_for_is_answered_with_the_whole_zone() {
    let view = zone::view();
    let whole = transfer(&view, "ams1.example.net.", RecordType::AXFR, "127.0.0.1");
    assert_eq!(transfer(&view, "ams1.example.net.", RecordType::IXFR, "127.0.0.1"), whole);
}

/// What `named-checkzone` looks at, for all zones of a plan together.
fn assert_consistent(plan: &Plan, zones: &[(String, Vec<Record>)]) {
    let all = || zones.iter().flat_map(|(_, records)| &records[..records.len() - 1]);
    let owners: BTreeMap<String, Vec<&Record>> = all().fold(BTreeMap::new(), |mut owners, record| {
        owners.entry(record.name.to_ascii()).or_default().push(record);
        owners
    });
    for (zone, records) in zones {
        let is_soa = |record: &&Record| record.record_type() == RecordType::SOA;
        assert_eq!(records.iter().filter(is_soa).count(), 2, "{zone}: one SOA, said twice");
        assert!(is_soa(&&records[0]) && records.first() == records.last(), "{zone}");
        let servers: Vec<_> =
            records.iter().filter(|record| record.record_type() == RecordType::NS).collect();
        assert!(
            !servers.is_empty() && servers.iter().all(|record| record.name.to_ascii() == *zone),
            "{zone}"
        );
        let mut once = BTreeSet::new();
        for record in &records[1..] {
            let name = record.name.to_ascii();
            assert!(name == *zone || name.ends_with(&format!(".{zone}")), "{name} is not in {zone}");
            assert!(once.insert(line(record)), "{} twice", line(record));
        }
    }
    for record in all() {
        let target = match &record.data {
            RData::NS(target) => &target.0,
            RData::PTR(target) => &target.0,
            RData::SRV(service) => &service.target,
            RData::A(_) | RData::AAAA(_) => {
                let pointing = all().filter(|pointer| match &pointer.data {
                    RData::PTR(target) => target.0 == record.name,
                    _ => false,
                });
                assert!(pointing.count() > 0, "{} has no reverse name", line(record));
                continue;
            }
            _ => continue,
        };
        let held =
            owners.get(&target.to_ascii()).unwrap_or_else(|| panic!("{} points nowhere", line(record)));
        let addresses = held.iter().filter(|held| matches!(held.data, RData::A(_) | RData::AAAA(_)));
        assert!(addresses.count() > 0, "{} points at what has no address", line(record));
    }
    let addresses = plan.interfaces.iter().map(|i| usize::from(i.v4.is_some()) + usize::from(i.v6.is_some()));
    let pointers = all().filter(|record| record.record_type() == RecordType::PTR).count();
    assert_eq!(pointers, addresses.sum::<usize>(), "each address has one name");
}

#[test]
fn zones_are_consistent_and_hold_every_record_of_the_plan() {
    let view = zone::view();
    let zones: Vec<(String, Vec<Record>)> = zones(&view.plan)
        .into_iter()
        .map(|zone| {
            let records = transfer(&view, &zone, RecordType::AXFR, "127.0.0.1").unwrap().0;
            (zone, records)
        })
        .collect();
    assert_consistent(&view.plan, &zones);
    let spelt = |record: &Record| {
        let data = record.data.to_string();
        let data = match &record.data {
            // The document leaves the timers out.
            RData::SOA(_) => data.split(' ').take(3).collect::<Vec<_>>().join(" "),
            _ => data,
        };
        let data = data.split(' ').map(|word| word.trim_end_matches('.')).collect::<Vec<_>>().join(" ");
        let name = record.name.to_ascii();
        format!("{} {} {data}", name.trim_end_matches('.'), record.record_type()).to_lowercase()
    };
    let sent: BTreeSet<String> = zones.iter().flat_map(|(_, records)| records).map(spelt).collect();
    let planned: BTreeSet<String> = plan::dns::records(&view.plan)
        .1
        .iter()
        .map(|record| format!("{} {} {}", record.name, record.kind.as_str(), record.data).to_lowercase())
        .collect();
    assert_eq!(sent, planned);
}

#[test]
fn a_reverse_zone_covers_each_part_of_a_supernet() {
    let view = zone::view();
    let kinds: Vec<String> = view
        .dns
        .zones
        .iter()
        .map(|zone| match zone.kind {
            DnsZoneKind::Forward => "forward".to_owned(),
            DnsZoneKind::Reverse4(net) => net.to_string(),
            DnsZoneKind::Reverse6(net) => net.to_string(),
        })
        .collect();
    assert_eq!(kinds, ["forward", "10.32.0.0/16", "10.33.0.0/16", "2001:db8:32::/48", "2001:db8:33::/48"]);
}
