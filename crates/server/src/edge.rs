//! The doing half of `zw edge`: the answering half of a controller, near the machines, from what controllers told and what lies on its own
//! disk. It decides nothing and asks nobody before it answers.
//!
//! ```text
//!  packets ──> dhcp dns tftp boot_http ──> packets        the same loops as a controller's, over one View
//!                │ heard            ▲ view
//!                ▼                  │
//!             unsaid             keeper ──── mirror (disk), cache (disk)
//!                │                  ▲
//!                └──> follow: a controller, when there is one
//! ```
//!
//! | module     | what it does                                                             |
//! |------------|----------------------------------------------------------------------------|
//! | `keeper`   | what it answers from; takes news whole or not at all                        |
//! | `follow`   | its connections to controllers                                              |
//! | `client`   | one of them                                                                  |
//! | `cache`    | boot files by digest                                                         |
//! | `files`    | those files, read and fetched                                                |
//! | `heard`    | what it heard, until a controller knows                                       |
//! | `identity` | its name, key and certificate; enrolment                                     |
//! | `local`    | how it is, for whoever asks on this host                                      |

mod cache;
mod client;
mod files;
mod follow;
mod heard;
mod identity;
mod keeper;
mod local;

pub use identity::enrol;

use crate::answering::Answering;
use crate::clock;
use crate::inbox::inbox;
use crate::options::{BindPorts, Journal, StartError};
use crate::start::{self, Bound, Places};
use crate::udp::Stop;
use api::edge::{Have, News, Status};
use cache::{AT_ONCE_MAX, Cache};
use heard::Unsaid;
use identity::Identity;
use keeper::Keeper;
use model::Time;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use store::Mirror;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long after a controller was heard last machines are still given installers.
const INSTALLS_FOR: Duration = Duration::from_secs(60);
/// How often it is written down that a controller was heard, if nothing else is.
const CONTACT_KEPT_EVERY: Duration = Duration::from_secs(600);
/// After nobody answered, they are asked again after this, and then less often.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether files still lie there as they were read: content is read once a day only.
const FILES_STAND_EVERY: Duration = Duration::from_secs(60);
/// How often files are looked at, if nobody says that others are named.
const FILES_LOOK_EVERY: Duration = Duration::from_secs(600);
/// Missing files whose names are told.
const NAMES_MAX: usize = 32;

/// What an edge is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EdgeOptions {
    /// Where all it has is kept.
    pub state: PathBuf,
    /// The controllers' listeners of agents. Empty: those it was enrolled with.
    pub controllers: Vec<SocketAddr>,
    /// Serve on this address only.
    pub address: Option<IpAddr>,
    /// Hear DHCP on this interface only.
    pub interface: Option<String>,
    /// Ports; 0 is any free one. Agents and FleetLock are not served.
    pub ports: BindPorts,
    /// HTTP boot is served at the controllers' port, whatever `ports` says.
    pub boot_as_controllers: bool,
    /// How it is, told on TCP; `None`: not.
    pub api_tcp: Option<SocketAddr>,
    /// The most octets of boot files.
    pub files_bytes_max: u64,
    /// A zone that has gone back is taken as it is, once.
    pub accept_older: bool,
}

impl EdgeOptions {
    /// Of this state, and for the rest what an edge has.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            controllers: Vec::new(),
            address: None,
            interface: None,
            ports: BindPorts::default(),
            boot_as_controllers: true,
            api_tcp: Some(SocketAddr::from(([127, 0, 0, 1], 8482))),
            files_bytes_max: 64 << 30,
            accept_older: false,
        }
    }
}

/// How an edge ended by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is no edge of the zone any more.
    Removed(String),
    /// It cannot go on.
    Failed(String),
}

/// What the parts of a running edge share.
struct Edge {
    options: EdgeOptions,
    identity: Mutex<Identity>,
    tls: Arc<ClientConfig>,
    journal: Journal,
    started: Time,
    /// From the first plan on.
    answering: OnceLock<Arc<Answering>>,
    keeper: Mutex<Keeper>,
    unsaid: Unsaid,
    /// There is a first plan.
    planned: Notify,
    files_changed: Notify,
    /// What packets are answered from has it, too: a file that is offered could not be opened.
    files_doubted: Arc<Notify>,
    installs: AtomicBool,
    link: Mutex<Link>,
    ports: Mutex<BTreeMap<String, u16>>,
}

