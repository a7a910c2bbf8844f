//! (Plan, Facts, Site) → View.

mod boot;
mod dhcp;
mod dns;

use model::view::Site;
use model::{Facts, Plan, View};
use std::sync::Arc;

/// Prepares what every protocol answers from. The same plan, facts and site give the same view on every replica.
pub fn view(plan: &Arc<Plan>, facts: &Facts, site: &Arc<Site>) -> View {
    View {
        generation: plan.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::view(plan, facts, site),
        dns: dns::view(plan, facts),
        boot: boot::view(plan, facts, site),
    }
}
