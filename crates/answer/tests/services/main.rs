//! DNS, TFTP and HTTP boot as a client sees them: a design is compiled, its view asked, the answers compared.
//!
//! Tests named `p09_…` and `p10_…` are items P9 and P10 of the conformance checklist.

mod any_input;
#[path = "../../../../fuzz/corpus.rs"]
#[expect(clippy::disallowed_methods, reason = "a corpus is a folder of files")]
mod corpus;
mod dns;
mod http;
#[path = "../../../../fuzz/spoil.rs"]
mod spoil;
mod tftp;
mod zone;
