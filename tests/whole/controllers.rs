//! Three controllers and three members of an etcd in a private network; the one that decides is cut off, stopped, killed, and set to
//! another time, while clients wish and publish. What they were told must be what is stored.
//!
//! `ZW_ROUNDS` says how often all of that is done, each time in a network of its own, at other moments, in another order and for other
//! times; once by itself. `ZW_ROUND` says with which number it begins.

#[path = "controllers/checker.rs"]
mod checker;

use crate::network::{Network, Running, copy_folder, have};
use crate::served::ZW;
use crate::zw;
use checker::{Recorded, Told, wrong};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const CONTROLLERS: [&str; 3] = ["c1", "c2", "c3"];
const MEMBERS: [&str; 3] = ["e1", "e2", "e3"];
/// So long something is out of order: longer than a leader's lease,
const TROUBLE: Duration = Duration::from_secs(13);
/// and, in later rounds, as long as a leader decides without an answer, as its lease lasts, and for a moment.
const TROUBLES: [Duration; 5] = [
    TROUBLE,
    Duration::from_secs(2),
    Duration::from_secs(7),
    Duration::from_secs(9),
    Duration::from_secs(10),
];
/// What a client waits for at most, before it knows nothing.
const PATIENCE: Duration = Duration::from_secs(20);
/// Everything is to agree again after so long.
const HEALED: Duration = Duration::from_secs(60);
/// The machines that are wished something of, and how often at most: so that no event is removed for being old.
const UNITS: [&str; 4] = ["p01/r1/u01", "p01/r1/u02", "p01/r1/u03", "p01/r1/u04"];
const WISHES_MAX: u64 = 240;

/// The network, with what runs in it. Programs end before it does.
struct Zone {
    controllers: Mutex<BTreeMap<&'static str, Running>>,
    members: Mutex<BTreeMap<&'static str, Running>>,
    network: Network,
}

fn address(place: &str) -> String {
    let number: u8 = place[1..].parse().expect("a number");
    format!("10.9.0.{}", if place.starts_with('e') { number } else { 10 + number })
}

impl Zone {
    fn new() -> Option<Self> {
        if !have(&["etcd", "etcdctl", "faketime"]) {
            return None;
        }
        let network = Network::new()?;
        network.add_place("sw");
        network.sh(None, "ip -n sw link add br0 type bridge && ip -n sw link set br0 up");
        for place in MEMBERS.into_iter().chain(CONTROLLERS) {
            network.add_place(place);
            let port = format!("to-{place}");
            network.add_cable((place, "eth0"), ("sw", &port));
            let address = address(place);
            network.sh(
                None,
                &format!(
                    "ip -n sw link set {port} master br0 && ip -n {place} addr add {address}/24 dev eth0"
                ),
            );
        }
        for (name, octets) in [("ipxe.efi", 1000), ("snponly.efi", 1000), ("undionly.kpxe", 1000)] {
            network.write(&format!("/run/loaders/{name}"), vec![1; octets]);
        }
        let zone = Self { controllers: Mutex::default(), members: Mutex::default(), network };
        for member in MEMBERS {
            zone.start_member(member);
        }
        for controller in CONTROLLERS {
            let design = format!("/run/{controller}/design");
            copy_folder(&zw::root().join("examples/pocket"), &zone.network.outside(&design));
            zone.network.write(&format!("/run/{controller}/clock"), "+0");
            zone.start_controller(controller);
        }
        Some(zone)
    }

