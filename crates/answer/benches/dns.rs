//! Time for one DNS answer, for its codec alone, for a transfer and for a view, in a zone of 10,000 names with two
//! addresses each.

#[path = "../tests/services/zone.rs"]
#[expect(dead_code, reason = "the tests use the rest of the fixture")]
mod zone;

use answer::dns::{Answer, Transport, answer};
use criterion::{Criterion, criterion_group, criterion_main};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::{Name, RecordType};
use model::finding::File;
use model::view::Site;
use model::{Facts, View};
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

/// The tests' zone with 100 racks of 50 machines, each with a BMC.
fn view() -> View {
    let text = include_str!("../tests/services/zone.hcl")
        .replace("racks = 2, units = 4", "racks = 100, units = 50")
        .replace("rack \"r1\"", "rack \"r{1..100}\"")
        .replace("swp{1..32}", "swp{1..64}")
        .replace("cable = { swp32 = core.c1.swp[1] }", "")
        .replace("cable = { swp32 = core.c1.swp[2] }", "")
        .replace("u{1..4}", "u{1..50}")
        .replace("\"hv-{unit}\"", "\"hv-{rack}-{unit}\"");
    let plan = zone::compile(&File { path: "zone.hcl".into(), text: text.into() });
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()))
}

fn query(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(Name::from_ascii(name).expect("a name"), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message.to_vec().expect("a query")
}

fn reverse(view: &View, dns_name: &str) -> String {
    let [a, b, c, d] = zone::v4(&view.plan, dns_name).octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
}

fn bench(criterion: &mut Criterion) {
    let view = view();
    let client: IpAddr = zone::v4(&view.plan, "hv-r7-u7").into();
    let mut out = Vec::with_capacity(1500);
    let host = "hv-r50-u25.ams1.example.net.";
    for (name, packet) in [
        ("a", query(host, RecordType::A)),
        ("aaaa", query(host, RecordType::AAAA)),
        ("ptr", query(&reverse(&view, "hv-r50-u25"), RecordType::PTR)),
        ("nxdomain", query("nobody.ams1.example.net.", RecordType::A)),
        ("refused", query("www.example.org.", RecordType::A)),
        ("service-truncated", query("_ssh._tcp.hypervisor.ams1.example.net.", RecordType::SRV)),
    ] {
        criterion.bench_function(&format!("dns/{name}"), |bencher| {
            bencher.iter(|| {
                answer(black_box(&view), black_box(&packet), client, Transport::Udp, &mut out).is_ok()
            });
        });
    }
    let packet = query(host, RecordType::A);
    criterion.bench_function("dns/codec-alone", |bencher| {
        bencher.iter(|| {
            let query = wire::dns::decode(black_box(&packet)).expect("a query");
            let writer = wire::dns::Writer::reply(query.head, query.question, 1232, &mut out);
            writer.finish(wire::dns::Code::NoError, true);
        });
    });
    let packet = query("ams1.example.net.", RecordType::AXFR);
    let localhost = IpAddr::from([127, 0, 0, 1]);
    criterion.bench_function("dns/transfer-10000", |bencher| {
        bencher.iter(|| {
            let answer = answer(&view, &packet, localhost, Transport::Tcp, &mut out).expect("answered");
            let Answer::Transfer(mut transfer) = answer else { panic!("a transfer") };
            let mut octets = 0;
            while transfer.next_message(&mut out) {
                octets += out.len();
            }
            octets
        });
    });
    criterion.bench_function("dns/view-10000", |bencher| {
        bencher.iter(|| plan::view(black_box(&view.plan), &Facts::default(), &view.boot.site));
    });
    criterion.bench_function("dns/view-of-newer-facts-10000", |bencher| {
        bencher.iter(|| plan::view::refresh(black_box(&view), &Facts::default()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = bench
}
criterion_main!(benches);
