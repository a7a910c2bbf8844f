//! The one door for facts, as `server::keeper` has it: takes what waits, judges each event, and has what follows stored and shown.

use super::{Asker, Message, Reply, Step};
use crate::body::FromController;
use crate::drawing::Drawing;
use crate::settings::Planted;
use crate::world::World;
use lifecycle::change;
use lifecycle::machine::Action;
use model::Location;
use model::event::{Event, What, Wish};
use model::facts::Stage;
use std::sync::Arc;

/// Events that are stored together.
const BATCH_MAX: usize = 2_048;

impl World<'_> {
    /// Takes all that waits, stores it together, shows what changed.
    pub(super) fn pump(&mut self, controller: usize) {
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
        of.must_save(&applied.changed);
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

    pub(super) fn act(&mut self, controller: usize, actions: Vec<(Location, Action)>) {
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
    pub(super) fn follow_plan(&mut self, controller: usize) {
        let of = &mut self.controllers[controller];
        let Some(zone) = &of.zone else { return };
        if !Arc::ptr_eq(&of.plan, zone.plan()) {
            of.plan = Arc::clone(zone.plan());
            of.site = Drawing::site(&of.plan);
            of.view_is_old = true;
        }
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
        What::StillConnected => "still connected",
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
