//! Who is burnt in, when, and what follows.

use expect_test::{Expect, expect};
use lifecycle::installing::{Duty, duty};
use lifecycle::machine::Action;
use lifecycle::{Zone, burn_in};
use model::burn_in::{BurnIn, Order, Outcome, Part, PartOutcome, Progress};
use model::event::{What, Wish};
use model::facts::{ByBmc, CheckResult, Disk, Hardware, Machine, Stage};
use model::finding::File;
use model::install::{Running, Slot};
use model::{Event, Facts, Generation, Location, Mac, Plan, Roster, Time};
use std::sync::Arc;

const ZONE: &str = r#"
zone "t1" {
  domain   = "t1.example.net"
  supernet = ["10.64.0.0/16"]
  capacity = { pods = 1, racks = 1, units = 16 }
}
network "boot" {
  per = "rack"
  for = ["machine"]
}
model "tor" {
  kind       = "switch"
  ports      = "swp{1..32}"
  circuit_id = "{port}"
}
model "node" {
  kind   = "server"
  nics   = ["eno1"]
  expect = { cpus = 8 }
}
image "installer" {
  kernel   = "vmlinuz"
  installs = true
}
os "debian" {
  image = "images/debian"
}
layout "one" {}
role "plain" {
  burn_in = { cpu = "10m", memory = "10m" }
}
role "checked" {
  burn_in = { cpu = "10m" }
  check "c.yaml" {}
}
role "installed" {
  boot    = image.installer
  os      = os.debian
  disks   = layout.one
  burn_in = { disk = "10m" }
}
pod "p1" {
  rack "r1" {
    leaf "a" {
      model = "tor"
    }
    machine "u1" {
      model = "node"
      role  = "plain"
      cable = { eno1 = leaf.a.swp1 }
    }
    machine "u2" {
      model = "node"
      role  = "checked"
      cable = { eno1 = leaf.a.swp2 }
    }
    machine "u3" {
      model = "node"
      role  = "installed"
      cable = { eno1 = leaf.a.swp3 }
    }
  }
}
"#;

fn plan(text: &str) -> Arc<Plan> {
    let files = [
        File { path: "zone.hcl".into(), text: text.into() },
        File { path: "c.yaml".into(), text: "file: {}\n".into() },
    ];
    let (design, findings) = design::parse(&files);
    let (plan, findings) = plan::compile(design.unwrap_or_else(|| panic!("{findings:?}")), None);
    let mut plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    plan.generation = Generation(3);
    Arc::new(plan)
}

fn found() -> Hardware {
    let disk = Disk { name: "sda".into(), size_bytes: 40_000_000_000, kind: "ssd".into() };
    Hardware {
        cpus: 8,
        memory_bytes: 64 << 30,
        serial: "S1".into(),
        disks: vec![disk],
        ..Hardware::default()
    }
}

struct Told {
    zone: Zone,
    now: Time,
}

impl Told {
    fn new() -> Self {
        Told { zone: Zone::new(plan(ZONE), Facts::default()), now: Time(1_000_000) }
    }

    /// Whether the agent is to be told something.
    fn tell(&mut self, unit: u8, what: What) -> bool {
        self.now = Time(self.now.0 + 1_000);
        let applied = self.zone.apply(&Event { at: self.now, location: Self::at(unit), what });
        assert_eq!(applied.refused, None);
        applied.actions.iter().any(|(_, action)| *action == Action::TellAgent)
    }

    fn at(unit: u8) -> Location {
        Location::new(&format!("t1/p1/r1/u{unit}"))
    }

    fn wish(&mut self, unit: u8, wish: Wish) -> bool {
        self.tell(unit, What::Operator { by: "op".into(), wish, beyond_budget: false })
    }

    fn machine(&self, unit: u8) -> &Machine {
        &self.zone.facts().machines[&Self::at(unit)]
    }

    fn order(&self, unit: u8) -> Option<Order> {
        let device = self.zone.roster().device_at(&Self::at(unit)).unwrap();
        burn_in::order(self.zone.plan(), device, self.machine(unit))
    }

    /// State, what it is to do, and what it waits for.
    fn shows(&self, unit: u8, expected: Expect) {
        let machine = self.machine(unit);
        let why = lifecycle::why(&self.zone, Self::at(unit).as_str(), self.now).unwrap().sentences;
        let waits = why.iter().find(|sentence| sentence.starts_with("it waits")).map_or("", String::as_str);
        let order = if self.order(unit).is_some() { "ordered" } else { "-" };
        expected.assert_eq(&format!("{}; {order}; {waits}", machine.state.name()));
    }

