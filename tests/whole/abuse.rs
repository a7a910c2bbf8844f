//! The abuse list (docs/internals/abuse.md) from outside: floods, forgeries and tools that were written to bring DHCP
//! servers down, against `zw serve`, while machines of the zone go on asking.

use crate::network::{have, until};
use crate::served::Zone;
use serde_json::Value;

/// The machines of the rack.
const MACHINES: u8 = 12;
/// What the server may take, in kilobytes, whatever is sent to it.
const MEMORY_MAX: u64 = 200 << 10;
/// What it may say, in octets, whatever is sent to it.
const LOG_MAX: usize = 64 << 10;

/// A served zone in which the scripts of `abuse.py` can run.
fn zone() -> Option<Zone> {
    if !have(&["python3"]) {
        return None;
    }
    let zone = Zone::served()?;
    zone.network.write("/run/abuse.py", include_str!("abuse.py"));
    // The scripts are a relay there, and answer at its address.
    let router = zone.facts.router.clone();
    zone.network.sh(Some("leaf"), &format!("ip address add {router}/32 dev uplink"));
    Some(zone)
}

/// Runs one of the scripts to its end.
fn script(zone: &Zone, place: &str, words: &[&str]) -> Value {
    let told = zone.network.run(Some(place), &[&["python3", "/run/abuse.py"], words].concat()).fine();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{words:?}: {error}\n{told}"))
}

/// Every machine asks for the first time, and is accepted at its place.
fn settle(zone: &Zone) {
    let machines = MACHINES.to_string();
    script(zone, "leaf", &["settle", &zone.facts.controller, &zone.facts.router, &machines]);
    for unit in 1..=MACHINES {
        zone.zw(&["accept", &format!("p01/r1/u{unit:02}")]).fine();
    }
}

/// The server's memory now, in kilobytes.
fn memory(zone: &Zone) -> u64 {
    let status = zone.network.sh(
        None,
        "for process in /proc/[0-9]*; do
           if [ \"$(cat $process/comm)\" = zw ]; then grep VmRSS: $process/status; fi
         done",
    );
    let kilobytes = status.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    kilobytes.unwrap_or_else(|| panic!("no memory in {status:?}"))
}

fn metric(zone: &Zone, name: &str) -> f64 {
    let metrics = zone.metrics();
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Nothing broke, nothing grew, and a machine that asks is answered.
fn assert_unharmed(zone: &Zone) {
    assert_eq!(metric(zone, "zonewright_panics_total"), 0.0, "{}", zone.log());
    let (memory, said) = (memory(zone), zone.log());
    assert!(memory < MEMORY_MAX, "{memory} kB");
    assert!(said.len() < LOG_MAX, "{} octets of log:\n{}", said.len(), &said[..2000]);
    let told = renew(zone, "0");
    assert_eq!((told["asked"].as_u64(), told["served"].as_u64()), (Some(12), Some(12)), "{said}");
}

fn renew(zone: &Zone, seconds: &str) -> Value {
    let machines = MACHINES.to_string();
    script(zone, "leaf", &["renew", &zone.facts.controller, &zone.facts.router, &machines, seconds])
}

#[test]
fn a01_a02_a_flood_from_one_port_leaves_known_machines_served() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    // An attacker has a processor of its own; here it gets what the server and the machines leave.
    let flood = ["nice", "-n", "19", "python3", "/run/abuse.py", "flood"];
    let words = [&flood[..], &[&zone.facts.controller, &zone.facts.leaf, "8"]].concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut floods = [zone.network.start("leaf", &words), zone.network.start("leaf", &words)];
    until("the flood to arrive", || {
        (metric(&zone, "zonewright_requests_total{protocol=\"dhcp\"}") > 1000.0).then_some(())
    });
    let told = renew(&zone, "5");
    let (asked, served) =
        (told["asked"].as_u64().expect("a count"), told["served"].as_u64().expect("a count"));
    assert!(asked >= 100, "{told}");
    assert!(served * 1000 >= asked * 999, "{told}\n{}", zone.get("/v1/refusals"));
    for flood in &mut floods {
        assert_eq!(flood.wait(), 0, "{}", flood.said());
    }
    // Not one of the invented ones became the machine there, and few of them a write.
    let stored = metric(&zone, "zonewright_events_stored_total");
    assert!(stored < 2000.0, "{stored} events of a flood were stored");
    assert_unharmed(&zone);
}

#[test]
fn a03_nobody_gives_back_or_declines_for_another() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    let victim = zone.facts.address_of("u01");
    let told = script(&zone, "leaf", &["give_back", &zone.facts.controller, &zone.facts.router, &victim]);
    assert_eq!(told["replies"], 0);
    let machine = zone.get("/v1/machines/p01/r1/u01").to_string();
    assert!(!machine.contains("in use by somebody else"), "{machine}");
    assert_unharmed(&zone);
}

