//! The design's files, read again: compiled, and made current if nothing stands in the way.
//!
//! A broken design, one that renumbers and one that removes machines in service, or many, are not made current without the word for
//! it: what is in force stays in force, and says so in the log and the status. `watch` does it by itself when the files
//! change, `notices` is where it hears of that from.

mod notices;
mod watch;

use crate::clock;
use crate::commit;
use crate::controller::Controller;
use crate::counters::Phase;
use crate::files::{ReadError, read_design};
use crate::keeper::{Effects, Message, Proposal};
use crate::site::{self, Served};
use lifecycle::Zone;
use lifecycle::change::is_in_service;
use model::design::DeviceKind;
use model::finding::{Code, Files, Severity};
use model::octets::hexadecimal;
use model::view::Site;
use model::{Change, ChangeId, Facts, Finding, Generation, Location, Plan};
use plan::Gone;
use sha2::{Digest, Sha256};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{FailureKind, PublishError};
use tokio::sync::{oneshot, watch as watch_channel};

/// How long after a design could not be published, for no fault of its own, it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What an operator explicitly allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Words {
    /// Existing addresses may change.
    pub renumber: bool,
    /// So many machines may disappear.
    pub remove: u32,
    /// So many may be new.
    pub grow: u32,
}

impl Words {
    /// Everything: what is brought back was so before.
    pub(crate) const ALL: Self = Self { renumber: true, remove: u32::MAX, grow: u32::MAX };
}

/// Why a design is to become current, and what that may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intent<'a> {
    pub(crate) author: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) words: Words,
    /// Machines in service may be changed, in waves.
    pub(crate) begins: bool,
    /// The change that it takes back.
    pub(crate) undoes: Option<ChangeId>,
    /// What it was looked at against, and what was looked at: nothing else is to begin.
    pub(crate) seen: Seen<'a>,
}

/// What somebody looked at before; nothing, if nobody did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen<'a> {
    /// The plan in force.
    pub(crate) against: Option<Generation>,
    /// The digest of the design.
    pub(crate) design: Option<&'a str>,
}

impl Seen<'_> {
    /// Why something else than what was looked at would begin.
    pub(crate) fn is_past(self, current: Generation, design: &str) -> Option<String> {
        if let Some(against) = self.against.filter(|against| *against != current) {
            return Some(format!(
                "it was looked at against plan {against}, but {current} is current: look again"
            ));
        }
        let is_other = self.design.is_some_and(|seen| seen != design);
        is_other.then(|| "the design's files changed since it was looked at: look again".to_owned())
    }
}

/// A design as it was read and compiled.
pub(crate) struct Reading {
    pub(crate) files: Files,
    pub(crate) findings: Vec<Finding>,
    /// A plan that may become current.
    pub(crate) plan: Option<Plan>,
    /// Why there is none.
    pub(crate) refused: Option<String>,
    /// What the plan does to machines that run by the one in force.
    pub(crate) effects: Effects,
    /// The machines that it does not have any more; also if it may not become current.
    pub(crate) gone: Vec<Gone>,
    /// How long it took to parse and to compile.
    took: [Duration; 2],
}

/// What came of a reload.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reloaded {
    /// The plan in force after it.
    pub(crate) generation: Generation,
    /// It is a new one.
    pub(crate) changed: bool,
    /// The change that brings it to machines in service, if it does anything to them.
    pub(crate) change: Option<ChangeId>,
    /// Why the design is not in force.
    pub(crate) refused: Option<String>,
    /// Nothing is wrong with the design: what stood in the way may pass by itself.
    pub(crate) may_pass: bool,
}

/// A design as it lies there, and what it takes to publish it.
struct Draft {
    /// Of its files; or why they cannot be read.
    digest: String,
    /// The commit that they are in version control.
    commit: Option<String>,
    /// What was read; nothing, if it is what was known.
    reading: Result<Option<Reading>, String>,
    /// The boot files, if they changed with it.
    site: Option<Arc<Site>>,
    /// It is of files that were current before, and not of those in the directory.
    is_old: bool,
}

