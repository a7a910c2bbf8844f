//! From an empty disk to a confirmed system, and what must not happen on the way.

use lifecycle::Zone;
use lifecycle::installing::{Duty, begin, disks, duty};
use lifecycle::machine::Action;
use lifecycle::starting::{self, Way};
use model::event::{Started, What, Wish};
use model::facts::{ByBmc, CheckResult, Disk, Hardware, Machine, Stage, State};
use model::finding::File;
use model::install::{Progress, Running, Slot};
use model::{Event, Facts, Generation, Location, Mac, Time};
use std::sync::Arc;

const OLD: &str = "sha256:old";
const NEW: &str = "sha256:new";

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
  kind = "server"
  nics = ["eno1"]
}
image "installer" {
  kernel   = "vmlinuz"
  installs = true
}
os "debian" {
  image = "images/debian"
}
layout "mirror" {
  disks = { count = 2, kind = "ssd" }
  raid  = 1
  root  = "4GiB"

  volume "data" {
    mount = "/srv"
  }
}
role "store" {
  boot  = image.installer
  os    = os.debian
  disks = layout.mirror
}
pod "p1" {
  rack "r1" {
    leaf "a" {
      model = "tor"
    }
    machines "u{1..3}" {
      model = "node"
      role  = "store"
      cable = { eno1 = leaf.a.swp[unit] }
    }
  }
}
"#;

struct Told {
    zone: Zone,
    now: Time,
}

fn ssd(name: &str, size_bytes: u64) -> Disk {
    Disk { name: name.into(), size_bytes, kind: "ssd".into() }
}

impl Told {
    fn new() -> Self {
        Self::of(ZONE)
    }

    fn of(text: &str) -> Self {
        let (design, findings) = design::parse(&[File { path: "zone.hcl".into(), text: text.into() }]);
        let design = design.unwrap_or_else(|| panic!("{findings:?}"));
        let (plan, findings) = plan::compile(design, None);
        let mut plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
        plan.generation = Generation(3);
        Told { zone: Zone::new(Arc::new(plan), Facts::default()), now: Time(1_000_000) }
    }

    fn at(unit: u8) -> Location {
        Location::new(&format!("t1/p1/r1/u{unit}"))
    }

    fn tell(&mut self, unit: u8, what: What) -> (Option<&'static str>, bool) {
        self.now = Time(self.now.0 + 1_000);
        let applied = self.zone.apply(&Event { at: self.now, location: Self::at(unit), what });
        let tells = applied.actions.iter().any(|(_, action)| *action == Action::TellAgent);
        let refused: Option<&'static str> = applied.refused.map(|why| &*String::leak(why.into_owned()));
        (refused, tells)
    }

    fn wish(&mut self, unit: u8, wish: impl Fn(Generation, Time) -> Wish) -> Option<&'static str> {
        let until = Time(self.now.0 + 3_600_000);
        self.tell(
            unit,
            What::Operator { by: "op".into(), wish: wish(Generation(3), until), beyond_budget: false },
        )
        .0
    }

    fn machine(&self, unit: u8) -> &Machine {
        &self.zone.facts().machines[&Self::at(unit)]
    }

    fn duty(&self, unit: u8, image: &str) -> Duty {
        let device = self.zone.roster().device_at(&Self::at(unit)).unwrap();
        duty(self.zone.plan(), device, self.machine(unit), Some(image), self.now)
    }

    /// From its firmware's first word to its agent's report.
    fn boots(&mut self, unit: u8, running: Option<Running>) {
        for stage in [Stage::UefiPxe, Stage::Ipxe] {
            let mac = Mac([2, 0, 0, 0, 0, unit]);
            let (interface, port) = ("eno1".into(), format!("swp{unit}"));
            self.tell(unit, What::Asked { interface, mac, uuid: None, stage, port });
        }
        self.tell(unit, What::Connected { running, burns_in: true, boot: None });
        let disks = vec![ssd("sda", 20_000_000_000), ssd("sdb", 20_000_000_000)];
        let hardware = Hardware { disks, ..Hardware::default() };
        self.tell(unit, What::Reported { hardware: Box::new(hardware) });
    }

    /// Writes `image` and comes back from `slot`.
    fn is_written(&mut self, unit: u8, image: &str, slot: Slot) {
        let progress = Progress { step: "writes".into(), ..Progress::default() };
        assert_eq!(self.tell(unit, What::Installing { progress }).0, None);
        assert_eq!(self.machine(unit).state.name(), "installing");
        let installed =
            What::Installed { generation: Generation(3), image: Some(image.into()), slot: Some(slot) };
        assert_eq!(self.tell(unit, installed), (None, true));
        assert!(matches!(self.duty(unit, image), Duty::Restart { .. }));
    }

    fn runs(&self) -> Vec<Option<Slot>> {
        let slot = |machine: &Machine| machine.installed.as_ref().and_then(|installed| installed.slot);
        self.zone.facts().machines.values().map(slot).collect()
    }
}

