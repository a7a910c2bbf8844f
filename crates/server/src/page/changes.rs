//! Changes: those under way and those that were, the waves of one, what a plan changed, and what budgets have left.

use super::frame::{encoded, machine, time};
use crate::changes::{compiled, files_of};
use crate::http::{Api, changes};
use crate::people::Visitor;
use api::change::{ChangeDetail, ChangeRow, MemberRow, PlanRow, Wave};
use api::people::Role;
use axum::extract::State;
use maud::{Markup, html};
use model::{ChangeId, Generation, Location};
use plan::diff::Diff;
use std::sync::PoisonError;
use std::time::Duration;

/// Plans that are listed; `zw history` lists all.
const PLANS_MAX: u32 = 30;
/// Machines of a change, and rows of each part of a difference, that are listed.
const LISTED_MAX: usize = 500;
/// The width of a wave's bar, in its own units.
const WIDTH: usize = 1000;

/// All changes, plans, budgets.
pub(super) async fn list(api: &Api) -> Markup {
    let rows = changes::changes(State(api.clone())).await.0;
    let (now, over): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.ended.is_none());
    let budgets = changes::budgets(State(api.clone())).await.0;
    let plans = plans(api).await;
    html! {
        h1 { "Changes" }
        @if now.is_empty() { p.none { "No change is under way." } }
        @for row in now { (summary(row)) }
        h2 { "Budgets" }
        @if budgets.is_empty() { p.none { "No budget of the design limits how many machines may be out." } }
        @else { div.wide { table {
            thead { tr { th { "Budget" } th { "Where" } th { "Machines" } th { "May be out" } th { "Are out" } th { "Who has them" } } }
            tbody { @for margin in budgets.iter().take(LISTED_MAX) { tr {
                td { (margin.budget) }
                td { (margin.domain) }
                td.number { (margin.members) }
                td.number { (margin.limit) }
                td.number { span.alarm[margin.out >= margin.limit && margin.out > 0] { (margin.out) } }
                td.text { (margin.holders.join(", ")) }
            } } }
        } } }
        h2 { "Plans" }
        div.wide { table {
            thead { tr { th { "Plan" } th { "When" } th { "Who" } th { "Why" } th { "What changed" } th { "Change" } } }
            tbody { @for plan in &plans { tr {
                td { "#" (plan.generation) }
                td { (time(plan.at)) }
                td { (plan.author) }
                td.text { (plan.reason) @if let Some(commit) = &plan.commit { " " code { (commit.chars().take(12).collect::<String>()) } } }
                td { @if plan.parent > 0 { (difference(plan.parent, plan.generation)) } @else { span.faint { "the first" } } }
                td { @if let Some(change) = plan.change { a href={ "/changes/" (change) } { "change " (change) } } }
            } } }
        } }
        @if !over.is_empty() {
            h2 { "Over" }
            @for row in over.iter().take(LISTED_MAX) { (summary(row)) }
        }
    }
}

async fn plans(api: &Api) -> Vec<PlanRow> {
    let api = api.clone();
    let read = tokio::task::spawn_blocking(move || {
        let history = api.controller.history.lock().unwrap_or_else(PoisonError::into_inner);
        let plans = history.plans(PLANS_MAX).unwrap_or_default();
        drop(history);
        plans.iter().map(|plan| changes::plan_row(&api, plan)).collect()
    });
    read.await.unwrap_or_default()
}

fn difference(from: u64, to: u64) -> Markup {
    html! { a href={ "/plans/" (from) "/to/" (to) } { "#" (from) " to #" (to) } }
}

/// What it does, in a few words.
fn what(row: &ChangeRow) -> Markup {
    html! {
        @match (row.from, row.to) {
            (Some(from), Some(to)) => { "plan " (difference(from, to)) }
            _ => { (row.kind) }
        }
        @if let Some(undoes) = row.undoes { ", takes back " (link(undoes)) }
        @if let Some(undone_by) = row.undone_by { ", taken back by " (link(undone_by)) }
    }
}

fn link(change: u64) -> Markup {
    html! { a href={ "/changes/" (change) } { "change " (change) } }
}

/// Where a machine is. What the change began with is not all that came of it once it is over, or taken back.
fn step(row: &ChangeRow, member: &MemberRow) -> Markup {
    let is_left = row.ended.is_some() && member.step == "waiting";
    html! {
        @match row.undone_by {
            _ if is_left => span.step { "not reached" },
            Some(undone_by) if member.step != "passed" => {
                span.step { (member.step) } "; " (link(undone_by)) " takes it back"
            }
            _ => span.step data-step=(member.step) { (member.step) },
        }
        // Who would be passed over is no alarm.
        @if let Some(why) = &member.why { " " span.alarm[member.step == "failed"] { (why) } }
    }
}

