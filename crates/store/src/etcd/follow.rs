//! What others wrote; leases, the election, and what others ask.
//!
//! A controller that is there has a lease. Who decides is whose lease holds the one key `leader`; its term is the revision at
//! which that key was made. That a lease is good is known up to a moment of this process's own monotonic clock, counted
//! from before etcd was asked; after it nothing is decided here. What keeps a leader that slept through that moment
//! from writing is not any clock but the comparison in each write.
//!
//! What a controller hears that does not decide is laid before the one that does, under `asked/`, in the order in which it was
//! heard. The write that does it removes it there, and says in the log what became of it.

use super::batch::{Answered, Batch, Head, settling};
use super::wire::{Compare, Op, Ranging, Txn};
use super::{Etcd, NoAnswer, parse, random};
use crate::error::{Failure, FailureKind};
use model::Event;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a controller counts as there after its last word.
pub const LEASE: Duration = Duration::from_secs(10);
/// How often it says that it is.
const KEPT_EVERY: Duration = Duration::from_millis(2500);
/// So long before the end of its lease a leader decides nothing any more.
const MARGIN: Duration = Duration::from_secs(3);
/// Batches that are followed at once.
const BATCHES: u32 = 16;
/// Questions that are taken at once.
const ASKED: u32 = 32;
/// Events of one question, and about how many octets.
const EVENTS_MAX: usize = 256;
const OCTETS_MAX: usize = 256 << 10;

/// Who decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// This one; there is no other.
    Sole,
    /// This one, of several.
    Leads,
    /// Another; `None`: nobody at this moment.
    Follows(Option<Peer>),
}

/// A controller that is there, or was until just now. One that was started anew is another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Peer {
    /// For people; nothing keeps two from having the same.
    pub name: String,
    /// Its own word for itself, see [`crate::Store::id`].
    pub id: String,
}

/// The process behind a controller's own word for itself, which is another after each time that its lease was over.
pub fn process_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(process, _)| process)
}

/// What came of a write of which that was not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not, and never will be.
    Undone,
    /// So much was written since that it cannot be told any more.
    Lost,
}

/// What was new.
#[derive(Debug)]
pub struct Followed {
    /// Who decides.
    pub standing: Standing,
    /// What was written by others, in order.
    pub batches: Vec<Batch>,
    /// Everything is to be read anew: it is not known what was written meanwhile.
    pub reload: bool,
    /// What came of the publication or append that failed last, if that was not known.
    pub doubt: Option<Outcome>,
    /// What became of what was asked, of batches that were not followed but read all at once. `None`: nobody can tell any more.
    pub answered: Option<Vec<Answered>>,
    /// What others ask of this one, oldest first. Each is given once; it is to be answered with the next append.
    pub asked: Vec<Asked>,
    /// The controllers that are there, by name.
    pub controllers: Vec<Peer>,
}

/// What another controller heard.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// Which.
    pub controller: String,
    /// Its own number for it.
    pub number: u64,
    /// What it heard.
    pub events: Vec<Event>,
}

impl Asked {
    /// The answer.
    pub fn answer(&self, refused: Vec<Option<String>>) -> Answered {
        Answered { controller: self.controller.clone(), number: self.number, refused }
    }
}

/// How long something is certain, which whoever keeps it alive puts off.
#[derive(Clone, Debug, Default)]
pub struct Term(Arc<Mutex<Option<Instant>>>);

impl Term {
    fn begin(until: Instant) -> Self {
        Self(Arc::new(Mutex::new(Some(until))))
    }

    /// Whether it is certain now. To be asked at any time: nothing is waited for.
    pub fn is_certain(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it off, or ends it; false once it has ended.
    fn put_off(&self, to: Option<Instant>) -> bool {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some() {
            *until = to;
        }
        until.is_some()
    }
}

/// A term of deciding.
pub(super) struct Lead {
    /// The revision at which the leader's key was made.
    pub(super) term: i64,
}

/// That this controller is there.
pub(super) struct Registered {
    id: String,
    lease: i64,
    term: Term,
    /// When its key was last written: the revision.
    written: i64,
    /// The last that was asked.
    asked: u64,
}

/// The value of a controller's key.
#[derive(Serialize, Deserialize)]
struct Who {
    id: String,
    name: String,
    #[serde(default)]
    asked: u64,
}

impl From<Who> for Peer {
    fn from(who: Who) -> Self {
        Self { name: who.name, id: who.id }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Whoever keeps it alive stops.
        self.term.put_off(None);
    }
}

impl Etcd {
    /// Whether this controller may decide now.
    pub(crate) fn is_leading(&self) -> bool {
        self.term().is_some_and(Term::is_certain)
    }

