//! What must hold at every moment, each by a ledger of its own: a checker never asks the code that it checks.

use crate::body::{BMC, Booted, Install, Life, Order, PORTS};
use crate::drawing::Drawing;
use crate::world::World;
use lifecycle::{Wait, validate};
use model::change::{Effect, Outcome, Step};
use model::event::{Event, What, Wish};
use model::facts::{Machine, Purpose, State, Token};
use model::install::Running;
use model::{ChangeId, DeviceId, Facts, Generation, Location, Plan, Time, View};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What does not hold, by the name of its checker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The checker.
    pub checker: &'static str,
    /// What it saw.
    pub words: String,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
}

/// An operator's word that a machine's disks may be written once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Allowance {
    pub(crate) generation: Generation,
    pub(crate) until: Time,
    pub(crate) purpose: Purpose,
    /// It can be taken back, and nothing is to begin.
    pub(crate) is_open: bool,
}

/// The ledgers.
#[derive(Default)]
pub(crate) struct Ledgers {
    /// Who holds each address.
    pub(crate) holders: BTreeMap<Ipv4Addr, usize>,
    /// What of each place somebody was told to be stored.
    pub(crate) acknowledged: BTreeMap<Location, u64>,
    /// The order that each body's agent was given last.
    pub(crate) ordered: BTreeMap<usize, Install>,
    /// Whose turn came, in which change, as it is stored.
    pub(crate) taken: BTreeSet<(ChangeId, Location)>,
    /// How often each checker looked.
    pub(crate) looks: BTreeMap<&'static str, u64>,
}

