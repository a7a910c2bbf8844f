//! Incremental transfers (RFC 1995): whoever applies the changes to what it had, has what is.

use super::{Ask, line};
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use expect_test::expect;
use hickory_proto::op::{Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::finding::File;
use model::view::DnsHistory;
use model::{Facts, Generation, Plan, View};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

const ZONE: &str = include_str!("../zone.hcl");
const APEX: &str = "ams1.example.net.";

/// The plan of a design, as this publication.
fn plan(text: &str, generation: u64) -> Arc<Plan> {
    let plan = zone::compile(&File { path: "zone.hcl".into(), text: text.into() });
    Arc::new(Plan { generation: Generation(generation), ..plan })
}

/// The views of designs that were published one after the other, from number 1 on.
fn published(texts: &[String]) -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    for (text, generation) in texts.iter().zip(1..) {
        let plan = plan(text, generation);
        views.push(match views.last() {
            None => plan::view(&plan, &Facts::default(), &zone::site()),
            Some(previous) => plan::view::succeed(previous, &plan, &Facts::default(), &zone::site()),
        });
    }
    views
}

/// A query for the changes of a zone since a serial.
pub(crate) fn query(zone: &str, serial: u32) -> Vec<u8> {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(zone).unwrap();
    message.add_query(Question::query(name.clone(), RecordType::IXFR));
    let soa = SOA::new(Name::root(), Name::root(), serial, 0, 0, 0, 0);
    message.add_authority(Record::from_rdata(name, 0, RData::SOA(soa)));
    message.to_vec().unwrap()
}

fn sent(view: &View, packet: &[u8], client: &str) -> Vec<Record> {
    let mut out = Vec::new();
    let answer = answer(view, packet, client.parse().unwrap(), Transport::Tcp, &mut out).unwrap();
    let Answer::Transfer(mut transfer) = answer else { panic!("a transfer") };
    let mut records = Vec::new();
    while transfer.next_message(&mut out) {
        assert!(out.len() < 17_000, "{}", out.len());
        records.extend(Message::from_vec(&out).unwrap().answers);
    }
    records
}

fn since(view: &View, zone: &str, serial: u32) -> Vec<Record> {
    sent(view, &query(zone, serial), "127.0.0.1")
}

/// All of a zone but its last SOA.
fn whole(view: &View, zone: &str) -> Vec<Record> {
    let ask = Ask { transport: Transport::Tcp, ..Ask::new(zone, RecordType::AXFR) };
    let mut records = sent(view, &ask.packet(), "127.0.0.1");
    records.pop();
    records
}

fn serial(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }
}

/// What a secondary has afterwards, by RFC 1995 §4, which it checks as it goes; `None` if it was sent everything.
fn applied(had: &[Record], sent: &[Record]) -> Option<BTreeSet<String>> {
    let newest = serial(&sent[0]).expect("an SOA first");
    assert_eq!(sent[0], sent[sent.len() - 1], "and last");
    if sent.len() == 1 {
        return Some(had.iter().map(line).collect());
    }
    serial(&sent[1])?;
    let mut has: BTreeSet<String> = had.iter().map(line).collect();
    let mut at = 1;
    let mut current = had.iter().find_map(serial).expect("a serial");
    while at < sent.len() - 1 {
        assert_eq!(serial(&sent[at]), Some(current), "goes on where it was");
        for is_removal in [true, false] {
            let is_soa = |record: &Record| serial(record).is_some();
            loop {
                let text = line(&sent[at]);
                let is_news = if is_removal { has.remove(&text) } else { has.insert(text) };
                assert!(is_news, "{} {}", if is_removal { "removes" } else { "adds" }, sent[at]);
                current = serial(&sent[at]).unwrap_or(current);
                at += 1;
                if is_soa(&sent[at]) {
                    break;
                }
            }
        }
    }
    assert_eq!(current, newest);
    Some(has)
}

fn zones(view: &View) -> Vec<String> {
    plan::dns::records(&view.plan).0.into_iter().map(|zone| format!("{zone}.")).collect()
}

/// A renamed machine, one that is gone, one more service, another controller.
fn edits() -> Vec<String> {
    let renamed = ZONE.replace("\"st-2\"", "\"st-two\"");
    let fewer = renamed.replace("machines \"u{1..4}\"", "machines \"u{1..3}\"");
    let fewer = fewer[..fewer.find("at \"p1/r1/u4\"").unwrap()].to_owned();
    let service =
        fewer.replace("role \"plain\" {}", "role \"plain\" {\n  service \"http\" {\n    port = 80\n  }\n}");
    let alone = service.replace("controller \"ctl1\"", "controller \"ctl3\"");
    assert_ne!(service, alone);
    vec![ZONE.to_owned(), renamed, fewer, service, alone, ZONE.to_owned()]
}

