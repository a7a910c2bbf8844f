//! What the installer reads and nobody has proved: the head of an HTTP reply, and GRUB's environment on a disk.
//!
//! The checks, and their twin with a fixed seed, are in `crates/agent/src/fuzzing.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| agent::fuzzing::installer(data));