    /// From its firmware's first word to its agent's report.
    fn boots(&mut self, unit: u8, running: Option<Running>, hardware: Hardware) {
        for stage in [Stage::UefiPxe, Stage::Ipxe] {
            let mac = Mac([2, 0, 0, 0, 0, unit]);
            let (interface, port) = ("eno1".into(), format!("swp{unit}"));
            self.tell(unit, What::Asked { interface, mac, uuid: None, stage, port });
        }
        self.tell(unit, What::Connected { running, burns_in: true, boot: None });
        self.reports(unit, hardware);
    }

    fn reports(&mut self, unit: u8, hardware: Hardware) {
        self.tell(unit, What::Reported { hardware: Box::new(hardware) });
    }

    fn burns(&mut self, unit: u8, part: Part, percent: u8, elapsed_seconds: u32) {
        let order = self.order(unit).expect("an order");
        let per_second = 9_100_000_000;
        let progress = Progress { order, part, percent, per_second, elapsed_seconds };
        self.tell(unit, What::BurningIn { progress });
    }

    fn ends(&mut self, unit: u8, parts: &[(Part, bool)]) {
        let sentence = |passed| if passed { "all was right" } else { "0x1 was written, and 0x3 read" };
        let part = |(part, passed)| PartOutcome { part, passed, sentence: sentence(passed).into() };
        let parts = parts.iter().copied().map(part).collect();
        let outcome = Outcome { order: self.order(unit).expect("an order"), parts };
        self.tell(unit, What::BurntIn { outcome });
    }

    fn passes(&mut self, unit: u8) {
        let parts: Vec<_> =
            self.order(unit).expect("an order").parts.parts().map(|(part, _)| (part, true)).collect();
        self.ends(unit, &parts);
    }
}

#[test]
fn a_machine_is_burnt_in_once_and_then_ready() {
    let mut told = Told::new();
    told.boots(1, None, found());
    told.shows(1, expect!["validating; ordered; it waits for its burn-in to begin"]);
    let order = told.order(1).expect("an order");
    assert_eq!(order.parts, BurnIn { cpu_seconds: 600, memory_seconds: 600, disk_seconds: 0 });
    told.burns(1, Part::Cpu, 40, 240);
    told.burns(1, Part::Memory, 31, 786);
    told.shows(1, expect!["validating; ordered; it waits for its burn-in (memory, 31 %, 9.1 GB/s)"]);
    assert_eq!(told.order(1), Some(order), "the same for as long as it goes on");
    told.ends(1, &[(Part::Cpu, true), (Part::Memory, true)]);
    told.shows(1, expect!["ready; -; "]);
    let passed = told.machine(1).burn_in.passed.clone().expect("passed");
    assert_eq!(passed.sentences, ["cpu: all was right", "memory: all was right"]);
    // The next boot is not the first; that its kernel keeps some memory and calls the disk otherwise changes nothing.
    let mut same = found();
    same.memory_bytes -= 1 << 30;
    same.disks[0].name = "sdb".into();
    told.boots(1, None, same);
    told.shows(1, expect!["ready; -; "]);
}

#[test]
fn other_hardware_or_an_operators_word_make_it_due_again() {
    let check = |change: fn(&mut Told, &mut Hardware), expected: Expect| {
        let mut told = Told::new();
        told.boots(1, None, found());
        told.passes(1);
        assert_eq!(told.machine(1).state.name(), "ready");
        let mut hardware = found();
        change(&mut told, &mut hardware);
        told.boots(1, None, hardware);
        told.shows(1, expected);
    };
    check(|_, _| {}, expect!["ready; -; "]);
    check(
        |_, hardware| hardware.serial = "S2".into(),
        expect!["validating; ordered; it waits for its burn-in to begin"],
    );
    check(
        |_, hardware| hardware.memory_bytes = 96 << 30,
        expect!["validating; ordered; it waits for its burn-in to begin"],
    );
    check(
        |_, hardware| hardware.disks.push(hardware.disks[0].clone()),
        expect!["validating; ordered; it waits for its burn-in to begin"],
    );
    check(
        |told, _| assert!(!told.wish(1, Wish::Accept), "nothing now"),
        expect!["validating; ordered; it waits for its burn-in to begin"],
    );
}

