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
        &expect!["0332f28d0798aff801e7ab9f524daaa2eb13869aff76579e7cc91bf4a3ff9c0d of 31349 bytes"],
    );
    check(
        "metal",
        &expect!["5870298439331aed9607363269b859b583ce4510e511f54f9c452683388f3062 of 8443 bytes"],
    );
    check(
        "hundred",
        &expect!["adde0c37e101ec519d1868f86cce40e2aee26f1146599f7aa625294f0efb7c67 of 330817 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["0c8b9f51df4c6ace62bfe65b851941b8e7cb4029e0b9595ab3c60a730b4e8b8c of 33381824 bytes"],
    );
    check(
        "wiring",
        &expect!["3fb32152b332dca5d0992c6dc68fa70f47363578dc5366489d221a50903aed59 of 23392 bytes"],
    );
}
