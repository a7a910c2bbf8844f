//! The part of the view that dhcp is answered from.

/// See the module.
#[derive(Debug, Default)]
pub struct DhcpView {}
