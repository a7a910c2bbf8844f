//! What we write, `dhcproto`'s owned decoder reads the same; what we read, it wrote.

use super::*;
use dhcproto::v4::{self, DhcpOption, OptionCode};
use dhcproto::{Decodable, Encodable};
use std::net::Ipv4Addr;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const GIADDR: Ipv4Addr = Ipv4Addr::new(10, 32, 1, 2);

fn oracle(bytes: &[u8]) -> v4::Message {
    v4::Message::from_bytes(bytes).expect("the oracle reads what we write")
}

fn discover() -> Vec<u8> {
    Request::new(MessageType::Discover, MAC, 7).encode()
}

/// A message of these octets after the header.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = discover();
    bytes.truncate(HEADER_LENGTH);
    bytes.extend(options);
    bytes
}

fn reply<'a>(options: Vec<(u8, &'a [u8])>, relay_agent: Option<&'a [u8]>) -> Reply<'a> {
    Reply {
        hardware_type: 1,
        hardware: &MAC,
        xid: 7,
        flags: 0,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::new(10, 32, 1, 9),
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: GIADDR,
        file: b"",
        options,
        relay_agent,
    }
}

const ROOMY: Limits = Limits { client: 1472, path: 1472, overload: false };

#[test]
fn a_request_says_to_the_oracle_what_it_was_given() {
    let request = Request {
        secs: 4,
        broadcast: true,
        requested_address: Some(Ipv4Addr::new(10, 32, 1, 9)),
        server_identifier: Some(Ipv4Addr::new(10, 32, 0, 2)),
        parameter_list: vec![1, 3, 6],
        maximum_size: Some(1260),
        vendor_class: b"PXEClient:Arch:00007:UNDI:003016".to_vec(),
        client_identifier: Some(vec![1, 2, 3]),
        architectures: vec![7],
        ..Request::new(MessageType::Request, MAC, 0xdead_beef)
    };
    let bytes = request.encode();
    let read = oracle(&bytes);
    assert_eq!((read.xid(), read.secs(), read.flags().broadcast()), (0xdead_beef, 4, true));
    assert_eq!(read.chaddr(), MAC);
    assert_eq!(read.opts().msg_type(), Some(v4::MessageType::Request));
    assert_eq!(
        read.opts().get(OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress(Ipv4Addr::new(10, 32, 1, 9)))
    );
    let message = Message::parse(&bytes).expect("our own");
    assert_eq!(message.message_type(), Some(MessageType::Request));
    assert_eq!(message.requested_address(), request.requested_address);
    assert_eq!(message.server_identifier(), request.server_identifier);
    assert_eq!(message.parameter_list(), [1, 3, 6]);
    assert_eq!(message.maximum_size(), Some(1260));
    assert_eq!(message.architectures().collect::<Vec<_>>(), [7]);
    assert_eq!(message.mac(), Some(MAC));
    assert!(message.broadcast() && message.is_request());
}

#[test]
fn a_message_of_the_oracle_is_read_the_same() {
    let mut message = v4::Message::default();
    message.set_xid(9).set_chaddr(&MAC).set_giaddr(GIADDR).set_fname_str("ipxe.efi");
    message.opts_mut().insert(DhcpOption::MessageType(v4::MessageType::Discover));
    message.opts_mut().insert(DhcpOption::Hostname("x".repeat(600)));
    let bytes = message.to_vec().expect("encodable");
    let read = Message::parse(&bytes).expect("valid");
    assert_eq!((read.xid(), read.giaddr(), read.boot_file()), (9, GIADDR, Some(&b"ipxe.efi"[..])));
    assert_eq!(read.option(code::HOST_NAME).map(<[u8]>::len), Some(600), "joined per RFC 3396");
}

#[test]
fn instances_that_stand_apart_and_in_other_fields_are_joined_in_the_order_of_rfc_3396() {
    let mut bytes = with_options(&[53, 1, 1, 12, 1, b'a', 15, 1, b'x', 12, 1, b'b', 52, 1, 3, 255]);
    bytes[108..113].copy_from_slice(&[12, 1, b'c', 0, 255]);
    bytes[44..48].copy_from_slice(&[12, 1, b'd', 255]);
    let read = Message::parse(&bytes).expect("valid");
    assert_eq!(read.option(code::HOST_NAME), Some(&b"abcd"[..]));
    assert_eq!(read.option(code::DOMAIN_NAME), Some(&b"x"[..]));
    assert_eq!((read.boot_file(), read.server_name()), (None, &b""[..]), "the fields hold no names");
    let codes: Vec<u8> = read.options().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 12, 15, 52]);
}

