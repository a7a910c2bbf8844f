//! Explanations: why it has this address, why it is not ready, why its packet was not answered.

use super::{Api, failed};
use crate::clock;
use crate::counters::Protocol;
use crate::refusals::{Details, Sample};
use api::http::{Refusal, Refusals, Why};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lifecycle::Zone;
use lifecycle::why::bytes_in_words;
use model::facts::Machine;
use model::plan::Binding;
use model::{DeviceId, Location, Mac, Plan, Reason};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::IntoParams;

/// Causes that are listed.
const RECENT_MAX: usize = 200;

/// About what.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// A location, a name, an address, a hardware address; or a relay, a circuit-id that was refused.
    target: String,
}

/// Explains a location, a name or an address; or lists what was refused of a hardware address, relay or circuit-id.
#[utoipa::path(
    get,
    path = "/v1/why",
    params(About),
    responses((status = 200, body = Why), (status = 404, body = api::http::Error))
)]
pub(crate) async fn why(State(api): State<Api>, Query(About { target }): Query<About>) -> Response {
    let samples = api.controller.refusals.all();
    let zone = api.controller.zone();
    let plan = zone.plan();
    let target = target.trim().to_owned();
    let (now, mac) = (clock::now(), Mac::written(&target));
    let explained = lifecycle::why(&zone, &target, now)
        .or_else(|| lifecycle::why(&zone, sighted(&zone, mac?)?.as_str(), now));
    let Some(explained) = explained else {
        // A hardware address is known as we write it.
        let target = mac.map_or(target, |mac| mac.to_string());
        let refusals: Vec<_> = samples
            .iter()
            .filter(|sample| shows(sample, &target))
            .map(|sample| refusal(plan, sample))
            .collect();
        if refusals.is_empty() {
            return failed(StatusCode::NOT_FOUND, nothing_known(&zone, &target));
        }
        let sentences = vec![format!("the plan has no {target}; these packets of it were not answered")];
        return Json(Why { target, location: None, sentences, refusals }).into_response();
    };
    let location = plan.design.devices[explained.device.index()].location.clone();
    let addresses: Vec<String> = plan
        .interfaces_of(explained.device)
        .iter()
        .flat_map(|interface| [interface.v4.map(|v4| v4.to_string()), interface.v6.map(|v6| v6.to_string())])
        .flatten()
        .collect();
    let concerns = |sample: &&Sample| {
        let details = &sample.details;
        details.machine.as_ref() == Some(&location)
            || addresses.contains(&details.client)
            || speaks_of(plan, explained.device, details)
    };
    let refusals: Vec<_> = samples.iter().filter(concerns).map(|sample| refusal(plan, sample)).collect();
    Json(Why { target, location: Some(location), sentences: explained.sentences, refusals }).into_response()
}

/// Why packets were not answered: counts since the start, and recent causes.
#[utoipa::path(get, path = "/v1/refusals", responses((status = 200, body = Refusals)))]
pub(crate) async fn refusals(State(api): State<Api>) -> Json<Refusals> {
    let counts = Protocol::ALL.into_iter().filter_map(|protocol| {
        let refused = &api.controller.counters.of(protocol).refused;
        let counts: BTreeMap<String, u64> = Reason::ALL
            .iter()
            .map(|reason| (reason.as_str().to_owned(), refused[*reason as usize].get()))
            .filter(|(_, count)| *count > 0)
            .collect();
        (!counts.is_empty()).then(|| (protocol.as_str().to_owned(), counts))
    });
    let recent = api.controller.refusals.all();
    let view = api.controller.view.load_full();
    let plan = &view.plan;
    Json(Refusals {
        counts: counts.collect(),
        recent: recent.iter().take(RECENT_MAX).map(|sample| refusal(plan, sample)).collect(),
    })
}

/// A sentence for a target that means nothing, with what may have been meant.
pub(crate) fn nothing_known(zone: &Zone, target: &str) -> String {
    let devices = &zone.plan().design.devices;
    let known = devices.iter().flat_map(|device| [device.location.within_zone(), device.name.as_str()]);
    match model::finding::nearest(target, known) {
        Some(near) if target.len() <= 64 => format!("the zone has no {target}; did you mean {near}?"),
        _ => format!(
            "the zone has no location, name or address {}",
            target.chars().take(64).collect::<String>()
        ),
    }
}

/// Where hardware with this address was seen.
fn sighted(zone: &Zone, mac: Mac) -> Option<&Location> {
    let has_it = |machine: &Machine| {
        let mut nics = machine.hardware.iter().flat_map(|hardware| &hardware.nics);
        machine.sightings.values().any(|sighting| sighting.mac == mac) || nics.any(|nic| nic.mac == mac)
    };
    zone.facts().machines.iter().find(|(_, machine)| has_it(machine)).map(|(location, _)| location)
}

