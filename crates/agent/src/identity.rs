//! What the agent keeps: its key, its certificate and its last orders.
//!
//! In and out: files of the state directory, each written whole (a new file, synced, renamed). The key never leaves the
//! directory and is readable by its owner only. Without the directory the agent goes on from memory, and enrols again
//! after its next boot.

use api::agent::{FromController, Secret};
use model::design::CheckFile;
use model::{Generation, Location, Time};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file of the state directory is never longer than this.
const FILE_MAX: u64 = 2 << 20;

/// The state directory.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

/// A key, and a certificate for it once there is one.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// For which place. A disk that was moved to another machine is no identity there.
    pub location: Location,
    /// Private key, PKCS #8, PEM.
    key: Secret,
    /// A TPM stood for it when it was enrolled. Not stored: neither is such a key.
    #[serde(skip)]
    pub is_by_tpm: bool,
    /// A controller may have enrolled this key, whether or not its reply arrived.
    pub offered: bool,
    /// The certificate, until it was issued.
    pub issued: Option<Issued>,
}

/// A certificate as the controller gave it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Issued {
    /// PEM.
    pub certificate: String,
    /// By the controller's clock.
    pub renew_at: Time,
    /// By the controller's clock.
    pub not_after: Time,
}

/// What the controller last wanted of this machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// For which place.
    pub location: Location,
    /// The plan in force.
    pub generation: Generation,
    /// The role's checks.
    pub checks: Vec<CheckFile>,
    /// The checks are run this often.
    pub check_seconds: u32,
}

impl Identity {
    /// A fresh key.
    pub(crate) fn new(location: &Location) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self {
            location: location.clone(),
            key: Secret(key.serialize_pem()),
            is_by_tpm: false,
            offered: false,
            issued: None,
        })
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER).
    pub(crate) fn key_sha256(&self) -> Result<[u8; 32], rcgen::Error> {
        let key = KeyPair::from_pem(&self.key.0)?;
        Ok(Sha256::digest(key.subject_public_key_info()).into())
    }

    /// A certificate request, PEM. It asks for no name: the controller knows who asks by where it asks from.
    pub(crate) fn request(&self) -> Result<String, rcgen::Error> {
        let key = KeyPair::from_pem(&self.key.0)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&key)?.pem()
    }

    /// Takes what the controller issued; `None` if that is another frame.
    pub(crate) fn with(mut self, frame: FromController) -> Option<Self> {
        let FromController::Certificate { certificate, renew_at, not_after, .. } = frame else { return None };
        self.issued = Some(Issued { certificate, renew_at, not_after });
        Some(self)
    }

    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>, rustls::Error> {
        let pem = self.issued.as_ref().map_or("", |issued| issued.certificate.as_str());
        CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| rustls::Error::General("the stored certificate cannot be read".into()))
    }

    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, rustls::Error> {
        PrivateKeyDer::from_pem_slice(self.key.0.as_bytes())
            .map_err(|_| rustls::Error::General("the stored key cannot be read".into()))
    }
}

impl StateDir {
    /// Opens the directory, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }

    /// The identity for `location`, if one is kept.
    pub(crate) fn identity(&self, location: &Location) -> Result<Option<Identity>, String> {
        let kept: Option<Identity> = self.read("identity.json")?;
        Ok(kept.filter(|identity| identity.location == *location))
    }

    /// The orders for `location`, if they are kept.
    pub(crate) fn orders(&self, location: &Location) -> Result<Option<Orders>, String> {
        let kept: Option<Orders> = self.read("orders.json")?;
        Ok(kept.filter(|orders| orders.location == *location))
    }

    /// A key that a TPM stands for stays in memory: on a disk it could leave the machine, and the TPM cannot.
    pub(crate) fn keep_identity(&self, identity: &Identity) -> Result<(), String> {
        if !identity.is_by_tpm {
            return self.write("identity.json", identity);
        }
        let path = self.0.join("identity.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("failed to remove {}: {error}", path.display()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn keep_orders(&self, orders: &Orders) -> Result<(), String> {
        self.write("orders.json", orders)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, String> {
        let path = self.0.join(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > FILE_MAX => {
                return Err(format!("failed to read {}: too long", path.display()));
            }
            _ => {}
        }
        let failed = |error: &dyn std::fmt::Display| format!("failed to read {}: {error}", path.display());
        let octets = fs::read(&path).map_err(|error| failed(&error))?;
        serde_json::from_slice(&octets).map(Some).map_err(|error| failed(&error))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), String> {
        let (path, fresh) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let written = || -> io::Result<()> {
            let octets = serde_json::to_vec(value)?;
            // A leftover of a crash may have other permissions; the mode counts only for a file that is made.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(&octets)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(&self.0)?.sync_all()
        };
        written().map_err(|error| format!("failed to write {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("zw-agent-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn an_identity_is_kept_for_its_place_only_and_for_its_owner_only() {
        let path = scratch("identity");
        let state = StateDir::open(&path).expect("made");
        let place = Location::new("ams1/p01/r1/u01");
        assert!(state.identity(&place).expect("read").is_none());
        let identity = Identity::new(&place).expect("a key");
        state.keep_identity(&identity).expect("kept");
        state.keep_identity(&identity).expect("kept again");
        assert!(state.identity(&place).expect("read").is_some());
        assert!(state.identity(&Location::new("ams1/p01/r1/u02")).expect("read").is_none());
        let mode = |name: &str| fs::metadata(path.join(name)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("."), mode("identity.json")), (0o700, 0o600));
        fs::remove_dir_all(&path).expect("removed");
    }

    #[test]
    fn a_damaged_file_is_named_and_not_taken() {
        let path = scratch("damaged");
        let state = StateDir::open(&path).expect("made");
        fs::write(path.join("orders.json"), "{").expect("written");
        let error = state.orders(&Location::new("a")).expect_err("damaged");
        assert!(error.contains("orders.json"), "{error}");
        fs::remove_dir_all(&path).expect("removed");
    }

    #[test]
    fn the_key_is_not_in_the_request_nor_in_any_debug_form() {
        let identity = Identity::new(&Location::new("ams1/u1")).expect("a key");
        assert!(identity.key.0.contains("PRIVATE KEY"));
        assert!(!identity.request().expect("a request").contains("PRIVATE"));
        assert_eq!(format!("{:?}", identity.key), "Secret");
    }
}
