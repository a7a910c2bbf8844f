//! What we write, `dhcproto` reads the same; what it writes, we read. Where its reader is laxer, ours is the narrower.

use super::*;
use dhcproto::v6::{self, DhcpOption, DhcpOptions, IAAddr, IANA, OptionCode};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1);
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);

fn oracle(bytes: &[u8]) -> v6::Message {
    v6::Message::from_bytes(bytes).expect("the oracle reads what we write")
}

fn solicit() -> Request {
    Request::new(MessageType::Solicit, 0x01_02_03)
        .from(MAC)
        .association(7, &[ADDRESS])
        .wants(&[code::DNS_SERVERS, code::BOOT_FILE_URL])
}

#[test]
fn a_relay_unwraps_what_a_server_wrapped() {
    let forwarded =
        relay_forward(0, LINK, PEER, &[(code::INTERFACE_ID, b"swp1".as_slice())], &solicit().encode());
    let packet = Packet::parse(&forwarded).expect("a packet");
    let mut reply = Vec::new();
    Reply::to(&packet, MessageType::Advertise, &mut reply).finish().expect("short");
    let (relay, message) = relay_reply(&reply).expect("a reply");
    assert_eq!((relay.hop_count, relay.link, relay.peer), (0, LINK, PEER));
    assert_eq!(relay.interface_id(), Some(&b"swp1"[..]));
    assert_eq!(Packet::parse(message).expect("a message").message.kind, MessageType::Advertise);
    assert_eq!(relay_reply(&forwarded), Err(Malformed::Type(12)));
    assert_eq!(relay_reply(&reply[..reply.len() - 1]), Err(Malformed::Option));
    assert_eq!(relay_reply(&reply[..34]), Err(Malformed::Empty));
}

#[test]
fn a_request_says_to_the_oracle_what_it_was_given_and_reads_back() {
    let bytes = solicit().with(code::RAPID_COMMIT, []).with(code::CLIENT_ARCHITECTURE, [0, 16]).encode();
    let read = oracle(&bytes);
    assert_eq!((read.msg_type(), read.xid_num()), (v6::MessageType::Solicit, 0x01_02_03));
    assert_eq!(
        read.opts().get(OptionCode::IANA),
        Some(&DhcpOption::IANA(IANA {
            id: 7,
            t1: 0,
            t2: 0,
            opts: [DhcpOption::IAAddr(IAAddr {
                addr: ADDRESS,
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new()
            })]
            .into_iter()
            .collect()
        }))
    );
    let packet = Packet::parse(&bytes).expect("our own");
    let message = packet.message;
    assert_eq!(packet.relays().count(), 0);
    assert_eq!(message.duid_mac(), Some(MAC));
    assert_eq!(
        message.associations().map(|it| it.addresses().collect()).collect::<Vec<Vec<_>>>(),
        [[ADDRESS]]
    );
    assert_eq!((message.wants(23), message.wants(24)), (Some(true), Some(false)));
    assert_eq!(message.architectures().collect::<Vec<_>>(), [16]);
    assert!(message.has(code::RAPID_COMMIT) && message.server_id().is_none());
}

#[test]
fn a_message_of_the_oracle_is_read_the_same() {
    let mut message = v6::Message::new_with_id(v6::MessageType::Renew, [9, 8, 7]);
    let duid = [&[0, 1, 0, 1, 1, 2, 3, 4][..], &MAC].concat();
    message.opts_mut().insert(DhcpOption::ClientId(duid));
    message.opts_mut().insert(DhcpOption::ServerId(vec![0, 4, 1]));
    let bytes = message.to_vec().expect("it writes");
    let read = Packet::parse(&bytes).expect("well formed").message;
    assert_eq!((read.kind, read.transaction), (MessageType::Renew, [9, 8, 7]));
    assert_eq!(read.duid_mac(), Some(MAC));
    assert_eq!(read.server_id(), Some(&[0, 4, 1][..]));
}

#[test]
fn classes_are_read_as_the_oracle_reads_them() {
    // Its writer puts the number of classes where their length belongs, so ours writes.
    let bytes = Request::new(MessageType::Solicit, 1)
        .with(code::USER_CLASS, b"\0\x01x\0\x04iPXE")
        .with(code::VENDOR_CLASS, b"\0\0\x01\x57\0\x0aHTTPClient")
        .with(code::VENDOR_CLASS, b"\0\0\0\x09\0\x01a\0\x09cut short\0\x02x")
        .with(code::VENDOR_CLASS, b"\0\0")
        .encode();
    let read = Packet::parse(&bytes).expect("well formed").message;
    assert!(read.has_user_class(b"iPXE") && !read.has_user_class(b"iPX"));
    assert_eq!(read.vendor_classes().collect::<Vec<_>>(), [&b"HTTPClient"[..], b"a", b"cut short"]);
    // Its reader takes no option that is shorter than the enterprise number.
    let theirs = oracle(&bytes[..bytes.len() - 6]);
    let theirs =
        theirs.opts().get_all(OptionCode::VendorClass).expect("two").iter().flat_map(|option| match option {
            DhcpOption::VendorClass(class) => class.data.clone(),
            _ => Vec::new(),
        });
    assert_eq!(theirs.collect::<Vec<_>>(), read.vendor_classes().map(<[u8]>::to_vec).collect::<Vec<_>>());
}

