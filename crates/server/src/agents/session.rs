//! A peer with a certificate: hello, then reports, checks, heartbeats and renewals, and what the controller pushes.
//!
//! In: frames, pushes, new plans. Out: events. The connection ends when a heartbeat is long overdue, when the place is
//! no longer the agent's, or when another connection of the same machine replaces it.

use super::enrolment::{Renewal, renew, speaks};
use super::present::Push;
use super::stream::{Ended, Stream};
use super::tls::Certificate;
use super::{Agents, Refused, Situation};
use api::agent::{Because, FromAgent, FromController};
use lifecycle::enrolment;
use model::design::CheckFile;
use model::event::What;
use model::install::Running;
use model::{Generation, Location};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// So many heartbeats may be missed before the agent counts as lost.
const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Whatever may be a write to the store: so many at once, then one each [`REPORT_EVERY`].
const REPORTS_AT_ONCE: u32 = 8;

/// See [`REPORTS_AT_ONCE`].
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// How soon a full queue is tried again.
const LOST_RETRY: Duration = Duration::from_secs(1);

/// Serves one agent until its connection ends.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    agents: &Agents,
    stream: &mut Stream<S>,
    source: IpAddr,
    certificate: &Certificate,
) {
    let patience = agents.heartbeat * HEARTBEATS_MISSED_MAX;
    let mut entered = None;
    let outcome = match tokio::time::timeout(patience, stream.receive()).await {
        Err(_) => Err(End::Gone),
        Ok(Err(ended)) => Err(End::from(ended)),
        Ok(Ok(FromAgent::Hello { version, location, running, burns_in, held, boot, .. })) => {
            match welcome(agents, version, &location, running.as_ref(), source, certificate) {
                Ok(welcome) => {
                    let (id, pushes) = agents.present.enter(&location);
                    entered = Some((location, id));
                    talk(
                        agents,
                        stream,
                        source,
                        certificate,
                        welcome,
                        (running, burns_in, held, boot),
                        pushes,
                    )
                    .await
                }
                Err(refused) => Err(End::Refused(refused)),
            }
        }
        Ok(Ok(_)) => Err(End::Refused(Refused::new(Because::Protocol, "a session begins with a hello"))),
    };
    if let Err(End::Refused(refused)) = outcome {
        let _ = stream.send(&refused.into_frame()).await;
    }
    if let Some((location, id)) = entered {
        lost(agents, &location, id).await;
    }
    stream.close().await;
}

/// Why a session ends.
enum End {
    /// The agent is told why.
    Refused(Refused),
    /// There is nobody to tell.
    Gone,
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Bad(bad) => Self::Refused(Refused::new(Because::Protocol, bad.to_string())),
            Ended::Closed | Ended::TooSlow => Self::Gone,
        }
    }
}

fn welcome(
    agents: &Agents,
    version: u16,
    location: &Location,
    running: Option<&Running>,
    source: IpAddr,
    certificate: &Certificate,
) -> Result<FromController, Refused> {
    let version = speaks(version)?;
    if *location != certificate.location {
        let words = format!("the certificate is for {}, not for {location}", certificate.location);
        return Err(Refused::new(Because::WrongPlace, words));
    }
    let situation = (agents.look)(location);
    enrolment::may_begin(situation.peer(source), certificate.key_sha256)?;
    Ok(FromController::Welcome {
        version,
        generation: situation.plan.generation,
        checks: situation.checks(running),
        heartbeat_seconds: seconds(agents.heartbeat),
        check_seconds: seconds(agents.check_every),
        probe_seconds: situation.probe_seconds(),
        now: (agents.now)(),
    })
}

