//! Two controllers of one zone, with an etcd between them.

use crate::deaf::Deaf;
use crate::etcd::Member;
use crate::support::{Client, PATIENCE, Server};
use api::http::{Done, Machine, Moved, Status};
use server::Options;
use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;
use store::etcd::Access;

/// Another controller, before the design's own.
const TWO: &str = r#"controller "ctl2" {
  model = "seed"
  cable = { eno1 = core.c1.swp[31] }
}

controller "ctl1" {"#;
/// Where they are, on a supernet of this host's.
const CONTROLLERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 64, 255, 182), Ipv4Addr::new(127, 64, 255, 183)];

fn controller(member: &Member, name: &str) -> impl FnOnce(&mut Options) {
    let address = member.address("zone");
    // What the design calls its controller is not of interest here.
    let name = name.to_owned();
    move |options| {
        options.store = Some((address, Access::default()));
        options.name = Some(name);
    }
}

fn leader(server: &Server) -> Option<String> {
    server.get::<Status>("/v1/status").controllers.unwrap().leads
}

/// Until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < 2 * PATIENCE, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn state(server: &Server) -> String {
    server.get::<Machine>("/v1/machines/p01/r1/u01").row.state
}

#[test]
fn each_answers_and_one_decides() {
    let Some(member) = Member::start() else { return };
    let mut a = Server::start_with(controller(&member, "a"));
    let b = Server::start_with(controller(&member, "b"));
    until("b knows that a leads", || leader(&b).as_deref() == Some("a"));
    assert_eq!(leader(&a).as_deref(), Some("a"));
    // Who starts second takes the zone's plan and authority, and leaves them.
    assert_eq!(a.request("GET", "/v1/authority", ""), b.request("GET", "/v1/authority", ""));
    assert_eq!(b.metric("zonewright_plan_generation"), 1.0);
    // What one hears both know, and each answers.
    assert_eq!(Client::u01().lease(&b), Ipv4Addr::new(10, 64, 0, 6));
    until("a knows of the sighting", || state(&a) == "seen");
    until("b knows of it too", || state(&b) == "seen");
    assert_eq!(Client::u01().lease(&a), Ipv4Addr::new(10, 64, 0, 6));
    // A wish at the one that does not decide is stored when it is answered, and known there.
    let done: Done = b.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    assert_eq!((done.state.as_str(), state(&b).as_str()), ("maintenance", "maintenance"));
    until("a knows of the wish", || state(&a) == "maintenance");
    let told = |server: &Server| {
        let machine: Machine = server.get("/v1/machines/p01/r1/u01");
        machine.timeline.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(told(&a), told(&b));
    // What is refused is refused there.
    let (status, said) = b.request("POST", "/v1/machines/p01/r1/u01/wish", r#"{"wish": "accept"}"#);
    let (at_leader, expected) = a.request("POST", "/v1/machines/p01/r1/u01/wish", r#"{"wish": "accept"}"#);
    assert_eq!((status, said), (at_leader, expected));
    // A design that changes at the leader comes into force at both.
    a.edit("machines \"u{01..04}\"", "machines \"u{01..05}\"");
    until("b has the new plan", || b.metric("zonewright_plan_generation") == 2.0);
    until("b knows the new machine", || b.request("GET", "/v1/machines/p01/r1/u05", "").0 == 200);
    // The leader ends; the other goes on.
    a.stop();
    until("b leads", || leader(&b).as_deref() == Some("b"));
    let done: Done = b.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "return"}"#);
    assert_ne!(done.state, "maintenance");
    // Files that lie there from before are not put in force by a start, nor by leading.
    a.edit("machines \"u{01..05}\"", "machines \"u{01..03}\"");
    a.resume().unwrap();
    assert_eq!(a.metric("zonewright_plan_generation"), 2.0);
    assert_eq!(state(&a), state(&b));
    let status: Status = a.get("/v1/status");
    assert!(status.troubles.iter().any(|trouble| trouble.about == "design"), "{:?}", status.troubles);
}

/// A machine that hears that its files are not here asks again in a minute.
#[test]
fn with_a_plan_of_another_controller_its_boot_files_are_served_at_once() {
    let Some(member) = Member::start() else { return };
    let start = |name: &str| {
        let mut server = Server::prepared();
        // A machine's address is one that this host has.
        server.edit(r#"["10.64.0.0/16", "2001:db8:64::/48"]"#, r#"["127.64.0.0/16"]"#);
        controller(&member, name)(&mut server.options);
        server.resume().unwrap();
        server
    };
    let (a, b) = (start("a"), start("b"));
    until("b knows that a leads", || leader(&b).as_deref() == Some("a"));
    let mut before = "images/kvm/vmlinuz".to_owned();
    for round in 0..8 {
        let path = format!("images/{round}/vmlinuz");
        for server in [&a, &b] {
            let file = server.options.design.join(&path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "a kernel").unwrap();
        }
        a.edit(&before, &path);
        until("b serves the plan", || {
            let script = b.boot_as(Ipv4Addr::new(127, 64, 0, 6), "/boot/auto.ipxe");
            let text = script.text();
            assert!(!text.contains(" waits: "), "{text}");
            text.contains(&path)
        });
        before = path;
    }
}

#[test]
fn a_zone_whose_etcd_is_gone_is_served_and_says_so() {
    let Some(mut member) = Member::start() else { return };
    let a = Server::start_with(controller(&member, "a"));
    until("it leads", || leader(&a).as_deref() == Some("a"));
    member.stop();
    let trouble = || {
        let status: Status = a.get("/v1/status");
        status.troubles.into_iter().find(|trouble| trouble.about == "store").map(|trouble| trouble.sentence)
    };
    until("it says so", || trouble().is_some_and(|said| said.contains("etcd cannot be reached")));
    assert_eq!(Client::u01().lease(&a), Ipv4Addr::new(10, 64, 0, 6));
    member.resume();
    until("it is back", || trouble().is_none() && leader(&a).as_deref() == Some("a"));
    let done: Done = a.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    assert_eq!(done.state, "maintenance");
    assert!(Path::new(&a.options.state).join(store::KEY_FILE).exists());
    assert!(
        fs::metadata(a.options.state.join(store::DATABASE_FILE)).is_err(),
        "nothing is kept in the directory"
    );
}

#[test]
fn a_zone_moves_to_an_etcd_and_back_while_it_is_asked_things() {
    let Some(member) = Member::start() else { return };
    let mut server = Server::start();
    let etcd = member.address("zone").to_string();
    let back = server.scratch.0.join("back").display().to_string();
    let (stop, number) = (AtomicBool::new(false), AtomicU64::new(0));
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for unit in ["u01", "u02"] {
            let (server, stop, number, acknowledged) = (&server, &stop, &number, &acknowledged);
            scope.spawn(move || {
                // Fewer than are kept of a machine.
                for turn in 0..150 {
                    let mark = format!("w{}", number.fetch_add(1, SeqCst));
                    let wish = if turn % 2 == 0 { "maintain" } else { "drain" };
                    let body = format!(r#"{{"wish": "{wish}", "reason": "{mark}"}}"#);
                    let (status, said) =
                        server.request("POST", &format!("/v1/machines/p01/r1/{unit}/wish"), &body);
                    assert_eq!(status, 200, "{said}");
                    acknowledged.lock().unwrap().push(mark);
                    if stop.load(SeqCst) {
                        return;
                    }
                }
            });
        }
        for to in [&etcd, &back, &etcd] {
            let before = acknowledged.lock().unwrap().len();
            until("it goes on", || acknowledged.lock().unwrap().len() > before + 4);
            let moved: Moved = server.post("/v1/store", &format!(r#"{{"to": "{to}"}}"#));
            assert!(moved.plans == 1 && moved.events > before, "{moved:?} {before}");
            assert_eq!(leader_if_any(&server).is_some(), to == &etcd);
        }
        stop.store(true, SeqCst);
    });
    // Answered from the same view all the time.
    assert_eq!(Client::u01().lease(&server), Ipv4Addr::new(10, 64, 0, 6));
    server.stop();
    let refused = server.resume().err().unwrap().to_string();
    assert!(refused.contains("start with that"), "{refused}");
    server.options.store = Some((member.address("zone"), Access::default()));
    server.resume().unwrap();
    let mut stored = Vec::new();
    for unit in ["u01", "u02"] {
        let machine: Machine = server.get(&format!("/v1/machines/p01/r1/{unit}"));
        stored.extend(machine.timeline);
    }
    let words: Vec<_> = stored.iter().map(|event| event.sentence.clone()).collect();
    for mark in acknowledged.into_inner().unwrap() {
        let times = words
            .iter()
            .filter(|words| words.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == mark));
        assert_eq!(times.count(), 1, "{mark}: {words:?}");
    }
}

/// While the answer to a write is away, and a while more: what was asked in the meantime is answered as it is kept.
#[test]
fn what_is_asked_while_a_secret_is_in_doubt_is_kept_if_it_was_said_to_be() {
    let Some(member) = Member::start() else { return };
    let deaf = Deaf::before(&member);
    let address = deaf.address("zone");
    let server = Server::start_with(|options| options.store = Some((address, Access::default())));
    until("it leads", || leader(&server).is_some());
    std::thread::scope(|scope| {
        deaf.lose_the_next();
        let edge = scope.spawn(|| {
            let add = r#"{"wish": "add", "name": "g1", "addresses": ["10.64.0.30"]}"#;
            server.request("POST", "/v1/edges", add)
        });
        until("the secret is written", || deaf.is_deaf());
        let wishes = ["u01", "u02", "u03"].map(|unit| {
            let path = format!("/v1/machines/p01/r1/{unit}/wish");
            let body = r#"{"wish": "maintain", "reason": "a fan"}"#;
            let server = &server;
            (unit, scope.spawn(move || server.request("POST", &path, body)))
        });
        until("nobody answers", || {
            let status: Status = server.get("/v1/status");
            status.troubles.iter().any(|trouble| trouble.about == "store")
        });
        deaf.hear();
        let (status, said) = edge.join().unwrap();
        assert_eq!(status, 200, "it was kept: {said}");
        for (unit, wish) in wishes {
            let (status, said) = wish.join().unwrap();
            assert_eq!(status, 200, "{said}");
            let machine: Machine = server.get(&format!("/v1/machines/p01/r1/{unit}"));
            assert_eq!(machine.row.state, "maintenance", "{unit}: {said}");
        }
    });
}

/// Whether a zone is in the one store or in the other is said rightly, also if the last word between them was lost.
#[test]
fn a_zone_whose_last_word_was_lost_is_where_it_is_said_to_be() {
    let Some(member) = Member::start() else { return };
    let deaf = Deaf::before(&member);
    let address = deaf.address("zone");
    let mut server = Server::start_with(|options| options.store = Some((address, Access::default())));
    until("it leads", || leader(&server).is_some());
    let to = server.scratch.0.join("to");
    deaf.lose_the_next();
    let body = format!(r#"{{"to": "{}"}}"#, to.display());
    std::thread::scope(|scope| {
        let moved = scope.spawn(|| server.request("POST", "/v1/store", &body));
        until("it may go", || deaf.is_deaf());
        let is_failed = || server.metric("zonewright_store_failures_total") > 0.0;
        until("nobody answers", || is_failed() || moved.is_finished());
        deaf.hear();
        let (status, said) = moved.join().unwrap();
        assert_eq!(status, 200, "{said}");
    });
    let done: Done =
        server.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    assert_eq!(done.state, "maintenance");
    server.stop();
    server.options.store = None;
    server.options.state = to;
    server.resume().unwrap();
    assert_eq!(state(&server), "maintenance");
}

#[test]
fn what_is_hardly_meant_as_a_directory_is_not_made_one() {
    let server = Server::start();
    for (to, said) in [
        ("ectd://127.0.0.1/x", "is no address of a store"),
        ("", "is no absolute path"),
        ("state", "is no absolute path"),
        ("/nowhere/at/all", "there is no /nowhere/at; make it first"),
    ] {
        let (status, refused) = server.request("POST", "/v1/store", &format!(r#"{{"to": "{to}"}}"#));
        assert!(status == 409 && refused.contains(said), "{to}: {status} {refused}");
    }
    let done: Done =
        server.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    assert_eq!(done.state, "maintenance");
}

fn leader_if_any(server: &Server) -> Option<String> {
    server.get::<Status>("/v1/status").controllers.and_then(|controllers| controllers.leads)
}

#[test]
fn what_lies_beside_the_store_goes_along_or_is_named() {
    let Some(member) = Member::start() else { return };
    let server = Server::start();
    let (state, back) = (server.options.state.clone(), server.scratch.0.join("back"));
    let migrate = |to: &str| server.request("POST", "/v1/store", &format!(r#"{{"to": "{to}"}}"#));
    let (status, said) = migrate(&member.address("zone").to_string());
    assert!(status == 200 && said.contains(&format!("start with --state {}", state.display())), "{said}");
    // Another key would be of no use there, and what it sealed would be lost with it.
    fs::create_dir(&back).unwrap();
    fs::write(back.join(store::KEY_FILE), [7; 32]).unwrap();
    let (status, said) = migrate(&back.display().to_string());
    assert!(status == 409 && said.contains("another key is there"), "{said}");
    fs::remove_file(back.join(store::KEY_FILE)).unwrap();
    let (status, said) = migrate(&back.display().to_string());
    assert!(status == 200 && said.contains(&format!("stays in {}", state.display())), "{said}");
    let key = |directory: &Path| fs::read(directory.join(store::KEY_FILE)).unwrap();
    assert_eq!(key(&back), key(&state));
}

#[test]
fn two_of_one_name_are_told_apart_and_told_of() {
    let Some(member) = Member::start() else { return };
    let a = Server::start_with(controller(&member, "ctl"));
    until("a leads", || leader(&a).as_deref() == Some("ctl"));
    let b = Server::start_with(controller(&member, "ctl"));
    until("b knows that the other leads", || leader(&b).as_deref() == Some("the other ctl"));
    assert_eq!(leader(&a).as_deref(), Some("ctl"));
    let warned = |server: &Server| {
        let status: Status = server.get("/v1/status");
        status.troubles.iter().any(|trouble| trouble.about == "name" && trouble.sentence.contains("--name"))
    };
    until("both say so", || warned(&a) && warned(&b));
    assert!(b.journal.lock().unwrap().iter().any(|line| line.contains("--name")));
    let (_, said) =
        b.request("POST", "/v1/edges", r#"{"wish": "add", "name": "p01", "addresses": ["10.9.9.9"]}"#);
    assert!(said.contains("the other ctl leads; ask there"), "{said}");
    let _: Done = b.post("/v1/machines/p01/r1/u01/wish", r#"{"wish": "maintain", "reason": "a fan"}"#);
    drop(b);
    until("a is alone", || !warned(&a));
}

#[test]
fn who_moved_tells_machines_of_the_controllers_that_share_its_store() {
    let Some(member) = Member::start() else { return };
    let mut server = Server::prepared();
    // Two controllers, at addresses that this host has.
    server.edit(r#"["10.64.0.0/16", "2001:db8:64::/48"]"#, r#"["127.64.0.0/16"]"#);
    server.edit("controller \"ctl1\" {", TWO);
    let [own, other] = CONTROLLERS;
    server.options.address = Some(own.into());
    server.resume().unwrap();
    let tells_of = |address: Ipv4Addr| {
        let wish = format!(r#"{{"wish": "add", "name": "p01", "addresses": ["{address}"]}}"#);
        server.request("POST", "/v1/edges", &wish).1.contains("is a controller's address")
    };
    assert!(tells_of(own) && !tells_of(other));
    let back = server.scratch.0.join("back").display().to_string();
    for to in [member.address("zone").to_string(), back] {
        let _: Moved = server.post("/v1/store", &format!(r#"{{"to": "{to}"}}"#));
        let is_shared = leader_if_any(&server).is_some();
        until("it tells of those that share it", || tells_of(other) == is_shared);
    }
}

#[test]
fn who_moved_hears_of_edges_that_another_controller_added() {
    let Some(member) = Member::start() else { return };
    let server = Server::start();
    let _: Moved = server.post("/v1/store", &format!(r#"{{"to": "{}"}}"#, member.address("zone")));
    let kept = r#"{"added": 1, "by": "b", "addresses": ["10.9.9.9"], "token": null, "until": 1, "key": null, "is_removed": false}"#;
    let put = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &format!("127.0.0.1:{}", member.port), "put", "zone/secrets/edge/far", kept])
        .output();
    assert!(put.unwrap().status.success());
    let mut page = UnixStream::connect(server.api_socket()).unwrap();
    page.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(page, "GET /page/live?path=/ HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let began = Instant::now();
    while !text.contains("<b>far</b>") {
        assert!(began.elapsed() < PATIENCE, "{text}");
        let length = page.read(&mut piece).unwrap();
        assert_ne!(length, 0, "{text}");
        text += &String::from_utf8_lossy(&piece[..length]);
    }
}
