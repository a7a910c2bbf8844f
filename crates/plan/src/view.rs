//! (Plan, Facts, Site) → View.

mod boot;
mod dhcp;
mod dns;

pub(crate) use dns::view as dns_view;

use model::view::Site;
use model::{Facts, Plan, View};
use std::sync::Arc;

/// Prepares what every protocol answers from. The same plan, facts and site give the same view on every replica.
pub fn view(plan: &Arc<Plan>, facts: &Facts, site: &Arc<Site>) -> View {
    View {
        generation: plan.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::view(plan, facts, site),
        dns: Arc::new(dns::view(plan)),
        boot: boot::view(plan, facts, site),
    }
}

/// The view of newer facts about the same plan: what facts do not touch is shared with `previous`, not made again.
pub fn refresh(previous: &View, facts: &Facts) -> View {
    let plan = &previous.plan;
    View {
        generation: previous.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::refresh(&previous.dhcp, plan, facts, &previous.boot.site),
        dns: Arc::clone(&previous.dns),
        boot: boot::view(plan, facts, &previous.boot.site),
    }
}
