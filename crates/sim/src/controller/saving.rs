//! What is unsaved goes to the store in one write at a time; who waited for it is told when it is there, or is not.

use super::{Asker, Reply, Step};
use crate::body::FromController;
use crate::settings::Planted;
use crate::store::{Batch, Published, Refused};
use crate::world::World;
use model::Location;

/// How often a failed write is tried again.
const RETRY_MS: u64 = 1_000;

/// What is under way to the disk.
pub(super) struct Write {
    pub(super) what: Writing,
    pub(super) waiting: Vec<Asker>,
    pub(super) versions: Vec<(Location, u64)>,
}

pub(super) enum Writing {
    Batch(Batch),
    Publication(Box<Published>),
}

impl World<'_> {
    /// Begins to write what is unsaved.
    pub(super) fn save(&mut self, controller: usize) {
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
    pub(super) fn write_ms(&mut self) -> u64 {
        self.random.between(2, 20) * self.store.slowness
    }

    pub(super) fn written(&mut self, controller: usize) {
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
        self.pump_within(controller, 0);
    }

    pub(super) fn store_it(&mut self, term: u64, what: Writing) -> Result<(), Refused> {
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
}
