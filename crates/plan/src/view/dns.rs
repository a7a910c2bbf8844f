//! The part of the view that dns is answered from.

use model::view::DnsView;
use model::{Facts, Plan};

/// Prepares it.
pub(super) fn view(_plan: &Plan, _facts: &Facts) -> DnsView {
    DnsView::default()
}
