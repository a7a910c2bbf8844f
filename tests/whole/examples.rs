//! The examples' whole plans, byte for byte: the same design gives the same bytes on any machine.
//!
//! The transcripts of `tests/cases` show a screen of each; this holds the rest. When a plan changes on purpose,
//! `UPDATE_EXPECT=1` writes the digests anew, and the change is one that renumbers somebody's zone: say so.

use crate::zw;
use expect_test::{Expect, expect};
use sha2::Digest as _;

fn check(example: &str, expected: &Expect) {
    let output = zw::zw(&zw::root())
        .args(["plan", &format!("examples/{example}"), "--json"])
        .output()
        .expect("zw runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = sha2::Sha256::digest(&output.stdout);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    expected.assert_eq(&format!("{digest} of {} bytes", output.stdout.len()));
}

#[test]
fn every_example_compiles_to_the_bytes_it_compiled_to() {
    check(
        "pocket",
        &expect!["7d68f72de2cdc37f915ebf21549e701039d838f9afa1523d70de38e179dcd207 of 31387 bytes"],
    );
    check(
        "metal",
        &expect!["7b119a9351a02967c774b5be54f65f90d70f7e821d3ad17f016da78221f3e7c6 of 8488 bytes"],
    );
    check(
        "hundred",
        &expect!["51ca4f36b778a23171493826d8a5a9ad165333ea383fdf5c002d96cdf99fc371 of 330893 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["f4bc53852e318fe603c7bde8f89f916b05b66cbeb26cc6f76f898bd098bc8c5f of 33381862 bytes"],
    );
    check(
        "wiring",
        &expect!["3fb32152b332dca5d0992c6dc68fa70f47363578dc5366489d221a50903aed59 of 23392 bytes"],
    );
}
