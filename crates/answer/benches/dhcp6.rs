//! Time for one DHCPv6 packet in a zone of 10,000 machines: 278 racks of 36.

#[path = "../tests/dhcp/zone.rs"]
#[expect(dead_code, reason = "the tests use the rest of the fixture")]
mod zone;

use answer::dhcp6::{Arrival, v6};
use criterion::{Criterion, criterion_group, criterion_main};
use model::Facts;
use std::hint::black_box;
use std::net::{Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{MessageType, Request, code, relay_forward};

/// As the relay of leaf a in rack 139 sends it on.
fn packet(request: &Request, unit: u16) -> Vec<u8> {
    let remote_id = [&[0, 0, 0, 9][..], b"p01-r140-leaf-a"].concat();
    let interface_id = format!("swp{unit}");
    let options = [(code::INTERFACE_ID, interface_id.as_bytes()), (code::REMOTE_ID, &remote_id[..])];
    let peer = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
    relay_forward(0, zone::six(zone::leaf_a(139)), peer, &options, &request.encode())
}

fn bench(criterion: &mut Criterion) {
    let settings = zone::Settings { racks: 278, units: 36, ..zone::Settings::default() };
    let view = zone::view_of(&settings, &Facts::default());
    let its = zone::six(zone::address(&view, "ams1/p01/r140/u17", "eno1"));
    let client = |kind| Request::new(kind, 7).from([2, 0, 0, 0, 0, 1]).wants(&[23, 24, 56, 59]);
    let solicit = client(MessageType::Solicit).association(1, &[]);
    let class = b"\0\0\x01\x57\0\x20PXEClient:Arch:00007:UNDI:003016";
    let firmware = solicit.clone().with(code::VENDOR_CLASS, class).with(code::CLIENT_ARCHITECTURE, [0, 7]);
    let request =
        client(MessageType::Request).association(1, &[its]).with(code::SERVER_ID, view.dhcp6.server_id);
    let arrival =
        Arrival { source: SocketAddrV6::new(zone::six(zone::leaf_a(139)), 547, 0, 0), is_multicast: false };
    let mut out = Vec::with_capacity(1500);
    for (name, packet) in [
        ("solicit", packet(&solicit, 17)),
        ("solicit-uefi", packet(&firmware, 17)),
        ("request", packet(&request, 17)),
        ("refused-unknown-port", packet(&solicit, 47)),
    ] {
        assert_eq!(v6(&view, &packet, arrival, &mut out).is_ok(), !name.starts_with("refused"));
        criterion.bench_function(&format!("dhcp6/{name}"), |bencher| {
            bencher.iter(|| v6(black_box(&view), black_box(&packet), arrival, &mut out).is_ok());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = bench
}
criterion_main!(benches);
