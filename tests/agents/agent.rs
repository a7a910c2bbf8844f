//! The real agent against the real listener, through loss and restart.

use crate::bench::{Bench, PATIENCE, U01, ip, own_mac, u01};
use crate::client::{Client, enrolled};
use crate::emulated_tpm;
use agent::{Controller, Notice, Options, Pin};
use model::event::What;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A running agent; it ends with the test.
pub(crate) struct Running {
    notices: watch::Sender<Vec<Notice>>,
    pub(crate) state_dir: PathBuf,
    pub(crate) task: tokio::task::JoinHandle<Result<(), agent::RunError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

impl Running {
    pub(crate) fn heard(&self, wanted: impl Fn(&Notice) -> bool) -> usize {
        self.notices.borrow().iter().filter(|notice| wanted(notice)).count()
    }

    /// Waits until so many notices of a kind were heard.
    pub(crate) async fn until(&self, count: usize, wanted: impl Fn(&Notice) -> bool) {
        let mut notices = self.notices.subscribe();
        let enough = notices.wait_for(|heard| heard.iter().filter(|notice| wanted(notice)).count() >= count);
        let reached = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        assert!(reached, "never heard: {:?}", self.notices.borrow());
    }
}

pub(crate) fn state_dir(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("zw-agents-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

pub(crate) fn start(bench: &Bench, state_dir: PathBuf, pin: Pin, once: bool) -> Running {
    start_with(bench, state_dir, pin, once, emulated_tpm::none())
}

pub(crate) fn start_with(bench: &Bench, state_dir: PathBuf, pin: Pin, once: bool, tpm: &Path) -> Running {
    start_as(bench, state_dir, pin, once, tpm, None)
}

/// An agent of a machine that is played: its hardware is what the file says.
pub(crate) fn start_played(bench: &Bench, state_dir: PathBuf, pin: Pin, hardware_file: PathBuf) -> Running {
    start_as(bench, state_dir, pin, false, emulated_tpm::none(), Some(hardware_file))
}

fn start_as(
    bench: &Bench,
    state_dir: PathBuf,
    pin: Pin,
    once: bool,
    tpm: &Path,
    hardware_file: Option<PathBuf>,
) -> Running {
    let notices = watch::Sender::new(Vec::new());
    let tell = {
        let notices = notices.clone();
        Arc::new(move |notice: &Notice| notices.send_modify(|heard| heard.push(notice.clone())))
    };
    let options = Options {
        controllers: vec![Controller(bench.address)],
        ca_pin: pin,
        location: u01(),
        state_dir: state_dir.clone(),
        hardware_file,
        tpm: tpm.to_owned(),
        drives: bench.bmcs.drives(&u01()),
        is_ramdisk: false,
        is_played: false,
        once,
        tell,
    };
    Running { notices, state_dir, task: tokio::spawn(agent::run(options)) }
}

pub(crate) fn pin(bench: &Bench) -> Pin {
    Pin(bench.authority.sha256())
}

/// The machine that this runs on begins a boot.
pub(crate) fn boot(bench: &Bench) {
    assert_eq!(
        ip(U01),
        bench.address.ip(),
        "the agent speaks from the address that its machine has in the plan"
    );
    bench.boot(&u01(), own_mac());
}

#[tokio::test]
async fn an_agent_comes_up_by_itself_and_its_machine_is_ready() {
    let bench = Bench::today().await;
    boot(&bench);
    let mut running = start(&bench, state_dir("once"), pin(&bench), true);
    tokio::time::timeout(PATIENCE, &mut running.task)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("it started");
    let machine = bench.machine(&u01());
    assert_eq!(machine.state.name(), "ready");
    let hardware = machine.hardware.expect("reported");
    assert!(hardware.cpus > 0 && hardware.memory_bytes > 0 && hardware.system.contains("Linux"));
    assert!(hardware.clock_skew_ms.unsigned_abs() < 60_000, "{}", hardware.clock_skew_ms);
}

#[tokio::test]
async fn a_clock_that_is_years_off_hinders_nothing_and_is_told() {
    let bench = Bench::new().await;
    boot(&bench);
    let _running = start(&bench, state_dir("clock"), pin(&bench), false);
    let machine = bench.until(&u01(), |machine| machine.state.name() == "failed").await;
    let skew = machine.hardware.expect("reported").clock_skew_ms;
    assert!(skew.unsigned_abs() > 3_600_000, "{skew}");
}

#[tokio::test]
async fn checks_are_run_and_their_results_told() {
    let bench = Bench::today().await;
    bench.publish(2, "file:\n  /proc/self: { exists: true }\n  /nonexistent: { exists: true }\n");
    boot(&bench);
    let running = start(&bench, state_dir("checks"), pin(&bench), false);
    let machine = bench.until(&u01(), |machine| machine.checks.len() == 2).await;
    let results: Vec<_> = machine.checks.iter().map(|check| (check.name.as_str(), check.passed)).collect();
    assert_eq!(results, [("file:/proc/self.exists", true), ("file:/nonexistent.exists", false)]);
    assert_eq!(bench.until(&u01(), |machine| machine.state.name() == "failed").await.state.name(), "failed");
    // The design is mended: the next plan's checks are run by themselves.
    bench.publish(3, "file:\n  /proc/self: { exists: true }\n");
    bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    assert_eq!(running.heard(|notice| matches!(notice, Notice::Connected { .. })), 1);
}

#[tokio::test]
async fn an_agent_survives_its_controller_and_enrols_no_second_time() {
    let mut bench = Bench::today().await;
    boot(&bench);
    let running = start(&bench, state_dir("restart"), pin(&bench), false);
    bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    bench.crash().await;
    running.until(1, |notice| matches!(notice, Notice::Disconnected { .. })).await;
    bench.restart();
    running.until(2, |notice| matches!(notice, Notice::Connected { .. })).await;
    assert_eq!(bench.count(|what| matches!(what, What::Enrolled { .. })), 1);
    assert_eq!(running.heard(|notice| matches!(notice, Notice::Enrolled)), 1);
}

#[tokio::test]
async fn an_agent_that_starts_again_uses_what_it_kept() {
    let bench = Bench::today().await;
    boot(&bench);
    let path = state_dir("again");
    let first = start(&bench, path.clone(), pin(&bench), false);
    bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    // Stopped without goodbye, its directory left.
    first.task.abort();
    std::mem::forget(first);
    bench.until(&u01(), |machine| !machine.is_connected()).await;
    let second = start(&bench, path, pin(&bench), false);
    bench.until(&u01(), |machine| machine.is_connected()).await;
    assert_eq!(second.heard(|notice| matches!(notice, Notice::Enrolled)), 0);
    assert_eq!(bench.count(|what| matches!(what, What::TokenIssued { .. })), 1);
}

#[tokio::test]
async fn an_agent_believes_no_controller_but_the_pinned_one() {
    let bench = Bench::today().await;
    boot(&bench);
    let running = start(&bench, state_dir("pin"), Pin([7; 32]), false);
    running.until(1, |notice| matches!(notice, Notice::Disconnected { .. })).await;
    assert_eq!(bench.count(|_| true), 0, "it has told a stranger nothing");
}

#[tokio::test]
async fn an_agent_whose_key_was_replaced_says_so_and_does_not_connect() {
    let bench = Bench::today().await;
    boot(&bench);
    let running = start(&bench, state_dir("replaced"), pin(&bench), false);
    bench.until(&u01(), |machine| machine.state.name() == "ready").await;
    // Somebody else boots on the port and enrols.
    bench.advance(Duration::from_secs(60));
    boot(&bench);
    let thief = enrolled(&bench, U01, &u01()).await;
    let _talking = Client::connect(&bench, U01, Some(&thief)).await.expect("connected");
    assert!(bench.check_again(&u01()));
    running.until(1, |notice| matches!(notice, Notice::Refused { .. })).await;
    assert_eq!(bench.count(|what| matches!(what, What::Enrolled { .. })), 2);
}
