//! The edges' requests, on connections that the agents' listener takes: who has an edge's certificate asks what is new and says what it
//! heard; who has none asks for one with a ticket.

use super::feed::{news, nothing};
use super::{Edges, Kept, Seen};
use crate::agents::{Authority, Request as Signing, Verdict};
use crate::clock;
use crate::controller::Controller;
use crate::http::failed;
use api::agent::Octets;
use api::edge::{
    self, AskServer, ENROL, Enrol, Enrolled, FOLLOW, Follow, HEARD, HEARD_MAX, Heard, REQUEST_MAX, SERVER,
    Server, Taken, WAIT_SECONDS_MAX,
};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::event::What;
use model::facts::{Machine, Stage};
use model::{Event, Time};
use sha2::{Digest, Sha256};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

/// What came together is told together.
const GATHER: Duration = Duration::from_millis(50);
/// What no word came of is looked at all the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What an edge says is stored within this time, or it says it again. Shorter than it waits.
const STORED_WITHIN: Duration = Duration::from_secs(20);
/// An edge's clock that differs by less counts as ours.
const AGREES_WITHIN: Duration = Duration::from_secs(2);
/// An edge may leave its connection idle for so long.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Who has no certificate has this long for everything.
const ENROL_MAX: Duration = Duration::from_secs(20);
/// The longest request of who has none.
const ENROL_OCTETS_MAX: usize = 16 << 10;

/// Where edges come in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) controller: Arc<Controller>,
    pub(crate) authority: Arc<Authority>,
}

/// An edge, as its certificate says.
#[derive(Clone)]
struct Who {
    name: String,
    key: Octets,
}

impl Door {
    /// Serves one connection. `certificate`: what it proved in the handshake, a name and the SHA-256 of a key.
    pub(crate) async fn serve(self, stream: TlsStream<TcpStream>, certificate: Option<(String, [u8; 32])>) {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
        let io = TokioIo::new(stream);
        // An edge that breaks off is its own trouble.
        match certificate {
            None => {
                let router = Router::new()
                    .route(ENROL, post(enrol))
                    .layer(DefaultBodyLimit::max(ENROL_OCTETS_MAX))
                    .with_state(self);
                let served = builder.serve_connection(io, TowerToHyperService::new(router));
                let _ = tokio::time::timeout(ENROL_MAX, served).await;
            }
            Some((name, key)) => {
                let who = Who { name, key: Octets(key.to_vec()) };
                let router = Router::new()
                    .route(FOLLOW, post(follow))
                    .route(HEARD, post(heard))
                    .route(SERVER, post(server))
                    .layer(DefaultBodyLimit::max(REQUEST_MAX))
                    .layer(Extension(who))
                    .with_state(self);
                let _ = builder.serve_connection(io, TowerToHyperService::new(router)).await;
            }
        }
    }

    /// What is kept of who asks, if it may ask.
    async fn known(&self, who: &Who) -> Result<Kept, Response> {
        let kept = self.controller.edge(&who.name).await;
        match kept {
            Err(sentence) => Err(failed(StatusCode::SERVICE_UNAVAILABLE, sentence)),
            Ok(Some(kept)) if kept.is_removed => Err(failed(
                StatusCode::GONE,
                format!("the edge {} was removed from the zone; `zw edge add` makes it one again", who.name),
            )),
            Ok(Some(kept)) if kept.key.as_ref() == Some(&who.key) => Ok(kept),
            // Put back from an old copy, perhaps: that is no word to stop.
            Ok(_) => Err(failed(
                StatusCode::FORBIDDEN,
                format!("this controller does not know this key of the edge {}", who.name),
            )),
        }
    }
}

