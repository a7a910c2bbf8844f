//! A peer without a certificate: a token for the boot on its port, then a certificate for the token.
//!
//! In: frames and the peer's address. Out: two events, and replies that leave only after the event is stored. Whether
//! the peer may is `lifecycle::enrolment`'s to say, and that it may once is decided where the event is applied.

use super::authority::Request;
use super::stream::{Ended, Stream};
use super::{Agents, Refused};
use api::agent::{Because, FromAgent, FromController, Secret, VERSION, VERSION_OLDEST};
use lifecycle::enrolment::{self, TOKEN_LIFE};
use model::event::What;
use model::{Event, Location, Mac};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A whole enrolment is two frames. The rest is room for one retry.
const FRAMES_MAX: usize = 4;

/// Answers a peer until it has what it came for, is refused or has asked too often.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    agents: &Agents,
    stream: &mut Stream<S>,
    source: IpAddr,
) {
    for _ in 0..FRAMES_MAX {
        let answered = match stream.receive().await {
            Ok(FromAgent::TokenRequest { version, location, mac }) => {
                token(agents, version, &location, mac, source).await
            }
            Ok(FromAgent::Enrol { version, location, token, csr }) => {
                enrol(agents, version, &location, &token, &csr, source).await
            }
            Ok(FromAgent::Renew { version, location, csr }) => {
                renew(agents, version, &location, &csr, source)
            }
            Ok(_) => Err(Refused::new(Because::Protocol, "without a certificate there is only enrolment")),
            Err(Ended::Bad(bad)) => Err(Refused::new(Because::Protocol, bad.to_string())),
            Err(Ended::Closed | Ended::TooSlow) => return,
        };
        let (reply, last) = match answered {
            Ok(reply) => {
                let last = matches!(reply, FromController::Certificate { .. });
                (reply, last)
            }
            Err(refused) => (refused.into_frame(), true),
        };
        if stream.send(&reply).await.is_err() || last {
            break;
        }
    }
    stream.close().await;
}

async fn token(
    agents: &Agents,
    version: u16,
    location: &Location,
    mac: Option<Mac>,
    source: IpAddr,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let situation = (agents.look)(location);
    enrolment::may_have_token(situation.peer(source), mac, now)?;
    let token = super::authority::random::<32>()?;
    let text = hex(&token);
    let what = What::TokenIssued { token_sha256: Sha256::digest(token).into(), until: now + TOKEN_LIFE };
    agents.commit(Event { at: now, location: location.clone(), what }, Because::NoBoot).await?;
    Ok(FromController::Token {
        token: Secret(text),
        seconds: u32::try_from(TOKEN_LIFE.as_secs()).unwrap_or(u32::MAX),
    })
}

async fn enrol(
    agents: &Agents,
    version: u16,
    location: &Location,
    token: &Secret,
    csr: &str,
    source: IpAddr,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let token = unhex(&token.0).ok_or_else(|| Refused::new(Because::Token, "that is no token"))?;
    let token_sha256 = Sha256::digest(token).into();
    enrolment::may_spend_token((agents.look)(location).peer(source), token_sha256, now)?;
    let request = Request::read(csr)?;
    let issued = agents.authority.issue_agent(&request, location, now)?;
    let what = What::Enrolled { key_sha256: request.key_sha256, token_sha256: Some(token_sha256) };
    agents.commit(Event { at: now, location: location.clone(), what }, Because::Token).await?;
    Ok(issued.into_frame(now))
}

/// The next certificate for a key that was enrolled before; the request proves that the peer holds it. It changes
/// nothing that is stored, so it may be asked for again when a reply was lost, and by an agent whose certificate ran
/// out while the controllers were down.
pub(super) fn renew(
    agents: &Agents,
    version: u16,
    location: &Location,
    csr: &str,
    source: IpAddr,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let request = Request::read(csr)?;
    enrolment::may_speak((agents.look)(location).peer(source), request.key_sha256)?;
    Ok(agents.authority.issue_agent(&request, location, now)?.into_frame(now))
}

/// Whether we speak what the agent speaks. A newer agent is answered in our version.
pub(super) fn speaks(version: u16) -> Result<u16, Refused> {
    if version < VERSION_OLDEST {
        let words = format!("the agent speaks version {version}; {VERSION_OLDEST} to {VERSION} are answered");
        return Err(Refused::new(Because::Version, words));
    }
    Ok(version.min(VERSION))
}

fn hex(octets: &[u8; 32]) -> String {
    use std::fmt::Write;
    octets.iter().fold(String::with_capacity(64), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut octets = [0; 32];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *octet = u8::try_from(high << 4 | low).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let octets: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8 % 256).expect("below 256"));
        assert_eq!(unhex(&hex(&octets)), Some(octets));
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_version_too_old_is_refused_and_a_newer_one_answered_in_ours() {
        assert!(speaks(0).is_err_and(|refused| refused.because == Because::Version));
        assert_eq!(speaks(VERSION), Ok(VERSION));
        assert_eq!(speaks(u16::MAX), Ok(VERSION));
    }
}
