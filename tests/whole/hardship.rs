//! Bad circumstances: ports taken, rights missing, a full disk, a clock that jumps, a process that is killed, a design
//! that breaks or shrinks, and noise on every socket. Each gives a clear sentence, and nothing is lost.

use crate::network::{Ended, have, skip, until};
use crate::served::{DESIGN, STATE, ZW, Zone, noise};
use std::fs;

/// A quick DHCP client without a relay's packages: one lease, and out.
const UDHCPC: [&str; 11] = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "5", "-T", "1", "-S"];

/// Whether the machine in `u01`, behind the relay, gets its address.
fn asks(zone: &Zone, place: &str) -> Ended {
    zone.network.write("/run/keep.sh", "#!/bin/sh\n[ \"$1\" != bound ] || echo \"bound to $ip\"\n");
    zone.network.sh(None, "chmod +x /run/keep.sh");
    zone.network.run(Some(place), &[&UDHCPC[..10], &["-s", "/run/keep.sh"]].concat())
}

fn assert_answers(zone: &Zone, place: &str) {
    let asked = asks(zone, place);
    let bound = format!("bound to {}", zone.facts.address_of(place));
    assert!(asked.out.contains(&bound), "{asked}\n{}", zone.log());
}

/// What the controller tells of itself about one subject: `store`, `design`, `clock`.
fn trouble(zone: &Zone, about: &str) -> Option<String> {
    let status = zone.get("/v1/status");
    let troubles = status["troubles"].as_array().expect("troubles");
    let trouble = troubles.iter().find(|trouble| trouble["about"] == about)?;
    Some(trouble["sentence"].as_str().expect("a sentence").to_owned())
}

/// A zone that is served, with a relay and these machines.
fn zone(machines: &[&str]) -> Option<Zone> {
    if !have(&["udhcpc", "dhcrelay"]) {
        return None;
    }
    let mut zone = Zone::served()?;
    for machine in machines {
        zone.plug_machine(machine);
    }
    zone.relay(&[]);
    Some(zone)
}