async fn enrol(State(door): State<Door>, Json(asked): Json<Enrol>) -> Response {
    let no = |sentence: &str| failed(StatusCode::FORBIDDEN, sentence);
    let kept = match door.controller.edge(&asked.name).await {
        Ok(Some(kept)) if !kept.is_removed => kept,
        Ok(_) => return no("this ticket is not good: there is no such edge"),
        Err(sentence) => return failed(StatusCode::SERVICE_UNAVAILABLE, sentence),
    };
    let now = clock::now();
    let token = asked.token.0.parse::<Octets>().map(|token| Octets(Sha256::digest(&token.0).to_vec()));
    match (&kept.token, token) {
        (None, _) => return no("this ticket was used already; `zw edge add` gives another"),
        (Some(kept), Ok(token)) if *kept == token => {}
        _ => return no("this ticket is not good: `zw edge add` gave another since"),
    }
    if now >= kept.until {
        return no("this ticket is too old; `zw edge add` gives another");
    }
    let request = match Signing::read(&asked.csr) {
        Ok(request) => request,
        Err(error) => return failed(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let certificate = match door.authority.issue_edge(&request, &asked.name, now) {
        Ok(certificate) => certificate,
        Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    // It is spent before the certificate leaves.
    let kept = Kept { token: None, key: Some(Octets(request.key_sha256.to_vec())), ..kept };
    if let Err(sentence) = door.controller.keep_edge(&asked.name, &kept).await {
        return failed(StatusCode::SERVICE_UNAVAILABLE, sentence);
    }
    door.controller.say(&format!("the edge {} has enrolled", asked.name));
    let zone = door.controller.zone().plan().design.zone.name.clone();
    Json(Enrolled { certificate, zone }).into_response()
}

async fn follow(
    State(door): State<Door>,
    Extension(who): Extension<Who>,
    Json(asked): Json<Follow>,
) -> Response {
    let controller = &door.controller;
    let mut kept = match door.known(&who).await {
        Ok(kept) => kept,
        Err(response) => return response,
    };
    controller.edges.note(&who.name, &asked);
    let wait = Duration::from_secs(asked.wait_seconds.min(WAIT_SECONDS_MAX).into());
    let until = tokio::time::Instant::now() + wait;
    let asked = Arc::new(asked);
    let mut hints = controller.news.subscribe();
    loop {
        hints.mark_unchanged();
        let (looking, looked) = (Arc::clone(controller), Arc::clone(&asked));
        let own = kept.addresses.clone();
        let found = tokio::task::spawn_blocking(move || news(&looking, &looked, &own)).await;
        match found {
            Ok(Ok(Some(news))) => return Json(news).into_response(),
            Ok(Ok(None)) if tokio::time::Instant::now() >= until => {
                return Json(nothing(controller, &asked)).into_response();
            }
            Ok(Ok(None)) => {}
            Ok(Err(sentence)) => return failed(StatusCode::SERVICE_UNAVAILABLE, sentence),
            Err(_) => return failed(StatusCode::INTERNAL_SERVER_ERROR, "it failed; the log says how"),
        }
        let look = until.min(tokio::time::Instant::now() + LOOK_EVERY);
        if let Ok(Ok(())) = tokio::time::timeout_at(look, hints.changed()).await {
            tokio::time::sleep(GATHER).await;
        } else {
            // It may have been removed meanwhile.
            kept = match door.known(&who).await {
                Ok(kept) => kept,
                Err(response) => return response,
            };
        }
    }
}

async fn heard(
    State(door): State<Door>,
    Extension(who): Extension<Who>,
    Json(heard): Json<Heard>,
) -> Response {
    if let Err(response) = door.known(&who).await {
        return response;
    }
    if !door.controller.has_leader() {
        return failed(StatusCode::SERVICE_UNAVAILABLE, "nobody leads at this moment; say it again");
    }
    if heard.events.len() > HEARD_MAX {
        return failed(StatusCode::BAD_REQUEST, "so many events are not taken at once");
    }
    let now = clock::now();
    let mut verdicts = Vec::new();
    for event in heard.events.into_iter().filter(|event| may_tell(&event.what)) {
        let at = by_our_clock(event.at, heard.now, now);
        let is_news = {
            let zone = door.controller.zone();
            let known = zone.roster().device_at(&event.location).is_some();
            known && zone.facts().machines.get(&event.location).is_none_or(|machine| at > newest(machine))
        };
        if is_news {
            verdicts.push(door.controller.offer(Event { at, ..event }));
        }
    }
    // What is not known to be stored the edge keeps, and says again: by then what was stored is no news.
    let stored = tokio::time::timeout(STORED_WITHIN, all_heard(verdicts)).await;
    match stored {
        Ok(Some(taken)) => Json(Taken { taken }).into_response(),
        _ => failed(StatusCode::SERVICE_UNAVAILABLE, "it is not stored yet; say it again"),
    }
}

/// How many were stored, and not refused; `None`: of some that is not known.
async fn all_heard(verdicts: Vec<Option<oneshot::Receiver<Verdict>>>) -> Option<usize> {
    let mut taken = 0;
    for verdict in verdicts {
        taken += usize::from(matches!(verdict?.await.ok()?, Verdict::Stored));
    }
    Some(taken)
}

/// What an edge may tell of machines: what it heard itself.
fn may_tell(what: &What) -> bool {
    matches!(
        what,
        What::Asked { .. }
            | What::Declined { .. }
            | What::ScriptFetched { .. }
            | What::FileFetched { .. }
            | What::Installed { image: None, slot: None, .. }
    )
}

/// When it was, by our clock; never later than now. Clocks that are as near to each other as what the edge says was long on its way agree: what
/// both heard happened at one time.
fn by_our_clock(at: Time, its_now: Time, now: Time) -> Time {
    if now.since(its_now).max(its_now.since(now)) < AGREES_WITHIN {
        return at.min(now);
    }
    let ago = its_now.since(at);
    Time(now.0.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

/// When a machine was last heard of on its way: what comes after it by another way, and was before it, is no news any more. That its
/// system renews a lease says nothing of how it was started.
fn newest(machine: &Machine) -> Time {
    let seen = machine.sightings.values().filter(|seen| seen.stage != Stage::Os).map(|seen| seen.at);
    seen.chain([machine.since, machine.running_since]).max().unwrap_or_default()
}

async fn server(
    State(door): State<Door>,
    Extension(who): Extension<Who>,
    Json(asked): Json<AskServer>,
) -> Response {
    let kept = match door.known(&who).await {
        Ok(kept) => kept,
        Err(response) => return response,
    };
    let issued = Signing::read(&asked.csr)
        .and_then(|request| door.authority.issue_edge_server(&request, &kept.addresses, clock::now()));
    match issued {
        Ok((certificate, not_after)) => {
            Json(Server { chain: certificate + &door.authority.pem(), not_after }).into_response()
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

impl Edges {
    fn note(&self, name: &str, asked: &edge::Follow) {
        let seen = Seen {
            at: clock::now(),
            generation: asked.have.as_ref().map(|have| have.position.generation.0),
            release: asked.release.chars().take(64).collect(),
            report: asked.report.clone(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_long_ago_was_not_in_the_future() {
        let [at, its_now, now] = [Time(1_000), Time(4_000), Time(50_000)];
        assert_eq!(by_our_clock(at, its_now, now), Time(47_000));
        assert_eq!(by_our_clock(its_now, at, now), now, "its clock went back");
        assert_eq!(by_our_clock(at, its_now, Time(10)), Time(0));
        // What it says was a while on its way.
        assert_eq!(by_our_clock(at, its_now, Time(4_900)), at);
        assert_eq!(by_our_clock(at, Time(4_900), its_now), at);
    }
}