#[test]
fn what_a_duid_tells() {
    let of = |duid: &[u8]| {
        let bytes = Request::new(MessageType::Solicit, 1).with(code::CLIENT_ID, duid).encode();
        let message = Packet::parse(&bytes).map(|packet| (packet.message.duid_mac(), packet.message.uuid()));
        message.ok()
    };
    let uuid = [5; 16];
    assert_eq!(of(&[&[0, 4][..], &uuid].concat()), Some((None, Some(uuid))));
    assert_eq!(of(&[&[0, 3, 0, 1][..], &MAC].concat()), Some((Some(MAC), None)));
    assert_eq!(of(&[&[0, 3, 0, 32][..], &[1; 20]].concat()), Some((None, None)), "InfiniBand");
    assert_eq!(of(&[&[0, 3, 0, 1][..], &[1; 5]].concat()), Some((None, None)), "an octet is missing");
    assert_eq!(of(&[0, 2, 0, 0, 0xab, 0x11, 1]), Some((None, None)), "by enterprise");
    assert_eq!(of(&[0, 2]), None);
    assert_eq!(of(&[1; DUID_MAX]), Some((None, None)));
    assert_eq!(of(&[1; DUID_MAX + 1]), None);
}

/// A message in the shells of so many relays, the nearest innermost.
fn relayed(count: usize, message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for hop in 0..count {
        let hop_count = u8::try_from(hop).expect("few");
        let port = format!("swp{hop}");
        let remote = [&[0, 0, 0, 9][..], b"leaf"].concat();
        let options = [(code::INTERFACE_ID, port.as_bytes()), (code::REMOTE_ID, &remote)];
        bytes = relay_forward(hop_count, LINK, PEER, &options, &bytes);
    }
    bytes
}

#[test]
fn relays_are_read_from_the_outside_in_and_mirrored() {
    for count in 0..=RELAYS_MAX {
        let bytes = relayed(count, &solicit().encode());
        let packet = Packet::parse(&bytes).expect("within the limit");
        let hops: Vec<_> = packet.relays().map(|relay| usize::from(relay.hop_count)).collect();
        assert_eq!(hops, (0..count).rev().collect::<Vec<_>>());
        assert_eq!(packet.message.transaction, [1, 2, 3]);
        if let Some(nearest) = packet.nearest() {
            assert_eq!(nearest.interface_id(), Some(&b"swp0"[..]));
            assert_eq!(nearest.remote_id(), Some(&b"leaf"[..]));
            assert_eq!((nearest.link, nearest.peer), (LINK, PEER));
        }
        let mut out = Vec::new();
        let mut reply = Reply::to(&packet, MessageType::Advertise, &mut out);
        reply.option(code::PREFERENCE, &[255]);
        reply.finish().expect("it is small");
        // Out of the shells again, each with its own port and without the remote-id.
        let mut rest = &out[..];
        for hop in (0..count).rev() {
            assert_eq!((rest[0], usize::from(rest[1])), (MessageType::RelayReply as u8, hop));
            assert_eq!(rest[2..18], LINK.octets());
            assert_eq!(rest[18..34], PEER.octets());
            let options = Options::new(&rest[34..]).expect("whole");
            let codes: Vec<_> = options.iter().map(|(code, _)| code).collect();
            assert_eq!(codes, [code::INTERFACE_ID, code::RELAY_MESSAGE]);
            assert_eq!(options.get(code::INTERFACE_ID), Some(format!("swp{hop}").as_bytes()));
            rest = options.get(code::RELAY_MESSAGE).expect("it is there");
        }
        let read = oracle(rest);
        assert_eq!((read.msg_type(), read.xid()), (v6::MessageType::Advertise, [1, 2, 3]));
        assert_eq!(read.opts().get(OptionCode::Preference), Some(&DhcpOption::Preference(255)));
    }
    assert_eq!(Packet::parse(&relayed(RELAYS_MAX + 1, &solicit().encode())), Err(Malformed::TooManyRelays));
    assert_eq!(Packet::parse(&relayed(50, b"")), Err(Malformed::TooManyRelays));
}

