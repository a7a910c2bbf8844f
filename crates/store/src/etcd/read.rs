//! Reading: all at once at a start, and history while others write.

use super::batch::{Batch, Head, Kept, PlanRow, Row};
use super::client::Client;
use super::keys::Keys;
use super::wire::{Pair, Ranging};
use super::{Etcd, NoAnswer, parse};
use crate::error::Failure;
use crate::read::{Entry, Loaded, Published, Selection};
use model::{Change, Facts, Generation, Location};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values that are read at once.
const PAGE: u32 = 512;
/// Batches that are read at once.
const BATCHES: u32 = 16;
/// Reading all at once is begun anew so often, if what it reads is forgotten meanwhile.
const TRIES_MAX: u32 = 3;

impl Etcd {
    /// See [`crate::Store::load`]. From here on, batches after it are to be followed.
    pub(crate) fn load(&mut self) -> Result<Loaded, Failure> {
        let mut tries = 0;
        loop {
            match self.try_load() {
                Err(failure) if failure.detail.contains("compacted") && tries < TRIES_MAX => tries += 1,
                loaded => return loaded,
            }
        }
    }

    fn try_load(&mut self) -> Result<Loaded, Failure> {
        let range = self.client.range(&Ranging::key(self.keys.head()))?;
        let at = range.header.revision;
        self.seen(at)?;
        let reader = Reader { client: &self.client, keys: &self.keys, at };
        let (mut head, mut head_revision) = (Head::default(), 0);
        if let Some(pair) = range.kvs.first() {
            (head, head_revision) = (parse(pair)?, pair.mod_revision);
        }
        // A zone begins with its head: what lies there without one was never whole.
        let mut facts = if head_revision == 0 { Facts::default() } else { reader.facts()? };
        let unsettled = reader.batches(head.settled + 1, head.batch)?;
        for batch in &unsettled {
            facts.machines.extend(batch.machines.clone());
            batch.changes.iter().for_each(|change| facts.step_change(change.clone()));
        }
        let published = match head.generation {
            Generation(0) => None,
            generation => reader.plan(generation)?,
        };
        // Who waits for an answer hears it all the same.
        if self.applied > 0 && head.batch > self.applied {
            match reader.batches(self.applied + 1, head.batch) {
                Ok(batches) => {
                    let answered = batches.into_iter().flat_map(|batch| batch.answered);
                    self.missed.get_or_insert_default().extend(answered);
                }
                Err(_) => self.missed = None,
            }
        }
        // What the next leader has to do first, whoever that is.
        self.unsettled.clear();
        for batch in &unsettled {
            self.unsettled.push_back((batch.batch, super::batch::settling(&self.keys, batch)?));
        }
        self.ordinals.clear();
        self.told.clear();
        self.applied = head.batch;
        let last_seq = head.seq;
        (self.head, self.head_revision) = (head, head_revision);
        Ok(Loaded { published, facts, last_seq })
    }

    /// A plan.
    pub(crate) fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        Reader { client: &self.client, keys: &self.keys, at: 0 }.plan(generation)
    }

    /// The batches from one to another.
    pub(super) fn batches(&self, first: u64, last: u64) -> Result<Vec<Batch>, Failure> {
        Reader { client: &self.client, keys: &self.keys, at: 0 }.batches(first, last)
    }

    /// A batch whole, from its entry in the log; `None`: its pieces are gone.
    pub(super) fn whole(&self, entry: Batch) -> Result<Option<Batch>, Failure> {
        Reader { client: &self.client, keys: &self.keys, at: 0 }.whole(entry)
    }

    /// See [`crate::Store::history`].
    pub(crate) fn history(&self) -> EtcdHistory {
        EtcdHistory { client: Arc::clone(&self.client), keys: self.keys.clone() }
    }
}

/// Reads history; never writes.
pub(crate) struct EtcdHistory {
    client: Arc<Client>,
    keys: Keys,
}

