//! The keeper of a zone with several controllers: see [`crate::sharing`].

use super::{BATCH_MAX, Keeper, Message, SecretAsker};
use crate::agents::{Push, Verdict};
use crate::clock;
use crate::controller::Leader;
use crate::reload;
use crate::sharing::{Heard, REREAD_EVERY, Sharing};
use lifecycle::Zone;
use lifecycle::change::Held;
use lifecycle::machine::{self, Action};
use model::event::What;
use model::facts::Machine;
use model::finding::File;
use model::{Event, Facts, Generation, Location, Plan, Roster};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use store::etcd::{Answered, Asked, Batch, Beside, Outcome, Peer, Standing, process_of};
use store::{Failure, FailureKind, PublishError, Published, Stepped};
use tokio::sync::oneshot;

impl Keeper {
    /// Hears when others may have done something.
    pub(super) fn watch_others(&self) {
        let hint = |flag: &Arc<AtomicBool>| {
            let (flag, inbox) = (Arc::clone(flag), self.controller.inbox.clone());
            move || {
                // A full queue is looked at anyway.
                let _ = flag.swap(true, SeqCst) || inbox.send(Message::Look);
                true
            }
        };
        self.store.watch(hint(&self.sharing.hints.written), hint(&self.sharing.hints.asked));
    }

    /// Decides what was heard, or has it decided.
    pub(super) fn hear_shared(&mut self, event: Event, asker: Option<oneshot::Sender<Verdict>>) {
        match self.is_deciding() {
            true => self.decide((event, asker)),
            false => self.sharing.keep((event, asker)),
        }
    }

    /// Why nothing is decided here.
    pub(super) fn not_leading(&self) -> PublishError {
        let detail = match self.other_leader() {
            Some(leader) => format!("{leader} leads; ask there"),
            None => "nobody leads at this moment; ask again".to_owned(),
        };
        PublishError::Failed(Failure { kind: FailureKind::Deposed, detail })
    }

    /// Whether what is heard may be decided here and now.
    pub(super) fn is_deciding(&self) -> bool {
        !self.store.is_shared()
            || (self.sharing.standing == Standing::Leads
                && !self.sharing.is_out_of_step
                && self.store.is_leading())
    }

    /// Looks at what others did, if it is time.
    pub(super) fn attend(&mut self) {
        if !self.store.is_shared()
            || self.sharing.rests()
            || !(self.sharing.is_due() || self.sharing.is_out_of_step)
        {
            return;
        }
        self.sharing.looked = Some(Instant::now());
        let outcome = self.look();
        if let Err(failure) = &outcome {
            self.controller.counters.store_failures.one();
            // It may lead still, or again: that is known when etcd is heard again.
            self.sharing.is_out_of_step |=
                self.sharing.standing == Standing::Leads && !self.store.is_leading();
            self.controller.set_store_trouble(Some(failure.to_string()));
        } else if !self.sharing.is_out_of_step && self.sharing.refused.is_none() {
            self.controller.set_store_trouble(None);
        }
        self.tell_who_leads(outcome.is_ok());
    }

    fn look(&mut self) -> Result<(), Failure> {
        let followed = self.store.follow()?;
        let was_leading = std::mem::replace(&mut self.sharing.standing, followed.standing) == Standing::Leads;
        self.note_present(followed.controllers);
        self.sharing.tell_of_secret(followed.doubt);
        match followed.doubt {
            Some(Outcome::Done) => Sharing::tell_stored(self.sharing.in_doubt.drain(..)),
            // Nobody can tell, so nobody is told.
            Some(Outcome::Lost) => self.sharing.in_doubt.clear(),
            Some(Outcome::Undone) | None => {
                for heard in self.sharing.in_doubt.drain(..).rev() {
                    self.sharing.undecided.push_front(heard);
                }
            }
        }
        let is_leading = self.sharing.standing == Standing::Leads;
        let is_old = !is_leading && self.sharing.reread.elapsed() >= REREAD_EVERY;
        if followed.reload || self.sharing.is_out_of_step || is_old {
            self.read_anew(followed.reload)?;
            // What was read is newer.
            for Batch { machines, answered, check_again, .. } in &followed.batches {
                self.pass_on(machines.keys(), check_again, answered);
            }
        } else {
            for batch in followed.batches {
                self.take_over(batch)?;
            }
        }
        match followed.answered {
            Some(answered) => self.sharing.hear_answers(&answered),
            None => self.sharing.forget_asked(),
        }
        if is_leading && !was_leading {
            self.controller.say("this controller decides from now on");
        }
        if self.is_deciding() {
            for heard in std::mem::take(&mut self.sharing.undecided) {
                self.decide(heard);
            }
            for asked in followed.asked {
                self.decide_for(&asked);
            }
            self.miss_agents();
        } else if !followed.asked.is_empty() {
            // It is given once more after everything was read anew.
            self.fall_out_of_step(false);
        }
        self.claim_agents();
        Ok(())
    }

