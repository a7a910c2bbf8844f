//! The agents' listener: who may have a certificate, and what agents say once they have one.
//!
//! In: TLS streams on one port, the plan and the facts of the moment. Out: events for the keeper of facts. Every rule
//! of who gets what is `lifecycle`'s; here are the sockets, the certificates and the frames. A token or certificate
//! leaves only after the keeper has stored that it did, so a crash can lose a reply but never give one out twice.
//!
//! | module      | what it does                                                             |
//! |-------------|---------------------------------------------------------------------------|
//! | `authority` | the zone's certificate authority: opens or founds itself, issues            |
//! | `tls`       | what the handshake demands, and whose certificate it was                   |
//! | `stream`    | frames in and out, with the time that each may take                        |
//! | `enrolment` | a peer without a certificate: token, then certificate                      |
//! | `attestation` | a peer that shows a TPM: challenge, quote, makers                          |
//! | `session`   | a peer with one: hello, reports, heartbeats, what the controller pushes    |
//! | `order`     | what an agent is told to do with its machine                              |
//! | `present`   | who is connected, and how to reach them                                    |

mod attestation;
mod authority;
mod enrolment;
pub(crate) mod order;
mod present;
mod session;
mod stream;
mod tls;

pub use authority::{Authority, AuthorityError};
pub(crate) use authority::{Request, random};
pub use present::{Present, Push};

use crate::agents::stream::Stream;
use api::agent::{Because, FromController};
use lifecycle::enrolment::{No, Peer, Proof};
use model::design::CheckFile;
use model::event::What;
use model::facts::{DhcpServer, Machine};
use model::install::Running;
use model::{DeviceId, Event, Generation, Location, Plan, Time};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_rustls::server::TlsStream;

/// Connections that are open at once: each costs some tens of KiB, and a zone has ten thousand machines.
const CONNECTIONS_MAX: usize = 20_000;

/// Connections from one address: a machine's agent holds one, and one more while it reconnects.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 4;

/// Handshakes and enrolments that are under way at once; the rest wait in the kernel's queue.
const UNPROVEN_MAX: usize = 256;

/// A peer that has not proved itself by then is cut off: what [`Agents::unproven`] is outside tests.
pub const UNPROVEN_TIME_MAX: Duration = Duration::from_secs(20);

/// The server's own certificate is made anew this often, long before it runs out.
const SERVER_CERTIFICATE_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What became of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is in the facts and in the store.
    Stored,
    /// `lifecycle` refused it, and why.
    Refused(String),
}

/// What is planned and known of one place.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// The device at the place, if the plan has one.
    pub device: Option<DeviceId>,
    /// What was observed of it.
    pub machine: Option<Machine>,
    /// What its agent is to be told to do.
    pub order: Option<FromController>,
}

impl Situation {
    /// As the rules take it, for a peer that speaks from `source`.
    fn peer(&self, source: IpAddr) -> Peer<'_> {
        Peer { plan: &self.plan, device: self.device, machine: self.machine.as_ref(), source }
    }

    /// What alone proves who stands there.
    pub(crate) fn proof(&self) -> Proof {
        let proof = |device| lifecycle::enrolment::proof(&self.plan, device, self.machine.as_ref());
        self.device.map_or(Proof::Port, proof)
    }

    /// How often the place's agent looks for DHCP servers, in seconds; 0: never.
    fn probe_seconds(&self) -> u32 {
        self.device.map_or(0, |device| lifecycle::probe::every_seconds(&self.plan, device))
    }

    /// The checks of the place's role; none for an installer, which is not what they are about.
    fn checks(&self, running: Option<&Running>) -> Vec<CheckFile> {
        let design = &self.plan.design;
        let role = self.device.and_then(|device| design.devices[device.index()].role);
        if running == Some(&Running::Memory)
            && role.is_some_and(|role| design.roles[role.index()].os.is_some())
        {
            return Vec::new();
        }
        role.map(|role| design.roles[role.index()].checks.clone()).unwrap_or_default()
    }
}

/// Which of these DHCP servers are not this zone's.
pub type Foreign = dyn Fn(&[DhcpServer]) -> Vec<DhcpServer> + Send + Sync;

/// Where a TPM is known from.
pub type HomeOfTpm = dyn Fn(&[u8; 32]) -> Option<Location> + Send + Sync;

/// Half of a token, which a BMC hands to its machine on a virtual CD.
#[derive(Clone, Debug)]
pub struct Half {
    /// It.
    pub octets: [u8; 32],
    /// What the CD is called.
    pub volume: String,
}

