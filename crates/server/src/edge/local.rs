//! How an edge is, for whoever asks on its host: JSON, and counters for Prometheus. For reading only.

use super::Edge;
use crate::connections;
use crate::http::{failed, metrics};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

/// Until it is to stop.
pub(super) async fn run(edge: Arc<Edge>, listener: TcpListener, stopping: watch::Receiver<bool>) {
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
    gauge("zonewright_edge_unsaid", "What was heard and no controller knows yet.", status.unsaid as f64);
    text.single(
        "zonewright_edge_dropped_total",
        "counter",
        "What was heard and there was no room for.",
        status.report.dropped,
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}
