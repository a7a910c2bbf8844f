//! The life of the machines of `examples/pocket`, event by event.

use lifecycle::{Zone, why};
use model::event::{What, Wish};
use model::facts::{CheckResult, Disk, Facts, Hardware, Neighbour, Nic, Stage, State, Token};
use model::finding::{Code, File};
use model::ids::Generation;
use model::{Event, Location, Mac, Time};
use std::sync::Arc;
use std::time::Duration;

/// A zone with its clock.
struct Told {
    zone: Zone,
    now: Time,
}

fn pocket() -> Told {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.into() };
    let files = [
        file("zone.hcl", include_str!("../../../examples/pocket/zone.hcl")),
        file("checks/kvm.yaml", include_str!("../../../examples/pocket/checks/kvm.yaml")),
    ];
    let (design, findings) = design::parse(&files);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    Told { zone: Zone::new(Arc::new(plan), Facts::default()), now: Time(1_000_000) }
}

fn mac(unit: u8, nic: u8) -> Mac {
    Mac([2, 0, 0, 0, unit, nic])
}

/// The machine whose home is unit `unit` of the first rack.
fn uuid(unit: u8) -> [u8; 16] {
    [unit; 16]
}

impl Told {
    fn location(unit: u8) -> Location {
        Location::new(&format!("lab1/p01/r1/u{unit:02}"))
    }

    fn tell(&mut self, unit: u8, what: What) -> lifecycle::Applied {
        self.now = self.now + Duration::from_secs(1);
        self.zone.apply(&Event { at: self.now, location: Self::location(unit), what })
    }

    /// The machine with these addresses asks on the port drawn for `unit`'s `port`.
    fn asks(&mut self, unit: u8, port: &str, mac: Mac, uuid: [u8; 16], stage: Stage) -> lifecycle::Applied {
        let words = format!("p01-r1-leaf-x swp{unit}");
        self.tell(unit, What::Asked { interface: port.to_owned(), mac, uuid: Some(uuid), stage, port: words })
    }

    fn boots(&mut self, unit: u8, machine: u8) {
        self.asks(unit, "eno1", mac(machine, 1), uuid(machine), Stage::BiosPxe);
        self.asks(unit, "eno1", mac(machine, 1), uuid(machine), Stage::Ipxe);
        self.tell(unit, What::ScriptFetched { generation: Generation(1) });
    }

    fn enrols(&mut self, unit: u8) {
        let until = self.now + Duration::from_secs(900);
        assert_eq!(
            self.tell(
                unit,
                What::TokenIssued { token_sha256: [unit; 32], until, ek_sha256: None, by_bmc: false }
            )
            .refused,
            None
        );
        let paid = What::Enrolled { key_sha256: [9; 32], token_sha256: Some([unit; 32]), tpm: None };
        assert_eq!(self.tell(unit, paid).refused, None);
        self.tell(unit, What::Connected { running: None, burns_in: false });
    }

    fn reports(&mut self, unit: u8, hardware: Hardware) {
        self.tell(unit, What::Reported { hardware: Box::new(hardware) });
        let results = vec![CheckResult { name: "kernel".to_owned(), passed: true, detail: String::new() }];
        self.tell(unit, What::Checked { results });
    }

    fn becomes_ready(&mut self, unit: u8, machine: u8) {
        self.boots(unit, machine);
        self.enrols(unit);
        self.reports(unit, as_drawn());
        assert_eq!(self.state(unit), "ready", "{:?}", self.machine(unit));
    }

    fn machine(&self, unit: u8) -> &model::facts::Machine {
        &self.zone.facts().machines[&Self::location(unit)]
    }

