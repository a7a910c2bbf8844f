//! DHCP as a client: for the network of a machine that has no system yet, and for the firmware that the lab plays.

mod client;
mod client6;
pub(crate) mod frame;

pub use client::{Accepts, Client, Destination, Lease, Persona};
pub(crate) use client6::{Client6, Lease6};
