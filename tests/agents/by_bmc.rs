//! Places that are proved by a key from their BMC: the real agent, drives that a test fills, and whoever has the told half alone.

use crate::agent::{Running, pin, start, state_dir};
use crate::bench::{BEGIN, Bench, U01, U02, own_mac, u01, u02};
use crate::client::{Client, Identity, enrol, hello, key, renew, token, token_request};
use ::agent::Notice;
use api::agent::{Because, FromController, Octets, Secret};
use api::key_media;
use model::Location;
use model::design::Trust;
use model::event::{What, Wish};
use model::facts::{State, Token};
use std::net::Ipv4Addr;
use std::time::Duration;

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.want(Trust::Bmc);
    bench
}

fn agent(bench: &Bench, name: &str) -> Running {
    start(bench, state_dir(name), pin(bench), false)
}

/// Asks for a token, and gets half of one.
async fn told(bench: &Bench, source: Ipv4Addr, location: &Location) -> [u8; 32] {
    let mut client = Client::connect(bench, source, None).await.expect("connected");
    match client.ask(&token_request(location, None)).await {
        Some(FromController::Half { told, .. }) => octets(&told),
        other => panic!("no half: {other:?}"),
    }
}

fn octets(secret: &Secret) -> [u8; 32] {
    secret.0.parse::<Octets>().expect("octets").0.try_into().expect("32 of them")
}

fn secret(octets: [u8; 32]) -> Secret {
    Secret(Octets(octets.to_vec()).to_string())
}

async fn spend(
    bench: &Bench,
    source: Ipv4Addr,
    location: &Location,
    token: [u8; 32],
) -> Result<Identity, String> {
    let (mut client, key) = (Client::connect(bench, source, None).await.expect("connected"), key());
    match client.ask(&enrol(location, &secret(token), &key)).await {
        Some(FromController::Certificate { certificate, .. }) => Ok(Identity { key, certificate }),
        Some(FromController::Refused { sentence, .. }) => Err(sentence),
        other => panic!("neither: {other:?}"),
    }
}

fn accept(bench: &Bench) {
    bench.happen(&u01(), What::Operator { by: "op".into(), wish: Wish::Accept, beyond_budget: false });
}

#[tokio::test]
async fn an_agent_puts_its_token_together_from_what_it_is_told_and_what_its_bmc_hands_it() {
    let bench = Bench::today().await;
    bench.want(Trust::Bmc);
    bench.boot(&u01(), own_mac());
    let running = agent(&bench, "by-bmc");
    let machine = bench.until(&u01(), |machine| machine.state == State::Ready).await;
    assert!(machine.by_bmc && machine.token == Token::Used);
    running.until(1, |notice| matches!(notice, Notice::AwaitsKey(volume) if volume == "ZW_U01")).await;
    assert!(!bench.bmcs.has_key(&u01()), "what was spent is taken back");
    // Its key is on its disk, as where the port is the proof: it starts anew without its BMC.
    running.task.abort();
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    let again = start(&bench, running.state_dir.clone(), pin(&bench), false);
    bench.until(&u01(), |machine| machine.is_connected()).await;
    assert_eq!(again.heard(|notice| matches!(notice, Notice::AwaitsKey(_))), 0);
}

#[tokio::test]
async fn a_bmc_that_hands_over_nothing_is_told_and_nobody_enrols() {
    let bench = Bench::today().await;
    bench.want(Trust::Bmc);
    bench.bmcs.break_down();
    bench.boot(&u01(), own_mac());
    let running = agent(&bench, "no-bmc");
    running
        .until(1, |notice| matches!(notice, Notice::Refused { sentence, .. } if sentence == "it has no BMC"))
        .await;
    assert_eq!(bench.machine(&u01()).unproved.as_deref(), Some("it has no BMC"));
    assert_eq!(bench.count(|what| matches!(what, What::TokenIssued { .. } | What::Enrolled { .. })), 0);
}

