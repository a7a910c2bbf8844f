//! The design, read again now.

use super::asked::By;
use super::{Api, Did, Sentence, changes, failed, words};
use crate::reload::{Intent, Seen, Words};
use api::http::{Reload, Reloaded};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Reads the design now, and makes it current if nothing stands in the way. The body may be left out.
#[utoipa::path(
    post,
    path = "/v1/reload",
    request_body = Reload,
    responses((status = 200, description = "Whether it is in force; `refused` says why it is not", body = Reloaded))
)]
pub(super) async fn reload(State(api): State<Api>, By(by): By, body: Bytes) -> Response {
    let asked = match body.is_empty() {
        true => Ok(Reload::default()),
        false => serde_json::from_slice(&body),
    };
    let asked: Reload = match asked {
        Ok(asked) => asked,
        Err(error) => return failed(StatusCode::BAD_REQUEST, format!("the body is not understood: {error}")),
    };
    let words = Words { renumber: asked.renumber, remove: asked.remove, grow: asked.grow };
    let intent = Intent {
        author: &by,
        reason: "asked to reload",
        words,
        begins: false,
        undoes: None,
        seen: Seen::default(),
    };
    let reloaded = api.reloader.reload(&api.controller, intent).await;
    let condition = api.controller.condition();
    let did = Did(format!("reload{}{}", changes::in_words(words), changes::came_of(&reloaded)));
    let refused = reloaded.refused.as_ref().map(|why| Sentence(format!("refused: {why}")));
    let mut response = Json(Reloaded {
        generation: reloaded.generation.0,
        changed: reloaded.changed,
        refused: reloaded.refused,
        findings: words::findings(&condition.files, &condition.findings),
    })
    .into_response();
    refused.and_then(|sentence| response.extensions_mut().insert(sentence));
    did.with(response)
}
