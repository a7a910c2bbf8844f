//! An image on its way, shown: a live line on a terminal, a line for each step elsewhere.

use super::megabytes;
use image::Step;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// What is on the screen.
pub(crate) struct Shown {
    live: Option<ProgressBar>,
    last: String,
    began: Instant,
}

impl Shown {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        let live = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(100);
            if let Ok(style) = ProgressStyle::with_template("{bar:32.green/dim} {percent:>3}% {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { live, last: String::new(), began: Instant::now() }
    }

    /// Shows what is being done.
    pub(crate) fn show(&mut self, step: &Step) {
        let Told { text, detail, percent } = told(step);
        match &self.live {
            Some(bar) => {
                bar.set_position(percent);
                bar.set_message(if detail.is_empty() { text } else { format!("{text}: {detail}") });
            }
            None if text != self.last => {
                let elapsed = self.began.elapsed().as_secs_f64();
                // If nobody listens there is nobody to tell.
                let _ = writeln!(anstream::stderr(), "{elapsed:6.1} s  {text}");
                self.last = text;
            }
            None => {}
        }
    }

    /// Takes the live line away; what was made follows.
    pub(crate) fn end(self) {
        if let Some(bar) = self.live {
            bar.finish_and_clear();
        }
    }
}

/// A step in words, what of it is being done, and how far of a hundred it is.
struct Told {
    text: String,
    detail: String,
    percent: u64,
}

fn told(step: &Step) -> Told {
    let (text, detail, percent) = match step {
        Step::Waiting => ("waiting for another build that uses the cache".to_owned(), String::new(), 0),
        Step::Asking => ("asking the sources what they have".to_owned(), String::new(), 0),
        Step::Fetching(count, octets, percent) => {
            (format!("fetching {}", packages(*count, *octets)), String::new(), u64::from(*percent))
        }
        Step::Reading(done, all) => {
            (format!("reading {all} packages"), String::new(), part(*done as u64, *all as u64))
        }
        Step::Installing(count, octets, percent, doing, name) => {
            let text = format!("installing {}", packages(*count, *octets));
            (text, format!("{doing} {name}"), u64::from(*percent))
        }
        Step::Generating => ("making the initial RAM disk".to_owned(), String::new(), 100),
        Step::Packing(name, done, all) => (format!("packing {name}"), String::new(), part(*done, *all)),
        Step::Streaming(name, done) => {
            (format!("packing {name}"), format!("{} of files", megabytes(*done)), 100)
        }
    };
    Told { text, detail, percent }
}

fn packages(count: usize, octets: u64) -> String {
    format!("{count} package{}, {}", if count == 1 { "" } else { "s" }, megabytes(octets))
}

fn part(done: u64, all: u64) -> u64 {
    (done * 100).checked_div(all).unwrap_or(100)
}
