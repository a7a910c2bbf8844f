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
        &expect!["2e55dd3d8d60ded51d6f542e2412a4450e04fd56d47c55f2beb199323fd408cd of 31376 bytes"],
    );
    check(
        "metal",
        &expect!["5af989b3f63eb5720db93186847c70b942b8874b6b2acfe4400ecf1f5477f333 of 8477 bytes"],
    );
    check(
        "hundred",
        &expect!["0a1e1e9a98a52da2ae3be03b19f100f4938b3cf3d9846c83ef5b119a7157cf83 of 330871 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["c112ef637a5a4c379d2c0b82e3c177bc04b6f43689371497aec9cf8e268c30c3 of 33381851 bytes"],
    );
    check(
        "wiring",
        &expect!["3fb32152b332dca5d0992c6dc68fa70f47363578dc5366489d221a50903aed59 of 23392 bytes"],
    );
}
