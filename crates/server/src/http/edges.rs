//! The zone's edges.

use super::asked::{Asked, By};
use super::{Api, Did, told};
use api::edge::{EdgeWish, EdgeWished, Edges};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// The zone's edges, and how each was when this controller last heard of it.
#[utoipa::path(
    get,
    path = "/v1/edges",
    responses((status = 200, body = Edges), (status = 500, body = api::http::Error))
)]
pub(super) async fn edges(State(api): State<Api>) -> Response {
    let edges = api.controller.list_edges().await;
    told(edges.map(|edges| Edges { edges }), StatusCode::INTERNAL_SERVER_ERROR)
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
pub(super) async fn edge(State(api): State<Api>, By(by): By, Asked(wish): Asked<EdgeWish>) -> Response {
    let did = Did(match &wish {
        EdgeWish::Add { name, .. } => format!("edge: add {name}"),
        EdgeWish::Remove { name } => format!("edge: remove {name}"),
    });
    let done = match wish {
        EdgeWish::Add { name, addresses } => {
            let ticket = api.controller.add_edge(&name, addresses, &by, &api.authority.sha256).await;
            ticket.map(|ticket| EdgeWished { ticket: Some(ticket.to_string()) })
        }
        EdgeWish::Remove { name } => {
            api.controller.remove_edge(&name).await.map(|()| EdgeWished { ticket: None })
        }
    };
    did.with(told(done, StatusCode::CONFLICT))
}
