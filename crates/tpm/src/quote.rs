//! What a TPM says of its registers, signed (`TPMS_ATTEST` of a quote, part 2 §10.12.8).

use crate::Pcr;
use crate::octets::{In, Malformed};
use crate::public::{ECDSA, Public, SHA256, right};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// `TPM_GENERATED_VALUE`: nothing that others give a TPM to sign with a restricted key begins so (part 2 §6.2).
const MAGIC: u32 = 0xFF54_4347;
/// `TPM_ST_ATTEST_QUOTE`.
const QUOTE: u16 = 0x8018;

/// A quote, as it came, with the values that its digest is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub attest: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The registers.
    pub pcrs: BTreeMap<Pcr, [u8; 32]>,
}

/// The question that a quote answers at an enrolment: nobody else knows the token, and the answer is of use for this key only.
pub fn nonce(token: &[u8; 32], key_sha256: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"zonewright enrolment\0")
        .chain_update(token)
        .chain_update(key_sha256)
        .finalize()
        .into()
}

/// What a good quote says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// The registers.
    pub pcrs: BTreeMap<Pcr, [u8; 32]>,
    /// How often the TPM was reset, which is: how often the machine was powered on or reset.
    pub resets: u32,
    /// Milliseconds that the TPM has run, since it was last cleared.
    pub clock_ms: u64,
}

/// Why a quote proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongQuote {
    /// It is none.
    Malformed(Malformed),
    /// It was signed by another key, or changed since.
    Signature,
    /// It answers another question: an old one, or somebody else's.
    Nonce,
    /// It is not about the registers that were asked for, or the values are others than it says.
    Registers,
}

impl fmt::Display for WrongQuote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "its quote is {malformed}"),
            Self::Signature => f.write_str("its quote is not signed by the key that was named"),
            Self::Nonce => f.write_str("its quote answers another question"),
            Self::Registers => f.write_str("its quote is not of the registers that were asked for"),
        }
    }
}

impl std::error::Error for WrongQuote {}

impl From<Malformed> for WrongQuote {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Quote {
    /// What it says, if it is signed by `ak`, answers `nonce`, and is of exactly the registers `wanted`, which are ascending.
    ///
    /// # Errors
    /// The first reason why it proves nothing.
    pub fn verify(&self, ak: &Public, nonce: &[u8; 32], wanted: &[Pcr]) -> Result<Quoted, WrongQuote> {
        let signature = signature(&self.signature)?;
        let point = ak.point().ok_or(WrongQuote::Signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(&self.attest, &signature)
            .map_err(|_| WrongQuote::Signature)?;

        let mut from = In(&self.attest);
        if (from.u32()?, from.u16()?) != (MAGIC, QUOTE) {
            return Err(Malformed("another statement than a quote").into());
        }
        let _signer = from.sized()?;
        if from.sized()? != nonce {
            return Err(WrongQuote::Nonce);
        }
        let (clock_ms, resets, _restarts, _safe) = (from.u64()?, from.u32()?, from.u32()?, from.u8()?);
        let _firmware = from.u64()?;
        let selected = selection(&mut from)?;
        let digest = from.sized()?;
        from.end()?;
        let of_values =
            self.pcrs.values().fold(Sha256::new(), |hash, value| hash.chain_update(value)).finalize();
        if selected != wanted || !self.pcrs.keys().eq(wanted) || digest != of_values.as_slice() {
            return Err(WrongQuote::Registers);
        }
        Ok(Quoted { pcrs: self.pcrs.clone(), resets, clock_ms })
    }
}

/// The registers of a `TPML_PCR_SELECTION` of one bank, ascending.
pub(crate) fn selection(from: &mut In<'_>) -> Result<Vec<Pcr>, Malformed> {
    if (from.u32()?, from.u16()?) != (1, SHA256) {
        return Err(Malformed("registers of other banks than SHA-256"));
    }
    let length = from.u8()?;
    let map = from.octets(length.into())?;
    let is_set = |pcr: &Pcr| map.get(usize::from(pcr / 8)).is_some_and(|octet| octet & 1 << (pcr % 8) != 0);
    Ok((0..length.saturating_mul(8)).filter(is_set).collect())
}

/// `r` and `s` of a `TPMT_SIGNATURE` by ECDSA and SHA-256, each in 32 octets.
fn signature(octets: &[u8]) -> Result<[u8; 64], Malformed> {
    let mut from = In(octets);
    if (from.u16()?, from.u16()?) != (ECDSA, SHA256) {
        return Err(Malformed("a signature of another kind"));
    }
    let mut signature = [0; 64];
    let long = || Malformed("a signature that is too long");
    right(&mut signature[..32], from.sized()?).ok_or_else(long)?;
    right(&mut signature[32..], from.sized()?).ok_or_else(long)?;
    from.end()?;
    Ok(signature)
}
