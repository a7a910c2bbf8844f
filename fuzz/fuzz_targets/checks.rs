//! Any file of checks: problems at its lines, or checks that each assert something.
//!
//! The checks, and their twin with a fixed seed, are in `crates/agent/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/agent/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| any_input::checks(text));