#[test]
fn a04_a07_a_machine_that_poses_as_a_relay_gets_nothing() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    let address = zone.plug_machine("u02");
    zone.settle("u02", &address);
    let told = script(&zone, "u02", &["pose", &zone.facts.controller, &zone.facts.router]);
    assert_eq!(told["replies"], 0);
    until("its packets to be refused", || {
        let refused =
            metric(&zone, "zonewright_refusals_total{protocol=\"dhcp\",reason=\"untrusted-relay\"}");
        (refused >= 3.0).then_some(())
    });
    until("the loop to be seen", || {
        let refused = metric(&zone, "zonewright_refusals_total{protocol=\"dhcp\",reason=\"relay-loop\"}");
        (refused >= 1.0).then_some(())
    });
    assert_unharmed(&zone);
}

#[test]
fn a07_a09_a_stranger_gets_back_little_more_than_it_sent() {
    let Some(zone) = zone() else { return };
    zone.add_neighbour("stranger", "198.51.100.7");
    zone.network.write("/run/abuse.py", include_str!("abuse.py"));
    let told = script(&zone, "stranger", &["reflect", &zone.facts.controller, "judged.example.net"]);
    for (port, exchanges) in told.as_object().expect("ports") {
        for exchange in exchanges.as_array().expect("exchanges") {
            let (sent, came) = (exchange[0].as_u64().expect("octets"), exchange[1].as_u64().expect("octets"));
            assert!(came <= 3 * sent, "port {port}: {came} octets for {sent}");
            assert!(port == "53" || came == 0, "port {port} answers a stranger");
        }
    }
}

#[test]
fn a11_bombs_of_options_harm_nobody() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    script(&zone, "leaf", &["bombs", &zone.facts.controller, &zone.facts.router]);
    assert_unharmed(&zone);
}

#[test]
fn a08_a12_what_attackers_write_does_not_fill_the_log_nor_reach_a_terminal() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    script(&zone, "leaf", &["babble", &zone.facts.controller, "20000"]);
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("port") && !refusals.contains('\u{1b}'), "{refusals}");
    assert!(!zone.log().contains('\u{1b}'));
    assert_unharmed(&zone);
}

#[test]
fn a16_octets_to_every_port_of_management_are_no_command() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    let before = zone.get("/v1/status")["generation"].clone();
    // Said to TLS, HTTP and DNS: some of it is answered, with an error.
    let told = script(&zone, "server", &["manage", &zone.facts.controller]);
    assert!(told["heard"].as_u64() >= Some(20), "{told}");
    assert_eq!(zone.get("/v1/status")["generation"], before);
    assert_unharmed(&zone);
}

/// Tools that others wrote for this, each for some seconds at the port of `u01`, behind a relay that we did not write.
#[test]
fn a01_starvation_tools_starve_nobody() {
    if !have(&["dhcrelay", "udhcpc", "dhcpig", "dhcpstarv", "yersinia"]) {
        return;
    }
    let Some(mut zone) = zone() else { return };
    settle(&zone);
    let attacker = zone.facts.address_of("u01");
    zone.plug_machine("u01");
    zone.plug_machine("u02");
    let gateway = zone.facts.gateway.clone();
    zone.network.sh(Some("leaf"), &format!("ip address add {gateway}/32 dev uplink"));
    zone.network.sh(Some("leaf"), &format!("ip address del {}/32 dev uplink", zone.facts.router));
    zone.relay(&[]);
    let requests = |zone: &Zone| metric(zone, "zonewright_requests_total{protocol=\"dhcp\"}");
    // Debian's dhcpig was written for an older scapy than the one beside it.
    let mended =
        "sed -e 's,chr(\\([0-9]*\\)),\\1,g' -e 's,0xFFFFFF,0xFFFF,g' $(command -v dhcpig) >/run/dhcpig.py";
    zone.network.sh(None, mended);
    // As much of it as a switch lets through to its own processor: what a relay drops, no server can answer.
    zone.network.sh(Some("u01"), "tc qdisc add dev eth0 root tbf rate 4mbit burst 32kbit latency 20ms");
    for tool in [
        &["timeout", "6", "/usr/bin/python3", "/run/dhcpig.py", "-x", "0.1", "eth0"][..],
        &["timeout", "6", "dhcpstarv", "-i", "eth0"],
        // It ends when its standard input does.
        &["sh", "-c", "cd /run; sleep 6 | timeout 6 yersinia dhcp -attack 1 -interface eth0"],
    ] {
        let before = requests(&zone);
        let mut running = zone.network.start("u01", tool);
        until(&format!("{} to be heard, which says\n{}", tool[2], running.said()), || {
            (requests(&zone) >= before + 3.0).then_some(())
        });
        let client = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "5", "-T", "1", "-s", "/bin/true"];
        let told = zone.network.run(Some("u02"), &client);
        let its = zone.facts.address_of("u02");
        assert!(
            format!("{}{}", told.out, told.err).contains(&format!("lease of {its}")),
            "{}: {told}",
            tool[2]
        );
        running.wait();
    }
    let machine = zone.get("/v1/machines/p01/r1/u01").to_string();
    assert!(machine.contains(&attacker), "{machine}");
    assert_eq!(metric(&zone, "zonewright_panics_total"), 0.0, "{}", zone.log());
    assert!(memory(&zone) < MEMORY_MAX && zone.log().len() < LOG_MAX);
}
