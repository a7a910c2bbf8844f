//! From nothing to a certificate.
//!
//! An agent whose key was offered before asks for a certificate for that key: this is enough when the last certificate
//! ran out, or was issued and never arrived. Otherwise it makes a key, asks for the token of this boot, and spends it.
//! The key is on disk before the token is spent, so that a crash in between costs nothing; a key that a TPM stands for never is.

use crate::connection::{Connection, Lost};
use crate::identity::{Identity, StateDir};
use crate::options::{Controller, Notice, Options};
use crate::tpm::Prover;
use crate::{trust, virtual_cd};
use api::agent::{Because, FromAgent, FromController, ShownTpm, VERSION};

/// Gets a certificate for the key in `kept`, or for a fresh key by a token. What it gets, and the key that it was
/// about to offer when it failed, stand in `kept` afterwards.
pub(crate) async fn run(
    controller: Controller,
    options: &Options,
    state: &StateDir,
    kept: &mut Option<Identity>,
) -> Result<(), Lost> {
    let config = trust::client(options.ca_pin, None)?;
    if let Some(identity) = kept.as_ref().filter(|identity| identity.offered) {
        let mut connection = Connection::open(controller, config.clone()).await?;
        match connection.ask(&renewal(identity)?).await {
            Ok(frame) => {
                connection.close().await;
                keep(identity.clone().with(frame).ok_or(Lost::Unexpected)?, kept, state, options);
                (options.tell)(&Notice::Renewed);
                return Ok(());
            }
            // Another key was enrolled here since, or the controller knows of none.
            Err(Lost::Refused { because: Because::Certificate | Because::NoBoot, .. }) => *kept = None,
            Err(lost) => return Err(lost),
        }
    }
    let mut identity = match kept.take() {
        Some(identity) => identity,
        None => Identity::new(&options.location)?,
    };
    let mut connection = Connection::open(controller, config.clone()).await?;
    let (token, quote) = match connection.ask(&token_request(&connection, options, None)).await? {
        FromController::Token { token, .. } => (token, None),
        FromController::Half { told, volume, .. } => {
            connection.close().await;
            (options.tell)(&Notice::AwaitsKey(volume.clone()));
            let token = virtual_cd::token(&options.drives, &told, &volume).await?;
            connection = Connection::open(controller, config).await?;
            (token, None)
        }
        FromController::ShowTpm {} => {
            // A TPM takes its time, which a stranger is not given.
            connection.close().await;
            let prover = Prover::open(options.tpm.clone()).await?;
            connection = Connection::open(controller, config).await?;
            let request = token_request(&connection, options, Some(prover.shown()));
            let challenge = connection.ask(&request).await?;
            identity.is_by_tpm = true;
            let (token, quote) = prover.answer(challenge, identity.key_sha256()?).await?;
            (token, Some(quote))
        }
        _ => return Err(Lost::Unexpected),
    };
    identity.offered = true;
    let csr = identity.request()?;
    keep(identity.clone(), kept, state, options);
    let location = options.location.clone();
    let request = FromAgent::Enrol { version: VERSION, location, token, csr, quote };
    let frame = connection.ask(&request).await?;
    connection.close().await;
    keep(identity.with(frame).ok_or(Lost::Unexpected)?, kept, state, options);
    (options.tell)(&Notice::Enrolled);
    Ok(())
}

fn token_request(connection: &Connection, options: &Options, tpm: Option<Box<ShownTpm>>) -> FromAgent {
    FromAgent::TokenRequest {
        version: VERSION,
        location: options.location.clone(),
        mac: connection.mac(),
        tpm,
    }
}

/// Keeps an identity in memory and, if that can be, on disk.
fn keep(identity: Identity, kept: &mut Option<Identity>, state: &StateDir, options: &Options) {
    if let Err(error) = state.keep_identity(&identity) {
        (options.tell)(&Notice::Trouble(error));
    }
    *kept = Some(identity);
}

/// Asks for the next certificate for the same key.
pub(crate) fn renewal(identity: &Identity) -> Result<FromAgent, Lost> {
    Ok(FromAgent::Renew { version: VERSION, location: identity.location.clone(), csr: identity.request()? })
}
