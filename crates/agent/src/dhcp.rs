//! DHCP as a client: for the network of a machine that has no system yet, and for the firmware that the lab plays.

mod client;
pub(crate) mod frame;

pub use client::{Accepts, Client, Destination, Lease, Persona};