    fn state(&self, unit: u8) -> &'static str {
        self.machine(unit).state.name()
    }

    fn doubt(&self, unit: u8) -> Option<Code> {
        self.machine(unit).miscabled.as_ref().map(|(code, _)| *code)
    }

    /// Why this machine wants attention.
    fn attention(&self, unit: u8) -> Option<String> {
        let zone = &self.zone;
        let device = zone.roster().device_at(&Self::location(unit)).expect("a machine");
        let machine = self.machine(unit);
        lifecycle::attention::of_machine(zone.plan(), zone.roster(), device, machine, self.now)
            .map(|attention| attention.in_words("it"))
    }

    fn why(&self, target: &str) -> String {
        why(&self.zone, target, self.now).map_or_else(|| "nothing".to_owned(), |why| why.sentences.join("\n"))
    }
}

/// What `model "node"` of the example expects.
fn as_drawn() -> Hardware {
    Hardware {
        cpus: 2,
        memory_bytes: 4 << 30,
        disks: vec![Disk { name: "sda".to_owned(), size_bytes: 20_000_000_000, kind: "ssd".to_owned() }],
        ..Hardware::default()
    }
}

/// The same in a machine whose agent tells its addresses and its UUID.
fn reported_by(machine: u8) -> Hardware {
    let nic = |number: u8| Nic {
        name: format!("eno{number}"),
        mac: mac(machine, number),
        mbps: Some(25_000),
        neighbour: None,
    };
    let uuid = uuid(machine).iter().map(|octet| format!("{octet:02x}")).collect();
    Hardware { nics: vec![nic(1), nic(2)], stacked: Some(Vec::new()), uuid, ..as_drawn() }
}

/// With several controllers each hears a request, and those that do not decide tell of it later than of what followed.
#[test]
fn what_another_controller_heard_of_a_boot_does_not_begin_it_again() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    let again = |told: &mut Told, stage: Stage, earlier: u64| {
        let what = What::Asked {
            interface: "eno1".into(),
            mac: mac(1, 1),
            uuid: Some(uuid(1)),
            stage,
            port: "p01-r1-leaf-x swp1".into(),
        };
        let at = Time(told.now.0 - earlier);
        told.zone.apply(&Event { at, location: Told::location(1), what })
    };
    for stage in [Stage::BiosPxe, Stage::Ipxe, Stage::Os] {
        again(&mut told, stage, 500);
        assert_eq!(told.state(1), "ready", "{stage:?}");
    }
    assert_eq!(told.machine(1).boots_in_vain, 0);
    // What is older than what was seen on this port says nothing.
    assert!(again(&mut told, Stage::BiosPxe, 20_000).changed.is_empty());
    // A machine that really boots does so later; and what is too early to be late was told by a clock that is wrong.
    again(&mut told, Stage::BiosPxe, 0);
    assert_eq!(told.state(1), "seen");
    told.becomes_ready(1, 1);
    again(&mut told, Stage::BiosPxe, 600_000);
    assert_eq!(told.state(1), "seen");
}

/// An edge starts it with every controller gone. The controllers come back, its system renews its lease there, and then they hear of the boot.
#[test]
fn a_boot_that_an_edge_tells_of_began_although_the_system_asked_since() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    let (boots, began) = (told.machine(1).boots, told.now);
    told.tell(1, What::Lost);
    told.now = Time(began.0 + 60_000);
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Os);
    assert_eq!(told.state(1), "ready", "a renewal is no boot");
    let seen = told.machine(1).sightings["eno1"].clone();
    let firmware = |told: &mut Told, after: u64, stage: Stage| {
        let port = seen.port.clone();
        let what = What::Asked { interface: "eno1".into(), mac: mac(1, 1), uuid: Some(uuid(1)), stage, port };
        told.zone.apply(&Event { at: Time(began.0 + after), location: Told::location(1), what })
    };
    firmware(&mut told, 20_000, Stage::BiosPxe);
    assert_eq!(told.state(1), "seen");
    assert_eq!(told.machine(1).boot_began, Some(Time(began.0 + 20_000)));
    assert_eq!(told.machine(1).sightings["eno1"], seen, "what was seen last");
    firmware(&mut told, 21_000, Stage::Ipxe);
    let what = What::ScriptFetched { generation: Generation(1) };
    told.zone.apply(&Event { at: Time(began.0 + 22_000), location: Told::location(1), what });
    assert_eq!(told.state(1), "booting");
    told.enrols(1);
    assert_eq!(told.state(1), "validating");
    assert_eq!((told.machine(1).boots, told.machine(1).boots_in_vain), (boots + 1, 0));
    // The other controller heard it all as well.
    firmware(&mut told, 20_001, Stage::BiosPxe);
    assert_eq!((told.state(1), told.machine(1).boots), ("validating", boots + 1));
}

