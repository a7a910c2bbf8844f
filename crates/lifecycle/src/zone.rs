//! All machines of a zone, and the one door through which events change them.

use crate::budget::Budgets;
use crate::cabling::{self, Sightings};
use crate::change::{self, Held};
use crate::machine::{self, Action, Step};
use crate::validate;
use model::change::{Change, Holder, Lease};
use model::event::{What, Wish};
use model::facts::{Facts, Machine, State};
use model::{ChangeId, DeviceId, Event, Location, Mac, Plan, Roster, Time};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long an operator may have a machine for what was asked of it.
const OPERATORS_LEASE: Duration = Duration::from_secs(4 * 3600);
/// How often cables are judged after one event: what is doubted after that is judged with the next.
const JUDGED_MAX: usize = 8;

/// A plan, what was observed of it, and the index that tells who is on whose port.
///
/// The fields are read by everybody and written only here: `sightings` must agree with `facts`.
#[derive(Clone, Debug)]
pub struct Zone {
    /// What is in force: `whole`, in which machines that a change has not reached keep their rows of `before`.
    pub(crate) plan: Arc<Plan>,
    pub(crate) whole: Arc<Plan>,
    /// The plan that a change comes from, while one is under way or is to be taken back.
    before: Option<Arc<Plan>>,
    /// A change reached more machines than `plan` knows.
    pub(crate) is_stale: bool,
    pub(crate) roster: Arc<Roster>,
    pub(crate) facts: Facts,
    sightings: Sightings,
}

