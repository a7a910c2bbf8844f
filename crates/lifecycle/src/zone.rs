//! All machines of a zone, and the one door through which events change them.

use crate::cabling::{self, Sightings};
use crate::machine::{self, Action, Step};
use crate::validate;
use model::event::{What, Wish};
use model::facts::{Facts, Machine, Purpose, State};
use model::ids::RoleId;
use model::{DeviceId, Event, Location, Mac, Plan, Roster, Time};
use std::sync::Arc;

/// A plan, what was observed of it, and the index that tells who is on whose port.
///
/// The fields are read by everybody and written only here: `sightings` must agree with `facts`.
#[derive(Clone, Debug)]
pub struct Zone {
    plan: Arc<Plan>,
    roster: Arc<Roster>,
    facts: Facts,
    sightings: Sightings,
}

/// What an event did to the zone.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Applied {
    /// Locations whose stored facts changed, in order and without repeats. Empty: the event need not be stored.
    pub changed: Vec<Location>,
    /// The View must be made anew.
    pub view_changed: bool,
    /// The event was not allowed and changed nothing; why, in words for who asked.
    pub refused: Option<&'static str>,
    /// What is to be done, for which machine.
    pub actions: Vec<(Location, Action)>,
}

impl Zone {
    /// A zone with what was observed of it before. Facts of places that the plan no longer has are kept: the place
    /// may come back, and its history is worth more than its bytes.
    pub fn new(plan: Arc<Plan>, facts: Facts) -> Self {
        let roster = Arc::new(Roster::of(&plan));
        Self::with_roster(plan, roster, facts)
    }

    /// The same where the plan's roster is there already.
    pub fn with_roster(plan: Arc<Plan>, roster: Arc<Roster>, facts: Facts) -> Self {
        let sightings = Sightings::of(&facts);
        Self { plan, roster, facts, sightings }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Who is who in it.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// What was observed.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The same facts under another plan, whose roster this is; gives back those before it. Quick, since readers wait.
    pub fn replan(&mut self, plan: Arc<Plan>, roster: Arc<Roster>) -> (Arc<Plan>, Arc<Roster>) {
        // Which ports are neighbours may have changed.
        self.sightings.mark_dirty();
        (std::mem::replace(&mut self.plan, plan), std::mem::replace(&mut self.roster, roster))
    }

    /// What another controller decided about a machine.
    pub fn learn(&mut self, location: &Location, machine: Machine) {
        self.sightings.update(location, &machine);
        self.sightings.set_doubted(location, machine.miscabled.is_some());
        self.facts.machines.insert(location.clone(), machine);
    }

    /// What another controller decided about everything; gives back what was thought before. Who is connected is not among it.
    pub fn learn_all(&mut self, mut facts: Facts) -> Facts {
        for (location, machine) in &mut facts.machines {
            if let Some(before) = self.facts.machines.get(location) {
                machine.connected = before.connected;
                machine.stranger.clone_from(&before.stranger);
            }
        }
        self.sightings = Sightings::of(&facts);
        self.sightings.mark_dirty();
        std::mem::replace(&mut self.facts, facts)
    }

    /// What an event does. An event for a place that the plan does not have does nothing.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let Some(device) = self.machine_at(&event.location) else { return Applied::default() };
        let mut applied = Applied::default();
        if let What::Operator { wish: Wish::Reinstall { .. }, .. } = &event.what
            && !self.may_lose(device)
        {
            applied.refused = Some(
                "too many machines of its role are out already: a reinstallation takes one more, and no more than one in ten may be",
            );
            return applied;
        }
        if let What::Enrolled { tpm: Some(tpm), .. } = &event.what
            && self.home_of_tpm(&tpm.ek_sha256).is_some_and(|home| *home != event.location)
        {
            applied.refused = Some("its TPM is another machine's");
            return applied;
        }
        if let What::Operator { wish: Wish::Accept, .. } = &event.what {
            self.free_addresses_of(&event.location, &mut applied);
            self.sightings.mark_dirty();
        }
        if let What::Asked { interface, mac, .. } = &event.what {
            self.forget_elsewhere(*mac, &(event.location.clone(), interface.clone()), &mut applied);
        }
        let is_anothers = match &event.what {
            What::Asked { mac, .. } => {
                self.sightings.home(*mac).is_some_and(|(home, _)| home != event.location)
            }
            _ => false,
        };
        let step = {
            let machine = self.facts.machines.entry(event.location.clone());
            let machine = machine.or_insert_with(|| machine::expected(event.at));
            let step = machine::step(&self.plan, &self.roster, device, machine, event, is_anothers);
            self.sightings.update(&event.location, machine);
            step
        };
        applied.add(&event.location, step);
        self.judge_cables(event.at, &mut applied);
        applied
    }

