//! DHCPv6 clients and a relay that we did not write, against `zw serve`: each gets the address of the port it is plugged
//! in, and nothing else. (BusyBox has a client too; Debian builds its own without.)

use crate::network::{have, skip, until};
use crate::served::Zone;

/// What the design says of the leaf: ISC's relay writes the number that it is told for each port, as a C `int`.
const INTERFACE_ID: &str = "circuit_id   = \"{port}\"\n  interface_id = \"hex:{port:1}000000\"";

/// A zone with these machines plugged and the relay of DHCPv6 before them, or `None` if a program is missing.
fn zone(programs: &[&str], machines: &[&str]) -> Option<Zone> {
    if !have(&[&["dhcrelay"], programs].concat()) {
        return None;
    }
    let mut zone = Zone::drawn_with(|text| text.replacen("circuit_id = \"{port}\"", INTERFACE_ID, 1))?;
    zone.network
        .sh(Some("server"), &format!("ip address add {}/128 dev eth0 nodad", zone.facts.address6_of("ctl1")));
    zone.network.sh(
        Some("leaf"),
        "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
         echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad",
    );
    for machine in machines {
        zone.plug_machine(machine);
        zone.route6(machine);
        zone.wake6(machine);
    }
    zone.serve();
    zone.relay6(&[]);
    Some(zone)
}

const DHCLIENT: [&str; 11] = [
    "dhclient",
    "-6",
    "-d",
    "-v",
    "-cf",
    "/run/dhclient6.conf",
    "-lf",
    "/run/dhclient6.leases",
    "-pf",
    "/run/dhclient6.pid",
    "eth0",
];

const DHCLIENT_CONF: &str = "
timeout 10;
retry 1;
request dhcp6.name-servers, dhcp6.domain-search, dhcp6.sntp-servers, dhcp6.fqdn;
";

#[test]
fn dhclient_gets_confirms_and_releases_the_address_of_its_port() {
    let Some(zone) = zone(&["dhclient"], &["u01", "u03"]) else { return };
    let address = zone.facts.address6_of("u03");
    zone.network.write("/run/dhclient6.conf", DHCLIENT_CONF);
    let mut client = zone.network.start("u03", &DHCLIENT);
    client.wait_for("RCV: Reply message");
    zone.assert_address6("u03", &address);
    // The script that it runs writes this last.
    until("the resolvers to be written", || {
        let resolvers = zone.network.text("/etc/resolv.conf");
        let has = |text: &str| resolvers.contains(text);
        (has(&format!("nameserver {}", zone.facts.address6_of("ctl1"))) && has("judged.example.net"))
            .then_some(())
    });

    // Started again, it asks whether the address that it remembers is right here.
    client.signal("TERM");
    client.wait();
    zone.network.sh(Some("u03"), "ip -6 address flush dev eth0 scope global");
    let mut again = zone.network.start("u03", &DHCLIENT);
    again.wait_for("RCV: Reply message");
    let said = again.said();
    assert!(said.contains("XMT: Confirm") && !said.contains("XMT: Solicit"), "{said}");
    zone.assert_address6("u03", &address);
    drop(again);

    let released = zone.network.run(Some("u03"), &[&DHCLIENT[..2], &["-r"], &DHCLIENT[3..]].concat());
    assert!(released.err.contains("XMT: Release"), "{released}");
    zone.assert_no_address6("u03");
    let refusals = zone.get("/v1/refusals");
    assert_eq!(refusals["recent"].as_array().map(Vec::len), Some(0), "{refusals}");
}

#[test]
fn a_client_that_remembers_anothers_address_begins_anew() {
    let Some(zone) = zone(&["dhclient"], &["u01", "u02"]) else { return };
    zone.network.write("/run/dhclient6.conf", DHCLIENT_CONF);
    let mut client = zone.network.start("u01", &DHCLIENT);
    client.wait_for("RCV: Reply message");
    zone.assert_address6("u01", &zone.facts.address6_of("u01"));
    client.signal("TERM");
    client.wait();
    // The disk is put into another machine.
    let mut other = zone.network.start("u02", &DHCLIENT);
    other.wait_for("XMT: Confirm");
    other.wait_for("XMT: Request");
    zone.assert_address6("u02", &zone.facts.address6_of("u02"));
    let refusals = zone.zw(&["show", "refusals"]).fine();
    assert!(refusals.contains("dhcp6") && refusals.contains("wrong-address"), "{refusals}");
}

