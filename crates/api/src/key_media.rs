//! The virtual CD by which a BMC hands its machine half of a token: ISO 9660 (ECMA-119) with one short file.
//!
//! A listener to the machines' network may hear the one half, a listener to the BMCs' the other; the token is made of both. Controller and
//! agent know where on the CD everything is, so that an agent needs no file system; for people, and for BMCs that look,
//! it is an ordinary CD.

use sha2::{Digest, Sha256};

/// Octets of a sector.
pub const SECTOR: usize = 2048;
/// Octets of the whole CD.
pub const SIZE: usize = 32 * SECTOR;
/// Where its volume descriptor is, a sector long (ECMA-119 §6.7.1: sector 16).
pub const DESCRIPTOR_AT: u64 = 16 * SECTOR as u64;
/// Where its file is, a sector long.
pub const FILE_AT: u64 = FILE as u64 * SECTOR as u64;

const DESCRIPTOR: u32 = 16;
const TERMINATOR: u32 = 17;
const PATHS_LITTLE: u32 = 18;
const PATHS_BIG: u32 = 19;
const ROOT: u32 = 20;
const FILE: u32 = 21;
/// Octets of a path table that has the root alone.
const PATHS_LENGTH: u32 = 10;
const NAME: &[u8] = b"KEY.TXT;1";
/// What the file begins with.
const MARK: &str = "Zonewright: half of a token\n";
const VOLUME_MAX: usize = 32;
const DIRECTORY_FLAG: u8 = 2;

/// The CD of this name, of capital letters, digits and `_`, 32 at most.
pub fn image(volume: &str, half: &[u8; 32]) -> Vec<u8> {
    let file = format!("{MARK}{}\n", crate::agent::Octets(half.to_vec()));
    let length = u32::try_from(file.len()).unwrap_or_default();
    let root = record(b"\0", ROOT, SECTOR as u32, DIRECTORY_FLAG);
    let mut image = vec![0; SIZE];
    let mut at = |sector: u32, offset: usize, octets: &[u8]| {
        let from = sector as usize * SECTOR + offset;
        if let Some(place) = image.get_mut(from..from + octets.len()) {
            place.copy_from_slice(octets);
        }
    };
    // §8.4, primary volume descriptor. Texts are filled with spaces, dates that are not told are zeros in ASCII (§8.4.26.1).
    at(DESCRIPTOR, 0, b"\x01CD001\x01");
    at(DESCRIPTOR, 8, &[b' '; 64]);
    at(DESCRIPTOR, 40, volume.as_bytes().get(..volume.len().min(VOLUME_MAX)).unwrap_or_default());
    at(DESCRIPTOR, 80, &both(SIZE as u32 / SECTOR as u32));
    at(DESCRIPTOR, 120, &both16(1));
    at(DESCRIPTOR, 124, &both16(1));
    at(DESCRIPTOR, 128, &both16(SECTOR as u16));
    at(DESCRIPTOR, 132, &both(PATHS_LENGTH));
    at(DESCRIPTOR, 140, &PATHS_LITTLE.to_le_bytes());
    at(DESCRIPTOR, 148, &PATHS_BIG.to_be_bytes());
    at(DESCRIPTOR, 156, &root);
    at(DESCRIPTOR, 190, &[b' '; 623]);
    for date in 0..4 {
        at(DESCRIPTOR, 813 + date * 17, &[b'0'; 16]);
    }
    at(DESCRIPTOR, 881, &[1]);
    at(TERMINATOR, 0, b"\xffCD001\x01");
    // §9.4, path tables: the root is its own parent.
    at(PATHS_LITTLE, 0, &[1, 0]);
    at(PATHS_LITTLE, 2, &ROOT.to_le_bytes());
    at(PATHS_LITTLE, 6, &1u16.to_le_bytes());
    at(PATHS_BIG, 0, &[1, 0]);
    at(PATHS_BIG, 2, &ROOT.to_be_bytes());
    at(PATHS_BIG, 6, &1u16.to_be_bytes());
    at(ROOT, 0, &root);
    at(ROOT, root.len(), &record(b"\x01", ROOT, SECTOR as u32, DIRECTORY_FLAG));
    at(ROOT, 2 * root.len(), &record(NAME, FILE, length, 0));
    at(FILE, 0, file.as_bytes());
    image
}

