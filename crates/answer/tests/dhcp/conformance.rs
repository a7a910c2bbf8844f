//! RFC 2131 and what goes with it: C1 to C25.

use crate::client::*;
use crate::zone::{self, CONTROLLERS, Settings, address, interface};
use answer::dhcp::Destination;
use model::event::{PROBE_CLASS, What};
use model::facts::{Facts, Stage};
use model::{Location, Mac, Reason, Time};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use wire::dhcp4::{MessageType, Request, code};

const U01: &str = "ams1/p01/r1/u01";
const U02: &str = "ams1/p01/r1/u02";

fn number(octets: Option<Vec<u8>>) -> Option<u32> {
    Some(u32::from_be_bytes(octets?.try_into().ok()?))
}

#[test]
fn c01_each_state_of_a_client_gets_what_is_due_to_it() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let offer = relayed(&view, &discover(), u01());
    assert_eq!((offer.sent(), offer.granted()), (Some(MessageType::Offer), its));
    for (state, outcome) in [
        ("SELECTING", relayed(&view, &selecting(its), u01())),
        ("INIT-REBOOT", relayed(&view, &init_reboot(its), u01())),
        ("RENEWING", direct(&view, &renewing(its), its)),
        ("REBINDING", relayed(&view, &renewing(its), u01())),
    ] {
        assert_eq!((outcome.sent(), outcome.granted()), (Some(MessageType::Ack), its), "{state}");
        assert_eq!(
            outcome.option(code::SERVER_IDENTIFIER),
            Some(CONTROLLERS[0].octets().to_vec()),
            "{state}"
        );
    }
    relayed(&view, &request(MessageType::Request), u01()).assert_silent(Reason::Malformed);
}

#[test]
fn c02_a_wrong_address_is_refused_where_we_are_authoritative_and_passed_over_in_silence_elsewhere() {
    let view = zone::view();
    let neighbours = address(&view, U02, "eno1");
    relayed(&view, &init_reboot(neighbours), u01()).assert_nak(Reason::WrongAddress);
    relayed(&view, &init_reboot(Ipv4Addr::new(192, 168, 1, 7)), u01()).assert_nak(Reason::WrongAddress);
    let undrawn = Port { circuit_id: "swp44", ..u01() };
    relayed(&view, &init_reboot(neighbours), undrawn).assert_silent(Reason::UnknownPort);
    let foreign = Port { giaddr: Ipv4Addr::new(172, 16, 0, 1), remote_id: "other", ..u01() };
    relayed(&view, &init_reboot(neighbours), foreign).assert_silent(Reason::UnknownRelay);
    direct(&view, &init_reboot(neighbours), Ipv4Addr::UNSPECIFIED).assert_silent(Reason::NoIdentity);
    let elsewhere = Ipv4Addr::new(192, 168, 1, 7);
    direct(&view, &renewing(elsewhere), elsewhere).assert_silent(Reason::NoIdentity);
}

#[test]
fn c03_a_nak_is_broadcast_and_by_the_relay_with_the_broadcast_bit() {
    let view = zone::view();
    let wrong = relayed(&view, &init_reboot(address(&view, U02, "eno1")), u01());
    wrong.assert_nak(Reason::WrongAddress);
    assert_eq!(wrong.destination(), Some(Destination::Relay(zone::leaf_a(0))));
    let nak = wrong.reply();
    assert!(nak.broadcast());
    assert_eq!((nak.ciaddr(), nak.yiaddr()), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    assert_eq!(wrong.codes(), [53, 54, 56, 82]);

    // Without a relay: a renewal by hardware that belongs elsewhere.
    let facts = zone::facts(U02, |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    });
    let view = zone::view_of(&Settings::default(), &facts);
    let its = address(&view, U01, "eno1");
    let other = direct(&view, &renewing(its), its);
    other.assert_nak(Reason::OtherMachine);
    let to = other.destination().expect("sent").address();
    assert_eq!(to, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
}

#[test]
fn c04_a_declined_address_is_a_conflict_and_is_not_offered_again() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let decline = Request { kind: Some(MessageType::Decline), ..selecting(its) };
    let outcome = relayed(&view, &decline, u01());
    let answer = outcome.result.expect("understood");
    assert_eq!(answer.destination, None, "no reply is due");
    let event = answer.observed.expect("an event").event(&view.plan, Time(5));
    assert_eq!(event.location, Location::new(U01));
    let declined = What::Declined { interface: "eno1".to_owned(), address: IpAddr::V4(its), mac: Mac(MAC) };
    assert_eq!(event.what, declined);

    let facts = zone::facts(U01, |machine| {
        machine.conflicts.insert(IpAddr::V4(its), zone::conflict());
    });
    let view = zone::view_of(&Settings::default(), &facts);
    relayed(&view, &discover(), u01()).assert_silent(Reason::Conflict);
    relayed(&view, &init_reboot(its), u01()).assert_silent(Reason::Conflict);
    let eno2 = Port { remote_id: "p01-r1-leaf-b", giaddr: zone::leaf_b(0), ..u01() };
    assert_eq!(
        relayed(&view, &discover(), eno2).granted(),
        address(&view, U01, "eno2"),
        "the other is as good"
    );
    assert_eq!(direct(&view, &renewing(its), its).granted(), its, "whoever holds it and renews it keeps it");
}

