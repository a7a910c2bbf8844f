//! DHCPv4 over packets: the conformance list C1–C25 and the PXE list P1–P12, a test for each item and named after it.
//!
//! P9 (TFTP) and P10 (HTTP) are tests of `answer::tftp` and `answer::http`; P12's own matter, DHCPv6, is not served.

mod client;
mod conformance;
mod examples;
mod pressed;
mod pxe;
mod robust;
mod words;
mod zone;
