//! The one deciding loop: events in, one at a time, in order; facts, history and views out.
//!
//! Everything that changes facts comes through this thread's queue (`inbox`): what DHCP saw, what agents said, what
//! operators wish, a new plan. A batch is applied, stored in one transaction, shown, and only then acknowledged. It decides
//! nothing itself: `lifecycle` says what an event does and `plan` what a view is.
//!
//! With several controllers, all of that is so in the one that leads; the others follow it (`following`).
//!
//! When the store fails, serving goes on from memory: what is unsaved is kept (machines by name, so that it is bounded
//! by the zone) and written with the next batch; whoever asked for a durable change hears that it is not yet one.

mod following;
mod moving;

pub(crate) use moving::Target;

use crate::agents::Verdict;
use crate::clock;
use crate::controller::{Controller, News};
use crate::counters::Phase;
use crate::inbox::Queue;
use crate::sharing::Sharing;
use crate::site::Served;
use lifecycle::change::Held;
use lifecycle::machine::Action;
use lifecycle::{Applied, Zone};
use model::change::{Effect, Kind};
use model::event::{ChangeStep, What};
use model::view::Site;
use model::{Change, ChangeId, Event, Facts, Generation, Location, Plan, Roster, Time, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use store::{Publication, PublishError, Record, Stepped, Store};
use tokio::sync::oneshot;

/// Events that are stored together.
const BATCH_MAX: usize = 2_048;
/// The shortest time between two views under load; one for 10,000 machines takes some milliseconds to make.
const VIEW_GAP: Duration = Duration::from_millis(75);
/// How often a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a view that was replaced, but is still held by somebody, is looked at again.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a change is looked at, besides whenever something happens.
const STEP_EVERY: Duration = Duration::from_millis(250);
/// History that is kept in memory while the store fails; beyond it the oldest is lost, the facts never are.
const UNSAVED_MAX: usize = 16_384;
/// Sightings of one machine that are looked at in a burst, and then each second. A machine with a dozen interfaces
/// boots within it; a flood of forged hardware addresses on one port does not become a flood of writes.
const SIGHTINGS_BURST: f64 = 48.0;
const SIGHTINGS_PER_SECOND: f64 = 2.0;

/// Who waits until a secret is kept.
pub(crate) type SecretAsker = oneshot::Sender<Result<(), String>>;

/// What the keeper is told.
pub(crate) enum Message {
    /// Something happened, and somebody waits until it is stored.
    Ask(Event, oneshot::Sender<Verdict>),
    /// A plan is to become current.
    Publish(Box<Proposal>, oneshot::Sender<Result<Generation, PublishError>>),
    /// The boot files or addresses of this installation changed.
    Site,
    /// Something secret is to be kept under a name; sealed already where it must be.
    Secret { name: String, bytes: Vec<u8>, asker: SecretAsker },
    /// The zone is to move to another store.
    Move(Box<Target>, oneshot::Sender<Result<store::Copied, String>>),
    /// Other controllers may have done something.
    Look,
    /// Store what there is and end.
    Stop,
}

/// A plan that is to become current.
pub(crate) struct Proposal {
    pub(crate) plan: Plan,
    pub(crate) parent: Generation,
    pub(crate) author: String,
    pub(crate) reason: String,
    pub(crate) files: Vec<(String, Arc<str>)>,
    pub(crate) digest: String,
    pub(crate) commit: Option<String>,
    /// The boot files and addresses, where they changed with it.
    pub(crate) site: Option<Arc<Site>>,
    /// What it does to machines.
    pub(crate) effects: Effects,
    /// The change that it takes back.
    pub(crate) undoes: Option<ChangeId>,
    /// When its design was heard of.
    pub(crate) began: Instant,
}

/// What a plan does to machines that run by the one before.
pub(crate) type Effects = BTreeMap<Location, (Effect, String)>;

struct Keeper {
    controller: Arc<Controller>,
    store: Store,
    served: Arc<Served>,
    /// History that the store does not have yet.
    records: VecDeque<Record>,
    /// Machines whose stored form is older than the facts.
    machines: BTreeSet<Location>,
    /// Changes whose stored form is older than the facts.
    changes: BTreeMap<ChangeId, BTreeSet<Location>>,
    /// Who waits for the store.
    waiting: Vec<oneshot::Sender<Verdict>>,
    damped: HashMap<Location, Bucket>,
    view_is_old: bool,
    view_made: Instant,
    store_failed: Option<Instant>,
    sharing: Sharing,
    /// What is to be said to agents when what it follows from is stored.
    actions: Vec<(Location, Action)>,
    check_again: following::CheckAgain,
    /// It was said that the host's clock was set.
    clock_was_set: bool,
}

/// Until its queue is closed or it is told to stop.
pub(crate) fn run(controller: Arc<Controller>, store: Store, served: Arc<Served>, queue: &Queue) {
    let mut keeper = Keeper {
        controller,
        store,
        served,
        records: VecDeque::new(),
        machines: BTreeSet::new(),
        changes: BTreeMap::new(),
        waiting: Vec::new(),
        damped: HashMap::new(),
        view_is_old: false,
        view_made: Instant::now(),
        store_failed: None,
        sharing: Sharing::new(),
        actions: Vec::new(),
        check_again: following::CheckAgain::new(),
        clock_was_set: false,
    };
    keeper.watch_others();
    loop {
        let first = queue.wait(keeper.patience());
        let mut stop = first.is_err();
        keeper.hold_the_clock();
        keeper.attend();
        keeper.hear_all(queue);
        for message in first.into_iter().chain(queue.messages()).take(BATCH_MAX) {
            // What was heard before a message is taken before it.
            keeper.hear_all(queue);
            stop |= message.is_some_and(|message| keeper.take(message));
        }
        keeper.save(stop);
        if !stop {
            keeper.step_changes();
        }
        keeper.show(stop);
        if stop {
            keeper.store.resign();
            return;
        }
    }
}

impl Keeper {
    /// While a change is under way, deadlines count by the clock as it was.
    fn hold_the_clock(&mut self) {
        let set = clock::hold(self.is_changing());
        if let Some(seconds) = set.filter(|_| !self.clock_was_set) {
            self.controller.say(&format!(
                "the clock of this host was set by {seconds:+} s; it counts when no change is under way any more"
            ));
        }
        self.clock_was_set = set.is_some();
    }

    /// How long to wait for the next event: no longer than something is due.
    fn patience(&self) -> Option<Duration> {
        let view = self.view_is_old.then(|| VIEW_GAP.saturating_sub(self.view_made.elapsed()));
        let retry = self.store_failed.map(|at| RETRY_AFTER.saturating_sub(at.elapsed()));
        let sweep = self.controller.view.sweep().then_some(SWEEP_EVERY);
        let look = self.store.is_shared().then(|| self.sharing.patience());
        let step = self.is_changing().then_some(STEP_EVERY);
        view.into_iter().chain(retry).chain(sweep).chain(look).chain(step).min()
    }

    /// Takes all that was heard until now.
    fn hear_all(&mut self, queue: &Queue) {
        for event in queue.heard() {
            if self.is_flood(&event) {
                self.controller.counters.events_damped.one();
                continue;
            }
            if self.store.is_shared() {
                self.hear_shared(event, None);
            } else {
                self.apply("", event);
            }
            if self.records.len() >= BATCH_MAX {
                self.save(false);
            }
        }
    }

    /// Takes one message; true if it was the last.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Ask(event, asker) => {
                self.hear_again(&event.location);
                if self.store.is_shared() {
                    self.hear_shared(event, Some(asker));
                    return false;
                }
                match self.apply("", event) {
                    Some(why) => drop(asker.send(Verdict::Refused(why.into_owned()))),
                    None => self.waiting.push(asker),
                }
            }
            Message::Publish(proposal, asker) => drop(asker.send(self.publish(*proposal))),
            Message::Site => self.view_is_old = true,
            Message::Secret { name, bytes, asker } => self.keep_secret(&name, &bytes, asker),
            Message::Move(target, asker) => drop(asker.send(self.move_to(*target))),
            Message::Look => {}
            Message::Stop => return true,
        }
        false
    }

    fn keep_secret(&mut self, name: &str, bytes: &[u8], asker: SecretAsker) {
        if self.store.is_shared() {
            return self.keep_secret_shared(name, bytes, asker);
        }
        drop(asker.send(self.store.set_secret(name, bytes).map_err(|failure| failure.to_string())));
    }

    /// What is seen of a machine next is news, even if it was seen just now: what is known of it changes.
    fn hear_again(&self, location: &Location) {
        let zone = self.controller.zone();
        let Some(device) = zone.roster().device_at(location) else { return };
        for interface in zone.plan().interface_ids_of(device) {
            self.controller.told.forget_one(interface);
        }
    }

    /// Applies an event that this controller heard; gives why it was refused.
    fn apply(&mut self, controller: &str, mut event: Event) -> Option<Cow<'static, str>> {
        // Another controller's clock may be ahead: what happened is not yet to come, and came after nothing that is.
        event.at = event.at.min(clock::now());
        let (mut applied, state) = {
            let mut zone = self.controller.zone.write().unwrap_or_else(PoisonError::into_inner);
            let applied = zone.apply_of(controller, &event);
            let machine = zone.facts().machines.get(&event.location);
            (applied, machine.map_or("expected", |machine| machine.state.name()))
        };
        let (actions, refused) = (std::mem::take(&mut applied.actions), applied.refused.take());
        self.record(event, state, applied);
        // With several controllers it is said when it is stored.
        if self.store.is_shared() {
            self.act_later(actions)
        } else {
            self.say_to_agents(actions)
        }
        refused
    }

    /// Keeps what an event changed until it is stored.
    fn record(&mut self, event: Event, state: &'static str, applied: Applied) {
        self.view_is_old |= applied.view_changed;
        if applied.changed.is_empty() && applied.changes.is_empty() {
            return;
        }
        if self.records.len() >= UNSAVED_MAX {
            self.records.pop_front();
        }
        let state = if matches!(event.what, What::Change { .. }) { "change" } else { state };
        self.records.push_back(Record { event, state });
        self.machines.extend(applied.changed);
        for (id, machines) in applied.changes {
            self.changes.entry(id).or_default().extend(machines);
        }
    }

    fn say_to_agents(&self, actions: Vec<(Location, Action)>) {
        for (location, action) in actions {
            self.controller.push(&location, following::push(action));
        }
    }

    fn is_changing(&self) -> bool {
        self.controller.zone().facts().changes.values().any(Change::is_under_way)
    }

    /// Takes changes as far as they go now. What a change does to a machine is on the disk, and in the view, before the machine, or anybody, can
    /// hear of it: the facts are not to be seen meanwhile. So whoever ends this process between any two steps has each done once, and
    /// a machine that is told to restart boots what it is to have, however quick it is.
    fn step_changes(&mut self) {
        // What cannot be stored is not begun.
        if self.store_failed.is_some() || !self.is_deciding() || !self.is_changing() {
            return;
        }
        let controller = Arc::clone(&self.controller);
        let mut actions = Vec::new();
        let mut zone = controller.zone.write().unwrap_or_else(PoisonError::into_inner);
        let mut sentences = Vec::new();
        for (event, mut applied) in zone.step_changes(clock::now()) {
            if applied.refused.is_some() {
                continue;
            }
            actions.append(&mut applied.actions);
            if let What::Change { id, step: ChangeStep::End { how, sentence } } = &event.what {
                sentences.push(format!("{id} is {}: {sentence}", lifecycle::change::outcome(*how)));
            }
            self.record(event, "change", applied);
        }
        if self.store.is_shared() {
            self.act_later(actions);
            self.write_shared(&zone);
        } else {
            self.actions.append(&mut actions);
            self.write(&zone);
            // Unsaid, it is said when it is stored.
            if self.store_failed.is_none() {
                self.show_of(&zone);
                self.act();
            }
        }
        drop(zone);
        sentences.iter().for_each(|sentence| self.controller.say(sentence));
    }

    /// Whether a sighting is one of a flood from one port.
    fn is_flood(&mut self, event: &Event) -> bool {
        if !matches!(event.what, What::Asked { .. } | What::Declined { .. }) {
            return false;
        }
        // Only places of the plan are remembered, so the plan bounds this table.
        if self.controller.zone().roster().device_at(&event.location).is_none() {
            return false;
        }
        let bucket = self
            .damped
            .entry(event.location.clone())
            .or_insert(Bucket { left: SIGHTINGS_BURST, at: event.at });
        !bucket.take(event.at)
    }

    /// Makes a plan current: in the store first, then in the view, then in the facts. The view is made while the disk
    /// writes, and seen by nobody before it has.
    fn publish(&mut self, proposal: Proposal) -> Result<Generation, PublishError> {
        if !self.is_deciding() {
            return Err(self.not_leading());
        }
        let Proposal {
            mut plan,
            parent,
            author,
            reason,
            files,
            digest,
            commit,
            site,
            effects,
            undoes,
            began,
        } = proposal;
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), &**text)).collect();
        let at = clock::now();
        // What the store numbers it, or else refuses it.
        plan.generation = Generation(parent.0 + 1);
        let plan = Arc::new(plan);
        let held = {
            let zone = self.controller.zone();
            let touched = match undoes.and_then(|id| zone.facts().changes.get(&id)) {
                Some(undone) => lifecycle::change::reached(undone, effects),
                None => lifecycle::change::touched(zone.facts(), effects),
            };
            (!touched.is_empty()).then(|| {
                let kind = Kind::Plan { from: parent, to: plan.generation, undoes };
                let change = lifecycle::change::begin(&zone, kind, touched, &author, &reason, at);
                Held::new(&plan, Arc::clone(zone.whole()), change)
            })
        };
        let publication = Publication {
            parent,
            author: &author,
            reason: &reason,
            at,
            files: &files,
            digest: &digest,
            commit: commit.as_deref(),
            change: held.as_ref().map(|held| &held.change),
        };
        let in_force = held.as_ref().map_or(&plan, |held| &held.plan);
        let site = site.unwrap_or_else(|| self.served.site());
        let showing = Instant::now();
        let store = &mut self.store;
        let (stored, view) = std::thread::scope(|scope| {
            let storing = scope.spawn(|| {
                let storing = Instant::now();
                (store.publish(&publication), storing.elapsed())
            });
            let view = {
                let zone = self.controller.zone();
                plan::view::succeed(&self.controller.view.load(), in_force, zone.facts(), &site)
            };
            (storing.join().unwrap_or_else(|bug| std::panic::resume_unwind(bug)), view)
        });
        let (generation, stored) = match stored {
            (Ok(generation), took) => (generation, took),
            (Err(error), _) => {
                if self.store.is_shared() {
                    // It may have come through all the same; then it is read with everything else.
                    self.fall_out_of_step(false);
                }
                return Err(error);
            }
        };
        assert_eq!(generation, plan.generation, "the store numbers a plan one above its parent");
        self.served.serve(site);
        self.replace(view, showing);
        let phases =
            [(Phase::Store, stored), (Phase::View, showing.elapsed()), (Phase::Whole, began.elapsed())];
        for (phase, took) in phases {
            self.controller.counters.phase_took(phase, took);
        }
        // After the packets, people: nobody is told of the plan before both have it.
        let roster = Arc::new(Roster::of(&plan));
        self.put_under(plan, roster, held, generation);
        Ok(generation)
    }

    /// Puts the facts under a plan whose view is shown already.
    fn put_under(
        &mut self,
        plan: Arc<Plan>,
        roster: Arc<Roster>,
        held: Option<Held>,
        generation: Generation,
    ) {
        let before = {
            let mut zone = self.controller.zone.write().unwrap_or_else(PoisonError::into_inner);
            let before = zone.replan(plan, roster, held);
            self.controller.told.forget();
            self.damped.retain(|location, _| zone.roster().device_at(location).is_some());
            before
        };
        self.tell(generation);
        // It takes a while to free; not under the lock.
        drop(before);
    }

    /// Stores what is unsaved, in one transaction, and tells who waits.
    fn save(&mut self, now: bool) {
        if self.store.is_shared() {
            return self.save_shared();
        }
        let due = self.store_failed.is_none_or(|at| at.elapsed() >= RETRY_AFTER);
        let unsaved = !self.records.is_empty() || !self.machines.is_empty() || !self.changes.is_empty();
        if unsaved && (due || now) {
            let controller = Arc::clone(&self.controller);
            self.write(&controller.zone());
            if self.store_failed.is_none() {
                self.act();
            }
        }
        for asker in self.waiting.drain(..) {
            // Dropped unsaid, it means "not stored".
            if self.store_failed.is_none() {
                let _ = asker.send(Verdict::Stored);
            }
        }
    }

    fn write(&mut self, zone: &Zone) {
        let Facts { machines, changes } = zone.facts();
        let changed = self.machines.iter().filter_map(|location| machines.get_key_value(location));
        let stepped = |(id, machines)| Some(Stepped { change: changes.get(id)?, machines });
        let changes = self.changes.iter().filter_map(stepped);
        match self.store.append(self.records.make_contiguous(), changed, changes) {
            Ok(seq) => {
                self.controller.counters.events_stored.add(self.records.len() as u64);
                self.records.clear();
                self.machines.clear();
                self.changes.clear();
                if self.store_failed.take().is_some() {
                    self.controller.set_store_trouble(None);
                }
                self.controller.news.send_modify(|news| news.seq = seq);
            }
            Err(failure) => {
                self.controller.counters.store_failures.one();
                self.store_failed = Some(Instant::now());
                self.controller.set_store_trouble(Some(failure.to_string()));
            }
        }
    }

    /// Publishes a view if the last is old: at once when idle, at intervals under load.
    fn show(&mut self, now: bool) {
        // What is not stored is not shown, where another may have stored something else.
        if self.sharing.is_out_of_step {
            return;
        }
        if now || self.view_made.elapsed() >= VIEW_GAP {
            let controller = Arc::clone(&self.controller);
            self.show_of(&controller.zone());
        }
    }

    /// Publishes a view of this, if the last is old.
    fn show_of(&mut self, zone: &Zone) {
        if !self.view_is_old {
            return;
        }
        let began = Instant::now();
        let previous = self.controller.view.load();
        let is_of_plan = Arc::ptr_eq(&previous.plan, zone.plan());
        let site = self.served.site();
        let view = match is_of_plan && Arc::ptr_eq(&previous.boot.site, &site) {
            true => plan::view::refresh(&previous, zone.facts()),
            false => plan::view::succeed(&previous, zone.plan(), zone.facts(), &site),
        };
        drop(previous);
        self.replace(view, began);
        self.tell(zone.plan().generation);
    }

    /// Answers from this view from now on.
    fn replace(&mut self, view: View, began: Instant) {
        self.controller.view.publish(view);
        self.controller.counters.view_made(began.elapsed());
        self.view_is_old = false;
        self.view_made = Instant::now();
    }

    /// Tells who waits for news that there is some.
    fn tell(&self, generation: Generation) {
        self.controller.news.send_modify(|news: &mut News| {
            news.generation = generation;
            news.views += 1;
        });
        self.controller
            .published
            .send_if_modified(|published| std::mem::replace(published, generation) != generation);
    }
}

/// How many more sightings of a machine are looked at.
struct Bucket {
    left: f64,
    at: Time,
}

impl Bucket {
    fn take(&mut self, now: Time) -> bool {
        self.left =
            (self.left + now.since(self.at).as_secs_f64() * SIGHTINGS_PER_SECOND).min(SIGHTINGS_BURST);
        self.at = now;
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}
