//! The zone moves to another store while it is served.
//!
//! The keeper is the one writer, so while it copies nothing is written: what is heard waits, and answers go on from the view. What was copied
//! is read back and compared; then the store of before says where the zone went, and from then on the other one is written. Whoever
//! waited is told that it is stored when it is stored there. Whether the one of before says so is asked again where the answer was lost:
//! as long as that is not known, the zone is in force in neither.

use super::Keeper;
use crate::clock;
use crate::controller::{Leader, Leading};
use crate::sharing::Sharing;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use store::etcd::Standing;
use store::{Copied, Failure, FailureKind, Store};

/// So long it is asked what came of the last word to the store of before.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);
/// So often.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// A store that the zone is to move to: opened, and led by this controller.
pub(crate) struct Target {
    pub(crate) store: Store,
    /// What an operator calls it.
    pub(crate) address: String,
    /// This controller's name among several, if it can be shared.
    pub(crate) name: Option<String>,
}

impl Keeper {
    /// Moves there; or says why not, and all is as it was.
    pub(super) fn move_to(&mut self, target: Target) -> Result<Copied, String> {
        if !self.is_deciding() {
            return Err(self.not_leading().to_string());
        }
        self.save(true);
        if !self.is_deciding() || self.store_failed.is_some() || !self.records.is_empty() {
            return Err("what is known now cannot be stored, and so cannot be moved".to_owned());
        }
        let Target { store: mut to, address, name } = target;
        let began = Instant::now();
        self.controller.say(&format!("the zone moves to {address}: what is asked meanwhile waits"));
        let copied = store::copy(&mut self.store, &mut to).map_err(|failure| failure.to_string())?;
        let history = to.history().map_err(|failure| failure.to_string())?;
        if let Err(failure) = self.store.retire(&address) {
            self.retired_after_all(&address, &failure)?;
        }
        let mut from = std::mem::replace(&mut self.store, to);
        from.resign();
        *self.controller.history.lock().unwrap_or_else(PoisonError::into_inner) = history;
        // Who waits for another's answer asks anew: it had none when the zone moved.
        self.sharing = Sharing::new();
        if self.store.is_shared() {
            self.sharing.standing = Standing::Leads;
            self.sharing.looked = Some(Instant::now());
        }
        let sharing = name.map(|name| {
            let term = self.store.term();
            let leader = term.map_or(Leader::Nobody, |term| Leader::This { term, is_deciding: true });
            Leading { controllers: vec![name.clone()], name, leader, has_namesake: false }
        });
        self.controller.change_condition(|condition| condition.sharing = sharing);
        let own = self.store.process().to_owned();
        let here = self.controller.present.those(|_| true).into_iter().collect::<BTreeSet<_>>();
        self.controller.zone.write().unwrap_or_else(PoisonError::into_inner).only_these_are_connected(
            &own,
            |location| here.contains(location),
            clock::now(),
        );
        self.watch_others();
        self.controller.say(&format!(
            "the zone is in {address} from now on, after {} ms: start this controller with that the next time",
            began.elapsed().as_millis()
        ));
        Ok(copied)
    }

    /// Finds out whether the store of before says where the zone went, though it was not heard to say so; if it does not, and never will,
    /// why the zone stays.
    fn retired_after_all(&mut self, address: &str, failure: &Failure) -> Result<(), String> {
        let stays = |failure: &Failure| {
            format!("it was copied to {address}, but is in force where it was: {failure}")
        };
        if !self.store.is_shared() || failure.kind != FailureKind::Unreachable {
            return Err(stays(failure));
        }
        self.controller.counters.store_failures.one();
        self.controller.say("etcd did not answer whether the zone may go: it is asked until it does");
        let began = Instant::now();
        loop {
            match self.store.follow() {
                Err(moved) if moved.kind == FailureKind::Moved => return Ok(()),
                Err(_) if began.elapsed() < KNOWN_WITHIN => std::thread::sleep(ASKED_EVERY),
                Err(unknown) => {
                    self.fall_out_of_step(false);
                    return Err(format!(
                        "it was copied to {address}, and whether it is in force there or where it was is not known: {unknown}; \
                         when etcd answers, `zw status` says where, and so does a start with the store of before; do not start with {address} \
                         until it does"
                    ));
                }
                Ok(_) => {
                    // What was read with that is read anew.
                    self.fall_out_of_step(false);
                    return Err(stays(failure));
                }
            }
        }
    }
}
