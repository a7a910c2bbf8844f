//! Plans of before, changes under way, and what is asked of them.

use super::asked::{Asked, By};
use super::{Api, Did, Looked, Sentence, failed, words};
use crate::changes::{self, Draft};
use crate::clock;
use crate::reload::{Intent, Reloaded, Seen, Source, Words};
use api::change::{
    Applied, Apply, ChangeDetail, ChangeRow, ChangeWish, DesignFile, GoneRow, Margin, MemberRow, Note,
    Origin, PlanFiles, PlanRow, Predicted, Restart, Rollback, Tightest, Wave,
};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lifecycle::Zone;
use lifecycle::budget::Budgets;
use model::change::{Change, Effect, Kind, Member, Step};
use model::event::ChangeStep;
use model::{ChangeId, Generation, Location, Time};
use serde::Deserialize;
use std::collections::BTreeSet;
use store::Published;

/// The longest reason, in characters.
const REASON_MAX: usize = 500;
/// Targets that the audit log names.
const NAMED_MAX: usize = 8;

/// Every plan that is kept, newest first.
#[utoipa::path(get, path = "/v1/plans", responses((status = 200, body = [PlanRow])))]
pub(super) async fn plans(State(api): State<Api>) -> Response {
    match changes::plans(&api.controller) {
        Ok(plans) => Json(plans.iter().map(|plan| plan_row(&api, plan)).collect::<Vec<_>>()).into_response(),
        Err(why) => failed(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// A plan with its design's files.
#[utoipa::path(
    get,
    path = "/v1/plans/{generation}",
    params(("generation" = u64, Path)),
    responses((status = 200, body = PlanFiles), (status = 404, body = api::http::Error))
)]
pub(super) async fn plan_of(State(api): State<Api>, Path(generation): Path<u64>) -> Response {
    match changes::files_of(&api.controller, Generation(generation)) {
        Ok(published) => {
            let row = plan_row(&api, &published);
            let files = published.files.into_iter().map(|(path, text)| DesignFile { path, text });
            Json(PlanFiles { row, files: files.collect() }).into_response()
        }
        Err(why) => failed(StatusCode::NOT_FOUND, why),
    }
}

/// What changes from one plan to another, as `zw plan --against --json`.
#[utoipa::path(
    get,
    path = "/v1/plans/{from}/to/{to}",
    params(("from" = u64, Path), ("to" = u64, Path)),
    responses((status = 200, body = Object), (status = 404, body = api::http::Error))
)]
pub(super) async fn diff(State(api): State<Api>, Path((from, to)): Path<(u64, u64)>) -> Response {
    // Seconds for a large zone: not on a thread that others wait for.
    let compared = tokio::task::spawn_blocking(move || {
        let [before, after] = [from, to].map(|generation| {
            let published = changes::files_of(&api.controller, Generation(generation))?;
            changes::compiled(&published)
        });
        Ok::<_, String>(plan::diff(&plan::document(&before?), &plan::document(&after?)))
    });
    match compared.await {
        Ok(Ok(diff)) => Json(diff).into_response(),
        Ok(Err(why)) => failed(StatusCode::NOT_FOUND, why),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "the plans could not be compared"),
    }
}

/// Of which value the origin is asked.
#[derive(Deserialize)]
pub(super) struct Whose {
    #[serde(default)]
    of: String,
}

/// Who changed an address, a name or a place, when and why: every plan that did, newest first.
#[utoipa::path(
    get,
    path = "/v1/origins",
    params(("of" = String, Query, description = "An address, a name or a location; without one, nothing")),
    responses((status = 200, body = [Origin]), (status = 404, body = api::http::Error))
)]
pub(super) async fn origins(State(api): State<Api>, Query(Whose { of }): Query<Whose>) -> Response {
    let looked = tokio::task::spawn_blocking(move || {
        let plans = changes::plans(&api.controller)?;
        let mut found: Vec<Origin> = Vec::new();
        // Oldest first: what a plan says is held against what the one before it said.
        let mut known = String::new();
        for published in plans.iter().rev() {
            // What this release cannot make again says nothing.
            let Ok(plan) = changes::compiled(published) else { continue };
            let says = said_of(&plan, &of);
            if says != known {
                let (from, to) = (std::mem::replace(&mut known, says.clone()), says);
                found.push(Origin { from, to, plan: plan_row(&api, published) });
            }
        }
        found.reverse();
        match found.is_empty() && !of.is_empty() {
            true => Err(format!("no plan that is kept says anything of `{of}`")),
            false => Ok(found),
        }
    });
    match looked.await {
        Ok(Ok(found)) => Json(found).into_response(),
        Ok(Err(why)) => failed(StatusCode::NOT_FOUND, why),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "the plans could not be looked through"),
    }
}