#[test]
fn c04_a_decline_counts_from_the_addresses_own_port_only() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let decline = Request { kind: Some(MessageType::Decline), ..selecting(its) };
    relayed(&view, &decline, u02()).assert_silent(Reason::WrongAddress);
    direct(&view, &decline, Ipv4Addr::UNSPECIFIED).assert_silent(Reason::NoIdentity);
    direct(&view, &Request { ciaddr: its, ..decline }, its).assert_silent(Reason::NoIdentity);
}

#[test]
fn c05_release_needs_no_reply_and_inform_gets_everything_but_a_lease() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let release =
        Request { ciaddr: its, server_identifier: Some(CONTROLLERS[0]), ..request(MessageType::Release) };
    let outcome = direct(&view, &release, its);
    assert_eq!(outcome.destination(), None);
    assert!(outcome.result.is_ok());

    let inform = Request {
        ciaddr: its,
        parameter_list: vec![code::SUBNET_MASK, code::LEASE_TIME, code::DOMAIN_NAME_SERVER],
        ..request(MessageType::Inform)
    };
    for outcome in [direct(&view, &inform, its), relayed(&view, &inform, u01())] {
        assert_eq!(outcome.destination(), Some(Destination::Client(its)));
        assert_eq!((outcome.sent(), outcome.granted()), (Some(MessageType::Ack), Ipv4Addr::UNSPECIFIED));
        let lease = [code::LEASE_TIME, code::RENEWAL_TIME, code::REBINDING_TIME];
        assert!(!outcome.codes().iter().any(|code| lease.contains(code)), "{:?}", outcome.codes());
        assert!(outcome.codes().contains(&code::DOMAIN_NAME_SERVER));
    }
    let elsewhere = Request { ciaddr: Ipv4Addr::new(192, 0, 2, 1), ..inform };
    relayed(&view, &elsewhere, u01()).assert_silent(Reason::WrongAddress);
}

#[test]
fn c06_a_reply_goes_to_the_relay_then_to_the_client_and_keeps_the_broadcast_flag() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    for broadcast in [false, true] {
        let outcome = relayed(&view, &Request { broadcast, ..discover() }, u01());
        let to = outcome.destination().expect("sent").address();
        assert_eq!(to, SocketAddrV4::new(zone::leaf_a(0), 67));
        assert_eq!(outcome.reply().broadcast(), broadcast, "the relay reads it");
        assert_eq!(outcome.reply().giaddr(), zone::leaf_a(0));
    }
    let outcome = direct(&view, &renewing(its), its);
    assert_eq!(outcome.destination().expect("sent").address(), SocketAddrV4::new(its, 68));
    assert_eq!(outcome.reply().ciaddr(), its);
    let rebinding = relayed(&view, &renewing(its), u01());
    assert_eq!(rebinding.destination(), Some(Destination::Relay(zone::leaf_a(0))), "giaddr before ciaddr");
}

#[test]
fn c07_a_packet_sent_twice_is_answered_twice_alike_and_by_every_replica() {
    let (one, other) = (zone::view(), zone::view());
    let newer = plan::view::refresh(&one, &model::Facts::default());
    let its = address(&one, U01, "eno1");
    for request in [discover(), selecting(its), init_reboot(Ipv4Addr::LOCALHOST)] {
        let first = relayed(&one, &request, u01());
        assert_eq!(first.bytes, relayed(&newer, &request, u01()).bytes);
        assert_eq!(first.bytes, relayed(&one, &request, u01()).bytes);
        assert_eq!(first.bytes, relayed(&other, &request, u01()).bytes);
    }
}

#[test]
fn c08_a_request_for_another_server_is_left_alone() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let other = Request { server_identifier: Some(Ipv4Addr::new(10, 0, 0, 99)), ..selecting(its) };
    relayed(&view, &other, u01()).assert_silent(Reason::NotForUs);
    let second = Request { server_identifier: Some(CONTROLLERS[1]), ..selecting(its) };
    assert_eq!(relayed(&view, &second, u01()).granted(), its, "any controller is us");
}

#[test]
fn c09_the_client_identifier_goes_back_in_every_reply() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let identifier = vec![255, 1, 2, 3, 4, 0, 1, 0, 1];
    for request in [discover(), selecting(its), init_reboot(Ipv4Addr::LOCALHOST)] {
        let request = Request { client_identifier: Some(identifier.clone()), ..request };
        let outcome = relayed(&view, &request, u01());
        assert_eq!(outcome.option(code::CLIENT_IDENTIFIER), Some(identifier.clone()), "{:?}", outcome.sent());
    }
    assert_eq!(relayed(&view, &discover(), u01()).option(code::CLIENT_IDENTIFIER), None);
}

#[test]
fn c10_options_come_in_the_clients_order_and_server_and_lease_always() {
    let view = zone::view();
    let listed =
        |list: &[u8]| relayed(&view, &Request { parameter_list: list.to_vec(), ..discover() }, u01()).codes();
    assert_eq!(listed(&[15, 6, 1, 3, 200, 12]), [53, 54, 51, 58, 59, 15, 6, 1, 3, 12, 82]);
    assert_eq!(listed(&[3, 1]), [53, 54, 51, 58, 59, 1, 3, 82], "the mask before the router, RFC 2132 §3.3");
    assert_eq!(listed(&[3]), [53, 54, 51, 58, 59, 3, 82]);
    assert_eq!(listed(&[51, 54, 53, 82, 255, 0, 42, 42]), [53, 54, 51, 58, 59, 42, 82]);
    assert_eq!(listed(&[]), [53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 28, 82], "no list at all");
}

