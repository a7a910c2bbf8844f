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
        &expect!["be13f49aedac5b4bb37bfc2fd7f55c0805dd1938624236a3dccd0f0f35484010 of 31214 bytes"],
    );
    check(
        "hundred",
        &expect!["97807fca6ee5beb84ea308c09a9e54b73658f81650666c680cfb30bc0e4a7152 of 330287 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["7d50644e1e77eff1165cb39de2de7a362b899b31515fbb2b7a1e5eca20c4258f of 33381544 bytes"],
    );
    check(
        "wiring",
        &expect!["375853c5392c2672fc32f953fe38fc424ea46a5f8967492f8f809f185bb9f5e6 of 23366 bytes"],
    );
}
