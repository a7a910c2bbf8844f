//! Publications, and the changes that bring them to machines: begun with a plan, stepped, taken back.

use super::saving::{Write, Writing};
use super::{Asker, Message, Reply, Step};
use crate::drawing::Drawing;
use crate::store::Published;
use crate::world::World;
use lifecycle::change::{self, Held};
use model::change::Kind;
use model::event::{ChangeStep, What};
use model::{ChangeId, Event, Location};
use std::sync::Arc;

impl World<'_> {
    /// Looks whether a change goes on, or is to be taken back.
    pub(super) fn look_at_changes(&mut self, controller: usize) {
        let now = self.clock(controller);
        let Some(zone) = &self.controllers[controller].zone else { return };
        for location in lifecycle::installing::begin(zone, now) {
            let asker = Asker { to: Reply::Nobody, must_be_stored: true };
            self.take(controller, Message::Event(Event { at: now, location, what: What::Begins }, asker), 1);
        }
        let Some(zone) = &self.controllers[controller].zone else { return };
        let undo = change::to_undo(zone);
        let is_changing = zone.facts().changes.values().any(model::Change::is_under_way);
        if let Some((id, _)) = undo {
            self.take(controller, Message::Undo(id), 1);
        } else if is_changing {
            self.pump_within(controller, 1);
        }
    }

    /// Takes changes as far as they go now. What they do is stored before anybody hears of it.
    pub(super) fn step_changes(&mut self, controller: usize) {
        let now = self.clock(controller);
        let of = &mut self.controllers[controller];
        if of.failed_at.is_some() || of.writing.is_some() {
            return;
        }
        let Some(zone) = &mut of.zone else { return };
        if !zone.facts().changes.values().any(model::Change::is_under_way) {
            return;
        }
        let steps = zone.step_changes(now);
        let mut said = Vec::new();
        for (event, applied) in steps {
            let What::Change { id, step } = &event.what else { continue };
            if applied.refused.is_some() {
                continue;
            }
            of.must_save(&applied.changed);
            of.unsaved_changes.insert(*id);
            of.view_is_old |= applied.view_changed;
            of.later.extend(applied.actions);
            said.push((*id, step.clone()));
        }
        self.follow_plan(controller);
        for (id, step) in said {
            self.tally.steps += 1;
            self.stepped(controller, id, &step);
        }
    }

    /// A change went a step further.
    fn stepped(&mut self, controller: usize, id: ChangeId, step: &ChangeStep) {
        let words = match step {
            ChangeStep::Take { machine } => format!("takes {}", machine.within_zone()),
            ChangeStep::Settle { machine, found } => format!("{} is {found:?}", machine.within_zone()),
            ChangeStep::End { how, sentence } => format!("is {}: {sentence}", change::outcome(*how)),
            other => format!("{other:?}"),
        };
        self.trace.line(self.now, format_args!("{controller}: {id} {words}"));
        match step {
            ChangeStep::Take { machine } => {
                self.controllers[controller].taken.push((id, machine.clone()));
                self.takes(controller, id, machine);
            }
            ChangeStep::End { how, .. } => self.ends(controller, id, *how),
            _ => {}
        }
    }

    /// Compiles a drawing against the plan in force, and begins to store it, with the change that brings it to machines.
    pub(super) fn propose(&mut self, controller: usize, drawing: Drawing, undoes: Option<ChangeId>) {
        let Some(zone) = &self.controllers[controller].zone else { return };
        let is_busy = zone.facts().changes.values().any(|it| it.is_under_way() && it.plans().is_some());
        let is_another = change::to_undo(zone).is_some_and(|(id, _)| Some(id) != undoes);
        if is_busy || is_another || self.store.newest().drawing == drawing {
            return;
        }
        let (parent, generation) = (Arc::clone(zone.whole()), self.store.plans.len() as u64 + 1);
        let plan = Arc::new(drawing.compile(Some(&parent), generation));
        let effects = plan::effects(&parent, &plan);
        let touched = match undoes.and_then(|id| zone.facts().changes.get(&id)) {
            Some(undone) => change::reached(undone, effects),
            None => change::touched(zone.facts(), effects),
        };
        let kind = Kind::Plan { from: parent.generation, to: plan.generation, undoes };
        let now = self.clock(controller);
        let change = (!touched.is_empty()).then(|| change::begin(zone, kind, touched, "ada", "news", now));
        let published = Box::new(Published { drawing, plan, change });
        let pause = self.write_ms() + 20;
        self.controllers[controller].writing =
            Some(Write { what: Writing::Publication(published), waiting: Vec::new(), versions: Vec::new() });
        self.after(controller, pause, Step::Written);
    }

    /// A publication is stored: packets first, then people.
    pub(super) fn take_over_plan(&mut self, controller: usize) {
        let Published { plan, change, .. } = self.store.newest().clone();
        self.cabling.learn(&plan);
        let now = self.now;
        let of = &mut self.controllers[controller];
        of.told.clear();
        let Some(zone) = &mut of.zone else { return };
        let words = change.as_ref().map(|change| format!(", by {} for {}", change.id, change.machines.len()));
        let held = change.map(|change| Held::new(&plan, Arc::clone(zone.whole()), change));
        let in_force = held.as_ref().map_or(&plan, |held| &held.plan);
        let site = Drawing::site(in_force);
        if let Some(previous) = &of.view {
            of.view = Some(Arc::new(plan::view::succeed(previous, in_force, zone.facts(), &site)));
        }
        (of.plan, of.site) = (Arc::clone(in_force), site);
        (of.view_made, of.view_is_old) = (now, false);
        zone.replan(Arc::clone(&plan), Arc::new(model::Roster::of(&plan)), held);
        let places: Vec<Location> = of.sessions.keys().cloned().collect();
        self.trace.line(
            now,
            format_args!("{controller}: plan {} is in force{}", plan.generation, words.unwrap_or_default()),
        );
        self.follow_plan(controller);
        for location in places {
            self.tell_order(controller, &location);
        }
        self.settle_in(&plan);
    }
}
