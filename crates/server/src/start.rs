//! Opens everything in order, and ends it.

mod shared;

pub(crate) use shared::name;

use crate::agents::{self, Agents, Authority};
use crate::answering::Answering;
use crate::bmc::{self, Bmcs};
use crate::boot_http::tls::Certificate;
use crate::controller::{Condition, Controller, Leading, Opened};
use crate::edges::{self, Door, Edges};
use crate::files::{ReadError, read_design};
use crate::http::{self, Api};
use crate::inbox::inbox;
use crate::keeper::{self, Message};
use crate::options::{BindPorts, Journal, Options, StartError};
use crate::reload::{self, Reading, Reloader, Words};
use crate::site::Gatherer;
use crate::sockets::{self, Purpose};
use crate::udp::{self, Stop};
use crate::{
    boot_http, changes, clock, commit, connections, dhcp, dhcp6, dns, fleetlock, page, page_tls, steering,
    tftp,
};
use axum::Extension;
use hyper_util::service::TowerToHyperService;
use lifecycle::Zone;
use model::design::DeviceKind;
use model::view::Ports;
use model::{Facts, Generation, Plan, Roster};
use socket2::Socket;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{Key, Loaded, Publication, PublishError, Published, Store};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often agents say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often agents run their checks again.
const CHECK_EVERY: Duration = Duration::from_secs(300);
/// A clock that is behind the newest event by more than this is told of: certificates and histories suffer from it.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);
/// How many free UDP ports are tried until one is free for TCP too, where any port will do.
const FREE_PORT_TRIES: u32 = 32;
/// Threads for each of DHCP and DNS at most: well before that many, the network is the limit.
const WORKERS_MAX: usize = 8;
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

/// Where packets are to come from.
pub(crate) struct Places {
    /// This one only; `None`: every one.
    pub(crate) address: Option<IpAddr>,
    pub(crate) interface: Option<String>,
    pub(crate) ports: BindPorts,
}

/// Everything that packets come to.
pub(crate) struct Bound {
    dhcp: Vec<dhcp::Worker>,
    /// Or why there is none.
    dhcp6: Result<Socket, String>,
    tftp: Vec<Socket>,
    dns: Vec<Socket>,
    dns_tcp: Vec<std::net::TcpListener>,
    boot: Vec<std::net::TcpListener>,
    /// Or why there is none.
    pub(crate) boot_tls: Result<Vec<std::net::TcpListener>, String>,
    pub(crate) ports: BindPorts,
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
    let (authority, secret) = Authority::open_or_found(
        store.secret(AUTHORITY_SECRET).map_err(StartError::State)?.as_deref(),
        &first.plan.design.zone.name,
        clock::now(),
    )
    .map_err(|error| StartError::Authority(error.to_string()))?;
    if let Some(secret) = secret {
        store.set_secret(AUTHORITY_SECRET, &secret).map_err(StartError::State)?;
    }
    let authority = Arc::new(authority);
    let ports = Ports { boot: bound.ports.boot, boot_tls: bound.ports.boot_tls, agents: bound.ports.agents };
    // Of several, each is its own clients' first.
    let own = own.into_iter().filter(|_| options.store.is_some());
    let controllers = options.address.map_or_else(|| own.collect(), |address| vec![address]);
    let mut gatherer = Gatherer::new(&options, controllers, ports, authority.sha256());
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
    let (site, site_troubles) = gatherer.gather(&plan.design);
    let site = Arc::new(site);
    let store_is_shared = store.is_shared();
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
    let generation = zone.plan().generation;
    let (inbox, queue) = inbox();
    let bmcs = Bmcs::new(Key::open_or_make(&options.state).map_err(StartError::Store)?);
    let opened =
        Opened { zone, view, history, last_seq: store.last_seq(), condition, bmcs, edges: Edges::new(edges) };
    let controller = Arc::new(Controller::new(options, journal, inbox, opened));
    controller.counters.view_made(view_took);
    let (drafts, jobs) = std::sync::mpsc::channel();
    let reloader = Arc::new(Reloader::new([first.digest, found], Arc::clone(&site), gatherer, drafts));
    // It ends with the reloader.
    drop(thread("design", move || reload::run(&jobs))?);

