//! Controllers whose etcd is away, and one whose etcd is full.

use super::leaders::CONTROLLERS;
use super::{ZW, Zone, both};
use serde_json::Value;
use std::process::Command;

/// Octets of each value that the etcd is filled with, and how many are enough for the lab's 256 MiB.
const FILL: &str = "i=0; while [ $i -lt 400 ] && head -c 1000000 /dev/zero | tr '\\0' x | ETCDCTL_API=3 etcdctl --endpoints $0 put fill/$i >/dev/null; do i=$((i + 1)); done; echo $i";
/// What its operator does then.
const MAKE_ROOM: &str = "export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=$0; etcdctl del --prefix fill/ && etcdctl compact $(etcdctl endpoint status -w json | tr ',{' '\\n\\n' | grep -m 1 -o '\"revision\":[0-9]*' | cut -d: -f2) && etcdctl defrag && etcdctl alarm disarm";
const ENDPOINT: &str = "http://169.254.107.1:2379";

impl Zone {
    /// Whether a machine has its address still, asked by a client as it is in a rescue system; one try.
    fn is_answered(&self) -> bool {
        let words = [
            "timeout",
            "10",
            "udhcpc",
            "-f",
            "-q",
            "-n",
            "-i",
            "eno2",
            "-t",
            "3",
            "-T",
            "1",
            "-s",
            "/bin/true",
        ];
        both(&self.exec("p02/r1/u02", &words)).contains("lease of 10.64.32.7 obtained")
    }

    /// What a controller has to say of itself.
    fn troubles(&self, controller: &str) -> String {
        self.said_by(controller, &["status"]).map(|status| status["troubles"].to_string()).unwrap_or_default()
    }
}

fn have(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        let is_there = found.is_ok_and(|found| found.status.success());
        if !is_there {
            super::say(&format!("passed over: there is no {program}"));
        }
        is_there
    })
}

#[test]
fn an_etcd_that_is_away_or_full_is_told_of_and_nothing_is_acknowledged_meanwhile() {
    if !have(&["etcd", "etcdctl", "udhcpc"]) {
        return;
    }
    let zone = Zone::trio("away");
    if zone.up_with(&["--controllers", "3"]).is_none() {
        return;
    }
    let leader = zone.leader("");
    let follower = CONTROLLERS.into_iter().find(|name| *name != leader).expect("another");
    let third = CONTROLLERS.into_iter().find(|name| ![leader, follower].contains(name)).expect("a third");

    // Away: who runs goes on, and who starts waits and says so.
    zone.say(&["power", "off", "etcd"]);
    zone.say(&["crash", follower]);
    zone.says(follower, "nothing is answered yet, and etcd is waited for");
    zone.until("controllers", |progress| progress.controllers.iter().all(|shown| shown.state != "leads"));
    assert!(zone.is_answered(), "{}", zone.controllers_said());
    // It waits, and so does who wishes it: nobody is told that it is stored.
    let socket = zone.lab.api_of(third).display().to_string();
    let words = ["maintain", "p01/r1/u01", "-m", "while it is away", "--server", &socket];
    let waits = Command::new("timeout").args(["5", ZW]).args(words).output().expect("timeout runs");
    assert!(!waits.status.success(), "{}", both(&waits));
    let why = zone.troubles(third);
    assert!(why.contains("etcd cannot be reached"), "{why}");
    zone.say(&["power", "on", "etcd"]);
    zone.says(follower, "etcd answers");
    zone.leader("");
    zone.until("controllers", |progress| {
        progress.controllers.iter().all(|shown| ["leads", "follows"].contains(&shown.state.as_str()))
    });

    // Full.
    let leader = zone.leader("");
    let filled = zone.exec(leader, &["sh", "-c", FILL, ENDPOINT]);
    let count: u32 = String::from_utf8_lossy(&filled.stdout).trim().parse().expect("a number");
    assert!(both(&filled).contains("space exceeded") && count < 400, "{}", both(&filled));
    let refused = zone.ask(&["maintain", "p01/r1/u02", "-m", "while it is full"]);
    assert!(!refused.status.success(), "{}", both(&refused));
    let why = zone.troubles(leader);
    assert!(why.contains("space exceeded") && why.contains("alarm disarm"), "{why}");
    assert!(zone.is_answered(), "{}", zone.controllers_said());
    let room = zone.exec(leader, &["sh", "-c", MAKE_ROOM, ENDPOINT]);
    assert!(room.status.success(), "{}", both(&room));
    // And again as ever; what was refused is nowhere.
    let began = std::time::Instant::now();
    while !zone.ask(&["maintain", "p01/r1/u03", "-m", "afterwards"]).status.success() {
        assert!(began.elapsed() < super::WAIT_MAX, "{}\n{}", zone.troubles(leader), zone.controllers_said());
    }
    let wishes = |place: &str, reason: &str| {
        let shown = zone.json(&["show", place]).expect("a machine");
        let timeline = shown["timeline"].as_array().cloned().unwrap_or_default();
        let is_wish = |event: &&Value| event["sentence"].as_str().is_some_and(|said| said.contains(reason));
        timeline.iter().filter(is_wish).count()
    };
    assert_eq!(wishes("p01/r1/u03", "afterwards"), 1);
    assert_eq!(wishes("p01/r1/u02", "full"), 0, "{}", zone.controllers_said());
    // It is said once, and tried each second.
    let said = zone.controllers_said().matches("space exceeded").count();
    assert!(said < 5, "{}", zone.controllers_said());
}
