//! What the handshake demands of a peer, and whose certificate it showed.
//!
//! TLS 1.3 only: both ends are ours. A client certificate is optional, because a machine without one comes to get one;
//! whatever is shown must be issued by our authority for a client. No session is resumed: each connection proves
//! its certificate anew, and ten thousand tickets are not kept.

use super::authority::{Authority, AuthorityError};
use model::{Location, Time};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::extensions::GeneralName;

/// What the peer proved in the handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// Nothing.
    None,
    /// That it holds the key of a certificate of ours.
    Certificate(Certificate),
}

/// A certificate of ours that the handshake proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Certificate {
    /// For whom it was issued.
    pub location: Location,
    /// SHA-256 of the public key in it (its SubjectPublicKeyInfo, DER).
    pub key_sha256: [u8; 32],
}

/// The identity in an edge's certificate begins so: no agent's does.
pub(super) const EDGE: &str = "urn:zonewright:edge:";

/// The identity in an agent's certificate (after SPIFFE-ID §2): `spiffe://ams1/p01/r1/u14`. A location begins with
/// its zone, which is the trust domain.
pub(super) fn name_of(location: &Location) -> String {
    format!("spiffe://{location}")
}

/// The listener's side of the handshake, with a fresh certificate for `addresses`.
pub(super) fn acceptor(
    authority: &Authority,
    addresses: &[IpAddr],
    now: Arc<dyn Fn() -> Time + Send + Sync>,
) -> Result<tokio_rustls::TlsAcceptor, AuthorityError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = authority.issue_server(addresses, &[], now())?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|_| AuthorityError::Damaged("its certificate cannot be used to judge others"))?;
    let mut config = rustls::ServerConfig::builder_with_details(provider, Arc::new(Clock(now)))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        // The authority goes along: a machine knows only its SHA-256, and finds it in the chain.
        .with_single_cert(vec![certificate, authority.certificate().clone()], key)?;
    config.alpn_protocols = vec![api::agent::ALPN.to_vec(), api::edge::ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}

/// What the peer of a finished handshake proved; `None` if it speaks another protocol, or shows a certificate of ours
/// that names no place.
pub(super) fn proof(connection: &rustls::ServerConnection) -> Option<Proof> {
    if connection.alpn_protocol() != Some(api::agent::ALPN) {
        return None;
    }
    match connection.peer_certificates().and_then(|chain| chain.first()) {
        None => Some(Proof::None),
        Some(der) => certificate(der).map(Proof::Certificate),
    }
}

/// Whether the peer of a finished handshake speaks as an edge does.
pub(super) fn is_edge(connection: &rustls::ServerConnection) -> bool {
    connection.alpn_protocol() == Some(api::edge::ALPN)
}

/// The name of the edge that the peer is, and the SHA-256 of its public key; nothing without a certificate.
///
/// # Errors
/// It showed a certificate of ours that is no edge's.
pub(super) fn edge(connection: &rustls::ServerConnection) -> Result<Option<(String, [u8; 32])>, ()> {
    let Some(der) = connection.peer_certificates().and_then(|chain| chain.first()) else { return Ok(None) };
    let (uri, key_sha256) = named(der).ok_or(())?;
    let name = uri.strip_prefix(EDGE).filter(|name| api::edge::is_name(name)).ok_or(())?;
    Ok(Some((name.to_owned(), key_sha256)))
}

/// The one name in a certificate of ours, and the SHA-256 of its public key.
fn named(der: &CertificateDer<'_>) -> Option<(String, [u8; 32])> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let [GeneralName::URI(name)] = names.value.general_names[..] else { return None };
    Some((name.to_owned(), Sha256::digest(parsed.public_key().raw).into()))
}

fn certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (name, key_sha256) = named(der)?;
    Some(Certificate { location: Location::new(name.strip_prefix("spiffe://")?), key_sha256 })
}

/// The server's clock, as the TLS library asks for it.
struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis((self.0)().0)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
