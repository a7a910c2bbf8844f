//! DNS as `dig`, `named-checkzone`, `drill` and `dnsperf` see it.

use crate::network::{Ended, have};
use crate::served::Zone;
use serde_json::Value;

/// Where `transfer_to` of the design allows zone transfers to.
const SECONDARY: &str = "192.0.2.53";
const DOMAIN: &str = "judged.example.net";

/// A zone with a secondary (`secondary`) that may have everything, and a machine (`u01`).
fn zone(programs: &[&str]) -> Option<Zone> {
    if !have(programs) {
        return None;
    }
    let zone = Zone::served()?;
    zone.add_neighbour("secondary", SECONDARY);
    let address = zone.plug_machine("u01");
    zone.settle("u01", &address);
    Some(zone)
}

fn dig(zone: &Zone, place: &str, words: &[&str]) -> Ended {
    let server = format!("@{}", zone.facts.controller);
    zone.network.run(Some(place), &[&["dig", "+tries=1", "+time=3", &server], words].concat())
}

/// The records of a text in a zone file's form as `name type data`, sorted. Time to live and class are left out.
fn records(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(';'));
    let mut records: Vec<String> = lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, _, _, kind, data @ ..] = words.as_slice() else { panic!("no record: {line}") };
            // Dots end the names of zone files; the serial is the plan's number, which only serving gives it.
            let data: Vec<&str> = data.iter().map(|word| word.trim_end_matches('.')).collect();
            let data = if *kind == "SOA" { data[..2].join(" ") } else { data.join(" ") };
            format!("{} {kind} {}", name.trim_end_matches('.'), data.replace('"', ""))
        })
        .collect();
    records.sort();
    records
}

/// The records of the plan in the same form, of those that `which` picks.
fn planned(zone: &Zone, which: impl Fn(&Value) -> bool) -> Vec<String> {
    let rows = zone.facts.plan["dns"]["records"].as_array().expect("records");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut records: Vec<String> = rows
        .iter()
        .filter(|row| which(row))
        .map(|row| {
            let (kind, data) = (text(&row["type"]), text(&row["data"]));
            let data =
                if kind == "SOA" { data.split(' ').take(2).collect::<Vec<_>>().join(" ") } else { data };
            format!("{} {kind} {data}", text(&row["name"]))
        })
        .collect();
    records.sort();
    records
}

#[test]
fn dig_gets_every_record_of_the_plan_over_udp_and_tcp() {
    let Some(zone) = zone(&["dig"]) else { return };
    let rows = zone.facts.plan["dns"]["records"].as_array().expect("records");
    let mut questions: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {}\n", row["name"].as_str().expect("a name"), row["type"].as_str().expect("a type"))
        })
        .collect();
    questions.sort();
    questions.dedup();
    zone.network.write("/run/questions", questions.concat());
    let wanted = planned(&zone, |_| true);
    assert!(wanted.len() > 20, "{wanted:?}");
    for how in [
        &["+notcp"][..],
        &["+tcp"],
        &["+tcp", "+keepopen"],
        &["+noedns"],
        &["+bufsize=512"],
        &["+nocookie", "+bufsize=4096"],
    ] {
        let words = [how, &["+noall", "+answer", "-f", "/run/questions"]].concat();
        assert_eq!(records(&dig(&zone, "secondary", &words).fine()), wanted, "{how:?}");
    }
}