    let stop = Stop::new()
        .map_err(|error| StartError::Bind(format!("failed to make an event descriptor: {error}")))?;
    let (stopping, is_stopping) = watch::channel(false);
    let keeper = {
        let controller = Arc::clone(&controller);
        thread("keeper", move || keeper::run(controller, store, site, &queue))?
    };
    let ports = bound.ports;
    let mut tasks = JoinSet::new();
    let mut bound = bound;
    // No role asks for it, if there is none.
    let boot_tls = std::mem::replace(&mut bound.boot_tls, Ok(Vec::new()));
    let interface = controller.options.interface.clone();
    let mut threads = bound.serve(&controller.answering, &mut tasks, &stop, &is_stopping, interface)?;
    match boot_tls {
        Ok(listeners) => {
            let (answering, stop, authority) =
                (Arc::clone(&controller.answering), stop.clone(), Arc::clone(&authority));
            threads.push(thread("boot-tls", move || {
                boot_http::run_tls(&answering, authority, listeners, &stop);
            })?);
        }
        Err(why) => controller.say(&why),
    }
    // Secondaries ask at the usual port: of a server at another they would only hear.
    if ports.dns == dns::notify::PORT {
        tasks.spawn(dns::notify::run(Arc::clone(&controller), is_stopping.clone()));
    }
    match beside.fleetlock {
        Ok(listeners) => serve_fleetlock(&mut tasks, &controller, listeners, &is_stopping)?,
        Err(why) => controller.say(&why),
    }
    serve_agents(&mut tasks, &controller, Arc::clone(&authority), beside.agents, &is_stopping)?;
    if store_is_shared {
        tasks.spawn(edges::watch(Arc::clone(&controller), is_stopping.clone()));
    }
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

/// The store, and what it holds.
fn open(options: &Options) -> Result<(Store, Loaded), StartError> {
    let mut store = Store::open(&options.state).map_err(StartError::Store)?;
    if let Some(octets) = options.state_bytes_max {
        store.limit_size(octets).map_err(StartError::State)?;
    }
    let loaded = store.load().map_err(StartError::State)?;
    Ok((store, loaded))
}

/// The design as it lies there, compared with nothing yet.
struct Drawn {
    digest: String,
    reading: Reading,
}

impl Drawn {
    fn read(options: &Options) -> Result<Self, ReadError> {
        let files = read_design(&options.design)?;
        Ok(Self { digest: reload::digest(&files), reading: reload::compile(files, None, Words::default()) })
    }
}

/// The plan that a change comes from, if one is under way or is to be taken back.
fn before(store: &Store, facts: &Facts, plan: &Plan, journal: &Journal) -> Option<Arc<Plan>> {
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
struct First {
    plan: Plan,
    digest: String,
    condition: Condition,
}

/// The design as it lies there, if it may become current; else the plan that was current before.
fn first_plan(
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
                reading.refused = not_at_start(&loaded.facts, &reading.effects);
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
fn not_at_start(facts: &Facts, effects: &crate::keeper::Effects) -> Option<String> {
    if let Some(change) =
        facts.changes.values().find(|change| change.is_under_way() && change.plans().is_some())
    {
        return Some(format!("{} of {} is under way", change.id, change.by));
    }
    let touched = lifecycle::change::touched(facts, effects.clone());
    (!touched.is_empty()).then(|| reload::unapplied(&touched))
}

/// Those that the plan gives to a controller. Without an address given, this host must have one: else machines would be
/// told of a controller that is not there.
fn addresses_of_this_host(options: &Options, plan: &Plan) -> Result<Vec<IpAddr>, StartError> {
    let design = &plan.design;
    let controllers =
        design.devices.iter().enumerate().filter(|(_, device)| device.kind == DeviceKind::Controller);
    let meant: Vec<_> = controllers
        .filter(|(_, device)| {
            options.controller.as_ref().is_none_or(|name| device.name == *name || device.location.is(name))
        })
        .collect();
    if let (Some(name), true) = (&options.controller, meant.is_empty()) {
        let names = design
            .devices
            .iter()
            .filter(|device| device.kind == DeviceKind::Controller)
            .map(|device| device.name.as_str());
        let names: Vec<_> = names.collect();
        return Err(StartError::Controller(format!(
            "the design has no controller {name}; it has {}",
            names.join(", ")
        )));
    }
    if options.address.is_some() {
        return Ok(Vec::new());
    }
    let own: HashSet<IpAddr> = nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect();
    let interfaces =
        meant.iter().flat_map(|(index, _)| plan.interfaces_of(model::DeviceId::from_index(*index)));
    let planned: Vec<IpAddr> = interfaces
        .flat_map(|interface| [interface.v4.map(IpAddr::V4), interface.v6.map(IpAddr::V6)])
        .flatten()
        .collect();
    let here: Vec<_> = planned.iter().copied().filter(|address| own.contains(address)).collect();
    if !here.is_empty() {
        return Ok(here);
    }
    let names: Vec<_> = meant.iter().map(|(_, device)| device.name.as_str()).collect();
    let planned: Vec<_> = planned.iter().map(IpAddr::to_string).collect();
    Err(StartError::Controller(format!(
        "this host has no address that the design gives to a controller ({}: {}); add it to an interface, or name the one to serve on with --address",
        names.join(", "),
        planned.join(", ")
    )))
}

impl Bound {
    /// Opens all of it.
    pub(crate) fn open(places: &Places, plan: &Plan) -> Result<Self, StartError> {
        let purpose = |service, transport| Purpose { service, transport };
        let ports = places.ports;
        // Always on every address: requests of clients without one are broadcast.
        let on = match places.address {
            Some(address) if address.is_loopback() && address.is_ipv4() => address,
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let interface = places.interface.as_deref();
        let workers = workers();
        let members = workers * steering::LANES;
        let dhcp = sockets::udp_groups(&[on], ports.dhcp, interface, purpose("DHCP", "udp"), members)?;
        if let Some(first) = dhcp.first() {
            // Without it the kernel deals by sender and port: nothing goes unanswered, only the order is worse.
            let _ = steering::steer(first, workers);
        }
        let proxy = sockets::udp(&[on], ports.proxy_dhcp, interface, purpose("PXE", "udp"))?;
        let dhcp6 = bind_dhcp6(places, plan)?;
        let addresses = sockets::addresses(places.address);
        let (dns, dns_tcp) = bind_dns(&addresses, ports.dns, workers)?;
        let tftp = sockets::udp(&addresses, ports.tftp, None, purpose("TFTP", "udp"))?;
        let boot = sockets::tcp(&addresses, ports.boot, purpose("HTTP boot", "tcp"))?;
        let boot_tls = bind_boot_tls(&addresses, ports.boot_tls, plan)?;
        for socket in dhcp.iter().chain(&dhcp6).chain(&proxy).chain(&tftp).chain(&dns) {
            udp::prepare(socket)
                .map_err(|error| StartError::Bind(format!("failed to prepare a UDP socket: {error}")))?;
        }
        let udp_port = |sockets: &[Socket]| sockets.first().map_or(0, sockets::port);
        let ports = BindPorts {
            dhcp: udp_port(&dhcp),
            dhcp6: dhcp6.as_ref().map_or(0, sockets::port),
            proxy_dhcp: udp_port(&proxy),
            dns: udp_port(&dns),
            tftp: udp_port(&tftp),
            boot: tcp_port(&boot),
            boot_tls: boot_tls.as_deref().map_or(0, tcp_port),
            ..ports
        };
        let mut workers = Vec::new();
        let mut sockets = dhcp.into_iter();
        loop {
            let sockets: Vec<Socket> = sockets.by_ref().take(steering::LANES).collect();
            if sockets.is_empty() {
                break;
            }
            let hears_broadcasts = workers.is_empty();
            workers.push(dhcp::Worker { sockets, port: wire::dhcp4::SERVER_PORT, hears_broadcasts });
        }
        workers.push(dhcp::Worker {
            sockets: proxy,
            port: wire::dhcp4::BOOT_SERVER_PORT,
            hears_broadcasts: true,
        });
        Ok(Bound { dhcp: workers, dhcp6, tftp, dns, dns_tcp, boot, boot_tls, ports })
    }

    /// Answers what comes by UDP and by HTTP boot. HTTPS boot is for whoever has a certificate.
    pub(crate) fn serve(
        self,
        answering: &Arc<Answering>,
        tasks: &mut JoinSet<()>,
        stop: &Stop,
        stopping: &watch::Receiver<bool>,
        interface: Option<String>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let mut threads = datagram_threads(answering, self.dhcp, self.tftp, self.dns, stop)?;
        {
            let (answering, listeners, stop) = (Arc::clone(answering), self.boot, stop.clone());
            threads.push(thread("boot", move || boot_http::run(&answering, listeners, &stop))?);
        }
        match self.dhcp6 {
            Ok(socket) => {
                if let Ok(socket) = socket.try_clone() {
                    tasks.spawn(dhcp6::join(socket, interface, stopping.clone()));
                }
                let (answering, stop) = (Arc::clone(answering), stop.clone());
                threads.push(thread("dhcp6", move || dhcp6::run(&answering, &socket, &stop))?);
            }
            Err(why) => {
                tasks.spawn(dhcp6::say_why_not(Arc::clone(answering), why, stopping.clone()));
            }
        }
        for socket in self.dns_tcp {
            tasks.spawn(dns::tcp::run(Arc::clone(answering), listener(socket)?, stopping.clone()));
        }
        Ok(threads)
    }
}

/// What is bound beside, by a controller.
struct BoundBeside {
    agents: Vec<std::net::TcpListener>,
    /// Or why there is none.
    fleetlock: Result<Vec<std::net::TcpListener>, String>,
}

fn bind(options: &Options, plan: &Plan) -> Result<(Bound, BoundBeside), StartError> {
    let Options { address, interface, ports, .. } = options.clone();
    let mut bound = Bound::open(&Places { address, interface, ports }, plan)?;
    let addresses = sockets::addresses(options.address);
    let agents = Purpose { service: "the agents' listener", transport: "tcp" };
    let agents = sockets::tcp(&addresses, ports.agents, agents)?;
    // Few systems ask: whoever else has the port may keep it.
    let fleetlock =
        sockets::tcp(&addresses, ports.fleetlock, Purpose { service: "FleetLock", transport: "tcp" });
    let fleetlock = fleetlock.map_err(|error| error.to_string());
    bound.ports.agents = tcp_port(&agents);
    bound.ports.fleetlock = fleetlock.as_deref().map_or(0, tcp_port);
    Ok((bound, BoundBeside { agents, fleetlock }))
}

fn tcp_port(listeners: &[std::net::TcpListener]) -> u16 {
    listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(0, |address| address.port())
}

/// Where no role boots by HTTPS, whoever else has the port may keep it.
fn bind_boot_tls(
    addresses: &[IpAddr],
    port: u16,
    plan: &Plan,
) -> Result<Result<Vec<std::net::TcpListener>, String>, StartError> {
    let bound = sockets::tcp(addresses, port, Purpose { service: "HTTPS boot", transport: "tcp" });
    match bound {
        Ok(listeners) => Ok(Ok(listeners)),
        Err(error) if plan.design.roles.iter().any(|role| role.https) => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Always on every address: clients and relays speak to groups.
fn bind_dhcp6(places: &Places, plan: &Plan) -> Result<Result<Socket, String>, StartError> {
    let address = match places.address {
        Some(address) if address.is_loopback() => Ipv6Addr::LOCALHOST,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    let interface = places.interface.as_deref();
    let purpose = Purpose { service: "DHCPv6", transport: "udp" };
    let bound = sockets::udp6(address, places.ports.dhcp6, interface, purpose);
    // A zone without IPv6 has nothing to say there, and whoever else has the port may keep it.
    let is_needed = plan.design.zone.supernet6.is_some();
    match bound {
        Ok(Some(socket)) => {
            if is_needed {
                dhcp6::join_now(&socket, interface);
            }
            Ok(Ok(socket))
        }
        Ok(None) => Ok(Err("DHCPv6 cannot be served: this host has no IPv6".to_owned())),
        Err(error) if is_needed => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Threads for each of DHCP and DNS: as many as there are processors for this process.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS_MAX)
}

/// UDP and TCP on one port: clients go on over TCP on the same number.
fn bind_dns(
    addresses: &[IpAddr],
    port: u16,
    workers: usize,
) -> Result<(Vec<Socket>, Vec<std::net::TcpListener>), StartError> {
    let mut tries = if port == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let purpose = Purpose { service: "DNS", transport: "udp" };
        let udp = sockets::udp_groups(addresses, port, None, purpose, workers)?;
        let both = udp.first().map_or(port, sockets::port);
        match sockets::tcp(addresses, both, Purpose { service: "DNS", transport: "tcp" }) {
            Ok(tcp) => return Ok((udp, tcp)),
            // A port that is free for UDP need not be for TCP.
            Err(_) if tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).map_err(|error| StartError::Bind(format!("failed to start a thread: {error}")))
}

fn datagram_threads(
    answering: &Arc<Answering>,
    dhcp: Vec<dhcp::Worker>,
    tftp: Vec<Socket>,
    dns: Vec<Socket>,
    stop: &Stop,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut threads = Vec::new();
    for worker in dhcp {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("dhcp", move || dhcp::run(&answering, &worker, &stop))?);
    }
    {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("tftp", move || tftp::run(&answering, tftp, &stop))?);
    }
    for socket in dns {
        let (answering, stop) = (Arc::clone(answering), stop.clone());
        threads.push(thread("dns", move || dns::run_udp(&answering, &socket, &stop))?);
    }
    Ok(threads)
}

pub(crate) fn listener(listener: std::net::TcpListener) -> Result<TcpListener, StartError> {
    TcpListener::from_std(listener).map_err(|error| StartError::Bind(format!("failed to listen: {error}")))
}

/// Where the API is spoken.
struct ApiListeners {
    /// The first is the one that was asked for by its address.
    tcp: Vec<TcpListener>,
    tls: Option<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
}

fn listen_for_api(options: &Options) -> Result<ApiListeners, StartError> {
    let mut listeners = ApiListeners { tcp: Vec::new(), tls: None, unix: None };
    if let Some(address) = options.api_tcp {
        let purpose = Purpose { service: "the API", transport: "tcp" };
        for socket in sockets::tcp(&[address.ip()], address.port(), purpose)? {
            listeners.tcp.push(listener(socket)?);
        }
    }
    if options.api_inherited {
        listeners.tcp.push(listener(sockets::inherited()?)?);
    }
    if let Some(address) = options.page_tls {
        let purpose = Purpose { service: "the page", transport: "tcp" };
        let mut sockets = sockets::tcp(&[address.ip()], address.port(), purpose)?;
        listeners.tls = sockets.pop().map(listener).transpose()?;
    }
    if let Some(path) = &options.api_socket {
        listeners.unix = Some((sockets::unix(path)?, path.clone()));
    }
    Ok(listeners)
}

/// Where the API is served.
struct ApiPlaces {
    tcp: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    unix: Option<PathBuf>,
}

fn serve_api(
    tasks: &mut JoinSet<()>,
    api: Api,
    listeners: ApiListeners,
    authority: Arc<Authority>,
    stopping: &watch::Receiver<bool>,
) -> Result<ApiPlaces, StartError> {
    let controller = Arc::clone(&api.controller);
    let router = http::router(api);
    let ApiListeners { tcp, tls, unix } = listeners;
    let address = |listener: &TcpListener| listener.local_addr().ok();
    let mut places =
        ApiPlaces { tcp: tcp.first().and_then(address), tls: tls.as_ref().and_then(address), unix: None };
    for tcp in tcp {
        let (router, stopping) = (router.clone(), stopping.clone());
        tasks.spawn(async move {
            let serve = |peer| TowerToHyperService::new(router.clone().layer(Extension(peer)));
            connections::run(tcp, http::CONNECTIONS_MAX, stopping, serve).await;
        });
    }
    if let Some(tls) = tls {
        let certificate = Certificate::for_browsers(authority, &controller)
            .map_err(|error| StartError::Authority(error.to_string()))?;
        let (shaken, work) = page_tls::shake(tls, certificate, controller, stopping.clone());
        tasks.spawn(work);
        let (router, stopping) = (router.clone(), stopping.clone());
        tasks.spawn(async move {
            let serve = |peer| TowerToHyperService::new(router.clone().layer(Extension(peer)));
            connections::run(shaken, http::CONNECTIONS_MAX, stopping, serve).await;
        });
    }
    if let Some((unix, path)) = unix {
        places.unix = Some(path.clone());
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let serve = |peer| TowerToHyperService::new(router.clone().layer(Extension(peer)));
            connections::run(unix, http::CONNECTIONS_MAX, stopping, serve).await;
            // Gone before the process is, so that nobody finds a socket without a server.
            let _ = std::fs::remove_file(path);
        });
    }
    Ok(places)
}

fn serve_fleetlock(
    tasks: &mut JoinSet<()>,
    controller: &Arc<Controller>,
    listeners: Vec<std::net::TcpListener>,
    stopping: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    for socket in listeners {
        let (listener, stopping) = (listener(socket)?, stopping.clone());
        let router = fleetlock::router(Arc::clone(controller));
        tasks.spawn(async move {
            let serve = |peer| TowerToHyperService::new(router.clone().layer(Extension(peer)));
            connections::run(listener, fleetlock::CONNECTIONS_MAX, stopping, serve).await;
        });
    }
    Ok(())
}

fn serve_agents(
    tasks: &mut JoinSet<()>,
    controller: &Arc<Controller>,
    authority: Arc<Authority>,
    listeners: Vec<std::net::TcpListener>,
    stopping: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    let addresses = controller.view.load().boot.controllers.clone();
    let [submitting, looking, hearing, homes, sharing] = [(); 5].map(|()| Arc::clone(controller));
    let door = Door { controller: Arc::clone(controller), authority: Arc::clone(&authority) };
    let agents = Agents {
        edges: Some(Arc::new(move |stream, certificate| Box::pin(door.clone().serve(stream, certificate)))),
        submit: Arc::new(move |event, verdict| submitting.inbox.send(Message::Ask(event, verdict))),
        look: Arc::new(move |location| looking.look(location)),
        foreign: Arc::new(move |heard| lifecycle::probe::foreign(&hearing.view.load(), heard)),
        home_of_tpm: Arc::new(move |ek_sha256| homes.zone().home_of_tpm(ek_sha256).cloned()),
        by_bmc: Arc::new(Arc::clone(controller)),
        now: Arc::new(clock::now),
        authority,
        published: controller.published.subscribe(),
        present: Arc::clone(&controller.present),
        heartbeat: HEARTBEAT,
        check_every: CHECK_EVERY,
        is_shared: Arc::new(move || sharing.condition().sharing.is_some()),
        unproven: agents::UNPROVEN_TIME_MAX,
    };
    for socket in listeners {
        let (listener, agents, addresses) = (listener(socket)?, agents.clone(), addresses.clone());
        let (controller, mut stopping) = (Arc::clone(controller), stopping.clone());
        tasks.spawn(async move {
            tokio::select! {
                ended = agents::serve(agents, listener, addresses) => {
                    if let Err(error) = ended {
                        controller.say(&format!("agents are not served: {error}"));
                    }
                }
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        });
    }
    Ok(())
}
