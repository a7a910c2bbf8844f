//! Several controllers of one zone, in one etcd.

use super::{append, both, event, everything, lead, machine, publication, record, unit};
use crate::etcd::Member;
use model::Generation;
use model::facts::Machine;
use store::etcd::{Access, Answered, Beside, Followed, Outcome, Peer, Standing};
use store::{FailureKind, Store};

fn two(member: &Member, prefix: &str) -> (Store, Store) {
    let open = |name| Store::open_etcd(&member.address(prefix), &Access::default(), name).unwrap();
    let first = lead(open("a"));
    let mut second = open("b");
    second.load().unwrap();
    (first, second)
}

/// What is new, once there is something.
fn next(store: &mut Store) -> Followed {
    loop {
        let followed = store.follow().unwrap();
        if !followed.batches.is_empty() || !followed.asked.is_empty() || followed.reload {
            return followed;
        }
    }
}

#[test]
fn one_decides_and_the_other_hears_of_all_in_order() {
    let Some(member) = Member::start() else { return };
    let (mut a, mut b) = two(&member, "z");
    let followed = b.follow().unwrap();
    let peer = |store: &Store, name: &str| Peer { name: name.into(), id: store.id().unwrap().into() };
    assert_eq!(followed.standing, Standing::Follows(Some(peer(&a, "a"))));
    assert_eq!(followed.controllers, [peer(&a, "a"), peer(&b, "b")]);
    assert_eq!(b.append(&[record(1, unit(1))], [], []).unwrap_err().kind, FailureKind::Deposed);
    assert!(b.publish(&publication(0, &[])).is_err() && b.set_secret("x", b"y").is_err());
    a.publish(&publication(0, &[("zone.hcl", "text")])).unwrap();
    let connected = Machine { agent_at: Some("an agent's".into()), ..machine(7) };
    append(&mut a, &[record(1, unit(1))], &[(unit(1), connected.clone())]);
    // So large that it lies in pieces.
    let machines: Vec<_> = (0..3000).map(|number| (unit(number), machine(number))).collect();
    append(&mut a, &[], &machines);
    let mut batches = Vec::new();
    while batches.len() < 3 {
        batches.extend(next(&mut b).batches);
    }
    assert_eq!(batches.iter().map(|batch| batch.batch).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(batches[0].published, Some(Generation(1)));
    assert_eq!(b.plan(Generation(1)).unwrap().unwrap().files[0].1, "text");
    assert_eq!(batches[1].machines[&unit(1)], connected);
    assert_eq!(batches[2].machines, machines.into_iter().collect());
    assert_eq!(everything(&b).len(), 1);
}

#[test]
fn what_one_hears_the_other_decides_once() {
    let Some(member) = Member::start() else { return };
    let (mut a, mut b) = two(&member, "z");
    b.follow().unwrap();
    let events: Vec<_> = (0..300).map(|at| event(at, unit(at))).collect();
    let mut unknown = Store::open_etcd(&member.address("z"), &Access::default(), "c").unwrap();
    assert_eq!(unknown.ask(&events).unwrap(), None, "etcd does not know it yet");
    let (first, count) = b.ask(&events).unwrap().unwrap();
    assert!((1..300).contains(&count), "{count}");
    let (second, rest) = b.ask(&events[count..]).unwrap().unwrap();
    assert_eq!((first, second, count + rest), (1, 2, 300));
    let asked = next(&mut a).asked;
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].events, events[..count]);
    assert_eq!(asked[1].events, events[count..]);
    assert!(a.follow().unwrap().asked.is_empty(), "it was told already");
    let answer: Vec<_> = asked.iter().map(|asked| asked.answer(vec![None, Some("no".into())])).collect();
    a.append_beside(&[record(0, unit(0))], [], [], Beside { answered: answer, ..Beside::default() }).unwrap();
    let batch = next(&mut b).batches.remove(0);
    let id = b.id().unwrap().to_owned();
    let expected = Answered { controller: id, number: 1, refused: vec![None, Some("no".into())] };
    assert_eq!(batch.answered[0], expected);
    assert!(a.follow().unwrap().asked.is_empty(), "it is answered");
}

