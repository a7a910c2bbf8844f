//! `zw why`: an address, a machine that waits, a packet that was not answered, explained.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::commands::show;
use api::http::{Status, Why};
use clap::Args as ClapArgs;
use std::io::Write;
use std::process::ExitCode;

/// Explain why it has this address, why it is not ready, why its packet was not answered.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw why p01/r1/u02\n  zw why 10.64.0.7\n  zw why 52:54:00:12:34:56")]
pub(crate) struct Args {
    /// A location, name or address; or a hardware address, relay or circuit-id that was refused.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match args.which.find().and_then(|server| explained(args, &server)) {
        Ok(text) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn explained(args: &Args, server: &Server) -> Result<String, Failure> {
    let path = format!("/v1/why?target={}", client::encoded(&args.target));
    if args.json {
        return Ok(client::get_text(server, &path)? + "\n");
    }
    let why: Why = client::get(server, &path)?;
    let mut text = why.sentences.join("\n") + "\n";
    if !why.refusals.is_empty() {
        let now = client::get::<Status>(server, "/v1/status")?.now;
        text += "\nnot answered:\n";
        text.extend(why.refusals.iter().map(|refusal| show::told(refusal, now)));
    }
    Ok(text)
}
