//! Machines: all of them in a line each, one of them whole, and what operators wish of them.

use super::asked::{Asked, By};
use super::{Api, Did, failed, why, words};
use crate::agents::Verdict;
use crate::clock;
use crate::controller::{Condition, Controller};
use api::http::{
    Armed, BurnIn, BurningIn, Cable, Check, Disk, Done, Hardware, Interface, Machine, MachineRow, Machines,
    Nic, Progress, Proof, Register, Sighting, System, Tpm, Wait, Wish,
};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use lifecycle::{Zone, enrolment};
use model::design::{Device, DeviceKind};
use model::event::What;
use model::facts::{self, ByBmc};
use model::install::Running;
use model::octets::hexadecimal;
use model::roster::Target;
use model::view::Site;
use model::{DeviceId, Event, Generation, Plan, Time};
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Selection;
use utoipa::IntoParams;

/// Entries of a machine's history that are shown.
const TIMELINE_MAX: u32 = 200;
/// The longest reason of a wish, in characters.
const REASON_MAX: usize = 500;
/// A day: who wants longer does it later.
const UNDO_SECONDS_MAX: u32 = 86_400;

/// Which machines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only of this pod, by its label.
    pod: Option<String>,
    /// Only in this state.
    state: Option<String>,
}

/// Machines, a line each, in the order of the design.
#[utoipa::path(get, path = "/v1/machines", params(Wanted), responses((status = 200, body = Machines)))]
pub(crate) async fn machines(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Json<Machines> {
    let zone = api.controller.zone();
    let now = clock::now();
    let plan = zone.plan();
    let machines = booted(plan)
        .map(|(id, device)| row(&zone, id, device, now))
        .filter(|row| wanted.pod.is_none() || wanted.pod == row.pod)
        .filter(|row| wanted.state.as_ref().is_none_or(|state| *state == row.state));
    Json(Machines { generation: plan.generation.0, machines: machines.collect() })
}

/// One machine whole: interfaces, cables, hardware, checks, history. Named by location, name or address.
#[utoipa::path(
    get,
    path = "/v1/machines/{location}",
    params(("location" = String, Path, description = "`p01/r1/u02`, a name or an address")),
    responses((status = 200, body = Machine), (status = 404, body = api::http::Error))
)]
pub(crate) async fn machine(State(api): State<Api>, Path(target): Path<String>) -> Response {
    let Some(id) = find(&api.controller, &target) else { return unknown(&api.controller, &target) };
    let controller = Arc::clone(&api.controller);
    let told = tokio::task::spawn_blocking(move || whole(&controller, id, &target)).await;
    match told {
        Ok(Some(machine)) => Json(machine).into_response(),
        _ => failed(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read now"),
    }
}

/// Asks something of a machine. It is stored when this answers.
#[utoipa::path(
    post,
    path = "/v1/machines/{location}/wish",
    params(("location" = String, Path, description = "`p01/r1/u02`, a name or an address")),
    request_body = Wish,
    responses(
        (status = 200, body = Done),
        (status = 404, body = api::http::Error),
        (status = 409, description = "It is not allowed now; the sentence says why", body = api::http::Error),
        (status = 503, description = "It could not be stored", body = api::http::Error),
    )
)]
pub(crate) async fn wish(
    State(api): State<Api>,
    Path(target): Path<String>,
    By(by): By,
    wish: Result<Asked<Wish>, Response>,
) -> Response {
    // A location has slashes, so that the route ends in it.
    let Some(target) = target.strip_suffix("/wish") else {
        return failed(
            StatusCode::METHOD_NOT_ALLOWED,
            "to ask something of a machine, post to its path with /wish at the end",
        );
    };
    let wish = match wish {
        Ok(Asked(wish)) => wish,
        Err(response) => return response,
    };
    let controller = &api.controller;
    let Some(id) = find(controller, target) else { return unknown(controller, target) };
    let (location, kind) = {
        let zone = controller.zone();
        let device = &zone.plan().design.devices[id.index()];
        (device.location.clone(), device.kind)
    };
    if !lifecycle::validate::boots(kind) {
        return failed(
            StatusCode::CONFLICT,
            format!("{location} is drawn, not booted: there is nothing to ask of it"),
        );
    }
    let now = clock::now();
    let by_bmc = match wish {
        Wish::Arm { no_bmc: false, .. } | Wish::Reinstall { no_bmc: false, .. } => {
            crate::bmc::may_start(controller, &location).await
        }
        _ => ByBmc::Refused,
    };
    let wish = match in_facts(wish, by_bmc, now) {
        Ok(wish) => wish,
        Err(sentence) => return failed(StatusCode::BAD_REQUEST, sentence),
    };
    let did = Did(format!("{location}: {}", words::wish_in_words(&wish, now)));
    let event = Event {
        at: now,
        location: location.clone(),
        what: What::Operator { by, wish, beyond_budget: false },
    };
    did.with(match controller.ask(event).await {
        Some(Verdict::Stored) => {
            let zone = controller.zone();
            let machine = zone.facts().machines.get(&location);
            let state = machine.map_or("expected", |machine| machine.state.name()).to_owned();
            let wait = zone
                .roster()
                .device_at(&location)
                .zip(machine)
                .and_then(|(device, machine)| lifecycle::starting::wait(zone.plan(), device, machine));
            Json(Done { location, state, waits_for: wait.map(|wait| wait.on) }).into_response()
        }
        Some(Verdict::Refused(why)) => failed(StatusCode::CONFLICT, format!("{location}: {why}")),
        None => failed(
            StatusCode::SERVICE_UNAVAILABLE,
            match controller.condition() {
                Condition { sharing: None, store_trouble, .. } => {
                    format!(
                        "it took effect, but could not be stored yet: {}",
                        store_trouble.unwrap_or_default()
                    )
                }
                Condition { store_trouble, .. } => format!(
                    "nobody has said that it is stored: look before you ask again: {}",
                    store_trouble.unwrap_or_default()
                ),
            },
        ),
    })
}

