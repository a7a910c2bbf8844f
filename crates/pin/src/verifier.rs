//! The part of a handshake that is the same whoever judges: that the server holds its certificate's key is proved by signatures,
//! which the TLS library verifies.

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
};
use std::fmt;
use std::sync::Arc;

/// What a server shows of itself.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Its own certificate.
    pub certificate: &'a CertificateDer<'a>,
    /// Those that it sends along.
    pub others: &'a [CertificateDer<'a>],
    /// As whom it is asked.
    pub name: &'a ServerName<'a>,
    /// By the clock of this machine.
    pub now: UnixTime,
}

/// Who says whether a server is the one that is meant.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Judges by the certificates alone.
    ///
    /// # Errors
    /// It is another, or cannot be known.
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// TLS of these versions, to servers that the judge takes. What we show is still to be said.
///
/// # Errors
/// The library has no cipher for these versions.
pub fn client(
    judge: impl Judge + 'static,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let provider = provider();
    let verifier = Verifier { judge, provider: Arc::clone(&provider) };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[derive(Debug)]
struct Verifier<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(&Shown { certificate, others, name, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
