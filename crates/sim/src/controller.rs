//! A controller: the loop around the deciding code as the server's keeper has it, with the same order of doing things, and
//! what may go wrong with it. One leads; the others follow what is stored, and answer packets all the same.

mod changes;

use crate::body::FromController;
use crate::check::Allowance;
use crate::drawing::Drawing;
use crate::session::Session;
use crate::settings::Planted;
use crate::store::{Batch, Published, Refused};
use crate::world::{Happening, World};
use lifecycle::Zone;
use lifecycle::change;
use lifecycle::machine::Action;
use model::event::{Event, What, Wish};
use model::facts::Stage;
use model::view::Site;
use model::{ChangeId, Facts, Generation, InterfaceId, Location, Plan, Time, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Events that are stored together.
const BATCH_MAX: usize = 2_048;
/// What was heard waits for more as long as this.
const GATHER_MS: u64 = 10;
/// How often a failed write is tried again.
const RETRY_MS: u64 = 1_000;
/// How often a leader says that it leads, and others look whether it still does.
const LEAD_EVERY_MS: u64 = 1_000;
/// For how long a leader leads that says nothing more.
const LEASE_MS: u64 = 5_000;
/// How long the same sighting is not told again.
const SAME_FOR_MS: u64 = 30_000;
/// How often it is looked whose BMC is due.
const BMC_EVERY_MS: u64 = 5_000;
/// Simulated time begins here: 2026-01-01.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

/// Who waits for an event to be stored.
pub(crate) struct Asker {
    pub(crate) to: Reply,
    /// It must not be said before it is stored; otherwise memory will do.
    pub(crate) must_be_stored: bool,
}

/// What is done when it was.
pub(crate) enum Reply {
    Agent { body: usize, epoch: u32, connection: u32, frame: FromController },
    Bmc { location: Location },
    Nobody,
}

/// What is under way to the disk.
struct Write {
    what: Writing,
    waiting: Vec<Asker>,
    versions: Vec<(Location, u64)>,
}

enum Writing {
    Batch(Batch),
    Publication(Box<Published>),
}

/// What a controller does by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Lead,
    Pump,
    Written,
    Show,
    Follow,
    Bmcs,
    Sweep,
}

/// What it is asked besides events.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the largest")]
pub(crate) enum Message {
    Event(Event, Asker),
    Publish(Box<Drawing>),
    /// The drawing before is published again, since a change stopped.
    Undo(ChangeId),
}

pub(crate) struct Controller {
    pub(crate) is_up: bool,
    /// Counts its lives: what was under way in an earlier one is gone.
    pub(crate) life: u32,
    /// It does nothing until then, and does not know.
    pub(crate) frozen_until: u64,
    /// Its clock minus the true time.
    pub(crate) clock_ms: i64,
    /// While it leads.
    pub(crate) zone: Option<Zone>,
    /// While it follows.
    pub(crate) facts: Facts,
    pub(crate) plan: Arc<Plan>,
    pub(crate) site: Arc<Site>,
    pub(crate) view: Option<Arc<View>>,
    pub(crate) view_is_old: bool,
    view_made: u64,
    is_showing: bool,
    /// Of the store, that it has seen.
    pub(crate) revision: u64,
    /// There is more than it has seen.
    pub(crate) is_behind: bool,
    pub(crate) term: u64,
    inbox: VecDeque<Message>,
    is_pumping: bool,
    unsaved: BTreeSet<Location>,
    unsaved_changes: BTreeSet<ChangeId>,
    /// Whose turn came since the last batch.
    taken: Vec<(ChangeId, Location)>,
    /// What is to be said when what a change did is stored.
    later: Vec<(Location, Action)>,
    pub(crate) unsaved_allowances: BTreeSet<Location>,
    waiting: Vec<Asker>,
    writing: Option<Write>,
    failed_at: Option<u64>,
    pub(crate) versions: BTreeMap<Location, u64>,
    pub(crate) allowances: BTreeMap<Location, Allowance>,
    pub(crate) sessions: BTreeMap<Location, Session>,
    told: BTreeMap<InterfaceId, (answer::dhcp::Observed, u64)>,
}

