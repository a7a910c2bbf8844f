//! Places that are proved by a TPM: the real agent with TPMs of swtpm, and whoever says that he is it.

use crate::agent::{Running, pin, start_with, state_dir};
use crate::bench::{BEGIN, Bench, PATIENCE, U01, U02, own_mac, u01, u02};
use crate::client::{Client, Identity, csr, enrol, enrolled, hello, key, renew, token_request};
use crate::emulated_tpm::{self, Emulated};
use ::agent::Notice;
use ::tpm::{Credential, Public, Tpm};
use api::agent::{Because, FromAgent, FromController, Octets, Secret, ShownQuote, ShownTpm, VERSION};
use model::Location;
use model::design::{TpmTrust, Trust};
use model::event::{What, Wish};
use model::facts::State;
use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

fn trust(pcrs: &[u8]) -> Trust {
    Trust::Tpm(TpmTrust { pcrs: pcrs.to_vec(), makers: None })
}

async fn bench() -> Bench {
    let bench = Bench::today().await;
    bench.want(trust(&[0, 2, 7, 9]));
    bench
}

fn agent(bench: &Bench, name: &str, tpm: &Path) -> Running {
    start_with(bench, state_dir(name), pin(bench), false, tpm)
}

fn refused(words: &'static str) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Refused { sentence, .. } if sentence.contains(words))
}

fn wish(bench: &Bench, location: &Location, wish: Wish) {
    bench.happen(location, operators(wish));
}

fn operators(wish: Wish) -> What {
    What::Operator { by: "op".into(), wish, beyond_budget: false }
}

/// A peer that has a TPM and says by hand what an agent would.
struct Hand {
    client: Client,
    tpm: Tpm,
    location: Location,
    key: KeyPair,
}

impl Hand {
    async fn new(bench: &Bench, source: Ipv4Addr, location: Location, tpm: &Emulated, salt: u8) -> Self {
        let client = Client::connect(bench, source, None).await.expect("connected");
        let tpm = Tpm::open(&tpm.socket(), &[salt; 32]).expect("a TPM");
        Self { client, tpm, location, key: key() }
    }

    fn shows(&self) -> FromAgent {
        let shown = self.tpm.shown().clone();
        let shown = ShownTpm {
            ek: Octets(shown.ek),
            ek_certificate: shown.ek_certificate.map(Octets),
            ak: Octets(shown.ak),
        };
        showing(&self.location, shown)
    }

    async fn challenge(&mut self) -> (Credential, Vec<u8>) {
        match self.client.ask(&self.shows()).await {
            Some(FromController::Challenge { credential, seed, pcrs, .. }) => {
                (Credential { blob: credential.0, seed: seed.0 }, pcrs)
            }
            other => panic!("no challenge: {other:?}"),
        }
    }

    fn answer(&mut self, credential: &Credential, pcrs: &[u8]) -> FromAgent {
        let token: [u8; 32] = self.tpm.activate(credential).expect("opened").try_into().expect("a token");
        let key_sha256 = Sha256::digest(self.key.subject_public_key_info()).into();
        let quote = self.tpm.quote(&::tpm::nonce(&token, &key_sha256), pcrs).expect("a quote");
        let quote = ShownQuote {
            attest: Octets(quote.attest),
            signature: Octets(quote.signature),
            pcrs: quote.pcrs.into_iter().map(|(pcr, value)| (pcr, Octets(value.to_vec()))).collect(),
        };
        FromAgent::Enrol {
            version: VERSION,
            location: self.location.clone(),
            token: Secret(Octets(token.to_vec()).to_string()),
            csr: csr(&self.key),
            quote: Some(Box::new(quote)),
        }
    }

    async fn enrols(mut self) -> Identity {
        let (credential, pcrs) = self.challenge().await;
        let answer = self.answer(&credential, &pcrs);
        match self.client.ask(&answer).await {
            Some(FromController::Certificate { certificate, .. }) => Identity { key: self.key, certificate },
            other => panic!("no certificate: {other:?}"),
        }
    }
}

fn showing(location: &Location, shown: ShownTpm) -> FromAgent {
    FromAgent::TokenRequest {
        version: VERSION,
        location: location.clone(),
        mac: None,
        tpm: Some(Box::new(shown)),
    }
}

