//! Garbage, floods, silence: what they cost, and that others do not notice.

use crate::bench::{BEGIN, Bench, PATIENCE, U01, U02, own_mac, u01};
use crate::client::{Client, enrolled, hello, tcp, token_request};
use api::agent::{Because, FRAME_MAX, FRAME_MAX_UNPROVEN, FromAgent, FromController};
use model::event::What;
use model::facts::{Disk, Hardware};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A machine still enrols and is welcome.
async fn still_serves(bench: &Bench) {
    bench.boot(&u01(), own_mac());
    let identity = enrolled(bench, U01, &u01()).await;
    let mut client = Client::connect(bench, U01, Some(&identity)).await.expect("connected");
    assert!(matches!(client.ask(&hello(&u01())).await, Some(FromController::Welcome { .. })));
}

#[tokio::test]
async fn garbage_instead_of_tls_ends_that_connection_only() {
    let bench = Bench::new().await;
    let mut seed = 88_u64;
    for round in 0..64 {
        let mut socket = tcp(&bench, U02).await.expect("connected");
        let octets: Vec<u8> = (0..round * 7)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                u8::try_from(seed >> 56).expect("eight bits")
            })
            .collect();
        let _ = socket.write_all(&octets).await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert!(rest.len() < 64, "nothing but an alert is said to a stranger");
    }
    still_serves(&bench).await;
}

#[tokio::test]
async fn garbage_within_tls_is_answered_with_a_reason_and_the_end() {
    let bench = Bench::new().await;
    let long = u32::try_from(FRAME_MAX_UNPROVEN + 1).expect("short").to_be_bytes();
    for octets in [
        &b"\0\0\0\x02{}"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &long,
        b"\0\0\0\x15{\"frame\":\"heartbeat\"}",
    ] {
        let mut client = Client::connect(&bench, U02, None).await.expect("connected");
        client.send_octets(octets).await.expect("written");
        match client.receive().await {
            Some(FromController::Refused { because: Because::Protocol, .. }) => {}
            other => panic!("{octets:?}: {other:?}"),
        }
        client.closed().await;
    }
    still_serves(&bench).await;
}

#[tokio::test]
async fn another_protocol_is_not_spoken() {
    let bench = Bench::new().await;
    let refused = match Client::connect_as(&bench, U01, None, b"h2").await {
        Err(_) => true,
        Ok(mut client) => client.receive().await.is_none(),
    };
    assert!(refused);
}

#[tokio::test]
async fn a_machine_that_says_too_much_is_cut_off_and_nothing_of_it_is_kept() {
    let bench = Bench::new().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let disk = Disk { name: "sda".into(), size_bytes: 1, kind: "ssd".into() };
    let many = Hardware { disks: vec![disk; 2000], ..Hardware::default() };
    let long = Hardware { serial: "x".repeat(100_000), ..Hardware::default() };
    for hardware in [many, long] {
        let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
        client.ask(&hello(&u01())).await;
        let frame = FromAgent::Report { hardware: Box::new(hardware) };
        assert_eq!(client.refusal(&frame).await.0, Because::Protocol);
    }
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    client.ask(&hello(&u01())).await;
    let announced = u32::try_from(FRAME_MAX + 1).expect("short").to_be_bytes();
    client.send_octets(&announced).await.expect("written");
    assert!(matches!(
        client.receive().await,
        Some(FromController::Refused { because: Because::Protocol, .. })
    ));
    assert_eq!(bench.count(|what| matches!(what, What::Reported { .. })), 0);
}

#[tokio::test]
async fn one_address_holds_few_connections_and_others_do_not_notice() {
    // Strangers are cut off for nothing else within the test.
    let bench = Bench::with(BEGIN, Duration::from_secs(20), Duration::from_secs(3600)).await;
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let mut socket = tcp(&bench, U02).await.expect("the kernel accepts");
        held.spawn(async move { socket.read(&mut [0]).await.unwrap_or(0) });
    }
    // All but four are closed.
    for _ in 0..60 {
        let closed = tokio::time::timeout(PATIENCE, held.join_next()).await.expect("in time");
        assert_eq!(closed.expect("64 were opened").expect("no panic"), 0);
    }
    assert_eq!(held.len(), 4);
    still_serves(&bench).await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_half_a_frame_is_cut_off() {
    let bench = Bench::with(BEGIN, Duration::from_millis(100), Duration::from_millis(500)).await;
    let mut silent = Client::connect(&bench, U02, None).await.expect("connected");
    silent.closed().await;
    let mut slow = Client::connect(&bench, U02, None).await.expect("connected");
    let octets = api::agent::encode(&token_request(&u01(), None)).expect("short");
    slow.send_octets(&octets[..octets.len() - 1]).await.expect("written");
    slow.closed().await;
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    client.ask(&hello(&u01())).await;
    assert!(bench.machine(&u01()).is_connected());
    let mut octet = [0];
    // No heartbeat comes.
    assert!(matches!(client.stream.read(&mut octet).await, Ok(0) | Err(_)));
    bench.until(&u01(), |machine| !machine.is_connected()).await;
}
