//! What a design is read as.

use super::*;
use model::design::{Design, IdPart, PortRef};

fn design(files: &[File]) -> Design {
    let (design, findings) = parse(files);
    design.unwrap_or_else(|| panic!("{}", shown(files, &findings)))
}

fn port(design: &Design, end: PortRef) -> String {
    let device = &design.devices[end.device.index()];
    let port = &design.models[device.model.index()].ports[end.port.index()];
    format!("{}:{port}", device.location.within_zone())
}

/// Devices as `location name kind slot`, then cables.
fn check(text: &str, expected: Expect) {
    let files = [file("a.hcl", text)];
    let design = design(&files);
    let mut out = String::new();
    for device in &design.devices {
        out += &format!("{} {} {:?} slot {}\n", device.location, device.name, device.kind, device.slot);
    }
    for cable in &design.cables {
        out += &format!("{} -- {}\n", port(&design, cable.a), port(&design, cable.b));
    }
    expected.assert_eq(&out);
}

const HEAD: &str = r#"
zone "z" {
  domain   = "z.example"
  supernet = ["10.0.0.0/16", "2001:db8::/48"]
  capacity = { pods = 4, racks = 4, units = 8 }
}
model "sw" {
  kind       = "switch"
  ports      = ["swp{01..12}", "Ethernet1/{1..4}"]
  circuit_id = "{port}"
}
model "srv" {
  kind = "server"
  nics = "eno{1..2}"
}
controller "ctl1" {
  model = "srv"
}
"#;

