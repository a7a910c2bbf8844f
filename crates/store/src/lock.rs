//! One process at a time has the file.

use crate::error::OpenError;
use crate::schema::LOCK_FILE;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Keeps a second opener out until it is dropped, or its process ends, however it ends (flock(2)).
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK_FILE);
        let failed = |source| OpenError::Directory { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Held { directory: directory.into() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it is not enough: a program that another thread starts has the file, too, from its fork to its exec,
        // and with it the lock. It is one lock for all copies, and any of them lets go of it.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_file_does_not_hold_the_lock() {
        let directory = std::env::temp_dir().join(format!("zonewright-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let lock = Lock::take(&directory).unwrap();
        assert!(matches!(Lock::take(&directory), Err(OpenError::Held { .. })));
        // As a child has it that was forked and has not become another program yet.
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        let again = Lock::take(&directory);
        drop(copy);
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(again.is_ok());
    }
}