/// What a plan says of an address, a name or a place, in words; empty: nothing.
fn said_of(plan: &model::Plan, of: &str) -> String {
    let address: Option<std::net::IpAddr> = of.parse().ok();
    let holder = |interface: &&model::plan::Interface| {
        let device = &plan.design.devices[interface.device.index()];
        match address {
            Some(address) => {
                interface.v4.is_some_and(|v4| address == v4) || interface.v6.is_some_and(|v6| address == v6)
            }
            None => device.location.is(of) || device.name == of || interface.dns_name == of,
        }
    };
    if of.is_empty() {
        return String::new();
    }
    let said = plan.interfaces.iter().filter(holder).map(|interface| {
        let device = &plan.design.devices[interface.device.index()];
        let addresses = [interface.v4.map(|v4| v4.to_string()), interface.v6.map(|v6| v6.to_string())];
        let addresses: Vec<String> = addresses.into_iter().flatten().collect();
        format!(
            "{} of {} ({}): {}",
            interface.name,
            device.location.within_zone(),
            device.name,
            addresses.join(", ")
        )
    });
    said.collect::<Vec<_>>().join("; ")
}

/// Makes the design as it lies there current, and brings it to machines in service in waves.
#[utoipa::path(
    post,
    path = "/v1/apply",
    request_body = Apply,
    responses((status = 200, description = "What came of it; `refused` says why nothing did", body = Applied))
)]
pub(super) async fn apply(State(api): State<Api>, By(by): By, Asked(asked): Asked<Apply>) -> Response {
    let words = Words { renumber: asked.renumber, remove: asked.remove, grow: asked.grow };
    let source = Source::Directory { known: None };
    let draft = changes::preview(&api.controller, &api.reloader, source, words).await;
    let against = asked.against.map(Generation);
    let seen = Seen { against, design: asked.design.as_deref() };
    let stale = is_stale(&api, seen, &draft);
    let did = |came: &str| Did(format!("apply{}{came} ({})", in_words(words), asked.reason.trim()));
    if asked.dry_run {
        return looked(shown(&api, draft, None, stale, None));
    }
    if draft.is_err() || stale.is_some() {
        return did("").with(shown(&api, draft, None, stale, None));
    }
    let reason = match bounded(&asked.reason) {
        Ok(reason) => reason,
        Err(why) => return did("").with(failed(StatusCode::BAD_REQUEST, why)),
    };
    // What is told of it is what begins.
    let looked_at = draft.as_ref().ok().map(|draft| draft.digest.clone());
    let seen = Seen { against, design: looked_at.as_deref() };
    let intent = Intent { author: &by, reason: &reason, words, begins: true, undoes: None, seen };
    let reloaded = api.reloader.reload(&api.controller, intent).await;
    did(&came_of(&reloaded)).with(shown(&api, draft, Some(reloaded), None, None))
}

/// Which plan and which change it became, for the audit log; of a refusal, nothing.
pub(super) fn came_of(reloaded: &Reloaded) -> String {
    let plan = reloaded.generation;
    match (&reloaded.refused, reloaded.changed, reloaded.change) {
        (Some(_), ..) => String::new(),
        (None, false, _) => ": nothing changed".to_owned(),
        (None, true, None) => format!(": plan {plan}"),
        (None, true, Some(change)) => format!(": plan {plan}, {change}"),
    }
}

/// An answer that changed nothing, and was not to.
fn looked(mut response: Response) -> Response {
    response.extensions_mut().insert(Looked);
    response
}

/// What somebody agreed to.
pub(super) fn in_words(words: Words) -> String {
    let Words { renumber, remove, grow } = words;
    let renumber = if renumber { " --renumber" } else { "" };
    let counted = |word: &str, count: u32| match count {
        0 => String::new(),
        count => format!(" --{word} {count}"),
    };
    format!("{renumber}{}{}", counted("remove", remove), counted("grow", grow))
}