#[test]
fn an_overload_that_means_nothing_is_ignored() {
    for value in [0, 4, 255] {
        let mut bytes = with_options(&[53, 1, 1, 52, 1, value, 255]);
        bytes[108..112].copy_from_slice(&[12, 1, b'c', 255]);
        let read = Message::parse(&bytes).expect("valid");
        assert_eq!(read.option(code::HOST_NAME), None, "Option 52 = {value}");
        assert!(read.boot_file().is_some());
    }
    let mut bytes = with_options(&[53, 1, 1, 52, 1, 1, 255]);
    bytes[108..115].copy_from_slice(&[52, 1, 3, 12, 1, b'c', 255]);
    bytes[44..48].copy_from_slice(&[12, 1, b'd', 255]);
    let read = Message::parse(&bytes).expect("valid");
    assert_eq!(
        read.option(code::HOST_NAME),
        Some(&b"c"[..]),
        "an Option 52 inside `file` opens nothing more"
    );
}

#[test]
fn edges_of_the_options_field() {
    fn check(options: &[u8], expected: Result<Option<&[u8]>, Malformed>) {
        let bytes = with_options(options);
        let read = Message::parse(&bytes);
        let found = read.as_ref().map(|read| read.option(code::HOST_NAME)).map_err(|malformed| *malformed);
        assert_eq!(found, expected, "{options:?}");
    }
    check(&[], Ok(None));
    check(&[0, 0, 12, 1, b'a', 0], Ok(Some(b"a")));
    check(&[12, 1, b'a'], Ok(Some(b"a")));
    check(&[12, 0, 255], Ok(Some(b"")));
    check(&[12, 2, 0, 255, 255], Ok(Some(&[0, 255])));
    check(&[255, 12, 1, b'a'], Ok(None));
    check(&[12], Err(Malformed::TruncatedOption));
    check(&[12, 2, b'a'], Err(Malformed::TruncatedOption));
    check(&[12, 1, b'a', 12, 9, b'b'], Err(Malformed::TruncatedOption));
}

#[test]
fn edges_of_the_header() {
    assert_eq!(Message::parse(&[]).err(), Some(Malformed::Short));
    assert_eq!(Message::parse(&discover()[..239]).err(), Some(Malformed::Short));
    assert_eq!(Message::parse(&vec![0; MESSAGE_MAX + 1]).err(), Some(Malformed::Long));
    for length in [0, 16, 17, 255] {
        let mut bytes = discover();
        bytes[2] = length;
        let read = Message::parse(&bytes);
        match length {
            17.. => assert_eq!(read.err(), Some(Malformed::HardwareLength)),
            _ => assert_eq!(read.expect("valid").hardware().len(), usize::from(length)),
        }
    }
    let mut bytes = discover();
    bytes[236] = 0;
    assert_eq!(Message::parse(&bytes).expect("BOOTP").message_type(), None);
}

#[test]
fn a_uuid_is_turned_to_the_order_of_documents() {
    let uuid: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
    let bytes = Request { uuid: Some(uuid), ..Request::new(MessageType::Discover, MAC, 1) }.encode();
    let read = Message::parse(&bytes).expect("valid");
    assert_eq!(read.uuid(), Some(uuid));
    let wire = read.option(code::CLIENT_MACHINE_IDENTIFIER).expect("sent");
    assert_eq!(wire, [0, 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]);
    let short =
        Request { more: vec![(97, vec![0; 9])], ..Request::new(MessageType::Discover, MAC, 1) }.encode();
    assert_eq!(Message::parse(&short).expect("valid").uuid(), None);
}

#[test]
fn both_forms_of_the_user_class() {
    let has = |class: &[u8]| {
        let request = Request { user_class: class.to_vec(), ..Request::new(MessageType::Discover, MAC, 1) };
        Message::parse(&request.encode()).expect("valid").has_user_class(b"iPXE")
    };
    assert!(has(b"iPXE"));
    assert!(has(b"\x04iPXE"));
    assert!(has(b"\x03foo\x04iPXE"));
    assert!(!has(b"\x05iPXE"));
    assert!(!has(b"iPXE2"));
    assert!(!has(b""));
}

