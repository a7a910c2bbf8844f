//! Logging in and out, and asking so that a slow, busy or forgetful BMC does no harm.
//!
//! What may be repeated is: reading after a broken connection, anything after "busy, come back", anything after a
//! session has ended. A wrong password is never tried twice in one operation: BMCs lock accounts.

use crate::address::{Address, linked, path};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::http::{Answer, Ask, Line, Proof, not_understood};
use crate::limits::{Limits, MEMBERS_MAX, PAGES_MAX, REDIRECTS_MAX};
use crate::message::said;
use crate::quirks::{self, Differences, Seen};
use crate::system::System;
use crate::trust::{Fingerprint, Trust};
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Where every Redfish service begins (DSP0266 §6.2).
const ROOT: &str = "/redfish/v1/";
/// Where sessions are, if the root does not say.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// How far an operation is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What it waits for, in words that complete "it waits for …".
    pub waits_for: String,
    /// How much is done, if the BMC says.
    pub percent: Option<u8>,
}

/// Takes progress.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// A BMC that was logged in to. [`Bmc::close`] ends its session; a BMC has few of them.
pub struct Bmc {
    line: Line,
    credentials: Credentials,
    proof: Proof,
    /// The session's path, to end it.
    session: Option<String>,
    /// The service root.
    pub(crate) root: Value,
    /// The machine, once it was asked for.
    pub(crate) system: Option<System>,
    pub(crate) limits: Limits,
    pub(crate) tell: Tell,
}

impl Bmc {
    /// Connects and logs in: with a session where there are sessions, else with the password in every request.
    ///
    /// # Errors
    /// [`Error`]. Nothing is left open.
    pub async fn connect(
        address: Address,
        credentials: Credentials,
        trust: Trust,
        limits: Limits,
        tell: Tell,
    ) -> Result<Self, Error> {
        match Self::begin(address, credentials, trust, limits, tell).await? {
            (bmc, None) => Ok(bmc),
            (bmc, Some(error)) => {
                bmc.close().await;
                Err(error)
            }
        }
    }

    /// The same, and logged in even if all that may be done is to change the password: then with that error.
    pub(crate) async fn begin(
        address: Address,
        credentials: Credentials,
        trust: Trust,
        limits: Limits,
        tell: Tell,
    ) -> Result<(Self, Option<Error>), Error> {
        let mut bmc = Self {
            line: Line::new(address, trust, limits),
            credentials,
            proof: Proof::None,
            session: None,
            root: Value::Null,
            system: None,
            limits,
            tell,
        };
        bmc.tell(format!("{address} to answer"), None);
        bmc.root = bmc.get(ROOT).await?.body;
        match bmc.log_in().await {
            Ok(()) => Ok((bmc, None)),
            Err(error @ Error::PasswordChangeRequired { .. }) => Ok((bmc, Some(error))),
            Err(error) => Err(error),
        }
    }

    /// Ends the session. That it cannot be ended is no harm: it ends by itself after a while.
    pub async fn close(mut self) {
        if let Some(session) = self.session.take() {
            let _ = self.ask(&Ask::delete(&session)).await;
        }
    }

    /// The certificate that the BMC showed; `None` without TLS.
    pub fn certificate(&self) -> Option<Fingerprint> {
        self.line.certificate
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.line.address
    }

    /// Says what is awaited.
    pub(crate) fn tell(&self, waits_for: String, percent: Option<u8>) {
        (self.tell)(Progress { waits_for, percent });
    }

