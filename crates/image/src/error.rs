//! What can go wrong while an image is made, told so that whoever makes it knows what to do.

use crate::lock::Unreadable;
use crate::tree::Taken;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no image.
#[derive(Debug)]
pub enum Error {
    /// A file could not be read or written.
    File {
        /// `read`, `write`, …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another's program did not do what it was asked for.
    Program {
        /// `apt-get update`
        name: String,
        /// What it said, in its last lines.
        said: String,
    },
    /// The lock file is none.
    Lock {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Unreadable,
    },
    /// Packages that the lock names are neither in the cache nor on the mirror.
    Gone {
        /// Name and version of each that is not in the cache.
        packages: Vec<String>,
        /// What `apt-get` said.
        said: String,
    },
    /// Two files want the same place.
    Taken(Taken),
    /// Something that the image needs is not there, or is not what it should be: a sentence.
    Lacks(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { doing, path, .. } => write!(formatter, "failed to {doing} {}", path.display()),
            Self::Program { name, said } => write!(formatter, "{name} failed: {said}"),
            Self::Lock { path, .. } => write!(formatter, "failed to understand {}", path.display()),
            Self::Gone { packages, said } => write!(
                formatter,
                "the lock names {}, which the cache does not have and the mirror does not give ({said}); \
                 bring them into the cache, or choose anew with --update",
                packages.join(", ")
            ),
            Self::Taken(_) => formatter.write_str("failed to put the image together"),
            Self::Lacks(sentence) => formatter.write_str(sentence),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Lock { source, .. } => Some(source),
            Self::Taken(source) => Some(source),
            Self::Program { .. } | Self::Gone { .. } | Self::Lacks(_) => None,
        }
    }
}

impl From<Taken> for Error {
    fn from(taken: Taken) -> Self {
        Self::Taken(taken)
    }
}

/// Names the file that an error is about.
pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}
