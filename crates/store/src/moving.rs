//! Everything of one store, put into another, whichever kinds they are.
//!
//! Nobody may write to the one that is copied from meanwhile: its one writer is who calls this. The other one counts as empty until all of it is
//! there, and is read back and compared before anybody relies on it; then the one that was copied from says where it went, and is
//! not opened any more.

use crate::error::Failure;
use crate::read::{Entry, Published};
use crate::schema::PLANS_MAX;
use crate::store::Store;
use model::Facts;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Events that are put at once.
const EVENTS: usize = 512;

/// How much was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Plans.
    pub plans: usize,
    /// Machines.
    pub machines: usize,
    /// Changes.
    pub changes: usize,
    /// Events.
    pub events: usize,
    /// Secrets.
    pub secrets: usize,
}

/// What is put into a store that is being filled.
pub(crate) enum Piece<'a> {
    Plan(&'a Published),
    Facts(&'a Facts),
    Events(&'a [Entry]),
    Secret(&'a str, &'a [u8]),
}

/// Copies all of `from` into `to`, and compares. `to` is opened by it only if they are alike.
///
/// # Errors
/// It could not be read, written, or is not alike; `to` is as empty as it was.
pub fn copy(from: &mut Store, to: &mut Store) -> Result<Copied, Failure> {
    let loaded = from.load()?;
    let history = from.history()?;
    let mut copied = Copied {
        machines: loaded.facts.machines.len(),
        changes: loaded.facts.changes.len(),
        ..Copied::default()
    };
    to.begin_filling()?;
    let mut plans = history.plans(PLANS_MAX)?;
    plans.reverse();
    for plan in &plans {
        to.fill(&Piece::Plan(plan))?;
    }
    copied.plans = plans.len();
    to.fill(&Piece::Facts(&loaded.facts))?;
    let mut some: Vec<Entry> = Vec::with_capacity(EVENTS);
    let mut digest = 0_u64;
    history.each_event(|entry| {
        digest ^= digest_of(&entry);
        copied.events += 1;
        some.push(entry);
        if some.len() >= EVENTS {
            to.fill(&Piece::Events(&some))?;
            some.clear();
        }
        Ok(())
    })?;
    to.fill(&Piece::Events(&some))?;
    let names = history.secrets()?;
    for name in &names {
        if let Some(bytes) = history.secret(name)? {
            to.fill(&Piece::Secret(name, &bytes))?;
        }
    }
    copied.secrets = names.len();
    let generation = loaded.published.as_ref().map(|published| published.generation).unwrap_or_default();
    to.end_filling(loaded.last_seq, generation)?;
    let there = to.load()?;
    let copy = to.history()?;
    let (mut events, mut digest_there) = (0, 0_u64);
    copy.each_event(|entry| {
        digest_there ^= digest_of(&entry);
        events += 1;
        Ok(())
    })?;
    let mut plans_there = copy.plans(PLANS_MAX)?;
    plans_there.reverse();
    let mut are_alike = there == loaded && plans_there == plans && copy.secrets()? == names;
    are_alike &= (events, digest_there) == (copied.events, digest);
    for name in &names {
        are_alike &= history.secret(name)? == copy.secret(name)?;
    }
    if !are_alike {
        to.empty()?;
        return Err(Failure::corrupt(
            "what was copied does not read as what it was copied from; nothing was moved",
        ));
    }
    Ok(copied)
}

fn digest_of(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Entry { seq, event, state } = entry;
    // An event has no hash of its own; its text tells all of it.
    (seq, state, event.at.0, event.location.as_str(), format!("{:?}", event.what)).hash(&mut hasher);
    hasher.finish()
}