#[test]
fn what_is_at_work_is_spared() {
    let mut told = Told::new();
    told.boots(1, None, found());
    told.passes(1);
    told.wish(1, Wish::Accept);
    told.reports(1, found());
    assert_eq!(told.machine(1).state.name(), "ready");
    // It fails while it works, and is mended without a boot.
    told.reports(1, Hardware { cpus: 4, ..found() });
    assert_eq!(told.machine(1).state.name(), "failed");
    told.reports(1, found());
    told.shows(1, expect!["ready; -; "]);
    // Somebody took it out of work.
    told.wish(1, Wish::Maintain { reason: "memory".into() });
    told.wish(1, Wish::Return);
    told.reports(1, found());
    told.shows(1, expect!["validating; ordered; it waits for its burn-in to begin"]);
}

#[test]
fn a_failure_stands_until_it_boots_or_is_returned() {
    let mut told = Told::new();
    told.boots(1, None, found());
    told.burns(1, Part::Memory, 1, 1);
    told.ends(1, &[(Part::Cpu, true), (Part::Memory, false)]);
    told.shows(1, expect!["failed; -; it waits for somebody to mend it: its burn-in failed, memory: 0x1 was written, and 0x3 read"]);
    told.reports(1, found());
    told.tell(1, What::Connected { running: None, burns_in: true, boot: None });
    assert_eq!(told.machine(1).state.name(), "failed");
    told.boots(1, None, found());
    told.shows(1, expect!["validating; ordered; it waits for its burn-in to begin"]);
    told.ends(1, &[(Part::Cpu, false)]);
    assert_eq!(told.machine(1).state.name(), "failed");
    told.wish(1, Wish::Return);
    told.reports(1, found());
    told.shows(1, expect!["validating; ordered; it waits for its burn-in to begin"]);
}

#[test]
fn a_machine_that_goes_down_in_the_middle_is_not_burnt_in_for_ever() {
    let mut told = Told::new();
    for _ in 0..burn_in::BEGUN_MAX {
        told.boots(1, None, found());
        told.burns(1, Part::Memory, 43, 858);
    }
    // Its agent starts again, without a boot: what it says goes backwards.
    told.burns(1, Part::Cpu, 0, 0);
    told.shows(1, expect!["failed; -; it waits for somebody to mend it: its burn-in was begun 3 times, and the machine or its agent went down in each"]);
    // Whoever boots it wants to know.
    told.boots(1, None, found());
    told.burns(1, Part::Cpu, 0, 0);
    told.shows(
        1,
        expect!["validating; ordered; it waits for its burn-in (cpu, 0 %, 9100000000 calculations/s)"],
    );
}

#[test]
fn it_waits_for_what_is_looked_at_before() {
    let mut told = Told::new();
    told.boots(2, None, Hardware { cpus: 4, ..found() });
    told.shows(2, expect!["failed; -; it waits for somebody to mend it: 8 CPUs drawn, 4 found"]);
    told.reports(2, found());
    told.shows(2, expect!["validating; -; it waits for its role's checks to be run"]);
    let check = |passed| CheckResult { name: "c".into(), passed, detail: "d".into() };
    told.tell(2, What::Checked { results: vec![check(true)] });
    told.shows(2, expect!["validating; ordered; it waits for its burn-in to begin"]);
    // What fails meanwhile calls it off.
    told.burns(2, Part::Cpu, 1, 1);
    assert!(told.tell(2, What::Checked { results: vec![check(false)] }), "its agent is told");
    told.shows(2, expect!["failed; -; it waits for somebody to mend it: check c failed: d"]);
    told.tell(2, What::Checked { results: vec![check(true)] });
    told.shows(2, expect!["validating; ordered; it waits for its burn-in to begin"]);
}

#[test]
fn an_operator_or_another_plan_calls_it_off() {
    let mut told = Told::new();
    told.boots(1, None, found());
    let old = told.order(1).expect("an order");
    told.burns(1, Part::Cpu, 40, 240);
    assert!(told.wish(1, Wish::Maintain { reason: "x".into() }), "its agent is told");
    assert_eq!(told.order(1), None);
    // What was under way then says nothing.
    let parts = vec![PartOutcome { part: Part::Cpu, passed: false, sentence: "stopped".into() }];
    told.tell(1, What::BurntIn { outcome: Outcome { order: old, parts } });
    told.wish(1, Wish::Return);
    told.reports(1, found());
    assert!(told.order(1).is_some_and(|order| order.due > old.due));
    let other = plan(&ZONE.replace("  burn_in = { cpu = \"10m\", memory = \"10m\" }\n", ""));
    told.zone.replan(Arc::clone(&other), Arc::new(Roster::of(&other)), None);
    assert_eq!(told.order(1), None);
    told.tell(1, What::Checked { results: Vec::new() });
    assert_eq!(told.machine(1).state.name(), "ready");
}