fn from(slot: Slot, image: &str, on_trial: bool) -> Option<Running> {
    Some(Running::Disk { slot, image: image.into(), on_trial })
}

/// A machine with the old image, ready.
fn installed(told: &mut Told, unit: u8) {
    told.boots(unit, Some(Running::Memory));
    assert_eq!(
        told.wish(unit, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed }),
        None
    );
    told.is_written(unit, OLD, Slot::A);
    told.boots(unit, from(Slot::A, OLD, false));
    assert_eq!(told.machine(unit).state, State::Ready);
    assert_eq!(told.duty(unit, OLD), Duty::Nothing);
}

#[test]
fn nothing_is_written_before_somebody_allows_it() {
    let mut told = Told::new();
    told.boots(1, Some(Running::Memory));
    // Its hardware fits, and it is not what will be ready.
    assert_eq!(told.machine(1).state, State::Validating { hardware_fits: true });
    assert_eq!(told.duty(1, OLD), Duty::Nothing);
    let progress = Progress::default();
    assert!(told.tell(1, What::Installing { progress }).0.is_some());
    assert!(told.wish(1, |generation, until| Wish::Upgrade { generation, until }).is_some());
    assert_eq!(
        told.wish(1, |_, until| Wish::Arm { generation: Generation(2), until, bmc: ByBmc::Allowed }),
        None
    );
    assert_eq!(told.duty(1, OLD), Duty::Nothing, "another plan's");
    assert_eq!(told.wish(1, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed }), None);
    let Duty::Install { disks: Some(disks), allowed_at } = told.duty(1, OLD) else { panic!("no order") };
    assert_eq!((allowed_at, disks.system.len(), disks.slots), (told.now, 2, 2));
    // The same order for as long as nothing changed, also when the agent's connection broke while it writes.
    let progress = Progress { step: "writes".into(), ..Progress::default() };
    told.tell(1, What::Installing { progress });
    assert_eq!(told.duty(1, OLD), Duty::Install { disks: Some(disks), allowed_at });
}

#[test]
fn a_system_is_written_once_and_booted_from_then_on() {
    let mut told = Told::new();
    installed(&mut told, 1);
    assert_eq!(told.machine(1).armed, None);
    assert!(
        told.wish(1, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed }).is_some(),
        "it has a system"
    );
}

#[test]
fn a_power_cut_while_it_is_written_leads_to_the_same_order() {
    let mut told = Told::new();
    told.boots(1, Some(Running::Memory));
    told.wish(1, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed });
    let before = told.duty(1, OLD);
    told.tell(1, What::Installing { progress: Progress::default() });
    told.tell(1, What::Lost);
    told.boots(1, Some(Running::Memory));
    assert_eq!(told.duty(1, OLD), before);
}

