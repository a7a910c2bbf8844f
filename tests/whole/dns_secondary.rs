//! A real secondary, BIND's `named`: it is told of a plan, fetches what changed, and has what we have. And ldns as a judge
//! of whole zones, beside `named-checkzone` in `dns`.

use crate::network::{Running, have, until};
use crate::served::{DESIGN, Zone};
use std::collections::BTreeSet;

/// Where `transfer_to` of the design allows zone transfers to, and where NOTIFY goes.
const SECONDARY: &str = "192.0.2.53";
const DOMAIN: &str = "judged.example.net";

fn zones(zone: &Zone) -> Vec<String> {
    let zones = zone.facts.plan["dns"]["zones"].as_array().expect("zones");
    zones.iter().map(|zone| zone.as_str().expect("a name").to_owned()).collect()
}

/// Starts `named` as a secondary of these zones.
fn secondary(zone: &Zone, zones: &[String]) -> Running {
    let controller = &zone.facts.controller;
    let mut text = format!(
        "options {{
           directory \"/run/named\"; pid-file none; session-keyfile none; lock-file none;
           listen-on {{ {SECONDARY}; 127.0.0.1; }}; listen-on-v6 {{ none; }};
           recursion no; dnssec-validation no; notify no;
           allow-query {{ any; }}; allow-transfer {{ any; }};
           max-journal-size unlimited;
         }};
         controls {{ }};\n"
    );
    for name in zones {
        text += &format!(
            "zone \"{name}\" {{ type secondary; primaries {{ {controller}; }}; file \"{name}.db\"; masterfile-format text; }};\n"
        );
    }
    zone.network.write("/run/named/named.conf", text);
    zone.network.start("secondary", &["named", "-g", "-4", "-n", "1", "-c", "/run/named/named.conf"])
}

/// A zone as a server has it: its serial, and its records but the SOA.
fn contents(zone: &Zone, server: &str, name: &str) -> (u32, BTreeSet<String>) {
    let server = format!("@{server}");
    let words = ["dig", "+tries=1", "+time=3", &server, name, "AXFR", "+noall", "+answer", "+onesoa"];
    let text = zone.network.run(Some("secondary"), &words).out;
    let mut serial = 0;
    let mut records = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(';')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[3] == "SOA" {
            serial = words[6].parse().expect("a serial");
        } else {
            records.insert(words.join(" "));
        }
    }
    (serial, records)
}

/// Waits until the secondary has what the server has in every zone; gives the serial.
fn await_equal(zone: &Zone, named: &Running, serial: u32) {
    for name in zones(zone) {
        until(&format!("serial {serial} of {name} at the secondary, which said\n{}", named.said()), || {
            (contents(zone, "127.0.0.1", &name).0 == serial).then_some(())
        });
        let (ours, theirs) =
            (contents(zone, &zone.facts.controller, &name), contents(zone, "127.0.0.1", &name));
        assert!(!ours.1.is_empty());
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn bind_is_told_of_a_plan_and_fetches_what_changed() {
    if !have(&["dig", "named", "named-journalprint"]) {
        return;
    }
    let Some(zone) = Zone::served() else { return };
    zone.add_neighbour("secondary", SECONDARY);
    let named = secondary(&zone, &zones(&zone));
    await_equal(&zone, &named, 1);

    let path = format!("{DESIGN}/zone.hcl");
    let text = zone.network.text(&path);
    for (serial, name) in [(2, "hv-{unit}x"), (3, "hv-{unit}")] {
        let edit =
            format!("{text}\nat \"p01/r1/u03\" {{\n  name = \"{}\"\n}}\n", name.replace("{unit}", "u03"));
        zone.network.write(&path, edit);
        await_equal(&zone, &named, serial);
    }
    let said = named.said();
    assert!(said.contains(&format!("received notify for zone '{DOMAIN}'")), "{said}");
    assert!(!said.contains("failed while receiving responses"), "{said}");

    // The journal has what came by IXFR, and nothing else: A, AAAA, TXT and an SRV of one machine, twice.
    let journal = format!("/run/named/{DOMAIN}.db.jnl");
    let journal = zone.network.run(None, &["named-journalprint", &journal]).fine();
    let of = |what: &str, name: &str| {
        let lines = journal.lines().filter(|line| line.starts_with(what) && !line.contains("SOA"));
        lines.filter(|line| line.contains(name)).count()
    };
    assert_eq!((of("del", "hv-u03."), of("add", "hv-u03x.")), (4, 4), "{journal}");
    assert_eq!((of("del", "hv-u03x."), of("add", "hv-u03.")), (4, 4), "{journal}");
    assert_eq!((of("del", ""), of("add", "")), (8, 8), "{journal}");
    assert!(!zone.log().contains("was told that the zones have changed"), "{}", zone.log());
}

#[test]
fn a_secondary_that_will_not_hear_is_named_once() {
    if !have(&["named"]) {
        return;
    }
    let Some(mut zone) = Zone::drawn() else { return };
    zone.add_neighbour("secondary", SECONDARY);
    let mut named = secondary(&zone, &[]);
    named.wait_for("running");
    zone.serve();
    // Code 9 is NOTAUTH: it has none of the zones.
    let sentence = "name server 192.0.2.53 was told that the zones have changed and answers with code 9";
    until("the sentence about the secondary", || zone.log().contains(sentence).then_some(()));
    until("a refusal of each zone", || {
        let refused = |name: &String| named.said().contains(&format!("received notify for zone '{name}'"));
        zones(&zone).iter().all(refused).then_some(())
    });
    assert_eq!(zone.log().matches(sentence).count(), 1, "{}", zone.log());
}

#[test]
fn ldns_reads_signs_and_verifies_every_zone() {
    if !have(&[
        "dig",
        "ldns-read-zone",
        "ldns-keygen",
        "ldns-signzone",
        "ldns-verify-zone",
        "ldns-compare-zones",
    ]) {
        return;
    }
    let Some(zone) = Zone::served() else { return };
    zone.add_neighbour("secondary", SECONDARY);
    let server = format!("@{}", zone.facts.controller);
    for name in zones(&zone) {
        let words = ["dig", &server, &name, "AXFR", "+noall", "+answer", "+onesoa"];
        let text = zone.network.run(Some("secondary"), &words).fine();
        zone.network.write("/run/ldns/zone.db", &text);
        let run = |words: &[&str]| zone.network.run(None, words).fine();
        let read = run(&["ldns-read-zone", "-c", "/run/ldns/zone.db"]);
        assert_eq!(read.lines().count(), text.lines().filter(|line| !line.is_empty()).count(), "{read}");
        // An unsigned zone has nothing that it verifies. Signed, every set, name and gap between names is looked at.
        let script = format!(
            "cd /run/ldns && rm -f K* && key=$(ldns-keygen -a ECDSAP256SHA256 -r /dev/urandom {name}) &&
             ldns-signzone -f signed.db zone.db $key"
        );
        zone.network.sh(None, &script);
        let judged = zone.network.run(None, &["ldns-verify-zone", "-V", "3", "/run/ldns/signed.db"]);
        assert!(judged.is_fine() && judged.out.contains("Zone is verified and complete"), "{judged}");
    }
}
