//! Writing: the chain of batches, and the tables behind it.
//!
//! A batch is in the log whole or not at all: what is too large for one value lies beside it first, and the log's entry,
//! written last, names it by its digest. The tables, from which everything is read at a start, follow: within the same
//! transaction if there is room, else right after it, and what a leader left undone the next one does first.

use super::batch::{Batch, Beside, Head, Kept, Pieces, PlanRow, settling};
use super::wire::{Compare, Op, Ranging, Txn};
use super::{Etcd, NoAnswer, Pending, parse, random};
use crate::error::{Failure, FailureKind, PublishError};
use crate::schema::PLANS_MAX;
use crate::write::{Publication, Record, Stepped};
use model::facts::Machine;
use model::{Change, Generation, Location};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// Operations of one transaction: etcd takes 128, unless it is told otherwise.
const OPS_MAX: usize = 100;
/// Octets of one transaction: etcd takes 1.5 MiB.
const OCTETS_MAX: usize = 768 << 10;
/// Octets of one value, and of one piece of what is larger.
pub(super) const PIECE_MAX: usize = 512 << 10;
/// Batches that are kept for controllers that follow; one that is further behind reads everything anew.
const LOG_MAX: u64 = 256;
/// How many more there may be before the oldest are removed.
const LOG_SLACK: u64 = 32;
/// So much of etcd's own history is kept: for whoever reads page by page.
const COMPACT_AFTER: Duration = Duration::from_secs(300);

impl Etcd {
    /// See [`crate::Store::publish`].
    pub(crate) fn publish(&mut self, publication: &Publication<'_>) -> Result<Generation, PublishError> {
        self.ready_to_write()?;
        let Publication { parent, author, reason, at, files, digest, commit, change } = *publication;
        if self.head.generation != parent {
            return Err(PublishError::Stale { parent, current: self.head.generation });
        }
        let generation = Generation(parent.0 + 1);
        let files: Vec<_> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let (author, reason, digest) = (author.to_owned(), reason.to_owned(), digest.to_owned());
        let commit = commit.map(str::to_owned);
        let mut row = PlanRow { generation, parent, author, reason, at, digest, commit, files, pieces: None };
        let octets = serde_json::to_vec(&row.files).map_err(Failure::from)?;
        if octets.len() > PIECE_MAX {
            row.pieces = Some(self.lay_beside(&octets, |this, piece| this.keys.design(generation, piece))?);
            row.files.clear();
        }
        let mut ops =
            vec![Op::Put(self.keys.plan(generation), serde_json::to_vec(&row).map_err(Failure::from)?, 0)];
        if let Some(last) = generation.0.checked_sub(u64::from(PLANS_MAX)).filter(|last| *last > 0) {
            let (first, next) = (Generation(0), Generation(last + 1));
            ops.push(Op::DeleteRange(self.keys.plan(first), self.keys.plan(next)));
            ops.push(Op::DeleteRange(self.keys.designs(first), self.keys.designs(next)));
        }
        let changes = change.into_iter().cloned().collect();
        let batch = Batch { published: Some(generation), changes, ..Batch::default() };
        self.commit(batch, ops, |head| head.generation = generation)?;
        Ok(generation)
    }

