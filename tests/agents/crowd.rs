//! Many machines at once: a zone that is powered on.

use crate::bench::{Bench, PATIENCE, place};
use crate::client::{Client, enrolled, hello};
use api::agent::{FromAgent, FromController};
use std::sync::Arc;
use std::time::Instant;

/// More would need more file descriptors than a user has by default: each takes two here.
const MACHINES: u16 = 300;

/// What both ends of a session may take in memory, on average: ten thousand of the controller's ends, as large, fit in
/// 1.5 GB, and they are not nearly as large.
const SESSION_OCTETS_MAX: usize = 150 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_come_all_at_once_are_all_connected_soon_and_cost_little() {
    let bench = Arc::new(Bench::of(MACHINES).await);
    for slot in 0..MACHINES {
        let (location, _, mac) = place(slot);
        bench.boot(&location, mac);
    }
    let (began, before) = (Instant::now(), resident_octets());
    let mut crowd = tokio::task::JoinSet::new();
    for slot in 0..MACHINES {
        let bench = Arc::clone(&bench);
        crowd.spawn(async move {
            let (location, address, _) = place(slot);
            let identity = enrolled(&bench, address, &location).await;
            let mut client = Client::connect(&bench, address, Some(&identity)).await.expect("connected");
            let reply = client.ask(&hello(&location)).await;
            assert!(matches!(reply, Some(FromController::Welcome { .. })), "{location}: {reply:?}");
            client
        });
    }
    let mut sessions = tokio::time::timeout(PATIENCE, crowd.join_all()).await.expect("in time");
    assert_eq!(bench.present.count(), usize::from(MACHINES));
    let each = resident_octets().saturating_sub(before) / usize::from(MACHINES);
    assert!(each < SESSION_OCTETS_MAX, "{each} octets for each session, in {:?}", began.elapsed());
    for client in &mut sessions {
        assert!(matches!(client.ask(&FromAgent::Heartbeat).await, Some(FromController::Heartbeat { .. })));
    }
}

/// What this process has in memory (proc(5), statm).
fn resident_octets() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("readable");
    let pages: usize = statm.split(' ').nth(1).expect("resident").parse().expect("a number");
    pages * 4096
}