/// How it stands with controllers.
#[derive(Default)]
struct Link {
    asks: Option<SocketAddr>,
    followed: Option<SocketAddr>,
    contact: Option<Instant>,
    heard: Option<Time>,
    /// Why each is not followed, since one was.
    troubles: BTreeMap<SocketAddr, String>,
    refused: Option<String>,
    /// What was said of files, so that it is said once.
    said: BTreeMap<String, String>,
}

/// An edge that runs. Call [`EdgeRunning::stop`].
pub struct EdgeRunning {
    /// Where it tells how it is.
    pub api_tcp: Option<SocketAddr>,
    edge: Arc<Edge>,
    stopping: watch::Sender<bool>,
    ended: watch::Receiver<Option<Ended>>,
    serving: Arc<Mutex<Option<Serving>>>,
    tasks: JoinSet<()>,
}

/// What answers packets.
struct Serving {
    answering: Arc<Answering>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
    hearing: JoinHandle<()>,
}

/// Starts an edge in this runtime. If it has a plan, it answers when this returns.
///
/// # Errors
/// [`StartError`], each a sentence for the operator.
pub async fn start_edge(options: EdgeOptions, journal: Journal) -> Result<EdgeRunning, StartError> {
    let mirror = Mirror::open(&options.state).map_err(StartError::Store)?;
    let Some(identity) = Identity::read(&mirror)? else {
        return Err(StartError::Authority(format!(
            "{} holds no edge: nothing can be answered from it. Add one on a controller with `zw edge add`, and give its ticket to `zw edge enrol` here; for that a controller must be up",
            options.state.display()
        )));
    };
    if identity.is_removed {
        return Err(StartError::Authority(format!(
            "this edge was removed from the zone {}; `zw edge add` on a controller and `zw edge enrol` here make it one again",
            identity.zone
        )));
    }
    let tls = identity.tls().map_err(StartError::Authority)?;
    let cache = Cache::open(&options.state, options.files_bytes_max)
        .map_err(|error| StartError::Authority(format!("the edge's files cannot be kept: {error}")))?;
    let opened = tokio::task::spawn_blocking(move || Keeper::open(mirror, cache)).await;
    let mut keeper = opened.map_err(|bug| StartError::Controller(bug.to_string()))??;
    keeper.accepts_older = options.accept_older;
    let heard = Some(keeper.stands.contact).filter(|at| *at != Time(0));
    let edge = Arc::new(Edge {
        identity: Mutex::new(identity),
        tls,
        journal,
        started: clock::now(),
        answering: OnceLock::new(),
        keeper: Mutex::new(keeper),
        unsaid: Unsaid::default(),
        planned: Notify::new(),
        files_changed: Notify::new(),
        files_doubted: Arc::default(),
        installs: AtomicBool::new(false),
        link: Mutex::new(Link { heard, ..Link::default() }),
        ports: Mutex::default(),
        options,
    });
    let (stopping, is_stopping) = watch::channel(false);
    let (ending, ended) = watch::channel(None);
    let serving = Arc::new(Mutex::new(None));
    let mut tasks = JoinSet::new();
    let has_plan = edge.keeper().plan().is_some();
    if has_plan {
        let reading = Arc::clone(&edge);
        let _ = tokio::task::spawn_blocking(move || reading.read_files(AT_ONCE_MAX)).await;
        let served = edge.serve(&mut tasks, &is_stopping)?;
        *serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(served);
    } else {
        edge.say("this edge has no plan yet, and answers nothing until a controller tells it one");
    }
    let api_tcp = edge.serve_status(&mut tasks, &is_stopping)?;
    let lasting = Arc::clone(&edge);
    let (kept, mut stop, stopped) = (Arc::clone(&serving), is_stopping.clone(), is_stopping);
    tasks.spawn(async move {
        // What they spawn ends with them.
        let mut inner = JoinSet::new();
        inner.spawn(follow::say(Arc::clone(&lasting)));
        inner.spawn(follow::fetch(Arc::clone(&lasting)));
        inner.spawn(follow::watch_files(Arc::clone(&lasting)));
        inner.spawn(follow::watch_contact(Arc::clone(&lasting)));
        let mut following = tokio::spawn(follow::follow(Arc::clone(&lasting)));
        let mut served = JoinSet::new();
        let mut is_served = has_plan;
        let how = loop {
            tokio::select! {
                how = &mut following => break how.unwrap_or_else(|bug| Ended::Failed(bug.to_string())),
                _ = stop.wait_for(|stop| *stop) => {
                    following.abort();
                    break Ended::Failed(String::new());
                }
                () = lasting.planned.notified(), if !is_served => {
                    is_served = true;
                    match lasting.serve(&mut served, &stopped) {
                        Ok(serving) => *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving),
                        Err(error) => break Ended::Failed(error.to_string()),
                    }
                }
            }
        };
        inner.shutdown().await;
        if !*stop.borrow() {
            ending.send_replace(Some(how));
            let _ = stop.wait_for(|stop| *stop).await;
        }
        while served.join_next().await.is_some() {}
    });
    Ok(EdgeRunning { api_tcp, edge, stopping, ended, serving, tasks })
}

