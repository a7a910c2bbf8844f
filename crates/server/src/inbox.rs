//! The way to the keeper: what somebody waits for, and what was only heard.
//!
//! What was heard (a machine seen on its port, a script fetched) is urgent to nobody and comes by the thousand. To wake
//! the keeper for each would cost the thread that answers more than its answer does, so the first wakes it, and it takes
//! all that has come a moment later. What was heard before a message is taken before it; what is heard while a message
//! waits may be too, so nothing may depend on that order (`lifecycle` does not).

use crate::keeper::Message;
use model::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Events that may wait: what a zone of 10,000 machines tells while one batch is stored, several times over.
const HEARD_MAX: usize = 65_536;
/// Messages that may wait: each machine of such a zone has one.
const MESSAGES_MAX: usize = 16_384;
/// What was heard waits for more as long as this, if no message comes.
const GATHER: Duration = Duration::from_millis(10);

/// The end that everybody has.
#[derive(Clone)]
pub(crate) struct Inbox {
    /// `None`: something was heard.
    messages: SyncSender<Option<Message>>,
    heard: SyncSender<Event>,
    /// The keeper was told that something was heard, and has not looked yet.
    is_announced: Arc<AtomicBool>,
}

/// The keeper's end.
pub(crate) struct Queue {
    messages: Receiver<Option<Message>>,
    heard: Receiver<Event>,
    is_announced: Arc<AtomicBool>,
}

/// Everybody who could send is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Both ends.
pub(crate) fn inbox() -> (Inbox, Queue) {
    let (messages, incoming) = sync_channel(MESSAGES_MAX);
    let (heard, hearing) = sync_channel(HEARD_MAX);
    let is_announced = Arc::new(AtomicBool::new(false));
    let queue = Queue { messages: incoming, heard: hearing, is_announced: Arc::clone(&is_announced) };
    (Inbox { messages, heard, is_announced }, queue)
}

impl Inbox {
    /// Leaves an event that nobody waits for. Never blocks; false if the queue is full and the event is gone.
    pub(crate) fn hear(&self, event: Event) -> bool {
        let is_taken = self.heard.try_send(event).is_ok();
        if is_taken && !self.is_announced.swap(true, SeqCst) && self.messages.try_send(None).is_err() {
            // So many messages wait that it will look anyway.
            self.is_announced.store(false, SeqCst);
        }
        is_taken
    }

    /// Leaves a message. Never blocks; false if the queue is full and the message is gone.
    pub(crate) fn send(&self, message: Message) -> bool {
        self.messages.try_send(Some(message)).is_ok()
    }

    /// Ends the keeper, after everything that was left before.
    pub(crate) fn stop(&self) {
        // It may have ended by itself.
        let _ = self.messages.send(Some(Message::Stop));
    }
}

impl Queue {
    /// Waits for the next message, as long as `patience`; `None`: it is time to look at what was heard, or at nothing.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Result<Option<Message>, Closed> {
        let first = match patience {
            Some(patience) => self.messages.recv_timeout(patience),
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let next = match first {
            Ok(None) => self.messages.recv_timeout(GATHER),
            first => first,
        };
        match next {
            Ok(message) => Ok(message),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    /// The messages that are there now; `None`: something was heard, and is to be looked at.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Option<Message>> {
        self.messages.try_iter()
    }

    /// What was heard until now, in order.
    pub(crate) fn heard(&self) -> impl Iterator<Item = Event> {
        // Before looking: what comes while it looks may be announced once too often, and never too seldom.
        self.is_announced.store(false, SeqCst);
        self.heard.try_iter().take(HEARD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::What;
    use model::{Location, Time};

    fn event(number: u64) -> Event {
        Event { at: Time(number), location: Location::new("p01-r01-u01"), what: What::Tick }
    }

    fn heard(queue: &Queue) -> Vec<u64> {
        queue.heard().map(|event| event.at.0).collect()
    }

    #[test]
    fn what_was_heard_wakes_once_and_comes_in_order() {
        let (inbox, queue) = inbox();
        for number in 0..5 {
            assert!(inbox.hear(event(number)));
        }
        assert!(queue.wait(None).unwrap().is_none());
        assert_eq!(heard(&queue), [0, 1, 2, 3, 4]);
        assert!(queue.wait(Some(Duration::ZERO)).unwrap().is_none(), "nothing more");
        inbox.hear(event(5));
        assert!(queue.wait(None).unwrap().is_none(), "it wakes again");
        assert_eq!(heard(&queue), [5]);
    }

    #[test]
    fn a_message_ends_the_wait_and_finds_what_was_heard_before_it() {
        let (inbox, queue) = inbox();
        inbox.hear(event(1));
        assert!(inbox.send(Message::Stop));
        assert!(matches!(queue.wait(None), Ok(Some(Message::Stop))));
        assert_eq!(heard(&queue), [1]);
        // Also if it is announced while messages are taken.
        inbox.hear(event(2));
        inbox.send(Message::Stop);
        assert_eq!(queue.messages().map(|message| message.is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(heard(&queue), [2]);
    }

    #[test]
    fn a_full_queue_refuses_and_goes_on_when_it_was_looked_at() {
        let (inbox, queue) = inbox();
        let taken = (0..HEARD_MAX as u64 + 10).filter(|number| inbox.hear(event(*number))).count();
        assert_eq!(taken, HEARD_MAX);
        assert_eq!(heard(&queue).len(), HEARD_MAX);
        assert!(inbox.hear(event(0)));
    }

    #[test]
    fn it_closes_with_the_last_sender() {
        let (inbox, queue) = inbox();
        inbox.hear(event(1));
        drop(inbox);
        assert_eq!(queue.wait(None).err(), Some(Closed));
        assert_eq!(heard(&queue), [1], "what was heard before is not lost");
    }
}
