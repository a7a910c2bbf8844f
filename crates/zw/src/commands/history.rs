//! `zw history | diff`: which plans were current, by whom and why; what changed between two; who changed a value.

use crate::client::{self, Failure, Which};
use crate::commands::check::failed;
use crate::commands::plan::changes;
use crate::times;
use api::change::{ChangeRow, Origin, PlanRow};
use clap::Args as ClapArgs;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

/// Show which plans were current and which changes brought them, newest first; or who changed an address, a name or a place.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw history\n  zw history 10.32.4.17\n  zw history hv-p07-r2-u14 --json\n\n\
                        The design of a plan: zw show 41, or as files: zw show 41 --files DIRECTORY"
)]
pub(crate) struct Args {
    /// An address, a name or a location: who changed it, when and why.
    #[arg(value_name = "WHAT")]
    of: Option<String>,
    /// So many, the newest.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    number: usize,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Show what changes from one plan of before to another.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw diff 41 42\n  zw diff 41 42 --json | jq .renumbers")]
pub(crate) struct DiffArgs {
    /// The plan before.
    #[arg(value_name = "FROM")]
    from: u64,
    /// The plan after.
    #[arg(value_name = "TO")]
    to: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// `zw history`.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(listed(args))
}

/// `zw diff`.
pub(crate) fn diff(args: &DiffArgs) -> ExitCode {
    ended(compared(args))
}

fn ended(outcome: Result<String, Failure>) -> ExitCode {
    match outcome {
        Ok(text) => {
            // Nothing more can be done when standard output is closed.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn listed(args: &Args) -> Result<String, Failure> {
    let server = args.which.find()?;
    let path = match &args.of {
        Some(of) => format!("/v1/origins?of={}", client::encoded(of)),
        None => "/v1/plans".to_owned(),
    };
    if args.json {
        return Ok(client::get_text(&server, &path)? + "\n");
    }
    let mut text = String::new();
    if args.of.is_some() {
        let origins: Vec<Origin> = client::get(&server, &path)?;
        for origin in origins.iter().take(args.number) {
            text += &plan(&origin.plan, None);
            match (origin.from.as_str(), origin.to.as_str()) {
                ("", to) => drop(writeln!(text, "    new: {to}")),
                (from, "") => drop(writeln!(text, "    gone: {from}")),
                (from, to) => drop(writeln!(text, "    was {from}\n    is  {to}")),
            }
        }
        return Ok(text);
    }
    let plans: Vec<PlanRow> = client::get(&server, &path)?;
    let changes: Vec<ChangeRow> = client::get(&server, "/v1/changes")?;
    // Plans and the changes that are about no plan, in one order.
    let mut rows: Vec<(model::Time, String)> = plans
        .iter()
        .map(|row| {
            let change = row.change.and_then(|id| changes.iter().find(|change| change.id == id));
            (row.at, plan(row, change))
        })
        .collect();
    rows.extend(changes.iter().filter(|change| change.to.is_none()).map(|row| (row.began, change(row))));
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    text.extend(rows.into_iter().take(args.number).map(|(_, row)| row));
    Ok(text)
}

/// `#42  2026-11-22T09:12:04Z  alice  new kernel  (5f2c…)  change 7: done, 12 machines done`.
fn plan(row: &PlanRow, change: Option<&ChangeRow>) -> String {
    let commit = row.commit.as_ref().map(|commit| format!("  (commit {})", &commit[..commit.len().min(12)]));
    let mut text = format!(
        "#{:<5} {}  {:<10} {}{}\n",
        row.generation,
        times::date_and_time(row.at),
        row.author,
        row.reason,
        commit.unwrap_or_default()
    );
    if let Some(row) = change {
        let _ = writeln!(text, "       change {}: {}", row.id, told(row));
    }
    text
}

fn change(row: &ChangeRow) -> String {
    let began = times::date_and_time(row.began);
    format!(
        "{:<6} {began}  {:<10} {}\n       change {}: {}\n",
        row.kind,
        row.by,
        row.reason,
        row.id,
        told(row)
    )
}

fn told(row: &ChangeRow) -> String {
    let more = row.outcome.as_ref().or(row.waits_for.as_ref());
    more.map_or_else(|| row.state.clone(), |more| format!("{}, {more}", row.state))
}

fn compared(args: &DiffArgs) -> Result<String, Failure> {
    let server = args.which.find()?;
    let path = format!("/v1/plans/{}/to/{}", args.from, args.to);
    if args.json {
        return Ok(client::get_text(&server, &path)? + "\n");
    }
    let diff: plan::Diff = client::get(&server, &path)?;
    Ok(changes::text(&diff))
}
