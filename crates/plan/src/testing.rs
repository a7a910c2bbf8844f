//! Designs for this crate's tests, written as users write them.

use model::finding::{File, Finding};
use model::{Design, Plan};

/// The zone of `examples/pocket`.
pub(crate) const POCKET: &str = include_str!("../../../examples/pocket/zone.hcl");

/// The design of one file, which must hold no error. Files of checks that it may name are there, and empty.
pub(crate) fn design(text: &str) -> Design {
    let files = [
        File { path: "checks/kvm.yaml".into(), text: "".into() },
        File { path: "zone.hcl".into(), text: text.into() },
    ];
    let (design, findings) = design::parse(&files);
    design.unwrap_or_else(|| panic!("{text}\n{findings:#?}"))
}

/// What compiling it gives.
pub(crate) fn compile(text: &str) -> (Option<Plan>, Vec<Finding>) {
    crate::compile(design(text), None)
}

/// The plan of a text that compiles.
pub(crate) fn plan(text: &str) -> Plan {
    let (plan, findings) = compile(text);
    plan.unwrap_or_else(|| panic!("{text}\n{findings:#?}"))
}