#[test]
fn a_machine_goes_from_expected_to_ready() {
    let mut told = pocket();
    assert!(
        told.why("p01/r1/u01").contains("waits for its first DHCP request, by p01-r1-leaf-a swp1"),
        "{}",
        told.why("p01/r1/u01")
    );
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::BiosPxe);
    assert_eq!(told.state(1), "seen");
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Ipxe);
    told.tell(1, What::ScriptFetched { generation: Generation(1) });
    assert_eq!(told.state(1), "booting");
    told.enrols(1);
    assert_eq!(told.state(1), "validating");
    told.reports(1, as_drawn());
    assert_eq!(told.state(1), "ready");
    assert_eq!(told.machine(1).accepted["eno1"], mac(1, 1));
    assert_eq!(told.machine(1).boot_took_ms, Some(7_000));
    assert!(
        told.why("p01/r1/u01").contains("and ready for 0.0 s; it took 7.0 s from its first packet"),
        "{}",
        told.why("p01/r1/u01")
    );
}

#[test]
fn the_checks_alone_or_the_report_alone_make_nothing_ready() {
    let mut told = pocket();
    told.boots(1, 1);
    told.enrols(1);
    told.tell(
        1,
        What::Checked {
            results: vec![CheckResult { name: "kernel".to_owned(), passed: true, detail: String::new() }],
        },
    );
    assert_eq!(told.state(1), "validating");
    let mut told = pocket();
    told.boots(1, 1);
    told.enrols(1);
    told.tell(1, What::Reported { hardware: Box::new(as_drawn()) });
    assert_eq!(told.state(1), "validating");
}

#[test]
fn what_is_not_as_drawn_fails_in_words_and_is_forgiven_when_mended() {
    let mut told = pocket();
    told.boots(1, 1);
    told.enrols(1);
    let neighbour = Some(Neighbour { system: "p01-r1-leaf-a".to_owned(), port: "swp2".to_owned() });
    let nics = vec![Nic { name: "eno1".to_owned(), mac: mac(1, 1), mbps: None, neighbour }];
    told.reports(1, Hardware { cpus: 1, disks: Vec::new(), nics, clock_skew_ms: -60_000, ..as_drawn() });
    let State::Failed { reasons } = &told.machine(1).state else { panic!("{}", told.state(1)) };
    assert_eq!(
        reasons.join("\n"),
        "2 CPUs drawn, 1 found\n\
         1 × 20 GB ssd disk drawn, 0 found (disks: none)\n\
         eno1 should be plugged into p01-r1-leaf-a swp1, LLDP says p01-r1-leaf-a swp2\n\
         its clock is -60000 ms off"
    );
    // An installer has names of its own for the interfaces.
    let neighbour = Some(Neighbour { system: "p01-r1-leaf-b".to_owned(), port: "swp1".to_owned() });
    let nics = vec![Nic { name: "eth0".to_owned(), mac: mac(1, 1), mbps: None, neighbour }];
    told.reports(1, Hardware { nics, ..as_drawn() });
    let State::Failed { reasons } = &told.machine(1).state else { panic!("{}", told.state(1)) };
    assert_eq!(reasons[..], ["eno1 should be plugged into p01-r1-leaf-a swp1, LLDP says p01-r1-leaf-b swp1"]);
    told.reports(1, as_drawn());
    assert_eq!(told.state(1), "ready");
}

