//! A machine boots: DHCP, TFTP, HTTP; and what is known of it afterwards.

use crate::support::{Client, LOADER, Server, ask, kind, loader};
use api::http::{Machine, Machines, Refusals, Status, Why};
use std::net::Ipv4Addr;
use wire::tftp::{Packet, decode, encode};

const U01: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 6);

#[test]
fn a_machine_is_known_by_its_port_and_seen_when_it_asks() {
    let server = Server::start();
    let mut events = server.events("", "");
    assert_eq!(Client::u01().lease(&server), U01);
    let event = events.machine();
    assert_eq!(
        (event.location.as_str(), event.kind.as_str(), event.state.as_str()),
        ("lab1/p01/r1/u01", "asked", "seen")
    );
    let machine: Machine = server.get("/v1/machines/p01/r1/u01");
    assert_eq!(machine.row.state, "seen");
    let seen = &machine.interfaces[0].seen[0];
    assert_eq!((seen.mac.as_str(), seen.port.as_str()), ("52:54:00:00:00:01", "p01-r1-leaf-a swp1"));
    assert_eq!(machine.timeline.len(), 1);
    let by_address: Machine = server.get("/v1/machines/10.64.0.6");
    assert_eq!(by_address.row.location, machine.row.location);
    let status: Status = server.get("/v1/status");
    assert_eq!((status.states["seen"], status.states["expected"]), (1, 7));
    let seen: Machines = server.get("/v1/machines?state=seen&pod=p01");
    assert_eq!(seen.machines.len(), 1);
    let elsewhere: Machines = server.get("/v1/machines?state=seen&pod=p02");
    assert!(elsewhere.machines.is_empty());
}

#[test]
fn asking_again_shows_nothing_new_and_is_not_stored() {
    let server = Server::start();
    let mut events = server.events("", "");
    for _ in 0..20 {
        Client::u01().lease(&server);
    }
    // Something else afterwards, so that all of those were taken in before it.
    let other = Client { mac: [0x52, 0x54, 0, 0, 0, 2], circuit: "swp2", ..Client::u01() };
    other.lease(&server);
    let first = events.machine();
    let second = events.machine();
    assert_eq!((first.location.leaf(), second.location.leaf()), ("u01", "u02"));
    assert_eq!(second.seq, first.seq + 1);
}

#[test]
fn firmware_gets_its_loader_by_tftp_in_blocks_and_whole() {
    let server = Server::start();
    let mut events = server.events("", "");
    let client = Client::u01();
    let offer = ask(&server.udp(server.ports().dhcp), &client.discover_pxe());
    assert_eq!(kind(&offer), 2);
    let offer = wire::dhcp4::Message::parse(&offer).unwrap();
    let file = String::from_utf8(offer.boot_file().unwrap().to_vec()).unwrap();
    let file = file.trim_end_matches('\0');
    assert!(file.ends_with(".efi"), "{file}");

    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut request = b"\0\x01".to_vec();
    request.extend(file.as_bytes());
    request.extend(b"\0octet\0blksize\x001400\0tsize\x000\0windowsize\x004\0");
    socket.send_to(&request, (Ipv4Addr::LOCALHOST, server.ports().tftp)).unwrap();
    let mut received: Vec<u8> = Vec::new();
    let mut buffer = [0; 2048];
    let mut expected = 1_u16;
    let mut acknowledgement = Vec::new();
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).unwrap();
        let block = match decode(&buffer[..length]).unwrap() {
            Packet::Oack(options) => {
                assert_eq!((options.blksize, options.tsize), (Some(1400), Some(LOADER as u64)));
                0
            }
            Packet::Data { block, data } if block == expected => {
                received.extend(data);
                expected += 1;
                if data.len() == 1400 && !(block).is_multiple_of(4) {
                    continue;
                }
                block
            }
            other => panic!("{other:?}"),
        };
        acknowledgement.clear();
        encode(&Packet::Ack { block }, &mut acknowledgement);
        socket.send_to(&acknowledgement, peer).unwrap();
        if received.len() == LOADER {
            break;
        }
    }
    assert_eq!(received, loader());
    // It got no address, so nothing of it was stored; the server lives on.
    client.lease(&server);
    assert_eq!(events.machine().location.leaf(), "u01");
}

