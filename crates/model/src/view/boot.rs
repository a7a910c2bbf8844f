//! The part of the view that boot is answered from.

/// See the module.
#[derive(Debug, Default)]
pub struct BootView {}