#[test]
fn names_places_and_cables_follow_from_location() {
    check(
        &format!(
            "{HEAD}{}",
            r#"
            core "c1" { model = "sw" }
            pod "p{1..2}" {
              spine "s1" {
                model = "sw"
                cable = { swp01 = core.c1.swp[pod] }
              }
              rack "r{1..2}" {
                leaf "a" "b" {
                  model = "sw"
                  cable = { "Ethernet1/1" = spine.s1.swp[(rack - 1) * 2 + number + 1] }
                }
                lom {
                  model = "sw"
                  cable = { "Ethernet1/4" = spine.s1["Ethernet1/{rack}"] }
                }
                machines "u{3..4}" {
                  model = "srv"
                  cable = {
                    eno1 = leaf.a.swp[unit]
                    eno2 = rack == 1 ? leaf.b.swp[unit] : leaf.b.swp[unit]
                    bmc  = lom.swp[unit]
                  }
                }
              }
            }
            "#
        )
        .replace(
            "rack == 1 ? leaf.b.swp[unit] : leaf.b.swp[unit]",
            "leaf.b.swp[rack == 1 ? unit : unit + 1]",
        ),
        expect![[r#"
            z/ctl1 ctl1 Controller slot 0
            z/core-c1 core-c1 Core slot 0
            z/p1/spine-s1 p1-spine-s1 Spine slot 0
            z/p1/r1/leaf-a p1-r1-leaf-a Leaf slot 0
            z/p1/r1/leaf-b p1-r1-leaf-b Leaf slot 1
            z/p1/r1/lom p1-r1-lom Lom slot 3
            z/p1/r1/u3 p1-r1-u3 Machine slot 2
            z/p1/r1/u4 p1-r1-u4 Machine slot 3
            z/p1/r2/leaf-a p1-r2-leaf-a Leaf slot 0
            z/p1/r2/leaf-b p1-r2-leaf-b Leaf slot 1
            z/p1/r2/lom p1-r2-lom Lom slot 3
            z/p1/r2/u3 p1-r2-u3 Machine slot 2
            z/p1/r2/u4 p1-r2-u4 Machine slot 3
            z/p2/spine-s1 p2-spine-s1 Spine slot 0
            z/p2/r1/leaf-a p2-r1-leaf-a Leaf slot 0
            z/p2/r1/leaf-b p2-r1-leaf-b Leaf slot 1
            z/p2/r1/lom p2-r1-lom Lom slot 3
            z/p2/r1/u3 p2-r1-u3 Machine slot 2
            z/p2/r1/u4 p2-r1-u4 Machine slot 3
            z/p2/r2/leaf-a p2-r2-leaf-a Leaf slot 0
            z/p2/r2/leaf-b p2-r2-leaf-b Leaf slot 1
            z/p2/r2/lom p2-r2-lom Lom slot 3
            z/p2/r2/u3 p2-r2-u3 Machine slot 2
            z/p2/r2/u4 p2-r2-u4 Machine slot 3
            p1/spine-s1:swp01 -- core-c1:swp01
            p1/r1/leaf-a:Ethernet1/1 -- p1/spine-s1:swp02
            p1/r1/leaf-b:Ethernet1/1 -- p1/spine-s1:swp03
            p1/r1/lom:Ethernet1/4 -- p1/spine-s1:Ethernet1/1
            p1/r1/u3:eno1 -- p1/r1/leaf-a:swp03
            p1/r1/u3:eno2 -- p1/r1/leaf-b:swp03
            p1/r1/u3:bmc -- p1/r1/lom:swp03
            p1/r1/u4:eno1 -- p1/r1/leaf-a:swp04
            p1/r1/u4:eno2 -- p1/r1/leaf-b:swp04
            p1/r1/u4:bmc -- p1/r1/lom:swp04
            p1/r2/leaf-a:Ethernet1/1 -- p1/spine-s1:swp04
            p1/r2/leaf-b:Ethernet1/1 -- p1/spine-s1:swp05
            p1/r2/lom:Ethernet1/4 -- p1/spine-s1:Ethernet1/2
            p1/r2/u3:eno1 -- p1/r2/leaf-a:swp03
            p1/r2/u3:eno2 -- p1/r2/leaf-b:swp04
            p1/r2/u3:bmc -- p1/r2/lom:swp03
            p1/r2/u4:eno1 -- p1/r2/leaf-a:swp04
            p1/r2/u4:eno2 -- p1/r2/leaf-b:swp05
            p1/r2/u4:bmc -- p1/r2/lom:swp04
            p2/spine-s1:swp01 -- core-c1:swp02
            p2/r1/leaf-a:Ethernet1/1 -- p2/spine-s1:swp02
            p2/r1/leaf-b:Ethernet1/1 -- p2/spine-s1:swp03
            p2/r1/lom:Ethernet1/4 -- p2/spine-s1:Ethernet1/1
            p2/r1/u3:eno1 -- p2/r1/leaf-a:swp03
            p2/r1/u3:eno2 -- p2/r1/leaf-b:swp03
            p2/r1/u3:bmc -- p2/r1/lom:swp03
            p2/r1/u4:eno1 -- p2/r1/leaf-a:swp04
            p2/r1/u4:eno2 -- p2/r1/leaf-b:swp04
            p2/r1/u4:bmc -- p2/r1/lom:swp04
            p2/r2/leaf-a:Ethernet1/1 -- p2/spine-s1:swp04
            p2/r2/leaf-b:Ethernet1/1 -- p2/spine-s1:swp05
            p2/r2/lom:Ethernet1/4 -- p2/spine-s1:Ethernet1/2
            p2/r2/u3:eno1 -- p2/r2/leaf-a:swp03
            p2/r2/u3:eno2 -- p2/r2/leaf-b:swp04
            p2/r2/u3:bmc -- p2/r2/lom:swp03
            p2/r2/u4:eno1 -- p2/r2/leaf-a:swp04
            p2/r2/u4:eno2 -- p2/r2/leaf-b:swp05
            p2/r2/u4:bmc -- p2/r2/lom:swp04
        "#]],
    );
}

#[test]
fn an_at_block_changes_one_place() {
    let text = format!(
        "{HEAD}{}",
        r#"
        model "big" {
          kind = "server"
          nics = "eno{1..3}"
        }
        role "storage" {}
        pod "p1" {
          rack "r1" {
            leaf "a" {
              model = "sw"
            }
            machines "u{1..4}" {
              model = "srv"
              cable = { eno1 = leaf.a.swp[unit], bmc = leaf.a.swp[unit + 4] }
            }
          }
        }
        at "p1/r1/u2" {
          role  = "storage"
          model = "big"
          name  = "st-{unit}"
          cable = { eno1 = leaf.a["Ethernet1/{unit}"], eno3 = "p1-r1-leaf-a:swp11", bmc = null }
        }
        at "z/p1/r1/u3" {
          absent = true
        }
        "#
    );
    check(
        &text,
        expect![[r#"
        z/ctl1 ctl1 Controller slot 0
        z/p1/r1/leaf-a p1-r1-leaf-a Leaf slot 0
        z/p1/r1/u1 p1-r1-u1 Machine slot 0
        z/p1/r1/u2 st-u2 Machine slot 1
        z/p1/r1/u4 p1-r1-u4 Machine slot 3
        p1/r1/u1:eno1 -- p1/r1/leaf-a:swp01
        p1/r1/u1:bmc -- p1/r1/leaf-a:swp05
        p1/r1/u2:eno1 -- p1/r1/leaf-a:Ethernet1/2
        p1/r1/u2:eno3 -- p1/r1/leaf-a:swp11
        p1/r1/u4:eno1 -- p1/r1/leaf-a:swp04
        p1/r1/u4:bmc -- p1/r1/leaf-a:swp08
    "#]],
    );
    let files = [file("a.hcl", &text)];
    let design = design(&files);
    let changed = design.devices.iter().find(|device| device.name == "st-u2").expect("the changed machine");
    assert_eq!(design.models[changed.model.index()].name, "big");
    assert_eq!(changed.role.map(|role| design.roles[role.index()].name.as_str()), Some("storage"));
}

#[test]
fn a_zone_may_count_from_nought() {
    check(
        &HEAD.replace("capacity =", "count_from = 0\n  capacity =").replace("ctl1", "ctl0")
            .replace("controller", "pod \"p0\" {\n  rack \"r0\" {\n    machines \"u{0..1}\" {\n      model = \"srv\"\n    }\n    lom \"x0\" \"x1\" {\n      model = \"sw\"\n    }\n  }\n}\ncontroller"),
        expect![[r#"
            z/p0/r0/u0 p0-r0-u0 Machine slot 0
            z/p0/r0/u1 p0-r0-u1 Machine slot 1
            z/p0/r0/lom-x0 p0-r0-lom-x0 Lom slot 3
            z/p0/r0/lom-x1 p0-r0-lom-x1 Lom slot 2
            z/ctl0 ctl0 Controller slot 0
        "#]],
    );
}

#[test]
fn a_slot_gives_a_place_to_a_label_without_number() {
    check(
        &format!(
            "{HEAD}{}",
            "pod \"blue\" {\n  slot = 3\n  rack \"left\" {\n    slot = 2\n    leaf \"main\" {\n      slot = 1\n      model = \"sw\"\n    }\n    machine \"odd\" {\n      slot = 7\n      model = \"srv\"\n      cable = { eno1 = leaf.swp[unit] }\n    }\n  }\n}\n"
        ),
        expect![[r#"
            z/ctl1 ctl1 Controller slot 0
            z/blue/left/leaf-main blue-left-leaf-main Leaf slot 0
            z/blue/left/odd blue-left-odd Machine slot 6
            blue/left/odd:eno1 -- blue/left/leaf-main:swp07
        "#]],
    );
}

#[test]
fn identities() {
    let check = |template: &str, expected: Expect| {
        let text = HEAD.replace("\"{port}\"", &format!("\"{template}\""));
        let design = design(&[file("a.hcl", &text)]);
        let parts: Vec<String> = design.models[0]
            .circuit_id
            .iter()
            .flat_map(|template| &template.parts)
            .map(|part| match part {
                IdPart::Bytes(bytes) => format!("bytes {bytes:02x?}"),
                other => format!("{other:?}"),
            })
            .collect();
        expected.assert_eq(&parts.join("; "));
    };
    check("{port}", expect!["PortName"]);
    check("{hostname}:{port}", expect!["Name; bytes [3a]; PortName"]);
    check("{location}/{port_number}@{vlan}", expect!["Location; bytes [2f]; PortNumber; bytes [40]; Vlan"]);
    check("{port}\\u0000", expect!["PortName; bytes [00]"]);
    check(
        "hex:0004{vlan:2}00{port:1}",
        expect![
            "bytes [00, 04]; VlanBinary { octets: 2 }; bytes [00]; PortNumberBinary { octets: 1, add: 0 }"
        ],
    );
    check(
        "hex:00 04 {port+3:2}{port-1:4}{name}",
        expect![
            "bytes [00, 04]; PortNumberBinary { octets: 2, add: 3 }; PortNumberBinary { octets: 4, add: -1 }; Name"
        ],
    );
}

#[test]
fn a_model_in_full() {
    let text = HEAD.replace(
        "nics = \"eno{1..2}\"",
        r#"nics   = ["eno1", "eno2"]
  ports  = "PSU{1..2}"
  bonds  = { bond0 = { members = ["eno1", "eno2"], port_channel = "PortChannel{unit}" } }
  bmc    = { shares = "eno1", vendor_class = ["udhcp"] }
  expect = { cpus = 64, memory = "512GiB", disks = [{ count = 2, size = "1.9TB", kind = "nvme" }], firmware = "2.1", nic_speed = "25G" }"#,
    );
    let design = design(&[file("a.hcl", &text)]);
    expect![[r#"
        Model {
            name: "srv",
            kind: Server,
            ports: [
                "eno1",
                "eno2",
                "PSU1",
                "PSU2",
            ],
            circuit_id: None,
            remote_id: None,
            interface_id: None,
            remote_id6: None,
            bonds: [
                Bond {
                    name: "bond0",
                    members: [
                        PortIndex(
                            0,
                        ),
                        PortIndex(
                            1,
                        ),
                    ],
                    port_channel: Some(
                        "PortChannel{unit}",
                    ),
                },
            ],
            bmc: None,
            bmc_shares: Some(
                PortIndex(
                    0,
                ),
            ),
            bmc_vendor_class: [
                "udhcp",
            ],
            height: 1,
            expect: Expect {
                cpus: Some(
                    64,
                ),
                memory_bytes: Some(
                    549755813888,
                ),
                disks: [
                    ExpectDisks {
                        count: 2,
                        size_bytes: 1900000000000,
                        kind: Some(
                            "nvme",
                        ),
                    },
                ],
                firmware: Some(
                    "2.1",
                ),
                nic_mbps: Some(
                    25000,
                ),
            },
            source: Source {
                file: 0,
                start: 247,
                end: 258,
            },
        }"#]]
    .assert_eq(&format!("{:#?}", design.models[1]));
}
