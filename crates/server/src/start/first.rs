//! The plan that a start begins with: of the design as it lies there, if that may become current; else of the one before.

use crate::controller::Condition;
use crate::files::{ReadError, read_design};
use crate::options::{Journal, Options, StartError};
use crate::reload::{self, Reading, Words};
use crate::{changes, clock, commit};
use model::{Facts, Generation, Plan};
use std::sync::Arc;
use store::{Loaded, Publication, PublishError, Published, Store};

/// The design as it lies there, compared with nothing yet.
pub(super) struct Drawn {
    pub(super) digest: String,
    pub(super) reading: Reading,
}

impl Drawn {
    pub(super) fn read(options: &Options) -> Result<Self, ReadError> {
        let files = read_design(&options.design)?;
        Ok(Self { digest: reload::digest(&files), reading: reload::compile(files, None, Words::default()) })
    }
}

/// The plan that a change comes from, if one is under way or is to be taken back.
pub(super) fn before(store: &Store, facts: &Facts, plan: &Plan, journal: &Journal) -> Option<Arc<Plan>> {
    let change = lifecycle::change::holding(facts, plan.generation)?;
    let (from, _) = change.plans()?;
    change.held().next()?;
    let compiled = store.plan(from).ok().flatten().and_then(|published| changes::compiled(&published).ok());
    if compiled.is_none() {
        journal(&format!(
            "plan {from} cannot be made again: machines that {} has not reached run by plan {} from here on",
            change.id, plan.generation
        ));
    }
    compiled.map(Arc::new)
}

/// The plan to start with.
pub(super) struct First {
    pub(super) plan: Plan,
    pub(super) digest: String,
    pub(super) condition: Condition,
}

/// The design as it lies there, if it may become current; else the plan that was current before.
pub(super) fn first_plan(
    options: &Options,
    store: &mut Store,
    loaded: &Loaded,
    drawn: Result<Drawn, ReadError>,
    journal: &Journal,
) -> Result<First, StartError> {
    let digest_now = drawn.as_ref().ok().map(|drawn| drawn.digest.clone());
    let is_in_force = |published: &Published| Some(&published.digest) == digest_now.as_ref();
    // An unchanged design is compiled once.
    let unchanged = loaded.published.as_ref().filter(|published| is_in_force(published));
    let changed = loaded.published.as_ref().filter(|published| !is_in_force(published));
    let last =
        changed.and_then(|published| Some((changes::compiled(published).ok()?, published.digest.clone())));
    let parent = loaded.published.as_ref().map_or(Generation(0), |published| published.generation);
    let (reading, trouble) = match drawn {
        Ok(Drawn { reading, .. }) => {
            let mut reading = match &last {
                Some((plan, _)) => reload::compile(reading.files, Some(plan), Words::default()),
                None => reading,
            };
            // A start is no word for it: what would touch machines waits for one.
            if last.is_some() && reading.plan.is_some() {
                reading.refused = not_at_start(&loaded.facts, &reading);
                reading.plan = reading.plan.filter(|_| reading.refused.is_none());
            }
            let trouble = reading.refused.clone();
            (Some(reading), trouble)
        }
        Err(error) => (None, Some(reload::sentence(&error))),
    };
    let Some(Reading { files, findings, plan, .. }) = reading else {
        let sentence = trouble.unwrap_or_default();
        let Some((plan, digest)) = last else {
            return Err(StartError::Design { path: options.design.clone(), sentence });
        };
        journal(&format!("the design is not in force, plan {} stays: {sentence}", plan.generation));
        let condition =
            Condition { design_refused: Some(sentence), design_read: clock::now(), ..Condition::default() };
        return Ok(First { plan, digest, condition });
    };
    let digest = digest_now.unwrap_or_default();
    let mut condition = Condition { design_read: clock::now(), ..Condition::default() };
    let first = match (plan, unchanged.map(|published| published.generation), last) {
        (Some(plan), Some(generation), _) => (Plan { generation, ..plan }, digest),
        (Some(mut plan), None, _) => {
            let texts: Vec<_> = files.iter().map(|file| (file.path.as_str(), &*file.text)).collect();
            let commit = commit::of(&options.design, &files);
            let publication = Publication {
                parent,
                author: "zw serve",
                reason: "start",
                at: clock::now(),
                files: &texts,
                digest: &digest,
                commit: commit.as_deref(),
                change: None,
            };
            plan.generation = store.publish(&publication).map_err(|error| match error {
                PublishError::Failed(failure) => StartError::State(failure),
                PublishError::Stale { .. } => StartError::Controller(error.to_string()),
            })?;
            (plan, digest)
        }
        (None, _, Some((plan, last_digest))) => {
            let sentence = trouble.unwrap_or_default();
            journal(&format!("the design is not in force, plan {} stays: {sentence}", plan.generation));
            condition.design_refused = Some(sentence);
            (plan, last_digest)
        }
        (None, _, None) => return Err(StartError::Findings { findings, files }),
    };
    condition.findings = findings;
    condition.files = files;
    Ok(First { plan: first.0, digest: first.1, condition })
}

/// Why a design that changed while nothing ran cannot become current by itself.
fn not_at_start(facts: &Facts, reading: &Reading) -> Option<String> {
    if let Some(change) =
        facts.changes.values().find(|change| change.is_under_way() && change.plans().is_some())
    {
        return Some(format!("{} of {} is under way", change.id, change.by));
    }
    reload::unapplied(facts, &reading.effects, &reading.gone)
}
