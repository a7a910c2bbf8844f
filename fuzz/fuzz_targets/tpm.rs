//! What a peer shows of its TPM: public areas, quotes, signatures.
//!
//! The checks, and their twin with a fixed seed, are in `crates/tpm/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/tpm/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| any_input::tpm(data));