    /// How long it leads, if it does.
    pub(crate) fn term(&self) -> Option<&Term> {
        self.lead.as_ref().and(self.registered.as_ref()).map(|registered| &registered.term)
    }

    /// This controller's own word for itself, where it asks.
    pub(crate) fn id(&self) -> Option<&str> {
        self.registered.as_ref().map(|registered| registered.id.as_str())
    }

    /// This process.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    /// Takes the lead of whatever is there, a zone that moved away too.
    pub(crate) fn take_lead(&mut self) -> Result<bool, Failure> {
        self.register()?;
        if !self.is_leading() {
            self.load()?;
            self.campaign()?;
        }
        Ok(self.is_leading())
    }

    /// Reads what is new, takes the lead if nobody has it, and gives what others ask.
    pub(crate) fn follow(&mut self) -> Result<Followed, Failure> {
        self.register()?;
        let read = |this: &Self| {
            let (controllers, end) = this.keys.controllers();
            vec![
                Op::Get(Ranging::key(this.keys.leader())),
                Op::Get(Ranging::key(this.keys.head())),
                Op::Get(Ranging::between(this.keys.log(this.applied + 1), this.keys.log(u64::MAX), BATCHES)),
                Op::Get(Ranging::between(controllers, end, 0)),
            ]
        };
        let done = self.client.txn(&Txn { then: read(self), ..Txn::default() })?;
        self.seen(done.header.revision)?;
        let mut ranges = done.ranges();
        let [leader, head, log, controllers] = [(); 4].map(|()| ranges.next().unwrap_or_default());
        let leader = leader.kvs.into_iter().next();
        let (mut now, mut at) = (Head::default(), 0);
        if let Some(pair) = head.kvs.first() {
            (now, at) = (parse(pair)?, pair.mod_revision);
        }
        if let Some(to) = &now.moved {
            self.step_down();
            return Err(Failure::moved(to));
        }
        // Without a head they are of a copy that was broken off.
        let entries = log.kvs.iter().filter(|_| at > 0).map(parse::<Batch>).collect::<Result<Vec<_>, _>>()?;
        let term = leader.as_ref().map(|pair| pair.create_revision);
        if self.lead.as_ref().is_some_and(|lead| term != Some(lead.term)) {
            self.step_down();
        }
        if let Some(pending) = self.pending {
            // Written by the term that it is of, it is the very next.
            let next = entries.first().filter(|entry| entry.batch == self.applied + 1);
            let is_done =
                now.token == pending.token || next.is_some_and(|entry| entry.token == pending.token);
            if !is_done && term == Some(pending.term) {
                // It may be on its way yet. After this it comes too late.
                self.head_revision = at;
                self.bar(&now, pending.term)?;
            }
            let outcome = match (is_done, next) {
                (true, _) => Outcome::Done,
                (false, None) if now.batch > self.applied => Outcome::Lost,
                (false, _) => Outcome::Undone,
            };
            self.pending = None;
            let doubt = pending.is_batch.then_some(outcome);
            return self.followed(leader, controllers, Vec::new(), true, doubt);
        }
        let mut batches = Vec::new();
        let mut next = self.applied + 1;
        let mut is_gap = now.batch < self.applied;
        for entry in entries {
            if entry.batch != next {
                is_gap = true;
                break;
            }
            let Some(batch) = self.whole(entry)? else {
                is_gap = true;
                break;
            };
            batches.push(batch);
            next += 1;
        }
        is_gap |= batches.is_empty() && now.batch > self.applied;
        if is_gap {
            return self.followed(leader, controllers, Vec::new(), true, None);
        }
        self.applied = next - 1;
        (self.head, self.head_revision) = (now, at);
        if leader.is_none() && self.applied == self.head.batch {
            self.campaign()?;
        }
        self.followed(leader, controllers, batches, false, None)
    }