impl EtcdHistory {
    fn reader(&self, at: i64) -> Reader<'_> {
        Reader { client: &self.client, keys: &self.keys, at }
    }

    /// All entries, in some order in which each place's are in theirs.
    pub(crate) fn each_event(
        &self,
        mut each: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let range = self.client.range(&Ranging::key(self.keys.head()))?;
        let Some(pair) = range.kvs.first() else { return Ok(()) };
        let head: Head = parse(pair)?;
        let reader = self.reader(range.header.revision);
        let (from, to) = self.keys.events();
        reader.pages(from, to, |pair| {
            each(parse::<Kept>(&pair)?.into())?;
            Ok(true)
        })?;
        let unsettled = reader.batches(head.settled + 1, head.batch)?;
        unsettled.into_iter().flat_map(|batch| batch.events).try_for_each(|kept| each(kept.into()))
    }

    /// Whether a zone is there. What lies there without a head was never whole.
    fn is_zone(&self) -> Result<bool, Failure> {
        let head = Ranging { keys_only: true, ..Ranging::key(self.keys.head()) };
        Ok(!self.client.range(&head)?.kvs.is_empty())
    }

    /// The bytes kept under this name.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        if !self.is_zone()? {
            return Ok(None);
        }
        let range = self.client.range(&Ranging::key(self.keys.secret(name)))?;
        Ok(range.kvs.into_iter().next().map(|pair| pair.value))
    }

    /// The names of all.
    pub(crate) fn secrets(&self) -> Result<Vec<String>, Failure> {
        if !self.is_zone()? {
            return Ok(Vec::new());
        }
        let (from, to) = self.keys.secrets();
        let range = self.client.range(&Ranging { keys_only: true, ..Ranging::between(from, to, 0) })?;
        Ok(range.kvs.iter().map(|pair| self.keys.secret_name(&pair.key).to_owned()).collect())
    }

    /// See [`crate::History::events`].
    pub(crate) fn events(&self, selection: Selection<'_>, limit: u32) -> Result<Vec<Entry>, Failure> {
        let range = self.client.range(&Ranging::key(self.keys.head()))?;
        let Some(pair) = range.kvs.first() else { return Ok(Vec::new()) };
        let head: Head = parse(pair)?;
        let reader = self.reader(range.header.revision);
        let unsettled = reader.batches(head.settled + 1, head.batch)?;
        let unsettled = unsettled.into_iter().flat_map(|batch| batch.events);
        match selection {
            Selection::Of(location) => {
                let mut kept = Vec::new();
                let (from, to) = (self.keys.event(location, 0), self.keys.event(location, u64::MAX));
                reader.last(from, to, limit, |pair| {
                    kept.push(parse::<Kept>(&pair)?);
                    Ok(())
                })?;
                kept.reverse();
                kept.extend(unsettled.filter(|kept| kept.event.location == *location));
                let surplus = kept.len().saturating_sub(limit as usize);
                Ok(kept.into_iter().skip(surplus).map(Entry::from).collect())
            }
            Selection::After(seq) if seq >= head.seq => Ok(Vec::new()),
            Selection::After(seq) => {
                let found = match reader.recent(&head, seq)? {
                    Some(recent) => recent,
                    None => reader.all(seq, limit, unsettled)?,
                };
                Ok(found.into_iter().take(limit as usize).map(Entry::from).collect())
            }
        }
    }

    /// A plan.
    pub(crate) fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        self.reader(0).plan(generation)
    }

    /// See [`crate::History::plans`].
    pub(crate) fn plans(&self, limit: u32) -> Result<Vec<Published>, Failure> {
        if !self.is_zone()? {
            return Ok(Vec::new());
        }
        let reader = self.reader(0);
        let (from, to) = (self.keys.plan(Generation(0)), self.keys.plan(Generation(u64::MAX)));
        let mut plans = Vec::new();
        reader.last(from, to, limit, |pair| {
            plans.push(reader.whole_plan(parse(&pair)?)?);
            Ok(())
        })?;
        Ok(plans)
    }
}

/// Reads as of one revision; 0: now.
struct Reader<'a> {
    client: &'a Client,
    keys: &'a Keys,
    at: i64,
}

