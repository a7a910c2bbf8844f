//! The agent on a machine: connects, enrols, tells what it finds, and does what it is ordered.

use crate::body::{Booted, FromAgent, FromController, Install, Life, Order, PORTS, is_news, skew, slot};
use crate::network::CONTROLLER;
use crate::session::{Letter, in_memory};
use crate::settings::Planted;
use crate::world::{Happening, Timer, World};
use model::Location;
use model::burn_in::{self, Outcome, PartOutcome};
use model::event::What;
use model::facts::{Hardware, Neighbour, Nic};
use model::install::{Progress, Running};
use std::net::Ipv4Addr;

impl World<'_> {
    /// Tries to reach a controller in a while, unless it has one.
    pub(crate) fn try_agent_in(&mut self, body: usize, pause_ms: u64) {
        if let Some(agent) = &self.bodies[body].agent
            && agent.with.is_none()
        {
            let connection = agent.connection;
            self.timer(body, pause_ms, Timer::Connect { connection });
        }
    }

    /// Tries to reach one now.
    pub(crate) fn connect(&mut self, body: usize, connection: u32) {
        let source = self.bodies[body].speaks_from();
        let of = &mut self.bodies[body];
        let Some(agent) =
            of.agent.as_mut().filter(|agent| agent.connection == connection && agent.with.is_none())
        else {
            return;
        };
        agent.failures += 1;
        let (turn, pause) = (agent.failures as usize + body, 1_000_u64 << agent.failures.min(6));
        let (key, running) = (agent.key, agent.running.clone());
        let may_renew = std::mem::take(&mut agent.may_renew);
        let (has_certificate, mac) = (agent.has_certificate, of.macs[usize::from(of.plugs[0].is_none())]);
        let controller = turn % self.controllers.len();
        let is_there =
            self.answers(controller).is_some() && self.now >= self.controllers[controller].frozen_until;
        if source.is_none() || !is_there {
            let pause = pause + self.random.between(0, 1_000);
            return self.timer(body, pause, Timer::Connect { connection });
        }
        self.connections += 1;
        let (now, connection) = (self.now, self.connections);
        let life = self.controllers[controller].life;
        if let Some(agent) = &mut self.bodies[body].agent {
            (agent.connection, agent.with) = (connection, Some((controller, life)));
            (agent.is_welcome, agent.reported, agent.checked, agent.heard_at) = (false, None, false, now);
        }
        let frame = match (has_certificate, may_renew) {
            (true, _) => FromAgent::Hello { key, running },
            (false, true) => FromAgent::Renew { key },
            (false, false) => FromAgent::Token { mac },
        };
        self.write(body, frame);
        self.timer(body, 30_000, Timer::Silent { connection });
    }

    /// Says something by the connection that there is.
    fn write(&mut self, body: usize, frame: FromAgent) {
        let source = self.bodies[body].speaks_from();
        let of = &self.bodies[body];
        let (Some(agent), Some(source)) = (&of.agent, source) else { return };
        let Some((controller, life)) = agent.with else { return };
        let (epoch, connection) = (of.epoch, agent.connection);
        let (location, source, frame) = match self.settings.planted {
            Some(Planted::WrongPlace) => self.stolen(body, agent.location.clone(), source, frame),
            _ => (agent.location.clone(), source, frame),
        };
        let letter = Letter { body, epoch, connection, source, location, frame };
        let at = self.now + CONTROLLER.min(1 + body as u64 % 7);
        self.queue.put(at, Happening::Letter { controller, life, letter: Box::new(letter) });
    }

    /// The connection is gone.
    pub(crate) fn lose_connection(&mut self, body: usize) {
        let Some(agent) = &mut self.bodies[body].agent else { return };
        agent.with = None;
        agent.is_welcome = false;
        let pause = 1_000 << agent.failures.min(6);
        let pause = pause + self.random.between(0, 1_000);
        self.try_agent_in(body, pause);
    }

    /// The machine goes down in good order, or not: the other end may hear of it.
    pub(crate) fn close_connection(&mut self, body: usize) {
        let Some(agent) = &self.bodies[body].agent else { return };
        let Some((controller, life)) = agent.with else { return };
        let (location, connection) = (agent.location.clone(), agent.connection);
        if self.random.is(500) {
            let at = self.now + CONTROLLER;
            self.queue.put(at, Happening::HungUp { controller, life, location, body, connection });
        }
    }

    /// Nothing was heard for too long.
    pub(crate) fn silent(&mut self, body: usize, connection: u32) {
        let patience = 3 * self.settings.heartbeat_ms();
        let Some(agent) = self.bodies[body].agent.as_ref().filter(|agent| agent.connection == connection)
        else {
            return;
        };
        let due = agent.heard_at + if agent.is_welcome { patience } else { 30_000 };
        if agent.with.is_none() {
            return;
        }
        if self.now >= due {
            self.lose_connection(body);
        } else {
            self.timer(body, due - self.now, Timer::Silent { connection });
        }
    }

    /// Time to say that it is there.
    pub(crate) fn beat(&mut self, body: usize, connection: u32) {
        let agent = self.bodies[body].agent.as_ref();
        if agent.is_some_and(|agent| agent.connection == connection && agent.is_welcome) {
            self.write(body, FromAgent::Heartbeat);
            let pause = self.settings.heartbeat_ms();
            self.timer(body, pause, Timer::Beat { connection });
        }
    }

    /// Time to look at itself again.
    pub(crate) fn look(&mut self, body: usize, connection: u32) {
        let agent = self.bodies[body].agent.as_ref();
        if agent.is_some_and(|agent| agent.connection == connection && agent.is_welcome) {
            self.report(body);
            self.timer(body, 300_000, Timer::Look { connection });
        }
    }

    /// What a controller says.
    pub(crate) fn told(&mut self, body: usize, connection: u32, frame: FromController) {
        let fresh = self.random.octets();
        let now = self.now;
        let Some(agent) = self.bodies[body].agent.as_mut().filter(|agent| agent.connection == connection)
        else {
            return;
        };
        agent.heard_at = now;
        let (key, running) = (agent.key, agent.running.clone());
        match frame {
            FromController::Token(token) => {
                agent.key = fresh;
                self.write(body, FromAgent::Enrol { token, key: fresh });
            }
            FromController::Certificate => {
                agent.has_certificate = true;
                if let Life::System(Booted::Disk { .. }) = self.bodies[body].life
                    && let Some((_, kept)) = &mut self.bodies[body].disk.kept
                {
                    *kept = key;
                }
                self.write(body, FromAgent::Hello { key, running });
            }
            FromController::Welcome => {
                agent.is_welcome = true;
                agent.failures = 0;
                let outcome = agent.outcome.clone();
                let beat = self.settings.heartbeat_ms();
                self.timer(body, beat, Timer::Beat { connection });
                self.timer(body, 300_000, Timer::Look { connection });
                let pause = self.random.between(1_000, 6_000);
                self.timer(body, pause, Timer::Report { connection });
                if let Some(outcome) = outcome {
                    self.write(body, FromAgent::Tells(outcome));
                }
            }
            FromController::Heartbeat { now: theirs } => {
                let offset = theirs.0.wrapping_sub(crate::controller::EPOCH_MS + self.now).cast_signed();
                let reported = agent.reported.as_ref().map(|hardware| hardware.clock_skew_ms);
                if reported.is_some_and(|reported| is_news(skew(offset), reported)) {
                    self.report(body);
                }
            }
            FromController::CheckAgain => {
                agent.reported = None;
                agent.checked = false;
                let pause = self.random.between(500, 4_000);
                self.timer(body, pause, Timer::Report { connection });
            }
            FromController::Order(order) => self.ordered(body, order),
            FromController::Refused { needs_certificate, words } => {
                if needs_certificate {
                    agent.may_renew = agent.has_certificate;
                    agent.has_certificate = false;
                }
                self.trace.line(self.now, format_args!("{} is refused: {words}", self.bodies[body].home));
                self.lose_connection(body);
            }
        }
    }

    /// Tells what it finds: hardware, neighbours, clock; then what its role's checks say.
    pub(crate) fn report(&mut self, body: usize) {
        let Some(agent) = self.bodies[body].agent.as_ref().filter(|agent| agent.is_welcome) else { return };
        let Some((controller, _)) = agent.with else { return };
        let of = &self.bodies[body];
        let neighbour = |port: usize| {
            let jack = &self.cabling.jacks[of.plugs[port]?];
            Some(Neighbour { system: jack.switch.clone(), port: jack.port.clone() })
        };
        let nic = |port: usize| Nic {
            name: PORTS[port].to_owned(),
            mac: of.macs[port],
            mbps: of.plugs[port].map(|_| 25_000),
            neighbour: neighbour(port),
        };
        let offset = self.controllers[controller].clock_ms;
        let hardware = Hardware { nics: vec![nic(0), nic(1)], clock_skew_ms: skew(offset), ..of.hardware() };
        let is_installer = in_memory(&agent.running) && self.installs(&agent.location);
        let passed = self.settings.planted == Some(Planted::SmoothTalk)
            || of.running_system().is_none_or(|system| !self.bad_systems.contains(&system));
        let checks = if is_installer { Vec::new() } else { of.checks(passed) };
        let (is_new, checked) = (agent.reported.as_ref() != Some(&hardware), agent.checked);
        if let Some(agent) = &mut self.bodies[body].agent {
            agent.checked = true;
            agent.reported = Some(hardware.clone());
        }
        if is_new {
            self.write(body, FromAgent::Tells(What::Reported { hardware: Box::new(hardware) }));
        }
        if is_new || !checked {
            self.write(body, FromAgent::Tells(What::Checked { results: checks }));
        }
    }

    /// Whether the machines of a place are written by an installer of ours, as the plan in force says.
    pub(crate) fn installs(&self, place: &Location) -> bool {
        let plan = &self.store.newest().plan;
        let device = plan.design.devices.iter().position(|device| device.location == *place);
        device.is_some_and(|device| {
            lifecycle::installing::role_of(plan, model::DeviceId::from_index(device)).is_some()
        })
    }

    /// Does what it is ordered.
    fn ordered(&mut self, body: usize, order: Option<Order>) {
        let now = self.now;
        if self.settings.planted == Some(Planted::DeadMachine) && self.random.is(400) {
            self.end_agent(body);
            return;
        }
        let Some(agent) = &mut self.bodies[body].agent else { return };
        match order {
            None => agent.burning = None,
            Some(Order::BurnIn(order)) => {
                if agent.burning.as_ref().is_none_or(|(same, _)| *same != order) {
                    agent.burning = Some((order, now));
                    self.burn(body, order);
                }
            }
            Some(Order::Confirm { system }) => {
                if let Running::Disk { slot: runs, on_trial, .. } = &mut agent.running {
                    *on_trial = false;
                    let runs = *runs;
                    let number = usize::from(runs != slot(0));
                    let of = &mut self.bodies[body];
                    if of.disk.slots[number] == Some(system) {
                        of.disk.good = Some(number);
                        of.life = Life::System(Booted::Disk { slot: number, on_trial: false });
                        self.write(body, FromAgent::Tells(What::Confirmed { slot: runs }));
                    }
                }
            }
            Some(Order::Restart) => {
                let pause = self.random.between(1_000, 20_000);
                self.timer(body, pause, Timer::Restart);
            }
            Some(Order::Install(install)) => {
                if agent.job.as_ref() == Some(&install) {
                    // It was done, or is under way.
                    if let Some(outcome) = agent.outcome.clone() {
                        self.write(body, FromAgent::Tells(outcome));
                    }
                    return;
                }
                agent.job = Some(install);
                agent.outcome = None;
                self.timer(body, 2_000, Timer::Write { part: 0 });
            }
        }
    }

    /// The next part of an order.
    pub(crate) fn carry_out(&mut self, body: usize, part: u32) {
        const PARTS: u32 = 4;
        let Some(agent) = &self.bodies[body].agent else { return };
        let Some(install) = agent.job.clone() else { return };
        let running = agent.running.clone();
        match part {
            0 => {
                self.writes_disk(body, &install);
                let number = self.slot_for(&install, &running);
                let disk = &mut self.bodies[body].disk;
                if install.wipes {
                    *disk = crate::body::SystemDisk::default();
                } else {
                    disk.slots[number] = None;
                    disk.trial = None;
                }
            }
            1..PARTS => {}
            _ => return self.written_whole(body, &install, &running),
        }
        let step = ["partitions", "writes root", "proves root", "seals"][part.min(3) as usize];
        let progress = Progress { step: step.to_owned(), ..Progress::default() };
        self.write(body, FromAgent::Tells(What::Installing { progress }));
        let pause = self.random.between(10_000, 90_000);
        self.timer(body, pause, Timer::Write { part: part + 1 });
    }

    fn slot_for(&self, install: &Install, running: &Running) -> usize {
        match running {
            Running::Disk { slot: runs, .. } if !install.wipes => usize::from(*runs == slot(0)),
            _ => 0,
        }
    }

    fn written_whole(&mut self, body: usize, install: &Install, running: &Running) {
        let number = self.slot_for(install, running);
        let image = crate::drawing::Drawing::digest(install.system);
        let fails = self.random.is(20) && !self.is_calm;
        let of = &mut self.bodies[body];
        let Some(agent) = &mut of.agent else { return };
        let outcome = if fails {
            agent.job = None;
            What::NotInstalled { image, sentence: "the image could not be fetched".to_owned() }
        } else {
            of.disk.slots[number] = Some(install.system);
            match install.wipes {
                true => of.disk.good = Some(number),
                false => of.disk.trial = Some(number),
            }
            of.disk.kept = Some((agent.location.clone(), agent.key));
            What::Installed { generation: install.generation, image: Some(image), slot: Some(slot(number)) }
        };
        if let Some(agent) = &mut of.agent {
            agent.outcome = Some(outcome.clone());
        }
        self.write(body, FromAgent::Tells(outcome));
    }

    /// Says how far its burn-in is, and that it is over.
    pub(crate) fn burn(&mut self, body: usize, order: burn_in::Order) {
        let now = self.now;
        let of = &self.bodies[body];
        let Some((_, began)) =
            of.agent.as_ref().and_then(|agent| agent.burning.filter(|(same, _)| *same == order))
        else {
            return;
        };
        let seconds = (now - began) / 1_000;
        let (whole, is_whole) = (order.parts.seconds(), of.is_whole());
        if seconds >= whole {
            let parts = order.parts.parts().map(|(part, _)| PartOutcome {
                part,
                passed: is_whole,
                sentence: if is_whole { "done" } else { "a word read back was another" }.to_owned(),
            });
            let outcome = Outcome { order, parts: parts.collect() };
            return self.write(body, FromAgent::Tells(What::BurntIn { outcome }));
        }
        let Some((part, _)) = order.parts.parts().next() else { return };
        let progress = burn_in::Progress {
            order,
            part,
            percent: u8::try_from(seconds * 100 / whole.max(1)).unwrap_or(100),
            per_second: 1,
            elapsed_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        };
        self.write(body, FromAgent::Tells(What::BurningIn { progress }));
        self.timer(body, 10_000, Timer::Burn { order });
    }

    /// A slot on trial was not found right in its time: it restarts, and falls back.
    pub(crate) fn trial_over(&mut self, body: usize) {
        if let Life::System(Booted::Disk { on_trial: true, .. }) = self.bodies[body].life {
            self.restart(body, 5_000);
        }
    }

    /// A planted bug: its agent is gone, and nothing starts it again.
    fn end_agent(&mut self, body: usize) {
        self.close_connection(body);
        self.bodies[body].agent = None;
        self.bodies[body].life = Life::Hung;
        self.bodies[body].stays_off = true;
    }

    /// A planted bug: it writes without being told.
    pub(crate) fn write_unasked(&mut self, body: usize) {
        let install = Install {
            generation: self.store.newest().plan.generation,
            allowed_at: model::Time(1),
            system: 1,
            wipes: true,
        };
        if let Some(agent) = &mut self.bodies[body].agent {
            agent.job = Some(install);
            self.timer(body, 1, Timer::Write { part: 0 });
        }
    }

    /// A planted bug: it has another machine's address, and says that it is that machine.
    fn stolen(
        &self,
        body: usize,
        location: Location,
        source: Ipv4Addr,
        frame: FromAgent,
    ) -> (Location, Ipv4Addr, FromAgent) {
        let other = &self.bodies[(body + 1) % self.bodies.len()];
        match (frame, other.speaks_from()) {
            (FromAgent::Token { .. }, Some(stolen)) => {
                (other.home.clone(), stolen, FromAgent::Token { mac: other.macs[0] })
            }
            (frame @ FromAgent::Enrol { .. }, Some(stolen)) => (other.home.clone(), stolen, frame),
            (frame, _) => (location, source, frame),
        }
    }
}
