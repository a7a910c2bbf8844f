//! Finding a machine by anything that is written on it or in the plan.

use crate::controller::Controller;
use crate::http::Api;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::Mac;
use model::roster::Target;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is shown; who gets more writes more.
const FOUND_MAX: usize = 12;
/// The longest question, in characters.
const QUERY_MAX: usize = 128;

/// So many digits of a hardware address, or more, are looked for.
const MAC_DIGITS_MIN: usize = 4;

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    q: String,
}

/// A machine that was found.
#[derive(Serialize)]
struct Found {
    /// Within the zone.
    location: String,
    name: String,
    /// What of it was found: `serial 4711`.
    by: String,
}

/// The best first.
pub(super) async fn search(State(api): State<Api>, Query(Wanted { q }): Query<Wanted>) -> Response {
    let text: String = q.trim().chars().take(QUERY_MAX).collect();
    let found = tokio::task::spawn_blocking(move || find(&api.controller, &text)).await;
    match found {
        Ok(found) => Json(found).into_response(),
        Err(_) => crate::http::failed(StatusCode::INTERNAL_SERVER_ERROR, "the search failed"),
    }
}

fn find(controller: &Arc<Controller>, text: &str) -> Vec<Found> {
    if text.is_empty() {
        return Vec::new();
    }
    let zone = controller.zone();
    let plan = zone.plan();
    let devices = &plan.design.devices;
    let found = |index: usize, by: String| Found {
        location: devices[index].location.within_zone().to_owned(),
        name: devices[index].name.clone(),
        by,
    };
    let exact = zone.roster().find(plan, text).map(|target| match target {
        Target::Device(device) => (device.index(), String::new()),
        Target::Interface(interface) => {
            let planned = plan.interface(interface);
            (planned.device.index(), format!("{} of {}", text, planned.name))
        }
    });
    let wanted = text.to_ascii_lowercase();
    // By rank: what is its own, what begins so, what has it somewhere.
    let mut ranked: Vec<(u8, usize, String)> = exact.into_iter().map(|(index, by)| (0, index, by)).collect();
    for (index, device) in devices.iter().enumerate() {
        if ranked.first().is_some_and(|(rank, exact, _)| (*rank, *exact) == (0, index)) {
            continue;
        }
        let (name, location) = (device.name.to_ascii_lowercase(), device.location.within_zone());
        let rank = match () {
            () if name.starts_with(&wanted) || location.starts_with(&wanted) => Some((1, String::new())),
            () => written_on(&zone, index, &wanted),
        };
        let rank = rank
            .or_else(|| (name.contains(&wanted) || location.contains(&wanted)).then(|| (3, String::new())));
        ranked.extend(rank.map(|(rank, by)| (rank, index, by)));
    }
    ranked.sort_by_key(|(rank, index, _)| (*rank, *index));
    ranked.truncate(FOUND_MAX);
    ranked.into_iter().map(|(_, index, by)| found(index, by)).collect()
}

/// What of a machine's hardware is meant, or which of its addresses.
fn written_on(zone: &lifecycle::Zone, index: usize, wanted: &str) -> Option<(u8, String)> {
    let plan = zone.plan();
    let begins = |text: &str| text.to_ascii_lowercase().starts_with(wanted);
    // Some digits are half of all addresses; a dot or a colon says that one is meant.
    if wanted.contains(['.', ':']) {
        let interfaces = plan.interfaces_of(model::DeviceId::from_index(index)).iter();
        let addresses = interfaces.flat_map(|interface| {
            [interface.v4.map(|v4| v4.to_string()), interface.v6.map(|v6| v6.to_string())]
        });
        if let Some(address) = addresses.flatten().find(|address| begins(address)) {
            return Some((2, address));
        }
    }
    let machine = zone.facts().machines.get(&plan.design.devices[index].location)?;
    let hardware = machine.hardware.as_ref();
    if let Some(hardware) = hardware.filter(|hardware| begins(&hardware.serial)) {
        return Some((1, format!("serial {}", hardware.serial)));
    }
    if let Some(hardware) = hardware.filter(|hardware| begins(&hardware.uuid)) {
        return Some((2, format!("UUID {}", hardware.uuid)));
    }
    // However it is written; some digits begin many.
    let digits = Mac::digits(wanted).filter(|digits| digits.len() >= MAC_DIGITS_MIN)?;
    let sighted = machine.sightings.values().map(|sighting| sighting.mac);
    let mut macs =
        sighted.chain(hardware.into_iter().flat_map(|hardware| hardware.nics.iter().map(|nic| nic.mac)));
    let found = macs.find(|mac| Mac::digits(&mac.to_string()).is_some_and(|own| own.starts_with(&digits)))?;
    Some((2, found.to_string()))
}