impl Controller {
    pub(crate) fn new(first: &Published) -> Self {
        Self {
            is_up: false,
            life: 0,
            frozen_until: 0,
            clock_ms: 0,
            zone: None,
            facts: Facts::default(),
            plan: Arc::clone(&first.plan),
            site: Drawing::site(&first.plan),
            view: None,
            view_is_old: false,
            view_made: 0,
            is_showing: false,
            revision: 0,
            is_behind: false,
            term: 0,
            inbox: VecDeque::new(),
            is_pumping: false,
            unsaved: BTreeSet::new(),
            unsaved_changes: BTreeSet::new(),
            taken: Vec::new(),
            later: Vec::new(),
            unsaved_allowances: BTreeSet::new(),
            waiting: Vec::new(),
            writing: None,
            failed_at: None,
            versions: BTreeMap::new(),
            allowances: BTreeMap::new(),
            sessions: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// All that it knows is stored.
    pub(crate) fn has_saved(&self) -> bool {
        self.unsaved.is_empty() && self.writing.is_none() && self.inbox.is_empty()
    }

    /// What a change did is not stored yet.
    pub(crate) fn is_stepping(&self) -> bool {
        !self.later.is_empty()
    }

    fn forget(&mut self) {
        self.zone = None;
        self.facts = Facts::default();
        self.view = None;
        (self.view_is_old, self.is_showing, self.is_pumping, self.is_behind) = (false, false, false, false);
        self.inbox.clear();
        self.unsaved.clear();
        self.unsaved_changes.clear();
        self.taken.clear();
        self.later.clear();
        self.unsaved_allowances.clear();
        self.waiting.clear();
        self.writing = None;
        self.failed_at = None;
        self.sessions.clear();
        self.told.clear();
    }
}

impl World<'_> {
    /// What a controller believes that time it is.
    pub(crate) fn clock(&self, controller: usize) -> Time {
        Time((EPOCH_MS + self.now).saturating_add_signed(self.controllers[controller].clock_ms))
    }

    /// Who leads now, if anybody does and is there.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leader = self.store.leader?;
        let of = &self.controllers[leader];
        (of.is_up && of.zone.is_some() && of.term == self.store.term && self.now >= of.frozen_until)
            .then_some(leader)
    }

    pub(crate) fn drawing_in_force(&self, controller: usize) -> &Drawing {
        let generation = self.controllers[controller].plan.generation.0;
        let position = usize::try_from(generation.saturating_sub(1)).unwrap_or(0);
        &self.store.plans[position.min(self.store.plans.len() - 1)].drawing
    }

    fn after(&mut self, controller: usize, pause_ms: u64, step: Step) {
        let life = self.controllers[controller].life;
        self.queue.put(self.now + pause_ms, Happening::Step { controller, life, step });
    }

    /// It begins: what is stored is all that it knows.
    pub(crate) fn start(&mut self, controller: usize) {
        if self.controllers[controller].is_up {
            return;
        }
        self.controllers[controller].forget();
        self.controllers[controller].is_up = true;
        self.controllers[controller].life += 1;
        self.trace.line(self.now, format_args!("controller {controller} starts"));
        self.came_back();
        self.load(controller);
        if self.controllers.len() == 1 {
            // One file, one lock: nobody else could lead.
            self.store.lease_until = 0;
        }
        self.lead(controller);
        self.after(controller, LEAD_EVERY_MS, Step::Lead);
    }

    /// It ends, in the middle of whatever it does. What was on its way to the disk is there, or is not.
    pub(crate) fn kill(&mut self, controller: usize) {
        if !self.controllers[controller].is_up {
            return;
        }
        let was_whole = self.random.is(500);
        let of = &mut self.controllers[controller];
        let (term, write) = (of.term, of.writing.take());
        of.is_up = false;
        of.life += 1;
        of.frozen_until = 0;
        of.forget();
        let told = match write.as_ref().map(|write| &write.what) {
            None => "",
            Some(_) if was_whole => ", its write is whole",
            Some(_) => ", its write is torn away",
        };
        self.trace.line(self.now, format_args!("controller {controller} is killed{told}"));
        if let Some(write) = write.filter(|_| was_whole) {
            // Refused or not: nobody hears of it.
            let _ = self.store_it(term, write.what);
        }
    }

