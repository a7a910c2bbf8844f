//! Any design file that reads: compiled to a plan, viewed, written as a document and read back.
//!
//! The checks, and their twin with a fixed seed, are in `crates/plan/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/plan/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| any_input::plan(text));
