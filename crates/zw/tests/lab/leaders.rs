//! Three controllers that share an etcd lose the one that leads, again and again, while a change goes through the zone in waves.

use super::{WAIT_MAX, ZW, Zone};
use lab::control::{self, Reply, Request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const CONTROLLERS: [&str; 3] = ["ctl1", "ctl2", "ctl3"];
const PODS: usize = 4;
const UNITS: usize = 6;
/// So many machines may be out at a time, by the budget that the test draws; and in a pod.
const OUT_MAX: usize = 3;
const OUT_IN_POD_MAX: usize = 2;
/// Of three controllers, those that are not in trouble.
const ANSWERS_MIN: u64 = 2;

impl Zone {
    /// The pocket zone with three controllers, more machines, and a budget.
    pub(super) fn trio(test: &str) -> Self {
        let zone = Self::new(test);
        zone.prepare();
        let file = zone.design.join("zone.hcl");
        let mut text = fs::read_to_string(&file).expect("a design");
        for (old, new) in [
            ("p{01..02}", format!("p{{01..{PODS:02}}}")),
            ("u{01..04}", format!("u{{01..{UNITS:02}}}")),
            (
                "controller \"ctl1\" {\n  model = \"seed\"\n  cable = { eno1 = core.c1.swp[32] }",
                "controller \"ctl1\" \"ctl2\" \"ctl3\" {\n  model = \"seed\"\n  cable = { eno1 = core.c1.swp[33 - number] }".to_owned(),
            ),
        ] {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, &new, 1);
        }
        text += &format!(
            "\nbudget \"compute\" {{\n  roles = [\"hypervisor\"]\n  may_miss = {OUT_MAX}\n  per_pod = {OUT_IN_POD_MAX}\n}}\n"
        );
        fs::write(&file, text).expect("written");
        zone
    }

    fn progress(&self) -> control::Progress {
        match control::ask(&self.lab, &Request::Status) {
            Ok(Reply::Progress(progress)) => progress,
            other => panic!("no status: {other:?}"),
        }
    }

    /// Who decides, as soon as it is another than this one.
    pub(super) fn leader(&self, but: &str) -> &'static str {
        let leads = |progress: &control::Progress| {
            let shown = progress.controllers.iter().find(|shown| shown.state == "leads" && shown.name != but);
            shown.and_then(|shown| CONTROLLERS.into_iter().find(|name| *name == shown.name))
        };
        leads(&self.until("leader", |progress| leads(progress).is_some())).expect("one leads")
    }

    /// What one controller says.
    pub(super) fn said_by(&self, controller: &str, words: &[&str]) -> Option<Value> {
        let server = self.lab.api_of(controller).display().to_string();
        let mut command = Command::new(ZW);
        let output = command.args(words).args(["--json", "--server", &server]).stdin(Stdio::null()).output();
        let output = output.expect("zw runs");
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    }

    /// Until one of these machines, of this wave, is out of service for the change: which it is.
    fn taken(&self, wave: &str, of: &[&'static str]) -> &'static str {
        let find = |change: &Value| {
            let all = machines(change);
            let mut taken =
                all.iter().filter(|machine| machine["wave"] == wave && machine["step"] == "taken");
            taken.find_map(|machine| {
                of.iter().copied().find(|place| machine["location"] == self.location(place))
            })
        };
        find(&self.change("1", "machine that is taken", |change| find(change).is_some())).expect("one is")
    }

    fn location(&self, place: &str) -> String {
        format!("{}/{place}", self.name)
    }

    /// The lease of a machine as it is stored, if this controller knows of it too.
    fn lease(&self, controller: &str, place: &str) -> Option<Value> {
        let budgets = self.said_by(controller, &["budget"])?;
        let holders = budgets[0]["holders"].as_array()?;
        holders.iter().find(|holder| holder.as_str().is_some_and(|holder| holder.starts_with(place)))?;
        let stored =
            self.etcd(&["get", "--print-value-only", &format!("lab/machines/{}", self.location(place))]);
        let machine: Value = serde_json::from_str(&stored).expect("JSON");
        let lease = machine.pointer("/machine/lease").or(machine.get("lease")).cloned();
        lease.filter(|lease| !lease.is_null())
    }

    fn etcd(&self, words: &[&str]) -> String {
        let program = ["env", "ETCDCTL_API=3", "etcdctl", "--endpoints", "http://169.254.107.1:2379"];
        // Of the three, some has its cable.
        for (place, controller) in CONTROLLERS.into_iter().enumerate() {
            let program = program.map(|word| word.replace("107.1:", &format!("107.{}:", place * 4 + 1)));
            let program: Vec<&str> =
                program.iter().map(String::as_str).chain(words.iter().copied()).collect();
            let output = self.exec(controller, &program);
            if output.status.success() {
                return String::from_utf8(output.stdout).expect("text");
            }
        }
        panic!("etcd does not answer: {}", self.controllers_said());
    }

    /// Stops a machine's agent, or lets it go on: it does not hear meanwhile that the machine is to restart.
    fn agent(&self, place: &str, name: &str) {
        let state = format!("{}/", self.agents_directory(place).join("state").display());
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let is_its = |line: &str| line.contains("agent") && format!("{line}/").contains(&state);
        let mut count = 0;
        for entry in entries {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', "/");
            if let (true, Ok(process)) = (is_its(&line), entry.file_name().to_string_lossy().parse()) {
                super::signal(process, name);
                count += 1;
            }
        }
        assert_eq!(count, 1, "agents of {place}");
    }

    fn agents_directory(&self, place: &str) -> std::path::PathBuf {
        self.lab.path.join("machines").join(format!("hv-{}", place.replace('/', "-")))
    }

    fn agent_said(&self, place: &str) -> String {
        fs::read_to_string(self.agents_directory(place).join("agent.log")).unwrap_or_default()
    }

    /// Where its agent was connected last.
    fn agents_controller(&self, place: &str) -> String {
        let said = self.agent_said(place);
        let line = said.lines().rfind(|line| line.starts_with("connected to ")).expect("it is connected");
        line.split(',').next().expect("a part").to_owned()
    }

    /// Until a controller's log says this.
    pub(super) fn says(&self, controller: &str, words: &str) {
        let began = Instant::now();
        while !fs::read_to_string(self.lab.log_of(controller, 3)).unwrap_or_default().contains(words) {
            assert!(
                began.elapsed() < WAIT_MAX,
                "{controller} does not say {words}:\n{}",
                self.controllers_said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The rows of machines whose agents this controller thinks to be connected to none; `None`: it does not answer.
    fn missed(&self, controller: &str) -> Option<Vec<Value>> {
        let rows = Self::places().into_iter().map(|place| self.said_by(controller, &["show", &place]));
        let rows = rows.collect::<Option<Vec<_>>>()?.into_iter().filter(|row| row["connected"] != true);
        let row = |row: Value| json!({ "location": row["location"], "state": row["state"], "wait": row["wait"]["on"] });
        Some(rows.map(row).collect())
    }

    fn misses(&self, controller: &str, what: &str, is_so: impl Fn(&[Value]) -> bool) {
        let began = Instant::now();
        loop {
            let missed = self.missed(controller);
            if missed.as_deref().is_some_and(&is_so) {
                break;
            }
            let said = || self.controllers_said();
            assert!(began.elapsed() < WAIT_MAX, "{what}: {controller}: {missed:#?}\n{}", said());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// After all that, each controller knows which agents are connected. One is away from etcd for long and keeps its agents; then the one that
    /// leads goes together with a machine.
    fn knows_whose_agents_are_where(&self, leader: &str) {
        let all_know = || {
            CONTROLLERS
                .map(|controller| self.misses(controller, "all are connected", |missed| missed.is_empty()))
        };
        let agent_at = |controller: &str| {
            let shown = self.progress().controllers.into_iter().find(|shown| shown.name == controller);
            let address = format!("{}:", shown.and_then(|shown| shown.address).expect("an address"));
            let place =
                Self::places().into_iter().find(|place| self.agents_controller(place).contains(&address));
            place.map(|place| (self.location(&place), place))
        };
        all_know();
        let mut others = CONTROLLERS.into_iter().filter(|controller| *controller != leader);
        let (away, (location, _)) = others
            .find_map(|controller| Some((controller, agent_at(controller)?)))
            .expect("agents are at another");
        Trouble::CutFromEtcd.make(self, away);
        self.misses(leader, "it is missed", |missed| missed.iter().any(|row| row["location"] == *location));
        Trouble::CutFromEtcd.mend(self, away);
        all_know();
        let (location, place) = agent_at(leader).expect("an agent is at the one that leads");
        self.agent(&place, "STOP");
        Trouble::Kill.make(self, leader);
        self.say(&["power", "off", &place]);
        self.misses(self.leader(leader), "it alone is missed", |missed| {
            let waits = "its agent to connect again";
            matches!(missed, [row] if row["location"] == *location && row["wait"] == waits)
        });
    }

    fn places() -> Vec<String> {
        (1..=PODS).flat_map(|pod| (1..=UNITS).map(move |unit| format!("p{pod:02}/r1/u{unit:02}"))).collect()
    }

    pub(super) fn controllers_said(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.lab.log_of(name, 3)).unwrap_or_default();
        CONTROLLERS.map(|name| format!("{name}:\n{}", read(name))).concat()
    }
}

fn machines(change: &Value) -> Vec<Value> {
    change["machines"].as_array().cloned().unwrap_or_default()
}

/// Clients of all controllers, in the lab: for each question, how many of the three answered it.
struct Clients(Child);

impl Clients {
    fn start(zone: &Zone, place: &str, script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(ZW);
        command.args(["lab", "--zone", &zone.name, "exec", place, "--", "python3", "-c", script]);
        let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.expect("zw runs"))
    }

    /// How many questions had so many answers.
    fn end(mut self) -> BTreeMap<u64, u64> {
        // It ends when nobody writes to it any more.
        drop(self.0.stdin.take());
        let mut counts = BTreeMap::new();
        let lines = BufReader::new(self.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        for line in lines {
            let answers: u64 = line.trim().parse().expect("a number");
            *counts.entry(answers).or_default() += 1;
        }
        let _ = self.0.wait();
        counts
    }
}

/// Asks all controllers for a name; prints how many answered in two seconds.
const DNS: &str = r#"
import select, socket, struct, sys, time
name, servers = sys.argv[1], sys.argv[2:]
question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
number = 0
while not select.select([sys.stdin], [], [], 0.1)[0]:
    number = (number + 1) % 65536
    ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard, until = set(), time.monotonic() + 2
    for server in servers:
        try: ask.sendto(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + question, (server, 53))
        except OSError: pass
    while len(heard) < len(servers) and time.monotonic() < until:
        if select.select([ask], [], [], max(0, until - time.monotonic()))[0]:
            try: answer, who = ask.recvfrom(4096)
            except OSError: continue
            got, flags, _, answers, _, _ = struct.unpack(">HHHHHH", answer[:12])
            if got == number and flags & 15 == 0 and answers > 0: heard.add(who[0])
    ask.close()
    print(len(heard), flush=True)
"#;

/// Asks for an address on an interface, as a client that has none; prints how many controllers offered one in two seconds.
const DHCP: &str = r#"
import fcntl, os, select, socket, struct, sys, time
interface, count = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mac = fcntl.ioctl(s.fileno(), 0x8927, struct.pack("256s", interface.encode()))[18:24]
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
s.bind(("0.0.0.0", 68))
while not select.select([sys.stdin], [], [], 0.25)[0]:
    xid = os.urandom(4)
    head = struct.pack(">BBBB4sHH16s16s192s", 1, 1, 6, 0, xid, 0, 0x8000, b"", mac, b"")
    s.sendto(head + bytes([99, 130, 83, 99, 53, 1, 1, 55, 2, 1, 3, 255]), ("255.255.255.255", 67))
    heard, until = set(), time.monotonic() + 2
    while len(heard) < count and time.monotonic() < until:
        if not select.select([s], [], [], max(0, until - time.monotonic()))[0]: continue
        reply = s.recv(4096)
        at, kind, server = 240, None, None
        if reply[4:8] != xid: continue
        while at < len(reply) and reply[at] != 255:
            if reply[at] == 0: at += 1; continue
            value = reply[at + 2:at + 2 + reply[at + 1]]
            if reply[at] == 53: kind = value[0]
            if reply[at] == 54: server = value
            at += 2 + reply[at + 1]
        if kind == 2: heard.add(server)
    print(len(heard), flush=True)
"#;

/// A step of the change as it is stored.
#[derive(Debug)]
enum Done {
    Take(String),
    Settle(String),
    Widen,
}

/// The steps of change 1 as they are stored, in order; and of each machine which images its boot scripts were of.
fn stored(zone: &Zone) -> (Vec<Done>, BTreeMap<String, Vec<u64>>) {
    let text = zone.etcd(&["get", "--prefix", "lab/events/"]);
    let mut events: Vec<Value> =
        text.lines().skip(1).step_by(2).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    events.sort_by_key(|event| event["seq"].as_u64());
    let place = |value: &Value| {
        let location = value.as_str().expect("a location");
        location.split_once('/').expect("with its zone").1.to_owned()
    };
    let (mut steps, mut boots) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for event in events {
        let what = &event["event"]["what"];
        if what["kind"] == "script-fetched" {
            boots.entry(place(&event["event"]["location"])).or_default().extend(what["image"].as_u64());
        }
        if what["kind"] == "change" && what["id"] == 1 {
            let step = &what["step"];
            steps.extend(match step["step"].as_str() {
                Some("take") => Some(Done::Take(place(&step["machine"]))),
                Some("settle") => Some(Done::Settle(place(&step["machine"]))),
                Some("widen") => Some(Done::Widen),
                _ => None,
            });
        }
    }
    (steps, boots)
}

/// Everything that is wrong with the steps of a change, a sentence each.
fn wrong(steps: &[Done], waves: &[BTreeSet<String>]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut out, mut wave) = (BTreeSet::new(), 0);
    let mut settled = BTreeSet::new();
    for step in steps {
        match step {
            Done::Take(place) => {
                if !waves.get(wave).is_some_and(|wave| wave.contains(place)) {
                    wrong.push(format!("{place} was taken in wave {wave}, which is not its own"));
                }
                if !out.insert(place.clone()) || settled.contains(place) {
                    wrong.push(format!("{place} was taken twice"));
                }
                let pod = |place: &String| place.split('/').next().map(str::to_owned);
                let in_pod = out.iter().filter(|other| pod(other) == pod(place)).count();
                if out.len() > OUT_MAX || in_pod > OUT_IN_POD_MAX {
                    wrong.push(format!("{out:?} are out at a time"));
                }
            }
            Done::Settle(place) => {
                if !out.remove(place) {
                    wrong.push(format!("{place} is over with and was not taken"));
                }
                settled.insert(place.clone());
            }
            Done::Widen => {
                let left: Vec<_> =
                    waves.get(wave).into_iter().flatten().filter(|place| !settled.contains(*place)).collect();
                if !left.is_empty() {
                    wrong.push(format!("wave {wave} was left before {left:?}"));
                }
                wave += 1;
            }
        }
    }
    if wave + 1 != waves.len() || settled.len() != waves.iter().map(BTreeSet::len).sum::<usize>() {
        wrong.push(format!("it ended in wave {wave} with {} machines", settled.len()));
    }
    wrong
}

/// What happens to the one that leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// `kill -9`.
    Kill,
    /// SIGSTOP, and it goes on later as if nothing had been.
    Pause,
    /// No cable, neither to machines nor to etcd.
    Cut,
    /// No cable to etcd.
    CutFromEtcd,
    /// Its clock is set a day ahead.
    Clock,
}

impl Trouble {
    fn make(self, zone: &Zone, leader: &str) {
        match self {
            Self::Kill => zone.say(&["power", "off", leader]),
            Self::Pause => zone.say(&["pause", leader]),
            Self::Cut => zone.say(&["cut", leader]),
            Self::CutFromEtcd => zone.say(&["cut", &format!("{leader}:etcd")]),
            Self::Clock => zone.say(&["break", leader, "clock=+86400"]),
        };
    }

    fn mend(self, zone: &Zone, leader: &str) {
        match self {
            Self::Kill => zone.say(&["power", "on", leader]),
            Self::Pause => zone.say(&["resume", leader]),
            Self::Cut => zone.say(&["mend", leader]),
            Self::CutFromEtcd => zone.say(&["mend", &format!("{leader}:etcd")]),
            Self::Clock => zone.say(&["break", leader, "clock=right"]),
        };
    }
}

#[test]
fn a_change_goes_through_once_whatever_happens_to_the_controller_that_leads() {
    for program in ["etcd", "etcdctl", "python3", "faketime"] {
        let is_there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        if !is_there.is_ok_and(|found| found.status.success()) {
            super::say(&format!("passed over: there is no {program}"));
            return;
        }
    }
    let zone = Zone::trio("trio");
    if zone.up_with(&["--controllers", "3", "--clocks"]).is_none() {
        return;
    }
    let first = zone.leader("");
    let addresses: Vec<String> =
        zone.progress().controllers.iter().filter_map(|shown| shown.address.clone()).collect();
    assert_eq!(addresses.len(), 3);
    // Agents are at all of them, and what they said counts: all machines are ready.
    let at: BTreeSet<String> = Zone::places().iter().map(|place| zone.agents_controller(place)).collect();
    assert_eq!(at.len(), 3, "agents are at {at:?}");
    let before = stored(&zone).1;
    let name = "hv-p01-r1-u01.lab1.example.net".to_owned();
    let mut dns = vec![name.as_str()];
    dns.extend(addresses.iter().map(String::as_str));
    let clients = [
        Clients::start(&zone, "p01/r1/leaf-a", DNS, &dns),
        Clients::start(&zone, "p04/r1/u06:bmc", DHCP, &["bmc", "3"]),
    ];

    // These restart when the test lets them: whoever leads next has their leases, and takes nobody in their place.
    let mut held = vec![
        "p01/r1/u01",
        "p01/r1/u02",
        "p01/r1/u04",
        "p01/r1/u06",
        "p02/r1/u03",
        "p03/r1/u01",
        "p04/r1/u06",
    ];
    held.iter().for_each(|place| zone.agent(place, "STOP"));
    zone.draw_image("kvm", "next");
    zone.told(&["apply", "-m", "the next kernel", "--yes"]);
    let mut leader = first;
    let mut changed = Vec::new();
    for (trouble, wave) in [
        (Trouble::Kill, "canary"),
        (Trouble::Pause, "rack"),
        (Trouble::Clock, "rack"),
        (Trouble::Kill, "rack"),
        (Trouble::CutFromEtcd, "zone"),
        (Trouble::Cut, "zone"),
        (Trouble::Kill, "zone"),
    ] {
        let place = zone.taken(wave, &held);
        let lease = zone.lease(leader, place);
        assert!(lease.is_some(), "{place} is taken without a lease\n{}", zone.controllers_said());
        let began = Instant::now();
        trouble.make(&zone, leader);
        let next = match trouble {
            // A day is longer than any deadline, and than any time that a wave is watched.
            Trouble::Clock => {
                zone.says(leader, "the clock of this host was set by +");
                leader
            }
            _ => zone.leader(leader),
        };
        if trouble == Trouble::CutFromEtcd {
            // It waits for etcd's answer longer than it leads.
            let status = zone.said_by(leader, &["status"]).expect("it answers all the same");
            assert_ne!(status["controllers"]["leads"], *leader, "{}", zone.controllers_said());
        }
        changed.push((trouble, began.elapsed()));
        assert_eq!(lease, zone.lease(next, place), "{trouble:?}: {place}\n{}", zone.controllers_said());
        trouble.mend(&zone, leader);
        leader = next;
        zone.agent(place, "CONT");
        held.retain(|other| *other != place);
    }
    let change = zone.change("1", "end", |change| !change["ended"].is_null());
    let logs = || format!("{change:#}\n{}", zone.controllers_said());
    assert_eq!(change["outcome"], format!("{} machines done", PODS * UNITS), "{}", logs());
    let answers = clients.map(Clients::end);

    // What is stored, and what the agents know themselves.
    let (steps, boots) = stored(&zone);
    let mut waves: Vec<BTreeSet<String>> = Vec::new();
    for wave in change["waves"].as_array().expect("waves") {
        let own = machines(&change).into_iter().filter(|machine| machine["wave"] == wave["reach"]);
        let own = own.filter_map(|machine| Some(machine["location"].as_str()?.split_once('/')?.1.to_owned()));
        waves.push(own.collect());
    }
    assert_eq!(wrong(&steps, &waves), Vec::<String>::new(), "{steps:?}\n{}", logs());
    for place in Zone::places() {
        let restarts = zone.agent_said(&place).matches("the machine restarts: ").count();
        let of = |boots: &BTreeMap<String, Vec<u64>>| boots.get(&place).cloned().unwrap_or_default();
        let (old, fetched) = (of(&before), of(&boots).split_off(of(&before).len()));
        // A controller that is cut off answers with what it knows: what it hands the image of before restarts once
        // more. One that is killed takes with it what it had only heard, as that a script was fetched.
        let again = fetched.iter().take_while(|image| old.contains(image)).count();
        let anew = fetched.len() - again;
        assert!(
            restarts == 1 + again && again <= 1 && anew <= 1 && !old.is_empty(),
            "{place} restarts {restarts} times, and boots {fetched:?}, before {old:?}\n{}",
            logs()
        );
    }
    for (what, answers) in ["DNS", "DHCP"].into_iter().zip(&answers) {
        let asked: u64 = answers.values().sum();
        let few: u64 = answers.range(..ANSWERS_MIN).map(|(_, count)| *count).sum();
        assert!(few == 0 && asked > 50, "{what}: answers by count {answers:?}\n{}", logs());
    }
    zone.knows_whose_agents_are_where(leader);
    let _ = writeln!(
        std::io::stderr(),
        "{} machines; another led after {changed:?}; questions by how many of three answered: {answers:?}",
        PODS * UNITS
    );
}
