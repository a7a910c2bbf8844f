//! The states of machines, as the controller tells them.

use super::{Zone, milliseconds};
use crate::error::{Doing, Error};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use model::Time;
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;

/// How often the controller is asked while machines are on their way.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// The longest answer.
const ANSWER_MAX: usize = 64 << 20;
/// The longest wait for one.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Asks and takes over, until the process ends. A controller that is down is asked again.
pub(super) async fn observe(zone: Arc<Zone>) {
    loop {
        if let Ok(Ok(answer)) = tokio::time::timeout(ANSWER_TIME_MAX, ask(&zone)).await {
            take_over(&zone, &answer);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn ask(zone: &Zone) -> Result<Value, Error> {
    let path = zone.start.directory.api();
    let stream = UnixStream::connect(&path).await.doing(|| format!("reach {}", path.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .doing(|| "speak to the controller")?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/v1/machines")
        .header("Host", "controller")
        .header("Connection", "close")
        .body(Empty::<Bytes>::new())
        .doing(|| "ask the controller")?;
    let reply = sender.send_request(request).await.doing(|| "ask the controller")?;
    let body = Limited::new(reply.into_body(), ANSWER_MAX).collect().await;
    connection.abort();
    let body = body.map_err(|error| Error::because("hear from the controller", error))?;
    serde_json::from_slice(&body.to_bytes()).doing(|| "understand the controller")
}

fn take_over(zone: &Zone, answer: &Value) {
    let Some(machines) = answer.get("machines").and_then(Value::as_array) else { return };
    let on_since = {
        let power = zone.power.lock().unwrap_or_else(PoisonError::into_inner);
        power.on_since.clone()
    };
    zone.progress.send_if_modified(|progress| {
        let mut is_changed = false;
        for machine in machines {
            let text = |key: &str| machine.get(key).and_then(Value::as_str);
            let Some(location) = text("location") else { continue };
            let device = zone.roster.device_at(&model::Location::new(location));
            let host = device.and_then(|device| zone.topology.host_of(device));
            let on = host.and_then(|host| on_since.get(&host)).copied();
            let is_on = on.is_some();
            let since = machine.get("since").and_then(Value::as_u64).map(Time);
            // What the controller knows may be of an earlier boot: it hears of this one with its first packet.
            let is_of_this_boot = on <= since;
            let state = match text("state") {
                _ if !is_on => "off",
                Some(state) if is_of_this_boot => state,
                _ => "on",
            };
            let Some(known) = progress.machines.iter_mut().find(|known| known.location == location) else {
                continue;
            };
            if known.state != state {
                state.clone_into(&mut known.state);
                is_changed = true;
            }
            let wait = machine.get("wait").and_then(|wait| wait.get("on")).and_then(Value::as_str);
            let wait = wait.map(|on| format!("waits for {on}"));
            let why = match state {
                _ if text("miscabled").is_some() => text("miscabled").unwrap_or_default().to_owned(),
                "ready" => String::new(),
                "failed" => text("detail").unwrap_or_default().to_owned(),
                _ => wait.unwrap_or_default(),
            };
            if known.why != why {
                known.why = why;
                is_changed = true;
            }
            if state == "ready" && known.took_ms.is_none() {
                known.took_ms = since.zip(on).map(|(since, on)| milliseconds(since.since(on)));
                is_changed = true;
            }
        }
        is_changed
    });
}
