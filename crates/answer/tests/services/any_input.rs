//! Whatever comes in is answered or refused, within bounds. The checks are those of the fuzz targets, which include
//! this file; here they run with a fixed seed, over spoiled packets and over noise.

use answer::dns::{Answer, Transport};
use answer::http::{Body, Method, Request, head};
use answer::tftp::{Fetch, Outgoing};
use hickory_proto::op::Message;
use model::{Time, View};
use std::net::{IpAddr, Ipv4Addr};
use wire::tftp::{Mode, Options, Packet};

const NOW: Time = Time(1_000_000);
/// An address of the zone, a controller's neighbour.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 33, 1, 1));
/// One that is not.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// A DNS packet, over both transports and from both sides.
pub(crate) fn dns(view: &View, packet: &[u8], out: &mut Vec<u8>) {
    for (client, transport) in [
        (INSIDE, Transport::Udp),
        (OUTSIDE, Transport::Udp),
        (INSIDE, Transport::Tcp),
        (IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Tcp),
    ] {
        match answer::dns::answer(view, packet, client, transport, out) {
            Ok(Answer::Reply(_)) => {
                let reply = Message::from_vec(out).expect("what we write, we read");
                assert_eq!(reply.metadata.id.to_be_bytes(), packet[..2]);
                assert!(transport == Transport::Tcp || out.len() <= 1232);
            }
            Ok(Answer::Transfer(mut transfer)) => {
                let mut messages = 0;
                while transfer.next_message(out) {
                    messages += 1;
                    assert!(messages < 1000, "a small zone is soon sent");
                }
            }
            Err(_) => {}
        }
    }
    // The other way round: what a secondary might answer to a NOTIFY.
    if let Some(told) = wire::dns::decode_notified(packet) {
        assert_eq!(told.id.to_be_bytes(), packet[..2]);
        assert!(told.apex.is_none_or(|apex| apex.len() <= 255 && apex.ends_with(&[0])));
    }
}

/// A TFTP packet, to port 69, into both ends of a transfer under way, and to an attacker's victim.
pub(crate) fn tftp(view: &View, bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(packet) = wire::tftp::decode(bytes) else { return };
    out.clear();
    wire::tftp::encode(&packet, out);
    assert_eq!(wire::tftp::decode(out), Ok(packet.clone()), "what we write, we read");
    assert!(answer::tftp::open(view, &packet, OUTSIDE, NOW).is_err());
    if let Ok(mut opened) = answer::tftp::open(view, &packet, INSIDE, NOW) {
        let size = match &opened.body {
            Body::File { file, .. } => view.boot.site.file(*file).size,
            Body::Text(text) => text.len() as u64,
            Body::Octets(octets) => octets.len() as u64,
            Body::Empty => panic!("nothing to send"),
        };
        let mut sent = 0;
        while let Some(outgoing) = opened.transfer.poll(NOW) {
            sent += 1;
            if let Outgoing::Data { range, .. } = outgoing {
                assert!(range.start <= range.end && range.end <= size);
            }
        }
        assert!((1..=64).contains(&sent));
    }
    let options = Options { blksize: Some(64), windowsize: Some(8), ..Options::default() };
    let mut transfer = answer::tftp::Transfer::new(10_000, options, NOW);
    let mut fetch = Fetch::new("file", Mode::Octet, options, NOW);
    for packet in [&Packet::Ack { block: 0 }, &packet, &packet] {
        transfer.receive(packet, NOW);
        let mut sent = 0;
        while transfer.poll(NOW).is_some() {
            sent += 1;
            assert!(sent <= 10, "a window, an OACK, an error");
        }
        assert!(fetch.receive(packet, NOW).len() <= 512);
        while fetch.poll(NOW, out) {}
    }
}