#[test]
fn a_relay_puts_option_82_last_and_takes_it_away_again() {
    let request = discover();
    let relayed = insert_relay_agent(&request, b"swp3", b"leaf-a", GIADDR).expect("relayed");
    let read = Message::parse(&relayed).expect("valid");
    let agent = read.relay_agent().expect("inserted");
    assert_eq!((agent.circuit_id(), agent.remote_id()), (Some(&b"swp3"[..]), Some(&b"leaf-a"[..])));
    assert_eq!((read.hops(), read.giaddr()), (1, GIADDR));
    assert_eq!(read.options().last().map(|(code, _)| code), Some(82));
    let mut back = strip_relay_agent(&relayed);
    back[3] = 0;
    back[24..28].fill(0);
    assert_eq!(back, request);
}

#[test]
fn a_relay_drops_what_it_must() {
    let forged = Request { more: vec![(82, vec![1, 1, 9])], ..Request::new(MessageType::Discover, MAC, 1) };
    assert_eq!(
        insert_relay_agent(&forged.encode(), b"swp3", b"", GIADDR),
        None,
        "a client that forges its port"
    );
    let mut far = discover();
    far[3] = HOPS_MAX;
    assert_eq!(insert_relay_agent(&far, b"swp3", b"", GIADDR), None);
    assert_eq!(insert_relay_agent(&far[..100], b"swp3", b"", GIADDR), None);
    let first = insert_relay_agent(&discover(), b"swp3", b"", GIADDR).expect("relayed");
    let second = insert_relay_agent(&first, b"swp9", b"", Ipv4Addr::new(10, 0, 0, 9)).expect("relayed again");
    let read = Message::parse(&second).expect("valid");
    assert_eq!((read.hops(), read.giaddr()), (2, GIADDR), "the first relay's marks stay");
    assert_eq!(read.relay_agent().and_then(RelayAgent::circuit_id), Some(&b"swp3"[..]));
}

