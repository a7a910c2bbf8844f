//! Which namespaces, cables and addresses a plan comes to.

use super::*;
use expect_test::expect;
use std::collections::{HashSet, VecDeque};
use std::path::Path;

fn example(name: &str) -> Plan {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    crate::load::load(&directory).unwrap_or_else(|error| panic!("{name}: {}", error.line())).0
}

fn host(plan: &Plan, topology: &Topology, wanted: &str) -> String {
    let (name, is_bmc) = wanted.split_once(':').map_or((wanted, false), |(name, _)| (name, true));
    let found = topology.hosts.iter().enumerate().find(|(_, host)| {
        plan.design.devices[host.device.index()].location.is(name) && (host.kind == Kind::Bmc) == is_bmc
    });
    let (id, host) = found.unwrap_or_else(|| panic!("no {wanted}"));
    let mut text = format!("{wanted}: {:?}\n", host.kind);
    for bridge in &host.bridges {
        let subnet = plan.subnet(bridge.subnet);
        text.push_str(&format!("  {} {} for {}\n", bridge.index, bridge.name, subnet.v4.expect("IPv4")));
    }
    for (index, address, length) in &host.addresses {
        text.push_str(&format!("  {index} has {address}/{length}\n"));
    }
    for wire in &topology.wires {
        for (own, far) in [(&wire.near, &wire.far), (&wire.far, &wire.near)] {
            if own.host == id {
                let device = topology.hosts[far.host].device;
                let other = &plan.design.devices[device.index()].location;
                let bridge = own.bridge.map(|bridge| format!(" on {bridge}")).unwrap_or_default();
                text.push_str(&format!(
                    "  {} {}{bridge} to {} {}\n",
                    own.index,
                    own.name,
                    other.within_zone(),
                    far.name
                ));
            }
        }
    }
    for (to, gateway) in &host.routes {
        text.push_str(&format!("  {to} via {gateway}\n"));
    }
    text
}

