//! What a machine of the lab says it is: hardware addresses, UUID, serial. Pure.
//!
//! All follow from the location and from how often the machine there was replaced, so that two runs of one design show
//! the same hardware, and a replacement shows other.

use model::Mac;

/// A port's hardware address: locally administered, unicast.
pub(crate) fn mac(location: &str, replaced: u32, port: &str) -> Mac {
    let [.., a, b, c, d, e, f] = hash(&[location, &replaced.to_string(), "mac", port]).to_be_bytes();
    Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
}

/// The SMBIOS UUID, version 8 (RFC 9562 §5.8: made by a rule of our own).
pub(crate) fn uuid(location: &str, replaced: u32) -> [u8; 16] {
    let replaced = replaced.to_string();
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&hash(&[location, &replaced, "uuid", "high"]).to_be_bytes());
    uuid[8..].copy_from_slice(&hash(&[location, &replaced, "uuid", "low"]).to_be_bytes());
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}

/// A UUID as text.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, octet) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{octet:02x}"));
    }
    text
}

/// The serial number on the label.
pub(crate) fn serial(location: &str, replaced: u32) -> String {
    format!("LAB{:010X}", hash(&[location, &replaced.to_string(), "serial"]) >> 24)
}

/// FNV-1a with a final mix (the last steps of MurmurHash3): enough to spread names; nothing here is secret.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for octet in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_replacement_shows_other_hardware_and_the_same_machine_the_same() {
        let here = "lab1/p01/r1/u01";
        assert_eq!(mac(here, 0, "eno1"), mac(here, 0, "eno1"));
        assert_ne!(mac(here, 0, "eno1"), mac(here, 1, "eno1"));
        assert_ne!(uuid(here, 0), uuid(here, 1));
        assert_ne!(serial(here, 0), serial(here, 1));
    }

    #[test]
    fn addresses_are_local_unicast_and_do_not_collide_in_a_zone_larger_than_a_lab() {
        let mut seen = HashSet::new();
        for pod in 0..20 {
            for unit in 0..320 {
                for port in ["eno1", "eno2", "bmc"] {
                    let mac = mac(&format!("ams1/p{pod:02}/r1/u{unit:03}"), 0, port);
                    assert_eq!(mac.0[0] & 3, 2, "{mac}");
                    assert!(seen.insert(mac), "{mac} twice");
                }
            }
        }
    }

    #[test]
    fn a_uuid_is_a_version_8_uuid() {
        let text = uuid_text(&uuid("lab1/p01/r1/u01", 0));
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "8");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }
}