impl World<'_> {
    /// Tells of something that must not be. The first counts, and ends the run.
    pub(crate) fn violated(&mut self, checker: &'static str, words: String) {
        let at_ms = self.now;
        self.trace.line(at_ms, format_args!("VIOLATION {checker}: {words}"));
        self.violation.get_or_insert(Violation { checker, words, at_ms });
    }

    pub(crate) fn looked(&mut self, checker: &'static str) {
        *self.ledgers.looks.entry(checker).or_default() += 1;
    }

    /// `one-holder`: an address goes to whoever is plugged in where it is drawn, and to nobody while a machine that is powered
    /// has it. But for a pair of cables of which one is in another's port: then two are plugged in where one address is drawn.
    pub(crate) fn takes_address(&mut self, body: usize, port: usize, address: Ipv4Addr) {
        self.looked("one-holder");
        let jack = self.bodies[body].plugs[port].map(|jack| &self.cabling.jacks[jack]);
        if jack.and_then(|jack| jack.address) != Some(address) {
            let words = format!("{} got {address} by its {}", self.bodies[body].home, PORTS[port]);
            self.violated("one-holder", words);
        }
        let other = self.ledgers.holders.insert(address, body).filter(|other| *other != body);
        let Some(other) = other.filter(|other| self.is_plugged_right(*other) && self.is_plugged_right(body))
        else {
            return;
        };
        let words = format!(
            "{address} is held by the machines at {} and at {}, which got it by {}",
            self.bodies[other].home, self.bodies[body].home, PORTS[port]
        );
        self.violated("one-holder", words);
    }

    /// Whether all cables of a machine are where its place has them.
    pub(crate) fn is_plugged_right(&self, body: usize) -> bool {
        let of = &self.bodies[body];
        let mut ports = PORTS.iter().zip(&of.plugs);
        ports.all(|(name, plug)| plug.is_none() || *plug == self.cabling.of(&of.home, name))
    }

    pub(crate) fn leaves_address(&mut self, body: usize, address: Ipv4Addr) {
        let holders = &mut self.ledgers.holders;
        if holders.get(&address) == Some(&body) {
            // It may have it by its other port, too.
            let clients = self.bodies[body].clients.iter().flatten();
            if clients.filter(|client| client.address() == Some(address)).count() <= 1 {
                holders.remove(&address);
            }
        }
    }

    /// `unarmed-disk`, where the order is given: by an operator's word that is not spent, for this plan, in its time.
    pub(crate) fn orders(
        &mut self,
        controller: usize,
        location: &Location,
        body: usize,
        order: &Order,
        now: Time,
    ) {
        let Order::Install(install) = order else { return };
        self.looked("unarmed-disk");
        let purpose = if install.wipes { Purpose::Install } else { Purpose::Upgrade };
        let allowance = self.controllers[controller].allowances.get(location).copied();
        let is_under_way = self.ledgers.ordered.get(&body) == Some(install);
        let slack =
            std::time::Duration::from_secs(self.drawing_in_force(controller).burn_in_seconds.into()) * 120;
        let is_good = allowance.is_some_and(|allowance| {
            allowance.generation == install.generation
                && allowance.purpose == purpose
                && !allowance.is_open
                && (now < allowance.until + slack || is_under_way)
        });
        if !is_good {
            let words =
                format!("{location} is told to write {install:?}; allowed is {allowance:?}, at {now:?}");
            self.violated("unarmed-disk", words);
        }
        self.ledgers.ordered.insert(body, install.clone());
    }

    /// `unarmed-disk`, where the disk is: on an order that was given, to the machine that stands at its place.
    pub(crate) fn writes_disk(&mut self, body: usize, install: &Install) {
        self.looked("unarmed-disk");
        if self.ledgers.ordered.get(&body) != Some(install) {
            let words =
                format!("the machine at {} writes {install:?} without an order", self.bodies[body].home);
            self.violated("unarmed-disk", words);
        }
    }

    /// What an event means for the ledger of allowances.
    pub(crate) fn note_allowance(&mut self, controller: usize, event: &Event) {
        let location = &event.location;
        let allowance = match &event.what {
            What::Operator { wish, .. } => match *wish {
                Wish::Arm { generation, until, .. } => {
                    Some(Allowance { generation, until, purpose: Purpose::Install, is_open: false })
                }
                Wish::Reinstall { generation, until, undo_until, .. } => {
                    let is_open = undo_until.is_some_and(|undo_until| event.at < undo_until);
                    Some(Allowance { generation, until, purpose: Purpose::Install, is_open })
                }
                Wish::Upgrade { generation, until } => {
                    Some(Allowance { generation, until, purpose: Purpose::Upgrade, is_open: false })
                }
                Wish::Retire { .. } | Wish::Disarm => None,
                _ => return,
            },
            What::Installed { .. } => None,
            What::Begins => {
                let allowance = self.controllers[controller].allowances.get(location).copied();
                allowance.map(|allowance| Allowance { is_open: false, ..allowance })
            }
            _ => return,
        };
        let controller = &mut self.controllers[controller];
        match allowance {
            Some(allowance) => controller.allowances.insert(location.clone(), allowance),
            None => controller.allowances.remove(location),
        };
        controller.unsaved_allowances.insert(location.clone());
    }

    /// `budget`, for whatever takes a machine out on purpose: before it was granted, fewer than one in ten of those of its role
    /// that were ever in service, and at least one, were out. Broken ones count; who is out anyway costs nothing.
    pub(crate) fn may_be_granted(
        plan: &Plan,
        facts: &BTreeMap<Location, Machine>,
        location: &Location,
    ) -> bool {
        let counts = |machine: &&Machine| {
            !machine.accepted.is_empty() && !matches!(machine.state, State::Retired { .. })
        };
        let is_out = |machine: &Machine| {
            let is_going = machine.armed.is_some_and(|armed| {
                armed.purpose == Purpose::Install && armed.generation == plan.generation
            });
            machine.state != State::Ready || is_going || machine.lease.is_some()
        };
        if facts.get(location).filter(counts).is_none_or(is_out) {
            return true;
        }
        let design = &plan.design;
        let role =
            |device: &model::design::Device| device.role.map(|role| design.roles[role.index()].name.as_str());
        let own = design.devices.iter().find(|device| device.location == *location).and_then(role);
        let (mut all, mut out) = (0, 0);
        for device in design.devices.iter().filter(|device| role(device) == own) {
            let Some(machine) = facts.get(&device.location).filter(counts) else { continue };
            all += 1;
            out += usize::from(device.location != *location && is_out(machine));
        }
        out < (all / 10).max(1)
    }

    /// The turn of a machine has come. `budget`: what is out of its role then is no more than may be. And what it is allowed by it.
    pub(crate) fn takes(&mut self, controller: usize, id: ChangeId, location: &Location) {
        self.looked("budget");
        let of = &self.controllers[controller];
        let Some(zone) = &of.zone else { return };
        let (facts, whole) = (zone.facts(), zone.whole().generation);
        let Some(member) = facts.changes.get(&id).and_then(|change| change.machines.get(location)) else {
            return;
        };
        let Step::Taken { deadline, was_ready, .. } = member.step else { return };
        let upgrades = member.effect == Effect::Upgrade;
        // As if it were in service still: the others that are out must leave room for it.
        let mut before = facts.machines.clone();
        if let Some(machine) = before.get_mut(location) {
            (machine.state, machine.lease, machine.armed) = (State::Ready, None, None);
        }
        let is_within = !was_ready || Self::may_be_granted(zone.plan(), &before, location);
        if upgrades {
            let allowance =
                Allowance { generation: whole, until: deadline, purpose: Purpose::Upgrade, is_open: false };
            let of = &mut self.controllers[controller];
            of.allowances.insert(location.clone(), allowance);
            of.unsaved_allowances.insert(location.clone());
        }
        if !is_within {
            self.violated("budget", format!("{id} takes {location}, and too many are out"));
        }
    }

    /// `steps`: no machine's turn comes twice, whoever dies between any two steps.
    pub(crate) fn were_taken(&mut self, taken: Vec<(ChangeId, Location)>) {
        for one in taken {
            self.looked("steps");
            let words = format!("the turn of {} in {} has come twice", one.1, one.0);
            if !self.ledgers.taken.insert(one) {
                self.violated("steps", words);
            }
        }
    }

    /// A change is over. `steps`: nobody's turn was skipped. `canary`: a bad system never becomes everybody's, and stops where it
    /// was tried first.
    pub(crate) fn ends(&mut self, controller: usize, id: ChangeId, how: Outcome) {
        self.looked("canary");
        let Some(zone) = &self.controllers[controller].zone else { return };
        let Some(change) = zone.facts().changes.get(&id) else { return };
        let skipped = change.machines.iter().find(|(_, member)| !member.step.is_over());
        let skipped =
            skipped.filter(|_| how == Outcome::Done).map(|(location, _)| format!("{id} skips {location}"));
        let drawing = change.plans().and_then(|(_, to)| self.store.numbered(to)).map(|to| &to.drawing);
        let is_bad = |effect: Effect| {
            drawing.is_some_and(|Drawing { system, kernel, .. }| match effect {
                Effect::Upgrade => self.bad_systems.contains(system) || self.dead_systems.contains(system),
                Effect::Restart => self.hanging_kernels.contains(kernel),
                Effect::Check | Effect::Reinstall => false,
            })
        };
        let mut reached = change.machines.iter().filter(|(_, member)| is_bad(member.effect));
        let role = |location| {
            let device = zone.roster().device_at(location)?;
            zone.plan().design.role_name(device)
        };
        // Where the first of a role was out of service, the next one is the first to show it.
        let tried = change.machines.iter().filter(|(_, member)| {
            is_bad(member.effect) && matches!(member.step, Step::Done { .. } | Step::Failed { .. })
        });
        let tried: Vec<_> = tried.map(|(location, _)| role(location)).collect();
        let is_alone = |location| tried.iter().filter(|other| **other == role(location)).count() <= 1;
        let spread = reached.find(|(location, member)| match member.step {
            Step::Done { .. } => how == Outcome::Done,
            Step::Failed { .. } => how == Outcome::Done || member.wave > 0 && !is_alone(location),
            _ => false,
        });
        let spread = spread.filter(|_| how != Outcome::Aborted).map(|(location, member)| {
            format!("{id} is {how:?}, and brought a bad system to {location}, of wave {}", member.wave)
        });
        if let Some(words) = skipped {
            self.violated("steps", words);
        }
        if let Some(words) = spread {
            self.violated("canary", words);
        }
    }

    /// `sound`: what a machine's facts must agree in, whatever happened to it.
    pub(crate) fn sound(plan: &Plan, device: DeviceId, machine: &Machine) -> Result<(), String> {
        let design = &plan.design;
        let has_checks = validate::checks_of(design, &design.devices[device.index()]);
        let runs = match &machine.running {
            Some(Running::Disk { image, .. }) => Some(image),
            _ => None,
        };
        let written = machine.installed.as_ref().and_then(|written| written.image.as_ref());
        let is_unstarted = runs.is_some() && runs != written;
        let wrong = match &machine.state {
            State::Ready if machine.miscabled.is_some() => "ready, and its cables are doubted",
            State::Ready if machine.hardware.is_none() => "ready, and nobody knows what is in it",
            State::Ready if has_checks && machine.checks.is_empty() => "ready, and not checked",
            State::Ready if machine.checks.iter().any(|check| !check.passed) => "ready, and a check failed",
            State::Ready if machine.accepted.is_empty() => "ready, and nothing was accepted",
            State::Ready if is_unstarted => "ready, and has not started what was written",
            State::Failed { reasons } if reasons.is_empty() => "failed, and nobody knows why",
            State::Retired { .. } if machine.armed.is_some() => "retired, and armed",
            State::Retired { .. } if machine.key_sha256.is_some() => "retired, and its key is good",
            State::Retired { .. } if matches!(machine.token, Token::Issued { .. }) => {
                "retired, and its token is good"
            }
            State::Installing { .. } if machine.armed.is_none() && machine.installed.is_none() => {
                "installing, and not armed"
            }
            _ => return Ok(()),
        };
        Err(format!("{} is {wrong}: {machine:?}", design.devices[device.index()].location))
    }

    /// The same of all machines, as they were read from the disk.
    pub(crate) fn all_are_sound(&mut self, plan: &Plan, facts: &Facts) {
        self.looked("sound");
        let devices = plan.design.devices.iter().enumerate();
        let mut found = devices.filter_map(|(index, device)| {
            let machine = facts.machines.get(&device.location)?;
            Self::sound(plan, DeviceId::from_index(index), machine).err()
        });
        if let Some(words) = found.next() {
            self.violated("sound", words);
        }
    }

    /// `right-port`: a certificate goes to whoever is plugged in at its place.
    pub(crate) fn enrols(&mut self, location: &Location, body: usize) {
        self.looked("right-port");
        let plugs = self.bodies[body].plugs.iter().flatten();
        let is_there = plugs.clone().any(|jack| self.cabling.jacks[*jack].drawn.0 == *location);
        if !is_there {
            let words = format!("the machine at {} got a certificate for {location}", self.bodies[body].home);
            self.violated("right-port", words);
        }
    }

    /// `durable`: what was acknowledged is there after a start.
    pub(crate) fn came_back(&mut self) {
        self.looked("durable");
        let stored = &self.store.versions;
        let is_lost =
            |(location, version): &(&Location, &u64)| stored.get(*location).copied().unwrap_or(0) < **version;
        let lost = self.ledgers.acknowledged.iter().find(is_lost).map(|(location, version)| {
            format!("change {version} of {location} was acknowledged, and is not stored")
        });
        if let Some(words) = lost {
            self.violated("durable", words);
        }
    }

    /// `view`: what is answered from is what plan and facts say, whenever nothing is under way.
    pub(crate) fn view_is_right(&mut self, controller: usize) {
        let of = &self.controllers[controller];
        if !of.is_up || of.view_is_old || of.is_behind {
            return;
        }
        let Some(view) = of.view.clone() else { return };
        let facts = of.zone.as_ref().map_or(&of.facts, |zone| zone.facts());
        let fresh = plan::view(&of.plan, facts, &of.site);
        self.looked("view");
        if let Some(part) = difference(&view, &fresh) {
            self.violated("view", format!("controller {controller}: {part}"));
        }
    }

    /// `alike`: replicas that know the same answer the same.
    pub(crate) fn replicas_are_alike(&mut self) {
        let revision = self.store.revision;
        let is_settled = |of: &&crate::controller::Controller| {
            of.is_up && !of.view_is_old && !of.is_behind && of.revision == revision && of.has_saved()
        };
        let views: Vec<Arc<View>> =
            self.controllers.iter().filter(is_settled).filter_map(|of| of.view.clone()).collect();
        for two in views.windows(2) {
            self.looked("alike");
            if let Some(part) = difference(&two[0], &two[1]) {
                self.violated("alike", format!("two replicas at revision {revision}: {part}"));
                return;
            }
        }
    }

    /// `settled`: in the end each machine is ready, or waits with a reason that is not overdue. Whoever is ready is right.
    pub(crate) fn all_is_settled(&mut self) {
        let Some(leader) = self.leader() else {
            self.violated("settled", "no controller leads in the end".to_owned());
            return;
        };
        self.looked("settled");
        let Some(zone) = &self.controllers[leader].zone else { return };
        let now = self.clock(leader);
        let mut wrong = Vec::new();
        // Who has a bad system waits for the change that brings a good one, and that says whom it waits for.
        let changes = zone.facts().changes.values().filter(|change| change.is_under_way());
        let waits: Vec<String> =
            changes.filter_map(|change| lifecycle::change::waits_for(zone, change, now)).collect();
        for words in &waits {
            self.trace.line(self.now, format_args!("a change waits for {words}"));
        }
        for (index, device) in zone.plan().design.devices.iter().enumerate() {
            if !validate::boots(device.kind) {
                continue;
            }
            let location = &device.location;
            let unseen = lifecycle::machine::expected(now);
            let machine = zone.facts().machines.get(location).unwrap_or(&unseen);
            let wait = lifecycle::wait(zone.plan(), zone.roster(), DeviceId::from_index(index), machine, now);
            let words = match (&machine.state, &wait) {
                (State::Ready, _) => self.is_right(location).err(),
                (State::Retired { .. }, _) => None,
                (_, Some(_)) if !waits.is_empty() => None,
                (_, None) => Some("waits for nothing".to_owned()),
                (_, Some(wait)) if wait.on.is_empty() => Some("waits for nothing in particular".to_owned()),
                (_, Some(wait)) if wait.overdue(now) => {
                    Some(format!("still waits for {}, which is overdue", wait.on))
                }
                // Somebody was just there.
                (_, Some(Wait { expected_by: Some(_), .. })) => None,
                (_, Some(wait)) if !self.unminded.contains(location) => {
                    Some(format!("waits for {}, though everybody did what they were asked", wait.on))
                }
                _ => None,
            };
            if let Some(words) = words {
                let told =
                    lifecycle::why(zone, location.as_str(), now).map(|why| why.sentences).unwrap_or_default();
                wrong.push(format!(
                    "{location} is {} and {words} ({})",
                    machine.state.name(),
                    told.join("; ")
                ));
            }
        }
        if let Some(first) = wrong.first() {
            self.violated("settled", format!("{first}; so are {} in all", wrong.len()));
        }
    }

    /// Whether a place that is ready is what it should be.
    fn is_right(&self, location: &Location) -> Result<(), String> {
        // The place is where its ports are, and not where a body stands. A cable that is pulled is in no wrong port.
        let jacks = PORTS[..BMC].iter().filter_map(|port| self.cabling.of(location, port));
        // Nor is it heard of before somebody asks by it; whoever minds the place of its machine's other cable is told there.
        let is_heard = |body: usize, port: usize| {
            let of = &self.bodies[body];
            let others = of.plugs[..BMC].iter().enumerate().filter(|(other, _)| *other != port);
            let mut places = others.filter_map(|(_, jack)| Some(&self.cabling.jacks[(*jack)?].drawn.0));
            of.clients[port].is_some() || places.any(|place| !self.unminded.contains(place))
        };
        let plugged = jacks.filter_map(|jack| Some((jack, self.cabling.jacks[jack].plugged?)));
        let mut plugged = plugged.filter(|(_, (body, port))| is_heard(*body, *port));
        let Some((_, (index, _))) = plugged.clone().next() else {
            return Err("nobody is plugged in".to_owned());
        };
        if let Some((jack, (_, port))) = plugged
            .find(|(jack, (of, port))| *of != index || self.cabling.jacks[*jack].drawn.1 != PORTS[*port])
        {
            return Err(format!("a cable of {} is in its {}", PORTS[port], self.cabling.jacks[jack].drawn.1));
        }
        let body = &self.bodies[index];
        if !body.is_whole() {
            return Err(format!("is broken: {:?}", body.defect));
        }
        match &body.life {
            Life::System(Booted::Disk { slot, on_trial: false }) if body.disk.slots[*slot].is_some() => {
                Ok(())
            }
            Life::System(Booted::Memory { .. }) => Ok(()),
            other => Err(format!("does {other:?}")),
        }
    }
}