#[test]
fn c10_what_is_told_is_what_the_plan_says() {
    let view = zone::view();
    let list = vec![1, 3, 6, 12, 15, 28, 42, 119];
    let outcome = relayed(&view, &Request { parameter_list: list, ..discover() }, u01());
    let controllers: Vec<u8> = CONTROLLERS.iter().flat_map(Ipv4Addr::octets).collect();
    assert_eq!(outcome.option(1), Some(vec![255, 255, 255, 0]));
    assert_eq!(outcome.option(3), Some(zone::gateway(0).octets().to_vec()));
    assert_eq!(outcome.option(6), Some(controllers.clone()));
    assert_eq!(outcome.option(12), Some(b"p01-r1-u01".to_vec()));
    assert_eq!(outcome.option(15), Some(b"ams1.example.net".to_vec()));
    assert_eq!(outcome.option(28), Some(vec![10, 1, 0, 255]));
    assert_eq!(outcome.option(42), Some(controllers));
    assert_eq!(outcome.option(119), Some(b"\x04ams1\x07example\x03net\x00".to_vec()));
}

/// A zone whose options do not fit 548 octets.
fn wordy() -> Settings {
    let resolver = |last: u8| IpAddr::V4(Ipv4Addr::new(10, 9, 9, last));
    Settings {
        resolvers: (0..50).map(resolver).collect(),
        domain: format!("{}.example", "d".repeat(60)),
        mtu: Some(9000),
        ..Settings::default()
    }
}

#[test]
fn c11_a_reply_keeps_to_the_clients_size_and_to_548_octets_if_it_names_none() {
    let view = zone::view_of(&wordy(), &Facts::default());
    for (maximum_size, most) in
        [(None, 548), (Some(0), 548), (Some(576), 548), (Some(600), 572), (Some(1500), 1472)]
    {
        // A boot ROM, for which the fields stay free of options.
        let request = Request {
            maximum_size,
            vendor_class: b"PXEClient:Arch:00000".to_vec(),
            parameter_list: vec![1, 3, 6, 12, 15, 28, 42, 119],
            ..discover()
        };
        let outcome = relayed(&view, &request, u01());
        let agent = 2 + outcome.option(82).expect("echoed").len();
        assert!(outcome.bytes.len() - agent <= most, "{maximum_size:?}: {}", outcome.bytes.len());
        assert!(outcome.codes().starts_with(&[53, 54, 51]));
    }
}

#[test]
fn c12_what_does_not_fit_the_path_is_left_out_in_a_fixed_order_and_nothing_is_fragmented() {
    let settings = Settings { mtu: Some(700), ..wordy() };
    let view = zone::view_of(&settings, &Facts::default());
    let request = |maximum_size| Request {
        maximum_size,
        vendor_class: b"PXEClient:Arch:00000".to_vec(),
        parameter_list: vec![1, 3, 6, 12, 15, 26, 28, 42, 119],
        ..discover()
    };
    let outcome = relayed(&view, &request(Some(1500)), u01());
    assert!(outcome.bytes.len() <= 672, "{}", outcome.bytes.len());
    assert_eq!(outcome.codes(), [53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 42, 82], "no search list");
    let outcome = relayed(&view, &request(None), u01());
    assert_eq!(
        outcome.codes(),
        [53, 54, 51, 1, 3, 6, 15, 26, 82],
        "and nothing that a client can do without"
    );
}

#[test]
fn c13_long_options_are_split_and_joined_in_both_directions() {
    let resolvers = (0..100).map(|last| IpAddr::V4(Ipv4Addr::new(10, 9, 9, last))).collect();
    let view = zone::view_of(&Settings { resolvers, ..Settings::default() }, &Facts::default());
    // A list of 300 codes comes in two instances; what counts stands in the second.
    let mut list = vec![200; 290];
    list.push(6);
    let request = Request { parameter_list: list, maximum_size: Some(1500), ..discover() };
    let outcome = relayed(&view, &request, u01());
    assert_eq!(outcome.option(6).map(|octets| octets.len()), Some(400));
    let whole = &outcome.bytes[240..];
    assert!(whole.windows(2).any(|it| it == [6, 255]) && whole.windows(2).any(|it| it == [6, 145]));
    assert_eq!(outcome.codes().iter().filter(|code| **code == 54).count(), 1, "never two of Option 54");
    assert_eq!(whole.windows(6).filter(|it| *it == [54, 4, 10, 0, 0, 2]).count(), 1);
}

