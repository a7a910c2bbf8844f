//! What a machine with a certificate may do, and when it may no longer.

use crate::bench::{Bench, U01, U02, own_mac, u01, u02};
use crate::client::{Client, Identity, enrolled, hello, key, renew};
use api::agent::{Because, FromAgent, FromController, VERSION};
use model::Mac;
use model::event::{What, Wish};
use model::facts::{CheckResult, DhcpServer, Hardware};
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn welcomed(bench: &Bench, identity: &Identity) -> Client {
    let mut client = Client::connect(bench, U01, Some(identity)).await.expect("connected");
    match client.ask(&hello(&u01())).await {
        Some(FromController::Welcome { version: VERSION, .. }) => client,
        other => panic!("not welcome: {other:?}"),
    }
}

#[tokio::test]
async fn a_machine_is_connected_reports_and_is_lost() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = welcomed(&bench, &identity).await;
    assert!(bench.machine(&u01()).is_connected());
    let hardware = Hardware { cpus: 4, ..Hardware::default() };
    client.send(&FromAgent::Report { hardware: Box::new(hardware) }).await;
    let result = CheckResult { name: "port:tcp:22".into(), passed: true, detail: String::new() };
    client.send(&FromAgent::Checks { generation: model::Generation(1), results: vec![result] }).await;
    assert!(matches!(client.ask(&FromAgent::Heartbeat).await, Some(FromController::Heartbeat { .. })));
    let machine = bench.machine(&u01());
    assert_eq!((machine.state.name(), machine.checks.len()), ("ready", 1));
    drop(client);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    assert_eq!(bench.present.count(), 0);
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_place_only() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    bench.boot(&u02(), Mac([2, 0, 0, 0, 0, 2]));
    let identity = enrolled(&bench, U01, &u01()).await;
    let refused = async |source, frame| {
        let mut client = Client::connect(&bench, source, Some(&identity)).await.expect("connected");
        client.refusal(&frame).await.0
    };
    assert_eq!(refused(U01, hello(&u02())).await, Because::WrongPlace);
    assert_eq!(refused(U02, hello(&u02())).await, Because::WrongPlace);
    assert_eq!(refused(U02, hello(&u01())).await, Because::WrongPlace, "stolen, and used from another port");
    assert_eq!(refused(U01, FromAgent::Heartbeat).await, Because::Protocol, "no hello");
    assert!(!bench.machine(&u01()).is_connected() && !bench.machine(&u02()).is_connected());
}

#[tokio::test]
async fn an_older_key_is_refused_after_another_enrolment() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let old = enrolled(&bench, U01, &u01()).await;
    let mut talking = welcomed(&bench, &old).await;
    bench.advance(Duration::from_secs(60));
    bench.boot(&u01(), own_mac());
    let new = enrolled(&bench, U01, &u01()).await;
    // The connection of the old one hears it at its next heartbeat.
    assert_eq!(talking.refusal(&FromAgent::Heartbeat).await.0, Because::Certificate);
    let mut client = Client::connect(&bench, U01, Some(&old)).await.expect("connected");
    assert_eq!(client.refusal(&hello(&u01())).await.0, Because::Certificate);
    welcomed(&bench, &new).await;
}

#[tokio::test]
async fn a_certificate_that_ran_out_or_of_another_authority_is_cut_off_in_the_handshake() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let stranger = Bench::new().await;
    stranger.boot(&u01(), own_mac());
    let foreign = enrolled(&stranger, U01, &u01()).await;
    let cut_off = async |identity: &Identity| match Client::connect(&bench, U01, Some(identity)).await {
        Err(_) => true,
        // In TLS 1.3 the client is done before its certificate is judged.
        Ok(mut client) => {
            let octets = api::agent::encode(&hello(&u01())).expect("short");
            let _ = client.send_octets(&octets).await;
            client.receive().await.is_none()
        }
    };
    assert!(cut_off(&foreign).await);
    assert!(!cut_off(&identity).await);
    bench.advance(Duration::from_secs(24 * 3600 + 1));
    assert!(cut_off(&identity).await);
}