#[test]
fn an_upgrade_is_confirmed_when_it_is_ready() {
    let mut told = Told::new();
    installed(&mut told, 1);
    assert_eq!(told.duty(1, NEW), Duty::Nothing, "not allowed yet");
    assert_eq!(told.wish(1, |generation, until| Wish::Upgrade { generation, until }), None);
    assert!(matches!(told.duty(1, NEW), Duty::Install { disks: None, .. }));
    told.is_written(1, NEW, Slot::B);
    told.tell(1, What::Connected { running: from(Slot::B, NEW, true), burns_in: true, boot: None });
    assert_eq!(told.duty(1, NEW), Duty::Nothing, "not before it is validated");
    told.boots(1, from(Slot::B, NEW, true));
    assert_eq!(told.machine(1).state, State::Ready);
    assert_eq!(told.duty(1, NEW), Duty::Confirm { image: NEW.into() });
    assert!(told.tell(1, What::Confirmed { slot: Slot::A }).0.is_some());
    assert_eq!(told.tell(1, What::Confirmed { slot: Slot::B }).0, None);
    assert_eq!((told.duty(1, NEW), told.runs()), (Duty::Nothing, vec![Some(Slot::B)]));
}

#[test]
fn an_image_that_fell_back_is_not_tried_again_until_somebody_asks() {
    let mut told = Told::new();
    installed(&mut told, 1);
    let upgrade = |generation, until| Wish::Upgrade { generation, until };
    told.wish(1, upgrade);
    told.is_written(1, NEW, Slot::B);
    told.boots(1, from(Slot::A, OLD, false));
    assert_eq!(told.machine(1).state, State::Ready, "on the old one");
    assert_eq!(told.machine(1).rejected.as_ref().map(|rejected| rejected.image.as_str()), Some(NEW));
    assert_eq!((told.duty(1, NEW), told.runs()), (Duty::Nothing, vec![Some(Slot::A)]));
    told.wish(1, upgrade);
    assert!(matches!(told.duty(1, NEW), Duty::Install { disks: None, .. }));
}

#[test]
fn what_cannot_be_written_is_told_and_leaves_what_runs() {
    let mut told = Told::new();
    installed(&mut told, 1);
    told.wish(1, |generation, until| Wish::Upgrade { generation, until });
    told.tell(1, What::Installing { progress: Progress::default() });
    let not = || What::NotInstalled { image: NEW.into(), sentence: "the source is gone".into() };
    assert_eq!(told.tell(1, not()).0, None);
    assert_eq!(told.duty(1, NEW), Duty::Nothing);
    told.boots(1, from(Slot::A, OLD, false));
    assert_eq!(told.machine(1).state, State::Ready);
    // In memory there is nothing to go on with: the machine failed, and says why.
    told.boots(2, Some(Running::Memory));
    told.wish(2, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed });
    told.tell(2, What::Installing { progress: Progress::default() });
    told.tell(2, not());
    assert_eq!(told.machine(2).state.name(), "failed");
    told.tell(2, What::Reported { hardware: Box::default() });
    assert_eq!((told.machine(2).state.name(), told.duty(2, NEW)), ("failed", Duty::Nothing));
}

/// An agent of a machine that runs says that something was written, or was not: nobody asked it to.
#[test]
fn nothing_is_believed_of_disks_that_nobody_allowed_to_be_written() {
    let mut told = Told::new();
    installed(&mut told, 1);
    let not = || What::NotInstalled { image: NEW.into(), sentence: "the source is gone".into() };
    let done = || {
        let (image, slot) = (Some(NEW.into()), Some(Slot::B));
        What::Installed { generation: Generation(3), image, slot }
    };
    let before = told.machine(1).clone();
    assert!(told.tell(1, not()).0.is_some());
    assert!(told.tell(1, done()).0.is_some());
    assert_eq!(*told.machine(1), before);
    told.boots(2, Some(Running::Memory));
    assert!(told.tell(2, done()).0.is_some());
    assert!(told.tell(2, not()).0.is_some());
    assert_eq!(told.machine(2).state.name(), "validating");
    // Its connection broke before it heard that this was taken: said again it is no news, and no fault.
    told.wish(1, |generation, until| Wish::Upgrade { generation, until });
    told.tell(1, What::Installing { progress: Progress::default() });
    assert_eq!(told.tell(1, not()).0, None);
    let before = told.machine(1).clone();
    assert_eq!(told.tell(1, not()), (None, false));
    assert_eq!(*told.machine(1), before);
}

