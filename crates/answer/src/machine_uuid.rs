//! SMBIOS UUIDs as firmware sends them, and which of them tell one machine from another.

use model::facts::Stage;
use wire::uuid::turned;

/// What boards have that were never given one of their own: nothing, all ones (SMBIOS 3.6 §7.2.1), and the one in AMI's sample
/// code, which left many a factory as it was. Two machines with the same are not one machine.
const NOT_OF_ONE: [[u8; 16]; 3] = [
    [0; 16],
    [0xff; 16],
    [0x03, 0x00, 0x02, 0x00, 0x04, 0x00, 0x05, 0x00, 0x00, 0x06, 0x00, 0x07, 0x00, 0x08, 0x00, 0x09],
];

/// The UUID, if it is one machine's alone.
pub(crate) fn of_one(uuid: [u8; 16]) -> Option<[u8; 16]> {
    (!NOT_OF_ONE.contains(&uuid)).then_some(uuid)
}

/// The UUID of a DUID as documents write it. EDK2 (OVMF 2022.11) copies it from the SMBIOS table, where the first three fields are
/// little-endian; RFC 6355 §4 has them in network order, and so iPXE and operating systems send them.
pub(crate) fn of_duid(uuid: [u8; 16], stage: Stage) -> Option<[u8; 16]> {
    match stage {
        Stage::UefiPxe | Stage::UefiHttp => of_one(turned(uuid)),
        _ => of_one(uuid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_boards_share_is_nobodys() {
        let own =
            [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00];
        assert_eq!(of_one(own), Some(own));
        for shared in NOT_OF_ONE {
            assert_eq!(of_one(shared), None);
        }
        assert_eq!(of_duid([0; 16], Stage::UefiPxe), None);
    }

    #[test]
    fn firmware_and_what_it_starts_tell_the_same() {
        let canonical =
            [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00];
        let of_edk2 =
            [0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00];
        for (stage, sent) in [
            (Stage::UefiPxe, of_edk2),
            (Stage::UefiHttp, of_edk2),
            (Stage::Ipxe, canonical),
            (Stage::Os, canonical),
        ] {
            assert_eq!(of_duid(sent, stage), Some(canonical), "{stage:?}");
        }
    }
}