/// Makes the design of a plan of before current again, as a new plan.
#[utoipa::path(
    post,
    path = "/v1/rollback",
    request_body = Rollback,
    responses(
        (status = 200, description = "What came of it; `refused` says why nothing did", body = Applied),
        (status = 404, body = api::http::Error)
    )
)]
pub(super) async fn rollback(State(api): State<Api>, By(by): By, Asked(asked): Asked<Rollback>) -> Response {
    let words = Words { renumber: asked.renumber, remove: asked.remove, grow: asked.grow };
    let did = |to: &str, came: &str| {
        Did(format!("rollback to {to}{}{came} ({})", in_words(words), asked.reason.trim()))
    };
    let published = match asked.to {
        0 => changes::before(&api.controller),
        to => changes::files_of(&api.controller, Generation(to)),
    };
    let published = match published {
        Ok(published) => published,
        Err(why) if asked.dry_run => return looked(failed(StatusCode::NOT_FOUND, why)),
        Err(why) => {
            let to = if asked.to == 0 { "the plan before".to_owned() } else { format!("plan #{}", asked.to) };
            return did(&to, "").with(failed(StatusCode::NOT_FOUND, why));
        }
    };
    let to = published.generation;
    let did = |came: &str| did(&format!("plan {to}"), came);
    let source = Source::Files(changes::as_files(&published));
    let draft = changes::preview(&api.controller, &api.reloader, source, words).await;
    let seen = Seen { against: asked.against.map(Generation), design: None };
    let stale = is_stale(&api, seen, &draft);
    if asked.dry_run {
        return looked(shown(&api, draft, None, stale, Some(&published)));
    }
    if draft.is_err() || stale.is_some() {
        return did("").with(shown(&api, draft, None, stale, Some(&published)));
    }
    let reason = match bounded(&asked.reason) {
        Ok(reason) => format!("back to plan {to}: {reason}"),
        Err(why) => return did("").with(failed(StatusCode::BAD_REQUEST, why)),
    };
    let intent = Intent { author: &by, reason: &reason, words, begins: true, undoes: None, seen };
    match changes::roll_back(&api.controller, &api.reloader, to, intent).await {
        Ok(reloaded) => {
            did(&came_of(&reloaded)).with(shown(&api, draft, Some(reloaded), None, Some(&published)))
        }
        Err(why) => did("").with(failed(StatusCode::NOT_FOUND, why)),
    }
}

/// Every change that is kept, newest first.
#[utoipa::path(get, path = "/v1/changes", responses((status = 200, body = [ChangeRow])))]
pub(crate) async fn changes(State(api): State<Api>) -> Json<Vec<ChangeRow>> {
    let (zone, now) = (api.controller.zone(), clock::now());
    Json(zone.facts().changes.values().rev().map(|change| row(&zone, change, now)).collect())
}

/// A change, whole.
#[utoipa::path(
    get,
    path = "/v1/changes/{id}",
    params(("id" = u64, Path)),
    responses((status = 200, body = ChangeDetail), (status = 404, body = api::http::Error))
)]
pub(super) async fn change(State(api): State<Api>, Path(id): Path<u64>) -> Response {
    let (zone, now) = (api.controller.zone(), clock::now());
    match zone.facts().changes.get(&ChangeId(id)) {
        Some(change) => Json(detail(&zone, change, now)).into_response(),
        None => failed(StatusCode::NOT_FOUND, format!("there is no change {id}: `zw history` lists them")),
    }
}

/// Pauses, resumes or aborts a change that is under way.
#[utoipa::path(
    post,
    path = "/v1/changes/{id}",
    params(("id" = u64, Path)),
    request_body = ChangeWish,
    responses(
        (status = 200, body = ChangeDetail),
        (status = 404, body = api::http::Error),
        (status = 409, description = "It is not allowed now; the sentence says why", body = api::http::Error)
    )
)]
pub(super) async fn steer(
    State(api): State<Api>,
    Path(id): Path<u64>,
    By(by): By,
    Asked(wish): Asked<ChangeWish>,
) -> Response {
    let id = ChangeId(id);
    let did = Did(match &wish {
        ChangeWish::Pause { reason } => format!("{id}: pause ({reason})"),
        ChangeWish::Resume => format!("{id}: resume"),
        ChangeWish::Abort { reason } => format!("{id}: abort ({reason})"),
    });
    did.with(asked_of(&api, id, by, wish).await)
}