#[test]
fn a_part_that_the_role_asks_for_since_is_not_passed() {
    let mut told = Told::new();
    told.boots(1, None, found());
    let order = told.order(1).expect("an order");
    let more = plan(&ZONE.replace("memory = \"10m\"", "memory = \"10m\", disk = \"1h\""));
    told.zone.replan(Arc::clone(&more), Arc::new(Roster::of(&more)), None);
    let parts =
        order.parts.parts().map(|(part, _)| PartOutcome { part, passed: true, sentence: "right".into() });
    told.tell(1, What::BurntIn { outcome: Outcome { order, parts: parts.collect() } });
    assert_eq!(told.machine(1).state.name(), "validating");
    assert_ne!(told.order(1).expect("an order").parts, order.parts);
    told.passes(1);
    assert_eq!(told.machine(1).state.name(), "ready");
}

#[test]
fn it_comes_before_disks_are_written() {
    let duty = |told: &Told| {
        let device = told.zone.roster().device_at(&Told::at(3)).unwrap();
        duty(told.zone.plan(), device, told.machine(3), Some("sha256:new"), told.now)
    };
    let mut told = Told::new();
    let until = Time(told.now.0 + 3_600_000);
    told.boots(3, Some(Running::Memory), found());
    told.wish(3, Wish::Arm { generation: Generation(3), until, bmc: ByBmc::Absent });
    told.shows(3, expect!["validating; ordered; it waits for its burn-in to begin"]);
    assert_eq!(duty(&told), Duty::Nothing);
    // It takes longer than disks may be written.
    told.now = Time(until.0 + 1);
    told.passes(3);
    told.shows(3, expect!["validating; -; it waits for its order to write its disks"]);
    assert!(matches!(duty(&told), Duty::Install { .. }));
    // The system that was written is of the same machine.
    let image = Some("sha256:new".to_owned());
    told.tell(3, What::Installed { generation: Generation(3), image, slot: Some(Slot::A) });
    told.boots(
        3,
        Some(Running::Disk { slot: Slot::A, image: "sha256:new".into(), on_trial: false }),
        found(),
    );
    told.shows(3, expect!["ready; -; "]);
    // A trial has no time for it.
    told.wish(3, Wish::Accept);
    told.boots(3, Some(Running::Disk { slot: Slot::B, image: "sha256:x".into(), on_trial: true }), found());
    told.shows(3, expect!["ready; -; "]);
}

#[test]
fn silence_and_agents_that_cannot_are_shown() {
    let mut told = Told::new();
    told.boots(1, None, found());
    told.tell(1, What::Connected { running: None, burns_in: false, boot: None });
    told.shows(1, expect!["validating; -; it waits for its burn-in, which its agent cannot do: it is of an older release, or ends by itself"]);
    told.tell(1, What::Connected { running: None, burns_in: true, boot: None });
    told.burns(1, Part::Memory, 31, 786);
    told.now = told.now + burn_in::SILENCE_ORDINARY;
    told.tell(1, What::Lost);
    told.shows(1, expect!["validating; ordered; it waits for its burn-in (memory, 31 %, 9.1 GB/s, as its agent last said), longer than is ordinary"]);
}

#[test]
fn what_its_time_adds_to_an_allowance_is_answered_from_then_on() {
    let mut told = Told::new();
    let until = Time(told.now.0 + 3_600_000);
    told.wish(3, Wish::Arm { generation: Generation(3), until, bmc: ByBmc::Refused });
    told.boots(3, Some(Running::Memory), found());
    let order = told.order(3).expect("an order");
    let parts = vec![PartOutcome { part: Part::Disk, passed: true, sentence: "all was read".into() }];
    let what = What::BurntIn { outcome: Outcome { order, parts } };
    let at = Time(told.now.0 + 600_000);
    let applied = told.zone.apply(&Event { at, location: Told::at(3), what });
    assert!(told.machine(3).armed.is_some_and(|armed| armed.until > until));
    assert!(applied.view_changed, "{applied:?}");
}
