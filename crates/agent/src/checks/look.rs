//! What is found, one kind each.
//!
//! In: a check. Out: attributes and their values, or why nothing can be said. An attribute of a thing that is not there is
//! left out. Nothing is expected here and nothing compared.

mod command;
mod files;
mod network;
mod system;

pub(crate) use system::is_starting as is_system_starting;

use super::Value;
use super::schema::{Check, Subject};
use tokio::sync::Semaphore;

/// What was found.
pub(super) type Found = Result<Vec<(&'static str, Value)>, String>;

/// Looks that may hang at the same time: a dead file server holds each look at its files for ever, and a thread with it.
const HANGING_MAX: usize = 8;

static HANGING: Semaphore = Semaphore::const_new(HANGING_MAX);

/// Looks at what a check is about.
pub(super) async fn at(check: &Check) -> Found {
    match check.subject {
        Subject::Command => command::found(check).await,
        Subject::Package => system::package(&check.name).await,
        Subject::Service => system::service(&check.name).await,
        Subject::Addr => network::addr(&check.name).await,
        Subject::Dns => network::dns(&check.name).await,
        Subject::Http => network::http(&check.name).await,
        _ => {
            // Waited for within the check's own time; a look that hangs keeps its turn until the kernel lets go.
            let turn = HANGING.acquire().await.map_err(|error| error.to_string())?;
            let (subject, name) = (check.subject, check.name.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                match subject {
                    Subject::File => files::file(&name),
                    Subject::Mount => files::mount(&name),
                    Subject::KernelParam => files::kernel_param(&name),
                    Subject::User => system::user(&name),
                    Subject::Group => system::group(&name),
                    Subject::Process => system::process(&name),
                    Subject::Port => network::port(&name),
                    _ => network::interface(&name),
                }
            });
            looked.await.unwrap_or_else(|error| Err(error.to_string()))
        }
    }
}
