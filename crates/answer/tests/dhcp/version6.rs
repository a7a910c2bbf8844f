//! DHCPv6: every message in every state that a place can be in, and every port that a relay can name.

mod boot;
mod client;
mod identity;
mod messages;
pub(crate) mod robust;