async fn asked_of(api: &Api, id: ChangeId, by: String, wish: ChangeWish) -> Response {
    let step = match wish {
        ChangeWish::Pause { reason } => bounded(&reason).map(|reason| ChangeStep::Pause { by, reason }),
        ChangeWish::Resume => Ok(ChangeStep::Resume { by }),
        ChangeWish::Abort { reason } => bounded(&reason).map(|reason| ChangeStep::End {
            how: model::change::Outcome::Aborted,
            sentence: format!("{by} aborted it: {reason}"),
        }),
    };
    let step = match step {
        Ok(step) => step,
        Err(why) => return failed(StatusCode::BAD_REQUEST, why),
    };
    if let Err(why) = changes::step(&api.controller, id, step).await {
        return failed(StatusCode::CONFLICT, why);
    }
    let (zone, now) = (api.controller.zone(), clock::now());
    match zone.facts().changes.get(&id) {
        Some(change) => Json(detail(&zone, change, now)).into_response(),
        None => failed(StatusCode::NOT_FOUND, format!("there is no {id}")),
    }
}

/// Restarts machines, in waves.
#[utoipa::path(
    post,
    path = "/v1/restart",
    request_body = Restart,
    responses(
        (status = 200, description = "The change; with `dry_run`, as it would begin", body = ChangeDetail),
        (status = 400, body = api::http::Error),
        (status = 409, body = api::http::Error)
    )
)]
pub(super) async fn restart(State(api): State<Api>, By(by): By, Asked(asked): Asked<Restart>) -> Response {
    let (did, dry_run) = (Did(restart_in_words(&asked)), asked.dry_run);
    let response = restarted(&api, by, asked).await;
    if dry_run { looked(response) } else { did.with(response) }
}

/// What was asked for, as the audit log has it.
fn restart_in_words(asked: &Restart) -> String {
    let Restart { targets, reason, .. } = asked;
    let more = match targets.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = targets.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(" ");
    format!("restart: {named}{more} ({reason})")
}

async fn restarted(api: &Api, by: String, asked: Restart) -> Response {
    let mut chosen = BTreeSet::new();
    for target in &asked.targets {
        let zone = api.controller.zone();
        match lifecycle::select(&zone, target) {
            Ok(found) => {
                chosen.extend(
                    found.into_iter().map(|id| zone.plan().design.devices[id.index()].location.clone()),
                );
            }
            Err(why) => return failed(StatusCode::BAD_REQUEST, why),
        }
    }
    if chosen.is_empty() {
        return failed(StatusCode::BAD_REQUEST, "name the machines that are to restart");
    }
    let now = clock::now();
    let change = changes::draft_restart(&api.controller, chosen.clone(), &by, &asked.reason, now);
    if let Some(why) = lifecycle::change::reaches_nobody(&api.controller.zone(), &change) {
        return failed(StatusCode::CONFLICT, why);
    }
    if asked.dry_run {
        return Json(detail(&api.controller.zone(), &change, now)).into_response();
    }
    let reason = match bounded(&asked.reason) {
        Ok(reason) => reason,
        Err(why) => return failed(StatusCode::BAD_REQUEST, why),
    };
    match changes::restart(&api.controller, chosen, &by, &reason).await {
        Ok(id) => match api.controller.zone().facts().changes.get(&id) {
            Some(change) => Json(detail(&api.controller.zone(), change, now)).into_response(),
            None => failed(StatusCode::CONFLICT, format!("{id} is gone")),
        },
        Err(why) => failed(StatusCode::CONFLICT, why),
    }
}

/// What is left of every budget.
#[utoipa::path(get, path = "/v1/budgets", responses((status = 200, body = [Margin])))]
pub(crate) async fn budgets(State(api): State<Api>) -> Json<Vec<Margin>> {
    let zone = api.controller.zone();
    let margins = Budgets::of(&zone).margins(clock::now());
    let margin = |margin: lifecycle::budget::Margin| Margin {
        budget: margin.budget,
        domain: margin.domain,
        members: margin.members,
        limit: margin.limit,
        out: margin.out,
        holders: margin.holders,
    };
    Json(margins.into_iter().map(margin).collect())
}

/// Why what was looked at is not what would begin.
fn is_stale(api: &Api, seen: Seen<'_>, draft: &Result<Draft, String>) -> Option<String> {
    let current = api.controller.zone().whole().generation;
    draft.as_ref().ok().and_then(|draft| seen.is_past(current, &draft.digest))
}