fn summary(row: &ChangeRow) -> Markup {
    html! {
        article.change data-state=(row.state) {
            h3 { a href={ "/changes/" (row.id) } { "Change " (row.id) } " · " span.step data-step=(row.state) { (row.state) } }
            p { (what(row)) ": " (row.reason) " (" (row.by) ", " (time(row.began)) ")" }
            @if row.ended.is_none() { (waves(&row.waves)) }
            @if let Some(waits) = &row.waits_for { p { "It waits for " (waits) "." } }
            @if let Some(outcome) = &row.outcome { p { (outcome) @if let Some(ended) = row.ended { " (" (time(ended)) ")" } } }
        }
    }
}

/// One bar for each wave.
fn waves(waves: &[Wave]) -> Markup {
    html! {
        div.waves { @for wave in waves {
            @let parts = [("done", wave.done), ("failed", wave.failed), ("passed", wave.passed), ("taken", wave.taken)];
            @let over = wave.done + wave.failed + wave.passed;
            div.wave {
                b { (wave.reach) }
                svg viewBox={ "0 0 " (WIDTH) " 16" } preserveAspectRatio="none" role="img"
                    aria-label={ (wave.reach) ": " (over) " of " (wave.machines) " over, " (wave.failed) " failed, " (wave.taken) " at it" } {
                    @for (step, x, width) in stretches(&parts, wave.machines) {
                        rect data-step=(step) x=(x) y="0" height="16" width=(width) {}
                    }
                }
                span { (over) " of " (wave.machines)
                    @if wave.taken > 0 { ", " (wave.taken) " at it" }
                    @if wave.failed > 0 { ", " span.alarm { (wave.failed) " failed" } }
                    @if wave.passed > 0 { ", " (wave.passed) " not in service" } }
            }
        } }
    }
}

/// Where each part of a bar begins, and how wide it is.
fn stretches<'a>(parts: &[(&'a str, usize)], whole: usize) -> Vec<(&'a str, usize, usize)> {
    let mut before = 0;
    let at = |count: usize| (count * WIDTH).checked_div(whole).unwrap_or(0);
    let stretch = |(step, count): &(&'a str, usize)| {
        let from = at(before);
        before += count;
        (*step, from, at(before) - from)
    };
    parts.iter().map(stretch).filter(|(_, _, width)| *width > 0).collect()
}

/// One change, whole; `None`: there is none of this number.
pub(super) fn change(api: &Api, visitor: &Visitor, id: u64) -> Option<(String, Markup)> {
    let detail = {
        let zone = api.controller.zone();
        changes::detail(&zone, zone.facts().changes.get(&ChangeId(id))?, crate::clock::now())
    };
    Some((format!("Change {id}"), shown(&detail, visitor)))
}

fn shown(detail: &ChangeDetail, visitor: &Visitor) -> Markup {
    let row = &detail.row;
    // What wants a look first: what failed, what is at it, what is to come, what is over.
    let rank = |member: &&MemberRow| match member.step.as_str() {
        "failed" => 0,
        "taken" => 1,
        "waiting" => 2,
        _ => 3,
    };
    let mut machines: Vec<&MemberRow> = detail.machines.iter().collect();
    machines.sort_by_key(rank);
    html! {
        div.title {
            h1 { "Change " (row.id) }
            p { span.step data-step=(row.state) { (row.state) } }
            p { (what(row)) }
        }
        p { (row.reason) " (" (row.by) ", " (time(row.began)) ")" }
        @if let Some(waits) = &row.waits_for { p.wait { "It waits for " (waits) "." } }
        @if !detail.ahead.is_empty() {
            @let seconds = detail.ahead.iter().map(|wave| wave.seconds).sum();
            p { "About " (lifecycle::why::about(Duration::from_secs(seconds))) " more, if nothing is in the way." }
        }
        @if let Some(outcome) = &row.outcome { p { (outcome) @if let Some(ended) = row.ended { " (" (time(ended)) ")" } } }
        @if row.ended.is_none() && visitor.may(Role::Operate) {
            form.wishes data-wish={ "/v1/changes/" (row.id) } aria-label="Ask something of this change" {
                label for="reason" { "Reason" }
                input #reason name="reason" maxlength="500" placeholder="for pause and abort" spellcheck="false";
                button type="button" name="wish" value="pause" data-reason { "Pause" }
                button type="button" name="wish" value="resume" { "Resume" }
                button type="button" name="wish" value="abort" data-reason { "Abort and take back" }
                output #said aria-live="polite" {}
            }
        }
        section {
            h2 { "Waves" }
            @if row.waves.is_empty() { p.none { "It touches no machine in service." } }
            (waves(&row.waves))
            // What ended it is said above.
            @if row.outcome.as_ref() != Some(&row.evidence) { p { (row.evidence) } }
        }
        section {
            h2 { "Machines" }
            div.wide { table {
                thead { tr { th { "Where" } th { "Wave" } th { "Step" } th { "Since" } th { "Took" } th { "What" } th { "Because" } } }
                tbody { @for member in machines.iter().take(LISTED_MAX) { tr {
                    td { (machine(&member.location)) }
                    td { (member.wave) }
                    td.text { (step(row, member)) }
                    td { @if let Some(since) = member.since { (time(since)) } }
                    td.number { @if let Some(took) = member.took_ms { (lifecycle::why::duration(Duration::from_millis(took))) } }
                    td { (member.effect) }
                    td.text { (member.because) }
                } } }
            } }
            @if machines.len() > LISTED_MAX { p.faint { "and " (machines.len() - LISTED_MAX) " more" } }
        }
        @if !detail.notes.is_empty() {
            section {
                h2 { "Record" }
                div.wide { table {
                    thead { tr { th { "When" } th { "What" } } }
                    tbody { @for note in detail.notes.iter().rev() { tr { td { (time(note.at)) } td.text { (note.sentence) } } } }
                } }
            }
        }
    }
}