#[tokio::test]
async fn an_agent_proves_itself_by_its_tpm_and_its_key_is_on_no_disk() {
    let Some(tpm) = Emulated::new("proves") else { return };
    let bench = bench().await;
    let running = agent(&bench, "tpm", &tpm.socket());
    running.until(1, refused("nothing was heard from this place yet")).await;
    bench.boot(&u01(), own_mac());
    let machine = bench.until(&u01(), |machine| machine.state == State::Ready).await;
    let known = machine.tpm.expect("it is known by its TPM");
    assert_eq!(known.pcrs.iter().map(|(pcr, _)| *pcr).collect::<Vec<_>>(), [0, 2, 7, 9]);
    assert!(!running.state_dir.join("identity.json").exists());
    // The agent starts anew in the same boot: what it has in memory is gone, and the TPM is reason enough.
    drop(running);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    let running = agent(&bench, "tpm-again", &tpm.socket());
    running.until(1, |notice| matches!(notice, Notice::Enrolled)).await;
    let again = bench.until(&u01(), |machine| machine.is_connected() && machine.state == State::Ready).await;
    assert_eq!(again.tpm.map(|tpm| tpm.ek_sha256), Some(known.ek_sha256));
    assert_ne!(again.key_sha256, machine.key_sha256);
}

#[tokio::test]
async fn something_else_was_started_and_nobody_has_accepted_it() {
    let Some(mut tpm) = Emulated::new("changed") else { return };
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    let running = agent(&bench, "changed", &tpm.socket());
    bench.until(&u01(), |machine| machine.state == State::Ready).await;
    drop(running);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    tpm.power_on();
    tpm.extend(9);
    bench.boot(&u01(), own_mac());
    let running = agent(&bench, "changed", &tpm.socket());
    running.until(1, refused("its kernel or initial RAM disk changed since it was accepted (PCR 9)")).await;
    let machine = bench.machine(&u01());
    assert!(machine.unproved.as_ref().is_some_and(|why| why.contains("PCR 9")), "its people are told");
    assert!(!machine.is_connected());
    wish(&bench, &u01(), Wish::Accept);
    let machine = bench.until(&u01(), |machine| machine.is_connected()).await;
    assert_eq!(machine.unproved, None);
}

/// Whoever has everything of a machine but its TPM: address, hardware address, port.
#[tokio::test]
async fn a_clone_without_the_tpm_is_asked_for_it_and_gets_nothing() {
    let Some(tpm) = Emulated::new("clone") else { return };
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    let identity = Hand::new(&bench, U01, u01(), &tpm, 1).await.enrols().await;
    for _ in 0..2 {
        bench.boot(&u01(), own_mac());
        let mut client = Client::connect(&bench, U01, None).await.expect("connected");
        let reply = client.ask(&token_request(&u01(), Some(own_mac()))).await;
        assert_eq!(reply, Some(FromController::ShowTpm {}));
        let guess = enrol(&u01(), &Secret("00".repeat(32)), &key());
        assert_eq!(client.refusal(&guess).await.0, Because::Token);
        // A TPM of his own.
        let own = Emulated::new("clone-own").expect("as the first");
        let mut other = Hand::new(&bench, U01, u01(), &own, 1).await;
        let (because, why) = other.client.refusal(&other.shows()).await;
        assert_eq!(because, Because::NotProved);
        assert!(why.starts_with("it has another TPM than the machine that was accepted here"), "{why}");
        // What was once proved by a TPM is not believed for less, whatever the design says later.
        bench.want(Trust::Port);
    }
    // Its key, from a disk or a memory: a boot was seen since, and the TPM has to prove that boot.
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    let (because, why) = client.refusal(&hello(&u01())).await;
    assert_eq!((because, why.as_str()), (Because::Certificate, "its TPM has to prove this boot first"));
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&renew(&u01(), &identity.key)).await.0, Because::Certificate);
}

