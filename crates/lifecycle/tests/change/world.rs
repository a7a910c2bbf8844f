//! A zone whose machines boot as they are told to, event by event.

use lifecycle::change::{self, Held, begin, next, touched};
use lifecycle::{Applied, Zone, select, wait};
use model::change::{Change, Kind};
use model::design::Image;
use model::event::{ChangeStep, Settled, What, Wish};
use model::facts::{CheckResult, Hardware, Stage};
use model::finding::File;
use model::{ChangeId, Event, Facts, Generation, Location, Mac, Plan, Roster, Time};
use std::sync::Arc;
use std::time::Duration;

/// Two pods of two racks of four machines.
pub(crate) const ZONE: &str = r#"
zone "t1" {
  domain   = "t1.example.net"
  supernet = ["10.64.0.0/16"]
  capacity = { pods = 2, racks = 2, units = 16 }
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
image "live" {
  kernel = "vmlinuz-1"
}
role "web" {
  boot = image.live
}
budget "web" {
  roles    = ["web"]
  may_miss = 3
  per_rack = 2
}
rollout {
  bake     = "60s"
  tolerate = "10%"
}
pod "p{1..2}" {
  rack "r{1..2}" {
    leaf "a" {
      model = "tor"
    }
    machines "u{1..4}" {
      model = "node"
      role  = "web"
      cable = { eno1 = leaf.a.swp[unit] }
    }
  }
}
"#;

/// What a machine does when it is told to restart.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Boots {
    Right,
    /// Its agent comes, and a check fails.
    Wrong,
    /// Its kernel panics, again and again.
    Panics,
    /// It is never heard of again.
    Silent,
    /// Its kernel starts, and stands still.
    Hangs,
}

pub(crate) fn compiled(text: &str, generation: u64) -> Plan {
    let (design, findings) = design::parse(&[File { path: "zone.hcl".into(), text: text.into() }]);
    let design = design.unwrap_or_else(|| panic!("{findings:?}"));
    let (plan, findings) = plan::compile(design, None);
    let plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
    Plan { generation: Generation(generation), ..plan }
}

pub(crate) fn next_kernel() -> String {
    ZONE.replace("vmlinuz-1", "vmlinuz-2")
}

