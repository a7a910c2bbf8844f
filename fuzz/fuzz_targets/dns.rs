//! Any DNS packet: read, answered from a small zone that has changed once, over both transports, every reply read back.
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
use std::cell::RefCell;

thread_local! {
    static ZONE: (model::View, RefCell<Vec<u8>>) = (zone::view_renamed(), RefCell::new(Vec::new()));
}

fuzz_target!(|data: &[u8]| ZONE.with(|(view, out)| any_input::dns(view, data, &mut out.borrow_mut())));