    /// Takes what is stored for what it is.
    fn load(&mut self, controller: usize) {
        let newest = self.store.newest().clone();
        let whole = match newest.drawing.machines() {
            // A start compiles the design that is stored, as a publication did.
            0..200 => Arc::new(newest.drawing.compile(None, newest.plan.generation.0)),
            _ => Arc::clone(&newest.plan),
        };
        let facts = match self.store.load() {
            Ok(facts) => facts,
            Err(why) => {
                self.violated("durable", why);
                return;
            }
        };
        let mut facts = facts;
        if self.settings.planted == Some(Planted::ForgottenStep) {
            let changes = facts.changes.values_mut().filter(|change| change.is_under_way());
            let members = changes.flat_map(|change| change.machines.values_mut());
            members.for_each(|member| member.step = model::change::Step::Waiting);
        }
        if self.settings.planted == Some(Planted::Unsound) {
            let checks = facts.machines.values_mut().flat_map(|machine| &mut machine.checks);
            checks.for_each(|check| check.passed = false);
        }
        let plan = self.store.in_force(&whole, &facts);
        let site = Drawing::site(&plan);
        self.all_are_sound(&plan, &facts);
        let view = plan::view(&plan, &facts, &site);
        let (revision, versions, allowances) =
            (self.store.revision, self.store.versions.clone(), self.store.allowances.clone());
        let now = self.now;
        let of = &mut self.controllers[controller];
        (of.plan, of.site, of.facts) = (plan, site, facts);
        (of.revision, of.versions, of.allowances) = (revision, versions, allowances);
        (of.view, of.view_made, of.view_is_old, of.is_behind) = (Some(Arc::new(view)), now, false, false);
        of.told.clear();
    }

    /// Leads, or goes on leading, if nobody else does.
    fn lead(&mut self, controller: usize) {
        let (now, of) = (self.now, &self.controllers[controller]);
        let leads = of.zone.is_some();
        if leads && of.term == self.store.term {
            self.store.lease_until = now + LEASE_MS;
            self.look_at_changes(controller);
            return;
        }
        if leads {
            self.step_down(controller);
        }
        if now < self.store.lease_until {
            return;
        }
        self.store.term += 1;
        self.store.leader = Some(controller);
        self.store.lease_until = now + LEASE_MS;
        self.trace.line(now, format_args!("controller {controller} leads, term {}", self.store.term));
        self.load(controller);
        let term = self.store.term;
        let whole = Arc::clone(&self.store.newest().plan);
        let holding = change::holding(&self.controllers[controller].facts, whole.generation);
        let before = holding.and_then(|change| self.store.numbered(change.plans()?.0));
        let before = before.map(|before| Arc::clone(&before.plan));
        let of = &mut self.controllers[controller];
        of.term = term;
        let zone = Zone::new(whole, std::mem::take(&mut of.facts));
        of.zone = Some(match before {
            Some(before) => zone.held_to(before),
            None => zone,
        });
        self.follow_plan(controller);
        self.after(controller, BMC_EVERY_MS, Step::Bmcs);
        self.after(controller, crate::session::SWEEP_MS, Step::Sweep);
    }

    /// Another leads: everything that was not stored is forgotten.
    pub(crate) fn step_down(&mut self, controller: usize) {
        self.trace.line(self.now, format_args!("controller {controller} steps down"));
        let of = &mut self.controllers[controller];
        of.forget();
        of.life += 1;
        self.load(controller);
        self.after(controller, LEAD_EVERY_MS, Step::Lead);
    }

    pub(crate) fn step(&mut self, controller: usize, step: Step) {
        match step {
            Step::Lead => {
                let life = self.controllers[controller].life;
                self.lead(controller);
                if self.controllers[controller].life == life {
                    self.after(controller, LEAD_EVERY_MS, Step::Lead);
                }
            }
            Step::Pump => {
                self.controllers[controller].is_pumping = false;
                self.pump(controller);
            }
            Step::Written => self.written(controller),
            Step::Show => {
                self.controllers[controller].is_showing = false;
                self.show(controller);
            }
            Step::Follow => self.follow(controller),
            Step::Bmcs => self.look_at_bmcs(controller),
            Step::Sweep => self.sweep(controller),
        }
    }

    /// Somebody saw something: told to whoever leads, unless it was told just now.
    pub(crate) fn observed(&mut self, controller: usize, observed: answer::dhcp::Observed) {
        let (now, at) = (self.now, self.clock(controller));
        let of = &mut self.controllers[controller];
        let Some(view) = of.view.clone() else { return };
        let before = of.told.get(&observed.interface);
        if before.is_some_and(|(same, when)| *same == observed && now < when + SAME_FOR_MS) {
            return;
        }
        of.told.insert(observed.interface, (observed, now));
        self.heard(controller, observed.event(&view.plan, at));
    }

