//! The states of machines, as the controller tells them.

use super::{Zone, api, milliseconds};
use model::Time;
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often the controller is asked while machines are on their way.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Asks and takes over, until the process ends. A controller that is down is asked again.
pub(super) async fn observe(zone: Arc<Zone>) {
    loop {
        if let Ok(answer) = api::get(&zone, "/v1/machines").await {
            take_over(&zone, &answer);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
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
                "off" => String::new(),
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
