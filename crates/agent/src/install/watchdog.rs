//! The machine's watchdog: while it is held, a machine that hangs restarts.
//!
//! The driver's own time counts, half a minute or more. Where there is no watchdog, or another program has it, there is none.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

const DEVICE: &str = "/dev/watchdog";
const EVERY: Duration = Duration::from_secs(5);

/// Holds it until dropped.
pub(crate) struct Watchdog(Option<tokio::task::JoinHandle<()>>);

impl Watchdog {
    /// Only inside a runtime: it is fed for as long as that goes on.
    pub(crate) fn hold() -> Self {
        let Ok(mut file) = OpenOptions::new().write(true).open(DEVICE) else { return Self(None) };
        Self(Some(tokio::spawn(async move {
            let _released = Released(file.try_clone().ok());
            let mut timer = tokio::time::interval(EVERY);
            loop {
                timer.tick().await;
                // If it cannot be fed any more, the machine restarts.
                let _ = file.write_all(b"1");
            }
        })))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Says that the end is meant: without this letter, closing it is a failure (watchdog-api.rst, "magic close").
struct Released(Option<File>);

impl Drop for Released {
    fn drop(&mut self) {
        if let Some(file) = &mut self.0 {
            let _ = file.write_all(b"V");
        }
    }
}
