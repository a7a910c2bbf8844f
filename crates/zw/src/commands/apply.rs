//! `zw apply | rollback | restart`: shows what would happen, asks, begins it, and looks on.

use crate::client::{self, Failure, Server, Which};
use crate::commands::change;
use crate::commands::check::failed;
use api::change::{Applied, Apply, ChangeDetail, MemberRow, Predicted, Restart, Rollback};
use clap::Args as ClapArgs;
use lifecycle::why::duration;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Machines that are listed before it begins.
const LISTED_MAX: usize = 12;

/// Make the design as it lies before the controller current, and bring it to machines in service wave by wave.
///
/// Addresses, names, DNS and new machines follow the new plan at once. A machine in service keeps what it runs by until its turn: one
/// machine of each role first, then those machines' racks, their pods, the zone, each wave watched before the next. What goes
/// wrong stops it and is taken back.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw apply --dry-run\n  zw apply -m 'kernel 6.1.140' --wait\n  zw apply -m 'rack 7 is gone' --remove 36 --yes"
)]
pub(crate) struct Args {
    /// Why, for everybody who asks later.
    #[arg(long, short = 'm', value_name = "WORDS", required_unless_present = "dry_run", default_value = "")]
    reason: String,
    /// Existing addresses may change.
    #[arg(long)]
    renumber: bool,
    /// So many machines may disappear.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    remove: u32,
    /// So many may be new, where they more than double the zone.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    grow: u32,
    #[command(flatten)]
    how: How,
}

/// Make the design of a plan of before current again, as a new plan, and bring machines back to it wave by wave.
///
/// What was wiped stays wiped, and the design's files stay as they are: put them right, or the next `zw apply` brings them back.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw rollback --dry-run\n  zw rollback --to 41 -m 'slow disks since 42' --wait"
)]
pub(crate) struct RollbackArgs {
    /// Which plan [default: the one before the current one].
    #[arg(long, value_name = "PLAN")]
    to: Option<u64>,
    /// Why, for everybody who asks later.
    #[arg(long, short = 'm', value_name = "WORDS", required_unless_present = "dry_run", default_value = "")]
    reason: String,
    #[command(flatten)]
    how: How,
}

/// Restart machines wave by wave, as the budgets allow.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw restart pod=p07,role=hypervisor -m 'microcode' --wait\n  zw restart p01/r2 --dry-run"
)]
pub(crate) struct RestartArgs {
    /// Locations, names, addresses, racks, pods, selectors (`pod=p07,role=hypervisor`), or `all`.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// Why, for everybody who asks later.
    #[arg(long, short = 'm', value_name = "WORDS", required_unless_present = "dry_run", default_value = "")]
    reason: String,
    #[command(flatten)]
    how: How,
}

/// How it is gone about.
#[derive(ClapArgs)]
struct How {
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Look on until it is over; exit with status 1 if it did not come off.
    #[arg(long)]
    wait: bool,
    /// Print JSON, as the API gives it; does not ask.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// `zw apply`.
pub(crate) fn run(args: &Args) -> ExitCode {
    let begin = |server: &Server, dry_run: bool, against: Option<u64>| -> Result<Applied, Failure> {
        let Args { renumber, remove, grow, .. } = *args;
        let asked = Apply { reason: args.reason.clone(), renumber, remove, grow, dry_run, against };
        client::post(server, "/v1/apply", &asked)
    };
    finish(began(&args.how, begin))
}

/// `zw rollback`.
pub(crate) fn rollback(args: &RollbackArgs) -> ExitCode {
    let begin = |server: &Server, dry_run: bool, _: Option<u64>| -> Result<Applied, Failure> {
        let to = args.to.unwrap_or_default();
        client::post(server, "/v1/rollback", &Rollback { to, reason: args.reason.clone(), dry_run })
    };
    finish(began(&args.how, begin))
}

/// `zw restart`.
pub(crate) fn restart(args: &RestartArgs) -> ExitCode {
    finish(restarted(args))
}

fn finish(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| failed(&failure))
}

