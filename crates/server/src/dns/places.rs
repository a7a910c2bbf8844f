//! Places for TCP connections: so many together, and so many of them to one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places, and who has how many.
pub(super) struct Places {
    free: Arc<Semaphore>,
    client_max: usize,
    clients: Mutex<HashMap<Box<str>, usize>>,
}

/// A place that is in use. Dropped, it is free again, also when a panic or the end of the server drops it.
pub(super) struct Place {
    _any: OwnedSemaphorePermit,
    places: Arc<Places>,
    client: Box<str>,
}

impl Places {
    pub(super) fn new(places_max: usize, client_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places_max)), client_max, clients: Mutex::default() }
    }

    /// Waits for a place, which is nobody's yet.
    pub(super) async fn any(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.free).acquire_owned().await.expect("places are never closed")
    }

    /// Gives it to a client; `None` if that client has its share.
    pub(super) fn take(self: &Arc<Self>, any: OwnedSemaphorePermit, client: Box<str>) -> Option<Place> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client.clone()).or_default();
        if *count >= self.client_max {
            return None;
        }
        *count += 1;
        Some(Place { _any: any, places: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.places.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}
