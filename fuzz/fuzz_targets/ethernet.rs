//! Any Ethernet frame that the lab hears: dropped, or a datagram that is the same when written and read again.
//!
//! Its twin with a fixed seed is among the tests of `crates/lab/src/net/frame.rs`.

#![no_main]

#[path = "../../crates/lab/src/net/frame.rs"]
#[allow(dead_code)]
mod frame;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(datagram) = frame::decode_udp(data) else { return };
    assert!(datagram.payload.len() <= data.len());
    assert_eq!(frame::decode_udp(&frame::encode_udp(&datagram)), Some(datagram), "what we write, we read");
});
