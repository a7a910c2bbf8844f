//! What happens, as it happens: server-sent events, resumed by number.
//!
//! News is only a hint; what is sent is read from the store. So a stream that was slow, or was away, misses nothing
//! that the store still has, and nothing is held in memory for it.

use super::{Api, too_many_watch, words};
use crate::people::Visitor;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use model::Generation;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use store::Selection;
use utoipa::IntoParams;

/// A comment is sent this often, so that proxies and clients know a quiet stream from a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that are read from the store at once.
const PAGE: u32 = 256;

/// From where.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Everything after this number; 0 is everything that is kept. Without it, or the header `Last-Event-ID`, only
    /// what happens from now on.
    after: Option<u64>,
}

/// Server-sent events: `event: machine` with an [`api::http::Event`] and its number as id, `event: plan` with
/// `{"generation": N}` when another plan comes into force. Resumed by `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/v1/events",
    params(From, ("Last-Event-ID" = Option<u64>, Header, description = "The number of the last event that was received")),
    responses(
        (status = 200, description = "A stream; the data of each `machine` event is this", body = api::http::Event, content_type = "text/event-stream"),
        (status = 503, description = "Too many are watching", body = api::http::Error),
    )
)]
pub(super) async fn events(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let Some(place) = api.streams.enter(&visitor) else { return too_many_watch() };
    let mut news = api.controller.news.subscribe();
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let now = *news.borrow_and_update();
    let mut last = resumed.or(from.after).unwrap_or(now.seq);
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let mut stopping = api.stopping.clone();
    tokio::spawn(async move {
        let _place = place;
        let mut generation = now.generation;
        let mut text = String::from(": a stream of events\n\n");
        loop {
            if sender.send_data(Bytes::from(std::mem::take(&mut text))).await.is_err() {
                return;
            }
            let Some(more) = page(&api, last).await else { return };
            for entry in more {
                last = entry.seq;
                let event = words::event(entry);
                let Ok(data) = serde_json::to_string(&event) else { continue };
                text += &format!("id: {}\nevent: machine\ndata: {data}\n\n", event.seq);
            }
            if !text.is_empty() {
                continue;
            }
            tokio::select! {
                changed = news.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let current: Generation = news.borrow_and_update().generation;
                    if current != generation {
                        generation = current;
                        text = format!("event: plan\ndata: {{\"generation\": {}}}\n\n", generation.0);
                    }
                }
                () = tokio::time::sleep(KEEP_ALIVE) => text.push_str(": still here\n\n"),
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(body)).into_response()
}

/// The next entries; `None` if the store cannot be read.
async fn page(api: &Api, after: u64) -> Option<Vec<store::Entry>> {
    if api.controller.news.borrow().seq <= after {
        return Some(Vec::new());
    }
    let controller = Arc::clone(&api.controller);
    let read = tokio::task::spawn_blocking(move || {
        let history = controller.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.events(Selection::After(after), PAGE)
    });
    read.await.ok()?.ok()
}
