//! A peer that shows a TPM: what it must be, what it is asked, and what its answer proves.
//!
//! In: what it shows. Out: a challenge that only this TPM can read, then what was proved, or a sentence why nothing was.
//! Signatures are checked here; what they mean for the place is `lifecycle::attestation`'s to say.

use super::{Agents, Refused, Situation, authority};
use api::agent::{Because, FromController, Octets, ShownQuote, ShownTpm};
use lifecycle::attestation;
use model::Location;
use model::facts::Attested;
use std::collections::BTreeMap;
use tpm::{Credential, Public, Quote};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// More certificates of makers than there are makers.
const MAKERS_MAX: usize = 1024;

/// What was shown on a connection, until it is proved.
pub(super) struct Claim {
    /// For this place.
    pub(super) location: Location,
    /// The TPM is the one that is known there.
    pub(super) is_known: bool,
    ek: Public,
    ak: Public,
    pcrs: Vec<u8>,
}

/// Why an agent is not believed.
pub(super) struct Doubt {
    /// A sentence.
    pub(super) sentence: String,
    /// SHA-256 of the endorsement key of the TPM that it showed, if that is not its place's.
    pub(super) ek_sha256: Option<[u8; 32]>,
}

impl From<String> for Doubt {
    fn from(sentence: String) -> Self {
        Self { sentence, ek_sha256: None }
    }
}

impl From<&str> for Doubt {
    fn from(sentence: &str) -> Self {
        sentence.to_owned().into()
    }
}

/// Whether what is shown may be the TPM of this place.
///
/// # Errors
/// Why not.
pub(super) fn claim(
    agents: &Agents,
    situation: &Situation,
    location: &Location,
    shown: &ShownTpm,
) -> Result<Claim, Doubt> {
    let device = situation.device.ok_or("the plan has no such place")?;
    let read = |octets: &Octets| Public::read(&octets.0).map_err(|malformed| malformed.to_string());
    let (ek, ak) = (read(&shown.ek)?, read(&shown.ak)?);
    if !ek.is_ek() {
        return Err("its endorsement key is not by the template L-1 of the TCG".into());
    }
    // Any other key would sign what others give it.
    if !ak.is_ak() {
        return Err("its attestation key may sign what is not its TPM's own statement".into());
    }
    let makers = attestation::wanted(&situation.plan, device).and_then(|trust| trust.makers.as_deref());
    if let Some(makers) = makers {
        is_made_by(&ek, shown.ek_certificate.as_ref(), makers)?;
    }
    let ek_sha256 = ek.sha256();
    let known = situation.machine.as_ref().and_then(|machine| machine.tpm.as_ref());
    attestation::may_be(known, &ek_sha256, location, (agents.home_of_tpm)(&ek_sha256).as_ref())
        .map_err(|sentence| Doubt { sentence, ek_sha256: Some(ek_sha256) })?;
    let pcrs = attestation::registers(&situation.plan, device, situation.machine.as_ref());
    Ok(Claim { location: location.clone(), is_known: known.is_some(), ek, ak, pcrs })
}

impl Claim {
    /// The token, for this TPM and this attestation key alone, and the SHA-256 of its endorsement key.
    pub(super) fn challenge(
        &self,
        token: &[u8; 32],
        seconds: u32,
    ) -> Result<(FromController, [u8; 32]), Refused> {
        let seed = authority::random::<32>()?;
        let made = tpm::make_credential(&self.ek, &self.ak.name(), token, &seed);
        let Credential { blob, seed } = made
            .ok_or_else(|| Refused::new(Because::Protocol, "its endorsement key cannot be encrypted to"))?;
        let pcrs = self.pcrs.clone();
        let challenge =
            FromController::Challenge { credential: Octets(blob), seed: Octets(seed), pcrs, seconds };
        Ok((challenge, self.ek.sha256()))
    }

    /// What the answer proves.
    ///
    /// # Errors
    /// Nothing, and why, a sentence.
    pub(super) fn verify(
        &self,
        situation: &Situation,
        quote: Option<&ShownQuote>,
        nonce: &[u8; 32],
    ) -> Result<Attested, String> {
        let shown = quote.ok_or("its TPM has quoted nothing")?;
        let pcrs = shown.pcrs.iter().map(|(pcr, value)| Some((*pcr, value.0.as_slice().try_into().ok()?)));
        let pcrs: BTreeMap<u8, [u8; 32]> =
            pcrs.collect::<Option<_>>().ok_or("its quote is not of registers by SHA-256")?;
        let quote = Quote { attest: shown.attest.0.clone(), signature: shown.signature.0.clone(), pcrs };
        let quoted = quote.verify(&self.ak, nonce, &self.pcrs).map_err(|wrong| wrong.to_string())?;
        let now = Attested {
            ek_sha256: self.ek.sha256(),
            pcrs: quoted.pcrs.into_iter().collect(),
            resets: quoted.resets,
            clock_ms: quoted.clock_ms,
        };
        let known = situation.machine.as_ref().and_then(|machine| machine.tpm.as_ref());
        attestation::follows(known, &now)?;
        Ok(now)
    }
}

/// Whether a maker that is listed has signed a certificate for this very key. Neither dates nor purposes are looked at: makers' certificates end
/// before their TPMs do, and nobody renews them.
fn is_made_by(ek: &Public, certificate: Option<&Octets>, makers: &str) -> Result<(), String> {
    let certificate = certificate.ok_or("its TPM has no certificate of its maker")?;
    let (_, certificate) =
        X509Certificate::from_der(&certificate.0).map_err(|_| "its TPM's certificate cannot be read")?;
    let of_key = match certificate.public_key().parsed() {
        // DER has a zero before a number whose first bit is set.
        Ok(PublicKey::RSA(key)) => Some(key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus).to_vec()),
        _ => None,
    };
    if of_key.as_deref() != ek.modulus() || of_key.is_none() {
        return Err("its TPM's certificate is for another key".to_owned());
    }
    let signed = |maker: Pem| {
        maker.parse_x509().is_ok_and(|maker| {
            maker.subject() == certificate.issuer()
                && certificate.verify_signature(Some(maker.public_key())).is_ok()
        })
    };
    match Pem::iter_from_buffer(makers.as_bytes()).take(MAKERS_MAX).filter_map(Result::ok).any(signed) {
        true => Ok(()),
        false => {
            Err("its TPM's certificate is signed by none of the makers that the design lists".to_owned())
        }
    }
}
