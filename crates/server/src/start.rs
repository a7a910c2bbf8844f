//! Opens everything in order, and ends it.
//!
//! | module    | what is in it                                                             |
//! |-----------|---------------------------------------------------------------------------|
//! | `first`   | the plan to begin with                                                    |
//! | `shared`  | the same where several controllers share a store                          |
//! | `address` | which of the design's controllers this host is                            |
//! | `bound`   | sockets for packets, and the threads that answer them                     |
//! | `serving` | connections: the API, FleetLock, agents                                   |

mod address;
mod bound;
mod first;
mod serving;
mod shared;

pub(crate) use bound::{Bound, Places};
pub(crate) use shared::name;

use crate::agents::Authority;
use crate::bmc::{self, Bmcs};
use crate::controller::{Condition, Controller, Leading, Opened};
use crate::edges::{self, Edges};
use crate::http::Api;
use crate::inbox::inbox;
use crate::options::{BindPorts, Journal, Options, StartError};
use crate::reload::{self, Reloader, Words};
use crate::site::{Gatherer, Reached, Served};
use crate::udp::Stop;
use crate::{boot_http, changes, clock, dns, keeper, page};
use address::addresses_of_this_host;
use bound::bind;
use first::{Drawn, before, first_plan};
use lifecycle::Zone;
use model::view::Ports;
use model::{Generation, Roster};
use serving::{listen_for_api, serve_agents, serve_api, serve_fleetlock};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{Key, Loaded, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A clock that is behind the newest event by more than this is told of: certificates and histories suffer from it.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);
/// The name under which the store keeps the certificate authority.
const AUTHORITY_SECRET: &str = "certificate-authority";

/// A server that serves. Dropped, it goes on until the process ends: call [`Running::stop`].
pub struct Running {
    /// The ports that are served; none is 0, but DHCPv6's on a host without IPv6.
    pub ports: BindPorts,
    /// Where the API listens on TCP.
    pub api_tcp: Option<SocketAddr>,
    /// Where it listens on a unix socket.
    pub api_socket: Option<PathBuf>,
    /// Where the page is served by HTTPS.
    pub page_tls: Option<SocketAddr>,
    /// The plan in force at the start.
    pub generation: Generation,
    controller: Arc<Controller>,
    reloader: Arc<Reloader>,
    stop: Stop,
    stopping: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    keeper: JoinHandle<()>,
    tasks: JoinSet<()>,
}

