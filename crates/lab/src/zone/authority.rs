//! What machines that boot by HTTPS are given before: the certificate of the zone's authority, as an operator gives it to firmware.

use super::{Zone, api, boots_by_https};
use crate::error::{Doing, Error};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// The file that real firmware gets.
const FILE: &str = "authorities";

/// EFI_CERT_X509_GUID, and an owner, which says nothing: GUIDs as they lie in memory (UEFI 2.10 §32.4.1).
const X509: [u8; 16] =
    [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
const OWNER: [u8; 16] = *b"zonewright lab\0\0";
/// Octets before the certificate in its list: type, three lengths.
const HEAD: usize = 28;

/// Where real firmware finds it.
pub(super) fn for_firmware(zone: &Zone) -> PathBuf {
    zone.start.directory.path.join(FILE)
}

/// Asks the controller for it, if a machine of the zone boots by HTTPS.
///
/// # Errors
/// If it is not to be had, or cannot be written down.
pub(super) async fn learn(zone: &Zone) -> Result<(), Error> {
    if !zone.topology.hosts.iter().any(|host| boots_by_https(&zone.plan, host.device)) {
        return Ok(());
    }
    let told = api::get(zone, "/v1/authority").await?;
    let pem = told["certificate"].as_str().unwrap_or_default();
    let certificate =
        CertificateDer::from_pem_slice(pem.as_bytes()).doing(|| "understand the zone's authority")?;
    let path = for_firmware(zone);
    let list = list(&certificate).ok_or_else(|| Error::new("write down the zone's authority"))?;
    fs::write(&path, list).doing(|| format!("write {}", path.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).doing(|| "believe the zone's authority")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .doing(|| "set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // It is learnt once.
    let _ = zone.believed.set(Arc::new(config));
    Ok(())
}

/// A certificate as an EFI_SIGNATURE_LIST of one.
fn list(certificate: &[u8]) -> Option<Vec<u8>> {
    let entry = OWNER.len() + certificate.len();
    let whole = u32::try_from(HEAD + entry).ok()?;
    let entry = u32::try_from(entry).ok()?;
    let mut list = X509.to_vec();
    for length in [whole, 0, entry] {
        list.extend(length.to_le_bytes());
    }
    list.extend(OWNER);
    list.extend(certificate);
    Some(list)
}