    async fn log_in(&mut self) -> Result<(), Error> {
        self.proof = Proof::None;
        let basic = header_value(&self.credentials.basic())?;
        let listed = linked(&self.root["Links"]["Sessions"]);
        let has_service = listed.is_some() || self.root.get("SessionService").is_some();
        let sessions = listed.unwrap_or_else(|| SESSIONS.to_owned());
        let body = json!({"UserName": self.credentials.user, "Password": self.credentials.password.shown()});
        let answer = match has_service {
            true => Some(self.line.exchange(&Ask::post(&sessions, &body), &Proof::None).await?),
            false => None,
        };
        match answer {
            Some(Answer { status, token: Some(token), location, body, .. }) if status.is_success() => {
                self.session = location.as_deref().or(body["@odata.id"].as_str()).and_then(path);
                self.proof = Proof::Token(header_value(&token)?);
                let said = said(&body);
                if said.ids.iter().any(|id| id == "PasswordChangeRequired") {
                    return Err(Error::PasswordChangeRequired { account: said.account });
                }
                return Ok(());
            }
            // 400 is how Supermicro and OpenBMC call a wrong password now and then; a password that was refused once is
            // not tried in another way.
            Some(answer) if matches!(answer.status.as_u16(), 400 | 401 | 403) => {
                let refused = judged(answer, &sessions).err();
                return Err(match refused {
                    Some(Error::Refused { status: 401, .. }) => Error::Unauthorized,
                    Some(error) => error,
                    None => Error::Unauthorized,
                });
            }
            // No sessions (an emulator), or no more of them ("maximum number of user sessions", iDRAC's RAC0218, comes as
            // 503: stmcginnis/gofish#75): the password in every request works without one.
            _ => {}
        }
        self.proof = Proof::Basic(basic);
        Ok(())
    }

    /// Asks, repeats what may be repeated, follows what may be followed; an answer of 400 and above is an error.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let mut busy = 0;
        let mut redirects = 0;
        let mut is_logged_in_again = false;
        let mut redirected: Option<String> = None;
        loop {
            let ask = Ask { path: redirected.as_deref().unwrap_or(ask.path), ..ask.clone() };
            let answer = self.line.exchange(&ask, &self.proof).await?;
            match answer.status {
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                    if busy < self.limits.busy_retries
                        && (ask.is_reading() || answer.retry_after.is_some()) =>
                {
                    busy += 1;
                    self.tell(format!("{} to be less busy", self.line.address), None);
                    tokio::time::sleep(self.patience(answer.retry_after)).await;
                }
                StatusCode::UNAUTHORIZED if self.session.is_some() && !is_logged_in_again => {
                    // The BMC has restarted, or ended the session after a while.
                    is_logged_in_again = true;
                    self.session = None;
                    self.log_in().await?;
                }
                StatusCode::UNAUTHORIZED => return Err(Error::Unauthorized),
                status if status.is_redirection() && redirects < REDIRECTS_MAX => {
                    // Only 307 and 308 keep a method that is not GET (RFC 9110 §15.4).
                    let may_follow = ask.is_reading() || matches!(status.as_u16(), 307 | 308);
                    let to = answer.location.as_deref().and_then(path).filter(|_| may_follow);
                    let Some(to) = to else {
                        return Err(not_understood(ask.path, format!("it leads elsewhere (HTTP {status})")));
                    };
                    redirects += 1;
                    redirected = Some(to);
                }
                _ => return judged(answer, ask.path),
            }
        }
    }

    /// How long to wait, if the BMC asks for it.
    pub(crate) fn patience(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or(self.limits.poll).min(self.limits.poll_max)
    }

    /// Reads a resource: JSON, or an error.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        let answer = self.ask(&Ask::get(path)).await?;
        match (&answer.body, &answer.not_json) {
            (Value::Object(_), _) => Ok(answer),
            (_, Some(why)) => Err(not_understood(path, why.clone())),
            _ => Err(not_understood(path, "it is no JSON object".to_owned())),
        }
    }

    /// Reads the resource that `link` of `of` points to.
    pub(crate) async fn follow(&mut self, of: &Value, link: &str) -> Result<Value, Error> {
        let to = linked(&of[link]).ok_or_else(|| Error::missing(link))?;
        Ok(self.get(&to).await?.body)
    }

    /// The paths of a collection's members, page by page (DSP0266 §7.7, `Members@odata.nextLink`).
    pub(crate) async fn members(&mut self, collection: &str) -> Result<Vec<String>, Error> {
        let mut paths: Vec<String> = Vec::new();
        let mut next = Some(collection.to_owned());
        let mut pages = 0;
        while let Some(page) = next.take() {
            let body = self.get(&page).await?.body;
            let listed = body["Members"].as_array().into_iter().flatten();
            for to in listed.filter_map(linked) {
                if !paths.contains(&to) && paths.len() < MEMBERS_MAX {
                    paths.push(to);
                }
            }
            pages += 1;
            // A BMC whose pages lead in a circle ends here, too.
            if pages < PAGES_MAX && paths.len() < MEMBERS_MAX {
                next = body["Members@odata.nextLink"].as_str().and_then(path);
            }
        }
        Ok(paths)
    }

    /// Changes a resource, with the precondition that the BMC wants (DSP0266 §7.4, RFC 9110 §13.1.1).
    ///
    /// The ETag is looked up even where nobody asks for one: some BMCs refuse a PATCH without it (Lenovo SR655:
    /// stmcginnis/gofish#171; Huawei: ansible/ansible#60031), and some refuse the one that they gave
    /// (ansible-collections/community.general#3268, #6434). So it is tried as given, then anew and without what is
    /// wrong about it, then as "any", then not at all.
    pub(crate) async fn patch(&mut self, path: &str, body: &Value) -> Result<Answer, Error> {
        let mut conditions = match self.differences().etag {
            quirks::Etag::Never => vec![None],
            quirks::Etag::Send => preconditions(self.etag(path).await),
        }
        .into_iter();
        let mut condition = conditions.next().flatten();
        loop {
            let ask = Ask { method: Method::PATCH, path, body: Some(body), if_match: condition.as_deref() };
            match self.ask(&ask).await {
                Err(error) if matches!(error.status(), Some(412 | 428)) => match conditions.next() {
                    Some(next) => condition = next,
                    None => return Err(error),
                },
                answer => return answer,
            }
        }
    }

    /// A resource's ETag: the one in its body, since header lines have been seen with quotes around the quotes.
    async fn etag(&mut self, path: &str) -> Option<String> {
        let answer = self.get(path).await.ok()?;
        answer.body["@odata.etag"].as_str().map(str::to_owned).or(answer.etag)
    }

    /// What differs at this BMC, as far as it is known by now.
    pub(crate) fn differences(&self) -> Differences {
        let system = self.system.as_ref();
        quirks::of(&Seen {
            vendor: [
                self.root["Vendor"].as_str(),
                system.and_then(|system| system.body["Manufacturer"].as_str()),
                self.root["Oem"].as_object().and_then(|oem| oem.keys().next()).map(String::as_str),
            ],
            model: [
                self.root["Product"].as_str(),
                system.and_then(|system| system.body["Model"].as_str()),
                system.and_then(|system| system.manager_body["Model"].as_str()),
            ],
            firmware: system.and_then(|system| system.manager_body["FirmwareVersion"].as_str()),
        })
    }
}

