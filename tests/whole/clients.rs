//! DHCP clients and a relay that we did not write, against `zw serve`: each gets the address of the port it is
//! plugged in, and nothing else.

use crate::network::{have, skip};
use crate::served::Zone;

/// What udhcpc runs. Debian's own script wants `resolvconf`.
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
case $1 in
  deconfig) ip -4 address flush dev "$interface" ;;
  bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    ip route replace default via "$router" ;;
  nak) echo "told: $message" ;;
esac
"#;

/// A zone with the relay's ports plugged, or `None` if a program is missing.
fn zone(programs: &[&str], machines: &[&str]) -> Option<Zone> {
    let programs = [&["dhcrelay"], programs].concat();
    if !have(&programs) {
        return None;
    }
    let mut zone = Zone::served()?;
    for machine in machines {
        zone.plug_machine(machine);
    }
    zone.network.write("/run/udhcpc.sh", UDHCPC_SCRIPT);
    zone.network.sh(None, "chmod +x /run/udhcpc.sh");
    zone.relay(&[]);
    Some(zone)
}

/// Asks once and ends; the status is 0 if there was a lease.
const UDHCPC: [&str; 12] =
    ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-t", "4", "-T", "1", "-s", "/run/udhcpc.sh"];

#[test]
fn udhcpc_gets_renews_and_gives_back_the_address_of_its_port() {
    let Some(zone) = zone(&["udhcpc"], &["u01", "u02"]) else { return };
    let address = zone.facts.address_of("u02");
    let obtained = format!("lease of {address} obtained from {}", zone.facts.controller);
    let mut client =
        zone.network.start("u02", &["udhcpc", "-f", "-i", "eth0", "-T", "1", "-R", "-s", "/run/udhcpc.sh"]);
    client.wait_for(&obtained);
    zone.assert_address("u02", &address);

    // The second time it asks by unicast, past the relay and so without Option 82.
    client.signal("USR1");
    client.wait_for_times(&obtained, 2);
    zone.assert_address("u02", &address);

    client.signal("USR2");
    client.wait_for("entering released state");
    zone.assert_no_address("u02");
    // Nothing was held, so nothing is lost: the same address again.
    client.signal("USR1");
    client.wait_for_times(&obtained, 3);
    zone.assert_address("u02", &address);
    let refusals = zone.get("/v1/refusals");
    assert_eq!(refusals["recent"].as_array().map(Vec::len), Some(0), "{refusals}");
}

#[test]
fn dhclient_gets_and_renews_the_address_of_its_port() {
    let Some(zone) = zone(&["dhclient"], &["u01", "u03"]) else { return };
    let address = zone.facts.address_of("u03");
    zone.network.write("/run/dhclient.conf", DHCLIENT_CONF);
    let mut client = zone.network.start("u03", &DHCLIENT);
    client.wait_for(&format!("bound to {address}"));
    zone.assert_address("u03", &address);
    let resolvers = zone.network.text("/etc/resolv.conf");
    assert!(resolvers.contains(&format!("nameserver {}", zone.facts.controller)), "{resolvers}");
    assert!(resolvers.contains("judged.example.net"), "{resolvers}");

    // Started again, it asks for the address that it remembers (INIT-REBOOT).
    client.signal("TERM");
    client.wait();
    zone.network.sh(Some("u03"), "ip address flush dev eth0");
    let mut again = zone.network.start("u03", &DHCLIENT);
    again.wait_for(&format!("bound to {address}"));
    assert!(!again.said().contains("DHCPDISCOVER"), "it need not begin anew:\n{}", again.said());
    zone.assert_address("u03", &address);

    let released = zone.network.run(
        Some("u03"),
        &[
            "dhclient",
            "-4",
            "-r",
            "-v",
            "-cf",
            "/run/dhclient.conf",
            "-lf",
            LEASES,
            "-pf",
            "/run/dhclient.pid",
            "eth0",
        ],
    );
    assert!(released.err.contains("DHCPRELEASE"), "{released}");
    zone.assert_no_address("u03");
}