/// Everything after the hello was found good.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    agents: &Agents,
    stream: &mut Stream<S>,
    source: IpAddr,
    certificate: &Certificate,
    welcome: FromController,
    (running, burns_in, held, boot): (Option<Running>, bool, Option<String>, Option<u64>),
    pushes: mpsc::Receiver<Push>,
) -> Result<(), End> {
    let connected = What::Connected { running: running.clone(), burns_in, boot };
    agents.tell(agents.event(&certificate.location, connected)).await?;
    // News only where it is any: before anything can be asked of it.
    let known = (agents.look)(&certificate.location).machine.and_then(|machine| machine.held.clone());
    if known != held {
        agents.tell(agents.event(&certificate.location, What::Held { why: held })).await?;
    }
    let mut welcome = welcome;
    if let FromController::Welcome { now, .. } = &mut welcome {
        // While nobody leads, it takes until somebody does.
        *now = (agents.now)();
    }
    stream.send(&welcome).await?;
    let reports = Allowance { left: REPORTS_AT_ONCE, since: Instant::now() };
    let told = told(&welcome);
    let mut session =
        Session { agents, stream, source, certificate, running, told, ordered: None, step: None, reports };
    session.run(pushes, agents.heartbeat * HEARTBEATS_MISSED_MAX).await
}

/// Tells that the connection ended, unless another took its place. A keeper whose queue is full is asked again.
async fn lost(agents: &Agents, location: &Location, id: u64) {
    let tell = || agents.offer(agents.event(location, What::Lost)).is_some();
    let mut told = agents.present.leave(location, id, tell);
    while told == Some(false) {
        tokio::time::sleep(LOST_RETRY).await;
        told = agents.present.while_absent(location, tell);
    }
}

/// The plan and checks that a welcome told.
fn told(welcome: &FromController) -> (Generation, Vec<CheckFile>) {
    match welcome {
        FromController::Welcome { generation, checks, .. } => (*generation, checks.clone()),
        _ => Default::default(),
    }
}

