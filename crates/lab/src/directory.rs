//! Where a running lab keeps what it has on disk, and who holds it.
//!
//! One directory for each zone: control socket, controller state, logs, the supervisor's process id. It lives under
//! a directory that a reboot empties. A lock held by the supervisor tells a lab that runs from the remains of one
//! that crashed: a process id alone could by now be somebody else's.

use crate::error::{Doing, Error};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory of one zone's lab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Its path; the last segment is the zone's name.
    pub path: PathBuf,
}

/// Where each user has a directory for disks, before the user's number.
const ROOM: &str = "/var/tmp/zonewright-";

/// Whether a lab runs in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Nothing is there.
    Nobody,
    /// A crash or a `kill -9` left files, and nothing else.
    Remains,
    /// A supervisor runs, with this process id.
    Supervisor(i32),
}

/// The directory that holds one directory for each zone: `/run/zonewright/lab` for root, below
/// `$XDG_RUNTIME_DIR` for others, and below `/tmp/zonewright-UID` where there is none.
pub fn base() -> PathBuf {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return PathBuf::from("/run/zonewright/lab");
    }
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid.as_raw()))
        .map_or_else(
            || PathBuf::from(format!("/tmp/zonewright-{uid}/lab")),
            |path| path.join("zonewright/lab"),
        )
}

/// Every lab of this user, running or not, by zone name.
pub fn all(base: &Path) -> Vec<Directory> {
    let mut found: Vec<_> = fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| Directory { path: entry.path() })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Directory {
    /// The directory of `zone` under `base`.
    pub fn of(base: &Path, zone: &str) -> Self {
        Self { path: base.join(zone) }
    }

    /// The zone's name.
    pub fn zone(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Where the supervisor listens.
    pub fn control(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Where the controller's API listens.
    pub fn api(&self) -> PathBuf {
        self.path.join("api.sock")
    }

    /// Where the API of one of several listens; [`Directory::api`] leads to that of the one that decides.
    pub fn api_of(&self, controller: &str) -> PathBuf {
        self.path.join(format!("api-{controller}.sock"))
    }

    /// The log of one of so many controllers.
    pub fn log_of(&self, controller: &str, count: usize) -> PathBuf {
        self.path.join(if count == 1 {
            "controller.log".to_owned()
        } else {
            format!("controller-{controller}.log")
        })
    }

    /// Where the URL of the controller's page is written.
    pub fn page(&self) -> PathBuf {
        self.path.join("page.url")
    }

    /// The URL of the controller's page, for browsers of this machine.
    pub fn page_url(&self) -> Option<String> {
        fs::read_to_string(self.page()).ok()
    }

    /// Where the disks of real machines are: it leads to where there is room, see [`Directory::make_room`].
    pub fn disks(&self) -> PathBuf {
        self.path.join("disks")
    }

    /// Makes the directory of disks: in /var/tmp, for where this one lies is memory on most machines.
    ///
    /// # Errors
    /// If it cannot be made, or belongs to somebody else.
    pub fn make_room(&self) -> Result<(), Error> {
        let ours = PathBuf::from(format!("{ROOM}{}", nix::unistd::geteuid()));
        let room = ours.join(self.zone());
        let create = |path: &Path| {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.doing(|| format!("create {}", path.display()))
        };
        create(&ours)?;
        check_owner(&ours)?;
        // A reboot empties the lab's directory and leaves this one.
        remove(&room)?;
        create(&room)?;
        std::os::unix::fs::symlink(&room, self.disks()).doing(|| format!("lead to {}", room.display()))
    }

    /// The supervisor's log.
    pub fn log(&self) -> PathBuf {
        self.path.join("lab.log")
    }

    /// Makes it, readable by its owner only.
    ///
    /// # Errors
    /// If it cannot be made, or belongs to somebody else: `/tmp` is everybody's.
    pub fn create(&self) -> Result<(), Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .doing(|| format!("create {}", self.path.display()))?;
        let mut path = self.path.as_path();
        while let Some(parent) =
            path.parent().filter(|_| path.ends_with(self.zone()) || path.ends_with("lab"))
        {
            check_owner(path)?;
            path = parent;
        }
        Ok(())
    }

    /// Who is here.
    pub fn holder(&self) -> Holder {
        let Ok(lock) = File::options().read(true).write(true).open(self.path.join("lock")) else {
            return if self.path.exists() { Holder::Remains } else { Holder::Nobody };
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => fs::read_to_string(self.path.join("pid"))
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or(Holder::Remains, Holder::Supervisor),
            Ok(()) | Err(TryLockError::Error(_)) => Holder::Remains,
        }
    }

    /// Takes the directory for this process; it is held until the returned file is dropped or the process ends.
    ///
    /// # Errors
    /// If another supervisor holds it.
    pub fn take(&self) -> Result<File, Error> {
        let path = self.path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .doing(|| format!("open {}", path.display()))?;
        lock.try_lock()
            .map_err(|_| Error::new(format!("take {}: another lab runs there", self.path.display())))?;
        fs::write(self.path.join("pid"), format!("{}\n", std::process::id()))
            .doing(|| format!("write {}", self.path.join("pid").display()))?;
        Ok(lock)
    }

    /// Removes it, and the directories above that are ours and empty.
    ///
    /// # Errors
    /// If something of it stays.
    pub fn remove(&self) -> Result<(), Error> {
        // In a user namespace of our own the user has another number, so the way is read and not worked out.
        if let Ok(room) = fs::read_link(self.disks())
            && room.to_string_lossy().starts_with(ROOM)
        {
            remove(&room)?;
            // Not empty means that another zone's disks are there; that is not a failure.
            let _ = room.parent().map(fs::remove_dir);
        }
        remove(&self.path)?;
        for above in self.path.ancestors().skip(1).take(2) {
            // Not empty means that another zone's lab is there; that is not a failure.
            if above.ends_with("lab") || above.ends_with("zonewright") || is_ours_in_tmp(above) {
                let _ = fs::remove_dir(above);
            }
        }
        Ok(())
    }
}

/// Removes a directory with all that is in it, if it is there.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::because(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn check_owner(path: &Path) -> Result<(), Error> {
    let owner = fs::symlink_metadata(path).doing(|| format!("look at {}", path.display()))?.uid();
    if owner == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::new(format!("use {}: it belongs to user {owner}", path.display())))
}

fn is_ours_in_tmp(path: &Path) -> bool {
    path == Path::new(&format!("/tmp/zonewright-{}", nix::unistd::geteuid()))
}

/// The labs of this user that run.
pub fn running() -> Vec<Directory> {
    all(&base()).into_iter().filter(|lab| matches!(lab.holder(), Holder::Supervisor(_))).collect()
}
