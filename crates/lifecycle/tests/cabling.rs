//! Who is on whose port: replaced, swapped, shifted and foreign machines of `examples/pocket`, event by event.

#[expect(dead_code, reason = "each of the tests that share it needs another part of it")]
mod pocket;

use model::Mac;
use model::event::{What, Wish};
use model::facts::{Hardware, Stage};
use model::finding::Code;
use model::ids::Generation;
use pocket::{Told, as_drawn, mac, pocket, reported_by, uuid};
use std::time::Duration;

#[test]
fn a_replaced_machine_comes_up_as_the_old_one() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.tell(1, What::Lost);
    told.becomes_ready(1, 77);
    assert_eq!((told.machine(1).accepted["eno1"], told.doubt(1)), (mac(77, 1), None));
}

#[test]
fn a_replacement_that_booted_before_the_loss_was_heard_of_was_seen_in_its_boot() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    for stage in [Stage::UefiPxe, Stage::Ipxe, Stage::Os] {
        told.asks(1, "eno1", mac(77, 1), uuid(77), stage);
        told.now = told.now + Duration::from_secs(1);
    }
    assert_eq!(told.state(1), "validating", "the other may be there yet");
    told.tell(1, What::Lost);
    assert_eq!(told.state(1), "seen");
    // What was seen before the boot began counts for nothing, and no token would be given.
    let machine = told.machine(1);
    assert_eq!(machine.boot_began, Some(machine.sightings["eno1"].at));
}

#[test]
fn a_replacement_was_seen_by_every_port_that_it_asked_on() {
    let mut told = pocket();
    for port in ["eno1", "eno2"] {
        told.asks(1, port, mac(1, if port == "eno1" { 1 } else { 2 }), uuid(1), Stage::Os);
    }
    told.becomes_ready(1, 1);
    // A system asks on both ends of its bond within a moment, and may speak of either as its own.
    told.asks(1, "eno2", mac(77, 2), uuid(77), Stage::Os);
    let first = told.machine(1).sightings["eno2"].at;
    told.now = told.now + Duration::from_millis(11);
    told.asks(1, "eno1", mac(77, 1), uuid(77), Stage::Os);
    told.tell(1, What::Lost);
    assert_eq!((told.state(1), told.machine(1).boot_began), ("seen", Some(first)));
}

#[test]
fn two_swapped_machines_are_named_from_dhcp_alone_and_put_back_are_ready_again() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.becomes_ready(2, 2);
    told.tell(1, What::Lost);
    told.tell(2, What::Lost);
    told.asks(1, "eno1", mac(2, 1), uuid(2), Stage::BiosPxe);
    assert_eq!(told.doubt(1), Some(Code::Miscabled));
    told.asks(2, "eno1", mac(1, 1), uuid(1), Stage::BiosPxe);
    assert_eq!((told.doubt(1), told.doubt(2)), (Some(Code::Swapped), Some(Code::Swapped)));
    let (_, sentence) = told.machine(1).miscabled.clone().expect("a doubt");
    assert_eq!(told.attention(1).as_ref(), Some(&sentence));
    assert_eq!(
        sentence,
        "p01/r1/u01 (hv-p01-r1-u01) and p01/r1/u02 (hv-p01-r1-u02) are swapped: the machine of p01/r1/u02 is on \
         p01-r1-leaf-a swp1, and the machine of p01/r1/u01 is on p01-r1-leaf-a swp2; exchange the two cables"
    );
    told.enrols(1);
    told.reports(1, as_drawn());
    assert_eq!(told.state(1), "validating", "not ready while its cables are doubted");
    told.becomes_ready(1, 1);
    told.becomes_ready(2, 2);
    assert_eq!((told.doubt(1), told.doubt(2)), (None, None));
}

