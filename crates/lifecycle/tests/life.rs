//! The life of the machines of `examples/pocket`, event by event.

#[expect(dead_code, reason = "each of the tests that share it needs another part of it")]
mod pocket;

use lifecycle::wait::AWAY_ORDINARY;
use lifecycle::{Zone, attestation};
use model::change::Holder;
use model::event::{What, Wish};
use model::facts::{Attested, CheckResult, Facts, Hardware, Neighbour, Nic, Stage, State, Token};
use model::ids::Generation;
use model::{Event, Time};
use pocket::{Told, as_drawn, mac, pocket, reported_by, uuid};
use std::time::Duration;

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
    let what = What::ScriptFetched { generation: Generation(1), image: None };
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
    told.tell(1, What::ScriptFetched { generation: Generation(1), image: None });
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

/// Its TPM is known at another place: to accept the one where it stands changes nothing of that, and so is not taken.
#[test]
fn to_accept_a_place_does_not_take_a_tpm_from_another() {
    let mut told = pocket();
    let shows = |told: &mut Told, unit: u8, ek: u8| {
        let (here, known) = (Told::location(unit), told.machine(unit).tpm.clone());
        let home = told.zone.home_of_tpm(&[ek; 32]);
        let outcome = attestation::may_be(known.as_ref(), &[ek; 32], &here, home);
        if let Err(sentence) = &outcome {
            let ek_sha256 = Some([ek; 32]);
            told.tell(unit, What::NotProved { sentence: sentence.clone(), ek_sha256 });
        }
        outcome
    };
    let enrols = |told: &mut Told, unit: u8, ek: u8| {
        let until = told.now + Duration::from_secs(900);
        let (token, ek_sha256) = ([ek; 32], Some([ek; 32]));
        told.tell(unit, What::TokenIssued { token_sha256: token, until, ek_sha256, by_bmc: false });
        let tpm = Some(Attested { ek_sha256: [ek; 32], pcrs: Vec::new(), resets: 1, clock_ms: 1 });
        let spent = What::Enrolled { key_sha256: token, token_sha256: Some(token), tpm };
        assert_eq!(told.tell(unit, spent).refused, None);
    };
    let accept = |told: &mut Told, unit: u8| {
        let what = What::Operator { by: "op".into(), wish: Wish::Accept, beyond_budget: false };
        told.tell(unit, what).refused.map(|why| why.into_owned())
    };
    told.boots(1, 1);
    enrols(&mut told, 1, 7);
    told.boots(2, 1);
    let why = shows(&mut told, 2, 7).expect_err("it is of u01");
    assert_eq!(
        why,
        "its TPM is the one of p01/r1/u01; if it is to stay here, `zw accept p01/r1/u01` (for what is there now) or `zw retire p01/r1/u01` (if nothing is) frees it"
    );
    assert_eq!(accept(&mut told, 2).as_ref(), Some(&why));
    assert_eq!(told.machine(2).unproved, Some(why), "the reason stays");
    assert_eq!(accept(&mut told, 1), None);
    assert_eq!(accept(&mut told, 2), None, "nobody has it any more");
    assert_eq!((shows(&mut told, 2, 7), &told.machine(2).unproved), (Ok(()), &None));
    enrols(&mut told, 2, 7);
    // Two that changed places: to accept each of them forgets the one that the other shows.
    told.boots(1, 2);
    enrols(&mut told, 1, 8);
    for (unit, ek) in [(1, 7), (2, 8)] {
        assert!(shows(&mut told, unit, ek).is_err());
        assert_eq!(accept(&mut told, unit), None);
    }
    for (unit, ek) in [(1, 7), (2, 8)] {
        assert_eq!(shows(&mut told, unit, ek), Ok(()));
    }
}

#[test]
fn a_ready_machine_whose_agent_is_away_is_told_of() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    assert!(told.tell(1, What::Lost).changed.contains(&Told::location(1)), "others are to know it, too");
    assert_eq!((told.state(1), told.attention(1)), ("ready", None));
    assert!(told.why("p01/r1/u01").contains("it waits for its agent to connect again"));
    told.now = told.now + AWAY_ORDINARY + Duration::from_secs(1);
    assert!(
        told.attention(1)
            .expect("a reason")
            .ends_with("longer than is ordinary for its agent to connect again")
    );
    // Who has it out says until when.
    let (holder, deadline) = (Holder::Operator { by: "bob".into() }, told.now + Duration::from_secs(900));
    told.tell(1, What::Leased { holder: holder.clone(), reason: "firmware".into(), deadline });
    assert_eq!(told.attention(1), None);
    told.tell(1, What::Released { holder });
    assert!(told.attention(1).is_some());
    told.tell(1, What::Connected { running: None, burns_in: false, boot: None });
    assert_eq!((told.attention(1), told.machine(1).lost), (None, None));
    told.tell(1, What::Lost);
    told.boots(1, 1);
    assert_eq!(told.machine(1).lost, None, "it is on its way");
}

