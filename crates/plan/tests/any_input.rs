//! Any design that reads without an error has a plan or a finding, and any plan written is read back. The checks are those
//! of the fuzz targets `plan` and `plan_document`, which include this file; here they run with a fixed seed.

use model::finding::{File, Finding, Severity};
use model::view::Site;
use model::{Design, Facts, Plan};
use plan::Document;
use std::sync::Arc;

/// A design file: compiled, viewed, written and read back.
pub(crate) fn plan(text: &str) {
    let (Some(design), _) = read(text) else { return };
    let (plan, findings) = plan::compile(design, None);
    let is_broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(plan.is_none(), is_broken, "{findings:#?}");
    let Some(plan) = plan else { return };
    every_address_is_one_interfaces(&plan);
    let json = serde_json::to_string(&plan::document(&plan)).expect("a plan is written");
    let back: Document<'static> = serde_json::from_str(&json).expect("what we write, we read");
    assert_eq!(back, plan::document(&plan));
    assert!(plan::diff(&back, &plan::document(&plan)).is_empty());
    plan::view(&Arc::new(plan), &Facts::default(), &Arc::new(Site::default()));
}

/// A document from outside: refused, or written as it was read, and compared.
pub(crate) fn plan_document(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Document<'static>>(bytes) else { return };
    let written = serde_json::to_vec(&document).expect("a document is written");
    let back: Document<'static> = serde_json::from_slice(&written).expect("what we write, we read");
    assert_eq!(back, document);
    assert!(plan::diff(&document, &back).is_empty());
    let nothing: Document<'static> = Document {
        networks: Vec::new(),
        switches: Vec::new(),
        machines: Vec::new(),
        interfaces: Vec::new(),
        cables: Vec::new(),
        dhcp: Vec::new(),
        ..document.clone()
    };
    plan::diff(&document, &nothing);
    plan::diff(&nothing, &document);
}

fn read(text: &str) -> (Option<Design>, Vec<Finding>) {
    let files = [
        File { path: "checks/kvm.yaml".into(), text: "".into() },
        File { path: "zone.hcl".into(), text: text.into() },
    ];
    design::parse(&files)
}

fn every_address_is_one_interfaces(plan: &Plan) {
    let v4 = plan.interfaces.iter().filter_map(|interface| interface.v4.map(std::net::IpAddr::V4));
    let v6 = plan.interfaces.iter().filter_map(|interface| interface.v6.map(std::net::IpAddr::V6));
    let mut addresses: Vec<_> = v4.chain(v6).collect();
    let all = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), all);
}

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod with_a_fixed_seed {
    use super::spoil::spoil;

    const SMALL: &str = r#"
zone "ams1" {
  domain   = "ams1.example.net"
  supernet = ["10.32.0.0/14", "2001:db8:30::/44"]
  capacity = { pods = 2, racks = 2, units = 4 }
}
network "boot" {
  per  = "rack"
  for  = ["machine", "controller"]
  vlan = 10
  native = true
}
network "bmc" {
  per = "rack"
  for = ["bmc", "switch"]
}
model "leaf" {
  kind       = "switch"
  ports      = "swp{1..8}"
  circuit_id = "hex:0004{vlan:2}{port+1:2}"
  remote_id  = "{name}"
}
model "box" {
  kind  = "server"
  nics  = ["eno1", "eno2"]
  bonds = { bond0 = ["eno1", "eno2"] }
}
role "kvm" {
  service "ssh" { port = 22 }
}
pod "p{1..2}" {
  rack "r{1..2}" {
    leaf "a" "b" { model = "leaf" }
    lom { model = "leaf" }
    machines "u{1..2}" {
      role  = "kvm"
      model = "box"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}
controller "ctl1" {
  model = "box"
  cable = { eno1 = "p1-r1-leaf-a:swp8" }
}
at "p1/r1/u2" { absent = true }
"#;

    #[test]
    fn designs() {
        let samples =
            [SMALL, include_str!("../../../examples/pocket/zone.hcl")].map(|text| text.as_bytes().to_vec());
        for sample in &samples {
            let text = String::from_utf8_lossy(sample);
            let (design, findings) = super::read(&text);
            let (plan, _) = plan::compile(design.unwrap_or_else(|| panic!("{findings:#?}")), None);
            assert!(plan.is_some(), "a sample has a plan");
        }
        let pieces: [&[u8]; 24] = [
            b"0",
            b"1",
            b"2",
            b"9",
            b"16",
            b"4094",
            b"\"pod\"",
            b"\"zone\"",
            b"\"rack\"",
            b"machine",
            b"bmc",
            b"switch",
            b"controller",
            b"eno1",
            b"/30",
            b"/8",
            b"10.0.0.0/29",
            b"spare = 1000\n",
            b"native = true\n",
            b"ipv4 = false\n",
            b"{vlan}",
            b"count_from = 0\n",
            b"bmc = { shares = \"eno1\", vendor_class = [\"x\"] }\n",
            b"slot = 1\n",
        ];
        spoil(&samples, &pieces, 3_000, |bytes| super::plan(&String::from_utf8_lossy(bytes)));
    }

    #[test]
    fn documents() {
        let (design, findings) = super::read(SMALL);
        let (plan, _) = plan::compile(design.unwrap_or_else(|| panic!("{findings:#?}")), None);
        let plan = plan.expect("an address plan");
        let sample = serde_json::to_vec(&plan::document(&plan)).expect("a plan is written");
        super::plan_document(&sample);
        let pieces: [&[u8]; 14] = [
            b"null",
            b"{}",
            b"[]",
            b"[[[[[[[[[[",
            b"\"\"",
            b"-1",
            b"1e99",
            b"18446744073709551616",
            b"\"hex:0\"",
            b"\"hex:00\"",
            b"::",
            b"10.0.0.0/33",
            b"\\u0000",
            b"\"\\ud800\"",
        ];
        spoil(&[sample], &pieces, 3_000, super::plan_document);
    }
}