#[test]
fn c14_options_in_file_and_sname_are_read_and_a_wrong_overload_is_nothing() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let mut bytes = Request { more: vec![(52, vec![3])], ..request(MessageType::Request) }.encode();
    let [a, b, c, d] = its.octets();
    bytes[108..116].copy_from_slice(&[50, 4, a, b, c, d, 255, 0]);
    bytes[44..52].copy_from_slice(&[54, 4, 10, 0, 0, 2, 255, 0]);
    let through = |bytes: &[u8]| {
        let packet = wire::dhcp4::insert_relay_agent(bytes, b"swp1", b"p01-r1-leaf-a", zone::leaf_a(0));
        send(&view, &packet.expect("passed on"), SocketAddrV4::new(zone::leaf_a(0), 67), 67)
    };
    assert_eq!(through(&bytes).granted(), its);
    let mut wrong = bytes.clone();
    let at = wrong.windows(3).position(|it| it == [52, 1, 3]).expect("there");
    wrong[at + 2] = 4;
    through(&wrong).assert_silent(Reason::Malformed);
}

#[test]
fn c15_firmware_never_gets_options_where_the_boot_file_stands() {
    let view = zone::view_of(&wordy(), &Facts::default());
    let request = Request { parameter_list: vec![1, 3, 6, 12, 15, 28, 42, 119], ..discover() };
    let system = relayed(&view, &request, u01());
    assert_eq!(system.option(code::OVERLOAD), Some(vec![1]), "an operating system does");
    assert_eq!(system.option(code::DOMAIN_NAME).map(|domain| domain.len()), Some(68), "in `file`");
    let classes: [&[u8]; 3] = [b"PXEClient:Arch:00000", b"PXEClient:Arch:00007", b"HTTPClient:Arch:00016"];
    for class in classes {
        let request = Request { vendor_class: class.to_vec(), ..request.clone() };
        let outcome = relayed(&view, &request, u01());
        assert_eq!(outcome.option(code::OVERLOAD), None);
        assert!(!outcome.boot_file().is_empty());
        assert_eq!(&outcome.bytes[44..108], &[0; 64]);
    }
    let local = Port { circuit_id: "swp4", ..u01() };
    let request = Request { vendor_class: b"PXEClient:Arch:00000".to_vec(), ..request };
    assert_eq!(relayed(&view, &request, local).option(code::OVERLOAD), None, "nor one that has no boot file");
}

#[test]
fn c16_pads_a_missing_end_and_odd_lengths() {
    let view = zone::view();
    let giaddr = zone::leaf_a(0);
    let check = |options: &[u8], expected: Option<Reason>| {
        let mut bytes = Request { giaddr, ..discover() }.encode();
        bytes.truncate(240);
        bytes.extend_from_slice(options);
        let outcome = send(&view, &bytes, SocketAddrV4::new(giaddr, 67), 67);
        assert_eq!(outcome.reason(), expected, "{options:?}");
    };
    let identity = [&[82, 21, 1, 4][..], b"swp1", &[2, 13], b"p01-r1-leaf-a"].concat();
    check(&[&[53, 1, 1][..], &identity, &[255]].concat(), None);
    check(&[&[53, 1, 1][..], &identity].concat(), None);
    check(&[&[0, 0, 53, 1, 1, 0][..], &identity, &[0]].concat(), None);
    check(&[&[53, 1, 1, 12, 0][..], &identity, &[255]].concat(), None);
    check(&[&[53, 1, 1, 12, 2, 0, 255][..], &identity, &[255]].concat(), None);
    check(&[&[53, 1, 1, 255][..], &identity].concat(), Some(Reason::NoIdentity));
    check(&[&[53, 1, 1][..], &identity[..9]].concat(), Some(Reason::Malformed));
    check(&[&[53, 0][..], &identity, &[255]].concat(), Some(Reason::NotServed));
    check(&[&[53, 2, 1, 1][..], &identity, &[255]].concat(), Some(Reason::NotServed));
    check(&[], Some(Reason::NotServed));
}

#[test]
fn c17_option_82_goes_back_byte_for_byte_and_its_sub_options_count() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let (giaddr, swp1, leaf) = (zone::leaf_a(0), &b"swp1"[..], &b"p01-r1-leaf-a"[..]);
    let odd = agent(&[
        (2, leaf),
        (0, b"\xff\x00"),
        (255, b""),
        (151, b"\x01vpn"),
        (152, b""),
        (9, b"x"),
        (1, swp1),
    ]);
    let outcome = with_agent(&view, &discover(), &odd, giaddr);
    assert_eq!((outcome.granted(), outcome.option(82)), (its, Some(odd)));

    // RFC 5107: the relay stands in for the server, so that renewals pass it.
    let own = agent(&[(1, swp1), (2, leaf), (11, &giaddr.octets())]);
    let outcome = with_agent(&view, &discover(), &own, giaddr);
    assert_eq!(outcome.option(code::SERVER_IDENTIFIER), Some(giaddr.octets().to_vec()));
    let selecting = Request { server_identifier: Some(giaddr), ..selecting(its) };
    assert_eq!(with_agent(&view, &selecting, &own, giaddr).granted(), its, "that name is ours then");
    relayed(&view, &selecting, u01()).assert_silent(Reason::NotForUs);
    // Only the relay's own address: anything else would send renewals wherever a packet says.
    let stranger = agent(&[(1, swp1), (2, leaf), (11, &[192, 0, 2, 1])]);
    let outcome = with_agent(&view, &discover(), &stranger, giaddr);
    assert_eq!(outcome.option(code::SERVER_IDENTIFIER), Some(CONTROLLERS[0].octets().to_vec()));

    // Two instances of 82 are one, and go back as long as they were.
    let long = agent(&[(1, swp1), (2, leaf), (200, &[7; 250])]);
    assert!(long.len() > 255);
    let outcome = with_agent(&view, &discover(), &long, giaddr);
    assert_eq!((outcome.granted(), outcome.option(82)), (its, Some(long)));
}

