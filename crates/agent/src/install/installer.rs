//! Orders as they come from a controller: one at a time, carried out whether or not anybody is connected.
//!
//! What there is to say stands in one place ([`Said`]). How an order ended is said again by the next session until a controller has taken it,
//! and not after that: an old end must not be held for that of a newer order.

use super::running::{self, Here};
use super::watchdog::Watchdog;
use super::write;
use crate::options::{Notice, Options};
use crate::{hardware, hold};
use api::agent::{FromAgent, Lease, TEXT_MAX};
use api::install::{Order, Progress, Running, Slot};
use model::{Generation, Time};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What there is to say of orders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// How far the order is that is being carried out.
    pub progress: Option<Progress>,
    /// How much ended.
    ended: u64,
    /// The last thing that ended, until it was taken.
    pub outcome: Option<Outcome>,
}

/// How an order, or a confirmation, ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Another one has another number.
    pub number: u64,
    pub frame: FromAgent,
    /// Sessions that said it.
    sessions: u32,
}

/// A controller that closed so many connections after it heard an outcome does not want it.
const SESSIONS_MAX: u32 = 3;

/// What tells two orders apart.
type Key = (Generation, Time, String, bool);

/// Carries out orders.
pub(crate) struct Installer {
    here: Arc<Here>,
    state_dir: PathBuf,
    tell: Arc<dyn Fn(&Notice) + Send + Sync>,
    said: watch::Sender<Said>,
    /// The order that was begun last, and the task that has to do with it.
    current: Option<(Key, tokio::task::JoinHandle<()>)>,
}

impl Installer {
    /// Finds out what the agent runs in. A slot on trial is given its time.
    pub(crate) async fn new(options: &Options) -> Self {
        let given = options.clone();
        let found = tokio::task::spawn_blocking(move || running::find(&given)).await;
        let (here, problems) = found.unwrap_or((Here::Elsewhere, Vec::new()));
        for problem in problems {
            (options.tell)(&Notice::Trouble(problem));
        }
        let installer = Self {
            here: Arc::new(here),
            state_dir: options.state_dir.clone(),
            tell: Arc::clone(&options.tell),
            said: watch::channel(Said::default()).0,
            current: None,
        };
        if let Here::Disk(disk) = &*installer.here
            && disk.on_trial()
        {
            let (here, tell) = (Arc::clone(&installer.here), Arc::clone(&installer.tell));
            let left = Duration::from_secs(disk.seal.trial_seconds.into()).saturating_sub(running::uptime());
            (installer.tell)(&Notice::Trial { slot: disk.slot, left });
            tokio::spawn(trial(here, left, tell));
        }
        installer
    }

    /// What is said in a hello.
    pub(crate) fn running(&self) -> Option<Running> {
        self.here.told()
    }

    /// Which boot this is, as it is said in a hello.
    pub(crate) fn boot(&self) -> Option<u64> {
        self.here.boot()
    }

    pub(crate) fn said(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }

    /// Begins an order. The same again changes nothing while it is carried out; afterwards it is begun again, which is soon over if it was
    /// carried out.
    pub(crate) fn order(&mut self, order: Order) {
        let key = (order.generation, order.allowed_at, order.image.digest.clone(), order.disks.is_some());
        if let Some((current, task)) = &self.current
            && !task.is_finished()
        {
            if *current != key {
                let sentence = "another order is being carried out".to_owned();
                end(&self.said, not_installed(&order, sentence));
            }
            return;
        }
        let (here, state_dir, said) = (Arc::clone(&self.here), self.state_dir.clone(), self.said.clone());
        let tell = Arc::clone(&self.tell);
        let task = tokio::spawn(async move {
            // In a system on disk the other slot is written beside its work, which is nothing to restart it for.
            let _held = matches!(*here, Here::Memory).then(Watchdog::hold);
            let (given, heard) = (order.clone(), said.clone());
            let blocking = tokio::task::spawn_blocking(move || {
                let progress = |mut progress: Progress| {
                    shorten(&mut progress.step);
                    heard.send_modify(|said| said.progress = Some(progress));
                };
                write::carry_out(&given, &here, &state_dir, &progress)
            });
            let outcome =
                blocking.await.unwrap_or_else(|_| Err("the installer has a fault; its log has more".into()));
            let frame = match outcome {
                Ok(slot) => installed(&order, slot),
                Err(sentence) => not_installed(&order, sentence),
            };
            if let FromAgent::NotInstalled { sentence, .. } = &frame {
                tell(&Notice::Trouble(format!(
                    "{} is not installed: {sentence}",
                    order.image.name.escape_debug()
                )));
            }
            end(&said, frame);
        });
        self.current = Some((key, task));
    }

    /// Makes the running slot the good one, if this image runs in it.
    pub(crate) fn confirm(&self, image: &str) {
        let Here::Disk(disk) = &*self.here else {
            (self.tell)(&Notice::Trouble("a confirmation came, and no slot of ours runs here".into()));
            return;
        };
        if disk.seal.image != image {
            (self.tell)(&Notice::Trouble("a confirmation came for an image that does not run here".into()));
            return;
        }
        let (here, said, tell) = (Arc::clone(&self.here), self.said.clone(), Arc::clone(&self.tell));
        tokio::task::spawn_blocking(move || {
            let Here::Disk(disk) = &*here else { return };
            match running::make_good(disk) {
                Ok(problems) => {
                    problems.into_iter().for_each(|problem| tell(&Notice::Trouble(problem)));
                    end(&said, FromAgent::Confirmed { slot: disk.slot });
                }
                Err(error) => tell(&Notice::Trouble(error)),
            }
        });
    }

