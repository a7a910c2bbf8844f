//! DNS, TFTP and HTTP boot as a client sees them: a design is compiled, its view asked, the answers compared.
//!
//! Tests named `p09_…` and `p10_…` are items P9 and P10 of the conformance checklist.

mod any_input;
mod dns;
mod http;
mod tftp;
mod zone;