    fn followed(
        &mut self,
        leader: Option<super::Pair>,
        controllers: super::wire::Range,
        batches: Vec<Batch>,
        reload: bool,
        doubt: Option<Outcome>,
    ) -> Result<Followed, Failure> {
        let is_leading = self.is_leading();
        let standing = match is_leading {
            true => Standing::Leads,
            false => {
                Standing::Follows(leader.as_ref().and_then(|pair| Some(parse::<Who>(pair).ok()?.into())))
            }
        };
        let mut asked = Vec::new();
        if is_leading && !reload && batches.is_empty() {
            asked = self.asked()?;
        }
        let controllers = controllers.kvs.iter().filter_map(|pair| Some(parse::<Who>(pair).ok()?.into()));
        let mut controllers: Vec<Peer> = controllers.collect();
        controllers.sort();
        let answered = self.missed.replace(Vec::new());
        Ok(Followed { standing, batches, reload, doubt, answered, asked, controllers })
    }

    /// Moves the head without a batch: what was to be written from where it was cannot be any more.
    fn bar(&mut self, head: &Head, term: i64) -> Result<(), Failure> {
        let fenced = Head { token: random()?, ..head.clone() };
        let then = vec![Op::Put(self.keys.head(), serde_json::to_vec(&fenced)?, 0)];
        let compare = vec![
            Compare::Made(self.keys.leader(), term),
            Compare::Written(self.keys.head(), self.head_revision),
        ];
        let done = self.client.txn(&Txn { compare, then, otherwise: Vec::new() })?;
        self.seen(done.header.revision)?;
        match done.succeeded {
            true => Ok(()),
            // Either it came through just now, or an earlier try of this: looked at again.
            false => Err(Failure {
                kind: FailureKind::Unreachable,
                detail: "it is not known yet what came of a write".into(),
            }),
        }
    }

    /// Says that this controller is there, if it is not known to be.
    fn register(&mut self) -> Result<(), Failure> {
        if self.registered.as_ref().is_some_and(|registered| registered.term.until().is_some()) {
            return Ok(());
        }
        self.step_down();
        self.registered = None;
        let asked = Instant::now();
        let lease = self.client.grant(LEASE.as_secs())?.id;
        let id = format!("{}-{:014x}", self.process, random()?);
        let who = Who { id, name: self.name.clone(), asked: 0 };
        let key = self.keys.controller(&who.id);
        let put = Op::Put(key.clone(), serde_json::to_vec(&who)?, lease);
        let txn = Txn { compare: vec![Compare::Made(key, 0)], then: vec![put], otherwise: Vec::new() };
        let done = self.client.txn(&txn)?;
        if !done.succeeded {
            // An earlier try came through after all; a new name is as good.
            return Err(Failure { kind: FailureKind::Unreachable, detail: "etcd was slow to answer".into() });
        }
        let term = Term::begin(asked + LEASE.saturating_sub(MARGIN));
        let kept = term.clone();
        self.client.keep_alive(lease, KEPT_EVERY, move |when| {
            kept.put_off(when.map(|when| when + LEASE.saturating_sub(MARGIN)))
        });
        let written = done.header.revision;
        self.registered = Some(Registered { id: who.id, lease, term, written, asked: 0 });
        Ok(())
    }

