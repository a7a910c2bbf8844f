//! The two orders in which the octets of a UUID are sent.

/// From the order of the SMBIOS table to that of documents, or back: the first three fields are little-endian there (SMBIOS 2.6
/// §7.2.1).
pub fn turned(mut uuid: [u8; 16]) -> [u8; 16] {
    uuid[0..4].reverse();
    uuid[4..6].reverse();
    uuid[6..8].reverse();
    uuid
}