/// A wish as the facts know it.
fn in_facts(wish: Wish, bmc: ByBmc, now: Time) -> Result<model::event::Wish, String> {
    use model::event::Wish as In;
    let bounded = |reason: String| {
        let reason = reason.trim().to_owned();
        match reason.chars().count() {
            0 => Err("say why, in a few words".to_owned()),
            1..=REASON_MAX => Ok(reason),
            _ => Err(format!("the reason is longer than {REASON_MAX} characters")),
        }
    };
    Ok(match wish {
        Wish::Accept => In::Accept,
        Wish::Drain { reason } => In::Drain { reason: bounded(reason)? },
        Wish::Maintain { reason } => In::Maintain { reason: bounded(reason)? },
        Wish::Return => In::Return,
        Wish::Retire { reason } => In::Retire { reason: bounded(reason)? },
        Wish::Arm { generation, seconds, .. } => In::Arm {
            generation: Generation(generation),
            until: now + Duration::from_secs(seconds.into()),
            bmc,
        },
        Wish::Reinstall { generation, seconds, undo_seconds, .. } => {
            let begins = now + Duration::from_secs(undo_seconds.min(UNDO_SECONDS_MAX).into());
            In::Reinstall {
                generation: Generation(generation),
                until: begins + Duration::from_secs(seconds.into()),
                bmc,
                undo_until: (undo_seconds > 0).then_some(begins),
            }
        }
        Wish::Disarm => In::Disarm,
        Wish::Upgrade { generation, seconds } => In::Upgrade {
            generation: Generation(generation),
            until: now + Duration::from_secs(seconds.into()),
        },
    })
}

/// The device that a target means.
pub(crate) fn find(controller: &Controller, target: &str) -> Option<DeviceId> {
    let zone = controller.zone();
    match zone.roster().find(zone.plan(), target)? {
        Target::Device(device) => Some(device),
        Target::Interface(interface) => Some(zone.plan().interface(interface).device),
    }
}

