//! The web page: HTML made here, two scripts and a style sheet of our own, nothing from anywhere else.
//!
//! In: requests that the guard of `http` let through, with who asks. Out: what the API's types say, as HTML; the map as
//! one document and differences. What is shown stays current by server-sent events: the map by letters, every other
//! page by its own HTML whenever that changes, which the script lays over what is there.
//!
//! | module    | what it does                                             |
//! |-----------|-----------------------------------------------------------|
//! | `frame`   | what every page has around it, and its headers             |
//! | `layout`, `board` | the map: where machines stand, and their states    |
//! | `beside`  | beside the map: what wants attention, controllers, edges   |
//! | `content` | which page a path is                                       |
//! | `machine`, `lists` | a machine; findings, refusals, machines, audit    |
//! | `changes` | changes and their waves, plans and what they changed, budgets |
//! | `live`    | the streams                                                |
//! | `search`  | by name, location, address, serial                         |
//! | `sign_in` | in and out                                                 |

mod beside;
mod board;
mod changes;
mod content;
mod frame;
mod layout;
mod lists;
mod live;
mod machine;
mod search;
mod sign_in;

use crate::http::Api;
use crate::people::Visitor;
use api::people::Role;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};
use std::sync::LazyLock;

pub(crate) use board::{Board, run as watch};

/// The style sheet and the scripts: path, type, text.
const PARTS: [(&str, &str, &str); 3] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/assets/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page/assets/page.js")),
    ("map.js", "text/javascript; charset=utf-8", include_str!("page/assets/map.js")),
];
/// They are named by what is in them, so that a browser asks for them once.
static DIGEST: LazyLock<String> = LazyLock::new(|| {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for (_, _, text) in PARTS {
        hasher.update(text);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
});

/// The page's routes; the API's description does not have them.
pub(crate) fn routes() -> Router<Api> {
    let mut router = Router::new()
        .route("/", get(content::page))
        .route("/machines", get(content::page))
        .route("/machines/{*location}", get(content::page))
        .route("/changes", get(content::page))
        .route("/changes/{id}", get(content::page))
        .route("/plans/{from}/to/{to}", get(content::page))
        .route("/edges", get(content::page))
        .route("/findings", get(content::page))
        .route("/refusals", get(content::page))
        .route("/audit", get(content::page))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", axum::routing::post(sign_in::sign_out))
        .route("/page/zone.json", get(zone))
        .route("/page/map", get(live::map))
        .route("/page/live", get(live::live))
        .route("/page/search", get(search::search));
    for (name, kind, text) in PARTS {
        let part = move || async move {
            let cache = HeaderValue::from_static("public, max-age=31536000, immutable");
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, cache)], text)
        };
        router = router.route(&part_path(name), get(part));
    }
    router
}

/// The path of a part.
fn part_path(name: &str) -> String {
    format!("/page/parts/{}/{name}", *DIGEST)
}

/// Where each machine stands on the map.
async fn zone(State(api): State<Api>) -> Response {
    let layout = tokio::task::spawn_blocking(move || api.board.layout(&api.controller)).await;
    match layout {
        Ok(layout) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, layout.document.clone()).into_response()
        }
        Err(_) => crate::http::failed(StatusCode::INTERNAL_SERVER_ERROR, "the map could not be made"),
    }
}

/// Sends a browser to sign in, and back to where it wanted to go.
pub(crate) fn to_sign_in(path: &str) -> Response {
    let to = format!("/sign-in?next={}", frame::encoded(path));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}

/// Somebody who is signed in may not.
pub(crate) fn forbidden(visitor: &Visitor, role: Role) -> Response {
    let main = html! {
        h1 { "Not with your role" }
        p { "This needs the role " b { (role) } ". An administrator changes roles: " code { "zw account role" } "." }
    };
    let mut response = frame::page(visitor, "Not with your role", "", &main, &frame::Live::No);
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// There is no such page.
pub(crate) fn nothing(visitor: &Visitor) -> Response {
    let main = html! {
        h1 { "There is no such page" }
        p { "Above is where one can go" @if visitor.may(Role::View) { ", and a search for machines" } "." }
    };
    missing(visitor, "There is no such page", &main)
}

/// A page that says what is not there.
fn missing(visitor: &Visitor, title: &str, main: &Markup) -> Response {
    let mut response = frame::page(visitor, title, "", main, &frame::Live::No);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear =
            |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn text_and_states_stand_out_in_both_themes() {
        let (_, _, css) = PARTS[0];
        let blocks: Vec<&str> =
            css.split(":root").skip(1).map(|block| block.split('}').next().unwrap()).collect();
        assert_eq!(blocks.len(), 2);
        for block in blocks {
            let lines = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
            let colours: HashMap<&str, &str> =
                lines.map(|(name, value)| (name, value.trim_end_matches(';'))).collect();
            for (name, least) in ["text", "faint", "link", "alarm", "good"]
                .map(|name| (name, 4.5))
                .into_iter()
                .chain(board::STATES.map(|name| (name, 3.0)))
            {
                for ground in ["ground", "panel"] {
                    let found = contrast(colours[name], colours[ground]);
                    assert!(found >= least, "{name} on {ground}: {found:.2}");
                }
            }
        }
    }

    #[test]
    fn states_have_the_same_letters_on_both_ends() {
        let (_, _, script) = PARTS[2];
        let list = board::STATES.map(|name| format!("\"{name}\"")).join(", ");
        assert!(script.contains(&format!("const STATES = [{list}];")));
    }
}
