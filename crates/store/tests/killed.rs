//! A process that appends is killed (SIGKILL) again and again: what it acknowledged is there, once; what it did not
//! is there whole or not at all.
//!
//! No test harness: the program runs itself as the process that is killed.

use model::event::What;
use model::facts::{Machine, State};
use model::{Event, Generation, Location, Time};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use store::{Record, Selection, Store};

/// How often it is killed.
const ROUNDS: u64 = 40;
/// Machines that events are spread over: so many that no event is removed for being old.
const MACHINES: u64 = 64;
const DIRECTORY: &str = "ZONEWRIGHT_KILLED_DIRECTORY";
const SEED: &str = "ZONEWRIGHT_KILLED_SEED";

fn main() {
    match (std::env::var_os(DIRECTORY), std::env::var(SEED)) {
        (Some(directory), Ok(seed)) => append_for_ever(Path::new(&directory), seed.parse().unwrap()),
        _ => {
            kill_again_and_again();
            let _ =
                writeln!(std::io::stdout(), "killed {ROUNDS} times: nothing lost, nothing doubled ... ok");
        }
    }
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn machine_of(seq: u64) -> Location {
    Location::new(&format!("z/p/r/u{}", seq % MACHINES))
}

/// The machine as the event of this number leaves it.
fn machine(seq: u64) -> Machine {
    Machine { state: State::Ready, since: Time(seq), boot_took_ms: Some(seq), ..Machine::default() }
}

/// The event of this number, in a batch of which `left` more follow it.
fn record(seq: u64, left: u64) -> Record {
    let what = What::ScriptFetched { generation: Generation(left), image: None };
    Record { event: Event { at: Time(seq), location: machine_of(seq), what }, state: "ready" }
}

/// Appends batches of random length and acknowledges each, until it is killed.
fn append_for_ever(directory: &Path, mut seed: u64) {
    let mut store = Store::open(directory).unwrap();
    let mut out = std::io::stdout();
    loop {
        let first = store.last_seq() + 1;
        let length = 1 + random(&mut seed) % 6;
        let seqs = first..first + length;
        let records: Vec<_> = seqs.clone().map(|seq| record(seq, first + length - 1 - seq)).collect();
        let machines: Vec<_> = seqs.map(|seq| (machine_of(seq), machine(seq))).collect();
        let last = store
            .append(&records, machines.iter().map(|(location, machine)| (location, machine)), [])
            .unwrap();
        writeln!(out, "{last}").unwrap();
        out.flush().unwrap();
    }
}

fn kill_again_and_again() {
    let directory = Scratch::new();
    let mut seed = 42;
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(DIRECTORY, &directory.0)
            .env(SEED, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..random(&mut seed) % 16 {
            acknowledged = lines.next().expect("an acknowledgement").unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // It went on until it was killed; a last line may be cut off, and then it is no acknowledgement.
        for line in lines.map_while(Result::ok) {
            acknowledged = line.parse().unwrap_or(acknowledged).max(acknowledged);
        }
        check(&directory.0, acknowledged, round);
    }
    assert!(acknowledged > ROUNDS, "it was killed before it did anything: {acknowledged}");
}

fn check(directory: &Path, acknowledged: u64, round: u64) {
    // The lock went with the process.
    let mut store = Store::open(directory).unwrap();
    let loaded = store.load().unwrap();
    assert!(
        loaded.last_seq >= acknowledged,
        "round {round}: {acknowledged} was acknowledged, {} is there",
        loaded.last_seq
    );
    let entries = store.history().unwrap().events(Selection::After(0), u32::MAX).unwrap();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=loaded.last_seq).collect::<Vec<_>>(), "round {round}");
    let mut of_machines = BTreeMap::new();
    for entry in &entries {
        assert_eq!(
            (entry.event.at.0, &entry.event.location),
            (entry.seq, &machine_of(entry.seq)),
            "round {round}"
        );
        of_machines.insert(entry.event.location.clone(), machine(entry.seq));
    }
    if let Some(What::ScriptFetched { generation, .. }) = entries.last().map(|entry| &entry.event.what) {
        assert_eq!(*generation, Generation(0), "round {round}: half of a batch is there");
    }
    assert_eq!(
        loaded.facts.machines, of_machines,
        "round {round}: the facts are not those of the last events"
    );
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("zonewright-killed-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