/// What a CD is called whose volume descriptor this is.
pub fn volume(descriptor: &[u8]) -> Option<&str> {
    if descriptor.get(..7)? != b"\x01CD001\x01" {
        return None;
    }
    std::str::from_utf8(descriptor.get(40..40 + VOLUME_MAX)?).ok().map(str::trim_end)
}

/// The half that is in the sector of the file.
pub fn half(file: &[u8]) -> Option<[u8; 32]> {
    let digits = file.strip_prefix(MARK.as_bytes())?.get(..64)?;
    let octets: crate::agent::Octets = std::str::from_utf8(digits).ok()?.parse().ok()?;
    octets.0.try_into().ok()
}

/// The token of both halves: what was told, and what was handed over.
pub fn token(told: &[u8; 32], handed: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix(MARK).chain_update(told).chain_update(handed).finalize().into()
}

/// §9.1, directory record. A name of even length is followed by a zero.
fn record(name: &[u8], sector: u32, length: u32, flags: u8) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both(sector));
    record.extend(both(length));
    record.extend([0; 7]);
    record.extend([flags, 0, 0]);
    record.extend(both16(1));
    record.push(u8::try_from(name.len()).unwrap_or_default());
    record.extend(name);
    record.resize(record.len().next_multiple_of(2), 0);
    record[0] = u8::try_from(record.len()).unwrap_or_default();
    record
}

/// §7.3.3: a number of 32 bits in both orders.
fn both(number: u32) -> [u8; 8] {
    let mut octets = [0; 8];
    octets[..4].copy_from_slice(&number.to_le_bytes());
    octets[4..].copy_from_slice(&number.to_be_bytes());
    octets
}

/// §7.2.3: a number of 16 bits in both orders.
fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn sector(image: &[u8], at: u64) -> &[u8] {
        &image[at as usize..at as usize + SECTOR]
    }

    #[test]
    fn what_is_written_is_read() {
        let image = image("ZW_0123456789ABCDEF", &[0xa7; 32]);
        assert_eq!(image.len(), SIZE);
        assert_eq!(volume(sector(&image, DESCRIPTOR_AT)), Some("ZW_0123456789ABCDEF"));
        assert_eq!(half(sector(&image, FILE_AT)), Some([0xa7; 32]));
    }

    #[test]
    fn what_is_no_cd_of_ours_is_nothing() {
        let image = image("ZW_1", &[7; 32]);
        for end in 0..SECTOR {
            let descriptor = &sector(&image, DESCRIPTOR_AT)[..end];
            assert_eq!(volume(descriptor).is_some(), end >= 72, "{end}");
            assert_eq!(half(&sector(&image, FILE_AT)[..end]).is_some(), end >= MARK.len() + 64, "{end}");
        }
        assert_eq!((volume(&[0xff; SECTOR]), half(&[0xff; SECTOR])), (None, None));
    }

    #[test]
    fn a_token_is_of_both_halves() {
        let tokens = [token(&[1; 32], &[2; 32]), token(&[2; 32], &[1; 32]), token(&[1; 32], &[3; 32])];
        assert!(tokens[0] != tokens[1] && tokens[0] != tokens[2]);
    }

    /// GRUB's own reading of file systems is the judge.
    #[test]
    fn others_read_it_as_a_cd() {
        let path = std::env::temp_dir().join(format!("zw-key-{}.iso", std::process::id()));
        std::fs::write(&path, image("ZW_0123456789ABCDEF", &[0xa7; 32])).expect("written");
        let read = |words: &[&str]| {
            let done = std::process::Command::new("grub-fstest").arg(&path).args(words).output().ok()?;
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Some(String::from_utf8_lossy(&done.stdout).into_owned())
        };
        let outcome = read(&["cat", "(loop0)/key.txt"]).zip(read(&["ls", "(loop0)/"]));
        let _ = std::fs::remove_file(&path);
        let Some((file, listed)) = outcome else {
            let words = "skipped: grub-fstest is not installed (`cargo xtask packages` does it)";
            let _ = writeln!(std::io::stderr(), "{words}");
            return;
        };
        assert_eq!(file, format!("{MARK}{}\n", "a7".repeat(32)));
        assert!(listed.contains("key.txt"), "{listed}");
    }
}
