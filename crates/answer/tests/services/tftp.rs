//! TFTP: which file a request gets, and both ends of a transfer over a network that loses, doubles and reorders.

mod pair;

use crate::zone;
use answer::http::Body;
use answer::party::Party;
use answer::tftp::{Outcome, Outgoing, Places, Transfer, open, refused};
use model::{Reason, Time, View};
use std::net::IpAddr;
use wire::tftp::{Mode, Options, Packet, Request, error};

const NOW: Time = Time(1_000_000);

fn at(milliseconds: u64) -> Time {
    Time(NOW.0 + milliseconds)
}

fn read(file: &str, mode: Mode, options: Options) -> Packet<'_> {
    Packet::Read(Request { file, mode, options })
}

fn octet(file: &str) -> Packet<'_> {
    read(file, Mode::Octet, Options::default())
}

/// What the machine or controller of this name gets.
fn ask(view: &View, packet: &Packet<'_>, name: &str) -> Result<Body, Reason> {
    let client = zone::v4(&view.plan, name).into();
    open(view, packet, client, NOW).map(|opened| opened.body).map_err(|refusal| refusal.reason)
}

/// Every packet that is to be sent now, in words.
fn sent(transfer: &mut Transfer, now: Time) -> String {
    let mut words = Vec::new();
    while let Some(packet) = transfer.poll(now) {
        words.push(match packet {
            Outgoing::Oack(_) => "oack".to_owned(),
            Outgoing::Data { block, range } => format!("{block}:{}", range.end - range.start),
            Outgoing::Error(code) => format!("error {code}"),
        });
    }
    words.join(" ")
}

fn ack(transfer: &mut Transfer, block: u16, now: Time) {
    transfer.receive(&Packet::Ack { block }, now);
}

#[test]
fn loaders_images_and_scripts_are_found_by_every_spelling_that_firmware_uses() {
    let view = zone::view();
    let size = |name: &str| match ask(&view, &octet(name), "hv-u1") {
        Ok(Body::File { range, .. }) => range.end,
        other => panic!("{name}: {other:?}"),
    };
    for name in ["undionly.kpxe", "/undionly.kpxe", "loader/undionly.kpxe", "//loader/undionly.kpxe"] {
        assert_eq!(size(name), 70_000);
    }
    assert_eq!(size("\\loader\\snponly.efi"), 1_000_000);
    assert_eq!(size("image/kvm/images/kvm/vmlinuz"), 8_000_000);
    let Ok(Body::Text(script)) = ask(&view, &octet("boot/auto.ipxe"), "hv-u1") else { panic!("a script") };
    assert!(script.starts_with("#!ipxe\n# ams1/p1/r1/u1: "));
    for name in ["grub/grub.cfg", "/grub/grub.cfg"] {
        let Ok(Body::Text(script)) = ask(&view, &octet(name), "hv-u1") else { panic!("a script") };
        assert!(script.starts_with("# ams1/p1/r1/u1: ") && script.contains("\nif linux '(tftp,"), "{script}");
    }
}

#[test]
fn no_name_leads_out_of_the_view() {
    let view = zone::view();
    for name in [
        "",
        "/",
        "..",
        "../etc/passwd",
        "loader/../loader/undionly.kpxe",
        "/etc/passwd",
        "loader",
        "loader/",
        "C:\\boot.ini",
        "boot/.ipxe",
        "boot//.ipxe",
    ] {
        assert_eq!(ask(&view, &octet(name), "hv-u1"), Err(Reason::NotServed), "{name}");
    }
}

#[test]
fn who_is_not_in_the_zone_gets_not_even_an_error() {
    let view = zone::view();
    for client in ["203.0.113.7", "2001:db8:99::1", "::ffff:203.0.113.7"] {
        let client: IpAddr = client.parse().unwrap();
        let refusal = open(&view, &octet("undionly.kpxe"), client, NOW).unwrap_err();
        assert_eq!((refusal.reason, refused(refusal)), (Reason::NoIdentity, None), "{client}");
    }
    for client in ["127.0.0.1", "::1", "10.33.1.1", "::ffff:10.33.1.1", "2001:db8:33::1"] {
        let client: IpAddr = client.parse().unwrap();
        assert!(open(&view, &octet("undionly.kpxe"), client, NOW).is_ok(), "{client}");
    }
}

