//! Tokens and certificates: to whom, how often, how long.

use crate::bench::{BEGIN, Bench, U01, U02, own_mac, u01, u02};
use crate::client::{Client, csr, enrol, enrolled, hello, key, renew, token, token_request};
use api::agent::{Because, FromAgent, FromController, Secret, VERSION};
use model::event::What;
use model::facts::Token;
use model::{Location, Mac};
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_booting_machine_gets_a_token_then_a_certificate_and_only_their_hashes_are_kept() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let Some(FromController::Token { token, seconds }) =
        client.ask(&token_request(&u01(), Some(own_mac()))).await
    else {
        panic!("no token")
    };
    assert_eq!((token.0.len(), seconds), (64, 900));
    assert!(matches!(bench.machine(&u01()).token, Token::Issued { .. }));
    // The same connection goes on.
    let key = key();
    let Some(FromController::Certificate { renew_at, not_after, now, .. }) =
        client.ask(&enrol(&u01(), &token, &key)).await
    else {
        panic!("no certificate")
    };
    assert_eq!((now, not_after.since(now)), (BEGIN, Duration::from_secs(24 * 3600)));
    assert!(renew_at.since(now) < not_after.since(now) * 2 / 3);
    client.closed().await;
    let machine = bench.machine(&u01());
    assert_eq!((machine.token, machine.state.name()), (Token::Used, "validating"));
    let kept = format!("{:?}", bench.events.lock().expect("whole"));
    assert!(!kept.contains(&token.0));
}

#[tokio::test]
async fn no_token_without_a_boot_on_the_port() {
    let bench = Bench::new().await;
    let ask = async |source, location: Location, mac| {
        let mut client = Client::connect(&bench, source, None).await.expect("connected");
        client.refusal(&token_request(&location, mac)).await.0
    };
    assert_eq!(ask(U01, u01(), None).await, Because::NoBoot);
    bench.boot(&u01(), own_mac());
    assert_eq!(ask(U02, u01(), None).await, Because::WrongPlace, "from the address of another machine");
    assert_eq!(ask(U01, u02(), None).await, Because::WrongPlace, "in the name of another machine");
    assert_eq!(
        ask(U01, u01(), Some(Mac([2, 0, 0, 0, 0, 9]))).await,
        Because::WrongPlace,
        "with another card"
    );
    assert_eq!(ask(U01, Location::new("ams1/p09/r1/u01"), None).await, Because::NotPlanned);
    bench.advance(Duration::from_secs(3 * 3600));
    assert_eq!(ask(U01, u01(), None).await, Because::NoBoot, "the boot is long over");
    assert_eq!(bench.count(|what| matches!(what, What::TokenIssued { .. })), 0);
}

#[tokio::test]
async fn a_token_is_spent_once_whoever_comes_first() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let token = token(&bench, U01, &u01()).await;
    // Eight at once, each with its own key; connections of one address are limited, so they come in twos.
    let mut won = 0;
    for _ in 0..4 {
        let (frame_a, frame_b) = (enrol(&u01(), &token, &key()), enrol(&u01(), &token, &key()));
        let mut a = Client::connect(&bench, U01, None).await.expect("connected");
        let mut b = Client::connect(&bench, U01, None).await.expect("connected");
        let (a, b) = tokio::join!(a.ask(&frame_a), b.ask(&frame_b));
        for reply in [a, b] {
            match reply {
                Some(FromController::Certificate { .. }) => won += 1,
                Some(FromController::Refused { because: Because::Token, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(won, 1);
    // And no other token in this boot; a new boot brings a new one.
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&token_request(&u01(), None)).await.0, Because::NoBoot);
    bench.advance(Duration::from_secs(60));
    bench.boot(&u01(), own_mac());
    enrolled(&bench, U01, &u01()).await;
}

#[tokio::test]
async fn a_token_is_good_only_at_its_place_and_in_its_time() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    bench.boot(&u02(), Mac([2, 0, 0, 0, 0, 2]));
    let token = token(&bench, U01, &u01()).await;
    let spend = async |source, location: Location, token: &Secret| {
        let mut client = Client::connect(&bench, source, None).await.expect("connected");
        client.refusal(&enrol(&location, token, &key())).await
    };
    assert_eq!(spend(U02, u01(), &token).await.0, Because::WrongPlace, "stolen, and used from another port");
    assert_eq!(spend(U02, u02(), &token).await.0, Because::Token, "stolen, for one's own place");
    assert_eq!(spend(U01, u01(), &Secret("0".repeat(64))).await.0, Because::Token, "guessed");
    assert_eq!(spend(U01, u01(), &Secret("zz".into())).await.0, Because::Token, "not a token");
    bench.advance(Duration::from_secs(900));
    assert_eq!(spend(U01, u01(), &token).await, (Because::Token, "the token is over".into()));
    // An agent that was too slow asks again in the same boot: the earlier token is void.
    let fresh = crate::client::token(&bench, U01, &u01()).await;
    assert_eq!(spend(U01, u01(), &token).await.0, Because::Token);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert!(matches!(
        client.ask(&enrol(&u01(), &fresh, &key())).await,
        Some(FromController::Certificate { .. })
    ));
}

#[tokio::test]
async fn a_request_that_proves_no_key_is_not_signed_and_spends_nothing() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let token = token(&bench, U01, &u01()).await;
    let good = csr(&key());
    // One octet of the signature changed.
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let at = lines.len() - 2;
    let changed = if lines[at].starts_with('A') { "B" } else { "A" };
    lines[at].replace_range(..1, changed);
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    for bad in [String::new(), "junk".into(), lines.join("\n"), csr(&p384)] {
        let mut client = Client::connect(&bench, U01, None).await.expect("connected");
        let frame = FromAgent::Enrol {
            version: VERSION,
            location: u01(),
            token: token.clone(),
            csr: bad.clone(),
            quote: None,
        };
        assert_eq!(client.refusal(&frame).await.0, Because::Protocol, "{bad}");
    }
    assert!(matches!(bench.machine(&u01()).token, Token::Issued { .. }));
}

