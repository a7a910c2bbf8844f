//! `zw history | diff`: which plans were current, by whom and why; what changed between two; who changed a value.

use crate::client::{self, Failure, Which};
use crate::commands::check::failed;
use crate::commands::plan::changes;
use crate::times;
use api::change::{ChangeRow, Origin, PlanRow};
use clap::Args as ClapArgs;
use model::Time;
use serde::Serialize;
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
    /// Print JSON: plans as `/v1/plans` has them, and changes that brought none as `/v1/changes` has them; or origins.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// A row of the history, whichever it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Plan(PlanRow),
    /// Of a change that brought no plan.
    Change(ChangeRow),
}

impl Row {
    fn at(&self) -> Time {
        match self {
            Self::Plan(row) => row.at,
            Self::Change(row) => row.began,
        }
    }
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
    if let Some(of) = &args.of {
        let mut origins: Vec<Origin> =
            client::get(&server, &format!("/v1/origins?of={}", client::encoded(of)))?;
        origins.truncate(args.number);
        return Ok(if args.json { json(&origins) } else { origins.iter().map(origin).collect() });
    }
    let plans: Vec<PlanRow> = client::get(&server, "/v1/plans")?;
    let changes: Vec<ChangeRow> = client::get(&server, "/v1/changes")?;
    let rows = newest(plans, &changes, args.number);
    if args.json {
        return Ok(json(&rows));
    }
    let told = rows.iter().map(|row| match row {
        Row::Plan(row) => {
            let change = row.change.and_then(|id| changes.iter().find(|change| change.id == id));
            plan(row, change)
        }
        Row::Change(row) => change(row),
    });
    Ok(told.collect())
}

/// Plans and the changes that are about no plan, in one order.
fn newest(plans: Vec<PlanRow>, changes: &[ChangeRow], number: usize) -> Vec<Row> {
    let others = changes.iter().filter(|change| change.to.is_none()).cloned().map(Row::Change);
    let mut rows: Vec<Row> = plans.into_iter().map(Row::Plan).chain(others).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.at()));
    rows.truncate(number);
    rows
}

fn json(rows: &impl Serialize) -> String {
    // What came as JSON can be written as JSON.
    serde_json::to_string(rows).unwrap_or_default() + "\n"
}

fn origin(origin: &Origin) -> String {
    let mut text = plan(&origin.plan, None);
    match (origin.from.as_str(), origin.to.as_str()) {
        ("", to) => drop(writeln!(text, "    new: {to}")),
        (from, "") => drop(writeln!(text, "    gone: {from}")),
        (from, to) => drop(writeln!(text, "    was {from}\n    is  {to}")),
    }
    text
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

#[cfg(test)]
mod tests {
    use super::{Row, json, newest};
    use api::change::{ChangeRow, PlanRow};
    use model::Time;

    fn plan(generation: u64) -> PlanRow {
        PlanRow {
            generation,
            parent: generation - 1,
            author: "ada".to_owned(),
            reason: "news".to_owned(),
            at: Time(generation * 10),
            commit: None,
            change: None,
        }
    }

    fn change(id: u64, began: u64, to: Option<u64>) -> ChangeRow {
        ChangeRow {
            id,
            kind: if to.is_some() { "plan" } else { "restart" }.to_owned(),
            from: None,
            to,
            undoes: None,
            undone_by: None,
            by: "ada".to_owned(),
            reason: "microcode".to_owned(),
            began: Time(began),
            state: "done".to_owned(),
            waits_for: None,
            ended: None,
            outcome: None,
            waves: Vec::new(),
            evidence: String::new(),
        }
    }

    #[test]
    fn json_has_the_same_rows_as_the_text() {
        let changes = [change(2, 25, None), change(1, 20, Some(2))];
        let rows = newest(vec![plan(3), plan(2), plan(1)], &changes, 3);
        let named: Vec<(u64, bool)> = rows
            .iter()
            .map(|row| match row {
                Row::Plan(row) => (row.generation, true),
                Row::Change(row) => (row.id, false),
            })
            .collect();
        assert_eq!(named, [(3, true), (2, false), (2, true)]);
        let rows: serde_json::Value = serde_json::from_str(&json(&rows)).expect("JSON");
        assert_eq!((&rows[0]["generation"], &rows[1]["kind"]), (&3.into(), &"restart".into()));
    }
}