    /// Agents that were connected to a controller which is not there any more are lost.
    fn miss_agents(&mut self) {
        let gone = {
            let zone = self.controller.zone();
            // What the plan does not have any more has no events.
            let of_plan = |(location, _): &(&Location, &Machine)| zone.roster().device_at(location).is_some();
            let all = zone.facts().machines.iter().filter(of_plan);
            let at = all.filter_map(|(location, machine)| Some((location, machine.agent_at.as_ref()?)));
            self.sharing.gone(at, Instant::now())
        };
        for (location, at) in gone.into_iter().take(BATCH_MAX) {
            self.apply(&at, Event { at: clock::now(), location, what: What::Lost });
        }
    }

    /// Those that are connected here all the same are not: this controller was out of reach for long.
    fn claim_agents(&mut self) {
        if self.sharing.is_out_of_step || self.sharing.is_asking() {
            return;
        }
        let missed = {
            let zone = self.controller.zone();
            let is_missed =
                |location: &Location| zone.facts().machines.get(location).is_some_and(machine::is_missed);
            self.controller.present.those(is_missed)
        };
        for location in missed.into_iter().take(BATCH_MAX) {
            self.hear_shared(Event { at: clock::now(), location, what: What::StillConnected }, None);
        }
    }

    /// Applies an event that somebody may wait for.
    pub(super) fn decide(&mut self, heard: Heard) {
        let (event, asker) = heard;
        let own = self.store.process().to_owned();
        match (self.apply(&own, event.clone()), asker) {
            (Some(why), Some(asker)) => drop(asker.send(Verdict::Refused(why.into_owned()))),
            (Some(_), None) => {}
            (None, asker) => self.sharing.applied.push((event, asker)),
        }
    }

    /// Applies what another controller heard.
    fn decide_for(&mut self, asked: &Asked) {
        let apply =
            |event: &Event| self.apply(process_of(&asked.controller), event.clone()).map(Cow::into_owned);
        let refused = asked.events.iter().map(apply).collect();
        self.sharing.answers.push(asked.answer(refused));
    }

    /// Stores what was applied, or hands over what was heard.
    pub(super) fn save_shared(&mut self) {
        if !self.is_deciding() {
            if !self.sharing.applied.is_empty() || !self.records.is_empty() {
                self.fall_out_of_step(false);
            }
            self.hand_over();
            return;
        }
        let controller = Arc::clone(&self.controller);
        self.write_shared(&controller.zone());
    }

    /// Lays what was heard before whoever leads. Of an etcd that cannot be reached it is heard at the next look; one that takes nothing is asked
    /// again after a rest, and is in trouble until it takes something.
    fn hand_over(&mut self) {
        let was_refused = self.sharing.refused.is_some();
        let is_heard = was_refused || self.controller.condition().store_trouble.is_none();
        if !is_heard || self.sharing.rests() {
            return;
        }
        match self.sharing.hand_over(&mut self.store) {
            Ok(()) if was_refused => {
                self.sharing.refused = None;
                self.controller.set_store_trouble(None);
            }
            Ok(()) => {}
            Err(failure) => {
                let is_refused = matches!(failure.kind, FailureKind::Full | FailureKind::ReadOnly);
                self.sharing.refused = is_refused.then(Instant::now);
                self.controller.set_store_trouble(Some(failure.to_string()));
            }
        }
    }