/// Shows, asks, begins and looks on.
fn began(
    how: &How,
    begin: impl Fn(&Server, bool, Option<u64>) -> Result<Applied, Failure>,
) -> Result<ExitCode, Failure> {
    let server = how.which.find()?;
    let shown = begin(&server, true, None)?;
    if !how.json {
        say(&preview(&shown));
    }
    if how.dry_run || shown.refused.is_some() {
        print_json(how, &shown);
        return Ok(if shown.refused.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS });
    }
    if !shown.machines.is_empty() && !is_meant(how) {
        say("nothing was begun\n");
        return Ok(ExitCode::from(1));
    }
    let applied = begin(&server, false, Some(shown.generation))?;
    print_json(how, &applied);
    if !how.json {
        say(&outcome(&applied));
    }
    match (applied.change, &applied.refused) {
        (_, Some(_)) => Ok(ExitCode::from(1)),
        (Some(id), None) if how.wait => change::watch(&server, id),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn restarted(args: &RestartArgs) -> Result<ExitCode, Failure> {
    let how = &args.how;
    let server = how.which.find()?;
    let ask = |dry_run: bool| -> Result<ChangeDetail, Failure> {
        let asked = Restart { targets: args.targets.clone(), reason: args.reason.clone(), dry_run };
        client::post(&server, "/v1/restart", &asked)
    };
    let shown = ask(true)?;
    if !how.json {
        say(&machines(&shown.machines));
    }
    if how.dry_run {
        print_json(how, &shown);
        return Ok(ExitCode::SUCCESS);
    }
    if !is_meant(how) {
        say("nothing was begun\n");
        return Ok(ExitCode::from(1));
    }
    let begun = ask(false)?;
    print_json(how, &begun);
    if !how.json {
        say(&format!(
            "change {} has begun; `zw change {}` shows how far it is\n",
            begun.row.id, begun.row.id
        ));
    }
    if how.wait { change::watch(&server, begun.row.id) } else { Ok(ExitCode::SUCCESS) }
}

/// What would happen, in words.
fn preview(applied: &Applied) -> String {
    let mut text = String::new();
    for finding in &applied.findings {
        let _ = writeln!(
            text,
            "{}:{}:{}: {} {}: {}",
            finding.file, finding.line, finding.column, finding.severity, finding.code, finding.sentence
        );
        if let Some(help) = &finding.help {
            let _ = writeln!(text, "    {help}");
        }
    }
    if let Some(refused) = &applied.refused {
        let _ = writeln!(text, "plan #{} stays in force: {refused}", applied.generation);
        return text;
    }
    text += &machines(&applied.machines);
    text += &waves(&applied.waves);
    for sentence in &applied.for_good {
        let _ = writeln!(text, "For good: {sentence}.");
    }
    text
}

fn machines(rows: &[MemberRow]) -> String {
    if rows.is_empty() {
        return "No machine in service is touched.\n".to_owned();
    }
    let mut text = String::new();
    for row in rows.iter().take(LISTED_MAX) {
        let _ = writeln!(
            text,
            "  {:<7} {:<14} {:<9} {}",
            row.wave,
            row.location.within_zone(),
            row.effect,
            row.because
        );
    }
    if rows.len() > LISTED_MAX {
        let _ = writeln!(text, "  … and {} more (--json lists all)", rows.len() - LISTED_MAX);
    }
    text
}

fn waves(waves: &[Predicted]) -> String {
    let mut text = String::new();
    let mut total = 0;
    for wave in waves {
        total += wave.seconds;
        let _ = writeln!(
            text,
            "wave {:<7} {:>5} machine{} {:>4} at once   about {}",
            wave.reach,
            wave.machines,
            if wave.machines == 1 { ", " } else { "s," },
            wave.at_once,
            duration(Duration::from_secs(wave.seconds))
        );
    }
    if waves.len() > 1 {
        let _ =
            writeln!(text, "in all about {}, if nothing is in the way", duration(Duration::from_secs(total)));
    }
    text
}

fn outcome(applied: &Applied) -> String {
    match (&applied.refused, applied.change) {
        (Some(refused), _) => format!("plan #{} stays in force: {refused}\n", applied.generation),
        (None, Some(id)) => format!(
            "plan #{} is in force, and change {id} brings it to the machines; `zw change {id}` shows how far it is\n",
            applied.generation
        ),
        (None, None) if applied.changed => format!("plan #{} is in force\n", applied.generation),
        (None, None) => format!("plan #{} is in force; nothing changed\n", applied.generation),
    }
}

/// Whether whoever is at the terminal says so; without one, only `--yes` and `--json` do.
fn is_meant(how: &How) -> bool {
    if how.yes || how.json {
        return true;
    }
    let mut out = anstream::stderr();
    let _ = write!(out, "Begin? [y/N] ");
    let _ = out.flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(out);
    }
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

fn print_json(how: &How, value: &impl serde::Serialize) {
    if how.json
        && let Ok(text) = serde_json::to_string(value)
    {
        say(&(text + "\n"));
    }
}

fn say(text: &str) {
    // Nothing more can be done when standard output is closed.
    let _ = anstream::stdout().write_all(text.as_bytes());
}
