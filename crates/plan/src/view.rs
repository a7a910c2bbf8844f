//! (Plan, Facts) → View.

mod boot;
mod dhcp;
mod dns;

use model::{Facts, Plan, View};
use std::sync::Arc;

/// Prepares what every protocol answers from. The same plan and facts give the same view on every replica.
pub fn view(plan: &Arc<Plan>, facts: &Facts) -> View {
    View {
        generation: plan.generation,
        plan: Arc::clone(plan),
        dhcp: dhcp::view(plan, facts),
        dns: dns::view(plan, facts),
        boot: boot::view(plan, facts),
    }
}
