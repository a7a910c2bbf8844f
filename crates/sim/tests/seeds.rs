//! Seeds that find nothing, the same trace for the same seed, and a planted bug for each checker.

use sim::{Planted, Report, Settings, run};

fn of(seed: u64) -> Settings {
    Settings::of(seed)
}

fn found(report: &Report) -> String {
    match &report.violation {
        Some(violation) => format!("seed {}: {}: {}", report.seed, violation.checker, violation.words),
        None => String::new(),
    }
}

#[test]
fn small_zones_end_as_they_should() {
    let next = std::sync::atomic::AtomicU64::new(1);
    let reports = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let report = run(&of(seed), None);
                    reports.lock().unwrap().push(found(&report));
                }
            });
        }
    });
    let found: Vec<String> = reports.into_inner().unwrap().into_iter().filter(|it| !it.is_empty()).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// `cargo xtask ci` runs several hundred, and larger zones, optimized.
const SEEDS: u64 = 30;

#[test]
fn without_troubles_every_machine_is_ready() {
    let settings = Settings { troubles: false, ..of(3) };
    let report = run(&settings, None);
    assert_eq!(found(&report), "");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let traced = |seed| {
        let mut trace = Vec::new();
        let report = run(&of(seed), Some(&mut trace));
        (report, trace)
    };
    let (one, first) = traced(11);
    let (same, second) = traced(11);
    assert_eq!(one, same);
    assert!(first == second, "the traces differ");
    assert!(first.len() > 10_000 && one.lines > 100);
    assert_ne!(traced(12).0.digest, one.digest);
    assert_eq!(run(&of(11), None).digest, one.digest, "it is the same when nobody reads it");
}

/// Some seed finds a bug that the world was given, by the checker whose matter it is.
fn check(planted: Planted, checker: &str) {
    let reports = (1..600).map(|seed| run(&Settings { planted: Some(planted), ..of(seed) }, None));
    let mut found = reports.filter_map(|report| report.violation).map(|violation| violation.checker);
    assert!(found.any(|name| name == checker), "no seed found {planted:?} by {checker}");
}

#[test]
fn every_checker_finds_the_bug_that_is_planted_for_it() {
    check(Planted::WrongCircuit, "one-holder");
    check(Planted::UnarmedWrite, "unarmed-disk");
    check(Planted::LostBatch, "durable");
    check(Planted::StaleView, "view");
    check(Planted::OverBudget, "budget");
    check(Planted::DeafReplica, "alike");
    check(Planted::WrongPlace, "right-port");
    check(Planted::DeadMachine, "settled");
    check(Planted::Unsound, "sound");
    check(Planted::ForgottenStep, "steps");
    check(Planted::SmoothTalk, "canary");
}