    fn machine_at(&self, location: &Location) -> Option<DeviceId> {
        let device = self.roster.device_at(location)?;
        validate::boots(self.plan.design.devices[device.index()].kind).then_some(device)
    }

    /// Whether a machine may be taken out on purpose: of its role, no more than one in ten, and at least one, may be other
    /// than ready. The broken ones count, and the machine itself does not if it is broken anyway.
    fn may_lose(&self, device: DeviceId) -> bool {
        let device = &self.plan.design.devices[device.index()];
        let own = self.facts.machines.get(&device.location);
        if own.is_none_or(|machine| machine.state != State::Ready) {
            return true;
        }
        let (members, out) = self.out_of(device.role);
        out - usize::from(self.is_out(&device.location)) < (members / 10).max(1)
    }

    /// How many machines have a role, and how many of them are out: not ready, or about to be installed anew.
    pub(crate) fn out_of(&self, role: Option<RoleId>) -> (usize, usize) {
        let devices = self.plan.design.devices.iter();
        let members = devices.filter(|device| device.role == role && validate::boots(device.kind));
        members.fold((0, 0), |(all, out), device| (all + 1, out + usize::from(self.is_out(&device.location))))
    }

    fn is_out(&self, location: &Location) -> bool {
        let Some(machine) = self.facts.machines.get(location) else { return true };
        let is_going = machine.armed.is_some_and(|armed| {
            armed.purpose == Purpose::Install && armed.generation == self.plan.generation
        });
        is_going || machine.state != State::Ready
    }

    /// An address is where it was seen last.
    fn forget_elsewhere(&mut self, mac: Mac, here: &cabling::Place, applied: &mut Applied) {
        for (location, port) in self.sightings.elsewhere(mac, here) {
            let Some(machine) = self.facts.machines.get_mut(&location) else { continue };
            machine.sightings.remove(&port);
            self.sightings.update(&location, machine);
            applied.add(&location, Step { changed: true, ..Step::default() });
        }
    }

    /// "This is its place now" means that it has no other: its addresses are taken from the homes they had.
    fn free_addresses_of(&mut self, location: &Location, applied: &mut Applied) {
        let Some(here) = self.facts.machines.get(location) else { return };
        let macs: Vec<_> = here.sightings.values().map(|sighting| sighting.mac).collect();
        for mac in macs {
            let Some((home, interface)) = self.sightings.home(mac) else { continue };
            if home == *location {
                continue;
            }
            if let Some(machine) = self.facts.machines.get_mut(&home) {
                machine.accepted.remove(&interface);
                self.sightings.update(&home, machine);
                applied.add(&home, Step { changed: true, view_changed: true, ..Step::default() });
            }
        }
    }

    /// Tells each machine what is doubted about its cables, if that changed.
    fn judge_cables(&mut self, now: Time, applied: &mut Applied) {
        if !self.sightings.take_dirty() {
            return;
        }
        let doubts = cabling::judge(&self.plan, &self.roster, &self.sightings);
        let doubted: Vec<Location> = self.sightings.doubted().chain(doubts.keys()).cloned().collect();
        for location in doubted {
            let doubt = doubts.get(&location).cloned();
            self.sightings.set_doubted(&location, doubt.is_some());
            let Some(device) = self.roster.device_at(&location) else { continue };
            let machine: &mut Machine = match self.facts.machines.get_mut(&location) {
                Some(machine) => machine,
                None => continue,
            };
            let step = machine::judged(&self.plan, &self.roster, device, machine, doubt, now);
            self.sightings.update(&location, machine);
            applied.add(&location, step);
        }
    }
}

impl Applied {
    fn add(&mut self, location: &Location, step: Step) {
        if step.changed && !self.changed.contains(location) {
            self.changed.push(location.clone());
        }
        self.view_changed |= step.view_changed;
        self.refused = self.refused.or(step.refused);
        self.actions.extend(step.actions.into_iter().map(|action| (location.clone(), action)));
    }
}