#[tokio::test]
async fn a_tpm_speaks_for_one_place() {
    let Some(tpm) = Emulated::new("place") else { return };
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    bench.boot(&u02(), model::Mac([2, 0, 0, 0, 0, 2]));
    Hand::new(&bench, U01, u01(), &tpm, 1).await.enrols().await;
    let mut moved = Hand::new(&bench, U02, u02(), &tpm, 2).await;
    let (because, why) = moved.client.refusal(&moved.shows()).await;
    assert_eq!(because, Because::NotProved);
    assert!(why.starts_with("its TPM is the one of p01/r1/u01"), "{why}");
    drop(moved);
    // To accept its new place leaves the TPM where it is, and so says why.
    assert_eq!(bench.try_to(&u02(), operators(Wish::Accept)).as_ref(), Some(&why));
    assert_eq!(bench.machine(&u02()).unproved, Some(why));
    wish(&bench, &u01(), Wish::Retire { reason: "its board went to u02".into() });
    Hand::new(&bench, U02, u02(), &tpm, 3).await.enrols().await;
    assert!(bench.machine(&u02()).tpm.is_some());
}

#[tokio::test]
async fn a_copy_of_a_tpm_runs_behind_it() {
    let Some(mut tpm) = Emulated::new("copy") else { return };
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    tpm.power_off();
    let copy = tpm.copy("copy-copy");
    // The true one is reset twice meanwhile.
    for _ in 0..2 {
        tpm.power_on();
        drop(Tpm::open(&tpm.socket(), &[1; 32]).expect("a TPM that has started"));
    }
    Hand::new(&bench, U01, u01(), &tpm, 1).await.enrols().await;
    bench.boot(&u01(), own_mac());
    let mut stolen = Hand::new(&bench, U01, u01(), &copy, 2).await;
    let (credential, pcrs) = stolen.challenge().await;
    let answer = stolen.answer(&credential, &pcrs);
    let (because, why) = stolen.client.refusal(&answer).await;
    assert_eq!(because, Because::NotProved);
    assert!(why.starts_with("its TPM counts fewer resets"), "{why}");
}

#[tokio::test]
async fn a_challenge_is_answered_once_in_time_and_by_who_was_asked() {
    let Some(tpm) = Emulated::new("once") else { return };
    let bench = Bench::with(BEGIN, Duration::from_secs(20), PATIENCE).await;
    bench.want(trust(&[0, 7]));
    bench.boot(&u01(), own_mac());
    // Replayed: the answer to an earlier question, for another key or another token.
    let mut first = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let (credential, pcrs) = first.challenge().await;
    assert_eq!(pcrs, [0, 7]);
    let old = first.answer(&credential, &pcrs);
    drop(first);
    let mut second = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let (credential, pcrs) = second.challenge().await;
    assert_eq!(second.client.refusal(&old).await, (Because::Token, "the token is not this machine's".into()));
    drop(second);
    let mut third = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    assert!(third.tpm.activate(&credential).is_ok(), "the same keys, and yet");
    let (credential, pcrs_of_third) = third.challenge().await;
    assert_eq!(pcrs, pcrs_of_third);
    let FromAgent::Enrol { version, location, csr, token, .. } = third.answer(&credential, &pcrs) else {
        panic!()
    };
    let FromAgent::Enrol { quote, .. } = old.clone() else { panic!() };
    let replayed = FromAgent::Enrol { version, location, token, csr, quote };
    let (because, why) = third.client.refusal(&replayed).await;
    assert_eq!((because, why.as_str()), (Because::NotProved, "its quote answers another question"));
    drop(third);
    // On another connection: what was shown there was not shown here.
    let mut fourth = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let (credential, pcrs) = fourth.challenge().await;
    let answer = fourth.answer(&credential, &pcrs);
    let mut other = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(other.refusal(&answer).await, (Because::Token, "no TPM was shown on this connection".into()));
    // From another place.
    let mut other = Client::connect(&bench, U02, None).await.expect("connected");
    assert_eq!(other.refusal(&answer).await.0, Because::WrongPlace);
    // Too late.
    bench.advance(Duration::from_secs(15 * 60));
    assert_eq!(fourth.client.refusal(&answer).await, (Because::Token, "the token is over".into()));
    drop(fourth);
    // Twice.
    let mut fifth = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let (credential, pcrs) = fifth.challenge().await;
    let answer = fifth.answer(&credential, &pcrs);
    assert!(matches!(fifth.client.ask(&answer).await, Some(FromController::Certificate { .. })));
    let mut again = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(again.refusal(&answer).await, (Because::Token, "the token of this boot was used".into()));
}

