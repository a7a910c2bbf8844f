//! `zw lab` for real: namespaces, relays, firmware, controller and agents, from power-on to nothing left.
//!
//! Each test powers on a zone of a name of its own, so that they can run side by side and beside a user's lab. They run
//! as root and as an ordinary user; where the kernel allows neither, each says so and is passed over. Waits are for
//! events of the lab, with a limit.

use lab::control::{self, Machine, Progress, Request};
use lab::directory::{Directory, Holder};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "the tests of the page use more of it")]
#[path = "../../../tests/browser.rs"]
mod browser;
#[path = "lab/changes.rs"]
mod changes;
#[path = "lab/edge.rs"]
mod edge;
#[path = "lab/etcd.rs"]
mod etcd;
#[path = "lab/leaders.rs"]
mod leaders;
#[path = "lab/rehearsal.rs"]
mod rehearsal;

const ZW: &str = env!("CARGO_BIN_EXE_zw");
/// The longest wait for anything. A busy machine of two cores needs a tenth of it.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// A design of a test's own, and its lab. Dropped, both are gone.
struct Zone {
    name: String,
    design: PathBuf,
    lab: Directory,
}

impl Zone {
    /// The pocket zone under another name.
    fn new(test: &str) -> Self {
        Self::of(test, "pocket")
    }

    /// An example under another name.
    fn of(test: &str, example: &str) -> Self {
        let name = format!("{test}{}", std::process::id());
        let design = std::env::temp_dir().join(format!("zw-lab-{name}"));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example), &design);
        let file = design.join("zone.hcl");
        let text = fs::read_to_string(&file).expect("an example");
        let old = text.split("zone \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a zone");
        let text = text.replace(&format!("zone \"{old}\""), &format!("zone \"{name}\""));
        fs::write(&file, text).expect("a copy");
        let lab = Directory::of(&lab::directory::base(), &name);
        Self { name, design, lab }
    }

    fn zw(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(ZW);
        command.arg("lab").args(arguments);
        if arguments.first() != Some(&"up") {
            command.args(["--zone", &self.name]);
        }
        command.stdin(Stdio::null()).output().expect("zw runs")
    }

    /// What a command says; it must succeed.
    fn say(&self, arguments: &[&str]) -> String {
        let output = self.zw(arguments);
        assert!(output.status.success(), "zw lab {arguments:?}: {}", both(&output));
        both(&output)
    }

    /// Powers the zone on. `None`: this machine lets nobody.
    fn up(&self) -> Option<String> {
        self.up_with(&[])
    }

    fn up_with(&self, options: &[&str]) -> Option<String> {
        let design = self.design.to_str().expect("a plain path");
        let output = self.zw(&[&["up", design], options].concat());
        let said = both(&output);
        if output.status.code() == Some(3) && said.contains("this machine allows neither") {
            say(&format!("passed over: {said}"));
            return None;
        }
        assert!(output.status.success(), "zw lab up: {said}\n{}", self.logs());
        Some(said)
    }

    /// Runs a program in the namespace of a target.
    fn exec(&self, target: &str, program: &[&str]) -> Output {
        let mut command = Command::new(ZW);
        command.args(["lab", "--zone", &self.name, "exec", target, "--"]).args(program);
        command.stdin(Stdio::null()).output().expect("zw runs")
    }

    /// Waits until the lab looks as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Progress) -> bool) -> Progress {
        let began = Instant::now();
        let mut last = Progress::default();
        let seen = control::watch(&self.lab, |progress| {
            let is_there = wanted(&progress);
            last = progress;
            assert!(began.elapsed() < WAIT_MAX, "no {what} in {WAIT_MAX:?}: {last:#?}\n{}", self.logs());
            is_there
        });
        assert_eq!(seen.ok(), Some(true), "the lab ended while waiting for {what}\n{}", self.logs());
        last
    }

    fn machine(&self, what: &str, unit: &str, wanted: impl Fn(&Machine) -> bool) -> Machine {
        let location = format!("{}/{unit}", self.name);
        let find = |progress: &Progress| progress.machines.iter().find(|m| m.location == location).cloned();
        let progress = self.until(what, |progress| find(progress).is_some_and(|machine| wanted(&machine)));
        find(&progress).expect("the machine")
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.lab.path.join(name)).unwrap_or_default();
        let logs = ["lab.log", "controller.log", "edge.log"].map(|name| format!("{name}:\n{}", read(name)));
        logs.join("\n")
    }

    /// Processes that belong to this zone's lab.
    fn processes(&self) -> Vec<String> {
        let mine = self.lab.path.to_string_lossy().into_owned();
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        entries
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&mine))
            .collect()
    }

    fn assert_nothing_is_left(&self, links: &BTreeSet<String>) {
        assert_eq!(self.processes(), Vec::<String>::new());
        assert!(!self.lab.path.exists(), "{} is left", self.lab.path.display());
        assert_eq!(self.lab.holder(), Holder::Nobody);
        assert_eq!(&host_links(), links);
    }

    fn supervisor(&self) -> i32 {
        match self.lab.holder() {
            Holder::Supervisor(process) => process,
            other => panic!("no supervisor: {other:?}"),
        }
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        let _ = lab::down::down(&self.lab);
        let _ = fs::remove_dir_all(&self.design);
    }
}

fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

/// The links of this machine that a lab could have added to; other tests make bridges and veths of other names.
fn host_links() -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| ["swp", "eno", "arm", "br", "bmc", "port"].iter().any(|p| name.starts_with(p)))
        .collect()
}

fn signal(process: i32, signal: &str) {
    let status =
        Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status().expect("sh runs");
    assert!(status.success());
}

#[test]
fn the_pocket_zone_comes_up_and_goes_down_without_a_trace() {
    let links = host_links();
    let zone = Zone::new("up");
    let Some(said) = zone.up() else { return };
    assert!(said.contains("8 of 8 machines ready"), "{said}");
    assert!(said.contains("8 of 8 BMCs up"), "{said}");
    assert!(said.contains("hv-p02-r1-u04"), "{said}");

    // Every kind of firmware came through, each by its own protocol.
    let log = |unit: &str| {
        let machine = format!("{}/p01/r1/{unit}", zone.name);
        let output = Command::new(ZW)
            .args(["show", "--server", zone.lab.api().to_str().expect("a path"), &machine])
            .output();
        both(&output.expect("zw runs"))
    };
    for (unit, firmware) in [("u01", "bios-pxe"), ("u02", "uefi-pxe"), ("u03", "uefi-http")] {
        let text = log(unit);
        assert!(text.contains(firmware), "{unit} did not ask as {firmware}: {text}");
    }

    // A second one of the same zone is refused, and says what to do.
    let again = zone.zw(&["up", zone.design.to_str().expect("a path")]);
    assert_eq!(again.status.code(), Some(3));
    assert!(both(&again).contains("zw lab down"), "{}", both(&again));

    // A program in a machine's namespace sees that machine's network, and its exit code comes back.
    let seen = zone.exec("p01/r1/u01", &["cat", "/proc/net/route"]);
    assert!(both(&seen).contains("eno1"), "{}", both(&seen));
    assert_eq!(zone.exec("p01/r1/leaf-a", &["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(zone.exec("p01/r1/nothing", &["true"]).status.code(), Some(3));

    assert!(zone.say(&["down"]).contains("nothing is left"));
    zone.assert_nothing_is_left(&links);
    // And again: nothing is there, which is no failure.
    assert!(zone.say(&["down"]).contains("nothing was there"));
}

/// A mirror outside: it answers each path with the path. Its port.
fn mirror() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(&stream);
            let mut rest = String::new();
            let _ = reader.read_line(&mut line);
            while reader.read_line(&mut rest).is_ok_and(|length| length > 2) {
                rest.clear();
            }
            let _ = write!(&stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhere is {line}");
        }
    });
    port
}

