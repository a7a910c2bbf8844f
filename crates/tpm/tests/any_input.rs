//! Any octets are a public area, a quote or a signature, or the reason why not. The checks are those of the fuzz target
//! `tpm`, which includes this file; here they run with a fixed seed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use std::sync::OnceLock;
use tpm::{Public, Quote, make_credential};

const NONCE: [u8; 32] = [0x4E; 32];
const PCRS: [u8; 3] = [0, 2, 7];

/// What a peer shows. The first octet says as what it is read.
pub(crate) fn tpm(data: &[u8]) {
    let Some((as_what, octets)) = data.split_first() else { return };
    match as_what % 3 {
        0 => public(octets),
        1 => attest(octets),
        _ => signature(octets),
    }
}

fn public(octets: &[u8]) {
    let Ok(public) = Public::read(octets) else { return };
    assert_eq!(public.octets(), octets, "all of it is its name");
    assert!(!(public.is_ek() && public.is_ak()));
    let credential = make_credential(&public, &public.name(), &[1; 32], &[2; 32]);
    assert!(credential.is_none() || public.modulus().is_some());
}

/// Whoever holds an attestation key may sign anything that begins as a TPM's own statement does, if the key is not in a TPM.
fn attest(octets: &[u8]) {
    let pcrs = PCRS.into_iter().map(|pcr| (pcr, [pcr; 32])).collect();
    let quote = Quote { attest: octets.to_vec(), signature: signed(octets), pcrs };
    if let Ok(quoted) = quote.verify(ak(), &NONCE, &PCRS) {
        assert_eq!(quoted.pcrs, quote.pcrs);
        assert!(octets.windows(NONCE.len()).any(|window| window == NONCE), "it answers the question");
    }
}

fn signature(octets: &[u8]) {
    let quote = Quote { attest: statement(), signature: octets.to_vec(), pcrs: Default::default() };
    assert!(
        quote.verify(ak(), &NONCE, &PCRS).is_err(),
        "nobody guesses a signature, and the values are missing"
    );
}

fn key() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
}

/// `TPMT_SIGNATURE` by ECDSA and SHA-256.
fn signed(octets: &[u8]) -> Vec<u8> {
    let signature = key().sign(&SystemRandom::new(), octets).expect("signed");
    let (r, s) = signature.as_ref().split_at(32);
    [&[0, 0x18, 0, 0x0B, 0, 32], r, &[0, 32], s].concat()
}

/// The key's public area, as a TPM would show it.
fn ak() -> &'static Public {
    static AK: OnceLock<Public> = OnceLock::new();
    AK.get_or_init(|| {
        let head = [0, 0x23, 0, 0x0B, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0B, 0, 3, 0, 0x10];
        let (x, y) = key().public_key().as_ref()[1..].split_at(32);
        let ak = Public::read(&[&head, &[0, 32][..], x, &[0, 32], y].concat()).expect("a public area");
        assert!(ak.is_ak());
        ak
    })
}

/// `TPMS_ATTEST` of a quote of [`PCRS`], each full of its own number.
fn statement() -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let digest = PCRS.into_iter().fold(Sha256::new(), |hash, pcr| hash.chain_update([pcr; 32])).finalize();
    let clock = [[0; 8].as_slice(), &[0, 0, 0, 5], &[0; 4], &[1]].concat();
    let selected = [0, 0, 0, 1, 0, 0x0B, 3, 0b1000_0101, 0, 0];
    [
        &[0xFF, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 0, 0, 32],
        NONCE.as_slice(),
        &clock,
        &[0; 8],
        &selected,
        &[0, 32],
        &digest,
    ]
    .concat()
}

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod with_a_fixed_seed {
    use super::spoil::spoil;
    use super::{NONCE, PCRS, Quote, ak, signed, statement};

    #[test]
    fn what_a_peer_shows() {
        // What is right is taken, or the rest would prove nothing.
        let pcrs = PCRS.into_iter().map(|pcr| (pcr, [pcr; 32])).collect();
        let quote = Quote { attest: statement(), signature: signed(&statement()), pcrs };
        assert_eq!(quote.verify(ak(), &NONCE, &PCRS).map(|quoted| quoted.resets), Ok(5));

        let tagged = |tag: u8, octets: &[u8]| [&[tag], octets].concat();
        let ek = [
            &[0, 1, 0, 0x0B, 0, 3, 0, 0xB2, 0, 32][..],
            &[0x83; 32],
            &[0, 6, 0, 128, 0, 0x43, 0, 0x10, 8, 0, 0, 0, 0, 0, 1, 0],
            &[0xC5; 256],
        ];
        let samples = [
            tagged(0, ak().octets()),
            tagged(0, &ek.concat()),
            tagged(1, &statement()),
            tagged(2, &signed(&statement())),
        ];
        let pieces: [&[u8]; 5] = [&[0, 0], &[0xFF, 0xFF], &[0, 0x10], &[0, 32], &NONCE];
        spoil(&samples, &pieces, 4_000, super::tpm);
    }
}