#[test]
fn a_reinstallation_restarts_once_and_costs_the_role_a_machine() {
    let mut told = Told::new();
    for unit in 1..=3 {
        installed(&mut told, unit);
    }
    let again =
        |generation, until| Wish::Reinstall { generation, until, bmc: ByBmc::Allowed, undo_until: None };
    assert_eq!(told.wish(1, again), None);
    assert!(told.wish(2, again).is_some(), "one of three is out already");
    assert!(matches!(told.duty(1, OLD), Duty::Restart { .. }));
    // Its firmware started from disk all the same.
    told.tell(1, What::Connected { running: from(Slot::A, OLD, false), burns_in: true, boot: None });
    assert_eq!(told.duty(1, OLD), Duty::Nothing);
    told.boots(1, Some(Running::Memory));
    assert!(matches!(told.duty(1, OLD), Duty::Install { disks: Some(_), .. }));
    assert!(told.wish(2, again).is_some());
    told.is_written(1, OLD, Slot::A);
    told.boots(1, from(Slot::A, OLD, false));
    assert_eq!(told.wish(2, again), None);
}

/// An installation that ends in a machine that fails leaves no lease behind: a change that mends it may take it.
#[test]
fn a_machine_that_fails_after_it_was_installed_anew_is_nobodys() {
    let mut told = Told::new();
    installed(&mut told, 1);
    let again =
        |generation, until| Wish::Reinstall { generation, until, bmc: ByBmc::Allowed, undo_until: None };
    assert_eq!(told.wish(1, again), None);
    told.boots(1, Some(Running::Memory));
    assert!(told.machine(1).lease.is_some());
    told.is_written(1, OLD, Slot::A);
    told.boots(1, from(Slot::A, OLD, false));
    assert_eq!(told.machine(1).lease, None, "it is ready");
    assert_eq!(told.wish(1, again), None);
    told.boots(1, Some(Running::Memory));
    told.is_written(1, OLD, Slot::A);
    told.asks(1, Stage::UefiPxe);
    told.tell(1, What::Connected { running: from(Slot::A, OLD, false), burns_in: true, boot: None });
    assert!(told.machine(1).lease.is_some(), "it has not said what it is");
    let results = vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
    told.tell(1, What::Checked { results });
    told.tell(1, What::Reported { hardware: Box::new(Hardware::default()) });
    assert_eq!((told.machine(1).state.name(), &told.machine(1).lease), ("failed", &None));
}

/// For a while a machine that is to be wiped is left as it is, and its role's budget is spent: nobody else is taken meanwhile.
#[test]
fn a_reinstallation_can_be_taken_back_until_it_begins() {
    let mut told = Told::new();
    for unit in 1..=3 {
        installed(&mut told, unit);
    }
    let undo = Time(told.now.0 + MINUTE);
    let wiped = |generation, until| Wish::Reinstall {
        generation,
        until,
        bmc: ByBmc::Allowed,
        undo_until: Some(undo),
    };
    assert_eq!(told.wish(1, wiped), None);
    assert_eq!(told.duty(1, OLD), Duty::Nothing);
    assert_eq!(starting::due(&told.zone, undo), []);
    assert!(told.wish(2, wiped).is_some(), "one of three is out already");
    assert_eq!(told.waits(1), "its disks to be wiped, which `zw disarm` still takes back");
    assert_eq!(begin(&told.zone, told.now), []);

    assert_eq!(told.wish(1, |_, _| Wish::Disarm), None);
    let machine = told.machine(1);
    assert_eq!((machine.armed, &machine.start, &machine.lease), (None, &None, &None));
    assert_eq!(begin(&told.zone, undo), []);
    assert!(told.wish(1, |_, _| Wish::Disarm).is_some(), "there is nothing to take back");

    // Another, and nobody thinks again.
    assert_eq!(told.wish(2, wiped), None);
    told.now = undo;
    assert_eq!(begin(&told.zone, undo), [Told::at(2)]);
    assert_eq!(told.tell(2, What::Begins).0, None);
    assert!(told.tell(2, What::Begins).0.is_some(), "it began once");
    assert_eq!(begin(&told.zone, undo), []);
    assert!(matches!(told.duty(2, OLD), Duty::Restart { .. }));
    // On its way to its installer it can still be called back; once that has its order, no more.
    told.boots(2, Some(Running::Memory));
    assert!(matches!(told.duty(2, OLD), Duty::Install { disks: Some(_), .. }));
    assert!(told.wish(2, |_, _| Wish::Disarm).is_some_and(|why| why.contains("has the order")));
    assert_eq!(told.wish(2, wiped), Some("its agent has the order already"), "once is enough");
}

