//! What must hold for any zone: nothing twice, everything inside what it belongs to, and growth that moves nobody.

use crate::document::document;
use crate::testing::design;
use ipnet::{Ipv4Net, Ipv6Net};
use model::Plan;
use model::design::PortRef;
use model::finding::Code;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::net::IpAddr;

/// Pod, rack and unit, from 0.
type Seat = (u32, u32, u32);

/// A zone to be written out as a design.
#[derive(Clone, Debug)]
struct Drawn {
    pods: u32,
    racks: u32,
    units: u32,
    /// Slots taken: pod, rack, unit; the bool is whether it is of the larger model.
    machines: BTreeMap<Seat, bool>,
    /// `bonded`, `plain` or `shared` small model.
    model: usize,
    networks: Vec<Net>,
    has_v6: bool,
    circuit_id: usize,
}

#[derive(Clone, Debug)]
struct Net {
    per: &'static str,
    audience: &'static str,
    /// Tagged, unless it is the first for its audience.
    spare: u32,
    ipv6: bool,
}

const MODELS: [&str; 3] = [
    r#"nics = ["eno1", "eno2"]
  bonds = { bond0 = ["eno1", "eno2"] }
  bmc = { port = "bmc" }"#,
    r#"nics = ["eno1", "eno2"]
  bmc = { port = "bmc" }"#,
    r#"nics = ["eno1", "eno2"]
  bmc = { shares = "eno1", vendor_class = ["bmc"] }"#,
];

const CIRCUIT_IDS: [&str; 3] = ["{port}", "{name}:{port}", "hex:0004{vlan:2}00{port:1}"];

/// The design as text, pods and racks and machines in the order that `order` gives them.
fn written(drawn: &Drawn, order: impl Fn(usize) -> usize) -> String {
    let mut text = String::new();
    let v6 = if drawn.has_v6 { r#", "2001:db8::/40""# } else { "" };
    let Drawn { pods, racks, units, .. } = drawn;
    write!(
        text,
        r#"zone "z" {{
  domain = "z.example"
  supernet = ["10.0.0.0/8"{v6}]
  capacity = {{ pods = {pods}, racks = {racks}, units = {units} }}
}}
network "own" {{
  per = "zone"
  for = ["switch", "controller"]
}}
"#
    )
    .unwrap();
    let mut untagged = HashSet::new();
    for (number, net) in drawn.networks.iter().enumerate() {
        let vlan = match (net.audience, untagged.insert(net.audience)) {
            (_, true) => String::new(),
            (_, false) => format!("vlan = {}\n  ", 100 + number),
        };
        let (per, audience, spare) = (net.per, net.audience, net.spare);
        let ipv6 = if net.ipv6 { "" } else { "  ipv6 = false\n" };
        write!(
            text,
            "network \"n{number}\" {{\n  per = \"{per}\"\n  for = [\"{audience}\"]\n  {vlan}spare = {spare}\n{ipv6}}}\n"
        )
        .unwrap();
    }
    write!(
        text,
        r#"model "sw" {{
  kind = "switch"
  ports = "swp{{1..60}}"
  circuit_id = "{}"
  remote_id = "{{name}}"
}}
model "small" {{
  kind = "server"
  {}
}}
model "large" {{
  kind = "server"
  nics = ["eno1", "eno2", "eno3"]
  bmc = {{ port = "bmc" }}
}}
model "seed" {{
  kind = "server"
  nics = ["eno1"]
  bmc = false
}}
core "c1" {{
  model = "sw"
}}
controller "ctl1" {{
  model = "seed"
  cable = {{ eno1 = core.c1.swp[60] }}
}}
"#,
        CIRCUIT_IDS[drawn.circuit_id], MODELS[drawn.model]
    )
    .unwrap();
    let shuffled = |mut keys: Vec<u32>| {
        keys.sort_by_key(|key| order(*key as usize));
        keys
    };
    let keys = |of: &dyn Fn(&Seat) -> Option<u32>| {
        shuffled(drawn.machines.keys().filter_map(of).collect::<BTreeSet<u32>>().into_iter().collect())
    };
    for pod in keys(&|it| Some(it.0)) {
        writeln!(text, "pod \"p{}\" {{", pod + 1).unwrap();
        for rack in keys(&|it| (it.0 == pod).then_some(it.1)) {
            write!(
                text,
                r#"  rack "r{}" {{
    leaf "a" "b" {{
      model = "sw"
    }}
    lom {{
      model = "sw"
    }}
"#,
                rack + 1
            )
            .unwrap();
            for unit in keys(&|it| (it.0 == pod && it.1 == rack).then_some(it.2)) {
                let is_large = drawn.machines[&(pod, rack, unit)];
                let model = if is_large { "large" } else { "small" };
                let third = if is_large { ", eno3 = leaf.a.swp[unit + 20]" } else { "" };
                let bmc = if !is_large && drawn.model == 2 { "" } else { ", bmc = lom.swp[unit]" };
                write!(
                    text,
                    r#"    machines "u{}" {{
      model = "{model}"
      name = "m-{{pod}}-{{rack}}-{{unit}}"
      cable = {{ eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit]{third}{bmc} }}
    }}
"#,
                    unit + 1
                )
                .unwrap();
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n");
    }
    text
}