#[test]
fn a_failed_check_is_named() {
    let mut told = pocket();
    told.boots(1, 1);
    told.enrols(1);
    told.reports(1, as_drawn());
    told.tell(
        1,
        What::Checked {
            results: vec![CheckResult {
                name: "file:/dev/kvm".to_owned(),
                passed: false,
                detail: "should exist, does not".to_owned(),
            }],
        },
    );
    assert_eq!(told.state(1), "failed");
    assert!(told.why("p01/r1/u01").contains("check file:/dev/kvm failed: should exist, does not"));
    assert_eq!(
        told.attention(1).as_deref(),
        Some("it failed: check file:/dev/kvm failed: should exist, does not")
    );
}

#[test]
fn what_takes_longer_than_is_ordinary_wants_attention() {
    let mut told = pocket();
    told.boots(1, 1);
    assert_eq!(told.attention(1), None);
    told.now = told.now + lifecycle::wait::BOOTING_ORDINARY + Duration::from_secs(1);
    let overdue = "it waits longer than is ordinary for its kernel to start and its agent to enrol";
    assert_eq!(told.attention(1).as_deref(), Some(overdue));
    // Somebody has it in hand.
    let maintain = Wish::Maintain { reason: "a fan".to_owned() };
    told.tell(1, What::Operator { by: "root".to_owned(), wish: maintain, beyond_budget: false });
    assert_eq!(told.attention(1), None);
}

#[test]
fn renewals_change_nothing_and_a_power_cycle_begins_anew() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Os);
    let applied = told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::Os);
    assert_eq!((applied.changed.len(), told.state(1)), (0, "ready"));
    told.asks(1, "eno1", mac(1, 1), uuid(1), Stage::BiosPxe);
    assert_eq!((told.state(1), told.machine(1).token), ("seen", Token::None));
}

#[test]
fn a_token_is_good_once_for_one_boot_and_in_time() {
    let mut told = pocket();
    let issue = |told: &Told, token: u8, seconds: u64| What::TokenIssued {
        token_sha256: [token; 32],
        until: told.now + Duration::from_secs(seconds),
        ek_sha256: None,
        by_bmc: false,
    };
    let use_up =
        |token: u8| What::Enrolled { key_sha256: [token; 32], token_sha256: Some([token; 32]), tpm: None };
    let early = issue(&told, 1, 900);
    assert!(told.tell(1, early).refused.is_some(), "no token before the machine was seen");
    told.boots(1, 1);
    let first = issue(&told, 1, 900);
    assert_eq!(told.tell(1, first).refused, None);
    assert!(told.tell(1, use_up(2)).refused.is_some(), "another's token");
    let short = issue(&told, 3, 2);
    assert_eq!(told.tell(1, short).refused, None, "an agent that lost its token asks again");
    assert!(told.tell(1, use_up(1)).refused.is_some(), "the earlier one is void");
    told.now = told.now + Duration::from_secs(5);
    assert!(told.tell(1, use_up(3)).refused.is_some(), "it is over");
    let fresh = issue(&told, 4, 900);
    told.tell(1, fresh);
    assert_eq!(told.tell(1, use_up(4)).refused, None);
    assert!(told.tell(1, use_up(4)).refused.is_some(), "used");
    let again = issue(&told, 5, 900);
    assert!(told.tell(1, again).refused.is_some(), "one boot, one token");
    told.boots(1, 1);
    let next = issue(&told, 6, 900);
    assert_eq!(told.tell(1, next).refused, None, "another boot, another token");
}

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
    told.tell(2, What::ScriptFetched { generation: Generation(1) });
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
    told.tell(1, What::ScriptFetched { generation: Generation(1) });
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

