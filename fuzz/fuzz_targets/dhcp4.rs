//! Any datagram on the DHCP ports: read, answered from a small zone, relayed and stripped.
//!
//! The first octet says how it comes; the rest is the datagram. The checks are in `crates/answer/tests/dhcp/any_input.rs`,
//! their twin with a fixed seed is `robust.rs` beside it.

#![no_main]

#[path = "../../crates/answer/tests/dhcp/any_input.rs"]
mod any_input;
#[path = "../../crates/answer/tests/dhcp/zone.rs"]
#[expect(dead_code, reason = "the tests use the rest of the fixture")]
mod zone;

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

thread_local! {
    static ZONE: (model::View, RefCell<Vec<u8>>) = (zone::view(), RefCell::new(Vec::new()));
}

fuzz_target!(|data: &[u8]| {
    ZONE.with(|(view, out)| {
        any_input::check(view, data, &mut out.borrow_mut());
    });
});