    fn start_member(&self, member: &'static str) {
        let [client, peer] = [2379, 2380].map(|port| format!("http://{}:{port}", address(member)));
        let cluster = MEMBERS.map(|member| format!("{member}=http://{}:2380", address(member))).join(",");
        let data = format!("/run/etcd-{member}");
        let running = self.network.start(
            member,
            &[
                ["etcd", "--name", member, "--data-dir", &data].as_slice(),
                &["--listen-client-urls", &client, "--advertise-client-urls", &client],
                &["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer],
                &["--initial-cluster", &cluster],
            ]
            .concat(),
        );
        self.members.lock().expect("whole").insert(member, running);
    }

    fn start_controller(&self, name: &'static str) {
        let store = format!("etcd://{}/zone", MEMBERS.map(address).join(","));
        let [clock, design, state, socket] =
            ["clock", "design", "state", "api.sock"].map(|file| format!("/run/{name}/{file}"));
        let script = "exec env LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketime.so.1) FAKETIME_TIMESTAMP_FILE=$0 \"$@\"";
        let running = self.network.start(
            name,
            &[
                ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"]
                    .as_slice(),
                &["sh", "-c", script, &clock, ZW, "serve", &design, "--state", &state, "--store", &store],
                &["--name", name, "--address", &address(name), "--loaders", "/run/loaders"],
                &["--api-socket", &socket, "--api-tcp", "none"],
            ]
            .concat(),
        );
        self.controllers.lock().expect("whole").insert(name, running);
    }

    /// Status and body of a request; `None`: nobody answers.
    fn ask(&self, controller: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let socket: PathBuf = self.network.outside(&format!("/run/{controller}/api.sock"));
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn get(&self, controller: &str, path: &str) -> Option<Value> {
        let (status, body) = self.ask(controller, "GET", path, "")?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    /// The one that says itself that it decides.
    fn leader(&self) -> Option<&'static str> {
        CONTROLLERS.into_iter().find(|controller| {
            self.get(controller, "/v1/status")
                .is_some_and(|status| status["controllers"]["leads"] == **controller)
        })
    }

    /// Until all say the same: who leads, which plan, and what happened.
    fn agree(&self) -> &'static str {
        let began = Instant::now();
        loop {
            let said = CONTROLLERS.map(|controller| {
                let status = self.get(controller, "/v1/status")?;
                let timelines = UNITS.map(|unit| {
                    let machine = self.get(controller, &format!("/v1/machines/{unit}"));
                    machine.map(|machine| (machine["state"].clone(), machine["timeline"].clone()))
                });
                let leads = status["controllers"]["leads"].as_str()?.to_owned();
                Some((leads, status["generation"].clone(), timelines))
            });
            if let [Some(first), Some(second), Some(third)] = &said
                && first == second
                && second == third
            {
                let leads = CONTROLLERS.into_iter().find(|name| *name == first.0);
                return leads.expect("one of the controllers leads");
            }
            assert!(
                began.elapsed() < HEALED,
                "they do not agree:\n{:?}\n{}",
                said.map(|said| said.map(|(leads, generation, _)| (leads, generation))),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn logs(&self) -> String {
        let controllers = self.controllers.lock().expect("whole");
        controllers.iter().map(|(name, running)| format!("{name}:\n{}", running.said())).collect()
    }

    fn cable(&self, place: &str, state: &str) {
        self.network.sh(None, &format!("ip -n sw link set dev to-{place} {state}"));
    }

    fn signal(&self, controller: &str, name: &str) {
        self.controllers.lock().expect("whole")[controller].signal(name);
    }

    /// The keys below a prefix of the zone, with their values.
    fn stored(&self, prefix: &str) -> Vec<Value> {
        let endpoints = MEMBERS.map(|member| format!("http://{}:2379", address(member))).join(",");
        let prefix = format!("zone/{prefix}/");
        let words =
            ["env", "ETCDCTL_API=3", "etcdctl", "--endpoints", &endpoints, "get", "--prefix", &prefix];
        let out = self.network.run(Some("e1"), &words).fine();
        let values = out.lines().skip(1).step_by(2);
        values.map(|value| serde_json::from_str(value).expect("values are JSON")).collect()
    }
}

/// What may go wrong with the controller that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// It is cut off from everything.
    Cut,
    /// It is stopped, and goes on as if nothing had been.
    Pause,
    /// It is killed, and started again.
    Kill,
    /// Its clock goes a day ahead or back, and is right again.
    Clock,
    /// A member of the etcd is killed, and started again.
    Member,
}

impl Trouble {
    fn make(self, zone: &Zone, leader: &'static str, length: Duration) {
        let wait = || std::thread::sleep(length);
        match self {
            Self::Cut => {
                zone.cable(leader, "down");
                wait();
                zone.cable(leader, "up");
            }
            Self::Pause => {
                zone.signal(leader, "STOP");
                wait();
                zone.signal(leader, "CONT");
            }
            Self::Kill => {
                zone.controllers.lock().expect("whole").remove(leader);
                wait();
                zone.start_controller(leader);
            }
            Self::Clock => {
                let clock = format!("/run/{leader}/clock");
                zone.network.write(&clock, if length == TROUBLE { "+86400" } else { "-86400" });
                wait();
                zone.network.write(&clock, "+0");
            }
            Self::Member => {
                zone.members.lock().expect("whole").remove("e2");
                wait();
                zone.start_member("e2");
            }
        }
    }
}

/// What clients do until they are stopped, and what they are told.
#[derive(Default)]
struct Clients {
    stop: AtomicBool,
    number: AtomicU64,
    recorded: Mutex<Recorded>,
}

impl Clients {
    /// Wishes something of one machine, at one controller after the other.
    fn wish(&self, zone: &Zone, unit: &str) {
        for turn in 0..WISHES_MAX {
            if self.stop.load(SeqCst) {
                return;
            }
            let mark = format!("w{}", self.number.fetch_add(1, SeqCst));
            let controller = CONTROLLERS[usize::try_from(turn % 3).expect("small")];
            let wish = if turn.is_multiple_of(2) { "maintain" } else { "drain" };
            let body = format!(r#"{{"wish": "{wish}", "reason": "{mark}"}}"#);
            // Before it is asked: what nobody answers may be stored.
            self.recorded.lock().expect("whole").wishes.insert(mark.clone(), Told::Nothing);
            let told = match zone.ask(controller, "POST", &format!("/v1/machines/{unit}/wish"), &body) {
                Some((200, _)) => Told::Stored,
                Some((409, _)) => Told::Refused,
                _ => Told::Nothing,
            };
            self.recorded.lock().expect("whole").wishes.insert(mark, told);
            // So that the bound on events lasts for all that is done.
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Changes the design everywhere, and asks one after the other to read it.
    fn publish(&self, zone: &Zone) {
        while !self.stop.load(SeqCst) {
            let mark = format!("d{}", self.number.fetch_add(1, SeqCst));
            self.recorded.lock().expect("whole").designs.insert(mark.clone(), Told::Nothing);
            for controller in CONTROLLERS {
                let file = format!("/run/{controller}/design/zone.hcl");
                let text = zone.network.text(&file);
                let drawn = text.split("\n# mark ").next().unwrap_or_default();
                zone.network.write(&file, format!("{drawn}\n# mark {mark} \n"));
            }
            for controller in CONTROLLERS {
                let Some((200, body)) = zone.ask(controller, "POST", "/v1/reload", "") else { continue };
                let reloaded: Value = serde_json::from_str(&body).expect("JSON");
                if reloaded["refused"].is_null() {
                    self.recorded.lock().expect("whole").designs.insert(mark.clone(), Told::Stored);
                }
            }
            std::thread::sleep(Duration::from_millis(700));
        }
    }
}

/// What goes wrong in a round, for how long, and how long it was quiet before. The first round is always the same.
fn troubles(round: u64) -> Vec<(Trouble, Duration, Duration)> {
    let all = [Trouble::Cut, Trouble::Pause, Trouble::Kill, Trouble::Clock, Trouble::Member];
    let mut number = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |below: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
        (number >> 33) % below
    };
    let place = |number: u64| usize::try_from(number).expect("small");
    let one = |trouble| match round {
        0 => (trouble, TROUBLE, Duration::ZERO),
        _ => (trouble, TROUBLES[place(next(5))], Duration::from_millis(next(3000))),
    };
    let mut troubles: Vec<_> = all.into_iter().map(one).collect();
    troubles.rotate_left(place(round % 5));
    troubles
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_done_twice() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default);
    let (first, rounds): (u64, u64) = (number("ZW_ROUND", 0), number("ZW_ROUNDS", 1));
    for round in first..first + rounds {
        let Some(zone) = Zone::new() else { return };
        hold_against_what_is_stored(&zone, round);
    }
}

fn hold_against_what_is_stored(zone: &Zone, round: u64) {
    zone.agree();
    let clients = Clients::default();
    let (mut took, mut expected) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        for unit in UNITS {
            let clients = &clients;
            scope.spawn(move || clients.wish(zone, unit));
        }
        scope.spawn(|| clients.publish(zone));
        for (trouble, length, quiet) in troubles(round) {
            std::thread::sleep(quiet);
            let Some(leader) = zone.leader() else { continue };
            let began = Instant::now();
            let next = std::thread::scope(|scope| {
                let made = scope.spawn(|| trouble.make(zone, leader, length));
                let others = CONTROLLERS.into_iter().filter(|controller| *controller != leader);
                let mut others = others.cycle();
                // Who leads meanwhile, as the others say.
                let next = std::iter::from_fn(|| {
                    let other = others.next()?;
                    let status = zone.get(other, "/v1/status");
                    let leads =
                        status.and_then(|status| Some(status["controllers"]["leads"].as_str()?.to_owned()));
                    (!made.is_finished()).then_some(leads)
                });
                next.flatten().find(|leads| leads != leader).map(|leads| (leads, began.elapsed()))
            });
            let is_deposing = matches!(trouble, Trouble::Cut | Trouble::Pause | Trouble::Kill);
            expected += usize::from(is_deposing && length == TROUBLE);
            took.push((trouble, length, next));
            // It is quiet for a moment, as it mostly is.
            std::thread::sleep(Duration::from_secs(2));
        }
        clients.stop.store(true, SeqCst);
    });
    let leader = zone.agree();
    let mut recorded = clients.recorded.into_inner().expect("whole");
    for value in zone.stored("events") {
        let wish = value["event"]["what"]["wish"]["reason"].as_str().map(str::to_owned);
        recorded.events.push((value["seq"].as_u64().expect("a number"), wish));
    }
    for value in zone.stored("plans") {
        let text = value["files"].to_string();
        let mark = text.split("# mark ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        let number = |name: &str| value[name].as_u64().expect("a number");
        recorded.plans.push((number("generation"), number("parent"), mark));
    }
    let stored = |told: &BTreeMap<String, Told>| told.values().filter(|told| **told == Told::Stored).count();
    let said = format!(
        "round {round}: {} of {} wishes and {} of {} designs acknowledged; {} events and {} plans stored; {leader} leads; {took:?}",
        stored(&recorded.wishes),
        recorded.wishes.len(),
        stored(&recorded.designs),
        recorded.designs.len(),
        recorded.events.len(),
        recorded.plans.len()
    );
    let _ = writeln!(std::io::stderr(), "{said}");
    let wrong = wrong(&recorded);
    assert!(wrong.is_empty(), "{wrong:#?}\n{said}\n{recorded:?}\n{}", zone.logs());
    assert!(stored(&recorded.wishes) > 20 && stored(&recorded.designs) > 3, "{said}\n{}", zone.logs());
    let deposed = took.iter().filter(|(.., next)| next.is_some()).count();
    assert!(deposed >= expected, "those that were cut off, stopped and killed still lead: {said}");
}
