//! The same store in an etcd, for several controllers of one zone: one of them decides and writes, all of them read.
//!
//! In: what [`crate::Store`] is asked. Out: the same as from a file, and what other controllers wrote and asked. Everything
//! that a leader writes is one chain: each write compares that the leader is still the one that was elected and that the head
//! of the chain is where it left it, and moves the head. So a leader that was deposed writes nothing, however late its words
//! arrive, and a write that is tried again is done once. `docs/decisions/0019-etcd.md` says why it is like this.
//!
//! | module    | subject                                                         |
//! |-----------|------------------------------------------------------------------|
//! | `address` | what an operator writes                                          |
//! | `client`, `wire` | etcd's JSON gateway                                       |
//! | `import`  | filled with what another store had                               |
//! | `keys`    | where everything lies                                            |
//! | `batch`   | what is written as one                                           |
//! | `commit`  | writing: the chain, the tables behind it                         |
//! | `read`    | reading: all at once, and history                                |
//! | `follow`  | what others wrote; leases, the election, what others ask         |

mod address;
mod batch;
mod client;
mod commit;
mod follow;
mod import;
mod keys;
mod read;
mod wire;

pub use address::{Access, Address};
pub use batch::{Answered, Batch, Beside};
pub use follow::{Asked, Followed, LEASE, Outcome, Peer, Standing, Term, process_of};
pub(crate) use read::EtcdHistory;

use crate::error::{Failure, FailureKind, OpenError};
use batch::Head;
use client::{Client, NoAnswer};
use follow::{Lead, Registered};
use keys::Keys;
use model::Location;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use wire::{Compare, Op, Pair, Ranging, Txn};

/// The layout of the keys.
const FORMAT: i64 = 1;

/// One controller's end of the store.
pub(crate) struct Etcd {
    client: Arc<Client>,
    keys: Keys,
    /// For people: this controller.
    name: String,
    /// For others: this process, for as long as it is.
    process: String,
    /// The newest revision that was seen; it never goes back.
    revision: i64,
    /// The head as it was last read or written.
    head: Head,
    /// When: the revision.
    head_revision: i64,
    /// The last batch that the caller knows of.
    applied: u64,
    /// A write of which it is not known whether it was done.
    pending: Option<Pending>,
    registered: Option<Registered>,
    lead: Option<Lead>,
    /// How many events each place had; of places that this leader wrote to.
    ordinals: HashMap<Location, u64>,
    /// What is still to be done to the tables, batch by batch.
    unsettled: VecDeque<(u64, Vec<Op>)>,
    /// What others asked and the caller was told, until it is answered.
    told: HashSet<(String, u64)>,
    /// What was answered among what was not followed but read all at once; `None`: it cannot be told any more.
    missed: Option<Vec<Answered>>,
    /// What may be forgotten when: the revision.
    compaction: Option<(Instant, i64)>,
}

/// A write of which it is not known whether it was done.
#[derive(Clone, Copy)]
struct Pending {
    token: u64,
    /// It is a batch, and no mere moving of the head.
    is_batch: bool,
    /// It is done in this term or never.
    term: i64,
}

impl Etcd {
    /// Opens it. Nothing is decided yet: see [`Etcd::follow`].
    pub(crate) fn open(address: &Address, access: &Access, name: &str) -> Result<Self, OpenError> {
        let path = PathBuf::from(address.to_string());
        let client = Client::new(address, access);
        let client = Arc::new(client.map_err(|detail| OpenError::Access { path: path.clone(), detail })?);
        let mut this = Self {
            client,
            keys: Keys::new(&address.prefix),
            name: name.to_owned(),
            process: String::new(),
            revision: 0,
            head: Head::default(),
            head_revision: 0,
            applied: 0,
            pending: None,
            registered: None,
            lead: None,
            ordinals: HashMap::new(),
            unsettled: VecDeque::new(),
            told: HashSet::new(),
            missed: Some(Vec::new()),
            compaction: None,
        };
        let failed = |source| OpenError::Failed { path: path.clone(), source };
        this.process = format!("{:014x}", random().map_err(failed)?);
        let format = this.format().map_err(failed)?;
        match format {
            Some(FORMAT) => Ok(this),
            Some(found) if found > FORMAT => Err(OpenError::Newer { path, found, known: FORMAT }),
            _ => Err(OpenError::NotAStore { path, detail: "its keys are another program's".into() }),
        }
    }

    /// The layout's version; in an empty place, ours from now on.
    fn format(&mut self) -> Result<Option<i64>, Failure> {
        let key = self.keys.format();
        let (from, to) = self.keys.zone();
        let found = self.client.range(&Ranging { keys_only: true, ..Ranging::between(from, to, 1) })?;
        let mut range = self.client.range(&Ranging::key(key.clone()))?;
        if found.kvs.is_empty() {
            // Another may be faster; it writes the same.
            let txn = Txn {
                compare: vec![Compare::Made(key.clone(), 0)],
                then: vec![Op::Put(key.clone(), FORMAT.to_string().into_bytes(), 0)],
                otherwise: Vec::new(),
            };
            self.client.txn(&txn)?;
            range = self.client.range(&Ranging::key(key))?;
        }
        let text = range.kvs.first().and_then(|pair| std::str::from_utf8(&pair.value).ok());
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Takes note of a revision.
    fn seen(&mut self, revision: i64) -> Result<(), Failure> {
        if revision < self.revision {
            let detail = format!(
                "etcd went back from revision {} to {revision}: it was put back from an old copy",
                self.revision
            );
            return Err(Failure { kind: FailureKind::Corrupt, detail });
        }
        self.revision = revision;
        Ok(())
    }

    /// The number of the last event.
    pub(crate) fn last_seq(&self) -> u64 {
        self.head.seq
    }

    /// Calls one when something may have been written, the other when something may have been asked, until it says false. Either
    /// may be late, or never called.
    pub(crate) fn watch(
        &self,
        written: impl Fn() -> bool + Send + Sync + 'static,
        asked: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        // Nothing else sorts between the two.
        self.client.watch(self.keys.head(), format!("{}\0", self.keys.leader()), written);
        let (from, to) = self.keys.all_asked();
        self.client.watch(from, to, asked);
    }
}

/// What a value says.
fn parse<T: DeserializeOwned>(pair: &Pair) -> Result<T, Failure> {
    serde_json::from_slice(&pair.value).map_err(|error| Failure::corrupt(format!("{}: {error}", pair.key)))
}

fn random() -> Result<u64, Failure> {
    let mut octets = [0; 8];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| Failure {
        kind: FailureKind::Other,
        detail: "the system has no random numbers".into(),
    })?;
    // Below 2^53, for whoever reads JSON with floating point.
    Ok(u64::from_be_bytes(octets) >> 11)
}

impl From<NoAnswer> for Failure {
    fn from(no: NoAnswer) -> Self {
        let kind = match &no {
            NoAnswer::Unknown(_) => FailureKind::Unreachable,
            NoAnswer::TooLong => FailureKind::Corrupt,
            NoAnswer::Refused(why) if why.contains("space exceeded") => FailureKind::Full,
            NoAnswer::Refused(why) if why.contains("permission denied") => FailureKind::ReadOnly,
            NoAnswer::Refused(_) => FailureKind::Other,
        };
        let detail = match kind {
            // Deleting alone helps nobody: the alarm stays until it is taken back.
            FailureKind::Full => format!("{no}; of etcd: etcdctl compact, defrag, alarm disarm"),
            _ => no.to_string(),
        };
        Self { kind, detail }
    }
}