#[test]
fn sub_options() {
    let agent = RelayAgent(&[1, 1, b'a', 5, 4, 10, 0, 0, 1, 11, 4, 10, 0, 0, 2, 151, 1, 0, 152, 0, 9]);
    assert_eq!(agent.circuit_id(), Some(&b"a"[..]));
    assert_eq!(agent.remote_id(), None);
    assert_eq!(agent.link_selection(), Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(agent.server_identifier_override(), Some(Ipv4Addr::new(10, 0, 0, 2)));
    assert_eq!(agent.sub_option(151), Some(&[0][..]));
    assert_eq!(agent.sub_option(9), None, "the list ends inside it");
    assert_eq!(RelayAgent(&[5, 3, 1, 2, 3]).link_selection(), None);
    assert_eq!(
        RelayAgent(&[0, 1, 7, 255, 1, 8, 2, 1, b'r']).remote_id(),
        Some(&b"r"[..]),
        "no pad and no end here"
    );
    for (octets, is_doubled) in [
        (&[1, 1, 5, 2, 1, 6][..], false),
        (&[1, 1, 5, 2, 1, 6, 9, 0, 9, 0], false),
        (&[1, 1, 5, 2, 1, 6, 1, 1, 7], true),
        (&[2, 0, 1, 1, 5, 2, 0], true),
        (&[1, 1, 5, 1, 200], false),
        (&[], false),
    ] {
        assert_eq!(RelayAgent(octets).is_doubled(), is_doubled, "{octets:?}");
    }
}

#[test]
fn a_reply_keeps_its_order_splits_what_is_long_and_ends_in_option_82() {
    let long = [b'x'; 600];
    let agent = [1, 4, b's', b'w', b'p', b'3', 99, 0];
    let mut reply = reply(vec![(53, &[2]), (54, &[10, 0, 0, 1]), (15, &long)], Some(&agent));
    reply.push(54, &[9, 9, 9, 9]);
    let mut out = vec![1; 7];
    reply.encode(ROOMY, &mut out).expect("fits");
    let read = Message::parse(&out).expect("valid");
    let options: Vec<(u8, usize)> = read.options().map(|(code, data)| (code, data.len())).collect();
    assert_eq!(options, [(53, 1), (54, 4), (15, 600), (82, 8)]);
    assert_eq!(read.option(82), Some(&agent[..]));
    let oracle = oracle(&out);
    assert_eq!(oracle.opcode(), v4::Opcode::BootReply);
    assert_eq!(oracle.yiaddr(), Ipv4Addr::new(10, 32, 1, 9));
    assert_eq!(oracle.opts().get(OptionCode::DomainName), Some(&DhcpOption::DomainName("x".repeat(600))));
    assert_eq!(oracle.opts().len(), 4);
}

#[test]
fn a_short_reply_is_padded_to_the_least_of_bootp() {
    let mut out = Vec::new();
    reply(vec![(53, &[2])], None).encode(ROOMY, &mut out).expect("fits");
    assert_eq!(out.len(), MESSAGE_MIN);
    assert_eq!(out[HEADER_LENGTH..HEADER_LENGTH + 5], [53, 1, 2, 255, 0]);
}

#[test]
fn room_is_made_in_a_fixed_order_and_what_must_be_sent_is_never_left_out() {
    let domain = [b'd'; 120];
    let servers = [9; 120];
    let options = || -> Vec<(u8, &[u8])> {
        vec![(53, &[5]), (54, &[10, 0, 0, 1]), (6, &servers), (42, &servers), (15, &domain), (61, &domain)]
    };
    let codes = |limits: Limits| {
        let mut out = Vec::new();
        reply(options(), None).encode(limits, &mut out).expect("fits");
        assert!(out.len() <= limits.client, "{} of {}", out.len(), limits.client);
        let read = Message::parse(&out).expect("valid");
        read.options().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(codes(ROOMY), [53, 54, 6, 42, 15, 61]);
    assert_eq!(codes(Limits { client: 640, ..ROOMY }), [53, 54, 6, 15, 61]);
    assert_eq!(codes(Limits { client: 548, ..ROOMY }), [53, 54, 6, 61]);
    assert_eq!(codes(Limits { client: 400, ..ROOMY }), [53, 54, 61]);
    let mut out = vec![1];
    let refused = reply(options(), None).encode(Limits { client: 300, ..ROOMY }, &mut out);
    assert_eq!((refused, out.len()), (Err(TooLarge), 0));
}

#[test]
fn free_fields_take_what_does_not_fit_unless_a_boot_file_is_there() {
    let domain = [b'd'; 100];
    let servers = [9; 60];
    let options = || -> Vec<(u8, &[u8])> { vec![(53, &[5]), (61, &domain), (15, &domain), (42, &servers)] };
    let limits = Limits { client: 360, path: 1472, overload: true };
    let mut out = Vec::new();
    reply(options(), None).encode(limits, &mut out).expect("fits");
    let read = Message::parse(&out).expect("valid");
    assert_eq!(read.option(code::OVERLOAD), Some(&[3][..]));
    assert_eq!((read.option(15), read.option(42)), (Some(&domain[..]), Some(&servers[..])));
    assert!(out.len() <= 360);
    let with_file = Reply { file: b"ipxe.efi", ..reply(options(), None) };
    with_file.encode(limits, &mut out).expect("fits");
    let read = Message::parse(&out).expect("valid");
    assert_eq!((read.option(code::OVERLOAD), read.boot_file()), (None, Some(&b"ipxe.efi"[..])));
}

#[test]
fn limits_follow_option_57_and_the_link() {
    let of = |size, mtu| {
        let limits = Limits::new(size, mtu, false);
        (limits.client, limits.path)
    };
    assert_eq!(of(None, 1500), (548, 1472));
    assert_eq!(of(Some(0), 1500), (548, 1472));
    assert_eq!(of(Some(1260), 1500), (1232, 1472));
    assert_eq!(of(Some(65535), 1500), (1472, 1472));
    assert_eq!(of(Some(1500), 0), (548, 548));
}

#[test]
fn nothing_that_comes_in_makes_it_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let valid = insert_relay_agent(&discover(), b"swp3", b"leaf-a", GIADDR).expect("relayed");
    for round in 0..100_000 {
        let mut bytes = if round % 2 == 0 { valid.clone() } else { vec![0; (next() % 700) as usize] };
        let edits = if round % 2 == 0 { next() % 8 } else { bytes.len() as u64 };
        for _ in 0..edits {
            let at = (next() as usize) % bytes.len().max(1);
            if let Some(octet) = bytes.get_mut(at) {
                *octet = next().to_le_bytes()[0];
            }
        }
        bytes.truncate((next() as usize) % (bytes.len() + 1) + bytes.len() / 2);
        if let Ok(read) = Message::parse(&bytes) {
            let total: usize = read.options().map(|(_, data)| data.len()).sum();
            assert!(total <= bytes.len());
            let _ = (
                read.uuid(),
                read.has_user_class(b"iPXE"),
                read.boot_file(),
                read.mac(),
                read.options().count(),
            );
            let _ =
                read.relay_agent().map(|agent| (agent.link_selection(), agent.server_identifier_override()));
        }
        let _ = (insert_relay_agent(&bytes, b"a", b"b", GIADDR), strip_relay_agent(&bytes));
    }
}