#[test]
fn what_lies_at_a_mirror_is_fetched_and_nothing_else() {
    let zone = Zone::new("mirror");
    let port = mirror();
    let option = format!("--mirror=http://127.0.0.1:{port}/debian");
    let output = zone.zw(&["up", zone.design.to_str().expect("a plain path"), &option]);
    if both(&output).contains("this machine allows neither") {
        say(&format!("passed over: {}", both(&output)));
        return;
    }
    assert!(output.status.success(), "{}\n{}", both(&output), zone.logs());
    let controller = zone.exec("ctl1", &["hostname", "-I"]);
    // It may have one of IPv6 after that.
    let controller = both(&controller).split_whitespace().next().expect("an address").to_owned();
    let asked = |url: &str| {
        let script = format!(
            "exec 3<>/dev/tcp/{controller}/3142; printf 'GET {url} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; cat <&3"
        );
        both(&zone.exec("p01/r1/u01", &["bash", "-c", &script]))
    };
    // As a proxy, and as the mirror itself.
    for url in [&*format!("http://127.0.0.1:{port}/debian/dists/x"), "/debian/dists/x"] {
        let said = asked(url);
        assert!(
            said.contains("200 OK") && said.ends_with("here is GET /debian/dists/x HTTP/1.1\r\n"),
            "{url}: {said}"
        );
    }
    for url in [&*format!("http://127.0.0.1:{port}/other"), "http://127.0.0.1:1/debian/x", "/debian/../other"]
    {
        let said = asked(url);
        assert!(said.contains("403 Forbidden") && said.contains("lets nothing out"), "{url}: {said}");
    }
    zone.say(&["down"]);
    assert_eq!(zone.processes(), Vec::<String>::new());
}

#[test]
fn a_zone_that_grew_by_hand_comes_up_as_far_as_it_is_drawn() {
    let zone = Zone::of("wiring", "wiring");
    let Some(said) = zone.up() else { return };
    assert!(said.contains("1 of 1 BMCs up") && said.contains("boot their own disk"), "{said}");
}

#[test]
fn two_hundred_machines_come_up() {
    let zone = Zone::new("many");
    let file = zone.design.join("zone.hcl");
    let mut text = fs::read_to_string(&file).expect("the pocket zone");
    let wide =
        "model \"core64\" {\n  kind = \"switch\"\n  ports = \"swp{1..64}\"\n  circuit_id = \"{port}\"\n}\n\n";
    for (old, new) in [
        ("pods = 4, racks = 2, units = 16", "pods = 8, racks = 2, units = 32"),
        ("model \"switch32\"", &format!("{wide}model \"switch32\"")),
        ("core \"c1\" {\n  model = \"switch32\"", "core \"c1\" {\n  model = \"core64\""),
        ("core.c1.swp[32]", "core.c1.swp[64]"),
        ("pod \"p{01..02}\"", "pod \"p{01..05}\""),
        ("rack \"r1\"", "rack \"r{1..2}\""),
        ("(pod - 1) * 4 + number", "(pod - 1) * 8 + (rack - 1) * 4 + number"),
        ("(pod - 1) * 4 + 3", "(pod - 1) * 8 + (rack - 1) * 4 + 3"),
        ("\"u{01..04}\"", "\"u{01..20}\""),
    ] {
        assert!(text.contains(old), "the pocket zone has no `{old}` any more");
        text = text.replacen(old, new, 1);
    }
    fs::write(&file, text).expect("a design");
    let Some(said) = zone.up() else { return };
    assert!(said.contains("200 of 200 machines ready") && said.contains("200 of 200 BMCs up"), "{said}");
}

