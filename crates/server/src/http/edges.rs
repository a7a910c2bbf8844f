//! The zone's edges.

use super::{Api, Did, failed};
use crate::connections::Peer;
use api::edge::{EdgeWish, EdgeWished, Edges};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

/// The zone's edges, and how each was when this controller last heard of it.
#[utoipa::path(
    get,
    path = "/v1/edges",
    responses((status = 200, body = Edges), (status = 500, body = api::http::Error))
)]
pub(super) async fn edges(State(api): State<Api>) -> Response {
    match api.controller.list_edges().await {
        Ok(edges) => Json(Edges { edges }).into_response(),
        Err(sentence) => failed(StatusCode::INTERNAL_SERVER_ERROR, sentence),
    }
}

/// Adds an edge, or removes one. For administrators. It is stored when this answers.
#[utoipa::path(
    post,
    path = "/v1/edges",
    request_body = EdgeWish,
    responses(
        (status = 200, body = EdgeWished),
        (status = 409, description = "It is not done; the sentence says why", body = api::http::Error),
    )
)]
pub(super) async fn edge(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    wish: Result<Json<EdgeWish>, JsonRejection>,
) -> Response {
    let wish = match wish {
        Ok(Json(wish)) => wish,
        Err(rejection) => return failed(rejection.status(), rejection.body_text()),
    };
    let did = Did(match &wish {
        EdgeWish::Add { name, .. } => format!("edge: add {name}"),
        EdgeWish::Remove { name } => format!("edge: remove {name}"),
    });
    let by = super::machines::asker(peer);
    let done = match wish {
        EdgeWish::Add { name, addresses } => {
            let ticket = api.controller.add_edge(&name, addresses, &by, &api.authority.sha256).await;
            ticket.map(|ticket| EdgeWished { ticket: Some(ticket.to_string()) })
        }
        EdgeWish::Remove { name } => {
            api.controller.remove_edge(&name).await.map(|()| EdgeWished { ticket: None })
        }
    };
    let mut response = match done {
        Ok(wished) => Json(wished).into_response(),
        Err(sentence) => failed(StatusCode::CONFLICT, sentence),
    };
    response.extensions_mut().insert(did);
    response
}