#[test]
fn the_smallest_disks_that_fit_hold_the_system() {
    let told = Told::new();
    let layout = &told.zone.plan().design.layouts[0];
    let names = |found: &[Disk]| {
        let disks = disks(layout, found)?;
        Ok::<_, String>(disks.system.into_iter().map(|disk| disk.name).collect::<Vec<_>>())
    };
    let large = 4_000_000_000_000;
    let found = [ssd("sdaa", 20_000_000_000), ssd("sdc", large), ssd("sdb", 20_000_000_000)];
    assert_eq!(names(&found), Ok(vec!["sdb".to_owned(), "sdaa".to_owned()]));
    let spinning = Disk { kind: "hdd".into(), ..ssd("sda", large) };
    assert_eq!(
        names(&[spinning, ssd("sdb", large)]),
        Err("the layout mirror needs 2 × ssd disk, 1 found".to_owned())
    );
    assert_eq!(
        names(&[ssd("sda", 5_000_000_000), ssd("sdb", large)]),
        Err("the layout mirror needs 8.6 GB, its disks have room for 4.2 GB".to_owned())
    );
}

/// Started with an allowance, another installer says that it is done: from then on the machine boots its own disk.
#[test]
fn another_installer_says_that_it_is_done() {
    let done = || What::Installed { generation: Generation(3), image: None, slot: None };
    let templates = "installs = true\n  template \"preseed.cfg\" {\n    file = \"zw/preseed.cfg\"\n  }";
    let mut told = Told::of(&ZONE.replacen("installs = true", templates, 1));
    let asks = |told: &mut Told, stage| {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        told.tell(1, What::Asked { interface: "eno1".into(), mac, uuid: None, stage, port: "swp1".into() });
    };
    asks(&mut told, Stage::Ipxe);
    assert!(told.tell(1, done()).0.is_some(), "nobody allowed it");
    told.wish(1, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed });
    assert!(told.tell(1, done()).0.is_some(), "nothing was started");
    told.tell(1, What::ScriptFetched { generation: Generation(3), image: None });
    asks(&mut told, Stage::Os);
    let why = lifecycle::why(&told.zone, "p1/r1/u1", told.now).expect("it is drawn").sentences;
    assert!(why[1].starts_with("it waits for its installer to say that it is done"), "{why:?}");
    assert_eq!(told.tell(1, done()).0, None);
    let installed = told.machine(1).installed.clone().expect("it says so");
    assert_eq!((installed.image, installed.slot, told.machine(1).armed), (None, None, None));
    assert!(told.tell(1, done()).0.is_some(), "the allowance is spent");
    assert!(
        told.wish(1, |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed }).is_some(),
        "it has a system"
    );
    // It starts, and has no agent.
    for stage in [Stage::UefiPxe, Stage::Ipxe, Stage::Os] {
        asks(&mut told, stage);
    }
    let why = lifecycle::why(&told.zone, "p1/r1/u1", told.now).expect("it is drawn").sentences;
    assert!(why[1].starts_with("it waits for an agent: its system is another installer's"), "{why:?}");
}

const MINUTE: u64 = 60_000;

impl Told {
    /// An hour's allowance to install it anew.
    fn again(&mut self, unit: u8, bmc: ByBmc) {
        let until = Time(self.now.0 + 60 * MINUTE);
        let wish = Wish::Reinstall { generation: Generation(3), until, bmc, undo_until: None };
        assert_eq!(self.tell(unit, What::Operator { by: "op".into(), wish, beyond_budget: false }).0, None);
    }

    fn first(&mut self, unit: u8) {
        let wish = |generation, until| Wish::Arm { generation, until, bmc: ByBmc::Allowed };
        assert_eq!(self.wish(unit, wish), None);
    }

    /// Whose BMCs are to be asked so long from now, and for what.
    fn due_in(&self, millis: u64) -> Vec<(String, Way)> {
        let due = starting::due(&self.zone, Time(self.now.0 + millis));
        due.into_iter().map(|due| (due.location.leaf().to_owned(), due.way)).collect()
    }

