//! Any Ethernet frame that the lab hears: dropped, or a datagram that is the same when written and read again.
//!
//! Its twin with a fixed seed is among the tests of `crates/lab/src/net/frame.rs`.

#![no_main]

#[path = "../../crates/lab/src/net/frame.rs"]
#[allow(dead_code)]
mod frame;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(datagram) = frame::decode_udp(data) {
        assert!(datagram.payload.len() <= data.len());
        assert_eq!(frame::decode_udp(&frame::encode_udp(&datagram)), Some(datagram), "what we write, we read");
    }
    if let Some(datagram) = frame::decode_udp6(data) {
        assert!(datagram.payload.len() <= data.len());
        assert_eq!(frame::decode_udp6(&frame::encode_udp6(&datagram)), Some(datagram), "what we write, we read");
    }
});
