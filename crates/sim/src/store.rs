//! What survives: batches that are durable as a whole or not at all, publications that are fenced by their parent, and who
//! leads. A model of `store`, with the faults of disks and machines.

use crate::check::Allowance;
use crate::drawing::Drawing;
use model::facts::Machine;
use model::{Change, ChangeId, Facts, Generation, Location, Plan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A publication.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) drawing: Drawing,
    pub(crate) plan: Arc<Plan>,
    /// What brings it to machines, if it does something to some.
    pub(crate) change: Option<Change>,
}

/// Everything that is stored.
pub(crate) struct Store {
    /// Counts leaders: who writes with an older one is refused.
    pub(crate) term: u64,
    pub(crate) leader: Option<usize>,
    pub(crate) lease_until: u64,
    pub(crate) revision: u64,
    pub(crate) facts: Facts,
    /// Which places each revision changed.
    pub(crate) log: Vec<(u64, Vec<Location>)>,
    /// How often each place was changed.
    pub(crate) versions: BTreeMap<Location, u64>,
    /// Whose disks may be written, as the operators were told.
    pub(crate) allowances: BTreeMap<Location, Allowance>,
    /// The last is in force.
    pub(crate) plans: Vec<Published>,
    /// No octet more fits until then.
    pub(crate) full_until: u64,
    /// A write takes so many times as long as usual.
    pub(crate) slowness: u64,
}

/// Events that are stored together, and the machines that they changed.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) machines: Vec<(Location, Machine, u64)>,
    pub(crate) allowances: Vec<(Location, Option<Allowance>)>,
    pub(crate) changes: Vec<Change>,
    /// Whose turn came in it.
    pub(crate) taken: Vec<(ChangeId, Location)>,
}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Full,
    /// Another leads by now.
    Fenced,
}

impl Store {
    pub(crate) fn new(first: Published) -> Self {
        Self {
            term: 0,
            leader: None,
            lease_until: 0,
            revision: 1,
            facts: Facts::default(),
            log: Vec::new(),
            versions: BTreeMap::new(),
            allowances: BTreeMap::new(),
            plans: vec![first],
            full_until: 0,
            slowness: 1,
        }
    }

    pub(crate) fn newest(&self) -> &Published {
        // One is put there at the beginning, and none is ever taken away.
        &self.plans[self.plans.len() - 1]
    }

    fn admits(&self, term: u64, now: u64) -> Result<(), Refused> {
        match () {
            () if term != self.term => Err(Refused::Fenced),
            () if now < self.full_until => Err(Refused::Full),
            () => Ok(()),
        }
    }

    pub(crate) fn append(&mut self, term: u64, batch: Batch, now: u64) -> Result<(), Refused> {
        self.admits(term, now)?;
        self.revision += 1;
        let places = batch.machines.iter().map(|(location, ..)| location.clone()).collect();
        self.log.push((self.revision, places));
        for (location, machine, version) in batch.machines {
            self.versions.insert(location.clone(), version);
            self.facts.machines.insert(location, machine);
        }
        for (location, allowance) in batch.allowances {
            match allowance {
                Some(allowance) => self.allowances.insert(location, allowance),
                None => self.allowances.remove(&location),
            };
        }
        for change in batch.changes {
            self.facts.step_change(change);
        }
        Ok(())
    }

    /// What each machine runs by, as these facts have it.
    pub(crate) fn in_force(&self, whole: &Arc<Plan>, facts: &Facts) -> Arc<Plan> {
        let held = lifecycle::change::holding(facts, whole.generation);
        let before = held.and_then(|change| self.numbered(change.plans()?.0));
        match held.zip(before) {
            Some((change, before)) if change.held().next().is_some() => {
                Arc::new(lifecycle::change::hold(whole, &before.plan, change.held()))
            }
            _ => Arc::clone(whole),
        }
    }

    /// The publication of this number.
    pub(crate) fn numbered(&self, generation: Generation) -> Option<&Published> {
        self.plans.get(usize::try_from(generation.0.checked_sub(1)?).ok()?)
    }

    pub(crate) fn publish(&mut self, term: u64, published: Published, now: u64) -> Result<(), Refused> {
        self.admits(term, now)?;
        self.revision += 1;
        if let Some(change) = &published.change {
            self.facts.step_change(change.clone());
        }
        self.plans.push(published);
        Ok(())
    }

    /// The facts as a start reads them: what is not stored is not there.
    ///
    /// # Errors
    /// What was written cannot be read back.
    pub(crate) fn load(&self) -> Result<Facts, String> {
        let text = serde_json::to_string(&self.facts.changes.values().collect::<Vec<_>>());
        let changes = text.and_then(|text| serde_json::from_str::<Vec<Change>>(&text));
        let changes: Vec<Change> = changes.map_err(|error| error.to_string())?;
        if changes.iter().ne(self.facts.changes.values()) {
            return Err("a change was read back as another".to_owned());
        }
        let changes = changes.into_iter().map(|change| (change.id, change)).collect();
        let mut facts = Facts { changes, ..Facts::default() };
        for (location, machine) in &self.facts.machines {
            facts
                .machines
                .insert(location.clone(), reread(machine).map_err(|why| format!("{location}: {why}"))?);
        }
        Ok(facts)
    }

    /// What changed after a revision.
    pub(crate) fn since(&self, revision: u64) -> Vec<(Location, Machine)> {
        let from = self.log.partition_point(|(of, _)| *of <= revision);
        let places = self.log[from..].iter().flat_map(|(_, places)| places);
        let found = places.filter_map(|place| self.facts.machines.get_key_value(place));
        found.map(|(place, machine)| (place.clone(), unconnected(machine))).collect()
    }
}

/// A machine as it is stored, without what its fields keep to themselves.
fn unconnected(machine: &Machine) -> Machine {
    Machine { agent_at: None, stranger: None, ..machine.clone() }
}

/// Written and read again.
fn reread(machine: &Machine) -> Result<Machine, String> {
    let text = serde_json::to_string(machine).map_err(|error| error.to_string())?;
    let read: Machine = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut expected = unconnected(machine);
    expected.burn_in.able = false;
    if read == expected { Ok(read) } else { Err(format!("{expected:?} was read back as {read:?}")) }
}
