//! What the parts of a running controller share.
//!
//! Packets have `answering` and nothing else. `zone` is written by the keeper alone and read by the API and the agents'
//! listener; no socket loop takes its lock.

use crate::agents::{Present, Push, Situation, Verdict, order};
use crate::answering::Answering;
use crate::bmc::Bmcs;
use crate::edges::Edges;
use crate::inbox::Inbox;
use crate::keeper::Message;
use crate::options::{Journal, Options};
use lifecycle::Zone;
use model::finding::Files;
use model::{Event, Finding, Generation, Location, Time, View};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use store::History;
use store::etcd::Term;
use tokio::sync::{oneshot, watch};

/// A running controller.
pub(crate) struct Controller {
    pub(crate) options: Options,
    /// What packets need; its threads have it without the rest.
    pub(crate) answering: Arc<Answering>,
    pub(crate) started: Time,
    /// The plan in force and what was observed of it.
    pub(crate) zone: RwLock<Zone>,
    /// Tells that there is something new to read.
    pub(crate) news: watch::Sender<News>,
    /// Reads history beside the keeper.
    pub(crate) history: Mutex<History>,
    /// Which agents hold a connection.
    pub(crate) present: Arc<Present>,
    /// The machines' BMCs.
    pub(crate) bmcs: Arc<Bmcs>,
    /// The zone's edges.
    pub(crate) edges: Edges,
    condition: Mutex<Condition>,
    /// Of the plan in force, as another controller published it.
    digest: Mutex<String>,
}

/// What a controller begins with.
pub(crate) struct Opened {
    pub(crate) zone: Zone,
    pub(crate) view: View,
    pub(crate) history: History,
    pub(crate) last_seq: u64,
    pub(crate) condition: Condition,
    pub(crate) bmcs: Bmcs,
    pub(crate) edges: Edges,
}

/// A hint: what is there to be read now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct News {
    /// The last event that is stored.
    pub(crate) seq: u64,
    /// The plan in force.
    pub(crate) generation: Generation,
    /// How many views were published.
    pub(crate) views: u64,
}

/// What an operator should know of the controller itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// The newest reading of the design: what it found, and the files that the findings point into.
    pub(crate) findings: Vec<Finding>,
    pub(crate) files: Files,
    /// Why the newest design is not in force, if it is not.
    pub(crate) design_refused: Option<String>,
    /// When the design was last read.
    pub(crate) design_read: Time,
    /// Why nothing is stored, if nothing is.
    pub(crate) store_trouble: Option<String>,
    /// Boot files that are named but not there, and the like.
    pub(crate) site_troubles: Vec<String>,
    /// Who decides, of several controllers; `None`: there is one.
    pub(crate) sharing: Option<Leading>,
    /// How far the clock was behind the newest event when the controller started.
    pub(crate) clock_behind: Option<Duration>,
}

/// Who decides, of several controllers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leading {
    /// This one's name.
    pub(crate) name: String,
    /// All that are there.
    pub(crate) controllers: Vec<String>,
    pub(crate) leader: Leader,
    /// Another has this one's name.
    pub(crate) has_namesake: bool,
}

/// Who leads, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) enum Leader {
    #[default]
    Nobody,
    Other(String),
    /// This one, as long as that is certain: the keeper may wait for an etcd that does not answer, and another may lead meanwhile.
    This {
        term: Term,
        /// It knows what is stored, and decides.
        is_deciding: bool,
    },
}

impl Leading {
    pub(crate) fn leads(&self) -> Option<&str> {
        match &self.leader {
            Leader::Other(name) => Some(name),
            Leader::This { term, .. } if term.is_certain() => Some(&self.name),
            Leader::This { .. } | Leader::Nobody => None,
        }
    }

    /// That another has this one's name.
    pub(crate) fn namesake(&self) -> Option<String> {
        let name = &self.name;
        self.has_namesake.then(|| {
            format!("another controller is called {name}, too, and nobody can tell which of them is meant: start one of them with another --name")
        })
    }

