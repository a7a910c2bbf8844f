//! Public areas (`TPMT_PUBLIC`, part 2 §12.2.4): what a key is, what it may do, and its name.

use crate::octets::{In, Malformed, Out};
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use sha2::{Digest, Sha256};

pub(crate) const RSA: u16 = 0x0001;
pub(crate) const AES: u16 = 0x0006;
pub(crate) const SHA256: u16 = 0x000B;
pub(crate) const NULL: u16 = 0x0010;
pub(crate) const ECDSA: u16 = 0x0018;
pub(crate) const ECC: u16 = 0x0023;
pub(crate) const CFB: u16 = 0x0043;
const P256: u16 = 0x0003;
const COORDINATE: usize = 32;
const MODULUS: usize = 256;
/// What RSA keys have if the area says 0 (part 2 §12.2.3.5).
const EXPONENT: u32 = 65_537;

/// `TPMA_OBJECT` (part 2 §8.3): fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
const OF_EK: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 16 | 1 << 17;
/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign: it signs nothing but what the TPM itself
/// has put together, and exists in no other TPM.
const OF_AK: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 18;
/// PolicyA: PolicySecret of the endorsement hierarchy (EK Credential Profile 2.4 §B.3.3).
const EK_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD,
    0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA,
];

/// A public area, as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Public {
    octets: Vec<u8>,
    attributes: u32,
    policy: Vec<u8>,
    key: Key,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Key {
    Rsa { symmetric: Symmetric, scheme: u16, modulus: Vec<u8>, exponent: u32 },
    Ecc { symmetric: Symmetric, scheme: (u16, u16), curve: u16, x: Vec<u8>, y: Vec<u8> },
}

/// Algorithm, bits, mode; the latter two are 0 without one.
type Symmetric = (u16, u16, u16);

impl Public {
    /// Reads one, whole.
    ///
    /// # Errors
    /// It is none, or of a kind that enrolment does not use.
    pub fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let mut from = In(octets);
        let kind = from.u16()?;
        if from.u16()? != SHA256 {
            return Err(Malformed("a key whose name is not by SHA-256"));
        }
        let attributes = from.u32()?;
        let policy = from.sized()?.to_vec();
        let key = match kind {
            RSA => rsa(&mut from)?,
            ECC => ecc(&mut from)?,
            _ => return Err(Malformed("a key of neither RSA nor an elliptic curve")),
        };
        from.end()?;
        Ok(Self { octets: octets.to_vec(), attributes, policy, key })
    }

    /// The octets that it was read from.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The name of the key: nobody has another key of this name (part 1 §16).
    pub fn name(&self) -> [u8; 34] {
        let mut name = [0; 34];
        name[..2].copy_from_slice(&SHA256.to_be_bytes());
        name[2..].copy_from_slice(&Sha256::digest(&self.octets));
        name
    }

    /// SHA-256 of it: by this an endorsement key is known.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.octets).into()
    }

    /// Whether it is an endorsement key by template L-1.
    pub fn is_ek(&self) -> bool {
        let Key::Rsa { symmetric, scheme, modulus, .. } = &self.key else { return false };
        self.attributes == OF_EK
            && self.policy == EK_POLICY
            && *symmetric == (AES, 128, CFB)
            && *scheme == NULL
            && modulus.len() == MODULUS
    }

    /// Whether it is an attestation key: the TPM that holds it signs with it only what it says itself.
    pub fn is_ak(&self) -> bool {
        let Key::Ecc { symmetric, scheme, curve, x, y } = &self.key else { return false };
        self.attributes == OF_AK
            && symmetric.0 == NULL
            && *scheme == (ECDSA, SHA256)
            && *curve == P256
            && x.len() <= COORDINATE
            && y.len() <= COORDINATE
    }

    /// What encrypts to it, if it is of RSA.
    pub(crate) fn encrypting(&self) -> Option<PublicEncryptingKey> {
        let Key::Rsa { modulus, exponent, .. } = &self.key else { return None };
        let exponent = exponent.to_be_bytes();
        let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
        PublicKeyComponents { n: modulus.as_slice(), e: &exponent[zeros..] }.try_into().ok()
    }

    /// The modulus of an RSA key, without leading zeros.
    pub fn modulus(&self) -> Option<&[u8]> {
        match &self.key {
            Key::Rsa { modulus, .. } => Some(modulus),
            Key::Ecc { .. } => None,
        }
    }

    /// The point of a P-256 key, uncompressed (SEC 1 §2.3.3).
    pub(crate) fn point(&self) -> Option<[u8; 1 + 2 * COORDINATE]> {
        let Key::Ecc { curve: P256, x, y, .. } = &self.key else { return None };
        let mut point = [0; 1 + 2 * COORDINATE];
        point[0] = 4;
        right(&mut point[1..=COORDINATE], x)?;
        right(&mut point[1 + COORDINATE..], y)?;
        Some(point)
    }
}