#[test]
fn dig_is_told_what_there_is_not() {
    let Some(zone) = zone(&["dig"]) else { return };
    let host = format!("hv-u01.{DOMAIN}");
    let nowhere = format!("hv-u99.{DOMAIN}");
    let cases: &[(&[&str], &[&str])] = &[
        (&[&nowhere, "A"], &["status: NXDOMAIN", "ANSWER: 0", "AUTHORITY: 1", "IN\tSOA", " aa"]),
        (&[&host, "MX"], &["status: NOERROR", "ANSWER: 0", "AUTHORITY: 1", "IN\tSOA", " aa"]),
        (&["99.0.77.10.in-addr.arpa", "PTR"], &["status: NXDOMAIN", "IN\tSOA"]),
        (&[DOMAIN, "SOA"], &["status: NOERROR", "hostmaster.judged.example.net."]),
        (&[DOMAIN, "NS"], &["ctl1.judged.example.net.", "ADDITIONAL: "]),
        (
            &["_ssh._tcp.hypervisor.judged.example.net", "SRV"],
            &["ANSWER: 12", "0 0 22 hv-u01.judged.example.net."],
        ),
        (&["HV-U01.Judged.Example.Net", "A"], &["status: NOERROR", "ANSWER: 1"]),
        // RFC 8482: one set of what is asked for with ANY.
        (&[&host, "ANY", "+notcp"], &["status: NOERROR", "ANSWER: 1"]),
        (&["example.org", "A"], &["status: REFUSED", "ANSWER: 0"]),
        (&[DOMAIN, "CH", "TXT"], &["status: REFUSED"]),
        (&["+edns=1", "+noednsneg", &host], &["status: BADVERS"]),
        (&["+opcode=status", &host], &["status: NOTIMP"]),
        (&["+opcode=update", DOMAIN, "SOA"], &["status: NOTIMP"]),
        // An option that nobody knows is no reason for anything else.
        (&["+ednsopt=65001:beef", &host], &["status: NOERROR", "ANSWER: 1"]),
        (&["+dnssec", &host], &["status: NOERROR", "ANSWER: 1", "flags: do"]),
        // No recursion is offered.
        (&["+rec", &host], &["status: NOERROR", "recursion requested but not available"]),
    ];
    for (words, expected) in cases {
        let told = dig(&zone, "secondary", words).fine();
        for text in *expected {
            assert!(told.contains(text), "dig {} should say {text:?}:\n{told}", words.join(" "));
        }
    }
}

#[test]
fn machines_see_the_networks_of_their_view() {
    let Some(zone) = zone(&["dig"]) else { return };
    let leaf = format!("p01-r1-leaf-a.{DOMAIN}");
    let host = format!("hv-u01.{DOMAIN}");
    for (place, sees_leaf) in [("secondary", true), ("u01", false)] {
        assert_eq!(dig(&zone, place, &["+short", &host]).fine().trim(), zone.facts.address_of("u01"));
        let told = dig(&zone, place, &["+short", &leaf]).fine();
        assert_eq!(told.trim() == zone.facts.leaf, sees_leaf, "{place}: {told}");
        let name = dig(&zone, place, &["+short", "-x", &zone.facts.leaf]).fine();
        assert_eq!(name.trim() == format!("{leaf}."), sees_leaf, "{place}: {name}");
    }
}

#[test]
fn a_secondary_gets_every_zone_whole_and_bind_accepts_it() {
    let Some(zone) = zone(&["dig", "named-checkzone"]) else { return };
    let zones = zone.facts.plan["dns"]["zones"].as_array().expect("zones").clone();
    assert!(zones.len() >= 3, "forward, and reverse for both families: {zones:?}");
    let mut all = Vec::new();
    for name in &zones {
        let name = name.as_str().expect("a name");
        let text = dig(&zone, "secondary", &[name, "AXFR", "+noall", "+answer", "+onesoa"]).fine();
        zone.network.write("/run/zone.db", &text);
        let judged = zone.network.run(None, &["named-checkzone", "-i", "local", name, "/run/zone.db"]);
        assert!(judged.is_fine() && judged.out.trim_end().ends_with("OK"), "{judged}\n{text}");
        assert!(!judged.out.contains("warning") && !judged.err.contains("warning"), "{judged}");
        all.extend(records(&text));

        // IXFR may be answered with everything, too.
        let text = dig(&zone, "secondary", &[name, "IXFR=0", "+noall", "+answer", "+onesoa"]).fine();
        assert!(text.contains("SOA"), "{text}");
    }
    all.sort();
    assert_eq!(all, planned(&zone, |_| true));
}