impl Reader<'_> {
    /// Machines and changes, as the tables have them.
    fn facts(&self) -> Result<Facts, Failure> {
        let mut facts = Facts::default();
        let (from, to) = self.keys.machines();
        self.pages(from, to, |pair| {
            let row: Row = parse(&pair)?;
            facts.machines.insert(Location::new(self.keys.location(&pair.key)), row.machine);
            Ok(true)
        })?;
        let (from, to) = self.keys.changes();
        self.pages(from, to, |pair| {
            let change: Change = parse(&pair)?;
            facts.changes.insert(change.id, change);
            Ok(true)
        })?;
        for (id, change) in &mut facts.changes {
            let (from, to) = self.keys.change_machines(*id);
            self.pages(from, to, |pair| {
                let location = Location::new(Keys::machine_of_change(&pair.key));
                change.machines.insert(location, parse(&pair)?);
                Ok(true)
            })?;
        }
        Ok(facts)
    }

    /// Everything between two keys, in order, until `each` has enough.
    fn pages(
        &self,
        mut from: String,
        to: String,
        mut each: impl FnMut(Pair) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut page = PAGE;
        loop {
            let range = Ranging { revision: self.at, ..Ranging::between(from.clone(), to.clone(), page) };
            let range = match self.client.range(&range) {
                // Some values are large.
                Err(NoAnswer::TooLong) if page > 1 => {
                    page = (page / 4).max(1);
                    continue;
                }
                range => range?,
            };
            let more = range.more;
            for pair in range.kvs {
                from = format!("{}\0", pair.key);
                if !each(pair)? {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The last between two keys, the last first, at most `limit`.
    fn last(
        &self,
        from: String,
        mut to: String,
        limit: u32,
        mut each: impl FnMut(Pair) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = limit;
        let mut page = PAGE;
        while left > 0 {
            let wanted = page.min(left);
            let range = Ranging {
                revision: self.at,
                descending: true,
                ..Ranging::between(from.clone(), to.clone(), wanted)
            };
            let range = match self.client.range(&range) {
                Err(NoAnswer::TooLong) if page > 1 => {
                    page = (page / 4).max(1);
                    continue;
                }
                range => range?,
            };
            let more = range.more;
            for pair in range.kvs {
                to.clone_from(&pair.key);
                each(pair)?;
                left = left.saturating_sub(1);
            }
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The batches from one to another, whole.
    fn batches(&self, first: u64, last: u64) -> Result<Vec<Batch>, Failure> {
        let mut batches = Vec::new();
        if first > last {
            return Ok(batches);
        }
        let mut next = first;
        while next <= last {
            let to = self.keys.log(last.saturating_add(1).min(next + u64::from(BATCHES)));
            let range = self.client.range(&Ranging {
                revision: self.at,
                ..Ranging::between(self.keys.log(next), to, BATCHES)
            })?;
            let before = next;
            for pair in &range.kvs {
                let gone = || Failure::corrupt(format!("the pieces of {} are not there", pair.key));
                batches.push(self.whole(parse(pair)?)?.ok_or_else(gone)?);
                next += 1;
            }
            if next == before {
                return Err(Failure::corrupt(format!("batch {next} is not there")));
            }
        }
        Ok(batches)
    }

    fn whole(&self, entry: Batch) -> Result<Option<Batch>, Failure> {
        let Some(pieces) = &entry.pieces else { return Ok(Some(entry)) };
        let mut values = Vec::with_capacity(pieces.count.min(1024));
        for piece in 0..pieces.count {
            let key = Ranging { revision: self.at, ..Ranging::key(self.keys.part(entry.batch, piece)) };
            match self.client.range(&key)?.kvs.into_iter().next() {
                Some(pair) => values.push(pair.value),
                None => return Ok(None),
            }
        }
        let octets = pieces.join(values.into_iter())?;
        Ok(Some(serde_json::from_slice(&octets)?))
    }

    fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        let key = Ranging { revision: self.at, ..Ranging::key(self.keys.plan(generation)) };
        let range = self.client.range(&key)?;
        range.kvs.first().map(|pair| self.whole_plan(parse(pair)?)).transpose()
    }

    fn whole_plan(&self, mut row: PlanRow) -> Result<Published, Failure> {
        if let Some(pieces) = &row.pieces {
            let mut values = Vec::with_capacity(pieces.count.min(1024));
            for piece in 0..pieces.count {
                let key =
                    Ranging { revision: self.at, ..Ranging::key(self.keys.design(row.generation, piece)) };
                values.extend(self.client.range(&key)?.kvs.into_iter().next().map(|pair| pair.value));
            }
            row.files = serde_json::from_slice(&pieces.join(values.into_iter())?)?;
        }
        Ok(row.into())
    }

    /// The events after a number, if the log goes back so far.
    fn recent(&self, head: &Head, seq: u64) -> Result<Option<Vec<Kept>>, Failure> {
        let mut found: Vec<Kept> = Vec::new();
        let (mut last, mut step) = (head.batch, 1);
        loop {
            let first = last.saturating_sub(step - 1).max(head.oldest.max(1));
            let mut older: Vec<Kept> =
                self.batches(first, last)?.into_iter().flat_map(|batch| batch.events).collect();
            older.append(&mut found);
            found = older;
            if found.first().is_some_and(|kept| kept.seq <= seq + 1) {
                found.retain(|kept| kept.seq > seq);
                return Ok(Some(found));
            }
            if first <= head.oldest.max(1) {
                return Ok(None);
            }
            (last, step) = (first - 1, step * 2);
        }
    }

    /// The events after a number, from the tables: all are looked at, the first are kept.
    fn all(&self, seq: u64, limit: u32, unsettled: impl Iterator<Item = Kept>) -> Result<Vec<Kept>, Failure> {
        let mut found: BTreeMap<u64, Kept> = BTreeMap::new();
        let mut take = |kept: Kept| {
            if kept.seq > seq {
                found.insert(kept.seq, kept);
                if found.len() > limit as usize {
                    found.pop_last();
                }
            }
        };
        let (from, to) = self.keys.events();
        self.pages(from, to, |pair| {
            take(parse(&pair)?);
            Ok(true)
        })?;
        unsettled.for_each(take);
        Ok(found.into_values().collect())
    }
}
