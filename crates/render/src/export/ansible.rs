//! An Ansible inventory: machines in groups by kind, role, pod and rack.

use super::{address, bmc_address, labels, machines};
use model::Plan;
use model::design::DeviceKind;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The inventory, as YAML. Group names are `role_…`, `pod_…` and `rack_…`, with what Ansible forbids in them replaced
/// by underscores.
pub fn ansible(plan: &Plan) -> String {
    let mut out = String::from("all:\n  hosts:\n");
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut is_empty = true;
    for (id, device) in machines(plan) {
        is_empty = false;
        line(&mut out, format_args!("    {}:", text(&device.name)));
        if let Some(address) = address(plan, id) {
            line(&mut out, format_args!("      ansible_host: {}", text(&address.to_string())));
        }
        for (word, value) in labels(plan, device) {
            line(&mut out, format_args!("      zonewright_{word}: {}", text(value)));
        }
        if let Some(address) = bmc_address(plan, id) {
            line(&mut out, format_args!("      zonewright_bmc: {}", text(&address.to_string())));
        }
        let mut join = |group: String| groups.entry(group).or_default().push(&device.name);
        if device.kind == DeviceKind::Controller {
            join("controllers".into());
        }
        if let Some(role) = device.role {
            join(group_name("role", &plan.design.roles[role.index()].name));
        }
        if let Some(pod) = device.pod {
            join(group_name("pod", plan.design.pods[pod.index()].location.within_zone()));
        }
        if let Some(rack) = device.rack {
            join(group_name("rack", plan.design.racks[rack.index()].location.within_zone()));
        }
    }
    if is_empty {
        // YAML would read nothing as null, and Ansible warns of that.
        return "all:\n  hosts: {}\n".into();
    }
    if !groups.is_empty() {
        out.push_str("  children:\n");
    }
    for (group, hosts) in groups {
        line(&mut out, format_args!("    {group}:\n      hosts:"));
        hosts.iter().for_each(|host| line(&mut out, format_args!("        {}: {{}}", text(host))));
    }
    out
}

/// `rack_p01_r1`: Ansible takes letters, digits and underscores.
fn group_name(kind: &str, name: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    format!("{kind}_{}", name.chars().map(plain).collect::<String>())
}

/// A YAML string; JSON's strings are strings of YAML.
fn text(value: &str) -> serde_json::Value {
    serde_json::Value::from(value)
}

fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{words}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_ansible_takes() {
        assert_eq!(group_name("rack", "p01/r-1"), "rack_p01_r_1");
        assert_eq!(text("a\"b: #").to_string(), r#""a\"b: #""#);
    }
}
