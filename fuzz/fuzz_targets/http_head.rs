//! Any octets on a connection to HTTP boot: requests in a row, and the heads of their replies.
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
    static ZONE: (model::View, RefCell<Vec<u8>>) = (zone::view(), RefCell::new(Vec::new()));
}

fuzz_target!(|data: &[u8]| ZONE.with(|(view, out)| any_input::http_head(view, data, &mut out.borrow_mut())));
