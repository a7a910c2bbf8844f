//! The design's files and the boot files, watched while they are served.
//!
//! The kernel's word makes a change quick; a look each second makes it sure, since some filesystems give no word, and a
//! link may lead out of the directory.

use super::notices::Notices;
use super::{Reloader, Words, digest, sentence};
use crate::controller::Controller;
use crate::files::{is_design_file, read_design};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the files are looked at without a word from the kernel. Such a change is taken up when two looks in a row
/// agree, so that a file is not read while it is still written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        let mut taken_up = self.state().digest.clone();
        let mut seen = taken_up.clone();
        let mut next_look = tokio::time::interval(LOOK_EVERY);
        next_look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_settled = tokio::select! {
                () = settled(notices.as_mut()) => true,
                _ = next_look.tick() => false,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            if let (Some(notices), false) = (&mut notices, is_settled) {
                notices.find_roots();
            }
            let now = look(&controller.options.design).await;
            // Nobody is in the middle of writing one, as far as the kernel tells.
            let is_written = notices.as_mut().is_some_and(|notices| notices.is_being_written(is_design_file));
            let is_whole = is_settled || now == seen && !is_written;
            seen = now;
            if is_whole && seen != taken_up {
                taken_up.clone_from(&seen);
                self.reload(&controller, Words::default(), "zw serve", "the design's files changed").await;
            } else if !notices
                .as_mut()
                .is_some_and(|notices| notices.is_being_written(|path| !is_design_file(path)))
            {
                let (this, working) = (Arc::clone(&self), Arc::clone(&controller));
                let _ = tokio::task::spawn_blocking(move || {
                    let plan = Arc::clone(working.zone().plan());
                    this.gather(&working, &plan);
                })
                .await;
            }
        }
    }
}

/// Until the kernel tells of a change, if it does at all.
async fn settled(notices: Option<&mut Notices>) {
    match notices {
        Some(notices) => notices.settled().await,
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