    fn is_deciding(&self) -> bool {
        matches!(&self.leader, Leader::This { term, is_deciding: true } if term.is_certain())
    }
}

impl Deref for Controller {
    type Target = Answering;

    fn deref(&self) -> &Answering {
        &self.answering
    }
}

impl Controller {
    pub(crate) fn new(options: Options, journal: Journal, inbox: Inbox, opened: Opened) -> Self {
        let Opened { zone, view, history, last_seq, condition, bmcs, edges } = opened;
        let news = News { seq: last_seq, generation: zone.plan().generation, views: 1 };
        Self {
            options,
            answering: Arc::new(Answering::new(journal, inbox, view)),
            started: crate::clock::now(),
            zone: RwLock::new(zone),
            news: watch::Sender::new(news),
            history: Mutex::new(history),
            present: Arc::new(Present::default()),
            bmcs: Arc::new(bmcs),
            edges,
            condition: Mutex::new(condition),
            digest: Mutex::default(),
        }
    }

    /// The zone, to read.
    pub(crate) fn zone(&self) -> RwLockReadGuard<'_, Zone> {
        self.zone.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the keeper something and waits until it is stored, or refused; `None` if it could not be stored.
    pub(crate) async fn ask(&self, event: Event) -> Option<Verdict> {
        self.offer(event)?.await.ok()
    }

    /// Tells the keeper something, if there is room in its queue. What comes of it comes later; nothing, if it could not be stored.
    pub(crate) fn offer(&self, event: Event) -> Option<oneshot::Receiver<Verdict>> {
        let (asker, verdict) = oneshot::channel();
        self.inbox.send(Message::Ask(event, asker)).then_some(verdict)
    }

    /// Whether somebody is known to decide: this controller, or another that it can lay things before.
    pub(crate) fn has_leader(&self) -> bool {
        self.sharing(|sharing| sharing.leads().is_some())
    }

    /// Says something to a machine's agent.
    pub(crate) fn push(&self, location: &Location, push: Push) {
        // An agent that is not connected hears of it when it connects.
        self.present.push(location, push);
    }

    /// What is planned and known of a place.
    pub(crate) fn look(&self, location: &Location) -> Situation {
        let view = self.view.load();
        let zone = self.zone();
        let (device, machine) = (zone.roster().device_at(location), zone.facts().machines.get(location));
        // A view of another plan is about to be replaced, and agents are told of the new plan when it is.
        let is_current = view.generation == zone.plan().generation;
        let found = device.zip(machine);
        let burn_in = found.and_then(|(device, machine)| order::burn_in(zone.plan(), device, machine));
        let restart = machine.and_then(order::restart);
        Situation {
            plan: Arc::clone(zone.plan()),
            device,
            machine: machine.cloned(),
            order: restart.or(burn_in).or_else(|| {
                let (device, machine) = found.filter(|_| is_current)?;
                order::frame(&view, device, machine, crate::clock::now())
            }),
        }
    }

    /// The digest of a plan that another controller published last.
    pub(crate) fn digest(&self) -> String {
        self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_digest(&self, digest: &str) {
        digest.clone_into(&mut self.digest.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether it is this controller that decides, and does what follows from it.
    pub(crate) fn is_leading(&self) -> bool {
        self.sharing(Leading::is_deciding)
    }

    /// Whether other controllers use the store that is in force.
    pub(crate) fn shares(&self) -> bool {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).sharing.is_some()
    }

    /// Something of who decides, of several controllers; true where there is one.
    fn sharing(&self, holds: impl FnOnce(&Leading) -> bool) -> bool {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).sharing.as_ref().is_none_or(holds)
    }

    pub(crate) fn condition(&self) -> Condition {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_condition(&self, change: impl FnOnce(&mut Condition)) {
        change(&mut self.condition.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn set_store_trouble(&self, trouble: Option<String>) {
        if self.condition().store_trouble != trouble {
            self.say(trouble.as_deref().unwrap_or("the store can be written again; nothing is unsaved"));
        }
        self.change_condition(|condition| condition.store_trouble = trouble);
    }
}
