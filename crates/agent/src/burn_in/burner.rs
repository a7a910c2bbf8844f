//! Orders as they come from a controller: one at a time, carried out whether or not anybody is connected.
//!
//! The controller says the order again in each session for as long as it wants it, and so hears again how it ended; nothing
//! need be kept until it was taken.

use super::load::Bound;
use super::memory::Amount;
use super::{cpu, disk, kernel, load, memory};
use crate::hardware;
use crate::install::Watchdog;
use crate::options::{Notice, Options};
use api::agent::TEXT_MAX;
use model::burn_in::{Order, Outcome, Part, PartOutcome, Progress};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often it says how far it is.
const EVERY: Duration = Duration::from_secs(5);
/// A machine that is played is one of many on its host.
const PLAYED_SECONDS: u32 = 1;
const PLAYED_OCTETS: u64 = 16 << 20;

/// What there is to say of burn-ins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// How far the one is that is under way.
    pub progress: Option<Progress>,
    /// How the last ended.
    pub outcome: Option<Outcome>,
    /// How often somebody wanted to hear that.
    pub wanted: u64,
}

/// Carries out orders.
pub(crate) struct Burner {
    whole: Whole,
    tell: Arc<dyn Fn(&Notice) + Send + Sync>,
    said: watch::Sender<Said>,
    current: Option<Current>,
    /// One that was called off, and may still be giving back what it has.
    ending: Option<JoinHandle<()>>,
}

struct Current {
    order: Order,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What is tried out.
#[derive(Clone, Copy, Debug)]
struct Whole {
    /// The machine is played: a little of one CPU and of memory, and no disk.
    is_played: bool,
    /// It runs from memory, where a machine that hangs is to restart.
    is_watched: bool,
}

impl Burner {
    /// Nothing is under way.
    pub(crate) fn new(options: &Options, is_in_memory: bool) -> Self {
        let is_played = options.hardware_file.is_some();
        let whole = Whole { is_played, is_watched: is_in_memory };
        Self {
            whole,
            tell: Arc::clone(&options.tell),
            said: watch::Sender::new(Said::default()),
            current: None,
            ending: None,
        }
    }

    pub(crate) fn said(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }

    /// Begins an order, or ends what is under way. The same order again is answered if it was carried out.
    pub(crate) fn order(&mut self, order: Option<Order>) {
        if let (Some(current), Some(order)) = (&self.current, &order)
            && current.order == *order
        {
            self.said.send_if_modified(|said| {
                said.wanted += 1;
                said.outcome.is_some()
            });
            return;
        }
        if let Some(current) = self.current.take() {
            current.stop.store(true, Ordering::Relaxed);
            // It waits itself for the one before it.
            self.ending = Some(current.task);
        }
        self.said.send_modify(|said| (said.progress, said.outcome) = (None, None));
        let Some(order) = order else { return };
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(carried_out(
            order,
            self.whole,
            Arc::clone(&stop),
            self.ending.take(),
            self.said.clone(),
            Arc::clone(&self.tell),
        ));
        self.current = Some(Current { order, stop, task });
    }
}

/// An agent that ends leaves nothing under way.
impl Drop for Burner {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.stop.store(true, Ordering::Relaxed);
        }
    }
}

async fn carried_out(
    order: Order,
    whole: Whole,
    stop: Arc<AtomicBool>,
    before: Option<JoinHandle<()>>,
    said: watch::Sender<Said>,
    tell: Arc<dyn Fn(&Notice) + Send + Sync>,
) {
    if let Some(before) = before {
        // Memory that it has is not free.
        let _ = before.await;
    }
    let _held = whole.is_watched.then(Watchdog::hold);
    let (heard, stopped) = (said.clone(), Arc::clone(&stop));
    let blocking = tokio::task::spawn_blocking(move || {
        let progress = |progress| {
            if !stopped.load(Ordering::Relaxed) {
                heard.send_modify(|said| said.progress = Some(progress));
            }
        };
        burnt(order, whole, &stopped, &progress)
    });
    let parts = blocking.await.unwrap_or_default();
    if stop.load(Ordering::Relaxed) {
        return;
    }
    for failed in parts.iter().filter(|part| !part.passed) {
        tell(&Notice::Trouble(format!("the burn-in failed, {}: {}", failed.part.name(), failed.sentence)));
    }
    said.send_modify(|said| {
        said.wanted += 1;
        (said.progress, said.outcome) = (None, Some(Outcome { order, parts }));
    });
}

