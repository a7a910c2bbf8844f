//! The world: everything that there is, and what happens next.

use crate::body::{Body, FromController, Life};
use crate::cabling::Cabling;
use crate::check::{Ledgers, Violation};
use crate::controller::{Asker, Controller, Message, Reply, Step};
use crate::drawing::Drawing;
use crate::network::Way;
use crate::queue::Queue;
use crate::random::Random;
use crate::session::Letter;
use crate::settings::{Profile, Settings};
use crate::store::{Published, Store};
use crate::trace::Trace;
use lifecycle::validate;
use model::Location;
use model::burn_in;
use model::event::{Event, Started, What};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How often what is expensive is looked at.
const CHECKPOINT_MS: u64 = 60_000;

/// Something that happens at its time.
pub(crate) enum Happening {
    Request { controller: usize, octets: Vec<u8>, way: Way },
    Reply { way: Way, octets: Vec<u8> },
    Forwarded { controller: usize, event: Event },
    Script { controller: usize, body: usize, epoch: u32, port: usize, path: String, source: Ipv4Addr },
    Letter { controller: usize, life: u32, letter: Box<Letter> },
    Told { body: usize, epoch: u32, connection: u32, frame: FromController },
    HungUp { controller: usize, life: u32, location: Location, body: usize, connection: u32 },
    Step { controller: usize, life: u32, step: Step },
    Bmc { controller: usize, life: u32, location: Location, body: Option<usize> },
    Timer { body: usize, epoch: u32, timer: Timer },
    Power { body: usize },
    PutBack { body: usize, port: usize, jack: usize },
    Kill { controller: usize },
    Start { controller: usize },
    Trouble,
    Operate,
    Release,
    Mind,
    Calm,
    Checkpoint,
}

/// What a machine does in a while, if it has not begun anew.
#[derive(Clone, Debug)]
pub(crate) enum Timer {
    Tested,
    Unanswered { port: usize, xid: u32, sent: u32 },
    Renew { port: usize, xid: u32 },
    Unrenewed { port: usize, xid: u32, until: u64 },
    Loaded { port: usize },
    Fetch { port: usize, path: String, tries: u32 },
    FromDisk,
    Started,
    Panicked,
    Connect { connection: u32 },
    Silent { connection: u32 },
    Beat { connection: u32 },
    Look { connection: u32 },
    Report { connection: u32 },
    Write { part: u32 },
    Burn { order: burn_in::Order },
    Restart,
    TrialOver,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Events that `lifecycle` judged.
    pub events: u64,
    /// Packets that `answer` judged, and those that it refused.
    pub packets: u64,
    /// Of these, refused.
    pub refusals: u64,
    /// Views that were made.
    pub views: u64,
    /// Things that happened, of any kind.
    pub happenings: u64,
    /// Sightings that nobody led to hear.
    pub unheard: u64,
    /// Steps of changes.
    pub steps: u64,
    /// Times that somebody had to go to a machine in the end.
    pub helped: u64,
    /// Machines that hung, and whose BMCs power-cycled them.
    pub cycled: u64,
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Of which seed.
    pub seed: u64,
    /// Of its trace: the same seed gives the same.
    pub digest: u64,
    /// Lines of its trace.
    pub lines: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Machines that were drawn in the end.
    pub machines: usize,
    /// Machines in each state, in the end.
    pub states: BTreeMap<&'static str, usize>,
    /// How often each checker looked.
    pub looks: BTreeMap<&'static str, u64>,
    /// What was counted.
    pub tally: Tally,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
}

pub(crate) struct World<'a> {
    pub(crate) settings: Settings,
    pub(crate) profile: Profile,
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) queue: Queue<Happening>,
    pub(crate) trace: Trace<'a>,
    pub(crate) store: Store,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) cabling: Cabling,
    pub(crate) bodies: Vec<Body>,
    /// Who stands where.
    pub(crate) standing: BTreeMap<Location, usize>,
    pub(crate) ledgers: Ledgers,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_calm: bool,
    pub(crate) storm_until: u64,
    /// Systems that were ever drawn; those whose checks fail; those that do not start.
    pub(crate) systems: u64,
    pub(crate) bad_systems: BTreeSet<u64>,
    pub(crate) dead_systems: BTreeSet<u64>,
    /// Kernels that start, and do nothing more.
    pub(crate) hanging_kernels: BTreeSet<u64>,
    pub(crate) connections: u32,
    /// Places that nobody minds in the end.
    pub(crate) unminded: BTreeSet<Location>,
    pub(crate) helped: BTreeMap<Location, u64>,
}