    /// Restarts the machine, if that is not refused here.
    pub(crate) fn restart(&self, sentence: &str, lease: Option<&Lease>, now: Time) {
        let (here, tell) = (Arc::clone(&self.here), Arc::clone(&self.tell));
        let held = hold::held(&self.state_dir);
        if let Err(why) = running::may_restart(lease, self.current.is_some(), held.as_deref(), now) {
            let (sentence, why) = (sentence.escape_debug(), why.escape_debug());
            tell(&Notice::Trouble(format!("a restart was refused ({sentence}): {why}")));
            return;
        }
        tell(&Notice::Restart(sentence.escape_debug().to_string()));
        tokio::task::spawn_blocking(move || {
            if let Err(error) = running::restart(&here) {
                tell(&Notice::Trouble(error));
            }
        });
    }

    /// A session says this outcome now.
    pub(crate) fn tells(&self, number: u64) {
        self.said.send_if_modified(|said| {
            if let Some(outcome) = said.outcome.as_mut().filter(|outcome| outcome.number == number) {
                outcome.sessions += 1;
                if outcome.sessions >= SESSIONS_MAX {
                    said.outcome = None;
                }
            }
            false
        });
    }

    /// A controller has taken it.
    pub(crate) fn taken(&self, number: u64) {
        self.said.send_if_modified(|said| {
            said.outcome.take_if(|outcome| outcome.number == number);
            false
        });
    }
}

/// Waits for the end of a trial; nobody confirmed it by then: the machine restarts, and GRUB starts the other slot.
async fn trial(here: Arc<Here>, left: Duration, tell: Arc<dyn Fn(&Notice) + Send + Sync>) {
    let Here::Disk(disk) = &*here else { return };
    let watchdog = Watchdog::hold();
    let end = tokio::time::Instant::now() + left;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !disk.on_trial() {
            drop(watchdog);
            return;
        }
    }
    tell(&Notice::Restart("the trial is over, and nobody confirmed it".into()));
    let restarting = Arc::clone(&here);
    let outcome = tokio::task::spawn_blocking(move || running::restart(&restarting)).await;
    if let Ok(Err(error)) = outcome {
        tell(&Notice::Trouble(error));
    }
}

fn end(said: &watch::Sender<Said>, frame: FromAgent) {
    said.send_modify(|said| {
        said.ended += 1;
        if !matches!(frame, FromAgent::Confirmed { .. }) {
            said.progress = None;
        }
        said.outcome = Some(Outcome { number: said.ended, frame, sessions: 0 });
    });
}

fn installed(order: &Order, slot: Slot) -> FromAgent {
    FromAgent::Installed { generation: order.generation, image: order.image.digest.clone(), slot }
}

fn not_installed(order: &Order, mut sentence: String) -> FromAgent {
    shorten(&mut sentence);
    let mut image = order.image.digest.clone();
    shorten(&mut image);
    FromAgent::NotInstalled { generation: order.generation, image, sentence }
}

/// A frame with a longer text is not taken.
fn shorten(text: &mut String) {
    text.truncate(hardware::beginning(text, TEXT_MAX).len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::install::OsImage;

    /// The agent of a machine that is none of ours, as those of the lab.
    async fn installer() -> Installer {
        let options = Options::nowhere();
        Installer::new(&options).await
    }

    fn order(name: &str) -> Order {
        let image = OsImage { name: name.into(), digest: format!("sha256:{name}"), sources: Vec::new() };
        Order {
            generation: Generation(1),
            allowed_at: Time(1),
            image,
            disks: None,
            arguments: String::new(),
            files: Vec::new(),
            trial_seconds: 1,
        }
    }

    async fn outcome(said: &mut watch::Receiver<Said>, after: u64) -> Outcome {
        let ended = said.wait_for(|said| said.outcome.as_ref().is_some_and(|outcome| outcome.number > after));
        let said =
            tokio::time::timeout(Duration::from_secs(30), ended).await.expect("in time").expect("alive");
        said.outcome.clone().expect("an outcome")
    }

    #[tokio::test]
    async fn a_machine_that_is_not_ours_is_not_touched() {
        let mut installer = installer().await;
        assert_eq!(installer.running(), None);
        let mut said = installer.said();
        let mut after = 0;
        let disks = api::install::Disks {
            system: vec![api::install::Disk { name: "vda".into(), size_bytes: 1 }],
            raid: None,
            esp_bytes: 1,
            slots: 1,
            root_bytes: 1,
            volumes: Vec::new(),
        };
        for (disks, words) in [(None, "no slot of ours runs here"), (Some(disks), "boot the installer")] {
            installer.order(Order { disks, ..order("debian") });
            let outcome = outcome(&mut said, after).await;
            after = outcome.number;
            let FromAgent::NotInstalled { sentence, .. } = outcome.frame else { panic!("{outcome:?}") };
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[tokio::test]
    async fn an_end_is_said_until_it_was_taken_and_not_for_ever() {
        let mut installer = installer().await;
        let mut said = installer.said();
        installer.order(order("one"));
        let first = outcome(&mut said, 0).await;
        installer.taken(first.number + 1);
        assert!(said.borrow().outcome.is_some(), "another one was taken");
        installer.taken(first.number);
        assert!(said.borrow().outcome.is_none());
        // The same order after its end is carried out again.
        installer.order(order("one"));
        let second = outcome(&mut said, first.number).await;
        for _ in 0..SESSIONS_MAX {
            assert!(said.borrow().outcome.is_some());
            installer.tells(second.number);
        }
        assert!(said.borrow().outcome.is_none(), "controllers that close the connection do not want it");
    }
}
