//! The store, wherever it lies: one set of operations over a file or an etcd.

use crate::error::{Failure, FailureKind, OpenError, PublishError};
use crate::etcd::{Access, Address, Beside, Etcd, EtcdHistory, Followed, Standing, Term};
use crate::mirror::is_edges;
use crate::moving::Piece;
use crate::read::{EmbeddedHistory, Entry, Loaded, Published, Selection};
use crate::schema::DATABASE_FILE;
use crate::write::{Embedded, Publication, Record, Stepped};
use model::facts::Machine;
use model::{Event, Generation, Location};
use std::path::Path;

/// The open store.
pub struct Store(Driver);

enum Driver {
    Embedded(Box<Embedded>),
    Etcd(Box<Etcd>),
}

/// Reads history beside the store; never writes.
pub struct History(Reader);

enum Reader {
    Embedded(EmbeddedHistory),
    Etcd(EtcdHistory),
}

impl Store {
    /// Opens the store in `directory`, which is made (mode 0700) if it is not there. The file has mode 0600. One process at a
    /// time has it.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let store = Embedded::open(directory)?;
        let path = || directory.join(DATABASE_FILE);
        if is_edges(&store).map_err(|source| OpenError::Failed { path: path(), source })? {
            let detail = "it is an edge's, which `zw edge` serves from".to_owned();
            return Err(OpenError::NotAStore { path: path(), detail });
        }
        match store.moved() {
            Ok(None) => Ok(Self(Driver::Embedded(Box::new(store)))),
            Ok(Some(to)) => Err(OpenError::Moved { path: path(), to }),
            Err(source) => Err(OpenError::Failed { path: path(), source }),
        }
    }

    /// Opens the store in an etcd, as the controller of this name. Nobody decides here yet: see [`Store::follow`].
    pub fn open_etcd(address: &Address, access: &Access, name: &str) -> Result<Self, OpenError> {
        let store = Etcd::open(address, access, name)?;
        let path = || address.to_string().into();
        match store.moved() {
            Ok(None) => Ok(Self(Driver::Etcd(Box::new(store)))),
            Ok(Some(to)) => Err(OpenError::Moved { path: path(), to }),
            Err(source) => Err(OpenError::Failed { path: path(), source }),
        }
    }

    /// Opens a store that a zone is to be moved to: the same, and one that a zone was moved away from counts as empty.
    pub fn open_to_fill(directory: &Path) -> Result<Self, OpenError> {
        match Self::open(directory) {
            Err(OpenError::Moved { path, .. }) => {
                let before = directory.join("zonewright-before.db");
                std::fs::rename(&path, before).map_err(|source| OpenError::Directory { path, source })?;
                Self::open(directory)
            }
            opened => opened,
        }
    }

    /// The same of an etcd.
    pub fn open_etcd_to_fill(address: &Address, access: &Access, name: &str) -> Result<Self, OpenError> {
        Ok(Self(Driver::Etcd(Box::new(Etcd::open(address, access, name)?))))
    }

    /// Says where everything went: it is opened by nobody any more.
    pub fn retire(&mut self, to: &str) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.retire(to),
            Driver::Etcd(store) => store.retire(to),
        }
    }

    pub(crate) fn begin_filling(&mut self) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.begin_filling(),
            Driver::Etcd(store) => store.begin_filling(),
        }
    }

    pub(crate) fn fill(&mut self, piece: &Piece<'_>) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.fill(piece),
            Driver::Etcd(store) => store.fill(piece),
        }
    }

    pub(crate) fn end_filling(&mut self, last_seq: u64, generation: Generation) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.end_filling(last_seq, generation),
            Driver::Etcd(store) => store.end_filling(last_seq, generation),
        }
    }

    pub(crate) fn empty(&mut self) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.empty(),
            Driver::Etcd(store) => store.empty(),
        }
    }

    /// Takes the lead, if nobody has it; whether it has.
    pub fn take_lead(&mut self) -> Result<bool, Failure> {
        match &mut self.0 {
            Driver::Embedded(_) => Ok(true),
            Driver::Etcd(store) => store.take_lead(),
        }
    }

    /// Whether other controllers may use it at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Driver::Etcd(_))
    }

    /// The current plan's publication and the facts.
    pub fn load(&mut self) -> Result<Loaded, Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.load(),
            Driver::Etcd(store) => store.load(),
        }
    }

    /// Makes a plan current, if its parent is current. Gives its number, one above the parent's.
    pub fn publish(&mut self, publication: &Publication<'_>) -> Result<Generation, PublishError> {
        match &mut self.0 {
            Driver::Embedded(store) => store.publish(publication),
            Driver::Etcd(store) => store.publish(publication),
        }
    }

    /// Keeps a batch of events, and the machines and changes as they are after it. All of it is durable when this returns,
    /// or nothing of it; of an etcd, see also [`Followed::doubt`]. Gives the number of the last event that is kept.
    pub fn append<'a>(
        &mut self,
        records: &[Record],
        machines: impl IntoIterator<Item = (&'a Location, &'a Machine)>,
        changes: impl IntoIterator<Item = Stepped<'a>>,
    ) -> Result<u64, Failure> {
        self.append_beside(records, machines, changes, Beside::default())
    }

    /// The same, and what other controllers are to know beside.
    pub fn append_beside<'a>(
        &mut self,
        records: &[Record],
        machines: impl IntoIterator<Item = (&'a Location, &'a Machine)>,
        changes: impl IntoIterator<Item = Stepped<'a>>,
        beside: Beside,
    ) -> Result<u64, Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.append(records, machines, changes),
            Driver::Etcd(store) => store.append(records, machines, changes, beside),
        }
    }

    /// The bytes kept under this name.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match &self.0 {
            Driver::Embedded(store) => store.secret(name),
            Driver::Etcd(store) => store.history().secret(name),
        }
    }

    /// Keeps bytes under a name, in place of what was there.
    pub fn set_secret(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.set_secret(name, bytes),
            Driver::Etcd(store) => store.set_secret(name, bytes),
        }
    }

    /// For reading history while this one writes.
    pub fn history(&self) -> Result<History, Failure> {
        Ok(History(match &self.0 {
            Driver::Embedded(store) => Reader::Embedded(store.history()?),
            Driver::Etcd(store) => Reader::Etcd(store.history()),
        }))
    }

    /// Bounds the database file, in octets; for tests of a full disk and for operators who give it a quota. An etcd has a quota
    /// of its own.
    pub fn limit_size(&mut self, octets: u64) -> Result<(), Failure> {
        match &mut self.0 {
            Driver::Embedded(store) => store.limit_size(octets),
            Driver::Etcd(_) => Ok(()),
        }
    }

    /// The number of the last event.
    pub fn last_seq(&self) -> u64 {
        match &self.0 {
            Driver::Embedded(store) => store.last_seq(),
            Driver::Etcd(store) => store.last_seq(),
        }
    }

    /// Whether what is decided here may be written now.
    pub fn is_leading(&self) -> bool {
        match &self.0 {
            Driver::Embedded(_) => true,
            Driver::Etcd(store) => store.is_leading(),
        }
    }

    /// How long it leads, if it does, to be asked by others while this one waits for an answer. Of a file that has no end.
    pub fn term(&self) -> Option<Term> {
        match &self.0 {
            Driver::Embedded(_) => None,
            Driver::Etcd(store) => store.term().cloned(),
        }
    }

    /// Reads what other controllers wrote since the last time, or since [`Store::load`]; takes the lead if nobody has it. To be
    /// called each second, and when [`Store::watch`] says so. Of a file there is never anything new.
    pub fn follow(&mut self) -> Result<Followed, Failure> {
        match &mut self.0 {
            Driver::Embedded(_) => Ok(Followed {
                standing: Standing::Sole,
                batches: Vec::new(),
                reload: false,
                doubt: None,
                answered: Some(Vec::new()),
                asked: Vec::new(),
                controllers: Vec::new(),
            }),
            Driver::Etcd(store) => store.follow(),
        }
    }

    /// A plan that was published, by whichever controller, if it is still kept.
    pub fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        match &self.0 {
            Driver::Embedded(store) => store.plan(generation),
            Driver::Etcd(store) => store.plan(generation),
        }
    }

    /// Lays events before the controller that decides, as many of the first as are taken at once. Gives the number under which
    /// a batch will answer, and how many are taken; `None`: none, until this controller follows again.
    pub fn ask(&mut self, events: &[Event]) -> Result<Option<(u64, usize)>, Failure> {
        match &mut self.0 {
            Driver::Embedded(_) => Err(alone()),
            Driver::Etcd(store) => store.ask(events),
        }
    }

    /// Under which name this controller asks, at this moment.
    pub fn id(&self) -> Option<&str> {
        match &self.0 {
            Driver::Embedded(_) => None,
            Driver::Etcd(store) => store.id(),
        }
    }

    /// This process, see [`crate::etcd::process_of`]; empty where there is no other.
    pub fn process(&self) -> &str {
        match &self.0 {
            Driver::Embedded(_) => "",
            Driver::Etcd(store) => store.process(),
        }
    }

    /// Calls one when something may have been written by another controller, the other when something may have been asked of this
    /// one, until it says false. Either may be late, or never called.
    pub fn watch(
        &self,
        written: impl Fn() -> bool + Send + Sync + 'static,
        asked: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        match &self.0 {
            Driver::Embedded(_) => {}
            Driver::Etcd(store) => store.watch(written, asked),
        }
    }

    /// Leaves the lead to another at once, for whoever ends in order.
    pub fn resign(&mut self) {
        match &mut self.0 {
            Driver::Embedded(_) => {}
            Driver::Etcd(store) => store.resign(),
        }
    }
}

