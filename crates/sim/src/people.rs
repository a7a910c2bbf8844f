//! Operators who want something of the zone, and, when nothing goes wrong any more, people who do what `why` asks for.

use crate::body::{Body, Life, PORTS, SystemDisk};
use crate::controller::{Asker, Message, Reply};
use crate::drawing::Drawing;
use crate::settings::Planted;
use crate::world::{Happening, World};
use lifecycle::starting::Due;
use lifecycle::validate;
use model::change::{Holder, Outcome};
use model::event::{ChangeStep, Event, What, Wish};
use model::facts::{ByBmc, Machine, Purpose, State};
use model::{ChangeId, DeviceId, Location, Mac, Plan, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often people look at what the zone waits for.
pub(crate) const MIND_EVERY_MS: u64 = 60_000;
/// How long people look on while a change waits.
const CHANGE_PATIENCE: Duration = Duration::from_secs(2_400);
/// How long somebody needs to a rack and back.
const WALK_MS: u64 = 300_000;

impl World<'_> {
    /// The machine that stands at a place.
    pub(crate) fn body_at(&self, location: &Location) -> Option<usize> {
        self.standing.get(location).copied()
    }

    /// Machines are put where a plan draws them for the first time, and switched on.
    pub(crate) fn settle_in(&mut self, plan: &Plan) {
        for device in &plan.design.devices {
            if !validate::boots(device.kind) || self.standing.contains_key(&device.location) {
                continue;
            }
            let body = self.new_body(&device.location);
            let pause = self.random.between(1_000, self.profile.power_on_ms);
            self.queue.put(self.now + pause, Happening::Power { body });
        }
    }

    /// A machine as it comes from its maker, plugged in as drawn.
    pub(crate) fn new_body(&mut self, home: &Location) -> usize {
        let index = self.bodies.len();
        let mac = |port: usize| {
            let number = (index * 4 + port) as u32;
            let [a, b, c, d] = number.to_be_bytes();
            Mac([0x52, 0x54, a, b, c, d])
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.random.octets()[..16]);
        let firmware =
            if self.random.is(300) { model::facts::Stage::BiosPxe } else { model::facts::Stage::UefiPxe };
        self.bodies.push(Body {
            home: home.clone(),
            macs: [mac(0), mac(1), mac(2)],
            uuid,
            plugs: [None; 3],
            epoch: 0,
            life: Life::Off,
            firmware,
            clients: [None, None, None],
            disk: SystemDisk::default(),
            agent: None,
            defect: None,
            bmc_is_dead: self.settings.troubles && self.random.is(50),
            is_gone: false,
            stays_off: false,
        });
        self.standing.insert(home.clone(), index);
        for (port, name) in PORTS.into_iter().enumerate() {
            let jack = self.cabling.of(home, name);
            self.plug(index, port, jack);
        }
        index
    }

    /// Somebody wants something.
    pub(crate) fn operate(&mut self) {
        let pause = self.random.pause(self.profile.wish_every_ms);
        self.queue.put(self.now + pause, Happening::Operate);
        let Some(leader) = self.leader() else { return };
        if self.is_calm {
            return;
        }
        let places: Vec<Location> = self.standing.keys().cloned().collect();
        let Some(place) = self.random.pick(&places).cloned() else { return };
        let (reason, bmc) = ("work".to_owned(), self.by_bmc(&place));
        let generation = self.generation(leader);
        let now = self.clock(leader);
        let until = now + Duration::from_secs(self.random.between(600, 14_400));
        let installs = self.installs(&place);
        match self.random.below(100) {
            // Nobody arms what is never installed.
            0..40 if !installs => {}
            0..15 => self.wish(&place, Wish::Arm { generation, until, bmc }),
            15..36 => {
                // Some think again.
                let undo_until = self.random.is(500).then(|| now + Duration::from_secs(60));
                self.wish(&place, Wish::Reinstall { generation, until, bmc, undo_until });
            }
            36..40 => self.wish(&place, Wish::Disarm),
            40..55 => {
                for place in places {
                    self.wish(&place, Wish::Upgrade { generation, until });
                }
            }
            55..63 => self.wish(&place, Wish::Drain { reason }),
            63..70 => self.wish(&place, Wish::Maintain { reason }),
            70..84 => self.wish(&place, Wish::Return),
            84..88 => self.wish(&place, Wish::Retire { reason }),
            88..90 => self.wish(&place, Wish::Accept),
            90 | 91 => self.meddle(leader),
            _ => self.redraw(leader),
        }
    }

    fn by_bmc(&mut self, place: &Location) -> ByBmc {
        match (self.body_at(place), self.random.is(150)) {
            (_, true) => ByBmc::Refused,
            _ => ByBmc::Allowed,
        }
    }

    /// The team draws something else.
    fn redraw(&mut self, leader: usize) {
        let mut drawing = self.store.newest().drawing.clone();
        match self.random.below(5) {
            0 if drawing.units < drawing.units_max => drawing.units += 1,
            1 => drawing.remark += 1,
            2 => self.draw_kernel(&mut drawing),
            _ => {
                self.systems += 1;
                drawing.system = self.systems;
                if self.settings.troubles && self.random.is(300) {
                    let kind =
                        if self.random.is(500) { &mut self.bad_systems } else { &mut self.dead_systems };
                    kind.insert(drawing.system);
                }
            }
        }
        self.publish(leader, drawing);
    }

    /// A kernel that none had before, which may hang.
    fn draw_kernel(&mut self, drawing: &mut Drawing) {
        self.systems += 1;
        drawing.kernel = self.systems;
        if self.settings.troubles && self.random.is(300) {
            self.hanging_kernels.insert(drawing.kernel);
        }
    }

    /// The team of a large zone draws its machines another kernel.
    pub(crate) fn release(&mut self) {
        let Some(leader) = self.leader() else {
            return self.queue.put(self.now + 10_000, Happening::Release);
        };
        let mut drawing = self.store.newest().drawing.clone();
        self.draw_kernel(&mut drawing);
        self.publish(leader, drawing);
    }

    fn publish(&mut self, leader: usize, drawing: Drawing) {
        self.take(leader, Message::Publish(Box::new(drawing)), 1);
    }

    /// Nothing goes wrong any more. What is broken stays broken until somebody is asked to mend it.
    pub(crate) fn calm(&mut self) {
        self.is_calm = true;
        self.trace.line(self.now, format_args!("calm"));
        self.store.full_until = 0;
        self.store.slowness = 1;
        for controller in 0..self.controllers.len() {
            self.controllers[controller].clock_ms = 0;
            if !self.controllers[controller].is_up {
                self.queue.put(self.now + 1_000, Happening::Start { controller });
            }
        }
        for body in 0..self.bodies.len() {
            if self.settings.planted != Some(Planted::DeadMachine) {
                self.bodies[body].stays_off = false;
            }
            self.bodies[body].bmc_is_dead = false;
            self.power_on(body);
        }
        // Nobody minds some of those that are out on somebody's word.
        let places: Vec<Location> = self.standing.keys().cloned().collect();
        let held = |place: &&Location| {
            let machine = self.store.facts.machines.get(*place);
            machine.is_some_and(|machine| {
                matches!(
                    machine.state,
                    State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. }
                )
            })
        };
        let held: Vec<Location> = places.iter().filter(held).cloned().collect();
        for place in held {
            if self.random.is(300) {
                self.unminded.insert(place);
            }
        }
        self.queue.put(self.now + MIND_EVERY_MS, Happening::Mind);
    }

    /// People look at what is waited for, and do it.
    pub(crate) fn mind(&mut self) {
        self.queue.put(self.now + MIND_EVERY_MS, Happening::Mind);
        let Some(leader) = self.leader() else { return };
        let drawing = self.store.newest().drawing.clone();
        if self.bad_systems.contains(&drawing.system) || self.dead_systems.contains(&drawing.system) {
            // If a change is under way it is not taken, and drawn again in a minute.
            self.systems += 1;
            self.publish(leader, Drawing { system: self.systems, ..drawing });
        } else if self.hanging_kernels.contains(&drawing.kernel) {
            self.systems += 1;
            self.publish(leader, Drawing { kernel: self.systems, ..drawing });
        }
        self.plug_in_what_hangs();
        self.mind_changes(leader);
        let now = self.clock(leader);
        let Some(zone) = &self.controllers[leader].zone else { return };
        let devices = zone.plan().design.devices.iter().enumerate();
        let mut asked: Vec<(Location, Machine, Option<lifecycle::Wait>)> = Vec::new();
        for (index, device) in devices.filter(|(_, device)| validate::boots(device.kind)) {
            let unseen = lifecycle::machine::expected(now);
            let machine = zone.facts().machines.get(&device.location).unwrap_or(&unseen);
            // Who is ready and away is told as such by `zw status`.
            let is_well =
                machine.state == State::Ready && machine.conflicts.is_empty() && machine.is_connected();
            if !is_well && !self.unminded.contains(&device.location) {
                let wait =
                    lifecycle::wait(zone.plan(), zone.roster(), DeviceId::from_index(index), machine, now);
                asked.push((device.location.clone(), machine.clone(), wait));
            }
        }
        for (place, machine, wait) in asked {
            self.help(leader, &place, &machine, wait.as_ref(), now);
        }
    }

    /// A change that is paused is resumed, if a person paused it; one that the controller paused, or that waits for its turn for
    /// long, is called off.
    fn mind_changes(&mut self, leader: usize) {
        let now = self.clock(leader);
        let Some(zone) = &self.controllers[leader].zone else { return };
        let mut under_way = zone.facts().changes.values().filter(|change| change.is_under_way());
        let Some(change) = under_way.next() else { return };
        let is_long =
            now.since(change.began) > CHANGE_PATIENCE && lifecycle::change::undoes(change).is_none();
        let paused_by = change.paused.as_ref().map(|paused| paused.by.clone());
        let id = change.id;
        let step = match paused_by {
            Some(by) if by != lifecycle::change::CONTROLLER => ChangeStep::Resume { by: "ada".to_owned() },
            None if !is_long => return,
            _ => ChangeStep::End { how: Outcome::Aborted, sentence: "ada called it off".to_owned() },
        };
        self.step_change(leader, id, step);
    }

    /// Somebody says how a change goes on.
    fn step_change(&mut self, leader: usize, id: ChangeId, step: ChangeStep) {
        let Some(zone) = &self.controllers[leader].zone else { return };
        let location = lifecycle::change::place(zone);
        let event = Event { at: self.clock(leader), location, what: What::Change { id, step } };
        let asker = Asker { to: Reply::Nobody, must_be_stored: true };
        self.take(leader, Message::Event(event, asker), 1);
    }

    /// Somebody pauses or resumes what is under way, or calls it off.
    fn meddle(&mut self, leader: usize) {
        let Some(zone) = &self.controllers[leader].zone else { return };
        let by = "ada".to_owned();
        let ids: Vec<ChangeId> =
            zone.facts().changes.values().filter(|it| it.is_under_way()).map(|it| it.id).collect();
        let Some(id) = self.random.pick(&ids).copied() else { return };
        let step = match self.random.below(4) {
            0 => ChangeStep::Pause { by, reason: "lunch".to_owned() },
            1 => ChangeStep::End { how: Outcome::Aborted, sentence: "ada called it off".to_owned() },
            _ => ChangeStep::Resume { by },
        };
        self.step_change(leader, id, step);
    }

    /// Cables that hang loose are seen by whoever passes by.
    fn plug_in_what_hangs(&mut self) {
        for (place, body) in self.standing.clone() {
            for (port, name) in PORTS.into_iter().enumerate() {
                let free =
                    self.cabling.of(&place, name).filter(|jack| self.cabling.jacks[*jack].plugged.is_none());
                if self.bodies[body].plugs[port].is_none() && free.is_some() {
                    self.plug(body, port, free);
                }
            }
        }
    }

    /// What somebody does for a machine that is not ready.
    fn help(
        &mut self,
        leader: usize,
        place: &Location,
        machine: &Machine,
        wait: Option<&lifecycle::Wait>,
        now: Time,
    ) {
        let generation = self.generation(leader);
        let until = now + Duration::from_secs(14_400);
        let is_armed = machine.armed.is_some_and(|armed| {
            armed.generation == generation && now < armed.until && armed.purpose == Purpose::Install
        });
        let on = wait.map(|wait| wait.on.as_str()).unwrap_or_default();
        let is_changing = self.controllers[leader]
            .zone
            .as_ref()
            .is_some_and(|zone| zone.facts().changes.values().any(|change| change.is_under_way()));
        if let Some(lease) =
            machine.lease.as_ref().filter(|lease| matches!(lease.holder, Holder::Operator { .. }))
            && is_changing
            && matches!(machine.state, State::Failed { .. })
        {
            // What was wanted of it went wrong, and a change that may mend it waits for its turn.
            let what = What::Released { holder: lease.holder.clone() };
            let event = Event { at: now, location: place.clone(), what };
            let asker = Asker { to: Reply::Nobody, must_be_stored: true };
            self.take(leader, Message::Event(event, asker), 1);
        }
        if matches!(machine.state, State::Draining { .. } | State::Maintenance { .. } | State::Retired { .. })
            || !machine.conflicts.is_empty()
        {
            return self.wish(place, Wish::Return);
        }
        if let Some(why) = &machine.unproved {
            self.wish(&to_accept(place, why), Wish::Accept);
        }
        let needs_hands = machine.miscabled.is_some()
            || matches!(machine.state, State::Ready | State::Failed { .. } | State::Expected)
            || wait.is_some_and(|wait| wait.overdue(now))
            || on.contains("somebody");
        if on.contains("`zw arm`") {
            self.wish(place, Wish::Arm { generation, until, bmc: ByBmc::Allowed });
        }
        if on.contains("`zw reinstall`") {
            self.wish(place, Wish::Reinstall { generation, until, bmc: ByBmc::Allowed, undo_until: None });
        }
        if !needs_hands || self.now < self.helped.get(place).copied().unwrap_or(0) + WALK_MS {
            return;
        }
        self.helped.insert(place.clone(), self.now);
        let Some(body) = self.body_at(place) else { return };
        if machine.miscabled.is_some() && self.is_plugged_right(body) {
            // It was found right with its cables otherwise; now it is as drawn.
            self.wish(place, Wish::Accept);
        }
        self.trace.line(self.now, format_args!("somebody goes to {}: {on}", place.within_zone()));
        self.tally.helped += 1;
        for (port, name) in PORTS.into_iter().enumerate() {
            let drawn = self.cabling.of(place, name);
            if self.bodies[body].plugs[port] != drawn {
                self.plug(body, port, drawn);
            }
        }
        self.bodies[body].defect = None;
        if self.bodies[body].stays_off {
            return;
        }
        // What is on its disks does not start, or is not what it should be: it is written anew.
        let is_empty = self.bodies[body].bootable().is_none();
        let is_bad = |system: u64| self.bad_systems.contains(&system) || self.dead_systems.contains(&system);
        let runs_bad = self.bodies[body].disk.slots.iter().flatten().any(|system| is_bad(*system));
        // A change may bring another to who was in service once, and can be reached.
        let is_its = is_changing && !machine.accepted.is_empty() && machine.state.name() == "failed";
        let is_useless = machine.installed.is_some() && (is_empty || runs_bad && !is_its);
        // Written while its cables were in another's ports, it says on its console that it is refused there.
        let kept = self.bodies[body].disk.kept.as_ref();
        let is_anothers = !machine.is_connected() && kept.is_some_and(|(home, _)| home != place);
        if (is_useless || is_anothers) && !is_armed {
            self.wish(place, Wish::Reinstall { generation, until, bmc: ByBmc::Allowed, undo_until: None });
        }
        if machine.state == State::Expected
            || on.contains("somebody")
            || !matches!(machine.state, State::Failed { .. })
        {
            self.restart(body, 1_000);
        }
    }

    /// `budget`: of each role no more than one in ten, and at least one, is being started by its BMC; of the zone no more
    /// than so many.
    pub(crate) fn starts_within_budget(
        &self,
        controller: usize,
        due: &[Due],
        now: Time,
    ) -> Result<(), String> {
        let Some(zone) = &self.controllers[controller].zone else { return Ok(()) };
        let (plan, facts) = (zone.plan(), &zone.facts().machines);
        let mut roles: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let mut all = 0;
        for device in plan.design.devices.iter().filter(|device| validate::boots(device.kind)) {
            let (members, starting) = roles.entry(device.role).or_default();
            *members += 1;
            let start = facts.get(&device.location).and_then(|machine| machine.start.as_ref());
            let is_starting = start.is_some_and(|start| {
                start.asked > 0 && start.silent && start.failure.is_none() && now < start.due
            });
            if is_starting || due.iter().any(|due| due.location == device.location) {
                *starting += 1;
                all += 1;
            }
        }
        match roles.values().find(|(members, starting)| *starting > (*members / 10).max(1)) {
            Some((members, starting)) => {
                Err(format!("{starting} of a role of {members} are started at once"))
            }
            None if all > 64 => Err(format!("{all} of the zone are started at once")),
            None => Ok(()),
        }
    }
}

/// The place that is to be accepted by what is said of one whose agent is not believed; without another, that one.
fn to_accept(place: &Location, why: &str) -> Location {
    let named = why.split_once("`zw accept ").and_then(|(_, rest)| rest.split_once('`'));
    let zone = place.as_str().split_once('/');
    match named.zip(zone) {
        Some(((named, _), (zone, _))) => Location::new(&format!("{zone}/{named}")),
        None => place.clone(),
    }
}