    fn bmc(&mut self, unit: u8, start: Started, outcome: Option<&str>) -> Option<&'static str> {
        let asked = "to boot from PXE once, now".to_owned();
        let outcome = outcome.map(str::to_owned);
        self.tell(unit, What::Bmc { by: "op".into(), asked, outcome, start: Some(start) }).0
    }

    fn waits(&self, unit: u8) -> String {
        let device = self.zone.roster().device_at(&Self::at(unit)).unwrap();
        let wait =
            lifecycle::wait(self.zone.plan(), self.zone.roster(), device, self.machine(unit), self.now);
        wait.map(|wait| wait.on).unwrap_or_default()
    }

    fn asks(&mut self, unit: u8, stage: Stage) {
        let mac = Mac([2, 0, 0, 0, 0, unit]);
        let (interface, port) = ("eno1".into(), format!("swp{unit}"));
        self.tell(unit, What::Asked { interface, mac, uuid: None, stage, port });
    }
}

fn only(unit: &str, way: Way) -> Vec<(String, Way)> {
    vec![(unit.to_owned(), way)]
}

#[test]
fn an_agent_is_asked_first_and_its_bmc_when_it_does_not_come_back_from_the_network() {
    let mut told = Told::new();
    (1..=3).for_each(|unit| installed(&mut told, unit));
    told.again(1, ByBmc::Allowed);
    assert!(matches!(told.duty(1, OLD), Duty::Restart { .. }));
    assert_eq!(told.waits(1), "its agent to restart it into the installer; its BMC does if that fails");
    told.tell(1, What::Lost);
    assert_eq!(told.due_in(9 * MINUTE), vec![], "it may be on its way down");
    assert_eq!(told.due_in(10 * MINUTE), only("u1", Way::Pxe));
    assert_eq!(told.due_in(61 * MINUTE), vec![], "the allowance is over");

    // It started from its disk all the same: there is nothing more to wait for from its agent.
    let mut from_disk = Told { zone: told.zone.clone(), now: told.now };
    from_disk.tell(1, What::Connected { running: from(Slot::A, OLD, false), burns_in: true, boot: None });
    assert_eq!(from_disk.duty(1, OLD), Duty::Nothing);
    assert_eq!(from_disk.due_in(0), vec![]);
    assert_eq!(from_disk.due_in(MINUTE), only("u1", Way::Pxe));
    assert_eq!(from_disk.waits(1), "its BMC to start it from the network");

    // Or its firmware asks: it has the time of a boot, and in the installer nothing is to be started any more.
    told.asks(1, Stage::UefiPxe);
    assert_eq!(told.due_in(6 * MINUTE), vec![]);
    told.tell(1, What::Connected { running: Some(Running::Memory), burns_in: true, boot: None });
    assert_eq!(told.machine(1).start, None);
    told.tell(1, What::Lost);
    assert_eq!(told.due_in(30 * MINUTE), vec![], "whoever opened it meanwhile is safe");
}

#[test]
fn a_machine_that_is_off_is_started_by_its_bmc_at_most_three_times() {
    let mut told = Told::new();
    told.first(1);
    for (tries, way) in [(1, Way::Pxe), (2, Way::Http), (3, Way::Pxe)] {
        assert_eq!(told.due_in(0), only("u1", way), "try {tries}");
        assert_eq!(told.bmc(1, Started::Begun, None), None);
        assert_eq!(told.due_in(0), vec![]);
        told.bmc(1, Started::Done, Some("it boots from PXE; power is on"));
        assert!(told.waits(1).starts_with("its firmware to ask for an address, since its BMC started it"));
        assert_eq!(told.due_in(9 * MINUTE), vec![]);
        told.now = Time(told.now.0 + 10 * MINUTE);
    }
    assert_eq!(told.due_in(0), vec![]);

    // Armed again, it begins anew. A BMC that fails is asked again sooner, and what it said is told.
    told.first(1);
    for _ in 0..3 {
        told.bmc(1, Started::Begun, None);
        assert_eq!(told.bmc(1, Started::Failed, Some("it cannot be reached")), None);
        told.now = Time(told.now.0 + 2 * MINUTE);
    }
    assert_eq!(
        told.waits(1),
        "somebody to start it from the network: its BMC was asked 3 times: it cannot be reached"
    );
    // Its firmware asks after all: that is what is told then.
    told.asks(1, Stage::UefiPxe);
    assert_eq!(told.waits(1), "its firmware to fetch iPXE by TFTP");
    told.tell(1, What::ScriptFetched { generation: Generation(3), image: None });
    told.tell(1, What::Connected { running: Some(Running::Memory), burns_in: true, boot: None });
    assert!(told.bmc(1, Started::Begun, None).is_some(), "it is there");
}

