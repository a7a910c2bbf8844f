//! A program that the lab keeps running: a controller, or the etcd of several. It can be killed, taken away, stopped and continued.

use crate::error::{Doing, Error};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, Write};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::mpsc;

/// The pause before a program that ended is started again.
const RESTART: Duration = Duration::from_millis(500);
/// Orders that wait; people give them one by one.
const ORDERS_MAX: usize = 16;

/// What is to be done with a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// `kill -9`; it starts again.
    Crash,
    /// `kill -9`, and it stays away.
    Off,
    /// It starts, if it is away.
    On,
    /// SIGSTOP: it is there, and does nothing.
    Pause,
    /// SIGCONT.
    Resume,
}

/// How a program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Runs,
    Off,
    Paused,
}

/// The way to a program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    orders: mpsc::Sender<Order>,
}

impl Program {
    /// Keeps a program running that was started, until the lab ends. `tell` hears whenever it is otherwise than before.
    pub(super) fn keep(
        name: &str,
        child: Child,
        spawn: impl Fn() -> Result<Child, Error> + Send + Sync + 'static,
        tell: impl Fn(State) + Send + Sync + 'static,
    ) -> Self {
        let (orders, heard) = mpsc::channel(ORDERS_MAX);
        tokio::spawn(run(name.to_owned(), child, spawn, tell, heard));
        Self { name: name.to_owned(), orders }
    }

    /// Orders something.
    ///
    /// # Errors
    /// If it has not done what it was told before.
    pub(super) fn order(&self, order: Order) -> Result<(), Error> {
        self.orders
            .try_send(order)
            .doing(|| format!("reach {}: it has not done what it was told before", self.name))
    }
}

async fn run(
    name: String,
    child: Child,
    spawn: impl Fn() -> Result<Child, Error>,
    tell: impl Fn(State),
    mut orders: mpsc::Receiver<Order>,
) {
    let mut running = Some(child);
    loop {
        let order = match &mut running {
            Some(child) => tokio::select! {
                status = child.wait() => {
                    let words = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    let _ = writeln!(io::stderr(), "{name} ended ({words}) and is started again");
                    Some(Order::Crash)
                }
                order = orders.recv() => order,
            },
            None => orders.recv().await,
        };
        let Some(order) = order else { return };
        match order {
            Order::Crash | Order::Off => {
                if let Some(mut child) = running.take() {
                    // It may have ended by itself in this moment.
                    let _ = child.kill().await;
                }
                tell(State::Off);
            }
            Order::Pause | Order::Resume => {
                let (signal, state) = match order {
                    Order::Pause => (Signal::SIGSTOP, State::Paused),
                    _ => (Signal::SIGCONT, State::Runs),
                };
                let process = running.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
                if let Some(process) = process
                    && kill(Pid::from_raw(process), signal).is_ok()
                {
                    tell(state);
                }
            }
            Order::On => {}
        }
        if matches!(order, Order::Crash | Order::On) && running.is_none() {
            running = Some(again(&spawn).await);
            tell(State::Runs);
        }
    }
}

async fn again(spawn: &impl Fn() -> Result<Child, Error>) -> Child {
    loop {
        tokio::time::sleep(RESTART).await;
        match spawn() {
            Ok(child) => return child,
            Err(error) => {
                let _ = writeln!(io::stderr(), "failed to {}", error.chain());
            }
        }
    }
}