/// An HTTP request: the first line of the input is the path, the others are headers.
pub(crate) fn http(view: &View, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let path = lines.next().unwrap_or_default();
    let headers: Vec<&str> = lines.take(3).collect();
    let header = |position: usize| headers.get(position).copied();
    for client in [INSIDE, OUTSIDE] {
        for method in [Method::Get, Method::Head, Method::Other] {
            let request = Request {
                method,
                path,
                range: header(0),
                if_range: header(1),
                if_none_match: header(2),
                client,
                is_secure: path.len() % 2 == 1,
            };
            let reply = answer::http::boot(view, &request, NOW).unwrap_or_else(answer::http::refused);
            let length = reply.headers.iter().find(|(name, _)| *name == "Content-Length");
            let length = length.map(|(_, value)| value.parse::<u64>().expect("a number"));
            assert!(length.is_some() || reply.status == 304);
            match reply.body {
                Body::Empty => assert!(method != Method::Get || matches!(reply.status, 304 | 416)),
                Body::Text(text) => assert_eq!(length, Some(text.len() as u64)),
                Body::Octets(_) => panic!("nothing in memory is served by a path"),
                Body::File { file, range } => {
                    assert!(range.start <= range.end && range.end <= view.boot.site.file(file).size);
                    assert_eq!(length, Some(range.end - range.start));
                }
            }
            for (_, value) in &reply.headers {
                assert!(!value.contains(['\r', '\n']), "{value}");
            }
        }
    }
}

/// Octets on a connection to HTTP boot: requests are taken from them until they end or make no sense.
pub(crate) fn http_head(view: &View, bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Ok(read) = head::read(rest) {
        let Some(head) = read else {
            assert!(rest.len() < head::HEAD_MAX, "what is not whole by then never is");
            break;
        };
        assert!((1..=head::HEAD_MAX.min(rest.len())).contains(&head.length));
        // The same head whatever follows, and none without its last octet.
        assert_eq!(head::read(&rest[..head.length]), Ok(Some(head)));
        assert_eq!(head::read(&rest[..head.length - 1]), Ok(None));
        let asked = Request {
            method: head.method,
            path: head.path,
            range: head.range,
            if_range: head.if_range,
            if_none_match: head.if_none_match,
            client: INSIDE,
            is_secure: rest.len() % 2 == 1,
        };
        let reply = answer::http::boot(view, &asked, NOW).unwrap_or_else(answer::http::refused);
        out.clear();
        head::write(&reply, head.keep_alive, NOW, out);
        let text = match &reply.body {
            Body::Text(text) => text.as_bytes(),
            Body::Octets(octets) => octets,
            Body::Empty | Body::File { .. } => b"",
        };
        let written = out.strip_suffix(text).expect("the text comes last");
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Response::new(&mut fields);
        assert_eq!(
            parsed.parse(written),
            Ok(httparse::Status::Complete(written.len())),
            "one head, and no more"
        );
        assert_eq!(parsed.code, Some(reply.status));
        if !head.keep_alive {
            break;
        }
        rest = &rest[head.length..];
    }
}

#[cfg(test)]
mod with_a_fixed_seed {
    use crate::{corpus, spoil, zone};

    const ROUNDS: usize = 120_000;

    #[test]
    fn dns() {
        let view = zone::view_renamed();
        let names = [
            "hv-u1.ams1.example.net.",
            "ams1.example.net.",
            "_ssh._tcp.hypervisor.ams1.example.net.",
            "6.0.32.10.in-addr.arpa.",
            "2.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
        ];
        let types = [1, 6, 12, 28, 33, 251, 252, 255].map(hickory_proto::rr::RecordType::from);
        let mut seeds: Vec<Vec<u8>> = names
            .iter()
            .flat_map(|name| types.map(|record_type| crate::dns::Ask::new(name, record_type).packet()))
            .collect();
        seeds.extend([0, 6, 7, 8, 9].map(|serial| crate::dns::changes::query("ams1.example.net.", serial)));
        let mut notified = Vec::new();
        wire::dns::write_notify(7, b"\x04ams1\x07example\x03net", &mut notified);
        notified[2] |= 0x80;
        seeds.push(notified);
        let mut out = Vec::new();
        let pieces: [&[u8]; 8] = [
            &[0xc0, 12],
            &[0, 0, 41, 2, 0],
            &[0, 252, 0, 1],
            &[0, 251, 0, 1],
            &[63],
            b"\x04ams1",
            &[0, 255, 0, 255],
            &[0],
        ];
        spoil::spoil(&seeds, &pieces, ROUNDS, |bytes| super::dns(&view, bytes, &mut out));
    }