fn in_order(key: usize) -> usize {
    key
}

fn net() -> impl Strategy<Value = Net> {
    let per = prop::sample::select(vec!["rack", "pod", "zone"]);
    let audience = prop::sample::select(vec!["machine", "bmc"]);
    (per, audience, 0_u32..40, any::<bool>()).prop_map(|(per, audience, spare, ipv6)| Net {
        per,
        audience,
        spare,
        ipv6,
    })
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let sizes = (1_u32..=5, 1_u32..=4, 1_u32..=12);
    let rest = (0..MODELS.len(), prop::collection::vec(net(), 0..5), any::<bool>(), 0..CIRCUIT_IDS.len());
    (sizes, rest).prop_flat_map(|((pods, racks, units), (model, networks, has_v6, circuit_id))| {
        let seat = (0..pods, 0..racks, 0..units);
        prop::collection::btree_map(seat, prop::bool::weighted(0.2), 1..12).prop_map(move |machines| Drawn {
            pods,
            racks,
            units,
            machines,
            model,
            networks: networks.clone(),
            has_v6,
            circuit_id,
        })
    })
}

fn compiled(drawn: &Drawn) -> Plan {
    let text = written(drawn, in_order);
    let (plan, findings) = crate::compile(design(&text), None);
    plan.unwrap_or_else(|| panic!("{text}\n{findings:#?}"))
}

/// Everything that is planned for a place, as text: what growth must not change.
fn rows(plan: &Plan) -> BTreeSet<String> {
    let document = document(plan);
    let mut rows = BTreeSet::new();
    let mut add = |row: serde_json::Value| {
        rows.insert(row.to_string());
    };
    document.aggregates.iter().for_each(|row| add(serde_json::to_value(row).unwrap()));
    document.interfaces.iter().for_each(|row| add(serde_json::to_value(row).unwrap()));
    document.machines.iter().for_each(|row| add(serde_json::to_value(row).unwrap()));
    document.dhcp.iter().for_each(|row| add(serde_json::to_value(row).unwrap()));
    document.cables.iter().for_each(|row| add(serde_json::to_value(row).unwrap()));
    for network in &document.networks {
        for subnet in &network.subnets {
            // Routers come with the machines they serve; each one's own address is fixed.
            let mut prefix = subnet.clone();
            let routers = std::mem::take(&mut prefix.routers);
            add(serde_json::json!([network.name, prefix]));
            routers.iter().for_each(|router| add(serde_json::json!([network.name, subnet.location, router])));
        }
    }
    rows
}

fn once<T: Ord + std::fmt::Debug + Clone>(
    what: &str,
    items: impl IntoIterator<Item = T>,
) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for item in items {
        prop_assert!(seen.insert(item.clone()), "{what} twice: {item:?}");
    }
    Ok(())
}