#[tokio::test]
async fn a_renewal_goes_on_in_the_session_that_asked() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = welcomed(&bench, &identity).await;
    bench.advance(Duration::from_secs(12 * 3600));
    let reply = client.ask(&renew(&u01(), &identity.key)).await;
    let Some(FromController::Certificate { certificate, not_after, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!(not_after.since(bench.now()), Duration::from_secs(24 * 3600));
    assert!(matches!(client.ask(&FromAgent::Heartbeat).await, Some(FromController::Heartbeat { .. })));
    let renewed = Identity { certificate, ..identity };
    welcomed(&bench, &renewed).await;
    let mut client = welcomed(&bench, &renewed).await;
    assert_eq!(client.refusal(&renew(&u01(), &key())).await.0, Because::Certificate, "a key nobody enrolled");
}

#[tokio::test]
async fn a_retired_machine_is_sent_away() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = welcomed(&bench, &identity).await;
    bench.happen(
        &u01(),
        What::Operator {
            by: "ada".into(),
            wish: Wish::Retire { reason: "old".into() },
            beyond_budget: false,
        },
    );
    assert_eq!(client.refusal(&FromAgent::Heartbeat).await.0, Because::NotPlanned);
    client.closed().await;
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    assert_eq!(client.refusal(&hello(&u01())).await.0, Because::NotPlanned);
}

#[tokio::test]
async fn the_newest_connection_of_a_machine_counts() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut first = welcomed(&bench, &identity).await;
    let mut second = welcomed(&bench, &identity).await;
    match first.receive().await {
        Some(FromController::Refused { because: Because::Replaced, .. }) => {}
        other => panic!("{other:?}"),
    }
    first.closed().await;
    assert!(matches!(second.ask(&FromAgent::Heartbeat).await, Some(FromController::Heartbeat { .. })));
    assert!(bench.machine(&u01()).is_connected());
    assert_eq!(bench.count(|what| matches!(what, What::Lost)), 0);
}

#[tokio::test]
async fn a_keeper_that_is_behind_slows_agents_down_and_forgets_none() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let client = welcomed(&bench, &identity).await;
    bench.queue_full.store(true, Ordering::SeqCst);
    drop(client);
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    assert_eq!(client.refusal(&hello(&u01())).await.0, Because::Busy);
    assert!(bench.machine(&u01()).is_connected(), "nobody could say that it is not");
    bench.queue_full.store(false, Ordering::SeqCst);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
}

#[tokio::test]
async fn new_plans_and_pushes_reach_the_machine() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = welcomed(&bench, &identity).await;
    bench.publish(2, "port: {}");
    match client.receive().await {
        Some(FromController::NewGeneration { generation, checks, .. }) => {
            assert_eq!((generation.0, checks.len()), (2, 1));
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.check_again(&u01()));
    assert_eq!(client.receive().await, Some(FromController::CheckAgain));
    assert!(!bench.check_again(&u02()), "it is not connected");
}

#[tokio::test]
async fn agents_of_other_versions_are_answered_or_told_why_not() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let said = async |version| {
        let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
        client
            .ask(&FromAgent::Hello {
                version,
                location: u01(),
                generation: None,
                running: None,
                burns_in: true,
                held: None,
                boot: None,
            })
            .await
    };
    assert!(matches!(said(0).await, Some(FromController::Refused { because: Because::Version, .. })));
    assert!(matches!(said(99).await, Some(FromController::Welcome { version: VERSION, .. })));
}

#[tokio::test]
async fn foreign_servers_are_told_once_and_forgotten_when_they_are_gone() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = welcomed(&bench, &identity).await;
    let server = DhcpServer {
        identifier: std::net::Ipv4Addr::new(10, 9, 9, 9).into(),
        mac: own_mac(),
        interface: "eno1".into(),
        offered: None,
    };
    let mut hears = async |servers: Vec<DhcpServer>| {
        client.send(&FromAgent::Servers { servers }).await;
        assert!(matches!(client.ask(&FromAgent::Heartbeat).await, Some(FromController::Heartbeat { .. })));
        let is_told = |event: &&model::Event| matches!(event.what, What::ServersHeard { .. });
        let told = bench.events.lock().expect("whole").iter().filter(is_told).count();
        (told, bench.machine(&u01()).foreign_servers)
    };
    assert_eq!(hears(vec![]).await, (0, vec![]), "nobody, as before");
    assert_eq!(hears(vec![server.clone()]).await, (1, vec![server.clone()]));
    assert_eq!(hears(vec![server.clone()]).await, (1, vec![server]), "the same again is no event");
    assert_eq!(hears(vec![]).await, (2, vec![]));
}
