//! A machine's DHCP over its stages, packet by packet.

use crate::firmware::persona;
use agent::dhcp::Client;
use expect_test::{Expect, expect};
use model::facts::Stage;
use model::{Mac, Time};
use std::net::Ipv4Addr;
use wire::dhcp4::{Limits, Message, MessageType, Reply, code};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);

fn client(stage: Stage) -> Client {
    Client::new(persona(stage, false), MAC, [7; 16], 0x1000, Time(0))
}

/// A server's message to the client, with options beside type, server and lease.
fn reply(client: &Client, kind: MessageType, seconds: u32, more: &[(u8, &[u8])]) -> Vec<u8> {
    let (kind, server, seconds) = ([kind as u8], SERVER.octets(), seconds.to_be_bytes());
    let mut options: Vec<(u8, &[u8])> = vec![
        (code::MESSAGE_TYPE, &kind),
        (code::SERVER_IDENTIFIER, &server),
        (code::LEASE_TIME, &seconds),
        (code::SUBNET_MASK, &[255, 255, 255, 0]),
        (code::ROUTER, &[10, 0, 0, 2]),
    ];
    options.extend(more);
    let reply = Reply {
        hardware_type: 1,
        hardware: &MAC.0,
        xid: client.xid(),
        flags: 0,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: if kind == [MessageType::Nak as u8] { Ipv4Addr::UNSPECIFIED } else { ADDRESS },
        siaddr: SERVER,
        giaddr: Ipv4Addr::UNSPECIFIED,
        file: b"",
        options,
        relay_agent: None,
    };
    let mut octets = Vec::new();
    reply.encode(Limits::new(Some(1500), 1500, false), &mut octets).expect("it fits");
    octets
}

/// Sends what is due, as `second: type to whom`.
fn due(client: &mut Client, now: Time, log: &mut String) {
    while let Some((octets, destination)) = client.poll(now) {
        let message = Message::parse(&octets).expect("a client's message");
        let kind = message.message_type().expect("a type");
        log.push_str(&format!("{:.1}: {kind:?} {destination:?}\n", now.0 as f64 / 1000.0));
    }
}

/// What it sends next, if anything is due.
fn kind_due(client: &mut Client) -> Option<MessageType> {
    let (octets, _) = client.poll(Time(1))?;
    Message::parse(&octets).expect("a client's message").message_type()
}

/// Lets a client ask with nobody there, for an hour at most.
fn alone(stage: Stage, times: usize, expected: &Expect) {
    let mut client = client(stage);
    let (mut log, mut now) = (String::new(), Time(0));
    due(&mut client, now, &mut log);
    while log.lines().count() < times {
        let Some(deadline) = client.deadline() else {
            log.push_str(&format!("{:.1}: gave up\n", now.0 as f64 / 1000.0));
            break;
        };
        now = deadline;
        client.tick(now);
        due(&mut client, now, &mut log);
    }
    expected.assert_eq(&log);
}

