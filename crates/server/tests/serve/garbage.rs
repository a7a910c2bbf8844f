//! Nonsense on every socket costs nothing but itself.

use crate::support::{Client, Server};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;

/// Octets from a seed; the same seed gives the same octets (SplitMix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        let length = self.next() % (max + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// `good` with some octets changed, cut or repeated.
    fn spoiled(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.next() % 8 {
            let at = (self.next() % bytes.len() as u64) as usize;
            bytes[at] = self.next() as u8;
        }
        bytes.truncate(1 + (self.next() % bytes.len() as u64) as usize);
        bytes
    }
}

#[test]
fn garbage_on_every_socket_keeps_it_alive() {
    let server = Server::start();
    let ports = server.ports();
    let mut noise = Noise(7);
    let good = [
        (ports.dhcp, Client::u01().discover_pxe()),
        (ports.proxy_dhcp, Client::u01().discover_pxe()),
        (ports.dns, b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04lab1\x07example\x03net\x00\x00\x01\x00\x01".to_vec()),
        (ports.tftp, b"\0\x01ipxe.efi\0octet\0blksize\x001400\0windowsize\x0064\0".to_vec()),
    ];
    for (port, good) in &good {
        // Not `Server::udp`: a connected socket would see the replies' errors; nobody listens here.
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..1500 {
            let packet = if noise.next().is_multiple_of(3) { noise.bytes(1500) } else { noise.spoiled(good) };
            socket.send_to(&packet, (Ipv4Addr::LOCALHOST, *port)).unwrap();
        }
        socket.send_to(&[], (Ipv4Addr::LOCALHOST, *port)).unwrap();
    }
    for port in [ports.boot, ports.agents, ports.dns, server.api_tcp().port()] {
        for _ in 0..60 {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let head = b"GET /boot/auto.ipxe HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\n\r\n";
            let bytes = if noise.next().is_multiple_of(2) { noise.bytes(4000) } else { noise.spoiled(head) };
            // The server may have closed it already; that is its right.
            let _ = stream.write_all(&bytes);
        }
    }
    for _ in 0..60 {
        let mut stream = UnixStream::connect(server.api_socket()).unwrap();
        let _ = stream.write_all(&noise.bytes(4000));
    }
    let bodies = [
        "{}",
        "[1,2",
        "{\"wish\":\"drain\"}",
        "{\"wish\":\"explode\"}",
        "{\"wish\":\"arm\",\"generation\":-1}",
    ];
    for body in bodies {
        let (status, said) = server.request("POST", "/v1/machines/p01/r1/u01/wish", body);
        assert!((400..500).contains(&status), "{status} {said}");
        assert!(said.starts_with("{\"error\":\""), "{said}");
    }
    assert_eq!(Client::u01().lease(&server), Ipv4Addr::new(10, 64, 0, 6));
    assert_eq!(server.boot("/loader/ipxe.efi", "Range: bytes=0-9\r\n").body.len(), 10);
    for protocol in ["dhcp", "dhcp6", "dns", "tftp", "http"] {
        assert_eq!(server.metric(&format!("zonewright_panics_total{{protocol=\"{protocol}\"}}")), 0.0);
    }
    assert!(server.metric("zonewright_refusals_total{protocol=\"dhcp\",reason=\"malformed\"}") > 100.0);
}