#[test]
fn another_takes_over_what_was_asked_and_the_one_before_writes_nothing_more() {
    let Some(member) = Member::start() else { return };
    let (mut a, mut b) = two(&member, "z");
    b.follow().unwrap();
    append(&mut a, &[record(1, unit(1))], &[(unit(1), machine(1))]);
    b.ask(&[event(2, unit(2))]).unwrap();
    // It is told, and ends before it answers.
    assert_eq!(next(&mut a).asked.len(), 1);
    a.resign();
    assert_eq!(a.append(&[record(3, unit(3))], [], []).unwrap_err().kind, FailureKind::Deposed);
    while !b.is_leading() {
        b.follow().unwrap();
    }
    let asked = next(&mut b).asked;
    assert_eq!(asked[0].events, [event(2, unit(2))]);
    let answer = asked[0].answer(vec![None]);
    assert_eq!(
        b.append_beside(
            &[record(2, unit(2))],
            [],
            [],
            Beside { answered: vec![answer], ..Beside::default() }
        )
        .unwrap(),
        2
    );
    assert_eq!(a.append(&[record(3, unit(3))], [], []).unwrap_err().kind, FailureKind::Deposed);
    assert_eq!(everything(&b).iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    b.resign();
}

#[test]
fn who_was_away_for_long_reads_all_anew() {
    let Some(member) = Member::start() else { return };
    let (mut a, mut b) = two(&member, "z");
    for at in 1..=700 {
        append(&mut a, &[record(at, unit(at % 3))], &[(unit(at % 3), machine(at))]);
    }
    assert!(next(&mut b).reload);
    let loaded = b.load().unwrap();
    assert_eq!((loaded.last_seq, loaded.facts.machines.len()), (700, 3));
    append(&mut a, &[record(701, unit(1))], &[]);
    assert_eq!(next(&mut b).batches.len(), 1);
}

#[test]
fn a_newer_layout_and_other_programs_keys_are_left_alone() {
    let Some(member) = Member::start() else { return };
    let put = |key: &str, value: &str| {
        let endpoint = format!("http://127.0.0.1:{}", member.port);
        let status = std::process::Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &endpoint, "put", key, value])
            .output();
        assert!(status.unwrap().status.success());
    };
    put("newer/format", "9");
    put("theirs/key", "value");
    let refused = |prefix: &str| {
        let error = Store::open_etcd(&member.address(prefix), &Access::default(), "a").err().unwrap();
        error.to_string().replace(&member.port.to_string(), "PORT")
    };
    assert_eq!(
        refused("newer"),
        "etcd://127.0.0.1:PORT/newer was written by a newer release (schema 9, this one knows 1); use that release"
    );
    assert!(
        refused("theirs").starts_with(
            "etcd://127.0.0.1:PORT/theirs is not a usable store (its keys are another program's)"
        )
    );
}

#[test]
fn a_store_that_is_not_there_is_said_to_be_unreachable() {
    // The discard port of this host: nobody listens there.
    let address = store::etcd::Address::parse("etcd://127.0.0.1:9").unwrap();
    let error = Store::open_etcd(&address, &Access::default(), "a").err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("etcd cannot be reached (127.0.0.1:9: "), "{source}");
}

#[test]
fn a_write_that_nobody_answered_is_in_doubt_until_it_is_told_what_came_of_it() {
    let Some(mut member) = Member::start() else { return };
    let mut a = lead(Store::open_etcd(&member.address("z"), &Access::default(), "a").unwrap());
    append(&mut a, &[record(1, unit(1))], &[]);
    member.stop();
    let failure = a.append(&[record(2, unit(1))], [], []).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(a.append(&[record(2, unit(1))], [], []).unwrap_err().kind, FailureKind::Unreachable);
    member.resume();
    let followed = loop {
        if let Ok(followed) = a.follow() {
            break followed;
        }
    };
    // Nobody was there to take it.
    assert_eq!((followed.doubt, followed.reload), (Some(Outcome::Undone), true));
    let mut a = lead(a);
    assert_eq!(append(&mut a, &[record(2, unit(1))], &[]), 2);
    assert_eq!(everything(&a).len(), 2);
    a.resign();
}

#[test]
fn what_lies_there_without_a_head_was_never_whole() {
    let Some(member) = Member::start() else { return };
    let mut before = lead(Store::open_etcd(&member.address("z"), &Access::default(), "a").unwrap());
    before.publish(&publication(0, &[("zone.hcl", "before")])).unwrap();
    append(&mut before, &[record(1, unit(1))], &[(unit(1), machine(1))]);
    before.set_secret("authority", b"before").unwrap();
    before.resign();
    drop(before);
    // As a copy leaves it that was broken off.
    let endpoint = format!("http://127.0.0.1:{}", member.port);
    let deleted = std::process::Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &endpoint, "del", "z/head"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&deleted.stdout).trim(), "1", "{deleted:?}");
    let mut store = Store::open_etcd(&member.address("z"), &Access::default(), "b").unwrap();
    let nothing = store.load().unwrap();
    assert_eq!((nothing.published, nothing.last_seq), (None, 0));
    assert!(nothing.facts.machines.is_empty());
    assert_eq!(store.secret("authority").unwrap(), None);
    let mut store = lead(store);
    store.publish(&publication(0, &[("zone.hcl", "new")])).unwrap();
    assert_eq!(append(&mut store, &[record(2, unit(2))], &[]), 1);
    assert_eq!(store.history().unwrap().plans(9).unwrap().len(), 1);
    assert_eq!(everything(&store).len(), 1);
    assert!(store.load().unwrap().facts.machines.is_empty());
    assert_eq!(store.secret("authority").unwrap(), None);
    store.resign();
}

#[test]
fn both_kinds_tell_who_decides() {
    both(|place| assert!(place.open().is_leading()));
}