#[test]
fn c18_giaddr_on_one_net_and_link_selection_on_another() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    // The relay calls itself by its management address and selects the machines' subnet (RFC 3527).
    let management = address(&view, "ams1/p01/r1/leaf-a", "mgmt");
    let select = |link: Ipv4Addr| {
        let agent = agent(&[(1, b"swp1"), (2, b"p01-r1-leaf-a"), (5, &link.octets())]);
        with_agent(&view, &discover(), &agent, management)
    };
    let outcome = select(zone::gateway(0));
    assert_eq!(outcome.granted(), its);
    assert_eq!(outcome.destination(), Some(Destination::Relay(management)), "to giaddr, not to the link");
    // A link that is not where the port leads: neither is a guess worth an address.
    select(zone::lom(0)).assert_silent(Reason::UntrustedRelay);
    select(Ipv4Addr::new(192, 0, 2, 1)).assert_silent(Reason::UntrustedRelay);
}

#[test]
fn c19_loops_and_forged_option_82() {
    let view = zone::view();
    let mut packet = through(&discover(), u01());
    let source = SocketAddrV4::new(zone::leaf_a(0), 67);
    packet[3] = 16;
    assert_eq!(send(&view, &packet, source, 67).reason(), None);
    packet[3] = 17;
    send(&view, &packet, source, 67).assert_silent(Reason::RelayLoop);
    for controller in CONTROLLERS {
        let looped = Port { giaddr: controller, ..u01() };
        relayed(&view, &discover(), looped).assert_silent(Reason::RelayLoop);
    }
    // Option 82 without a relay: a client that forges its port.
    let forged = agent(&[(1, b"swp1"), (2, b"p01-r1-leaf-a")]);
    let request = Request { more: vec![(82, forged.clone())], ..discover() };
    direct(&view, &request, Ipv4Addr::UNSPECIFIED).assert_silent(Reason::UntrustedRelay);
    let (its, neighbours) = (address(&view, U01, "eno1"), address(&view, U02, "eno1"));
    let request = Request { more: vec![(82, forged)], ..renewing(neighbours) };
    direct(&view, &request, neighbours).assert_silent(Reason::UntrustedRelay);
    // A snooping switch that marks a renewal names the very place that the address belongs to.
    assert_eq!(direct(&view, &Request { ciaddr: its, ..request }, its).granted(), its);
    // A relay that speaks with another's name.
    let other_rack = Port { giaddr: zone::leaf_a(1), ..u01() };
    relayed(&view, &discover(), other_rack).assert_silent(Reason::UntrustedRelay);
    let unknown = Port { giaddr: Ipv4Addr::new(172, 16, 0, 1), ..u01() };
    relayed(&view, &discover(), unknown).assert_silent(Reason::UntrustedRelay);
}

#[test]
fn a04_what_a_client_says_of_its_port_counts_for_nothing() {
    let view = zone::view();
    let (its, neighbours) = (address(&view, U01, "eno1"), address(&view, U02, "eno1"));
    // The client of swp2 names swp1, and the relay, which should have dropped that, appends its own.
    let forged = agent(&[(1, b"swp1"), (2, b"p01-r1-leaf-a")]);
    let relays = agent(&[(1, b"swp2"), (2, b"p01-r1-leaf-a")]);
    let both = Request {
        giaddr: zone::leaf_a(0),
        more: vec![(82, forged.clone()), (82, relays.clone())],
        ..discover()
    };
    direct(&view, &both, zone::leaf_a(0)).assert_silent(Reason::UntrustedRelay);
    let other_way = Request { more: vec![(82, relays), (82, forged)], ..both };
    direct(&view, &other_way, zone::leaf_a(0)).assert_silent(Reason::UntrustedRelay);
    let renewal = Request { more: other_way.more.clone(), ..renewing(its) };
    direct(&view, &renewal, its).assert_silent(Reason::UntrustedRelay);
    // A machine that speaks as its own leaf, for its neighbour; and the same packet from the leaf.
    let packet = through(&discover(), u01());
    send(&view, &packet, SocketAddrV4::new(neighbours, 67), 67).assert_silent(Reason::UntrustedRelay);
    let bmc = address(&view, U01, "bmc");
    send(&view, &packet, SocketAddrV4::new(bmc, 67), 67).assert_silent(Reason::UntrustedRelay);
    // From an address that the plan gives nobody: one that it may take on its own subnet, or on the BMCs', or none.
    let decline = Request { requested_address: Some(its), ..request(MessageType::Decline) };
    let free = [Ipv4Addr::new(10, 1, 0, 250), Ipv4Addr::new(11, 1, 0, 250), Ipv4Addr::UNSPECIFIED];
    for source in free.map(|free| SocketAddrV4::new(free, 67)) {
        send(&view, &packet, source, 67).assert_silent(Reason::UntrustedRelay);
        let declined = send(&view, &through(&decline, u01()), source, 67);
        declined.assert_silent(Reason::UntrustedRelay);
        assert_eq!(declined.result.expect_err("refused").observed, None, "{source}");
    }
    // The switches' own addresses, those of a subnet that no machine stands on, and those that nothing is known of.
    let management = address(&view, "ams1/p01/r1/leaf-a", "mgmt");
    let (transit, loopback) = (Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(192, 0, 2, 77));
    for relay in [zone::leaf_a(0), zone::leaf_b(0), zone::gateway(0), management, transit, loopback] {
        assert_eq!(send(&view, &packet, SocketAddrV4::new(relay, 67), 67).granted(), its);
    }
}