    /// The same for what is no packet of DHCP.
    pub(crate) fn heard(&mut self, controller: usize, event: Event) {
        if self.controllers[controller].zone.is_some() {
            let asker = Asker { to: Reply::Nobody, must_be_stored: false };
            self.take(controller, Message::Event(event, asker), GATHER_MS);
        } else if let Some(leader) = self.leader() {
            let pause = self.random.between(1, 20);
            self.queue.put(self.now + pause, Happening::Forwarded { controller: leader, event });
        } else {
            self.tally.unheard += 1;
        }
    }

    /// Leaves something in the queue of one that leads.
    pub(crate) fn take(&mut self, controller: usize, message: Message, within_ms: u64) {
        let of = &mut self.controllers[controller];
        if let Message::Event(event, Asker { to: Reply::Agent { .. } | Reply::Bmc { .. }, .. }) = &message {
            // What is seen of a machine next is news: what is known of it changes.
            if let Some(zone) = &of.zone
                && let Some(device) = zone.roster().device_at(&event.location)
            {
                for interface in zone.plan().interface_ids_of(device) {
                    of.told.remove(&interface);
                }
            }
        }
        of.inbox.push_back(message);
        if !std::mem::replace(&mut of.is_pumping, true) {
            self.after(controller, within_ms, Step::Pump);
        }
    }

    /// Takes all that waits, stores it together, shows what changed.
    fn pump(&mut self, controller: usize) {
        for _ in 0..BATCH_MAX {
            let of = &mut self.controllers[controller];
            if of.writing.is_some() || of.zone.is_none() || self.violation.is_some() {
                return;
            }
            match of.inbox.pop_front() {
                None => break,
                Some(Message::Event(event, asker)) => self.apply(controller, &event, asker),
                Some(Message::Publish(drawing)) => {
                    // What was taken before it is stored before it.
                    if self.controllers[controller].unsaved.is_empty() {
                        self.propose(controller, *drawing, None);
                    } else {
                        self.controllers[controller].inbox.push_front(Message::Publish(drawing));
                        break;
                    }
                }
                Some(Message::Undo(id)) => {
                    let zone = self.controllers[controller].zone.as_ref();
                    let undo = zone.and_then(change::to_undo).filter(|(undo, _)| *undo == id);
                    let before = undo.and_then(|(_, before)| self.store.numbered(before));
                    let before = before.map(|before| before.drawing.clone());
                    if let Some(drawing) = before.filter(|_| self.controllers[controller].unsaved.is_empty())
                    {
                        self.propose(controller, drawing, Some(id));
                    }
                }
            }
        }
        self.step_changes(controller);
        self.save(controller);
        self.show(controller);
        if !self.controllers[controller].inbox.is_empty() && self.controllers[controller].writing.is_none() {
            self.controllers[controller].is_pumping = true;
            self.after(controller, 1, Step::Pump);
        }
    }

    fn apply(&mut self, controller: usize, event: &Event, asker: Asker) {
        let is_costly = takes_one_out(&event.what);
        let event = &match (&event.what, self.settings.planted) {
            (What::Operator { by, wish, .. }, Some(Planted::OverBudget)) => {
                let what = What::Operator { by: by.clone(), wish: wish.clone(), beyond_budget: true };
                Event { what, ..event.clone() }
            }
            _ => event.clone(),
        };
        let of = &mut self.controllers[controller];
        let Some(zone) = &mut of.zone else { return };
        let may_be_granted =
            !is_costly || Self::may_be_granted(zone.plan(), &zone.facts().machines, &event.location);
        let before = zone.facts().machines.get(&event.location).map(|machine| machine.state.name());
        let mut applied = zone.apply(event);
        self.tally.events += 1;
        let after = zone.facts().machines.get(&event.location).map(|machine| machine.state.name());
        let (plan, roster) = (Arc::clone(zone.plan()), Arc::clone(zone.roster()));
        let mut unsound = None;
        for location in &applied.changed {
            let found = roster.device_at(location).zip(zone.facts().machines.get(location));
            if let Some((device, machine)) = found {
                unsound = unsound.or(Self::sound(&plan, device, machine).err());
            }
        }
        of.view_is_old |= applied.view_changed && self.settings.planted != Some(Planted::StaleView);
        for location in &applied.changed {
            *of.versions.entry(location.clone()).or_insert(0) += 1;
            of.unsaved.insert(location.clone());
        }
        let why = applied.refused.take();
        for (id, _) in &applied.changes {
            of.unsaved_changes.insert(*id);
        }
        let refused = why.as_deref().unwrap_or_default();
        self.trace.line(
            self.now,
            format_args!(
                "{controller}: {} {} {}→{}{}{refused}",
                event.location.within_zone(),
                name(&event.what),
                before.unwrap_or("-"),
                after.unwrap_or("-"),
                if refused.is_empty() { "" } else { ": " },
            ),
        );
        self.looked("sound");
        if let Some(words) = unsound {
            self.violated("sound", words);
        }
        if why.is_none() {
            if is_costly {
                self.looked("budget");
                if !may_be_granted {
                    self.violated("budget", format!("{} is granted, and too many are out", event.location));
                }
            }
            self.note_allowance(controller, event);
        }
        self.follow_plan(controller);
        self.act(controller, applied.actions);
        match (why, asker.to) {
            (Some(why), Reply::Agent { body, epoch, connection, .. }) => {
                let frame = FromController::Refused { needs_certificate: false, words: why.into_owned() };
                self.say(body, epoch, connection, frame);
            }
            (Some(_), _) => {}
            (None, to) => {
                self.controllers[controller].waiting.push(Asker { to, must_be_stored: asker.must_be_stored })
            }
        }
    }