/// One part after the other, until one fails.
fn burnt(order: Order, whole: Whole, stop: &Arc<AtomicBool>, tell: &dyn Fn(Progress)) -> Vec<PartOutcome> {
    let began = Instant::now();
    let mut parts = Vec::new();
    for (part, seconds) in order.parts.parts() {
        let seconds = if whole.is_played { seconds.min(PLAYED_SECONDS) } else { seconds };
        let time = Duration::from_secs(seconds.into());
        let bound = Bound::new(stop, Instant::now() + time);
        let progress = |left: Duration, per_second| {
            let percent = (time.saturating_sub(left).as_millis() * 100 / time.as_millis().max(1)).min(100);
            tell(Progress {
                order,
                part,
                percent: u8::try_from(percent).unwrap_or(100),
                per_second,
                elapsed_seconds: u32::try_from(began.elapsed().as_secs()).unwrap_or(u32::MAX),
            });
        };
        let before = kernel::counts(Path::new("/"));
        let found = watched(part, whole, &bound, &progress);
        let found = kernel::judged(before, kernel::counts(Path::new("/")), found);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let passed = found.is_ok();
        let sentence = found.unwrap_or_else(|sentence| sentence);
        let sentence = hardware::beginning(&sentence, TEXT_MAX).to_owned();
        parts.push(PartOutcome { part, passed, sentence });
        if !passed {
            break;
        }
    }
    parts
}

/// Does a part in a thread of its own, and says meanwhile how far it is.
fn watched(
    part: Part,
    whole: Whole,
    bound: &Bound,
    progress: &dyn Fn(Duration, u64),
) -> Result<String, String> {
    let left = || bound.until().saturating_duration_since(Instant::now());
    progress(left(), 0);
    let (tell, heard) = mpsc::channel();
    let inner = bound.clone();
    let thread = load::begin(None, move || {
        let _ = tell.send(done(part, whole, &inner));
    })?;
    let (mut before, mut since) = (0, Instant::now());
    loop {
        match heard.recv_timeout(EVERY) {
            Ok(found) => return found,
            Err(RecvTimeoutError::Timeout) => {
                let (now, took) = (bound.done(), since.elapsed());
                let rate = u128::from(now.saturating_sub(before)) * 1000 / took.as_millis().max(1);
                progress(left(), u64::try_from(rate).unwrap_or(u64::MAX));
                (before, since) = (now, Instant::now());
            }
            Err(RecvTimeoutError::Disconnected) => {
                let _ = thread.join();
                return Err("the test itself has a fault; the agent's log has more".to_owned());
            }
        }
    }
}

fn done(part: Part, whole: Whole, bound: &Bound) -> Result<String, String> {
    let mut cpus = load::cpus();
    if whole.is_played {
        cpus.truncate(1);
    }
    match part {
        Part::Cpu => cpu::run(&cpus, bound, &cpu::honest()),
        Part::Memory => {
            let amount = if whole.is_played { Amount::little(PLAYED_OCTETS) } else { Amount::most() };
            memory::run(&cpus, amount, bound, &memory::honest())
        }
        Part::Disk if whole.is_played => disk::run(Vec::new(), bound),
        Part::Disk => {
            let found = hardware::gather().disks;
            let disks: Result<Vec<_>, _> =
                found.iter().map(|found| disk::open(&found.name, found.size_bytes)).collect();
            disk::run(disks?, bound)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Time;
    use model::burn_in::BurnIn;

    fn burner() -> Burner {
        let options = Options::nowhere();
        Burner::new(&options, false)
    }

    fn order(due: u64, parts: BurnIn) -> Option<Order> {
        Some(Order { due: Time(due), parts })
    }

    const ALL: BurnIn = BurnIn { cpu_seconds: 1, memory_seconds: 1, disk_seconds: 1 };

    async fn said(burner: &Burner, wanted: impl FnMut(&Said) -> bool) -> Said {
        let mut said = burner.said();
        let reached = said.wait_for(wanted);
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("in time").expect("alive").clone()
    }

    #[tokio::test]
    async fn an_order_is_carried_out_part_by_part_and_told_again_when_it_is_given_again() {
        let mut burner = burner();
        burner.order(order(1, ALL));
        let progress = said(&burner, |said| said.progress.is_some()).await.progress.expect("progress");
        assert_eq!((progress.part, progress.percent), (Part::Cpu, 0));
        burner.order(order(1, ALL));
        let first = said(&burner, |said| said.outcome.is_some()).await;
        let outcome = first.outcome.clone().expect("ended");
        let ended: Vec<_> = outcome.parts.iter().map(|part| (part.part, part.passed)).collect();
        assert_eq!(ended, [(Part::Cpu, true), (Part::Memory, true), (Part::Disk, true)], "{outcome:?}");
        burner.order(order(1, ALL));
        let again = said(&burner, |said| said.wanted > first.wanted).await;
        assert_eq!((again.outcome, again.progress), (first.outcome, None));
    }

    #[tokio::test]
    async fn what_is_called_off_says_nothing_and_makes_room() {
        let mut burner = burner();
        burner.order(order(1, ALL));
        said(&burner, |said| said.progress.is_some()).await;
        burner.order(None);
        assert!(burner.said().borrow().progress.is_none());
        burner.order(order(2, BurnIn { memory_seconds: 1, ..BurnIn::default() }));
        let outcome = said(&burner, |said| said.outcome.is_some()).await.outcome.expect("ended");
        assert_eq!((outcome.order.due, outcome.parts.len()), (Time(2), 1));
    }
}
