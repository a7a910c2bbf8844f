//! The file, and each way in which it can fail. What every store does is in `contract`.

use expect_test::expect;
use model::event::What;
use model::{Event, Location, Time};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{DATABASE_FILE, FailureKind, OpenError, Record, Selection, Store};

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

fn unit(number: u8) -> Location {
    Location::new(&format!("z/p/r/u{number}"))
}

fn record(at: u64, location: Location) -> Record {
    Record {
        event: Event {
            at: Time(at),
            location,
            what: What::Connected { running: None, burns_in: false, boot: None },
        },
        state: "ready",
    }
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
        match store.append(&batch(first), [], []) {
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
    assert_eq!(store.append(&batch(first), [], []).unwrap(), acknowledged + 20);
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
        "STATE/zonewright.db was written by a newer release (schema 99, this one knows 2); use that release"
    ]
    .assert_eq(&scratch.refused());
}

#[test]
fn a_damaged_store_is_told_at_the_start() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    for at in 0..200 {
        store.append(&[record(at, unit(at as u8))], [], []).unwrap();
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
