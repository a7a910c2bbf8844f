//! `zw change | pause | resume | abort | budget`: changes under way, and what is left of the budgets.

use crate::client::{self, Failure, Server, Which};
use crate::commands::check::failed;
use crate::times;
use anstyle::{AnsiColor, Style};
use api::change::{ChangeDetail, ChangeRow, ChangeWish, Margin, MemberRow, Predicted, Wave};
use clap::Args as ClapArgs;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Characters of a wave's bar.
const BAR: usize = 30;
/// Machines that are listed where not all are asked for.
const LISTED_MAX: usize = 20;

/// Show a change: its waves, its machines, what it waits for, and the record of it; without a number those under way.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw change\n  zw change 7 --watch\n  zw change 7 --json | jq '.machines[] | select(.step==\"failed\")'"
)]
pub(crate) struct Args {
    /// Its number.
    #[arg(value_name = "CHANGE")]
    id: Option<u64>,
    /// Look on until it is over; exit with status 1 if it did not come off.
    #[arg(long, requires = "id", conflicts_with = "json")]
    watch: bool,
    /// List every machine.
    #[arg(long)]
    all: bool,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Let a change begin nothing new until it is resumed.
#[derive(ClapArgs)]
pub(crate) struct PauseArgs {
    /// Its number.
    #[arg(value_name = "CHANGE")]
    id: u64,
    /// Why, for everybody who asks later.
    #[arg(long, short = 'm', value_name = "WORDS")]
    reason: String,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Let a change that is paused go on.
#[derive(ClapArgs)]
pub(crate) struct ResumeArgs {
    /// Its number.
    #[arg(value_name = "CHANGE")]
    id: u64,
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// End a change, and take back what it did.
#[derive(ClapArgs)]
pub(crate) struct AbortArgs {
    #[command(flatten)]
    args: PauseArgs,
}

/// Show how many machines may be out of service, and who has those that are.
#[derive(ClapArgs)]
pub(crate) struct BudgetArgs {
    /// Print JSON, as the API gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// `zw change`.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(shown(args))
}

/// `zw pause`.
pub(crate) fn pause(args: &PauseArgs) -> ExitCode {
    ended(wish(&args.which, args.id, args.json, &ChangeWish::Pause { reason: args.reason.clone() }))
}

/// `zw resume`.
pub(crate) fn resume(args: &ResumeArgs) -> ExitCode {
    ended(wish(&args.which, args.id, args.json, &ChangeWish::Resume))
}

/// `zw abort`.
pub(crate) fn abort(AbortArgs { args }: &AbortArgs) -> ExitCode {
    ended(wish(&args.which, args.id, args.json, &ChangeWish::Abort { reason: args.reason.clone() }))
}

/// `zw budget`.
pub(crate) fn budget(args: &BudgetArgs) -> ExitCode {
    ended(budgets(args))
}

fn ended(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| failed(&failure))
}

fn shown(args: &Args) -> Result<ExitCode, Failure> {
    let server = args.which.find()?;
    let Some(id) = args.id else {
        if args.json {
            say(&(client::get_text(&server, "/v1/changes")? + "\n"));
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<ChangeRow> = client::get(&server, "/v1/changes")?;
        let mut under_way = rows.iter().filter(|row| row.ended.is_none()).peekable();
        if under_way.peek().is_none() {
            say("no change is under way; `zw history` lists those that were\n");
        }
        under_way.for_each(|row| say(&summary(row)));
        return Ok(ExitCode::SUCCESS);
    };
    if args.watch {
        return watch(&server, id);
    }
    let path = format!("/v1/changes/{id}");
    if args.json {
        say(&(client::get_text(&server, &path)? + "\n"));
    } else {
        say(&whole(&client::get(&server, &path)?, args.all));
    }
    Ok(ExitCode::SUCCESS)
}

fn wish(which: &Which, id: u64, json: bool, wish: &ChangeWish) -> Result<ExitCode, Failure> {
    let server = which.find()?;
    let path = format!("/v1/changes/{id}");
    if json {
        let detail: serde_json::Value = client::post(&server, &path, wish)?;
        say(&format!("{detail}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let detail: ChangeDetail = client::post(&server, &path, wish)?;
    say(&progress(&detail));
    Ok(ExitCode::SUCCESS)
}

/// Looks on until a change is over.
pub(crate) fn watch(server: &Server, id: u64) -> Result<ExitCode, Failure> {
    let mut detail: ChangeDetail = client::get(server, &format!("/v1/changes/{id}"))?;
    let redraws = std::io::stdout().is_terminal();
    if redraws && detail.row.ended.is_none() {
        say(&format!("Ctrl-C ends this look and not the change; `zw pause {id} -m WHY` stops that.\n"));
    }
    let mut before = String::new();
    loop {
        let text = if redraws { progress(&detail) } else { logged(&detail.row) };
        if redraws && !before.is_empty() {
            say(&format!("\x1b[{}A\x1b[J", before.lines().count()));
        }
        if redraws || text != before {
            say(&text);
        }
        before = text;
        if detail.row.ended.is_some() {
            let is_fine = detail.row.state == "done" && detail.row.waves.iter().all(|wave| wave.failed == 0);
            return Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        std::thread::sleep(LOOK_EVERY);
        // A controller that is being restarted goes on where it was.
        if let Ok(now) = client::get(server, &format!("/v1/changes/{id}")) {
            detail = now;
        }
    }
}

/// The same for a log, which has a few lines whenever something changed: what only counts down did not.
fn logged(row: &ChangeRow) -> String {
    let is_baking = row.state == "baking";
    summary(&ChangeRow { waits_for: row.waits_for.clone().filter(|_| !is_baking), ..row.clone() })
}

/// A change in a few lines.
pub(crate) fn summary(row: &ChangeRow) -> String {
    let what = match (row.from, row.to) {
        (Some(from), Some(to)) => format!("plan #{from} to #{to}"),
        _ => row.kind.clone(),
    };
    let colour = match row.state.as_str() {
        "done" => AnsiColor::Green,
        "halted" | "aborted" => AnsiColor::Red,
        "paused" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let mut text =
        format!("change {}: {what}, {} ({})  {style}{}{style:#}\n", row.id, row.reason, row.by, row.state);
    for wave in &row.waves {
        let _ = writeln!(text, "  {}", bar(wave));
    }
    if let Some(waits) = &row.waits_for {
        let _ = writeln!(text, "  waits for {waits}");
    }
    if let Some(outcome) = &row.outcome {
        let _ = writeln!(text, "  {outcome}");
    }
    text
}

/// `canary  ██████████    4 of 10, 1 failed`.
fn bar(wave: &Wave) -> String {
    let over = wave.done + wave.failed + wave.passed;
    let part = |count: usize| (count * BAR).checked_div(wave.machines).unwrap_or(0);
    let (full, begun) = (part(over), part(over + wave.taken));
    let mut text = format!(
        "{:<7} {}{}{} {over} of {}",
        wave.reach,
        "█".repeat(full),
        "▒".repeat(begun - full),
        "·".repeat(BAR - begun),
        wave.machines
    );
    for (count, word) in [(wave.failed, "failed"), (wave.passed, "not in service")] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

/// How long all of these waves take.
pub(crate) fn in_all(waves: &[Predicted]) -> String {
    lifecycle::why::about(Duration::from_secs(waves.iter().map(|wave| wave.seconds).sum()))
}

/// What it is about, and how long it will still take.
fn progress(detail: &ChangeDetail) -> String {
    let mut text = summary(&detail.row);
    if !detail.ahead.is_empty() {
        let _ = writeln!(text, "  about {} more, if nothing is in the way", in_all(&detail.ahead));
    }
    text
}

/// A change with its machines and its record.
fn whole(detail: &ChangeDetail, all: bool) -> String {
    let mut text = progress(detail);
    // What ended it is said by then.
    if detail.row.outcome.as_ref() != Some(&detail.row.evidence) {
        let _ = writeln!(text, "  {}", detail.row.evidence);
    }
    text += "\n";
    let listed = if all { usize::MAX } else { LISTED_MAX };
    for row in detail.machines.iter().take(listed) {
        text += &member(row);
    }
    if detail.machines.len() > listed {
        let _ = writeln!(text, "  … and {} more (--all lists them)", detail.machines.len() - listed);
    }
    text += "\n";
    for note in &detail.notes {
        let _ = writeln!(text, "{}  {}", times::date_and_time(note.at), note.sentence);
    }
    text
}

fn member(row: &MemberRow) -> String {
    let took = row.took_ms.map(|took| format!(" in {}", times::took(took))).unwrap_or_default();
    let why = row.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "  {:<7} {:<14} {:<9} {}{took}{why}  ({})\n",
        row.wave,
        row.location.within_zone(),
        row.effect,
        row.step,
        row.because
    )
}

fn budgets(args: &BudgetArgs) -> Result<ExitCode, Failure> {
    let server = args.which.find()?;
    if args.json {
        say(&(client::get_text(&server, "/v1/budgets")? + "\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let margins: Vec<Margin> = client::get(&server, "/v1/budgets")?;
    let mut text = String::new();
    for margin in &margins {
        let _ = writeln!(
            text,
            "{:<16} {:<12} {} of {} may be out, {} {}{}",
            margin.budget,
            margin.domain,
            margin.limit,
            margin.members,
            margin.out,
            if margin.out == 1 { "is" } else { "are" },
            if margin.holders.is_empty() {
                String::new()
            } else {
                format!(": {}", margin.holders.join(", "))
            }
        );
    }
    if margins.is_empty() {
        text += "no machine has been in service yet\n";
    }
    say(&text);
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) {
    // Nothing more can be done when standard output is closed.
    let _ = anstream::stdout().write_all(text.as_bytes());
}