/// What changes from one plan to another; `None`: one of them is not kept, or cannot be made again.
pub(super) async fn diff(api: &Api, from: u64, to: u64) -> Option<(String, Markup)> {
    let api = api.clone();
    // Seconds for a large zone: not on a thread that others wait for.
    let compared = tokio::task::spawn_blocking(move || {
        let [before, after] =
            [from, to].map(|generation| compiled(&files_of(&api.controller, Generation(generation))?));
        Ok::<_, String>(plan::diff(&plan::document(&before?), &plan::document(&after?)))
    });
    let diff = compared.await.ok()?.ok()?;
    Some((format!("Plan #{from} to #{to}"), differences(&diff, from, to)))
}

fn differences(diff: &Diff, from: u64, to: u64) -> Markup {
    let addresses =
        |all: &[std::net::IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let because = |all: &[plan::diff::Because]| -> Vec<(Location, String)> {
        all.iter().map(|one| (one.location.clone(), one.reasons.join("; "))).collect()
    };
    let none = || "none".to_owned();
    let parts: Vec<(&str, Vec<(Location, String)>)> = vec![
        ("Machines whose disks must be written anew", because(&diff.reinstalls)),
        ("Machines that get another system in their other slot", because(&diff.upgrades)),
        ("Machines that must boot anew", because(&diff.reboots)),
        ("Appear", diff.appears.iter().map(|one| (one.location.clone(), one.name.clone())).collect()),
        ("Disappear", diff.disappears.iter().map(|one| (one.location.clone(), one.name.clone())).collect()),
        (
            "Move",
            diff.moves
                .iter()
                .map(|one| (one.to.clone(), format!("{} from {}", one.name, one.from.within_zone())))
                .collect(),
        ),
        (
            "Are renamed",
            diff.renamed
                .iter()
                .map(|one| (one.location.clone(), format!("{} → {}", one.from, one.to)))
                .collect(),
        ),
        (
            "Have another role",
            diff.reassigned
                .iter()
                .map(|one| {
                    let [from, to] = [&one.from, &one.to].map(|role| role.clone().unwrap_or_else(none));
                    (one.location.clone(), format!("{from} → {to}"))
                })
                .collect(),
        ),
        (
            "Renumber",
            diff.renumbers
                .iter()
                .map(|one| {
                    (
                        one.location.clone(),
                        format!("{}: {} → {}", one.interface, addresses(&one.from), addresses(&one.to)),
                    )
                })
                .collect(),
        ),
        (
            "Have other cables",
            diff.recabled
                .iter()
                .map(|one| {
                    let ports =
                        one.ports.iter().map(|port| format!("{}: {} → {}", port.what, port.from, port.to));
                    (one.location.clone(), ports.collect::<Vec<_>>().join("; "))
                })
                .collect(),
        ),
        (
            "Lose an address",
            diff.cut_off
                .iter()
                .map(|one| (one.location.clone(), format!("{} of {}", one.address, one.interface)))
                .collect(),
        ),
        ("Switches that must be told something", because(&diff.switches)),
    ];
    html! {
        h1 { "Plan #" (from) " to #" (to) }
        @if *diff == Diff::default() { p.none { "Nothing changes for anybody." } }
        @if !diff.zone.is_empty() {
            h2 { "The zone" }
            dl { @for one in &diff.zone { div { dt { (one.what) } dd { (one.from) " → " (one.to) } } } }
        }
        @for (title, rows) in parts.iter().filter(|(_, rows)| !rows.is_empty()) {
            section {
                h2 { (title) " · " (rows.len()) }
                p.faint { @for group in plan::diff::groups(rows.iter().map(|(location, _)| location), 12) { (group.place) " × " (group.count) "  " } }
                details open[rows.len() <= 40] {
                    summary { "Each of them" }
                    div.wide { table { tbody { @for (location, text) in rows.iter().take(LISTED_MAX) { tr {
                        td { a href={ "/machines/" (encoded(location.within_zone())) } { (location.within_zone()) } }
                        td.text { (text) }
                    } } } } }
                    @if rows.len() > LISTED_MAX { p.faint { "and " (rows.len() - LISTED_MAX) " more" } }
                }
            }
        }
        @let cables = (diff.cables.added.len(), diff.cables.removed.len());
        @if cables != (0, 0) { p { (cables.0) " cables to lay, " (cables.1) " to pull." } }
        @let records = (diff.dns.added.len(), diff.dns.removed.len());
        @if records != (0, 0) { p { (records.0) " DNS records are new, " (records.1) " are gone." } }
    }
}
