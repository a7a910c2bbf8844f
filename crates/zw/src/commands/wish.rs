//! `zw accept | drain | maintain | return | retire | reload`: what operators ask for.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use api::http::{Done, Reload, Reloaded, Wish};
use clap::Args as ClapArgs;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Which machines.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Locations, names or addresses.
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Print JSON: a list with what came of each target.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What came of one target, as `--json` prints it.
#[derive(Serialize)]
struct Outcome<'a> {
    target: &'a str,
    #[serde(flatten)]
    done: Option<Done>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Which machines, and why.
#[derive(ClapArgs)]
pub(crate) struct ReasonArgs {
    #[command(flatten)]
    args: Args,
    /// Why, for everybody who asks later.
    #[arg(long, short = 'm', value_name = "WORDS")]
    reason: String,
}

/// What a reload may do.
#[derive(ClapArgs)]
pub(crate) struct ReloadArgs {
    /// Existing addresses may change.
    #[arg(long)]
    renumber: bool,
    /// So many machines may disappear.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    remove: u32,
    /// So many may be new, where they more than double the zone.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    grow: u32,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// `zw accept`.
pub(crate) fn accept(args: &Args) -> ExitCode {
    ask(args, |_| Ok(Wish::Accept))
}

/// `zw return`.
pub(crate) fn restore(args: &Args) -> ExitCode {
    ask(args, |_| Ok(Wish::Return))
}

/// `zw drain`.
pub(crate) fn drain(args: &ReasonArgs) -> ExitCode {
    ask(&args.args, |_| Ok(Wish::Drain { reason: args.reason.clone() }))
}

/// `zw maintain`.
pub(crate) fn maintain(args: &ReasonArgs) -> ExitCode {
    ask(&args.args, |_| Ok(Wish::Maintain { reason: args.reason.clone() }))
}

/// `zw retire`.
pub(crate) fn retire(args: &ReasonArgs) -> ExitCode {
    ask(&args.args, |_| Ok(Wish::Retire { reason: args.reason.clone() }))
}

/// Asks the same of every target; one that refuses does not keep the others from being asked.
pub(crate) fn ask(args: &Args, wish: impl Fn(&Server) -> Result<Wish, Failure>) -> ExitCode {
    let found = args.which.find().and_then(|server| Ok((wish(&server)?, server)));
    let (wish, server) = match found {
        Ok(found) => found,
        Err(failure) => return failed(&failure),
    };
    let mut code = ExitCode::SUCCESS;
    let mut outcomes = Vec::new();
    for target in &args.targets {
        let path = format!("/v1/machines/{}/wish", client::encoded(target));
        let (done, refused) = match client::post::<Done>(&server, &path, &wish) {
            Ok(done) => {
                if !args.json {
                    let waits =
                        done.waits_for.iter().map(|on| format!("; it waits for {on}")).collect::<String>();
                    say(&format!("{} is {}{waits}\n", done.location.within_zone(), done.state));
                }
                (Some(done), None)
            }
            Err(failure) => {
                code = failed(&failure);
                (None, Some(failure.to_string()))
            }
        };
        outcomes.push(Outcome { target, done, refused });
    }
    if args.json {
        say_json(&outcomes);
    }
    code
}

fn say_json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        say(&(text + "\n"));
    }
}

fn say(text: &str) {
    // Nothing more can be done when standard output is closed.
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// `zw reload`.
pub(crate) fn reload(args: &ReloadArgs) -> ExitCode {
    let allowed = Reload { renumber: args.renumber, remove: args.remove, grow: args.grow };
    let asked =
        args.which.find().and_then(|server| client::post::<Reloaded>(&server, "/v1/reload", &allowed));
    let reloaded = match asked {
        Ok(reloaded) => reloaded,
        Err(failure) => return failed(&failure),
    };
    if args.json {
        say_json(&reloaded);
        return if reloaded.refused.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS };
    }
    let mut text = String::new();
    for finding in &reloaded.findings {
        text += &format!(
            "{}:{}:{}: {} {}: {}\n",
            finding.file, finding.line, finding.column, finding.severity, finding.code, finding.sentence
        );
        if let Some(help) = &finding.help {
            text += &format!("    {help}\n");
        }
    }
    let code = match &reloaded.refused {
        Some(refused) => {
            text += &format!("the design is not in force, plan #{} stays: {refused}\n", reloaded.generation);
            ExitCode::from(1)
        }
        None if reloaded.changed => {
            text += &format!("plan #{} is in force\n", reloaded.generation);
            ExitCode::SUCCESS
        }
        None => {
            text += &format!("plan #{} is in force; nothing changed\n", reloaded.generation);
            ExitCode::SUCCESS
        }
    };
    say(&text);
    code
}