/// Nothing has this name; perhaps something close has.
pub(crate) fn unknown(controller: &Controller, target: &str) -> Response {
    failed(StatusCode::NOT_FOUND, why::nothing_known(&controller.zone(), target))
}

/// The devices that boot, in the order of the design.
pub(crate) fn booted(plan: &Plan) -> impl Iterator<Item = (DeviceId, &Device)> {
    let devices = plan.design.devices.iter().enumerate();
    devices
        .filter(|(_, device)| device.kind == DeviceKind::Machine)
        .map(|(index, device)| (DeviceId::from_index(index), device))
}

/// A machine in one line.
pub(crate) fn row(zone: &Zone, id: DeviceId, device: &Device, now: Time) -> MachineRow {
    let plan = zone.plan();
    let design = &plan.design;
    let label = |location: &model::Location| location.leaf().to_owned();
    let boots = lifecycle::validate::boots(device.kind);
    let unheard;
    let machine = match zone.facts().machines.get(&device.location) {
        Some(machine) => Some(machine),
        None if boots => {
            unheard = lifecycle::machine::expected(now);
            Some(&unheard)
        }
        None => None,
    };
    let first = plan.interfaces_of(id).first();
    let address = first.and_then(|first| first.v4.map(IpAddr::V4).or(first.v6.map(IpAddr::V6)));
    let wait =
        machine.and_then(|machine| lifecycle::wait(plan, zone.roster(), id, machine, now)).map(|wait| Wait {
            overdue: wait.overdue(now),
            on: wait.on,
            since: wait.since,
            expected_by: wait.expected_by,
        });
    MachineRow {
        location: device.location.clone(),
        name: device.name.clone(),
        pod: device.pod.map(|pod| label(&design.pods[pod.index()].location)),
        rack: device.rack.map(|rack| label(&design.racks[rack.index()].location)),
        role: device.role.map(|role| design.roles[role.index()].name.clone()),
        model: design.models[device.model.index()].name.clone(),
        address: address.map(|address| address.to_string()),
        state: machine.map_or("drawn", |machine| machine.state.name()).to_owned(),
        detail: machine.and_then(detail),
        since: machine.filter(|machine| machine.state != facts::State::Expected).map(|machine| machine.since),
        boot_took_ms: machine.and_then(|machine| machine.boot_took_ms),
        connected: machine.is_some_and(|machine| machine.is_connected()),
        wait,
        miscabled: machine
            .and_then(|machine| machine.miscabled.as_ref())
            .map(|(code, doubt)| format!("{doubt} [{code}]")),
    }
}

fn detail(machine: &facts::Machine) -> Option<String> {
    match &machine.state {
        facts::State::Seen { stage } => Some(words::stage_in_words(*stage).to_owned()),
        facts::State::Booting { generation } => Some(format!("plan {generation}")),
        facts::State::Installing { progress } => Some(lifecycle::installing::in_words(progress)),
        facts::State::Failed { reasons } => Some(reasons.join("; ")),
        facts::State::Draining { reason, by }
        | facts::State::Maintenance { reason, by }
        | facts::State::Retired { reason, by } => Some(format!("{reason} ({by})")),
        facts::State::Validating { .. } => machine
            .burn_in
            .progress
            .as_ref()
            .map(|(progress, _)| format!("burn-in: {}", lifecycle::burn_in::in_words(progress))),
        facts::State::Expected | facts::State::Ready => None,
    }
}