#[test]
fn nobody_else_gets_a_zone() {
    let Some(zone) = zone(&["dig"]) else { return };
    zone.add_neighbour("stranger", "198.51.100.7");
    for place in ["u01", "stranger"] {
        let told = dig(&zone, place, &[DOMAIN, "AXFR"]);
        assert!(told.out.contains("Transfer failed"), "{place}: {told}");
        assert!(!told.out.contains("hv-u01"), "{place}: {told}");
    }
    let told = dig(&zone, "secondary", &["hv-u01.judged.example.net", "AXFR"]);
    assert!(told.out.contains("Transfer failed"), "{told}");
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("not-allowed"), "{refusals}");
}

#[test]
fn a_stranger_is_truncated_and_comes_again_over_tcp() {
    let Some(zone) = zone(&["dig"]) else { return };
    zone.add_neighbour("stranger", "198.51.100.7");
    let service = "_ssh._tcp.hypervisor.judged.example.net";
    let told = dig(&zone, "stranger", &["+ignore", service, "SRV"]).fine();
    assert!(told.contains(" tc") && told.contains("ANSWER: 0"), "{told}");
    let told = dig(&zone, "stranger", &[service, "SRV"]).fine();
    assert!(told.contains("Truncated, retrying in TCP mode") && told.contains("ANSWER: 12"), "{told}");
    // Whom we know gets it at once.
    let told = dig(&zone, "secondary", &["+ignore", service, "SRV"]).fine();
    assert!(!told.contains(" tc") && told.contains("ANSWER: 12"), "{told}");
}

#[test]
fn drill_of_ldns_traces_nothing_strange() {
    let Some(zone) = zone(&["drill"]) else { return };
    let server = format!("@{}", zone.facts.controller);
    for (words, expected) in [
        (&["hv-u02.judged.example.net", "A"][..], zone.facts.address_of("u02")),
        (&["-t", "hv-u02.judged.example.net", "AAAA"], "2001:db8:77:".to_owned()),
        (&["-x", &zone.facts.address_of("u02")], "hv-u02.judged.example.net.".to_owned()),
        (&["-b", "4096", "hv-u02.judged.example.net", "TXT"], "location=judged/p01/r1/u02".to_owned()),
    ] {
        let told = zone.network.run(Some("secondary"), &[&["drill", &server], words].concat()).fine();
        assert!(told.contains(&expected), "drill {words:?} should say {expected}:\n{told}");
    }
}

#[test]
fn dnsperf_loses_nothing_at_a_low_rate() {
    let Some(zone) = zone(&["dnsperf"]) else { return };
    zone.network.write(
        "/run/questions",
        "hv-u01.judged.example.net A\nhv-u02.judged.example.net AAAA\nhv-u77.judged.example.net A\n\
         _ssh._tcp.hypervisor.judged.example.net SRV\nhv-u03.judged.example.net TXT\n",
    );
    let server = zone.facts.controller.as_str();
    for mode in ["udp", "tcp"] {
        let words = [
            "dnsperf",
            "-m",
            mode,
            "-s",
            server,
            "-d",
            "/run/questions",
            "-l",
            "2",
            "-Q",
            "1000",
            "-c",
            "2",
            "-e",
        ];
        let told = zone.network.run(Some("secondary"), &words).fine();
        let line = |start: &str| told.lines().find(|line| line.trim().starts_with(start)).unwrap_or_default();
        assert!(line("Queries lost:").contains(" 0 "), "{mode}:\n{told}");
        let codes = line("Response codes:");
        assert!(codes.contains("NOERROR") && codes.contains("NXDOMAIN"), "{mode}:\n{told}");
        assert!(!codes.contains("SERVFAIL") && !codes.contains("REFUSED"), "{mode}:\n{told}");
    }
}
