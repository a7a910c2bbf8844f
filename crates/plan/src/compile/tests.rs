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

/// A zone of one rack, with whatever a test puts in the place of the parts.
fn small(networks: &str, models: &str, machines: &str) -> String {
    format!(
        r#"zone "z" {{
  domain = "z.example"
  supernet = "10.0.0.0/20"
  capacity = {{ pods = 2, racks = 2, units = 8, switches = 2 }}
}}
{networks}
model "sw" {{
  kind = "switch"
  ports = ["swp{{1..20}}", "swp99"]
  circuit_id = "{{port}}"
  remote_id = "{{name}}"
}}
{models}
pod "p1" {{
  rack "r1" {{
    leaf "a" "b" {{
      model = "sw"
    }}
{machines}
  }}
}}
"#
    )
}

const BOOT: &str = "network \"boot\" {\n  per = \"rack\"\n  for = [\"machine\"]\n}\n";
const BMC: &str = "network \"bmc\" {\n  per = \"rack\"\n  for = [\"bmc\"]\n}\n";
const PLAIN: &str = "model \"m\" {\n  kind = \"server\"\n  nics = [\"eno1\", \"eno2\"]\n  bmc = false\n}\n";

fn machines(pattern: &str, cable: &str) -> String {
    format!(
        "    machines \"{pattern}\" {{\n      model = \"m\"\n      name = \"m-{{unit}}\"\n      cable = {{ {cable} }}\n    }}\n"
    )
}

