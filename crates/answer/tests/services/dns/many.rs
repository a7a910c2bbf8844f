//! A service of thousands of hosts, which no DNS message holds.

use super::{Ask, reply};
use crate::zone;
use answer::dns::{Answer, Transport, answer};
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};
use model::finding::File;
use model::view::Site;
use model::{Facts, View};
use std::collections::BTreeSet;
use std::sync::Arc;

const SERVICE: &str = "_ssh._tcp.hypervisor.ams1.example.net.";

/// The zone of these tests with so many racks of so many machines.
fn view(racks: u32, units: u32) -> View {
    let text = include_str!("../zone.hcl")
        .replace("racks = 2, units = 4", &format!("racks = {racks}, units = {units}"))
        .replace("rack \"r1\"", &format!("rack \"r{{1..{racks}}}\""))
        .replace("cable = { swp32 = core.c1.swp[1] }", "")
        .replace("cable = { swp32 = core.c1.swp[2] }", "")
        .replace("u{1..4}", &format!("u{{1..{units}}}"))
        .replace("\"hv-{unit}\"", "\"hv-{rack}-{unit}\"");
    let plan = zone::compile(&File { path: "zone.hcl".into(), text: text.into() });
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()))
}

#[test]
fn it_is_truncated_over_udp_answered_in_part_over_tcp_and_transferred_whole() {
    let view = view(100, 30);
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
    assert!(messages > 10 && one.is_subset(&services));
}

#[test]
fn replies_are_as_long_as_the_client_takes_and_no_longer_than_paths_do() {
    let answers = |racks, units, edns| {
        let view = view(racks, units);
        let (message, size, _) = reply(&view, &Ask { edns, ..Ask::new(SERVICE, RecordType::SRV) });
        assert_eq!(message.metadata.truncation, message.answers.is_empty());
        assert!(size <= edns.map_or(512, |(payload, _): (u16, u8)| usize::from(payload.clamp(512, 1232))));
        message.answers.len()
    };
    // Three of the first rack are no hypervisors.
    for (edns, racks, units, expected) in [
        (None, 1, 9, 6),
        (None, 1, 20, 0),
        (Some((0, 0)), 1, 9, 6),
        (Some((511, 0)), 1, 20, 0),
        (Some((1232, 0)), 1, 30, 27),
        (Some((1232, 0)), 2, 30, 0),
        (Some((4096, 0)), 2, 30, 0),
        (Some((65_535, 0)), 1, 30, 27),
    ] {
        assert_eq!(answers(racks, units, edns), expected, "{edns:?} {racks} {units}");
    }
}