#[test]
fn the_pocket_zone() {
    let plan = example("pocket");
    let topology = topology(&plan);
    let shown =
        ["ctl1", "core-c1", "p01/r1/leaf-a", "p01/r1/leaf-b", "p01/r1/lom", "p01/r1/u01", "p01/r1/u01:bmc"];
    let text: String = shown.map(|name| host(&plan, &topology, name)).concat();
    expect![[r#"
        ctl1: Controller
          2 has 10.64.255.182/25
          2 has 2001:db8:64:ffff::36/64
          2 eno1 to core-c1 swp32
          10.64.0.0/27 via 10.64.255.190
          10.64.0.2/32 via 10.64.255.190
          10.64.0.3/32 via 10.64.255.191
          10.64.32.0/27 via 10.64.255.202
          10.64.32.2/32 via 10.64.255.202
          10.64.32.3/32 via 10.64.255.203
          10.64.0.32/27 via 10.64.255.193
          10.64.0.37/32 via 10.64.255.193
          10.64.32.32/27 via 10.64.255.205
          10.64.32.37/32 via 10.64.255.205
          2001:db8:64::/64 via 2001:db8:64:ffff::3e
          2001:db8:64::2/128 via 2001:db8:64:ffff::3e
          2001:db8:64::3/128 via 2001:db8:64:ffff::3f
          2001:db8:64:2000::/64 via 2001:db8:64:ffff::4a
          2001:db8:64:2000::2/128 via 2001:db8:64:ffff::4a
          2001:db8:64:2000::3/128 via 2001:db8:64:ffff::4b
          2001:db8:64:1::/64 via 2001:db8:64:ffff::41
          2001:db8:64:1::5/128 via 2001:db8:64:ffff::41
          2001:db8:64:2001::/64 via 2001:db8:64:ffff::4d
          2001:db8:64:2001::5/128 via 2001:db8:64:ffff::4d
        core-c1: Switch
          2 br0 for 10.64.255.128/25
          2 has 10.64.255.238/25
          2 has 10.64.255.129/25
          2 has 10.64.255.178/25
          2 has 2001:db8:64:ffff::6e/64
          2 has 2001:db8:64:ffff::1/64
          2 has 2001:db8:64:ffff::32/64
          3 swp32 on 2 to ctl1 eno1
          4 arm4 on 2 to p01/r1/leaf-a arm8
          5 arm5 on 2 to p01/r1/leaf-b arm8
          6 arm6 on 2 to p01/r1/lom arm8
          7 arm7 on 2 to p02/r1/leaf-a arm8
          8 arm8 on 2 to p02/r1/leaf-b arm8
          9 arm9 on 2 to p02/r1/lom arm8
          10.64.0.0/27 via 10.64.255.190
          10.64.32.0/27 via 10.64.255.202
          10.64.0.32/27 via 10.64.255.193
          10.64.32.32/27 via 10.64.255.205
          2001:db8:64::/64 via 2001:db8:64:ffff::3e
          2001:db8:64:2000::/64 via 2001:db8:64:ffff::4a
          2001:db8:64:1::/64 via 2001:db8:64:ffff::41
          2001:db8:64:2001::/64 via 2001:db8:64:ffff::4d
        p01/r1/leaf-a: Switch
          2 br0 for 10.64.255.128/25
          3 br1 for 10.64.0.0/27
          2 has 10.64.255.190/25
          2 has 2001:db8:64:ffff::3e/64
          3 has 10.64.0.2/27
          3 has 10.64.0.1/27
          3 has 2001:db8:64::2/64
          3 has 2001:db8:64::1/64
          4 swp1 on 3 to p01/r1/u01 eno1
          5 swp2 on 3 to p01/r1/u02 eno1
          6 swp3 on 3 to p01/r1/u03 eno1
          7 swp4 on 3 to p01/r1/u04 eno1
          8 arm8 on 2 to core-c1 arm4
          9 arm9 on 3 to p01/r1/leaf-b arm9
          10.64.32.0/27 via 10.64.255.202
          10.64.0.32/27 via 10.64.255.193
          10.64.32.32/27 via 10.64.255.205
          2001:db8:64:2000::/64 via 2001:db8:64:ffff::4a
          2001:db8:64:1::/64 via 2001:db8:64:ffff::41
          2001:db8:64:2001::/64 via 2001:db8:64:ffff::4d
        p01/r1/leaf-b: Switch
          2 br0 for 10.64.255.128/25
          3 br1 for 10.64.0.0/27
          2 has 10.64.255.191/25
          2 has 2001:db8:64:ffff::3f/64
          3 has 10.64.0.3/27
          3 has 2001:db8:64::3/64
          4 swp1 on 3 to p01/r1/u01 eno2
          5 swp2 on 3 to p01/r1/u02 eno2
          6 swp3 on 3 to p01/r1/u03 eno2
          7 swp4 on 3 to p01/r1/u04 eno2
          8 arm8 on 2 to core-c1 arm5
          9 arm9 on 3 to p01/r1/leaf-a arm9
          10.64.32.0/27 via 10.64.255.202
          10.64.0.32/27 via 10.64.255.193
          10.64.32.32/27 via 10.64.255.205
          2001:db8:64:2000::/64 via 2001:db8:64:ffff::4a
          2001:db8:64:1::/64 via 2001:db8:64:ffff::41
          2001:db8:64:2001::/64 via 2001:db8:64:ffff::4d
        p01/r1/lom: Switch
          2 br0 for 10.64.255.128/25
          3 br1 for 10.64.0.32/27
          2 has 10.64.255.193/25
          2 has 2001:db8:64:ffff::41/64
          3 has 10.64.0.37/27
          3 has 10.64.0.33/27
          3 has 2001:db8:64:1::5/64
          3 has 2001:db8:64:1::1/64
          4 swp1 on 3 to p01/r1/u01 bmc
          5 swp2 on 3 to p01/r1/u02 bmc
          6 swp3 on 3 to p01/r1/u03 bmc
          7 swp4 on 3 to p01/r1/u04 bmc
          8 arm8 on 2 to core-c1 arm6
          10.64.0.0/27 via 10.64.255.190
          10.64.32.0/27 via 10.64.255.202
          10.64.32.32/27 via 10.64.255.205
          2001:db8:64::/64 via 2001:db8:64:ffff::3e
          2001:db8:64:2000::/64 via 2001:db8:64:ffff::4a
          2001:db8:64:2001::/64 via 2001:db8:64:ffff::4d
        p01/r1/u01: Machine
          2 eno1 to p01/r1/leaf-a swp1
          3 eno2 to p01/r1/leaf-b swp1
        p01/r1/u01:bmc: Bmc
          2 bmc to p01/r1/lom swp1
    "#]]
    .assert_eq(&text);
}

/// What must hold for every design: the kernel would refuse the first four, and the fifth would be a storm.
fn check(plan: &Plan) {
    let topology = topology(plan);
    let mut indices = HashSet::new();
    let mut names = HashSet::new();
    let mut macs = HashSet::new();
    for (id, host) in topology.hosts.iter().enumerate() {
        for bridge in &host.bridges {
            assert!(indices.insert((id, bridge.index)), "index twice: {bridge:?}");
            assert!(names.insert((id, bridge.name.clone())), "name twice: {bridge:?}");
            assert!(macs.insert(bridge.mac), "address twice: {bridge:?}");
        }
    }
    for end in topology.wires.iter().flat_map(|wire| [&wire.near, &wire.far]) {
        assert!(indices.insert((end.host, end.index)) && end.index > 1, "index twice: {end:?}");
        assert!(names.insert((end.host, end.name.clone())), "name twice: {end:?}");
        assert!(macs.insert(end.mac), "address twice: {end:?}");
        let is_fit = end.name.len() <= 15 && !end.name.contains(['/', ':', ' ']) && !end.name.is_empty();
        assert!(is_fit, "not a name: {end:?}");
    }
    for (index, _) in plan.subnets.iter().enumerate() {
        is_a_tree(&topology, SubnetId::from_index(index));
    }
}

/// The bridges of one subnet hang together without a loop.
fn is_a_tree(topology: &Topology, subnet: SubnetId) {
    let members: Vec<HostId> =
        (0..topology.hosts.len()).filter(|host| topology.hosts[*host].bridge(subnet).is_some()).collect();
    let on = |end: &End| {
        let bridge = topology.hosts[end.host].bridge(subnet).map(|bridge| bridge.index);
        bridge.is_some() && end.bridge == bridge
    };
    let arms: Vec<(HostId, HostId)> = topology
        .wires
        .iter()
        .filter(|wire| on(&wire.near) && on(&wire.far))
        .map(|wire| (wire.near.host, wire.far.host))
        .collect();
    assert_eq!(arms.len(), members.len().saturating_sub(1), "arms of {subnet:?}");
    let mut reached: HashSet<HostId> = members.first().copied().into_iter().collect();
    let mut open: VecDeque<HostId> = reached.iter().copied().collect();
    while let Some(host) = open.pop_front() {
        for (a, b) in &arms {
            let next = if *a == host {
                *b
            } else if *b == host {
                *a
            } else {
                continue;
            };
            if reached.insert(next) {
                open.push_back(next);
            }
        }
    }
    assert_eq!(reached.len(), members.len(), "members of {subnet:?}");
}

#[test]
fn every_example_can_be_built() {
    for name in ["pocket", "hundred", "wiring"] {
        check(&example(name));
    }
}
