//! Where a thing stands: zone / pod / rack / unit, as one path.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A path such as `ams1/p07/r2/u14` or `ams1/p07/r2/leaf-a`. It is the primary key of store, API, CLI and log;
/// a name is only a label. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(Arc<str>);

impl Location {
    /// A location from its whole path. The design has checked the segments; nothing is checked here.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// The path, zone first.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its zone (`p07/r2/u14`), as people say it inside one zone.
    pub fn within_zone(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, rest)| rest)
    }

    /// The last segment (`u14`).
    pub fn leaf(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, last)| last)
    }

    /// Whether `text`, written with or without the zone, means this location.
    pub fn is(&self, text: &str) -> bool {
        self.as_str() == text || self.within_zone() == text
    }
}

impl Borrow<str> for Location {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
