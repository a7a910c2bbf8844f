//! Against TPMs that others wrote: swtpm, each with its own state, on a socket.
//!
//! Without swtpm the tests say so and are passed over; `cargo xtask packages` installs it.

#[path = "../../../tests/emulated_tpm.rs"]
#[expect(dead_code, reason = "the agents' tests use all of it")]
mod emulated_tpm;

use emulated_tpm::Emulated;
use std::path::Path;
use tpm::{Credential, Public, Quote, Tpm, TpmError, WrongQuote, make_credential};

fn open(emulated: &Emulated, salt: u8) -> Tpm {
    Tpm::open(&emulated.socket(), &[salt; 32]).expect("a TPM")
}

const SECRET: [u8; 32] = [0x5A; 32];
const PCRS: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11];

fn ek(tpm: &Tpm) -> Public {
    let ek = Public::read(&tpm.shown().ek).expect("a public area");
    assert!(ek.is_ek());
    ek
}

fn ak(tpm: &Tpm) -> Public {
    let ak = Public::read(&tpm.shown().ak).expect("a public area");
    assert!(ak.is_ak());
    ak
}

fn wrapped(ek: &Public, ak: &Public) -> Credential {
    make_credential(ek, &ak.name(), &SECRET, &[0xA5; 32]).expect("wrapped")
}

fn is_refused(outcome: Result<Vec<u8>, TpmError>) -> bool {
    matches!(outcome, Err(TpmError::Refused("TPM2_ActivateCredential", _)))
}

#[test]
fn a_secret_is_read_by_the_tpm_and_for_the_key_that_it_was_wrapped_for() {
    let Some(emulated) = Emulated::new("credential") else { return };
    let mut tpm = open(&emulated, 1);
    let credential = wrapped(&ek(&tpm), &ak(&tpm));
    assert_eq!(tpm.activate(&credential).expect("opened"), SECRET);
    // The same again, and often: nothing is left behind in the TPM.
    for _ in 0..8 {
        assert_eq!(tpm.activate(&credential).expect("opened"), SECRET);
    }
    for at in [3, 40] {
        let mut spoilt = credential.clone();
        spoilt.blob[at] ^= 1;
        assert!(is_refused(tpm.activate(&spoilt)));
    }
    // The name of another key of this very TPM.
    let first = ak(&tpm);
    drop(tpm);
    let mut tpm = open(&emulated, 2);
    assert_ne!(first.name(), ak(&tpm).name());
    let swapped = wrapped(&ek(&tpm), &first);
    assert!(is_refused(tpm.activate(&swapped)));
    // Another TPM.
    let other = Emulated::new("credential-other").expect("as the first");
    let mut stranger = open(&other, 2);
    assert_ne!(ek(&tpm).sha256(), ek(&stranger).sha256());
    assert!(is_refused(stranger.activate(&wrapped(&ek(&tpm), &ak(&stranger)))));
    drop(tpm);
    assert_eq!(open(&emulated, 1).shown().ek_certificate, None);
    let certified = Emulated::with_certificate("credential-certified").expect("as the first");
    let certificate = open(&certified, 1).shown().ek_certificate.clone().expect("read");
    assert_eq!(certificate[0], 0x30, "DER of a certificate");
    // The endorsement key is the same whenever it is asked for.
    let again = |salt| ek(&open(&emulated, salt)).sha256();
    assert_eq!(again(3), again(4));
}

#[test]
fn a_quote_is_of_these_registers_and_answers_one_question() {
    let Some(mut emulated) = Emulated::new("quote") else { return };
    let mut tpm = open(&emulated, 1);
    let quote = tpm.quote(&[1; 32], &PCRS).expect("a quote");
    let before = quote.verify(&ak(&tpm), &[1; 32], &PCRS).expect("good");
    assert_eq!((before.pcrs[&0], before.pcrs.len()), ([0; 32], PCRS.len()));
    // Asked once, answered once.
    assert_eq!(quote.verify(&ak(&tpm), &[2; 32], &PCRS), Err(WrongQuote::Nonce));
    assert_eq!(quote.verify(&ak(&tpm), &[1; 32], &PCRS[1..]), Err(WrongQuote::Registers));
    let mut lie = quote.clone();
    lie.pcrs.insert(9, [1; 32]);
    assert_eq!(lie.verify(&ak(&tpm), &[1; 32], &PCRS), Err(WrongQuote::Registers));
    for at in 0..quote.attest.len() {
        let mut spoilt = quote.clone();
        spoilt.attest[at] ^= 1;
        assert_eq!(spoilt.verify(&ak(&tpm), &[1; 32], &PCRS), Err(WrongQuote::Signature), "{at}");
    }
    for at in 0..quote.signature.len() {
        let Quote { mut signature, attest, pcrs } = quote.clone();
        signature[at] ^= 1;
        assert!(Quote { signature, attest, pcrs }.verify(&ak(&tpm), &[1; 32], &PCRS).is_err(), "{at}");
    }
    let own = ak(&tpm);
    drop(tpm);
    // Something else was started.
    emulated.extend(9);
    let mut tpm = open(&emulated, 1);
    let quote = tpm.quote(&[3; 32], &PCRS).expect("a quote");
    let after = quote.verify(&own, &[3; 32], &PCRS).expect("good");
    let changed: Vec<u8> = PCRS.into_iter().filter(|pcr| before.pcrs[pcr] != after.pcrs[pcr]).collect();
    assert_eq!((changed, after.resets), (vec![9], before.resets));
    assert!(after.clock_ms >= before.clock_ms);
    drop(tpm);
    emulated.power_on();
    let again = open(&emulated, 2).quote(&[4; 32], &PCRS).expect("a quote");
    assert_eq!(again.verify(&own, &[4; 32], &PCRS), Err(WrongQuote::Signature), "another key");
    let mut tpm = open(&emulated, 1);
    let again = tpm.quote(&[4; 32], &PCRS).expect("a quote").verify(&own, &[4; 32], &PCRS).expect("good");
    assert!(again.resets > after.resets && again.pcrs == before.pcrs);
}

#[test]
fn what_is_no_tpm_is_told_and_nothing_more() {
    let path = |name: &str| Path::new("/dev").join(name);
    assert!(matches!(Tpm::open(&path("no-tpm"), &[0; 32]), Err(TpmError::Io(_))));
    assert!(Tpm::open(&path("zero"), &[0; 32]).is_err());
    assert!(Tpm::open(&path("null"), &[0; 32]).is_err());
}
