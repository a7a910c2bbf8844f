//! What a BMC answers: its messages and links.
//!
//! The checks, and their twin with a fixed seed, are in `crates/bmc/src/fuzzing.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bmc::fuzzing::answer(data));
