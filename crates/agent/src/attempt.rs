//! Connect, be refused, wait, connect again: for ever, through every controller in turn.

use crate::backoff::{self, Jitter};
use crate::burn_in::Burner;
use crate::connection::{Connection, Lost, ip};
use crate::identity::{Identity, StateDir};
use crate::install::Installer;
use crate::observer::{self, Observed, Wanted};
use crate::options::{Controller, Notice, Options};
use crate::{enrolment, hardware, lldp, session, trust};
use model::install::Running;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why an agent cannot start. Once it runs it does not end.
#[derive(Debug)]
pub enum RunError {
    /// No controller is named.
    NoController,
    /// The state directory cannot be made.
    State(PathBuf, io::Error),
    /// The hardware file cannot be used.
    Hardware(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoController => f.write_str("failed to start the agent: no controller is named"),
            Self::State(path, _) => write!(f, "failed to make the state directory {}", path.display()),
            Self::Hardware(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::State(_, error) => Some(error),
            Self::NoController | Self::Hardware(_) => None,
        }
    }
}

/// What lives as long as the agent, through all its connections.
pub(crate) struct Agent {
    pub options: Options,
    pub state: StateDir,
    pub identity: Option<Identity>,
    pub wanted: watch::Sender<Wanted>,
    pub observed: watch::Receiver<Observed>,
    pub jitter: Jitter,
    pub installer: Installer,
    pub burner: Burner,
}

/// How often a resting agent looks at its ways.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rests for so long, or until its ways are others than before: a cable is back, or is in another port, and what was
/// refused, or failed, may go well now. Whether that ended the rest.
async fn rest<T: PartialEq>(time: Duration, ways: impl Fn() -> T) -> bool {
    let (before, end) = (ways(), Instant::now() + time);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
        if ways() != before {
            return true;
        }
        if left <= LOOK_EVERY {
            return false;
        }
    }
}

/// The address of its own that packets to a controller leave from, if the interface that has it is up. Nothing is sent.
/// Other addresses do not count: a host of containers gets and loses them all the time.
fn way_to(controller: Controller) -> Option<IpAddr> {
    let any: IpAddr =
        if controller.0.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(controller.0).ok()?;
    let own = socket.local_addr().ok()?.ip();
    let up = |interface: &InterfaceAddress| interface.flags.contains(InterfaceFlags::IFF_RUNNING);
    let is_own = |interface: InterfaceAddress| interface.address.as_ref().and_then(ip) == Some(own);
    getifaddrs().ok()?.filter(up).any(is_own).then_some(own)
}

/// Runs the agent. It ends only if it cannot start, or was asked to run once and is done.
///
/// # Errors
/// [`RunError`]: it could not start.
pub async fn run(options: Options) -> Result<(), RunError> {
    if options.controllers.is_empty() {
        return Err(RunError::NoController);
    }
    if let Some(path) = &options.hardware_file {
        hardware::replace(&mut Default::default(), path).map_err(RunError::Hardware)?;
    }
    let state = StateDir::open(&options.state_dir)
        .map_err(|error| RunError::State(options.state_dir.clone(), error))?;
    let kept = |error: String| (options.tell)(&Notice::Trouble(error));
    let identity = state.identity(&options.location).map_err(&kept).ok().flatten();
    let orders = state.orders(&options.location).map_err(&kept).ok().flatten();
    let (wanted, wants) = watch::channel(Wanted { serial: 0, orders });
    let (seen, observed) = watch::channel(Observed::default());
    let neighbours = lldp::listen(Arc::clone(&options.tell));
    let observer =
        observer::run(wants, neighbours, seen, options.hardware_file.clone(), Arc::clone(&options.tell));
    let installer = Installer::new(&options).await;
    let burner = Burner::new(&options, installer.running() == Some(Running::Memory));
    let jitter = Jitter(trust::random());
    let mut agent = Agent { options, state, identity, wanted, observed, jitter, installer, burner };
    let attempts = async move {
        let mut failures = 0;
        for turn in 0_usize.. {
            let controller = agent.options.controllers[turn % agent.options.controllers.len()];
            let mut welcomed = false;
            let lost = match attempt(&mut agent, controller, &mut welcomed).await {
                Ok(()) => return,
                Err(lost) => lost,
            };
            failures = if welcomed { 0 } else { failures + 1_u32 };
            let at_least = match &lost {
                Lost::Refused { retry, .. } => *retry,
                _ => Duration::ZERO,
            };
            (agent.options.tell)(&notice(controller, &lost));
            let controllers = &agent.options.controllers;
            let ways = || controllers.iter().map(|controller| way_to(*controller)).collect::<Vec<_>>();
            if rest(backoff::wait(failures, at_least, agent.jitter.next()), ways).await {
                failures = 0;
            }
        }
    };
    tokio::select! {
        () = attempts => {}
        () = observer => {}
    }
    Ok(())
}

/// One connection, from certificate to end. `Ok` only if the agent is to run once and is done.
async fn attempt(agent: &mut Agent, controller: Controller, welcomed: &mut bool) -> Result<(), Lost> {
    if agent.identity.as_ref().is_none_or(|identity| identity.issued.is_none()) {
        enrolment::run(controller, &agent.options, &agent.state, &mut agent.identity).await?;
    }
    let config = trust::client(agent.options.ca_pin, agent.identity.as_ref()).inspect_err(|_| {
        // What is kept cannot be used: only another key helps.
        agent.identity = None;
    })?;
    let mut connection = Connection::open(controller, config).await?;
    let outcome = session::run(agent, controller, &mut connection, welcomed).await;
    match &outcome {
        Ok(()) => connection.close().await,
        // The next attempt asks for a certificate for this key, and if that is refused, for a token.
        Err(lost) if lost.needs_certificate() => {
            if let Some(identity) = &mut agent.identity {
                identity.issued = None;
            }
        }
        Err(_) => {}
    }
    outcome
}

fn notice(controller: Controller, lost: &Lost) -> Notice {
    match lost {
        Lost::Refused { sentence, .. } => Notice::Refused { controller, sentence: sentence.clone() },
        lost => Notice::Disconnected { controller, error: lost.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_rest_ends_with_its_time_or_when_the_ways_are_others() {
        assert!(!rest(Duration::from_millis(5), || 1).await);
        let looks = Cell::new(0);
        let moves = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        assert!(rest(Duration::from_secs(3600), moves).await);
        assert_eq!(looks.get(), 3);
    }

    #[test]
    fn the_way_to_this_machine_is_the_loopback() {
        let here = [127, 0, 0, 1];
        assert_eq!(way_to(Controller((here, 1).into())), Some(here.into()));
    }
}