    /// Stores what is decided and not stored, and says what follows from it.
    pub(super) fn write_shared(&mut self, zone: &Zone) {
        let answers = std::mem::take(&mut self.sharing.answers);
        let is_nothing = self.records.is_empty() && self.machines.is_empty() && self.changes.is_empty();
        if is_nothing && answers.is_empty() {
            self.sharing.refused = None;
            // It changed nothing.
            Sharing::tell_stored(self.sharing.applied.drain(..));
            return;
        }
        let beside = Beside { answered: answers.clone(), check_again: std::mem::take(&mut self.check_again) };
        let outcome = {
            let Facts { machines, changes } = zone.facts();
            let changed = self.machines.iter().filter_map(|location| machines.get_key_value(location));
            let stepped = |(id, machines)| Some(Stepped { change: changes.get(id)?, machines });
            let changes = self.changes.iter().filter_map(stepped);
            self.store.append_beside(self.records.make_contiguous(), changed, changes, beside)
        };
        match outcome {
            Ok(seq) => {
                self.controller.counters.events_stored.add(self.records.len() as u64);
                self.records.clear();
                self.machines.clear();
                self.changes.clear();
                self.sharing.refused = None;
                self.controller.set_store_trouble(None);
                self.controller.news.send_modify(|news| news.seq = seq);
                // Whose turn has come boots what it is to have.
                if self.actions.iter().any(|(_, action)| *action == Action::TellRow) {
                    self.show_of(zone);
                }
                self.act();
                Sharing::tell_stored(self.sharing.applied.drain(..));
                self.sharing.hear_answers(&answers);
            }
            Err(failure) => {
                self.controller.counters.store_failures.one();
                self.controller.set_store_trouble(Some(failure.to_string()));
                let is_refused = matches!(failure.kind, FailureKind::Full | FailureKind::ReadOnly);
                if is_refused {
                    self.sharing.refuse();
                }
                self.fall_out_of_step(!is_refused);
            }
        }
    }

    /// Keeps a secret, after all that was applied before it: of a write whose answer is lost, it must be known which it was.
    pub(super) fn keep_secret_shared(&mut self, name: &str, bytes: &[u8], asker: SecretAsker) {
        self.save_shared();
        if !self.is_deciding() {
            return drop(asker.send(Err(self.not_leading().to_string())));
        }
        match self.store.set_secret(name, bytes) {
            Ok(()) => drop(asker.send(Ok(()))),
            Err(failure) => {
                self.controller.counters.store_failures.one();
                self.controller.set_store_trouble(Some(failure.to_string()));
                self.fall_out_of_step(false);
                self.sharing.secret_in_doubt = Some((asker, failure.to_string()));
            }
        }
    }

    /// What is known here is no longer what is stored.
    pub(super) fn fall_out_of_step(&mut self, is_in_doubt: bool) {
        self.records.clear();
        self.machines.clear();
        self.changes.clear();
        self.actions.clear();
        self.check_again.clear();
        self.sharing.fall_out_of_step(is_in_doubt);
    }

    /// What is to be said to agents now that it is stored.
    pub(super) fn act(&mut self) {
        let actions = std::mem::take(&mut self.actions);
        self.say_to_agents(actions);
    }

    /// Takes what another controller decided.
    fn take_over(&mut self, batch: Batch) -> Result<(), Failure> {
        let Batch { machines, changes, published, answered, check_again, .. } = &batch;
        {
            let mut zone = self.controller.zone.write().unwrap_or_else(PoisonError::into_inner);
            for (location, machine) in machines {
                zone.learn(location, machine.clone());
            }
            changes.iter().for_each(|change| zone.learn_change(change.clone()));
        }
        self.view_is_old |= !machines.is_empty() || !changes.is_empty();
        if let Some(generation) = published {
            self.take_plan(*generation)?;
        }
        if let Some(seq) = batch.last_seq() {
            self.controller.news.send_modify(|news| news.seq = seq);
        }
        // Those whose turn came boot what they are to have, and are told by what they are judged from here on.
        if !changes.is_empty() && !self.sharing.is_out_of_step {
            let controller = Arc::clone(&self.controller);
            self.show_of(&controller.zone());
        }
        for location in changes.iter().flat_map(|change| change.machines.keys()) {
            self.controller.push(location, Push::Row);
        }
        self.pass_on(machines.keys(), check_again, answered);
        Ok(())
    }