fn bounded(reason: &str) -> Result<String, String> {
    match reason.trim() {
        "" => Err("say why, in a few words".to_owned()),
        reason if reason.chars().count() > REASON_MAX => {
            Err(format!("the reason is longer than {REASON_MAX} characters"))
        }
        reason => Ok(reason.to_owned()),
    }
}

fn shown(
    api: &Api,
    draft: Result<Draft, String>,
    reloaded: Option<Reloaded>,
    stale: Option<String>,
    back_to: Option<&Published>,
) -> Response {
    let back_to = back_to.map(|published| plan_row(api, published));
    let zone = api.controller.zone();
    let generation = zone.whole().generation.0;
    let Draft { reading, digest, change, in_force } = match draft {
        Ok(draft) => draft,
        Err(why) => {
            let applied = Applied {
                generation,
                changed: false,
                change: None,
                refused: Some(why),
                findings: Vec::new(),
                machines: Vec::new(),
                waves: Vec::new(),
                for_good: Vec::new(),
                gone: Vec::new(),
                design: None,
                back_to,
                in_force: None,
            };
            return answered(applied);
        }
    };
    let waves = change.iter().flat_map(|change| ahead(&zone, change));
    let refused = match &reloaded {
        Some(reloaded) => reloaded.refused.clone(),
        None => reading.refused.clone(),
    };
    answered(Applied {
        generation,
        changed: reloaded.as_ref().is_some_and(|reloaded| reloaded.changed),
        change: reloaded.as_ref().and_then(|reloaded| reloaded.change).map(|id| id.0),
        refused: stale.or(refused),
        findings: words::findings(&reading.files, &reading.findings),
        machines: change.as_ref().map(|change| members(&zone, change)).unwrap_or_default(),
        waves: waves.collect(),
        for_good: change.as_ref().map(for_good).unwrap_or_default(),
        gone: reading.gone.into_iter().map(|gone| gone_row(&zone, gone)).collect(),
        design: Some(digest),
        back_to,
        in_force: in_force.map(|published| plan_row_of(&zone, &published)),
    })
}

/// A refusal is told with "200 OK", and is none for the audit log.
fn answered(applied: Applied) -> Response {
    let refused = applied.refused.as_ref().map(|why| Sentence(format!("refused: {why}")));
    let mut response = Json(applied).into_response();
    refused.and_then(|sentence| response.extensions_mut().insert(sentence));
    response
}

fn gone_row(zone: &Zone, gone: plan::Gone) -> GoneRow {
    let facts = zone.facts();
    let machine = facts.machines.get(&gone.location).cloned().unwrap_or_default();
    GoneRow {
        state: machine.state.name().to_owned(),
        in_service: lifecycle::change::is_in_service(facts, &gone.location),
        location: gone.location,
        names: gone.names,
        addresses: gone.addresses,
    }
}

/// What cannot be taken back.
fn for_good(change: &Change) -> Vec<String> {
    let wiped = change.machines.values().filter(|member| member.effect == Effect::Reinstall).count();
    match wiped {
        0 => Vec::new(),
        count => vec![format!(
            "{} must be installed anew, which wipes disks: no rollback brings that data back; nothing is wiped before somebody asks for it (`zw reinstall`)",
            lifecycle::change::counted(count, "machine")
        )],
    }
}

pub(crate) fn plan_row(api: &Api, published: &Published) -> PlanRow {
    plan_row_of(&api.controller.zone(), published)
}

fn plan_row_of(zone: &Zone, published: &Published) -> PlanRow {
    let change = lifecycle::change::holding(zone.facts(), published.generation).map(|change| change.id.0);
    PlanRow {
        generation: published.generation.0,
        parent: published.parent.0,
        author: published.author.clone(),
        reason: published.reason.clone(),
        at: published.at,
        commit: published.commit.clone(),
        change,
    }
}

