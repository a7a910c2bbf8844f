//! What an edge heard of machines, until a controller knows it: bounded, and the oldest lost first.

use crate::inbox::{Closed, Queue};
use crate::keeper::Message;
use model::Event;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Events that wait: some boots of a pod, each a dozen.
const WAITING_MAX: usize = 16_384;

/// The queue.
#[derive(Default)]
pub(super) struct Unsaid {
    waiting: Mutex<Waiting>,
    pub(super) more: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// How many were taken from the front of the queue since the start.
    first: u64,
    dropped: u64,
}

impl Unsaid {
    /// Keeps what packets tell, until everybody who could tell is gone or says that this is the end.
    pub(super) fn listen(&self, queue: &Queue) {
        let is_last = |message: &Option<Message>| matches!(message, Some(Message::Stop));
        loop {
            let mut stop = match queue.wait(None) {
                Ok(message) => is_last(&message),
                Err(Closed) => true,
            };
            self.put(queue.heard());
            for message in queue.messages() {
                // It may announce what came a moment ago, and is not announced again.
                self.put(queue.heard());
                stop |= is_last(&message);
            }
            if stop {
                return;
            }
        }
    }

    pub(super) fn put(&self, events: impl Iterator<Item = Event>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if waiting.events.len() >= WAITING_MAX {
                waiting.events.pop_front();
                waiting.first += 1;
                waiting.dropped += 1;
            }
            waiting.events.push_back(event);
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// The first of them, and the count of the first.
    pub(super) fn first(&self, most: usize) -> (u64, Vec<Event>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.first, waiting.events.iter().take(most).cloned().collect())
    }

    /// So many from this count on were said.
    pub(super) fn said(&self, first: u64, count: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Some of them may have been lost meanwhile.
        let end = first + count as u64;
        while waiting.first < end && waiting.events.pop_front().is_some() {
            waiting.first += 1;
        }
    }

    /// How many wait, and how many were lost.
    pub(super) fn count(&self) -> (usize, u64) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.events.len(), waiting.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::inbox;
    use model::event::What;
    use model::{Location, Time};
    use std::time::{Duration, Instant};

    /// Nothing here takes this long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn event(at: u64) -> Event {
        Event { at: Time(at), location: Location::new("z/a"), what: What::Tick }
    }

    fn events(range: std::ops::Range<u64>) -> impl Iterator<Item = Event> {
        range.map(event)
    }

    fn times(unsaid: &Unsaid, most: usize) -> Vec<u64> {
        unsaid.first(most).1.iter().map(|event| event.at.0).collect()
    }

    #[test]
    fn the_oldest_are_lost_and_counted_and_what_was_said_goes_once() {
        let unsaid = Unsaid::default();
        unsaid.put(events(0..3));
        assert_eq!(times(&unsaid, 2), [0, 1]);
        unsaid.said(0, 2);
        assert_eq!(times(&unsaid, 9), [2]);
        // The first of what is on its way is lost before it is known to have arrived.
        let (first, sent) = unsaid.first(9);
        let most = WAITING_MAX as u64;
        unsaid.put(events(3..3 + most));
        assert_eq!(unsaid.count(), (WAITING_MAX, 1));
        unsaid.said(first, sent.len());
        assert_eq!(times(&unsaid, 1), [3], "what was never said is still there");
        assert_eq!(unsaid.count(), (WAITING_MAX, 1));
    }

    /// Where an announcement that came between two looks was taken for nothing, everything that came after it lay unheard.
    #[test]
    fn whatever_comes_while_it_looks_is_heard() {
        const EVENTS: usize = 400_000;
        let (inbox, queue) = inbox();
        let unsaid = Unsaid::default();
        let all = || {
            let (waiting, dropped) = unsaid.count();
            waiting + dropped as usize
        };
        std::thread::scope(|scope| {
            let listening = &unsaid;
            scope.spawn(move || listening.listen(&queue));
            let began = Instant::now();
            let mut told = 0;
            while all() < EVENTS && began.elapsed() < PATIENCE {
                let is_taken = told < EVENTS && inbox.hear(event(told as u64));
                told += usize::from(is_taken);
            }
            let heard = all();
            inbox.stop();
            assert_eq!(heard, EVENTS);
        });
    }
}
