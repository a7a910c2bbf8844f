//! Each message, in each state.

use super::client::*;
use crate::zone::{self, facts, six, view_of};
use answer::dhcp::limit::Limiter;
use answer::dhcp6::{Arrival, v6_limited};
use expect_test::{Expect, expect};
use model::facts::Facts;
use model::{Mac, Reason, Time, View};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use wire::dhcp6::{MessageType, Request, code};

const RESOLVERS_AND_DOMAIN: &str =
    "  23: 2001:db8:a00::2 2001:db8:a00::3\n  24: \\x04ams1\\x07example\\x03net\\x00\n";
const ASKED: &str = "learnt: ams1/p01/r1/u01 Asked { interface: \"eno1\", mac: 02:00:00:00:00:11, uuid: None, \
                     stage: Os, port: \"p01-r1-leaf-a swp1\" }";

/// What comes of a request by the port of `u01`; what is alike in most replies is said in a word each.
fn check(view: &View, request: &Request, expected: Expect) {
    let told = relayed(view, request, u01())
        .replace("to [2001:db8:a01::2]:547\nrelay-reply ", "the relay: ")
        .replace(RESOLVERS_AND_DOMAIN, "  resolvers and domain\n")
        .replace(ASKED, "learnt: it asked as Os");
    expected.assert_eq(&told);
}

fn solicit(view: &View) -> Request {
    message(view, MessageType::Solicit).association(7, &[])
}