fn row(zone: &Zone, change: &Change, now: Time) -> ChangeRow {
    let (kind, undoes) = match change.kind {
        Kind::Plan { undoes, .. } => ("plan", undoes),
        Kind::Restart => ("restart", None),
    };
    let state = match (&change.ended, &change.paused) {
        (Some(ended), _) => lifecycle::change::outcome(ended.how),
        (None, Some(_)) => "paused",
        (None, None) if change.baking_until.is_some() => "baking",
        (None, None) => "rolling",
    };
    let waves = change.waves.iter().zip(0..).map(|(reach, wave)| {
        let count =
            |is_it: fn(&Step) -> bool| change.of_wave(wave).filter(|(_, member)| is_it(&member.step)).count();
        Wave {
            reach: reach.name().to_owned(),
            machines: change.of_wave(wave).count(),
            waiting: count(|step| matches!(step, Step::Waiting)),
            taken: count(|step| matches!(step, Step::Taken { .. })),
            done: count(|step| matches!(step, Step::Done { .. })),
            failed: count(|step| matches!(step, Step::Failed { .. })),
            passed: count(|step| matches!(step, Step::Passed { .. })),
        }
    });
    ChangeRow {
        id: change.id.0,
        kind: kind.to_owned(),
        from: change.plans().map(|(from, _)| from.0),
        to: change.plans().map(|(_, to)| to.0),
        undoes: undoes.map(|id| id.0),
        undone_by: undone_by(zone, change).map(|id| id.0),
        by: change.by.clone(),
        reason: change.reason.clone(),
        began: change.began,
        state: state.to_owned(),
        waits_for: lifecycle::change::waits_for(zone, change, now),
        ended: change.ended.as_ref().map(|ended| ended.at),
        outcome: change.ended.as_ref().map(|ended| ended.sentence.clone()),
        waves: waves.collect(),
        evidence: lifecycle::change::evidence(zone, change, clock::now()).in_words(),
    }
}

/// The change that takes this one back, the newest first.
fn undone_by(zone: &Zone, change: &Change) -> Option<ChangeId> {
    let mut newer = zone.facts().changes.values().rev().take_while(|other| other.id > change.id);
    newer.find(|other| lifecycle::change::undoes(other) == Some(change.id)).map(|other| other.id)
}

pub(crate) fn detail(zone: &Zone, change: &Change, now: Time) -> ChangeDetail {
    let notes = change.notes.iter().map(|note| Note { at: note.at, sentence: note.sentence.clone() });
    ChangeDetail {
        row: row(zone, change, now),
        machines: members(zone, change),
        ahead: ahead(zone, change).collect(),
        notes: notes.collect(),
    }
}

/// What is to be expected of the waves that are not over.
fn ahead(zone: &Zone, change: &Change) -> impl Iterator<Item = Predicted> {
    lifecycle::change::predict(zone, change).into_iter().map(|predicted| Predicted {
        reach: predicted.reach.name().to_owned(),
        machines: predicted.machines,
        passed: predicted.passed,
        at_once: predicted.at_once,
        seconds: predicted.takes.as_secs(),
        margin: predicted.tightest.map(|tightest| Tightest {
            left: tightest.left(),
            budget: tightest.budget,
            domain: tightest.domain,
            members: tightest.members,
            limit: tightest.limit,
            out: tightest.out,
            taken: tightest.taken,
        }),
    })
}

fn members(zone: &Zone, change: &Change) -> Vec<MemberRow> {
    let mut members: Vec<(&Location, &Member)> = change.machines.iter().collect();
    members.sort_by_key(|(_, member)| member.wave);
    members.into_iter().map(|(location, member)| member_row(zone, change, location, member)).collect()
}

fn member_row(zone: &Zone, change: &Change, location: &Location, member: &Member) -> MemberRow {
    let took = |from: Time, to: Time| u64::try_from(to.since(from).as_millis()).ok();
    let (step, since, took_ms, why) = match &member.step {
        Step::Waiting => {
            let why = lifecycle::change::passed_over(zone, change, location, member);
            ("waiting", None, None, why.map(|why| format!("it {why}")))
        }
        Step::Taken { at, .. } => ("taken", Some(*at), None, None),
        Step::Passed { at } => ("passed", Some(*at), None, None),
        Step::Done { taken, at } => ("done", Some(*at), took(*taken, *at), None),
        Step::Failed { taken, at, why } => ("failed", Some(*at), took(*taken, *at), Some(why.clone())),
    };
    let effect = match member.effect {
        Effect::Check => "check",
        Effect::Restart => "restart",
        Effect::Upgrade => "upgrade",
        Effect::Reinstall => "reinstall",
    };
    let wave = change.waves.get(member.wave as usize).map_or("zone", |reach| reach.name());
    MemberRow {
        location: location.clone(),
        wave: wave.to_owned(),
        effect: effect.to_owned(),
        because: member.because.clone(),
        step: step.to_owned(),
        since,
        took_ms,
        why,
    }
}
