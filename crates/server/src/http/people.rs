//! Accounts, and what people did.

use super::asked::{By, not_understood};
use super::{Api, Did, failed, told};
use api::people::{AccountWish, Accounts, Audit};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Entries that are told if nobody says how many.
const LAST: usize = 200;
/// The most that are told at once.
const LAST_MAX: usize = 10_000;

/// Who may sign in. For administrators.
#[utoipa::path(
    get,
    path = "/v1/accounts",
    responses((status = 200, body = Accounts), (status = 500, body = api::http::Error))
)]
pub(super) async fn accounts(State(api): State<Api>) -> Response {
    let accounts = api.people.accounts.all(&api.controller);
    let accounts = accounts.map(|all| Accounts { accounts: all.iter().map(|one| one.shown()).collect() });
    told(accounts, StatusCode::INTERNAL_SERVER_ERROR)
}

/// Makes, changes or removes an account. For administrators. It is stored when this answers.
#[utoipa::path(
    post,
    path = "/v1/accounts",
    request_body = AccountWish,
    responses(
        (status = 200, body = Accounts),
        (status = 409, description = "It is not done; the sentence says why", body = api::http::Error),
    )
)]
pub(super) async fn account(
    State(api): State<Api>,
    By(by): By,
    wish: Result<Json<AccountWish>, JsonRejection>,
) -> Response {
    let Ok(Json(wish)) = wish else { return not_understood(StatusCode::UNPROCESSABLE_ENTITY) };
    let did = Did(format!("account: {wish:?}"));
    let is_out = match &wish {
        AccountWish::Add { .. } | AccountWish::Role { .. } => None,
        AccountWish::Remove { name } | AccountWish::Password { name, .. } => Some(name.clone()),
    };
    let response = match api.people.accounts.change(&api.controller, wish, &by).await {
        Ok(()) => accounts(State(api.clone())).await,
        Err(sentence) => failed(StatusCode::CONFLICT, sentence),
    };
    if let Some(name) = is_out.filter(|_| response.status().is_success()) {
        api.people.sessions.close_all_of(&name);
    }
    did.with(response)
}

/// How much.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// At most so many entries; 200 if it is left out.
    last: Option<usize>,
}

/// What people did on this controller, and tried to. For administrators.
#[utoipa::path(get, path = "/v1/audit", params(Wanted), responses((status = 200, body = Audit)))]
pub(super) async fn audit(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let audit = Arc::clone(&api.people.audit);
    let count = wanted.last.unwrap_or(LAST).min(LAST_MAX);
    match tokio::task::spawn_blocking(move || audit.last(count)).await {
        Ok(entries) => Json(Audit { entries }).into_response(),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "the audit log cannot be read now"),
    }
}