#[tokio::test]
async fn neither_half_is_enough_and_both_are_enough_once() {
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    bench.boot(&u02(), model::Mac([2, 0, 0, 0, 0, 2]));
    let told_here = told(&bench, U01, &u01()).await;
    let told_there = told(&bench, U02, &u02()).await;
    let (handed_here, handed_there) = (bench.bmcs.read(&u01()), bench.bmcs.read(&u02()));
    let others = [
        told_here,
        handed_here,
        key_media::token(&told_here, &handed_there),
        key_media::token(&told_there, &handed_here),
        key_media::token(&handed_here, &told_here),
    ];
    for token in others {
        let refused = spend(&bench, U01, &u01(), token).await.err();
        assert_eq!(refused.as_deref(), Some("the token is not this machine's"));
    }
    let token = key_media::token(&told_here, &handed_here);
    let elsewhere = spend(&bench, U02, &u01(), token).await.err().expect("not from there");
    assert!(elsewhere.contains("is not an address of this place"), "{elsewhere}");
    assert!(spend(&bench, U02, &u02(), token).await.is_err());
    spend(&bench, U01, &u01(), token).await.expect("both halves, at their place");
    let again = spend(&bench, U01, &u01(), token).await.err();
    assert_eq!(again.as_deref(), Some("the token of this boot was used"));
    // Another boot, another half of each kind.
    bench.advance(Duration::from_secs(300));
    bench.boot(&u01(), own_mac());
    assert!(told(&bench, U01, &u01()).await != told_here && bench.bmcs.read(&u01()) != handed_here);
}

#[tokio::test]
async fn halves_are_over_after_their_time() {
    let bench = bench().await;
    bench.boot(&u01(), own_mac());
    let token = key_media::token(&told(&bench, U01, &u01()).await, &bench.bmcs.read(&u01()));
    bench.advance(lifecycle::enrolment::TOKEN_LIFE);
    assert_eq!(spend(&bench, U01, &u01(), token).await.err().as_deref(), Some("the token is over"));
    // What was handed over is still good, with what is told now.
    let token = key_media::token(&told(&bench, U01, &u01()).await, &bench.bmcs.read(&u01()));
    spend(&bench, U01, &u01(), token).await.expect("in time");
}

#[tokio::test]
async fn a_bmc_hears_of_nobody_who_may_not_ask() {
    let bench = bench().await;
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let (because, _) = client.refusal(&token_request(&u01(), None)).await;
    assert_eq!(because, Because::NoBoot);
    bench.boot(&u01(), own_mac());
    let mut client = Client::connect(&bench, U02, None).await.expect("connected");
    let (because, _) = client.refusal(&token_request(&u01(), None)).await;
    assert_eq!(because, Because::WrongPlace);
    assert!(!bench.bmcs.has_key(&u01()));
    // Once the token of this boot is used there is no other, and no CD is inserted for who asks for one.
    let token = key_media::token(&told(&bench, U01, &u01()).await, &bench.bmcs.read(&u01()));
    spend(&bench, U01, &u01(), token).await.expect("enrolled");
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    client.refusal(&token_request(&u01(), None)).await;
    assert!(!bench.bmcs.has_key(&u01()));
}

#[tokio::test]
async fn what_was_proved_by_a_bmc_stays_so_until_it_is_accepted() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    // A token that was told whole does not count any more once its place is to be proved by its BMC.
    let whole = token(&bench, U01, &u01()).await;
    bench.want(Trust::Bmc);
    let refused = spend(&bench, U01, &u01(), octets(&whole)).await.err();
    assert_eq!(refused.as_deref(), Some("its place is proved by a key that its BMC hands it"));
    let token_of_two = key_media::token(&told(&bench, U01, &u01()).await, &bench.bmcs.read(&u01()));
    let first = spend(&bench, U01, &u01(), token_of_two).await.expect("enrolled");
    // The design is edited; the place is not weaker for it.
    bench.want(Trust::Port);
    bench.advance(Duration::from_secs(300));
    bench.boot(&u01(), own_mac());
    let half = told(&bench, U01, &u01()).await;
    assert!(spend(&bench, U01, &u01(), half).await.is_err());
    // Its own key goes on, as it would at any place that is no TPM's.
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let renewed = client.ask(&renew(&u01(), &first.key)).await;
    assert!(matches!(renewed, Some(FromController::Certificate { .. })), "{renewed:?}");
    accept(&bench);
    let whole = token(&bench, U01, &u01()).await;
    let identity = spend(&bench, U01, &u01(), octets(&whole)).await.expect("by its port again");
    assert!(!bench.machine(&u01()).by_bmc);
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    assert!(matches!(client.ask(&hello(&u01())).await, Some(FromController::Welcome { .. })));
    assert!(bench.now() > BEGIN);
}
