//! Word from the kernel (inotify) that something below some directories was saved, and that it is whole.
//!
//! In: directories. Out: [`Notices::touched`], when a file was closed after writing, put into place or taken away;
//! [`Notices::is_quiet`], when nothing more came for a moment; and [`Notices::is_being_written`], so that half a file is
//! not taken up. Where the kernel gives no word (some network filesystems, no watches left) nothing is ever touched: the
//! caller looks by itself too.

use crate::files::{DEPTH_MAX, is_design_file};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How long nothing must come before what came counts as whole: editors and `git` write several files in a row.
const QUIET: Duration = Duration::from_millis(10);
/// How long nothing must come before it is worth reading: what is read is of no use if more comes before it is quiet.
const PAUSE: Duration = Duration::from_millis(2);
/// A file that nobody wrote to for so long is not being written any more, even if it is still held open.
const WRITING: Duration = Duration::from_secs(5);
/// Directories that are watched at most, of all those named together.
const DIRECTORIES_MAX: usize = 4096;
/// Files that are remembered as being written at once.
const UNFINISHED_MAX: usize = 4096;
/// What is asked for. Moves within and into a directory, and out of it.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The directories and what was heard of them.
pub(super) struct Notices {
    roots: Vec<PathBuf>,
    inotify: AsyncFd<Descriptor>,
    directories: HashMap<WatchDescriptor, PathBuf>,
    /// Files that were written to and not closed since, and when they were last written to.
    unfinished: HashMap<PathBuf, Instant>,
    /// Something changed and was not told yet.
    is_touched: bool,
    /// When that was heard last.
    heard: Instant,
}