#[tokio::test]
async fn what_a_request_asks_to_be_named_is_ignored() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let token = token(&bench, U01, &u01()).await;
    let key = key();
    let mut wishes = rcgen::CertificateParams::new(vec!["ams1-controller".into()]).expect("names");
    wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = wishes.serialize_request(&key).expect("a request").pem().expect("pem");
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let frame = FromAgent::Enrol { version: VERSION, location: u01(), token, csr, quote: None };
    let Some(FromController::Certificate { certificate, .. }) = client.ask(&frame).await else {
        panic!("refused")
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).expect("pem");
    let parsed = pem.parse_x509().expect("a certificate");
    let names = parsed.subject_alternative_name().expect("one").expect("some");
    assert_eq!(format!("{:?}", names.value.general_names), r#"[URI("spiffe://ams1/p01/r1/u01")]"#);
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().expect("one").expect("some").value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
}

#[tokio::test]
async fn a_reply_that_was_lost_costs_nothing() {
    let mut bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let token = token(&bench, U01, &u01()).await;
    let key = key();
    // The certificate is issued and stored, and the controller dies before the agent has it.
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    client.send(&enrol(&u01(), &token, &key)).await;
    bench.until(&u01(), |machine| machine.token == Token::Used).await;
    drop(client);
    bench.crash().await;
    bench.restart();
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&enrol(&u01(), &token, &key)).await.0, Because::Token);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    let reply = client.ask(&renew(&u01(), &key)).await;
    assert!(matches!(reply, Some(FromController::Certificate { .. })), "{reply:?}");
}

#[tokio::test]
async fn a_certificate_is_renewed_only_for_the_enrolled_key_and_only_from_its_place() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let ask = async |source, frame: FromAgent| {
        let mut client = Client::connect(&bench, source, None).await.expect("connected");
        client.ask(&frame).await
    };
    let because = |reply| match reply {
        Some(FromController::Refused { because, .. }) => Some(because),
        _ => None,
    };
    assert_eq!(because(ask(U01, renew(&u01(), &key())).await), Some(Because::Certificate), "another key");
    assert_eq!(because(ask(U02, renew(&u01(), &identity.key)).await), Some(Because::WrongPlace));
    // Long after it ran out: controllers may be down for a month.
    bench.advance(Duration::from_secs(30 * 24 * 3600));
    assert!(Client::connect(&bench, U01, Some(&identity)).await.is_ok_and(|_| true));
    let reply = ask(U01, renew(&u01(), &identity.key)).await;
    let Some(FromController::Certificate { certificate, .. }) = reply else { panic!("{reply:?}") };
    let renewed = crate::client::Identity { certificate, ..identity };
    let mut client = Client::connect(&bench, U01, Some(&renewed)).await.expect("connected");
    assert!(matches!(client.ask(&hello(&u01())).await, Some(FromController::Welcome { .. })));
    // A renewal changes nothing that is stored.
    assert_eq!(bench.count(|what| matches!(what, What::Enrolled { .. })), 1);
}

#[tokio::test]
async fn nothing_leaves_before_it_is_stored() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    bench.store_fails.store(true, Ordering::SeqCst);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&token_request(&u01(), None)).await.0, Because::Busy);
    bench.store_fails.store(false, Ordering::SeqCst);
    let token = token(&bench, U01, &u01()).await;
    bench.store_fails.store(true, Ordering::SeqCst);
    let mut client = Client::connect(&bench, U01, None).await.expect("connected");
    assert_eq!(client.refusal(&enrol(&u01(), &token, &key())).await.0, Because::Busy);
}
