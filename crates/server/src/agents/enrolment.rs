//! A peer without a certificate: a token for the boot on its port, then a certificate for the token.
//!
//! In: frames and the peer's address. Out: two events, and replies that leave only after the event is stored. Whether
//! the peer may is `lifecycle::enrolment`'s to say, and that it may once is decided where the event is applied.

use super::attestation::{self, Claim, Doubt};
use super::authority::Request;
use super::stream::{Ended, Stream};
use super::{Agents, Refused};
use api::agent::{
    Because, FromAgent, FromController, Octets, Secret, ShownQuote, ShownTpm, VERSION, VERSION_OLDEST,
};
use api::key_media;
use lifecycle::enrolment::{self, Proof, TOKEN_LIFE};
use model::event::What;
use model::{Event, Location, Mac};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A whole enrolment is two frames, or three by a TPM; by a BMC they are on two connections. The rest is room for one retry.
const FRAMES_MAX: usize = 4;

/// Answers a peer until it has what it came for, is refused or has asked too often.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    agents: &Agents,
    stream: &mut Stream<S>,
    source: IpAddr,
) {
    let mut claim = None;
    for _ in 0..FRAMES_MAX {
        let answered = match stream.receive().await {
            Ok(FromAgent::TokenRequest { version, location, mac, tpm }) => {
                token(agents, version, &location, mac, tpm.as_deref(), source, &mut claim).await
            }
            Ok(FromAgent::Enrol { version, location, token, csr, quote }) => {
                let spent = Spent { token: &token, csr: &csr, quote: quote.as_deref() };
                enrol(agents, version, &location, spent, source, claim.take()).await
            }
            Ok(FromAgent::Renew { version, location, csr }) => {
                renew(agents, version, &location, &csr, source, Renewal::Without)
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
    shown: Option<&ShownTpm>,
    source: IpAddr,
    claim: &mut Option<Claim>,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let situation = (agents.look)(location);
    let seconds = u32::try_from(TOKEN_LIFE.as_secs()).unwrap_or(u32::MAX);
    let fresh = super::authority::random::<32>()?;
    let (mut whole, mut ek_sha256) = (fresh, None);
    let told = Secret(Octets(fresh.to_vec()).to_string());
    let proof = situation.proof();
    let reply = match proof {
        Proof::Port => {
            enrolment::may_have_token(situation.peer(source), mac, now)?;
            FromController::Token { token: told, seconds }
        }
        Proof::Bmc => {
            enrolment::may_have_token(situation.peer(source), mac, now)?;
            let handed = proved(agents, location, agents.by_bmc.half(location)).await?;
            whole = key_media::token(&fresh, &handed.octets);
            FromController::Half { told, volume: handed.volume, seconds }
        }
        Proof::Tpm => {
            enrolment::may_show_tpm(situation.peer(source))?;
            let Some(shown) = shown else { return Ok(FromController::ShowTpm {}) };
            let made = attestation::claim(agents, &situation, location, shown);
            let made = proved(agents, location, made).await?;
            if !made.is_known {
                enrolment::may_have_token(situation.peer(source), mac, now)?;
            }
            let (challenge, ek) = made.challenge(&fresh, seconds)?;
            (*claim, ek_sha256) = (Some(made), Some(ek));
            challenge
        }
    };
    let by_bmc = proof == Proof::Bmc;
    let token_sha256 = Sha256::digest(whole).into();
    let what = What::TokenIssued { token_sha256, until: now + TOKEN_LIFE, ek_sha256, by_bmc };
    agents.commit(Event { at: now, location: location.clone(), what }, Because::NoBoot).await?;
    if by_bmc {
        agents.by_bmc.hand(location);
    }
    Ok(reply)
}

/// What is spent on a certificate.
struct Spent<'a> {
    token: &'a Secret,
    csr: &'a str,
    quote: Option<&'a ShownQuote>,
}

async fn enrol(
    agents: &Agents,
    version: u16,
    location: &Location,
    spent: Spent<'_>,
    source: IpAddr,
    claim: Option<Claim>,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let token = spent.token.0.parse::<Octets>().ok().and_then(|token| <[u8; 32]>::try_from(token.0).ok());
    let token = token.ok_or_else(|| Refused::new(Because::Token, "that is no token"))?;
    let token_sha256 = Sha256::digest(token).into();
    let situation = (agents.look)(location);
    enrolment::may_spend_token(situation.peer(source), token_sha256, now)?;
    let request = Request::read(spent.csr)?;
    let tpm = if situation.proof() == Proof::Tpm {
        let claim = claim.filter(|claim| claim.location == *location);
        let claim =
            claim.ok_or_else(|| Refused::new(Because::Token, "no TPM was shown on this connection"))?;
        let nonce = tpm::nonce(&token, &request.key_sha256);
        Some(proved(agents, location, claim.verify(&situation, spent.quote, &nonce)).await?)
    } else {
        None
    };
    let issued = agents.authority.issue_agent(&request, location, now)?;
    let what = What::Enrolled { key_sha256: request.key_sha256, token_sha256: Some(token_sha256), tpm };
    agents.commit(Event { at: now, location: location.clone(), what }, Because::Token).await?;
    agents.by_bmc.spent(location);
    Ok(issued.into_frame(now))
}

/// What was not proved is told to the zone's people, too: no boot mends it.
async fn proved<T>(
    agents: &Agents,
    location: &Location,
    outcome: Result<T, impl Into<Doubt>>,
) -> Result<T, Refused> {
    let Doubt { sentence, ek_sha256 } = match outcome {
        Ok(proved) => return Ok(proved),
        Err(doubt) => doubt.into(),
    };
    agents.tell(agents.event(location, What::NotProved { sentence: sentence.clone(), ek_sha256 })).await?;
    Err(Refused::new(Because::NotProved, sentence))
}

/// How a renewal is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// In a session, which stands.
    Within,
    /// By the key alone.
    Without,
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
    how: Renewal,
) -> Result<FromController, Refused> {
    speaks(version)?;
    let now = (agents.now)();
    let request = Request::read(csr)?;
    let situation = (agents.look)(location);
    match how {
        Renewal::Within => enrolment::may_speak(situation.peer(source), request.key_sha256)?,
        Renewal::Without => enrolment::may_begin(situation.peer(source), request.key_sha256)?,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_too_old_is_refused_and_a_newer_one_answered_in_ours() {
        assert!(speaks(0).is_err_and(|refused| refused.because == Because::Version));
        assert_eq!(speaks(VERSION), Ok(VERSION));
        assert_eq!(speaks(u16::MAX), Ok(VERSION));
    }
}