/// The way to machines through their BMCs.
pub trait ByBmc: Send + Sync {
    /// The half of a place's token that goes this way; the same until it is spent.
    ///
    /// # Errors
    /// The place has no BMC, or there are no random numbers: a sentence.
    fn half(&self, location: &Location) -> Result<Half, String>;
    /// Has it handed over, if it is not yet. What goes wrong is told to the history.
    fn hand(&self, location: &Location);
    /// It was spent.
    fn spent(&self, location: &Location);
}

/// Everything that the listener needs.
#[derive(Clone)]
pub struct Agents {
    /// Puts an event into the keeper's queue, with where to say what became of it: after the facts are stored, or
    /// dropped unsaid if they were not. `false`: the queue is full.
    pub submit: Arc<dyn Fn(Event, oneshot::Sender<Verdict>) -> bool + Send + Sync>,
    /// What is planned and known of a place at this moment.
    pub look: Arc<dyn Fn(&Location) -> Situation + Send + Sync>,
    /// Tells the DHCP servers that an agent heard apart.
    pub foreign: Arc<Foreign>,
    /// The place whose machine has proved itself by the TPM of this endorsement key (SHA-256 of its public area).
    pub home_of_tpm: Arc<HomeOfTpm>,
    /// The way through BMCs.
    pub by_bmc: Arc<dyn ByBmc>,
    /// The clock.
    pub now: Arc<dyn Fn() -> Time + Send + Sync>,
    /// The certificate authority.
    pub authority: Arc<Authority>,
    /// The plan in force; a change is told to every agent.
    pub published: watch::Receiver<Generation>,
    /// Who is connected.
    pub present: Arc<Present>,
    /// How often agents say that they are there.
    pub heartbeat: Duration,
    /// How often agents run their checks again.
    pub check_every: Duration,
    /// Several controllers decide together: what could not be stored is not in anybody's memory.
    pub is_shared: Arc<dyn Fn() -> bool + Send + Sync>,
    /// A peer that has not proved itself in this time is cut off.
    pub unproven: Duration,
    /// Serves a connection that speaks the edges' protocol, with what it proved. `None`: there are no edges.
    pub edges: Option<Arc<ToEdges>>,
}

/// What serves an edge's connection: with the name in its certificate and the SHA-256 of its key, if it has one.
pub type ToEdges = dyn Fn(TlsStream<TcpStream>, Option<(String, [u8; 32])>) -> Pin<Box<dyn Future<Output = ()> + Send>>
    + Send
    + Sync;

/// Accepts agents on `listener` until the future is dropped; `addresses` are what the server's certificate is for.
/// Connections end with the future.
///
/// # Errors
/// The certificate for `addresses` cannot be issued. A connection that fails is no error of the listener.
pub async fn serve(
    agents: Agents,
    listener: TcpListener,
    addresses: Vec<IpAddr>,
) -> Result<(), AuthorityError> {
    let mut acceptor = tls::acceptor(&agents.authority, &addresses, Arc::clone(&agents.now))?;
    let mut made = tokio::time::Instant::now();
    let (all, unproven) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(UNPROVEN_MAX)));
    let sources = Arc::new(Sources::default());
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        // Neither semaphore is ever closed.
        let (Ok(place), Ok(gate)) =
            (Arc::clone(&all).acquire_owned().await, Arc::clone(&unproven).acquire_owned().await)
        else {
            return Ok(());
        };
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of file descriptors, or the peer has gone: neither is mended by asking again at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(counted) = sources.enter(peer.ip()) else { continue };
        if made.elapsed() > SERVER_CERTIFICATE_AGE_MAX {
            acceptor = tls::acceptor(&agents.authority, &addresses, Arc::clone(&agents.now))?;
            made = tokio::time::Instant::now();
        }
        let (agents, acceptor) = (agents.clone(), acceptor.clone());
        open.spawn(async move {
            let _held = (place, counted);
            connection(&agents, acceptor, socket, peer, gate).await;
        });
    }
}

