//! What packets need: the view that they are answered from, and where what they tell goes. A controller has it, and an edge.
//!
//! Packets read `view` and nothing else, and take no lock.

use crate::bmc::keys::Keys;
use crate::boot_file::is_out_of_descriptors;
use crate::counters::Counters;
use crate::inbox::Inbox;
use crate::options::Journal;
use crate::published::Published;
use crate::refusals::Refusals;
use crate::told::Told;
use model::{Event, Generation, View};
use std::io;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The answering half.
pub(crate) struct Answering {
    pub(crate) journal: Journal,
    /// What packets are answered from.
    pub(crate) view: Published<View>,
    /// What packets told the keeper last.
    pub(crate) told: Told,
    /// The keeper's queue.
    pub(crate) inbox: Inbox,
    /// The plan in force, for whoever waits for another.
    pub(crate) published: watch::Sender<Generation>,
    pub(crate) counters: Counters,
    pub(crate) refusals: Refusals,
    /// What BMCs fetch. An edge has none.
    pub(crate) keys: Keys,
    /// A boot file could not be opened as it is listed. An edge looks at its files then; a controller watches them.
    pub(crate) files_doubted: Arc<Notify>,
}

impl Answering {
    pub(crate) fn new(journal: Journal, inbox: Inbox, view: View) -> Self {
        Self {
            journal,
            published: watch::Sender::new(view.generation),
            view: Published::new(view),
            told: Told::default(),
            inbox,
            counters: Counters::default(),
            refusals: Refusals::default(),
            keys: Keys::default(),
            files_doubted: Arc::default(),
        }
    }

    /// Tells the keeper something that nobody waits for. Never blocks: an event that finds the queue full is counted
    /// and gone, as a packet would be; false then.
    pub(crate) fn tell(&self, event: Event) -> bool {
        let is_taken = self.inbox.hear(event);
        if !is_taken {
            self.counters.events_dropped.one();
        }
        is_taken
    }

    /// A boot file could not be opened, and this is why.
    pub(crate) fn doubt(&self, error: &io::Error) {
        // Then it is we who cannot look, and nobody else could.
        if !is_out_of_descriptors(error) {
            self.files_doubted.notify_one();
        }
    }

    /// Says something to the operator's log.
    pub(crate) fn say(&self, line: &str) {
        (self.journal)(line);
    }
}
