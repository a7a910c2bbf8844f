//! TLS to a BMC. Its certificate is of its own making, expired, and for another name; so it is known by its SHA-256, which is
//! learned when the BMC is adopted and held against it ever after.
//!
//! RSA keys below 2048 bits, certificates of version 1 and TLS below 1.2 are not taken: the TLS library does not know them. A BMC that
//! has such a one needs a new certificate, or a newer firmware.

use pin::Judge;
use rustls::{CertificateError, ClientConfig};
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
    let shown = Shown::default();
    let judge = Certificate { trust, shown: Arc::clone(&shown) };
    let config = pin::client(judge, rustls::DEFAULT_VERSIONS)?.with_no_client_auth();
    Ok((Arc::new(config), shown))
}

#[derive(Debug)]
struct Certificate {
    trust: Trust,
    shown: Shown,
}

impl Judge for Certificate {
    /// By the SHA-256 alone.
    fn judge(&self, server: &pin::Shown<'_>) -> Result<(), rustls::Error> {
        let shown = Fingerprint(Sha256::digest(server.certificate).into());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.trust {
            Trust::Pinned(known) if known != shown => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }
}
