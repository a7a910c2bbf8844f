//! The part of the view that dns is answered from.

/// See the module.
#[derive(Debug, Default)]
pub struct DnsView {}