#[test]
fn a_neighbours_machine_on_one_port_does_not_void_the_boot_by_another() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.becomes_ready(2, 2);
    told.tell(2, What::Lost);
    // Its cables are swapped with its neighbour's while both boot: its own machine comes by the other port.
    told.asks(2, "eno2", mac(2, 2), uuid(2), Stage::BiosPxe);
    told.tell(2, What::ScriptFetched { generation: Generation(1), image: None });
    let until = told.now + Duration::from_secs(900);
    assert_eq!(
        told.tell(2, What::TokenIssued { token_sha256: [2; 32], until, ek_sha256: None, by_bmc: false })
            .refused,
        None
    );
    told.asks(2, "eno1", mac(1, 1), uuid(1), Stage::BiosPxe);
    assert_eq!(told.state(2), "booting");
    let paid = What::Enrolled { key_sha256: [9; 32], token_sha256: Some([2; 32]), tpm: None };
    assert_eq!(told.tell(2, paid).refused, None);
    // Once nothing is under way, whoever boots there is what the place shows.
    told.becomes_ready(1, 1);
    told.tell(1, What::Lost);
    told.asks(1, "eno1", mac(2, 1), uuid(2), Stage::BiosPxe);
    assert_eq!(told.state(1), "seen");
}

/// The end of the last connection is heard late: after the machine's own new boot, and its neighbour's on its other port.
#[test]
fn a_connection_that_ends_late_does_not_void_the_boot_that_followed() {
    let mut told = pocket();
    for unit in 1..=2 {
        told.asks(unit, "eno2", mac(unit, 2), uuid(unit), Stage::Os);
        told.becomes_ready(unit, unit);
    }
    told.asks(2, "eno2", mac(2, 2), uuid(2), Stage::BiosPxe);
    let own = told.machine(2).sightings["eno2"].at;
    told.now = told.now + Duration::from_millis(11);
    told.asks(2, "eno1", mac(1, 1), uuid(1), Stage::BiosPxe);
    told.tell(2, What::Lost);
    assert_eq!((told.state(2), told.machine(2).boot_began), ("seen", Some(own)), "a token would be given");
}

#[test]
fn a_run_shifted_by_one_is_named_as_a_run() {
    let mut told = pocket();
    for unit in 1..=3 {
        told.becomes_ready(unit, unit);
    }
    for unit in 2..=4 {
        told.asks(unit, "eno1", mac(unit - 1, 1), uuid(unit - 1), Stage::UefiPxe);
    }
    for unit in 2..=4 {
        assert_eq!(
            told.doubt(unit),
            Some(Code::ShiftedByOne),
            "u{unit:02}: {:?}",
            told.machine(unit).miscabled
        );
    }
    let (_, sentence) = told.machine(3).miscabled.clone().expect("a doubt");
    assert!(
        sentence.starts_with("the eno1 cables of p01/r1/u01 to p01/r1/u03 are shifted by one"),
        "{sentence}"
    );
}

#[test]
fn a_crossed_pair_is_named() {
    let mut told = pocket();
    told.asks(1, "eno2", mac(1, 2), uuid(1), Stage::Os);
    told.becomes_ready(1, 1);
    told.asks(1, "eno1", mac(1, 2), uuid(1), Stage::BiosPxe);
    told.asks(1, "eno2", mac(1, 1), uuid(1), Stage::BiosPxe);
    assert_eq!(told.doubt(1), Some(Code::PairCrossed));
}

#[test]
fn on_the_first_day_the_uuid_tells() {
    let mut told = pocket();
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::UefiPxe);
    told.asks(2, "eno2", mac(1, 2), uuid(1), Stage::UefiPxe);
    assert_eq!((told.doubt(1), told.doubt(2)), (Some(Code::Miscabled), Some(Code::Miscabled)));
    told.asks(2, "eno2", mac(2, 2), uuid(2), Stage::UefiPxe);
    assert_eq!((told.doubt(1), told.doubt(2)), (None, None));
}

#[test]
fn a_stranger_on_the_port_of_a_connected_machine_is_foreign() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.asks(1, "eno1", mac(200, 1), uuid(200), Stage::UefiPxe);
    assert_eq!((told.doubt(1), told.state(1)), (Some(Code::Foreign), "validating"));
    told.tell(1, What::Lost);
    assert_eq!(
        (told.doubt(1), told.state(1)),
        (None, "seen"),
        "its own is gone: the newcomer is what stands there"
    );
}

