//! A secret that one TPM can read, and only if it holds the key that was named (part 1 §24; annex B.10.3 of part 1 for RSA).

use crate::octets::Out;
use crate::public::Public;
use aws_lc_rs::cipher::{AES_128, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey};

/// The secret, wrapped for `TPM2_ActivateCredential`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// `TPMS_ID_OBJECT`: an authentication code and the encrypted secret.
    pub blob: Vec<u8>,
    /// The seed that opens it, encrypted to the endorsement key.
    pub seed: Vec<u8>,
}

/// Wraps `secret` for the TPM whose endorsement key this is, if it holds the key of this name. `seed` is random, of
/// `secret`'s worth, and used once. `None` if the endorsement key is none of RSA that can be encrypted to.
pub fn make_credential(
    ek: &Public,
    name: &[u8; 34],
    secret: &[u8; 32],
    seed: &[u8; 32],
) -> Option<Credential> {
    let key = OaepPublicEncryptingKey::new(ek.encrypting()?).ok()?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    // The label is a text with its end.
    let seed_for_it =
        key.encrypt(&OAEP_SHA256_MGF1SHA256, seed, &mut encrypted, Some(b"IDENTITY\0")).ok()?.to_vec();

    let mut plain = Out::default();
    plain.sized(secret);
    let identity = cfb(&derive(seed, "STORAGE", name, 128)[..16], &plain.0)?;

    let code = hmac::Key::new(hmac::HMAC_SHA256, &derive(seed, "INTEGRITY", &[], 256));
    let mut code = hmac::Context::with_key(&code);
    code.update(&identity);
    code.update(name);
    let mut blob = Out::default();
    blob.sized(code.sign().as_ref()).octets(&identity);
    Some(Credential { blob: blob.0, seed: seed_for_it })
}

/// `KDFa` by SHA-256, for at most 256 bits (part 1 §11.4.10.2).
fn derive(key: &[u8], label: &str, context: &[u8], bits: u32) -> [u8; 32] {
    let mut code = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    code.update(&1_u32.to_be_bytes());
    code.update(label.as_bytes());
    code.update(&[0]);
    code.update(context);
    code.update(&bits.to_be_bytes());
    let mut derived = [0; 32];
    derived.copy_from_slice(code.sign().as_ref());
    derived
}

/// AES-128 in CFB mode from an initial vector of zeros, which the TPM has: the key is used once.
fn cfb(key: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundCipherKey::new(&AES_128, key).ok()?;
    let start = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    let mut key = StreamingEncryptingKey::less_safe_cfb128(key, start).ok()?;
    let mut octets = vec![0; plain.len() + 16];
    let written = key.update(plain, &mut octets).ok()?.written().len();
    let (_, rest) = key.finish(&mut octets[written..]).ok()?;
    let length = written + rest.written().len();
    octets.truncate(length);
    Some(octets)
}