#[test]
fn what_may_not_be_is_told_with_the_right_error() {
    let view = zone::view();
    let code = |packet: &Packet<'_>, name: &str| {
        let client = zone::v4(&view.plan, name).into();
        match refused(open(&view, packet, client, NOW).unwrap_err()) {
            Some(Packet::Error { code, message }) => Some((code, !message.is_empty())),
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    };
    let write = Packet::Write(Request { file: "a", mode: Mode::Octet, options: Options::default() });
    assert_eq!(code(&octet("nothing"), "hv-u1"), Some((error::NOT_FOUND, true)));
    assert_eq!(code(&write, "hv-u1"), Some((error::ACCESS, true)));
    assert_eq!(code(&octet("boot/ams1/p1/r1/u1.ipxe"), "st-2"), Some((error::ACCESS, true)));
    assert_eq!(code(&octet("boot/auto.ipxe"), "hv-u1-bmc"), Some((error::ACCESS, true)));
    assert_eq!(
        code(&read("undionly.kpxe", Mode::Mail, Options::default()), "hv-u1"),
        Some((error::NOT_FOUND, true))
    );
    // Nothing of a transfer belongs on port 69; an answer could start an exchange without end.
    for packet in [
        Packet::Ack { block: 0 },
        Packet::Data { block: 1, data: b"" },
        Packet::Error { code: 0, message: b"" },
        Packet::Oack(Options::default()),
    ] {
        assert_eq!(code(&packet, "hv-u1"), None);
    }
}

#[test]
fn who_should_ask_again_is_not_told_that_it_is_over() {
    assert_eq!(refused(Reason::TooMany.into()), None);
}

#[test]
fn a09_many_addresses_of_one_client_have_the_places_of_one() {
    let view = zone::view();
    let mut places = Places::new(100);
    let mut taken = 0..;
    let mut stays = |places: &mut Places, client: IpAddr| {
        let transfer = taken.next().unwrap();
        let stays = places.take(transfer, Party::of(&view, client)).is_ok();
        places.answered(transfer);
        stays
    };
    // A /64 is as easy to have as one address.
    let of_one = |number: u16| IpAddr::from([0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, number]);
    assert_eq!((0..50).filter(|number| stays(&mut places, of_one(*number))).count(), 4);
    assert!(stays(&mut places, "2001:db8:ffff:2::1".parse().unwrap()));
    // A machine is one by whichever of its addresses it asks, and its neighbour another.
    let addresses = |name: &str| -> [IpAddr; 2] {
        [zone::v4(&view.plan, name).into(), zone::v6(&view.plan, name).into()]
    };
    let own = addresses("hv-u1");
    let count = own.iter().cycle().take(10).filter(|address| stays(&mut places, **address)).count();
    assert_eq!(count, 4);
    assert!(stays(&mut places, addresses("st-2")[0]));
}

#[test]
fn text_mode_is_for_text() {
    let view = zone::view();
    let Ok(Body::Text(plain)) = ask(&view, &octet("boot/auto.ipxe"), "hv-u1") else { panic!("a script") };
    let netascii = read("boot/auto.ipxe", Mode::Netascii, Options::default());
    let Ok(Body::Text(text)) = ask(&view, &netascii, "hv-u1") else { panic!("a script") };
    assert_eq!(text, plain.replace('\n', "\r\n"));
    let binary = read("undionly.kpxe", Mode::Netascii, Options::default());
    assert_eq!(ask(&view, &binary, "hv-u1"), Err(Reason::NotServed));
}

#[test]
fn p09_options_are_agreed_on_within_our_limits() {
    let view = zone::view();
    let oack = |asked: Options, client: IpAddr| {
        let mut opened = open(&view, &read("undionly.kpxe", Mode::Octet, asked), client, NOW).unwrap();
        match opened.transfer.poll(NOW) {
            Some(Outgoing::Oack(options)) => Some(options),
            _ => None,
        }
    };
    let v4 = zone::v4(&view.plan, "hv-u1").into();
    let v6 = zone::v6(&view.plan, "hv-u1").into();
    let none = Options::default();
    let asked = Options { blksize: Some(65_464), tsize: Some(0), timeout: Some(5), windowsize: Some(65_535) };
    let agreed = Options { blksize: Some(1468), tsize: Some(70_000), timeout: Some(5), windowsize: Some(64) };
    assert_eq!(oack(asked, v4), Some(agreed));
    assert_eq!(oack(asked, v6), Some(Options { blksize: Some(1448), ..agreed }));
    let small = Options { blksize: Some(8), windowsize: Some(1), ..none };
    assert_eq!(oack(small, v4), Some(small));
    // RFC 2349: a timeout is taken as it is, or not at all.
    assert_eq!(
        oack(Options { timeout: Some(255), tsize: Some(0), ..none }, v4),
        Some(Options { tsize: Some(70_000), ..none })
    );
    // Nothing agreed, nothing announced.
    assert_eq!(oack(none, v4), None);
    assert_eq!(oack(Options { timeout: Some(255), ..none }, v4), None);
}

