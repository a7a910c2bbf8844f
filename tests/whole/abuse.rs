//! The abuse list (docs/internals/abuse.md) from outside: floods, forgeries and tools that were written to bring DHCP
//! servers down, against `zw serve`, while machines of the zone go on asking.

use crate::network::{have, until};
use crate::served::{LOADERS, ZW, Zone};
use serde_json::Value;

/// The machines of the rack.
const MACHINES: u8 = 12;
/// What the server may take, in kilobytes, whatever is sent to it.
const MEMORY_MAX: u64 = 200 << 10;
/// What it may say, in octets, whatever is sent to it.
const LOG_MAX: usize = 64 << 10;
/// Octets of a file that counts as an image.
const LARGE: u32 = 16 << 20;

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

/// A real agent on a machine with a second cable, behind which somebody else serves DHCP.
#[test]
fn a06_a_dhcp_server_that_is_not_ours_is_heard_by_an_agent_and_told() {
    if !have(&["dhcrelay", "udhcpc", "curl", "dnsmasq"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn_with(|text| {
        let two = text.replacen("u{01..12}", "u{01..02}", 1);
        two.replacen("lease       = \"1h\"", "lease = \"1h\"\n  dhcp_probe = \"10s\"", 1)
    }) else {
        return;
    };
    zone.serve();
    zone.plug_machine("u01");
    zone.relay(&[]);
    let (controller, pin) = zone.boot("u01");

    zone.network.add_place("other");
    zone.network.add_cable(("u01", "eth1"), ("other", "eth0"));
    zone.network.sh(Some("other"), "ip address add 10.9.9.9/24 dev eth0");
    let serves = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0"];
    let range = ["--no-ping", "--dhcp-range=10.9.9.50,10.9.9.99", "--dhcp-leasefile=/run/other.leases"];
    let _other = zone.network.start("other", &[&serves[..], &range].concat());
    let answers = "zonewright_answers_total{protocol=\"dhcp\"}";
    let before = metric(&zone, answers);
    let words = ["agent", "--controller", &controller, "--ca-pin", &pin, "--location", "judged/p01/r1/u01"];
    let mut agent = zone.network.start("u01", &[&[ZW][..], &words, &["--state", "/run/agent"]].concat());
    agent.wait_for("connected to");

    until(&format!("the server to be told, which {} hears", agent.said()), || {
        let told = zone.zw(&["status"]).fine();
        told.contains("p01/r1/u01: a DHCP server that is not ours answers at eth1: 10.9.9.9 (").then_some(())
    });
    // Ours answered the same question on the other cable, and is no news; nor did the question begin a boot.
    let why = zone.zw(&["why", "p01/r1/u01"]).fine();
    assert_eq!(why.matches("a DHCP server").count(), 1, "{why}");
    assert!(why.contains(", and offers 10.9.9."), "{why}");
    assert_eq!(metric(&zone, "zonewright_foreign_dhcp_servers"), 1.0);
    assert!(metric(&zone, answers) > before, "ours did not answer");
    let machine = zone.get("/v1/machines/p01/r1/u01");
    let stage = &machine["interfaces"][0]["seen"][0]["stage"];
    assert_eq!((&machine["state"], stage), (&"ready".into(), &"uefi-pxe".into()), "{machine}");
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
fn a07_a_stranger_that_speaks_dhcpv6_gets_back_little_more_than_it_sent() {
    for (says, is_let) in [("", true), ("\n  relays_from = []", false)] {
        if !have(&["python3"]) {
            return;
        }
        let zone = Zone::drawn_with(|text| text.replacen("\n  lease ", &format!("{says}\n  lease "), 1));
        let Some(mut zone) = zone else { return };
        let controller = zone.facts.address6_of("ctl1");
        zone.network.add_place("stranger");
        zone.network.add_cable(("server", "stranger"), ("stranger", "eth0"));
        zone.network.sh(
            Some("server"),
            &format!(
                "ip address add {controller}/128 dev stranger nodad
                 ip -6 route add 2001:db8:99::7 dev stranger src {controller}"
            ),
        );
        zone.network.sh(
            Some("stranger"),
            &format!(
                "ip address add 2001:db8:99::7/128 dev eth0 nodad
                 ip -6 route add {controller} dev eth0 src 2001:db8:99::7"
            ),
        );
        zone.serve();
        zone.network.write("/run/abuse.py", include_str!("abuse.py"));
        let told = script(&zone, "stranger", &["reflect6", &controller, &zone.facts.router6()]);
        let exchanges = told["exchanges"].as_array().expect("exchanges");
        let octets = |exchange: &Value, at: usize| exchange[at].as_u64().expect("octets");
        for exchange in exchanges {
            let (sent, came) = (octets(exchange, 0), octets(exchange, 1));
            assert!(came <= 3 * sent, "{came} octets for {sent}: {told}");
        }
        let is_answered = exchanges.iter().any(|exchange| octets(exchange, 1) > 0);
        assert_eq!(is_answered, is_let, "as a relay on a link of the zone: {told}");
        assert_eq!(metric(&zone, "zonewright_panics_total"), 0.0, "{}", zone.log());
    }
}

#[test]
fn a10_images_starve_neither_dhcp_nor_dns() {
    if !have(&["python3", "curl", "dig"]) {
        return;
    }
    let Some(zone) = zone() else { return };
    let url = format!("http://{}/loader/large.img", zone.facts.controller);
    let words = ["curl", "--silent", "--fail", "--output", "/dev/null", &url];
    zone.network.sh(None, &format!("head -c {LARGE} /dev/zero >{LOADERS}/large.img"));
    until("the image to be listed", || zone.network.run(Some("leaf"), &words).is_fine().then_some(()));
    settle(&zone);
    let address = zone.plug_machine("u12");
    zone.settle("u12", &address);
    let sent = || metric(&zone, "zonewright_answer_bytes_total{protocol=\"http\"}");
    let fetch = format!("while {}; do :; done", words.join(" "));
    // As many as one address may have. Clients have processors of their own; here they get what is left.
    let mut fetching: Vec<_> =
        (0..8).map(|_| zone.network.start("leaf", &["nice", "-n", "19", "sh", "-c", &fetch])).collect();
    until("images to be under way", || (sent() > f64::from(LARGE)).then_some(()));
    let told = renew(&zone, "5");
    let (asked, served) =
        (told["asked"].as_u64().expect("a count"), told["served"].as_u64().expect("a count"));
    assert!(asked >= 100, "{told}");
    assert!(served * 1000 >= asked * 999, "{told}");
    zone.network.write("/run/questions", "judged.example.net SOA\n".repeat(200));
    let at = format!("@{}", zone.facts.controller);
    let words = ["dig", &at, "+tries=1", "+timeout=5", "+short", "-f", "/run/questions"];
    let answers = zone.network.run(Some("u12"), &words).fine();
    assert_eq!(answers.lines().filter(|line| line.contains("judged.example.net")).count(), 200, "{answers}");
    let before = sent();
    until("images to go on", || (sent() > before).then_some(()));
    for fetching in &mut fetching {
        assert_eq!(fetching.ended(), None, "a transfer failed: {}", fetching.said());
    }
    drop(fetching);
    assert_unharmed(&zone);
}

#[test]
fn a10_without_descriptors_boot_files_wait_and_nothing_spins() {
    let Some(zone) = zone() else { return };
    settle(&zone);
    let told = script(&zone, "leaf", &["exhaust", &zone.facts.controller, &zone.facts.router]);
    assert_eq!(told["was_heard"], false, "there were descriptors left: {told}");
    assert_eq!(told["asked"], told["served"], "{told}");
    assert!(told["busy"].as_f64().expect("a part") < 0.25, "{told}");
    let accepted = told["accepted"].as_str().expect("a reply").to_lowercase();
    assert!(accepted.starts_with("http/1.1 503") && accepted.contains("retry-after: "), "{told}");
    assert_eq!(told["heard"], "HTTP/1.1 200 OK", "{told}");
    assert_unharmed(&zone);
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
