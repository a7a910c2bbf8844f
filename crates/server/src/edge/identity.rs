//! Who an edge is: its name, its key and certificate, whom it believes, and whom it asks. Kept in its state, and nowhere else.

use super::client::{self, Line, No};
use crate::agents::random;
use crate::options::StartError;
use api::agent::Octets;
use api::edge::{ENROL, Enrol, Enrolled, Ticket};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use store::Mirror;

/// It.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) zone: String,
    /// SHA-256 of the certificate of the zone's authority.
    pub(super) pin: Octets,
    /// PEM.
    key: String,
    certificate: String,
    /// The controllers that it was enrolled with.
    pub(super) controllers: Vec<SocketAddr>,
    /// A controller said that it is no edge any more.
    pub(super) is_removed: bool,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Identity {
    /// Of a state, if it has one.
    pub(super) fn read(mirror: &Mirror) -> Result<Option<Self>, StartError> {
        let kept = mirror.identity().map_err(StartError::State)?;
        kept.map(|kept| serde_json::from_slice(&kept))
            .transpose()
            .map_err(|error| StartError::Authority(format!("the edge's identity cannot be read: {error}")))
    }

    /// Puts it there.
    pub(super) fn write(&self, mirror: &mut Mirror) -> Result<(), StartError> {
        let octets = serde_json::to_vec(self).map_err(|error| StartError::Authority(error.to_string()))?;
        mirror.found(&octets).map_err(StartError::State)
    }

    /// TLS towards controllers.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let unusable = |_| "the edge's key or certificate cannot be used".to_owned();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(unusable)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(unusable)?;
        client::tls(&self.pin, Some((certificate, key)))
    }
}

/// A request for a certificate for a key, PEM. What it asks to be named is ignored.
pub(super) fn request(key: &KeyPair) -> Result<String, rcgen::Error> {
    CertificateParams::default().serialize_request(key)?.pem()
}

pub(super) fn fresh_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

/// Makes a state an edge's, with a ticket of `zw edge add`. What it had of a zone is kept if it is the same zone's.
///
/// # Errors
/// A sentence: the state cannot be used, or no controller takes the ticket.
pub async fn enrol(state: &Path, controllers: &[SocketAddr], ticket: &str) -> Result<String, StartError> {
    let failed = |sentence: String| StartError::Authority(sentence);
    let ticket: Ticket = ticket.parse().map_err(|why: &str| failed(why.to_owned()))?;
    let mut mirror = Mirror::open(state).map_err(StartError::Store)?;
    let pin: Octets = ticket.pin.parse().map_err(|why: &str| failed(why.to_owned()))?;
    if let Some(before) = Identity::read(&mirror)?.filter(|before| before.pin != pin) {
        return Err(failed(format!(
            "{} holds an edge of the zone {}, whose authority is another; give this one a directory of its own",
            state.display(),
            before.zone
        )));
    }
    let key = fresh_key().map_err(|error| failed(error.to_string()))?;
    let csr = request(&key).map_err(|error| failed(error.to_string()))?;
    let tls = client::tls(&pin, None).map_err(failed)?;
    let asked = Enrol { name: ticket.name.clone(), token: ticket.token, csr };
    let mut why = "no controller was named".to_owned();
    for controller in controllers {
        let answer = match Line::open(*controller, &tls).await {
            Ok(mut line) => line.post::<_, Enrolled>(ENROL, &asked, client::ANSWER_MAX).await,
            Err(error) => Err(No::Broken(error)),
        };
        match answer {
            Ok(Enrolled { certificate, zone }) => {
                let identity = Identity {
                    name: ticket.name,
                    zone,
                    pin,
                    key: key.serialize_pem(),
                    certificate,
                    controllers: controllers.to_vec(),
                    is_removed: false,
                };
                identity.write(&mut mirror)?;
                return Ok(identity.name);
            }
            Err(no) => why = format!("{controller}: {no}"),
        }
    }
    Err(failed(format!("failed to enrol: {why}")))
}

/// A number that nobody can foresee, to spread waits by.
pub(super) fn spread(below: u64) -> u64 {
    random::<8>().map_or_else(|_| u64::from(std::process::id()), u64::from_ne_bytes) % below.max(1)
}
