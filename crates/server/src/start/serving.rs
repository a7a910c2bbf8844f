//! What a controller is asked over connections: the API and the page, FleetLock, and the agents' sessions.

use super::listener;
use crate::agents::{self, Agents, Authority};
use crate::boot_http::tls::Certificate;
use crate::connections::{self, Listener};
use crate::controller::Controller;
use crate::edges::Door;
use crate::http::{self, Api};
use crate::keeper::Message;
use crate::options::{Options, StartError};
use crate::sockets::{self, Purpose};
use crate::{clock, fleetlock, page_tls};
use axum::{Extension, Router};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often agents say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often agents run their checks again.
const CHECK_EVERY: Duration = Duration::from_secs(300);

/// Where the API is spoken.
pub(super) struct ApiListeners {
    /// The first is the one that was asked for by its address.
    pub(super) tcp: Vec<TcpListener>,
    pub(super) tls: Option<TcpListener>,
    pub(super) unix: Option<(UnixListener, PathBuf)>,
}

pub(super) fn listen_for_api(options: &Options) -> Result<ApiListeners, StartError> {
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
pub(super) struct ApiPlaces {
    pub(super) tcp: Option<SocketAddr>,
    pub(super) tls: Option<SocketAddr>,
    pub(super) unix: Option<PathBuf>,
}

pub(super) fn serve_api(
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
        tasks.spawn(answer(tcp, http::CONNECTIONS_MAX, router.clone(), stopping.clone()));
    }
    if let Some(tls) = tls {
        let certificate = Certificate::for_browsers(authority, &controller)
            .map_err(|error| StartError::Authority(error.to_string()))?;
        let (shaken, work) = page_tls::shake(tls, certificate, controller, stopping.clone());
        tasks.spawn(work);
        tasks.spawn(answer(shaken, http::CONNECTIONS_MAX, router.clone(), stopping.clone()));
    }
    if let Some((unix, path)) = unix {
        places.unix = Some(path.clone());
        let stopping = stopping.clone();
        tasks.spawn(async move {
            answer(unix, http::CONNECTIONS_MAX, router, stopping).await;
            // Gone before the process is, so that nobody finds a socket without a server.
            let _ = std::fs::remove_file(path);
        });
    }
    Ok(places)
}

pub(super) fn serve_fleetlock(
    tasks: &mut JoinSet<()>,
    controller: &Arc<Controller>,
    listeners: Vec<std::net::TcpListener>,
    stopping: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    for socket in listeners {
        let (listener, router) = (listener(socket)?, fleetlock::router(Arc::clone(controller)));
        tasks.spawn(answer(listener, fleetlock::CONNECTIONS_MAX, router, stopping.clone()));
    }
    Ok(())
}

pub(super) fn serve_agents(
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
        is_shared: Arc::new(move || sharing.shares()),
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

/// Answers what comes over connections by `router`, which is told from whom.
async fn answer(
    listener: impl Listener,
    connections_max: usize,
    router: Router,
    stopping: watch::Receiver<bool>,
) {
    let serve = |peer| TowerToHyperService::new(router.clone().layer(Extension(peer)));
    connections::run(listener, connections_max, stopping, serve).await;
}