/// A neighbour boots on its port by one cable, and its own machine by the other: both have its address.
#[test]
fn a_stranger_that_went_to_its_own_place_is_doubted_no_more() {
    let mut told = pocket();
    told.becomes_ready(3, 3);
    told.asks(3, "eno1", mac(77, 1), uuid(77), Stage::UefiPxe);
    assert_eq!(told.doubt(3), Some(Code::Foreign));
    told.asks(1, "eno1", mac(77, 1), uuid(77), Stage::UefiPxe);
    assert_eq!((told.doubt(1), told.doubt(3)), (None, None));
    // Nobody is seen on the port, so nobody belongs there, until the machine that is drawn there asks again.
    told.tell(3, What::Operator { by: "root".to_owned(), wish: Wish::Accept, beyond_budget: false });
    told.asks(3, "eno1", mac(3, 1), uuid(3), Stage::Os);
    assert_eq!((told.doubt(1), told.doubt(3)), (None, None));
}

#[test]
fn a_neighbours_cable_in_a_port_is_no_machines_that_reports_by_the_other() {
    let mut told = pocket();
    told.asks(1, "eno2", mac(1, 2), uuid(1), Stage::BiosPxe);
    told.asks(1, "eno1", mac(2, 1), uuid(2), Stage::BiosPxe);
    told.asks(1, "eno2", mac(1, 2), uuid(1), Stage::Os);
    told.enrols(1);
    told.reports(1, reported_by(1));
    assert_eq!((told.state(1), told.doubt(1)), ("validating", Some(Code::Foreign)));
    let (_, sentence) = told.machine(1).miscabled.clone().expect("a doubt");
    assert_eq!(
        sentence,
        "another machine than the one that reports as p01/r1/u01 (hv-p01-r1-u01) asks on p01-r1-leaf-a swp1, drawn for its \
         eno1, as 02:00:00:00:02:01; put the cable that belongs there into that port"
    );
    assert!(told.machine(1).accepted.is_empty(), "{:?}", told.machine(1).accepted);
    // It is renewed, and the machine reports again: the doubt stays.
    told.asks(1, "eno1", mac(2, 1), uuid(2), Stage::Os);
    told.reports(1, reported_by(1));
    assert_eq!(told.doubt(1), Some(Code::Foreign));
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Os);
    assert_eq!((told.state(1), told.doubt(1)), ("ready", None));
    assert_eq!(told.machine(1).accepted["eno1"], mac(1, 1));
}

/// Systems send no UUID, and ask with addresses of bridges, too: the report has these.
/// A restart is no reason to forget where a cable belongs: the machine reports its interface, and it is seen in another's port.
#[test]
fn a_cable_in_anothers_port_is_known_after_its_machine_restarted_by_the_other() {
    let mut told = pocket();
    told.asks(3, "eno2", mac(3, 2), uuid(3), Stage::Os);
    told.boots(3, 3);
    told.enrols(3);
    told.reports(3, reported_by(3));
    assert_eq!((told.state(3), told.machine(3).accepted.len()), ("ready", 2));
    told.asks(1, "eno1", mac(3, 1), uuid(3), Stage::UefiPxe);
    assert_eq!((told.doubt(1), told.doubt(3)), (Some(Code::Miscabled), None));
    told.tell(3, What::Lost);
    told.asks(3, "eno2", mac(3, 2), uuid(3), Stage::UefiPxe);
    told.tell(3, What::ScriptFetched { generation: Generation(1), image: None });
    told.enrols(3);
    told.reports(3, reported_by(3));
    assert_eq!((told.state(3), told.machine(3).accepted.len()), ("ready", 2));
    assert_eq!((told.doubt(1), told.doubt(3)), (Some(Code::Miscabled), None));
    // One that has it no more gives it free.
    told.tell(3, What::Lost);
    told.asks(3, "eno2", mac(77, 2), uuid(77), Stage::UefiPxe);
    told.enrols(3);
    told.reports(3, reported_by(77));
    assert_eq!(told.machine(3).accepted, [("eno2".to_owned(), mac(77, 2))].into());
    told.asks(1, "eno1", mac(3, 1), uuid(3), Stage::UefiPxe);
    assert_eq!((told.state(3), told.doubt(1)), ("ready", None));
}

