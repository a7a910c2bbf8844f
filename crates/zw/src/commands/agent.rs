//! `zw agent`: the agent of one machine, as the lab and machines with an operating system of their own run it.

use crate::commands::check::failed;
use agent::options::CommandLine;
use agent::{Controller, Notice, Options, Pin};
use clap::Args as ClapArgs;
use model::Location;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Run this machine's agent: prove where it stands, report its hardware and neighbours, run its role's checks.
///
/// It keeps one connection to a controller and comes back when that is lost. Everything it is told here is public; its
/// key is made on this machine, kept in the state directory, and never leaves it.
#[derive(ClapArgs)]
#[command(
    after_help = "What is not given is read from the kernel's command line: zw.controller, zw.ca, zw.location.\n\n\
                        Example:\n  zw agent --controller https://10.32.0.10:8443 --ca-pin sha256:5f2c... \\\n           \
                        --location ams1/p01/r1/u01 --state /var/lib/zonewright-agent"
)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A controller; more are tried in turn.
    #[arg(long = "controller", value_name = "URL")]
    controllers: Vec<Controller>,
    /// SHA-256 of the certificate of the zone's authority.
    #[arg(long, value_name = "sha256:HEX")]
    ca_pin: Option<Pin>,
    /// Where this machine stands.
    #[arg(long, value_name = "LOCATION")]
    location: Option<String>,
    /// Where key, certificate and last orders are kept [default: /var/lib/zonewright-agent, with --ramdisk
    /// /run/zonewright-agent].
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// JSON with hardware to report instead of what is found.
    #[arg(long, value_name = "FILE")]
    hardware: Option<PathBuf>,
    /// The TPM, asked for if the role's `trust` is "tpm"; or a socket where an emulated one listens.
    #[arg(long, value_name = "DEVICE", default_value = agent::options::TPM)]
    tpm: PathBuf,
    /// Where its drives are; on one its BMC may show half of a token, if the role's `trust` is "bmc".
    #[arg(long, value_name = "DIRECTORY", default_value = agent::DRIVES)]
    drives: PathBuf,
    /// This machine has no system yet: load drivers for what is in it, and take addresses by DHCP on every interface, before
    /// anything else.
    #[arg(long)]
    ramdisk: bool,
    /// The machine is played: where it would be restarted, end with status 75 instead.
    #[arg(long, hide = true)]
    played: bool,
    /// End when the controller has taken the first report and check results.
    #[arg(long)]
    once: bool,
}

/// What somebody on the machine can say.
#[derive(clap::Subcommand)]
enum Command {
    /// Let nobody restart this machine from here on, with or without a controller: changes wait for it, and say why.
    #[command(after_help = "Example:\n  zw agent hold -m 'a long reckoning, until Friday'")]
    Hold {
        /// Why, for everybody who asks.
        #[arg(long, short = 'm', value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
    /// Let go: it may be restarted again.
    Release {
        #[command(flatten)]
        place: Place,
    },
}

/// Which agent.
#[derive(ClapArgs)]
struct Place {
    /// Its state directory [default: that of the agent on this machine].
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

impl Command {
    fn run(&self) -> ExitCode {
        let (Self::Hold { place, .. } | Self::Release { place }) = self;
        let state_dir = place.state.clone().unwrap_or_else(agent::ramdisk::state_dir_here);
        let outcome = match self {
            Self::Hold { reason, .. } if reason.trim().is_empty() => {
                say("say why, in a few words");
                return ExitCode::from(2);
            }
            Self::Hold { reason, .. } => {
                agent::hold::hold(&state_dir, reason).map(|()| "nobody restarts this machine from here on")
            }
            Self::Release { .. } => agent::hold::release(&state_dir)
                .map(|was_held| if was_held { "it may be restarted again" } else { "it was not held" }),
        };
        match outcome {
            Ok(sentence) => {
                say(sentence);
                ExitCode::SUCCESS
            }
            Err(error) => {
                say(&format!("failed: {}: {error}", state_dir.display()));
                ExitCode::from(1)
            }
        }
    }
}

/// Runs the command; ends only with `--once`, on a signal, or when it cannot start.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(command) = &args.command {
        return command.run();
    }
    let given = CommandLine {
        controllers: args.controllers.clone(),
        ca_pin: args.ca_pin,
        location: args.location.as_deref().map(Location::new),
    };
    let (controllers, ca_pin, location) = match given.complete() {
        Ok(complete) => complete,
        Err(sentence) => {
            say(&sentence);
            return ExitCode::from(2);
        }
    };
    let options = Options {
        controllers,
        ca_pin,
        location,
        state_dir: args.state.clone().unwrap_or_else(|| agent::ramdisk::state_dir(args.ramdisk)),
        hardware_file: args.hardware.clone(),
        tpm: args.tpm.clone(),
        drives: args.drives.clone(),
        is_ramdisk: args.ramdisk,
        is_played: args.played,
        once: args.once,
        tell: Arc::new(|notice: &Notice| say(&notice.to_string())),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(async {
        if args.ramdisk
            && let Err(trouble) = agent::ramdisk::prepare(say).await
        {
            return failed(&trouble);
        }
        match agent::run(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        }
    });
    // Threads that speak DHCP wait for packets that may never come.
    runtime.shutdown_background();
    outcome
}

/// A log line. If nobody reads it, the agent goes on.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
