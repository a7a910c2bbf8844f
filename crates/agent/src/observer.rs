//! Looks at the machine: when ordered to, on a timer, and when a neighbour changes.
//!
//! In: orders, the hardware file, LLDP neighbours. Out: the newest hardware and check results. It works the same with and
//! without a controller; a session sends what is here when there is one.

use crate::backoff::{Jitter, scaled};
use crate::hardware;
use crate::identity::Orders;
use crate::lldp::Neighbours;
use crate::options::Notice;
use crate::{checks, trust};
use model::Generation;
use model::facts::{CheckResult, Hardware};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// After a neighbour changed, others that change in this time are told with it.
const NEIGHBOURS_GATHER: Duration = Duration::from_millis(300);

/// A system that is starting gets this long until its checks are taken for what they are.
const STARTING_MAX: Duration = Duration::from_secs(600);

/// While it starts, it is asked this often.
const STARTING_AGAIN: Duration = Duration::from_secs(2);

/// Checks that failed are run again this soon: what was only late is told soon after it came.
const FAILED_AGAIN: Duration = Duration::from_secs(15);

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Higher each time somebody wants a fresh look.
    pub serial: u64,
    /// The checks to run; `None` before the first orders.
    pub orders: Option<Orders>,
}

/// What was seen.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Observed {
    /// The hardware, and the [`Wanted::serial`] it answers.
    pub hardware: Option<(u64, Arc<Hardware>)>,
    /// The check results, and the [`Wanted::serial`] they answer.
    pub checks: Option<(u64, Generation, Arc<Vec<CheckResult>>)>,
}

/// Looks until the other ends of the channels are gone.
pub(crate) async fn run(
    mut wanted: watch::Receiver<Wanted>,
    mut neighbours: watch::Receiver<Neighbours>,
    observed: watch::Sender<Observed>,
    hardware_file: Option<PathBuf>,
    tell: Arc<dyn Fn(&Notice) + Send + Sync>,
) {
    let mut jitter = Jitter(trust::random());
    let began = Instant::now();
    loop {
        let now = wanted.borrow_and_update().clone();
        let heard = neighbours.borrow_and_update().clone();
        look(now.serial, &heard, &observed, hardware_file.clone(), &tell).await;
        let mut again = Duration::from_secs(24 * 3600);
        if let Some(orders) = now.orders {
            let texts = orders.checks.iter().map(|file| (file.path.as_str(), file.text.as_str()));
            let results = checks::run(texts).await;
            let is_failing = results.iter().any(|result| !result.passed);
            let is_starting =
                is_failing && began.elapsed() < STARTING_MAX && checks::is_system_starting().await;
            if !is_starting {
                let results = Arc::new(results);
                observed
                    .send_modify(|observed| observed.checks = Some((now.serial, orders.generation, results)));
            }
            // Earlier by up to a tenth, so that ten thousand machines do not all check in the same second.
            let every = Duration::from_secs(orders.check_seconds.max(1).into());
            again = match (is_starting, is_failing) {
                (true, _) => STARTING_AGAIN,
                (false, true) => every.min(FAILED_AGAIN),
                (false, false) => every - scaled(every / 10, jitter.next()),
            };
        }
        let timer = tokio::time::sleep(again);
        tokio::pin!(timer);
        let mut listening = true;
        loop {
            tokio::select! {
                () = &mut timer => break,
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                changed = neighbours.changed(), if listening => match changed {
                    Ok(()) => {
                        // The switches of a pair are heard one after the other: one look for both.
                        tokio::time::sleep(NEIGHBOURS_GATHER).await;
                        let heard = neighbours.borrow_and_update().clone();
                        look(now.serial, &heard, &observed, hardware_file.clone(), &tell).await;
                    }
                    Err(_) => listening = false,
                },
            }
        }
    }
}

async fn look(
    serial: u64,
    neighbours: &Neighbours,
    observed: &watch::Sender<Observed>,
    hardware_file: Option<PathBuf>,
    tell: &Arc<dyn Fn(&Notice) + Send + Sync>,
) {
    // A disk that is dying can block the kernel's answer for long.
    let gathered = tokio::task::spawn_blocking(move || {
        let mut found = hardware::gather();
        let replaced = hardware_file.map_or(Ok(()), |path| hardware::replace(&mut found, &path));
        (found, replaced)
    });
    let Ok((mut found, replaced)) = gathered.await else { return };
    if let Err(error) = replaced {
        tell(&Notice::Trouble(error));
        return;
    }
    for nic in &mut found.nics {
        nic.neighbour = neighbours.get(&nic.name).cloned();
    }
    let found = Arc::new(found);
    observed.send_modify(|observed| observed.hardware = Some((serial, found)));
}