/// One connection, from handshake to end.
async fn connection(
    agents: &Agents,
    acceptor: tokio_rustls::TlsAcceptor,
    socket: TcpStream,
    peer: SocketAddr,
    gate: tokio::sync::OwnedSemaphorePermit,
) {
    let _ = socket.set_nodelay(true);
    let until = tokio::time::Instant::now() + agents.unproven;
    let Ok(Ok(stream)) = tokio::time::timeout_at(until, acceptor.accept(socket)).await else { return };
    if let Some(edges) = agents.edges.as_ref().filter(|_| tls::is_edge(stream.get_ref().1)) {
        let Ok(certificate) = tls::edge(stream.get_ref().1) else { return };
        // Who has none keeps its place among those that have yet to prove themselves.
        let _gate = certificate.is_none().then_some(gate);
        return edges(stream, certificate).await;
    }
    let Some(proof) = tls::proof(stream.get_ref().1) else { return };
    let source = peer.ip().to_canonical();
    match proof {
        tls::Proof::None => {
            let mut stream = Stream::new(stream, api::agent::FRAME_MAX_UNPROVEN);
            let _ = tokio::time::timeout_at(until, enrolment::run(agents, &mut stream, source)).await;
        }
        tls::Proof::Certificate(certificate) => {
            drop(gate);
            let mut stream = Stream::new(stream, api::agent::FRAME_MAX);
            session::run(agents, &mut stream, source, &certificate).await;
        }
    }
}

impl Agents {
    fn event(&self, location: &Location, what: What) -> Event {
        Event { at: (self.now)(), location: location.clone(), what }
    }

    /// Gives an event to the keeper and waits until it is stored: for what must not be said twice, nor forgotten.
    /// `Err` is for the agent to hear; `if_refused` is what a refusal by `lifecycle` means to it.
    async fn commit(&self, event: Event, if_refused: Because) -> Result<(), Refused> {
        match self.heard(event).await? {
            Some(Verdict::Stored) => Ok(()),
            Some(Verdict::Refused(why)) => Err(Refused::new(if_refused, why)),
            None => Err(Refused::new(Because::Busy, "the controller cannot store it now")),
        }
    }

    /// Gives an event to the keeper: what an agent can say again. With a full disk the zone goes on from memory.
    async fn tell(&self, event: Event) -> Result<(), Refused> {
        match self.heard(event).await? {
            None if (self.is_shared)() => Err(Refused::new(Because::Busy, "nobody decides at this moment")),
            Some(Verdict::Stored) | None => Ok(()),
            Some(Verdict::Refused(why)) => Err(Refused::new(Because::Other, why)),
        }
    }

    async fn heard(&self, event: Event) -> Result<Option<Verdict>, Refused> {
        let heard =
            self.offer(event).ok_or_else(|| Refused::new(Because::Busy, "the controller's queue is full"))?;
        Ok(heard.await.ok())
    }

    /// Puts an event into the keeper's queue, if there is room; the verdict comes later.
    fn offer(&self, event: Event) -> Option<oneshot::Receiver<Verdict>> {
        let (verdict, heard) = oneshot::channel();
        (self.submit)(event, verdict).then_some(heard)
    }
}

impl authority::Issued {
    fn into_frame(self, now: Time) -> FromController {
        let Self { certificate, renew_at, not_after, .. } = self;
        FromController::Certificate { certificate, renew_at, not_after, now }
    }
}

/// A refusal on its way to an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refused {
    because: Because,
    sentence: String,
}

impl Refused {
    fn new(because: Because, sentence: impl Into<String>) -> Self {
        Self { because, sentence: sentence.into() }
    }

    fn into_frame(self) -> FromController {
        // What only a power cycle or an edit of the design mends is not asked for every second.
        let retry_seconds = match self.because {
            Because::Busy | Because::Certificate | Because::Token => 1,
            Because::Replaced => 30,
            _ => 10,
        };
        FromController::Refused { because: self.because, sentence: self.sentence, retry_seconds }
    }
}

impl From<AuthorityError> for Refused {
    fn from(error: AuthorityError) -> Self {
        let because = match error {
            AuthorityError::Request(_) => Because::Protocol,
            _ => Because::Busy,
        };
        Self::new(because, error.to_string())
    }
}

impl From<No> for Refused {
    fn from(no: No) -> Self {
        let because = match no {
            No::NotPlanned(_) => Because::NotPlanned,
            No::WrongPlace(_) => Because::WrongPlace,
            No::NoBoot(_) => Because::NoBoot,
            No::Token(_) => Because::Token,
            No::Certificate(_) => Because::Certificate,
        };
        Self::new(because, no.to_string())
    }
}

/// How many connections each address holds.
#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection; leaving it uncounts it.
struct Counted(Arc<Sources>, IpAddr);

impl Sources {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Counted(Arc::clone(self), address))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