    #[test]
    fn tftp() {
        let view = zone::view();
        let seeds = [
            &b"\0\x01undionly.kpxe\0octet\0blksize\x001468\0tsize\x000\0windowsize\x0064\0timeout\x003\0"[..],
            b"\0\x01boot/auto.ipxe\0netascii\0",
            b"\0\x01image/kvm/images/kvm/vmlinuz\0octet\0tsize\x000\0",
            b"\0\x02undionly.kpxe\0octet\0",
            b"\0\x03\0\x01abcdefgh",
            b"\0\x04\0\x08",
            b"\0\x05\0\x08stop\0",
            b"\0\x06blksize\x0064\0windowsize\x008\0",
        ]
        .map(<[u8]>::to_vec);
        let mut out = Vec::new();
        let pieces: [&[u8]; 6] =
            [b"\0", b"\0blksize\0", b"65464", b"4294967296", b"windowsize\x000\0", b"%00"];
        spoil::spoil(&seeds, &pieces, ROUNDS, |bytes| super::tftp(&view, bytes, &mut out));
    }

    #[test]
    fn http() {
        let view = zone::view();
        let seeds = [
            &b"/boot/auto.ipxe"[..],
            b"/boot/ams1/p1/r1/u1.ipxe?x=y",
            b"/boot/loader/undionly.kpxe\nbytes=0-99\n\"abc\"\nW/\"abc\", *",
            b"/image/kvm/images/kvm/vmlinuz\nbytes=-500",
            b"/loader/%73nponly.efi\nbytes=18446744073709551615-\n\n",
            b"/../../etc/passwd",
        ]
        .map(<[u8]>::to_vec);
        let pieces: [&[u8]; 8] =
            [b"\n", b"%2f", b"..", b"\nbytes=", b"-", b",0-0", b"18446744073709551616", b"\"\r"];
        spoil::spoil(&seeds, &pieces, ROUNDS, |bytes| super::http(&view, bytes));
    }

    #[test]
    fn http_head() {
        let view = zone::view();
        let seeds = [
            &b"GET /boot/auto.ipxe HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"GET /loader/snponly.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\nHEAD / HTTP/1.1\r\nHost:x\r\n\r\n",
            b"GET http://x/loader/snponly.efi HTTP/1.0\nConnection: keep-alive\nIf-None-Match: *\n\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            b"\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close, x\r\nIf-Range: \"a\"\r\n\r\n",
        ]
        .map(<[u8]>::to_vec);
        let mut out = Vec::new();
        let pieces: [&[u8]; 8] = [
            b"\r\n",
            b"\r\n\r\n",
            b":",
            b" ",
            b"Content-Length: 1\r\n",
            b"Range: bytes=1-\r\n",
            b"Host:\r\n",
            b"\0",
        ];
        spoil::spoil(&seeds, &pieces, ROUNDS, |bytes| super::http_head(&view, bytes, &mut out));
    }

    #[test]
    fn what_the_fuzzers_kept() {
        let (view, renamed) = (zone::view(), zone::view_renamed());
        let mut out = Vec::new();
        corpus::run("dns", |bytes| super::dns(&renamed, bytes, &mut out));
        corpus::run("tftp", |bytes| super::tftp(&view, bytes, &mut out));
        corpus::run("http", |bytes| super::http(&view, bytes));
        corpus::run("http_head", |bytes| super::http_head(&view, bytes, &mut out));
    }
}
