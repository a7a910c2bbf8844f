//! Edits of the pocket zone, and what they say.

use super::*;
use crate::document::document;
use crate::testing::{POCKET, plan};
use expect_test::{Expect, expect};
use std::fmt::Write;

/// The diff between the pocket zone and itself with each `(from, to)` replaced, as JSON without what is empty.
fn check(edits: &[(&str, &str)], expect: Expect) {
    let mut text = POCKET.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let (before, after) = (plan(POCKET), plan(&text));
    let diff = diff(&document(&before), &document(&after));
    let mut out = String::new();
    let serde_json::Value::Object(fields) = serde_json::to_value(&diff).unwrap() else { panic!() };
    for (field, value) in fields {
        match value {
            serde_json::Value::Array(rows) if !rows.is_empty() => {
                writeln!(out, "{field}: {}", rows.len()).unwrap();
                rows.iter().take(2).for_each(|row| writeln!(out, "  {row}").unwrap());
            }
            serde_json::Value::Object(sets) => {
                for (side, rows) in sets {
                    let rows = rows.as_array().unwrap();
                    if let Some(row) = rows.first() {
                        writeln!(out, "{field} {side}: {}\n  {row}", rows.len()).unwrap();
                    }
                }
            }
            _ => {}
        }
    }
    expect.assert_eq(&out);
}

#[test]
fn nothing_is_nothing() {
    check(&[], expect![[""]]);
}