#[test]
fn the_agent_takes_its_address_by_itself_where_there_is_no_system() {
    let Some(zone) = zone(&[], &["u01", "u02"]) else { return };
    let address = zone.facts.address_of("u02");
    let controller = format!("https://{}:8443", zone.facts.controller);
    let pin = format!("sha256:{}", "00".repeat(32));
    let mut agent = zone.network.start(
        "u02",
        &[
            env!("CARGO_BIN_EXE_zw"),
            "agent",
            "--ramdisk",
            "--controller",
            &controller,
            "--ca-pin",
            &pin,
            "--location",
            "judged/p01/r1/u02",
            "--state",
            "/run/agent",
        ],
    );
    agent.wait_for(&format!("put {address}/"));
    agent.wait_for("route by way of");
    // It got as far as its controller, which is not the one that it was told to believe.
    agent.wait_for(&format!("https://{}:8443", zone.facts.controller));
    zone.assert_address("u02", &address);
    let refusals = zone.get("/v1/refusals");
    assert_eq!(refusals["recent"].as_array().map(Vec::len), Some(0), "{refusals}");
}

const LEASES: &str = "/run/dhclient.leases";

const DHCLIENT: [&str; 11] = [
    "dhclient",
    "-4",
    "-d",
    "-v",
    "-cf",
    "/run/dhclient.conf",
    "-lf",
    LEASES,
    "-pf",
    "/run/dhclient.pid",
    "eth0",
];

const DHCLIENT_CONF: &str = "
timeout 10;
retry 1;
reboot 4;
initial-interval 1;
backoff-cutoff 2;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, ntp-servers,
  interface-mtu, host-name;
";

#[test]
fn a_client_that_remembers_anothers_address_is_told_no_and_recovers() {
    let Some(zone) = zone(&["dhclient"], &["u01", "u02"]) else { return };
    let (mine, other) = (zone.facts.address_of("u01"), zone.facts.address_of("u02"));
    zone.network.write("/run/dhclient.conf", DHCLIENT_CONF);
    zone.network.write(
        LEASES,
        format!(
            "lease {{\n  interface \"eth0\";\n  fixed-address {other};\n  option subnet-mask 255.255.255.0;\n  \
             option dhcp-server-identifier {};\n  renew 4 2037/01/01 00:00:00;\n  \
             rebind 4 2037/01/01 00:00:00;\n  expire 4 2037/01/01 00:00:00;\n}}\n",
            zone.facts.controller
        ),
    );
    let mut client = zone.network.start("u01", &DHCLIENT);
    client.wait_for(&format!("bound to {mine}"));
    let said = client.said();
    assert!(said.contains(&format!("DHCPREQUEST for {other}")), "{said}");
    assert!(said.contains("DHCPNAK"), "{said}");
    zone.assert_address("u01", &mine);
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("wrong-address") && refusals.contains("swp1"), "{refusals}");
}

#[test]
fn dhcpcd_gets_and_renews_the_address_of_its_port() {
    let Some(zone) = zone(&["dhcpcd"], &["u01", "u04"]) else { return };
    if !zone.network.has_users() {
        return skip("dhcpcd gives up root for a user of its own, and this namespace has only root");
    }
    let address = zone.facts.address_of("u04");
    // Without `noarp` it would listen five seconds for another holder of the address.
    zone.network.write("/run/dhcpcd.conf", "noarp\nnoipv6\noption routers, domain_name_servers, host_name\n");
    let mut client = zone
        .network
        .start("u04", &["dhcpcd", "--config", "/run/dhcpcd.conf", "--nobackground", "-4", "--debug", "eth0"]);
    client.wait_for(&format!("leased {address}"));
    // Its last step; a signal before that may be lost on it.
    client.wait_for("spawned listener");
    zone.assert_address("u04", &address);

    zone.network.run(Some("u04"), &["dhcpcd", "-4", "--rebind", "eth0"]).fine();
    client.wait_for("dhcpcd-run-hooks RENEW");
    zone.assert_address("u04", &address);

    zone.network.run(Some("u04"), &["dhcpcd", "-4", "--release", "eth0"]);
    client.wait_for("sending RELEASE");
    zone.assert_no_address("u04");
}

#[test]
fn networkd_gets_the_address_of_its_port() {
    let Some(zone) = zone(&["systemd-networkd"], &["u01", "u02"]) else { return };
    if !zone.network.has_users() {
        return skip(
            "systemd-networkd gives up root for a user of its own, and this namespace has only root",
        );
    }
    let address = zone.facts.address_of("u01");
    zone.network.write(
        "/run/systemd/network/eth0.network",
        "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n\
         [DHCPv4]\nSendRelease=yes\nUseHostname=no\n",
    );
    // It waits for udev to have named the interface, unless /sys is read-only as in a container.
    let script = "mount -t sysfs -o ro sysfs /sys && exec systemd-networkd";
    let mut client = zone
        .network
        .start("u01", &["env", "SYSTEMD_LOG_LEVEL=debug", "unshare", "--mount", "sh", "-c", script]);
    client.wait_for(&format!("DHCPv4 address {address}"));
    zone.assert_address("u01", &address);
    client.signal("TERM");
    client.wait();
}

