//! The zone's certificate authority.
//!
//! In: what the store keeps of it, public keys, and the time. Out: certificates. It is founded at the first start of a
//! controller and opened at every other; the store keeps certificate and key as one secret. The SHA-256 of its
//! certificate is the pin that boot command lines carry: public, and all that a machine needs to know its controller.
//! It never writes anything and never reads a clock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Location, Time};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Certificates begin this long ago, so that a controller whose clock runs behind another's accepts them.
const BACKDATED: Duration = HOUR;

/// The authority itself. A new one is a new pin on every boot command line, so it outlives the hardware.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// The server's certificate; it is made anew at every start.
const SERVER_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// An edge's certificate.
const EDGE_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// An agent's certificate.
const AGENT_LIFE: Duration = DAY;

/// An agent asks for the next one when half of its life is over: that leaves half a day of controllers being down.
const AGENT_RENEWAL: Duration = Duration::from_secs(12 * 3600);

/// Founds, opens, issues.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Issued {
    /// PEM.
    pub certificate: String,
    /// When the agent should ask for the next.
    pub renew_at: Time,
    /// When it is over.
    pub not_after: Time,
}

/// A certificate request whose proof is right: its sender holds the private key.
pub(crate) struct Request {
    key: rcgen::PublicKey,
    /// SHA-256 of the public key (its SubjectPublicKeyInfo, DER).
    pub(crate) key_sha256: [u8; 32],
}

impl Request {
    /// Reads a request (PEM, RFC 2986) and checks its proof.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub(crate) fn read(pem: &str) -> Result<Self, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(pem)
            .map_err(|_| AuthorityError::Request("it is not a certificate request, or its proof is wrong"))?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(AuthorityError::Request("the key is not a P-256 key"));
        }
        let key_sha256 = Sha256::digest(request.public_key.subject_public_key_info()).into();
        Ok(Self { key: request.public_key, key_sha256 })
    }
}

/// Why the authority cannot do its work.
#[derive(Debug)]
pub enum AuthorityError {
    /// What the store keeps is not an authority's certificate and key.
    Damaged(&'static str),
    /// What an agent asks to be signed is not a request we sign.
    Request(&'static str),
    /// The cryptography failed.
    Crypto(rcgen::Error),
    /// The TLS library does not take what was issued.
    Tls(rustls::Error),
    /// The operating system has no random numbers.
    Random,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(f, "failed to open the certificate authority: {what}"),
            Self::Request(what) => write!(f, "failed to sign a certificate request: {what}"),
            Self::Crypto(_) => f.write_str("failed to issue a certificate"),
            Self::Tls(_) => f.write_str("failed to set up tls"),
            Self::Random => f.write_str("failed to get random numbers"),
        }
    }
}

impl std::error::Error for AuthorityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Crypto(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Damaged(_) | Self::Request(_) | Self::Random => None,
        }
    }
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error)
    }
}

