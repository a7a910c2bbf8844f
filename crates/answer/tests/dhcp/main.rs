//! DHCPv4 over packets: the conformance list C1–C25 and the PXE list P1–P12, a test for each item and named after it.
//!
//! P9 (TFTP) and P10 (HTTP) are tests of `answer::tftp` and `answer::http`; P12, DHCPv6, is in `version6`, with every
//! message of RFC 8415.

mod any_input;
mod client;
mod conformance;
#[path = "../../../../fuzz/corpus.rs"]
#[expect(clippy::disallowed_methods, reason = "a corpus is a folder of files")]
mod corpus;
mod examples;
mod pressed;
mod pxe;
mod robust;
#[path = "../../../../fuzz/spoil.rs"]
mod spoil;
mod version6;
mod words;
mod zone;
