//! From a certificate to the end of the connection: hello, reports, check results, heartbeats, renewal.
//!
//! In: frames of the controller, what the observer saw, the time. Out: frames, orders for the observer, files of the
//! state directory. It ends with the reason why, or, if the agent runs once, when the controller has taken everything.

use crate::attempt::Agent;
use crate::backoff::{Jitter, scaled};
use crate::burn_in;
use crate::connection::{Connection, Lost, REPLY_TIME_MAX};
use crate::enrolment::renewal;
use crate::hold;
use crate::identity::Orders;
use crate::install::Said;
use crate::observer::Observed;
use crate::options::{Controller, Notice};
use crate::probe::Prober;
use api::agent::{Because, FromAgent, FromController, VERSION, VERSION_OLDEST};
use model::design::CheckFile;
use model::facts::{CheckResult, Hardware};
use model::{Generation, Time};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A controller that says nothing for so many heartbeats is gone.
const HEARTBEATS_MISSED_MAX: u32 = 3;

/// A clock that drifted this far since the last report is reported anew.
const SKEW_STEP_MS: u64 = 1000;

/// A skew is told in steps of this: it is measured over a network, and each other value is another state of the machine.
const SKEW_GRAIN_MS: i64 = 100;

/// Never more often, whatever a controller asks for.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);

/// How long a renewal that was not answered waits for the next try.
const RENEWAL_RETRY: Duration = Duration::from_secs(300);

/// How soon a controller hears that somebody holds the machine. What is refused meanwhile is refused all the same.
const HOLD_EVERY: Duration = Duration::from_secs(2);

struct Session<'a> {
    agent: &'a mut Agent,
    connection: &'a mut Connection,
    /// What was ordered in this session must be answered by what was seen after it.
    serial: u64,
    generation: Generation,
    reported: Option<Arc<Hardware>>,
    reported_skew_ms: i64,
    checked: Option<(Generation, Arc<Vec<CheckResult>>)>,
    /// Why nobody may restart the machine, as it was last told.
    held: Option<String>,
    /// This machine's clock minus the controller's.
    skew_ms: i64,
    /// Everything is said; the next heartbeat's answer proves that it was taken.
    said_all: bool,
}

/// Says hello and serves the connection to its end. `welcomed` is set when the controller took the hello.
pub(crate) async fn run(
    agent: &mut Agent,
    controller: Controller,
    connection: &mut Connection,
    welcomed: &mut bool,
) -> Result<(), Lost> {
    let hello = FromAgent::Hello {
        version: VERSION,
        location: agent.options.location.clone(),
        generation: agent.wanted.borrow().orders.as_ref().map(|orders| orders.generation),
        running: agent.installer.running(),
        // One that ends soon would leave it unfinished.
        burns_in: !agent.options.once,
        held: hold::held(&agent.options.state_dir),
        boot: agent.installer.boot(),
    };
    let held = match &hello {
        FromAgent::Hello { held, .. } => held.clone(),
        _ => None,
    };
    let asked = Instant::now();
    let FromController::Welcome {
        version,
        generation,
        checks,
        heartbeat_seconds,
        check_seconds,
        probe_seconds,
        now,
    } = connection.ask(&hello).await?
    else {
        return Err(Lost::Unexpected);
    };
    if !(VERSION_OLDEST..=VERSION).contains(&version) {
        let sentence = format!("the controller speaks version {version}");
        return Err(Lost::Refused { because: Because::Version, sentence, retry: Duration::from_secs(60) });
    }
    *welcomed = true;
    (agent.options.tell)(&Notice::Connected { controller, generation });
    let mut session = Session {
        agent,
        connection,
        serial: 0,
        generation,
        reported: None,
        reported_skew_ms: 0,
        checked: None,
        held,
        skew_ms: skew_ms(own_time(), now, asked.elapsed()),
        said_all: false,
    };
    session.order(Some((generation, checks, check_seconds)));
    let heartbeat = Duration::from_secs(heartbeat_seconds.into()).max(HEARTBEAT_MIN);
    session.run(heartbeat, probe_seconds, now).await
}

