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
    // Without `-L 67` perfdhcp listens where no server answers a relay, and counts every reply as a drop. `-W` is in
    // microseconds: what is still on its way at the end counts as a drop unless there is time for it.
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
        "500000",
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

/// Asserts that nothing was dropped in any of the exchanges, each of which was made so often at least.
fn assert_no_drop(zone: &Zone, told: &Ended, exchanges: &[(&str, u64)]) {
    for (exchange, at_least) in exchanges {
        let (_, part) = told.out.split_once(&format!("Statistics for: {exchange}***")).unwrap_or_default();
        let figure = |label: &str| -> Option<u64> {
            let line = part.lines().find_map(|line| line.strip_prefix(label))?;
            line.trim_start_matches(": ").parse().ok()
        };
        let refusals = zone.get("/v1/refusals");
        assert!(figure("sent packets") >= Some(*at_least), "{exchange}: {told}\n{refusals}");
        assert_eq!(figure("drops"), Some(0), "{exchange}: {told}\n{refusals}");
        assert_eq!(figure("rejected leases"), Some(0), "{exchange}: {told}\n{refusals}");
    }
    assert!(told.is_fine(), "{told}");
}

#[test]
fn perfdhcp_counts_no_drop_behind_a_relay_known_by_its_address() {
    let Some(zone) = zone("circuit_id = \"{port}\"") else { return };
    // One request in ten is followed by a renewal.
    let told = perfdhcp(&zone, &option_82("swp1", None), &["-f", "20"]);
    assert_no_drop(
        &zone,
        &told,
        &[("DISCOVER-OFFER", 300), ("REQUEST-ACK", 300), ("REQUEST-ACK (renewal)", 20)],
    );
}

#[test]
fn perfdhcp_counts_no_drop_behind_a_relay_known_by_its_remote_id() {
    let Some(zone) = zone("circuit_id = \"{port}\"\nremote_id = \"{name}\"") else { return };
    let option = option_82("swp1", Some("p01-r1-leaf-a"));
    assert_no_drop(&zone, &perfdhcp(&zone, &option, &[]), &[("DISCOVER-OFFER", 300), ("REQUEST-ACK", 300)]);
    // A port of the same relay that is not drawn, and a relay that is not.
    for option in [option_82("swp20", Some("p01-r1-leaf-a")), option_82("swp1", Some("p09-r9-leaf-z"))] {
        let told = perfdhcp(&zone, &option, &["-i"]);
        assert!(!told.is_fine() && told.out.contains("received packets: 0"), "{told}");
    }
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("swp20") && refusals.contains("p09-r9-leaf-z"), "{refusals}");
}
