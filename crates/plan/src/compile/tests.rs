//! Compiled zones, as tables.

use crate::testing::{POCKET, compile, plan};
use expect_test::{Expect, expect};
use model::Plan;
use std::fmt::Write;

/// Every subnet: network, place, prefixes, gateway and routers.
fn subnets(plan: &Plan) -> String {
    let mut text = String::new();
    for subnet in &plan.subnets {
        let network = &plan.design.networks[subnet.network.index()].name;
        let opt = |prefix: Option<String>| prefix.unwrap_or_else(|| "-".into());
        let (v4, v6) = (opt(subnet.v4.map(|it| it.to_string())), opt(subnet.v6.map(|it| it.to_string())));
        let gateway = opt(subnet.gateway4.map(|it| it.to_string()));
        write!(text, "{network} {} {v4} {v6} via {gateway}:", subnet.location).unwrap();
        for router in &subnet.routers {
            let switch = &plan.design.devices[router.switch.index()].location;
            write!(text, " {}={}", switch.within_zone(), opt(router.v4.map(|it| it.to_string()))).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Every interface of devices whose location contains `which`.
fn interfaces(plan: &Plan, which: &str) -> String {
    let mut text = String::new();
    for interface in &plan.interfaces {
        let device = &plan.design.devices[interface.device.index()];
        if device.location.as_str().contains(which) {
            let network = plan.subnet(interface.subnet).network;
            let network = &plan.design.networks[network.index()].name;
            let opt = |address: Option<String>| address.unwrap_or_else(|| "-".into());
            let (v4, v6) =
                (opt(interface.v4.map(|it| it.to_string())), opt(interface.v6.map(|it| it.to_string())));
            let (location, name) = (device.location.within_zone(), &interface.name);
            writeln!(text, "{location} {name} {network} {v4} {v6} {}", interface.dns_name).unwrap();
        }
    }
    text
}

/// Every binding of devices whose location contains `which`.
fn bindings(plan: &Plan, which: &str) -> String {
    let mut text = String::new();
    for binding in &plan.bindings {
        let interface = plan.interface(binding.interface);
        let device = &plan.design.devices[interface.device.index()];
        if device.location.as_str().contains(which) {
            let bytes = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_default().to_string();
            let remote_id = binding.remote_id.as_ref().map_or("-".into(), |remote_id| bytes(remote_id));
            let (location, name) = (device.location.within_zone(), &interface.name);
            write!(text, "{location} {name}: {} at {remote_id}", bytes(&binding.circuit_id)).unwrap();
            writeln!(
                text,
                "{}",
                binding.is_bmc_class.map_or("", |bmc| if bmc { " (BMC)" } else { " (not BMC)" })
            )
            .unwrap();
        }
    }
    text
}

/// Every finding: code, sentence, help.
fn findings(text: &str) -> String {
    let (_, findings) = compile(text);
    findings.iter().fold(String::new(), |mut text, finding| {
        writeln!(text, "{finding}").unwrap();
        if let Some(help) = &finding.help {
            writeln!(text, "  {help}").unwrap();
        }
        text
    })
}

fn check(actual: &str, expect: Expect) {
    expect.assert_eq(actual);
}

#[test]
fn pocket_prefixes_aggregate() {
    let plan = plan(POCKET);
    check(
        &subnets(&plan),
        expect![[r#"
        mgmt lab1 10.64.255.128/25 2001:db8:64:ffff::/64 via 10.64.255.129: core-c1=10.64.255.178
        boot lab1/p01/r1 10.64.0.0/27 2001:db8:64::/64 via 10.64.0.1: p01/r1/leaf-a=10.64.0.2 p01/r1/leaf-b=10.64.0.3
        boot lab1/p02/r1 10.64.32.0/27 2001:db8:64:2000::/64 via 10.64.32.1: p02/r1/leaf-a=10.64.32.2 p02/r1/leaf-b=10.64.32.3
        bmc lab1/p01/r1 10.64.0.32/27 2001:db8:64:1::/64 via 10.64.0.33: p01/r1/lom=10.64.0.37
        bmc lab1/p02/r1 10.64.32.32/27 2001:db8:64:2001::/64 via 10.64.32.33: p02/r1/lom=10.64.32.37
    "#]],
    );
    let aggregates = plan.aggregates.iter().fold(String::new(), |mut text, aggregate| {
        writeln!(text, "{} {} {}", aggregate.location, aggregate.v4.unwrap(), aggregate.v6.unwrap()).unwrap();
        text
    });
    check(
        &aggregates,
        expect![[r#"
        lab1/p01 10.64.0.0/19 2001:db8:64::/51
        lab1/p01/r1 10.64.0.0/21 2001:db8:64::/53
        lab1/p02 10.64.32.0/19 2001:db8:64:2000::/51
        lab1/p02/r1 10.64.32.0/21 2001:db8:64:2000::/53
    "#]],
    );
}

#[test]
fn pocket_interfaces_stand_by_slot() {
    let plan = plan(POCKET);
    check(
        &interfaces(&plan, "p02/r1/u03"),
        expect![[r#"
        p02/r1/u03 bond0 boot 10.64.32.8 2001:db8:64:2000::8 hv-p02-r1-u03
        p02/r1/u03 bmc bmc 10.64.32.40 2001:db8:64:2001::8 hv-p02-r1-u03-bmc
    "#]],
    );
    check(
        &interfaces(&plan, "c"),
        expect![[r#"
        core-c1 mgmt mgmt 10.64.255.238 2001:db8:64:ffff::6e core-c1
        ctl1 eno1 mgmt 10.64.255.182 2001:db8:64:ffff::36 ctl1
    "#]],
    );
    check(
        &interfaces(&plan, "p01/r1/l"),
        expect![[r#"
        p01/r1/leaf-a mgmt mgmt 10.64.255.190 2001:db8:64:ffff::3e p01-r1-leaf-a
        p01/r1/leaf-b mgmt mgmt 10.64.255.191 2001:db8:64:ffff::3f p01-r1-leaf-b
        p01/r1/lom mgmt mgmt 10.64.255.193 2001:db8:64:ffff::41 p01-r1-lom
    "#]],
    );
}

#[test]
fn pocket_bindings_are_what_relays_write() {
    let plan = plan(POCKET);
    check(
        &bindings(&plan, "p02/r1/u03"),
        expect![[r#"
        p02/r1/u03 bond0: swp3 at p02-r1-leaf-a
        p02/r1/u03 bond0: swp3 at p02-r1-leaf-b
        p02/r1/u03 bmc: swp3 at p02-r1-lom
    "#]],
    );
    check(
        &bindings(&plan, "p01/r1/l"),
        expect![[r#"
        p01/r1/leaf-a mgmt: swp1 at core-c1
        p01/r1/leaf-b mgmt: swp2 at core-c1
        p01/r1/lom mgmt: swp3 at core-c1
    "#]],
    );
    check(
        &bindings(&plan, "ctl"),
        expect![[r#"
        ctl1 eno1: swp32 at core-c1
    "#]],
    );
}

#[test]
fn pocket_has_no_findings() {
    check(&findings(POCKET), expect![[r#""#]]);
}