    fn act(&mut self, controller: usize, actions: Vec<(Location, Action)>) {
        for (location, action) in actions {
            match action {
                Action::AskAgent => self.ask_agent(controller, &location),
                Action::TellAgent => self.tell_order(controller, &location),
                // Which checks it runs, which here are the same in every plan.
                Action::TellRow => {}
            }
        }
    }

    /// The plan in force is another where a change reached machines.
    fn follow_plan(&mut self, controller: usize) {
        let of = &mut self.controllers[controller];
        let Some(zone) = &of.zone else { return };
        if !Arc::ptr_eq(&of.plan, zone.plan()) {
            of.plan = Arc::clone(zone.plan());
            of.site = Drawing::site(&of.plan);
            of.view_is_old = true;
        }
    }

    /// Begins to write what is unsaved.
    fn save(&mut self, controller: usize) {
        let now = self.now;
        let pace = self.write_ms();
        let of = &mut self.controllers[controller];
        let Some(zone) = &of.zone else { return };
        if of.unsaved.is_empty() && of.unsaved_allowances.is_empty() && of.unsaved_changes.is_empty() {
            let waiting = std::mem::take(&mut of.waiting);
            return self.acknowledge(controller, waiting, true, &[]);
        }
        if of.failed_at.is_some_and(|at| now < at + RETRY_MS) {
            let waiting = std::mem::take(&mut of.waiting);
            return self.acknowledge(controller, waiting, false, &[]);
        }
        let version = |location: &Location| of.versions.get(location).copied().unwrap_or(0);
        let found = of.unsaved.iter().filter_map(|location| zone.facts().machines.get_key_value(location));
        let machines: Vec<_> =
            found.map(|(location, machine)| (location.clone(), machine.clone(), version(location))).collect();
        let allowances = of.unsaved_allowances.iter();
        let allowances =
            allowances.map(|location| (location.clone(), of.allowances.get(location).copied())).collect();
        let versions = machines.iter().map(|(location, _, version)| (location.clone(), *version)).collect();
        let changes = of.unsaved_changes.iter().filter_map(|id| zone.facts().changes.get(id).cloned());
        let changes = changes.collect();
        let taken = std::mem::take(&mut of.taken);
        let what = Writing::Batch(Batch { machines, allowances, changes, taken });
        of.writing = Some(Write { what, waiting: std::mem::take(&mut of.waiting), versions });
        of.unsaved.clear();
        of.unsaved_allowances.clear();
        of.unsaved_changes.clear();
        self.after(controller, pace, Step::Written);
    }

    /// How long a write takes.
    fn write_ms(&mut self) -> u64 {
        self.random.between(2, 20) * self.store.slowness
    }

