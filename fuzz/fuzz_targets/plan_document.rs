//! Any plan document: refused, or written as it was read, and compared with itself and with nothing.
//!
//! The checks, and their twin with a fixed seed, are in `crates/plan/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/plan/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_input::plan_document(bytes));
