//! Findings, refusals, all machines, the audit log.

use super::frame::{machine, state, time};
use crate::clock;
use crate::http::{Api, machines, status, why};
use axum::extract::State;
use lifecycle::attention;
use maud::{Markup, html};
use std::sync::Arc;

/// Machines that the list shows; the map and the search show the rest.
const MACHINES_MAX: usize = 1000;
/// Entries of the audit log that are shown.
const AUDITED_MAX: usize = 500;

/// What is wrong with the design, and with what was found of it.
pub(super) async fn findings(api: &Api) -> Markup {
    let found = status::findings(State(api.clone())).await.0;
    html! {
        h1 { "Findings" }
        @match &found.refused {
            None => p { "The newest design is in force; it was read " (time(found.read)) "." },
            Some(refused) => p.alarm { "The newest design is not in force: " (refused) },
        }
        h2 { "To look at" }
        @if found.troubles.is_empty() { p.none { "Nothing. All that was seen is as the design says." } }
        @else {
            div.wide { table {
                thead { tr { th { "About" } th { "Where" } th { "What" } th { "Code" } } }
                tbody { @for trouble in &found.troubles { tr {
                    td { (trouble.about) }
                    td {
                        @if let Some(location) = &trouble.location { (machine(location)) }
                        @else if let Some(id) = trouble.change { a href={ "/changes/" (id) } { "change " (id) } }
                    }
                    td.text { (trouble.sentence) }
                    td { @if let Some(code) = &trouble.code { code { (code) } } }
                } } }
            } }
            @if found.more_troubles > 0 { p.faint { "and " (found.more_troubles) " more; the list of machines has them first" } }
        }
        h2 { "In the design" }
        @if found.findings.is_empty() { p.none { "The design has no mistakes." } }
        @for finding in &found.findings {
            article.finding data-severity=(finding.severity) {
                h3 { code { (finding.code) } " " (finding.sentence) }
                @if !finding.file.is_empty() {
                    p { code { (finding.file) ":" (finding.line) ":" (finding.column) } }
                }
                @if let Some(help) = &finding.help { p { (help) } }
            }
        }
    }
}

/// Why packets were not answered.
pub(super) async fn refusals(api: &Api) -> Markup {
    let refusals = why::refusals(State(api.clone())).await.0;
    let counts = refusals
        .counts
        .iter()
        .flat_map(|(protocol, reasons)| reasons.iter().map(move |(reason, count)| (protocol, reason, count)));
    let counts: Vec<_> = counts.collect();
    html! {
        h1 { "Refusals" }
        p { "Packets that were not answered since the controller started, and why." }
        @if counts.is_empty() { p.none { "None: every packet that came was answered." } }
        @else {
            ul.counts { @for (protocol, reason, count) in counts { li { b { (count) } " " (protocol) " " code { (reason) } } } }
        }
        @for refusal in &refusals.recent {
            article.finding {
                h2 { code { (refusal.protocol) " " (refusal.reason) } " · " (refusal.count) " × · last " (time(refusal.last)) }
                p { (refusal.meaning) }
                p.remedy { (refusal.remedy) }
                dl {
                    @for (name, text) in [("client", &refusal.client), ("relay", &refusal.relay), ("circuit-id", &refusal.circuit_id),
                        ("remote-id", &refusal.remote_id), ("asked for", &refusal.subject)] {
                        @if !text.is_empty() { div { dt { (name) } dd { (text) } } }
                    }
                    @if let Some(expected) = &refusal.expected { div { dt { "expected" } dd { (expected) } } }
                    @if let Some(location) = &refusal.switch { div { dt { "switch" } dd { (machine(location)) } } }
                    @if let Some(location) = &refusal.machine { div { dt { "machine" } dd { (machine(location)) } } }
                    div { dt { "first" } dd { (time(refusal.first)) } }
                }
            }
        }
    }
}

/// All machines, those that want attention first.
pub(super) async fn machines(api: &Api) -> Markup {
    let controller = Arc::clone(&api.controller);
    let rows = tokio::task::spawn_blocking(move || {
        let zone = controller.zone();
        let now = clock::now();
        let mut devices: Vec<_> = machines::booted(zone.plan()).collect();
        devices.sort_by_cached_key(|(id, device)| {
            let machine = zone.facts().machines.get(&device.location);
            let attention = |machine| attention::of_machine(zone.plan(), zone.roster(), *id, machine, now);
            machine.and_then(attention).map_or(u8::MAX, |attention| attention.rank())
        });
        let shown = devices.iter().take(MACHINES_MAX);
        let rows: Vec<_> = shown.map(|(id, device)| machines::row(&zone, *id, device, now)).collect();
        (rows, devices.len())
    });
    let Ok((rows, count)) = rows.await else {
        return html! { p.alarm { "The machines cannot be listed now." } };
    };
    html! {
        h1 { "Machines" }
        p { (count) " in all, those that want attention first"
            @if count > rows.len() { "; the first " (rows.len()) " are shown, the search finds every one" } "." }
        div.wide { table {
            thead { tr { th { "Location" } th { "Name" } th { "State" } th { "Since" } th { "Address" } th { "Waits for" } } }
            tbody { @for row in &rows { tr {
                td { (machine(&row.location)) }
                td { (row.name) }
                td { (state(&row.state)) }
                td { @if let Some(since) = row.since { (time(since)) } }
                td { @if let Some(address) = &row.address { code { (address) } } }
                td.text {
                    @if let Some(miscabled) = &row.miscabled { span.alarm { (miscabled) } }
                    @else if let Some(wait) = &row.wait { span.alarm[wait.overdue || row.state == "failed"] { (wait.on) } }
                }
            } } }
        } }
    }
}

/// What people did.
pub(super) async fn audit(api: &Api) -> Option<Markup> {
    let audit = Arc::clone(&api.people.audit);
    let entries = tokio::task::spawn_blocking(move || audit.last(AUDITED_MAX)).await.ok()?;
    Some(html! {
        h1 { "Audit" }
        p { "Who did what through this controller, and from where; the newest first. " code { "zw audit" } " shows more." }
        @if entries.is_empty() { p.none { "Nobody has done anything yet." } }
        @else {
            div.wide { table {
                thead { tr { th { "When" } th { "Who" } th { "From" } th { "What" } th { "Outcome" } } }
                tbody { @for entry in entries.iter().rev() { tr {
                    td { (time(entry.at)) }
                    td { (entry.by) }
                    td { (entry.from) }
                    td.text { (entry.did) }
                    td.text { span.alarm[entry.outcome != "done"] { (entry.outcome) } }
                } } }
            } }
        }
    })
}
