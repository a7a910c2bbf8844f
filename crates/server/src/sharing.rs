//! What the keeper of a zone with several controllers does beside: it follows what others decided, has what it hears decided by
//! the one that leads, and, while it leads itself, knows what it decided and could not store.
//!
//! A write that fails leaves two questions: whether it was done after all, and who leads now. Until both are answered nothing is
//! decided here. What had been applied is forgotten, everything is read anew, and then what was not stored is decided
//! once more, here or by whoever leads: nobody is told of anything before it is stored, and nothing is stored twice.

use crate::agents::Verdict;
use crate::keeper::SecretAsker;
use model::{Event, Location};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use store::Store;
use store::etcd::{Answered, LEASE, Outcome, Peer, Standing, process_of};
use tokio::sync::oneshot;

/// How often it is looked what others wrote, whatever hints there were.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often everything is read anew and compared.
pub(crate) const REREAD_EVERY: Duration = Duration::from_secs(60);
/// What waits to be decided; beyond it, what was only heard is lost, and who waits is told so.
const WAITING_MAX: usize = 16_384;
/// Who is there for so long is no controller that ended: its lease would be over.
const ENDED_WITHIN: Duration = LEASE.saturating_add(Duration::from_secs(5));
/// Questions that are not answered yet.
const QUESTIONS_MAX: usize = 64;

/// Something that happened, and who waits until it is stored.
pub(crate) type Heard = (Event, Option<oneshot::Sender<Verdict>>);

/// See the module.
pub(crate) struct Sharing {
    pub(crate) standing: Standing,
    pub(crate) controllers: Vec<String>,
    /// The processes of those that are there, of this one too.
    present: HashSet<String>,
    /// Those that have agents and are not there, and since when that is known.
    absent: HashMap<String, Instant>,
    /// Other controllers of this one's name, and since when they are there.
    namesakes: HashMap<String, Instant>,
    /// What is known here may not be what is stored.
    pub(crate) is_out_of_step: bool,
    pub(crate) looked: Option<Instant>,
    /// When etcd last refused a write, as one that is full does; until one is taken.
    pub(crate) refused: Option<Instant>,
    pub(crate) reread: Instant,
    pub(crate) hints: Hints,
    /// Applied, and not stored yet.
    pub(crate) applied: Vec<Heard>,
    /// Written, and it is not known whether it came through.
    pub(crate) in_doubt: Vec<Heard>,
    /// Of a secret that was written so, who waits for it, and what went wrong.
    pub(crate) secret_in_doubt: Option<(SecretAsker, String)>,
    /// Of others, applied with it.
    pub(crate) answers: Vec<Answered>,
    /// To be decided, by whoever leads.
    pub(crate) undecided: VecDeque<Heard>,
    /// What was asked under which number, and who waits for each of it.
    asked: HashMap<u64, Vec<Option<oneshot::Sender<Verdict>>>>,
    /// Under this name.
    id: Option<String>,
}

/// That there may be something to look at.
#[derive(Clone, Default)]
pub(crate) struct Hints {
    pub(crate) written: Arc<AtomicBool>,
    pub(crate) asked: Arc<AtomicBool>,
}

impl Sharing {
    pub(crate) fn new() -> Self {
        Self {
            standing: Standing::Sole,
            controllers: Vec::new(),
            present: HashSet::new(),
            absent: HashMap::new(),
            namesakes: HashMap::new(),
            is_out_of_step: false,
            looked: None,
            refused: None,
            reread: Instant::now(),
            hints: Hints::default(),
            applied: Vec::new(),
            in_doubt: Vec::new(),
            secret_in_doubt: None,
            answers: Vec::new(),
            undecided: VecDeque::new(),
            asked: HashMap::new(),
            id: None,
        }
    }

    /// Takes note of who is there beside this controller, which is `own`.
    pub(crate) fn note_present(&mut self, present: Vec<Peer>, own: &Peer, now: Instant) {
        let is_namesake = |peer: &&Peer| peer.name == own.name && peer.id != own.id;
        let since = |peer: &Peer| self.namesakes.get(&peer.id).copied().unwrap_or(now);
        self.namesakes =
            present.iter().filter(is_namesake).map(|peer| (peer.id.clone(), since(peer))).collect();
        self.present = present.iter().map(|peer| process_of(&peer.id).to_owned()).collect();
        self.controllers = present.into_iter().map(|peer| peer.name).collect();
    }

