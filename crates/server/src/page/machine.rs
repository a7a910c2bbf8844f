//! A machine's page: its place, cables and addresses, its boot with durations, its checks, why it waits.

use super::frame::{encoded, state, time};
use crate::http::Api;
use crate::http::machines::{find, whole};
use crate::people::Visitor;
use api::http::{Event, Machine};
use api::people::Role;
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

/// The width of the picture of a boot, in its own units.
const WIDTH: u64 = 1000;

/// Title and content.
pub(super) async fn machine(api: &Api, visitor: &Visitor, target: &str) -> Option<(String, Markup)> {
    let (controller, target) = (Arc::clone(&api.controller), target.to_owned());
    let id = find(&controller, &target)?;
    let machine = tokio::task::spawn_blocking(move || whole(&controller, id, &target)).await.ok()??;
    let title = machine.row.name.clone();
    Some((title, shown(&machine, visitor)))
}

fn shown(machine: &Machine, visitor: &Visitor) -> Markup {
    let row = &machine.row;
    let is_booted = row.state != "drawn";
    html! {
        div.title {
            h1 { (row.name) }
            p { (row.location) }
            p { (state(&row.state)) @if let Some(since) = row.since { " · " (time(since)) } }
            @if is_booted {
                p { @if row.connected { span.good { "agent connected" } } @else { span.faint { "no agent" } } }
            }
        }
        @if let Some(detail) = &row.detail { p { (detail) } }
        @if let Some(miscabled) = &row.miscabled { p.alarm { (miscabled) } }
        @if let Some(wait) = &row.wait {
            p.wait.alarm[wait.overdue] {
                "It waits for " (wait.on) " (" (time(wait.since)) ")"
                @if wait.overdue { ", longer than is ordinary" } "."
            }
        }
        @if is_booted && visitor.may(Role::Operate) { (wishes(row)) }
        div.columns {
            section {
                h2 { "Place" }
                dl {
                    div { dt { "location" } dd { (row.location) } }
                    @if let Some(pod) = &row.pod { div { dt { "pod" } dd { (pod) } } }
                    @if let Some(rack) = &row.rack { div { dt { "rack" } dd { (rack) } } }
                    @if let Some(role) = &row.role { div { dt { "role" } dd { (role) } } }
                    div { dt { "model" } dd { (row.model) } }
                }
            }
            section {
                h2 { "Why" }
                ul.why { @for sentence in &machine.why { li { (sentence) } } }
            }
        }
        (boot(machine))
        section {
            h2 { "Addresses" }
            div.wide { table {
                thead { tr { th { "Interface" } th { "Network" } th { "Address" } th { "Name" } th { "Seen" } } }
                tbody { @for interface in &machine.interfaces { tr {
                    td { (interface.name) }
                    td { (interface.network) }
                    td { @for address in interface.ipv4.iter().chain(&interface.ipv6) { code { (address) } " " } }
                    td { (interface.dns_name) }
                    td { @for seen in &interface.seen {
                        div { code { (seen.mac) } " as " (seen.stage) " on " (seen.port) ", " (time(seen.at))
                            @if seen.accepted == Some(false) { " " span.alarm { "not the accepted hardware" } } }
                    } }
                } } }
            } }
        }
        section {
            h2 { "Cables" }
            div.wide { table {
                thead { tr { th { "Port" } th { "Leads to" } th { "There" } } }
                tbody { @for cable in &machine.cables { tr {
                    td { (cable.port) }
                    td { a href={ "/machines/" (encoded(cable.far.within_zone())) } { (cable.far_name) } }
                    td { (cable.far_port) }
                } } }
            } }
        }
        (checks(machine))
        (hardware(machine))
        (disks(machine))
        section {
            h2 { "History" }
            @if machine.timeline.is_empty() { p.none { "Nothing happened yet." } }
            @else { div.wide { table.history {
                thead { tr { th { "When" } th { "After" } th { "What" } th { "State" } } }
                tbody { @for (at, event) in machine.timeline.iter().enumerate().rev() { tr {
                    td { (time(event.at)) }
                    td.number { @if let Some(before) = at.checked_sub(1).and_then(|at| machine.timeline.get(at)) {
                        (lifecycle::why::duration(event.at.since(before.at)))
                    } }
                    td.text { (event.sentence) }
                    td { (state(&event.state)) }
                } } }
            } } }
        }
    }
}

/// What may be asked of it. What wipes disks, or sends a machine away, is typed: nobody does that by a slip of the hand.
fn wishes(row: &api::http::MachineRow) -> Markup {
    let place = row.location.within_zone();
    let path = format!("/v1/machines/{}/wish", encoded(place));
    html! {
        form.wishes data-wish=(path) aria-label="Ask something of this machine" {
            label for="reason" { "Reason" }
            input #reason name="reason" maxlength="500" placeholder="for drain, maintenance and restart" spellcheck="false";
            @for (wish, words, needs_reason) in [("drain", "Drain", true), ("maintain", "Maintenance", true),
                ("return", "Return to service", false), ("accept", "Accept hardware", false)] {
                button type="button" name="wish" value=(wish) data-reason=[needs_reason.then_some("")] { (words) }
            }
            // A change of one machine: it waits for its budget like any other.
            button type="button" name="restart" value=(place) data-reason { "Restart" }
            output #said aria-live="polite" {}
            p.typed { "At a controller's command line alone: " code { "zw reinstall " (place) } ", "
                code { "zw retire " (place) " --reason WORDS" } "." }
        }
    }
}

