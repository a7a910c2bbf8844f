//! Any LLDP data unit: refused, or a neighbour in printable words of bounded length.
//!
//! The checks, and their twin with a fixed seed, are in `crates/agent/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/agent/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| any_input::lldp(octets));
