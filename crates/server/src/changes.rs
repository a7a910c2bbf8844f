//! Plans that are applied, taken back and compared: what people ask for, and what a change that stopped asks for by itself.
//!
//! What a change does is `lifecycle`'s to decide and the keeper's to store; here designs are fetched, compiled and handed over.

use crate::agents::Verdict;
use crate::clock;
use crate::controller::Controller;
use crate::files::missing_images;
use crate::reload::{Intent, Reading, Reloaded, Reloader, Seen, Source, Words, not_now};
use lifecycle::change::{self, CONTROLLER};
use lifecycle::installing;
use model::change::{Change, Effect, Kind};
use model::event::{ChangeStep, What};
use model::finding::{File, Files};
use model::{ChangeId, Event, Generation, Location, Plan, Time};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use store::Published;
use tokio::sync::watch;

/// How often it is looked for a change that is to be taken back.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure, it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// So many plans of before are looked through for who changed a value.
pub(crate) const PLANS_LISTED_MAX: u32 = 1000;

/// A change before it begins: what would happen.
pub(crate) struct Draft {
    pub(crate) reading: Reading,
    /// The digest of its files.
    pub(crate) digest: String,
    /// The change, as it would begin; `None`: no machine in service is touched.
    pub(crate) change: Option<Change>,
    /// The plan in force, where it is of these files.
    pub(crate) in_force: Option<Published>,
}

/// What applying a design would do, and why it cannot be applied now.
pub(crate) async fn preview(
    controller: &Arc<Controller>,
    reloader: &Arc<Reloader>,
    source: Source,
    words: Words,
) -> Result<Draft, String> {
    let (mut reading, digest) = reloader.preview(controller, source, words).await?;
    if let Some(plan) = &reading.plan {
        let (directory, design) = (controller.options.design.clone(), Arc::clone(&plan.design));
        let missing = tokio::task::spawn_blocking(move || missing_images(&directory, &design)).await;
        reading.findings.extend(missing.unwrap_or_default());
    }
    let zone = controller.zone();
    let intent = Intent { author: "", reason: "", words, begins: true, undoes: None, seen: Seen::default() };
    let stopped = reading.plan.as_ref().and_then(|_| not_now(&zone, &reading, intent));
    reading.refused = reading.refused.or(stopped.map(|(why, _)| why));
    let touched = change::touched(zone.facts(), reading.effects.clone());
    let (from, to) = (zone.plan().generation, Generation(zone.plan().generation.0 + 1));
    let change = (!touched.is_empty())
        .then(|| change::begin(&zone, Kind::Plan { from, to, undoes: None }, touched, "", "", clock::now()));
    drop(zone);
    let in_force = files_of(controller, from).ok().filter(|published| published.digest == digest);
    Ok(Draft { reading, digest, change, in_force })
}

/// The plan to go back to where nobody names one: the newest before the current one that was not taken back, and says something
/// else than what is in force. What a change takes back by itself is of the same design as the plan before that change.
pub(crate) fn before(controller: &Controller) -> Result<Published, String> {
    let current = controller.zone().whole().generation;
    let in_force = files_of(controller, current)?.digest;
    for generation in (1..current.0).rev().map(Generation) {
        let kept = controller.history.lock().unwrap_or_else(PoisonError::into_inner).plan(generation);
        let Some(published) = kept.map_err(|failure| failure.to_string())? else { break };
        if published.digest != in_force && !change::was_taken_back(controller.zone().facts(), generation) {
            return Ok(published);
        }
    }
    Err(format!("there is no plan before {current} to go back to"))
}

