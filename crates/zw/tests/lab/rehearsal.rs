//! The whole of it, once: a zone whose changes, controllers and edge are all in trouble, and what each of that took.
//!
//! `cargo xtask rehearsal [MACHINES]` runs it and prints the figures; each part has a test of its own, which always runs.

use super::browser::Browser;
use super::{WAIT_MAX, Zone, both};
use lab::control::Machine;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::time::Instant;

const PODS: usize = 5;
const RACKS: usize = 2;
/// Two controllers: whoever does not lead answers, and is there to take over.
const CONTROLLERS: [&str; 2] = ["ctl1", "ctl2"];

impl Zone {
    /// The pocket zone with so many machines, two controllers, and a budget of one machine in a rack.
    fn drawn_for(machines: usize) -> Self {
        let zone = Self::new("rehearsal");
        zone.prepare();
        let file = zone.design.join("zone.hcl");
        let mut text = fs::read_to_string(&file).expect("a design");
        let wide = "model \"core64\" {\n  kind = \"switch\"\n  ports = \"swp{1..64}\"\n  circuit_id = \"{port}\"\n}\n\n";
        for (old, new) in [
            ("pods = 4, racks = 2, units = 16", "pods = 8, racks = 2, units = 64".to_owned()),
            ("model \"switch32\"", format!("{wide}model \"switch32\"")),
            ("core \"c1\" {\n  model = \"switch32\"", "core \"c1\" {\n  model = \"core64\"".to_owned()),
            (
                "controller \"ctl1\" {\n  model = \"seed\"\n  cable = { eno1 = core.c1.swp[32] }",
                "controller \"ctl1\" \"ctl2\" {\n  model = \"seed\"\n  cable = { eno1 = core.c1.swp[65 - number] }".to_owned(),
            ),
            ("pod \"p{01..02}\"", format!("pod \"p{{01..{PODS:02}}}\"")),
            ("rack \"r1\"", format!("rack \"r{{1..{RACKS}}}\"")),
            ("(pod - 1) * 4 + number", "(pod - 1) * 8 + (rack - 1) * 4 + number".to_owned()),
            ("(pod - 1) * 4 + 3", "(pod - 1) * 8 + (rack - 1) * 4 + 3".to_owned()),
            ("\"u{01..04}\"", format!("\"u{{01..{:02}}}\"", machines / (PODS * RACKS))),
        ] {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, &new, 1);
        }
        text += "\nbudget \"compute\" {\n  roles    = [\"hypervisor\"]\n  may_miss = \"10%\"\n  per_rack = 1\n}\n";
        fs::write(&file, text).expect("written");
        zone
    }

    fn all_places(&self) -> Vec<String> {
        let change = self.json(&["change", "1"]).expect("a change");
        let machines = change["machines"].as_array().cloned().unwrap_or_default();
        let place = |machine: &Value| {
            machine["location"].as_str()?.split_once('/').map(|(_, place)| place.to_owned())
        };
        machines.iter().filter_map(place).collect()
    }
}

/// Somebody who looks at the page all the while, in a real browser; nobody, where there is none.
struct Watcher(Option<(Browser, String)>);

impl Watcher {
    fn of(zone: &Zone) -> Self {
        let url = zone.lab.page_url();
        Self(url.and_then(|url| Some((Browser::start()?, url.trim_end_matches('/').to_owned()))))
    }

    /// Opens a page.
    fn goes(&self, path: &str) {
        if let Some((browser, url)) = &self.0 {
            browser.go(&format!("{url}{path}"));
            browser.run("window.isSame = true");
        }
    }

    /// Waits until the page shows it, by itself; a picture of it is in the directory that `ZW_SCREENSHOTS` names.
    fn sees(&self, name: &str, shown: &str) {
        if let Some((browser, _)) = &self.0 {
            browser.until(shown);
            assert_eq!(browser.run("return window.isSame"), true, "{name}: the page was loaded again");
            browser.shoot(name);
        }
    }

    fn reads(&self, name: &str, words: &str) {
        self.sees(name, &format!("document.body.innerText.includes({})", Value::from(words)));
    }

    /// How many machines the map shows in this state.
    fn counts(&self, name: &str, state: &str, machines: usize) {
        let shown =
            format!("document.querySelector('#legend [data-only={state}]')?.dataset.count === '{machines}'");
        self.sees(name, &shown);
    }
}

/// What was done, and how long it took.
struct Figures(Instant, Vec<String>);

impl Figures {
    fn add(&mut self, what: &str) {
        self.1.push(format!("{:>7.1} s  {what}", self.0.elapsed().as_secs_f64()));
        let _ = writeln!(std::io::stderr(), "{}", self.1.last().expect("one"));
        self.0 = Instant::now();
    }
}

