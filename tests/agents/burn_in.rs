//! Burn-in: between the real agent and the real listener, and with a peer that says what agents seldom say.

use crate::agent::{boot, pin, start_played, state_dir};
use crate::bench::{Bench, U01, own_mac, u01};
use crate::client::{Client, Identity, enrolled, hello};
use agent::Notice;
use api::agent::{FromAgent, FromController, VERSION};
use model::burn_in::{BurnIn, Order, Outcome, Part, PartOutcome, Progress};
use model::event::{What, Wish};
use model::facts::Hardware;

const SHORT: BurnIn = BurnIn { cpu_seconds: 1, memory_seconds: 1, disk_seconds: 1 };

/// A machine that is played, so that its host is not taken for it.
fn hardware_file(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("zw-agents-{}-{name}.json", std::process::id()));
    std::fs::write(&path, r#"{"cpus": 4}"#).expect("written");
    path
}

fn begins(what: &What) -> bool {
    matches!(what, What::BurningIn { .. })
}

#[tokio::test]
async fn a_machine_is_burnt_in_before_it_is_ready_and_not_again() {
    let bench = Bench::today().await;
    bench.publish_burn_in(2, SHORT);
    boot(&bench);
    let file = hardware_file("burnt");
    let running = start_played(&bench, state_dir("burnt"), pin(&bench), file.clone());
    let machine = bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    let passed = machine.burn_in.passed.expect("passed");
    let parts: Vec<_> = passed.sentences.iter().map(|sentence| sentence.split(':').next()).collect();
    assert_eq!(parts, [Some("cpu"), Some("memory"), Some("disk")], "{:?}", passed.sentences);
    assert!(bench.count(begins) >= 3, "each part is told when it begins");
    // The agent starts again, and the machine boots: what was passed stands.
    drop(running);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    let before = bench.count(begins);
    boot(&bench);
    let _running = start_played(&bench, state_dir("burnt"), pin(&bench), file.clone());
    bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    assert_eq!(bench.count(begins), before);
    std::fs::remove_file(file).expect("removed");
}

#[tokio::test]
async fn it_goes_on_while_its_controller_is_away() {
    let mut bench = Bench::today().await;
    bench.publish_burn_in(2, SHORT);
    boot(&bench);
    let file = hardware_file("away");
    let running = start_played(&bench, state_dir("away"), pin(&bench), file.clone());
    bench.until(&u01(), |machine| machine.burn_in.progress.is_some()).await;
    bench.crash().await;
    running.until(1, |notice| matches!(notice, Notice::Disconnected { .. })).await;
    bench.restart();
    let machine = bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    assert!(machine.burn_in.passed.is_some());
    // Once for each of its parts at most twice: nothing was begun anew, which would go backwards.
    let elapsed: Vec<_> = bench
        .events
        .lock()
        .expect("whole")
        .iter()
        .filter_map(|event| match &event.what {
            What::BurningIn { progress } => Some(progress.elapsed_seconds),
            _ => None,
        })
        .collect();
    assert!(elapsed.is_sorted(), "{elapsed:?}");
    std::fs::remove_file(file).expect("removed");
}

/// A machine whose hardware was reported, and what its agent is told to do.
async fn validated(bench: &Bench, identity: &Identity, burns_in: bool) -> (Client, Option<FromController>) {
    let mut client = Client::connect(bench, U01, Some(identity)).await.expect("connected");
    let location = u01();
    let hello = FromAgent::Hello {
        version: VERSION,
        location,
        generation: None,
        running: None,
        burns_in,
        held: None,
        boot: None,
    };
    assert!(matches!(client.ask(&hello).await, Some(FromController::Welcome { .. })));
    client.send(&FromAgent::Report { hardware: Box::new(Hardware::default()) }).await;
    let mut told = client.ask(&FromAgent::Heartbeat).await;
    if burns_in {
        // Either may come first.
        let next = client.receive().await;
        let (beat, order) = if is_heartbeat(&told) { (told, next) } else { (next, told) };
        assert!(is_heartbeat(&beat), "{beat:?} and {order:?}");
        told = order;
    }
    (client, told)
}

fn ordered(told: Option<FromController>) -> Order {
    match told {
        Some(FromController::BurnIn { order: Some(order) }) => order,
        other => panic!("no order: {other:?}"),
    }
}

fn is_heartbeat(told: &Option<FromController>) -> bool {
    matches!(told, Some(FromController::Heartbeat { .. }))
}

fn progress(order: Order) -> FromAgent {
    let progress = Progress { order, part: Part::Memory, percent: 7, per_second: 0, elapsed_seconds: 1 };
    FromAgent::BurningIn { progress }
}

const STOP: Option<FromController> = Some(FromController::BurnIn { order: None });

#[tokio::test]
async fn what_is_called_off_is_stopped_also_when_nobody_could_say_so() {
    let bench = Bench::new().await;
    bench.publish_burn_in(2, SHORT);
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let (mut client, told) = validated(&bench, &identity, true).await;
    let order = ordered(told);
    client.send(&progress(order)).await;
    bench.until(&u01(), |machine| machine.burn_in.progress.is_some()).await;
    bench.happen(
        &u01(),
        What::Operator {
            by: "ada".into(),
            wish: Wish::Maintain { reason: "x".into() },
            beyond_budget: false,
        },
    );
    assert_eq!(client.receive().await, STOP);
    // An agent that was not connected says how far it is when it is again.
    drop(client);
    let mut client = Client::connect(&bench, U01, Some(&identity)).await.expect("connected");
    assert!(matches!(client.ask(&hello(&u01())).await, Some(FromController::Welcome { .. })));
    assert_eq!(client.ask(&progress(order)).await, STOP);
    // That it ended is no news of anything either, and no reason to part.
    let outcome = Outcome { order, parts: Vec::new() };
    client.send(&FromAgent::BurntIn { outcome }).await;
    assert!(is_heartbeat(&client.ask(&FromAgent::Heartbeat).await));
    assert_eq!(bench.machine(&u01()).state.name(), "maintenance");
}

#[tokio::test]
async fn a_failure_is_told_as_it_was_found() {
    let bench = Bench::new().await;
    bench.publish_burn_in(2, SHORT);
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let (mut client, told) = validated(&bench, &identity, true).await;
    let part = PartOutcome { part: Part::Cpu, passed: false, sentence: "CPU 3 is wrong".into() };
    let outcome = Outcome { order: ordered(told), parts: vec![part] };
    client.send(&FromAgent::BurntIn { outcome }).await;
    let machine = bench.until(&u01(), |machine| machine.state.name() == "failed").await;
    assert_eq!(machine.burn_in.failed, ["its burn-in failed, cpu: CPU 3 is wrong"]);
}

#[tokio::test]
async fn an_agent_that_cannot_is_not_told_to() {
    let bench = Bench::new().await;
    bench.publish_burn_in(2, SHORT);
    bench.boot(&u01(), own_mac());
    let identity = enrolled(&bench, U01, &u01()).await;
    let (mut client, told) = validated(&bench, &identity, false).await;
    assert!(is_heartbeat(&told), "{told:?}");
    assert!(is_heartbeat(&client.ask(&FromAgent::Heartbeat).await));
    assert_eq!(bench.machine(&u01()).state.name(), "validating");
}