/// The files of a plan of before.
pub(crate) fn files_of(controller: &Controller, generation: Generation) -> Result<Published, String> {
    let history = controller.history.lock().unwrap_or_else(PoisonError::into_inner);
    match history.plan(generation) {
        Ok(Some(published)) => Ok(published),
        Ok(None) => Err(format!("plan {generation} is not kept: `zw history` lists those that are")),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Those that are kept, newest first.
pub(crate) fn plans(controller: &Controller) -> Result<Vec<Published>, String> {
    let history = controller.history.lock().unwrap_or_else(PoisonError::into_inner);
    history.plans(PLANS_LISTED_MAX).map_err(|failure| failure.to_string())
}

/// As files of a design.
pub(crate) fn as_files(published: &Published) -> Files {
    let file = |(path, text): &(String, String)| File { path: path.clone(), text: text.as_str().into() };
    published.files.iter().map(file).collect()
}

/// The plan of a design that was current before.
pub(crate) fn compiled(published: &Published) -> Result<Plan, String> {
    let reading = crate::reload::compile(as_files(published), None, Words::ALL);
    let Some(mut plan) = reading.plan else {
        let why = reading.refused.unwrap_or_default();
        return Err(format!("plan {} cannot be made again by this release: {why}", published.generation));
    };
    plan.generation = published.generation;
    Ok(plan)
}

/// Makes a design of before current again, as a new plan.
pub(crate) async fn roll_back(
    controller: &Arc<Controller>,
    reloader: &Arc<Reloader>,
    to: Generation,
    intent: Intent<'_>,
) -> Result<Reloaded, String> {
    let published = files_of(controller, to)?;
    Ok(reloader.republish(controller, as_files(&published), intent).await)
}

/// Takes back changes that stopped, and begins what can be taken back no more, until it is stopped itself.
pub(crate) async fn run(
    controller: Arc<Controller>,
    reloader: Arc<Reloader>,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = LOOK_EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        wait = LOOK_EVERY;
        // Whoever decides does it.
        if !controller.is_leading() {
            continue;
        }
        let begun = installing::begin(&controller.zone(), clock::now());
        for location in begun {
            // One that cannot be stored now is due still, and asked again.
            let _ = controller.ask(Event { at: clock::now(), location, what: What::Begins }).await;
        }
        let undo = change::to_undo(&controller.zone());
        let Some((id, to)) = undo else { continue };
        let reason = format!("{id} is taken back");
        let intent = Intent {
            author: CONTROLLER,
            reason: &reason,
            words: Words::ALL,
            begins: true,
            undoes: Some(id),
            seen: Seen::default(),
        };
        let done = roll_back(&controller, &reloader, to, intent).await;
        let refused = done.map_or_else(Some, |reloaded| reloaded.refused);
        if let Some(why) = refused {
            controller.say(&format!("{id} cannot be taken back: {why}"));
            wait = TRY_AGAIN;
        }
    }
}

/// Begins a restart of machines, in waves.
pub(crate) async fn restart(
    controller: &Controller,
    machines: BTreeSet<Location>,
    by: &str,
    reason: &str,
) -> Result<ChangeId, String> {
    let change = draft_restart(controller, machines, by, reason, clock::now());
    let id = change.id;
    step(controller, id, ChangeStep::Begin { change: Box::new(change) }).await.map(|()| id)
}

/// A restart before it begins.
pub(crate) fn draft_restart(
    controller: &Controller,
    machines: BTreeSet<Location>,
    by: &str,
    reason: &str,
    now: Time,
) -> Change {
    let because = || "it was asked for".to_owned();
    let touched = machines.into_iter().map(|location| (location, Effect::Restart, because())).collect();
    change::begin(&controller.zone(), Kind::Restart, touched, by, reason, now)
}

/// Takes a change a step that somebody asks for.
pub(crate) async fn step(controller: &Controller, id: ChangeId, step: ChangeStep) -> Result<(), String> {
    let location = change::place(&controller.zone());
    let event = Event { at: clock::now(), location, what: What::Change { id, step } };
    match controller.ask(event).await {
        Some(Verdict::Stored) => Ok(()),
        Some(Verdict::Refused(why)) => Err(format!("{id}: {why}")),
        None => Err(format!(
            "{id}: it could not be stored: {}",
            controller.condition().store_trouble.unwrap_or_default()
        )),
    }
}
