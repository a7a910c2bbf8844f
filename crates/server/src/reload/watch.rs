//! The design's files and the boot files, watched while they are served.
//!
//! The kernel's word makes a change quick; a look each second makes it sure, since some filesystems give no word, and a
//! link may lead out of the directory.

use super::notices::Notices;
use super::{Intent, Reloader, Seen, Source, Words, digest, sentence};
use crate::controller::Controller;
use crate::files::{is_design_file, read_design};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the files are looked at without a word from the kernel. Such a change is taken up when two looks in a row
/// agree, so that a file is not read while it is still written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who publishes what is taken up here, and why.
const INTENT: Intent<'static> = Intent {
    author: "zw serve",
    reason: "the design's files changed",
    words: Words { renumber: false, remove: 0, grow: 0 },
    begins: false,
    undoes: None,
    seen: Seen { against: None, design: None },
};

/// Why it is time to look.
enum Woken {
    /// The kernel told of a change.
    Told,
    ByTime,
    /// A plan is in force, perhaps another controller's: machines may ask for its files at once.
    ByPlan,
}

impl Reloader {
    /// Watches the files until it is stopped.
    pub(crate) async fn watch(self: Arc<Self>, controller: Arc<Controller>, mut stop: watch::Receiver<bool>) {
        let roots = vec![controller.options.design.clone(), controller.options.loaders.clone()];
        let mut notices = match Notices::of(roots) {
            Ok(notices) => Some(notices),
            Err(error) => {
                controller
                    .say(&format!("a changed design is noticed after a second or two, not at once: {error}"));
                None
            }
        };
        // What was read at the start, not what lies there now: it may have changed in between.
        let mut seen = self.taken_up();
        let mut reading: Option<JoinHandle<()>> = None;
        let mut plans = controller.published.subscribe();
        let mut next_look = tokio::time::interval(LOOK_EVERY);
        next_look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let woken = tokio::select! {
                () = touched(notices.as_mut()) => Woken::Told,
                _ = next_look.tick() => Woken::ByTime,
                Ok(()) = plans.changed() => Woken::ByPlan,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let is_told = match woken {
                Woken::Told => true,
                Woken::ByTime => false,
                Woken::ByPlan => {
                    self.gather_for(&controller).await;
                    continue;
                }
            };
            self.forget_what_may_have_passed();
            let mut is_reloaded = false;
            if let (Some(notices), true) = (&mut notices, is_told) {
                let began = Instant::now();
                let _one_at_a_time = self.inner.lock().await;
                let taken_up = self.taken_up();
                // Compiled at once, while it shows whether more comes.
                let source = Source::Directory { known: Some(taken_up.clone()) };
                let draft = self.draft(&controller, source, INTENT.words).await;
                if !notices.is_quiet().await {
                    continue;
                }
                seen.clone_from(&draft.digest);
                if seen != taken_up {
                    self.take_up(&controller, draft, INTENT, began).await;
                    is_reloaded = true;
                }
            } else {
                if let Some(notices) = &mut notices {
                    notices.find_roots();
                }
                let now = look(&controller.options.design).await;
                // Nobody is in the middle of writing one, as far as the kernel tells.
                let is_written =
                    notices.as_mut().is_some_and(|notices| notices.is_being_written(is_design_file));
                let is_whole = now == seen && !is_written;
                seen = now;
                if is_whole && seen != self.taken_up() {
                    let began = Instant::now();
                    let _one_at_a_time = self.inner.lock().await;
                    let source = Source::Directory { known: Some(self.taken_up()) };
                    let draft = self.draft(&controller, source, INTENT.words).await;
                    // What was read, which need not be what was seen.
                    seen.clone_from(&draft.digest);
                    self.take_up(&controller, draft, INTENT, began).await;
                    is_reloaded = true;
                }
            }
            let mut is_written = || {
                notices.as_mut().is_some_and(|notices| notices.is_being_written(|path| !is_design_file(path)))
            };
            if !is_reloaded && !is_written() {
                self.gather_for(&controller).await;
                let is_reading = reading.as_ref().is_some_and(|reading| !reading.is_finished());
                if !is_reading && !self.served.unread().is_empty() {
                    let (this, working, stop) = (Arc::clone(&self), Arc::clone(&controller), stop.clone());
                    let read = move || this.read_boot_files(&working, &stop);
                    reading = Some(tokio::task::spawn_blocking(read));
                }
            }
        }
    }

    /// Lets files be taken up once more that were refused for no fault of their own.
    fn forget_what_may_have_passed(&self) {
        let mut state = self.state();
        if state.again.is_some_and(|again| again <= Instant::now()) {
            state.again = None;
            state.taken_up.clear();
        }
    }

    fn taken_up(&self) -> String {
        self.state().taken_up.clone()
    }

    /// Looks at the boot files of the plan in force.
    async fn gather_for(self: &Arc<Self>, controller: &Arc<Controller>) {
        let (this, working) = (Arc::clone(self), Arc::clone(controller));
        let _ = tokio::task::spawn_blocking(move || {
            let plan = Arc::clone(working.zone().plan());
            this.served.look_again(&working, &plan);
        })
        .await;
    }
}

/// Until the kernel tells of a change, if it does at all.
async fn touched(notices: Option<&mut Notices>) {
    match notices {
        Some(notices) => notices.touched().await,
        None => std::future::pending().await,
    }
}

/// The digest of the design's files as they are now, or why they cannot be read.
async fn look(design: &Path) -> String {
    let design = design.to_owned();
    let read = tokio::task::spawn_blocking(move || match read_design(&design) {
        Ok(files) => digest(&files),
        Err(error) => sentence(&error),
    });
    read.await.unwrap_or_default()
}
