//! What went wrong outside of us: a refused system call, a full disk, a program that did not start.
//!
//! It says what was being done, in words that complete "failed to …", and keeps the cause apart.

use std::error::Error as StdError;
use std::fmt;

/// A step that failed.
#[derive(Debug)]
pub struct Error {
    doing: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A step that failed for a reason that its words already give.
    pub fn new(doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), cause: None }
    }

    /// A step that failed because of `cause`.
    pub fn because(doing: impl Into<String>, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing: doing.into(), cause: Some(cause.into()) }
    }

    /// The step and every cause, on one line.
    pub fn chain(&self) -> String {
        let mut line = self.doing.clone();
        let mut cause = self.source();
        while let Some(inner) = cause {
            line.push_str(": ");
            line.push_str(&inner.to_string());
            cause = inner.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Adds "what was being done" to a failure.
pub(crate) trait Doing<T> {
    /// With these words, made only when needed.
    fn doing<W: Into<String>>(self, words: impl FnOnce() -> W) -> Result<T, Error>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing<W: Into<String>>(self, words: impl FnOnce() -> W) -> Result<T, Error> {
        self.map_err(|cause| Error::because(words(), cause))
    }
}