#[test]
fn what_people_do_to_a_zone() {
    let zone = Zone::new("do");
    if zone.up().is_none() {
        return;
    }
    let is_ready = |machine: &Machine| machine.state == "ready" && machine.took_ms.is_some();
    let all_ready = |progress: &Progress| progress.machines.iter().all(is_ready);

    // Another box in the same place comes up as the old one, and nobody edits anything.
    assert!(zone.say(&["replace", "p01/r1/u03"]).contains("hv-p01-r1-u03"));
    zone.machine("replacement on its way", "p01/r1/u03", |machine| !is_ready(machine));
    let replaced = zone.machine("replacement ready", "p01/r1/u03", is_ready);
    assert_eq!(replaced.address, "10.64.0.8");

    // Two cables swapped are told from DHCP alone, before there is a system; put back, both are ready.
    zone.say(&["swap", "p01/r1/u01:eno1", "p01/r1/u02:eno1"]);
    let told = zone.machine("miscabling", "p01/r1/u01", |machine| machine.why.contains("swapped"));
    assert!(told.why.contains("p01-r1-leaf-a swp2"), "{}", told.why);
    assert_ne!(told.state, "ready");
    zone.say(&["swap", "p01/r1/u01:eno1", "p01/r1/u02:eno1"]);
    zone.until("swapped back and ready", all_ready);

    // A machine that loses the cable it runs over goes on over the other, with the same address.
    let route = || both(&zone.exec("p02/r1/u02", &["cat", "/proc/net/route"]));
    assert!(route().contains("eno1"), "{}", route());
    zone.say(&["cut", "p02/r1/u02:eno1"]);
    let began = Instant::now();
    while !route().contains("eno2") {
        assert!(began.elapsed() < WAIT_MAX, "no route over eno2: {}\n{}", route(), zone.logs());
    }
    let addresses = both(&zone.exec("p02/r1/u02", &["cat", "/proc/net/fib_trie"]));
    assert!(addresses.contains("10.64.32.7"), "{addresses}");

    // A machine whose first cable is cut boots over its second, as the same machine.
    zone.say(&["cut", "p01/r1/u04:eno1"]);
    zone.say(&["power-cycle", "hv-p01-r1-u04"]);
    zone.machine("power off", "p01/r1/u04", |machine| !is_ready(machine));
    zone.machine("boot over eno2", "p01/r1/u04", is_ready);
    zone.say(&["mend", "p01/r1/u04:eno1"]);

    // A box with less memory than drawn is not ready, and the reason has both figures.
    zone.say(&["break", "p02/r1/u01", "memory=1GiB"]);
    let failed = zone.machine("validation", "p02/r1/u01", |machine| machine.state == "failed");
    assert!(failed.why.contains("4 GiB") && failed.why.contains("1 GiB"), "{}", failed.why);
    zone.say(&["replace", "p02/r1/u01"]);
    zone.machine("a whole box", "p02/r1/u01", is_ready);

    // The controller dies in the middle of a power-on of everything, and nothing is lost.
    zone.say(&["power-cycle", "all"]);
    zone.say(&["crash", "controller"]);
    zone.until("power-off of all", |progress| progress.machines.iter().all(|machine| !is_ready(machine)));
    zone.until("everything ready after the crash", all_ready);

    for (arguments, words) in [
        (&["replace", "p09/r1/u01"][..], "no location, name or address"),
        (&["replace", "p01/r1/leaf-a"], "no machine of this lab"),
        (&["cut", "p01/r1/u01:eno9"], "has no port eno9"),
        (&["swap", "p01/r1/u01:eno1", "p01/r1/u01:eno1"], "two cables to swap"),
        (&["break", "p01/r1/u01", "colour=red"], "a fault is written"),
    ] {
        let output = zone.zw(arguments);
        assert_eq!(output.status.code(), Some(3), "zw lab {arguments:?}: {}", both(&output));
        assert!(both(&output).contains(words), "zw lab {arguments:?}: {}", both(&output));
    }
}

