//! A controller: the loop around the deciding code as the server's keeper has it, with the same order of doing things, and
//! what may go wrong with it. One leads; the others follow what is stored, and answer packets all the same.
//!
//! | module    | what is in it                                                              |
//! |-----------|----------------------------------------------------------------------------|
//! | `leading` | its lives: it starts, leads or follows, is killed                          |
//! | `inbox`   | what it is told, and tells itself                                          |
//! | `door`    | events, judged one by one                                                  |
//! | `saving`  | what follows is stored; who waited hears of it                             |
//! | `showing` | what packets are answered from                                             |
//! | `changes` | publications, and how they reach machines                                  |

mod changes;
mod door;
mod inbox;
mod leading;
mod saving;
mod showing;

pub(crate) use inbox::{Asker, Message, Reply};

use crate::check::Allowance;
use crate::drawing::Drawing;
use crate::session::Session;
use crate::store::Published;
use crate::world::{Happening, World};
use lifecycle::Zone;
use lifecycle::machine::Action;
use model::view::Site;
use model::{ChangeId, Facts, Generation, InterfaceId, Location, Plan, Time, View};
use saving::Write;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How often a leader says that it leads, and others look whether it still does.
const LEAD_EVERY_MS: u64 = 1_000;
/// How often it is looked whose BMC is due.
const BMC_EVERY_MS: u64 = 5_000;
/// Simulated time begins here: 2026-01-01.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

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

    /// These changed: they are of a newer version than what is stored.
    fn must_save(&mut self, changed: &[Location]) {
        for location in changed {
            *self.versions.entry(location.clone()).or_insert(0) += 1;
            self.unsaved.insert(location.clone());
        }
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

    pub(crate) fn generation(&self, controller: usize) -> Generation {
        self.controllers[controller].plan.generation
    }
}