/// What tokio waits on.
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Notices {
    /// Of everything below these directories; one that is not there yet is tried again by [`Notices::find_roots`].
    ///
    /// # Errors
    /// If the kernel offers no such service, or no more of it.
    pub(super) fn of(roots: Vec<PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut notices = Self {
            roots,
            inotify: register(inotify)?,
            directories: HashMap::new(),
            unfinished: HashMap::new(),
            is_touched: false,
            heard: Instant::now(),
        };
        for root in notices.roots.clone() {
            match notices.add(&root, 0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(notices)
    }

    /// Watches a directory and those below it. Hidden ones are passed over, as they are when a design is read.
    fn add(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX || self.directories.len() >= DIRECTORIES_MAX {
            return Ok(());
        }
        let watch = self.inotify.get_ref().0.add_watch(directory, EVENTS)?;
        self.directories.insert(watch, directory.to_owned());
        for entry in std::fs::read_dir(directory)?.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
            if !is_hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // One that has gone meanwhile tells its own end.
                let _ = self.add(&entry.path(), depth + 1);
            }
        }
        Ok(())
    }

    /// Watches what stands at the directories' paths now: another directory may have been put there.
    pub(super) fn find_roots(&mut self) {
        for root in self.roots.clone() {
            let Ok(watch) = self.inotify.get_ref().0.add_watch(&root, EVENTS) else { continue };
            // Of a directory that is watched already the kernel gives the same number again.
            if self.directories.get(&watch) != Some(&root) {
                self.touch();
                let _ = self.add(&root, 0);
            }
        }
    }

    /// Until something changed and no file of a design is being written. May be dropped and called again: nothing is lost.
    pub(super) async fn touched(&mut self) {
        loop {
            if self.is_touched && !self.is_being_written(is_design_file) {
                if self.has_paused(PAUSE).await {
                    self.is_touched = false;
                    return;
                }
            } else {
                self.more().await;
            }
        }
    }

    /// Waits for more, but no longer than until nothing touched for so long; true if it did not. Whoever writes a boot
    /// file gives word all the time and touches nothing.
    async fn has_paused(&mut self, pause: Duration) -> bool {
        let left = pause.saturating_sub(self.heard.elapsed());
        left.is_zero() || tokio::time::timeout(left, self.more()).await.is_err()
    }

    /// Waits until what was [`Notices::touched`] counts as whole. False if more came: it is touched again then.
    pub(super) async fn is_quiet(&mut self) -> bool {
        // What came in the meantime is there already, whatever the runtime has heard of it.
        if let Ok(events) = self.inotify.get_ref().0.read_events() {
            events.into_iter().for_each(|event| self.take(event));
        }
        loop {
            if self.is_touched || self.is_being_written(is_design_file) {
                self.is_touched = true;
                return false;
            }
            if self.has_paused(QUIET).await {
                return true;
            }
        }
    }

    /// Whether somebody is in the middle of writing one of these files.
    pub(super) fn is_being_written(&mut self, which: impl Fn(&Path) -> bool) -> bool {
        self.unfinished.retain(|_, at| at.elapsed() < WRITING);
        self.unfinished.keys().any(|path| which(path))
    }

    /// Waits for events, and takes them.
    async fn more(&mut self) {
        let events = {
            let Ok(mut ready) = self.inotify.readable().await else { return std::future::pending().await };
            match ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(io::Error::from)) {
                Ok(Ok(events)) => events,
                // Nothing after all; or one that was not understood, which the look by the clock makes up for.
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        };
        for event in events {
            self.take(event);
        }
    }

    fn touch(&mut self) {
        self.is_touched = true;
        self.heard = Instant::now();
    }

    fn take(&mut self, event: InotifyEvent) {
        let has = |flags| event.mask.intersects(flags);
        if has(AddWatchFlags::IN_Q_OVERFLOW) {
            // Some are lost: as if everything had changed.
            self.unfinished.clear();
            self.touch();
            return;
        }
        if has(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&event.wd);
            return;
        }
        let (Some(directory), Some(name)) = (self.directories.get(&event.wd), event.name) else { return };
        let is_hidden = name.as_encoded_bytes().first() == Some(&b'.');
        let path = directory.join(name);
        let is_directory = has(AddWatchFlags::IN_ISDIR);
        if has(AddWatchFlags::IN_CREATE) && !is_directory && !path.is_symlink()
            || has(AddWatchFlags::IN_MODIFY)
        {
            // Its end is told when it is closed. An editor holds its hidden swap file open all the time.
            if !is_hidden && self.unfinished.len() < UNFINISHED_MAX {
                self.unfinished.insert(path, Instant::now());
            }
            return;
        }
        self.unfinished.remove(&path);
        if is_directory && has(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) && !is_hidden {
            let _ = self.add(&path, 1);
        }
        // A hidden name put into place may be a link to everything; one that was only written is an editor's own.
        if !(is_hidden && has(AddWatchFlags::IN_CLOSE_WRITE)) {
            self.touch();
        }
    }
}

