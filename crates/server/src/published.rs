//! One value that many threads read and one replaces, where no reader ever waits and none pays for the old value's end.

use arc_swap::{ArcSwap, Guard};
use std::sync::{Arc, Mutex, PoisonError};

/// A value that is read by packets.
pub(crate) struct Published<T> {
    current: ArcSwap<T>,
    /// What was current. Freeing a view of 100,000 machines takes milliseconds, so it is not left to whichever packet
    /// thread happens to let go of it last.
    retired: Mutex<Vec<Arc<T>>>,
}

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { current: ArcSwap::from_pointee(value), retired: Mutex::new(Vec::new()) }
    }

    /// The value, to be looked at for a moment.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The value, to be held for longer.
    pub(crate) fn load_full(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Makes a value current, and frees those before it that nobody holds any more. Only the writer calls it.
    pub(crate) fn publish(&self, value: T) {
        let old = self.current.swap(Arc::new(value));
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push(old);
        retired.retain(|value| Arc::strong_count(value) > 1);
    }

    /// Frees what nobody holds any more; true if something is still held.
    pub(crate) fn sweep(&self) -> bool {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|value| Arc::strong_count(value) > 1);
        !retired.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    /// Counts its own ends, and where they came.
    struct Counted<'a>(&'a AtomicU32);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn an_old_value_ends_with_the_writer_and_not_with_a_reader() {
        let ended = AtomicU32::new(0);
        let published = Published::new(Counted(&ended));
        let (looked_at, held) = (published.load(), published.load_full());
        published.publish(Counted(&ended));
        drop(looked_at);
        drop(held);
        assert_eq!(ended.load(SeqCst), 0, "the last reader freed it");
        assert!(!published.sweep());
        assert_eq!(ended.load(SeqCst), 1);
    }

    #[test]
    fn what_is_held_stays() {
        let ended = AtomicU32::new(0);
        let published = Published::new(Counted(&ended));
        let held = published.load_full();
        published.publish(Counted(&ended));
        assert!(published.sweep());
        assert_eq!((ended.load(SeqCst), held.0.load(SeqCst)), (0, 0));
    }
}
