//! The HTTP API: what `zw status`, `zw show`, `zw why`, the page and other programs read; and what operators wish.
//!
//! On the unix socket (mode 0600) everything; on TCP, reading only. Reading takes the zone's read lock and no other:
//! packets do not wait for it, and the keeper waits no longer than one answer is put together.
//!
//! | module     | routes                                                        |
//! |------------|----------------------------------------------------------------|
//! | `zone`     | `/v1/zone`, `/v1/plan`                                         |
//! | `authority` | `/v1/authority`                                               |
//! | `status`   | `/v1/status`, `/v1/findings`                                   |
//! | `machines` | `/v1/machines`, `/v1/machines/{location}`, and wishes          |
//! | `bmc`      | `/v1/bmc/{location}`                                           |
//! | `why`      | `/v1/why`, `/v1/refusals`                                      |
//! | `events`   | `/v1/events`                                                   |
//! | `metrics`  | `/metrics`                                                     |
//! | `reload`   | `/v1/reload`                                                   |
//! | `words`    | events and findings in words                                   |

mod authority;
mod bmc;
mod events;
mod machines;
mod metrics;
mod reload;
mod status;
mod why;
mod words;
mod zone;

use crate::agents::Authority;
use crate::connections::Peer;
use crate::controller::Controller;
use crate::options::BindPorts;
use crate::reload::Reloader;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use utoipa::OpenApi;

/// Connections of the API: people, pages and scrapers.
pub(crate) const CONNECTIONS_MAX: usize = 512;
/// Streams of events that are open at once.
const STREAMS_MAX: usize = 128;
/// The longest body of a request, in octets.
const BODY_MAX: usize = 64 << 10;

/// What every route may use.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) controller: Arc<Controller>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) ports: BindPorts,
    /// What operators and firmware are given of the authority.
    pub(crate) authority: Arc<api::http::Authority>,
    pub(crate) stopping: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(
        controller: Arc<Controller>,
        reloader: Arc<Reloader>,
        ports: BindPorts,
        authority: &Authority,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let authority = Arc::new(authority::shown(authority));
        Self {
            controller,
            reloader,
            ports,
            authority,
            stopping,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

/// The description of the API, from the routes' own types.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Zonewright",
        description = "What a controller knows, and what operators wish. Errors are `{\"error\": \"one sentence\"}`. \
                       On TCP only GET is allowed; everything else needs the unix socket.",
    ),
    paths(
        zone::zone,
        zone::plan,
        authority::authority,
        status::status,
        status::findings,
        machines::machines,
        machines::machine,
        machines::wish,
        bmc::ask,
        why::why,
        why::refusals,
        events::events,
        reload::reload,
        metrics::metrics,
        openapi,
    )
)]
struct Description;

/// Every route. The test below holds it against the description.
fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/v1/zone", get(zone::zone)),
        ("/v1/plan", get(zone::plan)),
        ("/v1/authority", get(authority::authority)),
        ("/v1/status", get(status::status)),
        ("/v1/findings", get(status::findings)),
        ("/v1/machines", get(machines::machines)),
        ("/v1/machines/{*location}", get(machines::machine).post(machines::wish)),
        ("/v1/bmc/{*location}", post(bmc::ask)),
        ("/v1/why", get(why::why)),
        ("/v1/refusals", get(why::refusals)),
        ("/v1/events", get(events::events)),
        ("/v1/reload", post(reload::reload)),
        ("/metrics", get(metrics::metrics)),
        ("/openapi.json", get(openapi)),
    ]
}

/// The API as a service.
pub(crate) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(async || {
            failed(StatusCode::NOT_FOUND, "there is nothing at this path; /openapi.json lists what there is")
        })
        .method_not_allowed_fallback(async || {
            failed(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not take this method; /openapi.json lists which it takes",
            )
        })
        .layer(middleware::from_fn(guard))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
}

/// What a peer on TCP may not do.
async fn guard(request: Request, next: Next) -> Response {
    let is_local = matches!(request.extensions().get::<Peer>(), Some(Peer::User(_)));
    if !is_local {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return failed(StatusCode::FORBIDDEN, "on TCP this API is for reading only; use the unix socket");
        }
        // A page from elsewhere that makes a browser ask by another name (DNS rebinding) gets nothing.
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        if !name.is_empty() && name != "localhost" && name.parse::<std::net::IpAddr>().is_err() {
            return failed(StatusCode::FORBIDDEN, "ask by address or as localhost");
        }
    }
    next.run(request).await
}

/// An error as every route gives it.
fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, Json(api::http::Error { error: sentence.into() })).into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi(State(_): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], description()).into_response()
}

/// The description of the API: an OpenAPI document, as JSON in a canonical layout.
pub fn description() -> String {
    // It holds names and strings only, which always have a JSON form.
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let described: BTreeSet<String> = Description::openapi().paths.paths.keys().cloned().collect();
        let mut routed: BTreeSet<String> = routes().iter().map(|(path, _)| path.replace("{*", "{")).collect();
        routed.insert("/v1/machines/{location}/wish".to_owned());
        assert_eq!(routed, described);
    }

    #[test]
    fn the_checked_in_description_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, description()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == description(), "docs/reference/openapi.json is old: run the test with UPDATE=1");
    }
}