#[expect(deprecated, reason = "its successor is unsafe to call, and what is registered owns its descriptor")]
fn register(inotify: Inotify) -> io::Result<AsyncFd<Descriptor>> {
    AsyncFd::new(Descriptor(inotify))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory with `zone.hcl` in it, that goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("zonewright-notices-{}-{number}", std::process::id()));
            fs::create_dir_all(path.join("design")).unwrap();
            fs::write(path.join("design/zone.hcl"), "before").unwrap();
            Self(path)
        }

        fn notices(&self) -> Notices {
            Notices::of(vec![self.0.join("design"), self.0.join("not-there-yet")]).unwrap()
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.join("design").join(path)
        }
    }

    async fn settled(notices: &mut Notices) {
        loop {
            notices.touched().await;
            if notices.is_quiet().await {
                return;
            }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_saved_file_is_told_however_it_was_saved() {
        let place = Place::new();
        let mut notices = place.notices();
        fs::write(place.at("zone.hcl"), "over the old").unwrap();
        settled(&mut notices).await;
        fs::write(place.at(".zone.hcl.new"), "beside it, then in its place").unwrap();
        fs::rename(place.at(".zone.hcl.new"), place.at("zone.hcl")).unwrap();
        settled(&mut notices).await;
        fs::remove_file(place.at("zone.hcl")).unwrap();
        settled(&mut notices).await;
        std::os::unix::fs::symlink("elsewhere", place.at(".data")).unwrap();
        settled(&mut notices).await;
        assert!(!notices.is_touched);
    }

    #[tokio::test]
    async fn half_a_file_is_not_told() {
        let place = Place::new();
        let mut notices = place.notices();
        let mut half = File::create(place.at("zone.hcl")).unwrap();
        half.write_all(b"zone \"ams1\" {").unwrap();
        fs::write(place.at("other.hcl"), "whole").unwrap();
        while !notices.is_touched {
            notices.more().await;
        }
        assert!(notices.is_being_written(is_design_file));
        half.write_all(b"}").unwrap();
        drop(half);
        settled(&mut notices).await;
        assert!(!notices.is_being_written(|_| true));
    }

    #[tokio::test]
    async fn a_boot_file_in_the_making_does_not_hold_up_the_design() {
        let place = Place::new();
        let mut notices = place.notices();
        let mut image = File::create(place.at("initrd.img")).unwrap();
        image.write_all(b"some of it").unwrap();
        let mut swap = File::create(place.at(".zone.hcl.swp")).unwrap();
        swap.write_all(b"an editor is open").unwrap();
        fs::write(place.at("zone.hcl"), "whole").unwrap();
        settled(&mut notices).await;
        assert!(notices.is_being_written(|_| true));
        drop(image);
        settled(&mut notices).await;
        assert!(!notices.is_being_written(|_| true));
    }

    #[tokio::test]
    async fn what_comes_while_it_is_read_is_told_again() {
        let place = Place::new();
        let mut notices = place.notices();
        fs::write(place.at("zone.hcl"), "one").unwrap();
        notices.touched().await;
        fs::write(place.at("other.hcl"), "and another").unwrap();
        assert!(!notices.is_quiet().await, "it was read before the other was there");
        notices.touched().await;
        let mut half = File::create(place.at("third.hcl")).unwrap();
        half.write_all(b"zone \"ams1\" {").unwrap();
        assert!(!notices.is_quiet().await, "somebody writes");
        drop(half);
        notices.touched().await;
        assert!(notices.is_quiet().await);
    }

    #[tokio::test]
    async fn word_of_a_boot_file_does_not_begin_the_wait_anew() {
        let place = Place::new();
        let mut notices = place.notices();
        fs::write(place.at("zone.hcl"), "whole").unwrap();
        while !notices.is_touched {
            notices.more().await;
        }
        let saved = notices.heard;
        let mut image = File::create(place.at("initrd.img")).unwrap();
        let mut written = 0;
        // There is word of it whenever one looks.
        while !notices.has_paused(QUIET).await {
            image.write_all(b"more").unwrap();
            written += 1;
            assert!(saved.elapsed() < Duration::from_secs(20), "{written} pieces");
        }
        assert_eq!(notices.heard, saved);
    }

    #[tokio::test]
    async fn directories_that_appear_are_watched_too() {
        let place = Place::new();
        let mut notices = place.notices();
        fs::create_dir_all(place.at("pods/one")).unwrap();
        settled(&mut notices).await;
        fs::write(place.at("pods/one/p01.hcl"), "new").unwrap();
        settled(&mut notices).await;
        fs::rename(place.at("pods"), place.at("halls")).unwrap();
        settled(&mut notices).await;
        fs::write(place.at("halls/one/p01.hcl"), "again").unwrap();
        settled(&mut notices).await;
    }

    #[tokio::test]
    async fn another_directory_in_the_same_place_is_found() {
        let place = Place::new();
        let mut notices = place.notices();
        notices.find_roots();
        assert!(!notices.is_touched, "nothing changed");
        fs::rename(place.0.join("design"), place.0.join("old")).unwrap();
        fs::create_dir_all(place.0.join("design")).unwrap();
        fs::create_dir_all(place.0.join("not-there-yet")).unwrap();
        notices.find_roots();
        settled(&mut notices).await;
        for path in ["design/zone.hcl", "not-there-yet/ipxe.efi"] {
            fs::write(place.0.join(path), "new").unwrap();
            settled(&mut notices).await;
        }
    }
}
