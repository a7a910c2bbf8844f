//! What always holds of a BMC's words: the checks of the fuzz target `bmc`. Built for tests and fuzzing only.

use crate::address::{action, linked, path};
use crate::message::said;
use serde_json::Value;

/// A body, as any BMC, or who poses as one, may send it.
pub fn answer(octets: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(octets) else { return };
    let told = said(&body);
    assert!(!told.sentence.chars().any(char::is_control), "{:?}", told.sentence);
    // Four messages of three hundred letters and a mark each, and what stands between.
    assert!(told.sentence.chars().count() <= 4 * 302 && told.ids.len() <= 4);
    let links =
        [linked(&body), action(&body, "#ComputerSystem.Reset"), told.account, body.as_str().and_then(path)];
    for link in links.into_iter().flatten() {
        assert!(link.starts_with('/') && !link.starts_with("//"), "it leads to no other host: {link:?}");
        assert!(link.len() <= 1024 && link.bytes().all(|octet| octet.is_ascii_graphic()), "{link:?}");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/spoil.rs"]
mod spoil;

#[cfg(test)]
mod tests {
    #[test]
    fn with_a_fixed_seed() {
        let samples: Vec<Vec<u8>> = [
            r#"{"@odata.id":"/redfish/v1/Systems/1"}"#,
            r##"{"Actions":{"#ComputerSystem.Reset":{"target":"https://[fd00::1]/redfish/v1/Systems/1/Actions#x"}}}"##,
            r#"{"error":{"@Message.ExtendedInfo":[{"MessageId":"Base.1.8.PasswordChangeRequired","Message":"Change\u001b[31m it","MessageArgs":["//evil/redfish"]}]}}"#,
            r#"{"Messages":{"MessageId":"Base.Success","Message":"See ExtendedInfo"}}"#,
            r#""http://192.0.2.1/redfish""#,
        ]
        .map(|text| text.as_bytes().to_vec())
        .into();
        let pieces: [&[u8]; 9] =
            [b"//", b"://", b"#", b"\\u000a", b"\\u0085", b"[[[[[[[[", b"null", b"\"", b"\xc2\x9b"];
        super::spoil::spoil(&samples, &pieces, 40_000, super::answer);
    }
}