    /// Tells those who are connected here, or wait here.
    fn pass_on<'a>(
        &mut self,
        changed: impl Iterator<Item = &'a Location>,
        check_again: &BTreeSet<Location>,
        answered: &[Answered],
    ) {
        for location in changed {
            self.controller.push(location, Push::Order);
        }
        for location in check_again {
            self.controller.push(location, Push::CheckAgain);
        }
        self.sharing.hear_answers(answered);
    }

    /// Reads everything as it is stored.
    fn read_anew(&mut self, is_far_behind: bool) -> Result<(), Failure> {
        let loaded = self.store.load()?;
        self.sharing.reread = Instant::now();
        let is_news = self.learn_all(loaded.facts);
        if is_news && !is_far_behind && !self.sharing.is_out_of_step {
            self.controller.say("what others decided was read anew: something was missed");
        }
        if let Some(published) = loaded.published {
            self.take_published(published);
        }
        self.controller.news.send_modify(|news| news.seq = loaded.last_seq);
        self.sharing.is_out_of_step = false;
        Ok(())
    }

    fn learn_all(&mut self, facts: Facts) -> bool {
        let mut zone = self.controller.zone.write().unwrap_or_else(PoisonError::into_inner);
        let before = zone.learn_all(facts);
        let is_news = before != *zone.facts();
        drop(zone);
        if is_news {
            self.view_is_old = true;
            self.controller.told.forget();
        }
        is_news
    }

    fn take_plan(&mut self, generation: Generation) -> Result<(), Failure> {
        if let Some(published) = self.store.plan(generation)? {
            self.take_published(published);
        }
        Ok(())
    }

    /// Puts a plan in force that another controller published.
    fn take_published(&mut self, published: Published) {
        let generation = published.generation;
        let now = self.controller.zone().plan().generation;
        // A lower number is no plan of this zone's any more.
        if generation <= now {
            return;
        }
        let began = Instant::now();
        let files = published.files.iter();
        let files = files.map(|(path, text)| File { path: path.clone(), text: text.as_str().into() });
        let Some(plan) = reload::compile(files.collect(), None, reload::Words::default()).plan else {
            let sentence =
                format!("this release cannot compile plan {generation}, which another controller published");
            self.controller.say(&sentence);
            self.controller.change_condition(|condition| condition.design_refused = Some(sentence));
            return;
        };
        let plan = Arc::new(Plan { generation, ..plan });
        let held = self.held(&plan);
        let view = {
            let in_force = held.as_ref().map_or(&plan, |held| &held.plan);
            let site = self.served.serve_for(&self.controller, in_force);
            let zone = self.controller.zone();
            plan::view::succeed(&self.controller.view.load(), in_force, zone.facts(), &site)
        };
        self.replace(view, began);
        let roster = Arc::new(Roster::of(&plan));
        self.put_under(plan, roster, held, generation);
        self.controller.set_digest(&published.digest);
        self.controller.change_condition(|condition| condition.design_refused = None);
        self.controller.say(&format!("plan {generation} is in force, published by {}", published.author));
    }

    /// A plan as it stands for now, if a change brings it to machines.
    fn held(&self, plan: &Plan) -> Option<Held> {
        let (change, whole) = {
            let zone = self.controller.zone();
            (lifecycle::change::holding(zone.facts(), plan.generation)?.clone(), Arc::clone(zone.whole()))
        };
        let (from, _) = change.plans()?;
        let before = match whole.generation == from {
            true => whole,
            // This one was away when it began.
            false => Arc::new(crate::changes::compiled(&self.store.plan(from).ok().flatten()?).ok()?),
        };
        Some(Held::new(plan, before, change))
    }

    fn tell_who_leads(&self, is_reached: bool) {
        let leader = match (&self.sharing.standing, self.store.term()) {
            (Standing::Leads | Standing::Sole, Some(term)) => {
                Leader::This { term, is_deciding: self.is_deciding() }
            }
            _ => self.other_leader().filter(|_| is_reached).map_or(Leader::Nobody, Leader::Other),
        };
        let controllers = self.sharing.controllers.clone();
        let has_namesake = self.sharing.has_namesake(Instant::now());
        let mut warning = None;
        self.controller.change_condition(|condition| {
            if let Some(sharing) = &mut condition.sharing {
                (sharing.leader, sharing.controllers) = (leader, controllers);
                let had_one = std::mem::replace(&mut sharing.has_namesake, has_namesake);
                warning = sharing.namesake().filter(|_| !had_one);
            }
        });
        if let Some(warning) = warning {
            self.controller.say(&warning);
        }
    }

    /// What this controller is called.
    fn name(&self) -> String {
        self.controller.condition().sharing.map(|sharing| sharing.name).unwrap_or_default()
    }

    fn note_present(&mut self, present: Vec<Peer>) {
        let own = Peer { name: self.name(), id: self.store.id().unwrap_or_default().to_owned() };
        self.sharing.note_present(present, &own, Instant::now());
    }

    /// What the controller is called that leads, if it is another.
    fn other_leader(&self) -> Option<String> {
        self.sharing.other_leader(&self.name(), Instant::now())
    }

    /// Remembers what is to be said to agents when it is stored.
    pub(super) fn act_later(&mut self, actions: Vec<(Location, Action)>) {
        for (location, action) in actions {
            if matches!(action, Action::AskAgent) {
                self.check_again.insert(location.clone());
            }
            self.actions.push((location, action));
        }
    }
}

/// An action as an agent is told.
pub(super) fn push(action: Action) -> Push {
    match action {
        Action::AskAgent => Push::CheckAgain,
        Action::TellAgent => Push::Order,
        Action::TellRow => Push::Row,
    }
}

/// Machines whose agents are to check again.
pub(super) type CheckAgain = BTreeSet<Location>;