fn nothing_twice(plan: &Plan) -> Result<(), TestCaseError> {
    once("name", plan.design.devices.iter().map(|device| &device.name))?;
    once("DNS name", plan.interfaces.iter().map(|interface| &interface.dns_name))?;
    let own = plan.interfaces.iter().map(|interface| (interface.v4, interface.v6));
    let routers = plan.subnets.iter().flat_map(|subnet| subnet.routers.iter().map(|it| (it.v4, it.v6)));
    let gateways = plan.subnets.iter().map(|subnet| (subnet.gateway4, subnet.gateway6));
    let all: Vec<_> = own.chain(routers).chain(gateways).collect();
    let address = |(v4, v6): &(Option<_>, Option<_>)| [v4.map(IpAddr::V4), v6.map(IpAddr::V6)];
    once("address", all.iter().flat_map(address).flatten())?;
    once("cable end", plan.design.cables.iter().flat_map(|cable| [cable.a, cable.b]))?;
    let identity = |it: &model::plan::Binding| {
        (it.remote_id.as_ref().map(|bytes| bytes.to_vec()), it.circuit_id.to_vec(), it.is_bmc_class)
    };
    // A shared port's two identities differ by class alone; no other two may be alike.
    once("identity", plan.bindings.iter().map(identity))?;
    let bound: Vec<(PortRef, Option<bool>)> =
        plan.bindings.iter().map(|it| (it.port, it.is_bmc_class)).collect();
    once("bound port", bound)
}

