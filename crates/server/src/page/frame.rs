//! What every page has around it.

use super::part_path;
use crate::people::Visitor;
use api::people::Role;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use model::Time;
use model::time::Civil;

/// Everything of our own, and nothing else: no inline script or style, no other origin, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// How what is shown stays current.
pub(super) enum Live {
    /// It does not change.
    No,
    /// Its own HTML is sent again when it changes.
    Content,
    /// It is the map.
    Map,
}

/// The places that the head of each page leads to.
const PLACES: [(&str, &str, Role); 7] = [
    ("/", "Map", Role::View),
    ("/machines", "Machines", Role::View),
    ("/changes", "Changes", Role::View),
    ("/edges", "Edges", Role::View),
    ("/findings", "Findings", Role::View),
    ("/refusals", "Refusals", Role::View),
    ("/audit", "Audit", Role::Administer),
];

/// A whole page. `place` is the path of the tab that it belongs to.
pub(super) fn page(visitor: &Visitor, title: &str, place: &str, main: &Markup, live: &Live) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Zonewright" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(part_path("page.css"));
                script src=(part_path("page.js")) {}
                @if let Live::Map = live {
                    script src=(part_path("map.js")) defer {}
                }
            }
            body {
                a.skip href="#main" { "Skip to what is here" }
                (head(visitor, place))
                p #identity role="status" hidden {}
                main #main data-live=[matches!(live, Live::Content).then_some("")] tabindex="-1" { (main) }
                p #away role="status" hidden {}
            }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, document.into_string()).into_response()
}

/// Where one may go, and as whom.
pub(super) fn head(visitor: &Visitor, place: &str) -> Markup {
    let name = visitor.identity.as_ref().map(|identity| format!("{} · {}", identity.name, identity.role));
    html! {
        header data-who=(name.as_deref().unwrap_or_default()) {
            a.mark href="/" { "Zonewright" }
            nav aria-label="Places" {
                @for (path, name, role) in PLACES {
                    @if visitor.may(role) {
                        a href=(path) aria-current=[(place == path).then_some("page")] { (name) }
                    }
                }
            }
            @if visitor.may(Role::View) {
                form #search role="search" autocomplete="off" {
                    label.hidden for="query" { "Search by name, location, address, serial" }
                    input #query type="search" name="q" placeholder="Search (press /)" spellcheck="false" role="combobox"
                        aria-expanded="false" aria-controls="found" aria-autocomplete="list";
                    ul #found role="listbox" aria-label="Found" hidden {}
                }
            }
            button #theme type="button" title="Light, dark, or as the system" { "Theme" }
            (who(visitor))
        }
    }
}

fn who(visitor: &Visitor) -> Markup {
    html! {
        @match &visitor.identity {
            Some(identity) => {
                form.who method="post" action="/sign-out" {
                    span { b { (identity.name) } " · " (identity.role) }
                    button type="submit" { "Sign out" }
                }
            }
            None if visitor.may_sign_in => a.who href="/sign-in" { "Sign in" },
            None => span.who { "looking only" },
        }
    }
}

/// A time, in UTC: the script writes how long ago that is.
pub(super) fn time(at: Time) -> Markup {
    html! { time data-at=(at.0) { (utc(at)) } }
}

/// `2026-03-01 08:15:00 UTC`.
fn utc(at: Time) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = at.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A state as the map colours it.
pub(super) fn state(name: &str) -> Markup {
    html! { span.state data-state=(name) { (name) } }
}

/// A link to a machine.
pub(super) fn machine(location: &model::Location) -> Markup {
    let within = location.within_zone();
    html! { a href={ "/machines/" (encoded(within)) } { (within) } }
}

/// A piece of a path or query, with everything that is not plain percent-encoded (RFC 3986 §2.3); slashes stay.
pub(super) fn encoded(piece: &str) -> String {
    piece.bytes().fold(String::new(), |text, octet| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            text + &char::from(octet).to_string()
        }
        _ => text + &format!("%{octet:02X}"),
    })
}
