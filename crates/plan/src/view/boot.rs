//! The part of the view that boot is answered from.

use model::view::BootView;
use model::{Facts, Plan};

/// Prepares it.
pub(super) fn view(_plan: &Plan, _facts: &Facts) -> BootView {
    BootView::default()
}
