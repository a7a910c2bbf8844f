//! That every DNS label is one, and is only one interface's.

use super::are_distinct;
use model::design::Design;
use model::finding::{Code, Finding};
use model::plan::Interface;
use std::collections::HashMap;

/// RFC 1035 §2.3.4.
const LABEL_MAX: usize = 63;

/// Adds a finding for each label that is too long or taken twice. Whether device names are labels at all, the design
/// has checked; what is new here are the labels made from them.
pub(super) fn check(design: &Design, interfaces: &[Interface], findings: &mut Vec<Finding>) {
    let names = || interfaces.iter().map(|interface| interface.dns_name.as_str());
    if names().all(|name| name.len() <= LABEL_MAX) && are_distinct(names()) {
        return;
    }
    let mut seen: HashMap<&str, &Interface> = HashMap::with_capacity(interfaces.len());
    for interface in interfaces {
        let name = interface.dns_name.as_str();
        let device = &design.devices[interface.device.index()];
        if name.len() > LABEL_MAX {
            findings.push(
                Finding::error(
                    Code::BadName,
                    device.source,
                    format!("`{name}` has {} characters; a DNS label has at most {LABEL_MAX}", name.len()),
                )
                .help(format!("shorten the name of {}", device.location)),
            );
        }
        if let Some(other) = seen.insert(name, interface) {
            let other_device = &design.devices[other.device.index()];
            findings.push(
                Finding::error(
                    Code::DuplicateName,
                    device.source,
                    format!(
                        "`{name}` would name both {} of {} and {} of {}",
                        other.name, other_device.location, interface.name, device.location
                    ),
                )
                .related(other_device.source, "the other is written here"),
            );
        }
    }
}
