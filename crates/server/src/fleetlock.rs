//! FleetLock: systems that update themselves (Fedora CoreOS by Zincati, Flatcar) ask before they restart, and say when they are back.
//!
//! In: two requests of the protocol, `POST /v1/pre-reboot` and `POST /v1/steady-state`. Out: whether the machine that asks has its
//! lease, from the same budget as every other change. A machine is known by its address, and not by what it calls itself: nobody
//! takes or gives back another's. A refusal's `value` says who has what it needs.
//!
//! Protocol: <https://coreos.github.io/zincati/development/fleetlock/protocol>.

use crate::agents::Verdict;
use crate::clock;
use crate::connections::Peer;
use crate::controller::Controller;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use model::change::Holder;
use model::event::What;
use model::{Event, Location};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Connections at once: a machine asks once in some minutes, and closes.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// The longest body, in octets.
const BODY_MAX: usize = 4096;
/// The longest id and group, in letters.
const ID_MAX: usize = 128;
/// How long a machine may take to restart. Later it has its lease still, and what waits for it says so.
const RESTART: Duration = Duration::from_secs(3600);
/// Why, for everybody who asks later.
const REASON: &str = "an update of its own";

/// What a client sends.
#[derive(Deserialize)]
struct Asked {
    client_params: Client,
}

/// Who it says that it is.
#[derive(Deserialize)]
struct Client {
    id: String,
    group: String,
}

/// Why not, as the protocol says it.
struct No {
    status: StatusCode,
    kind: &'static str,
    value: String,
}

/// The two endpoints.
pub(crate) fn router(controller: Arc<Controller>) -> Router {
    Router::new()
        .route("/v1/pre-reboot", post(pre_reboot))
        .route("/v1/steady-state", post(steady_state))
        .fallback(async || {
            let value = "POST /v1/pre-reboot and /v1/steady-state are served here".to_owned();
            No { status: StatusCode::NOT_FOUND, kind: "not_found", value }
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(controller)
}

async fn pre_reboot(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, No> {
    let (location, holder) = known(&controller, &peer, &headers, &body)?;
    let now = clock::now();
    let what = What::Leased { holder, reason: REASON.to_owned(), deadline: now + RESTART };
    tell(&controller, Event { at: now, location, what }).await
}

async fn steady_state(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, No> {
    let (location, holder) = known(&controller, &peer, &headers, &body)?;
    let is_held = {
        let zone = controller.zone();
        let machine = zone.facts().machines.get(&location);
        machine.is_some_and(|machine| machine.lease.as_ref().is_some_and(|lease| lease.holder == holder))
    };
    // Asked again and again while it is steady: no news.
    match is_held {
        true => {
            tell(&controller, Event { at: clock::now(), location, what: What::Released { holder } }).await
        }
        false => Ok(StatusCode::OK),
    }
}

/// The machine that asks, and as whom.
fn known(
    controller: &Controller,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Location, Holder), No> {
    let no = |kind, value: &str| No { status: StatusCode::BAD_REQUEST, kind, value: value.to_owned() };
    if headers.get("fleet-lock-protocol").is_none_or(|value| value != "true") {
        return Err(no("not_fleetlock", "the header `fleet-lock-protocol: true` is missing"));
    }
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|error| no("bad_request", &format!("the body is not understood: {error}")))?;
    let Client { id, group } = asked.client_params;
    let is_name = |text: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        (1..=ID_MAX).contains(&text.len()) && text.chars().all(is_letter)
    };
    if !is_name(&id) || !is_name(&group) {
        return Err(no("bad_request", "id and group are letters, digits, `.`, `-` and `_`"));
    }
    let Peer::Address(address) = peer else { return Err(no("unknown_client", "ask by TCP")) };
    let view = controller.view.load();
    let machine = view.boot.places.machine_at(*address).ok_or_else(|| No {
        status: StatusCode::FORBIDDEN,
        kind: "unknown_client",
        value: format!("{address} is no machine's address in this zone"),
    })?;
    let location = view.plan.design.devices[machine.index()].location.clone();
    Ok((location, Holder::Fleetlock { id }))
}

async fn tell(controller: &Controller, event: Event) -> Result<StatusCode, No> {
    let location = event.location.clone();
    match controller.ask(event).await {
        Some(Verdict::Stored) => Ok(StatusCode::OK),
        Some(Verdict::Refused(why)) => Err(No {
            status: StatusCode::CONFLICT,
            kind: "failed_lock",
            value: format!("{}: {why}", location.within_zone()),
        }),
        None => Err(No {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "not_stored",
            value: "it could not be stored; ask again".to_owned(),
        }),
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let Self { status, kind, value } = self;
        (status, Json(serde_json::json!({ "kind": kind, "value": value }))).into_response()
    }
}