/// Runs one seed to its end, or to the first thing that must not be.
pub fn run(settings: &Settings, trace: Option<&mut dyn Write>) -> Report {
    let mut random = Random::of(settings.seed);
    let profile = settings.profile(&mut random);
    let drawing = draw(settings, &mut random);
    let plan = Arc::new(drawing.compile(None, 1));
    let first = Published { drawing, plan, change: None };
    let controllers = (0..profile.controllers).map(|_| Controller::new(&first)).collect();
    let mut world = World {
        settings: settings.clone(),
        profile,
        random,
        now: 0,
        queue: Queue::new(),
        trace: Trace::new(trace),
        store: Store::new(first.clone()),
        controllers,
        cabling: Cabling::default(),
        bodies: Vec::new(),
        standing: BTreeMap::new(),
        ledgers: Ledgers::default(),
        tally: Tally::default(),
        violation: None,
        is_calm: false,
        storm_until: 0,
        systems: 1,
        bad_systems: BTreeSet::new(),
        dead_systems: BTreeSet::new(),
        hanging_kernels: BTreeSet::new(),
        connections: 1,
        unminded: BTreeSet::new(),
        helped: BTreeMap::new(),
    };
    world.trace.line(0, format_args!("{:?}, {:?}", world.profile, first.drawing));
    world.cabling.learn(&first.plan);
    world.settle_in(&first.plan);
    for controller in 0..world.controllers.len() {
        world.queue.put(controller as u64 * 100, Happening::Start { controller });
    }
    world.queue.put(world.profile.calm_from_ms, Happening::Calm);
    world.queue.put(CHECKPOINT_MS, Happening::Checkpoint);
    for first in [Happening::Trouble, Happening::Operate] {
        let at = world.random.pause(300_000);
        world.queue.put(at, first);
    }
    // By chance alone, none of a large zone's few hours sees a change to its end.
    if world.settings.is_large() {
        world.queue.put(world.profile.calm_from_ms * 2 / 3, Happening::Release);
    }
    world.go();
    world.outcome()
}

/// A zone of about the size that is wanted.
fn draw(settings: &Settings, random: &mut Random) -> Drawing {
    let size = settings.size();
    let units_max = if size > 200 { 36 } else { 12 };
    let units = match size {
        0..13 => size.div_ceil(2),
        13..200 => 8,
        _ => 36,
    };
    let racks_all = size.div_ceil(units).max(1);
    let racks = racks_all.min(7);
    let by_pods = racks_all.div_ceil(racks);
    Drawing {
        pods: by_pods,
        racks,
        units,
        units_max,
        lease_seconds: if size > 1_000 { 43_200 } else { 1_800 },
        live: random.below(units + 1),
        burn_in_seconds: if random.is(300) { 60 } else { 0 },
        by_tpm: random.is(250),
        system: 1,
        kernel: 1,
        remark: 0,
    }
}

