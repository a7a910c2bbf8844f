//! Changes in a lab: a good image while the controller is killed again and again, and a bad one that is taken back.

use super::{WAIT_MAX, ZW, Zone, both};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

impl Zone {
    /// A command that asks the lab's controller.
    pub(super) fn ask(&self, words: &[&str]) -> Output {
        let server = self.lab.api().display().to_string();
        let mut command = Command::new(ZW);
        command.args(words).args(["--server", &server]).stdin(Stdio::null());
        command.output().expect("zw runs")
    }

    /// What it says; it must succeed.
    pub(super) fn told(&self, words: &[&str]) -> String {
        let output = self.ask(words);
        assert!(output.status.success(), "zw {words:?}: {}\n{}", both(&output), self.logs());
        both(&output)
    }

    /// The same as JSON; `None` while the controller is not there.
    pub(super) fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.ask(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    }

    pub(super) fn change(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let change = self.json(&["change", id]);
            if let Some(change) = change.as_ref().filter(|change| wanted(change)) {
                return change.clone();
            }
            assert!(began.elapsed() < WAIT_MAX, "no {what}: {change:#?}\n{}", self.logs());
        }
    }

    /// Waves that are watched for a second, and images beside the one that there is.
    pub(super) fn prepare(&self) {
        let file = self.design.join("zone.hcl");
        let text = fs::read_to_string(&file).expect("a design");
        fs::write(&file, text + "\nrollout {\n  bake = \"1s\"\n}\n").expect("written");
        for (name, kernel) in [("next", "the next kernel\n"), ("bad", "a bad kernel\nlab: panics 20\n")] {
            let folder = self.design.join("images").join(name);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("vmlinuz"), kernel).expect("written");
            fs::write(folder.join("initrd.img"), "nothing\n").expect("written");
        }
    }

    pub(super) fn draw_image(&self, from: &str, to: &str) {
        let file = self.design.join("zone.hcl");
        let text = fs::read_to_string(&file).expect("a design");
        fs::write(&file, text.replace(&format!("images/{from}/"), &format!("images/{to}/")))
            .expect("written");
    }

    /// How often a machine booted, by what it knows itself: what a controller heard just before it was killed is not kept.
    pub(super) fn boots(&self, place: &str) -> usize {
        let machine =
            self.lab.path.join("machines").join(format!("hv-{}", place.replace('/', "-"))).join("boot");
        let told =
            fs::read_to_string(&machine).unwrap_or_else(|error| panic!("{}: {error}", machine.display()));
        told.split_whitespace().next_back().and_then(|boots| boots.parse().ok()).expect("a number")
    }
}

#[test]
fn a_change_goes_through_once_however_often_the_controller_is_killed() {
    let zone = Zone::new("waves");
    zone.prepare();
    if zone.up().is_none() {
        return;
    }
    let places: Vec<String> =
        (1..=2).flat_map(|pod| (1..=4).map(move |unit| format!("p0{pod}/r1/u0{unit}"))).collect();
    assert!(places.iter().all(|place| zone.boots(place) == 1));
    zone.draw_image("kvm", "next");
    zone.told(&["apply", "-m", "the next kernel", "--yes"]);
    let mut kills = 0;
    let done = |change: &Value| change["state"] == "done";
    while !zone.json(&["change", "1"]).is_some_and(|change| done(&change)) {
        zone.say(&["crash", "controller"]);
        kills += 1;
        // It is there again, and does something, before the next.
        let before = zone.change("1", "controller", |_| true);
        zone.change("1", "step", |change| {
            done(change) || change["machines"] != before["machines"] || change["notes"] != before["notes"]
        });
    }
    assert!(kills > 3, "{kills} kills");
    let change = zone.change("1", "end", done);
    assert_eq!(change["outcome"], "8 machines done");
    for place in &places {
        assert_eq!(zone.boots(place), 2, "{place} restarts once\n{change:#}");
    }
    let history = zone.told(&["history"]);
    assert!(
        history.contains("the next kernel") && history.contains("change 1: done, 8 machines done"),
        "{history}"
    );
    assert!(zone.told(&["diff", "1", "2"]).contains("image kvm has changed"));
    assert!(zone.told(&["history", "10.64.0.6"]).contains("new: bond0 of p01/r1/u01"));
    assert!(zone.told(&["show", "1"]).contains("images/kvm/vmlinuz"));

    // And back, by a plan of before as a new one.
    let said = zone.told(&["rollback", "-m", "no reason", "--yes"]);
    assert!(said.contains("plan #3 is in force, and change 2 brings it to the machines"), "{said}");
    zone.change("2", "way back", done);
    assert!(zone.told(&["show", "3"]).contains("images/kvm/vmlinuz"));
    assert!(places.iter().all(|place| zone.boots(place) == 3));
}

