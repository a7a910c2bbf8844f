//! Secrets that are unreadable without a key that lies beside the file: what is copied with the database alone, by a backup or
//! in a support case, is worth nothing. Who can read the whole state directory can read them.
//!
//! AES-256-GCM with a random nonce for each; the name is authenticated along, so that one machine's secret cannot be put in
//! another's place.

use crate::error::OpenError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The key's file name in the state directory.
pub const KEY_FILE: &str = "secrets.key";
/// What it is called while it is copied.
const PART_FILE: &str = "secrets.key.part";
/// Octets of a key.
const KEY_LENGTH: usize = 32;
/// Octets of a nonce, which stand before what is sealed.
const NONCE_LENGTH: usize = 12;

/// Seals and unseals.
pub struct Key(RandomizedNonceKey);

/// What became of something sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsealed {
    /// It is this.
    Plain(Vec<u8>),
    /// It was sealed with another key or under another name, or is damaged.
    Foreign,
}

impl Key {
    /// Opens the key in the state directory, or makes one (mode 0600).
    pub fn open_or_make(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(KEY_FILE);
        let failed = |source| OpenError::Directory { path: path.clone(), source };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let octets = match made {
            Ok(mut file) => {
                let mut octets = [0; KEY_LENGTH];
                let random = aws_lc_rs::rand::fill(&mut octets);
                random.map_err(|_| failed(std::io::Error::other("the system has no random numbers")))?;
                file.write_all(&octets).and_then(|()| file.sync_all()).map_err(failed)?;
                // The name too must survive a power cut: secrets are sealed with it from now on.
                std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
                octets.to_vec()
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => read(&path).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        let key = RandomizedNonceKey::new(&AES_256_GCM, &octets).map_err(|_| OpenError::NotAStore {
            path: path.clone(),
            detail: format!("a key has {KEY_LENGTH} octets, this has not"),
        })?;
        Ok(Self(key))
    }

    /// Makes `plain` unreadable; `None` if the system has no random numbers.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name), &mut sealed).ok()?;
        Some([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Reads what was sealed under this name.
    pub fn unseal(&self, name: &str, sealed: &[u8]) -> Unsealed {
        let Some((nonce, sealed)) = sealed.split_at_checked(NONCE_LENGTH) else { return Unsealed::Foreign };
        let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else { return Unsealed::Foreign };
        let mut sealed = sealed.to_vec();
        match self.0.open_in_place(nonce, Aad::from(name), &mut sealed) {
            Ok(plain) => Unsealed::Plain(plain.to_vec()),
            Err(_) => Unsealed::Foreign,
        }
    }
}

/// Copies the key of one state directory into another, to which the zone is to be moved. It is there whole and for good when this returns.
///
/// # Errors
/// It cannot be read or written; or another is there already, which could unseal nothing of this zone: that one is left alone.
pub fn carry_key(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |path: PathBuf| move |source| OpenError::Directory { path, source };
    let (here, there, part) = (from.join(KEY_FILE), to.join(KEY_FILE), to.join(PART_FILE));
    let key = read(&here).map_err(failed(here.clone()))?;
    match read(&there) {
        Ok(known) if known == key => return Ok(()),
        Ok(_) => {
            let why = format!("another key is there than {}; move it away", here.display());
            return Err(failed(there)(io::Error::other(why)));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(there)(error)),
    }
    let write = || {
        // What a copy left that was cut off.
        let _ = fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&part, &there)?;
        File::open(to)?.sync_all()
    };
    write().map_err(failed(there.clone()))
}

/// A key's file; a little more of one that is longer.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.take(KEY_LENGTH as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("zw-sealed-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    #[test]
    fn what_is_sealed_is_read_with_the_same_key_under_the_same_name_only() {
        let (ours, theirs) = (directory("ours"), directory("theirs"));
        let key = Key::open_or_make(&ours).expect("made");
        let sealed = key.seal("bmc/a", b"a password").expect("sealed");
        assert!(!sealed.windows(4).any(|window| b"a password".windows(4).any(|plain| plain == window)));
        assert_ne!(key.seal("bmc/a", b"a password"), Some(sealed.clone()), "no two are alike");
        let again = Key::open_or_make(&ours).expect("opened");
        assert_eq!(again.unseal("bmc/a", &sealed), Unsealed::Plain(b"a password".to_vec()));
        assert_eq!(again.unseal("bmc/b", &sealed), Unsealed::Foreign);
        let other = Key::open_or_make(&theirs).expect("made");
        assert_eq!(other.unseal("bmc/a", &sealed), Unsealed::Foreign);
        for damaged in [&sealed[..sealed.len() - 1], &sealed[..5], &[]] {
            assert_eq!(key.unseal("bmc/a", damaged), Unsealed::Foreign);
        }
        let mode = std::fs::metadata(ours.join(KEY_FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_never_replaced() {
        let directory = directory("damaged");
        std::fs::write(directory.join(KEY_FILE), b"short").expect("written");
        assert!(matches!(Key::open_or_make(&directory), Err(OpenError::NotAStore { .. })));
        assert_eq!(std::fs::read(directory.join(KEY_FILE)).expect("read"), b"short");
    }

    #[test]
    fn a_key_is_carried_to_another_directory_and_over_no_other_key() {
        let [ours, empty, theirs] = ["from", "empty", "taken"].map(directory);
        let sealed = Key::open_or_make(&ours).expect("made").seal("bmc/a", b"a password").expect("sealed");
        // A copy that was cut off.
        fs::write(empty.join(PART_FILE), b"half").expect("written");
        for _ in 0..2 {
            carry_key(&ours, &empty).expect("carried");
        }
        let carried = Key::open_or_make(&empty).expect("opened");
        assert_eq!(carried.unseal("bmc/a", &sealed), Unsealed::Plain(b"a password".to_vec()));
        let mode = fs::metadata(empty.join(KEY_FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!empty.join(PART_FILE).exists());
        Key::open_or_make(&theirs).expect("made");
        let before = fs::read(theirs.join(KEY_FILE)).expect("read");
        assert!(carry_key(&ours, &theirs).is_err());
        assert_eq!(fs::read(theirs.join(KEY_FILE)).expect("read"), before);
        [ours, empty, theirs].iter().for_each(|directory| fs::remove_dir_all(directory).expect("removed"));
    }
}
