//! The virtual CD on which this machine's BMC hands it half of a token: looked for until it is there.
//!
//! In: what it is called. Out: the half. It is read without a file system, from any drive that shows it: BMCs play CDs by USB, and some play a disk.

use crate::connection::Lost;
use api::agent::{Octets, Secret};
use api::key_media::{self, DESCRIPTOR_AT, FILE_AT, SECTOR};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Where the kernel has its drives.
pub const DRIVES: &str = "/dev";
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A BMC takes seconds to log in, and up to two minutes to insert; then it is asked for anew.
const PATIENCE: Duration = Duration::from_secs(240);
/// More drives are not looked at.
const DRIVES_MAX: usize = 256;

/// The token, of the half that was told and of the one on the CD of this name.
pub(crate) async fn token(drives: &Path, told: &Secret, volume: &str) -> Result<Secret, Lost> {
    let told: Octets = told.0.parse().map_err(|_| Lost::Unexpected)?;
    let told: [u8; 32] = told.0.try_into().map_err(|_| Lost::Unexpected)?;
    let handed = wait_for(drives, volume, PATIENCE).await?;
    Ok(Secret(Octets(key_media::token(&told, &handed).to_vec()).to_string()))
}

async fn wait_for(drives: &Path, volume: &str, patience: Duration) -> Result<[u8; 32], Lost> {
    let end = Instant::now() + patience;
    loop {
        let (drives, name) = (drives.to_owned(), volume.to_owned());
        // A drive may take its time to say that it is empty.
        let found = tokio::task::spawn_blocking(move || find(&drives, &name)).await;
        if let Ok(Some(half)) = found {
            return Ok(half);
        }
        if Instant::now() >= end {
            let words = "this place is proved by a key from its BMC, and no drive shows a CD called";
            return Err(Lost::Own(format!("{words} {}", volume.escape_debug())));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn find(drives: &Path, volume: &str) -> Option<[u8; 32]> {
    let mut nodes: Vec<PathBuf> =
        std::fs::read_dir(drives).ok()?.filter_map(drive).take(DRIVES_MAX).collect();
    // Drives of CDs, `sr0`, before disks, `sda`.
    nodes.sort_by(|one, other| other.cmp(one));
    nodes.iter().find_map(|node| read(node, volume))
}

/// Its path, if it is a CD drive or a whole disk.
fn drive(entry: std::io::Result<std::fs::DirEntry>) -> Option<PathBuf> {
    let entry = entry.ok()?;
    let name = entry.file_name();
    let name = name.to_str()?;
    let is_disk = |name: &str| !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_lowercase());
    let is_cd = name.strip_prefix("sr").is_some_and(|number| number.parse::<u16>().is_ok());
    (is_cd || name.strip_prefix("sd").is_some_and(is_disk)).then(|| entry.path())
}

/// The half on this drive, if its CD is called so.
fn read(node: &Path, volume: &str) -> Option<[u8; 32]> {
    let drive = File::open(node).ok()?;
    let mut sector = [0; SECTOR];
    drive.read_exact_at(&mut sector, DESCRIPTOR_AT).ok()?;
    if key_media::volume(&sector) != Some(volume) {
        return None;
    }
    drive.read_exact_at(&mut sector, FILE_AT).ok()?;
    key_media::half(&sector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("zw-drives-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[tokio::test]
    async fn a_cd_that_is_inserted_late_is_found_among_others() {
        let drives = directory("late");
        std::fs::write(drives.join("sda"), [0; 4096]).expect("a disk");
        std::fs::write(drives.join("sr0"), key_media::image("ZW_OLD", &[1; 32])).expect("an old CD");
        // Neither is a drive.
        std::fs::write(drives.join("sda1"), key_media::image("ZW_NEW", &[2; 32])).expect("a partition");
        std::fs::write(drives.join("srx"), key_media::image("ZW_NEW", &[2; 32])).expect("something");
        assert_eq!(find(&drives, "ZW_NEW"), None);
        let path = drives.clone();
        let waiting = tokio::spawn(async move { wait_for(&path, "ZW_NEW", PATIENCE).await });
        std::fs::write(drives.join("sdb"), key_media::image("ZW_NEW", &[3; 32])).expect("played as a disk");
        assert_eq!(waiting.await.expect("ended").expect("found"), [3; 32]);
        assert_eq!(find(&drives, "ZW_OLD"), Some([1; 32]));
        let _ = std::fs::remove_dir_all(&drives);
    }

    #[tokio::test]
    async fn what_never_comes_is_told() {
        let lost = wait_for(Path::new("/nonexistent"), "ZW_\u{1b}", Duration::ZERO).await;
        let words = lost.expect_err("nothing is there").to_string();
        assert!(words.ends_with("no drive shows a CD called ZW_\\u{1b}"), "{words}");
    }
}