/// Runs `zw serve`, which must end by itself with this status.
fn assert_refuses(zone: &Zone, words: &[&str], status: i32, sentences: &[&str]) {
    let ended = zone.network.run(Some("server"), words);
    assert_eq!(ended.status, status, "{ended}");
    for sentence in sentences {
        assert!(ended.err.contains(sentence), "{sentence:?} should stand in\n{ended}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let Some(zone) = have(&["socat"]).then(Zone::drawn).flatten() else { return };
    let serve = [ZW, "serve", DESIGN, "--state", STATE];
    for (holder, port) in
        [("UDP4-RECV:67", "67"), ("UDP4-RECV:69", "69"), ("TCP4-LISTEN:80", "80"), ("TCP4-LISTEN:53", "53")]
    {
        let mut taken = zone.network.start("server", &["socat", "-d", "-d", "-u", holder, "STDOUT"]);
        let is_listening = || zone.network.sh(Some("server"), "ss -Hlnut").contains(&format!(":{port} "));
        until("socat to hold the port", || is_listening().then_some(()));
        assert!(taken.ended().is_none(), "{}", taken.said());
        assert_refuses(&zone, &serve, 3, &[port, "in use"]);
    }
}

#[test]
fn a_second_server_on_one_state_is_refused() {
    let Some(zone) = Zone::served() else { return };
    let before = zone.get("/v1/status");
    assert_refuses(
        &zone,
        &[ZW, "serve", DESIGN, "--state", STATE, "--api-socket", "/run/other.sock"],
        3,
        &["/run/state"],
    );
    assert_eq!(zone.get("/v1/status")["generation"], before["generation"]);
}

#[test]
fn an_ordinary_user_is_told_which_right_is_missing() {
    let Some(zone) = have(&["setpriv"]).then(Zone::drawn).flatten() else { return };
    if !zone.network.has_users() {
        return skip("this namespace has only root");
    }
    // The checkout may lie where an ordinary user may not look.
    zone.network.sh(
        None,
        &format!("touch /run/zw && mount --bind {ZW} /run/zw && install -d -o 1000 {STATE} /run/zonewright"),
    );
    let words = [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "/run/zw",
        "serve",
        DESIGN,
        "--state",
        STATE,
    ];
    assert_refuses(&zone, &words, 3, &["CAP_NET_BIND_SERVICE"]);
}

#[test]
fn a_design_that_is_not_there_or_broken_does_not_start() {
    let Some(zone) = Zone::drawn() else { return };
    assert_refuses(&zone, &[ZW, "serve", "/nowhere", "--state", STATE], 3, &["/nowhere"]);
    zone.network.write("/run/broken/zone.hcl", "zone \"x\" {\n  domian = \"x\"\n}\n");
    assert_refuses(&zone, &[ZW, "serve", "/run/broken", "--state", STATE], 1, &["domian", "domain"]);
    zone.network.write("/run/nonsense/zone.hcl", noise(1, 10_000));
    assert_refuses(&zone, &[ZW, "serve", "/run/nonsense", "--state", STATE], 3, &["zone.hcl"]);
}

#[test]
fn a_state_that_cannot_be_written_is_named() {
    let Some(zone) = Zone::drawn() else { return };
    zone.network.sh(None, "mkdir /run/fixed && mount -t tmpfs -o ro tmpfs /run/fixed");
    assert_refuses(&zone, &[ZW, "serve", DESIGN, "--state", "/run/fixed/state"], 3, &["/run/fixed/state"]);
}

#[test]
fn a_state_that_is_torn_is_named_and_left_alone() {
    let Some(mut zone) = Zone::served() else { return };
    zone.kill();
    let path = &format!("{STATE}/zonewright.db");
    zone.network.write(path, noise(2, 100_000));
    zone.network.sh(None, &format!("rm -f {path}-wal {path}-shm"));
    assert_refuses(&zone, &[ZW, "serve", DESIGN, "--state", STATE], 3, &[path]);
    assert_eq!(fs::read(zone.network.outside(path)).expect("still there"), noise(2, 100_000));
}

#[test]
fn a_full_disk_stops_no_answer_and_heals() {
    if !have(&["udhcpc", "dhcrelay"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn() else { return };
    zone.network.sh(None, &format!("mkdir {STATE} && mount -t tmpfs -o size=2m tmpfs {STATE}"));
    zone.serve();
    zone.plug_machine("u01");
    zone.plug_machine("u02");
    zone.relay(&[]);
    zone.network.sh(None, &format!("dd if=/dev/zero of={STATE}/filler bs=4k 2>/dev/null || true"));
    assert_answers(&zone, "u01");
    let told = until("the full disk to be told", || trouble(&zone, "store"));
    assert!(told.contains("full"), "{told}");
    // Who was served before is served, and who was not, too.
    assert_answers(&zone, "u01");
    assert_answers(&zone, "u02");
    zone.network.sh(None, &format!("rm {STATE}/filler"));
    until("the facts to be stored again", || trouble(&zone, "store").is_none().then_some(()));
    let known = zone.get("/v1/machines/p01/r1/u02");
    zone.kill();
    zone.serve();
    // What came in while nothing could be stored is not lost.
    assert_eq!(zone.get("/v1/machines/p01/r1/u02")["state"], known["state"]);
    assert_eq!(zone.get("/v1/machines/p01/r1/u02")["interfaces"], known["interfaces"]);
    assert_ne!(known["state"], "expected");
    assert_answers(&zone, "u01");
}

#[test]
fn killed_at_any_moment_it_comes_back_with_its_facts() {
    if !have(&["curl"]) {
        return;
    }
    let Some(mut zone) = zone(&["u01", "u02", "u03"]) else { return };
    let script = format!("http://{}/boot/auto.ipxe", zone.facts.controller);
    for unit in ["u01", "u02", "u03"] {
        let address = zone.facts.address_of(unit);
        zone.settle(unit, &address);
    }
    let fact = |zone: &Zone, unit: &str| zone.get(&format!("/v1/machines/p01/r1/{unit}"));
    // A machine that is through its first steps, stored; the others ask while the server is killed.
    assert_answers(&zone, "u01");
    zone.network.run(Some("u01"), &["curl", "--silent", "--fail", &script]).fine();
    let settled = until("the script to be known", || {
        let known = fact(&zone, "u01");
        (known["state"].to_string().contains("booting")).then_some(known)
    });
    for round in 0..8_u32 {
        let unit = if round % 2 == 0 { "u02" } else { "u03" };
        let mut client = zone.network.start(unit, &[&UDHCPC[..10], &["-A", "1", "-s", "/bin/true"]].concat());
        // Not at the same moment each time: after so many requests of our own.
        for _ in 0..round * 3 {
            zone.network.run(Some(unit), &["curl", "--silent", &script]);
        }
        zone.kill();
        zone.serve();
        client.wait();
        let known = fact(&zone, "u01");
        for key in ["state", "since", "interfaces"] {
            assert_eq!(known[key], settled[key], "round {round}: {key}");
        }
        assert_answers(&zone, unit);
    }
}

#[test]
fn a_design_that_breaks_keeps_the_last_view() {
    let Some(zone) = zone(&["u01"]) else { return };
    let path = format!("{DESIGN}/zone.hcl");
    let good = zone.network.text(&path);
    let generation = zone.get("/v1/status")["generation"].clone();
    zone.network.write(&path, good.replace("circuit_id", "circut_id"));
    until("the broken design to be told", || trouble(&zone, "design"));
    assert!(zone.get("/v1/findings").to_string().contains("circut_id"), "{}", zone.get("/v1/findings"));
    assert_eq!(zone.get("/v1/status")["generation"], generation);
    assert_answers(&zone, "u01");

    // A new name needs no word but the saving.
    zone.network.write(&path, good.replace("hv-{unit}", "node-{unit}"));
    until("the new design to be in force", || {
        (zone.get("/v1/status")["generation"] != generation).then_some(())
    });
    assert!(zone.zw(&["show", "node-u01"]).fine().contains(&zone.facts.address_of("u01")));
    assert_answers(&zone, "u01");
}

#[test]
fn a_design_that_shrinks_or_renumbers_waits_for_a_word() {
    let Some(zone) = zone(&["u12"]) else { return };
    let path = format!("{DESIGN}/zone.hcl");
    let good = zone.network.text(&path);
    let generation = zone.get("/v1/status")["generation"].clone();
    // Five machines may disappear without a word, not seven.
    for (from, to, word) in
        [("u{01..12}", "u{01..05}", "--remove 7"), ("10.77.0.0/16", "10.88.0.0/16", "--renumber")]
    {
        assert!(good.contains(from));
        zone.network.write(&path, good.replace(from, to));
        until("the design to be refused", || trouble(&zone, "design"));
        let findings = zone.get("/v1/findings").to_string();
        assert!(findings.contains(word), "the word that would help should be told: {findings}");
        assert_eq!(zone.get("/v1/status")["generation"], generation);
        assert_answers(&zone, "u12");
        zone.network.write(&path, &good);
        until("the trouble to be over", || trouble(&zone, "design").is_none().then_some(()));
    }
    // With the word it happens.
    zone.network.write(&path, good.replace("u{01..12}", "u{01..05}"));
    zone.zw(&["reload", "--remove", "7"]).fine();
    assert_ne!(zone.get("/v1/status")["generation"], generation);
    assert!(!asks(&zone, "u12").is_fine());
}

#[test]
fn noise_on_every_socket_harms_nobody() {
    if !have(&["bash", "curl", "dig"]) {
        return;
    }
    let Some(zone) = zone(&["u01"]) else { return };
    let address = zone.facts.address_of("u01");
    zone.settle("u01", &address);
    zone.network.write("/run/noise", noise(77, 200_000));
    let controller = &zone.facts.controller;
    // Whole noise, and noise behind a head that looks right, so that it gets further in.
    let script = format!(
        r#"
        heads=('' '\x01\x01\x06\x00' '\x00\x01' '\x00\x06' '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00' 'GET /boot/')
        for port in 67 69 53 4011; do
          for round in $(seq 1 120); do
            head=${{heads[$((round % ${{#heads[@]}}))]}}
            {{ printf "$head"; tail -c +$((round * 131)) /run/noise | head -c $((round * 12)); }} >/run/datagram
            dd if=/run/datagram bs=2000 count=1 status=none >/dev/udp/{controller}/$port || true
          done
        done
        for port in 53 80 8443; do
          for round in $(seq 1 30); do
            head=${{heads[$((round % ${{#heads[@]}}))]}}
            {{ printf "$head"; tail -c +$((round * 977)) /run/noise | head -c $((round * 400)); }} 2>/dev/null >/dev/tcp/{controller}/$port || true
          done
        done
        "#
    );
    zone.network.write("/run/noise.sh", script);
    let mut idle = Vec::new();
    for port in ["53", "80", "8443"] {
        // Connections that say nothing.
        let hold = format!(
            "for n in $(seq 10 99); do eval \"exec $n<>/dev/tcp/{controller}/{port}\"; done; echo held; exec sleep 60"
        );
        let mut holder = zone.network.start("u01", &["bash", "-c", &hold]);
        holder.wait_for("held");
        idle.push(holder);
    }
    zone.network.run(Some("u01"), &["bash", "/run/noise.sh"]).fine();
    assert_answers(&zone, "u01");
    let server = format!("@{controller}");
    for transport in ["+notcp", "+tcp"] {
        let told = zone
            .network
            .run(Some("u01"), &["dig", "+short", transport, &server, "hv-u01.judged.example.net"])
            .fine();
        assert_eq!(told.trim(), address, "{transport}");
    }
    let url = format!("http://{controller}/boot/auto.ipxe");
    assert!(
        zone.network.run(Some("u01"), &["curl", "--silent", "--fail", &url]).fine().starts_with("#!ipxe")
    );
    let metrics = zone.metrics();
    let panicked = metrics.lines().filter(|line| !line.starts_with('#') && line.contains("panic"));
    assert!(panicked.clone().count() > 0, "panics are counted:\n{metrics}");
    assert!(panicked.clone().all(|line| line.ends_with(" 0")), "{}", panicked.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_clock_that_jumps_changes_no_address() {
    if !have(&["faketime"]) {
        return;
    }
    let Some(mut zone) = zone(&["u01"]) else { return };
    assert_answers(&zone, "u01");
    for clock in ["-3d", "+700d", "-20y"] {
        zone.kill();
        // Not through the program `faketime`, which stays between us and the server.
        let script = "exec env LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketime.so.1) FAKETIME=$0 \"$@\"";
        zone.serve_as(&[
            "env",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
            "sh",
            "-c",
            script,
            clock,
        ]);
        assert_answers(&zone, "u01");
        let (here, there) = (zone.network.sh(None, "date +%s"), zone.get("/v1/status")["now"].as_u64());
        let here = here.trim().parse::<u64>().expect("seconds") * 1000;
        assert!(
            there.is_some_and(|there| there.abs_diff(here) > 86_400_000),
            "the clock was not turned: {there:?}"
        );
    }
    zone.kill();
    zone.serve();
    assert_answers(&zone, "u01");
}
