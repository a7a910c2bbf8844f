//! A service of thousands of hosts, which no DNS message holds.

use super::{Ask, reply};
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use model::finding::File;
use model::view::Site;
use model::{Facts, View};
use std::collections::BTreeSet;
use std::sync::Arc;
use wire::dns::{Message, RData, RecordType};

const SERVICE: &str = "_ssh._tcp.hypervisor.ams1.example.net.";

/// The zone of these tests with 100 racks of 30 machines.
fn view() -> View {
    let text = include_str!("../zone.hcl")
        .replace("racks = 2, units = 4", "racks = 100, units = 30")
        .replace("rack \"r1\"", "rack \"r{1..100}\"")
        .replace("cable = { swp32 = core.c1.swp[1] }", "")
        .replace("cable = { swp32 = core.c1.swp[2] }", "")
        .replace("u{1..4}", "u{1..30}")
        .replace("\"hv-{unit}\"", "\"hv-{rack}-{unit}\"");
    let plan = zone::compile(&File { path: "zone.hcl".into(), text: text.into() });
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()))
}

#[test]
fn it_is_truncated_over_udp_answered_in_part_over_tcp_and_transferred_whole() {
    let view = view();
    let (message, size, _) = reply(&view, &Ask::new(SERVICE, RecordType::SRV));
    assert!(message.metadata.truncation && message.answers.is_empty() && size < 512);

    let targets = |client| {
        let ask = Ask { transport: Transport::Tcp, client, ..Ask::new(SERVICE, RecordType::SRV) };
        let (message, size, _) = reply(&view, &ask);
        assert!(!message.metadata.truncation && size > 50_000, "{size}");
        let of = |data: &RData| match data {
            RData::SRV(service) => service.target.to_ascii(),
            other => panic!("{other}"),
        };
        message.answers.iter().map(|record| of(&record.data)).collect::<BTreeSet<_>>()
    };
    let one = targets("10.33.1.1");
    assert_eq!(targets("10.33.1.1"), one, "the same client gets the same hosts from every replica");
    assert_ne!(targets("10.33.1.2"), one, "clients are spread");

    let ask = Ask {
        transport: Transport::Tcp,
        client: "127.0.0.1",
        ..Ask::new("ams1.example.net.", RecordType::AXFR)
    };
    let mut out = Vec::new();
    let Ok(Answer::Transfer(mut transfer)) =
        answer(&view, &ask.packet(), ask.client(), ask.transport, &mut out)
    else {
        panic!("a transfer")
    };
    let mut services = BTreeSet::new();
    let mut messages = 0;
    while transfer.next_message(&mut out) {
        messages += 1;
        for record in Message::from_vec(&out).unwrap().answers {
            if let RData::SRV(service) = &record.data {
                services.insert(service.target.to_ascii());
            }
        }
    }
    let hypervisors = 100 * 30 - 3;
    assert_eq!(services.len(), hypervisors);
    assert!(messages > 100 && one.is_subset(&services));
}