fn everything_inside(plan: &Plan) -> Result<(), TestCaseError> {
    let zone = &plan.design.zone;
    let mut v4: Vec<Ipv4Net> = Vec::new();
    let mut v6: Vec<Ipv6Net> = Vec::new();
    for interface in &plan.interfaces {
        let subnet = plan.subnet(interface.subnet);
        prop_assert_eq!(interface.v4.is_some(), subnet.v4.is_some());
        prop_assert_eq!(interface.v6.is_some(), subnet.v6.is_some());
        if let (Some(address), Some(net)) = (interface.v4, subnet.v4) {
            prop_assert!(net.contains(&address) && net.network() != address && net.broadcast() != address);
        }
        if let (Some(address), Some(net)) = (interface.v6, subnet.v6) {
            prop_assert!(net.contains(&address));
        }
        let device = &plan.design.devices[interface.device.index()];
        prop_assert!(device.location.as_str().starts_with(subnet.location.as_str()));
    }
    for subnet in &plan.subnets {
        for aggregate in &plan.aggregates {
            let is_around = subnet.location.as_str() == aggregate.location.as_str()
                || subnet.location.as_str().starts_with(&format!("{}/", aggregate.location));
            if let (Some(block), Some(net)) = (aggregate.v4, subnet.v4) {
                prop_assert_eq!(
                    block.contains(&net),
                    is_around,
                    "{} {}",
                    &aggregate.location,
                    &subnet.location
                );
            }
            if let (Some(block), Some(net)) = (aggregate.v6, subnet.v6) {
                prop_assert_eq!(
                    block.contains(&net),
                    is_around,
                    "{} {}",
                    &aggregate.location,
                    &subnet.location
                );
            }
        }
        v4.extend(subnet.v4);
        v6.extend(subnet.v6);
    }
    for aggregate in &plan.aggregates {
        prop_assert!(aggregate.v4.is_none_or(|net| zone.supernet4.unwrap().contains(&net)));
        prop_assert!(aggregate.v6.is_none_or(|net| zone.supernet6.unwrap().contains(&net)));
    }
    prop_assert!(v4.iter().all(|net| zone.supernet4.unwrap().contains(net)));
    prop_assert!(v6.iter().all(|net| zone.supernet6.unwrap().contains(net)));
    // Sorted, two prefixes that overlap are neighbours.
    v4.sort();
    v6.sort();
    prop_assert!(v4.windows(2).all(|pair| pair[0].broadcast() < pair[1].network()), "{v4:?}");
    prop_assert!(v6.windows(2).all(|pair| pair[0].broadcast() < pair[1].network()), "{v6:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_stands_twice_and_everything_stands_inside(drawn in drawn()) {
        let plan = compiled(&drawn);
        nothing_twice(&plan)?;
        everything_inside(&plan)?;
    }

    #[test]
    fn an_address_leads_back_to_its_location(drawn in drawn()) {
        let plan = compiled(&drawn);
        let mut owners = BTreeMap::new();
        for interface in &plan.interfaces {
            for address in [interface.v4.map(IpAddr::V4), interface.v6.map(IpAddr::V6)].into_iter().flatten() {
                prop_assert_eq!(owners.insert(address, interface), None);
            }
        }
        let roster = model::roster::Roster::of(&plan);
        for (address, interface) in owners {
            let found = roster.find(&plan, &address.to_string());
            let model::roster::Target::Interface(id) = found.unwrap() else { panic!("{found:?}") };
            prop_assert_eq!(plan.interface(id), interface);
        }
    }

    #[test]
    fn growth_within_capacity_changes_no_row(
        drawn in drawn(),
        more in prop::collection::btree_map((0_u32..5, 0_u32..4, 0_u32..12), any::<bool>(), 0..12),
    ) {
        let before = compiled(&drawn);
        let mut grown = drawn.clone();
        for ((pod, rack, unit), is_large) in more {
            let seat = (pod % drawn.pods, rack % drawn.racks, unit % drawn.units);
            grown.machines.entry(seat).or_insert(is_large);
        }
        let after = compiled(&grown);
        let (had, has) = (rows(&before), rows(&after));
        let lost: Vec<&String> = had.difference(&has).collect();
        prop_assert!(lost.is_empty(), "{lost:#?}");
        let mut findings = Vec::new();
        super::parent::compare(&after, &before, &mut findings);
        prop_assert_eq!(findings, vec![]);
    }

    #[test]
    fn an_appended_network_moves_nobody(drawn in drawn(), net in net()) {
        let before = compiled(&drawn);
        let mut grown = drawn.clone();
        grown.networks.push(Net { spare: 0, ..net });
        let after = compiled(&grown);
        let mut findings = Vec::new();
        super::parent::compare(&after, &before, &mut findings);
        prop_assert_eq!(findings, vec![]);
    }

    #[test]
    fn the_order_of_the_file_decides_no_address(drawn in drawn(), seed in 1_usize..1000) {
        let before = compiled(&drawn);
        let text = written(&drawn, |key| (key + 1) * seed * 7919 % 101);
        let (after, _) = crate::compile(design(&text), None);
        prop_assert_eq!(rows(&before), rows(&after.unwrap()));
    }

    #[test]
    fn the_same_design_gives_the_same_bytes(drawn in drawn()) {
        let bytes = |plan: &Plan| serde_json::to_string(&document(plan)).unwrap();
        let (one, other) = (compiled(&drawn), compiled(&drawn));
        prop_assert_eq!(bytes(&one), bytes(&other));
        // And they read back as what they were.
        let text = bytes(&one);
        let back: crate::Document<'static> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &document(&one));
        prop_assert!(crate::diff(&back, &document(&other)).is_empty());
    }

    #[test]
    fn a_supernet_too_small_is_told_with_one_that_does(drawn in drawn(), length in 16_u8..30) {
        let text = written(&drawn, in_order).replace("10.0.0.0/8", &format!("10.0.0.0/{length}"));
        let (plan, findings) = crate::compile(design(&text), None);
        let Some(finding) = findings.iter().find(|finding| finding.code == Code::OutOfAddresses) else {
            everything_inside(&plan.unwrap())?;
            return Ok(());
        };
        prop_assert!(plan.is_none());
        let help = finding.help.clone().unwrap();
        let advised = help.strip_prefix("a /").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        let shorter = text.replace(&format!("10.0.0.0/{length}"), &format!("10.0.0.0/{advised}"));
        let (plan, findings) = crate::compile(design(&shorter), None);
        prop_assert!(plan.is_some(), "{findings:#?}");
        everything_inside(&plan.unwrap())?;
    }
}
