//! The HTTP API: what `zw status`, `zw show`, `zw why`, the page and other programs read; and what operators wish.
//!
//! On the unix socket (mode 0600) everything; on TCP, reading, and what a signed-in account's role allows
//! (`people::access`). The page (`page`) is on the same listeners. Reading takes the zone's read lock and no other:
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
//! | `changes`  | `/v1/plans`, `/v1/apply`, `/v1/rollback`, `/v1/changes`, `/v1/restart`, `/v1/budgets` |
//! | `reload`   | `/v1/reload`                                                   |
//! | `store`    | `/v1/store`                                                    |
//! | `edges`    | `/v1/edges`                                                    |
//! | `people`   | `/v1/accounts`, `/v1/audit`                                    |
//! | `streams`  | who may watch at once                                         |
//! | `words`    | events and findings in words                                   |
//! | `asked`    | bodies, and who asks                                           |

pub(crate) mod asked;
mod authority;
mod bmc;
pub(crate) mod changes;
mod edges;
mod events;
pub(crate) mod machines;
pub(crate) mod metrics;
mod people;
mod reload;
pub(crate) mod status;
mod store;
pub(crate) mod streams;
pub(crate) mod why;
pub(crate) mod words;
mod zone;

use crate::agents::Authority;
use crate::connections::Peer;
use crate::controller::Controller;
use crate::options::BindPorts;
use crate::page::{self, Board};
use crate::people::access::{self, Needs, No};
use crate::people::{self as persons, People, Visitor};
use crate::reload::Reloader;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use serde::Serialize;
use std::sync::Arc;
use streams::Streams;
use tokio::sync::watch;
use utoipa::OpenApi;

/// Connections of the API: people, pages and scrapers.
pub(crate) const CONNECTIONS_MAX: usize = 512;
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
    pub(crate) people: Arc<People>,
    pub(crate) board: Arc<Board>,
    pub(crate) streams: Arc<Streams>,
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
        let people = Arc::new(People::new(&controller.options.state));
        Self {
            people,
            board: Arc::default(),
            controller,
            reloader,
            ports,
            authority,
            stopping,
            streams: Arc::default(),
        }
    }
}

/// The description of the API, from the routes' own types.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Zonewright",
        description = "What a controller knows, and what operators wish. Errors are `{\"error\": \"one sentence\"}`. \
                       On TCP only GET is allowed, and what the role of a signed-in account allows; everything else needs \
                       the unix socket.",
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
        store::move_store,
        edges::edges,
        edges::edge,
        people::accounts,
        people::account,
        people::audit,
        changes::plans,
        changes::plan_of,
        changes::diff,
        changes::origins,
        changes::apply,
        changes::rollback,
        changes::changes,
        changes::change,
        changes::steer,
        changes::restart,
        changes::budgets,
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
        ("/v1/store", post(store::move_store)),
        ("/v1/edges", get(edges::edges).post(edges::edge)),
        ("/v1/accounts", get(people::accounts).post(people::account)),
        ("/v1/audit", get(people::audit)),
        ("/v1/plans", get(changes::plans)),
        ("/v1/plans/{generation}", get(changes::plan_of)),
        ("/v1/plans/{from}/to/{to}", get(changes::diff)),
        ("/v1/origins", get(changes::origins)),
        ("/v1/apply", post(changes::apply)),
        ("/v1/rollback", post(changes::rollback)),
        ("/v1/changes", get(changes::changes)),
        ("/v1/changes/{id}", get(changes::change).post(changes::steer)),
        ("/v1/restart", post(changes::restart)),
        ("/v1/budgets", get(changes::budgets)),
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
        .merge(page::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(async || {
            failed(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not take this method; /openapi.json lists which it takes",
            )
        })
        .layer(middleware::from_fn_with_state(api.clone(), guard))
        .layer(middleware::from_fn(plainly))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
}

/// A path where nothing is, as people and programs are told.
async fn nothing(Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    match is_browser(request.headers()) {
        true => page::nothing(&visitor),
        false => {
            failed(StatusCode::NOT_FOUND, "there is nothing at this path; /openapi.json lists what there is")
        }
    }
}

