//! The controller's end of an agent's connection: who may have a token, a certificate, a session, and what it is told to do.
//! As `server::agents` has it; what is decided is `lifecycle`'s.

use crate::body::{FromAgent, FromController, Install, Order};
use crate::controller::{Asker, Message, Reply};
use crate::drawing::Drawing;
use crate::network::CONTROLLER;
use crate::world::World;
use lifecycle::burn_in;
use lifecycle::enrolment::{self, Peer, Proof, TOKEN_LIFE};
use lifecycle::installing::{self, Duty};
use lifecycle::{attestation, zone::Zone};
use model::event::{Event, What};
use model::facts::Attested;
use model::install::Running;
use model::{DeviceId, Location, Mac, Time};
use std::net::{IpAddr, Ipv4Addr};

/// How often sessions are looked at that say nothing.
pub(crate) const SWEEP_MS: u64 = 20_000;

/// An agent that is connected.
pub(crate) struct Session {
    pub(crate) body: usize,
    pub(crate) epoch: u32,
    pub(crate) connection: u32,
    source: Ipv4Addr,
    key: [u8; 32],
    /// What it was last told to do.
    ordered: Option<Order>,
    heard_at: u64,
}

/// A frame with the envelope that it came in.
pub(crate) struct Letter {
    pub(crate) body: usize,
    pub(crate) epoch: u32,
    pub(crate) connection: u32,
    pub(crate) source: Ipv4Addr,
    pub(crate) location: Location,
    pub(crate) frame: FromAgent,
}

fn peer<'a>(zone: &'a Zone, location: &Location, source: Ipv4Addr) -> Peer<'a> {
    Peer {
        plan: zone.plan(),
        device: zone.roster().device_at(location),
        machine: zone.facts().machines.get(location),
        source: IpAddr::V4(source),
    }
}

/// Of whom a TPM is known by.
fn endorsement(mac: Mac) -> [u8; 32] {
    let mut key = [9; 32];
    key[..6].copy_from_slice(&mac.0);
    key
}

