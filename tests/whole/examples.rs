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
        &expect!["e29d74ed034292643a26972d20f53623c286e9d2de728bf08ca6c240adac2eee of 31154 bytes"],
    );
    check(
        "hundred",
        &expect!["9c03db45e24305161ee96a4185278c639ea08cd73c0ef99f62c3babe2d9660b8 of 330212 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["5182f64f53ec5142a9c32d22d3eaf673278200abe6f6e6e3277e8447a5e94866 of 33381484 bytes"],
    );
    check(
        "wiring",
        &expect!["3470365970b4d3daf3b1e33512c9c104f42c3d4c66ea8d3c439ee1fc6331eedf of 23306 bytes"],
    );
}