/// All of one machine; `None` if the history cannot be read.
pub(crate) fn whole(controller: &Controller, id: DeviceId, target: &str) -> Option<Machine> {
    let location = controller.zone().plan().design.devices.get(id.index())?.location.clone();
    let entries = {
        let history = controller.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        history.events(Selection::Of(&location), TIMELINE_MAX).ok()?
    };
    let zone = controller.zone();
    let (plan, now) = (zone.plan(), clock::now());
    // The plan may have changed since the look-up.
    let id = zone.roster().device_at(&location)?;
    let device = &plan.design.devices[id.index()];
    let machine = zone.facts().machines.get(&location);
    let explained = lifecycle::why(&zone, target, now);
    Some(Machine {
        row: row(&zone, id, device, now),
        interfaces: plan.interfaces_of(id).iter().map(|planned| interface(plan, planned, machine)).collect(),
        cables: cables(plan, id),
        held: machine.and_then(|machine| machine.held.clone()),
        proof: match enrolment::proof(plan, id, machine) {
            enrolment::Proof::Port => Proof::Port,
            enrolment::Proof::Bmc => Proof::Bmc,
            enrolment::Proof::Tpm => Proof::Tpm,
        },
        tpm: machine.and_then(|machine| machine.tpm.as_ref()).map(tpm),
        system: system(plan, &controller.view.load().boot.site, id, machine),
        hardware: machine.and_then(|machine| machine.hardware.as_ref()).map(hardware),
        burn_in: burn_in(plan, id, machine),
        checks: machine.map(|machine| machine.checks.iter().map(check).collect()).unwrap_or_default(),
        timeline: entries.into_iter().map(words::event).collect(),
        why: explained.map(|explained| explained.sentences).unwrap_or_default(),
    })
}

fn tpm(known: &facts::Attested) -> Tpm {
    let registers =
        known.pcrs.iter().map(|(pcr, value)| Register { pcr: *pcr, sha256: hexadecimal(value) }).collect();
    Tpm { ek_sha256: hexadecimal(&known.ek_sha256), registers }
}

/// What is on its disks; `None`: not ours to write.
fn system(plan: &Plan, site: &Site, id: DeviceId, machine: Option<&facts::Machine>) -> Option<System> {
    let os = lifecycle::installing::role_of(plan, id)?.os?;
    let wanted = site.systems.get(&plan.design.systems[os.index()].name).cloned();
    let Some(machine) = machine else { return Some(System { wanted, ..System::default() }) };
    let runs = machine.running.as_ref().map(|running| match running {
        Running::Memory => "memory".to_owned(),
        Running::Disk { slot, .. } => format!("slot {}", slot.letter()),
    });
    let written = machine.installed.as_ref();
    let armed = machine.armed.map(|armed| Armed {
        purpose: match armed.purpose {
            facts::Purpose::Install => "install".to_owned(),
            facts::Purpose::Upgrade => "upgrade".to_owned(),
        },
        generation: armed.generation.0,
        until: armed.until,
        starts: lifecycle::starting::wait(plan, id, machine).is_some(),
        undo_until: armed.undo_until,
    });
    let progress = match &machine.state {
        facts::State::Installing { progress } => Some(Progress {
            step: progress.step.clone(),
            done_bytes: progress.done_bytes,
            total_bytes: progress.total_bytes,
            bytes_per_second: progress.bytes_per_second,
        }),
        _ => None,
    };
    Some(System {
        runs,
        image: written.and_then(|written| written.image.clone()),
        written: written.map(|written| written.at),
        on_trial: matches!(machine.running, Some(Running::Disk { on_trial: true, .. })),
        wanted,
        armed,
        rejected: machine.rejected.as_ref().map(|rejected| rejected.sentence.clone()),
        progress,
    })
}

/// How it was tried out under load; `None`: its role does not ask for it, and it never was.
fn burn_in(plan: &Plan, id: DeviceId, machine: Option<&facts::Machine>) -> Option<BurnIn> {
    let known = machine.map(|machine| machine.burn_in.clone()).unwrap_or_default();
    let seconds = lifecycle::burn_in::wanted(plan, id).seconds();
    if seconds == 0 && known.passed.is_none() {
        return None;
    }
    let progress = known.progress.map(|(progress, heard)| BurningIn {
        part: progress.part.name().to_owned(),
        percent: progress.percent,
        per_second: progress.per_second,
        heard,
    });
    let (passed, found) = known.passed.map(|passed| (passed.at, passed.sentences)).unzip();
    Some(BurnIn { seconds, progress, passed, found: found.unwrap_or_default() })
}

