//! Any design file: read, told about, formatted, and read again as the same design.
//!
//! The checks, and their twin with a fixed seed, are in `crates/design/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/design/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| any_input::design(text));
