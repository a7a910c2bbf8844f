//! Whom the agent believes: a controller whose certificate comes from the authority with the pinned SHA-256.
//!
//! In: the pin, and the agent's own certificate if it has one. Out: a TLS configuration.

use crate::identity::Identity;
use crate::options::Pin;
use rustls::ClientConfig;
use std::sync::Arc;

/// TLS towards controllers, showing `identity` if it is there.
pub(crate) fn client(ca_pin: Pin, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let own = match identity {
        Some(identity) => Some((identity.certificate()?, identity.key()?)),
        None => None,
    };
    pin::to_controller(ca_pin.0, own, api::agent::ALPN)
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
