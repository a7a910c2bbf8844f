//! What every store does, wherever it lies: the same tests against a file and against an etcd.

mod etcd;
mod locked;
mod shared;

use etcd::Member;
use model::change::{Change, Effect, Kind, Member as Touched, Policy, Reach, Step as Reached};
use model::event::What;
use model::facts::{DhcpServer, Machine, State};
use model::{ChangeId, Event, Facts, Generation, Location, Mac, Time};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use store::etcd::{Access, Address, Standing};
use store::{
    EVENTS_PER_MACHINE_MAX, EVENTS_PER_MACHINE_SLACK, Entry, Publication, PublishError, Record, Selection,
    Stepped, Store,
};

/// Where a store may lie.
enum Place {
    File(PathBuf),
    Etcd(Address),
}

impl Place {
    fn file() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zonewright-contract-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self::File(path)
    }

    fn etcd(member: &Member) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self::Etcd(member.address(&format!("zone{}", NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Opened, and the one that decides.
    fn open(&self) -> Store {
        match self {
            Self::File(path) => Store::open(path).unwrap(),
            Self::Etcd(address) => lead(Store::open_etcd(address, &Access::default(), "a").unwrap()),
        }
    }

    fn reopen(&self, mut store: Store) -> Store {
        store.resign();
        drop(store);
        self.open()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::File(path) = self {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Until it leads: nobody else is there.
fn lead(mut store: Store) -> Store {
    store.load().unwrap();
    while !store.is_leading() {
        if store.follow().unwrap().reload {
            store.load().unwrap();
        }
    }
    store
}

/// The test with a store of each kind.
fn both(test: impl Fn(&Place)) {
    test(&Place::file());
    if let Some(member) = Member::start() {
        test(&Place::etcd(&member));
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

fn unit(number: u64) -> Location {
    Location::new(&format!("z/p/r/u{number}"))
}

fn event(at: u64, location: Location) -> Event {
    Event { at: Time(at), location, what: What::Connected { running: None, burns_in: false, boot: None } }
}

fn record(at: u64, location: Location) -> Record {
    Record { event: event(at, location), state: "ready" }
}

fn publication<'a>(parent: u64, files: &'a [(&'a str, &'a str)]) -> Publication<'a> {
    let (author, reason, digest) = ("a", "r", "d");
    Publication {
        parent: Generation(parent),
        author,
        reason,
        at: Time(5),
        files,
        digest,
        commit: None,
        change: None,
    }
}

fn append(store: &mut Store, records: &[Record], machines: &[(Location, Machine)]) -> u64 {
    store.append(records, machines.iter().map(|(location, machine)| (location, machine)), []).unwrap()
}

fn everything(store: &Store) -> Vec<Entry> {
    store.history().unwrap().events(Selection::After(0), u32::MAX).unwrap()
}

/// What may be done to a store.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u64, u64)>),
    Publish(u64),
    Secret(u8, Vec<u8>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0..5_u64, 0..1000_u64), 0..8).prop_map(Step::Append),
        2 => (0..4_u64).prop_map(Step::Publish),
        1 => (0..3_u8, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(name, bytes)| Step::Secret(name, bytes)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..24)
}

fn is_a_list_and_two_maps(place: &Place, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut store = place.open();
    let (mut entries, mut facts, mut generation) = (Vec::<Entry>::new(), Facts::default(), 0);
    let mut secrets = BTreeMap::new();
    for step in steps {
        match step {
            Step::Append(batch) => {
                let records: Vec<_> = batch.iter().map(|(number, at)| record(*at, unit(*number))).collect();
                let machines: Vec<_> =
                    batch.iter().map(|(number, at)| (unit(*number), machine(*at))).collect();
                let last = append(&mut store, &records, &machines);
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
            Step::Reopen => store = place.reopen(store),
        }
    }
    let loaded = store.load().unwrap();
    prop_assert_eq!(&loaded.facts, &facts);
    prop_assert_eq!(loaded.published.map_or(0, |published| published.generation.0), generation);
    prop_assert_eq!(everything(&store), entries.clone());
    let history = store.history().unwrap();
    let after = entries.len() as u64 / 2;
    let page: Vec<_> = entries.iter().filter(|entry| entry.seq > after).take(3).cloned().collect();
    prop_assert_eq!(history.events(Selection::After(after), 3).unwrap(), page);
    let of: Vec<_> = entries.iter().filter(|entry| entry.event.location == unit(1)).cloned().collect();
    prop_assert_eq!(
        history.events(Selection::Of(&unit(1)), 4).unwrap(),
        of[of.len().saturating_sub(4)..].to_vec()
    );
    prop_assert_eq!(history.secrets().unwrap(), secrets.keys().cloned().collect::<Vec<_>>());
    for (name, bytes) in secrets {
        prop_assert_eq!(store.secret(&name).unwrap(), Some(bytes));
    }
    store.resign();
    Ok(())
}

#[test]
fn a_file_does_what_a_list_and_two_maps_do() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    runner.run(&steps(), |steps| is_a_list_and_two_maps(&Place::file(), steps)).unwrap();
}

#[test]
fn an_etcd_does_what_a_list_and_two_maps_do() {
    let Some(member) = Member::start() else { return };
    let config = ProptestConfig { cases: 12, max_shrink_iters: 16, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&steps(), |steps| is_a_list_and_two_maps(&Place::etcd(&member), steps))
        .unwrap();
}

#[test]
fn a_plan_is_kept_with_its_design_whole() {
    both(|place| {
        // More than one value of etcd holds.
        let large = "# é\n".repeat(400_000);
        let files = [("zone.hcl", large.as_str()), ("wiring.csv", "a,b\n\"é\"\n")];
        let mut store = place.open();
        store.publish(&publication(0, &files)).unwrap();
        store.publish(&publication(1, &files[1..])).unwrap();
        let mut store = place.reopen(store);
        let current = store.load().unwrap().published.unwrap();
        assert_eq!(
            (current.generation, current.parent, current.files.len()),
            (Generation(2), Generation(1), 1)
        );
        let plans = store.history().unwrap().plans(10).unwrap();
        assert_eq!(plans.iter().map(|plan| plan.generation.0).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(plans[1].files[1], ("wiring.csv".to_owned(), "a,b\n\"é\"\n".to_owned()));
        assert!(plans[1].files[0].1 == large);
        assert_eq!((plans[1].author.as_str(), plans[1].reason.as_str(), plans[1].at), ("a", "r", Time(5)));
        assert_eq!(store.history().unwrap().plans(1).unwrap().len(), 1);
        assert_eq!(store.plan(Generation(1)).unwrap().as_ref(), Some(&plans[1]));
        assert_eq!(store.plan(Generation(9)).unwrap(), None);
    });
}

#[test]
fn of_two_plans_with_one_parent_one_wins() {
    both(|place| {
        let mut store = place.open();
        store.publish(&publication(0, &[])).unwrap();
        let error = store.publish(&publication(0, &[])).unwrap_err();
        assert_eq!(error.to_string(), "the plan was made against #0, but #1 is current: plan it again");
        let loaded = place.reopen(store).load().unwrap();
        assert_eq!(loaded.published.unwrap().generation, Generation(1));
    });
}

#[test]
fn the_history_of_one_machine_is_bounded_and_of_others_untouched() {
    both(|place| {
        let mut store = place.open();
        let bound = u64::from(EVENTS_PER_MACHINE_MAX + EVENTS_PER_MACHINE_SLACK);
        append(&mut store, &[record(0, unit(1))], &[]);
        for first in (1..=2 * bound).step_by(3) {
            let records: Vec<_> = (first..first + 3).map(|at| record(at, unit(2))).collect();
            append(&mut store, &records, &[]);
            if first % 100 == 1 {
                // The count is not only in memory.
                store = place.reopen(store);
            }
        }
        let history = store.history().unwrap();
        assert_eq!(history.events(Selection::Of(&unit(1)), 10).unwrap().len(), 1);
        let kept = history.events(Selection::Of(&unit(2)), u32::MAX).unwrap();
        assert!((u64::from(EVENTS_PER_MACHINE_MAX)..=bound).contains(&(kept.len() as u64)), "{}", kept.len());
        assert_eq!(kept.last().unwrap().event.at, Time(2 * bound));
        assert_eq!(kept.last().unwrap().seq, 2 * bound + 1);
        // The newest of the whole zone may go further back.
        let all = everything(&store);
        assert!(all.ends_with(&kept) && all[0].event.location == unit(1));
        store.resign();
    });
}

#[test]
fn a_batch_larger_than_a_transaction_is_one_batch() {
    both(|place| {
        let mut store = place.open();
        // A boot of a zone: some megabytes, twice the same machine among them, and one machine far too often.
        let records: Vec<_> = (0..1500).map(|at| record(at, unit(at % 700))).collect();
        let machines: Vec<_> = (0..700).map(|number| (unit(number), machine(number))).collect();
        assert_eq!(append(&mut store, &records, &machines), 1500);
        let of_one: Vec<_> = (0..700).map(|at| record(at, unit(9999))).collect();
        assert_eq!(append(&mut store, &of_one, &machines[..1]), 2200);
        let mut store = place.reopen(store);
        assert_eq!(store.load().unwrap().facts.machines, machines.iter().cloned().collect());
        let history = store.history().unwrap();
        let of: Vec<_> =
            history.events(Selection::Of(&unit(3)), 10).unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(of, [4, 704, 1404]);
        let last = history.events(Selection::Of(&unit(9999)), u32::MAX).unwrap();
        assert!(last.len() <= (EVENTS_PER_MACHINE_MAX + EVENTS_PER_MACHINE_SLACK) as usize, "{}", last.len());
        assert_eq!(last.last().unwrap().seq, 2200);
        let page = history.events(Selection::After(1400), 5).unwrap();
        assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1401, 1402, 1403, 1404, 1405]);
        store.resign();
    });
}

#[test]
fn a_file_is_nobody_elses() {
    let place = Place::file();
    let mut store = place.open();
    assert!(store.is_leading() && !store.is_shared());
    assert_eq!(store.follow().unwrap().standing, Standing::Sole);
    assert!(store.ask(&[event(1, unit(1))]).is_err());
}

/// A change of two machines, in a wave each.
fn change(id: u64) -> Change {
    let member =
        |wave| Touched { wave, effect: Effect::Restart, because: "a kernel".into(), step: Reached::Waiting };
    Change {
        id: ChangeId(id),
        kind: Kind::Plan { from: Generation(1), to: Generation(2), undoes: None },
        by: "alice".into(),
        reason: "new".into(),
        began: Time(5),
        policy: Policy::default(),
        waves: vec![Reach::Machine, Reach::Rack],
        machines: [(unit(1), member(0)), (unit(2), member(1))].into(),
        wave: 0,
        baking_until: None,
        paused: None,
        ended: None,
        notes: Vec::new(),
    }
}

#[test]
fn a_change_is_kept_with_its_plan_and_then_step_by_step() {
    both(|place| {
        let mut store = lead(place.open());
        let publish = |store: &mut Store, parent, change| {
            let publication = Publication { commit: Some("c0ffee"), change, ..publication(parent, &[]) };
            store.publish(&publication).map(|generation| generation.0)
        };
        publish(&mut store, 0, None).unwrap();
        let mut expected = change(1);
        assert!(publish(&mut store, 0, Some(&expected)).is_err(), "neither the plan nor the change");
        assert!(store.load().unwrap().facts.changes.is_empty());
        assert_eq!(publish(&mut store, 1, Some(&expected)).unwrap(), 2);
        drop(store);
        let mut store = lead(place.open());
        let loaded = store.load().unwrap();
        assert_eq!(loaded.facts.changes, [(ChangeId(1), expected.clone())].into());
        assert_eq!(loaded.published.unwrap().commit.as_deref(), Some("c0ffee"));
        assert_eq!(store.plan(Generation(1)).unwrap().unwrap().generation, Generation(1));
        assert_eq!(store.history().unwrap().plan(Generation(7)).unwrap(), None);
        while !store.is_leading() {
            store.follow().unwrap();
        }
        // A step changes the change, and one of its machines.
        let at = Time(7);
        expected.machines.get_mut(&unit(1)).unwrap().step =
            Reached::Taken { at, deadline: Time(9), was_ready: true, boots: 3 };
        expected.note(at, "begun".into());
        let machines = [unit(1)].into();
        store
            .append(&[record(7, unit(1))], [], [Stepped { change: &expected, machines: &machines }])
            .unwrap();
        drop(store);
        let loaded = place.open().load().unwrap();
        assert_eq!(loaded.facts.changes, [(ChangeId(1), expected)].into());
    });
}

#[test]
fn a_zone_moves_whole_there_and_back() {
    let Some(member) = Member::start() else { return };
    let (file, etcd, back) = (Place::file(), Place::etcd(&member), Place::file());
    let mut store = file.open();
    let large = "# é\n".repeat(400_000);
    for generation in 0..3 {
        let files = [("zone.hcl", large.as_str())];
        store.publish(&publication(generation, &files)).unwrap();
    }
    for first in (1..3000).step_by(100) {
        // One place has so many that some are gone.
        let records: Vec<_> =
            (first..first + 100).map(|at| record(at, unit(if at % 2 == 0 { 0 } else { at % 40 }))).collect();
        let machines: Vec<_> =
            (first..first + 10).map(|number| (unit(number % 40), machine(number))).collect();
        append(&mut store, &records, &machines);
    }
    store.set_secret("bmc/a", &[0, 255, 10]).unwrap();
    let (loaded, entries) = (store.load().unwrap(), everything(&store));
    let plans = store.history().unwrap().plans(9).unwrap();
    let Place::Etcd(address) = &etcd else { unreachable!() };
    let Place::File(directory) = &back else { unreachable!() };

    let mut shared = Store::open_etcd_to_fill(address, &Access::default(), "a").unwrap();
    while !shared.take_lead().unwrap() {}
    let copied = store::copy(&mut store, &mut shared).unwrap();
    assert_eq!((copied.plans, copied.secrets, copied.events), (3, 1, entries.len()));
    store.retire(&address.to_string()).unwrap();
    drop(store);
    let Place::File(path) = &file else { unreachable!() };
    let error = Store::open(path).err().unwrap().to_string();
    assert!(error.ends_with(&format!("to {address}: start with that")), "{error}");
    // It goes on there: numbers, histories and bounds.
    assert_eq!(
        append(&mut shared, &[record(9000, unit(0))], &[(unit(0), machine(9000))]),
        loaded.last_seq + 1
    );
    assert_eq!(shared.history().unwrap().plans(9).unwrap(), plans);
    let mut all = entries.clone();
    all.push(Entry { seq: loaded.last_seq + 1, event: record(9000, unit(0)).event, state: "ready".into() });
    let shown = everything(&shared);
    assert!(shown.iter().all(|entry| all.contains(entry)) && shown.last() == all.last());
    // A second copy finds it full.
    let mut other = Place::file().open();
    assert!(store::copy(&mut other, &mut shared).is_err());

    let mut again = Store::open_to_fill(directory).unwrap();
    store::copy(&mut shared, &mut again).unwrap();
    shared.retire(&directory.display().to_string()).unwrap();
    assert_eq!(shared.append(&[record(1, unit(1))], [], []).unwrap_err().kind, store::FailureKind::Moved);
    shared.resign();
    let error = Store::open_etcd(address, &Access::default(), "b").err().unwrap().to_string();
    assert!(error.contains("the zone was moved from"), "{error}");
    let mut facts = loaded.facts;
    facts.machines.insert(unit(0), machine(9000));
    assert_eq!(again.load().unwrap().facts, facts);
    assert_eq!(again.history().unwrap().plans(9).unwrap(), plans);
    assert_eq!(again.secret("bmc/a").unwrap().unwrap(), [0, 255, 10]);
    assert_eq!(append(&mut again, &[record(9001, unit(1))], &[]), loaded.last_seq + 2);

    // And once more: what a zone left behind counts as empty.
    let mut shared = Store::open_etcd_to_fill(address, &Access::default(), "c").unwrap();
    while !shared.take_lead().unwrap() {}
    store::copy(&mut again, &mut shared).unwrap();
    shared.resign();
    again.retire("there").unwrap();
    drop(again);
    assert!(matches!(Store::open(directory), Err(store::OpenError::Moved { .. })));
    assert!(Store::open_to_fill(directory).is_ok());
    assert_eq!(etcd.open().load().unwrap().last_seq, loaded.last_seq + 2);
}
