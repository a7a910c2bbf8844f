//! A refused packet in one line.

use crate::client::*;
use crate::zone;
use answer::dhcp::in_words;
use expect_test::{Expect, expect};
use std::net::Ipv4Addr;
use wire::dhcp4::Request;

fn check(packet: &[u8], expected: Expect) {
    expected.assert_eq(&in_words(&zone::view(), packet));
}

#[test]
fn a_refused_packet_says_who_asked_where_and_what_is_nearest() {
    check(&[1, 2, 3], expect!["3 octets: shorter than a BOOTP header"]);
    check(&discover().encode(), expect!["discover from 02:00:00:00:00:11, no relay"]);
    check(
        &renewing(Ipv4Addr::new(10, 9, 9, 9)).encode(),
        expect!["request from 02:00:00:00:00:11 at 10.9.9.9, no relay"],
    );
    check(
        &through(&discover(), Port { circuit_id: "swp33", ..u01() }),
        expect![
            "discover from 02:00:00:00:00:11, relay 10.1.0.2 (p01-r1-leaf-a), remote-id `p01-r1-leaf-a`, circuit-id `swp33`; nearest drawn: `swp3` of p01-r1-leaf-a swp3"
        ],
    );
    check(
        &through(&discover(), u01()),
        expect![
            "discover from 02:00:00:00:00:11, relay 10.1.0.2 (p01-r1-leaf-a), remote-id `p01-r1-leaf-a`, circuit-id `swp1`"
        ],
    );
    check(
        &through(&discover(), Port { giaddr: zone::gateway(0), circuit_id: "Eth1/1", ..u01() }),
        expect![
            "discover from 02:00:00:00:00:11, relay 10.1.0.1 (p01-r1-leaf-a or p01-r1-leaf-b), remote-id `p01-r1-leaf-a`, circuit-id `Eth1/1`; nearest drawn: `swp1` of p01-r1-leaf-a swp1"
        ],
    );
    check(
        &through(&discover(), Port { giaddr: Ipv4Addr::new(172, 16, 0, 1), ..u01() }),
        expect![
            "discover from 02:00:00:00:00:11, relay 172.16.0.1 (unknown), remote-id `p01-r1-leaf-a`, circuit-id `swp1`"
        ],
    );
    check(
        &Request { giaddr: zone::leaf_a(0), ..discover() }.encode(),
        expect!["discover from 02:00:00:00:00:11, relay 10.1.0.2 (p01-r1-leaf-a) without option 82"],
    );
    let binary = Request { hardware: vec![], vendor_class: vec![0, 1, 0xff], ..discover() };
    check(&binary.encode(), expect!["discover without hardware address, class 0x0001ff, no relay"]);
    let injected = Request { vendor_class: b"x\n\x1b[31m".to_vec(), ..discover() };
    check(&injected.encode(), expect!["discover from 02:00:00:00:00:11, class 0x780a1b5b33316d, no relay"]);
}