#[test]
fn a_conflict_is_kept_until_somebody_says_it_is_over() {
    let mut told = pocket();
    let address = "10.64.4.21".parse().expect("an address");
    let declined = What::Declined { interface: "bond0".to_owned(), address, mac: mac(1, 1) };
    assert!(told.tell(1, declined).view_changed);
    assert!(
        told.why("p01/r1/u01").contains("10.64.4.21 is used by somebody else"),
        "{}",
        told.why("p01/r1/u01")
    );
    assert_eq!(told.attention(1).as_deref(), Some("10.64.4.21 of it is used by somebody else"));
    told.tell(1, What::Operator { by: "root".to_owned(), wish: Wish::Return, beyond_budget: false });
    assert_eq!(told.machine(1).conflicts.len(), 0);
    assert_eq!(told.attention(1), None);
}

#[test]
fn what_a_machine_boots_follows_every_word_that_holds_it_back_or_ends_that() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    let reason = || "a fan".to_owned();
    let (maintain, drain) = (Wish::Maintain { reason: reason() }, Wish::Drain { reason: reason() });
    let retire = Wish::Retire { reason: reason() };
    let other = Wish::Maintain { reason: "two fans".to_owned() };
    for (wish, view_changed) in [
        (drain.clone(), false),
        (maintain.clone(), true),
        (other, true),
        (drain, true),
        (maintain, true),
        (Wish::Return, true),
        (retire, true),
        (Wish::Return, true),
    ] {
        let words = format!("{wish:?}");
        let applied = told.tell(1, What::Operator { by: "root".to_owned(), wish, beyond_budget: false });
        assert_eq!(applied.view_changed, view_changed, "{words}");
    }
}

#[test]
fn a_retired_machine_is_left_alone() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    let wish = Wish::Retire { reason: "sold".to_owned() };
    assert!(told.tell(1, What::Operator { by: "root".to_owned(), wish, beyond_budget: false }).view_changed);
    told.boots(1, 1);
    assert_eq!(told.state(1), "retired");
    let until = told.now + Duration::from_secs(900);
    assert!(
        told.tell(1, What::TokenIssued { token_sha256: [1; 32], until, ek_sha256: None, by_bmc: false })
            .refused
            .is_some()
    );
    told.tell(1, What::Operator { by: "root".to_owned(), wish: Wish::Return, beyond_budget: false });
    assert_eq!(told.state(1), "validating", "its agent is still connected");
}