/// What two views would answer differently.
pub(crate) fn difference(one: &View, other: &View) -> Option<String> {
    if one.generation != other.generation {
        return Some(format!("plans {} and {}", one.generation, other.generation));
    }
    if one.dhcp.withheld != other.dhcp.withheld {
        return Some(format!("withheld is {:?}, and should be {:?}", one.dhcp.withheld, other.dhcp.withheld));
    }
    if one.dhcp.accepted != other.dhcp.accepted {
        return Some("hardware is accepted elsewhere".to_owned());
    }
    if one.dhcp.servers != other.dhcp.servers || one.dhcp.wiring != other.dhcp.wiring {
        return Some("ports lead to others".to_owned());
    }
    if one.dhcp6 != other.dhcp6 {
        return Some("DHCPv6 is answered otherwise".to_owned());
    }
    let mut boots = one.boot.boots.iter().zip(&other.boot.boots).enumerate();
    if let Some((device, (is, should))) = boots.find(|(_, (is, should))| is != should) {
        let place = &one.plan.design.devices[device].location;
        return Some(format!("{place} boots {is:?}, and should boot {should:?}"));
    }
    (one.boot.seen != other.boot.seen || one.boot.site != other.boot.site)
        .then(|| "templates would say otherwise".to_owned())
}