    /// Of these places, whose agents are connected to these processes, those whose process has not been there for a while: when etcd was away,
    /// each comes back within it.
    pub(crate) fn gone<'a>(
        &mut self,
        agents: impl Iterator<Item = (&'a Location, &'a String)>,
        now: Instant,
    ) -> Vec<(Location, String)> {
        let before = std::mem::take(&mut self.absent);
        let mut gone = Vec::new();
        for (location, process) in agents.filter(|(_, process)| !self.present.contains(*process)) {
            let known = || before.get(process).copied().unwrap_or(now);
            let since = *self.absent.entry(process.clone()).or_insert_with(known);
            if now.duration_since(since) >= LEASE {
                gone.push((location.clone(), process.clone()));
            }
        }
        gone
    }

    /// Whether something that was heard here is not decided yet.
    pub(crate) fn is_asking(&self) -> bool {
        !(self.undecided.is_empty() && self.in_doubt.is_empty() && self.asked.is_empty())
    }

    /// Whether another controller has this one's name, and is not what this one was before it was started anew.
    pub(crate) fn has_namesake(&self, now: Instant) -> bool {
        self.namesakes.values().any(|since| now.duration_since(*since) > ENDED_WITHIN)
    }

    /// What another controller that leads is called, where this one is called `own`. What this one was before it was started anew leads no
    /// longer, though its lease is not over yet.
    pub(crate) fn other_leader(&self, own: &str, now: Instant) -> Option<String> {
        let Standing::Follows(Some(leader)) = &self.standing else { return None };
        if leader.name != own {
            return Some(leader.name.clone());
        }
        let since = self.namesakes.get(&leader.id)?;
        (now.duration_since(*since) > ENDED_WITHIN).then(|| format!("the other {own}"))
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&self) -> bool {
        // What a leader wrote it knows.
        let written = self.hints.written.swap(false, SeqCst) && self.standing != Standing::Leads;
        let asked = self.hints.asked.swap(false, SeqCst) && self.standing == Standing::Leads;
        written || asked || self.patience().is_zero()
    }

    /// Whether a write was refused just now: at once it would be again.
    pub(crate) fn rests(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < LOOK_EVERY)
    }

    /// What was applied is not stored, and will not be soon: who waits hears so, and what was only heard is tried again.
    pub(crate) fn refuse(&mut self) {
        self.refused = Some(Instant::now());
        self.applied.retain(|(_, asker)| asker.is_none());
    }

    /// How long until it is time to look.
    pub(crate) fn patience(&self) -> Duration {
        self.looked.map_or(Duration::ZERO, |at| LOOK_EVERY.saturating_sub(at.elapsed()))
    }

    /// Keeps something until it can be decided.
    pub(crate) fn keep(&mut self, heard: Heard) {
        if self.undecided.len() >= WAITING_MAX {
            // Who waits hears that it was not stored.
            self.undecided.pop_front();
        }
        self.undecided.push_back(heard);
    }

    /// What was applied is not stored, or not known to be: it is decided again before what came after it, unless it turns out that
    /// it was stored.
    pub(crate) fn fall_out_of_step(&mut self, is_in_doubt: bool) {
        self.is_out_of_step = true;
        self.answers.clear();
        let applied = std::mem::take(&mut self.applied);
        if is_in_doubt {
            self.in_doubt.extend(applied);
        } else {
            for heard in applied.into_iter().rev() {
                self.undecided.push_front(heard);
            }
        }
    }

    /// What was applied last turned out to be stored.
    pub(crate) fn tell_stored(heard: impl IntoIterator<Item = Heard>) {
        for asker in heard.into_iter().filter_map(|(_, asker)| asker) {
            let _ = asker.send(Verdict::Stored);
        }
    }

    /// It is known now what came of the last write: who waits for a secret hears whether it is kept.
    pub(crate) fn tell_of_secret(&mut self, outcome: Option<Outcome>) {
        let Some((asker, wrong)) = self.secret_in_doubt.take() else { return };
        let _ = asker.send(if outcome == Some(Outcome::Done) { Ok(()) } else { Err(wrong) });
    }

    /// Lays what is undecided before whoever leads.
    pub(crate) fn hand_over(&mut self, store: &mut Store) -> Result<(), store::Failure> {
        self.is_still(store);
        while !self.undecided.is_empty() && self.asked.len() < QUESTIONS_MAX {
            let events: Vec<_> = self.undecided.iter().take(256).map(|(event, _)| event.clone()).collect();
            match store.ask(&events) {
                Ok(Some((number, count))) => {
                    let askers = self.undecided.drain(..count).map(|(_, asker)| asker).collect();
                    self.asked.insert(number, askers);
                }
                // It is asked when this controller is known again.
                Ok(None) => break,
                Err(failure) => {
                    // It may have been asked all the same: to ask again might do it twice. Who waits hears that it is not known.
                    if store.id().is_none() {
                        self.undecided.drain(..events.len());
                    }
                    self.is_still(store);
                    return Err(failure);
                }
            }
        }
        self.is_still(store);
        Ok(())
    }

    /// Under another name nothing is answered any more that was asked under the one before.
    fn is_still(&mut self, store: &Store) {
        if self.id.as_deref() != store.id() {
            self.id = store.id().map(str::to_owned);
            self.asked.clear();
        }
    }

    /// What was asked is not answered any more.
    pub(crate) fn forget_asked(&mut self) {
        self.asked.clear();
    }

    /// Tells who waited what became of it.
    pub(crate) fn hear_answers(&mut self, answered: &[Answered]) {
        for Answered { controller, number, refused } in answered {
            if self.id.as_ref() != Some(controller) {
                continue;
            }
            let askers = self.asked.remove(number).unwrap_or_default();
            for (asker, refused) in askers.into_iter().zip(refused) {
                if let Some(asker) = asker {
                    let verdict = refused.clone().map_or(Verdict::Stored, Verdict::Refused);
                    let _ = asker.send(verdict);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_a_process_that_stays_away_are_gone() {
        let peer = |name: &str, id: &str| Peer { name: name.into(), id: id.into() };
        let own = peer("a", "1-x");
        let mut sharing = Sharing::new();
        let (place, began) = (Location::new("z/p/r/u1"), Instant::now());
        let mut gone = |present: &[Peer], after: Duration| {
            sharing.note_present(present.to_vec(), &own, began + after);
            !sharing.gone([(&place, &"2".to_owned())].into_iter(), began + after).is_empty()
        };
        assert!(!gone(&[own.clone(), peer("b", "2-x")], Duration::ZERO));
        assert!(!gone(std::slice::from_ref(&own), LEASE));
        // It is there again, under another word.
        assert!(!gone(&[own.clone(), peer("b", "2-y")], 2 * LEASE));
        assert!(!gone(std::slice::from_ref(&own), 3 * LEASE));
        // One of its name is not it.
        assert!(gone(&[own.clone(), peer("b", "3-x")], 4 * LEASE));
    }

    #[test]
    fn another_of_this_name_is_told_from_what_this_one_was_before() {
        let peer = |name: &str, id: &str| Peer { name: name.into(), id: id.into() };
        let (own, before, other) = (peer("ctl", "2"), peer("ctl", "1"), peer("other", "3"));
        let mut sharing = Sharing::new();
        let began = Instant::now();
        let later = began + ENDED_WITHIN + LOOK_EVERY;
        sharing.standing = Standing::Follows(Some(before.clone()));
        sharing.note_present(vec![before.clone(), own.clone()], &own, began);
        assert_eq!((sharing.other_leader("ctl", began), sharing.has_namesake(began)), (None, false));
        // Its lease is over.
        sharing.note_present(vec![own.clone(), other.clone()], &own, later);
        assert_eq!((sharing.other_leader("ctl", later), sharing.has_namesake(later)), (None, false));
        sharing.standing = Standing::Follows(Some(other.clone()));
        assert_eq!(sharing.other_leader("ctl", later).as_deref(), Some("other"));
        // Another process keeps it.
        sharing.standing = Standing::Follows(Some(before.clone()));
        sharing.note_present(vec![before.clone(), own.clone(), other], &own, began);
        sharing.note_present(vec![before, own.clone()], &own, later);
        assert_eq!(sharing.other_leader("ctl", later).as_deref(), Some("the other ctl"));
        assert!(sharing.has_namesake(later));
        assert_eq!(sharing.controllers, ["ctl", "ctl"]);
    }
}