fn waves(change: &Value) -> String {
    let began = change["began"].as_u64().unwrap_or_default();
    let notes = change["notes"].as_array().into_iter().flatten();
    let note = |note: &Value| {
        let after = note["at"].as_u64().unwrap_or_default().saturating_sub(began);
        format!("{:.1} s: {}", after as f64 / 1000.0, note["sentence"].as_str().unwrap_or_default())
    };
    notes.map(note).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_rehearsal_of_everything() {
    let Some(machines) = std::env::var("ZW_REHEARSAL").ok().and_then(|machines| machines.parse().ok()) else {
        return;
    };
    let zone = Zone::drawn_for(machines);
    let mut figures = Figures(Instant::now(), Vec::new());
    if zone.up_with(&["--controllers", "2", "--edge"]).is_none() {
        return;
    }
    figures.add(&format!(
        "{machines} machines from power-on to ready, with two controllers on etcd and an edge"
    ));
    let watcher = Watcher::of(&zone);
    watcher.goes("/");
    watcher.counts("ready", "ready", machines);

    // A bad image: it stops at one machine, and another change waits for that.
    zone.draw_image("kvm", "bad");
    let began = Instant::now();
    while !zone.told(&["apply", "--dry-run"]).contains("canary") {
        assert!(began.elapsed() < WAIT_MAX, "{}", zone.told(&["status"]));
    }
    figures.0 = Instant::now();
    zone.told(&["apply", "-m", "a bad kernel", "--yes"]);
    let taken = |change: &Value| {
        let all = change["machines"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|machine| machine["step"] == "taken")
    };
    watcher.goes("/changes/1");
    let canary = zone.change("1", "canary", |change| taken(change).is_some());
    let canary = taken(&canary).expect("taken")["location"].as_str().expect("a place").to_owned();
    let (_, canary) = canary.split_once('/').expect("with its zone");
    let neighbour = canary.replace("u01", "u02");
    zone.told(&["restart", &neighbour, "-m", "microcode", "--yes"]);
    let waits =
        zone.change("2", "wait", |change| change["waits_for"].as_str().is_some_and(|on| on.contains(canary)));
    figures.add(&format!("a second change waits: {}", waits["waits_for"].as_str().unwrap_or_default()));
    watcher.goes("/changes/2");
    watcher.reads("waits", "It waits for");
    watcher.goes("/changes/1");
    let halted = zone.change("1", "halt", |change| change["state"] == "halted");
    figures.add(&format!("it is halted: {}", halted["outcome"].as_str().unwrap_or_default()));
    watcher.reads("halted", "its agent never came");
    watcher.goes("/");
    zone.change("3", "way back", |change| change["state"] == "done" && change["undoes"] == 1);
    zone.change("2", "restart", |change| change["state"] == "done");
    zone.until("all ready", |progress| progress.machines.iter().all(|machine| machine.state == "ready"));
    figures.add("taken back, the second change done, all ready");
    watcher.counts("taken-back", "ready", machines);

    // A good one: whoever leads is killed in the midst of it.
    let before: Vec<(String, usize)> =
        zone.all_places().into_iter().map(|place| (place.clone(), zone.boots(&place))).collect();
    zone.draw_image("bad", "next");
    zone.told(&["apply", "-m", "the next kernel", "--yes"]);
    let is_last_wave = |change: &Value| {
        let done = change["machines"].as_array().into_iter().flatten();
        done.filter(|machine| machine["wave"] == "zone" && machine["step"] == "done").count() > 3
    };
    watcher.goes("/changes/4");
    zone.change("4", "last wave", is_last_wave);
    figures.add("a good image is in its last wave");
    watcher.reads("wave", "at it");
    let leads = |but: &str| {
        let progress = zone.until("leader", |progress| {
            progress.controllers.iter().any(|shown| shown.state == "leads" && shown.name != but)
        });
        let shown = progress.controllers.iter().find(|shown| shown.state == "leads");
        shown.map(|shown| shown.name.clone()).expect("one leads")
    };
    let first = leads("");
    zone.say(&["power", "off", &first]);
    figures.0 = Instant::now();
    let second = leads(&first);
    figures.add(&format!("{first} is killed; {second} leads"));
    let change = zone.change("4", "end", |change| !change["ended"].is_null());
    figures.add(&format!("the change is done by {second}: {}", waves(&change)));
    assert_eq!(change["outcome"], format!("{machines} machines done"), "{change:#}");
    // Here a restart takes a tenth of a second: to a few the edge may hand what they had before, and those restart once more.
    let mut again = 0;
    for (place, boots) in &before {
        let restarts = zone.boots(place) - boots;
        assert!((1..=2).contains(&restarts), "{place} restarts {restarts} times\n{change:#}");
        again += usize::from(restarts == 2);
    }
    assert!(again <= 1 + before.len() / 50, "{again} restarted twice\n{change:#}");
    watcher.reads("done", &format!("{machines} machines done"));
    watcher.goes("/");

    // Nobody leads, nobody answers but the edge.
    zone.say(&["power", "off", &second]);
    figures.0 = Instant::now();
    let restarted = ["p01/r1/u01", "p03/r2/u02", "p05/r1/u02"];
    for unit in restarted {
        zone.say(&["power", "off", unit]);
        zone.machine("machine off", unit, |machine| machine.state == "off");
        zone.say(&["power", "on", unit]);
    }
    for unit in restarted {
        let runs =
            |machine: &Machine| machine.state != "off" && machine.doing == "system runs, agent started";
        zone.machine("system", unit, runs);
    }
    figures.add("with every controller down three machines have restarted into their systems, by the edge");
    for controller in CONTROLLERS {
        zone.say(&["power", "on", controller]);
    }
    zone.until("all ready", |progress| progress.machines.iter().all(|machine| machine.state == "ready"));
    figures.add("both controllers are back, all ready");
    watcher.counts("back", "ready", machines);
    let down = both(&zone.zw(&["down"]));
    figures.add(down.trim());
}