/// BMCs start a role when those before it are written, or cannot be without somebody's help.
#[test]
fn roles_are_started_in_their_order() {
    let last = ZONE
        .replace("pod \"p1\" {", "role \"web\" {\n  boot  = image.installer\n  os    = os.debian\n  disks = layout.mirror\n  after = [\"between\"]\n}\nrole \"between\" {\n  after = [\"store\"]\n}\npod \"p1\" {")
        .replace("    machines \"u{1..3}\" {", "    machines \"u{4..5}\" {\n      model = \"node\"\n      role  = \"web\"\n      cable = { eno1 = leaf.a.swp[unit] }\n    }\n    machines \"u{1..3}\" {");
    let mut told = Told::of(&last);
    told.first(4);
    told.first(1);
    assert_eq!(told.due_in(0), only("u1", Way::Pxe));
    assert_eq!(told.waits(4), "its BMC to start it from the network, after those of between");
    assert_eq!(told.due_in(61 * MINUTE), vec![], "both allowances are over");

    // The first is stuck: the other need not wait for whoever helps it.
    let mut stuck = Told { zone: told.zone.clone(), now: told.now };
    for _ in 0..3 {
        stuck.bmc(1, Started::Begun, None);
        stuck.bmc(1, Started::Failed, Some("it cannot be reached"));
        stuck.now = Time(stuck.now.0 + 2 * MINUTE);
    }
    assert_eq!(stuck.due_in(0), only("u4", Way::Pxe));

    told.boots(1, Some(Running::Memory));
    assert_eq!(told.due_in(0), vec![]);
    told.is_written(1, OLD, Slot::A);
    assert_eq!(told.due_in(0), vec![]);
    told.boots(1, from(Slot::A, OLD, false));
    assert_eq!(told.due_in(0), only("u4", Way::Pxe));
}

#[test]
fn firmware_that_waits_for_its_script_is_left_the_time_to_ask_again() {
    let mut told = Told::new();
    told.asks(1, Stage::UefiPxe);
    told.asks(1, Stage::Ipxe);
    told.first(1);
    assert_eq!(told.due_in(MINUTE), vec![]);
    assert_eq!(told.due_in(2 * MINUTE), only("u1", Way::Pxe), "it was switched off meanwhile");
    told.tell(1, What::ScriptFetched { generation: Generation(3), image: None });
    assert_eq!(told.due_in(4 * MINUTE), vec![]);
}

#[test]
fn without_its_bmc_a_machine_waits_for_a_person_and_says_for_what() {
    let mut told = Told::new();
    for (bmc, words) in [
        (
            ByBmc::NotAdopted,
            "its BMC is not adopted (`zw bmc adopt p1/r1/u1`, then arm it again, and the controller does it)",
        ),
        (ByBmc::Absent, "it has no BMC in the design"),
        (ByBmc::Refused, "its BMC is to be left alone"),
    ] {
        told.again(1, bmc);
        assert_eq!(told.due_in(30 * MINUTE), vec![]);
        assert_eq!(told.waits(1), format!("somebody to start it from the network: {words}"));
    }
    let by = || "op".to_owned();
    told.tell(
        1,
        What::Operator { by: by(), wish: Wish::Retire { reason: "old".into() }, beyond_budget: false },
    );
    assert_eq!((told.machine(1).start.as_ref(), told.waits(1)), (None, String::new()));
    told.again(2, ByBmc::Allowed);
    told.tell(
        2,
        What::Operator { by: by(), wish: Wish::Maintain { reason: "a fan".into() }, beyond_budget: false },
    );
    assert_eq!(told.due_in(30 * MINUTE), vec![], "hands off");
}