#[test]
fn files_come_by_http_whole_in_ranges_and_not_at_all() {
    let server = Server::start();
    let whole = server.boot("/loader/ipxe.efi", "");
    assert_eq!((whole.status, whole.header("content-length")), (200, Some("100000")));
    assert_eq!(whole.body, loader());
    let part = server.boot("/loader/ipxe.efi", "Range: bytes=99990-\r\n");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 99990-99999/100000")));
    assert_eq!(part.body, loader()[99_990..]);
    let beyond = server.boot("/loader/ipxe.efi", "Range: bytes=100000-\r\n");
    assert_eq!(beyond.status, 416);
    let same =
        server.boot("/loader/ipxe.efi", &format!("If-None-Match: {}\r\n", whole.header("etag").unwrap()));
    assert_eq!((same.status, same.body.len()), (304, 0));
    for path in ["/loader/../zone.hcl", "/../../etc/passwd", "/loader/%2e%2e/state/zonewright.db", "/nothing"]
    {
        assert!(matches!(server.boot(path, "").status, 400 | 404), "{path}");
    }
    let refusals: Refusals = server.get("/v1/refusals");
    assert!(refusals.counts["http"]["not-served"] >= 3);
}

#[test]
fn a_script_is_given_by_location_to_that_machine_alone() {
    let server = Server::start();
    // 127.0.0.1 is no machine's address.
    let script = server.boot("/boot/lab1/p01/r1/u01.ipxe", "");
    assert_eq!(script.status, 403, "{}", script.text());
}

#[test]
fn what_is_not_drawn_is_refused_with_a_reason_that_why_tells() {
    let server = Server::start();
    let socket = server.udp(server.ports().dhcp);
    let stranger = Client { circuit: "swp9", ..Client::u01() };
    socket.send(&stranger.discover()).unwrap();
    // Answered in order by one thread: once this is, the other was looked at.
    ask(&socket, &Client::u01().discover());
    let refusals: Refusals = server.get("/v1/refusals");
    assert_eq!(refusals.counts["dhcp"]["unknown-port"], 1);
    let refusal = &refusals.recent[0];
    assert_eq!((refusal.circuit_id.as_str(), refusal.relay.as_str()), ("`swp9`", "10.64.0.1"));
    let expected = refusal.expected.as_deref().unwrap();
    assert!(
        expected.starts_with("circuit-id `swp") && expected.contains(" of p01-r1-leaf-a swp"),
        "{expected}"
    );
    let by_switch: Why = server.get("/v1/why?target=p01/r1/leaf-a");
    assert_eq!(by_switch.refusals.len(), 1);
    let by_mac: Why = server.get("/v1/why?target=52:54:00:00:00:01");
    assert_eq!((by_mac.refusals.len(), by_mac.location), (1, None));
}

#[test]
fn a_flood_of_hardware_addresses_on_one_port_is_not_a_flood_of_writes() {
    let server = Server::start();
    let socket = server.udp(server.ports().dhcp);
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let client = Client { mac: [0x52, 0x54, 0, 9, high, low], ..Client::u01() };
        let ack = ask(&socket, &client.request(U01, Ipv4Addr::LOCALHOST));
        assert_eq!(kind(&ack), 5);
    }
    // Its neighbour is served, and its events pass.
    let mut events = server.events("", "?after=0");
    let other = Client { mac: [0x52, 0x54, 0, 0, 0, 2], circuit: "swp2", ..Client::u01() };
    other.lease(&server);
    let mut of_the_flooded = 0;
    while events.machine().location.leaf() != "u02" {
        of_the_flooded += 1;
    }
    assert!(of_the_flooded < 200, "{of_the_flooded} events of one port were stored");
    assert!(server.metric("zonewright_events_damped_total") > 1500.0);
}
