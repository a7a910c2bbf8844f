//! Everything that is counted, in the text format of Prometheus (version 0.0.4).

use super::{Api, machines};
use crate::clock;
use crate::counters::{Counters, Phase, Protocol};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::Reason;
use model::facts::Machine;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// Every state, so that a state that no machine is in is shown as 0 and not as nothing.
const STATES: [&str; 10] = [
    "expected",
    "seen",
    "booting",
    "installing",
    "validating",
    "ready",
    "draining",
    "maintenance",
    "failed",
    "retired",
];

/// Counters and gauges for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let controller = &api.controller;
    let counters = &controller.counters;
    let mut text = Text(String::with_capacity(8192));
    text.traffic(counters);
    text.single(
        "zonewright_events_stored_total",
        "counter",
        "Events that were kept.",
        counters.events_stored.get(),
    );
    text.single(
        "zonewright_events_dropped_total",
        "counter",
        "Events that found the queue full.",
        counters.events_dropped.get(),
    );
    text.single(
        "zonewright_events_damped_total",
        "counter",
        "Sightings beyond what one machine can be the cause of.",
        counters.events_damped.get(),
    );
    text.single(
        "zonewright_store_failures_total",
        "counter",
        "Writes that failed and were tried again.",
        counters.store_failures.get(),
    );
    text.single(
        "zonewright_views_total",
        "counter",
        "Views that were published.",
        counters.views_published.get(),
    );
    let seconds = counters.view_micros.get() as f64 / 1e6;
    text.single("zonewright_view_seconds", "gauge", "How long the last view took to make.", seconds);
    let name = "zonewright_change_seconds";
    text.family(name, "gauge", "How long each step of the last change of plan took; 0 before the first.");
    for phase in Phase::ALL {
        text.line(name, &[("phase", phase.as_str())], counters.phase_seconds(phase));
    }
    let condition = controller.condition();
    let in_force = u8::from(condition.design_refused.is_none());
    text.single("zonewright_design_in_force", "gauge", "1: the newest design is in force.", in_force);
    text.single(
        "zonewright_store_writable",
        "gauge",
        "1: the last write to the store succeeded.",
        u8::from(condition.store_trouble.is_none()),
    );
    text.single(
        "zonewright_agents_connected",
        "gauge",
        "Agents that hold a connection.",
        controller.present.count(),
    );
    text.single(
        "zonewright_start_time_seconds",
        "gauge",
        "When the controller started, since 1970.",
        controller.started.0 as f64 / 1e3,
    );
    let zone = controller.zone();
    text.single("zonewright_plan_generation", "gauge", "The plan in force.", zone.plan().generation.0);
    let mut states: BTreeMap<&str, u64> = STATES.into_iter().map(|state| (state, 0)).collect();
    let (mut overdue, mut miscabled, now) = (0_u64, 0_u64, clock::now());
    for (id, device) in machines::booted(zone.plan()) {
        let machine: Option<&Machine> = zone.facts().machines.get(&device.location);
        *states.entry(machine.map_or("expected", |machine| machine.state.name())).or_default() += 1;
        let wait = machine.and_then(|machine| lifecycle::wait(zone.plan(), zone.roster(), id, machine, now));
        overdue += u64::from(wait.is_some_and(|wait| wait.overdue(now)));
        miscabled += u64::from(machine.is_some_and(|machine| machine.miscabled.is_some()));
    }
    let name = "zonewright_machines";
    text.family(name, "gauge", "Machines by state.");
    for (state, count) in states {
        text.line(name, &[("state", state)], count);
    }
    text.single(
        "zonewright_machines_overdue",
        "gauge",
        "Machines that wait longer than is ordinary.",
        overdue,
    );
    text.single(
        "zonewright_foreign_dhcp_servers",
        "gauge",
        "DHCP servers that machines hear and that are not the zone's.",
        lifecycle::probe::heard(&zone).len(),
    );
    text.single("zonewright_machines_miscabled", "gauge", "Machines whose cabling is doubted.", miscabled);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}

/// The format, as it grows.
#[derive(Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    /// What is counted while packets pass.
    pub(crate) fn traffic(&mut self, counters: &Counters) {
        let text = self;
        let traffic = Protocol::ALL.map(|protocol| (protocol.as_str(), counters.of(protocol)));
        let per_protocol = [
            ("zonewright_requests_total", "Packets and requests that came."),
            ("zonewright_answers_total", "Answers that went out."),
            ("zonewright_answer_bytes_total", "Octets of answers."),
            ("zonewright_send_failures_total", "Answers that the system would not send."),
            ("zonewright_panics_total", "Requests that met a bug; each cost one packet."),
        ];
        for (index, (name, help)) in per_protocol.into_iter().enumerate() {
            text.family(name, "counter", help);
            for (protocol, traffic) in &traffic {
                let counts = [
                    &traffic.received,
                    &traffic.answered,
                    &traffic.octets,
                    &traffic.send_failed,
                    &traffic.panicked,
                ];
                text.line(name, &[("protocol", protocol)], counts[index].get());
            }
        }
        let name = "zonewright_refusals_total";
        text.family(name, "counter", "Requests that were not granted, by reason.");
        for (protocol, traffic) in &traffic {
            for reason in Reason::ALL {
                let labels = [("protocol", *protocol), ("reason", reason.as_str())];
                text.line(name, &labels, traffic.refused[*reason as usize].get());
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// The labels' values are our own words: nothing in them needs escaping.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(name, &[], value);
    }
}
