//! Signing in with a local account, and out. Another way of being identified ends in the same two lines: an [`Identity`],
//! and a session for it.

use super::frame::{self, Live};
use crate::clock;
use crate::connections::Peer;
use crate::http::{Api, note};
use crate::people::{Identity, Visitor, accounts, sessions};
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::PoisonError;

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn form(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    Query(Next { next }): Query<Next>,
) -> Response {
    shown(&api, &visitor, ("", &next), StatusCode::OK, None)
}

/// The form, with the name as it was written before.
fn shown(
    api: &Api,
    visitor: &Visitor,
    (name, next): (&str, &str),
    status: StatusCode,
    said: Option<&str>,
) -> Response {
    let has_none = api.people.accounts.all(&api.controller).is_ok_and(|accounts| accounts.is_empty());
    let main = html! {
        div.narrow {
            h1 { "Sign in" }
            @if let Some(identity) = &visitor.identity {
                p { "You are signed in as " b { (identity.name) } ". " a href=(within(next)) { "Go on" } ", or sign in as somebody else:" }
            }
            @if !visitor.may_sign_in {
                p.alarm { "Not over this connection: a password would be readable on its way. Use HTTPS, or this host itself." }
            } @else if has_none {
                p { "There is no account yet. Make one on this host:" }
                pre { "zw account add NAME --role administer" }
            } @else {
                @if let Some(said) = said { p.alarm role="alert" { (said) } }
                form.sign-in method="post" action="/sign-in" {
                    input type="hidden" name="next" value=(next);
                    label for="name" { "Name" }
                    input #name name="name" value=(name) required autofocus[name.is_empty()] autocomplete="username" autocapitalize="none" spellcheck="false";
                    label for="password" { "Password" }
                    input #password name="password" type="password" required autofocus[!name.is_empty()] autocomplete="current-password";
                    button type="submit" { "Sign in" }
                }
            }
        }
    };
    let mut response = frame::page(visitor, "Sign in", "", &main, &Live::No);
    *response.status_mut() = status;
    response
}

/// What was filled in.
#[derive(Deserialize)]
pub(super) struct Filled {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Opens a session for who knows the password.
pub(super) async fn sign_in(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    filled: Result<Form<Filled>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Ok(Form(Filled { name, password, next })) = filled else {
        return shown(
            &api,
            &visitor,
            ("", ""),
            StatusCode::BAD_REQUEST,
            Some("Write a name and a password."),
        );
    };
    if !visitor.may_sign_in {
        return shown(&api, &visitor, (&name, &next), StatusCode::FORBIDDEN, None);
    }
    let from = match peer {
        Some(Extension(Peer::Address(address) | Peer::Tls(address))) => address,
        // Who is signed in already comes by its name; it has an address all the same.
        _ => visitor.from.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    if let Err(seconds) = may_try(&api, from, &name) {
        // Not written to the audit log: who tries fast would fill it.
        let said = format!("Too many tries. Wait {seconds} s before the next.");
        let at = (name.as_str(), next.as_str());
        let mut response = shown(&api, &visitor, at, StatusCode::TOO_MANY_REQUESTS, Some(&said));
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    let did = |name: &str| format!("sign in as {name}");
    let Some(identity) = identified(&api, &name, password).await else {
        note(&api, &visitor, did(&name), "refused: wrong name or password".to_owned()).await;
        let said = "The name or the password is wrong.";
        return shown(&api, &visitor, (&name, &next), StatusCode::UNAUTHORIZED, Some(said));
    };
    api.people.tries.lock().unwrap_or_else(PoisonError::into_inner).forget(from, &name);
    let visitor = Visitor { identity: Some(identity.clone()), ..visitor };
    note(&api, &visitor, did(&name), "done".to_owned()).await;
    // One that was signed in before is not any more.
    if let Some(token) = sessions::token(&headers) {
        api.people.sessions.close(&token);
    }
    let Some(token) = api.people.sessions.open(identity, clock::now()) else {
        return crate::http::failed(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers");
    };
    let cookie = sessions::cookie(&headers, visitor.is_tls, &token);
    let headers = [(header::LOCATION, within(&next).to_owned()), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Counts a try; the error is in how many seconds one may be made.
fn may_try(api: &Api, from: IpAddr, name: &str) -> Result<(), u64> {
    let mut tries = api.people.tries.lock().unwrap_or_else(PoisonError::into_inner);
    let now = clock::now();
    match tries.may(from, name, now) {
        true => Ok(()),
        false => Err(tries.wait(from, name, now).max(1)),
    }
}

/// Whose name and password these are.
async fn identified(api: &Api, name: &str, password: String) -> Option<Identity> {
    let accounts = api.people.accounts.all(&api.controller).ok()?;
    let _turn = api.people.verifying.acquire().await.ok()?;
    let owned = name.to_owned();
    let known = std::sync::Arc::clone(&accounts);
    let is_right =
        tokio::task::spawn_blocking(move || accounts::is_right(&known, &owned, &password)).await.ok()?;
    let account = accounts.iter().find(|account| account.name == name).filter(|_| is_right)?;
    Some(Identity { name: account.name.as_str().into(), role: account.role, has_account: true })
}

/// Ends the session.
pub(super) async fn sign_out(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Response {
    if let Some(token) = sessions::token(&headers).filter(|_| visitor.identity.is_some()) {
        api.people.sessions.close(&token);
        note(&api, &visitor, "sign out".to_owned(), "done".to_owned()).await;
    }
    let cookie = sessions::no_cookie(&headers, visitor.is_tls);
    let headers = [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// A path of ours, or the first page: nobody is led elsewhere by a link to our form.
fn within(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    if is_ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(within("/machines/p01/r1/u01"), "/machines/p01/r1/u01");
        for other in
            ["", "https://example.net", "//example.net", "/\\example.net", "/a\r\nSet-Cookie: x", "machines"]
        {
            assert_eq!(within(other), "/", "{other}");
        }
    }
}