/// Whether a switch's relay brought the packet: as the answer found, or else by the remote-id, or else by the address.
fn speaks_of(plan: &Plan, device: DeviceId, details: &Details) -> bool {
    if let Some(switch) = &details.switch {
        return *switch == plan.design.devices[device.index()].location;
    }
    if !details.remote.is_empty() {
        let mut own = plan.bindings.iter().filter(|binding| binding.switch == device);
        return own.any(|binding| {
            let written = binding.remote_id.iter().chain(&binding.remote_id6);
            written.into_iter().any(|bytes| bytes_in_words(bytes) == details.remote)
        });
    }
    let mut routed =
        plan.subnets.iter().filter(|subnet| subnet.routers.iter().any(|router| router.switch == device));
    routed.any(|subnet| {
        let own = || subnet.routers.iter().filter(|router| router.switch == device);
        let own4 = own().map(|router| router.v4).chain([subnet.gateway4]).flatten().map(IpAddr::V4);
        let own6 = own().map(|router| router.v6).chain([subnet.gateway6]).flatten().map(IpAddr::V6);
        own4.chain(own6).any(|address| address.to_string() == details.relay)
    })
}

/// Whether somebody who asks about `target` means this sample.
fn shows(sample: &Sample, target: &str) -> bool {
    let details = &sample.details;
    let known = [&details.client, &details.relay, &details.circuit, &details.remote];
    known.into_iter().any(|known| known.trim_matches('`').eq_ignore_ascii_case(target))
}

/// What the plan expects that comes nearest to what a relay wrote.
fn expected(plan: &Plan, protocol: Protocol, reason: Reason, details: &Details) -> Option<String> {
    let is_version_6 = match protocol {
        Protocol::Dhcp => false,
        Protocol::Dhcp6 => true,
        Protocol::Dns | Protocol::Tftp | Protocol::Http => return None,
    };
    match reason {
        Reason::UnknownPort => {
            let switches = (0..plan.design.devices.len()).map(DeviceId::from_index);
            let mut switches = switches.filter(|id| plan.design.devices[id.index()].kind.is_switch());
            let switch = switches.find(|id| speaks_of(plan, *id, details))?;
            let own = plan.bindings.iter().filter(|binding| binding.switch == switch);
            let written = |binding: &Binding| match is_version_6 {
                true => bytes_in_words(binding.interface_id()),
                false => bytes_in_words(&binding.circuit_id),
            };
            let near = own.min_by_key(|binding| distance(&written(binding), &details.circuit))?;
            let port = lifecycle::validate::port_in_words(&plan.design, near.port);
            let word = if is_version_6 { "interface-id" } else { "circuit-id" };
            Some(format!("{word} {} of {port}", written(near)))
        }
        Reason::UnknownRelay if !details.remote.is_empty() => {
            let mut relays: Vec<_> = plan
                .bindings
                .iter()
                .filter_map(|binding| {
                    let version_6 = binding.remote_id6.as_ref().filter(|_| is_version_6);
                    Some((version_6.or(binding.remote_id.as_ref())?.clone(), binding.switch))
                })
                .collect();
            relays.sort();
            relays.dedup();
            let near =
                relays.iter().min_by_key(|(bytes, _)| distance(&bytes_in_words(bytes), &details.remote));
            let (bytes, switch) = near?;
            Some(format!(
                "remote-id {} of {}",
                bytes_in_words(bytes),
                plan.design.devices[switch.index()].name
            ))
        }
        _ => None,
    }
}

/// How many characters differ, from the front and from the back: enough to tell `swp9` from `Ethernet9`.
fn distance(a: &str, b: &str) -> usize {
    let longest = a.len().max(b.len());
    let same = |a: &mut dyn Iterator<Item = u8>, b: &mut dyn Iterator<Item = u8>| {
        a.zip(b).take_while(|(a, b)| a == b).count()
    };
    let front = same(&mut a.bytes(), &mut b.bytes());
    let back = same(&mut a.bytes().rev(), &mut b.bytes().rev());
    longest.saturating_sub(front + back) * 16 + a.len().abs_diff(b.len()).min(15)
}

fn refusal(plan: &Plan, sample: &Sample) -> Refusal {
    let Sample { protocol, reason, first, last, count, details } = sample.clone();
    Refusal {
        protocol: protocol.as_str().to_owned(),
        expected: expected(plan, protocol, reason, &details),
        reason: reason.as_str().to_owned(),
        meaning: reason.meaning().to_owned(),
        remedy: reason.remedy().to_owned(),
        count,
        first,
        last,
        client: details.client,
        relay: details.relay,
        circuit_id: details.circuit,
        remote_id: details.remote,
        switch: details.switch,
        machine: details.machine,
        subject: details.subject,
    }
}