    fn written(&mut self, controller: usize) {
        let of = &mut self.controllers[controller];
        let Some(write) = of.writing.take() else { return };
        let term = of.term;
        let is_publication = matches!(write.what, Writing::Publication(_));
        let places: Vec<Location> = write.versions.iter().map(|(location, _)| location.clone()).collect();
        let taken = match &write.what {
            Writing::Batch(batch) => batch.taken.clone(),
            Writing::Publication(_) => Vec::new(),
        };
        let outcome = match (self.settings.planted, write.what) {
            (Some(Planted::LostBatch), Writing::Batch(_)) if self.random.is(20) => Ok(()),
            (_, what) => self.store_it(term, what),
        };
        match outcome {
            Ok(()) => {
                self.controllers[controller].failed_at = None;
                self.controllers[controller].revision = self.store.revision;
                for follower in 0..self.controllers.len() {
                    if follower != controller && self.controllers[follower].is_up {
                        self.controllers[follower].is_behind = true;
                        let pause = self.random.between(1, 200);
                        self.after(follower, pause, Step::Follow);
                    }
                }
                if is_publication {
                    self.take_over_plan(controller);
                }
                let later = std::mem::take(&mut self.controllers[controller].later);
                self.act(controller, later);
            }
            Err(Refused::Fenced) => {
                self.step_down(controller);
                return;
            }
            Err(Refused::Full) => {
                let now = self.now;
                let of = &mut self.controllers[controller];
                of.failed_at = Some(now);
                of.taken = taken;
                of.unsaved_changes =
                    of.zone.iter().flat_map(|zone| zone.facts().changes.keys()).copied().collect();
                // Memory goes on, and is written when that goes again.
                of.unsaved.extend(places.iter().cloned());
                of.unsaved_allowances.extend(places);
                of.is_pumping = true;
                self.after(controller, RETRY_MS, Step::Pump);
            }
        }
        self.acknowledge(controller, write.waiting, outcome.is_ok(), &write.versions);
        if !std::mem::replace(&mut self.controllers[controller].is_pumping, true) {
            self.after(controller, 0, Step::Pump);
        }
    }

    fn store_it(&mut self, term: u64, what: Writing) -> Result<(), Refused> {
        match what {
            Writing::Batch(batch) => {
                let taken = batch.taken.clone();
                self.store.append(term, batch, self.now)?;
                self.were_taken(taken);
                Ok(())
            }
            Writing::Publication(published) => self.store.publish(term, *published, self.now),
        }
    }

    /// Tells who waited.
    fn acknowledge(
        &mut self,
        controller: usize,
        waiting: Vec<Asker>,
        is_stored: bool,
        versions: &[(Location, u64)],
    ) {
        if is_stored {
            for (location, version) in versions {
                self.ledgers.acknowledged.insert(location.clone(), *version);
            }
        }
        for asker in waiting {
            match asker.to {
                Reply::Agent { body, epoch, connection, frame } => {
                    let frame = match is_stored || !asker.must_be_stored {
                        true => frame,
                        false => FromController::Refused {
                            needs_certificate: false,
                            words: "the controller cannot store it now".to_owned(),
                        },
                    };
                    self.say(body, epoch, connection, frame);
                }
                Reply::Bmc { location } if is_stored => self.ask_bmc(controller, &location),
                Reply::Bmc { .. } | Reply::Nobody => {}
            }
        }
    }

    /// Publishes a view if the last is old: at intervals.
    fn show(&mut self, controller: usize) {
        let (now, gap) = (self.now, self.settings.view_gap_ms());
        let of = &mut self.controllers[controller];
        if !of.view_is_old {
            return;
        }
        let due = of.view_made + gap;
        if now < due {
            if !std::mem::replace(&mut of.is_showing, true) {
                self.after(controller, due - now, Step::Show);
            }
            return;
        }
        let facts = of.zone.as_ref().map_or(&of.facts, |zone| zone.facts());
        let Some(previous) = &of.view else { return };
        of.view = Some(Arc::new(match Arc::ptr_eq(&previous.plan, &of.plan) {
            true if Arc::ptr_eq(&previous.boot.site, &of.site) => plan::view::refresh(previous, facts),
            _ => plan::view::succeed(previous, &of.plan, facts, &of.site),
        }));
        (of.view_made, of.view_is_old) = (now, false);
        self.tally.views += 1;
    }

