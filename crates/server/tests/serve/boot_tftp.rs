//! TFTP: many transfers at once, and what forged and silent clients may not do to others.

use crate::support::{LOADER, PATIENCE, Server, loader};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use wire::tftp::{Mode, Options, Packet, Request, decode, encode, error};

/// A client's end, as simple as one can be: it acknowledges whole windows and the last block.
struct Client {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Client {
    fn new(server: &Server, from: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, server: (Ipv4Addr::LOCALHOST, server.ports().tftp).into() }
    }

    fn request(&self, file: &str, options: Options) {
        let mut packet = Vec::new();
        encode(&Packet::Read(Request { file, mode: Mode::Octet, options }), &mut packet);
        self.socket.send_to(&packet, self.server).unwrap();
    }

    fn send(&self, packet: &Packet<'_>, to: SocketAddr) {
        let mut octets = Vec::new();
        encode(packet, &mut octets);
        self.socket.send_to(&octets, to).unwrap();
    }

    /// What comes next: as text, with the length of data, and from where.
    fn next(&self) -> (String, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, from) = self.socket.recv_from(&mut buffer).unwrap();
        let said = match decode(&buffer[..length]).unwrap() {
            Packet::Data { block, data } => format!("block {block} of {}", data.len()),
            Packet::Error { code, .. } => format!("error {code}"),
            other => format!("{other:?}"),
        };
        (said, from)
    }

    /// Fetches a file; of the blocks whose number `loses` names, the first copy is lost.
    fn fetch(&self, file: &str, options: Options, mut loses: impl FnMut(u64) -> bool) -> Vec<u8> {
        self.request(file, options);
        let (mut received, mut expected, mut in_window) = (Vec::new(), 1_u64, 0);
        let mut agreed = Options::default();
        let mut lost = HashMap::new();
        let mut buffer = vec![0; 2048];
        loop {
            let (length, from) = self.socket.recv_from(&mut buffer).unwrap();
            let ack = |block: u64| self.send(&Packet::Ack { block: block as u16 }, from);
            match decode(&buffer[..length]).unwrap() {
                Packet::Oack(options) => {
                    agreed = options;
                    ack(0);
                }
                Packet::Data { block, data } => {
                    if block != expected as u16 {
                        // RFC 7440 §4: a gap is told by the last block before it, once.
                        if block == (expected as u16).wrapping_add(1) {
                            ack(expected - 1);
                            in_window = 0;
                        }
                        continue;
                    }
                    if loses(expected) && lost.insert(expected, ()).is_none() {
                        continue;
                    }
                    received.extend_from_slice(data);
                    in_window += 1;
                    let is_last = data.len() < usize::from(agreed.blksize.unwrap_or(512));
                    if is_last || in_window >= agreed.windowsize.unwrap_or(1) {
                        ack(expected);
                        in_window = 0;
                    }
                    expected += 1;
                    if is_last {
                        return received;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn options(blksize: u16, windowsize: u16) -> Options {
    Options { blksize: Some(blksize), windowsize: Some(windowsize), tsize: Some(0), timeout: None }
}

#[test]
fn two_hundred_clients_at_once_get_every_octet() {
    let server = Server::start();
    std::thread::scope(|scope| {
        for number in 0..200_u8 {
            let server = &server;
            scope.spawn(move || {
                let client = Client::new(server, Ipv4Addr::new(127, 0, 1, 1 + number));
                let options = [options(1468, 64), options(1024, 8), options(1428, 1), Options::default()]
                    [usize::from(number % 4)];
                assert_eq!(client.fetch("ipxe.efi", options, |_| false), loader(), "client {number}");
            });
        }
    });
    // The last acknowledgement is on its way when a client has everything.
    while server.metric("zonewright_answers_total{protocol=\"tftp\"}") < 200.0 {}
    assert_eq!(server.metric("zonewright_panics_total{protocol=\"tftp\"}"), 0.0);
}

#[test]
fn p09_a_window_with_a_gap_is_sent_again_from_the_gap() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    let received = client.fetch("ipxe.efi", options(512, 16), |block| block % 24 == 5);
    assert_eq!(received, loader());
}

#[test]
fn p09_a_window_leaves_from_one_port_and_waits_for_its_acknowledgement() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    client.request("ipxe.efi", options(1000, 100));
    let (oack, from) = client.next();
    assert!(oack.contains("windowsize: Some(64)") && oack.contains("tsize: Some(100000)"), "{oack}");
    assert_ne!(from.port(), server.ports().tftp);
    client.send(&Packet::Ack { block: 0 }, from);
    for block in 1..=64 {
        assert_eq!(client.next(), (format!("block {block} of 1000"), from));
    }
    // An acknowledgement in the middle: from there on again (RFC 7440 §4).
    client.send(&Packet::Ack { block: 60 }, from);
    for block in 61..=100 {
        assert_eq!(client.next(), (format!("block {block} of 1000"), from));
    }
    client.send(&Packet::Ack { block: 100 }, from);
    assert_eq!(client.next(), ("block 101 of 0".to_owned(), from));
    // Another port is not the client: it disturbs nothing.
    let stranger = Client::new(&server, Ipv4Addr::new(127, 0, 3, 3));
    stranger.send(&Packet::Error { code: 0, message: b"stop" }, from);
    client.send(&Packet::Ack { block: 101 }, from);
    while server.metric("zonewright_answers_total{protocol=\"tftp\"}") < 1.0 {}
}

#[test]
fn a09_a_forged_request_is_worth_a_small_packet_or_two() {
    let server = Server::start();
    // One address asks from thousands of ports, and answers nothing.
    let mut heard = 0;
    let mut ports = Vec::new();
    for _ in 0..300 {
        let client = Client::new(&server, Ipv4Addr::new(127, 0, 1, 1));
        client.request("ipxe.efi", options(1468, 64));
        let (oack, _) = client.next();
        assert!(oack.starts_with("Oack"), "{oack}");
        heard += 1;
        ports.push(client);
    }
    assert_eq!(heard, 300);
    // Of all those, four have a transfer, so no more than four are repeated: the first is not.
    let mut buffer = [0; 2048];
    ports[0].socket.set_nonblocking(true).unwrap();
    assert!(ports[0].socket.recv_from(&mut buffer).is_err());
    // What it may have at once is little, whatever it asked for.
    let sent = server.metric("zonewright_answer_bytes_total{protocol=\"tftp\"}");
    assert!(sent < 300.0 * 4.0 * 60.0, "{sent} octets for 300 requests");
    // The same address, if it is there, and others are served.
    for from in [Ipv4Addr::new(127, 0, 1, 1), Ipv4Addr::new(127, 0, 1, 2)] {
        let client = Client::new(&server, from);
        assert_eq!(client.fetch("ipxe.efi", options(1468, 64), |_| false).len(), LOADER);
    }
}

#[test]
fn a09_thousands_of_silent_clients_leave_others_served() {
    let server = Server::start();
    // More than there are places, each from an address of its own.
    let silent: Vec<Client> = (0..2500_u32)
        .map(|number| {
            let client = Client::new(&server, Ipv4Addr::from(0x7f01_0000 + number));
            client.request("ipxe.efi", options(1468, 64));
            assert!(client.next().0.starts_with("Oack"));
            client
        })
        .collect();
    let client = Client::new(&server, Ipv4Addr::new(127, 0, 1, 2));
    assert_eq!(client.fetch("ipxe.efi", options(1468, 8), |_| false), loader());
    drop(silent);
}

#[test]
fn a_client_uses_four_places_at_most() {
    let server = Server::start();
    let begun: Vec<(Client, SocketAddr)> = (0..4)
        .map(|_| {
            let client = Client::new(&server, Ipv4Addr::LOCALHOST);
            client.request("ipxe.efi", options(512, 1));
            let (_, from) = client.next();
            client.send(&Packet::Ack { block: 0 }, from);
            assert_eq!(client.next().0, "block 1 of 512");
            (client, from)
        })
        .collect();
    let fifth = Client::new(&server, Ipv4Addr::LOCALHOST);
    // An error would end it. It hears nothing, and asks again as it would after a loss.
    fifth.request("ipxe.efi", options(512, 1));
    fifth.request("nothing", options(512, 1));
    assert_eq!(fifth.next().0, format!("error {}", error::NOT_FOUND));
    assert_eq!(server.metric("zonewright_refusals_total{protocol=\"tftp\",reason=\"too-many\"}"), 1.0);
    // One that ends makes room.
    begun[0].0.send(&Packet::Error { code: 0, message: b"" }, begun[0].1);
    loop {
        fifth.request("ipxe.efi", options(512, 1));
        fifth.request("nothing", options(512, 1));
        if fifth.next().0.starts_with("Oack") {
            break;
        }
    }
}

#[test]
fn a_client_may_go_on_to_another_file_from_the_same_port() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    // Firmware asks for the size, says nothing more, and asks anew; it takes what answers that.
    client.request("ipxe.efi", Options { tsize: Some(0), ..Options::default() });
    assert!(client.next().0.contains("tsize: Some(100000)"));
    assert_eq!(client.fetch("undionly.kpxe", options(1428, 1), |_| false), loader());
}

#[test]
fn a_client_that_starts_anew_in_the_middle_is_served_from_the_same_port() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    client.request("ipxe.efi", options(1000, 1));
    let (_, old) = client.next();
    client.send(&Packet::Ack { block: 0 }, old);
    assert_eq!(client.next(), ("block 1 of 1000".to_owned(), old));
    // The power went: the same request from the same port.
    client.request("ipxe.efi", options(1000, 1));
    let (oack, new) = client.next();
    assert!(oack.starts_with("Oack") && new != old, "{oack}");
    client.send(&Packet::Ack { block: 0 }, new);
    assert_eq!(client.next(), ("block 1 of 1000".to_owned(), new));
    // With that the first one is over.
    client.send(&Packet::Ack { block: 1 }, old);
    client.send(&Packet::Ack { block: 1 }, new);
    assert_eq!(client.next(), ("block 2 of 1000".to_owned(), new));
}

#[test]
fn a09_a_forged_request_from_a_clients_own_port_does_not_end_its_transfer() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    client.request("ipxe.efi", options(1000, 1));
    let (_, own) = client.next();
    client.send(&Packet::Ack { block: 0 }, own);
    assert_eq!(client.next(), ("block 1 of 1000".to_owned(), own));
    client.request("snponly.efi", options(1000, 64));
    let (_, forged) = client.next();
    // RFC 1350 §4: what comes from elsewhere is told so, and the transfer goes on.
    client.send(&Packet::Error { code: error::UNKNOWN_TRANSFER, message: b"" }, forged);
    client.send(&Packet::Ack { block: 1 }, own);
    assert_eq!(client.next(), ("block 2 of 1000".to_owned(), own));
}

#[test]
fn a_file_that_changes_while_it_is_sent_ends_with_an_error() {
    let server = Server::start();
    let client = Client::new(&server, Ipv4Addr::LOCALHOST);
    client.request("ipxe.efi", options(1000, 50));
    let (_, from) = client.next();
    client.send(&Packet::Ack { block: 0 }, from);
    for block in 1..=50 {
        assert_eq!(client.next().0, format!("block {block} of 1000"));
    }
    std::fs::write(server.options.loaders.join("ipxe.efi"), vec![1; LOADER / 2]).unwrap();
    client.send(&Packet::Ack { block: 50 }, from);
    assert_eq!(client.next(), (format!("error {}", error::OTHER), from));
}