impl EdgeRunning {
    /// The ports that it serves, by service; none, as long as it has no plan.
    pub fn ports(&self) -> BTreeMap<String, u16> {
        self.edge.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.edge.status()
    }

    /// Until it ends by itself.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or(Ended::Failed(String::new())),
            Err(_) => Ended::Failed("the edge's task is gone; the log says why".to_owned()),
        }
    }

    /// Ends it. Gives how many events it heard that no controller knows: they are lost.
    pub async fn stop(mut self) -> usize {
        self.stopping.send_replace(true);
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(serving) = &serving {
            serving.stop.stop();
        }
        while self.tasks.join_next().await.is_some() {}
        let _ = tokio::task::spawn_blocking(move || {
            let Some(Serving { answering, threads, hearing, .. }) = serving else { return };
            for thread in threads {
                let _ = thread.join();
            }
            answering.inbox.stop();
            let _ = hearing.join();
        })
        .await;
        self.edge.unsaid.count().0
    }
}

impl Edge {
    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        (self.journal)(line);
    }

    /// Opens ports and answers, from the plan that there is.
    fn serve(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Serving, StartError> {
        let (plan, boot_port) = {
            let keeper = self.keeper();
            let Some(plan) = keeper.plan() else {
                return Err(StartError::Controller("there is no plan to answer from".to_owned()));
            };
            (Arc::clone(plan), keeper.stands.site.boot_port)
        };
        let EdgeOptions { address, interface, mut ports, boot_as_controllers, .. } = self.options.clone();
        if boot_as_controllers {
            ports.boot = boot_port;
        }
        let places = Places { address, interface, ports };
        let bound = Bound::open(&places, &plan)?;
        let view = {
            let mut keeper = self.keeper();
            keeper.ports = [bound.ports.boot, 0];
            keeper.view().ok_or_else(|| StartError::Controller("there is no plan".to_owned()))?
        };
        let generation = view.generation;
        let (inbox, queue) = inbox();
        let mut answering = Answering::new(Arc::clone(&self.journal), inbox, view);
        answering.files_doubted = Arc::clone(&self.files_doubted);
        let answering = Arc::new(answering);
        let stop = Stop::new()
            .map_err(|error| StartError::Bind(format!("failed to make an event descriptor: {error}")))?;
        let hearing = {
            let edge = Arc::clone(self);
            start::thread("heard", move || edge.unsaid.listen(&queue))?
        };
        let named = [
            ("dhcp", bound.ports.dhcp),
            ("dhcp6", bound.ports.dhcp6),
            ("proxy-dhcp", bound.ports.proxy_dhcp),
            ("dns", bound.ports.dns),
            ("tftp", bound.ports.tftp),
            ("boot", bound.ports.boot),
        ];
        let threads = bound.serve(&answering, tasks, &stop, stopping, places.interface)?;
        *self.ports.lock().unwrap_or_else(PoisonError::into_inner) =
            named.map(|(name, port)| (name.to_owned(), port)).into();
        // Nobody else sets it.
        let _ = self.answering.set(Arc::clone(&answering));
        // What was told while the ports were opened.
        self.keeper().show(&answering);
        let served: Vec<String> = named.iter().map(|(name, port)| format!("{name} {port}")).collect();
        self.say(&format!("plan {generation} is served: {}", served.join(", ")));
        let checking = Arc::clone(self);
        // It takes a moment, and nobody waits.
        drop(start::thread("compare", move || {
            let (whole, told) = checking.keeper().compared();
            if whole.is_some_and(|whole| crate::edges::document(&whole) != told) {
                checking.say("this release makes something else of the plan than the controller did that it is from; give both the same release");
            }
        })?);
        Ok(Serving { answering, stop, threads, hearing })
    }

    /// Whom to ask, in order: who was named, and where the zone says that its controllers are.
    fn controllers(&self) -> Vec<SocketAddr> {
        let mut all = self.options.controllers.clone();
        if all.is_empty() {
            all.clone_from(&self.identity.lock().unwrap_or_else(PoisonError::into_inner).controllers);
        }
        let keeper = self.keeper();
        let site = &keeper.stands.site;
        let told = site.controllers.iter().map(|address| SocketAddr::new(*address, site.agents_port));
        for controller in told {
            if !all.contains(&controller) {
                all.push(controller);
            }
        }
        all
    }

    fn have(&self) -> Option<Have> {
        let keeper = self.keeper();
        keeper.plan().is_some().then(|| keeper.stands.have.clone())
    }

    fn asks(&self, controller: SocketAddr) {
        let mut link = self.link();
        (link.asks, link.followed) = (Some(controller), None);
    }

    fn followed(&self) -> Option<SocketAddr> {
        self.link().followed
    }

    fn contact(&self) -> Option<Instant> {
        self.link().contact
    }

    /// A controller said how things are, and it was taken.
    fn heard_from(&self, controller: SocketAddr) {
        let mut link = self.link();
        let is_news = link.followed != Some(controller);
        *link = Link {
            asks: Some(controller),
            followed: Some(controller),
            contact: Some(Instant::now()),
            heard: Some(clock::now()),
            troubles: BTreeMap::new(),
            refused: None,
            said: std::mem::take(&mut link.said),
        };
        drop(link);
        if is_news {
            self.say(&format!("following the controller at {controller}"));
        }
    }

    /// It is not followed, and why. Said once, until it is another reason or one was followed.
    fn in_trouble(&self, controller: SocketAddr, why: &str) {
        let mut link = self.link();
        link.followed = None;
        let is_news = link.troubles.insert(controller, why.to_owned()).as_deref() != Some(why);
        drop(link);
        if is_news {
            self.say(&format!("{controller} is not followed, and what is served stays: {why}"));
        }
    }

    /// Takes what a controller told.
    fn take(&self, news: News) -> Result<(), String> {
        let mut keeper = self.keeper();
        let before = keeper.plan().map(|plan| plan.generation);
        let taken = keeper.take(news, clock::now());
        let after = keeper.plan().map(|plan| plan.generation);
        if let (Ok(true), Some(answering)) = (&taken, self.answering.get()) {
            keeper.show(answering);
        }
        drop(keeper);
        match taken {
            Err(why) => {
                self.link().refused = Some(why.clone());
                return Err(why);
            }
            Ok(false) => {}
            Ok(true) => {
                self.files_changed.notify_one();
                if before.is_none() {
                    self.planned.notify_one();
                }
                if let Some(generation) = after.filter(|_| before.is_some() && before != after) {
                    self.say(&format!("plan {generation} is served from now on"));
                }
            }
        }
        Ok(())
    }

    /// A controller says that this is no edge any more: it stops, and does not start again.
    async fn removed(self: &Arc<Self>, why: &str) -> Ended {
        let edge = Arc::clone(self);
        let writing = move || {
            let mut identity = edge.identity.lock().unwrap_or_else(PoisonError::into_inner);
            identity.is_removed = true;
            let written = identity.write(&mut edge.keeper().mirror);
            written.err().map(|error| error.to_string())
        };
        if let Ok(Some(error)) = tokio::task::spawn_blocking(writing).await {
            self.say(&format!("it cannot be kept that this edge was removed: {error}"));
        }
        Ended::Removed(why.to_owned())
    }

    fn set_installs(&self, installs: bool) {
        let mut keeper = self.keeper();
        keeper.installs = installs;
        if let Some(answering) = self.answering.get() {
            keeper.show(answering);
        }
    }
}