/// Keys that are not what they should be: each would make a quote worth nothing.
#[tokio::test]
async fn keys_that_prove_nothing_are_refused() {
    let Some(tpm) = Emulated::new("keys") else { return };
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    let hand = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let shown = hand.tpm.shown().clone();
    drop(hand);
    let with = |ek: &[u8], ak: &[u8]| {
        let shown = ShownTpm { ek: Octets(ek.to_vec()), ek_certificate: None, ak: Octets(ak.to_vec()) };
        showing(&u01(), shown)
    };
    // A key that is not restricted signs whatever it is given.
    let mut loose = shown.ak.clone();
    loose[5] ^= 1;
    assert!(Public::read(&loose).is_ok_and(|public| !public.is_ak()));
    let cases = [
        (with(&shown.ek, &loose), "its attestation key may sign what is not its TPM's own statement"),
        (with(&shown.ek, &shown.ek), "its attestation key may sign"),
        (with(&shown.ak, &shown.ak), "its endorsement key is not by the template"),
        (with(&[], &[]), "it ends too early"),
    ];
    for (frame, expected) in cases {
        let mut client = Client::connect(&bench, U01, None).await.expect("connected");
        let (because, why) = client.refusal(&frame).await;
        assert!(because == Because::NotProved && why.contains(expected), "{because:?} {why}");
    }
    assert!(bench.machine(&u01()).tpm.is_none());
}

#[tokio::test]
async fn a_tpm_is_of_a_maker_that_the_design_lists() {
    let Some(tpm) = Emulated::with_certificate("maker") else { return };
    let other = Emulated::with_certificate("maker-other").expect("as the first");
    let bench = bench().await;
    let makers = |text: String| bench.want(Trust::Tpm(TpmTrust { pcrs: vec![0], makers: Some(text.into()) }));
    bench.boot(&u01(), own_mac());
    makers(other.maker());
    let mut hand = Hand::new(&bench, U01, u01(), &tpm, 1).await;
    let (because, why) = hand.client.refusal(&hand.shows()).await;
    assert_eq!(because, Because::NotProved);
    assert_eq!(why, "its TPM's certificate is signed by none of the makers that the design lists");
    // Another TPM's certificate, of the right maker.
    makers(other.maker());
    let theirs = Tpm::open(&other.socket(), &[1; 32]).expect("a TPM").shown().ek_certificate.clone();
    let own = hand.tpm.shown().clone();
    drop(hand);
    let borrowed = ShownTpm { ek: Octets(own.ek), ek_certificate: theirs.map(Octets), ak: Octets(own.ak) };
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let (_, why) = client.refusal(&showing(&u01(), borrowed)).await;
    assert_eq!(why, "its TPM's certificate is for another key");
    makers(format!("{}{}", other.maker(), tpm.maker()));
    Hand::new(&bench, U01, u01(), &tpm, 2).await.enrols().await;
    assert!(bench.machine(&u01()).tpm.is_some());
}

/// The design asks for more than before: what runs goes on, and the next boot is proved.
#[tokio::test]
async fn machines_that_run_when_the_design_begins_to_ask_are_proved_at_their_next_boot() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    bench.want(trust(&[0]));
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    let welcome = client.ask(&hello(&u01())).await;
    assert!(matches!(welcome, Some(FromController::Welcome { .. })), "{welcome:?}");
    bench.boot(&u01(), own_mac());
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    assert_eq!(client.refusal(&hello(&u01())).await.0, Because::Certificate);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&renew(&u01(), &identity.key)).await.0, Because::Certificate);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.ask(&token_request(&u01(), Some(own_mac()))).await, Some(FromController::ShowTpm {}));
}

#[tokio::test]
async fn a_machine_without_a_tpm_says_so_and_stays_out() {
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    let running = agent(&bench, "without", emulated_tpm::none());
    running
        .until(1, |notice| {
            matches!(notice, Notice::Disconnected { error, .. } if error.contains("this place is proved by a TPM"))
        })
        .await;
    assert_eq!(bench.machine(&u01()).key_sha256, None);
}