struct Session<'a, S> {
    agents: &'a Agents,
    stream: &'a mut Stream<S>,
    source: IpAddr,
    certificate: &'a Certificate,
    /// What it runs in, as it said in its hello.
    running: Option<Running>,
    told: (Generation, Vec<CheckFile>),
    /// What it was last told to do.
    ordered: Option<FromController>,
    /// The step of its installation that it last told.
    step: Option<String>,
    reports: Allowance,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn run(&mut self, mut pushes: mpsc::Receiver<Push>, patience: Duration) -> Result<(), End> {
        let mut published = self.agents.published.clone();
        // A plan may have been published between the welcome and here.
        published.mark_changed();
        let mut publishing = true;
        // A whole frame must come in time: half a frame now and then does not keep a connection.
        let mut deadline = Instant::now() + patience;
        loop {
            tokio::select! {
                frame = self.stream.receive() => {
                    self.answer(frame?).await?;
                    deadline = Instant::now() + patience;
                }
                push = pushes.recv() => match push {
                    Some(Push::CheckAgain) => self.stream.send(&FromController::CheckAgain).await?,
                    Some(Push::Row) => self.tell_plan().await?,
                    Some(Push::Order) => {
                        let situation = self.situation()?;
                        self.tell_order(situation.order).await?;
                    }
                    None => return Err(Refused::new(Because::Replaced, "another connection of this machine took over").into()),
                },
                changed = published.changed(), if publishing => match changed {
                    Ok(()) => self.tell_plan().await?,
                    Err(_) => publishing = false,
                },
                () = tokio::time::sleep_until(deadline) => return Err(End::Gone),
            }
        }
    }

    async fn answer(&mut self, frame: FromAgent) -> Result<(), End> {
        let location = &self.certificate.location;
        match frame {
            FromAgent::Report { hardware } => {
                self.reports.take().await;
                self.report(What::Reported { hardware }).await?;
            }
            FromAgent::Checks { results, .. } => {
                self.reports.take().await;
                self.report(What::Checked { results }).await?;
            }
            FromAgent::Servers { servers } => {
                self.reports.take().await;
                let servers = (self.agents.foreign)(&servers);
                let machine = (self.agents.look)(location).machine;
                // Told after each probe; an event only if it is news.
                if machine.is_none_or(|machine| machine.foreign_servers != servers) {
                    self.report(What::ServersHeard { servers }).await?;
                }
            }
            FromAgent::Held { why } => {
                self.reports.take().await;
                // What it refused meanwhile is news to it again.
                self.ordered = None;
                self.report(What::Held { why }).await?;
            }
            FromAgent::Heartbeat => {
                // Retired, moved or enrolled anew since: the heartbeat is where an idle agent hears of it.
                let situation = self.situation()?;
                self.stream.send(&FromController::Heartbeat { now: (self.agents.now)() }).await?;
                // A push that found no room is made good here.
                self.tell_order(situation.order).await?;
            }
            FromAgent::Renew { version, location, csr } if location == self.certificate.location => {
                let frame = renew(self.agents, version, &location, &csr, self.source, Renewal::Within)?;
                self.stream.send(&frame).await?;
            }
            FromAgent::Renew { .. } => {
                return Err(Refused::new(Because::WrongPlace, "the certificate is for another place").into());
            }
            FromAgent::Installing { progress } => {
                // Octets are not stored; another step is.
                if self.step.as_ref() != Some(&progress.step) {
                    self.reports.take().await;
                    self.step = Some(progress.step.clone());
                }
                self.report(What::Installing { progress }).await?;
            }
            FromAgent::Installed { generation, image, slot } => {
                self.reports.take().await;
                let (image, slot) = (Some(image), Some(slot));
                self.report(What::Installed { generation, image, slot }).await?;
            }
            FromAgent::NotInstalled { image, sentence, .. } => {
                self.reports.take().await;
                self.report(What::NotInstalled { image, sentence }).await?;
            }
            FromAgent::Confirmed { slot } => {
                self.reports.take().await;
                self.report(What::Confirmed { slot }).await?;
            }
            FromAgent::BurningIn { progress } => {
                self.reports.take().await;
                let situation = self.situation()?;
                match situation.order {
                    Some(FromController::BurnIn { order: Some(order) }) if order == progress.order => {
                        self.report(What::BurningIn { progress }).await?;
                    }
                    // Called off while nobody could say so.
                    _ => self.stream.send(&FromController::BurnIn { order: None }).await?,
                }
            }
            FromAgent::BurntIn { outcome } => {
                self.reports.take().await;
                self.report(What::BurntIn { outcome }).await?;
            }
            FromAgent::Hello { .. } | FromAgent::TokenRequest { .. } | FromAgent::Enrol { .. } => {
                return Err(Refused::new(Because::Protocol, "the session stands already").into());
            }
        }
        Ok(())
    }

    async fn report(&self, what: What) -> Result<(), Refused> {
        self.situation()?;
        self.agents.tell(self.agents.event(&self.certificate.location, what)).await
    }

    /// What is planned and known of its place now, if it may still speak for it.
    fn situation(&self) -> Result<Situation, Refused> {
        let situation = (self.agents.look)(&self.certificate.location);
        enrolment::may_speak(situation.peer(self.source), self.certificate.key_sha256)?;
        Ok(situation)
    }

    /// Tells the plan in force, if that is news.
    async fn tell_plan(&mut self) -> Result<(), End> {
        let situation = self.situation()?;
        let told = (situation.plan.generation, situation.checks(self.running.as_ref()));
        if told != self.told {
            let probe_seconds = situation.probe_seconds();
            let (generation, checks) = told.clone();
            self.stream.send(&FromController::NewGeneration { generation, checks, probe_seconds }).await?;
            self.told = told;
        }
        self.tell_order(situation.order).await
    }

    /// Tells what is to be done with it, if that is news.
    async fn tell_order(&mut self, order: Option<FromController>) -> Result<(), End> {
        if order != self.ordered {
            let burns = |order: &Option<_>| matches!(order, Some(FromController::BurnIn { .. }));
            if burns(&self.ordered) && !burns(&order) {
                self.stream.send(&FromController::BurnIn { order: None }).await?;
            }
            if let Some(frame) = &order {
                self.stream.send(frame).await?;
            }
            self.ordered = order;
        }
        Ok(())
    }
}

/// How many reports may still come without waiting.
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// Takes one, waiting for it if need be: the connection is not read meanwhile, which slows its agent down.
    async fn take(&mut self) {
        let earned =
            u32::try_from(self.since.elapsed().as_millis() / REPORT_EVERY.as_millis()).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(REPORTS_AT_ONCE);
            self.since += REPORT_EVERY * earned.min(REPORTS_AT_ONCE * 1000);
        }
        if self.left == 0 {
            tokio::time::sleep_until(self.since + REPORT_EVERY).await;
            self.since = Instant::now();
            return;
        }
        self.left -= 1;
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}
