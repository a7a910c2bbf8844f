//! The part of the view that dhcp is answered from.

use model::view::{DhcpView, Site};
use model::{Facts, Plan};

/// Prepares it.
pub(super) fn view(_plan: &Plan, _facts: &Facts, _site: &Site) -> DhcpView {
    DhcpView::default()
}