#[test]
fn p09_a_client_without_options_gets_the_first_block_at_once() {
    let mut transfer = Transfer::new(1000, Options::default(), NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512");
    ack(&mut transfer, 1, NOW);
    assert_eq!(sent(&mut transfer, NOW), "2:488");
    ack(&mut transfer, 2, NOW);
    assert_eq!((transfer.outcome(), transfer.octets()), (Some(Outcome::Done), 1000));
}

#[test]
fn p09_a_file_that_fills_its_blocks_ends_with_an_empty_one() {
    let mut transfer = Transfer::new(1024, Options::default(), NOW);
    for (block, expected) in [(1, "1:512"), (2, "2:512"), (3, "3:0")] {
        assert_eq!(sent(&mut transfer, NOW), expected);
        ack(&mut transfer, block, NOW);
    }
    assert_eq!(transfer.outcome(), Some(Outcome::Done));
    let mut empty = Transfer::new(0, Options::default(), NOW);
    assert_eq!(sent(&mut empty, NOW), "1:0");
    ack(&mut empty, 1, NOW);
    assert_eq!(empty.outcome(), Some(Outcome::Done));
}

#[test]
fn p09_a_client_that_wanted_only_the_size_ends_it_without_harm() {
    let options = Options { tsize: Some(70_000), ..Options::default() };
    let mut transfer = Transfer::new(70_000, options, NOW);
    assert_eq!(sent(&mut transfer, NOW), "oack");
    transfer.receive(&Packet::Error { code: 8, message: b"User aborted the transfer" }, NOW);
    assert_eq!(transfer.outcome(), Some(Outcome::Aborted { code: 8, octets: 0 }));
    assert_eq!((sent(&mut transfer, NOW), transfer.deadline()), (String::new(), None));
}

#[test]
fn p09_a_repeated_ack_doubles_nothing() {
    let mut transfer = Transfer::new(5000, Options::default(), NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512");
    ack(&mut transfer, 1, NOW);
    assert_eq!(sent(&mut transfer, NOW), "2:512");
    ack(&mut transfer, 1, NOW);
    ack(&mut transfer, 1, NOW);
    assert_eq!(sent(&mut transfer, NOW), "");
    // What was never sent cannot have arrived.
    ack(&mut transfer, 9, NOW);
    assert_eq!((sent(&mut transfer, NOW).as_str(), transfer.octets()), ("", 512));
}

#[test]
fn p09_silence_is_met_with_repetition_and_then_with_the_end() {
    let mut transfer = Transfer::new(5000, Options { windowsize: Some(2), ..Options::default() }, NOW);
    assert_eq!(sent(&mut transfer, NOW), "oack");
    ack(&mut transfer, 0, NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512 2:512");
    let mut waits = Vec::new();
    let mut now = NOW;
    while let Some(deadline) = transfer.deadline() {
        waits.push(deadline.since(now).as_secs());
        transfer.tick(Time(deadline.0 - 1));
        assert_eq!(sent(&mut transfer, Time(deadline.0 - 1)), "", "too early");
        now = deadline;
        transfer.tick(now);
        let again = sent(&mut transfer, now);
        assert!(again == "1:512 2:512" || transfer.deadline().is_none(), "{again}");
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8, 8]);
    assert_eq!(transfer.outcome(), Some(Outcome::Silent { octets: 0 }));
}

#[test]
fn a09_whoever_never_answers_gets_the_first_packet_four_times() {
    for (options, first) in
        [(Options { windowsize: Some(64), ..Options::default() }, "oack"), (Options::default(), "1:512")]
    {
        let mut transfer = Transfer::new(1 << 20, options, NOW);
        let (mut packets, mut now) = (0, NOW);
        loop {
            let again = sent(&mut transfer, now);
            packets += usize::from(again == first);
            let Some(deadline) = transfer.deadline() else { break };
            assert_eq!(again, first);
            now = deadline;
            transfer.tick(now);
        }
        assert_eq!((packets, transfer.is_answered()), (4, false));
        assert_eq!(now.since(NOW).as_secs(), 15);
    }
}

#[test]
fn what_the_socket_did_not_take_is_sent_next() {
    let mut transfer = Transfer::new(5000, Options { windowsize: Some(4), ..Options::default() }, NOW);
    assert_eq!(sent(&mut transfer, NOW), "oack");
    ack(&mut transfer, 0, NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512 2:512 3:512 4:512");
    transfer.not_sent(3);
    assert_eq!(sent(&mut transfer, NOW), "2:512 3:512 4:512");
    // What was acknowledged meanwhile is not sent again.
    transfer.not_sent(1);
    ack(&mut transfer, 2, NOW);
    transfer.not_sent(9);
    assert_eq!(sent(&mut transfer, NOW), "3:512 4:512 5:512 6:512");
}

#[test]
fn p09_a_lost_oack_is_sent_again() {
    let mut transfer = Transfer::new(100, Options { timeout: Some(3), ..Options::default() }, NOW);
    assert_eq!(sent(&mut transfer, NOW), "oack");
    assert_eq!(transfer.deadline(), Some(at(3000)));
    transfer.tick(at(3000));
    assert_eq!(sent(&mut transfer, at(3000)), "oack");
    ack(&mut transfer, 0, at(3100));
    assert_eq!(sent(&mut transfer, at(3100)), "1:100");
}

#[test]
fn p09_a_gap_in_the_window_is_filled_from_where_it_is() {
    let options = Options { windowsize: Some(4), ..Options::default() };
    let mut transfer = Transfer::new(512 * 20, options, NOW);
    assert_eq!(sent(&mut transfer, NOW), "oack");
    ack(&mut transfer, 0, NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512 2:512 3:512 4:512");
    // Block 3 was lost: the client says 2, and gets a whole window from 3 on.
    ack(&mut transfer, 2, NOW);
    assert_eq!(sent(&mut transfer, NOW), "3:512 4:512 5:512 6:512");
    // Block 3 again: the client says 2 again, once and once more; the window is sent again once.
    ack(&mut transfer, 2, NOW);
    assert_eq!(sent(&mut transfer, NOW), "3:512 4:512 5:512 6:512");
    ack(&mut transfer, 2, NOW);
    assert_eq!(sent(&mut transfer, NOW), "");
    ack(&mut transfer, 6, NOW);
    assert_eq!(sent(&mut transfer, NOW), "7:512 8:512 9:512 10:512");
}

#[test]
fn p09_block_numbers_roll_over_beyond_32_mb() {
    let size = 512 * 70_000;
    let mut transfer = Transfer::new(size, Options::default(), NOW);
    let mut octets = 0;
    for block in 1..=70_001_u64 {
        let Some(Outgoing::Data { block: number, range }) = transfer.poll(NOW) else {
            panic!("block {block}")
        };
        assert_eq!((u64::from(number), range.start), (block % 65_536, octets));
        octets = range.end;
        ack(&mut transfer, number, NOW);
    }
    assert_eq!((octets, transfer.outcome()), (size, Some(Outcome::Done)));
}

#[test]
fn what_has_no_place_in_a_transfer_ends_it() {
    for packet in [Packet::Data { block: 1, data: b"x" }, Packet::Oack(Options::default())] {
        let mut transfer = Transfer::new(5000, Options::default(), NOW);
        assert_eq!(sent(&mut transfer, NOW), "1:512");
        transfer.receive(&packet, NOW);
        assert_eq!(sent(&mut transfer, NOW), "error 4");
        assert_eq!((transfer.outcome(), sent(&mut transfer, NOW).as_str()), (Some(Outcome::Confused), ""));
    }
    let mut transfer = Transfer::new(5000, Options::default(), NOW);
    assert_eq!(sent(&mut transfer, NOW), "1:512");
    transfer.receive(&octet("undionly.kpxe"), NOW);
    assert_eq!((transfer.outcome(), sent(&mut transfer, NOW).as_str()), (None, ""));
}
