//! How many machines may be out at a time, and how changes go about it: the `budget` and `rollout` blocks.

use crate::report::Report;
use crate::size;
use crate::syntax::{Attribute, Block, Kind};
use crate::value::{self, wrong_value};
use model::change::Policy;
use model::design::{Budget, Role, Share};
use model::finding::{Code, Finding};
use model::ids::RoleId;
use std::collections::HashMap;

/// A wave is watched for so long at most, in seconds: a week.
const BAKE_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// A `budget` block.
pub(crate) fn read(
    report: &mut Report,
    block: &Block,
    name: String,
    role_ids: &HashMap<String, RoleId>,
    roles: &[Role],
) -> Budget {
    let mut budget = Budget {
        name,
        roles: Vec::new(),
        may_miss: Share::Count(1),
        per_pod: None,
        per_rack: None,
        source: block.head,
    };
    for named in block.get("roles").and_then(|attribute| value::texts(report, attribute)).unwrap_or_default()
    {
        match role_ids.get(&named.value) {
            Some(id) if budget.roles.contains(id) => {
                let sentence = format!("role `{}` is named twice", named.value);
                report.push(Finding::error(Code::WrittenTwice, named.source, sentence));
            }
            Some(id) => budget.roles.push(*id),
            None => {
                let known = roles.iter().map(|role| role.name.as_str());
                value::unknown_name(report, named.source, "role", &named.value, known);
            }
        }
    }
    if let Some(share) = block.get("may_miss").and_then(|attribute| share(report, attribute)) {
        budget.may_miss = share;
    }
    budget.per_pod = block.get("per_pod").and_then(|attribute| share(report, attribute));
    budget.per_rack = block.get("per_rack").and_then(|attribute| share(report, attribute));
    budget
}

/// `3` or `"10%"`.
fn share(report: &mut Report, attribute: &Attribute) -> Option<Share> {
    let key = &attribute.key.value;
    if matches!(attribute.value.kind, Kind::Integer(_)) {
        return value::integer(report, attribute, 0..=100_000).map(|count| Share::Count(count as u32));
    }
    let text = value::text(report, attribute)?;
    let percent = percent(&text.value).filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        let sentence = format!(
            "`{key}` is a number of machines, such as `3`, or a part of them, `\"1%\"` to `\"100%\"`"
        );
        wrong_value(report, text.source, sentence);
    }
    percent.map(Share::Percent)
}

fn percent(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.trim().parse().ok()
}

/// The `rollout` block, if there is one.
pub(crate) fn read_rollout(report: &mut Report, blocks: &[Block]) -> Policy {
    let mut policy = Policy::default();
    let mut rollouts = blocks.iter().filter(|block| block.kind.value == "rollout");
    let Some(block) = rollouts.next() else { return policy };
    for second in rollouts {
        report.push(
            Finding::error(Code::WrittenTwice, second.head, "a design has one `rollout`")
                .related(block.head, "it is written here"),
        );
    }
    if let Some(text) = block.get("bake").and_then(|attribute| value::text(report, attribute)) {
        match size::seconds(&text.value).filter(|seconds| *seconds <= BAKE_SECONDS_MAX) {
            Some(seconds) => policy.bake_seconds = seconds as u32,
            None => wrong_value(report, text.source, "`bake` is a time up to `7d`, such as `10m`"),
        }
    }
    if let Some(text) = block.get("tolerate").and_then(|attribute| value::text(report, attribute)) {
        match percent(&text.value).filter(|percent| *percent <= 50) {
            Some(percent) => policy.tolerate_percent = percent,
            None => wrong_value(
                report,
                text.source,
                "`tolerate` is a part of the machines, `\"0%\"` to `\"50%\"`",
            ),
        }
    }
    policy
}
