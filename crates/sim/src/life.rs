//! What a machine does between power and a system: firmware, loader, script, kernel; and what its disk starts.

use crate::body::{Agent, BMC, Booted, Life, PORTS};
use crate::drawing::number;
use crate::network::CONTROLLER;
use crate::world::{Happening, Timer, World};
use answer::http::{self, Body as HttpBody, Method, Request};
use model::Location;
use model::event::Event;
use model::facts::Stage;
use model::install::Running;
use std::net::{IpAddr, Ipv4Addr};

impl World<'_> {
    /// Power, or the button.
    pub(crate) fn power_on(&mut self, body: usize) {
        if self.bodies[body].life == Life::Off && !self.bodies[body].is_gone && !self.bodies[body].stays_off {
            self.restart(body, 0);
        }
    }

    /// Power is gone, and with it everything that was not on disk.
    pub(crate) fn power_off(&mut self, body: usize) {
        self.end_epoch(body);
        self.bodies[body].life = Life::Off;
        self.drop_lease(body, BMC);
    }

    /// It begins anew, after so long.
    pub(crate) fn restart(&mut self, body: usize, pause_ms: u64) {
        self.end_epoch(body);
        self.bodies[body].life = Life::Post;
        if self.bodies[body].clients[BMC].is_none() {
            self.ask(body, BMC, Stage::Bmc);
        } else if let Some(client) = &self.bodies[body].clients[BMC] {
            // Its timers ended with the epoch; its lease did not.
            let xid = client.xid;
            self.timer(body, 60_000, Timer::Renew { port: BMC, xid });
        }
        let post = self.random.between(10_000, 60_000);
        self.timer(body, pause_ms + post, Timer::Tested);
    }

    fn end_epoch(&mut self, body: usize) {
        self.close_connection(body);
        for port in 0..2 {
            self.drop_lease(body, port);
        }
        let of = &mut self.bodies[body];
        of.epoch += 1;
        of.agent = None;
    }

    /// Firmware has tested its memory: it asks by its first port.
    pub(crate) fn tested(&mut self, body: usize) {
        self.bodies[body].life = Life::Asking;
        let port = usize::from(self.bodies[body].plugs[0].is_none());
        let stage = self.bodies[body].firmware;
        self.ask(body, port, stage);
    }

    /// Nobody answered at a port: the next one, then the disk, then all over.
    pub(crate) fn gave_up(&mut self, body: usize, port: usize) {
        if port == 0 && self.bodies[body].plugs[1].is_some() {
            let stage = self.bodies[body].firmware;
            return self.ask(body, 1, stage);
        }
        self.start_disk(body);
    }

    /// A port has an address.
    pub(crate) fn bound(&mut self, body: usize, port: usize, stage: Stage, file: &str) {
        match stage {
            Stage::Bmc => {}
            Stage::Os => {
                let try_at = self.random.between(500, 3_000);
                self.try_agent_in(body, try_at);
            }
            _ if file.is_empty() => {
                self.drop_lease(body, port);
                self.bodies[body].life = Life::Loading;
                self.timer(body, 4_000, Timer::FromDisk);
            }
            Stage::Ipxe => {
                self.bodies[body].life = Life::Scripting;
                let path = file.find("/boot/").map_or("/boot/auto.ipxe", |at| &file[at..]).to_owned();
                self.timer(body, 200, Timer::Fetch { port, path, tries: 0 });
            }
            _ => {
                self.bodies[body].life = Life::Loading;
                let load = self.random.between(500, 5_000);
                self.timer(body, load, Timer::Loaded { port });
            }
        }
    }

    /// The loader is there, or was lost on its way.
    pub(crate) fn loaded(&mut self, body: usize, port: usize) {
        let (lost, ..) = self.weather();
        if self.random.is(lost / 2) {
            return self.restart(body, 10_000);
        }
        self.bodies[body].life = Life::Asking;
        self.ask(body, port, Stage::Ipxe);
    }

    /// iPXE asks a controller for its script; each in turn, if one is not there.
    pub(crate) fn fetch(&mut self, body: usize, port: usize, path: String, tries: u32) {
        let Some(source) = self.bodies[body].clients[port].as_ref().and_then(crate::body::Client::address)
        else {
            return self.restart(body, 5_000);
        };
        if tries > 8 {
            return self.restart(body, 5_000);
        }
        let count = self.controllers.len();
        let controller = (body + tries as usize) % count;
        let epoch = self.bodies[body].epoch;
        let is_there =
            self.answers(controller).is_some() && self.now >= self.controllers[controller].frozen_until;
        if is_there && self.bodies[body].plugs[port].is_some() {
            let at = self.now + self.random.between(1, CONTROLLER);
            self.queue.put(at, Happening::Script { controller, body, epoch, port, path, source });
        } else {
            let pause = 3_000 << tries.min(4);
            self.timer(body, pause, Timer::Fetch { port, path, tries: tries + 1 });
        }
    }

    /// A controller answers with a script, and the machine does what it says.
    pub(crate) fn script(
        &mut self,
        controller: usize,
        body: usize,
        port: usize,
        path: &str,
        source: Ipv4Addr,
    ) {
        let Some(view) = self.answers(controller) else {
            let path = path.to_owned();
            return self.timer(body, 10_000, Timer::Fetch { port, path, tries: 1 });
        };
        let now = self.clock(controller);
        let request = Request {
            method: Method::Get,
            path,
            range: None,
            if_range: None,
            if_none_match: None,
            client: IpAddr::V4(source),
            is_secure: false,
        };
        let reply = http::boot(&view, &request, now).unwrap_or_else(http::refused);
        if let Some((what, machine)) = reply.tells.zip(reply.machine) {
            let location = view.plan.design.devices[machine.index()].location.clone();
            self.heard(controller, Event { at: now, location, what });
        }
        let HttpBody::Text(text) = reply.body else { return self.restart(body, 5_000) };
        let kernel = word_after(&text, "/vmlinuz-").map(|word| format!("-{word}"));
        if kernel.is_some_and(|kernel| self.hanging_kernels.contains(&number(&kernel))) {
            self.drop_lease(body, port);
            self.bodies[body].life = Life::Hung;
        } else if let Some(place) = word_after(&text, "zw.location=") {
            let location = Location::new(place);
            self.bodies[body].life = Life::Starting(Booted::Memory { location });
            self.drop_lease(body, port);
            let start = self.random.between(15_000, 60_000);
            self.timer(body, start, Timer::Started);
        } else if text.contains("boots its own disk") {
            self.drop_lease(body, port);
            self.start_disk(body);
        } else if text.contains("waits: ") {
            let again = self.random.between(45_000, 75_000);
            self.timer(body, again, Timer::Fetch { port, path: "/boot/auto.ipxe".to_owned(), tries: 0 });
        } else {
            self.restart(body, 10_000);
        }
    }

    /// What its disk starts, if anything.
    pub(crate) fn start_disk(&mut self, body: usize) {
        let of = &mut self.bodies[body];
        let Some((slot, on_trial)) = of.bootable() else {
            return self.restart(body, 10_000);
        };
        if on_trial {
            // GRUB takes the word away before it starts it.
            of.disk.trial = None;
        }
        let is_bad = of.disk.slots[slot].is_some_and(|system| self.dead_systems.contains(&system));
        let of = &mut self.bodies[body];
        of.life = Life::Starting(Booted::Disk { slot, on_trial });
        let start = self.random.between(20_000, 60_000);
        if is_bad {
            // The kernel panics, and starts anew.
            self.timer(body, start + 30_000, Timer::Panicked);
        } else {
            self.timer(body, start, Timer::Started);
        }
    }

    /// A kernel is there: its agent is, and asks for addresses.
    pub(crate) fn started(&mut self, body: usize) {
        let key = self.random.octets();
        let system = |of: &crate::body::Body, slot: usize| of.disk.slots[slot];
        let of = &mut self.bodies[body];
        let Life::Starting(booted) = of.life.clone() else { return };
        let (location, running, key, has_certificate) = match &booted {
            Booted::Memory { location } => (location.clone(), Running::Memory, key, false),
            Booted::Disk { slot, on_trial } => {
                let Some((location, kept)) = of.disk.kept.clone() else { return self.restart(body, 30_000) };
                let Some(number) = system(of, *slot) else { return self.restart(body, 30_000) };
                let image = crate::drawing::Drawing::digest(number);
                let running = Running::Disk { slot: crate::body::slot(*slot), image, on_trial: *on_trial };
                if *on_trial {
                    self.timer(body, 900_000, Timer::TrialOver);
                }
                (location, running, kept, true)
            }
        };
        let of = &mut self.bodies[body];
        of.life = Life::System(booted);
        of.agent = Some(Agent {
            location,
            running,
            key,
            has_certificate,
            may_renew: false,
            connection: self.connections,
            with: None,
            is_welcome: false,
            failures: 0,
            heard_at: self.now,
            reported: None,
            checked: false,
            job: None,
            outcome: None,
            burning: None,
        });
        self.connections += 1;
        for port in 0..2 {
            if self.bodies[body].plugs[port].is_some() {
                self.ask(body, port, Stage::Os);
            }
        }
        self.try_agent_in(body, 20_000);
    }

    /// What its BMC does when it is asked to start it from the network.
    pub(crate) fn ask_bmc(&mut self, controller: usize, location: &Location) {
        let found = self.cabling.of(location, PORTS[BMC]).and_then(|jack| self.cabling.jacks[jack].plugged);
        let works = found.filter(|(body, port)| {
            *port == BMC && !self.bodies[*body].bmc_is_dead && !self.bodies[*body].stays_off
        });
        let works = works.filter(|_| !self.random.is(50));
        let pause = self.random.between(500, 8_000);
        let life = self.controllers[controller].life;
        let body = works.map(|(body, _)| body);
        self.queue
            .put(self.now + pause, Happening::Bmc { controller, life, location: location.clone(), body });
    }
}

/// What follows a word up to the next blank.
fn word_after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let from = text.find(word)? + word.len();
    text[from..].split_ascii_whitespace().next()
}
