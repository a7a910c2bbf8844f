//! A lab with an edge: the zone's machines start again with every controller down.

use super::{WAIT_MAX, Zone, both};
use lab::control::Machine;
use std::time::Instant;

impl Zone {
    /// What the edge says of itself.
    fn edge(&self) -> serde_json::Value {
        let output = self.exec("edge", &[super::ZW, "edge", "status", "--json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}\n{}", both(&output), self.logs()))
    }

    fn await_edge(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let began = Instant::now();
        while !wanted(&self.edge()) {
            assert!(began.elapsed() < WAIT_MAX, "no {what}: {}\n{}", self.edge(), self.logs());
        }
    }
}

#[test]
fn the_edge_serves_a_reboot_with_every_controller_down() {
    let zone = Zone::new("edge");
    let Some(_) = zone.up_with(&["--edge"]) else { return };
    let runs = |machine: &Machine| machine.doing == "system runs, agent started";
    zone.say(&["power", "off", "ctl1"]);
    zone.await_edge("controller gone", |edge| edge["trouble"].is_string());
    // The edge's own power fails meanwhile: it starts from its disk.
    zone.say(&["crash", "edge"]);
    for unit in ["p01/r1/u01", "p01/r1/u02", "p01/r1/u03"] {
        // One of each kind of firmware.
        zone.say(&["power", "off", unit]);
        zone.machine("machine off", unit, |machine| machine.state == "off");
        zone.say(&["power", "on", unit]);
        zone.machine("system", unit, |machine| machine.state != "off" && runs(machine));
    }
    assert!(std::os::unix::net::UnixStream::connect(zone.lab.api()).is_err(), "the controller answers");
    let edge = zone.edge();
    assert!(edge["answered"].as_u64() > Some(10) && edge["unsaid"].as_u64() > Some(0), "{edge}");
    // Their agents ask on, and are heard when it is back; so is what the edge saw.
    zone.say(&["power", "on", "ctl1"]);
    for unit in ["p01/r1/u01", "p01/r1/u02", "p01/r1/u03"] {
        zone.machine("machine ready", unit, |machine| machine.state == "ready");
    }
    zone.await_edge("following", |edge| edge["trouble"].is_null() && edge["unsaid"] == 0);
}

#[test]
fn an_edge_goes_on_to_the_next_controller_and_on_without_any() {
    if !["etcd", "etcdctl"].iter().all(|name| std::path::Path::new("/usr/bin").join(name).exists()) {
        return;
    }
    let zone = Zone::trio("edges");
    let Some(_) = zone.up_with(&["--controllers", "3", "--edge"]) else { return };
    let followed = || zone.edge()["controller"].as_str().unwrap_or_default().to_owned();
    let names = zone.edge();
    assert!(names["trouble"].is_null(), "{names}");
    for _ in 0..2 {
        let before = followed();
        let address = before.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
        zone.say(&["power", "off", &address]);
        zone.await_edge("next controller", |edge| {
            edge["trouble"].is_null() && edge["controller"].as_str() != Some(&before)
        });
    }
    let last = followed();
    zone.say(&["power", "off", last.rsplit_once(':').map_or("", |(host, _)| host)]);
    zone.await_edge("controllers gone", |edge| edge["trouble"].is_string());
    zone.say(&["power", "off", "p01/r1/u01"]);
    zone.machine("machine off", "p01/r1/u01", |machine| machine.state == "off");
    zone.say(&["power", "on", "p01/r1/u01"]);
    zone.machine("system", "p01/r1/u01", |machine| {
        machine.state != "off" && machine.doing == "system runs, agent started"
    });
}