/// What a restart must give back: everything but the connections.
#[test]
fn facts_survive_being_written_and_read() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.asks(2, "eno1", mac(1, 1), uuid(1), Stage::UefiPxe);
    let mut facts = told.zone.facts().clone();
    let json = serde_json::to_string(&facts).expect("facts are JSON");
    for machine in facts.machines.values_mut() {
        machine.connected = false;
    }
    assert_eq!(serde_json::from_str::<Facts>(&json).expect("facts are read back"), facts);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Happens {
        Asks(u8, bool, u8, bool),
        Script(u8),
        Token(u8),
        Enrol(u8, u8),
        Report(u8, bool),
        Checks(u8, bool),
        Connect(u8, bool),
        Accept(u8),
        Retire(u8),
        Return(u8),
    }

    fn events() -> impl Strategy<Value = Vec<Happens>> {
        let unit = 1u8..5;
        prop::collection::vec(
            prop_oneof![
                4 => (unit.clone(), any::<bool>(), 1u8..6, any::<bool>()).prop_map(|(a, b, c, d)| Happens::Asks(a, b, c, d)),
                2 => unit.clone().prop_map(Happens::Script),
                2 => unit.clone().prop_map(Happens::Token),
                2 => (unit.clone(), 1u8..5).prop_map(|(a, b)| Happens::Enrol(a, b)),
                2 => (unit.clone(), any::<bool>()).prop_map(|(a, b)| Happens::Report(a, b)),
                2 => (unit.clone(), any::<bool>()).prop_map(|(a, b)| Happens::Checks(a, b)),
                1 => (unit.clone(), any::<bool>()).prop_map(|(a, b)| Happens::Connect(a, b)),
                1 => unit.clone().prop_map(Happens::Accept),
                1 => unit.clone().prop_map(Happens::Retire),
                1 => unit.prop_map(Happens::Return),
            ],
            0..60,
        )
    }

    fn tell(told: &mut Told, event: &Happens) -> lifecycle::Applied {
        let by = || "root".to_owned();
        match *event {
            Happens::Asks(unit, second, machine, firmware) => {
                let (port, nic) = if second { ("eno2", 2) } else { ("eno1", 1) };
                let stage = if firmware { Stage::UefiPxe } else { Stage::Os };
                told.asks(unit, port, mac(machine, nic), uuid(machine), stage)
            }
            Happens::Script(unit) => told.tell(unit, What::ScriptFetched { generation: Generation(1) }),
            Happens::Token(unit) => {
                let until = told.now + Duration::from_secs(900);
                told.tell(
                    unit,
                    What::TokenIssued { token_sha256: [unit; 32], until, ek_sha256: None, by_bmc: false },
                )
            }
            Happens::Enrol(unit, token) => told.tell(
                unit,
                What::Enrolled { key_sha256: [9; 32], token_sha256: Some([token; 32]), tpm: None },
            ),
            Happens::Report(unit, right) => {
                let hardware = if right { as_drawn() } else { Hardware::default() };
                told.tell(unit, What::Reported { hardware: Box::new(hardware) })
            }
            Happens::Checks(unit, passed) => {
                let results = vec![CheckResult { name: "kernel".to_owned(), passed, detail: String::new() }];
                told.tell(unit, What::Checked { results })
            }
            Happens::Connect(unit, connected) => told.tell(
                unit,
                if connected { What::Connected { running: None, burns_in: false } } else { What::Lost },
            ),
            Happens::Accept(unit) => {
                told.tell(unit, What::Operator { by: by(), wish: Wish::Accept, beyond_budget: false })
            }
            Happens::Retire(unit) => told.tell(
                unit,
                What::Operator {
                    by: by(),
                    wish: Wish::Retire { reason: "sold".to_owned() },
                    beyond_budget: false,
                },
            ),
            Happens::Return(unit) => {
                told.tell(unit, What::Operator { by: by(), wish: Wish::Return, beyond_budget: false })
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// Whatever happens: a ready machine fits and has no doubt, an accepted address has one home, what is not said
        /// to have changed has not, and a zone made anew from the stored facts judges as the old one does.
        #[test]
        fn invariants_hold_after_every_event(events in events()) {
            let mut told = pocket();
            for event in &events {
                let before = told.zone.facts().clone();
                let applied = tell(&mut told, event);
                let mut homes = std::collections::BTreeMap::new();
                for (location, machine) in &told.zone.facts().machines {
                    if machine.state == State::Ready {
                        prop_assert!(machine.hardware.as_ref().is_some_and(|found| found.cpus == 2), "{event:?}: {machine:?}");
                        prop_assert!(machine.checks.iter().all(|check| check.passed), "{event:?}: {machine:?}");
                    }
                    if applied.refused.is_none() && !applied.changed.contains(location) {
                        let same = before.machines.get(location).is_none_or(|before| {
                            before.state == machine.state && before.accepted == machine.accepted && before.token == machine.token
                                && before.miscabled == machine.miscabled
                        });
                        prop_assert!(same, "{event:?} changed {location} and did not say so");
                    }
                    for mac in machine.accepted.values() {
                        let _ = homes.insert(*mac, location.clone());
                    }
                }
                let mut again = Zone::new(told.zone.plan().clone(), told.zone.facts().clone());
                again.apply(&Event { at: told.now, location: Told::location(1), what: What::Tick });
                for (location, machine) in &told.zone.facts().machines {
                    prop_assert_eq!(&again.facts().machines[location].miscabled, &machine.miscabled, "{:?} {}", event, location);
                }
            }
        }
    }
}