impl Draft {
    fn failed(sentence: String) -> Self {
        Self { digest: sentence.clone(), commit: None, reading: Err(sentence), site: None, is_old: false }
    }
}

/// Where a design is read from.
pub(crate) enum Source {
    /// Its directory; files of the digest that is known are not compiled.
    Directory { known: Option<String> },
    /// These files.
    Files(Files),
}

/// Why a plan cannot become current now, and whether that passes by itself.
pub(crate) fn not_now(zone: &Zone, reading: &Reading, intent: Intent<'_>) -> Option<(String, bool)> {
    let plans = |change: &&Change| change.is_under_way() && change.plans().is_some();
    if let Some(change) = zone.facts().changes.values().find(plans) {
        let waits = lifecycle::change::waits_for(zone, change, clock::now());
        let waits = waits.map(|on| format!(", and waits for {on}")).unwrap_or_default();
        let sentence = format!(
            "{} of {} ({}) is under way{waits}; wait for its end, or abort it",
            change.id, change.by, change.reason
        );
        return Some((sentence, true));
    }
    if let Some((id, _)) = lifecycle::change::to_undo(zone).filter(|(id, _)| Some(*id) != intent.undoes) {
        return Some((format!("{id} is about to be taken back"), true));
    }
    // What is taken back by itself asks nobody.
    if intent.undoes.is_some() {
        return None;
    }
    let why = match intent.begins {
        true => unnumbered(zone.facts(), &reading.gone, intent.words),
        false => unapplied(zone.facts(), &reading.effects, &reading.gone),
    };
    why.map(|why| (why, false))
}

/// Why machines in service may not go: nobody said how many.
fn unnumbered(facts: &Facts, gone: &[Gone], words: Words) -> Option<String> {
    let in_service = gone.iter().filter(|gone| is_in_service(facts, &gone.location)).count();
    let all = gone.len();
    (in_service > 0 && all > words.remove as usize).then(|| {
        format!(
            "{} would be gone, {in_service} in service; if it is meant, say `--remove {all}`, or drain and retire those in service first",
            lifecycle::change::counted(all, "machine")
        )
    })
}

/// What is said of a design that touches machines in service, which nobody has applied.
pub(crate) fn unapplied(facts: &Facts, effects: &Effects, gone: &[Gone]) -> Option<String> {
    let touched = lifecycle::change::touched(facts, effects.clone());
    let gone = gone.iter().map(|gone| &gone.location);
    let gone: Vec<&Location> = gone.filter(|location| is_in_service(facts, location)).collect();
    let waves = if touched.is_empty() { "" } else { ", in waves" };
    let mut does = Vec::new();
    if !touched.is_empty() {
        does.push(lifecycle::change::in_words(&touched));
    }
    if !gone.is_empty() {
        does.push(lifecycle::change::gone_in_words(&gone));
    }
    (!does.is_empty()).then(|| format!("by it {}: `zw apply` begins that{waves}", does.join(", ")))
}

/// Compiles a design against the plan in force.
pub(crate) fn compile(files: Files, parent: Option<&Plan>, words: Words) -> Reading {
    let began = Instant::now();
    let (design, mut findings) = design::parse(&files);
    let parsed = Instant::now();
    let mut plan = None;
    if let Some(design) = design {
        let (compiled, more) = plan::compile(design, parent);
        findings.extend(more);
        findings.extend(compiled.iter().flat_map(|plan| render::template::findings(&files, plan)));
        plan = compiled;
    }
    let mut gone = Vec::new();
    if let (Some(plan), Some(parent)) = (&plan, parent) {
        gone = plan::gone(parent, plan);
        let new = machines(plan) + gone.len() - machines(parent);
        findings.retain(|finding| match finding.code {
            Code::Renumbers => !words.renumber,
            Code::Shrinks => gone.len() > words.remove as usize,
            Code::Grows => new > words.grow as usize,
            _ => true,
        });
    }
    let refused = refusal(&findings);
    let plan = plan.filter(|_| refused.is_none());
    let effects =
        plan.as_ref().zip(parent).map(|(plan, parent)| plan::effects(parent, plan)).unwrap_or_default();
    let took = [parsed - began, parsed.elapsed()];
    Reading { files, findings, plan, refused, effects, gone, took }
}