impl Session<'_> {
    async fn run(&mut self, heartbeat: Duration, probe_seconds: u32, now: Time) -> Result<(), Lost> {
        let mut prober = Prober::new(probe_seconds, Jitter(self.agent.jitter.next()));
        let patience = heartbeat * HEARTBEATS_MISSED_MAX;
        let mut silent_at = Instant::now() + patience.max(REPLY_TIME_MAX);
        let mut beat_at = Instant::now() + scaled(heartbeat, self.agent.jitter.next());
        let mut hold_at = Instant::now();
        let mut renew_at = self.renewal_due(now);
        let mut observed = self.agent.observed.clone();
        observed.mark_changed();
        let (mut installing, mut said) = (self.agent.installer.said(), None);
        let (mut beats, mut answered, mut taken_at) = (0_u64, 0_u64, None);
        installing.mark_changed();
        // How an earlier order ended is said if it is given again.
        let mut burning = self.agent.burner.said();
        let mut told = burning.borrow().wanted;
        burning.mark_changed();
        loop {
            tokio::select! {
                frame = self.connection.receive() => {
                    silent_at = Instant::now() + patience;
                    match frame? {
                        FromController::Heartbeat { now } => {
                            answered += 1;
                            if let Some((_, number)) = taken_at.take_if(|(beat, _)| answered >= *beat) {
                                self.agent.installer.taken(number);
                            }
                            if self.said_all && self.agent.options.once {
                                return Ok(());
                            }
                            self.skew_ms = skew_ms(own_time(), now, Duration::ZERO);
                            if self.skew_ms.abs_diff(self.reported_skew_ms) > SKEW_STEP_MS {
                                self.reported = None;
                                observed.mark_changed();
                            }
                        }
                        FromController::CheckAgain => {
                            (self.reported, self.checked) = (None, None);
                            self.order(None);
                        }
                        FromController::NewGeneration { generation, checks, probe_seconds } => {
                            self.generation = generation;
                            prober.set(probe_seconds);
                            self.order(Some((generation, checks, self.check_seconds())));
                        }
                        frame @ FromController::Certificate { now, .. } => {
                            self.keep_certificate(frame);
                            renew_at = self.renewal_due(now);
                        }
                        FromController::BurnIn { order } => self.agent.burner.order(order),
                        FromController::Install { order } => self.agent.installer.order(*order),
                        FromController::Confirm { image } => self.agent.installer.confirm(&image),
                        FromController::Restart { sentence, lease } => {
                            let now = self.controllers_time();
                            self.agent.installer.restart(&sentence, lease.as_ref(), now);
                        }
                        FromController::Token { .. }
                        | FromController::Half { .. }
                        | FromController::ShowTpm {}
                        | FromController::Challenge { .. }
                        | FromController::Welcome { .. }
                        | FromController::Refused { .. } => {
                            return Err(Lost::Unexpected);
                        }
                    }
                }
                changed = observed.changed() => {
                    if changed.is_err() {
                        return Err(Lost::Own("the observer ended".into()));
                    }
                    let seen = observed.borrow_and_update().clone();
                    self.say(seen).await?;
                    if self.said_all && self.agent.options.once {
                        self.connection.send(&FromAgent::Heartbeat).await?;
                        beats += 1;
                    }
                }
                Ok(()) = installing.changed() => {
                    let Said { progress, outcome, .. } = installing.borrow_and_update().clone();
                    if let Some(outcome) = outcome.filter(|outcome| said != Some(outcome.number)) {
                        self.agent.installer.tells(outcome.number);
                        self.connection.send(&outcome.frame).await?;
                        said = Some(outcome.number);
                        // Frames are taken in order: the answer to this one proves that the other was.
                        self.connection.send(&FromAgent::Heartbeat).await?;
                        beats += 1;
                        taken_at = Some((beats, outcome.number));
                    }
                    if let Some(progress) = progress {
                        self.connection.send(&FromAgent::Installing { progress }).await?;
                    }
                }
                Ok(()) = burning.changed() => {
                    let burn_in::Said { progress, outcome, wanted } = burning.borrow_and_update().clone();
                    if let Some(progress) = progress {
                        self.connection.send(&FromAgent::BurningIn { progress }).await?;
                    }
                    if let Some(outcome) = outcome.filter(|_| told != wanted) {
                        self.connection.send(&FromAgent::BurntIn { outcome }).await?;
                    }
                    told = wanted;
                }
                heard = prober.heard() => match heard {
                    Ok(servers) => self.connection.send(&FromAgent::Servers { servers }).await?,
                    Err(error) => (self.agent.options.tell)(&Notice::Trouble(format!(
                        "failed to look for dhcp servers, other than ours stay unknown: {error}"
                    ))),
                },
                () = tokio::time::sleep_until(hold_at) => {
                    let held = hold::held(&self.agent.options.state_dir);
                    if held != self.held {
                        self.connection.send(&FromAgent::Held { why: held.clone() }).await?;
                        self.held = held;
                    }
                    hold_at = Instant::now() + HOLD_EVERY;
                }
                () = tokio::time::sleep_until(beat_at) => {
                    self.connection.send(&FromAgent::Heartbeat).await?;
                    beats += 1;
                    // Earlier by up to a tenth, never later.
                    beat_at = Instant::now() + heartbeat - scaled(heartbeat / 10, self.agent.jitter.next());
                }
                () = tokio::time::sleep_until(renew_at) => {
                    if let Some(identity) = &self.agent.identity {
                        self.connection.send(&renewal(identity)?).await?;
                    }
                    renew_at = Instant::now() + RENEWAL_RETRY;
                }
                () = tokio::time::sleep_until(silent_at) => return Err(Lost::Silent),
            }
        }
    }

    /// What the controller's clock says, as far as is known.
    fn controllers_time(&self) -> Time {
        let own = i64::try_from(own_time().0).unwrap_or(i64::MAX);
        Time(u64::try_from(own.saturating_sub(self.skew_ms)).unwrap_or_default())
    }

    /// Sends what was seen and not said yet.
    async fn say(&mut self, seen: Observed) -> Result<(), Lost> {
        if let Some((serial, hardware)) = seen.hardware
            && (serial >= self.serial || self.reported.is_some())
            && self.reported.as_ref() != Some(&hardware)
        {
            let clock_skew_ms = self.skew_ms / SKEW_GRAIN_MS * SKEW_GRAIN_MS;
            let report = Hardware { clock_skew_ms, ..Hardware::clone(&hardware) };
            self.connection.send(&FromAgent::Report { hardware: Box::new(report) }).await?;
            (self.reported, self.reported_skew_ms) = (Some(hardware), self.skew_ms);
        }
        if let Some((serial, generation, results)) = seen.checks
            && serial >= self.serial
        {
            let news = (generation, results);
            if self.checked.as_ref() != Some(&news) {
                let results = news.1.to_vec();
                self.connection.send(&FromAgent::Checks { generation, results }).await?;
                self.checked = Some(news);
            }
        }
        self.said_all = self.reported.is_some() && self.checked.is_some();
        Ok(())
    }

    /// Has the observer look: with new orders, or with those it has.
    fn order(&mut self, new: Option<(Generation, Vec<CheckFile>, u32)>) {
        let location = self.agent.options.location.clone();
        if let Some((generation, checks, check_seconds)) = new {
            let orders = Orders { location, generation, checks, check_seconds };
            // Written only when it says something new: a reconnect must not wear a disk.
            if self.agent.wanted.borrow().orders.as_ref() != Some(&orders)
                && let Err(error) = self.agent.state.keep_orders(&orders)
            {
                (self.agent.options.tell)(&Notice::Trouble(error));
            }
            self.agent.wanted.send_modify(|wanted| wanted.orders = Some(orders));
        }
        self.said_all = false;
        self.agent.wanted.send_modify(|wanted| wanted.serial += 1);
        self.serial = self.agent.wanted.borrow().serial;
    }

    fn check_seconds(&self) -> u32 {
        self.agent.wanted.borrow().orders.as_ref().map_or(u32::MAX, |orders| orders.check_seconds)
    }

    fn keep_certificate(&mut self, frame: FromController) {
        let Some(renewed) = self.agent.identity.clone().and_then(|identity| identity.with(frame)) else {
            return;
        };
        if let Err(error) = self.agent.state.keep_identity(&renewed) {
            (self.agent.options.tell)(&Notice::Trouble(error));
        }
        self.agent.identity = Some(renewed);
        (self.agent.options.tell)(&Notice::Renewed);
    }

    /// When to ask for the next certificate, on this machine's steady clock. `now` is the controller's.
    fn renewal_due(&mut self, now: Time) -> Instant {
        let issued = self.agent.identity.as_ref().and_then(|identity| identity.issued.as_ref());
        let left = issued.map_or(RENEWAL_RETRY, |issued| issued.renew_at.since(now));
        Instant::now() + left - scaled(left / 10, self.agent.jitter.next())
    }
}

fn own_time() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// This machine's clock minus the controller's, which said `now` at some time of the `waited` that its answer took: a controller that
/// waits for another to lead takes seconds. Of what it may be, the least; the next heartbeat says it exactly.
fn skew_ms(own: Time, now: Time, waited: Duration) -> i64 {
    let milliseconds = |it: Time| i64::try_from(it.0).unwrap_or(i64::MAX);
    let most = milliseconds(own).saturating_sub(milliseconds(now));
    let least = most.saturating_sub(i64::try_from(waited.as_millis()).unwrap_or(i64::MAX));
    0.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_took_its_time_makes_no_clock_wrong() {
        let check = |own: u64, now: u64, waited_ms: u64, expected: i64| {
            assert_eq!(skew_ms(Time(own), Time(now), Duration::from_millis(waited_ms)), expected);
        };
        // It said so as it began to wait, at the end, or in between.
        check(20_000, 11_000, 9_000, 0);
        check(20_000, 20_000, 9_000, 0);
        check(20_000, 14_000, 9_000, 0);
        check(20_000, 17_000, 0, 3_000);
        check(20_000, 23_000, 2, -3_000);
        check(30_000, 11_000, 9_000, 10_000);
    }
}
