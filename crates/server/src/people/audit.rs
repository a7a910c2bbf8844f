//! Who did what, from where: a line of JSON each, in files of bounded length beside the store.
//!
//! What is asked of a controller is written by that controller: a zone with two has two logs. Nothing secret is in it.

use crate::clock;
use api::people::Audited;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file in the state directory, and the one before it.
const FILE: &str = "audit.jsonl";
const BEFORE: &str = "audit.1.jsonl";
/// A file of this many octets is put aside, and the one put aside before is lost: some 40,000 entries stay.
const FILE_MAX: u64 = 8 << 20;
/// The longest text of an entry, in characters.
const TEXT_MAX: usize = 600;

/// Octets that wait for a disk that takes none; more are lost, and said to be.
const WAITING_MAX: usize = 1 << 20;

/// The log.
pub(crate) struct Audit {
    directory: PathBuf,
    waiting: Mutex<Waiting>,
    file: Mutex<Written>,
}

/// What is to be written.
#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// How many lines there ever were.
    count: u64,
}

#[derive(Default)]
struct Written {
    file: Option<File>,
    /// How many of them are on the disk.
    count: u64,
}

impl Audit {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), waiting: Mutex::default(), file: Mutex::default() }
    }

    /// Writes an entry. It is on the disk when this returns; what many tell at once is written at once.
    ///
    /// # Errors
    /// The file cannot be written. The entry is tried again with the next.
    pub(crate) fn note(&self, by: &str, from: &str, did: &str, outcome: &str) -> io::Result<()> {
        let short = |text: &str| text.chars().take(TEXT_MAX).collect::<String>();
        let entry = Audited {
            at: clock::now(),
            by: short(by),
            from: short(from),
            did: short(did),
            outcome: short(outcome),
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let own = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.lines.len() + line.len() > WAITING_MAX {
                return Err(io::ErrorKind::StorageFull.into());
            }
            waiting.lines.append(&mut line);
            waiting.count += 1;
            waiting.count
        };
        let mut written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody who came before wrote it along.
        if written.count >= own {
            return Ok(());
        }
        let (lines, count) = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut waiting.lines), waiting.count)
        };
        if let Err(error) = self.write(&mut written, &lines) {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Part of a line may be there already.
            let newer = std::mem::replace(&mut waiting.lines, [b"\n".as_slice(), &lines].concat());
            waiting.lines.extend(newer);
            return Err(error);
        }
        written.count = count;
        Ok(())
    }

    fn write(&self, written: &mut Written, lines: &[u8]) -> io::Result<()> {
        let open = &mut written.file;
        if open.as_ref().is_some_and(|file| file.metadata().is_ok_and(|found| found.len() >= FILE_MAX)) {
            fs::rename(self.directory.join(FILE), self.directory.join(BEFORE))?;
            *open = None;
        }
        let file = match open {
            Some(file) => file,
            none => {
                let path = self.directory.join(FILE);
                none.insert(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?)
            }
        };
        file.write_all(lines)?;
        file.sync_data()
    }

    /// The last entries, oldest first. A line that was cut off by a power failure is left out.
    pub(crate) fn last(&self, count: usize) -> Vec<Audited> {
        let mut entries = std::collections::VecDeque::new();
        for name in [BEFORE, FILE] {
            let Ok(file) = File::open(self.directory.join(name)) else { continue };
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                entries.extend(serde_json::from_str::<Audited>(&line).ok());
                if entries.len() > count {
                    entries.pop_front();
                }
            }
        }
        entries.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_many_tell_at_once_and_what_a_full_disk_refused_is_written() {
        let directory = std::env::temp_dir().join(format!("zw-audit-many-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let audit = Arc::new(Audit::new(&directory));
        // There is no such directory yet.
        assert!(audit.note("ada", "here", "early", "done").is_err());
        fs::create_dir_all(&directory).unwrap();
        let tellers = (0..8).map(|teller| {
            let audit = Arc::clone(&audit);
            std::thread::spawn(move || {
                for number in 0..50 {
                    audit.note("ada", "here", &format!("{teller} {number}"), "done").unwrap();
                }
            })
        });
        tellers.collect::<Vec<_>>().into_iter().for_each(|teller| teller.join().unwrap());
        let told = audit.last(1000);
        assert_eq!((told.len(), told[0].did.as_str()), (401, "early"));
        let _ = fs::remove_dir_all(&directory);
    }
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_done_is_read_again_and_bounded() {
        let directory = std::env::temp_dir().join(format!("zw-audit-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let audit = Audit::new(&directory);
        audit.note("ada", "192.0.2.1", "sign in", "done").unwrap();
        let mode = fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // As if it were full.
        let file = OpenOptions::new().append(true).open(directory.join(FILE)).unwrap();
        file.set_len(FILE_MAX).unwrap();
        audit.note("ada", "192.0.2.1", &"x".repeat(10_000), "done").unwrap();
        assert!(directory.join(BEFORE).exists());
        assert!(fs::metadata(directory.join(FILE)).unwrap().len() < 2_000);
        drop(audit);
        let again = Audit::new(&directory);
        again.note("bob", "unix socket", "drain", "done").unwrap();
        let told: Vec<String> = again.last(2).into_iter().map(|entry| entry.by).collect();
        assert_eq!(told, ["ada", "bob"]);
        assert_eq!(again.last(100).len(), 3, "the first was written before the hole");
        let _ = fs::remove_dir_all(&directory);
    }
}
