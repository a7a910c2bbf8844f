//! Any stream between agent and controller: frames that encode to themselves, however the stream is cut.
//!
//! The checks, and their twin with a fixed seed, are in `crates/api/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/api/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| any_input::agent_frames(data));
