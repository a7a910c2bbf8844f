//! What survives a restart: plans, facts, events and secrets, in one SQLite file or in an etcd.
//!
//! In go publications and batches of events with the machines they changed; out come the newest design, the facts
//! and the history. A batch is there whole or not at all, and is durable when [`Store::append`] returns. The
//! store never decides anything and never answers a packet.
//!
//! | module   | subject                                                        |
//! |----------|----------------------------------------------------------------|
//! | `store`  | what may be asked of it, wherever it lies                       |
//! | `schema` | the file's tables, their version, and the limits on them        |
//! | `write`  | the file: publish, append, secrets, the compaction of old events |
//! | `lock`   | that one process at a time has the file                         |
//! | `read`   | the file: load at start; history while running, beside the writer |
//! | `mirror` | the file of an edge: what it took from a controller             |
//! | `moving`, `import` | one store into another                               |
//! | `etcd`   | the same in an etcd, for several controllers                    |
//! | `sealed` | secrets that are unreadable without a key beside the file      |
//! | `error`  | what can go wrong, told so that an operator knows what to do    |

mod error;
pub mod etcd;
mod import;
mod lock;
mod mirror;
mod moving;
mod read;
mod schema;
mod sealed;
mod store;
mod write;

pub use error::{Failure, FailureKind, OpenError, PublishError};
pub use mirror::{Mirror, Taken};
pub use moving::{Copied, copy};
pub use read::{Entry, Loaded, Published, Selection};
pub use schema::{DATABASE_FILE, EVENTS_PER_MACHINE_MAX, EVENTS_PER_MACHINE_SLACK, LOCK_FILE, PLANS_MAX};
pub use sealed::{KEY_FILE, Key, Unsealed, carry_key};
pub use store::{History, Store};
pub use write::{Publication, Record, Stepped};