impl World<'_> {
    /// What an agent says.
    pub(crate) fn hear_agent(&mut self, controller: usize, letter: Letter) {
        let Letter { body, epoch, connection, source, location, frame } = letter;
        let of = &self.controllers[controller];
        let Some(zone) = &of.zone else {
            return self.refuse(body, epoch, connection, false, "another controller leads");
        };
        let now = self.clock(controller);
        let asked = |what| Event { at: now, location: location.clone(), what };
        match frame {
            FromAgent::Token { mac } => match self.token(controller, &location, source, mac, body, now) {
                Err(words) => self.refuse(body, epoch, connection, false, &words),
                Ok((what, token)) => {
                    let to = Reply::Agent { body, epoch, connection, frame: FromController::Token(token) };
                    self.take(controller, Message::Event(asked(what), Asker { to, must_be_stored: true }), 1);
                }
            },
            FromAgent::Enrol { token, key } => {
                if let Err(no) = enrolment::may_spend_token(peer(zone, &location, source), token, now) {
                    return self.refuse(body, epoch, connection, false, &no.to_string());
                }
                let place = zone.facts().machines.get(&location);
                let device = zone.roster().device_at(&location);
                let proof = device.map_or(Proof::Port, |device| enrolment::proof(zone.plan(), device, place));
                let mac = self.bodies[body].macs[0];
                let attested = || Attested {
                    ek_sha256: endorsement(mac),
                    pcrs: vec![(0, [1; 32]), (7, [1; 32])],
                    resets: epoch,
                    clock_ms: self.now,
                };
                let tpm = (proof == Proof::Tpm).then(attested);
                self.enrols(&location, body);
                let what = What::Enrolled { key_sha256: key, token_sha256: Some(token), tpm };
                let to = Reply::Agent { body, epoch, connection, frame: FromController::Certificate };
                self.take(controller, Message::Event(asked(what), Asker { to, must_be_stored: true }), 1);
            }
            FromAgent::Renew { key } => match enrolment::may_begin(peer(zone, &location, source), key) {
                Ok(()) => self.say(body, epoch, connection, FromController::Certificate),
                Err(no) => self.refuse(body, epoch, connection, false, &no.to_string()),
            },
            FromAgent::Hello { key, running } => {
                if let Err(no) = enrolment::may_begin(peer(zone, &location, source), key) {
                    return self.refuse(body, epoch, connection, true, &no.to_string());
                }
                let heard_at = self.now;
                let session = Session { body, epoch, connection, source, key, ordered: None, heard_at };
                self.controllers[controller].sessions.insert(location.clone(), session);
                let what =
                    What::Connected { running: Some(running), burns_in: true, boot: Some(epoch.into()) };
                let to = Reply::Agent { body, epoch, connection, frame: FromController::Welcome };
                self.take(controller, Message::Event(asked(what), Asker { to, must_be_stored: false }), 1);
            }
            FromAgent::Heartbeat | FromAgent::Tells(_) => {
                let is_its = |session: &&Session| {
                    (session.body, session.epoch, session.connection) == (body, epoch, connection)
                };
                let Some(session) = of.sessions.get(&location).filter(is_its) else {
                    return self.refuse(body, epoch, connection, false, "there is no such session");
                };
                if let Err(no) = enrolment::may_speak(peer(zone, &location, session.source), session.key) {
                    self.end_session(controller, &location);
                    return self.refuse(body, epoch, connection, true, &no.to_string());
                }
                let heard_at = self.now;
                if let Some(session) = self.controllers[controller].sessions.get_mut(&location) {
                    session.heard_at = heard_at;
                }
                match frame {
                    FromAgent::Tells(what) => {
                        let to = Reply::Nobody;
                        let asker = Asker { to, must_be_stored: false };
                        self.take(controller, Message::Event(asked(what), asker), 1);
                    }
                    _ => {
                        self.say(body, epoch, connection, FromController::Heartbeat { now });
                        self.tell_order(controller, &location);
                    }
                }
            }
        }
    }

    /// A token for the boot on its port, and the event that says so.
    fn token(
        &mut self,
        controller: usize,
        location: &Location,
        source: Ipv4Addr,
        mac: Mac,
        body: usize,
        now: Time,
    ) -> Result<(What, [u8; 32]), String> {
        let token = self.random.octets();
        let Some(zone) = &self.controllers[controller].zone else { return Err("nobody leads".to_owned()) };
        let peer = peer(zone, location, source);
        let device = peer.device.ok_or("the plan has no such place")?;
        let proof = enrolment::proof(zone.plan(), device, peer.machine);
        let mut ek_sha256 = None;
        if proof == Proof::Tpm {
            enrolment::may_show_tpm(peer).map_err(|no| no.to_string())?;
            let shown = endorsement(self.bodies[body].macs[0]);
            let known = peer.machine.and_then(|machine| machine.tpm.as_ref());
            let home = zone.home_of_tpm(&shown);
            if let Err(sentence) = attestation::may_be(known, &shown, location, home) {
                let what = What::NotProved { sentence: sentence.clone(), ek_sha256: Some(shown) };
                let event = Event { at: now, location: location.clone(), what };
                let asker = Asker { to: Reply::Nobody, must_be_stored: false };
                self.take(controller, Message::Event(event, asker), 1);
                return Err(sentence);
            }
            if known.is_none() {
                enrolment::may_have_token(peer, Some(mac), now).map_err(|no| no.to_string())?;
            }
            ek_sha256 = Some(shown);
        } else {
            enrolment::may_have_token(peer, Some(mac), now).map_err(|no| no.to_string())?;
        }
        let what =
            What::TokenIssued { token_sha256: token, until: now + TOKEN_LIFE, ek_sha256, by_bmc: false };
        Ok((what, token))
    }

    fn refuse(&mut self, body: usize, epoch: u32, connection: u32, needs_certificate: bool, words: &str) {
        self.say(
            body,
            epoch,
            connection,
            FromController::Refused { needs_certificate, words: words.to_owned() },
        );
    }

    /// Has an agent look again.
    pub(crate) fn ask_agent(&mut self, controller: usize, location: &Location) {
        if let Some(Session { body, epoch, connection, .. }) =
            self.controllers[controller].sessions.get(location)
        {
            let (body, epoch, connection) = (*body, *epoch, *connection);
            self.say(body, epoch, connection, FromController::CheckAgain);
        }
    }

    /// Tells an agent what is to be done, if that is news.
    pub(crate) fn tell_order(&mut self, controller: usize, location: &Location) {
        if self.controllers[controller].is_stepping() {
            // What a change does to a machine is stored before anybody hears of it.
            return;
        }
        let order = self.order(controller, location);
        let Some(session) = self.controllers[controller].sessions.get_mut(location) else { return };
        if session.ordered == order {
            return;
        }
        let (body, epoch, connection) = (session.body, session.epoch, session.connection);
        let burnt = matches!(session.ordered, Some(Order::BurnIn(_)));
        session.ordered.clone_from(&order);
        if burnt && !matches!(order, Some(Order::BurnIn(_))) {
            self.say(body, epoch, connection, FromController::Order(None));
        }
        if let Some(order) = order {
            let now = self.clock(controller);
            self.orders(controller, location, body, &order, now);
            self.trace
                .line(self.now, format_args!("{controller}: {} is told {order:?}", location.within_zone()));
            self.say(body, epoch, connection, FromController::Order(Some(order)));
        }
    }

    /// What the machine's agent is to do.
    fn order(&self, controller: usize, location: &Location) -> Option<Order> {
        let of = &self.controllers[controller];
        let zone = of.zone.as_ref()?;
        let device: DeviceId = zone.roster().device_at(location)?;
        let machine = zone.facts().machines.get(location)?;
        if let Some(order) = burn_in::order(zone.plan(), device, machine) {
            return Some(Order::BurnIn(order));
        }
        if lifecycle::change::is_to_restart(machine) {
            return Some(Order::Restart);
        }
        let os = installing::role_of(zone.plan(), device)?.os?;
        let name = &zone.plan().design.systems[os.index()].name;
        let digest = of.site.systems.get(name).map(String::as_str);
        let now = self.clock(controller);
        match installing::duty(zone.plan(), device, machine, digest, now) {
            Duty::Nothing => None,
            Duty::Confirm { image } => Some(Order::Confirm { system: system(&image) }),
            Duty::Restart { .. } => Some(Order::Restart),
            Duty::Install { allowed_at, disks } => Some(Order::Install(Install {
                generation: zone.plan().generation,
                allowed_at,
                system: system(digest?),
                wipes: disks.is_some(),
            })),
        }
    }

    /// The end of a connection is told, unless another has taken its place.
    pub(crate) fn end_session(&mut self, controller: usize, location: &Location) {
        if self.controllers[controller].sessions.remove(location).is_some() {
            let event = Event { at: self.clock(controller), location: location.clone(), what: What::Lost };
            let asker = Asker { to: Reply::Nobody, must_be_stored: false };
            self.take(controller, Message::Event(event, asker), 1);
        }
    }

    /// A connection was closed by the other end.
    pub(crate) fn hang_up(&mut self, controller: usize, location: &Location, body: usize, connection: u32) {
        let session = self.controllers[controller].sessions.get(location);
        if session.is_some_and(|session| (session.body, session.connection) == (body, connection)) {
            self.end_session(controller, location);
        }
    }

    /// Ends the sessions that said nothing for three heartbeats.
    pub(crate) fn sweep(&mut self, controller: usize) {
        if self.controllers[controller].zone.is_none() {
            return;
        }
        let now = self.now;
        let patience = 3 * self.settings.heartbeat_ms();
        let silent = |(_, session): &(&Location, &Session)| session.heard_at + patience < now;
        let gone =
            self.controllers[controller].sessions.iter().filter(silent).map(|(location, _)| location.clone());
        for location in gone.collect::<Vec<_>>() {
            self.end_session(controller, &location);
        }
        let life = self.controllers[controller].life;
        let step = crate::controller::Step::Sweep;
        self.queue.put(now + SWEEP_MS, crate::world::Happening::Step { controller, life, step });
    }

    /// Sends to an agent.
    pub(crate) fn say(&mut self, body: usize, epoch: u32, connection: u32, frame: FromController) {
        let at = self.now + CONTROLLER.min(1 + body as u64 % 7);
        self.queue.put(at, crate::world::Happening::Told { body, epoch, connection, frame });
    }
}

/// Which system has this digest.
fn system(digest: &str) -> u64 {
    let number = digest
        .strip_prefix("sha256:")
        .and_then(|hex| u64::from_str_radix(hex.trim_start_matches('0'), 16).ok());
    debug_assert_eq!(number.map(Drawing::digest).as_deref(), Some(digest));
    number.unwrap_or(0)
}

/// What an agent that runs in this says.
pub(crate) fn in_memory(running: &Running) -> bool {
    *running == Running::Memory
}