#[test]
fn a_shared_bmc_is_told_apart_by_class() {
    let model = "model \"m\" {\n  kind = \"server\"\n  nics = [\"eno1\", \"eno2\"]\n  bmc = { shares = \"eno1\", vendor_class = [\"bmc\"] }\n}\n";
    let text =
        small(&format!("{BOOT}{BMC}"), model, &machines("u1", "eno1 = leaf.a.swp[1], eno2 = leaf.b.swp[1]"));
    check(
        &bindings(&plan(&text), "u1"),
        expect![[r#"
        p1/r1/u1 eno1: swp1 at p1-r1-leaf-a (not BMC)
        p1/r1/u1 eno2: swp1 at p1-r1-leaf-b
        p1/r1/u1 bmc: swp1 at p1-r1-leaf-a (BMC)
    "#]],
    );
}

#[test]
fn a_port_channel_speaks_for_its_members_and_for_the_bmc_behind_one() {
    let model = "model \"m\" {\n  kind = \"server\"\n  nics = [\"eno1\", \"eno2\"]\n  bmc = { shares = \"eno1\", vendor_class = [\"bmc\"] }\n  bonds = { bond0 = [\"eno1\", \"eno2\"] }\n}\n";
    let text =
        small(&format!("{BOOT}{BMC}"), model, &machines("u3", "eno1 = leaf.a.swp[3], eno2 = leaf.a.swp[4]"));
    let mut design = crate::testing::design(&text);
    let server = design.models.iter_mut().find(|model| model.name == "m").unwrap();
    server.bonds[0].port_channel = Some("Po{unit}".into());
    let (plan, _) = crate::compile(design, None);
    check(
        &bindings(&plan.unwrap(), "u3"),
        expect![[r#"
        p1/r1/u3 bond0: swp3 at p1-r1-leaf-a (not BMC)
        p1/r1/u3 bond0: Po3 at p1-r1-leaf-a (not BMC)
        p1/r1/u3 bond0: swp4 at p1-r1-leaf-a
        p1/r1/u3 bmc: swp3 at p1-r1-leaf-a (BMC)
        p1/r1/u3 bmc: Po3 at p1-r1-leaf-a (BMC)
    "#]],
    );
}

#[test]
fn tagged_networks_are_interfaces_of_their_own_without_identity() {
    let storage = "network \"storage\" {\n  per = \"pod\"\n  for = [\"machine\"]\n  vlan = 300\n  interfaces = [\"eno2\"]\n}\n";
    let boot = BOOT.replace("}\n", "  interfaces = [\"eno1\"]\n}\n");
    let text = small(
        &format!("{boot}{storage}"),
        PLAIN,
        &machines("u1", "eno1 = leaf.a.swp[1], eno2 = leaf.b.swp[1]"),
    );
    let plan = plan(&text);
    check(
        &interfaces(&plan, "u1"),
        expect![[r#"
        p1/r1/u1 eno1 boot 10.0.0.4 - m-u1
        p1/r1/u1 eno2.300 storage 10.0.3.232 - m-u1-eno2-300
    "#]],
    );
    check(
        &bindings(&plan, "u1"),
        expect![[r#"
        p1/r1/u1 eno1: swp1 at p1-r1-leaf-a
    "#]],
    );
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let both = "eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit]";
    let cases = [
        (
            "a controller without a network",
            small(BOOT, PLAIN, &machines("u1", both)) + "controller \"ctl1\" {\n  model = \"m\"\n}\n",
        ),
        (
            "too many controllers",
            small(BOOT, PLAIN, &machines("u1", both)) + "controller \"ctl9\" {\n  model = \"m\"\n}\n",
        ),
        ("two untagged", small(&format!("{BOOT}{}", BOOT.replace("boot", "data")), PLAIN, &machines("u1", both))),
        ("no network", small(BMC, PLAIN, &machines("u{1..3}", both))),
        ("not cabled", small(BOOT, PLAIN, &machines("u{1..5}", "").replace("      cable = {  }\n", ""))),
        (
            "no BMC",
            small(&format!("{BOOT}role \"r\" {{\n  trust = \"bmc\"\n}}\n"), PLAIN, &machines("u{1..2}", both)).replace("      model = \"m\"", "      role = \"r\"\n      model = \"m\""),
        ),
        (
            "the supernet",
            small(&BOOT.replace("}\n", "  spare = 2000\n}\n"), PLAIN, &machines("u1", both)),
        ),
        (
            "the same identity",
            small(BOOT, PLAIN, &machines("u{1..2}", both)).replace("\"{port}\"", "\"{name}\""),
        ),
        (
            "the same identity in DHCPv6 alone",
            small(BOOT, PLAIN, &machines("u{1..2}", both))
                .replace("  circuit_id", "  interface_id = \"hex:01\"\n  remote_id6 = \"{name}\"\n  circuit_id"),
        ),
        (
            "the same name",
            small(BOOT, PLAIN, &machines("u1", both)).replace("m-{unit}", "m")
                .replace("leaf \"a\" \"b\" {", "leaf \"c\" {\n      model = \"sw\"\n      name = \"m-eno2\"\n    }\n    leaf \"a\" \"b\" {")
                .replace("switches = 2", "switches = 8")
                .replace("for = [\"machine\"]", "for = [\"machine\", \"switch\"]"),
        ),
    ];
    let told =
        cases.iter().fold(String::new(), |told, (case, text)| format!("{told}# {case}\n{}", findings(text)));
    check(
        &told,
        expect![[r#"
            # a controller without a network
            ZW0312: no controller of the zone has an address, so nobody would answer
              cable it to a switch, and add a network `for` it
            # too many controllers
            ZW0308: controller z/ctl9 is number 9, but a zone has room for 8 controllers
              one, three or five controllers serve a zone of any size
            # two untagged
            ZW0503: networks `boot` and `data` are both untagged on `eno1`, so which one DHCP answers on is not decided
              give one of them a `vlan`, or limit it with `interfaces`
            # no network
            ZW0502: `eno1` of z/p1/r1/u1 and 2 more are cabled, but no network is for it, so they get no address
              add a `network` block `for` it, or list the interface in an existing network's `interfaces`
            ZW0502: `eno2` of z/p1/r1/u1 and 2 more are cabled, but no network is for it, so they get no address
              add a `network` block `for` it, or list the interface in an existing network's `interfaces`
            ZW0309: z/p1/r1/u1, z/p1/r1/u2, z/p1/r1/u3 are cabled to no switch that relays DHCP, so nothing can know them by place
              cable a data interface that has an untagged network to a switch whose model has `circuit_id`
            # not cabled
            ZW0309: z/p1/r1/u1, z/p1/r1/u2, z/p1/r1/u3 and 2 more are cabled to no switch that relays DHCP, so nothing can know them by place
              cable a data interface that has an untagged network to a switch whose model has `circuit_id`
            # no BMC
            ZW0314: z/p1/r1/u1, z/p1/r1/u2 have no BMC with an address that could hand them a key
              give the model a `bmc` and add a network `for` BMCs; or choose another `trust`
            # the supernet
            ZW0501: 10.0.0.0/20 has 4096 addresses, but 2 pods of 4096 (2 racks of 2048 each) and 0 for the zone's own subnets are needed
              a /19 would do; or lower the capacity, or use fewer networks
            # the same identity
            ZW0310: z/p1/r1/leaf-a swp1 and z/p1/r1/leaf-a swp2 would send the same identity `p1-r1-leaf-a` (and 1 more such pairs), so a request could be either's
              let `circuit_id` use `{port}`, and `remote_id` tell the switch, for example by `{name}`
            # the same identity in DHCPv6 alone
            ZW0310: z/p1/r1/leaf-a swp1 and z/p1/r1/leaf-a swp2 would send the same identity `\u{1}` (and 1 more such pairs), so a request could be either's
              let `interface_id` use `{port}`, and `remote_id6` tell the switch, for example by `{name}`
            # the same name
            ZW0301: `m-eno2` would name both mgmt of z/p1/r1/leaf-c and eno2 of z/p1/r1/u1
        "#]],
    );
}

#[test]
fn a_label_too_long_is_told() {
    let name = "a".repeat(60);
    let text = small(BOOT, PLAIN, &machines("u1", "eno1 = leaf.a.swp[1], eno2 = leaf.b.swp[1]"))
        .replace("m-{unit}", &name);
    check(
        &findings(&text),
        expect![[r#"
            ZW0302: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-eno2` has 65 characters; a DNS label has at most 63
              shorten the name of z/p1/r1/u1
        "#]],
    );
}

/// What compiling `after` says to those who live by `before`.
fn against(before: &str, after: &str) -> String {
    let parent = plan(before);
    let (plan, findings) = crate::compile(crate::testing::design(after), Some(&parent));
    assert!(plan.is_some(), "the plan comes with such findings");
    findings.iter().fold(String::new(), |text, finding| {
        format!("{text}{finding}\n  {}\n", finding.help.as_deref().unwrap_or_default())
    })
}

#[test]
fn a_parent_is_told_who_renumbers_and_who_disappears() {
    check(&against(POCKET, POCKET), expect![[""]]);
    check(
        &against(POCKET, &POCKET.replace("pods = 4", "pods = 3")),
        expect![[r#"
        ZW0601: 16 existing addresses would change: lab1/core-c1 mgmt (10.64.255.238 to 10.64.255.214), lab1/ctl1 eno1 (10.64.255.182 to 10.64.255.170), lab1/p01/r1/leaf-a mgmt (10.64.255.190 to 10.64.255.178) and 13 more
          keep the capacity and the order of networks, or say `--renumber` if it is meant
    "#]],
    );
    check(
        &against(POCKET, &POCKET.replace("pods = 4", "pods = 64")),
        expect![[r#"
        ZW0601: 16 existing addresses would change: lab1/core-c1 mgmt (10.64.255.238 to 10.64.254.14), lab1/ctl1 eno1 (10.64.255.182 to 10.64.251.6), lab1/p01/r1/leaf-a mgmt (10.64.255.190 to 10.64.251.14) and 13 more
          keep the capacity and the order of networks, or say `--renumber` if it is meant
    "#]],
    );
    // Five may go without a word, six not.
    check(&against(POCKET, &POCKET.replace("u{01..04}", "u{01..02}")), expect![[""]]);
    check(
        &against(POCKET, &POCKET.replace("u{01..04}", "u{01..01}")),
        expect![[r#"
        ZW0602: 6 of 8 machines would disappear: lab1/p01/r1/u02, lab1/p01/r1/u03, lab1/p01/r1/u04 and 3 more
          if it is meant, say `--remove 6`
    "#]],
    );
    // A hundred new ones, or twice as many, without a word.
    let pods = |last: u32| {
        let text =
            POCKET.replace("p{01..02}", &format!("p{{01..{last:02}}}")).replace("pods = 4", "pods = 64");
        text.replace("swp{1..32}", "swp{1..300}").replace("core.c1.swp[32]", "core.c1.swp[300]")
    };
    check(&against(&pods(2), &pods(27)), expect![[""]]);
    check(&against(&pods(30), &pods(60)), expect![[""]]);
    check(
        &against(&pods(2), &pods(28)),
        expect![[r#"
        ZW0603: 8 machines would become 112: 104 new ones
          if it is meant, say `--grow 104`
    "#]],
    );
}

#[test]
fn a_zone_without_a_switch_that_relays_is_routed_by_its_exits() {
    let text = small(BOOT, PLAIN, &machines("u1", "eno1 = leaf.a.swp[1]"))
        .replace("  circuit_id = \"{port}\"\n  remote_id = \"{name}\"\n", "")
        .replace("pod \"p1\"", "model \"core\" {\n  kind = \"switch\"\n  ports = \"e{1..4}\"\n  circuit_id = \"{port}\"\n}\ncore \"c1\" {\n  model = \"core\"\n}\npod \"p1\"");
    check(
        &subnets(&plan(&text)),
        expect![[r#"
        boot z/p1/r1 10.0.0.0/27 - via 10.0.0.1: core-c1=-
    "#]],
    );
}