#[test]
fn dhcpcd_gets_and_rebinds_the_address_of_its_port() {
    let Some(zone) = zone(&["dhcpcd"], &["u01", "u04"]) else { return };
    if !zone.network.has_users() {
        return skip("dhcpcd gives up root for a user of its own, and this namespace has only root");
    }
    let address = zone.facts.address6_of("u04");
    // Without a router that advertises itself it would wait for one.
    zone.network.write(
        "/run/dhcpcd6.conf",
        "noipv6rs\nnodhcp\nduid\noption dhcp6_name_servers\ninterface eth0\n  ia_na 1\n",
    );
    let mut client = zone.network.start(
        "u04",
        &["dhcpcd", "--config", "/run/dhcpcd6.conf", "--nobackground", "-6", "--debug", "eth0"],
    );
    client.wait_for(&format!("adding address {address}"));
    zone.assert_address6("u04", &address);
    client.wait_for("dhcpcd-run-hooks BOUND6");
    // A signal that comes while it still settles is lost on it.
    until("it to rebind", || {
        zone.network.run(Some("u04"), &["dhcpcd", "-6", "--rebind", "eth0"]).fine();
        client.said().contains("broadcasting REBIND6").then_some(())
    });
    client.wait_for_times("REPLY6 received", 2);
    zone.assert_address6("u04", &address);
}

#[test]
fn networkd_gets_the_address_of_its_port() {
    let Some(zone) = zone(&["systemd-networkd"], &["u01", "u02"]) else { return };
    if !zone.network.has_users() {
        return skip(
            "systemd-networkd gives up root for a user of its own, and this namespace has only root",
        );
    }
    let address = zone.facts.address6_of("u01");
    zone.network.write(
        "/run/systemd/network/eth0.network",
        "[Match]\nName=eth0\n[Network]\nDHCP=ipv6\nIPv6AcceptRA=no\n[DHCPv6]\nWithoutRA=solicit\nUseHostname=no\n",
    );
    // It waits for udev to have named the interface, unless /sys is read-only as in a container.
    let script = "mount -t sysfs -o ro sysfs /sys && exec systemd-networkd";
    let mut client = zone
        .network
        .start("u01", &["env", "SYSTEMD_LOG_LEVEL=debug", "unshare", "--mount", "sh", "-c", script]);
    client.wait_for(&format!("DHCPv6 address {address}"));
    zone.assert_address6("u01", &address);
    client.signal("TERM");
    client.wait();
}

#[test]
fn a_port_that_nobody_drew_gets_nothing_and_is_named() {
    let Some(mut zone) = zone(&["dhclient"], &["u01"]) else { return };
    zone.plug("stranger", "swp20", None);
    zone.route6_port("swp20");
    zone.wake6("stranger");
    zone.relay6(&[]);
    zone.network.write("/run/dhclient6.conf", DHCLIENT_CONF);
    let mut stranger = zone.network.start("stranger", &DHCLIENT);
    stranger.wait_for_times("XMT: Solicit", 2);
    until("the refusal to be named", || {
        let shown = zone.zw(&["show", "refusals"]).fine();
        ["dhcp6", "unknown-port", "0x14000000", "p01/r1/leaf-a"]
            .iter()
            .all(|word| shown.contains(word))
            .then_some(())
    });
    zone.assert_no_address6("stranger");
}

#[test]
fn without_a_relay_there_is_no_place_and_the_group_is_heard() {
    let Some(zone) = zone(&["dhclient"], &["u01"]) else { return };
    // On the controller's own wire.
    zone.network.add_place("near");
    zone.network.add_cable(("server", "near"), ("near", "eth0"));
    zone.wake6("near");
    zone.network.write("/run/dhclient6.conf", DHCLIENT_CONF);
    // The server joins its groups on an interface that came later within seconds.
    let client = zone.network.start("near", &DHCLIENT);
    until("the refusal to be named", || {
        let shown = zone.zw(&["show", "refusals"]).fine();
        (shown.contains("dhcp6") && shown.contains("no-identity")).then_some(())
    });
    assert!(!client.said().contains("RCV: "), "{}", client.said());
    zone.assert_no_address6("near");
}
