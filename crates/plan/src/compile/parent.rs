//! What a plan would do to those who are there already: whom it renumbers, and whether too many disappear or appear.

use super::{NAMED_MAX, list};
use model::design::DeviceKind;
use model::finding::{Code, Finding};
use model::ids::DeviceId;
use model::plan::Interface;
use model::{Location, Plan};
use std::cell::LazyCell;
use std::collections::HashMap;

/// So many machines may disappear at once without a word.
const SHRINK_FREE: usize = 5;
/// Or one in so many.
const SHRINK_ONE_IN: usize = 20;

/// So many machines may be new at once without a word.
const GROW_FREE: usize = 100;
/// Or as many times as there were.
const GROW_TIMES: usize = 2;

/// Adds [`Code::Renumbers`], [`Code::Shrinks`] and [`Code::Grows`], each at most once.
pub(super) fn compare(plan: &Plan, parent: &Plan, findings: &mut Vec<Finding>) {
    // Most devices are where they were in the table too: the others are looked for in an index.
    let index = LazyCell::new(|| -> HashMap<&str, DeviceId> {
        super::devices(&plan.design).map(|(id, device)| (device.location.as_str(), id)).collect()
    });
    let now = |old_id: DeviceId, location: &Location| {
        let there = plan.design.devices.get(old_id.index());
        if there.is_some_and(|device| device.location == *location) {
            return Some(old_id);
        }
        index.get(location.as_str()).copied()
    };
    let (mut machines, mut gone, mut gone_named) = (0, 0, Vec::new());
    let (mut renumbered, mut renumbered_named) = (0, Vec::new());
    for (old_id, old) in super::devices(&parent.design) {
        let is_machine = old.kind == DeviceKind::Machine;
        machines += usize::from(is_machine);
        let Some(id) = now(old_id, &old.location) else {
            if is_machine {
                gone += 1;
                if gone_named.len() < NAMED_MAX {
                    gone_named.push(old.location.to_string());
                }
            }
            continue;
        };
        for before in parent.interfaces_of(old_id) {
            let network = network_of(parent, before);
            let is_same =
                |after: &&Interface| after.name == before.name && network_of(plan, after) == network;
            let Some(after) = plan.interfaces_of(id).iter().find(is_same) else { continue };
            let v4 = before.v4.is_some() && before.v4 != after.v4;
            let v6 = before.v6.is_some() && before.v6 != after.v6;
            if !v4 && !v6 {
                continue;
            }
            renumbered += 1;
            if renumbered_named.len() < NAMED_MAX {
                let text = |address: Option<String>| address.unwrap_or_else(|| "none".into());
                let (from, to) = if v4 {
                    (before.v4.map(|it| it.to_string()), after.v4.map(|it| it.to_string()))
                } else {
                    (before.v6.map(|it| it.to_string()), after.v6.map(|it| it.to_string()))
                };
                renumbered_named.push(format!(
                    "{} {} ({} to {})",
                    old.location,
                    before.name,
                    text(from),
                    text(to)
                ));
            }
        }
    }
    let source = plan.design.zone.source;
    if renumbered > 0 {
        let noun = if renumbered == 1 { "address" } else { "addresses" };
        findings.push(
            Finding::error(
                Code::Renumbers,
                source,
                format!("{renumbered} existing {noun} would change: {}", list(&renumbered_named, renumbered)),
            )
            .help("keep the capacity and the order of networks, or say `--renumber` if it is meant"),
        );
    }
    if gone > SHRINK_FREE.max(machines / SHRINK_ONE_IN) {
        findings.push(
            Finding::error(
                Code::Shrinks,
                source,
                format!("{gone} of {machines} machines would disappear: {}", list(&gone_named, gone)),
            )
            .help(format!("if it is meant, say `--remove {gone}`")),
        );
    }
    let is_machine = |device: &&model::design::Device| device.kind == DeviceKind::Machine;
    let all = plan.design.devices.iter().filter(is_machine).count();
    let new = all.saturating_sub(machines - gone);
    if machines > 0 && new > GROW_FREE && all > machines * GROW_TIMES {
        findings.push(
            Finding::error(
                Code::Grows,
                source,
                format!("{machines} machines would become {all}: {new} new ones"),
            )
            .help(format!("if it is meant, say `--grow {new}`")),
        );
    }
}

fn network_of<'a>(plan: &'a Plan, interface: &Interface) -> &'a str {
    &plan.design.networks[plan.subnet(interface.subnet).network.index()].name
}
