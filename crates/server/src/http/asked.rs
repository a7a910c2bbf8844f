//! What a handler takes of a request beside its path: what the body asks for, and who asks.

use super::failed;
use crate::connections::Peer;
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// What the body asks for. One that is not understood is answered with what is wrong about it.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Json::from_request(request, state).await {
            Ok(Json(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(failed(rejection.status(), rejection.body_text())),
        }
    }
}

/// The answer to a body that is not understood and in which a password may be: the sentence never says what is in it.
pub(super) fn not_understood(status: StatusCode) -> Response {
    failed(status, "the body is not understood; /openapi.json says what it may be")
}

/// Who asks, as history and audit log say it.
pub(crate) struct By(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(match parts.extensions.get() {
            Some(Peer::User(user)) => user_name(*user),
            Some(Peer::Signed(name)) => name.to_string(),
            _ => "somebody".to_owned(),
        }))
    }
}

pub(crate) fn user_name(user: u32) -> String {
    let entry = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user)).ok().flatten();
    entry.map_or_else(|| format!("uid {user}"), |entry| entry.name)
}
