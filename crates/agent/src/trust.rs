//! Whom the agent believes: a controller whose certificate comes from the authority with the pinned SHA-256.
//!
//! In: the pin, and the agent's own certificate if it has one. Out: a TLS configuration. The authority's certificate is
//! not on the boot command line, which has no room for it: the controller sends it along, and it counts only if its
//! SHA-256 is the pin.

use crate::identity::Identity;
use crate::options::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// TLS towards controllers, showing `identity` if it is there.
pub(crate) fn client(pin: Pin, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => config.with_client_auth_cert(vec![identity.certificate()?], identity.key()?)?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![api::agent::ALPN.to_vec()];
    // Every connection proves both ends anew.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Judges a controller by the pin.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| Sha256::digest(certificate)[..] == self.pin.0)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let judge = |at| verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, at);
        // A machine with an empty clock battery believes that it is 2000; were its clock to judge, it could never
        // connect, and it is the connection that tells it the time. The pin is what counts: the authority's key lives
        // beside the server's, so that a server certificate's end protects from nothing that the pin does not.
        match judge(now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => judge(not_after),
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => judge(not_before),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Random octets from the TLS library's generator, for seeds.
pub(crate) fn random() -> u64 {
    let mut octets = [0; 8];
    match rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut octets) {
        Ok(()) => u64::from_ne_bytes(octets),
        // Only waits are spread by it; the process number spreads them too.
        Err(_) => u64::from(std::process::id()),
    }
}