#[test]
fn a_renamed_machine_is_a_few_records() {
    let views = published(&edits()[..2]);
    let mut text = String::new();
    for zone in [APEX, "32.10.in-addr.arpa.", "33.10.in-addr.arpa."] {
        for record in since(&views[1], zone, 1) {
            let _ = writeln!(text, "{}", line(&record));
        }
        text.push('\n');
    }
    expect![[r#"
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 1 300 60 1209600 60
        st-2.ams1.example.net. 300 A 10.32.0.7
        st-2.ams1.example.net. 300 AAAA 2001:db8:32::7
        st-2.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        st-2-bmc.ams1.example.net. 300 A 10.32.0.23
        st-2-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::7
        st-2-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        st-two.ams1.example.net. 300 A 10.32.0.7
        st-two.ams1.example.net. 300 AAAA 2001:db8:32::7
        st-two.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        st-two-bmc.ams1.example.net. 300 A 10.32.0.23
        st-two-bmc.ams1.example.net. 300 AAAA 2001:db8:32:1::7
        st-two-bmc.ams1.example.net. 300 TXT location=ams1/p1/r1/u2
        ams1.example.net. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60

        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 1 300 60 1209600 60
        7.0.32.10.in-addr.arpa. 300 PTR st-2.ams1.example.net.
        23.0.32.10.in-addr.arpa. 300 PTR st-2-bmc.ams1.example.net.
        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        7.0.32.10.in-addr.arpa. 300 PTR st-two.ams1.example.net.
        23.0.32.10.in-addr.arpa. 300 PTR st-two-bmc.ams1.example.net.
        32.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60

        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 1 300 60 1209600 60
        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60
        33.10.in-addr.arpa. 300 SOA ctl1.ams1.example.net. hostmaster.ams1.example.net. 2 300 60 1209600 60

    "#]]
    .assert_eq(&text);
}

#[test]
fn changes_applied_to_what_was_give_what_is() {
    let views = published(&edits());
    let mut incremental = 0;
    for (old, had) in views.iter().zip(1_u32..) {
        for new in &views[had as usize - 1..] {
            for zone in zones(new) {
                let is: BTreeSet<String> = whole(new, &zone).iter().map(line).collect();
                if let Some(has) = applied(&whole(old, &zone), &since(new, &zone, had)) {
                    assert_eq!(has, is, "{zone} from {had}");
                    incremental += 1;
                }
            }
        }
    }
    assert!(incremental > 40, "{incremental}");
}

#[test]
fn a_change_that_is_longer_than_a_message_goes_on_in_the_next() {
    let text = |prefix: &str| {
        ZONE.replace("racks = 2, units = 4", "racks = 40, units = 30")
            .replace("rack \"r1\"", "rack \"r{1..40}\"")
            .replace("cable = { swp32 = core.c1.swp[1] }", "")
            .replace("cable = { swp32 = core.c1.swp[2] }", "")
            .replace("u{1..4}", "u{1..30}")
            .replace("\"hv-{unit}\"", "\"hv-{rack}-{unit}\"")
            .replace("leaf \"a\"", &format!("leaf \"{prefix}\""))
            .replace("leaf.a.", &format!("leaf.{prefix}."))
    };
    let more = text("a").replace("role \"plain\" {}", "role \"plain\" {}\n\nrole \"other\" {}");
    let texts = [text("a"), more.replace("role  = \"hypervisor\"", "role  = \"other\"")];
    let views = published(&texts);
    let changes = since(&views[1], APEX, 1);
    assert!(changes.len() > 1000, "{}", changes.len());
    let has = applied(&whole(&views[0], APEX), &changes).expect("changes");
    assert_eq!(has, whole(&views[1], APEX).iter().map(line).collect());
}

#[test]
fn who_has_everything_gets_the_serial_alone() {
    let views = published(&edits()[..3]);
    for serial in [3, 4, 0x8000_0002] {
        let records = since(&views[2], APEX, serial);
        assert_eq!(records.len(), 1, "{serial}");
    }
    assert!(since(&views[2], APEX, 0x8000_0004).len() > 20, "older, by RFC 1982");
}

#[test]
fn who_has_what_is_not_remembered_gets_everything() {
    let views = published(&edits()[..3]);
    let last = &views[2];
    let is_whole = |view: &View, zone: &str, serial| {
        let records = since(view, zone, serial);
        let mut all = whole(view, zone);
        all.push(all[0].clone());
        records == all
    };
    assert!(is_whole(last, APEX, 0), "before the first");
    assert!(!is_whole(last, APEX, 1));
    // More changes than records.
    assert!(is_whole(last, "3.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", 0));

    // The clients of a view have a part of the zone, and changes are of all of it.
    let client = ZONE.replace("192.0.2.53/32", "192.0.2.53/32\", \"192.0.2.7/32");
    let views = published(&[client.clone(), client.replace("\"st-2\"", "\"st-two\"")]);
    let part = sent(&views[1], &query(APEX, 1), "192.0.2.7");
    let ask = Ask { transport: Transport::Tcp, ..Ask::new(APEX, RecordType::AXFR) };
    assert_eq!(part, sent(&views[1], &ask.packet(), "192.0.2.7"));
    assert!(serial(&sent(&views[1], &query(APEX, 1), "2001:db8:53::1")[1]).is_some(), "changes, for others");

    // Somebody who had a part before may have all of it now.
    let views = published(&[client.clone(), client.replace("192.0.2.0/25", "192.0.2.128/25")]);
    assert!(is_whole(&views[1], APEX, 1), "other clients of a view");
    let views = published(&[ZONE.to_owned(), ZONE.replace("Ams1.example.net", "ams2.example.net")]);
    assert!(is_whole(&views[1], "ams2.example.net.", 1), "another domain");
    assert!(is_whole(&views[1], "32.10.in-addr.arpa.", 1), "which is in every record");
}

#[test]
fn what_is_remembered_is_bounded() {
    let edits = edits();
    let texts: Vec<String> = (0..DnsHistory::CHANGES_MAX + 5).map(|turn| edits[turn % 2].clone()).collect();
    let views = published(&texts);
    let last = views.last().unwrap();
    assert_eq!(last.dns.history.changes.len(), DnsHistory::CHANGES_MAX);
    assert_eq!(last.dns.history.changes.last().unwrap().from, last.dns.serial - 1);
    // Newer files are no newer plan.
    let same = plan::view::succeed(last, &last.plan, &Facts::default(), &zone::site());
    assert!(Arc::ptr_eq(&same.dns, &last.dns));
}