#[test]
fn a_solicit_is_answered_by_an_offer_of_the_planned_address() {
    let view = zone::view();
    check(
        &view,
        &solicit(&view),
        expect![[r#"
        the relay: advertise
          preference 255
          Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          resolvers and domain
    "#]],
    );
    // What it would like to have changes nothing.
    let hinted = message(&view, MessageType::Solicit).association(7, &[others(&view), FOREIGN]);
    assert_eq!(relayed(&view, &hinted, u01()), relayed(&view, &solicit(&view), u01()));
}

#[test]
fn a_solicit_with_rapid_commit_is_granted_at_once() {
    let view = zone::view();
    check(
        &view,
        &solicit(&view).with(code::RAPID_COMMIT, []),
        expect![[r#"
        the relay: reply
          rapid commit
          Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          resolvers and domain
        learnt: it asked as Os
    "#]],
    );
}

#[test]
fn of_several_associations_one_gets_the_address() {
    let view = zone::view();
    let more = |request: Request| {
        request
            .with(code::IA_TA, [0, 0, 0, 9])
            .with(code::IA_PD, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
            .association(1, &[])
            .association(2, &[its(&view)])
    };
    check(
        &view,
        &more(message(&view, MessageType::Solicit)),
        expect![[r#"
        the relay: advertise
          preference 255
          Temporary 9, status no-addresses
          Prefix 8 T1 0 T2 0, status no-prefix
          Address 1 T1 0 T2 0, status no-addresses
          Address 2 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          resolvers and domain
    "#]],
    );
    check(
        &view,
        &more(message(&view, MessageType::Renew)),
        expect![[r#"
        the relay: reply
          Temporary 9, status no-binding
          Prefix 8 T1 0 T2 0, status no-binding
          Address 1 T1 0 T2 0, status no-binding
          Address 2 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          resolvers and domain
        learnt: it asked as Os
    "#]],
    );
    let none = message(&view, MessageType::Solicit);
    check(
        &view,
        &none,
        expect![[r#"
        the relay: advertise
          preference 255
          resolvers and domain
    "#]],
    );
    // However many it names, few are answered.
    let many = (0..100).fold(none, |request, id| request.association(id, &[]));
    assert_eq!(relayed(&view, &many, u01()).matches("Address").count(), 8);
}

#[test]
fn a_request_is_granted_and_teaches_who_is_there() {
    let view = zone::view();
    let request = |addresses: &[Ipv6Addr]| message(&view, MessageType::Request).association(7, addresses);
    check(
        &view,
        &request(&[its(&view)]),
        expect![[r#"
        the relay: reply
          Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          resolvers and domain
        learnt: it asked as Os
    "#]],
    );
    assert_eq!(relayed(&view, &request(&[]), u01()), relayed(&view, &request(&[its(&view)]), u01()));
    // Another address of the link is not refused: it is given its own.
    assert_eq!(
        relayed(&view, &request(&[others(&view)]), u01()),
        relayed(&view, &request(&[its(&view)]), u01())
    );
    check(
        &view,
        &request(&[FOREIGN]),
        expect![[r#"
        refused: wrong-address p01-r1-u01-eno1
        the relay: reply
          Address 7 T1 0 T2 0, status not-on-link
        learnt: it asked as Os
    "#]],
    );
}

#[test]
fn confirm_says_whether_the_address_is_right_here() {
    let view = zone::view();
    let confirm = |addresses: &[Ipv6Addr]| message(&view, MessageType::Confirm).association(7, addresses);
    check(
        &view,
        &confirm(&[its(&view)]),
        expect![[r#"
        the relay: reply
          status success
        learnt: it asked as Os
    "#]],
    );
    check(
        &view,
        &confirm(&[FOREIGN]),
        expect![[r#"
        refused: wrong-address p01-r1-u01-eno1
        the relay: reply
          status not-on-link
        learnt: it asked as Os
    "#]],
    );
    check(
        &view,
        &confirm(&[its(&view), others(&view)]),
        expect![[r#"
        refused: wrong-address p01-r1-u01-eno1
        the relay: reply
          status not-on-link
        learnt: it asked as Os
    "#]],
    );
    check(
        &view,
        &confirm(&[]),
        expect![[r#"
        refused: malformed p01-r1-u01-eno1
    "#]],
    );
}

#[test]
fn renew_and_rebind_extend_what_is_planned_and_end_the_rest() {
    let view = zone::view();
    let extend = |kind, addresses: &[Ipv6Addr]| message(&view, kind).association(7, addresses);
    for kind in [MessageType::Renew, MessageType::Rebind] {
        check(
            &view,
            &extend(kind, &[its(&view)]),
            expect![[r#"
                the relay: reply
                  Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
                  resolvers and domain
                learnt: it asked as Os
            "#]],
        );
        check(
            &view,
            &extend(kind, &[others(&view), FOREIGN]),
            expect![[r#"
                the relay: reply
                  Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600, 2001:db8:a01::10 0 0, 2001:db8:ffff::1 0 0
                  resolvers and domain
                learnt: it asked as Os
            "#]],
        );
    }
}

#[test]
fn release_is_done_and_takes_nothing_away() {
    let view = zone::view();
    let release = |addresses: &[Ipv6Addr]| message(&view, MessageType::Release).association(7, addresses);
    check(
        &view,
        &release(&[its(&view)]),
        expect![[r#"
        the relay: reply
          status success
    "#]],
    );
    check(
        &view,
        &release(&[others(&view)]),
        expect![[r#"
        the relay: reply
          status success
          Address 7 T1 0 T2 0, status no-binding
    "#]],
    );
}

#[test]
fn decline_counts_from_the_port_that_the_address_belongs_to() {
    let view = zone::view();
    let decline = |addresses: &[Ipv6Addr]| message(&view, MessageType::Decline).association(7, addresses);
    check(
        &view,
        &decline(&[its(&view)]),
        expect![[r#"
        the relay: reply
          status success
        learnt: ams1/p01/r1/u01 Declined { interface: "eno1", address: 2001:db8:a01::d, mac: 02:00:00:00:00:11 }
    "#]],
    );
    expect![[r#"
        refused: wrong-address p01-r1-u02-eno1
        to [2001:db8:a01::2]:547
        relay-reply reply
          status success
          Address 7 T1 0 T2 0, status no-binding
    "#]]
    .assert_eq(&relayed(&view, &decline(&[its(&view)]), u02()));
    expect![[r#"
        refused: unknown-port
    "#]]
    .assert_eq(&relayed(&view, &decline(&[its(&view)]), Port { interface_id: b"swp40", ..u01() }));
}

#[test]
fn an_information_request_is_told_all_but_an_address() {
    let view = zone::view();
    let all = [23, 24, 31, 32, 39, 56, 59, 82, 83, 23, 23];
    let ask = message(&view, MessageType::InformationRequest).wants(&all);
    check(
        &view,
        &ask,
        expect![[r#"
        the relay: reply
          resolvers and domain
          31: 2001:db8:a00::2 2001:db8:a00::3
          56: \x00\x01\x00\x10 \x01\r\xb8\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x10 \x01\r\xb8\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03
          82: \x00\x00\x02X
          83: \x00\x00\x02X
          39: \x01\np01-r1-u01\x04ams1\x07example\x03net\x00
          32: \x00\x00\x0e\x10
    "#]],
    );
    let nameless = Request::new(MessageType::InformationRequest, 0x01_02_03);
    check(
        &view,
        &nameless,
        expect![[r#"
        the relay: reply
          resolvers and domain
    "#]],
    );
    let with_association = nameless.association(7, &[]);
    check(
        &view,
        &with_association,
        expect![[r#"
        refused: malformed
    "#]],
    );
}

#[test]
fn what_is_told_is_what_was_asked_for() {
    let view = zone::view();
    let told = |codes: &[u16]| relayed(&view, &solicit(&view).wants(codes), u01());
    assert!(!told(&[]).contains("23:") && !told(&[59, 60]).contains("23:"));
    expect![[r#"
        to [2001:db8:a01::2]:547
        relay-reply advertise
          preference 255
          Address 7 T1 1800 T2 3150, 2001:db8:a01::d 3600 3600
          23: 2001:db8:a00::2 2001:db8:a00::3
          24: \x04ams1\x07example\x03net\x00
          31: 2001:db8:a00::2 2001:db8:a00::3
          56: \x00\x01\x00\x10 \x01\r\xb8\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x10 \x01\r\xb8\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03
          82: \x00\x00\x02X
          83: \x00\x00\x02X
          39: \x01\np01-r1-u01\x04ams1\x07example\x03net\x00
    "#]]
    .assert_eq(&told(&[24, 23, 56, 31, 82, 83, 39, 32, 17, 65_535]));
    // A client that says its name is told the one it has.
    let named =
        |flags: u8| solicit(&view).wants(&[]).with(code::CLIENT_FQDN, [&[flags][..], b"\x02me"].concat());
    let line = |flags| {
        let told = relayed(&view, &named(flags), u01());
        told.lines().find(|line| line.contains("39:")).map(str::to_owned)
    };
    expect![[r#"
        Some("  39: \\x03\\np01-r1-u01\\x04ams1\\x07example\\x03net\\x00")
        Some("  39: \\x01\\np01-r1-u01\\x04ams1\\x07example\\x03net\\x00")"#]]
    .assert_eq(&format!("{:?}\n{:?}", line(0), line(1)));
}

#[test]
fn lifetimes_are_the_zones() {
    let with = |lease_seconds| {
        let view = view_of(&zone::Settings { lease_seconds, ..zone::Settings::default() }, &Facts::default());
        let told = relayed(&view, &solicit(&view), u01());
        told.lines().find(|line| line.contains("Address")).unwrap_or_default().trim().to_owned()
    };
    expect![[r#"
          Address 7 T1 4 T2 7, 2001:db8:a01::d 8 8
          Address 7 T1 300 T2 525, 2001:db8:a01::d 600 600
          Address 7 T1 2147483647 T2 3758096383, 2001:db8:a01::d 4294967294 4294967294
          Address 7 T1 4294967295 T2 4294967295, 2001:db8:a01::d 4294967295 4294967295"#]]
    .assert_eq(&[with(0), with(600), with(u32::MAX - 1), with(u32::MAX)].join("\n"));
}

/// RFC 8415 §16: what a server drops.
#[test]
fn messages_that_are_no_clients_or_lack_what_they_must_have() {
    let view = zone::view();
    let reason = |request: &Request| relayed(&view, request, u01()).lines().collect::<Vec<_>>().join("; ");
    let mut table = String::new();
    let mut row = |what: &str, request: &Request| table += &format!("{what}: {}\n", reason(request));
    let plain = |kind| Request::new(kind, 1).association(7, &[its(&view)]);
    let ours = view.dhcp6.server_id;
    for kind in [
        MessageType::Solicit,
        MessageType::Confirm,
        MessageType::Rebind,
        MessageType::Request,
        MessageType::Renew,
        MessageType::Release,
        MessageType::Decline,
    ] {
        row(&format!("{} without client-id", kind.as_str()), &plain(kind).with(code::SERVER_ID, ours));
    }
    for kind in [MessageType::Solicit, MessageType::Confirm, MessageType::Rebind] {
        row(&format!("{} with server-id", kind.as_str()), &plain(kind).from(MAC).with(code::SERVER_ID, ours));
    }
    for kind in [MessageType::Request, MessageType::Renew, MessageType::Release, MessageType::Decline] {
        row(&format!("{} without server-id", kind.as_str()), &plain(kind).from(MAC));
        let other = plain(kind).from(MAC).with(code::SERVER_ID, [0, 3, 0, 1, 1, 2, 3, 4, 5, 6]);
        row(&format!("{} to another server", kind.as_str()), &other);
    }
    let asked = Request::new(MessageType::InformationRequest, 1).with(code::SERVER_ID, [0, 3, 0, 1, 1]);
    row("information-request to another server", &asked);
    for kind in [MessageType::Advertise, MessageType::Reply, MessageType::Reconfigure] {
        row(kind.as_str(), &plain(kind).from(MAC).with(code::SERVER_ID, ours));
    }
    expect![[r#"
        solicit without client-id: refused: malformed
        confirm without client-id: refused: malformed
        rebind without client-id: refused: malformed
        request without client-id: refused: malformed
        renew without client-id: refused: malformed
        release without client-id: refused: malformed
        decline without client-id: refused: malformed
        solicit with server-id: refused: malformed
        confirm with server-id: refused: malformed
        rebind with server-id: refused: malformed
        request without server-id: refused: malformed
        request to another server: refused: not-for-us
        renew without server-id: refused: malformed
        renew to another server: refused: not-for-us
        release without server-id: refused: malformed
        release to another server: refused: not-for-us
        decline without server-id: refused: malformed
        decline to another server: refused: not-for-us
        information-request to another server: refused: not-for-us
        advertise: refused: not-served
        reply: refused: not-served
        reconfigure: refused: not-served
    "#]]
    .assert_eq(&table);
}

fn direct(view: &View, request: &Request, source: Ipv6Addr, is_multicast: bool) -> String {
    outcome(view, &request.encode(), Arrival { source: SocketAddrV6::new(source, 546, 0, 3), is_multicast })
}

#[test]
fn who_speaks_to_us_alone_is_told_to_use_multicast_or_dropped() {
    let view = zone::view();
    let table = [
        MessageType::Solicit,
        MessageType::Request,
        MessageType::Confirm,
        MessageType::Renew,
        MessageType::Rebind,
        MessageType::Release,
        MessageType::Decline,
        MessageType::InformationRequest,
    ]
    .map(|kind| {
        let request = message(&view, kind);
        let request = match kind {
            MessageType::InformationRequest => request,
            _ => request.association(7, &[its(&view)]),
        };
        format!("{}: {}", kind.as_str(), direct(&view, &request, its(&view), false).replace('\n', "; "))
    });
    expect![[r#"
        solicit: refused: not-served; 
        request: refused: not-served; to [2001:db8:a01::d%3]:546; reply;   status use-multicast; 
        confirm: refused: not-served; 
        renew: refused: not-served; to [2001:db8:a01::d%3]:546; reply;   status use-multicast; 
        rebind: refused: not-served; 
        release: refused: not-served; to [2001:db8:a01::d%3]:546; reply;   status use-multicast; 
        decline: refused: not-served; to [2001:db8:a01::d%3]:546; reply;   status use-multicast; 
        information-request: refused: not-served; "#]]
    .assert_eq(&table.join("\n"));
}

#[test]
fn on_the_controllers_own_link_the_address_tells_who_it_is() {
    let view = zone::view();
    let controller = six(zone::CONTROLLERS[1]);
    let renew = |address| message(&view, MessageType::Renew).association(7, &[address]);
    expect![[r#"
        to [fe80::ff:fe00:11%3]:546
        reply
          Address 7 T1 1800 T2 3150, 2001:db8:a00::3 3600 3600
          23: 2001:db8:a00::2 2001:db8:a00::3
          24: \x04ams1\x07example\x03net\x00
    "#]]
    .assert_eq(&direct(&view, &renew(controller), PEER, true));
    // An address of another link cannot be held here, and a place cannot be known without one.
    expect![[r#"
        refused: no-identity
    "#]]
    .assert_eq(&direct(&view, &renew(its(&view)), PEER, true));
    expect![[r#"
        refused: no-identity
    "#]]
    .assert_eq(&direct(&view, &solicit(&view), PEER, true));
    let ask = message(&view, MessageType::InformationRequest);
    assert_eq!(direct(&view, &ask, PEER, true), "refused: no-identity\n");
    expect![[r#"
        to [2001:db8:a00::3%3]:546
        reply
          23: 2001:db8:a00::2 2001:db8:a00::3
          24: \x04ams1\x07example\x03net\x00
    "#]]
    .assert_eq(&direct(&view, &ask, controller, true));
    // DECLINE from no port takes nothing away.
    let decline = message(&view, MessageType::Decline).association(7, &[controller]);
    expect![[r#"
        refused: no-identity ctl-2-eno1
    "#]]
    .assert_eq(&direct(&view, &decline, controller, true));
}

#[test]
fn a_retired_place_gets_nothing() {
    let view = view_of(
        &zone::Settings::default(),
        &facts("ams1/p01/r1/u01", |machine| machine.state = zone::retired()),
    );
    check(
        &view,
        &solicit(&view),
        expect![[r#"
        refused: retired p01-r1-u01-eno1
    "#]],
    );
    let renew = message(&view, MessageType::Renew).association(7, &[its(&view)]);
    check(
        &view,
        &renew,
        expect![[r#"
        refused: retired p01-r1-u01-eno1
    "#]],
    );
}

#[test]
fn an_address_in_conflict_is_given_to_nobody_but_its_holder() {
    let address = IpAddr::V6(its(&zone::view()));
    let facts = facts("ams1/p01/r1/u01", |machine| {
        machine.conflicts.insert(address, zone::conflict());
    });
    let view = view_of(&zone::Settings::default(), &facts);
    check(
        &view,
        &solicit(&view),
        expect![[r#"
        refused: conflict p01-r1-u01-eno1
    "#]],
    );
    let renew = |address| message(&view, MessageType::Renew).association(7, &[address]);
    assert!(relayed(&view, &renew(its(&view)), u01()).contains("3600 3600"));
    assert_eq!(relayed(&view, &renew(others(&view)), u01()), "refused: conflict p01-r1-u01-eno1\n");
}

/// Facts in which this MAC address was accepted at `u02`.
fn at_home_elsewhere() -> Facts {
    facts("ams1/p01/r1/u02", |machine| {
        machine.accepted.insert("eno1".to_owned(), Mac(MAC));
    })
}

#[test]
fn a_machine_of_another_place_is_told_no_and_that_is_learnt() {
    let view = view_of(&zone::Settings::default(), &at_home_elsewhere());
    check(
        &view,
        &solicit(&view),
        expect![[r#"
        refused: other-machine p01-r1-u01-eno1
        learnt: it asked as Os
    "#]],
    );
    for kind in [MessageType::Request, MessageType::Confirm, MessageType::Renew, MessageType::Rebind] {
        let told = relayed(&view, &message(&view, kind).association(7, &[its(&view)]), u01());
        let words = match kind {
            MessageType::Request => "Address 7 T1 0 T2 0, status not-on-link\n",
            MessageType::Confirm => "  status not-on-link\n",
            _ => "Address 7 T1 0 T2 0, 2001:db8:a01::d 0 0\n",
        };
        assert!(told.starts_with("refused: other-machine") && told.contains(words), "{told}");
        assert!(told.contains("learnt:"), "{told}");
    }
    assert!(relayed(&view, &solicit(&view), u02()).contains("advertise"));
}

#[test]
fn firmware_is_never_told_no() {
    let view = view_of(&zone::Settings::default(), &at_home_elsewhere());
    let class = [&[0, 0, 1, 0x57, 0, 9][..], b"PXEClient"].concat();
    let request =
        message(&view, MessageType::Request).association(7, &[FOREIGN]).with(code::VENDOR_CLASS, class);
    let told = relayed(&view, &request, u01());
    assert!(told.starts_with("refused: other-machine") && !told.contains("to "), "{told}");
    let view = zone::view();
    let told = relayed(&view, &request, u01());
    assert!(told.starts_with("refused: ") && !told.contains("reply"), "{told}");
}

#[test]
fn a_guest_behind_the_port_gets_nothing() {
    let view = zone::view();
    let [a, b, c] = zone::GUEST_OUI;
    let guest = Port {
        peer: Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            u16::from_be_bytes([a ^ 2, b]),
            u16::from_be_bytes([c, 0xff]),
            0xfe00,
            1,
        ),
        ..u01()
    };
    expect![[r#"
        refused: guest p01-r1-u01-eno1
    "#]]
    .assert_eq(&relayed(&view, &solicit(&view), guest));
}

#[test]
fn a_zone_without_version_6_serves_none_of_it() {
    let settings = zone::Settings { ipv6: false, ..zone::Settings::default() };
    let view = view_of(&settings, &Facts::default());
    assert_eq!(relayed(&view, &solicit(&view), u01()), "refused: not-served\n");
}

#[test]
fn under_pressure_a_port_that_asks_too_much_uses_up_only_its_own_budget() {
    let view = zone::view();
    let mut limiter = Limiter::new(7);
    let arrival = Arrival { source: SocketAddrV6::new(six(zone::leaf_a(0)), 547, 0, 0), is_multicast: false };
    let mut ask = |number: u32, port| {
        let [_, a, b, c] = number.to_be_bytes();
        let invented =
            Request::new(MessageType::Solicit, number).from([2, 9, 9, a, b, c]).association(7, &[]);
        let packet = through(&invented.encode(), 0, port);
        v6_limited(&view, &packet, arrival, &mut limiter, Time(1), &mut Vec::new())
    };
    let admitted = (0..10_000).filter(|number| ask(*number, u01()).is_ok()).count();
    assert!((1..50).contains(&admitted), "{admitted}");
    let refused = ask(0, u01()).expect_err("its budget is used up");
    assert_eq!((refused.refusal.reason, refused.observed), (Reason::TooMany, None));
    assert!(ask(1, u02()).is_ok());
}
