//! Time for one packet, and for a view, in a zone of 10,000 machines: 278 racks of 36, some 30,000 identities.

#[path = "../tests/dhcp/zone.rs"]
#[expect(dead_code, reason = "the tests use the rest of the fixture")]
mod zone;

use answer::dhcp::{Arrival, v4};
use criterion::{Criterion, criterion_group, criterion_main};
use model::Facts;
use model::view::Site;
use std::hint::black_box;
use std::net::SocketAddrV4;
use std::sync::Arc;
use wire::dhcp4::{MessageType, Request, insert_relay_agent};

fn packet(kind: MessageType, rack: u16, unit: u16, change: impl FnOnce(&mut Request)) -> Vec<u8> {
    let mut request = Request::new(kind, [2, 0, 0, 0, 0, 1], 7);
    request.parameter_list = vec![1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59];
    request.client_identifier = Some(vec![1, 2, 0, 0, 0, 0, 1]);
    change(&mut request);
    let remote_id = format!("p01-r{}-leaf-a", rack + 1);
    let circuit_id = format!("swp{unit}");
    insert_relay_agent(&request.encode(), circuit_id.as_bytes(), remote_id.as_bytes(), zone::leaf_a(rack))
        .expect("relayed")
}

fn bench(criterion: &mut Criterion) {
    let settings = zone::Settings { racks: 278, units: 36, ipv6: false, ..zone::Settings::default() };
    let plan = Arc::new(zone::plan_of(&settings));
    let site = Arc::new(Site::default());
    let view = plan::view(&plan, &Facts::default(), &site);
    let its = zone::address(&view, "ams1/p01/r140/u17", "eno1");
    let firmware = |request: &mut Request| {
        request.vendor_class = b"PXEClient:Arch:00007:UNDI:003016".to_vec();
        request.architectures = vec![7];
        request.parameter_list.extend([43, 60, 66, 67, 97]);
        request.uuid = Some([3; 16]);
    };
    let ipxe = |request: &mut Request| {
        firmware(request);
        request.user_class = b"iPXE".to_vec();
    };
    let selecting = |request: &mut Request| {
        request.requested_address = Some(its);
        request.server_identifier = Some(zone::CONTROLLERS[0]);
    };
    let mut out = Vec::with_capacity(1500);
    for (name, packet) in [
        ("discover", packet(MessageType::Discover, 139, 17, |_| {})),
        ("discover-uefi", packet(MessageType::Discover, 139, 17, firmware)),
        ("discover-ipxe", packet(MessageType::Discover, 139, 17, ipxe)),
        ("request", packet(MessageType::Request, 139, 17, selecting)),
        ("refused-unknown-port", packet(MessageType::Discover, 139, 47, |_| {})),
    ] {
        let arrival = Arrival { source: SocketAddrV4::new(zone::leaf_a(139), 67), port: 67 };
        criterion.bench_function(&format!("dhcp/{name}"), |bencher| {
            bencher.iter(|| v4(black_box(&view), black_box(&packet), arrival, &mut out).is_ok());
        });
    }
    criterion.bench_function("view/10000", |bencher| {
        bencher.iter(|| plan::view(black_box(&plan), &Facts::default(), &site));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = bench
}
criterion_main!(benches);
