//! Starts machines by their BMCs: those that are armed from the network, those that hang in what is taken back. Which ones, when and how often is `lifecycle::starting`'s to say.

use super::{Job, perform};
use crate::clock;
use crate::controller::Controller;
use api::bmc::{Ask, Power, Source};
use lifecycle::starting::{self, Due, Way};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often it is looked whose BMC is due. All that is waited for takes a minute or more.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Until the server stops.
pub(crate) async fn run(controller: Arc<Controller>, mut stopping: watch::Receiver<bool>) {
    let mut timer = tokio::time::interval(LOOK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        if !controller.is_leading() {
            continue;
        }
        let due = starting::due(&controller.zone(), clock::now());
        for due in due {
            let controller = Arc::clone(&controller);
            // What came of it is in the history. One that could not even begin is due still, and tried again.
            tokio::spawn(async move { start(&controller, due).await });
        }
    }
}

async fn start(controller: &Arc<Controller>, due: Due) {
    let from_network = |from| Ask::Boot { from, once: true, mode: None, now: true };
    let ask = match due.way {
        Way::Pxe => from_network(Source::Pxe),
        Way::Http => from_network(Source::Http),
        Way::Usual => Ask::Power { to: Power::Cycle },
    };
    let by = format!("the controller, for {},", due.by);
    let _ = perform(controller, &due.location, Job::Start(ask), &by, Arc::new(|_| {})).await;
}
