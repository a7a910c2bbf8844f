//! Who is signed in: random tokens in cookies, their digests here, in memory only. A restart signs everybody out.

use super::Identity;
use crate::agents::random;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Time;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long somebody stays signed in: a working day.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; the oldest makes room.
const SESSIONS_MAX: usize = 1024;
/// The cookie's name without encryption. The port is not part of a cookie's place, so it is part of the name.
const PLAIN: &str = "zw-session";
/// With it: a browser takes a cookie of this name only from this host, encrypted (RFC 6265bis §4.1.3.2).
const TLS: &str = "__Host-zw-session";

/// Everybody who is signed in.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    identity: Identity,
    began: Time,
}

impl Sessions {
    /// Signs somebody in; gives the token, or `None` if the system has no random numbers.
    pub(crate) fn open(&self, identity: Identity, now: Time) -> Option<String> {
        let token = URL_SAFE_NO_PAD.encode(random::<32>().ok()?);
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_good(now));
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.began).map(|(key, _)| *key);
            oldest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(digest(&token), Session { identity, began: now });
        Some(token)
    }

    /// Whose token this is.
    pub(crate) fn find(&self, token: &str, now: Time) -> Option<Identity> {
        let sessions = self.lock();
        let session = sessions.get(&digest(token)).filter(|session| session.is_good(now))?;
        Some(session.identity.clone())
    }

    /// Signs out.
    pub(crate) fn close(&self, token: &str) {
        self.lock().remove(&digest(token));
    }

    /// Signs an account out everywhere.
    pub(crate) fn close_all_of(&self, name: &str) {
        self.lock().retain(|_, session| *session.identity.name != *name || !session.identity.has_account);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_good(&self, now: Time) -> bool {
        now.since(self.began) < LIFE
    }
}

/// What is looked up is no secret's own octets, so that how long it takes tells nothing of them.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token in a request's cookies.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let own = cookie_name(headers);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == TLS || *name == own).map(|(_, value)| value.to_owned())
}

fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    format!("{PLAIN}-{}", port.unwrap_or("80"))
}

/// The header that gives a browser its token.
pub(crate) fn cookie(headers: &HeaderMap, is_tls: bool, token: &str) -> String {
    let life = LIFE.as_secs();
    let common = format!("Path=/; Max-Age={life}; HttpOnly; SameSite=Strict");
    match is_tls {
        true => format!("{TLS}={token}; Secure; {common}"),
        false => format!("{}={token}; {common}", cookie_name(headers)),
    }
}

/// The header that takes it away.
pub(crate) fn no_cookie(headers: &HeaderMap, is_tls: bool) -> String {
    let (name, secure) = if is_tls { (TLS.to_owned(), "; Secure") } else { (cookie_name(headers), "") };
    format!("{name}={secure}; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::people::Role;

    const START: Time = Time(1_700_000_000_000);

    fn ada() -> Identity {
        Identity { name: "ada".into(), role: Role::Operate, has_account: true }
    }

    #[test]
    fn a_session_ends_with_the_day_or_by_a_word() {
        let sessions = Sessions::default();
        let token = sessions.open(ada(), START).unwrap();
        assert_eq!(sessions.find(&token, START), Some(ada()));
        assert_eq!(sessions.find(&token, START + LIFE), None);
        assert_eq!(sessions.find("another", START), None);
        sessions.close(&token);
        assert_eq!(sessions.find(&token, START), None);
        let (one, two) = (sessions.open(ada(), START).unwrap(), sessions.open(ada(), START).unwrap());
        assert_ne!(one, two);
        sessions.close_all_of("ada");
        assert_eq!((sessions.find(&one, START), sessions.find(&two, START)), (None, None));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let sessions = Sessions::default();
        let first = sessions.open(ada(), START).unwrap();
        for n in 0..SESSIONS_MAX as u64 {
            sessions.open(ada(), START + Duration::from_millis(n + 1)).unwrap();
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert_eq!(sessions.find(&first, START), None);
    }

    #[test]
    fn a_token_is_found_among_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8480".parse().unwrap());
        headers.insert(header::COOKIE, "a=b; zw-session-8481=other; zw-session-8480=mine".parse().unwrap());
        assert_eq!(token(&headers).as_deref(), Some("mine"));
        assert!(cookie(&headers, false, "t").starts_with("zw-session-8480=t; Path=/"));
        let secure = cookie(&headers, true, "t");
        assert!(secure.starts_with("__Host-zw-session=t; Secure; Path=/"), "{secure}");
        assert!(!secure.contains("Domain"));
    }
}
