//! `zw store`: where a controller keeps what it knows.

use crate::client::{self, Failure, Which};
use crate::commands::check::failed;
use crate::commands::serve::StoreAccess;
use api::http::{MoveStore, Moved};
use clap::{Args as ClapArgs, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use store::etcd::Access;

/// Say where a controller keeps plans, facts, history and secrets.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw store migrate etcd://10.32.0.10,10.32.0.11,10.32.0.12/ams1\n  \
                        zw store migrate /var/lib/zonewright")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    which: Which,
}

#[derive(Subcommand)]
enum Command {
    /// Move everything from where the running controller keeps it to another place, while it serves: an etcd, or a directory.
    ///
    /// What is asked meanwhile waits; packets are answered. What was copied is compared before the place of before is left, which is not opened
    /// any more. Start the controller with `--store`, or without, the next time. Of several controllers the one that decides is asked, and the
    /// others are to be started anew.
    Migrate {
        /// `etcd://HOST:PORT,…/PREFIX`, `etcds://…`, or a directory on the controller's host.
        #[arg(value_name = "STORE")]
        to: String,
        #[command(flatten)]
        access: StoreAccess,
    },
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let Command::Migrate { to, access } = &args.command;
    match migrate(args, to, access.access()) {
        Ok(text) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn migrate(args: &Args, to: &str, access: Access) -> Result<String, Failure> {
    let server = args.which.find()?;
    let Access { ca, certificate, credentials } = access;
    let asked = MoveStore { to: to.to_owned(), ca, certificate, credentials };
    let Moved { plans, machines, changes, events, secrets, beside } =
        client::post(&server, "/v1/store", &asked)?;
    let beside = if beside.is_empty() { beside } else { format!("{beside}\n") };
    Ok(format!(
        "{plans} plans, {machines} machines, {changes} changes, {events} events and {secrets} secrets are in {to} from now on\n{beside}"
    ))
}
