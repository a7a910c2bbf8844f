//! How an edge is, for whoever asks on its host: JSON, and counters for Prometheus. For reading only.

use super::{Edge, NAMES_MAX};
use crate::clock;
use crate::connections;
use crate::counters::Protocol;
use crate::http::{failed, metrics};
use crate::options::StartError;
use crate::sockets::{self, Purpose};
use crate::start;
use api::edge::{Report, Status};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

impl Edge {
    pub(super) fn report(&self) -> Report {
        let refused = self.link().refused.clone();
        let (_, dropped) = self.unsaid.count();
        let keeper = self.keeper();
        let (files, elsewhere) = keeper.cache.offered(&keeper.stands.site);
        let is_missing = |name: &String| elsewhere.binary_search(name).is_ok();
        let missing = keeper.stands.site.files.iter().filter(|file| is_missing(&file.name));
        let no_room = keeper.cache.no_room(&keeper.stands.site);
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Report {
            files: count(files.len()),
            missing: count(elsewhere.len()),
            no_room: count(no_room.len()),
            missing_bytes: missing.map(|file| file.size).sum(),
            dropped: dropped
                + self.answering.get().map_or(0, |answering| answering.counters.events_dropped.get()),
            refused,
        }
    }

    pub(super) fn status(&self) -> Status {
        let report = self.report();
        let controller = {
            let link = self.link();
            let troubles = link.troubles.iter().map(|(controller, why)| format!("{controller}: {why}"));
            let troubles: Vec<String> = troubles.collect();
            let is_followed = link.followed.is_some();
            let trouble = (!is_followed).then(|| match troubles[..] {
                [] => "no controller has answered yet".to_owned(),
                _ => troubles.join("; "),
            });
            (link.followed.or(link.asks), link.heard, trouble)
        };
        let (asks, contact, trouble) = controller;
        let traffic = self.answering.get().map(|answering| {
            let of = |protocol: Protocol| answering.counters.of(protocol);
            let answered = Protocol::ALL.map(|protocol| of(protocol).answered.get());
            let refused = Protocol::ALL.map(|it| of(it).refused.iter().map(|count| count.get()).sum::<u64>());
            [answered.iter().sum::<u64>(), refused.iter().sum()]
        });
        let [answered, refused_packets] = traffic.unwrap_or_default();
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keeper = self.keeper();
        let (_, mut missing) = keeper.cache.offered(&keeper.stands.site);
        let mut no_room = keeper.cache.no_room(&keeper.stands.site);
        missing.truncate(NAMES_MAX);
        no_room.truncate(NAMES_MAX);
        Status {
            name: identity.name,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            zone: identity.zone,
            generation: keeper.plan().map(|plan| plan.generation.0),
            addresses: keeper.stands.site.own.clone(),
            now: clock::now(),
            started: self.started,
            contact,
            installs: keeper.installs,
            controller: asks.map(|controller| controller.to_string()).unwrap_or_default(),
            trouble,
            report,
            missing,
            no_room,
            unsaid: self.unsaid.count().0,
            answered,
            refused_packets,
            ports: self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Tells how it is, on TCP.
    pub(super) fn serve_status(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Option<SocketAddr>, StartError> {
        let Some(address) = self.options.api_tcp else { return Ok(None) };
        let purpose = Purpose { service: "the edge's status", transport: "tcp" };
        let mut bound = None;
        for socket in sockets::tcp(&[address.ip()], address.port(), purpose)? {
            let listener = start::listener(socket)?;
            bound = listener.local_addr().ok();
            tasks.spawn(run(Arc::clone(self), listener, stopping.clone()));
        }
        Ok(bound)
    }
}

/// Until it is to stop.
async fn run(edge: Arc<Edge>, listener: TcpListener, stopping: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/v1/edge", get(status))
        .route("/metrics", get(counters))
        .fallback(async || failed(StatusCode::NOT_FOUND, "an edge tells /v1/edge and /metrics"))
        .with_state(edge);
    let serve = |_| TowerToHyperService::new(router.clone());
    connections::run(listener, CONNECTIONS_MAX, stopping, serve).await;
}

async fn status(State(edge): State<Arc<Edge>>) -> Response {
    match tokio::task::spawn_blocking(move || edge.status()).await {
        Ok(status) => Json(status).into_response(),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "it failed; the log says how"),
    }
}

async fn counters(State(edge): State<Arc<Edge>>) -> Response {
    let asked = Arc::clone(&edge);
    let Ok(status) = tokio::task::spawn_blocking(move || asked.status()).await else {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "it failed; the log says how");
    };
    let mut text = metrics::Text::default();
    if let Some(answering) = edge.answering.get() {
        text.traffic(&answering.counters);
    }
    let contact = status.contact.map_or(0.0, |at| at.0 as f64 / 1e3);
    let mut gauge = |name: &str, help: &str, value: f64| text.single(name, "gauge", help, value);
    gauge(
        "zonewright_plan_generation",
        "The plan that is answered from; 0: none.",
        status.generation.unwrap_or(0) as f64,
    );
    gauge("zonewright_edge_contact_time_seconds", "When a controller was heard last, since 1970.", contact);
    gauge(
        "zonewright_edge_following",
        "1: a controller is followed.",
        f64::from(u8::from(status.trouble.is_none())),
    );
    gauge("zonewright_edge_files", "Boot files that are served.", f64::from(status.report.files));
    gauge("zonewright_edge_files_missing", "Boot files that are not here.", f64::from(status.report.missing));
    gauge(
        "zonewright_edge_files_no_room",
        "Boot files that are not here for want of room.",
        f64::from(status.report.no_room),
    );
    gauge("zonewright_edge_unsaid", "What was heard and no controller knows yet.", status.unsaid as f64);
    text.single(
        "zonewright_edge_dropped_total",
        "counter",
        "What was heard and there was no room for.",
        status.report.dropped,
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}
