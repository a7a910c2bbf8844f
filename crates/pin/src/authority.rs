//! Controllers, as agents and edges know them: by the SHA-256 of who signed them.
//!
//! The authority's certificate itself is not on the boot command line, which has no room for it: the controller sends it along,
//! and it counts only if its SHA-256 is the pin.

use crate::verifier::{Judge, Shown, client, provider};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a client shows of itself: its certificate, and the key that proves it.
pub type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// TLS 1.3 to controllers of the authority whose certificate has the SHA-256 `pin`, showing `own` if there is one.
///
/// # Errors
/// `own` cannot be used: its key is of another certificate, or of no kind that is known.
pub fn to_controller(pin: [u8; 32], own: Option<Own>, protocol: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let config = client(Authority { pin, provider: provider() }, &[&rustls::version::TLS13])?;
    let mut config = match own {
        Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key)?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    // Every connection proves both ends anew.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Authority {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl Judge for Authority {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let is_it = |other: &&CertificateDer<'_>| Sha256::digest(other)[..] == self.pin;
        let authority = shown.others.iter().find(is_it).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|_| unknown())?;
        let judge = |at| verifier.verify_server_cert(shown.certificate, &[], shown.name, &[], at).map(drop);
        // A machine with an empty clock battery believes that it is 2000, a switch that it is 1970; were its clock to judge, it
        // could never connect, and it is the connection that tells it the time. The pin is what counts: the authority's key lives
        // beside the server's, so that a server certificate's end protects from nothing that the pin does not.
        match judge(shown.now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                judge(not_after)
            }
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                judge(not_before)
            }
            judged => judged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    /// 2026-01-01, when the certificates of these tests are valid.
    const THEN: Duration = Duration::from_secs(1_767_225_600);

    fn authority() -> Issuer {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn server(of: &Issuer) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["10.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2025, 12, 1), date_time_ymd(2026, 2, 1));
        params.signed_by(&KeyPair::generate().unwrap(), of).unwrap().der().clone()
    }

    fn sha256(of: &Issuer) -> [u8; 32] {
        Sha256::digest(of.der()).into()
    }

    /// Whether a server is taken that shows `certificate` and sends `along`, at `name` and this time.
    fn check(
        pin: [u8; 32],
        certificate: &CertificateDer<'_>,
        along: &[&Issuer],
        name: &str,
        now: Duration,
    ) -> Result<(), Error> {
        let others: Vec<CertificateDer<'_>> = along.iter().map(|issuer| issuer.der().clone()).collect();
        let name = ServerName::try_from(name).unwrap();
        let shown = Shown { certificate, others: &others, name: &name, now: UnixTime::since_unix_epoch(now) };
        Authority { pin, provider: provider() }.judge(&shown)
    }

    #[test]
    fn an_authority_counts_by_its_sha256_and_by_what_it_signed() {
        let (ours, another) = (authority(), authority());
        let (pin, certificate) = (sha256(&ours), server(&ours));
        let unknown = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(check(pin, &certificate, &[&ours], "10.0.0.1", THEN), Ok(()));
        assert_eq!(check(pin, &certificate, &[&another, &ours], "10.0.0.1", THEN), Ok(()));
        assert_eq!(check(pin, &certificate, &[], "10.0.0.1", THEN), unknown);
        assert_eq!(check(pin, &certificate, &[&another], "10.0.0.1", THEN), unknown);
        assert_eq!(check(sha256(&another), &certificate, &[&ours], "10.0.0.1", THEN), unknown);
        // Whoever sends the right authority along is not signed by it.
        assert!(check(pin, &server(&another), &[&ours], "10.0.0.1", THEN).is_err());
    }

    #[test]
    fn a_certificate_of_another_name_is_not_taken_at_any_time() {
        let ours = authority();
        for now in [THEN, Duration::ZERO, 2 * THEN] {
            assert!(check(sha256(&ours), &server(&ours), &[&ours], "10.0.0.2", now).is_err());
        }
    }

    #[test]
    fn a_clock_that_is_wrong_forbids_nothing() {
        let ours = authority();
        for now in [Duration::ZERO, 2 * THEN] {
            assert_eq!(check(sha256(&ours), &server(&ours), &[&ours], "10.0.0.1", now), Ok(()));
        }
    }
}
