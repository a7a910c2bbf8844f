//! Any iPXE script, as the lab's firmware runs it: it ends, and holds no more than a bounded amount.
//!
//! The checks, and their twin with a fixed seed, are in `crates/lab/src/firmware/script/any_input.rs`.

#![no_main]

#[path = "../../crates/lab/src/firmware/script/any_input.rs"]
#[allow(dead_code)]
mod any_input;
#[path = "../../crates/lab/src/firmware/script.rs"]
#[allow(dead_code)]
mod script;

use libfuzzer_sys::fuzz_target;
use script::{Fetching, Platform, Script, Step};

fuzz_target!(|data: &[u8]| any_input::boot_script(data));
