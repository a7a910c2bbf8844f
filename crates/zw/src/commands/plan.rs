//! `zw plan`: what a design comes to, and what would change. Reads files, writes text, touches nothing else.

pub(crate) mod changes;
mod table;
mod tables;

use super::check::{compiled, failed};
use crate::findings;
use clap::{Args as ClapArgs, ValueEnum};
use plan::document::FORMAT;
use plan::{Diff, Document};
use serde::Serialize;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a design comes to: addresses, names, cables, DNS and DHCP; or what it changes.
///
/// Everything is computed from the files: no controller is asked and nothing is changed. Without `--only` it gives an
/// overview; `--only` prints one table whole, and `--json` everything.
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  zw plan my-zone\n  zw plan my-zone --only interfaces | grep p07\n  \
                        zw plan my-zone --json > today.json\n  zw plan my-zone --against yesterday.json\n\n\
                        The fields of the JSON are described in docs/reference/plan-json.md.")]
pub(crate) struct Args {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    directory: PathBuf,
    /// Show what changes, seen from another design's directory or from a plan saved with `--json`.
    #[arg(long, value_name = "DESIGN|FILE")]
    against: Option<PathBuf>,
    /// Print JSON: the plan; with `--against`, the changes.
    #[arg(long)]
    json: bool,
    /// Print only this table, whole.
    #[arg(long, value_enum, value_name = "TABLE", conflicts_with = "against")]
    only: Option<Table>,
    /// With `--against`: exit with status 1 if anything changes.
    #[arg(long, requires = "against")]
    exit_code: bool,
}

/// A part of a plan.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// Machines and controllers, with their first address.
    Machines,
    /// Every addressed interface.
    Interfaces,
    /// Networks and their subnets.
    Networks,
    /// Every cable.
    Cables,
    /// Every DNS record.
    Dns,
    /// Every identity by which a DHCP request is known.
    Dhcp,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match ran(args) {
        Ok(code) => code,
        // Whoever reads has read enough: `zw plan | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn ran(args: &Args) -> Result<ExitCode, Failure> {
    let Some(against) = &args.against else {
        let Some(plan) = told(read_plan(&args.directory)?)? else { return Ok(ExitCode::from(1)) };
        let document = plan::document(&plan);
        match (args.json, args.only) {
            (true, None) => write_json(&document)?,
            (true, Some(only)) => write_json_table(&document, only)?,
            (false, only) => write_text(&tables::text(&document, only))?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(diff) = difference(&args.directory, against)? else { return Ok(ExitCode::from(1)) };
    if args.json {
        write_json(&diff)?
    } else {
        write_text(&changes::text(&diff))?
    }
    Ok(if args.exit_code && !diff.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// What changes. `None` if one of the two has no plan; why is on standard error by then.
fn difference(directory: &Path, against: &Path) -> Result<Option<Diff>, Failure> {
    if !against.is_dir() {
        let before = read_document(against)?;
        let after = told(read_plan(directory)?)?;
        return Ok(after.map(|after| plan::diff(&before, &plan::document(&after))));
    }
    // The two have nothing to do with each other, and each takes as long.
    let (before, after) = std::thread::scope(|scope| {
        let before = scope.spawn(|| read_plan(against));
        let after = read_plan(directory);
        (before.join(), after)
    });
    let before = before.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (Some(before), Some(after)) = (told(before?)?, told(after?)?) else { return Ok(None) };
    // Never dropped: giving back a million small pieces one by one, just before the process ends, takes a tenth of it.
    let (before, after) = (ManuallyDrop::new(before), ManuallyDrop::new(after));
    let diff = std::thread::scope(|scope| {
        let before = scope.spawn(|| ManuallyDrop::new(plan::document(&before)));
        let after = ManuallyDrop::new(plan::document(&after));
        before.join().map(|before| plan::diff(&before, &after))
    });
    Ok(Some(diff.unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
}

/// A plan, if there is one, and the findings as they are shown.
type Read = (Option<model::Plan>, String);

/// The plan of a design's directory.
fn read_plan(directory: &Path) -> Result<Read, Failure> {
    let files = server::files::read_design(directory).map_err(|error| Failure::Design(error.into()))?;
    let (plan, found) = compiled(directory, &files);
    Ok((plan.filter(|_| !findings::has_errors(&found)), findings::rendered(directory, &files, &found)))
}

/// What is wrong with a design goes to standard error.
fn told((plan, findings): Read) -> Result<Option<model::Plan>, Failure> {
    anstream::stderr().write_all(findings.as_bytes()).map_err(Failure::Output)?;
    Ok(plan)
}

/// A plan that was saved with `--json`.
fn read_document(path: &Path) -> Result<Document<'static>, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::Open(path.to_owned(), error))?;
    let document: Document<'static> =
        serde_json::from_slice(&text).map_err(|error| Failure::NotAPlan(path.to_owned(), error))?;
    if document.format == FORMAT {
        Ok(document)
    } else {
        Err(Failure::Format(path.to_owned(), document.format))
    }
}

fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    serde_json::to_writer(&mut out, value).map_err(|error| Failure::Output(error.into()))?;
    out.write_all(b"\n").and_then(|()| out.flush()).map_err(Failure::Output)
}

fn write_json_table(document: &Document<'_>, only: Table) -> Result<(), Failure> {
    match only {
        Table::Machines => write_json(&document.machines),
        Table::Interfaces => write_json(&document.interfaces),
        Table::Networks => write_json(&document.networks),
        Table::Cables => write_json(&document.cables),
        Table::Dns => write_json(&document.dns),
        Table::Dhcp => write_json(&document.dhcp),
    }
}

fn write_text(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Why nothing could be shown.
#[derive(Debug)]
enum Failure {
    Design(Box<dyn std::error::Error + Send + Sync>),
    Open(PathBuf, io::Error),
    NotAPlan(PathBuf, serde_json::Error),
    Format(PathBuf, u32),
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Design(_) => f.write_str("failed to read the design"),
            Self::Open(path, _) => write!(f, "failed to open {}", path.display()),
            Self::NotAPlan(path, _) => {
                write!(f, "failed to read {} as a plan saved with `zw plan --json`", path.display())
            }
            Self::Format(path, format) => {
                write!(
                    f,
                    "failed to compare with {}: its format is {format}, this is format {FORMAT}",
                    path.display()
                )
            }
            Self::Output(_) => f.write_str("failed to write"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Design(error) => Some(error.as_ref()),
            Self::Open(_, error) | Self::Output(error) => Some(error),
            Self::NotAPlan(_, error) => Some(error),
            Self::Format(..) => None,
        }
    }
}
