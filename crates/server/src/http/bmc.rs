//! What operators ask of BMCs: done beside the request, told line by line.

use super::Api;
use super::asked::{By, not_understood};
use crate::bmc;
use api::bmc::{Ask, Word};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use std::convert::Infallible;
use std::sync::Arc;

/// Words that may wait for a slow reader; more are left out, but for the last.
const WORDS_MAX: usize = 64;

/// Asks something of a machine's BMC. It is done to its end even if nobody reads the answer, which is a line of JSON
/// for everything that it waits for and one for what came of it.
#[utoipa::path(
    post,
    path = "/v1/bmc/{location}",
    params(("location" = String, Path, description = "`p01/r1/u02`, a name or an address")),
    request_body = Ask,
    responses(
        (status = 200, description = "Lines; each is this", body = Word, content_type = "application/x-ndjson"),
        (status = 404, body = api::http::Error),
        (status = 422, description = "The body is not understood", body = api::http::Error),
    )
)]
pub(super) async fn ask(
    State(api): State<Api>,
    Path(target): Path<String>,
    By(by): By,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Response {
    let ask = match ask {
        Ok(Json(ask)) => ask,
        Err(rejection) => return not_understood(rejection.status()),
    };
    let controller = Arc::clone(&api.controller);
    let Some(id) = super::machines::find(&controller, &target) else {
        return super::machines::unknown(&controller, &target);
    };
    let location = controller.zone().plan().design.devices[id.index()].location.clone();
    let (words, mut told) = tokio::sync::mpsc::channel(WORDS_MAX);
    // Not ended with the request: what was begun is brought to its end.
    let work =
        tokio::spawn(async move { bmc::run(&controller, &location, ask, &by, bmc::to_channel(words)).await });
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        while let Some(word) = told.recv().await {
            // Whoever asked has gone; it goes on all the same.
            if sender.send_data(line(&word)).await.is_err() {
                return;
            }
        }
        let last = match work.await {
            Ok(Ok(word)) => word,
            Ok(Err(error)) => Word::Failed { error },
            Err(_) => Word::Failed { error: "the controller failed at it; its log says how".to_owned() },
        };
        let _ = sender.send_data(line(&last)).await;
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, Body::new(body)).into_response()
}

fn line(word: &Word) -> Bytes {
    let mut line = serde_json::to_vec(word).unwrap_or_default();
    line.push(b'\n');
    Bytes::from(line)
}
