//! The streams that keep pages current.

use super::{content, frame};
use crate::http::streams::Place;
use crate::http::{Api, failed, too_many_watch};
use crate::people::Visitor;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// A comment is sent this often, so that a quiet stream is told from a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The shortest time between two of the same page.
const GAP: Duration = Duration::from_millis(500);
/// Waits, durations and counters change by nothing but time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Sender = http_body_util::channel::Sender<Bytes, Infallible>;

/// The map: `all` with every state, then `some` with those that change.
pub(super) async fn map(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Response {
    let Some((place, sender, body)) = stream(&api, &visitor) else { return too_many_watch() };
    tokio::spawn(async move {
        let _place = place;
        let mut stopping = api.stopping.clone();
        tokio::select! {
            () = map_until_gone(&api, &visitor, &headers, sender) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    body
}

async fn map_until_gone(api: &Api, visitor: &Visitor, headers: &HeaderMap, mut sender: Sender) {
    if sender.send_data(head(visitor, "/")).await.is_err() {
        return;
    }
    loop {
        let (board, controller) = (Arc::clone(&api.board), Arc::clone(&api.controller));
        let watched = tokio::task::spawn_blocking(move || board.watch(&controller)).await;
        let Ok((whole, mut told)) = watched else { return };
        if sender.send_data(Bytes::from(whole)).await.is_err() {
            return;
        }
        loop {
            let text = match tokio::time::timeout(KEEP_ALIVE, told.recv()).await {
                Ok(Ok(text)) => text.to_string(),
                // Too slow for the differences: it begins anew.
                Ok(Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) => return,
                Err(_) => ": still here\n\n".to_owned(),
            };
            if !is_still_there(api, visitor, headers) || sender.send_data(Bytes::from(text)).await.is_err() {
                return;
            }
        }
    }
}

/// Which page.
#[derive(Deserialize)]
pub(super) struct Wanted {
    path: String,
}

/// A page's own HTML, whenever it changes.
pub(super) async fn live(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Query(Wanted { path }): Query<Wanted>,
) -> Response {
    // A browser that is refused gives up, and its page is loaded anew; a stream that ends at once it asks for again.
    let Some(content) = content::content(&api, &visitor, &path).await else {
        return failed(StatusCode::NOT_FOUND, "there is no such page, or not for you");
    };
    let Some((place, sender, body)) = stream(&api, &visitor) else { return too_many_watch() };
    tokio::spawn(async move {
        let _place = place;
        let mut stopping = api.stopping.clone();
        tokio::select! {
            () = live_until_gone(&api, &visitor, &headers, (&path, content.place), sender) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    body
}

async fn live_until_gone(
    api: &Api,
    visitor: &Visitor,
    headers: &HeaderMap,
    (path, place): (&str, &str),
    mut sender: Sender,
) {
    if sender.send_data(head(visitor, place)).await.is_err() {
        return;
    }
    let mut news = api.controller.news.subscribe();
    let mut before = String::new();
    let mut quiet = tokio::time::Instant::now();
    loop {
        news.mark_unchanged();
        if !is_still_there(api, visitor, headers) {
            return;
        }
        let Some(content) = content::content(api, visitor, path).await else { return };
        let html = content.main.into_string();
        let text = if html != before {
            // Data of an event is lines; a page in HTML may be one.
            let data = serde_json::to_string(&html).unwrap_or_default();
            before = html;
            format!("event: content\ndata: {data}\n\n")
        } else if quiet.elapsed() > KEEP_ALIVE {
            ": still here\n\n".to_owned()
        } else {
            String::new()
        };
        if !text.is_empty() {
            quiet = tokio::time::Instant::now();
            if sender.send_data(Bytes::from(text)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(GAP).await;
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, news.changed()).await {
            return;
        }
    }
}

/// The head of the page as this visitor sees it: who was signed out meanwhile learns it here.
fn head(visitor: &Visitor, place: &str) -> Bytes {
    let data = serde_json::to_string(&frame::head(visitor, place).into_string()).unwrap_or_default();
    Bytes::from(format!("event: head\ndata: {data}\n\n"))
}

/// Whoever was signed out sees no more; whose role is another begins anew with that one.
fn is_still_there(api: &Api, visitor: &Visitor, headers: &HeaderMap) -> bool {
    let Some(identity) = visitor.identity.as_ref().filter(|_| visitor.may_sign_in) else { return true };
    let now = api.people.signed_in(&api.controller, headers);
    now.is_some_and(|now| now == *identity)
}

/// A place among the streams; `None`: there is none.
fn stream(api: &Api, visitor: &Visitor) -> Option<(Place, Sender, Response)> {
    let place = api.streams.enter(visitor)?;
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Some((place, sender, (headers, Body::new(body)).into_response()))
}