/// A stretch of a boot in one state.
struct Stretch<'a> {
    state: &'a str,
    from: u64,
    took: Duration,
}

/// The last boot, as a picture and in words: what each state of it took.
fn boot(machine: &Machine) -> Markup {
    let stretches = stretches(&machine.timeline);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return html! {} };
    let whole = (last.from - first.from) + millis(last.took);
    let place = |at: u64| (at * WIDTH).checked_div(whole).unwrap_or(0);
    html! {
        section {
            h2 { "Last boot" }
            svg.boot viewBox={ "0 0 " (WIDTH) " 24" } preserveAspectRatio="none" role="img"
                aria-label={ "The last boot took " (lifecycle::why::duration(Duration::from_millis(whole))) } {
                @for stretch in &stretches {
                    // Each step stands higher than the one before it, whatever its colour is to somebody.
                    @let height = height(stretch.state);
                    rect data-state=(stretch.state) x=(place(stretch.from - first.from)) y=(24 - height) height=(height)
                        width=(place(millis(stretch.took)).max(2)) {}
                }
            }
            ol.stretches { @for stretch in &stretches {
                li { (state(stretch.state)) " " (lifecycle::why::duration(stretch.took)) }
            } }
            p.faint { "In all " (lifecycle::why::duration(Duration::from_millis(whole)))
                @if let Some(took) = machine.row.boot_took_ms {
                    "; from its first packet to ready " (lifecycle::why::duration(Duration::from_millis(took)))
                } "." }
        }
    }
}

/// How high a step stands, of 24.
fn height(state: &str) -> u64 {
    match state {
        "seen" => 6,
        "booting" => 12,
        "installing" => 18,
        _ => 24,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Those of the last boot: from the last event that brought it into `seen` out of another state, to where it came to rest.
fn stretches(timeline: &[Event]) -> Vec<Stretch<'_>> {
    let is_begin = |at: usize| timeline[at].state == "seen" && (at == 0 || timeline[at - 1].state != "seen");
    let Some(begin) = (0..timeline.len()).rev().find(|at| is_begin(*at)) else { return Vec::new() };
    let mut stretches: Vec<Stretch<'_>> = Vec::new();
    for event in &timeline[begin..] {
        if let Some(last) = stretches.last_mut() {
            last.took = Duration::from_millis(event.at.0.saturating_sub(last.from));
            if last.state == event.state {
                continue;
            }
        }
        if !["seen", "booting", "installing", "validating"].contains(&event.state.as_str()) {
            break;
        }
        stretches.push(Stretch { state: &event.state, from: event.at.0, took: Duration::ZERO });
    }
    stretches
}

fn checks(machine: &Machine) -> Markup {
    html! {
        @if !machine.checks.is_empty() {
            section {
                h2 { "Checks" }
                ul.checks { @for check in &machine.checks {
                    li data-passed=(check.passed) { b { @if check.passed { "passed" } @else { "failed" } } " " (check.name) " " span.faint { (check.detail) } }
                } }
            }
        }
    }
}

fn hardware(machine: &Machine) -> Markup {
    html! {
        @if let Some(hardware) = &machine.hardware {
            section {
                h2 { "Hardware" }
                dl {
                    div { dt { "CPUs" } dd { (hardware.cpus) } }
                    div { dt { "memory" } dd { (model::size::binary(hardware.memory_bytes)) } }
                    div { dt { "serial" } dd { code { (hardware.serial) } } }
                    div { dt { "UUID" } dd { code { (hardware.uuid) } } }
                    div { dt { "firmware" } dd { (hardware.firmware) } }
                    div { dt { "system" } dd { (hardware.system) } }
                    @for disk in &hardware.disks {
                        div { dt { "disk" } dd { (disk.name) " " (disk.kind) " " (model::size::decimal(disk.size_bytes)) } }
                    }
                    @for nic in &hardware.nics {
                        div { dt { "interface" } dd { (nic.name) " " code { (nic.mac) }
                            @if let Some(mbps) = nic.mbps { " " (mbps) " Mbit/s" }
                            @if let Some(neighbour) = &nic.neighbour { ", at " (neighbour) } } }
                    }
                }
            }
        }
    }
}

fn disks(machine: &Machine) -> Markup {
    html! {
        @if let Some(system) = &machine.system {
            section {
                h2 { "System" }
                dl {
                    @if let Some(runs) = &system.runs { div { dt { "runs from" } dd { (runs) @if system.on_trial { ", on trial" } } } }
                    @if let Some(image) = &system.image { div { dt { "image" } dd { code { (image) } } } }
                    @if let Some(wanted) = &system.wanted { div { dt { "wanted" } dd { code { (wanted) } } } }
                    @if let Some(written) = system.written { div { dt { "written" } dd { (time(written)) } } }
                    @if let Some(armed) = &system.armed {
                        div { dt { "armed" } dd { (armed.purpose) " of plan #" (armed.generation) ", to begin before " (time(armed.until)) } }
                    }
                    @if let Some(rejected) = &system.rejected { div { dt { "not taken" } dd.alarm { (rejected) } } }
                }
            }
        }
        @if let Some(burn_in) = &machine.burn_in {
            section {
                h2 { "Burn-in" }
                @if let Some(progress) = &burn_in.progress { p { (progress.part) ": " (progress.percent) " %" } }
                @if let Some(passed) = burn_in.passed { p { "passed " (time(passed)) } }
                ul { @for found in &burn_in.found { li { (found) } } }
            }
        }
    }
}