/// A number into a field of its size.
pub(crate) fn right(field: &mut [u8], number: &[u8]) -> Option<()> {
    let start = field.len().checked_sub(number.len())?;
    field[start..].copy_from_slice(number);
    Some(())
}

fn symmetric(from: &mut In<'_>) -> Result<Symmetric, Malformed> {
    match from.u16()? {
        NULL => Ok((NULL, 0, 0)),
        algorithm => Ok((algorithm, from.u16()?, from.u16()?)),
    }
}

/// A scheme and its hash; 0 if it has none.
fn scheme(from: &mut In<'_>) -> Result<(u16, u16), Malformed> {
    match from.u16()? {
        NULL => Ok((NULL, 0)),
        scheme => Ok((scheme, from.u16()?)),
    }
}

fn rsa(from: &mut In<'_>) -> Result<Key, Malformed> {
    let symmetric = symmetric(from)?;
    let (scheme, _) = scheme(from)?;
    let _bits = from.u16()?;
    let exponent = match from.u32()? {
        0 => EXPONENT,
        exponent => exponent,
    };
    Ok(Key::Rsa { symmetric, scheme, modulus: from.sized()?.to_vec(), exponent })
}

fn ecc(from: &mut In<'_>) -> Result<Key, Malformed> {
    let symmetric = symmetric(from)?;
    let scheme_of_key = scheme(from)?;
    let curve = from.u16()?;
    let _derivation = scheme(from)?;
    let (x, y) = (from.sized()?.to_vec(), from.sized()?.to_vec());
    Ok(Key::Ecc { symmetric, scheme: scheme_of_key, curve, x, y })
}

/// What the endorsement key is made from: the same key each time, for as long as the TPM is its own.
pub(crate) fn ek_template() -> Vec<u8> {
    let mut area = Out::default();
    area.u16(RSA).u16(SHA256).u32(OF_EK).sized(&EK_POLICY);
    area.u16(AES).u16(128).u16(CFB).u16(NULL).u16(2048).u32(0).sized(&[0; MODULUS]);
    area.0
}

/// What an attestation key is made from: another key for each `salt`.
pub(crate) fn ak_template(salt: &[u8; COORDINATE]) -> Vec<u8> {
    let mut area = Out::default();
    area.u16(ECC).u16(SHA256).u32(OF_AK).sized(&[]);
    area.u16(NULL).u16(ECDSA).u16(SHA256).u16(P256).u16(NULL).sized(salt).sized(&[]);
    area.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn templates_are_of_the_keys_that_they_are_for() {
        let ek = Public::read(&ek_template()).expect("read");
        let ak = Public::read(&ak_template(&[7; 32])).expect("read");
        assert_eq!((ek.is_ek(), ek.is_ak(), ak.is_ek(), ak.is_ak()), (true, false, false, true));
        assert_ne!(ak.name(), Public::read(&ak_template(&[8; 32])).expect("read").name());
    }

    /// A key that may do more, or that is elsewhere too, is no proof of this TPM.
    #[test]
    fn a_key_with_other_attributes_is_neither() {
        for bit in 0..32 {
            for (template, at) in [(ek_template(), 4), (ak_template(&[7; 32]), 4)] {
                let mut other = template.clone();
                let octet = at + 3 - bit / 8;
                other[octet] ^= 1 << (bit % 8);
                let public = Public::read(&other).expect("read");
                assert!(!public.is_ek() && !public.is_ak(), "bit {bit}");
            }
        }
        let mut policy = ek_template();
        policy[12] ^= 1;
        assert!(!Public::read(&policy).expect("read").is_ek());
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Public::read(&octets);
            for template in [ek_template(), ak_template(&[0; 32])] {
                let mut spoilt = template;
                for (at, octet) in octets.iter().enumerate().take(8) {
                    let place = (usize::from(*octet) + at * 37) % spoilt.len();
                    spoilt[place] = *octet;
                }
                if let Ok(public) = Public::read(&spoilt) {
                    let _ = (public.point(), public.encrypting().is_some(), public.is_ek(), public.is_ak());
                }
            }
        }
    }
}