#[test]
fn a04_relays_send_from_where_the_zone_says() {
    let elsewhere = Ipv4Addr::new(192, 0, 2, 77);
    let packet = through(&discover(), u01());
    let reason = |relays_from: Option<&[&str]>, source| {
        let view = zone::relayed_from(relays_from);
        send(&view, &packet, SocketAddrV4::new(source, 67), 67).reason()
    };
    for (relays_from, from_elsewhere) in [
        (None, None),
        (Some(&["192.0.2.0/24", "2001:db8::/32"][..]), None),
        (Some(&["192.0.2.0/26"]), Some(Reason::UntrustedRelay)),
        (Some(&[]), Some(Reason::UntrustedRelay)),
    ] {
        assert_eq!(reason(relays_from, elsewhere), from_elsewhere, "{relays_from:?}");
        assert_eq!(reason(relays_from, zone::leaf_b(0)), None, "{relays_from:?}: an address of a switch");
    }
    // A prefix that holds machines lets none of them relay.
    let view = zone::relayed_from(Some(&["0.0.0.0/0"]));
    let neighbours = address(&view, U02, "eno1");
    assert_eq!(reason(Some(&["0.0.0.0/0"]), neighbours), Some(Reason::UntrustedRelay));
}

#[test]
fn a03_who_gives_back_or_declines_for_another_changes_nothing() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    let release = Request { ciaddr: its, ..request(MessageType::Release) };
    let decline = Request { requested_address: Some(its), ..request(MessageType::Decline) };
    for forged in [&release, &decline] {
        let outcome = relayed(&view, forged, u02());
        assert!(outcome.bytes.is_empty());
        let observed = outcome.result.map_or_else(|refused| refused.observed, |answer| answer.observed);
        assert_eq!(observed.and_then(|observed| observed.declined), None, "{forged:?}");
    }
    assert_eq!(relayed(&view, &discover(), u01()).granted(), its);
}

#[test]
fn c20_a_unicast_renewal_without_option_82_keeps_the_ports_address() {
    let facts = zone::facts(U01, |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    });
    let view = zone::view_of(&Settings::default(), &facts);
    let its = address(&view, U01, "eno1");
    let outcome = direct(&view, &renewing(its), its);
    assert_eq!((outcome.granted(), outcome.destination()), (its, Some(Destination::Client(its))));
    let answer = outcome.result.expect("granted");
    assert_eq!(answer.observed, None, "it shows no place, so nothing is learnt");
    // Not from somebody else's address.
    direct(&view, &renewing(its), address(&view, U02, "eno1")).assert_silent(Reason::NoIdentity);
    // With the lease it got by its port, byte for byte but for the relay's part.
    assert_eq!(outcome.bytes[240..], direct(&view, &renewing(its), its).bytes[240..]);
}

#[test]
fn c21_a_host_that_moved_is_told_no_and_reported() {
    let facts = zone::facts(U01, |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    });
    let view = zone::view_of(&Settings::default(), &facts);
    let before = address(&view, U01, "eno1");
    for request in [renewing(before), init_reboot(before), selecting(address(&view, U02, "eno1"))] {
        let outcome = relayed(&view, &request, u02());
        outcome.assert_nak(Reason::OtherMachine);
        let refused = outcome.result.expect_err("refused");
        assert_eq!(refused.refusal.interface, Some(interface(&view, U02, "eno1")));
        let event = refused.observed.expect("an event").event(&view.plan, Time(9));
        assert_eq!(event.location, Location::new(U02));
        let asked = What::Asked {
            interface: "eno1".to_owned(),
            mac: Mac(MAC),
            uuid: None,
            stage: Stage::Os,
            port: "p01-r1-leaf-a swp2".to_owned(),
        };
        assert_eq!(event.what, asked);
    }
    // A DISCOVER has nothing to be told no to.
    let outcome = relayed(&view, &discover(), u02());
    outcome.assert_silent(Reason::OtherMachine);
    assert!(outcome.result.expect_err("refused").observed.is_some());
    // One that nobody knows and that brings its old address.
    let request = Request { hardware: OTHER_MAC.to_vec(), ..renewing(before) };
    let outcome = relayed(&view, &request, u02());
    outcome.assert_nak(Reason::WrongAddress);
    assert!(outcome.result.expect_err("refused").observed.is_some());
    // Its own place takes it back, by whichever of its interfaces.
    assert_eq!(relayed(&view, &discover(), u01()).granted(), before);
    let eno2 = Port { remote_id: "p01-r1-leaf-b", giaddr: zone::leaf_b(0), ..u01() };
    assert_eq!(relayed(&view, &discover(), eno2).granted(), address(&view, U01, "eno2"));
}