/// Why a design with these findings cannot become current.
fn refusal(findings: &[Finding]) -> Option<String> {
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let first = errors.next()?;
    // What to do is said at once: for a plan that renumbers or shrinks, it is the word that allows it.
    let help = first.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    Some(match errors.count() {
        0 => format!("{first}{help}"),
        more => format!("{first}{help} (and {more} more)"),
    })
}

/// Whether another controller decides.
fn is_deposed(error: &PublishError) -> bool {
    matches!(error, PublishError::Failed(failure) if failure.kind == FailureKind::Deposed)
}

/// How many machines a plan has.
fn machines(plan: &Plan) -> usize {
    plan.design.devices.iter().filter(|device| device.kind == DeviceKind::Machine).count()
}

/// Tells one plan from another: by everything that it was compiled from.
pub(crate) fn digest(files: &Files) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        for part in [file.path.as_bytes(), file.text.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    hexadecimal(&hasher.finalize())
}

/// A read error as a sentence with its cause.
pub(crate) fn sentence(error: &ReadError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Reads the design again, one reload at a time.
pub(crate) struct Reloader {
    inner: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    served: Arc<Served>,
    drafts: Sender<Job>,
}

/// A reading of the design, to be done by the thread that [`run`] is.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Reads and compiles, until no [`Reloader`] is left to ask. All of it in one thread, because the allocator keeps what
/// each thread freed for that thread: of several, each would keep room for a whole plan.
pub(crate) fn run(jobs: &Receiver<Job>) {
    for job in jobs {
        // Whoever asked hears nothing, and says so.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
    }
}

struct State {
    digest: String,
    /// The files that lay there when they were last taken up or refused, whoever asked; or why they could not be read.
    taken_up: String,
    /// When they are to be looked at again, though nobody touched them: what stood in the way may have passed.
    again: Option<Instant>,
}

impl Reloader {
    /// The digests are of the plan in force and of the files as they lie there; jobs are for [`run`].
    pub(crate) fn new([digest, taken_up]: [String; 2], served: Arc<Served>, drafts: Sender<Job>) -> Self {
        let state = Mutex::new(State { digest, taken_up, again: None });
        Self { inner: tokio::sync::Mutex::new(()), state, served, drafts }
    }

    /// Reads, compiles and publishes.
    pub(crate) async fn reload(
        self: &Arc<Self>,
        controller: &Arc<Controller>,
        intent: Intent<'_>,
    ) -> Reloaded {
        let began = Instant::now();
        let _one_at_a_time = self.inner.lock().await;
        let draft = self.draft(controller, Source::Directory { known: None }, intent.words).await;
        self.take_up(controller, draft, intent, began).await
    }

    /// Compiles and publishes these files, which were current before.
    pub(crate) async fn republish(
        self: &Arc<Self>,
        controller: &Arc<Controller>,
        files: Files,
        intent: Intent<'_>,
    ) -> Reloaded {
        let began = Instant::now();
        let _one_at_a_time = self.inner.lock().await;
        let draft = self.draft(controller, Source::Files(files), intent.words).await;
        let digest = draft.digest.clone();
        let reloaded = self.take_up(controller, draft, intent, began).await;
        if reloaded.changed {
            let found = self.draft(controller, Source::Directory { known: None }, Words::default()).await;
            self.tell(controller, found, &digest);
        }
        reloaded
    }

    /// Says of the files that lie there, while those of before are in force again, what they would do.
    fn tell(&self, controller: &Controller, found: Draft, in_force: &str) {
        self.state().taken_up.clone_from(&found.digest);
        let zone = controller.zone();
        let (reading, refused) = match found.reading {
            _ if found.digest == in_force => (None, None),
            Ok(Some(reading)) => {
                let refused = reading
                    .refused
                    .clone()
                    .or_else(|| unapplied(zone.facts(), &reading.effects, &reading.gone))
                    .unwrap_or_else(|| "it was taken back: `zw apply` brings it again".to_owned());
                (Some(reading), Some(refused))
            }
            Ok(None) => return,
            Err(refused) => (None, Some(refused)),
        };
        drop(zone);
        controller.change_condition(|condition| {
            if let Some(reading) = reading {
                (condition.findings, condition.files) = (reading.findings, reading.files);
            }
            condition.design_refused = refused;
            condition.design_read = clock::now();
        });
    }

    /// Reads and compiles, and publishes nothing: what it would do, or why it cannot become current; and the digest of its files.
    pub(crate) async fn preview(
        self: &Arc<Self>,
        controller: &Arc<Controller>,
        source: Source,
        words: Words,
    ) -> Result<(Reading, String), String> {
        let _one_at_a_time = self.inner.lock().await;
        let Draft { digest, reading, .. } = self.draft(controller, source, words).await;
        let reading = reading?.ok_or_else(|| "the design was not read".to_owned())?;
        Ok((reading, digest))
    }

    /// Reads and compiles.
    async fn draft(self: &Arc<Self>, controller: &Arc<Controller>, source: Source, words: Words) -> Draft {
        let (this, working) = (Arc::clone(self), Arc::clone(controller));
        let (asker, draft) = oneshot::channel();
        let job = move || {
            // Nobody waits any more: the server ends.
            let _ = asker.send(this.read(&working, source, words));
        };
        // Without a thread nobody answers.
        let _ = self.drafts.send(Box::new(job));
        draft
            .await
            .unwrap_or_else(|_| Draft::failed("the design could not be compiled: see the log".to_owned()))
    }

    /// Publishes a draft, if it may become current.
    async fn take_up(
        &self,
        controller: &Controller,
        draft: Draft,
        intent: Intent<'_>,
        began: Instant,
    ) -> Reloaded {
        let parent = controller.zone().plan().generation;
        let mut reloaded =
            Reloaded { generation: parent, changed: false, change: None, refused: None, may_pass: false };
        let mut is_anothers = false;
        let Draft { digest, commit, reading, site, is_old } = draft;
        let reading = match reading {
            Ok(Some(reading)) => reading,
            Ok(None) => return reloaded,
            Err(refused) => {
                self.state().taken_up = digest;
                controller.change_condition(|condition| condition.design_refused = Some(refused.clone()));
                reloaded.refused = Some(refused);
                return reloaded;
            }
        };
        if let Some(why) = intent.seen.is_past(parent, &digest) {
            reloaded.refused = Some(why);
            return reloaded;
        }
        if !is_old {
            self.state().taken_up.clone_from(&digest);
        }
        let stopped = reading.plan.as_ref().and_then(|_| not_now(&controller.zone(), &reading, intent));
        let Reading { files, findings, plan, refused, effects, .. } = reading;
        if controller.digest() == digest {
            // Another controller was faster.
            self.state().digest = digest;
        } else if let Some((why, may_pass)) = stopped {
            (reloaded.refused, reloaded.may_pass) = (Some(why), may_pass);
        } else if let Some(plan) = plan {
            let texts = files.iter().map(|file| (file.path.clone(), Arc::clone(&file.text))).collect();
            let (author, reason) = (intent.author.to_owned(), intent.reason.to_owned());
            let proposal = Proposal {
                plan,
                parent,
                author,
                reason,
                files: texts,
                digest: digest.clone(),
                commit,
                site,
                effects,
                undoes: intent.undoes,
                began,
            };
            let (asker, outcome) = oneshot::channel();
            let sent = controller.inbox.send(Message::Publish(Box::new(proposal), asker));
            match (sent, outcome.await) {
                (true, Ok(Ok(generation))) => {
                    reloaded.generation = generation;
                    reloaded.changed = true;
                    reloaded.change = lifecycle::change::holding(controller.zone().facts(), generation)
                        .map(|change| change.id);
                    self.state().digest = digest;
                    let by = reloaded
                        .change
                        .map(|id| format!(", and {id} brings it to the machines"))
                        .unwrap_or_default();
                    controller.say(&format!("plan {generation} is in force{by}"));
                }
                (true, Ok(Err(error))) => {
                    is_anothers = is_deposed(&error);
                    reloaded.refused = Some(error.to_string());
                }
                _ => reloaded.refused = Some("the controller is too busy to publish; ask again".to_owned()),
            }
            // Not tried again: this controller may lead later, when the zone has moved on.
            reloaded.may_pass = reloaded.refused.is_some() && !is_anothers;
        } else {
            reloaded.refused = refused;
        }
        // What is told of the design is told of the files that lie there.
        if is_old {
            return reloaded;
        }
        self.state().again = reloaded.may_pass.then(|| Instant::now() + AGAIN_AFTER);
        if let Some(refused) = &reloaded.refused
            && controller.condition().design_refused.as_ref() != Some(refused)
        {
            controller.say(&format!("the design is not in force, plan {parent} stays: {refused}"));
        }
        controller.change_condition(|condition| {
            condition.findings = findings;
            condition.files = files;
            condition.design_refused.clone_from(&reloaded.refused);
            condition.design_read = clock::now();
        });
        reloaded
    }

    /// The blocking part of a draft.
    fn read(&self, controller: &Controller, source: Source, words: Words) -> Draft {
        let began = Instant::now();
        let (files, known, is_old) = match source {
            Source::Files(files) => (files, None, true),
            Source::Directory { known } => match read_design(&controller.options.design) {
                Ok(files) => (files, known, false),
                Err(error) => return Draft::failed(sentence(&error)),
            },
        };
        let digest = digest(&files);
        if known.as_ref() == Some(&digest) {
            return Draft { digest, commit: None, reading: Ok(None), site: None, is_old };
        }
        let read = began.elapsed();
        let parent = Arc::clone(controller.zone().whole());
        let mut reading = compile(files, Some(&parent), words);
        // What was current before is made so again on purpose, even if nothing came in between.
        let is_new = is_old || digest != self.state().digest;
        reading.plan = reading.plan.filter(|_| is_new);
        let Some(plan) = &reading.plan else {
            self.served.look_again(controller, &parent);
            return Draft { digest, commit: None, reading: Ok(Some(reading)), site: None, is_old };
        };
        let [parse, compile] = reading.took;
        for (phase, took) in [(Phase::Read, read), (Phase::Parse, parse), (Phase::Compile, compile)] {
            controller.counters.phase_took(phase, took);
        }
        // Shown together with the plan that names them: one view and not two. What machines keep until their turn is served on.
        let site = match reading.effects.is_empty() {
            true => self.served.look(controller, plan),
            false => {
                let held = lifecycle::change::hold(plan, &parent, reading.effects.keys());
                self.served.look(controller, &held)
            }
        };
        let commit = match is_old {
            true => None,
            false => commit::of(&controller.options.design, &reading.files),
        };
        Draft { digest, commit, reading: Ok(Some(reading)), site, is_old }
    }

    /// Reads the boot files whose content is not known yet, and shows them with it. It may take minutes, and nobody waits.
    fn read_boot_files(&self, controller: &Controller, stop: &watch_channel::Receiver<bool>) {
        for path in self.served.unread() {
            let Some(known) = site::read(&path, || *stop.borrow()) else { return };
            self.served.learn(path, known);
        }
        let plan = Arc::clone(controller.zone().plan());
        self.served.look_again(controller, &plan);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