fn interface(plan: &Plan, planned: &model::plan::Interface, machine: Option<&facts::Machine>) -> Interface {
    let subnet = plan.subnet(planned.subnet);
    let design = &plan.design;
    let with_length =
        |address: Option<IpAddr>, net: Option<IpNet>| Some(format!("{}/{}", address?, net?.prefix_len()));
    // A bond is seen by its members.
    let ports = planned.ports.iter().map(|port| {
        let device = &design.devices[port.device.index()];
        design.models[device.model.index()].ports[port.port.index()].as_str()
    });
    let names: Vec<&str> = std::iter::once(planned.name.as_str()).chain(ports).collect();
    let seen = machine.into_iter().flat_map(|machine| {
        let mine = machine.sightings.iter().filter(|(name, _)| names.contains(&name.as_str()));
        mine.map(|(name, sighting)| Sighting {
            interface: name.clone(),
            at: sighting.at,
            mac: sighting.mac.to_string(),
            stage: words::stage_in_words(sighting.stage).to_owned(),
            port: sighting.port.clone(),
            accepted: machine.accepted.get(name).map(|mac| *mac == sighting.mac),
        })
    });
    Interface {
        name: planned.name.clone(),
        dns_name: format!("{}.{}", planned.dns_name, design.zone.domain),
        network: design.networks[subnet.network.index()].name.clone(),
        ipv4: with_length(planned.v4.map(IpAddr::V4), subnet.v4.map(IpNet::V4)),
        ipv6: with_length(planned.v6.map(IpAddr::V6), subnet.v6.map(IpNet::V6)),
        seen: seen.collect(),
    }
}

fn cables(plan: &Plan, id: DeviceId) -> Vec<Cable> {
    let design = &plan.design;
    let port_name = |port: model::design::PortRef| {
        let device = &design.devices[port.device.index()];
        design.models[device.model.index()].ports[port.port.index()].clone()
    };
    let ends = design.cables.iter().filter_map(|cable| match id {
        id if cable.a.device == id => Some((cable.a, cable.b)),
        id if cable.b.device == id => Some((cable.b, cable.a)),
        _ => None,
    });
    let mut cables: Vec<_> = ends
        .map(|(own, far)| {
            let device = &design.devices[far.device.index()];
            let cable = Cable {
                port: port_name(own),
                far: device.location.clone(),
                far_name: device.name.clone(),
                far_port: port_name(far),
            };
            (own.port, cable)
        })
        .collect();
    cables.sort_by_key(|(port, _)| *port);
    cables.into_iter().map(|(_, cable)| cable).collect()
}

fn hardware(found: &facts::Hardware) -> Hardware {
    Hardware {
        cpus: found.cpus,
        memory_bytes: found.memory_bytes,
        disks: found
            .disks
            .iter()
            .map(|disk| Disk {
                name: disk.name.clone(),
                size_bytes: disk.size_bytes,
                kind: disk.kind.clone(),
            })
            .collect(),
        nics: found
            .nics
            .iter()
            .map(|nic| Nic {
                name: nic.name.clone(),
                mac: nic.mac.to_string(),
                mbps: nic.mbps,
                neighbour: nic.neighbour.as_ref().map(|far| format!("{} {}", far.system, far.port)),
            })
            .collect(),
        firmware: found.firmware.clone(),
        serial: found.serial.clone(),
        uuid: found.uuid.clone(),
        system: found.system.clone(),
        clock_skew_ms: found.clock_skew_ms,
    }
}

fn check(result: &facts::CheckResult) -> Check {
    Check { name: result.name.clone(), passed: result.passed, detail: result.detail.clone() }
}
