//! `perfdhcp`, the load generator of Kea, as a judge: everything that it asks is answered, at a rate far below what
//! would measure anything. Benches measure; this tells that a strict client that we did not write counts no drop.

use crate::network::{Ended, have};
use crate::served::Zone;

/// Octets as `perfdhcp -o` wants them.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Option 82 with a circuit-id and, perhaps, a remote-id.
fn option_82(circuit_id: &str, remote_id: Option<&str>) -> String {
    let part =
        |code: u8, text: &str| [&[code, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let remote_id = remote_id.map(|text| part(2, text)).unwrap_or_default();
    format!("82,{}", hex(&[part(1, circuit_id), remote_id].concat()))
}

/// Acts as a relay at the leaf's router address, for one machine behind `swp1`.
fn perfdhcp(zone: &Zone, option: &str, more: &[&str]) -> Ended {
    // Without `-L 67` perfdhcp listens where no server answers a relay, and counts every reply as a drop.
    let words = [
        "perfdhcp",
        "-4",
        "-l",
        &zone.facts.router,
        "-L",
        "67",
        "-r",
        "200",
        "-R",
        "1",
        "-p",
        "3",
        "-W",
        "1",
        "-o",
        option,
    ];
    zone.network.run(Some("leaf"), &[&words, more, &[&zone.facts.controller]].concat())
}

/// A served zone with one machine, whose switches write this circuit-id and whatever else stands there.
fn zone(identity: &str) -> Option<Zone> {
    if !have(&["perfdhcp"]) {
        return None;
    }
    let written = "circuit_id = \"{port}\"";
    let mut zone = Zone::drawn_with(|text| {
        assert!(text.contains(written), "the design has changed");
        text.replace(written, identity)
    })?;
    zone.serve();
    // perfdhcp sends by the interface that has its address, whatever the routes say.
    let router = zone.facts.router.clone();
    zone.network.sh(Some("leaf"), &format!("ip address add {router}/32 dev uplink"));
    Some(zone)
}

/// Asserts that both exchanges (DISCOVER-OFFER, REQUEST-ACK) were made and none was dropped.
fn assert_no_drop(zone: &Zone, told: &Ended) {
    let figures = |label: &str| -> Vec<u64> {
        let lines =
            told.out.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name == label);
        lines.filter_map(|(_, figure)| figure.split_whitespace().next()?.parse().ok()).collect()
    };
    let (sent, dropped) = (figures("sent packets"), figures("drops"));
    assert!(sent.len() >= 2 && sent.iter().all(|sent| *sent > 300), "{told}\n{}", zone.get("/v1/refusals"));
    assert!(dropped.iter().all(|dropped| *dropped == 0), "{told}\n{}", zone.get("/v1/refusals"));
    assert!(told.is_fine(), "{told}");
}

#[test]
fn perfdhcp_counts_no_drop_behind_a_relay_known_by_its_address() {
    let Some(zone) = zone("circuit_id = \"{port}\"") else { return };
    assert_no_drop(&zone, &perfdhcp(&zone, &option_82("swp1", None), &[]));
}

#[test]
fn perfdhcp_counts_no_drop_behind_a_relay_known_by_its_remote_id() {
    let Some(zone) = zone("circuit_id = \"{port}\"\nremote_id = \"{name}\"") else { return };
    let option = option_82("swp1", Some("p01-r1-leaf-a"));
    assert_no_drop(&zone, &perfdhcp(&zone, &option, &[]));
    // A port of the same relay that is not drawn, and a relay that is not.
    for option in [option_82("swp20", Some("p01-r1-leaf-a")), option_82("swp1", Some("p09-r9-leaf-z"))] {
        let told = perfdhcp(&zone, &option, &["-i"]);
        assert!(!told.is_fine() && told.out.contains("received packets: 0"), "{told}");
    }
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("swp20") && refusals.contains("p09-r9-leaf-z"), "{refusals}");
}

#[test]
fn perfdhcp_renews_without_a_drop() {
    let Some(zone) = zone("circuit_id = \"{port}\"") else { return };
    // Renewals come from the address itself, so `-f` cannot be judged from the relay's: they are refused, all of them.
    let told = perfdhcp(&zone, &option_82("swp1", None), &["-f", "20"]);
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(told.out.contains("REQUEST-ACK"), "{told}\n{refusals}");
}
