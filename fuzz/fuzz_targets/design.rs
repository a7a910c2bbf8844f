//! Any design file: read, told about, formatted, and read again as the same design.
//!
//! The checks, and their twin with a fixed seed, are in `crates/design/tests/any_input.rs`.

#![no_main]

#[path = "../../crates/design/tests/any_input.rs"]
#[allow(dead_code)]
mod any_input;

use libfuzzer_sys::{Corpus, fuzz_target};
use std::time::{Duration, Instant};

/// Most files take a tenth of it.
const SLOW: Duration = Duration::from_micros(400);

fuzz_target!(|text: &str| -> Corpus {
    let began = Instant::now();
    any_input::design(text);
    // A few letters can draw thousands of devices. That is looked at, but nothing is made of it: all of its kind would be as slow.
    if began.elapsed() > SLOW { Corpus::Reject } else { Corpus::Keep }
});