#[test]
fn clients_that_we_did_not_write_are_relayed_like_any() {
    let zone = Zone::new("clients");
    if zone.up().is_none() {
        return;
    }
    // The cable of eno2 ends at the other leaf; both are members of one bond, so the address is the machine's.
    let script = zone.design.join("script");
    fs::write(&script, "#!/bin/sh\nexit 0\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).expect("it is ours");
    let script = script.to_str().expect("a path");
    let leases = zone.design.join("leases");
    let leases = leases.to_str().expect("a path");
    for (client, words) in [
        (
            &["udhcpc", "-f", "-q", "-n", "-i", "eno2", "-t", "4", "-T", "1", "-s", script][..],
            "lease of 10.64.32.7 obtained",
        ),
        (
            &["dhclient", "-4", "-d", "-1", "-sf", script, "-lf", leases, "-pf", "/dev/null", "eno2"],
            "DHCPACK of 10.64.32.7",
        ),
    ] {
        let is_there = Command::new("sh").args(["-c", &format!("command -v {}", client[0])]).output();
        if !is_there.is_ok_and(|found| found.status.success()) {
            say(&format!("passed over: there is no {}", client[0]));
            continue;
        }
        // dhclient stays to renew; the time is far more than either needs.
        let program = [&["timeout", "20"], client].concat();
        let mut command = Command::new(ZW);
        command.args(["lab", "--zone", &zone.name, "exec", "p02/r1/u02", "--"]).args(&program);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("zw");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut said = String::new();
        for line in lines {
            said.push_str(&line);
            said.push('\n');
            if line.contains(words) {
                break;
            }
        }
        // It is the program's parent that is ended; the program itself ends with the lab or its time.
        let _ = child.kill();
        let _ = child.wait();
        assert!(said.contains(words), "{}: {said}\n{}", client[0], zone.logs());
    }
}

#[test]
fn a_capture_is_read_by_its_own_rules() {
    let zone = Zone::new("cap");
    if zone.up().is_none() {
        return;
    }
    let file = zone.design.join("frames.pcap");
    // Switches tell their neighbours every two seconds, so that there is something to hear.
    zone.say(&["capture", "p01/r1/leaf-a", file.to_str().expect("a path"), "--frames", "4"]);
    let octets = fs::read(&file).expect("a capture");
    assert_eq!(octets[..4], 0xa1b2_c3d4_u32.to_ne_bytes());
    let (mut at, mut frames) = (24, 0);
    while at < octets.len() {
        let length: [u8; 4] = octets[at + 8..at + 12].try_into().expect("four octets");
        at += 16 + u32::from_ne_bytes(length) as usize;
        frames += 1;
    }
    assert_eq!((at, frames), (octets.len(), 4));
}

#[test]
fn a_killed_supervisor_leaves_files_and_nothing_else() {
    let links = host_links();
    let zone = Zone::new("kill");
    if zone.up().is_none() {
        return;
    }
    signal(zone.supervisor(), "KILL");
    let began = Instant::now();
    while !zone.processes().is_empty() {
        assert!(began.elapsed() < WAIT_MAX, "left: {:?}", zone.processes());
        std::thread::yield_now();
    }
    assert_eq!(zone.lab.holder(), Holder::Remains);
    let status = zone.zw(&["status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(both(&status).contains("it does not run"), "{}", both(&status));
    assert!(zone.say(&["down"]).contains("cleared away what a crash had left"));
    zone.assert_nothing_is_left(&links);

    // What a crash left does not stand in the way of the next one either.
    zone.up();
    signal(zone.supervisor(), "KILL");
    assert!(zone.up().is_some());
}

#[test]
fn an_interrupt_on_the_way_up_takes_everything_down() {
    let links = host_links();
    let zone = Zone::new("int");
    for phase in ["building", "machines"] {
        let mut up = Command::new(ZW)
            .args(["lab", "up", zone.design.to_str().expect("a path")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("zw runs");
        let mut said = String::new();
        let stderr = BufReader::new(up.stderr.take().expect("a pipe"));
        let process = i32::try_from(up.id()).expect("a process id");
        let mut is_sent = false;
        for line in stderr.lines().map_while(Result::ok) {
            if !is_sent && line.contains(phase) {
                signal(process, "INT");
                is_sent = true;
            }
            said.push_str(&line);
            said.push('\n');
        }
        let status = up.wait().expect("it ends");
        if said.contains("this machine allows neither") {
            say(&format!("passed over: {said}"));
            return;
        }
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted; down, nothing is left"), "{said}");
        zone.assert_nothing_is_left(&links);
    }
}

#[test]
fn an_ordinary_user_needs_no_privilege() {
    const NOBODY: u32 = 65534;
    let zone = Zone::new("user");
    // Only root can become somebody else; for others the tests above have shown it.
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    if !is_root {
        return;
    }
    let program = zone.design.join("zw");
    fs::copy(ZW, &program).expect("a copy that everybody may run");
    let home = zone.design.join("home");
    fs::create_dir(&home).expect("a directory");
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).expect("root may");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("lab").args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).stdin(Stdio::null());
        command.output().expect("zw runs")
    };
    let up = run(&["up", zone.design.to_str().expect("a path")]);
    let said = both(&up);
    if said.contains("this machine allows neither") {
        say(&format!("passed over: {said}"));
        return;
    }
    assert!(up.status.success() && said.contains("8 of 8 machines ready"), "{said}");
    let exec = run(&["exec", "p01/r1/u01", "--", "id", "-u"]);
    assert_eq!(both(&exec).trim(), "0", "root inside, by a user namespace");
    let down = run(&["down"]);
    assert!(both(&down).contains("nothing is left"), "{}", both(&down));
    assert!(!home.join("zonewright").exists());
}

#[test]
fn where_namespaces_are_forbidden_it_says_which_setting_forbids_them() {
    let zone = Zone::new("no");
    let lab = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", script, ZW]);
        command.arg(&zone.design).stdin(Stdio::null()).output()
    };
    // Inside a user namespace its own limits can be lowered without touching the machine's.
    let Ok(probe) = lab("echo 0 > /proc/sys/user/max_net_namespaces") else {
        say("passed over: this machine has no `unshare` program");
        return;
    };
    if !probe.status.success() {
        say(&format!("passed over: {}", both(&probe)));
        return;
    }
    let runtime = format!("XDG_RUNTIME_DIR={}", zone.design.display());
    let script = format!(
        "echo 0 > /proc/sys/user/max_net_namespaces; mount -t tmpfs none /run 2>/dev/null; {runtime} exec \"$0\" lab up \"$1\""
    );
    let output = lab(&script).expect("it ran before");
    let said = both(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("user.max_net_namespaces is 0 (raise it)"), "{said}");
    assert!(!zone.lab.path.exists());
}

/// Each machine has a TPM of its own, and the other box in its place another one.
#[test]
fn machines_that_are_believed_by_their_tpm_alone() {
    let zone = Zone::new("tpm");
    let file = zone.design.join("zone.hcl");
    let text = fs::read_to_string(&file).expect("a copy");
    let role = "role \"hypervisor\" {\n";
    fs::write(&file, text.replace(role, &format!("{role}  trust = \"tpm\"\n"))).expect("a copy");
    let output = zone.zw(&["up", zone.design.to_str().expect("a plain path")]);
    let said = both(&output);
    if ["this machine allows neither", "apt-get install"].iter().any(|why| said.contains(why)) {
        assert!(std::env::var_os("ZW_NO_SKIP").is_none(), "{said}");
        say(&format!("passed over: {said}"));
        return;
    }
    assert!(output.status.success(), "zw lab up: {said}\n{}", zone.logs());
    assert!(said.contains("8 of 8 machines ready"), "{said}");
    let unit = "p01/r1/u03";
    let ask = |words: &[&str]| {
        let mut command = Command::new(ZW);
        command.args(words).arg("--server").arg(zone.lab.api());
        both(&command.stdin(Stdio::null()).output().expect("zw runs"))
    };
    let proved = "its TPM proved itself and its registers 0, 2, 7";
    assert!(ask(&["show", unit]).contains(proved), "{}", ask(&["show", unit]));
    zone.say(&["power-cycle", unit]);
    zone.machine("ready by the same TPM", unit, |machine| {
        machine.state == "ready" && ask(&["show", unit]).matches(proved).count() == 2
    });
    zone.say(&["replace", unit]);
    zone.machine("doubt", unit, |_| ask(&["why", unit]).contains("it has another TPM than the machine"));
    ask(&["accept", unit]);
    zone.machine("ready when it is accepted", unit, |machine| machine.state == "ready");
}

/// The private scalar of a P-256 key in a text with a PEM block of it (RFC 5915 §3: an octet string of 32).
fn scalar(text: &str) -> Vec<u8> {
    let text = text.replace("\\n", "\n");
    let begin = text.find("-----BEGIN PRIVATE KEY").expect("a key");
    let key = PrivateKeyDer::from_pem_slice(&text.as_bytes()[begin..]).expect("a key");
    let octets = key.secret_der();
    let at = octets.windows(2).position(|two| two == [0x04, 0x20]).expect("a scalar") + 2;
    octets[at..at + 32].to_vec()
}

#[test]
fn nothing_secret_crosses_the_network_that_machines_boot_from() {
    let zone = Zone::new("hush");
    if zone.up().is_none() {
        return;
    }
    // Everything that is served passes the controller's own cable.
    let file = zone.lab.path.join("served.pcap");
    let mut capture = Command::new(ZW)
        .args(["lab", "--zone", &zone.name, "capture", "ctl1", file.to_str().expect("a plain path")])
        .stdin(Stdio::null())
        .spawn()
        .expect("zw runs");
    // The header is written when it hears.
    let began = Instant::now();
    while !fs::metadata(&file).is_ok_and(|file| file.len() >= 24) {
        assert!(began.elapsed() < WAIT_MAX, "no capture");
        std::thread::yield_now();
    }
    zone.say(&["power-cycle", "all"]);
    zone.until("machines off", |progress| progress.machines.iter().all(|machine| machine.state != "ready"));
    zone.until("machines ready", |progress| progress.machines.iter().all(|machine| machine.state == "ready"));
    let _ = capture.kill();
    let _ = capture.wait();
    let served = fs::read(&file).expect("a capture");
    let has = |octets: &[u8]| served.windows(octets.len()).any(|window| window == octets);
    // What is public is seen, so what is not seen was not there.
    assert!(has(b"zw.ca=sha256:") && has(format!("{}/p01/r1/u01", zone.name).as_bytes()));

    let copy = zone.design.join("state");
    copy_files(&zone.lab.path.join("controller"), &copy);
    let authority = store::Store::open(&copy).expect("a store").secret("certificate-authority");
    let mut secrets =
        vec![scalar(&String::from_utf8(authority.expect("read").expect("kept")).expect("text"))];
    for machine in fs::read_dir(zone.lab.path.join("machines")).expect("machines").flatten() {
        let identity = machine.path().join("state").join("identity.json");
        secrets.extend(fs::read_to_string(identity).ok().map(|text| scalar(&text)));
    }
    assert_eq!(secrets.len(), 1 + 8, "the authority's key and each machine's");
    for secret in secrets {
        let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(!has(&secret) && !has(hex.as_bytes()) && !has(hex.to_uppercase().as_bytes()));
    }
    assert!(!has(b"PRIVATE KEY"));
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn a_control_socket_of_nobody_is_told_apart_from_a_lab() {
    let zone = Zone::new("sock");
    let error = control::ask(&zone.lab, &Request::Status).expect_err("nobody listens");
    assert!(error.chain().starts_with("reach the lab at "), "{}", error.chain());
}

/// A request to a lab's page from outside of it: status line and the rest.
fn fetch(url: &str, path: &str, headers: &str, body: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).expect("the page listens");
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nOrigin: {}\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
        url.trim_end_matches('/')
    )
    .expect("it takes a request");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut stream, &mut said).expect("it answers");
    said
}

