//! The one place that reads the clock for what is decided.

use model::Time;
use std::time::SystemTime;

/// Now, by this host's clock; 1970 if it is set before that.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
