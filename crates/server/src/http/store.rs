//! The zone, moved to another store.

use super::asked::Asked;
use super::{Api, failed};
use crate::keeper::{Message, Target};
use crate::start;
use api::http::{MoveStore, Moved};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::etcd::{Access, Address};
use store::{KEY_FILE, Store};
use tokio::sync::oneshot;

/// So long it may take until this controller leads in the other store: longer than a lease.
const LEAD_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Moves plans, facts, history and secrets to another store while the zone is served, and writes there from then on. What is asked meanwhile
/// waits. Answered when it is done.
#[utoipa::path(
    post,
    path = "/v1/store",
    request_body = MoveStore,
    responses(
        (status = 200, description = "It is there, and was compared", body = Moved),
        (status = 409, description = "It is where it was; the sentence says why", body = api::http::Error),
    )
)]
pub(super) async fn move_store(State(api): State<Api>, Asked(asked): Asked<MoveStore>) -> Response {
    let controller = Arc::clone(&api.controller);
    let beside = beside(&controller.options.state, &asked.to);
    let opened = tokio::task::spawn_blocking(move || open(&controller.options, asked)).await;
    let target = match opened {
        Ok(Ok(target)) => target,
        Ok(Err(sentence)) => return failed(StatusCode::CONFLICT, sentence),
        Err(_) => return failed(StatusCode::INTERNAL_SERVER_ERROR, "it failed; the log says how"),
    };
    let (asker, moved) = oneshot::channel();
    let sent = api.controller.inbox.send(Message::Move(Box::new(target), asker));
    match (sent, moved.await) {
        (true, Ok(Ok(copied))) => {
            let store::Copied { plans, machines, changes, events, secrets } = copied;
            Json(Moved { plans, machines, changes, events, secrets, beside }).into_response()
        }
        (true, Ok(Err(sentence))) => failed(StatusCode::CONFLICT, sentence),
        _ => failed(StatusCode::CONFLICT, "the controller is too busy; ask again"),
    }
}

/// Refuses what is hardly meant as a directory: who mistypes an address does not find the zone in a directory of that name.
fn directory(to: &str) -> Result<(), String> {
    let path = Path::new(to);
    if to.contains("://") {
        return Err(format!(
            "{to} is no address of a store: etcd://HOST[:PORT]/NAME, etcds:// with TLS, or a directory"
        ));
    }
    if !path.is_absolute() {
        return Err(format!("`{to}` is no absolute path: the controller runs in a directory of its own"));
    }
    match path.parent() {
        Some(parent) if parent.is_dir() => Ok(()),
        Some(parent) => Err(format!("there is no {}; make it first", parent.display())),
        None => Err("the zone cannot be kept in /".to_owned()),
    }
}

fn open(options: &crate::Options, asked: MoveStore) -> Result<Target, String> {
    let MoveStore { to, ca, certificate, credentials } = asked;
    let in_words = |error: store::OpenError| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    if !Address::is_one(&to) {
        directory(&to)?;
        let store = Store::open_to_fill(&PathBuf::from(&to)).map_err(in_words)?;
        // Before anything relies on what it seals being there.
        store::carry_key(&options.state, Path::new(&to)).map_err(in_words)?;
        return Ok(Target { store, address: to, name: None });
    }
    let address = Address::parse(&to)?;
    let access = Access { ca, certificate, credentials };
    let name = start::name(options);
    let mut store = Store::open_etcd_to_fill(&address, &access, &name).map_err(in_words)?;
    let began = Instant::now();
    while !store.take_lead().map_err(|failure| failure.to_string())? {
        if began.elapsed() > LEAD_WITHIN {
            return Err(format!("another controller leads in {address}"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(Target { store, address: address.to_string(), name: Some(name) })
}

/// What is not of the store and lies in the state directory, for who starts the controller with `to` the next time.
fn beside(state: &Path, to: &str) -> String {
    let place = state.display();
    if Address::is_one(to) {
        return format!(
            "{KEY_FILE}, with which BMCs' credentials are sealed, and the audit log stay in {place}: start with --state {place}, too"
        );
    }
    match (fs::canonicalize(state), fs::canonicalize(to)) {
        (Ok(state), Ok(to)) if state == to => String::new(),
        _ => {
            format!("{KEY_FILE} is copied along; the audit log (audit.jsonl, audit.1.jsonl) stays in {place}")
        }
    }
}