/// An answer below 400, or the error that it is.
fn judged(answer: Answer, path: &str) -> Result<Answer, Error> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let said = said(&answer.body);
    if said.ids.iter().any(|id| id == "PasswordChangeRequired") {
        return Err(Error::PasswordChangeRequired { account: said.account });
    }
    if answer.status.is_redirection() || answer.status.is_informational() {
        return Err(not_understood(path, format!("HTTP {}", answer.status)));
    }
    Err(Error::Refused { status: answer.status.as_u16(), sentence: said.sentence, ids: said.ids })
}

/// Which values of `If-Match` are tried, in order; `None`: no such header.
fn preconditions(etag: Option<String>) -> Vec<Option<String>> {
    let is_sendable = |etag: &String| HeaderValue::from_str(etag).is_ok();
    let Some(etag) = etag.filter(is_sendable) else { return vec![None, Some("*".to_owned())] };
    let bare = etag.strip_prefix("W/").unwrap_or(&etag).trim_matches('"');
    let strong = format!("\"{bare}\"");
    let mut all = vec![Some(etag.clone()), Some(strong), Some("*".to_owned()), None];
    all.dedup();
    all
}

fn header_value(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| not_understood(SESSIONS, "its token is no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_tried_as_given_then_mended_then_as_any_then_not_at_all() {
        let tried = |etag: Option<&str>| {
            let all = preconditions(etag.map(str::to_owned));
            all.into_iter().map(|one| one.unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tried(Some("W/\"1682\"")), "W/\"1682\" \"1682\" * -");
        assert_eq!(tried(Some("\"\"1682\"\"")), "\"\"1682\"\" \"1682\" * -");
        assert_eq!(tried(Some("\"1682\"")), "\"1682\" * -");
        assert_eq!(tried(Some("a\r\nb")), "- *");
        assert_eq!(tried(None), "- *");
    }
}