#[test]
fn the_page_of_a_lab_is_there_for_a_browser_outside() {
    let zone = Zone::new("page");
    let Some(said) = zone.up() else { return };
    let url = zone.lab.page_url().expect("the lab says where its page is");
    assert!(said.contains(&url) && url.starts_with("http://127.0.0.1:"), "{said}");
    let map = fetch(&url, "/", "", "");
    assert!(map.starts_with("HTTP/1.1 200") && map.contains(&zone.name), "{map}");
    // Whoever is outside only looks, until there is an account.
    let wish = "/v1/machines/p01/r1/u01/wish";
    let drain = r#"{"wish": "drain", "reason": "a fan"}"#;
    let json = "Content-Type: application/json\r\n";
    assert!(fetch(&url, wish, json, drain).starts_with("HTTP/1.1 401"));
    let server = zone.lab.api();
    let server = server.to_str().expect("a path");
    let mut account = Command::new(ZW)
        .args(["account", "add", "ada", "--role", "operate", "--server", server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zw runs");
    account.stdin.take().expect("a pipe").write_all(b"correct horse battery staple\n").expect("it reads");
    let made = both(&account.wait_with_output().expect("it ends"));
    assert_eq!(made, "ada may sign in: operate\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let signed_in = fetch(&url, "/sign-in", form, "name=ada&password=correct+horse+battery+staple");
    let cookie = signed_in.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next());
    let cookie = cookie.unwrap_or_else(|| panic!("no cookie in {signed_in}"));
    let told = fetch(&url, wish, &format!("{json}Cookie: {cookie}\r\n"), drain);
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("draining"), "{told}");
    // The controller that comes after one that crashed has the same page.
    zone.say(&["crash", "controller"]);
    let began = Instant::now();
    while !fetch(&url, "/v1/status", "", "").starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < WAIT_MAX, "no page\n{}", zone.logs());
    }
    let audit = Command::new(ZW).args(["audit", "--server", server]).output().expect("zw runs");
    let audit = both(&audit);
    assert!(audit.contains("drain (a fan)") && audit.contains("sign in as ada"), "{audit}");
    assert!(!audit.contains("horse"), "{audit}");
    zone.say(&["down"]);
    assert!(std::net::TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).is_err());
}
