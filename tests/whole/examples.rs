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
        &expect!["1de117eb1d208608094980a0484d95c45ff0fb78dcbc1a078762d5dc025ca191 of 31264 bytes"],
    );
    check(
        "metal",
        &expect!["a6ca37c6b8a0648d90e499eb1e94b208d758c7d2078c42e4bf61730cca34eb7b of 8358 bytes"],
    );
    check(
        "hundred",
        &expect!["f9a5c0b228a9e71f5dfac1cb007d5a64535cb126216e2ee024ed6c8f521dd6d4 of 330647 bytes"],
    );
    check(
        "ten-thousand",
        &expect!["5c8ea0e99978a75d429e33c8cc9f57d75902a98b1c01f494d81a4c53459f4c10 of 33381739 bytes"],
    );
    check(
        "wiring",
        &expect!["3fb32152b332dca5d0992c6dc68fa70f47363578dc5366489d221a50903aed59 of 23392 bytes"],
    );
}
