//! What can go wrong with a BMC, told so that an operator knows what to do.

use crate::trust::Fingerprint;
use std::fmt;
use std::time::Duration;

/// Why a BMC did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// There is no connection, or it broke.
    Unreachable {
        /// What happened.
        cause: String,
    },
    /// The BMC shows another certificate than it did before.
    OtherCertificate {
        /// What it showed before.
        known: Fingerprint,
        /// What it shows now.
        shown: Fingerprint,
    },
    /// It took longer than it may.
    TooSlow {
        /// What was awaited.
        awaited: String,
        /// How long.
        limit: Duration,
    },
    /// Credentials are wrong.
    Unauthorized,
    /// The password must be changed before anything else.
    PasswordChangeRequired {
        /// The account's path, if the BMC names it.
        account: Option<String>,
    },
    /// The BMC refused.
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says about it.
        sentence: String,
        /// Message ids without registry and version (`PropertyUnknown`).
        ids: Vec<String>,
    },
    /// What it says is no Redfish.
    NotUnderstood {
        /// The path that was asked for.
        path: String,
        /// Why.
        cause: String,
    },
    /// It has no such thing.
    Missing {
        /// What.
        what: String,
    },
    /// It began and then failed.
    Failed {
        /// What it says about it.
        sentence: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { cause } => write!(f, "it cannot be reached: {cause}"),
            Self::OtherCertificate { known, shown } => write!(
                f,
                "it shows another certificate ({shown}) than when it was adopted ({known}); if it was replaced or reset, adopt it again"
            ),
            Self::TooSlow { awaited, limit } => {
                write!(f, "waited {} s in vain for {awaited}", limit.as_secs())
            }
            Self::Unauthorized => f.write_str("it does not accept the user and password"),
            Self::PasswordChangeRequired { .. } => {
                f.write_str("it demands another password first; `zw bmc adopt` sets one")
            }
            Self::Refused { status, sentence, .. } if sentence.is_empty() => {
                write!(f, "it refused, with HTTP status {status} and no reason")
            }
            Self::Refused { status, sentence, .. } => write!(f, "it refused (HTTP {status}): {sentence}"),
            Self::NotUnderstood { path, cause } => {
                write!(f, "its answer about {path} is not understood: {cause}")
            }
            Self::Missing { what } => write!(f, "it has no {what}"),
            Self::Failed { sentence } => write!(f, "it failed: {sentence}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    /// Whether the BMC refused with this message, whatever registry and version it is of.
    pub(crate) fn is(&self, id: &str) -> bool {
        matches!(self, Self::Refused { ids, .. } if ids.iter().any(|found| found == id))
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