impl World<'_> {
    fn go(&mut self) {
        while let Some((at, happening)) = self.queue.take() {
            if at > self.profile.end_ms {
                self.now = self.profile.end_ms;
                self.all_is_settled();
                return;
            }
            self.now = at;
            self.tally.happenings += 1;
            self.happen(happening);
            if self.violation.is_some() {
                return;
            }
        }
    }

    pub(crate) fn timer(&mut self, body: usize, pause_ms: u64, timer: Timer) {
        let epoch = self.bodies[body].epoch;
        self.queue.put(self.now + pause_ms, Happening::Timer { body, epoch, timer });
    }

    /// Whether a controller does something now. A frozen one does it later, and one whose leadership ran out meanwhile
    /// finds that first.
    fn is_awake(&mut self, controller: usize) -> bool {
        let (now, of) = (self.now, &self.controllers[controller]);
        if now < of.frozen_until {
            return false;
        }
        if of.zone.is_some() && of.term != self.store.term {
            self.controllers[controller].frozen_until = 0;
            self.step_down(controller);
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        let controller = match &happening {
            Happening::Request { controller, .. }
            | Happening::Forwarded { controller, .. }
            | Happening::Script { controller, .. }
            | Happening::Letter { controller, .. }
            | Happening::HungUp { controller, .. }
            | Happening::Step { controller, .. }
            | Happening::Bmc { controller, .. } => Some(*controller),
            _ => None,
        };
        if let Some(controller) = controller
            && !self.is_awake(controller)
        {
            // Packets wait in a socket's queue as frames do.
            let at = self.controllers[controller].frozen_until;
            return self.queue.put(at, happening);
        }
        match happening {
            Happening::Request { controller, octets, way } => self.packet(controller, &octets, way),
            Happening::Reply { way, octets } => self.reply(way, &octets),
            Happening::Forwarded { controller, event } => {
                if self.controllers[controller].zone.is_some() {
                    self.heard(controller, event);
                }
            }
            Happening::Script { controller, body, epoch, port, path, source } => {
                if self.bodies[body].epoch == epoch {
                    self.script(controller, body, port, &path, source);
                }
            }
            Happening::Letter { controller, life, letter } => {
                if self.is_alive(controller, life) {
                    self.hear_agent(controller, *letter);
                } else if self.bodies[letter.body].epoch == letter.epoch {
                    self.lose_connection(letter.body);
                }
            }
            Happening::Told { body, epoch, connection, frame } => {
                if self.bodies[body].epoch == epoch {
                    self.told(body, connection, frame);
                }
            }
            Happening::HungUp { controller, life, location, body, connection } => {
                if self.is_alive(controller, life) {
                    self.hang_up(controller, &location, body, connection);
                }
            }
            Happening::Step { controller, life, step } => {
                if self.is_alive(controller, life) {
                    self.step(controller, step);
                }
            }
            Happening::Bmc { controller, life, location, body } => {
                self.bmc_did(controller, life, location, body)
            }
            Happening::Timer { body, epoch, timer } => {
                if self.bodies[body].epoch == epoch {
                    self.happens_to(body, timer);
                }
            }
            Happening::Power { body } => self.power_on(body),
            Happening::PutBack { body, port, jack } => self.put_back(body, port, jack),
            Happening::Kill { controller } => self.kill(controller),
            Happening::Start { controller } => self.start(controller),
            Happening::Trouble => self.trouble(),
            Happening::Operate => self.operate(),
            Happening::Release => self.release(),
            Happening::Mind => self.mind(),
            Happening::Calm => self.calm(),
            Happening::Checkpoint => self.checkpoint(),
        }
    }

    fn is_alive(&self, controller: usize, life: u32) -> bool {
        let of = &self.controllers[controller];
        of.is_up && of.life == life
    }

    fn happens_to(&mut self, body: usize, timer: Timer) {
        match timer {
            Timer::Tested => self.tested(body),
            Timer::Unanswered { port, xid, sent } => self.unanswered(body, port, xid, sent),
            Timer::Renew { port, xid } => self.renew(body, port, xid),
            Timer::Unrenewed { port, xid, until } => self.unrenewed(body, port, xid, until),
            Timer::Loaded { port } => self.loaded(body, port),
            Timer::Fetch { port, path, tries } => self.fetch(body, port, path, tries),
            Timer::FromDisk => self.start_disk(body),
            Timer::Started => self.started(body),
            Timer::Panicked | Timer::Restart => self.restart(body, 2_000),
            Timer::Connect { connection } => self.connect(body, connection),
            Timer::Silent { connection } => self.silent(body, connection),
            Timer::Beat { connection } => self.beat(body, connection),
            Timer::Look { connection } => self.look(body, connection),
            Timer::Report { connection } => {
                if self.bodies[body].agent.as_ref().is_some_and(|agent| agent.connection == connection) {
                    self.report(body);
                }
            }
            Timer::Write { part } => self.carry_out(body, part),
            Timer::Burn { order } => self.burn(body, order),
            Timer::TrialOver => self.trial_over(body),
        }
    }

    /// A BMC has done what it was asked, or has not.
    fn bmc_did(&mut self, controller: usize, life: u32, location: Location, body: Option<usize>) {
        let body = body.filter(|body| !self.bodies[*body].is_gone);
        if let Some(body) = body {
            self.tally.cycled += u64::from(self.bodies[body].life == Life::Hung);
            self.restart(body, 1_000);
        }
        if !self.is_alive(controller, life) {
            return;
        }
        let (start, outcome) = match body {
            Some(_) => (Started::Done, "it starts"),
            None => (Started::Failed, "it does not answer"),
        };
        let what = What::Bmc {
            by: "the controller".to_owned(),
            asked: "to boot from the network".to_owned(),
            outcome: Some(outcome.to_owned()),
            start: Some(start),
        };
        let event = Event { at: self.clock(controller), location, what };
        let asker = Asker { to: Reply::Nobody, must_be_stored: false };
        self.take(controller, Message::Event(event, asker), 1);
    }

    fn checkpoint(&mut self) {
        let gap = if self.settings.size() > 1_000 { CHECKPOINT_MS * 5 } else { CHECKPOINT_MS };
        self.queue.put(self.now + gap, Happening::Checkpoint);
        for controller in 0..self.controllers.len() {
            self.view_is_right(controller);
        }
        self.replicas_are_alike();
    }

    fn outcome(self) -> Report {
        let newest = self.store.newest();
        let facts = self
            .leader()
            .and_then(|leader| self.controllers[leader].zone.as_ref())
            .map_or(&self.store.facts, |zone| zone.facts());
        let mut states = BTreeMap::new();
        let mut machines = 0;
        for device in newest.plan.design.devices.iter().filter(|device| validate::boots(device.kind)) {
            machines += 1;
            let state =
                facts.machines.get(&device.location).map_or("expected", |machine| machine.state.name());
            *states.entry(state).or_insert(0) += 1;
        }
        Report {
            seed: self.settings.seed,
            digest: self.trace.digest(),
            lines: self.trace.lines(),
            simulated_ms: self.now,
            machines,
            states,
            looks: self.ledgers.looks,
            tally: self.tally,
            violation: self.violation,
        }
    }
}
