//! Connect, be refused, wait, connect again: for ever, through every controller in turn.

use crate::backoff::{self, Jitter};
use crate::burn_in::Burner;
use crate::connection::{Connection, Lost};
use crate::identity::{Identity, StateDir};
use crate::install::Installer;
use crate::observer::{self, Observed, Wanted};
use crate::options::{Controller, Notice, Options};
use crate::{enrolment, hardware, lldp, session, trust};
use model::install::Running;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

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
            tokio::time::sleep(backoff::wait(failures, at_least, agent.jitter.next())).await;
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
