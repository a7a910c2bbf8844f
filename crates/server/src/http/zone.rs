//! The zone as it is drawn and decided.

use super::{Api, failed};
use api::http::{Network, Ports, Zone, ZoneCounts};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::design::{DeviceKind, Scope};
use std::sync::Arc;

/// The zone: its name, where its controllers are, how large it is.
#[utoipa::path(get, path = "/v1/zone", responses((status = 200, body = Zone)))]
pub(super) async fn zone(State(api): State<Api>) -> Json<Zone> {
    let view = api.controller.view.load_full();
    let plan = &view.plan;
    let design = &plan.design;
    let of = |is: fn(DeviceKind) -> bool| design.devices.iter().filter(|device| is(device.kind)).count();
    let networks = design.networks.iter().enumerate().map(|(index, network)| Network {
        name: network.name.clone(),
        scope: match network.scope {
            Scope::Zone => "zone",
            Scope::Pod => "pod",
            Scope::Rack => "rack",
        }
        .to_owned(),
        subnets: plan.subnets.iter().filter(|subnet| subnet.network.index() == index).count(),
    });
    let crate::BindPorts { dhcp, dhcp6, dns, tftp, boot, boot_tls, agents, .. } = api.ports;
    Json(Zone {
        name: design.zone.name.clone(),
        domain: design.zone.domain.clone(),
        generation: plan.generation.0,
        controllers: view.boot.controllers.iter().map(ToString::to_string).collect(),
        ports: Ports { dhcp, dhcp6, dns, tftp, boot, boot_tls, agents },
        counts: ZoneCounts {
            pods: design.pods.len(),
            racks: design.racks.len(),
            switches: of(DeviceKind::is_switch),
            machines: of(|kind| kind == DeviceKind::Machine),
            cables: design.cables.len(),
            interfaces: plan.interfaces.len(),
            subnets: plan.subnets.len(),
        },
        networks: networks.collect(),
    })
}

/// The whole plan in force: machines, interfaces, networks, cables, DNS records, DHCP bindings; as `zw plan --json`.
#[utoipa::path(get, path = "/v1/plan", responses((status = 200, body = Object), (status = 500, body = api::http::Error)))]
pub(super) async fn plan(State(api): State<Api>) -> Response {
    // As it was published: what machines keep until a change reaches them is the change's to tell.
    let plan = Arc::clone(api.controller.zone().whole());
    // Megabytes for a large zone: not on a thread that others wait for.
    let text = tokio::task::spawn_blocking(move || serde_json::to_vec(&plan::document(&plan))).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        _ => failed(StatusCode::INTERNAL_SERVER_ERROR, "the plan could not be written as JSON"),
    }
}