    /// See [`crate::Store::append`]; `beside` is for other controllers.
    pub(crate) fn append<'a>(
        &mut self,
        records: &[Record],
        machines: impl IntoIterator<Item = (&'a Location, &'a Machine)>,
        changes: impl IntoIterator<Item = Stepped<'a>>,
        beside: Beside,
    ) -> Result<u64, Failure> {
        self.ready_to_write()?;
        self.count(records.iter().map(|record| &record.event.location))?;
        let machines: BTreeMap<_, _> =
            machines.into_iter().map(|(location, machine)| (location.clone(), machine.clone())).collect();
        let mut seq = self.head.seq;
        let mut ordinals = BTreeMap::new();
        let mut events = Vec::with_capacity(records.len());
        for Record { event, state } in records {
            seq += 1;
            let before = self.ordinals.get(&event.location).copied().unwrap_or_default();
            let ordinal = ordinals.entry(event.location.clone()).or_insert(before);
            *ordinal += 1;
            events.push(Kept { seq, ordinal: *ordinal, event: event.clone(), state: (*state).to_owned() });
        }
        let Beside { answered, check_again } = beside;
        let asked: Vec<_> =
            answered.iter().map(|answered| (answered.controller.clone(), answered.number)).collect();
        let done = asked.iter().map(|(id, number)| Op::Delete(self.keys.asked(id, *number))).collect();
        let changes = changes.into_iter().map(stepped).collect();
        let batch = Batch { events, machines, changes, answered, check_again, ..Batch::default() };
        self.commit(batch, done, |head| head.seq = seq)?;
        self.ordinals.extend(ordinals);
        for asked in &asked {
            self.told.remove(asked);
        }
        Ok(seq)
    }

    /// See [`crate::Store::set_secret`].
    pub(crate) fn set_secret(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.ready_to_write()?;
        let put = Op::Put(self.keys.secret(name), bytes.to_vec(), 0);
        self.commit(Batch::default(), vec![put], |_| ())
    }

    /// Only a leader writes, whose last write is known to be done, and who knows all that was written.
    fn ready_to_write(&mut self) -> Result<(), Failure> {
        if self.pending.is_some() {
            let detail = "it is not known yet what came of an earlier write".to_owned();
            return Err(Failure { kind: FailureKind::Unreachable, detail });
        }
        if let Some(to) = &self.head.moved {
            return Err(Failure::moved(to));
        }
        if !self.is_leading() || self.applied != self.head.batch {
            return Err(Failure::deposed());
        }
        self.settle()
    }

    /// One more batch, with what is done beside it.
    fn commit(
        &mut self,
        mut batch: Batch,
        mut ops: Vec<Op>,
        moved: impl FnOnce(&mut Head),
    ) -> Result<(), Failure> {
        let mut head = self.head.clone();
        moved(&mut head);
        (head.batch, head.token) = (head.batch + 1, random()?);
        (batch.batch, batch.token) = (head.batch, head.token);
        let settling = settling(&self.keys, &batch)?;
        let mut entry = serde_json::to_vec(&batch)?;
        if entry.len() > PIECE_MAX {
            let number = head.batch;
            let pieces = self.lay_beside(&entry, |this, piece| this.keys.part(number, piece))?;
            let named = Batch { pieces: Some(pieces), batch: number, token: head.token, ..Batch::default() };
            entry = serde_json::to_vec(&named)?;
        }
        ops.push(Op::Put(self.keys.log(head.batch), entry, 0));
        if head.batch.saturating_sub(head.oldest) > LOG_MAX + LOG_SLACK {
            let oldest = (head.batch - LOG_MAX).min(head.settled);
            ops.push(Op::DeleteRange(self.keys.log(0), self.keys.log(oldest)));
            ops.push(Op::DeleteRange(self.keys.parts(0), self.keys.parts(oldest)));
            head.oldest = oldest;
        }
        let octets: usize = ops.iter().chain(&settling).map(Op::octets).sum();
        let number = head.batch;
        if ops.len() + settling.len() < OPS_MAX && octets <= OCTETS_MAX {
            head.settled = number;
            ops.extend(settling);
        } else {
            self.unsettled.push_back((number, settling));
        }
        let settled = head.settled;
        let outcome = self.advance(ops, head);
        match &outcome {
            Ok(()) => {
                self.applied = number;
                // What cannot be done now is done before the next batch.
                let _ = self.settle();
                self.compact();
            }
            Err(_) if settled != number => drop(self.unsettled.pop_back()),
            Err(_) => {}
        }
        outcome
    }

    /// Does these with the head moved: once, and only as the leader that was elected, from the head that is known.
    pub(super) fn advance(&mut self, mut ops: Vec<Op>, head: Head) -> Result<(), Failure> {
        ops.push(Op::Put(self.keys.head(), serde_json::to_vec(&head)?, 0));
        let otherwise = vec![Op::Get(Ranging::key(self.keys.head()))];
        let is_batch = head.batch != self.head.batch;
        let term = self.lead.as_ref().map_or(0, |lead| lead.term);
        let txn = Txn { compare: self.fence()?, then: ops, otherwise };
        let done = match self.client.txn(&txn) {
            Ok(done) => done,
            Err(NoAnswer::Unknown(why)) => {
                self.pending = Some(Pending { token: head.token, is_batch, term });
                return Err(NoAnswer::Unknown(why).into());
            }
            Err(no) => return Err(no.into()),
        };
        let revision = done.header.revision;
        self.seen(revision)?;
        if done.succeeded {
            (self.head, self.head_revision) = (head, revision);
            return Ok(());
        }
        if let Some(pair) = done.ranges().next().and_then(|range| range.kvs.into_iter().next())
            && parse::<Head>(&pair)?.token == head.token
        {
            // An earlier try of the same had been done.
            (self.head, self.head_revision) = (head, pair.mod_revision);
            return Ok(());
        }
        self.step_down();
        Err(Failure::deposed())
    }

    /// What every write of a leader compares.
    pub(super) fn fence(&self) -> Result<Vec<Compare>, Failure> {
        let lead = self.lead.as_ref().ok_or_else(Failure::deposed)?;
        Ok(vec![
            Compare::Made(self.keys.leader(), lead.term),
            Compare::Written(self.keys.head(), self.head_revision),
        ])
    }

    /// Lays octets in pieces where nothing names them yet.
    pub(super) fn lay_beside(
        &mut self,
        octets: &[u8],
        key: impl Fn(&Self, usize) -> String,
    ) -> Result<Pieces, Failure> {
        for (index, piece) in octets.chunks(PIECE_MAX).enumerate() {
            self.fenced(vec![Op::Put(key(self, index), piece.to_vec(), 0)])?;
        }
        Ok(Pieces::of(octets, PIECE_MAX))
    }

    /// Does these without moving the head; twice is as good as once, until it moves.
    pub(super) fn fenced(&mut self, ops: Vec<Op>) -> Result<(), Failure> {
        let done = self.client.txn(&Txn { compare: self.fence()?, then: ops, otherwise: Vec::new() })?;
        self.seen(done.header.revision)?;
        if !done.succeeded {
            self.step_down();
            return Err(Failure::deposed());
        }
        Ok(())
    }

    /// The same, as many at once as fit in a transaction.
    pub(super) fn in_portions(&mut self, ops: &[Op]) -> Result<(), Failure> {
        let mut rest = ops;
        while !rest.is_empty() {
            let mut octets = 0;
            let fits = |op: &&Op| {
                octets += op.octets();
                octets <= OCTETS_MAX
            };
            let count = rest.iter().take(OPS_MAX).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            self.fenced(now.to_vec())?;
            rest = later;
        }
        Ok(())
    }

    /// Brings the tables up to the log.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        while let Some((number, ops)) = self.unsettled.front() {
            let (number, ops) = (*number, ops.clone());
            self.in_portions(&ops)?;
            let head = Head { settled: number, token: random()?, ..self.head.clone() };
            self.advance(Vec::new(), head)?;
            self.unsettled.pop_front();
        }
        Ok(())
    }

    /// Knows how many events each of these places had.
    fn count<'a>(&mut self, locations: impl Iterator<Item = &'a Location>) -> Result<(), Failure> {
        let unknown: HashSet<_> =
            locations.filter(|location| !self.ordinals.contains_key(*location)).collect();
        let unknown: Vec<_> = unknown.into_iter().collect();
        for some in unknown.chunks(OPS_MAX) {
            let last = |location: &&Location| {
                let (from, to) = (self.keys.event(location, 0), self.keys.event(location, u64::MAX));
                Op::Get(Ranging { descending: true, keys_only: true, ..Ranging::between(from, to, 1) })
            };
            let then = some.iter().map(last).collect();
            let done = self.client.txn(&Txn { then, ..Txn::default() })?;
            for (location, range) in some.iter().zip(done.ranges()) {
                let last = range.kvs.first().and_then(|pair| super::Keys::ordinal(&pair.key));
                self.ordinals.insert((*location).clone(), last.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Lets etcd forget what is old. It grows without end otherwise.
    fn compact(&mut self) {
        let (at, revision) = *self.compaction.get_or_insert((Instant::now(), self.revision));
        if at.elapsed() > COMPACT_AFTER {
            // Another's word for it does as well, and a failure is tried again then.
            let _ = self.client.compact(revision);
            self.compaction = Some((Instant::now(), self.revision));
        }
    }
}

/// A change with those of its machines that are to be kept anew.
fn stepped(Stepped { change, machines }: Stepped<'_>) -> Change {
    let member = |location: &Location| Some((location.clone(), change.machines.get(location)?.clone()));
    Change { machines: machines.iter().filter_map(member).collect(), ..change.head() }
}