/// What an event did to the zone.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Applied {
    /// Locations whose stored facts changed, in order and without repeats. Empty: the event need not be stored.
    pub changed: Vec<Location>,
    /// Changes that went a step further, and must be stored; with which of their machines.
    pub changes: Vec<(ChangeId, Vec<Location>)>,
    /// The View must be made anew.
    pub view_changed: bool,
    /// The event was not allowed and changed nothing; why, in words for who asked.
    pub refused: Option<Cow<'static, str>>,
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
        let whole = Arc::clone(&plan);
        Self { plan, whole, before: None, is_stale: false, roster, facts, sightings }
    }

    /// The same, where a change holds machines to the plan before.
    pub fn held_to(mut self, before: Arc<Plan>) -> Self {
        self.before = Some(before);
        self.compose();
        self
    }

    /// Of a zone that no other controller serves at this moment: those agents are connected that are to this one, and who does not come
    /// back was lost by now. `controller`: its own word for itself from now on.
    pub fn only_these_are_connected(
        &mut self,
        controller: &str,
        is_here: impl Fn(&Location) -> bool,
        now: Time,
    ) {
        for (location, machine) in &mut self.facts.machines {
            machine.agent_at = is_here(location).then(|| controller.to_owned());
            if machine.agent_at.is_none() && machine.state == State::Ready && machine.key_sha256.is_some() {
                machine.lost.get_or_insert(now);
            }
        }
    }

    /// The plan in force: what each machine runs by.
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

    /// The plan that was published last, which a change may not have brought to every machine yet.
    pub fn whole(&self) -> &Arc<Plan> {
        &self.whole
    }

    /// The same facts under another plan, whose roster this is; gives back those before it. Quick, since readers wait. `held`: a change
    /// brings it to machines.
    pub fn replan(
        &mut self,
        plan: Arc<Plan>,
        roster: Arc<Roster>,
        held: Option<Held>,
    ) -> (Arc<Plan>, Arc<Roster>) {
        // Which ports are neighbours may have changed.
        self.sightings.mark_dirty();
        self.is_stale = false;
        self.whole = Arc::clone(&plan);
        let in_force = match held {
            Some(Held { change, before, plan }) => {
                self.facts.step_change(change);
                self.before = Some(before);
                plan
            }
            None => {
                self.before = None;
                plan
            }
        };
        (std::mem::replace(&mut self.plan, in_force), std::mem::replace(&mut self.roster, roster))
    }

    /// Takes changes as far as they go by themselves now; gives what happened, in order.
    pub fn step_changes(&mut self, now: Time) -> Vec<(Event, Applied)> {
        let mut done = Vec::new();
        loop {
            let events = change::next(self, now);
            // What is refused here would be refused again.
            let mut is_further = false;
            for event in events {
                let applied = self.apply(&event);
                is_further |= applied.refused.is_none();
                done.push((event, applied));
            }
            // A plan that is composed anew is another, and so are the views of it.
            if self.is_stale {
                self.compose();
            }
            if !is_further {
                return done;
            }
        }
    }

    /// Makes the plan in force anew, if a change reached machines since.
    pub fn compose(&mut self) {
        let held = change::holding(&self.facts, self.whole.generation).zip(self.before.as_ref());
        self.plan = match held {
            Some((change, before)) if change.held().next().is_some() => {
                Arc::new(change::hold(&self.whole, before, change.held()))
            }
            _ => Arc::clone(&self.whole),
        };
        self.is_stale = false;
    }

    /// What another controller decided about a machine.
    pub fn learn(&mut self, location: &Location, machine: Machine) {
        self.sightings.update(location, &machine);
        self.sightings.set_doubted(location, machine.miscabled.is_some());
        self.facts.machines.insert(location.clone(), machine);
    }

    /// A change went a step further, which another controller decided.
    pub fn learn_change(&mut self, change: Change) {
        self.facts.step_change(change);
        self.compose();
    }

    /// What another controller decided about everything; gives back what was thought before.
    pub fn learn_all(&mut self, mut facts: Facts) -> Facts {
        for (location, machine) in &mut facts.machines {
            if let Some(before) = self.facts.machines.get(location) {
                machine.stranger.clone_from(&before.stranger);
            }
        }
        self.sightings = Sightings::of(&facts);
        self.sightings.mark_dirty();
        let before = std::mem::replace(&mut self.facts, facts);
        self.compose();
        before
    }

    /// What an event does that the only controller heard. An event for a place that the plan does not have does nothing.
    pub fn apply(&mut self, event: &Event) -> Applied {
        self.apply_of("", event)
    }

    /// The same of one that this controller heard, of several.
    pub fn apply_of(&mut self, controller: &str, event: &Event) -> Applied {
        if let What::Change { id, step } = &event.what {
            let applied = change::apply(self, *id, step, event.at);
            if self.is_stale && !matches!(step, model::event::ChangeStep::Take { .. }) {
                self.compose();
            }
            return applied;
        }
        let Some(device) = self.machine_at(&event.location) else { return Applied::default() };
        let mut applied = Applied::default();
        let lease = match self.lease(device, event) {
            Ok(lease) => lease,
            Err(why) => {
                applied.refused = Some(why.into());
                return applied;
            }
        };
        if let What::Enrolled { tpm: Some(tpm), .. } = &event.what
            && self.home_of_tpm(&tpm.ek_sha256).is_some_and(|home| *home != event.location)
        {
            applied.refused = Some("its TPM is another machine's".into());
            return applied;
        }
        if let What::Operator { wish: Wish::Accept, .. } = &event.what {
            if let Some(why) = self.unacceptable(&event.location) {
                applied.refused = Some(why.into());
                return applied;
            }
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
            let mut step =
                machine::step(&self.plan, &self.roster, device, machine, event, is_anothers, controller);
            if let Some(lease) = lease.filter(|_| step.refused.is_none()) {
                machine.lease = Some(lease);
                step.changed = true;
            }
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

    /// The lease that an event takes, if it takes one.
    ///
    /// # Errors
    /// Why it is not to be had.
    fn lease(&self, device: DeviceId, event: &Event) -> Result<Option<Lease>, String> {
        let now = event.at;
        let (holder, reason, deadline, is_kept) = match &event.what {
            What::Leased { holder, reason, deadline } => (holder.clone(), reason.clone(), *deadline, true),
            What::Operator { by, wish, beyond_budget } => {
                let (reason, is_kept) = match wish {
                    Wish::Reinstall { .. } => ("to install it anew", true),
                    Wish::Upgrade { .. } => ("to upgrade it", true),
                    // Their states say who has it.
                    Wish::Drain { .. } => ("to drain it", false),
                    Wish::Maintain { .. } => ("to maintain it", false),
                    _ => return Ok(None),
                };
                let holder = Holder::Operator { by: by.clone() };
                if !beyond_budget {
                    Budgets::of(self).may_take(device, &holder)?;
                }
                (holder, reason.to_owned(), now + OPERATORS_LEASE, is_kept)
            }
            _ => return Ok(None),
        };
        if let What::Leased { .. } = &event.what {
            Budgets::of(self).may_take(device, &holder)?;
        }
        let location = &self.plan.design.devices[device.index()].location;
        let machine = self.facts.machines.get(location);
        let key_sha256 = machine.and_then(|machine| machine.key_sha256);
        let boots = machine.map_or(0, |machine| machine.boots);
        Ok(is_kept.then_some(Lease {
            holder,
            reason,
            since: now,
            deadline,
            key_sha256,
            restarts: false,
            boots,
        }))
    }

    /// An address is where it was seen last.
    fn forget_elsewhere(&mut self, mac: Mac, here: &cabling::Place, applied: &mut Applied) {
        for (location, port) in self.sightings.elsewhere(mac, here) {
            let Some(machine) = self.facts.machines.get_mut(&location) else { continue };
            machine.sightings.remove(&port);
            machine.stranger.take_if(|stranger| *stranger == (port, mac));
            self.sightings.update(&location, machine);
            applied.add(&location, Step { changed: true, ..Step::default() });
        }
    }

    /// "This is its place now" means that it has no other: its addresses are taken from the homes they had.
    fn free_addresses_of(&mut self, location: &Location, applied: &mut Applied) {
        let Some(here) = self.facts.machines.get(location) else { return };
        let own = here.sightings.values().filter(|seen| !cabling::is_anothers(here, seen));
        let macs: Vec<_> = own.map(|seen| seen.mac).collect();
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

    /// Tells each machine what is doubted about its cables, if that changed. What a machine does when its doubt is over, as
    /// to accept what it shows, may be another's doubt or end it.
    fn judge_cables(&mut self, now: Time, applied: &mut Applied) {
        for _ in 0..JUDGED_MAX {
            if !self.sightings.take_dirty() {
                return;
            }
            self.judge_once(now, applied);
        }
    }

    fn judge_once(&mut self, now: Time, applied: &mut Applied) {
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
        if self.refused.is_none() {
            self.refused = step.refused;
        }
        self.actions.extend(step.actions.into_iter().map(|action| (location.clone(), action)));
    }
}
