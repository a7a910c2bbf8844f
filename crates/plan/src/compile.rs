//! (Design, parent Plan) → Plan and Findings.
//!
//! What comes in is a design whose own findings hold no error; what goes out has nothing left to choose: prefixes,
//! addresses, and the bytes of each relay identity. The steps, each in its file:
//!
//! 1. `jacks`: which interfaces a model has, on which networks;
//! 2. `slots`, `blocks`, `space`: how large each subnet is, where it lies, and where in it a slot stands;
//! 3. `interfaces`, `names`: every address and DNS label;
//! 4. `routers`, `bindings`: the switches that serve a subnet, and the identities their relays send;
//! 5. `parent`: what would change for those who are there already.
//!
//! It never looks at the order of pods, racks and machines to decide an address, and never at the clock.

mod bindings;
mod blocks;
mod ends;
mod interfaces;
mod jacks;
mod limits;
mod names;
mod parent;
mod routers;
mod slots;
mod space;

use model::finding::{Finding, Severity};
use model::ids::{DeviceId, Generation};
use model::{Design, Plan};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Compiles a design. The design's own findings must hold no error.
///
/// The plan's generation is 0 until it is published. There is no plan if a finding is an error, but for
/// [`model::Code::Renumbers`], [`model::Code::Shrinks`] and [`model::Code::Grows`]: those compare with `parent`, and whether they stand in the way is for
/// the caller to say, so the plan comes with them.
pub fn compile(design: Design, parent: Option<&Plan>) -> (Option<Plan>, Vec<Finding>) {
    let mut findings = Vec::new();
    limits::check(&design, &mut findings);
    let jacks = jacks::of_models(&design, &mut findings);
    if is_broken(&findings) {
        return (None, findings);
    }
    let Some(space) = space::Space::of(&design, &jacks, &mut findings) else {
        return (None, findings);
    };
    let far_ends = ends::FarEnds::of(&design);
    let mut addressed = interfaces::of(&design, &space, &jacks, &far_ends, &mut findings);
    names::check(&design, &addressed.interfaces, &mut findings);
    let mut subnets = space.subnets(&design);
    routers::set(&design, &space, &mut subnets, &addressed.interfaces, &far_ends);
    let bindings = bindings::of(&design, &jacks, &subnets, &addressed, &far_ends, &mut findings);
    if is_broken(&findings) {
        return (None, findings);
    }
    addressed.interfaces.shrink_to_fit();
    let plan = Plan {
        generation: Generation::default(),
        aggregates: space.aggregates(&design),
        design: Arc::new(design),
        subnets,
        interfaces: addressed.interfaces,
        first_interface: addressed.first_interface,
        bindings,
    };
    if let Some(parent) = parent {
        parent::compare(&plan, parent, &mut findings);
    }
    (Some(plan), findings)
}

fn is_broken(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// The device's id and itself, in order.
fn devices(design: &Design) -> impl Iterator<Item = (DeviceId, &model::design::Device)> {
    design.devices.iter().enumerate().map(|(index, device)| (DeviceId::from_index(index), device))
}

/// `a, b, c and 4 more`, of `count` things of which some are named.
fn list(named: &[String], count: usize) -> String {
    let mut text = named.join(", ");
    if count > named.len() {
        text.push_str(&format!(" and {} more", count - named.len()));
    }
    text
}

/// Whether surely no two of these are equal: no two have the same hash. Cheaper than a table of them all, which is only
/// needed to say which two.
fn are_distinct(keys: impl Iterator<Item = impl Hash>) -> bool {
    let hash = |key| {
        let mut hasher = DefaultHasher::new();
        Hash::hash(&key, &mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = keys.map(hash).collect();
    hashes.sort_unstable();
    hashes.windows(2).all(|two| two[0] != two[1])
}

/// How many things a sentence names before it only counts.
const NAMED_MAX: usize = 3;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
