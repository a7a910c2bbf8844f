//! People: who is at the other end of a request, what they may ask for, and the record of what they did.
//!
//! In: a connection's peer, a request's head, accounts that the store keeps. Out: a [`Visitor`] for each request, or a
//! refusal. How somebody was identified matters to nobody after a session was opened: a password today, another
//! organisation's word (OpenID Connect) some day.
//!
//! | module     | what it does                                           |
//! |------------|--------------------------------------------------------|
//! | `access`   | which request needs which role; pure                    |
//! | `accounts` | names, roles and passwords (Argon2id), kept by the store |
//! | `sessions` | who is signed in                                         |
//! | `tries`    | how often a password may be tried; pure                  |
//! | `audit`    | who did what, from where                                 |

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod sessions;
pub(crate) mod tries;

use crate::clock;
use crate::connections::Peer;
use crate::controller::Controller;
use accounts::Accounts;
use api::people::Role;
use audit::Audit;
use axum::http::{HeaderMap, header};
use sessions::Sessions;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tries::Tries;

/// Passwords that are verified at once: each takes 19 MiB and some 30 ms of a core.
const VERIFIED_AT_ONCE: usize = 2;

/// What is known of people.
pub(crate) struct People {
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) tries: Mutex<Tries>,
    pub(crate) verifying: Semaphore,
    pub(crate) audit: Arc<Audit>,
}

/// Somebody who was identified, however that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    /// The name is that of an account, whose role is looked up anew at each request.
    pub(crate) has_account: bool,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Visitor {
    /// `None`: nobody who was identified.
    pub(crate) identity: Option<Identity>,
    /// What may be asked for; `None`: nothing but to sign in.
    pub(crate) role: Option<Role>,
    /// Passwords and sessions are not overheard on this connection.
    pub(crate) may_sign_in: bool,
    /// It is encrypted.
    pub(crate) is_tls: bool,
    /// As the audit log says it.
    pub(crate) from: String,
}

impl Visitor {
    pub(crate) fn name(&self) -> &str {
        self.identity.as_ref().map_or("somebody", |identity| &identity.name)
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.role >= Some(role)
    }
}

impl People {
    pub(crate) fn new(state: &std::path::Path) -> Self {
        Self {
            accounts: Accounts::default(),
            sessions: Sessions::default(),
            tries: Mutex::default(),
            verifying: Semaphore::new(VERIFIED_AT_ONCE),
            audit: Arc::new(Audit::new(state)),
        }
    }

    /// Who asks.
    pub(crate) fn visitor(&self, controller: &Controller, peer: &Peer, headers: &HeaderMap) -> Visitor {
        let identity = match peer {
            Peer::User(user) => {
                let name = crate::http::asked::user_name(*user).into();
                Some(Identity { name, role: Role::Administer, has_account: false })
            }
            Peer::Address(address) if !address.is_loopback() => None,
            Peer::Address(_) | Peer::Tls(_) | Peer::Signed(..) => self.signed_in(controller, headers),
        };
        let (is_tls, address) = match peer {
            Peer::User(_) | Peer::Signed(_) => (false, None),
            Peer::Address(address) => (false, Some(*address)),
            Peer::Tls(address) => (true, Some(*address)),
        };
        let role = identity.as_ref().map(|identity| identity.role);
        Visitor {
            // Without encryption nobody is asked who they are, as for the rest of what is read there.
            role: role.or((!is_tls).then_some(Role::View)),
            identity,
            may_sign_in: is_tls || address.is_some_and(|address| address.is_loopback()),
            is_tls,
            from: address.map_or_else(|| "unix socket".to_owned(), |address| address.to_string()),
        }
    }

    /// Who the request's cookie belongs to.
    pub(crate) fn signed_in(&self, controller: &Controller, headers: &HeaderMap) -> Option<Identity> {
        let token = sessions::token(headers)?;
        let mut identity = self.sessions.find(&token, clock::now())?;
        if identity.has_account {
            let accounts = self.accounts.all(controller).ok()?;
            identity.role = accounts.iter().find(|account| *account.name == *identity.name)?.role;
        }
        Some(identity)
    }
}

/// Whether a page of ours sent this, and no other site's: the browser says where a request that changes something
/// comes from. A client that is no browser says nothing, and has no cookie that somebody else could make it send.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok())
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    match text(header::ORIGIN) {
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST)
        }
        None => headers.get(header::COOKIE).is_none(),
    }
}