/// Starts a server in this runtime. It serves when this returns.
///
/// # Errors
/// [`StartError`], each a sentence for the operator. Nothing is left open.
pub async fn start(options: Options, journal: Journal) -> Result<Running, StartError> {
    // Neither needs the other, until it is known what was in force.
    let (opened, drawn) = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| Drawn::read(&options));
        let opened = match &options.store {
            Some(store) => shared::open(&options, store, &journal),
            None => open(&options),
        };
        (opened, drawn.join())
    });
    let (mut store, loaded) = opened?;
    let drawn = drawn.unwrap_or_else(|bug| std::panic::resume_unwind(bug));
    let found = match &drawn {
        Ok(drawn) => drawn.digest.clone(),
        Err(error) => reload::sentence(error),
    };
    let first = match loaded.published.as_ref().filter(|_| store.is_shared()) {
        Some(published) => shared::plan_in_force(&options, published, &drawn, &journal)?,
        None => first_plan(&options, &mut store, &loaded, drawn, &journal)?,
    };
    let own = addresses_of_this_host(&options, &first.plan)?;
    let (bound, beside) = bind(&options, &first.plan)?;
    let api_listeners = listen_for_api(&options)?;
    let authority = Arc::new(authority(&mut store, &first.plan.design.zone.name)?);
    let ports = Ports { boot: bound.ports.boot, boot_tls: bound.ports.boot_tls, agents: bound.ports.agents };
    let reached = options.address.map_or(Reached::ByPlan(own), Reached::At);
    let mut gatherer = Gatherer::new(&options, reached, ports, authority.sha256());
    let edges = Arc::clone(&gatherer.edges);
    let history = store.history().map_err(StartError::State)?;
    match edges::addresses(&history) {
        Ok(found) => *edges.lock().unwrap_or_else(PoisonError::into_inner) = found,
        Err(sentence) => journal(&format!("where the edges are is not known: {sentence}")),
    }
    let newest = loaded.facts.machines.values().map(|machine| machine.since).max().unwrap_or_default();
    let clock_behind = Some(newest.since(clock::now())).filter(|behind| *behind > CLOCK_BEHIND_MAX);
    let before = before(&store, &loaded.facts, &first.plan, &journal);
    let whole = Arc::new(first.plan);
    // What each machine runs by: while a change is under way, that of the plan before for some.
    let held = before.as_ref().zip(lifecycle::change::holding(&loaded.facts, whole.generation));
    let plan = match held {
        Some((before, change)) => Arc::new(lifecycle::change::hold(&whole, before, change.held())),
        None => Arc::clone(&whole),
    };
    let (site, site_troubles) = gatherer.gather(&plan.design, store.is_shared());
    let site = Arc::new(site);
    let sharing = store.is_shared().then(|| Leading { name: shared::name(&options), ..Leading::default() });
    let condition = Condition { site_troubles, clock_behind, sharing, ..first.condition };
    let began = Instant::now();
    // Who is who, for people, beside the view, for packets: neither needs the other.
    let (roster, view) = std::thread::scope(|scope| {
        let roster = scope.spawn(|| Roster::of(&plan));
        let view = plan::view(&plan, &loaded.facts, &site);
        (roster.join(), view)
    });
    let view_took = began.elapsed();
    let roster = Arc::new(roster.unwrap_or_else(|bug| std::panic::resume_unwind(bug)));
    let mut zone = Zone::with_roster(whole, roster, loaded.facts);
    if let Some(before) = before {
        zone = zone.held_to(before);
    }
    // Agents may be at other controllers.
    if !store.is_shared() {
        zone.only_these_are_connected("", |_| false, clock::now());
    }
    let generation = zone.plan().generation;
    let (inbox, queue) = inbox();
    let bmcs = Bmcs::new(Key::open_or_make(&options.state).map_err(StartError::Store)?);
    let opened =
        Opened { zone, view, history, last_seq: store.last_seq(), condition, bmcs, edges: Edges::new(edges) };
    let controller = Arc::new(Controller::new(options, journal, inbox, opened));
    controller.counters.view_made(view_took);
    let served = Arc::new(Served::new(gatherer, site));
    let (drafts, jobs) = std::sync::mpsc::channel();
    let reloader = Arc::new(Reloader::new([first.digest, found], Arc::clone(&served), drafts));
    // It ends with the reloader.
    drop(thread("design", move || reload::run(&jobs))?);

    let stop = Stop::new()
        .map_err(|error| StartError::Bind(format!("failed to make an event descriptor: {error}")))?;
    let (stopping, is_stopping) = watch::channel(false);
    let keeper = {
        let controller = Arc::clone(&controller);
        thread("keeper", move || keeper::run(controller, store, served, &queue))?
    };
    let ports = bound.ports;
    let mut tasks = JoinSet::new();
    let threads = serve_packets(&mut tasks, bound, &controller, &authority, &stop, &is_stopping)?;
    // Secondaries ask at the usual port: of a server at another they would only hear.
    if ports.dns == dns::notify::PORT {
        tasks.spawn(dns::notify::run(Arc::clone(&controller), is_stopping.clone()));
    }
    match beside.fleetlock {
        Ok(listeners) => serve_fleetlock(&mut tasks, &controller, listeners, &is_stopping)?,
        Err(why) => controller.say(&why),
    }
    serve_agents(&mut tasks, &controller, Arc::clone(&authority), beside.agents, &is_stopping)?;
    tasks.spawn(edges::watch(Arc::clone(&controller), is_stopping.clone()));
    tasks.spawn(bmc::start_armed(Arc::clone(&controller), is_stopping.clone()));
    tasks.spawn(changes::run(Arc::clone(&controller), Arc::clone(&reloader), is_stopping.clone()));
    tasks.spawn(Arc::clone(&reloader).watch(Arc::clone(&controller), is_stopping.clone()));
    let api =
        Api::new(Arc::clone(&controller), Arc::clone(&reloader), ports, &authority, is_stopping.clone());
    tasks.spawn(page::watch(Arc::clone(&api.board), Arc::clone(&controller), is_stopping.clone()));
    let places = serve_api(&mut tasks, api, api_listeners, authority, &is_stopping)?;
    Ok(Running {
        ports,
        api_tcp: places.tcp,
        api_socket: places.unix,
        page_tls: places.tls,
        generation,
        controller,
        reloader,
        stop,
        stopping,
        threads,
        keeper,
        tasks,
    })
}

