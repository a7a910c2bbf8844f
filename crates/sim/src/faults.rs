//! What goes wrong while the zone is not calm: power, hardware, cables, the network, controllers, clocks, disks.

use crate::body::{Defect, Life, PORTS};
use crate::network::CONTROLLER;
use crate::settings::Planted;
use crate::world::{Happening, World};
use model::Location;

impl World<'_> {
    /// Packets lost, doubled and late now, of 1,000.
    pub(crate) fn weather(&self) -> (u64, u64, u64) {
        let profile = &self.profile;
        if self.is_calm {
            // Relays never become perfect.
            return (profile.lost / 4, profile.doubled, profile.late / 4);
        }
        let storm = if self.now < self.storm_until { 300 } else { 0 };
        (profile.lost + storm, profile.doubled, profile.late + storm)
    }

    /// Something goes wrong, and the next thing later.
    pub(crate) fn trouble(&mut self) {
        if self.is_calm || self.profile.trouble_every_ms == 0 {
            return;
        }
        let pause = self.random.pause(self.profile.trouble_every_ms);
        self.queue.put(self.now + pause, Happening::Trouble);
        let body = self.random.below(self.bodies.len());
        let controller = self.random.below(self.controllers.len());
        let while_ms = self.random.pause(60_000);
        match self.random.below(24) {
            0..3 => self.power_cut(body, while_ms),
            3 => self.rack_cut(body, while_ms),
            4 => self.break_hardware(body),
            5 => self.replace(body),
            6..8 => self.swap_cables(body),
            8 => self.cross(body),
            9 => self.storm_until = self.now + while_ms,
            10 => self.deafen(body, while_ms * 4),
            11..14 => self.controller_dies(controller, while_ms),
            14 => {
                self.trace.line(self.now, format_args!("controller {controller} freezes for {while_ms} ms"));
                self.controllers[controller].frozen_until = self.now + while_ms / 3;
            }
            15..17 => self.clock_jumps(controller),
            17 => {
                self.trace.line(self.now, format_args!("the disk is full for {} ms", while_ms * 2));
                self.store.full_until = self.now + while_ms * 2;
            }
            18 => self.store.slowness = self.random.between(1, 100),
            19 => self.lose_connection(body),
            20 => {
                if matches!(self.bodies[body].life, Life::System(_)) {
                    self.decline(body, 0);
                }
            }
            21 => self.bodies[body].bmc_is_dead = !self.bodies[body].bmc_is_dead,
            22 => self.pull(body, while_ms),
            _ => self.restart_all(while_ms),
        }
        if self.settings.planted == Some(Planted::UnarmedWrite) {
            self.write_unasked(body);
        }
    }

    fn power_cut(&mut self, body: usize, while_ms: u64) {
        if self.bodies[body].is_gone || self.bodies[body].life == Life::Off {
            return;
        }
        self.trace.line(self.now, format_args!("power is cut at {}", self.bodies[body].home));
        self.power_off(body);
        self.queue.put(self.now + while_ms, Happening::Power { body });
    }

    fn rack_cut(&mut self, body: usize, while_ms: u64) {
        let rack = rack(&self.bodies[body].home).to_owned();
        for body in 0..self.bodies.len() {
            if rack == self::rack(&self.bodies[body].home) {
                self.power_cut(body, while_ms);
            }
        }
    }

    /// Everything loses power, and comes back together.
    fn restart_all(&mut self, while_ms: u64) {
        if self.random.is(200) {
            for body in 0..self.bodies.len() {
                self.power_cut(body, while_ms);
            }
        }
    }

    fn break_hardware(&mut self, body: usize) {
        let defect = if self.random.is(500) { Defect::HalfItsMemory } else { Defect::ADiskLess };
        self.trace.line(self.now, format_args!("{} has {defect:?}", self.bodies[body].home));
        self.bodies[body].defect = Some(defect);
        if self.random.is(500) {
            self.restart(body, 5_000);
        }
    }

    /// Another machine stands there from now on.
    fn replace(&mut self, body: usize) {
        if self.bodies[body].is_gone {
            return;
        }
        let home = self.bodies[body].home.clone();
        self.trace.line(self.now, format_args!("{home} is replaced"));
        self.power_off(body);
        for port in 0..PORTS.len() {
            self.plug(body, port, None);
        }
        self.bodies[body].is_gone = true;
        let new = self.new_body(&home);
        let pause = self.random.between(1_000, 600_000);
        self.queue.put(self.now + pause, Happening::Power { body: new });
    }

    /// Two neighbours' cables are in each other's ports.
    fn swap_cables(&mut self, body: usize) {
        let rack = rack(&self.bodies[body].home).to_owned();
        let beside = |other: &usize| {
            *other != body && self::rack(&self.bodies[*other].home) == rack && !self.bodies[*other].is_gone
        };
        let others: Vec<usize> = (0..self.bodies.len()).filter(beside).collect();
        let Some(other) = self.random.pick(&others).copied() else { return };
        let port = self.random.below(2);
        let jacks = (self.bodies[body].plugs[port], self.bodies[other].plugs[port]);
        if self.bodies[body].is_gone {
            return;
        }
        self.trace.line(
            self.now,
            format_args!(
                "{} of {} and {} are swapped",
                PORTS[port], self.bodies[body].home, self.bodies[other].home
            ),
        );
        self.plug(body, port, None);
        self.plug(other, port, jacks.0);
        self.plug(body, port, jacks.1);
    }

    /// A machine's two cables are in each other's ports.
    fn cross(&mut self, body: usize) {
        if self.bodies[body].is_gone {
            return;
        }
        let [first, second, _] = self.bodies[body].plugs;
        self.trace.line(self.now, format_args!("{} is crossed", self.bodies[body].home));
        self.plug(body, 0, None);
        self.plug(body, 1, first);
        self.plug(body, 0, second);
    }

    /// A cable is out for a while.
    fn pull(&mut self, body: usize, while_ms: u64) {
        let port = self.random.below(PORTS.len());
        if let Some(jack) = self.bodies[body].plugs[port] {
            self.plug(body, port, None);
            self.queue.put(self.now + while_ms, Happening::PutBack { body, port, jack });
        }
    }

    pub(crate) fn put_back(&mut self, body: usize, port: usize, jack: usize) {
        let is_free = self.cabling.jacks[jack].plugged.is_none();
        if is_free && !self.bodies[body].is_gone && self.bodies[body].plugs[port].is_none() {
            self.plug(body, port, Some(jack));
        }
    }

    /// The relay of a rack hears nothing.
    fn deafen(&mut self, body: usize, while_ms: u64) {
        let rack = rack(&self.bodies[body].home).to_owned();
        let until = self.now + while_ms;
        for jack in self.cabling.jacks.iter_mut().filter(|jack| self::rack(&jack.drawn.0) == rack) {
            jack.deaf_until = until;
        }
    }

    /// Killed now, or in the middle of a write that is about to begin.
    fn controller_dies(&mut self, controller: usize, while_ms: u64) {
        let pause = self.random.between(0, CONTROLLER * 4);
        self.queue.put(self.now + pause, Happening::Kill { controller });
        self.queue.put(self.now + pause + while_ms, Happening::Start { controller });
    }

    fn clock_jumps(&mut self, controller: usize) {
        let by = self.random.between(0, 3_600_000).cast_signed();
        let jump = if self.random.is(500) { -by } else { by };
        let jump = if self.random.is(400) { 0 } else { jump };
        self.trace.line(self.now, format_args!("the clock of controller {controller} is off by {jump} ms"));
        self.controllers[controller].clock_ms = jump;
    }
}

/// The rack of a place.
fn rack(place: &Location) -> &str {
    place.as_str().rsplit_once('/').map_or("", |(rack, _)| rack)
}
