//! The store against a model of it, and each way in which it can fail.

use expect_test::expect;
use model::event::What;
use model::facts::{DhcpServer, Machine, State};
use model::{Event, Facts, Generation, Location, Mac, Time};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{
    DATABASE_FILE, EVENTS_PER_MACHINE_MAX, EVENTS_PER_MACHINE_SLACK, Entry, FailureKind, OpenError,
    Publication, PublishError, Record, Selection, Store,
};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zonewright-store-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn refused(&self) -> String {
        let error = Store::open(&self.0).err().expect("a store that does not open");
        error.to_string().replace(&self.0.display().to_string(), "STATE")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn machine(mark: u64) -> Machine {
    Machine {
        state: State::Ready,
        since: Time(mark),
        boot_took_ms: Some(mark),
        foreign_servers: vec![DhcpServer {
            identifier: IpAddr::from([10, 9, 9, 9]),
            mac: Mac([2, 0, 0, 0, 0, 9]),
            interface: "eno1".into(),
            offered: None,
        }],
        ..Machine::default()
    }
}

fn unit(number: u8) -> Location {
    Location::new(&format!("z/p/r/u{number}"))
}

fn record(at: u64, location: Location) -> Record {
    Record {
        event: Event { at: Time(at), location, what: What::Connected { running: None, burns_in: false } },
        state: "ready",
    }
}

fn publication<'a>(parent: u64, files: &'a [(&'a str, &'a str)]) -> Publication<'a> {
    let (author, reason, digest) = ("a", "r", "d");
    Publication { parent: Generation(parent), author, reason, at: Time(5), files, digest }
}

/// What may be done to a store.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u8, u64)>),
    Publish(u64),
    Secret(u8, Vec<u8>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0..5_u8, 0..1000_u64), 0..8).prop_map(Step::Append),
        2 => (0..4_u64).prop_map(Step::Publish),
        1 => (0..3_u8, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(name, bytes)| Step::Secret(name, bytes)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_list_and_two_maps_do(steps in steps()) {
        let scratch = Scratch::new();
        let mut store = scratch.store();
        let (mut entries, mut facts, mut generation) = (Vec::<Entry>::new(), Facts::default(), 0);
        let mut secrets = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append(batch) => {
                    let records: Vec<_> = batch.iter().map(|(number, at)| record(*at, unit(*number))).collect();
                    let machines: Vec<_> = batch.iter().map(|(number, at)| (unit(*number), machine(*at))).collect();
                    let last = store.append(&records, machines.iter().map(|(location, machine)| (location, machine))).unwrap();
                    for Record { event, state } in records {
                        entries.push(Entry { seq: entries.len() as u64 + 1, event, state: state.to_owned() });
                    }
                    facts.machines.extend(machines);
                    prop_assert_eq!(last, entries.len() as u64);
                }
                Step::Publish(parent) => {
                    let files = [("zone.hcl", "text")];
                    match store.publish(&publication(parent, &files)) {
                        Ok(published) => {
                            prop_assert_eq!(parent, generation);
                            generation += 1;
                            prop_assert_eq!(published, Generation(generation));
                        }
                        Err(PublishError::Stale { current, .. }) => {
                            prop_assert_ne!(parent, generation);
                            prop_assert_eq!(current, Generation(generation));
                        }
                        Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    }
                }
                Step::Secret(name, bytes) => {
                    store.set_secret(&name.to_string(), &bytes).unwrap();
                    secrets.insert(name.to_string(), bytes);
                }
                Step::Reopen => {
                    drop(store);
                    store = scratch.store();
                }
            }
        }
        let loaded = store.load().unwrap();
        prop_assert_eq!(&loaded.facts, &facts);
        prop_assert_eq!(loaded.published.map_or(0, |published| published.generation.0), generation);
        let history = store.history().unwrap();
        prop_assert_eq!(history.events(Selection::After(0), u32::MAX).unwrap(), entries.clone());
        let after = entries.len() as u64 / 2;
        let page: Vec<_> = entries.iter().filter(|entry| entry.seq > after).take(3).cloned().collect();
        prop_assert_eq!(history.events(Selection::After(after), 3).unwrap(), page);
        let of: Vec<_> = entries.iter().filter(|entry| entry.event.location == unit(1)).cloned().collect();
        prop_assert_eq!(history.events(Selection::Of(&unit(1)), 4).unwrap(), of[of.len().saturating_sub(4)..].to_vec());
        for (name, bytes) in secrets {
            prop_assert_eq!(store.secret(&name).unwrap(), Some(bytes));
        }
    }
}

#[test]
fn a_plan_is_kept_with_its_design_whole() {
    let scratch = Scratch::new();
    let files = [("zone.hcl", "zone \"z\" {}\n"), ("wiring.csv", "a,b\n\"é\"\n")];
    let mut store = scratch.store();
    store.publish(&publication(0, &files)).unwrap();
    store.publish(&publication(1, &files[..1])).unwrap();
    drop(store);
    let store = scratch.store();
    let current = store.load().unwrap().published.unwrap();
    assert_eq!((current.generation, current.parent, current.files.len()), (Generation(2), Generation(1), 1));
    let first = store.history().unwrap().plans(10).unwrap().pop().unwrap();
    assert_eq!(first.files[1], ("wiring.csv".to_owned(), "a,b\n\"é\"\n".to_owned()));
    assert_eq!((first.author.as_str(), first.reason.as_str(), first.at), ("a", "r", Time(5)));
}