#[test]
fn uefi_asks_four_times_in_25_seconds_and_goes_on_to_its_next_boot_option() {
    alone(
        Stage::UefiPxe,
        9,
        &expect![[r#"
            0.0: Discover Broadcast
            1.0: Discover Broadcast
            9.0: Discover Broadcast
            25.0: Discover Broadcast
            57.0: gave up
        "#]],
    );
}

#[test]
fn a_bios_waits_4_8_16_and_32_seconds() {
    alone(
        Stage::BiosPxe,
        9,
        &expect![[r#"
            0.0: Discover Broadcast
            4.0: Discover Broadcast
            12.0: Discover Broadcast
            28.0: Discover Broadcast
            60.0: gave up
        "#]],
    );
}

#[test]
fn a_system_never_gives_up() {
    alone(
        Stage::Os,
        8,
        &expect![[r#"
            0.0: Discover Broadcast
            3.2: Discover Broadcast
            10.4: Discover Broadcast
            25.6: Discover Broadcast
            56.8: Discover Broadcast
            120.0: Discover Broadcast
            183.2: Discover Broadcast
            246.3: Discover Broadcast
        "#]],
    );
}

#[test]
fn from_discover_to_a_lease_to_its_renewal_to_its_end() {
    let mut client = client(Stage::Os);
    let mut log = String::new();
    due(&mut client, Time(0), &mut log);
    client.receive(&reply(&client, MessageType::Offer, 800, &[]), Time(10));
    due(&mut client, Time(10), &mut log);
    client.receive(&reply(&client, MessageType::Ack, 800, &[]), Time(20));
    let lease = client.lease().expect("a lease");
    log.push_str(&format!("{}/{} via {:?}\n", lease.address, lease.prefix_length, lease.routers));
    let mut now = Time(20);
    while now < Time(810_000) {
        now = client.deadline().expect("it goes on");
        client.tick(now);
        due(&mut client, now, &mut log);
    }
    expect![[r#"
        0.0: Discover Broadcast
        0.0: Request Broadcast
        10.0.0.11/24 via [10.0.0.2]
        396.2: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        548.1: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        624.1: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        662.0: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        681.0: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        690.5: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        695.3: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        697.6: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        698.8: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        699.8: Request Server { from: 10.0.0.11, to: 10.0.0.1 }
        700.8: Request BroadcastFrom(10.0.0.11)
        750.4: Request BroadcastFrom(10.0.0.11)
        775.2: Request BroadcastFrom(10.0.0.11)
        787.6: Request BroadcastFrom(10.0.0.11)
        793.8: Request BroadcastFrom(10.0.0.11)
        796.9: Request BroadcastFrom(10.0.0.11)
        798.5: Request BroadcastFrom(10.0.0.11)
        799.5: Request BroadcastFrom(10.0.0.11)
        800.5: Discover Broadcast
        803.7: Discover Broadcast
        810.9: Discover Broadcast
    "#]]
    .assert_eq(&log);
    assert_eq!(client.lease(), None);
}

#[test]
fn firmware_takes_only_offers_that_it_can_boot_from() {
    type Options<'a> = Vec<(u8, &'a [u8])>;
    let offers: &[(&str, Options<'_>)] = &[
        ("bare", vec![]),
        ("PXE", vec![(code::VENDOR_CLASS, b"PXEClient"), (code::BOOT_FILE_NAME, b"ipxe.efi")]),
        ("without class", vec![(code::BOOT_FILE_NAME, b"ipxe.efi")]),
        (
            "HTTP",
            vec![(code::VENDOR_CLASS, b"HTTPClient"), (code::BOOT_FILE_NAME, b"http://10.0.0.1/ipxe.efi")],
        ),
        (
            "HTTP without a URI",
            vec![(code::VENDOR_CLASS, b"HTTPClient"), (code::BOOT_FILE_NAME, b"ipxe.efi")],
        ),
    ];
    let mut table = String::new();
    for stage in [Stage::BiosPxe, Stage::UefiHttp, Stage::Ipxe, Stage::Os] {
        for (name, more) in offers {
            let mut client = client(stage);
            client.poll(Time(0));
            client.receive(&reply(&client, MessageType::Offer, 600, more), Time(1));
            let takes = kind_due(&mut client) == Some(MessageType::Request);
            table.push_str(&format!("{stage:?} {name}: {}\n", if takes { "takes" } else { "waits on" }));
        }
    }
    expect![[r#"
        BiosPxe bare: waits on
        BiosPxe PXE: takes
        BiosPxe without class: takes
        BiosPxe HTTP: waits on
        BiosPxe HTTP without a URI: waits on
        UefiHttp bare: waits on
        UefiHttp PXE: waits on
        UefiHttp without class: waits on
        UefiHttp HTTP: takes
        UefiHttp HTTP without a URI: waits on
        Ipxe bare: waits on
        Ipxe PXE: takes
        Ipxe without class: takes
        Ipxe HTTP: waits on
        Ipxe HTTP without a URI: waits on
        Os bare: takes
        Os PXE: takes
        Os without class: takes
        Os HTTP: takes
        Os HTTP without a URI: takes
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_refused_request_begins_again_with_another_number() {
    let mut client = client(Stage::Os);
    client.poll(Time(0));
    client.receive(&reply(&client, MessageType::Offer, 600, &[]), Time(1));
    client.poll(Time(1));
    let before = client.xid();
    client.receive(&reply(&client, MessageType::Nak, 600, &[]), Time(2));
    assert_eq!(kind_due(&mut client), Some(MessageType::Discover));
    assert_ne!(client.xid(), before);
}

#[test]
fn what_is_for_another_or_is_nonsense_changes_nothing() {
    let mut client = client(Stage::Os);
    client.poll(Time(0));
    let good = reply(&client, MessageType::Offer, 600, &[]);
    let mut other_number = good.clone();
    other_number[7] ^= 1;
    let mut other_mac = good.clone();
    other_mac[33] ^= 1;
    let mut request = good.clone();
    request[0] = 1;
    for octets in [&other_number[..], &other_mac, &request, &good[..200], b"", &[0xff; 600]] {
        client.receive(octets, Time(1));
        assert_eq!(kind_due(&mut client), None);
    }
    client.receive(&good, Time(1));
    assert_eq!(kind_due(&mut client), Some(MessageType::Request));
}