    /// Tries to become the one that decides. Everything that was written until now must be known.
    fn campaign(&mut self) -> Result<(), Failure> {
        let Some(registered) = self.registered.as_ref().filter(|registered| registered.term.is_certain())
        else {
            return Ok(());
        };
        let who = Who { id: registered.id.clone(), name: self.name.clone(), asked: 0 };
        let txn = Txn {
            compare: vec![
                Compare::Made(self.keys.leader(), 0),
                Compare::Written(self.keys.head(), self.head_revision),
            ],
            then: vec![Op::Put(self.keys.leader(), serde_json::to_vec(&who)?, registered.lease)],
            otherwise: vec![Op::Get(Ranging::key(self.keys.leader()))],
        };
        let done = self.client.txn(&txn)?;
        self.seen(done.header.revision)?;
        let mut term = done.succeeded.then_some(done.header.revision);
        if let Some(pair) = done.ranges().next().and_then(|range| range.kvs.into_iter().next())
            && parse::<Who>(&pair).is_ok_and(|leader| leader.id == who.id)
        {
            // An earlier try of the same had been done.
            term = Some(pair.create_revision);
        }
        let Some(term) = term else { return Ok(()) };
        self.lead = Some(Lead { term });
        self.ordinals.clear();
        self.told.clear();
        self.compaction = None;
        // Of a copy that was broken off.
        if self.head_revision == 0 {
            self.clear().inspect_err(|_| self.resign())?;
        }
        // What the one before left undone.
        self.unsettled.clear();
        let unsettled = self.batches(self.head.settled + 1, self.head.batch);
        let settled = unsettled.and_then(|batches| {
            for batch in &batches {
                self.unsettled.push_back((batch.batch, settling(&self.keys, batch)?));
            }
            self.settle()
        });
        if settled.is_err() {
            // Whoever leads next does it from the start; it may be this one.
            self.resign();
        }
        settled
    }

    /// Decides nothing any more.
    pub(super) fn step_down(&mut self) {
        self.lead = None;
        self.unsettled.clear();
        self.told.clear();
    }

    /// Leaves the lead to another, and this controller's name.
    pub(crate) fn resign(&mut self) {
        self.step_down();
        if let Some(registered) = self.registered.take() {
            // It ends by itself otherwise.
            let _ = self.client.revoke(registered.lease);
        }
    }

    /// What others ask and this one was not told yet.
    fn asked(&mut self) -> Result<Vec<Asked>, Failure> {
        let (from, to) = self.keys.all_asked();
        let range = self.client.range(&Ranging::between(from, to, ASKED))?;
        let mut asked = Vec::new();
        for pair in &range.kvs {
            let Some((controller, number)) = self.keys.asker(&pair.key) else { continue };
            if self.told.insert((controller.clone(), number)) {
                // What cannot be read is answered all the same, so that it does not lie there for ever.
                let events = parse(pair).unwrap_or_default();
                asked.push(Asked { controller, number, events });
            }
        }
        Ok(asked)
    }

    /// Lays events before the one that decides: as many of the first as are taken at once. Gives the number of the question
    /// and how many events are in it; `None`: nothing was asked, since etcd does not know this controller, until it follows again.
    pub(crate) fn ask(&mut self, events: &[Event]) -> Result<Option<(u64, usize)>, Failure> {
        let Some(registered) = &self.registered else { return Ok(None) };
        let mut octets = 2;
        let mut count = 0;
        for event in events.iter().take(EVENTS_MAX) {
            octets += serde_json::to_vec(event)?.len() + 1;
            if count > 0 && octets > OCTETS_MAX {
                break;
            }
            count += 1;
        }
        let number = registered.asked + 1;
        let who = Who { id: registered.id.clone(), name: self.name.clone(), asked: number };
        let key = self.keys.controller(&who.id);
        let value = serde_json::to_vec(events.get(..count).unwrap_or_default())?;
        let txn = Txn {
            compare: vec![Compare::Written(key.clone(), registered.written)],
            then: vec![
                Op::Put(key.clone(), serde_json::to_vec(&who)?, registered.lease),
                Op::Put(self.keys.asked(&who.id, number), value, 0),
            ],
            otherwise: vec![Op::Get(Ranging::key(key))],
        };
        let done = match self.client.txn(&txn) {
            Ok(done) => done,
            Err(no) => {
                // Whether it was asked is not known, so the next is asked under another name.
                if matches!(no, NoAnswer::Unknown(_)) {
                    self.registered = None;
                }
                return Err(no.into());
            }
        };
        let mut written = done.succeeded.then_some(done.header.revision);
        if let Some(pair) = done.ranges().next().and_then(|range| range.kvs.into_iter().next())
            && parse::<Who>(&pair).is_ok_and(|before| before.asked == number)
        {
            written = Some(pair.mod_revision);
        }
        match (written, &mut self.registered) {
            (Some(written), Some(registered)) => {
                (registered.written, registered.asked) = (written, number);
                Ok(Some((number, count)))
            }
            _ => {
                self.registered = None;
                Ok(None)
            }
        }
    }
}
