//! The zone's certificate authority, as firmware and people are to know it.

use super::Api;
use crate::agents::Authority;
use api::agent::Octets;
use axum::Json;
use axum::extract::State;

/// The certificate of the zone's authority: what firmware that boots by HTTPS must be given. Public.
#[utoipa::path(get, path = "/v1/authority", responses((status = 200, body = api::http::Authority)))]
pub(super) async fn authority(State(api): State<Api>) -> Json<api::http::Authority> {
    Json((*api.authority).clone())
}

pub(super) fn shown(authority: &Authority) -> api::http::Authority {
    let sha256 = Octets(authority.sha256().to_vec()).to_string();
    api::http::Authority { certificate: authority.pem(), sha256 }
}
