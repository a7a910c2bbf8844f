//! Any wiring file: read as the cabling of a small zone that stands; a port holds one plug.
//!
//! The checks are in `crates/design/src/fuzzing.rs`, their twin with a fixed seed in `crates/design/src/tests/wiring.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| design::fuzzing::wiring(text));