#[test]
fn c22_secs_and_hardware_that_is_not_ethernet() {
    let view = zone::view();
    let its = address(&view, U01, "eno1");
    for secs in [0, 1, u16::MAX] {
        assert_eq!(relayed(&view, &Request { secs, ..discover() }, u01()).granted(), its);
    }
    // InfiniBand: 20 octets do not fit, so none are sent, and the port is identity enough (RFC 4390).
    let infiniband = Request {
        hardware_type: 32,
        hardware: Vec::new(),
        broadcast: true,
        client_identifier: Some(vec![32; 21]),
        ..discover()
    };
    let outcome = relayed(&view, &infiniband, u01());
    assert_eq!(outcome.granted(), its);
    assert_eq!((outcome.reply().hardware_type(), outcome.reply().broadcast()), (32, true));
    let sixteen = Request { hardware_type: 32, hardware: vec![7; 16], ..discover() };
    assert_eq!(relayed(&view, &sixteen, u01()).reply().hardware(), [7; 16]);
    for hardware in [vec![], vec![0; 6], vec![2; 5], vec![2; 16]] {
        relayed(&view, &Request { hardware, ..discover() }, u01()).assert_silent(Reason::Malformed);
    }
    let mut packet = through(&discover(), u01());
    packet[2] = 17;
    send(&view, &packet, SocketAddrV4::new(zone::leaf_a(0), 67), 67).assert_silent(Reason::Malformed);
}

#[test]
fn c23_bootp_is_not_served() {
    let view = zone::view();
    relayed(&view, &Request { kind: None, ..discover() }, u01()).assert_silent(Reason::NotServed);
    let mut plain = Request { giaddr: zone::leaf_a(0), ..discover() }.encode();
    plain[236..].fill(0);
    let source = SocketAddrV4::new(zone::leaf_a(0), 67);
    send(&view, &plain, source, 67).assert_silent(Reason::NotServed);
    // Nor what only servers say.
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        relayed(&view, &request(kind), u01()).assert_silent(Reason::Malformed);
    }
    let mut reply = through(&discover(), u01());
    reply[0] = 2;
    send(&view, &reply, source, 67).assert_silent(Reason::NotServed);
}

#[test]
fn c24_subnets_of_two_addresses_and_a_second_subnet_behind_one_relay_address() {
    // A tag is gone before a datagram is one, so what is left of VLANs is which subnet the relay speaks from.
    let settings = Settings { prefix: 31, ..Settings::default() };
    let view = zone::view_of(&settings, &Facts::default());
    let outcome = relayed(&view, &Request { parameter_list: vec![1, 28], ..discover() }, u01());
    assert_eq!(outcome.option(code::SUBNET_MASK), Some(vec![255, 255, 255, 254]));
    assert_eq!(outcome.option(code::BROADCAST_ADDRESS), None, "RFC 3021");

    let view = zone::view();
    let shared = Port { circuit_id: "swp5", ..u01() };
    let request = Request { vendor_class: b"iDRAC9".to_vec(), ..discover() };
    let outcome = relayed(&view, &request, shared);
    assert_eq!(outcome.granted(), address(&view, "ams1/p01/r1/u05", "bmc"), "of the BMCs' subnet");
    assert_eq!(outcome.destination(), Some(Destination::Relay(zone::leaf_a(0))));
}

#[test]
fn c25_timers_are_in_order_and_no_clock_is_asked() {
    for lease_seconds in [0, 1, 7, 8, 9, 60, 3600, 86_400, u32::MAX - 1] {
        let view = zone::view_of(&Settings { lease_seconds, ..Settings::default() }, &Facts::default());
        let outcome = relayed(&view, &discover(), u01());
        let lease = number(outcome.option(code::LEASE_TIME)).expect("always there");
        let renewal = number(outcome.option(code::RENEWAL_TIME)).expect("T1");
        let rebinding = number(outcome.option(code::REBINDING_TIME)).expect("T2");
        assert!(0 < renewal && renewal < rebinding && rebinding < lease, "{renewal} {rebinding} {lease}");
        assert_eq!(lease, lease_seconds.max(8));
    }
    let view = zone::view_of(&Settings { lease_seconds: u32::MAX, ..Settings::default() }, &Facts::default());
    let outcome = relayed(&view, &discover(), u01());
    assert_eq!(number(outcome.option(code::LEASE_TIME)), Some(u32::MAX));
    assert_eq!(outcome.option(code::RENEWAL_TIME), None, "for ever is not renewed");
    // Nothing that answers takes a time: a clock that steps a day changes no byte (compare `answer::dhcp::v4`).
}