/// Whether a person reads the answer.
fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// No answer is taken for something else than it says to be.
async fn plainly(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What was done, as the audit log says it: handlers leave it with their response where the path does not tell.
#[derive(Clone)]
pub(crate) struct Did(pub(crate) String);

impl Did {
    fn with(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Only looked at: the audit log has what changes something.
#[derive(Clone)]
struct Looked;

/// Who asks, whether they may, and the record of it.
async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or(Peer::Address([0, 0, 0, 0].into()));
    let is_socket = matches!(peer, Peer::User(_));
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    if matches!(peer, Peer::Address(_)) && !is_named_plainly(&request) {
        return failed(StatusCode::FORBIDDEN, "ask by address or as localhost");
    }
    let visitor = api.people.visitor(&api.controller, &peer, request.headers());
    let path = request.uri().path().to_owned();
    let needs = access::needs(request.method(), &path);
    let fallback = format!("{} {path}", request.method());
    let judged = match access::judge(needs, &visitor, is_socket) {
        Ok(()) if is_change && !is_socket && !persons::is_own(request.headers()) => Err(No::Elsewhere),
        judged => judged,
    };
    if let Err(no) = judged {
        if is_change && visitor.identity.is_some() {
            note(&api, &visitor, fallback, format!("refused: {}", no.in_words(&visitor))).await;
        }
        return refused(no, &visitor, &path, request.headers());
    }
    if let Some(identity) = visitor.identity.as_ref().filter(|_| !is_socket) {
        request.extensions_mut().insert(Peer::Signed(Arc::clone(&identity.name)));
    }
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    // How somebody signs in is told by that route itself: it knows who it was.
    if is_change && needs != Needs::Nothing && response.extensions().get::<Looked>().is_none() {
        let did = response.extensions_mut().remove::<Did>().map_or(fallback, |Did(did)| did);
        let why = response.extensions_mut().remove::<Sentence>().map(|Sentence(why)| why);
        let outcome = why.unwrap_or_else(|| match response.status() {
            status if status.is_success() => "done".to_owned(),
            status => status.to_string(),
        });
        note(&api, &visitor, did, outcome).await;
    }
    response
}

/// Writes to the audit log, and says so if that cannot be done.
pub(crate) async fn note(api: &Api, visitor: &Visitor, did: String, outcome: String) {
    let (audit, by, from) = (Arc::clone(&api.people.audit), visitor.name().to_owned(), visitor.from.clone());
    let noted = tokio::task::spawn_blocking(move || audit.note(&by, &from, &did, &outcome)).await;
    if let Ok(Err(error)) = noted {
        api.controller.say(&format!("the audit log cannot be written: {error}"));
    }
}

/// A page from elsewhere that makes a browser ask by another name (DNS rebinding) gets nothing.
fn is_named_plainly(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name.is_empty() || name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
}

/// A refusal, as people read it in a browser and programs elsewhere.
fn refused(no: No, visitor: &Visitor, path: &str, headers: &HeaderMap) -> Response {
    let is_browser = is_browser(headers);
    match no {
        No::SignIn if is_browser => page::to_sign_in(path),
        No::SignIn => failed(StatusCode::UNAUTHORIZED, no.in_words(visitor)),
        No::Role(role) if is_browser => page::forbidden(visitor, role),
        No::Role(_) | No::Socket | No::Elsewhere => failed(StatusCode::FORBIDDEN, no.in_words(visitor)),
    }
}

/// What was found or done; else why not, and as what.
fn told<T: Serialize>(done: Result<T, String>, otherwise: StatusCode) -> Response {
    match done {
        Ok(done) => Json(done).into_response(),
        Err(sentence) => failed(otherwise, sentence),
    }
}

/// An error as every route gives it.
pub(crate) fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    let error = sentence.into();
    let mut response = (status, Json(api::http::Error { error: error.clone() })).into_response();
    response.extensions_mut().insert(Sentence(error));
    response
}

/// Too many watch already, or too many from where this one comes.
pub(crate) fn too_many_watch() -> Response {
    failed(StatusCode::SERVICE_UNAVAILABLE, "too many are watching; try again later")
}

/// Why it failed or was refused, for the audit log.
#[derive(Clone)]
struct Sentence(String);

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