fn alone() -> Failure {
    Failure { kind: FailureKind::Other, detail: "there is no other controller".into() }
}

impl History {
    /// The bytes kept under this name.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.secret(name),
            Reader::Etcd(history) => history.secret(name),
        }
    }

    /// The names of all secrets, in order.
    pub fn secrets(&self) -> Result<Vec<String>, Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.secrets(),
            Reader::Etcd(history) => history.secrets(),
        }
    }

    /// All entries, in some order in which each place's are in theirs.
    pub(crate) fn each_event(&self, each: impl FnMut(Entry) -> Result<(), Failure>) -> Result<(), Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.each_event(each),
            Reader::Etcd(history) => history.each_event(each),
        }
    }

    /// At most `limit` entries, oldest first. Of the whole zone, the newest may go further back than the bound on each machine.
    pub fn events(&self, selection: Selection<'_>, limit: u32) -> Result<Vec<Entry>, Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.events(selection, limit),
            Reader::Etcd(history) => history.events(selection, limit),
        }
    }

    /// The newest `limit` publications, newest first.
    pub fn plans(&self, limit: u32) -> Result<Vec<Published>, Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.plans(limit),
            Reader::Etcd(history) => history.plans(limit),
        }
    }

    /// One publication, if it is still kept.
    pub fn plan(&self, generation: Generation) -> Result<Option<Published>, Failure> {
        match &self.0 {
            Reader::Embedded(history) => history.plan(generation),
            Reader::Etcd(history) => history.plan(generation),
        }
    }
}