    /// Takes over what another has stored.
    fn follow(&mut self, controller: usize) {
        if self.controllers[controller].zone.is_some() || !self.controllers[controller].is_behind {
            return;
        }
        let is_deaf = self.settings.planted == Some(Planted::DeafReplica);
        let of = &mut self.controllers[controller];
        for (location, machine) in self.store.since(of.revision).into_iter().filter(|_| !is_deaf) {
            of.facts.machines.insert(location, machine);
        }
        let newest = self.store.newest().plan.generation;
        let is_other = of.facts.changes != self.store.facts.changes || of.plan.generation != newest;
        if !is_deaf && is_other {
            of.facts.changes.clone_from(&self.store.facts.changes);
            of.plan = self.store.in_force(&self.store.newest().plan, &of.facts);
            of.site = Drawing::site(&of.plan);
            of.told.clear();
        }
        of.revision = self.store.revision;
        (of.is_behind, of.view_is_old) = (false, true);
        self.show(controller);
    }

    /// Asks the BMCs that are due.
    fn look_at_bmcs(&mut self, controller: usize) {
        if self.controllers[controller].zone.is_none() {
            return;
        }
        self.after(controller, BMC_EVERY_MS, Step::Bmcs);
        let now = self.clock(controller);
        let Some(zone) = &self.controllers[controller].zone else { return };
        let due = lifecycle::starting::due(zone, now);
        if due.is_empty() {
            return;
        }
        let words = self.starts_within_budget(controller, &due, now);
        self.looked("budget");
        if let Err(words) = words {
            self.violated("budget", words);
        }
        for due in due {
            let what = What::Bmc {
                by: due.by,
                asked: "to boot from the network".to_owned(),
                outcome: None,
                start: Some(model::event::Started::Begun),
            };
            let event = Event { at: now, location: due.location.clone(), what };
            let asker = Asker { to: Reply::Bmc { location: due.location }, must_be_stored: true };
            self.take(controller, Message::Event(event, asker), 1);
        }
    }

    /// The view that a packet to this controller is answered from, if it is there.
    pub(crate) fn answers(&self, controller: usize) -> Option<Arc<View>> {
        let of = &self.controllers[controller];
        of.view.clone().filter(|_| of.is_up)
    }

    /// What an operator asks for, at whoever leads.
    pub(crate) fn wish(&mut self, location: &Location, wish: Wish) {
        let Some(leader) = self.leader() else { return };
        let event = Event {
            at: self.clock(leader),
            location: location.clone(),
            what: What::Operator { by: "ada".to_owned(), wish, beyond_budget: false },
        };
        let asker = Asker { to: Reply::Nobody, must_be_stored: true };
        self.take(leader, Message::Event(event, asker), 1);
    }

    pub(crate) fn generation(&self, controller: usize) -> Generation {
        self.controllers[controller].plan.generation
    }
}

/// Whether an operator's wish takes a machine out of service on purpose.
fn takes_one_out(what: &What) -> bool {
    let What::Operator { wish, .. } = what else { return false };
    matches!(wish, Wish::Reinstall { .. } | Wish::Upgrade { .. } | Wish::Drain { .. } | Wish::Maintain { .. })
}

/// Of an event, for the trace.
fn name(what: &What) -> &'static str {
    match what {
        What::Asked { stage: Stage::Bmc, .. } => "bmc asked",
        What::Asked { stage: Stage::Os, .. } => "system asked",
        What::Asked { stage: Stage::Ipxe, .. } => "ipxe asked",
        What::Asked { .. } => "firmware asked",
        What::Declined { .. } => "declined",
        What::ScriptFetched { .. } => "script fetched",
        What::FileFetched { .. } => "file fetched",
        What::Installing { .. } => "installing",
        What::Installed { .. } => "installed",
        What::NotInstalled { .. } => "not installed",
        What::Confirmed { .. } => "confirmed",
        What::TokenIssued { .. } => "token issued",
        What::NotProved { .. } => "not proved",
        What::Enrolled { .. } => "enrolled",
        What::Connected { .. } => "connected",
        What::Lost => "lost",
        What::Reported { .. } => "reported",
        What::Checked { .. } => "checked",
        What::BurningIn { .. } => "burning in",
        What::BurntIn { .. } => "burnt in",
        What::ServersHeard { .. } => "servers heard",
        What::Bmc { .. } => "bmc",
        What::Operator { wish, .. } => match wish {
            Wish::Accept => "accept",
            Wish::Drain { .. } => "drain",
            Wish::Maintain { .. } => "maintain",
            Wish::Return => "return",
            Wish::Retire { .. } => "retire",
            Wish::Arm { .. } => "arm",
            Wish::Reinstall { .. } => "reinstall",
            Wish::Disarm => "disarm",
            Wish::Upgrade { .. } => "upgrade",
        },
        _ => "something",
    }
}
