//! Any HTTP boot request: the first line is the path, three more are headers.
//!
//! The checks, and their twin with a fixed seed, are in `crates/answer/tests/services/any_input.rs`.

#![no_main]

#[path = "../../crates/answer/tests/services/any_input.rs"]
#[allow(dead_code)]
mod any_input;
#[path = "../../crates/answer/tests/services/zone.rs"]
#[allow(dead_code)]
mod zone;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static ZONE: model::View = zone::view();
}

fuzz_target!(|data: &[u8]| ZONE.with(|view| any_input::http(view, data)));