pub(crate) struct World {
    pub(crate) zone: Zone,
    pub(crate) now: Time,
    /// How machines boot the new kernel; the old one they boot right.
    pub(crate) boots: fn(&Location) -> Boots,
    /// So many boots of machines that are to have the new kernel are handed the old one, by who does not know of it yet.
    pub(crate) handed_the_old: u32,
    /// Every step that was taken, in order.
    pub(crate) steps: Vec<String>,
    pub(crate) most_out: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(ZONE)
    }

    pub(crate) fn of(text: &str) -> Self {
        let zone = Zone::new(Arc::new(compiled(text, 1)), Facts::default());
        let mut world = Self {
            zone,
            now: Time(1_000_000),
            boots: |_| Boots::Right,
            handed_the_old: 0,
            steps: Vec::new(),
            most_out: 0,
        };
        for location in world.locations() {
            world.boot(&location, Boots::Right);
        }
        world
    }

    pub(crate) fn locations(&self) -> Vec<Location> {
        let ids = select(&self.zone, "all").expect("machines");
        ids.into_iter().map(|id| self.zone.plan().design.devices[id.index()].location.clone()).collect()
    }

    pub(crate) fn tell(&mut self, location: &Location, what: What) -> Applied {
        self.zone.apply(&Event { at: self.now, location: location.clone(), what })
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(crate) fn boot(&mut self, location: &Location, mut boots: Boots) {
        self.pass(1);
        let mut image = self.image(location).clone();
        if self.handed_the_old > 0 && image.kernel == "vmlinuz-2" {
            self.handed_the_old -= 1;
            (image.kernel, boots) = ("vmlinuz-1".to_owned(), Boots::Right);
        }
        let mac = location
            .as_str()
            .bytes()
            .fold(7_u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
        let [a, b, c, d] = mac.to_be_bytes();
        let asked = |stage| What::Asked {
            interface: "eno1".into(),
            mac: Mac([2, 0, a, b, c, d]),
            uuid: None,
            stage,
            port: String::new(),
        };
        if boots == Boots::Silent {
            return;
        }
        let tries = if boots == Boots::Panics { 3 } else { 1 };
        for _ in 0..tries {
            self.tell(location, asked(Stage::UefiPxe));
            self.tell(location, asked(Stage::Ipxe));
            let generation = self.zone.plan().generation;
            self.tell(location, What::ScriptFetched { generation, image: Some(image.mark()) });
            self.pass(1);
        }
        if boots == Boots::Panics {
            self.tell(location, asked(Stage::UefiPxe));
        }
        if matches!(boots, Boots::Panics | Boots::Hangs) {
            return;
        }
        self.tell(location, What::Connected { running: None, burns_in: false, boot: None });
        self.tell(location, What::Reported { hardware: Box::new(Hardware::default()) });
        if boots == Boots::Wrong {
            let results = vec![CheckResult { name: "disk".into(), passed: false, detail: "broken".into() }];
            self.tell(location, What::Checked { results });
        }
    }

    pub(crate) fn waits(&self, location: &Location) -> String {
        let (plan, roster) = (self.zone.plan(), self.zone.roster());
        let device = roster.device_at(location).expect("a machine");
        let machine = &self.zone.facts().machines[location];
        wait(plan, roster, device, machine, self.now).map(|wait| wait.on).unwrap_or_default()
    }

    pub(crate) fn image(&self, location: &Location) -> &Image {
        let device = self.zone.roster().device_at(location).expect("a machine");
        self.zone.plan().design.image_of(device).expect("an image")
    }

    pub(crate) fn kernel(&self, location: &Location) -> &str {
        &self.image(location).kernel
    }

    /// Publishes a plan, as the keeper does.
    pub(crate) fn publish(&mut self, text: &str, undoes: Option<ChangeId>) -> ChangeId {
        let from = self.zone.whole().generation;
        let plan = Arc::new(compiled(text, from.0 + 1));
        let effects = plan::effects(self.zone.whole(), &plan);
        let touched = match undoes.and_then(|id| self.zone.facts().changes.get(&id)) {
            Some(undone) => change::reached(undone, effects),
            None => touched(self.zone.facts(), effects),
        };
        let kind = Kind::Plan { from, to: plan.generation, undoes };
        let change = begin(&self.zone, kind, touched, "alice", "a new kernel", self.now);
        let id = change.id;
        let held = Held::new(&plan, Arc::clone(self.zone.whole()), change);
        let roster = Arc::new(Roster::of(&plan));
        self.zone.replan(plan, roster, Some(held));
        id
    }

    pub(crate) fn change(&self, id: ChangeId) -> &Change {
        &self.zone.facts().changes[&id]
    }

    /// What an operator wants of a machine, whatever the budget says; why not.
    pub(crate) fn asks(&mut self, location: &Location, wish: Wish) -> Option<String> {
        let what = What::Operator { by: "bob".into(), wish, beyond_budget: true };
        self.tell(location, what).refused.map(|why| why.into_owned())
    }

    pub(crate) fn wish(&mut self, id: ChangeId, step: ChangeStep) -> Option<String> {
        let place = change::place(&self.zone);
        let applied = self.tell(&place, What::Change { id, step });
        applied.refused.map(|why| why.into_owned())
    }

    /// Takes changes one round further, and lets the machines that are told to restart do so. Whether anything happened.
    pub(crate) fn round(&mut self) -> bool {
        let events = next(&self.zone, self.now);
        let mut is_further = false;
        for event in events {
            let applied = self.zone.apply(&event);
            if applied.refused.is_none() {
                is_further = true;
                let What::Change { step, .. } = &event.what else { panic!("{event:?}") };
                self.steps.push(said(step));
            }
        }
        self.zone.compose();
        let out = self.zone.facts().machines.values().filter(|machine| machine.lease.is_some()).count();
        self.most_out = self.most_out.max(out);
        for location in self.locations() {
            let machine = &self.zone.facts().machines[&location];
            if change::is_to_restart(machine) && machine.is_connected() {
                let boots = if self.kernel(&location) == "vmlinuz-2" {
                    (self.boots)(&location)
                } else {
                    Boots::Right
                };
                self.tell(&location, What::Lost);
                self.boot(&location, boots);
                is_further = true;
            }
        }
        is_further
    }

    /// Until nothing happens any more, for so long at most.
    pub(crate) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            if !self.round() {
                self.pass(1);
            }
        }
    }
}

pub(crate) fn said(step: &ChangeStep) -> String {
    let at = |location: &Location| location.within_zone().to_owned();
    match step {
        ChangeStep::Begin { .. } => "begin".into(),
        ChangeStep::Take { machine } => format!("take {}", at(machine)),
        ChangeStep::Settle { machine, found: Settled::Right } => format!("done {}", at(machine)),
        ChangeStep::Settle { machine, found: Settled::Wrong { .. } } => format!("failed {}", at(machine)),
        ChangeStep::Settle { machine, found: Settled::Absent } => format!("absent {}", at(machine)),
        ChangeStep::Bake => "bake".into(),
        ChangeStep::Widen => "widen".into(),
        ChangeStep::Pause { reason, .. } => format!("pause: {reason}"),
        ChangeStep::Resume { .. } => "resume".into(),
        ChangeStep::End { how, sentence } => format!("{}: {sentence}", change::outcome(*how)),
    }
}