#[test]
fn what_a_system_asks_with_is_its_own_or_another_machines_as_the_report_has_it() {
    let check = |stacked: Option<Vec<Mac>>| {
        let mut told = pocket();
        told.boots(1, 1);
        let port = "p01-r1-leaf-b swp1".to_owned();
        let interface = "eno2".to_owned();
        told.tell(1, What::Asked { interface, mac: mac(2, 2), uuid: None, stage: Stage::Os, port });
        told.enrols(1);
        told.reports(1, Hardware { stacked, ..reported_by(1) });
        (told.state(1), told.doubt(1))
    };
    assert_eq!(check(Some(Vec::new())), ("validating", Some(Code::Foreign)));
    assert_eq!(check(Some(vec![mac(1, 9)])), ("validating", Some(Code::Foreign)));
    assert_eq!(check(Some(vec![mac(1, 9), mac(2, 2)])), ("ready", None));
    assert_eq!(check(None), ("ready", None), "an agent that does not tell is no evidence");
}

#[test]
fn what_a_replaced_machine_showed_before_is_neither_doubted_nor_accepted() {
    let mut told = pocket();
    told.asks(1, "eno2", mac(1, 2), uuid(1), Stage::Os);
    told.boots(1, 1);
    told.enrols(1);
    told.reports(1, reported_by(1));
    assert_eq!((told.state(1), told.machine(1).accepted.len()), ("ready", 2));
    told.tell(1, What::Lost);
    told.boots(1, 77);
    told.enrols(1);
    told.reports(1, reported_by(77));
    assert_eq!((told.state(1), told.doubt(1)), ("ready", None));
    assert_eq!(told.machine(1).accepted, [("eno1".to_owned(), mac(77, 1))].into());
}

#[test]
fn another_machine_than_the_one_that_reports_is_not_accepted_with_it() {
    let mut told = pocket();
    told.becomes_ready(2, 2);
    told.boots(1, 1);
    told.enrols(1);
    told.reports(1, reported_by(1));
    told.asks(1, "eno2", mac(2, 1), uuid(2), Stage::UefiPxe);
    told.tell(1, What::ScriptFetched { generation: Generation(1), image: None });
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Os);
    told.enrols(1);
    told.reports(1, reported_by(1));
    assert_eq!(told.doubt(1), Some(Code::Miscabled));
    let accept = || What::Operator { by: "root".to_owned(), wish: Wish::Accept, beyond_budget: false };
    told.tell(1, accept());
    assert_eq!((told.state(1), told.doubt(1)), ("ready", None));
    assert_eq!(told.machine(1).accepted, [("eno1".to_owned(), mac(1, 1))].into());
    assert_eq!(told.machine(2).accepted["eno1"], mac(2, 1), "it keeps its home");
    // Whoever is there still is seen again.
    told.asks(1, "eno2", mac(2, 1), uuid(2), Stage::Os);
    assert_eq!((told.state(1), told.doubt(1)), ("validating", Some(Code::Miscabled)));
}

#[test]
fn a_machine_that_is_to_stay_where_it_is_is_accepted() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.asks(2, "eno1", mac(1, 1), uuid(1), Stage::UefiPxe);
    assert_eq!(told.doubt(2), Some(Code::Miscabled));
    let applied =
        told.tell(2, What::Operator { by: "root".to_owned(), wish: Wish::Accept, beyond_budget: false });
    assert!(applied.view_changed && applied.changed.contains(&Told::location(1)), "{applied:?}");
    assert_eq!((told.doubt(1), told.doubt(2)), (None, None));
    assert_eq!(told.zone.facts().machines[&Told::location(1)].accepted.get("eno1"), None);
}
