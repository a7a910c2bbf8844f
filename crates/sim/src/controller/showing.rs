//! The view that packets are answered from: made anew when facts or plan changed, by a leader and by those who follow.

use super::Step;
use crate::drawing::Drawing;
use crate::settings::Planted;
use crate::world::World;
use model::View;
use std::sync::Arc;

impl World<'_> {
    /// Publishes a view if the last is old: at intervals.
    pub(super) fn show(&mut self, controller: usize) {
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
    pub(super) fn follow(&mut self, controller: usize) {
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

    /// The view that a packet to this controller is answered from, if it is there.
    pub(crate) fn answers(&self, controller: usize) -> Option<Arc<View>> {
        let of = &self.controllers[controller];
        of.view.clone().filter(|_| of.is_up)
    }
}
