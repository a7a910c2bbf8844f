//! Threads under load: of the lowest priority, each on its own CPU, until their time is over or somebody ends them.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// The lowest priority there is. The kernel's I/O schedulers that know classes take it for the last of the ordinary ones.
const NICE: i32 = 19;
/// What the threads of a burn-in call is shallow.
const STACK: usize = 256 << 10;
/// Threads that found something wrong and are told of; the first is what counts.
const TOLD_MAX: usize = 4;

/// When a part ends, and how much it has done.
#[derive(Clone)]
pub(super) struct Bound {
    /// The burn-in was called off.
    stop: Arc<AtomicBool>,
    /// One of its threads found something wrong: the others need not go on.
    found: Arc<AtomicBool>,
    until: Instant,
    done: Arc<AtomicU64>,
}

impl Bound {
    pub(super) fn new(stop: &Arc<AtomicBool>, until: Instant) -> Self {
        Self { stop: Arc::clone(stop), found: Arc::default(), until, done: Arc::default() }
    }

    /// What was begun is to be given up at once.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.found.load(Ordering::Relaxed)
    }

    /// Nothing more is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.is_stopped() || Instant::now() >= self.until
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// So much more is done: calculations, or octets.
    pub(super) fn count(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the other threads if this one found something wrong.
    pub(super) fn tell<T, E>(&self, found: Result<T, E>) -> Result<T, E> {
        if found.is_err() {
            self.found.store(true, Ordering::Relaxed);
        }
        found
    }
}

/// The CPUs that this process may use.
pub(super) fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let cpus: Vec<_> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// Begins a thread. One that cannot be put on its CPU runs where the kernel likes.
///
/// # Errors
/// There is no room for it, a sentence.
pub(super) fn begin<T: Send + 'static>(
    cpu: Option<usize>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    let begun = std::thread::Builder::new().name("burn-in".into()).stack_size(STACK).spawn(move || {
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut only = CpuSet::new();
        if let Some(cpu) = cpu
            && only.set(cpu).is_ok()
        {
            let _ = sched_setaffinity(Pid::from_raw(0), &only);
        }
        work()
    });
    begun.map_err(|error| format!("a thread could not be begun: {error}"))
}

/// Waits for threads; what each gave, or what was found wrong.
pub(super) fn all<T>(threads: Vec<JoinHandle<Result<T, String>>>) -> Result<Vec<T>, String> {
    let (mut given, mut wrong) = (Vec::new(), Vec::new());
    for thread in threads {
        match thread.join() {
            Ok(Ok(one)) => given.push(one),
            Ok(Err(sentence)) => wrong.push(sentence),
            Err(_) => wrong.push("the test itself has a fault; the agent's log has more".to_owned()),
        }
    }
    if wrong.is_empty() { Ok(given) } else { Err(some(&wrong)) }
}

/// The first few sentences, and how many more there are.
pub(super) fn some(sentences: &[String]) -> String {
    let more = match sentences.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let first: Vec<&str> = sentences.iter().take(TOLD_MAX).map(String::as_str).collect();
    first.join("; ") + &more
}

/// A well mixed number for each number (SplitMix64, Steele, Lea and Flood 2014).
pub(super) fn mixed(number: u64) -> u64 {
    let mut word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
