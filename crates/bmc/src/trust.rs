//! TLS to a BMC. Its certificate is of its own making, expired, and for another name; so it is known by its SHA-256, which is
//! learned when the BMC is adopted and held against it ever after.
//!
//! RSA keys below 2048 bits, certificates of version 1 and TLS below 1.2 are not taken: the TLS library does not know them. A BMC that
//! has such a one needs a new certificate, or a newer firmware.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// SHA-256 of a certificate (DER).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA-256 ")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Which certificate is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// This one.
    Pinned(Fingerprint),
    /// Any: this is how the first is learned. Whoever stands between may be taken for the BMC.
    First,
}

/// The certificate that was shown last.
pub(crate) type Shown = Arc<Mutex<Option<Fingerprint>>>;

/// TLS that takes what `trust` says, and tells what was shown.
pub(crate) fn client(trust: Trust) -> Result<(Arc<ClientConfig>, Shown), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let shown = Shown::default();
    let judge = Arc::new(Judge { trust, shown: Arc::clone(&shown), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(judge)
        .with_no_client_auth();
    Ok((Arc::new(config), shown))
}

#[derive(Debug)]
struct Judge {
    trust: Trust,
    shown: Shown,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    /// By the SHA-256 alone. That the peer holds the certificate's key is proved by the signatures below.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint(Sha256::digest(end_entity).into());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.trust {
            Trust::Pinned(known) if known != shown => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
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