#[test]
fn a_port_that_nobody_drew_gets_nothing_and_is_named() {
    let Some(zone) = zone(&["udhcpc"], &["u01"]).map(|mut zone| {
        zone.plug("stranger", "swp20", None);
        zone.relay(&[]);
        zone
    }) else {
        return;
    };
    let asked = zone.network.run(Some("stranger"), &UDHCPC);
    assert!(!asked.is_fine(), "{asked}");
    zone.assert_no_address("stranger");

    let refusals = zone.get("/v1/refusals").to_string();
    assert!(refusals.contains("unknown-port") && refusals.contains("swp20"), "{refusals}");
    let shown = zone.zw(&["show", "refusals"]).fine();
    for word in ["unknown-port", "swp20", "p01/r1/leaf-a"] {
        assert!(shown.contains(word), "{word}:\n{shown}");
    }
    // Who is drawn is served all the same.
    zone.network.run(Some("u01"), &UDHCPC).fine();
    zone.assert_address("u01", &zone.facts.address_of("u01"));
}

#[test]
fn a_relay_that_nobody_drew_is_named() {
    let Some(zone) = zone(&["udhcpc"], &[]).map(|mut zone| {
        zone.plug("u01", "swp1", None);
        zone.network.sh(Some("leaf"), "ip address flush dev swp1 && ip address add 10.99.0.1/24 dev swp1");
        zone.network
            .sh(Some("server"), "ip route add 10.99.0.1 via $(ip route show default | cut -d' ' -f3)");
        zone.relay(&[]);
        zone
    }) else {
        return;
    };
    assert!(!zone.network.run(Some("u01"), &UDHCPC).is_fine());
    let shown = zone.zw(&["show", "refusals"]).fine();
    assert!(shown.contains("unknown-relay") && shown.contains("10.99.0.1"), "{shown}");
}

#[test]
fn a_machine_that_moved_gets_the_address_of_its_new_port() {
    let Some(zone) = zone(&["udhcpc"], &["u01", "u02"]) else { return };
    let hardware = "02:00:00:00:00:aa";
    for (place, gone) in [("u01", "u02"), ("u02", "u01")] {
        zone.network.sh(Some(gone), "ip link set eth0 down && ip link set eth0 address 02:00:00:00:00:bb");
        zone.network
            .sh(Some(place), &format!("ip link set eth0 down && ip link set eth0 address {hardware} up"));
        zone.network.run(Some(place), &UDHCPC).fine();
        zone.assert_address(place, &zone.facts.address_of(place));
    }
    // Two places have shown one hardware address: that is told, in words.
    let why = zone.zw(&["why", "p01/r1/u02"]);
    assert!(why.out.contains(hardware), "{why}");
}

#[test]
fn a_machine_that_was_accepted_elsewhere_is_refused_and_told_where_it_belongs() {
    let Some(zone) = zone(&["udhcpc"], &["u01", "u02"]) else { return };
    let hardware = "02:00:00:00:00:aa";
    let wear = |place: &str| {
        zone.network
            .sh(Some(place), &format!("ip link set eth0 down && ip link set eth0 address {hardware} up"));
    };
    wear("u01");
    zone.network.run(Some("u01"), &UDHCPC).fine();
    zone.zw(&["accept", "p01/r1/u01"]).fine();
    zone.network.sh(Some("u01"), "ip link set eth0 down");

    wear("u02");
    let asked = zone.network.run(Some("u02"), &UDHCPC);
    assert!(!asked.is_fine(), "{asked}");
    zone.assert_no_address("u02");
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("other-machine") && refusals.contains("swp2"), "{refusals}");

    // The explicit word: its place is here now.
    zone.zw(&["accept", "p01/r1/u02"]).fine();
    zone.network.run(Some("u02"), &UDHCPC).fine();
    zone.assert_address("u02", &zone.facts.address_of("u02"));
}

#[test]
fn a_relay_that_selects_the_link_gets_the_same_answer() {
    let Some(mut zone) = zone(&["udhcpc"], &["u01"]) else { return };
    // RFC 3527: giaddr is then the address towards the servers, and the machines' subnet stands in the sub-option.
    zone.relay(&["-U", "uplink"]);
    zone.network.run(Some("u01"), &UDHCPC).fine();
    zone.assert_address("u01", &zone.facts.address_of("u01"));
}
