//! Which page a path is. The same function makes it for a browser that comes, and for the stream that keeps it current.

use super::frame::{self, Live};
use super::{beside, changes, lists, machine};
use crate::http::Api;
use crate::http::machines::find;
use crate::people::Visitor;
use api::people::Role;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use percent::decoded;
use std::sync::Arc;

/// What a path shows.
pub(super) struct Content {
    pub(super) title: String,
    /// The tab that it belongs to.
    pub(super) place: &'static str,
    pub(super) main: Markup,
    pub(super) live: Live,
}

/// A page.
pub(super) async fn page(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    uri: axum::http::Uri,
) -> Response {
    match content(&api, &visitor, uri.path()).await {
        Some(Content { title, place, main, live }) => frame::page(&visitor, &title, place, &main, &live),
        None => {
            let (title, sentence) = match uri.path() {
                path if path.starts_with("/changes/") => {
                    ("No such change", "There is no change of this number; Changes lists all.")
                }
                path if path.starts_with("/plans/") => (
                    "No such plans",
                    "One of these plans is not kept, or this release cannot make it again; Changes lists those that are.",
                ),
                _ => {
                    ("Not in this zone", "The plan in force has nothing at this place. Search for it above.")
                }
            };
            super::missing(&visitor, title, &html! { h1 { (title) } p { (sentence) } })
        }
    }
}

/// What a path shows to a visitor; `None`: there is nothing.
pub(super) async fn content(api: &Api, visitor: &Visitor, path: &str) -> Option<Content> {
    let content =
        |title: &str, place, main, live| Some(Content { title: title.to_owned(), place, main, live });
    match path {
        "/" => content("Map", "/", map(api).await?, Live::Map),
        "/machines" => content("Machines", "/machines", lists::machines(api).await, Live::Content),
        "/edges" => content("Edges", "/edges", beside::edges(api).await, Live::Content),
        "/findings" => content("Findings", "/findings", lists::findings(api).await, Live::Content),
        "/refusals" => content("Refusals", "/refusals", lists::refusals(api).await, Live::Content),
        "/changes" => content("Changes", "/changes", changes::list(api).await, Live::Content),
        "/audit" if visitor.may(Role::Administer) => {
            content("Audit", "/audit", lists::audit(api).await?, Live::Content)
        }
        _ if path.starts_with("/changes/") => {
            let id = path.strip_prefix("/changes/")?.parse().ok()?;
            let (title, main) = changes::change(api, visitor, id)?;
            content(&title, "/changes", main, Live::Content)
        }
        _ if path.starts_with("/plans/") => {
            let (from, to) = path.strip_prefix("/plans/")?.split_once("/to/")?;
            let (title, main) = changes::diff(api, from.parse().ok()?, to.parse().ok()?).await?;
            content(&title, "/changes", main, Live::No)
        }
        _ => {
            let target = decoded(path.strip_prefix("/machines/")?)?;
            find(&api.controller, &target)?;
            let shown = machine::machine(api, visitor, &target).await?;
            content(&shown.0, "/machines", shown.1, Live::Content)
        }
    }
}

async fn map(api: &Api) -> Option<Markup> {
    let (board, controller) = (Arc::clone(&api.board), Arc::clone(&api.controller));
    let beside = tokio::task::spawn_blocking(move || board.beside(&controller)).await.ok()?;
    let view = api.controller.view.load();
    Some(html! {
        div.title {
            h1 { (view.plan.design.zone.name) }
            p #counts { "Plan " (view.plan.generation) }
        }
        ul #legend aria-label="States; press one to see it alone" {}
        div.zone {
            // It stays current by the map's stream.
            aside #beside aria-label="What wants attention, controllers and edges" { (PreEscaped(beside)) }
            div #map role="application" tabindex="0" aria-label="The zone: arrow keys move, Enter opens, N goes to the next that wants attention"
                aria-describedby="here" {}
        }
        p #here role="status" aria-live="polite" { "Loading the zone …" }
        noscript { p { "The map needs scripts. " a href="/machines" { "All machines as a list" } "." } }
    })
}

/// Percent-encoding, the other way.
mod percent {
    /// `None` if it is no text.
    pub(super) fn decoded(text: &str) -> Option<String> {
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(octet) = rest.next() {
            if octet != b'%' {
                octets.push(octet);
                continue;
            }
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            octets.push(u8::try_from(high * 16 + low).ok()?);
        }
        String::from_utf8(octets).ok()
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn what_was_encoded_is_decoded() {
            for text in ["p01/r1/u01", "a b/ü%", ""] {
                assert_eq!(super::decoded(&super::super::frame::encoded(text)).as_deref(), Some(text));
            }
            for text in ["%", "%4", "%zz", "%ff"] {
                assert_eq!(super::decoded(text), None, "{text}");
            }
        }
    }
}
