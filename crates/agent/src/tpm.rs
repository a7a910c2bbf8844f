//! The machine's TPM, when the controller asks for it: shown, challenged, quoted. It works for seconds, on a thread of its own.

use crate::connection::Lost;
use crate::trust;
use ::tpm::{Credential, Shown, Tpm, TpmError, nonce};
use api::agent::{FromController, Octets, Secret, ShownQuote, ShownTpm};
use std::path::PathBuf;

/// A TPM that was opened for one enrolment.
pub(crate) struct Prover(Tpm);

impl Prover {
    pub(crate) async fn open(path: PathBuf) -> Result<Self, Lost> {
        // It makes the key another one each time, and is no secret.
        let mut salt = [0; 32];
        salt.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&trust::random().to_ne_bytes()));
        apart(move || {
            let opened = Tpm::open(&path, &salt);
            opened.map_err(|error| {
                Lost::Own(format!("this place is proved by a TPM, and {}: {error}", path.display()))
            })
        })
        .await
        .map(Self)
    }

    pub(crate) fn shown(&self) -> Box<ShownTpm> {
        let Shown { ek, ek_certificate, ak } = self.0.shown().clone();
        Box::new(ShownTpm { ek: Octets(ek), ek_certificate: ek_certificate.map(Octets), ak: Octets(ak) })
    }

    /// The token that was wrapped, and the registers that were asked for.
    pub(crate) async fn answer(
        self,
        challenge: FromController,
        key_sha256: [u8; 32],
    ) -> Result<(Secret, Box<ShownQuote>), Lost> {
        let FromController::Challenge { credential, seed, pcrs, .. } = challenge else {
            return Err(Lost::Unexpected);
        };
        let Self(mut tpm) = self;
        apart(move || {
            let own = |error: TpmError| Lost::Own(error.to_string());
            let token = tpm.activate(&Credential { blob: credential.0, seed: seed.0 }).map_err(own)?;
            let whole = token.as_slice().try_into().map_err(|_| Lost::Unexpected)?;
            let nonce = nonce(whole, &key_sha256);
            let quote = tpm.quote(&nonce, &pcrs).map_err(own)?;
            let shown = ShownQuote {
                attest: Octets(quote.attest),
                signature: Octets(quote.signature),
                pcrs: quote.pcrs.into_iter().map(|(pcr, value)| (pcr, Octets(value.to_vec()))).collect(),
            };
            Ok((Secret(Octets(token).to_string()), Box::new(shown)))
        })
        .await
    }
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Lost> + Send + 'static,
) -> Result<T, Lost> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Lost::Own("the TPM's thread has a fault".to_owned())))
}