#[test]
fn a_bad_image_stops_at_one_machine_and_is_taken_back_while_another_change_waits() {
    let zone = Zone::new("halt");
    zone.prepare();
    if zone.up().is_none() {
        return;
    }
    zone.draw_image("kvm", "bad");
    let began = Instant::now();
    while !zone.told(&["status"]).contains("8 machines restart: `zw apply` begins that, in waves") {
        assert!(began.elapsed() < WAIT_MAX, "{}", zone.told(&["status"]));
    }
    let dry = zone.told(&["apply", "--dry-run"]);
    assert!(dry.contains("wave canary      1 machine,     1 at once"), "{dry}");
    zone.told(&["apply", "-m", "a bad kernel", "--yes"]);
    zone.change("1", "first machine", |change| change["machines"][0]["step"] == "taken");
    // Whoever wants a machine meanwhile waits, and is told for whom.
    zone.told(&["restart", "p01", "-m", "microcode", "--yes"]);
    let waits = zone.change("2", "wait", |change| !change["waits_for"].is_null());
    let waits = waits["waits_for"].as_str().expect("words").to_owned();
    assert!(waits.contains("p01/r1/u01") && waits.contains(": a bad kernel"), "{waits}");
    let drained = zone.ask(&["drain", "p02/r1/u03", "-m", "a fan"]);
    assert!(
        both(&drained).contains("1 of 8 in the zone be out, and 1 is: p01/r1/u01 (change 1 of "),
        "{}",
        both(&drained)
    );
    zone.draw_image("bad", "next");
    let second = zone.ask(&["apply", "-m", "again", "--yes"]);
    assert!(
        both(&second).contains("change 1 of ") && both(&second).contains("is under way"),
        "{}",
        both(&second)
    );

    let halted = zone.change("1", "halt", |change| change["state"] == "halted");
    let outcome = halted["outcome"].as_str().expect("words");
    assert!(
        outcome.starts_with("1 of 1 machine that has it failed (p01/r1/u01: its kernel was started 2 times"),
        "{outcome}"
    );
    let untouched = halted["machines"].as_array().expect("machines");
    assert_eq!(untouched.iter().filter(|machine| machine["step"] == "waiting").count(), 7);
    zone.change("3", "way back", |change| change["state"] == "done" && change["undoes"] == 1);
    zone.change("2", "restart", |change| change["state"] == "done");
    zone.until("all ready", |progress| progress.machines.iter().all(|machine| machine.state == "ready"));
    let history = zone.told(&["history"]);
    assert!(history.contains("zonewright change 1 is taken back"), "{history}");
}

#[test]
fn whoever_is_on_a_machine_keeps_it_from_being_restarted() {
    let zone = Zone::new("hold");
    zone.prepare();
    if zone.up().is_none() {
        return;
    }
    let state = zone.lab.path.join("machines/hv-p01-r1-u02/state");
    let on_it = |words: &[&str]| {
        let output = Command::new(ZW).arg("agent").args(words).arg("--state").arg(&state).output();
        let output = output.expect("zw runs");
        assert!(output.status.success(), "{}", both(&output));
        both(&output)
    };
    on_it(&["hold", "-m", "a long reckoning"]);
    let began = Instant::now();
    while !zone.told(&["why", "p01/r1/u02"]).contains("lets nobody restart it (a long reckoning)") {
        assert!(began.elapsed() < WAIT_MAX, "{}", zone.told(&["why", "p01/r1/u02"]));
    }
    zone.told(&["restart", "p01/r1/u02", "-m", "microcode", "--yes"]);
    let waits = zone.change("1", "wait", |change| change["waits_for"].is_string());
    assert_eq!(waits["waits_for"], "its turn with p01/r1/u02: somebody holds it there (a long reckoning)");
    assert_eq!(zone.boots("p01/r1/u02"), 1);
    assert!(on_it(&["release"]).contains("it may be restarted again"));
    zone.change("1", "restart", |change| change["state"] == "done");
    assert_eq!(zone.boots("p01/r1/u02"), 2);
}