#[test]
fn a_machine_is_known_by_each_of_its_attachments() {
    let view = zone::view();
    let check = |port: Port<'_>, location: &str, name: &str| {
        assert_eq!(relayed(&view, &discover(), port).granted(), address(&view, location, name), "{port:?}");
    };
    check(u01(), U01, "eno1");
    check(Port { giaddr: zone::gateway(0), ..u01() }, U01, "eno1");
    check(Port { remote_id: "p01-r1-leaf-b", giaddr: zone::leaf_b(0), ..u01() }, U01, "eno2");
    check(Port { remote_id: "p01-r1-leaf-b", giaddr: zone::gateway(0), ..u01() }, U01, "eno2");
    check(u01_bmc(), U01, "bmc");
    check(Port { giaddr: zone::gateway(0), ..u02() }, U02, "eno1");
    let member = Port { circuit_id: "swp6", ..u01() };
    check(member, "ams1/p01/r1/u06", "bond0");
    check(Port { circuit_id: "PortChannel6", ..member }, "ams1/p01/r1/u06", "bond0");
    check(Port { remote_id: "p01-r2-leaf-a", giaddr: zone::leaf_a(1), ..u01() }, "ams1/p01/r2/u01", "eno1");
    // A relay whose model writes no remote-id may write one all the same (its MAC address, often).
    let outcome =
        with_agent(&view, &discover(), &agent(&[(1, b"swp1"), (2, &[2, 0, 0, 0, 9, 9])]), zone::lom(0));
    assert_eq!(outcome.granted(), address(&view, U01, "bmc"));
}

#[test]
fn what_the_plan_does_not_expect_is_refused_by_its_reason() {
    let view = zone::view();
    let lom_port = Port { circuit_id: "swp40", ..u01_bmc() };
    relayed(&view, &discover(), lom_port).assert_silent(Reason::UnknownPort);
    relayed(&view, &discover(), Port { circuit_id: "swp01", ..u01() }).assert_silent(Reason::UnknownPort);
    relayed(&view, &discover(), Port { remote_id: "", ..u01() }).assert_silent(Reason::UnknownPort);
    let plain = Request { giaddr: zone::leaf_a(0), ..discover() };
    direct(&view, &plain, zone::leaf_a(0)).assert_silent(Reason::NoIdentity);
    let plain = Request { giaddr: Ipv4Addr::new(172, 16, 0, 1), ..discover() };
    direct(&view, &plain, zone::leaf_a(0)).assert_silent(Reason::UnknownRelay);
    with_agent(&view, &discover(), &agent(&[(2, b"x")]), zone::leaf_a(0)).assert_silent(Reason::NoIdentity);
    direct(&view, &discover(), Ipv4Addr::UNSPECIFIED).assert_silent(Reason::NoIdentity);

    let guest = Request { hardware: vec![0x52, 0x54, 0x99, 1, 2, 3], ..discover() };
    relayed(&view, &guest, u01()).assert_silent(Reason::Guest);
    assert!(relayed(&view, &guest, u01_bmc()).result.is_ok(), "a BMC hosts no guests");

    let facts = zone::facts(U01, |machine| machine.state = zone::retired());
    let view = zone::view_of(&Settings::default(), &facts);
    let outcome = relayed(&view, &discover(), u01());
    outcome.assert_silent(Reason::Retired);
    let refusal = outcome.result.expect_err("refused").refusal;
    assert_eq!(refusal.interface, Some(interface(&view, U01, "eno1")));
    assert!(refusal.switch.is_some());
}

#[test]
fn hardware_of_a_retired_place_may_be_used_elsewhere() {
    let facts = zone::facts(U01, |machine| {
        machine.state = zone::retired();
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    });
    let view = zone::view_of(&Settings::default(), &facts);
    assert_eq!(relayed(&view, &discover(), u02()).granted(), address(&view, U02, "eno1"));
}

#[test]
fn an_ack_by_a_port_is_an_event_of_its_machine() {
    let view = zone::view();
    let bond = address(&view, "ams1/p01/r1/u06", "bond0");
    let by_leaf_b = Port { circuit_id: "swp6", remote_id: "p01-r1-leaf-b", giaddr: zone::leaf_b(0) };
    let uuid = [7; 16];
    let outcome = relayed(&view, &Request { uuid: Some(uuid), ..selecting(bond) }, by_leaf_b);
    let event = outcome.result.expect("granted").observed.expect("an event").event(&view.plan, Time(1));
    assert_eq!(event.location, Location::new("ams1/p01/r1/u06"));
    let asked = What::Asked {
        interface: "eno2".to_owned(),
        mac: Mac(MAC),
        uuid: Some(uuid),
        stage: Stage::Os,
        port: "p01-r1-leaf-b swp6".to_owned(),
    };
    assert_eq!(event.what, asked, "the member that the cable leads to, not the bond");
    assert_eq!(relayed(&view, &discover(), by_leaf_b).result.expect("offered").observed, None);
}

#[test]
fn an_agents_probe_is_answered_and_teaches_nothing() {
    let view = zone::view();
    let probe = Request { vendor_class: PROBE_CLASS.to_vec(), ..discover() };
    let outcome = relayed(&view, &probe, u01());
    assert_eq!((outcome.sent(), outcome.granted()), (Some(MessageType::Offer), address(&view, U01, "eno1")));
    assert_eq!(outcome.result.expect("an offer").observed, None);
    // Whoever takes an address is seen, whatever it calls itself.
    let its = address(&view, U01, "eno1");
    let taker = Request { vendor_class: PROBE_CLASS.to_vec(), ..selecting(its) };
    assert!(relayed(&view, &taker, u01()).result.expect("an address").observed.is_some());
}
