//! GUID partition tables (UEFI specification 2.10, chapter 5): partitions in, the octets of both ends of a disk out.

/// Octets of all entries: 128 of 128, which the specification asks for at least.
const ENTRIES: usize = 128 * 128;
const ENTRY: usize = 128;
/// The entry's name, in code units of UTF-16.
const NAME_MAX: usize = 36;

/// A GUID as it lies on disk: its first three groups have their octets turned round.
pub(super) type Guid = [u8; 16];

/// 21686148-6449-6E6F-744E-656564454649: where GRUB lies for a BIOS.
pub(super) const BIOS_BOOT: Guid = *b"Hah!IdontNeedEFI";
/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
pub(super) const ESP: Guid =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
/// E6D6D379-F507-44C2-A23C-238F2A3DF928: LVM.
pub(super) const LVM: Guid =
    [0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28];
/// A19D880F-05FC-4D3B-A006-743F0F84911E: Linux software RAID.
pub(super) const RAID: Guid =
    [0x0f, 0x88, 0x9d, 0xa1, 0xfc, 0x05, 0x3b, 0x4d, 0xa0, 0x06, 0x74, 0x3f, 0x0f, 0x84, 0x91, 0x1e];

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Partition {
    pub kind: Guid,
    /// Its own.
    pub id: Guid,
    /// Its first block.
    pub first: u64,
    /// Its last block.
    pub last: u64,
    pub name: &'static str,
}

/// What is written to a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    /// From the first octet of the disk: protective MBR, header, entries.
    pub primary: Vec<u8>,
    /// To the last octet of the disk: entries, header.
    pub backup: Vec<u8>,
}

/// Blocks that partitions may use, first and last, of a disk of `blocks` blocks of `block` octets.
pub(super) fn usable(block: u64, blocks: u64) -> (u64, u64) {
    let entries = (ENTRIES as u64).div_ceil(block);
    (2 + entries, blocks.saturating_sub(2 + entries))
}

/// A random GUID (RFC 9562, version 4) of these octets.
pub(super) fn guid(random: [u64; 2]) -> Guid {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&random[0].to_ne_bytes());
    octets[8..].copy_from_slice(&random[1].to_ne_bytes());
    // The version stands in the third group, which is turned round.
    octets[7] = octets[7] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    octets
}

/// The table of a disk of `blocks` blocks of `block` octets. At most 128 partitions, inside [`usable`].
pub(super) fn table(disk: Guid, block: u64, blocks: u64, partitions: &[Partition]) -> Table {
    let mut entries = vec![0; ENTRIES];
    for (entry, partition) in entries.chunks_exact_mut(ENTRY).zip(partitions) {
        entry[..16].copy_from_slice(&partition.kind);
        entry[16..32].copy_from_slice(&partition.id);
        entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
        entry[40..48].copy_from_slice(&partition.last.to_le_bytes());
        for (at, unit) in partition.name.encode_utf16().take(NAME_MAX).enumerate() {
            entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
        }
    }
    let size = usize::try_from(block).unwrap_or(512);
    let last = blocks - 1;
    let entry_blocks = (ENTRIES as u64).div_ceil(block);
    let header = |own: u64, other: u64, entries_at: u64| {
        let (first_usable, last_usable) = usable(block, blocks);
        let mut header = vec![0; size];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        for (at, value) in [(24, own), (32, other), (40, first_usable), (48, last_usable), (72, entries_at)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].copy_from_slice(&disk);
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };
    let mut whole_entries = entries.clone();
    whole_entries.resize(usize::try_from(entry_blocks).unwrap_or(0) * size, 0);
    let mut primary = protective_mbr(blocks);
    primary.resize(size, 0);
    primary.extend(header(1, last, 2));
    primary.extend(&whole_entries);
    let mut backup = whole_entries;
    backup.extend(header(last, 1, last - entry_blocks));
    Table { primary, backup }
}

/// One partition of type EE over all of the disk, for programs that know no GPT (5.2.3).
fn protective_mbr(blocks: u64) -> Vec<u8> {
    let mut mbr = vec![0; 512];
    let size = u32::try_from(blocks - 1).unwrap_or(u32::MAX);
    mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&size.to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

/// CRC-32 as in Ethernet (ISO 3309).
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0_u32, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_one_that_everybody_computes() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn both_ends_name_each_other() {
        let esp = Partition { kind: ESP, id: guid([1, 2]), first: 2048, last: 4095, name: "EFI system" };
        let table = table(guid([3, 4]), 512, 20_000, &[esp]);
        assert_eq!((table.primary.len(), table.backup.len()), (34 * 512, 33 * 512));
        let number =
            |octets: &[u8], at: usize| u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight"));
        let (first, last) = (&table.primary[512..1024], &table.backup[32 * 512..]);
        assert_eq!((number(first, 24), number(first, 32), number(first, 72)), (1, 19_999, 2));
        assert_eq!((number(last, 24), number(last, 32), number(last, 72)), (19_999, 1, 19_967));
        assert_eq!((number(first, 40), number(first, 48)), (34, 19_966));
        assert_eq!(table.primary[1024..], table.backup[..32 * 512], "the entries");
        // Blocks of 4096 octets: the entries fill four.
        assert_eq!(usable(4096, 20_000), (6, 19_994));
    }
}
