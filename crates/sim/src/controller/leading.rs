//! A controller's lives: it starts with what is stored, leads or follows, steps down, is killed.

use super::{BMC_EVERY_MS, LEAD_EVERY_MS, Step};
use crate::drawing::Drawing;
use crate::settings::Planted;
use crate::world::World;
use lifecycle::{Zone, change};
use std::sync::Arc;

/// For how long a leader leads that says nothing more.
const LEASE_MS: u64 = 5_000;

impl World<'_> {
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
    pub(super) fn lead(&mut self, controller: usize) {
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
}