impl From<rustls::Error> for AuthorityError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens what the store keeps, or founds a new one for `zone`. The second value must be stored, durably, before
    /// anything is issued; it holds the private key. It is `None` when nothing is to be stored.
    ///
    /// # Errors
    /// [`AuthorityError::Damaged`]: what the store keeps is never replaced by itself, as that would cut off every agent.
    pub fn open_or_found(
        stored: Option<&[u8]>,
        zone: &str,
        now: Time,
    ) -> Result<(Self, Option<Vec<u8>>), AuthorityError> {
        match stored {
            Some(secret) => Ok((Self::open(secret)?, None)),
            None => Self::found(zone, now).map(|(authority, secret)| (authority, Some(secret))),
        }
    }

    fn found(zone: &str, now: Time) -> Result<(Self, Vec<u8>), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(&format!("zonewright {zone}"), now, AUTHORITY_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?;
        let secret = format!("{}{}", certificate.pem(), key.serialize_pem()).into_bytes();
        let authority = Self { certificate: certificate.into(), issuer: Issuer::new(params, key) };
        Ok((authority, secret))
    }

    fn open(secret: &[u8]) -> Result<Self, AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(secret)
            .map_err(|_| AuthorityError::Damaged("the stored secret holds no certificate"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(secret)
            .map_err(|_| AuthorityError::Damaged("the stored secret holds no private key"))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| AuthorityError::Damaged("the stored private key is not a P-256 key"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| AuthorityError::Damaged("the stored certificate cannot be read"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(AuthorityError::Damaged("the stored certificate and private key are not a pair"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer })
    }

    /// The pin: SHA-256 of the certificate.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The certificate as operators and firmware take it: PEM. Public.
    pub fn pem(&self) -> String {
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        let text = STANDARD.encode(&self.certificate);
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|letter| char::from(*letter)));
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE-----\n"
    }

    /// The certificate. Public.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A fresh key and certificate for the server at `addresses`, and of these names as far as a certificate can hold them.
    pub(crate) fn issue_server(
        &self,
        addresses: &[IpAddr],
        hosts: &[String],
        now: Time,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params("zonewright controller", now, SERVER_LIFE)?;
        let hosts = hosts.iter().filter_map(|host| host.as_str().try_into().ok().map(SanType::DnsName));
        params.subject_alt_names =
            addresses.iter().map(|address| SanType::IpAddress(*address)).chain(hosts).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    /// A certificate for the key in `request`, and for the edge of this name. It outlives controllers that are away for years: what
    /// revokes it is the list of keys.
    pub(crate) fn issue_edge(
        &self,
        request: &Request,
        name: &str,
        now: Time,
    ) -> Result<String, AuthorityError> {
        let mut params = params(name, now, EDGE_LIFE)?;
        let uri = format!("{}{name}", super::tls::EDGE);
        let uri = uri.as_str().try_into().map_err(|_| AuthorityError::Request("it cannot be named so"))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&request.key, &self.issuer)?.pem())
    }

    /// A certificate for the key in `request`, which firmware is shown by the edge at these addresses; and when it is over.
    pub(crate) fn issue_edge_server(
        &self,
        request: &Request,
        addresses: &[IpAddr],
        now: Time,
    ) -> Result<(String, Time), AuthorityError> {
        let mut params = params("zonewright edge", now, SERVER_LIFE)?;
        params.subject_alt_names = addresses.iter().map(|address| SanType::IpAddress(*address)).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok((params.signed_by(&request.key, &self.issuer)?.pem(), now + SERVER_LIFE))
    }

    /// A certificate for the key in `request`, and for the agent at `location`. What the request asks to be named is
    /// ignored.
    pub(super) fn issue_agent(
        &self,
        request: &Request,
        location: &Location,
        now: Time,
    ) -> Result<Issued, AuthorityError> {
        let mut params = params(location.as_str(), now, AGENT_LIFE)?;
        let name = super::tls::name_of(location)
            .try_into()
            .map_err(|_| AuthorityError::Request("the location cannot be written in a certificate"))?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&request.key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            renew_at: now + AGENT_RENEWAL,
            not_after: now + AGENT_LIFE,
        })
    }
}

/// What every certificate of ours has.
fn params(name: &str, now: Time, life: Duration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(now.0);
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
    // RFC 5280 §4.1.2.2: unique for each certificate, and unforeseeable.
    params.serial_number = Some(SerialNumber::from_slice(&random::<16>()?));
    params.distinguished_name = DistinguishedName::new();
    // A common name holds at most 64 characters (RFC 5280 appendix A.1); the whole one is the alternative name.
    let short: String = name.chars().take(64).collect();
    params.distinguished_name.push(DnType::CommonName, short);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Random octets from the TLS library's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut octets = [0; N];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut octets).map_err(|_| AuthorityError::Random)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000_000);

    #[test]
    fn an_authority_is_founded_once_and_opened_ever_after() {
        let (founded, secret) = Authority::open_or_found(None, "ams1", NOW).expect("founded");
        let secret = secret.expect("to be stored");
        let (opened, again) = Authority::open_or_found(Some(&secret), "ams1", NOW).expect("opened");
        assert_eq!((opened.sha256(), again), (founded.sha256(), None));
        let (other, _) = Authority::open_or_found(None, "ams1", NOW).expect("founded");
        assert_ne!(other.sha256(), founded.sha256());
        assert!(!format!("{founded:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_damaged_authority_is_an_error_and_never_replaced() {
        let stored =
            |zone| Authority::open_or_found(None, zone, NOW).expect("founded").1.expect("to be stored");
        let (ours, theirs) = (stored("ams1"), stored("fra1"));
        let text = String::from_utf8(ours.clone()).expect("PEM");
        let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE KEY").expect("a key"));
        let other = String::from_utf8(theirs).expect("PEM");
        let mixed =
            format!("{certificate}{}", &other[other.find("-----BEGIN PRIVATE KEY").expect("a key")..]);
        for damaged in [
            &b""[..],
            b"junk",
            certificate.as_bytes(),
            key.as_bytes(),
            mixed.as_bytes(),
            &ours[..ours.len() / 2],
        ] {
            let opened = Authority::open_or_found(Some(damaged), "ams1", NOW);
            assert!(matches!(opened, Err(AuthorityError::Damaged(_))), "{opened:?}");
        }
    }

    #[test]
    fn no_two_certificates_have_the_same_serial_number() {
        let (authority, _) = Authority::open_or_found(None, "ams1", NOW).expect("founded");
        let serial = || {
            let (der, _) = authority.issue_server(&[IpAddr::from([127, 0, 0, 1])], &[], NOW).expect("issued");
            let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("a certificate");
            parsed.raw_serial().to_vec()
        };
        assert_ne!(serial(), serial());
    }
}