#[test]
fn one_machine_more_in_each_rack() {
    check(
        &[("u{01..04}", "u{01..05}")],
        expect![[r#"
        appears: 2
          {"kind":"machine","location":"lab1/p01/r1/u05","name":"hv-p01-r1-u05"}
          {"kind":"machine","location":"lab1/p02/r1/u05","name":"hv-p02-r1-u05"}
        cables added: 6
          {"a":{"location":"lab1/p01/r1/u05","port":"eno1"},"b":{"location":"lab1/p01/r1/leaf-a","port":"swp5"},"mbps":null,"vlans":null}
        dns added: 22
          {"data":"10.64.0.10","name":"hv-p01-r1-u05.lab1.example.net","type":"A"}
    "#]],
    );
}

#[test]
fn a_pod_less() {
    check(
        &[("p{01..02}", "p{01..01}")],
        expect![[r#"
        cables removed: 15
          {"a":{"location":"lab1/p02/r1/leaf-a","port":"swp32"},"b":{"location":"lab1/core-c1","port":"swp5"},"mbps":null,"vlans":null}
        cut_off: 22
          {"address":"10.64.255.202","interface":"mgmt","location":"lab1/p02/r1/leaf-a"}
          {"address":"2001:db8:64:ffff::4a","interface":"mgmt","location":"lab1/p02/r1/leaf-a"}
        disappears: 7
          {"kind":"leaf","location":"lab1/p02/r1/leaf-a","name":"p02-r1-leaf-a"}
          {"kind":"leaf","location":"lab1/p02/r1/leaf-b","name":"p02-r1-leaf-b"}
        dns removed: 59
          {"data":"10.64.255.202","name":"p02-r1-leaf-a.lab1.example.net","type":"A"}
    "#]],
    );
}

#[test]
fn other_arguments_reboot() {
    check(
        &[("console=ttyS0,115200", "console=ttyS1")],
        expect![[r#"
        reboots: 8
          {"location":"lab1/p01/r1/u01","reasons":["image kvm has other arguments"]}
          {"location":"lab1/p01/r1/u02","reasons":["image kvm has other arguments"]}
    "#]],
    );
}

#[test]
fn an_installing_image_reinstalls() {
    check(
        &[("args   =", "installs = true\n  args   =")],
        expect![[r#"
        reinstalls: 8
          {"location":"lab1/p01/r1/u01","reasons":["image kvm has changed"]}
          {"location":"lab1/p01/r1/u02","reasons":["image kvm has changed"]}
    "#]],
    );
}

#[test]
fn another_naming_renames() {
    check(
        &[("hv-{pod}-{rack}-{unit}", "kvm-{pod}-{rack}-{unit}")],
        expect![[r#"
        dns added: 88
          {"data":"10.64.0.6","name":"kvm-p01-r1-u01.lab1.example.net","type":"A"}
        dns removed: 88
          {"data":"10.64.0.6","name":"hv-p01-r1-u01.lab1.example.net","type":"A"}
        renamed: 8
          {"from":"hv-p01-r1-u01","location":"lab1/p01/r1/u01","to":"kvm-p01-r1-u01"}
          {"from":"hv-p01-r1-u02","location":"lab1/p01/r1/u02","to":"kvm-p01-r1-u02"}
    "#]],
    );
}

#[test]
fn a_shifted_pattern_moves_by_name() {
    // What stood at unit 4 as `m-3` stands at unit 5.
    let fixed = "hv-{pod}-{rack}-{unit}";
    let before = POCKET.replace("u{01..04}", "u{04..04}").replace(fixed, "only-{pod}");
    let after = before.replace("u{04..04}", "u{05..05}");
    let diff = diff(&document(&plan(&before)), &document(&plan(&after)));
    assert_eq!((diff.appears.len(), diff.disappears.len()), (0, 0));
    let text = |it: &Move| format!("{} {} -> {}", it.name, it.from, it.to);
    let moves: Vec<String> = diff.moves.iter().map(text).collect();
    assert_eq!(
        moves,
        ["only-p01 lab1/p01/r1/u04 -> lab1/p01/r1/u05", "only-p02 lab1/p02/r1/u04 -> lab1/p02/r1/u05"]
    );
    assert_eq!(diff.cut_off.len(), 8);
}

#[test]
fn crossed_cables_are_recabled() {
    check(
        &[(
            "eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit]",
            "eno1 = leaf.b.swp[unit], eno2 = leaf.a.swp[unit]",
        )],
        expect![[r#"
            cables added: 16
              {"a":{"location":"lab1/p01/r1/u01","port":"eno1"},"b":{"location":"lab1/p01/r1/leaf-b","port":"swp1"},"mbps":null,"vlans":null}
            cables removed: 16
              {"a":{"location":"lab1/p01/r1/u01","port":"eno1"},"b":{"location":"lab1/p01/r1/leaf-a","port":"swp1"},"mbps":null,"vlans":null}
            recabled: 8
              {"location":"lab1/p01/r1/u01","ports":[{"from":"lab1/p01/r1/leaf-a swp1","to":"lab1/p01/r1/leaf-b swp1","what":"eno1"},{"from":"lab1/p01/r1/leaf-b swp1","to":"lab1/p01/r1/leaf-a swp1","what":"eno2"}]}
              {"location":"lab1/p01/r1/u02","ports":[{"from":"lab1/p01/r1/leaf-a swp2","to":"lab1/p01/r1/leaf-b swp2","what":"eno1"},{"from":"lab1/p01/r1/leaf-b swp2","to":"lab1/p01/r1/leaf-a swp2","what":"eno2"}]}
        "#]],
    );
}

#[test]
fn a_smaller_capacity_renumbers() {
    check(
        &[("pods = 4", "pods = 2")],
        expect![[r#"
        cut_off: 30
          {"address":"10.64.255.238","interface":"mgmt","location":"lab1/core-c1"}
          {"address":"2001:db8:64:ffff::6e","interface":"mgmt","location":"lab1/core-c1"}
        dns added: 64
          {"data":"10.64.255.190","name":"core-c1.lab1.example.net","type":"A"}
        dns removed: 64
          {"data":"10.64.255.238","name":"core-c1.lab1.example.net","type":"A"}
        reboots: 5
          {"location":"lab1/ctl1","reasons":["eno1 is renumbered"]}
          {"location":"lab1/p02/r1/u01","reasons":["bond0 is renumbered"]}
        renumbers: 16
          {"from":["10.64.255.238","2001:db8:64:ffff::6e"],"interface":"mgmt","location":"lab1/core-c1","network":"mgmt","to":["10.64.255.190","2001:db8:64:ffff::3e"]}
          {"from":["10.64.255.190","2001:db8:64:ffff::3e"],"interface":"mgmt","location":"lab1/p01/r1/leaf-a","network":"mgmt","to":["10.64.255.166","2001:db8:64:ffff::26"]}
        switches: 7
          {"location":"lab1/core-c1","reasons":["mgmt is renumbered","routes mgmt of lab1 as 10.64.255.154 in 10.64.255.128/25, 2001:db8:64:ffff::1a in 2001:db8:64:ffff::/64"]}
          {"location":"lab1/p01/r1/leaf-a","reasons":["mgmt is renumbered"]}
        zone: 1
          {"from":"4 pods, 2 racks, 16 units, 4 switches","to":"2 pods, 2 racks, 16 units, 4 switches","what":"capacity"}
    "#]],
    );
}

#[test]
fn who_may_ask_and_who_is_looked_for_is_of_the_zone() {
    let words = "transfer_to = [\"192.0.2.0/24\"]\n  relays_from = [\"198.51.100.0/24\"]\n  dhcp_probe = \"2m\"\n  capacity =";
    check(
        &[("capacity =", words)],
        expect![[r#"
        zone: 3
          {"from":"to nobody","to":"to 192.0.2.0/24","what":"zone transfers outside"}
          {"from":"from anywhere","to":"from the switches' addresses and 198.51.100.0/24","what":"relays"}
    "#]],
    );
}