#[test]
fn what_is_no_packet() {
    let check = |bytes: &[u8], why| assert_eq!(Packet::parse(bytes), Err(why), "{bytes:?}");
    check(&[], Malformed::TooShort);
    check(&[1, 0, 0], Malformed::TooShort);
    check(&[0, 0, 0, 0], Malformed::Type(0));
    check(&[14, 0, 0, 0], Malformed::Type(14));
    check(&[13; 40], Malformed::Type(13));
    check(&[12; 20], Malformed::TooShort);
    check(&[1, 0, 0, 0, 0], Malformed::Option);
    check(&[1, 0, 0, 0, 0, 1, 0, 4, 0, 3, 0], Malformed::Option);
    check(&vec![1; MESSAGE_MAX + 1], Malformed::TooLong);
    check(&relay_forward(0, LINK, PEER, &[], b""), Malformed::TooShort);
    let mut empty = vec![12, 0];
    empty.extend([0; 32]);
    check(&empty, Malformed::Empty);
    let twice = [(code::INTERFACE_ID, &b"a"[..]), (code::INTERFACE_ID, b"b")];
    check(&relay_forward(0, LINK, PEER, &twice, &solicit().encode()), Malformed::Repeated);
    check(&solicit().from(MAC).encode(), Malformed::Repeated);
    // Associations and the addresses in them are read when the packet is.
    let with = |code, data: &[u8]| Request::new(MessageType::Solicit, 1).with(code, data).encode();
    check(&with(code::IA_NA, &[0; 11]), Malformed::Option);
    check(&with(code::IA_TA, &[0; 3]), Malformed::Option);
    check(&with(code::IA_PD, &[[0; 12].as_slice(), &[0, 26, 0, 9]].concat()), Malformed::Option);
    check(&with(code::IA_NA, &[[0; 12].as_slice(), &[0, 5, 0, 2, 1, 1]].concat()), Malformed::Option);
}

#[test]
fn a_reply_that_is_too_large_is_none() {
    let bytes = solicit().encode();
    let packet = Packet::parse(&bytes).expect("our own");
    let mut out = Vec::new();
    let mut reply = Reply::to(&packet, MessageType::Reply, &mut out);
    for _ in 0..40 {
        reply.option(code::VENDOR_CLASS, &[1; 2000]);
    }
    assert_eq!(reply.finish(), Err(TooLarge));
    assert!(out.is_empty());
}

/// Codes that the oracle takes as octets, whatever they hold.
const PLAIN: [u16; 6] =
    [code::INTERFACE_ID, 200, 65_000, code::REMOTE_ID, 150, code::CLIENT_LINK_LAYER_ADDRESS];

proptest! {
    #[test]
    fn options_are_those_that_the_oracle_finds(
        options in prop::collection::vec((0..PLAIN.len(), prop::collection::vec(any::<u8>(), 0..20)), 0..12),
        cut in 0..400_usize,
        spoilt in prop::option::of((4..300_usize, any::<u8>())),
    ) {
        let mut request = Request::new(MessageType::Rebind, 5);
        for (code, data) in options {
            request = request.with(PLAIN[code], data);
        }
        let mut bytes = request.encode();
        bytes.truncate(cut.max(4));
        // A length that is not true.
        if let Some((at, octet)) = spoilt && let Some(place) = bytes.get_mut(at) {
            *place = octet;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let known = |code: u16| PLAIN.contains(&code);
            // Another code may be one that the oracle takes apart.
            if packet.message.options.iter().all(|(code, _)| known(code)) {
                let mut ours: Vec<_> =
                    packet.message.options.iter().map(|(code, data)| (code, data.to_vec())).collect();
                ours.sort_by_key(|(code, _)| *code);
                let mut theirs: Vec<_> = oracle(&bytes).opts().iter().map(|option| {
                    let code = u16::from(OptionCode::from(option));
                    match option {
                        DhcpOption::InterfaceId(data) => (code, data.clone()),
                        DhcpOption::Unknown(other) => (code, other.data().to_vec()),
                        other => panic!("{other:?}"),
                    }
                }).collect();
                theirs.sort_by_key(|(code, _)| *code);
                ours.sort();
                theirs.sort();
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..14_u8) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        for start in 0..bytes.len().min(40) {
            if let Ok((relay, message)) = relay_reply(&bytes[start..]) {
                prop_assert!(message.len() < bytes.len());
                let _ = (relay.interface_id(), relay.remote_id(), relay.client_mac());
            }
            if let Ok(packet) = Packet::parse(&bytes[start..]) {
                let message = packet.message;
                let _ = message.associations().map(|it| it.addresses().count()).sum::<usize>();
                let _ = (message.vendor_classes().count(), message.has_user_class(b""), message.uuid());
                let mut out = Vec::new();
                Reply::to(&packet, MessageType::Reply, &mut out).finish().expect("no longer than the request");
                prop_assert!(out.len() <= bytes.len());
            }
        }
    }
}
