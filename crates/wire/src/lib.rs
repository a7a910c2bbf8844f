//! Bytes ↔ typed messages of the protocols that machines speak when they wake up.
//!
//! It knows nothing of zones, and never panics or allocates without bound whatever the input.

pub mod dhcp4;
pub mod dhcp6;
pub mod dns;
pub mod tftp;
pub mod uuid;