impl Running {
    /// Reads the design again now. Gives why it is not in force, if it is not.
    pub async fn reload(&self, words: Words) -> Option<String> {
        let intent = reload::Intent {
            author: "operator",
            reason: "asked to reload",
            words,
            begins: false,
            undoes: None,
            seen: reload::Seen::default(),
        };
        self.reloader.reload(&self.controller, intent).await.refused
    }

    /// Ends it: no new work, what is under way is given a moment, what happened is stored.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        self.stop.stop();
        while self.tasks.join_next().await.is_some() {}
        let (inbox, threads, keeper) = (self.controller.inbox.clone(), self.threads, self.keeper);
        // A thread that panicked has said so on standard error.
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
            // Last, so that everything that was told before is stored.
            inbox.stop();
            let _ = keeper.join();
        })
        .await;
    }
}

/// Answers packets and what boots, HTTPS with the others.
fn serve_packets(
    tasks: &mut JoinSet<()>,
    mut bound: Bound,
    controller: &Arc<Controller>,
    authority: &Arc<Authority>,
    stop: &Stop,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    // No role asks for it, if there is none.
    let boot_tls = std::mem::replace(&mut bound.boot_tls, Ok(Vec::new()));
    let interface = controller.options.interface.clone();
    let mut threads = bound.serve(&controller.answering, tasks, stop, stopping, interface)?;
    match boot_tls {
        Ok(listeners) => {
            let (answering, stop, authority) =
                (Arc::clone(&controller.answering), stop.clone(), Arc::clone(authority));
            threads.push(thread("boot-tls", move || {
                boot_http::run_tls(&answering, authority, listeners, &stop);
            })?);
        }
        Err(why) => controller.say(&why),
    }
    Ok(threads)
}

/// The zone's authority, as the store has it; founded if there is none.
fn authority(store: &mut Store, zone: &str) -> Result<Authority, StartError> {
    let kept = store.secret(AUTHORITY_SECRET).map_err(StartError::State)?;
    let (authority, secret) = Authority::open_or_found(kept.as_deref(), zone, clock::now())
        .map_err(|error| StartError::Authority(error.to_string()))?;
    if let Some(secret) = secret {
        store.set_secret(AUTHORITY_SECRET, &secret).map_err(StartError::State)?;
    }
    Ok(authority)
}

/// The store, and what it holds.
fn open(options: &Options) -> Result<(Store, Loaded), StartError> {
    let mut store = Store::open(&options.state).map_err(StartError::Store)?;
    if let Some(octets) = options.state_bytes_max {
        store.limit_size(octets).map_err(StartError::State)?;
    }
    let loaded = store.load().map_err(StartError::State)?;
    Ok((store, loaded))
}

pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).map_err(|error| StartError::Bind(format!("failed to start a thread: {error}")))
}

pub(crate) fn listener(listener: std::net::TcpListener) -> Result<TcpListener, StartError> {
    TcpListener::from_std(listener).map_err(|error| StartError::Bind(format!("failed to listen: {error}")))
}