#[test]
fn a_stale_parent_is_refused_in_words() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    store.publish(&publication(0, &[])).unwrap();
    let error = store.publish(&publication(0, &[])).unwrap_err();
    expect!["the plan was made against #0, but #1 is current: plan it again"].assert_eq(&error.to_string());
}

#[test]
fn the_history_of_one_machine_is_bounded_and_of_others_untouched() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let bound = u64::from(EVENTS_PER_MACHINE_MAX + EVENTS_PER_MACHINE_SLACK);
    store.append(&[record(0, unit(1))], []).unwrap();
    for at in 1..=2 * bound {
        store.append(&[record(at, unit(2))], []).unwrap();
        if at % 100 == 0 {
            // The count is not only in memory.
            drop(store);
            store = scratch.store();
        }
    }
    let history = store.history().unwrap();
    assert_eq!(history.events(Selection::Of(&unit(1)), 10).unwrap().len(), 1);
    let kept = history.events(Selection::Of(&unit(2)), u32::MAX).unwrap();
    let range = u64::from(EVENTS_PER_MACHINE_MAX)..=bound;
    assert!(range.contains(&(kept.len() as u64)), "{}", kept.len());
    assert_eq!(kept.last().unwrap().event.at, Time(2 * bound));
    assert_eq!(kept.last().unwrap().seq, 2 * bound + 1);
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    store.limit_size(96 << 10).unwrap();
    let batch =
        |first: u64| (first..first + 20).map(|at| record(at, unit((at % 200) as u8))).collect::<Vec<_>>();
    let (mut acknowledged, mut first) = (0, 0);
    let failure = loop {
        match store.append(&batch(first), []) {
            Ok(last) => acknowledged = last,
            Err(failure) => break failure,
        }
        first += 20;
        assert!(first < 100_000, "it never fills up");
    };
    assert_eq!(failure.kind, FailureKind::Full);
    assert!(failure.to_string().starts_with("the disk is full: free some space"));
    assert!(acknowledged > 100);
    assert_eq!(store.last_seq(), acknowledged);
    let count =
        |store: &Store| store.history().unwrap().events(Selection::After(0), u32::MAX).unwrap().len() as u64;
    assert_eq!(count(&store), acknowledged);
    // There is room again: the same batch goes in, and numbers have no gap.
    store.limit_size(64 << 20).unwrap();
    assert_eq!(store.append(&batch(first), []).unwrap(), acknowledged + 20);
    drop(store);
    assert_eq!(count(&scratch.store()), acknowledged + 20);
}

#[test]
fn a_second_opener_is_kept_out_until_the_first_is_gone() {
    let scratch = Scratch::new();
    let first = scratch.store();
    expect!["the state in STATE is in use by another zw serve; stop that one first"]
        .assert_eq(&scratch.refused());
    drop(first);
    scratch.store();
}

#[test]
fn what_is_no_store_of_ours_is_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).unwrap();
    let path = scratch.0.join(DATABASE_FILE);
    fs::write(&path, "this is a text, and by no means a database of any kind\n".repeat(40)).unwrap();
    expect!["STATE/zonewright.db is not a usable store (file is not a database); put back a copy, or move it away to start anew"]
        .assert_eq(&scratch.refused());
    assert!(fs::read(&path).unwrap().starts_with(b"this is a text"));
}

#[test]
fn another_programs_database_is_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).unwrap();
    let path = scratch.0.join(DATABASE_FILE);
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    expect!["STATE/zonewright.db is not a usable store (it is another program's database); put back a copy, or move it away to start anew"]
        .assert_eq(&scratch.refused());
}

#[test]
fn a_newer_release_s_store_is_left_alone() {
    let scratch = Scratch::new();
    drop(scratch.store());
    let path = scratch.0.join(DATABASE_FILE);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    expect![
        "STATE/zonewright.db was written by a newer release (schema 99, this one knows 1); use that release"
    ]
    .assert_eq(&scratch.refused());
}

#[test]
fn a_damaged_store_is_told_at_the_start() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    for at in 0..200 {
        store.append(&[record(at, unit(at as u8))], []).unwrap();
    }
    drop(store);
    let path = scratch.0.join(DATABASE_FILE);
    let mut bytes = fs::read(&path).unwrap();
    // Everything but the first page, which says that it is a database.
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Store::open(&scratch.0), Err(OpenError::NotAStore { .. })), "{}", scratch.refused());
}

#[test]
fn a_state_directory_that_cannot_be_is_named() {
    let scratch = Scratch::new();
    fs::write(&scratch.0, "a file").unwrap();
    expect!["failed to open STATE"].assert_eq(&scratch.refused());
    fs::remove_file(&scratch.0).unwrap();
}

#[test]
fn secrets_are_for_the_owner_only() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    store.set_secret("key", b"secret").unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scratch.0.clone()), 0o700);
    for entry in fs::read_dir(&scratch.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    store.set_secret("key", b"another").unwrap();
    assert_eq!(store.secret("key").unwrap().as_deref(), Some(&b"another"[..]));
    assert_eq!(store.secret("none").unwrap(), None);
}
