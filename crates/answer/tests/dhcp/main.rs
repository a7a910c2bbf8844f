//! DHCPv4 over packets: the conformance list C1–C25 and the PXE list P1–P12, a test for each item and named after it.
//!
//! P9 (TFTP) and P10 (HTTP) are tests of `answer::tftp` and `answer::http`; P12, DHCPv6, is in `version6`, with every
//! message of RFC 8415.

mod client;
mod conformance;
mod examples;
mod pressed;
mod pxe;
mod robust;
mod version6;
mod words;
mod zone;