#[test]
fn a_controller_that_starts_gives_agents_their_time_to_come_back() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    told.zone = Zone::new(told.zone.plan().clone(), told.zone.facts().clone());
    told.zone.only_these_are_connected("", |_| false, told.now);
    assert_eq!(told.attention(1), None);
    told.now = told.now + AWAY_ORDINARY + Duration::from_secs(1);
    assert!(told.attention(1).is_some());
    told.tell(1, What::Connected { running: None, burns_in: false, boot: None });
    assert_eq!(told.attention(1), None);
}

/// Its agent had gone over to another before the first one missed it.
#[test]
fn of_several_controllers_only_the_one_that_has_an_agent_can_lose_it() {
    let mut told = pocket();
    told.becomes_ready(1, 1);
    let hello = || What::Connected { running: None, burns_in: false, boot: None };
    let tell = |told: &mut Told, controller: &str, what: What| {
        told.zone.apply_of(controller, &Event { at: told.now, location: Told::location(1), what })
    };
    assert!(!tell(&mut told, "one", hello()).changed.is_empty(), "others are to know where it is");
    tell(&mut told, "two", hello());
    assert!(tell(&mut told, "one", What::Lost).changed.is_empty());
    assert!(tell(&mut told, "one", What::StillConnected).changed.is_empty());
    assert_eq!((told.machine(1).agent_at.as_deref(), told.machine(1).lost), (Some("two"), None));
    // What others read is that, too.
    let stored = serde_json::to_string(told.zone.facts()).expect("JSON");
    let read: Facts = serde_json::from_str(&stored).expect("facts");
    assert_eq!(read.machines[&Told::location(1)].agent_at.as_deref(), Some("two"));
    assert!(!tell(&mut told, "two", What::Lost).changed.is_empty());
    assert_eq!((&told.machine(1).agent_at, told.machine(1).lost), (&None, Some(told.now)));
    // It was only thought to be gone, and has another word for itself now.
    assert!(!tell(&mut told, "two anew", What::StillConnected).changed.is_empty());
    assert_eq!((told.machine(1).agent_at.as_deref(), told.machine(1).lost), (Some("two anew"), None));
    tell(&mut told, "two anew", What::Lost);
    // What is connected yet is the system that it has left.
    told.boots(1, 1);
    assert!(tell(&mut told, "two anew", What::StillConnected).changed.is_empty());
    assert!(!told.machine(1).is_connected());
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
        (maintain.clone(), true),
        (Wish::Return, true),
        (maintain, true),
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
    let roots = |wish| What::Operator { by: "root".to_owned(), wish, beyond_budget: false };
    let retire = || roots(Wish::Retire { reason: "sold".to_owned() });
    let refused = told.tell(1, retire()).refused;
    assert_eq!(refused.as_deref(), Some("it is in service; `zw drain` it first, then retire it"));
    assert_eq!(told.state(1), "ready");
    assert_eq!(told.tell(1, roots(Wish::Drain { reason: "it is sold".to_owned() })).refused, None);
    assert!(told.tell(1, retire()).view_changed);
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
        machine.agent_at = None;
    }
    assert_eq!(serde_json::from_str::<Facts>(&json).expect("facts are read back"), facts);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Reported {
        Wrong,
        /// By an agent that tells no addresses.
        AsDrawn,
        /// By this machine.
        By(u8),
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Asks(u8, bool, u8, bool),
        Script(u8),
        Token(u8),
        Enrol(u8, u8),
        Report(u8, Reported),
        Checks(u8, bool),
        Connect(u8, bool),
        Accept(u8),
        Retire(u8),
        Return(u8),
    }

    fn events() -> impl Strategy<Value = Vec<Happens>> {
        let unit = 1u8..5;
        let reported =
            prop_oneof![Just(Reported::Wrong), Just(Reported::AsDrawn), (1u8..6).prop_map(Reported::By)];
        prop::collection::vec(
            prop_oneof![
                4 => (unit.clone(), any::<bool>(), 1u8..6, any::<bool>()).prop_map(|(a, b, c, d)| Happens::Asks(a, b, c, d)),
                2 => unit.clone().prop_map(Happens::Script),
                2 => unit.clone().prop_map(Happens::Token),
                2 => (unit.clone(), 1u8..5).prop_map(|(a, b)| Happens::Enrol(a, b)),
                2 => (unit.clone(), reported).prop_map(|(a, b)| Happens::Report(a, b)),
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
            Happens::Script(unit) => {
                told.tell(unit, What::ScriptFetched { generation: Generation(1), image: None })
            }
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
            Happens::Report(unit, ref reported) => {
                let hardware = match *reported {
                    Reported::Wrong => Hardware::default(),
                    Reported::AsDrawn => as_drawn(),
                    Reported::By(machine) => reported_by(machine),
                };
                told.tell(unit, What::Reported { hardware: Box::new(hardware) })
            }
            Happens::Checks(unit, passed) => {
                let results = vec![CheckResult { name: "kernel".to_owned(), passed, detail: String::new() }];
                told.tell(unit, What::Checked { results })
            }
            Happens::Connect(unit, connected) => told.tell(
                unit,
                if connected {
                    What::Connected { running: None, burns_in: false, boot: None }
                } else {
                    What::Lost
                },
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
