//! The role's checks: a subset of Goss' YAML, read and run.
//!
//! In: text of check files. Out: problems with their lines, or one result for each assertion. Reading is pure, and
//! `zw check` reads with the same code, so that what a design promises an agent can do. Running only looks: nothing on the
//! machine is changed but by commands that a file names.
//!
//! | module    | what it holds                                                                |
//! |-----------|-------------------------------------------------------------------------------|
//! | `yaml`    | text to a tree of nodes with lines                                             |
//! | `schema`  | which kinds and attributes there are; tree to checks                            |
//! | `matcher` | what an attribute is compared with                                             |
//! | `words`   | a command line, split without a shell                                          |
//! | `run`     | all checks: a few at a time, each within its time                                |
//! | `look`    | what is found, one kind each                                                   |

mod look;
mod matcher;
mod run;
mod schema;
mod words;
mod yaml;

pub(crate) use look::is_system_starting;
pub use matcher::{Matcher, Value};
pub use run::run;
pub use schema::{Assertion, Check, Kind, Subject, parse};

/// The longest file of checks, in octets: far beyond what people write, and small enough for one frame.
pub const TEXT_MAX: usize = 256 << 10;

/// The most checks in one file.
pub const CHECKS_MAX: usize = 256;

/// What is wrong with a file of checks: the line, from 1, and a sentence.
pub type Problem = (usize, String);
