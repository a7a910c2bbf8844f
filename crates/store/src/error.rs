//! What can go wrong with the store, told so that an operator knows what to do.

use model::Generation;
use std::fmt;
use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Held {
        /// The state directory.
        directory: PathBuf,
    },
    /// The state directory, or a file in it, cannot be made or opened.
    Directory {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was written by a newer release.
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// The file is there but is no store: another program's, or damaged.
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// An etcd cannot be spoken to as it was said: an option is missing, or a file that one names is of no use.
    Access {
        /// The etcd.
        path: PathBuf,
        /// What is wrong, and with which option or file.
        detail: String,
    },
    /// Its contents are somewhere else now.
    Moved {
        /// The file, or the etcd.
        path: PathBuf,
        /// Where they are.
        to: String,
    },
    /// SQLite failed.
    Failed {
        /// The file.
        path: PathBuf,
        /// How.
        source: Failure,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { directory } => {
                write!(
                    f,
                    "the state in {} is in use by another zw serve; stop that one first",
                    directory.display()
                )
            }
            Self::Directory { path, .. } => write!(f, "failed to open {}", path.display()),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer release (schema {found}, this one knows {known}); use that release",
                path.display()
            ),
            Self::NotAStore { path, detail } => {
                write!(
                    f,
                    "{} is not a usable store ({detail}); put back a copy, or move it away to start anew",
                    path.display()
                )
            }
            Self::Access { path, detail } => write!(f, "failed to open {}: {detail}", path.display()),
            Self::Moved { path, to } => {
                write!(f, "the zone was moved from {} to {to}: start with that", path.display())
            }
            Self::Failed { path, .. } => write!(f, "failed to open {}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory { source, .. } => Some(source),
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a read or write failed. Nothing of a failed write remains.
#[derive(Debug)]
pub struct Failure {
    /// What an operator would look at.
    pub kind: FailureKind,
    /// What SQLite or the decoder said.
    pub detail: String,
}

/// What an operator would look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// The disk, or the space given to the file, is full.
    Full,
    /// The file or its file system can only be read.
    ReadOnly,
    /// The contents cannot be understood.
    Corrupt,
    /// etcd does not answer, or not as one that knows.
    Unreachable,
    /// Another controller decides.
    Deposed,
    /// Everything was moved to another store.
    Moved,
    /// Anything else: input and output errors, locks.
    Other,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.kind {
            FailureKind::Full => "the disk is full: free some space, what is unsaved is written then",
            FailureKind::ReadOnly => "the state directory can only be read: mend its owner, mode or mount",
            FailureKind::Corrupt => "the contents cannot be understood: put back a copy",
            FailureKind::Unreachable => "etcd cannot be reached",
            FailureKind::Deposed => "another controller decides",
            FailureKind::Moved => "the zone was moved to another store",
            FailureKind::Other => "the store failed",
        };
        write!(f, "{advice} ({})", self.detail)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self { kind: FailureKind::Corrupt, detail: detail.into() }
    }

    pub(crate) fn moved(to: &str) -> Self {
        Self { kind: FailureKind::Moved, detail: format!("to {to}") }
    }

    pub(crate) fn deposed() -> Self {
        Self { kind: FailureKind::Deposed, detail: "this one is not the leader".into() }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let code = error.sqlite_error();
        let kind = match code.map(|code| code.code) {
            Some(ErrorCode::DiskFull) => FailureKind::Full,
            // RLIMIT_FSIZE and some network file systems show as a failed write rather than as SQLITE_FULL.
            Some(ErrorCode::SystemIoFailure)
                if code.is_some_and(|code| code.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE) =>
            {
                FailureKind::Full
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => FailureKind::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => FailureKind::Corrupt,
            _ => FailureKind::Other,
        };
        Self { kind, detail: error.to_string() }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self { kind: FailureKind::Corrupt, detail: error.to_string() }
    }
}

/// Why a plan did not become current.
#[derive(Debug)]
pub enum PublishError {
    /// Its parent is not the current plan: somebody published in between.
    Stale {
        /// The parent that it was compiled against.
        parent: Generation,
        /// The plan that is current.
        current: Generation,
    },
    /// The write failed.
    Failed(Failure),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { parent, current } => {
                write!(f, "the plan was made against {parent}, but {current} is current: plan it again")
            }
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}

impl From<Failure> for PublishError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