#[test]
fn an_allowance_that_is_no_good_any_more_is_what_is_waited_for() {
    let mut told = Told::new();
    for stage in [Stage::UefiPxe, Stage::Ipxe] {
        told.asks(1, stage);
    }
    let empty = "its disks to be released: its image installs, and ";
    assert_eq!(told.waits(1), format!("{empty}it is not armed (`zw arm`)"));
    told.first(1);
    assert_eq!(told.waits(1), "iPXE to fetch its boot script");
    told.now = Time(told.now.0 + 60 * MINUTE);
    assert_eq!(told.waits(1), format!("{empty}the time in which they might be written is over (`zw arm`)"));
    told.first(1);
    let plan = model::Plan { generation: Generation(4), ..model::Plan::clone(told.zone.plan()) };
    let roster = Arc::clone(told.zone.roster());
    told.zone.replan(Arc::new(plan), roster, None);
    assert_eq!(told.waits(1), format!("{empty}it was armed for plan #3, and #4 is in force (`zw arm`)"));
}

#[test]
fn whose_work_moves_off_is_not_started() {
    let mut told = Told::new();
    told.first(1);
    assert_eq!(told.due_in(0), only("u1", Way::Pxe));
    let wish = Wish::Drain { reason: "a fan".into() };
    told.tell(1, What::Operator { by: "op".into(), wish, beyond_budget: false });
    assert_eq!(told.due_in(30 * MINUTE), vec![]);
    assert_eq!(told.waits(1), "its work to move off (a fan, asked by op)");
}

#[test]
fn a_role_is_not_started_all_at_once() {
    let mut told = Told::new();
    for unit in 1..=3 {
        told.first(unit);
    }
    assert_eq!(told.due_in(0), only("u1", Way::Pxe), "one in ten, and at least one");
    told.bmc(1, Started::Begun, None);
    assert_eq!(told.due_in(0), vec![]);
    // Its firmware asks: the next one's turn. One whose BMC failed holds nobody up either.
    told.asks(1, Stage::UefiPxe);
    assert_eq!(told.due_in(0), only("u2", Way::Pxe));
    told.bmc(2, Started::Begun, None);
    told.bmc(2, Started::Failed, Some("it cannot be reached"));
    assert_eq!(told.due_in(0), only("u3", Way::Pxe));
    told.bmc(3, Started::Begun, None);
    assert_eq!(told.due_in(2 * MINUTE), vec![]);
    assert_eq!(told.due_in(10 * MINUTE).first(), only("u2", Way::Http).first());
}

/// What its agent said last, before the power was gone, came late.
#[test]
fn a_machine_that_its_bmc_starts_counts_although_its_allowance_is_gone() {
    let mut told = Told::new();
    (1..=2).for_each(|unit| told.first(unit));
    told.bmc(1, Started::Begun, None);
    assert_eq!(told.due_in(0), vec![]);
    let what = What::NotInstalled { image: OLD.into(), sentence: "the disk is full".into() };
    assert_eq!(told.tell(1, what).0, None);
    assert_eq!(told.machine(1).armed, None);
    assert_eq!(told.due_in(0), vec![]);
    assert_eq!(told.due_in(10 * MINUTE), only("u2", Way::Pxe), "it was not heard of");
}

#[test]
fn a_ready_machine_is_not_taken_while_another_of_its_role_is_out() {
    let mut told = Told::new();
    for unit in 1..=3 {
        installed(&mut told, unit);
    }
    told.again(1, ByBmc::Allowed);
    assert_eq!(told.due_in(10 * MINUTE), only("u1", Way::Pxe));
    let results = vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
    told.tell(2, What::Checked { results });
    assert_eq!(told.machine(2).state.name(), "failed");
    assert_eq!(told.due_in(10 * MINUTE), vec![], "one more would be out");
    told.tell(2, What::Checked { results: vec![] });
    assert_eq!(told.due_in(10 * MINUTE), only("u1", Way::Pxe));
}
